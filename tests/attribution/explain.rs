//! Why an install or an event was decided as it was (tracking-and-attribution.md section 18).

use crate::harness::{App, Server, Value, device, json, now};

fn android(n: u64, ip: &str) -> Value {
    json!({ "origination_ip": ip, "device_ua": device::PIXEL, "device_ids": { "adid": device::advertising_id(n) } })
}

fn modeled(ip: &str, seconds_ago: i64) -> String {
    format!("ip_address={ip}&device_ua={}&click_time={}", device::encoded(device::PIXEL), now() - seconds_ago)
}

async fn explained(app: &App, device: &str) -> Value {
    app.server.get(&format!("/api/apps/{}/devices/{device}/explain", app.id)).await.is(200).json()
}

fn sentences(answer: &Value) -> String {
    let lines = answer["explanation"].as_array().unwrap_or_else(|| panic!("no sentences in {answer}"));
    lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn an_install_is_explained_by_its_number_its_device_and_its_identifier() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let adid = device::advertising_id(1);
    let oldest = link.click(&format!("adid={adid}&click_time={}", now() - 60)).await;
    let older =
        app.link("Other Network").await.click(&format!("adid={adid}&click_time={}", now() - 30)).await;
    let newer = link.click(&format!("adid={adid}")).await;
    let input = app.install("SX-1", android(1, "203.0.113.24")).await;
    let install = input.replace("in_", "ins_");

    let answer = server.get(&format!("/api/installs/{install}/explain")).await.is(200).json();
    for name in ["SX-1", &install, &adid, &format!("{adid}?id_type=adid")] {
        let path = name
            .split_once('?')
            .map_or(format!("{name}/explain"), |(id, query)| format!("{id}/explain?{query}"));
        let path = format!("/api/apps/{}/devices/{path}", app.id);
        assert_eq!(server.get(&path).await.is(200).json(), answer, "by {path}");
    }
    let attribution = app.attribution("SX-1").await;
    assert_eq!(answer["decision"]["winner"]["click_id"], json!(newer), "{answer}");
    assert_eq!(answer["decision"]["candidates"], attribution["decision"]["candidates"], "{answer}");
    assert_eq!(answer["decision"]["candidates"][1]["click_id"], json!(older), "{answer}");
    assert_eq!(answer["decision"]["candidates"][2]["click_id"], json!(oldest), "{answer}");
    assert_eq!(answer["nearest_misses"], json!([]), "{answer}");
    assert_eq!(answer["settings"]["version"], attribution["decision"]["settings_version"], "{answer}");
    assert!(answer["settings"]["in_force_since"].is_string(), "{answer}");
    assert_eq!(answer["revisions"][0]["network"], "Example Network", "{answer}");
    let text = sentences(&answer);
    assert!(text.contains("attributed to a click of Example Network"), "{text}");
    assert!(text.contains("a later engagement of an equal class won (older_click)"), "{text}");
    assert!(text.contains("that one stands for both (duplicate_only)"), "{text}");
    assert!(text.contains("This is revision 0 of the decision, made under version"), "{text}");
}

#[tokio::test]
async fn an_organic_install_names_its_nearest_misses() {
    let server = Server::start().await;
    let settings = json!({ "attribution.windows.click_modeled": "7d",
                           "fraud.minimum_time_to_install.mode": "reject" });
    let app = server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
    let (link, other) = (app.link("Network X").await, app.link("Network Y").await);
    let ip = "203.0.113.24";
    let too_old = link.click(&modeled(ip, (8 * 24 + 2) * 3_600 + 30)).await;
    let too_soon = other.click(&modeled(ip, 5)).await;
    app.install("SX-1", android(1, ip)).await;
    let answer = explained(&app, "SX-1").await;
    assert_eq!(answer["decision"]["winner"], Value::Null, "{answer}");
    let misses = answer["nearest_misses"].as_array().unwrap();
    let ids: Vec<&Value> = misses.iter().map(|miss| &miss["click_id"]).collect();
    assert_eq!(ids, [&json!(too_soon), &json!(too_old)], "{answer}");
    assert_eq!(misses[0]["missed"], "barred", "{answer}");
    assert_eq!(misses[0]["lost"], "rejected:minimum_time_to_install", "{answer}");
    assert_eq!(misses[1]["missed"], "outside_window", "{answer}");
    assert_eq!(misses[1]["window_from"], "app", "{answer}");
    let by = misses[1]["missed_by_seconds"].as_i64().unwrap();
    assert!((93_600..93_700).contains(&by), "{answer}");
    let text = sentences(&answer);
    let words = "a click of Network X (tracker DE spring video, campaign Spring), 8 days 2 hours before the \
                 install, matched by IP and user agent; the modeled window is 7 days, set by the app";
    assert!(text.contains(words), "{text}");
    assert_eq!(answer["fraud"][0]["rule"], "minimum_time_to_install", "{answer}");
    assert_eq!(answer["fraud"][0]["looked_at"], 2, "{answer}");
    assert_eq!(answer["fraud"][0]["caught"], 1, "{answer}");
    assert!(text.contains("Fraud rule minimum_time_to_install (reject, set by the app) caught"), "{text}");
}

#[tokio::test]
async fn a_click_after_the_install_and_what_consent_removed_are_told_of() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Network X").await;
    let idfa = device::advertising_id(7);
    let data = json!({ "usertime": now() - 3_600, "origination_ip": "203.0.113.9", "device_ua": device::IPHONE,
                       "device_ids": { "idfa": idfa, "idfv": device::advertising_id(8) } });
    app.install("SX-1", data).await;
    let device = device::encoded(device::IPHONE);
    let after =
        link.click(&format!("ip_address=203.0.113.9&device_ua={device}&click_time={}", now() - 1_800)).await;
    let answer = explained(&app, "SX-1").await;
    assert_eq!(answer["nearest_misses"][0]["click_id"], json!(after), "{answer}");
    assert_eq!(answer["nearest_misses"][0]["missed"], "after_install", "{answer}");
    assert_eq!(answer["consent"]["removed"][0]["why"], "idfa_dropped:att_missing", "{answer}");
    let text = sentences(&answer);
    assert!(text.contains("after the install, matched by IP and user agent"), "{text}");
    assert!(text.contains("the install's IDFA was dropped before anything was stored"), "{text}");
}

/// Apple's word is no candidate when its click is later than the install, and that is told of any install.
#[tokio::test]
async fn a_click_that_apple_names_too_late_is_told_of() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let idfv = device::advertising_id(2);
    app.link("Network X").await.click(&format!("idfv={idfv}&click_time={}", now() - 9_000)).await;
    let later = jiff::Timestamp::from_second(now() - 3_600).unwrap().to_string();
    let apple = json!({ "attribution": true, "orgId": 1, "campaignId": 2, "adGroupId": 3, "keywordId": 4,
                        "clickDate": later });
    for (device, ids, class) in [
        ("SX-1", json!({ "idfv": device::advertising_id(1) }), "organic"),
        ("SX-2", json!({ "idfv": idfv }), "device_id"),
    ] {
        let data = json!({ "usertime": now() - 7_200, "device_ids": ids, "device_ua": device::IPHONE,
                           "origination_ip": "203.0.113.9", "adservices_attribution_details": apple });
        app.install(device, data).await;
        let answer = explained(&app, device).await;
        assert_eq!(answer["decision"]["class"], class, "{answer}");
        let miss = &answer["nearest_misses"][0];
        assert_eq!((&miss["missed"], &miss["class"]), (&json!("after_install"), &json!("asa")), "{answer}");
        let text = sentences(&answer);
        assert!(text.contains("but the click that Apple names is later than the install"), "{text}");
    }
}

/// A rule that let a click pass when it came in looked all the same, and one that was off did not.
#[tokio::test]
async fn rules_that_saw_nothing_wrong_are_told_of() {
    let server = Server::start().await;
    let rules = json!({ "fraud.frequency_cap.mode": "reject", "fraud.platform_mismatch.mode": "flag" });
    for (settings, looked, says) in [
        (
            rules,
            vec!["frequency_cap", "platform_mismatch"],
            "Fraud rule frequency_cap (reject, set by the app) saw nothing wrong with a click of Example Network",
        ),
        (json!({}), vec![], "No fraud rule looked: none was on for what was found"),
    ] {
        let app =
            server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
        app.link("Example Network").await.click(&format!("adid={}", device::advertising_id(1))).await;
        app.install("SX-1", android(1, "203.0.113.24")).await;
        let answer = explained(&app, "SX-1").await;
        let told: Vec<&Value> = answer["fraud"].as_array().unwrap().iter().map(|row| &row["rule"]).collect();
        assert_eq!(told, looked, "{answer}");
        let text = sentences(&answer);
        assert!(text.contains(says), "{text}");
        if !looked.is_empty() {
            let seen = "it was number 1 of the clicks of the device within 60 minutes, and 20 pass";
            assert!(text.contains(seen), "{text}");
            let finding = &answer["decision"]["candidates"][0]["fraud"][0];
            assert_eq!((&finding["rule"], &finding["verdict"]), (&json!("frequency_cap"), &json!("passed")));
        }
        app.install("SX-2", android(2, "203.0.113.99")).await;
        let text = sentences(&explained(&app, "SX-2").await);
        assert!(text.contains("there was no click or impression to look at"), "{text}");
    }
}

#[tokio::test]
async fn a_click_of_another_make_is_not_said_to_match_by_it() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    app.link("Network X").await.click(&modeled("203.0.113.24", 60)).await;
    let other = device::PIXEL.replace("Pixel 8 Pro", "SM-S918B");
    app.install("SX-1", json!({ "origination_ip": "203.0.113.24", "device_ua": other })).await;
    let answer = explained(&app, "SX-1").await;
    assert_eq!(answer["nearest_misses"][0]["lost"], "platform_mismatch", "{answer}");
    let text = sentences(&answer);
    assert!(text.contains("matched by IP, not by user agent;"), "{text}");
}

#[tokio::test]
async fn an_event_is_explained() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let early = app.event("SX-1", "Early", json!({})).await;
    let stray = app.event("SX-9", "Stray", json!({})).await;
    let click = link.click(&format!("adid={}", device::advertising_id(1))).await;
    let input = app.install("SX-1", android(1, "203.0.113.24")).await;
    let later = app.event("SX-1", "Purchase", json!({})).await;
    let explained =
        async |input: &str| server.get(&format!("/api/events/{input}/explain")).await.is(200).json();
    let answer = explained(&later).await;
    assert_eq!(answer["decision"]["basis"], "install_source", "{answer}");
    assert_eq!(answer["decision"]["install_id"], json!(input.replace("in_", "ins_")), "{answer}");
    assert_eq!(answer["decision"]["joined_by"], "kochava_device_id", "{answer}");
    assert_eq!(answer["decision"]["source"]["click_id"], json!(click), "{answer}");
    assert!(sentences(&answer).contains("a click of Example Network, matched as device_id"), "{answer}");
    assert_eq!(answer["consent"]["removed"], json!([]), "{answer}");
    let answer = explained(&early).await;
    assert_eq!(answer["decision"]["released_by"], json!(input), "{answer}");
    assert!(sentences(&answer).contains("It came before its install and waited"), "{answer}");
    let answer = explained(&stray).await;
    assert_eq!(answer["decision"]["basis"], "no_install", "{answer}");
    let told = sentences(&answer);
    assert!(
        told.contains("still waits for one that comes within 86400 seconds of it (ingest.hold)"),
        "{answer}"
    );
    // Without anything that a device is known by, it belongs to nobody, whatever its address is.
    let nameless = json!({ "action": "event", "kochava_app_id": app.guid, "data": {
        "event_name": "Purchase", "origination_ip": "203.0.113.24", "device_ua": device::PIXEL } });
    let nameless = server.sends("/track/json", nameless.to_string()).await.accepted();
    let answer = explained(&nameless).await;
    assert_eq!(answer["decision"]["basis"], "no_install", "{answer}");
}

/// It was decided when its install came, under the settings of then.
#[tokio::test]
async fn a_held_event_names_the_settings_that_decided_it() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let event = app.event("SX-1", "Early", json!({})).await;
    let path = format!("/api/events/{event}/explain");
    let waiting = server.get(&path).await.is(200).json();
    assert!(waiting["explanation"].to_string().contains("still waits"), "{waiting}");
    let settings = json!({ "settings": { "attribution.event_association": "30d" } });
    server.patch(&format!("/apps/{}", app.id), settings).await.is(200);
    app.install("SX-1", json!({})).await;
    let joined = server.get(&path).await.is(200).json();
    let version = |answer: &Value| answer["decision"]["settings_version"].as_u64().unwrap();
    assert!(version(&joined) > version(&waiting), "{joined}");
}

#[tokio::test]
async fn what_consent_removed_from_an_event_is_told() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let refused = json!({ "app_tracking_transparency": { "att": false }, "device_ua": device::IPHONE,
                          "device_ids": { "idfa": device::advertising_id(7), "idfv": device::advertising_id(8) } });
    app.install("SX-1", refused.clone()).await;
    let mut purchase = refused;
    purchase["event_name"] = json!("Purchase");
    let event = app.send("event", "SX-1", purchase).await.accepted();
    let answer = server.get(&format!("/api/events/{event}/explain")).await.is(200).json();
    let row = json!({ "of": event, "what": "idfa", "why": "idfa_dropped:att_false" });
    assert_eq!(answer["consent"]["removed"], json!([row]), "{answer}");
    assert_eq!(answer["consent"]["att"], false, "{answer}");
    assert!(
        sentences(&answer).contains("the event's IDFA was dropped before anything was stored"),
        "{answer}"
    );
}

#[tokio::test]
async fn what_there_is_none_of_is_404_and_says_of_what() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let first = app.install("SX-1", android(1, "203.0.113.24")).await;
    let second = app.install("SX-1", android(1, "203.0.113.24")).await;
    let id = app.id;
    let unknown = "0198a1b2c3d47e5f8a9b0c1d2e3f4a5b";
    for (path, status, says) in [
        (format!("/api/installs/ins_{unknown}/explain"), 404, "install"),
        (format!("/api/installs/{}/explain", second.replace("in_", "ins_")), 404, "duplicate"),
        ("/api/installs/7/explain".to_owned(), 400, "ins_"),
        (format!("/api/apps/{id}/devices/SX-2/explain"), 404, "no install of this device"),
        (format!("/api/apps/{id}/devices/SX-1/explain?id_type=adid"), 404, "no install of this device"),
        (format!("/api/apps/{}/devices/SX-1/explain", id + 9), 404, "app"),
        (format!("/api/events/in_{unknown}/explain"), 404, "event"),
        (format!("/api/events/{first}/explain"), 404, "event"),
        ("/api/events/7/explain".to_owned(), 400, "in_"),
    ] {
        let answer = server.get(&path).await.is(status);
        assert!(answer.text().contains(says), "{path}: {}", answer.text());
    }
}
