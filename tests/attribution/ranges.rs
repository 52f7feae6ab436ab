//! Every setting of the ladder, of people who come back and of fraud rules, at every level that has it: a value
//! outside its range is answered 400 with the range (tracking-and-attribution.md sections 5, 6, 9, 14).

use crate::harness::{App, Link, Server, Value, json};

const CLICKS: &str = "1 minute (60) to 30 days (2592000)";
const IMPRESSIONS: &str = "1 minute (60) to 24 hours (86400)";
const ASSOCIATION: &str = "1 minute (60) to 3650 days (315360000)";
const TRUTH: &str = "true or false";

/// A window, its longest value and what is said of its range.
const WINDOWS: [(&str, u64, &str); 9] = [
    ("attribution.windows.click_device", 2_592_000, CLICKS),
    ("attribution.windows.click_modeled", 2_592_000, CLICKS),
    ("attribution.windows.click_ip", 2_592_000, CLICKS),
    ("attribution.windows.click_partial_ip", 2_592_000, CLICKS),
    ("attribution.windows.impression_device", 86_400, IMPRESSIONS),
    ("attribution.windows.impression_modeled", 86_400, IMPRESSIONS),
    ("attribution.windows.impression_ip", 86_400, IMPRESSIONS),
    ("attribution.windows.impression_partial_ip", 86_400, IMPRESSIONS),
    ("attribution.event_association", 315_360_000, ASSOCIATION),
];

/// The thresholds of fraud rules: name, smallest, largest, unit.
const THRESHOLDS: [(&str, u64, u64, &str); 12] = [
    ("fraud.minimum_time_to_install.threshold", 1, 86_400, "seconds"),
    ("fraud.click_flooding.threshold", 1, 100_000, "installs per 100000 clicks"),
    ("fraud.click_flooding.threshold_clicks", 10, 1_000_000_000, "clicks"),
    ("fraud.tti_distribution.threshold", 1, 100, "percent"),
    ("fraud.tti_distribution.threshold_installs", 10, 1_000_000_000, "installs"),
    ("fraud.high_volume_ip.threshold", 10, 1_000_000, "clicks"),
    ("fraud.high_volume_device.threshold", 10, 1_000_000, "clicks"),
    ("fraud.ad_stacking.threshold", 1, 100, "clicks"),
    ("fraud.ad_stacking.threshold_seconds", 1, 60, "seconds"),
    ("fraud.frequency_cap.threshold", 1, 100_000, "clicks"),
    ("fraud.frequency_cap.threshold_impressions", 1, 100_000, "impressions"),
    ("fraud.frequency_cap.threshold_minutes", 1, 1_440, "minutes"),
];

/// The rules, by the names of their modes.
const RULES: [&str; 15] = [
    "blocklist_device",
    "blocklist_site",
    "blocklist_ip",
    "click_validation",
    "verification",
    "frequency_cap",
    "ad_stacking",
    "minimum_time_to_install",
    "platform_mismatch",
    "geo_mismatch",
    "anonymous_network",
    "click_flooding",
    "tti_distribution",
    "high_volume_ip",
    "high_volume_device",
];

/// Where settings are sent, and how.
struct Place {
    server: Server,
    path: String,
}

impl Place {
    async fn takes(&self, name: &str, value: &Value) {
        let answer = self.server.patch(&self.path, json!({ "settings": { name: value } })).await;
        assert_eq!(answer.status, 200, "{} {name} {value}: {}", self.path, answer.text());
    }

    async fn refuses(&self, name: &str, value: &Value, range: &str) {
        let answer = self.server.patch(&self.path, json!({ "settings": { name: value } })).await;
        let text = answer.is(400).text();
        assert!(text.contains(name) && text.contains(range), "{} {name} {value}: {text}", self.path);
    }

    /// From `least` to `most` and nothing else.
    async fn has_range(&self, name: &str, least: u64, most: u64, range: &str) {
        for value in [least, most] {
            self.takes(name, &json!(value)).await;
        }
        for value in [json!(most + 1), json!(-1), json!(1.5), json!({}), json!([])] {
            self.refuses(name, &value, range).await;
        }
        if least > 0 {
            self.refuses(name, &json!(least - 1), range).await;
        }
        self.takes(name, &Value::Null).await;
    }
}

async fn places() -> (App, Link, [Place; 3]) {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let place = |path: String| Place { server: server.clone(), path };
    let places = [
        place(format!("/apps/{}", app.id)),
        place(format!("/apps/{}/networks/{}", app.id, link.network)),
        place(format!("/networks/{}", link.network)),
    ];
    (app, link, places)
}

#[tokio::test]
async fn windows_of_every_level_have_their_range() {
    let (_app, _link, places) = places().await;
    for place in &places {
        for (name, most, range) in WINDOWS {
            place.has_range(name, 60, most, range).await;
            place.takes(name, &json!("disabled")).await;
            place.refuses(name, &json!(format!("{}s", most + 1)), range).await;
            place.refuses(name, &json!("59s"), range).await;
            place.takes(name, &Value::Null).await;
        }
        place.takes("attribution.event_association", &json!("unlimited")).await;
    }
}

#[tokio::test]
async fn settings_of_an_app_have_their_range() {
    let (_app, _link, [app, ..]) = places().await;
    app.has_range("attribution.equalizer", 60, 2_592_000, CLICKS).await;
    app.takes("attribution.equalizer", &json!("disabled")).await;
    app.has_range("attribution.install_reprocessing", 1, 365, "from 1 to 365 days").await;
    for (name, most) in
        [("attribution.clock_skew", 3_600), ("ingest.hold", 2_592_000), ("postbacks.hold_install", 600)]
    {
        let range = format!("from 0 to {most} seconds");
        app.has_range(name, 0, most, &range).await;
        app.refuses(name, &json!(format!("{}s", most + 1)), &range).await;
    }
    let requests = "from 0 (no limit) to 4294967295";
    app.has_range("limits.app_requests_per_second", 0, u64::from(u32::MAX), requests).await;
    let minimum_time = "attribution.minimum_time_to_reengagement";
    app.takes(minimum_time, &json!({ "Purchase": 31_536_000, "View": "365d", "Add": 0 })).await;
    for value in [json!(31_536_001), json!("366d"), json!(-1), json!(0.5)] {
        app.refuses(minimum_time, &json!({ "Purchase": value }), "from 0 (off) to 365 days (31536000)").await;
    }
    for name in [
        "tracking.accept_click_time",
        "attribution.modeled_without_att",
        "attribution.modeled_single_use",
        "attribution.device_impressions_first",
        "attribution.limit_ad_tracking_fallback",
        "attribution.prioritize_completed_view",
        "attribution.prioritize_clicked_impressions",
        "attribution.impressions",
        "attribution.refuse_ambiguous",
        "attribution.referrer_begin_time",
        "consent.att_from_idfa",
        "postbacks.forward_installs",
        "fraud.blocklist.enabled",
    ] {
        app.takes(name, &json!(true)).await;
        for value in [json!("yes"), json!(1), json!([])] {
            app.refuses(name, &value, TRUTH).await;
        }
    }
    for (name, range) in [
        ("attribution.device_attribution", "standard, inclusive"),
        ("attribution.fingerprint_level", "standard, ip_only, ip_range"),
        ("attribution.referrer_click_id_key", "1 to 64"),
        ("attribution.referrer_campaign_id_key", "1 to 64"),
    ] {
        for value in [json!(""), json!("no such thing"), json!(1)] {
            app.refuses(name, &value, range).await;
        }
    }
}

#[tokio::test]
async fn fraud_rules_have_their_ranges_at_app_network_and_tracker() {
    let (app, link, [of_app, _, of_network]) = places().await;
    let tracker = async |rules: Value| {
        let body = json!({ "id": link.id, "verification_rules": rules });
        app.server.post(&format!("/tracker/{}", app.id), body).await
    };
    for (name, least, most, unit) in THRESHOLDS {
        let range = format!("from {least} to {most} {unit}");
        of_app.has_range(name, least, most, &range).await;
        of_network.has_range(name, least, most, &range).await;
        for value in [least, most] {
            tracker(json!({ name: value })).await.is(200);
        }
        for value in [least - 1, most + 1] {
            let text = tracker(json!({ name: value })).await.is(400).text();
            assert!(text.contains(name) && text.contains(&range), "{name} {value}: {text}");
        }
    }
    for rule in RULES {
        let name = format!("fraud.{rule}.mode");
        for mode in ["off", "flag", "reject"] {
            of_app.takes(&name, &json!(mode)).await;
            of_network.takes(&name, &json!(mode)).await;
            tracker(json!({ name.as_str(): mode })).await.is(200);
        }
        for mode in [json!("on"), json!(true), json!(1)] {
            of_app.refuses(&name, &mode, "off, flag or reject").await;
            of_network.refuses(&name, &mode, "off, flag or reject").await;
            let text = tracker(json!({ name.as_str(): mode })).await.is(400).text();
            assert!(text.contains("off, flag or reject"), "{name} {mode}: {text}");
        }
    }
    for (name, range) in [
        ("minimum_time_to_install", "from 1 to 86400 seconds"),
        ("frequency_cap_click", "from 1 to 100000 clicks"),
        ("frequency_cap_imp", "from 1 to 100000 impressions"),
        ("frequency_cap_minutes", "from 1 to 1440 minutes"),
    ] {
        let text = tracker(json!({ "rule": { name: 100_001 } })).await.is(400).text();
        assert!(text.contains(name) && text.contains(range), "{name}: {text}");
    }
    of_network.refuses("fraud.click_validation.key", &json!("short"), "16 to 256").await;
    of_network.refuses("fraud.click_validation.hash", &json!("md5"), "sha256 or sha1").await;
    of_network.takes("fraud.click_validation.hash", &json!("sha1")).await;
}

#[tokio::test]
async fn overrides_of_a_tracker_have_their_range() {
    let (app, link, _) = places().await;
    let path = format!("/tracker/override?id={}", link.id);
    let set = async |key: &str, value: u64| {
        let entry =
            json!({ "name": "", "key": key, "group": "", "type": "seconds", "value": value, "admin": 0 });
        app.server.post(&path, json!({ key: entry })).await
    };
    for (key, most, range) in [
        ("device_id_lookback_window", 2_592_000, CLICKS),
        ("fingerprint_lookback_window", 2_592_000, CLICKS),
        ("ip_lookback_window", 2_592_000, CLICKS),
        ("impression_lookback_device", 86_400, IMPRESSIONS),
        ("impression_lookback_fingerprint", 86_400, IMPRESSIONS),
        ("impression_lookback_ip", 86_400, IMPRESSIONS),
        ("impression_lookback_partial_ip", 86_400, IMPRESSIONS),
        ("event_association_window", 315_360_000, ASSOCIATION),
    ] {
        for value in [0, 60, most] {
            let answer = set(key, value).await.is(200).json();
            let shown = &answer["tracker_overrides"][0][key];
            assert_eq!((&shown["value"], &shown["type"]), (&json!(value), &json!("seconds")), "{answer}");
        }
        for value in [59, most + 1] {
            let text = set(key, value).await.is(400).text();
            assert!(text.contains(key) && text.contains(range), "{key} {value}: {text}");
        }
    }
    // Whoever writes no unit is told which one it is.
    let plain = json!({ "ip_lookback_window": { "key": "ip_lookback_window", "value": 3_600 } });
    let answer = app.server.post(&path, plain).await.is(200).json();
    let shown = &answer["tracker_overrides"][0];
    assert_eq!(shown["ip_lookback_window"]["type"], "seconds", "{answer}");
    assert_eq!(shown["impressions_disable_attribution"]["type"], "", "{answer}");
    app.server.post(&path, json!({ "lookback": { "key": "lookback", "value": 60 } })).await.is(400);
}
