//! Updates and identity links (ingest.md sections 5 and 6, DECISIONS 15 and 16).

use measure::{
    flag::Flag,
    identifier::{DigestLength, Fingerprint, IdKind, Identifier, forms, matching_form},
};

use crate::world::{IDFA, install, named, occurs, try_identity_link, try_on, update};

#[test]
fn updates() {
    let check = |rest: &str, kept: bool| {
        let (update, parsed) = update(rest);
        assert_eq!(update.kochava_device_id, "SX-9", "{rest}");
        assert_eq!(update.identifiers.iter().any(|id| id.kind == IdKind::Idfa), kept, "{rest}");
        assert_eq!(occurs(IDFA, &format!("{parsed:?}")), kept, "{rest}");
        assert_eq!(parsed.flags.contains(&Flag::IdfaDroppedAttFalse), !kept && rest.contains(IDFA), "{rest}");
    };
    let id = r#""kochava_device_id":"SX-9""#;
    check(&format!(r#"{id},"data":{{"idfa":"{IDFA}"}}"#), true);
    check(&format!(r#"{id},"data":{{"device_ids":{{"IDFA":"{IDFA}"}}}}"#), true);
    check(&format!(r#"{id},"data":{{"idfa":"{IDFA}","app_tracking_transparency":{{"att":true}}}}"#), true);
    check(&format!(r#"{id},"data":{{"idfa":"{IDFA}","app_tracking_transparency":{{"att":false}}}}"#), false);
    check(&format!(r#"{id},"data":{{"idfa":"{IDFA}","att":"0"}}"#), false);
    check(&format!(r#"{id},"data":{{}}"#), false);
}

#[test]
fn consent_rides_on_an_identity_link() {
    let check = |rest: &str, expected: Option<bool>| {
        let (link, _) = try_identity_link("iOS", &format!(r#""device_id":{{"idfv":"a-1"}},{rest}"#)).unwrap();
        assert_eq!(link.consent.att.flag, expected, "{rest}");
    };
    check(r#""data":{"user_id":"u"}"#, None);
    check(r#""att":false,"data":{"user_id":"u"}"#, Some(false));
    check(r#""app_tracking_transparency":{"att":1},"data":{"user_id":"u"}"#, Some(true));
    check(r#""data":{"att":"0"}"#, None);
    check(r#""data":{"att":"0","identity_link":{"user_id":"u"}}"#, Some(false));
}

#[test]
fn identity_links() {
    let fingerprint = Identifier::new(IdKind::Idfa, IDFA).as_ref().map(Fingerprint::from);
    let check = |platform: &str,
                 device: &str,
                 plain: &[(&str, &str)],
                 hashed: &[(&str, &str)],
                 idfa: bool| {
        let (link, parsed) =
            try_identity_link(platform, &format!(r#"{device},"data":{{"user_id":"u-42","n":5}}"#)).unwrap();
        assert_eq!(named(&link.identifiers), plain, "{device}");
        let digests: Vec<_> =
            link.digests.iter().map(|(kind, digest)| (kind.name(), digest.as_str())).collect();
        assert_eq!(digests, hashed, "{device}");
        assert_eq!(link.idfa, fingerprint.filter(|_| idfa), "{device}");
        assert_eq!(link.links, [("user_id".to_owned(), "u-42".to_owned()), ("n".to_owned(), "5".to_owned())]);
        assert!(platform == "Android" || !occurs(IDFA, &format!("{parsed:?}")), "{device}");
    };
    let md5 = "358f3cc563911c41542fa3394787f529";
    let method = r#""device_hash_method":{"IDFA":"MD5"}"#;
    check("iOS", &format!(r#""device_id":{{"idfa":"{IDFA}"}}"#), &[], &[], true);
    // Without separators and without a method it may be an MD5 as well: looked up as both, kept as neither.
    let lower_md5 = [("idfa", "e718f3645353e8cf742ff1293b141fcf")];
    let bare = IDFA.replace('-', "");
    check("iOS", &format!(r#""device_id":{{"idfa":"{bare}"}}"#), &[], &lower_md5, true);
    check("iOS", &format!(r#""device_ids":{{"idfa":"{}"}}"#, bare.to_lowercase()), &[], &lower_md5, true);
    check("iOS", &format!(r#""device_id":"{IDFA}""#), &[], &[], true);
    check("iOS", &format!(r#""device_id":"{IDFA}","device_id_type":"idfa""#), &[], &[], true);
    check("tvOS", &format!(r#""device_id":"{IDFA}""#), &[], &[], true);
    check("iOS", &format!(r#""device_id":{{"idfa":"{md5}"}},{method}"#), &[], &[("idfa", md5)], false);
    check(
        "iOS",
        &format!(r#""device_id":{{"idfa":"{}"}},{method}"#, md5.to_uppercase()),
        &[],
        &[("idfa", md5)],
        false,
    );
    check("iOS", &format!(r#""device_id":"{md5}","device_hash_method":"md5""#), &[], &[("idfa", md5)], false);
    check("Android", r#""device_id":"a-1""#, &[("adid", "a-1")], &[], false);
    check("Android", r#""device_id":{"idfa":"a-1"}"#, &[("adid", "a-1")], &[], false);
    check("Web", r#""device_id":"c-1""#, &[("custom", "c-1")], &[], false);
    check("iOS", r#""device_id":{"idfv":"v-1"}"#, &[("idfv", "v-1")], &[], false);
    check("iOS", r#""device_id":"v-1","device_id_type":"idfv""#, &[("idfv", "v-1")], &[], false);
    check(
        "Android",
        &format!(r#""device_id":{{"adid":"{md5}"}}"#),
        &[("adid", md5)],
        &[("adid", md5)],
        false,
    );
    check("iOS", r#""kochava_device_id":"SX-1""#, &[], &[], false);
}

#[test]
fn an_md5_without_its_method_is_looked_up_as_the_hash_that_it_may_be() {
    for form in forms(IDFA, DigestLength::Md5).into_iter().filter(|(form, _)| !form.is_double()) {
        let sent = form.1.as_str().to_uppercase();
        let rest = format!(r#""device_id":{{"idfa":"{sent}"}},"data":{{"user_id":"u-42"}}"#);
        let (link, parsed) = try_identity_link("iOS", &rest).unwrap();
        let [(IdKind::Idfa, digest)] = &link.digests[..] else { panic!("{link:?}") };
        assert!(matching_form(IDFA, digest).is_some(), "a form of the identifier: {}", form.0);
        assert!(!occurs(&sent, &format!("{parsed:?}")), "it may be the IDFA itself: {parsed:?}");
        let refused = format!(r#"{rest},"att":false"#);
        assert_eq!(try_identity_link("iOS", &refused).unwrap().0.digests, [], "not even looked up");
    }
}

#[test]
fn an_idfa_under_another_name_of_the_device_is_not_kept() {
    let check = |device: &str| {
        let rest = format!(r#"{device},"data":{{"user_id":"u"}}"#);
        let (_, parsed) = try_identity_link("iOS", &rest).unwrap();
        assert!(!occurs(IDFA, &format!("{parsed:?}")), "{parsed:?}");
    };
    let bare = IDFA.replace('-', "");
    check(&format!(r#""device_id":{{"idfa":"{IDFA}","idfv":"{bare}","custom":"{IDFA}"}}"#));
    check(&format!(r#""device_id":{{"idfa":"{IDFA}","{bare}":"1"}}"#));
    check(&format!(r#""device_id":-1,"device_ids":{{"idfa":"{IDFA}","idfv":"{bare}"}}"#));
}

#[test]
fn an_identity_link_on_track_json() {
    let check = |data: &str, expected: Option<&str>| {
        let body = format!(
            r#"{{"action":"identityLink","kochava_app_id":"k","kochava_device_id":"d","data":{data}}}"#
        );
        let found = try_on("iOS", &body).map(|parsed| match parsed.payload {
            measure::input::Payload::Link(link) => {
                link.links.into_iter().map(|(k, v)| format!("{k}={v};")).collect::<String>()
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(found.as_deref().ok(), expected, "{data}");
    };
    check(r#"{"identity_link":{"user_id":"u-42"}}"#, Some("user_id=u-42;"));
    check(
        r#"{"identity_link":{"user_id":2718281828,"x":"","y":null},"usertime":1}"#,
        Some("user_id=2718281828;"),
    );
    check(r#"{"user_id":"u-42","usertime":1760000000,"device_ids":{"idfv":"v"}}"#, Some("user_id=u-42;"));
    check(r#"{"identity_link":{}}"#, None);
    check("{}", None);
}

#[test]
fn links_ride_on_installs() {
    let links = install(r#"{"identity_link":{"user_id":42,"email":"a@example.com"}}"#).0.links;
    assert_eq!(
        links,
        [("user_id".to_owned(), "42".to_owned()), ("email".to_owned(), "a@example.com".to_owned())]
    );
}
