use super::*;
use crate::{
    account::{App, Network, Tracker},
    device::Hash,
    scenario::Truth,
};

const IDFA: &str = "7C9E6679-7425-40DE-944B-E07FC1F90AE7";

fn account() -> Account {
    let app = |platform: Platform, guid: &str| App { platform, id: 501, guid: guid.to_owned() };
    let trackers = Platform::ALL.into_iter().flat_map(|platform| {
        (0..3).map(move |network| Tracker {
            platform,
            network,
            guid: format!("ko{}-t{network}", platform.name()),
        })
    });
    Account {
        apps: [app(Platform::Ios, "kodemo-ios"), app(Platform::Android, "kodemo-android")],
        networks: (77..80).map(|id| Network { id, name: "N".to_owned() }).collect(),
        trackers: trackers.collect(),
        triggers: Vec::new(),
    }
}

fn person(platform: Platform, consent: Consent) -> Person {
    let device = Device {
        platform,
        kochava_device_id: "SIM-1".to_owned(),
        advertising_id: IDFA.to_owned(),
        vendor_id: "v-1".to_owned(),
        consent,
        model: "iPhone".to_owned(),
        os_version: "17.5.1".to_owned(),
        browser: "Browser/1".to_owned(),
        app_user_agent: "App/1".to_owned(),
    };
    Person { device, truth: Truth::NoInstall, steps: Vec::new() }
}

fn click(id: LinkId, caller: Caller) -> Action {
    let ip = [192, 0, 2, 7].into();
    let (click_id, site_id) = ("c-1".to_owned(), "s-1".to_owned());
    Action::Click(Engagement { network: 1, app: Platform::Ios, id, caller, click_id, site_id, ip })
}

fn rendered(action: Action, clock: Clock, consent: Consent) -> Request {
    let step = Step { time: Some(1_760_000_000), clock, action };
    render(&account(), &person(Platform::Ios, consent), &step, Some("utm_source=clk_1"))
}

/// Whether the query has exactly these values; `None` is absent.
fn check_link(action: Action, expected: &[(&str, Option<&str>)]) {
    let request = rendered(action, Clock::Millis, Consent::Granted);
    let url = Url::parse(&format!("http://host.example{}", request.path)).unwrap();
    for (key, value) in expected {
        let found = url.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned());
        assert_eq!(found.as_deref(), *value, "{key} in {}", request.path);
    }
}

#[test]
fn a_server_tells_the_device_and_asks_for_no_redirect() {
    check_link(
        click(LinkId::Plain, Caller::Server),
        &[
            ("campaign_id", Some("koiOS-t1")),
            ("network_id", Some("78")),
            ("idfa", Some(IDFA)),
            ("ip_address", Some("192.0.2.7")),
            ("device_ua", Some("Browser/1")),
            ("pbr", Some("1")),
            ("click_time", Some("1760000000000")),
        ],
    );
}

#[test]
fn a_browser_brings_its_own_user_agent() {
    check_link(click(LinkId::Plain, Caller::Browser), &[("device_ua", None), ("pbr", None)]);
    let request = rendered(click(LinkId::Plain, Caller::Browser), Clock::Seconds, Consent::Granted);
    assert_eq!(request.expect, 302);
    assert!(request.headers.contains(&("User-Agent", "Browser/1".to_owned())));
}

#[test]
fn an_unfilled_macro_stays_on_the_link() {
    check_link(
        click(LinkId::None { placeholder: true }, Caller::Server),
        &[("idfa", Some("{idfa}")), ("att", None)],
    );
}

#[test]
fn digests_are_those_of_the_reference() {
    let hashed = |hash, upper, dashes| click(LinkId::Hashed { hash, upper, dashes }, Caller::Server);
    let check = |action, digest| {
        check_link(action, &[("device_id", Some(digest)), ("device_id_is_hashed", Some("true"))])
    };
    check(hashed(Hash::Md5, true, true), "358f3cc563911c41542fa3394787f529");
    check(hashed(Hash::Md5, false, true), "04e92dfec7a6939d7b2f65a2c267abb8");
    check(hashed(Hash::Sha1, true, false), "e40472891f7834120cf502259cfecc92ed1b4a35");
    check(hashed(Hash::Sha1, false, false), "6149a9ef0d0c3787009baa935239293ba347d3e9");
}

/// The value at a JSON pointer of the body.
fn body(action: Action, clock: Clock, consent: Consent, pointer: &str) -> Option<Value> {
    let request = rendered(action, clock, consent);
    let body: Value = serde_json::from_str(&request.body.unwrap()).unwrap();
    body.pointer(pointer).cloned()
}

fn install_action(user_agent: bool, referrer: bool, search_ads: Option<i64>) -> Action {
    let ip = [192, 0, 2, 7].into();
    Action::Install(Install { ip, user_agent, referrer, search_ads, user_id: None })
}

#[test]
fn an_install_says_what_consent_allows() {
    let at = |consent, pointer| body(install_action(true, false, None), Clock::Text, consent, pointer);
    assert_eq!(at(Consent::Granted, "/data/device_ids/idfa"), Some(json!(IDFA)));
    assert_eq!(at(Consent::Refused, "/data/device_ids/idfa"), None);
    assert_eq!(at(Consent::GrantedLater, "/data/device_ids/idfa"), None);
    assert_eq!(at(Consent::Refused, "/data/device_ids/idfv"), Some(json!("v-1")));
    assert_eq!(at(Consent::Refused, "/data/app_tracking_transparency/att"), Some(json!(false)));
    assert_eq!(at(Consent::Granted, "/data/usertime"), Some(json!("1760000000")));
    assert_eq!(at(Consent::Granted, "/kochava_app_id"), Some(json!("kodemo-ios")));
}

#[test]
fn an_install_without_user_agent_tells_its_make() {
    let at = |pointer| body(install_action(false, false, None), Clock::Seconds, Consent::Granted, pointer);
    assert_eq!(at("/data/device_ver"), Some(json!("iPhone-iOS-17.5.1")));
    assert_eq!(at("/data/device_ua"), Some(json!("")));
}

#[test]
fn the_stores_referrer_is_told_by_those_who_read_it() {
    let at = |referrer| {
        let action = install_action(true, referrer, None);
        body(action, Clock::Seconds, Consent::Granted, "/data/install_referrer/referrer")
    };
    assert_eq!(at(true), Some(json!("utm_source=clk_1")));
    assert_eq!(at(false), None);
}

#[test]
fn apples_word_has_its_date_to_the_minute() {
    let action = install_action(true, false, Some(1_760_000_000));
    let at = body(action, Clock::Seconds, Consent::Refused, "/data/adservices_attribution_details/clickDate");
    assert_eq!(at, Some(json!("2025-10-09T08:53Z")));
}

#[test]
fn links_name_the_device_by_one_thing() {
    let link = |join| Action::Link { join, user_id: "u-1".to_owned() };
    let at = |join, pointer| body(link(join), Clock::Seconds, Consent::Granted, pointer);
    assert_eq!(
        at(Join::Hashed(Hash::Md5), "/device_id/idfa"),
        Some(json!("358f3cc563911c41542fa3394787f529"))
    );
    assert_eq!(at(Join::Hashed(Hash::Md5), "/device_hash_method/idfa"), Some(json!("md5")));
    assert_eq!(at(Join::VendorId, "/device_id"), Some(json!({ "idfv": "v-1" })));
    assert_eq!(at(Join::KochavaDeviceId, "/data/identity_link/user_id"), Some(json!("u-1")));
    assert_eq!(
        rendered(link(Join::VendorId), Clock::Text, Consent::Granted).path,
        "/v1/cpi/identityLink.php"
    );
}

#[test]
fn a_retry_keeps_its_key() {
    let event = Event {
        name: "Purchase",
        data: json!({ "sum": 1.5 }),
        currency: Some("EUR"),
        key: Some("k-1".to_owned()),
        join: Join::VendorId,
    };
    let request = rendered(Action::Event(event.clone()), Clock::Millis, Consent::Granted);
    assert!(request.headers.contains(&("Idempotency-Key", "k-1".to_owned())));
    let at = |pointer| body(Action::Event(event.clone()), Clock::Millis, Consent::Granted, pointer);
    assert_eq!(at("/data/usertime"), Some(json!(1_760_000_000_000_i64)));
    assert_eq!(at("/kochava_device_id"), None);
    assert_eq!(at("/data/device_ids"), Some(json!({ "idfv": "v-1" })));
}

#[test]
fn the_referrer_is_read_from_the_stores_url() {
    let check = |location: &str, expected: Option<&str>| assert_eq!(referrer(location).as_deref(), expected);
    check(
        "https://play.google.com/store/apps/details?id=com.example.demo&referrer=utm_source%3Dclk_1%26utm_campaign%3Dt",
        Some("utm_source=clk_1&utm_campaign=t"),
    );
    check("market://details?id=com.example.demo&referrer=utm_source%3Dclk_1", Some("utm_source=clk_1"));
    check("https://apps.example.com/demo", None);
    check("/relative", None);
}
