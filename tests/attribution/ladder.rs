//! Every window at every level, and the switches of the ladder (tracking-and-attribution.md sections 5 and 6).

use crate::harness::{App, Server, Value, device, json, now};

const HERE: &str = "203.0.113.24";
const NEXT_DOOR: &str = "203.0.113.99";

/// What a window is held against: `click` or `impression`, and whether by identifier, by address and device, by
/// address, or by range.
fn engagement(kind: &str, n: u64) -> String {
    let seen =
        |ip: &str, user_agent: &str| format!("ip_address={ip}&device_ua={}", device::encoded(user_agent));
    let who = match kind {
        "device" => format!("adid={}", device::advertising_id(n)),
        "modeled" => seen(HERE, device::PIXEL),
        "ip" => seen(HERE, device::IPHONE),
        _ => seen(NEXT_DOOR, device::IPHONE),
    };
    format!("{who}&click_time={}", now() - 120)
}

fn install(n: u64) -> Value {
    json!({ "origination_ip": HERE, "device_ua": device::PIXEL, "device_ids": { "adid": device::advertising_id(n) } })
}

#[tokio::test]
async fn every_window_is_that_of_the_highest_level_that_sets_it() {
    let server = Server::start().await;
    for (setting, key, what, kind) in [
        ("click_device", "device_id_lookback_window", "click", "device"),
        ("click_modeled", "fingerprint_lookback_window", "click", "modeled"),
        ("click_ip", "ip_lookback_window", "click", "ip"),
        ("click_partial_ip", "", "click", "partial"),
        ("impression_device", "impression_lookback_device", "impression", "device"),
        ("impression_modeled", "impression_lookback_fingerprint", "impression", "modeled"),
        ("impression_ip", "impression_lookback_ip", "impression", "ip"),
        ("impression_partial_ip", "impression_lookback_partial_ip", "impression", "partial"),
    ] {
        let app = server.app("Android").await;
        let link = app.link("Example Network").await;
        let name = format!("attribution.windows.{setting}");
        let app_path = format!("/apps/{}", app.id);
        let network = format!("/networks/{}", link.network);
        let here = format!("/apps/{}/networks/{}", app.id, link.network);
        let tracker = format!("/tracker/override?id={}", link.id);
        let levels = [
            ("app", app_path.as_str(), 600),
            ("network", &network, 660),
            ("network_in_app", &here, 720),
            ("tracker", &tracker, 780),
        ];
        for (n, (level, path, seconds)) in (1..).zip(levels) {
            if level == "tracker" && key.is_empty() {
                continue;
            }
            // Short is out of reach, long is not: the level that was set last is the highest one.
            for (n, seconds, wins) in [(2 * n, 60, false), (2 * n + 1, seconds, true)] {
                if level == "tracker" {
                    let entry = json!({ "key": key, "value": seconds });
                    server.post(path, json!({ key: entry })).await.is(200);
                } else {
                    server.patch(path, json!({ "settings": { name.as_str(): seconds } })).await.is(200);
                }
                let query = engagement(kind, n);
                let touch =
                    if what == "click" { link.click(&query).await } else { link.impression(&query).await };
                let device = format!("SX-{n}");
                app.install(&device, install(n)).await;
                let decision = app.attribution(&device).await["decision"].clone();
                let winner = &decision["winner"];
                assert_eq!(winner.is_null(), !wins, "{setting} {level} {seconds}: {decision}");
                if wins {
                    assert_eq!(winner["click_id"], json!(touch), "{setting} {level}: {decision}");
                    assert_eq!(winner["window_from"], level, "{setting}: {decision}");
                    assert_eq!(winner["window_seconds"], seconds, "{setting} {level}: {decision}");
                }
            }
        }
    }
}

async fn app_with(server: &Server, platform: &str, setting: &str, value: Value) -> App {
    server.app_with(json!({ "name": "Shop", "platform": platform, "settings": { setting: value } })).await
}

#[tokio::test]
async fn device_attribution_is_standard_or_inclusive() {
    let server = Server::start().await;
    for (value, class) in [("standard", "organic"), ("inclusive", "modeled")] {
        let app = app_with(&server, "Android", "attribution.device_attribution", json!(value)).await;
        let link = app.link("Example Network").await;
        let ua = device::encoded(device::PIXEL);
        let click =
            link.click(&format!("android_id=9774d56d682e549c&ip_address={HERE}&device_ua={ua}")).await;
        app.install("SX-1", install(1)).await;
        assert_eq!(app.class("SX-1").await, class, "{value}");
        if class == "organic" {
            assert_eq!(app.losers("SX-1").await, [(click, "carried_identifier".to_owned())]);
        }
    }
}

#[tokio::test]
async fn apple_devices_without_an_idfa_match_by_address_where_the_app_lets_them() {
    let server = Server::start().await;
    let ios_13 = device::IPHONE.replace("17_5", "13_5");
    for (allowed, class) in [(true, "modeled"), (false, "organic")] {
        let name = "attribution.limit_ad_tracking_fallback";
        let app = app_with(&server, "iOS", name, json!(allowed)).await;
        let link = app.link("Example Network").await;
        let click = link.click(&format!("ip_address={HERE}&device_ua={}", device::encoded(&ios_13))).await;
        app.install("SX-1", json!({ "origination_ip": HERE, "device_ua": ios_13 })).await;
        assert_eq!(app.class("SX-1").await, class, "{allowed}");
        if !allowed {
            assert_eq!(app.losers("SX-1").await, [(click, "att_no_idfa".to_owned())]);
        }
        // One that tells its IDFA is not meant.
        let ids = json!({ "idfa": device::advertising_id(2) });
        app.install("SX-2", json!({ "origination_ip": HERE, "device_ua": ios_13, "device_ids": ids })).await;
        assert_eq!(app.class("SX-2").await, "modeled", "{allowed}");
    }
}

#[tokio::test]
async fn an_ambiguous_tie_is_taken_or_refused() {
    let server = Server::start().await;
    for (refused, class) in [(false, "modeled"), (true, "organic")] {
        let app = app_with(&server, "Android", "attribution.refuse_ambiguous", json!(refused)).await;
        for network in ["One Network", "Other Network"] {
            app.link(network).await.click(&engagement("modeled", 0)).await;
        }
        app.install("SX-1", install(1)).await;
        let decision = app.attribution("SX-1").await["decision"].clone();
        assert_eq!(decision["class"], class, "{decision}");
        assert_eq!(decision["ambiguous"], !refused, "{decision}");
        let reasons: Vec<String> = app.losers("SX-1").await.into_iter().map(|(_, reason)| reason).collect();
        let expected = if refused { vec!["ambiguous_refused"; 2] } else { vec!["older_click"] };
        assert_eq!(reasons, expected);
    }
}

#[tokio::test]
async fn an_app_may_credit_no_impressions() {
    let server = Server::start().await;
    for (credited, class) in [(true, "device_id"), (false, "organic")] {
        let app = app_with(&server, "Android", "attribution.impressions", json!(credited)).await;
        let link = app.link("Example Network").await;
        link.impression(&engagement("device", 1)).await;
        app.install("SX-1", install(1)).await;
        assert_eq!(app.class("SX-1").await, class, "{credited}");
    }
}

#[tokio::test]
async fn an_impression_with_a_click_of_its_network_goes_first_where_the_app_says_so() {
    let server = Server::start().await;
    for (first, clicked) in [(false, false), (true, true)] {
        let settings = json!({
            "attribution.prioritize_clicked_impressions": first, "attribution.windows.click_device": 60,
        });
        let app =
            server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
        let (one, other) = (app.link("One Network").await, app.link("Other Network").await);
        let adid = format!("adid={}", device::advertising_id(1));
        one.click(&format!("{adid}&click_time={}", now() - 3_600)).await;
        let with_click = one.impression(&format!("{adid}&click_time={}", now() - 600)).await;
        let later = other.impression(&format!("{adid}&click_time={}", now() - 60)).await;
        app.install("SX-1", install(1)).await;
        assert_eq!(app.winner("SX-1").await, if clicked { with_click } else { later });
    }
}

#[tokio::test]
async fn a_missing_att_flag_is_read_as_the_app_says() {
    let server = Server::start().await;
    let idfa = device::advertising_id(1);
    for (derived, class) in [(false, "organic"), (true, "device_id")] {
        let app = app_with(&server, "iOS", "consent.att_from_idfa", json!(derived)).await;
        let link = app.link("Example Network").await;
        link.click(&format!("idfa={idfa}")).await;
        let data = json!({ "device_ua": device::IPHONE, "device_ids": { "idfa": idfa } });
        let input = app.install("SX-1", data).await;
        assert_eq!(app.class("SX-1").await, class, "{derived}");
        let flags = server.input(&input).await["flags"].to_string();
        assert_eq!(flags.contains("att_from_idfa"), derived, "{flags}");
        assert_eq!(flags.contains("idfa_dropped:att_missing"), !derived, "{flags}");
        // A refusal is one all the same.
        let refused = json!({
            "device_ua": device::IPHONE, "device_ids": { "idfa": idfa },
            "app_tracking_transparency": { "att": false },
        });
        let input = app.install("SX-2", refused).await;
        let flags = server.input(&input).await["flags"].to_string();
        assert!(flags.contains("idfa_dropped:att_false"), "{flags}");
    }
}
