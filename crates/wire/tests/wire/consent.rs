//! Consent, and what becomes of an IDFA that it forbids (ingest.md sections 8 and 9, DECISIONS 16).

use measure::{
    flag::Flag,
    identifier::{IdKind, JoinKey},
    privacy::traces,
};
use wire::s2s::{Endpoint, elements, parse};

use crate::world::{IDFA, PIXEL, app, edge, event, install, install_on, named, occurs, try_on};

#[test]
fn tracking_transparency() {
    let check = |platform: &str, more: &str, kept: bool, flag: Option<Flag>| {
        let data = format!(r#"{{"device_ids":{{"idfa":"{IDFA}","idfv":"v-1"}},"copy":"x {IDFA}"{more}}}"#);
        let (install, parsed) = install_on(platform, &data);
        assert_eq!(occurs(IDFA, &format!("{parsed:?}")), kept, "{more}");
        let odd: Vec<Flag> =
            parsed.flags.into_iter().filter(|flag| flag.name().starts_with("idfa_")).collect();
        assert_eq!(odd, flag.into_iter().collect::<Vec<_>>(), "{more}");
        assert!(install.origin.identifiers.iter().any(|id| id.kind == IdKind::Idfv), "the idfv stays");
    };
    let missing = Some(Flag::IdfaDroppedAttMissing);
    let refused = Some(Flag::IdfaDroppedAttFalse);
    check("iOS", "", false, missing);
    check("iOS", r#","app_tracking_transparency":{}"#, false, missing);
    check("iOS", r#","app_tracking_transparency":{"att":null}"#, false, missing);
    check("iOS", r#","app_tracking_transparency":{"att":"perhaps"}"#, false, missing);
    check("iOS", r#","app_tracking_transparency":{"att":true}"#, true, None);
    check("iOS", r#","app_tracking_transparency":{"att":1}"#, true, None);
    check("iOS", r#","app_tracking_transparency":{"att":"1"}"#, true, None);
    check("iOS", r#","app_tracking_transparency":{"att":"True"}"#, true, None);
    check("iOS", r#","app_tracking_transparency":{"att":false}"#, false, refused);
    check("iOS", r#","app_tracking_transparency":{"att":0}"#, false, refused);
    check("iOS", r#","app_tracking_transparency":{"att":"false"}"#, false, refused);
    check("iOS", r#","att":true"#, true, None);
    check("iOS", r#","att":"0""#, false, refused);
    check("iOS", r#","device_ver":"iPhone-iOS-13.6.0""#, true, None);
    check("iOS", r#","device_ver":"iPhone-iOS-14.0""#, false, missing);
    check("iOS", r#","device_ver":"iPhone-iOS-13.6.0","att":false"#, false, refused);
    check("iOS", r#","device_ua":"Mozilla/5.0 (Windows NT 10.0)","device_ver":"10""#, false, missing);
    check("Web", r#","device_ver":"10""#, false, missing);
    check("Android", "", true, None);
    check("Android", r#","att":false"#, true, None);
    check("iOS", &format!(r#","device_ua":"{PIXEL}""#), true, None);
}

#[test]
fn a_kochava_device_id_that_is_the_dropped_idfa_still_joins() {
    let bare = IDFA.replace('-', "").to_lowercase();
    for id in [IDFA.to_owned(), bare, format!("KA-{IDFA}")] {
        for action in ["install", "event", "update", "identityLink"] {
            let body = format!(
                r#"{{"action":"{action}","kochava_app_id":"k","kochava_device_id":" {id}","data":{{"device_ver":"iPhone-iOS-17.5",
                "event_name":"View","identity_link":{{"user":"7"}},"att":false,"device_ids":{{"idfa":"{IDFA}"}}}}}}"#
            );
            let element = elements(body.as_bytes()).unwrap().elements.remove(0).unwrap();
            let parsed = parse(Endpoint::TrackJson, &element, &app("iOS"), &edge()).unwrap();
            assert!(!occurs(IDFA, &format!("{parsed:?}")), "{parsed:?}");
            assert!(traces(&parsed.payload).contains(&JoinKey::kochava(&id)), "{parsed:?}");
        }
    }
}

#[test]
fn transparency_details_are_read() {
    let data = r#"{"app_tracking_transparency":{"att":true,"att_time":"1759999990","att_duration":4.2,"att_detail":"authorized"}}"#;
    let att = install(data).0.origin.consent.att;
    assert_eq!(
        (att.time, att.duration, att.detail.as_deref()),
        (Some(1_759_999_990), Some(4), Some("authorized"))
    );
}

#[test]
fn consent_in_every_type() {
    let check = |written: &str, expected: Option<bool>| {
        let data = format!(
            r#"{{"gdpr_privacy_consent":{{"gdpr_applies":{written}}},"device_limit_tracking":{written}}}"#
        );
        let consent = install(&data).0.origin.consent;
        assert_eq!((consent.gdpr_applies, consent.limit_tracking), (expected, expected), "{written}");
    };
    check("1", Some(true));
    check("true", Some(true));
    check("\"1\"", Some(true));
    check("\"true\"", Some(true));
    check("0", Some(false));
    check("false", Some(false));
    check("\"0\"", Some(false));
    check("\"false\"", Some(false));
    check("\"\"", None);
    check("null", None);
    check("{}", None);
    assert!(install(r#"{"device_limit_tracking":"true"}"#).1.flags.contains(&Flag::LimitAdTracking));
}

#[test]
fn a_dropped_idfa_is_nowhere() {
    let bare = IDFA.replace('-', "").to_lowercase();
    let colons = IDFA.replace('-', ":");
    let check = |more: &str| {
        let data = format!(r#"{{"device_ids":{{"idfa":"{IDFA}"}},{more}}}"#);
        let (_, parsed) = install(&data);
        assert!(!occurs(IDFA, &format!("{parsed:?}")), "{more}: {parsed:?}");
        assert!(!occurs(&colons, &format!("{parsed:?}")), "{more}");
    };
    check(&format!(r#""copy":"{bare}""#));
    check(&format!(r#""copy":"x{bare}y{IDFA}""#));
    check(&format!(r#""copy":"{colons}""#));
    check(&format!(r#""{bare}":1"#));
    check(&format!(r#""deep":[{{"idfa":["{bare}"]}}]"#));
    check(&format!(r#""kochava_device_id":"SX-{bare}""#));
    check(&format!(r#""device_ua":"X {IDFA}","device_ver":"{bare}""#));
    check(&format!(r#""device_ua":"X%20{}""#, IDFA.replace('-', "%2D")));
    check(&format!(r#""install_referrer":{{"referrer":"utm_source%3D{}"}}"#, IDFA.replace('-', "%252D")));
    for times in 1..4 {
        let dash = (0..times).fold("%2D".to_owned(), |dash, _| dash.replace('%', "%25"));
        let equal = (1..times).fold("%3D".to_owned(), |equal, _| equal.replace('%', "%25"));
        let source = format!("utm_source{equal}{}", IDFA.replace('-', &dash));
        check(&format!(r#""install_referrer":"{source}""#));
    }
    check(r#""copy":"\u0037C9E6679-7425-40DE-944B-E07FC1F90AE7""#);
    check(&format!(r#""identity_link":{{"user":"{IDFA}","idfa":"{IDFA}"}}"#));
    check(r#""idfa":"0FA77C9E-7425-40DE-944B-E07FC1F90AE7","copy":"0fa77c9e742540de944be07fc1f90ae7""#);
}

/// A text as JSON writes it.
fn written(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[test]
fn a_dropped_idfa_is_in_no_text_of_json_either() {
    let refused = r#""att":false,"device_ids":{"idfv":"v-1"}"#;
    let check = |field: &str| {
        let (event, parsed) = event(&format!("{refused},{field}"));
        assert!(!occurs(IDFA, &format!("{parsed:?}")), "{field}: {parsed:?}");
        assert!(parsed.flags.contains(&Flag::IdfaDroppedAttFalse), "{field}");
        assert_eq!(named(&event.origin.identifiers), [("idfv", "v-1")], "{field}");
    };
    let ids = format!(r#"{{"idfa":"{IDFA}","n":1}}"#);
    check(&format!(r#""event_data":{}"#, written(&ids)));
    check(&format!(r#""note":{}"#, written(&ids)));
    check(&format!(r#""event_data":{{"deep":[{}]}}"#, written(&format!(r#" [{ids}]"#))));
    check(&format!(r#""event_data":{}"#, written(&format!(r#"{{"ids":{}}}"#, written(&ids)))));
    let mut deep = ids.clone();
    for _ in 0..8 {
        deep = format!(r#"{{"x":{}}}"#, written(&deep));
    }
    check(&format!(r#""event_data":{}"#, written(&deep)));
    check(&format!(r#""event_data":{}"#, written(&format!(r#"{{"idfa":"{IDFA}","#))));
    check(&format!(r#""uri":"app://open?x=1&idfa={IDFA}&y=2""#));
    check(&format!(r#""uri":"app%3A%2F%2Fopen%3Fidfa%3D{}""#, IDFA.replace('-', "%2D")));
    check(&format!(r#""event_data":{{"idfa":"{{{IDFA}}}"}}"#));
    check(&format!(r#""event_data":{},"copy":"x {IDFA}""#, written(&ids)));

    let (_, parsed) = event(&format!(r#"{refused},"event_data":{}"#, written(&ids)));
    assert!(parsed.body.contains(r#""event_data":"{\"n\":1}""#), "the rest stays: {}", parsed.body);
    let (_, parsed) = event(&format!(r#""att":true,"event_data":{}"#, written(&ids)));
    assert!(occurs(IDFA, &parsed.body), "with consent it stays: {}", parsed.body);
    let body = format!(r#"{{"device_ids":{},"app_tracking_transparency":{{"att":false}}}}"#, written(&ids));
    let (install, parsed) = install(&body);
    assert!(!occurs(IDFA, &format!("{parsed:?}")), "{parsed:?}");
    assert_eq!(install.origin.identifiers, []);
}

#[test]
fn what_is_cut_leaves_the_rest() {
    let data = format!(
        r#"{{"device_ids":{{"idfa":"{IDFA}","idfv":"v-1","adid":"{IDFA}"}},"note":"id {IDFA}!","n":1.50}}"#
    );
    let (install, parsed) = install(&data);
    assert_eq!(named(&install.origin.identifiers), [("idfv", "v-1")]);
    assert!(
        parsed.body.contains(r#""device_ids":{"idfv":"v-1","adid":null},"note":"id redacted!","n":1.50"#),
        "{}",
        parsed.body
    );
    let whole = r#"{ "action": "install", "kochava_app_id":"k", "data" : {"n": 1.50} }"#;
    assert_eq!(try_on("iOS", whole).unwrap().body, whole);
}

#[test]
fn an_idfa_under_device_id_needs_consent_too() {
    let android = r#""device_ver":"Pixel-8-Android-14","#;
    let check = |fields: &str, kept: Option<&str>| {
        let (install, parsed) = install(&format!("{{{fields}}}"));
        let kinds: Vec<&str> = install.origin.identifiers.iter().map(|id| id.kind.name()).collect();
        assert_eq!(kinds, kept.into_iter().collect::<Vec<_>>(), "{fields}");
        assert_eq!(occurs(IDFA, &format!("{parsed:?}")), kept.is_some(), "{fields}");
        assert_eq!(parsed.flags.contains(&Flag::IdfaDroppedAttMissing), kept.is_none(), "{fields}");
    };
    check(&format!(r#""device_id":"{IDFA}""#), None);
    check(&format!(r#""device_id":"{IDFA}","copy":"x {IDFA}""#), None);
    check(&format!(r#""device_id":"{IDFA}","device_id_type":"IDFA""#), None);
    check(&format!(r#""device_id":{{"idfa":"{IDFA}"}}"#), None);
    check(&format!(r#""device_id":"{IDFA}","att":true"#), Some("idfa"));
    check(&format!(r#""device_id":"{IDFA}","device_id_type":"idfv""#), Some("idfv"));
    check(&format!(r#"{android}"device_id":"{IDFA}""#), Some("adid"));
    check(&format!(r#""device_ids":{{"device_id":"{IDFA}"}}"#), Some("device_id"));
}

#[test]
fn what_is_the_vendor_id_is_no_idfa() {
    let bare = IDFA.replace('-', "").to_lowercase();
    let check = |platform: &str, fields: &str, expected: &[(&str, &str)]| {
        let (install, parsed) = install_on(platform, &format!("{{{fields}}}"));
        assert_eq!(named(&install.origin.identifiers), expected, "{fields}");
        assert!(!parsed.flags.iter().any(|flag| flag.name().starts_with("idfa_dropped")), "{fields}");
        assert!(!parsed.body.contains("\"idfa\""), "nothing says that it is one: {}", parsed.body);
    };
    let idfv = [("idfv", IDFA)];
    for refusal in ["", r#","att":false"#] {
        let both = format!(r#""device_ids":{{"idfa":"{IDFA}","idfv":"{IDFA}"}}{refusal}"#);
        check("iOS", &both, &idfv);
        check("tvOS", &format!(r#"{both},"device_ver":"17.5""#), &idfv);
        check("iOS", &format!(r#""device_ids":{{"idfa":"{bare}","idfv":"{IDFA}"}}{refusal}"#), &idfv);
        check("iOS", &format!(r#""idfa":"{bare}","idfv":"{IDFA}"{refusal}"#), &idfv);
        check("iOS", &format!(r#"{both},"kochava_device_id":"{IDFA}""#), &idfv);
        check("iOS", &format!(r#"{both},"device_id":"{bare}""#), &idfv);
        check("iOS", &format!(r#""device_id":"{IDFA}","device_ids":{{"idfv":"{IDFA}"}}{refusal}"#), &idfv);
    }
    let other = "0E984725-C51C-4BF4-9960-E1C80E27ABA0";
    let (install, parsed) = install(&format!(
        r#"{{"device_ids":{{"idfa":"{IDFA}","idfv":"{IDFA}"}},"data":{{"idfa":"{other}"}},"copy":"x {other}"}}"#
    ));
    assert_eq!(named(&install.origin.identifiers), idfv);
    assert!(!occurs(other, &format!("{parsed:?}")), "another IDFA goes all the same: {parsed:?}");
    assert!(parsed.flags.contains(&Flag::IdfaDroppedAttMissing));
    // It is no consent either, where an IDFA counts as such.
    let mut app = app("iOS");
    app.policy.att_from_idfa = Some(true);
    let body = format!(
        r#"{{"action":"install","kochava_app_id":"k","data":{{"device_ids":{{"idfa":"{IDFA}","idfv":"{IDFA}"}}}}}}"#
    );
    let element = elements(body.as_bytes()).unwrap().elements.remove(0).unwrap();
    let parsed = parse(Endpoint::TrackJson, &element, &app, &edge()).unwrap();
    assert!(!parsed.flags.contains(&Flag::AttFromIdfa), "{parsed:?}");
}
