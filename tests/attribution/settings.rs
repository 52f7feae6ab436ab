//! The controls of the ladder, end to end (tracking-and-attribution.md sections 5, 6 and 19).

use crate::harness::{App, Server, Value, device, json, now};

const HERE: &str = "203.0.113.24";
const NEXT_DOOR: &str = "203.0.113.99";

async fn app_with(server: &Server, platform: &str, settings: Value) -> App {
    server.app_with(json!({ "name": "Shop", "platform": platform, "settings": settings })).await
}

fn seen(ip: &str, user_agent: &str) -> String {
    format!("ip_address={ip}&device_ua={}", device::encoded(user_agent))
}

fn install(ip: &str, user_agent: &str) -> Value {
    json!({ "origination_ip": ip, "device_ua": user_agent })
}

/// One override as it is written.
fn set(key: &str, value: u64) -> Value {
    json!({ key: { "name": "", "key": key, "group": "", "type": "seconds", "value": value, "admin": 0 } })
}

#[tokio::test]
async fn a_network_has_its_own_windows_within_an_app() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let elsewhere = server.app("Android").await;
    let other_link =
        elsewhere.link_of(&link.network, json!({ "destination_url": "https://a.example.com/" })).await;
    let window = |value: &str| json!({ "settings": { "attribution.windows.click_device": value } });
    let network = format!("/networks/{}", link.network);
    let here = format!("/apps/{}/networks/{}", app.id, link.network);
    server.patch(&network, window("1h")).await.is(200);
    let answer = server.patch(&here, window("3h")).await.is(200).json();
    assert_eq!(answer["settings"]["attribution.windows.click_device"], 10_800, "{answer}");
    assert_eq!(server.get(&here).await.is(200).json(), answer);
    let listed = server.get(&format!("/apps/{}/networks", app.id)).await.is(200).json();
    assert_eq!(listed, json!([answer]));

    let click = format!("adid={}&click_time={}", device::advertising_id(1), now() - 7_200);
    let data = json!({ "device_ua": device::PIXEL, "device_ids": { "adid": device::advertising_id(1) } });
    link.click(&click).await;
    other_link.click(&click).await;
    app.install("SX-1", data.clone()).await;
    elsewhere.install("SX-1", data.clone()).await;
    let decision = app.attribution("SX-1").await["decision"].clone();
    assert_eq!(decision["class"], "device_id", "{decision}");
    assert_eq!(decision["winner"]["window_from"], "network_in_app", "{decision}");
    let decision = elsewhere.attribution("SX-1").await["decision"].clone();
    assert_eq!(decision["class"], "organic", "{decision}");
    assert_eq!(decision["candidates"][0]["window_from"], "network", "{decision}");

    // The tracker still comes first, and a decision names the version of the settings it was made under.
    let version = decision["settings_version"].as_u64().unwrap();
    let overrides = format!("/tracker/override?id={}", link.id);
    server.post(&overrides, set("device_id_lookback_window", 60)).await.is(200);
    let ids = json!({ "adid": device::advertising_id(2) });
    link.click(&click.replace(&device::advertising_id(1), &device::advertising_id(2))).await;
    app.install("SX-2", json!({ "device_ua": device::PIXEL, "device_ids": ids })).await;
    let decision = app.attribution("SX-2").await["decision"].clone();
    assert_eq!(decision["candidates"][0]["window_from"], "tracker", "{decision}");
    assert_eq!(decision["settings_version"], version + 1, "{decision}");
    assert_eq!(app.attribution("SX-1").await["decision"]["settings_version"], version);

    // What cannot be is refused.
    let text = server.patch(&here, window("31d")).await.is(400).text();
    assert!(text.contains("(60) to 30 days (2592000)"), "{text}");
    server.patch(&here, json!({ "setting": {} })).await.is(400);
    server.patch(&format!("/apps/{}/networks/987654", app.id), window("1h")).await.is(404);
}

#[tokio::test]
async fn an_address_alone_matches_where_a_level_or_a_window_says_so() {
    let server = Server::start().await;
    for (settings, same, next_door) in [
        (json!({}), "organic", "organic"),
        (json!({ "attribution.fingerprint_level": "ip_only" }), "ip", "organic"),
        (json!({ "attribution.fingerprint_level": "ip_range" }), "ip", "partial_ip"),
        (json!({ "attribution.windows.click_ip": "1h" }), "ip", "organic"),
        (json!({ "attribution.windows.click_partial_ip": "1h" }), "partial_ip", "partial_ip"),
    ] {
        let app = app_with(&server, "Android", settings.clone()).await;
        let link = app.link("Example Network").await;
        link.click(&seen(HERE, device::IPHONE)).await;
        app.install("SX-1", install(HERE, device::PIXEL)).await;
        app.install("SX-2", install(NEXT_DOOR, device::PIXEL)).await;
        assert_eq!(app.class("SX-1").await, same, "{settings}");
        assert_eq!(app.class("SX-2").await, next_door, "{settings}");
    }
    // Impressions too, and what each window says.
    let settings = json!({ "attribution.windows.impression_ip": "2h", "attribution.windows.impression_partial_ip": "2h" });
    let app = app_with(&server, "Android", settings).await;
    let link = app.link("Example Network").await;
    link.impression(&format!("{}&click_time={}", seen(HERE, device::IPHONE), now() - 3_600)).await;
    for (n, ip, class) in [(1, HERE, "ip"), (2, NEXT_DOOR, "partial_ip")] {
        let device = format!("SX-{n}");
        app.install(&device, install(ip, device::PIXEL)).await;
        let decision = app.attribution(&device).await["decision"].clone();
        assert_eq!(decision["class"], class, "{decision}");
        assert_eq!(decision["winner"]["window_seconds"], 7_200, "{decision}");
    }
}

#[tokio::test]
async fn ipv6_matches_by_its_network_and_never_in_part() {
    let server = Server::start().await;
    let settings = json!({ "attribution.fingerprint_level": "ip_range" });
    let app = app_with(&server, "Android", settings).await;
    let link = app.link("Example Network").await;
    link.click(&seen("2001:db8:1:2::aaaa", device::IPHONE)).await;
    for (n, ip, class) in [
        (1, "2001:db8:1:2:ffff::1", "ip"),
        (2, "2001:db8:1:3::aaaa", "organic"),
        // An IPv4 address in IPv6 clothes is an IPv4 address.
        (3, "::ffff:203.0.113.24", "organic"),
    ] {
        let device = format!("SX-{n}");
        app.install(&device, install(ip, device::PIXEL)).await;
        assert_eq!(app.class(&device).await, class, "{ip}");
    }
    link.click(&seen(HERE, device::IPHONE)).await;
    app.install("SX-4", install("::ffff:203.0.113.24", device::PIXEL)).await;
    app.install("SX-5", install("::ffff:203.0.113.99", device::PIXEL)).await;
    assert_eq!(
        (app.class("SX-4").await, app.class("SX-5").await),
        ("ip".to_owned(), "partial_ip".to_owned())
    );
}

#[tokio::test]
async fn inside_the_equalizer_a_modeled_click_is_as_good_as_a_certain_one() {
    let server = Server::start().await;
    // The example of the reference: 2 h; a device click 20 h before, a modeled one 1 h before.
    for (equalizer, class) in [("2h", "modeled"), ("disabled", "device_id")] {
        let app = app_with(&server, "Android", json!({ "attribution.equalizer": equalizer })).await;
        let link = app.link("Example Network").await;
        let adid = device::advertising_id(1);
        link.click(&format!("adid={adid}&click_time={}", now() - 20 * 3_600)).await;
        link.click(&format!("{}&click_time={}", seen(HERE, device::PIXEL), now() - 3_600)).await;
        let mut data = install(HERE, device::PIXEL);
        data["device_ids"] = json!({ "adid": adid });
        app.install("SX-1", data).await;
        assert_eq!(app.class("SX-1").await, class, "{equalizer}");
    }
}

#[tokio::test]
async fn an_app_may_put_impressions_with_an_identifier_before_modeled_clicks() {
    let server = Server::start().await;
    for (first, class, kind) in [(false, "modeled", "click"), (true, "device_id", "impression")] {
        let app =
            app_with(&server, "Android", json!({ "attribution.device_impressions_first": first })).await;
        let link = app.link("Example Network").await;
        link.click(&seen(HERE, device::PIXEL)).await;
        link.impression(&format!("adid={}&click_time={}", device::advertising_id(1), now() - 60)).await;
        let mut data = install(HERE, device::PIXEL);
        data["device_ids"] = json!({ "adid": device::advertising_id(1) });
        app.install("SX-1", data).await;
        let decision = app.attribution("SX-1").await["decision"].clone();
        assert_eq!(
            (&decision["class"], &decision["winner"]["kind"]),
            (&json!(class), &json!(kind)),
            "{decision}"
        );
    }
}

#[tokio::test]
async fn completed_views_go_first_where_the_app_says_so() {
    let server = Server::start().await;
    for (first, completed) in [(false, false), (true, true)] {
        let settings = json!({ "attribution.prioritize_completed_view": first });
        let app = app_with(&server, "Android", settings).await;
        let link = app.link("Example Network").await;
        let adid = format!("adid={}", device::advertising_id(1));
        let view = link.impression(&format!("{adid}&event=view&click_time={}", now() - 60)).await;
        let later = link.impression(&adid).await;
        app.install("SX-1", json!({ "device_ids": { "adid": device::advertising_id(1) } })).await;
        assert_eq!(app.winner("SX-1").await, if completed { view } else { later });
    }
}

#[tokio::test]
async fn a_tracker_may_omit_the_sub_version_of_the_system() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let updated = device::IPHONE.replace("17_5", "17_6");
    link.click(&seen(HERE, device::IPHONE)).await;
    app.install("SX-1", install(HERE, &updated)).await;
    assert_eq!(app.class("SX-1").await, "organic");
    let overrides = format!("/tracker/override?id={}", link.id);
    let answer = server.post(&overrides, set("omit_sub_os_version", 1)).await.is(200).json();
    assert_eq!(answer["tracker_overrides"][0]["omit_sub_os_version"]["value"], 1, "{answer}");
    app.install("SX-2", install(HERE, &updated)).await;
    assert_eq!(app.class("SX-2").await, "modeled");
    app.install("SX-3", install(HERE, &device::IPHONE.replace("17_5", "16_5"))).await;
    assert_eq!(app.class("SX-3").await, "organic");
    server.post(&overrides, set("omit_sub_os_version", 0)).await.is(200);
    app.install("SX-4", install(HERE, &updated)).await;
    assert_eq!(app.class("SX-4").await, "organic");
}

#[tokio::test]
async fn a_tracker_may_keep_its_impressions_from_being_credited() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    server
        .post(&format!("/tracker/override?id={}", link.id), set("impressions_disable_attribution", 1))
        .await
        .is(200);
    let view = link.impression(&format!("adid={}", device::advertising_id(1))).await;
    app.install("SX-1", json!({ "device_ids": { "adid": device::advertising_id(1) } })).await;
    assert_eq!(app.losers("SX-1").await, [(view, "overrides_disabled".to_owned())]);
}
