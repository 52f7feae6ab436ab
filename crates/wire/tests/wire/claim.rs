//! Claims of self-attributing networks (tracking-and-attribution.md section 12).

use measure::{
    AppId, Timestamp,
    catalogue::{App, Catalogue, Change, DestinationKind, Entry, Network},
    policy::{Window, Windows},
};
use wire::{
    claim::{Parsed, parse},
    refusal::Refusal,
    s2s::elements,
};

use crate::world::{IDFA, RECEIVED, app, tracker};

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    let network = |id| Network {
        id: measure::NetworkId(id),
        name: format!("Network {id}"),
        windows: Windows::default(),
        created: Timestamp(0),
        deleted: id == 6,
        extra: String::new(),
    };
    let mut elsewhere = tracker(DestinationKind::Custom, "");
    elsewhere.id = measure::TrackerId(8);
    elsewhere.guid = "kosextant-other-t8".to_owned();
    elsewhere.app = AppId(2);
    let mut old = tracker(DestinationKind::Custom, "");
    old.id = measure::TrackerId(9);
    old.guid = "kosextant-demo-t9".to_owned();
    old.deleted = true;
    let entries = [
        Entry::App(app("iOS")),
        Entry::App(App { id: AppId(2), guid: "kosextant-other".to_owned(), ..app("Android") }),
        Entry::Network(network(4)),
        Entry::Network(network(5)),
        Entry::Network(network(6)),
        Entry::Tracker(tracker(DestinationKind::Custom, "")),
        Entry::Tracker(elsewhere),
        Entry::Tracker(old),
    ];
    for (entry, version) in entries.into_iter().zip(1..) {
        catalogue.apply(Change { version, at: Timestamp(0), by: None, entry });
    }
    catalogue
}

/// Reads a claim with these fields added to a sound one; a field of null takes one away.
fn read(platform: &str, fields: &str) -> Result<Parsed, Refusal> {
    let mut body: serde_json::Value = serde_json::from_str(&format!(
        r#"{{"network_id":"4","time":1760099000,"device_ids":{{"idfa":"{IDFA}"}}}}"#
    ))
    .unwrap();
    let more: serde_json::Value = serde_json::from_str(fields).unwrap();
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let element = elements(body.to_string().as_bytes()).unwrap().elements.remove(0).unwrap();
    parse(&element, &app(platform), &catalogue(), Timestamp::from_seconds(RECEIVED))
}

fn sound(fields: &str) -> Parsed {
    read("iOS", fields).unwrap_or_else(|refused| panic!("{fields}: {refused}"))
}

#[test]
fn every_field_has_its_place() {
    let parsed = sound(
        r#"{"kind":"impression","claim_id":" c-1 ","tracker_id":"kosextant-demo-t1","lookback_window":86400,
            "site_id":"s","creative_id":"cr","campaign_name":"Spring","ad_id":77,"nested":{"a":1},"empty":""}"#,
    );
    let claim = parsed.claim;
    assert_eq!(claim.kind.name(), "impression");
    assert_eq!(claim.time, Timestamp::from_seconds(1_760_099_000));
    assert_eq!(claim.network.0, 4);
    assert_eq!((claim.tracker.unwrap().0, claim.campaign.unwrap().0, claim.segment.unwrap().0), (7, 2, 3));
    assert_eq!(claim.claim_id.as_deref(), Some("c-1"));
    assert_eq!(claim.lookback, Some(Window::Seconds(86_400)));
    assert!(claim.granular);
    assert_eq!((claim.site_id.as_deref(), claim.creative_id.as_deref()), (Some("s"), Some("cr")));
    let params: Vec<String> = claim.params.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(params, ["campaign_name=Spring", "ad_id=77", r#"nested={"a":1}"#]);
    assert_eq!(claim.identifiers.len(), 1);
}

#[test]
fn what_cannot_be_used_says_what_to_fix() {
    for (fields, words) in [
        (r#"{"network_id":null}"#, "network_id is required"),
        (r#"{"network_id":99}"#, "no such network"),
        (r#"{"network_id":6}"#, "no such network"),
        (r#"{"time":null}"#, "time is required"),
        (r#"{"time":"yesterday"}"#, "time: must be"),
        (r#"{"time":5}"#, "time: must be"),
        (r#"{"kind":"view"}"#, "click or impression"),
        (r#"{"device_ids":null}"#, "device_ids"),
        (r#"{"device_ids":{"idfa":"00000000-0000-0000-0000-000000000000"}}"#, "no usable identifier"),
        (r#"{"device_ids":[1]}"#, "must be an object"),
        (r#"{"tracker_id":"kosextant-nobody"}"#, "tracker_id"),
        (r#"{"tracker_id":"kosextant-other-t8"}"#, "tracker_id"),
        (r#"{"tracker_id":9}"#, "tracker_id"),
        (r#"{"network_id":5,"tracker_id":7}"#, "tracker_id"),
        (r#"{"lookback_window":59}"#, "from 60 to 2592000 seconds"),
        (r#"{"lookback_window":2592001}"#, "from 60 to 2592000 seconds"),
        (r#"{"lookback_window":"7d"}"#, "from 60 to 2592000 seconds"),
        (r#"{"is_granular_data_sharing_allowed":"maybe"}"#, "true or false"),
    ] {
        let refused = read("iOS", fields).expect_err(fields);
        assert_eq!(refused.status, 400, "{fields}");
        assert!(refused.error.contains(words), "{fields}: {refused}");
    }
}

#[test]
fn an_agency_names_its_tracker_in_the_campaigns_name() {
    for (name, tracker) in [
        ("Spring kosextant-demo-t1", Some(7)),
        ("DE|kosextant-demo-t1|video", Some(7)),
        ("[kosextant-demo-t1] Spring", Some(7)),
        ("de_kosextant-demo-t1_video", Some(7)),
        ("Spring tracker_id=7", Some(7)),
        ("Spring tracker_id:7|DE", Some(7)),
        // A number alone could be anything; those of other apps and deleted ones are nobody's.
        ("Spring 7", None),
        ("kosextant-other-t8", None),
        ("kosextant-demo-t9", None),
        ("Spring", None),
    ] {
        let claim = sound(&format!(r#"{{"campaign_name":"{name}"}}"#)).claim;
        assert_eq!(claim.tracker.map(|tracker| tracker.0), tracker, "{name}");
    }
    let foreign = sound(r#"{"network_id":5,"campaign_name":"kosextant-demo-t1"}"#).claim;
    assert_eq!(foreign.tracker, None, "a tracker of another network");
}

#[test]
fn identifiers_may_be_hashed() {
    let digest = "358f3cc563911c41542fa3394787f529";
    for (fields, forms) in [
        (format!(r#"{{"device_ids":{{"idfa":"{digest}"}},"device_id_is_hashed":true}}"#), 1),
        (format!(r#"{{"device_ids":{{"idfa":"{digest}"}},"device_hash_method":"MD5"}}"#), 1),
        // Nobody says: it may be a UUID without dashes.
        (format!(r#"{{"device_ids":{{"idfa":"{digest}"}}}}"#), 2),
    ] {
        assert_eq!(sound(&fields).claim.identifiers.len(), forms, "{fields}");
    }
}

#[test]
fn an_idfa_under_att_false_is_nowhere_left() {
    let fields = format!(
        r#"{{"att":false,"device_ids":{{"idfa":"{IDFA}","idfv":"1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"}},"note":"of {IDFA}"}}"#
    );
    let parsed = sound(&fields);
    let all = format!("{parsed:?}").to_lowercase();
    assert!(!all.contains(&IDFA.to_lowercase()), "{all}");
    assert_eq!(parsed.claim.identifiers.len(), 1);
    assert!(parsed.flags.iter().any(|flag| flag.name() == "idfa_dropped:att_false"));
    let refused = read("iOS", r#"{"att":false}"#).expect_err("nothing is left to claim by");
    assert!(refused.error.contains("no usable identifier"), "{refused}");
}

#[test]
fn a_time_in_the_future_is_that_of_the_receipt() {
    for (ahead, is_future) in [(0, false), (1, true), (120, true)] {
        let parsed = sound(&format!(r#"{{"time":{}}}"#, RECEIVED + ahead));
        assert_eq!(parsed.claim.time, Timestamp::from_seconds(RECEIVED));
        assert_eq!(parsed.claim.time_future, is_future, "{ahead}");
        assert_eq!(parsed.flags.iter().any(|flag| flag.name() == "time_future"), is_future, "{ahead}");
    }
}

#[test]
fn a_time_beyond_the_clock_skew_is_refused() {
    let refused = read("iOS", &format!(r#"{{"time":{}}}"#, RECEIVED + 121)).expect_err("it has not happened");
    assert_eq!(refused.status, 400);
    assert!(refused.error.starts_with("time: lies more than 120 seconds"), "{refused}");
    assert!(refused.error.contains("send when"), "{refused}");
}

#[test]
fn on_android_an_idfa_is_an_advertising_id() {
    for platform in ["Android", "Fire OS"] {
        let parsed = read(platform, "{}").unwrap();
        assert_eq!(parsed.claim.identifiers[0].kind().name(), "adid", "{platform}");
    }
}
