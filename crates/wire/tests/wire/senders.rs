//! Every real kind of sender, parsed as its `expect` says.

use measure::{Timestamp, flag::Flag, identifier::IdKind, input::Payload, platform::Os};
use serde_json::Value;
use wire::{
    refusal::Refusal,
    s2s::{Endpoint, Parsed, elements, parse},
};

use crate::world::{IDFA, app, edge, occurs};

/// The elements of a sample, parsed.
fn sent(name: &str) -> Vec<Result<Parsed, Refusal>> {
    let samples: Value = serde_json::from_str(include_str!("fixtures/senders.json")).unwrap();
    let sample = samples.as_array().unwrap().iter().find(|sample| sample["name"] == name).unwrap();
    let endpoint = match sample["path"].as_str().unwrap() {
        "/v1/cpi/identityLink.php" => Endpoint::IdentityLink,
        _ => Endpoint::TrackJson,
    };
    let platform = if name.starts_with("web") { "Web" } else { "iOS" };
    let body = elements(sample["body"].to_string().as_bytes()).unwrap();
    body.elements
        .iter()
        .map(|element| parse(endpoint, element.as_ref().unwrap(), &app(platform), &edge()))
        .collect()
}

fn one(name: &str) -> Parsed {
    sent(name).remove(0).unwrap()
}

macro_rules! payload {
    ($parsed:expr, $kind:ident) => {
        match &$parsed.payload {
            Payload::$kind(payload) => payload,
            other => panic!("{other:?}"),
        }
    };
}

#[test]
fn every_sample_has_a_test() {
    let samples: Value = serde_json::from_str(include_str!("fixtures/senders.json")).unwrap();
    let source = include_str!("senders.rs");
    for sample in samples.as_array().unwrap() {
        let name = sample["name"].as_str().unwrap();
        assert!(source.contains(&format!("\"{name}\")")), "no test sends {name}");
    }
}

#[test]
fn older_ios_install() {
    let parsed = one("docs: iOS install, older shape");
    let install = payload!(parsed, Install);
    assert_eq!(install.origin.traits.os_text(), "iOS 13.6.0");
    assert_eq!(install.origin.app_version.as_deref(), Some("3.3.0"));
    assert!(parsed.flags.contains(&Flag::IpInvalid) && parsed.flags.contains(&Flag::UaManufactured));
    assert!(install.origin.identifiers.iter().any(|id| id.kind == IdKind::Idfa && id.value == IDFA));
}

#[test]
fn event_with_string_usertime() {
    let parsed = one("docs: event with string usertime");
    let event = payload!(parsed, Event);
    assert_eq!(event.time, Timestamp::from_seconds(1_521_574_016));
    assert_eq!(event.amount, Some(150.into()));
    assert_eq!(event.currency.as_deref(), Some("USD"));
    assert!(!occurs(IDFA, &format!("{parsed:?}")) && parsed.flags.contains(&Flag::IdfaDroppedAttMissing));
}

#[test]
fn event_stream_router() {
    let parsed = one("event-stream router, production path");
    let event = payload!(parsed, Event);
    assert_eq!(event.time, Timestamp(1_579_236_831_206));
    assert_eq!(event.amount.map(|amount| amount.to_string()).as_deref(), Some("49.9"));
    assert_eq!(event.origin.kochava_device_id.as_deref(), Some("8c1d-anon"));
    assert!(event.origin.identifiers.is_empty());
    assert!(event.params.iter().any(|(key, value)| key == "products" && value.text().contains("24.95")));
}

#[test]
fn percent_encoded_user_agent() {
    let parsed = one("connector with percent-encoded UA");
    let install = payload!(parsed, Install);
    assert_eq!(
        install.origin.user_agent.as_deref(),
        Some("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)")
    );
    assert_eq!(install.origin.traits.os_text(), "iOS 17.5");
    assert!(install.origin.identifiers.iter().any(|id| id.value == IDFA));
    assert!(install.params.iter().any(|(key, _)| key == "ad_services_token"));
}

#[test]
fn android_id_under_idfa() {
    let parsed = one("connector, Android id under idfa");
    let install = payload!(parsed, Install);
    assert_eq!(install.origin.traits.os_text(), "Android 14");
    let kinds: Vec<&str> = install.origin.identifiers.iter().map(|id| id.kind.name()).collect();
    assert_eq!(kinds, ["adid"]);
    assert!(parsed.flags.contains(&Flag::AdidUnderIdfa));
}

#[test]
fn staff_tool() {
    let parsed = one("staff tool, custom id");
    let install = payload!(parsed, Install);
    assert_eq!(install.origin.identifiers[0].kind.name(), "custom");
    assert_eq!(install.click, None);
}

#[test]
fn refused_ones() {
    assert_eq!(sent("data is not an object")[0].as_ref().unwrap_err().status, 400);
    let list = sent("device_ids as a list").remove(0).unwrap_err();
    assert!(list.status == 400 && list.error.starts_with("event_name"));
    let array = sent("array body");
    assert_eq!(array.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn search_ads_in_both_forms() {
    let old = one("old Search Ads");
    let ads = payload!(old, Install).search_ads.clone().unwrap();
    assert_eq!(ads.campaign_id.as_deref(), Some("542370539"));
    assert_eq!(ads.click_time, Some(Timestamp::from_seconds(1_789_768_920)));
    let new = one("AdServices result");
    let ads = payload!(new, Install).search_ads.clone().unwrap();
    assert_eq!((ads.campaign_id.as_deref(), ads.click_time), (Some("542370539"), None));
    assert!(new.flags.contains(&Flag::DateManufactured));
}

#[test]
fn update_and_identity_link() {
    let parsed = one("update after consent");
    let update = payload!(parsed, Update);
    assert_eq!((update.kochava_device_id.as_str(), update.identifiers[0].value.as_str()), ("SX-9", IDFA));
    let parsed = one("identity link, S2S path");
    let link = payload!(parsed, Link);
    assert_eq!(link.digests[0].1.as_str(), "358f3cc563911c41542fa3394787f529");
    assert_eq!(link.links[1], ("crm_id".to_owned(), "2718281828".to_owned()));
}

#[test]
fn web_install() {
    let parsed = one("web SDK install");
    let install = payload!(parsed, Install);
    assert_eq!(install.origin.ip, edge().ip);
    assert_eq!(install.origin.traits.os, Some(Os::Ios));
    assert_eq!(install.click.as_ref().unwrap().written, "sx-click-0f3a");
    assert_eq!(install.time, Timestamp(1_760_000_000_118));
}

#[test]
fn plain_event_data() {
    let parsed = one("plain string event_data");
    assert_eq!(payload!(parsed, Event).amount, Some(20.into()));
}
