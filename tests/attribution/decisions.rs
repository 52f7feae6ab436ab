//! The ladder, windows, duplicates, and what the answer says (sections 5, 6, 8; DECISIONS 13, 28).

use crate::harness::{App, Server, Value, device, eventually, json, now};

/// An advertising identifier on an Android device.
fn android(n: u64, ip: &str) -> Value {
    json!({ "origination_ip": ip, "device_ua": device::PIXEL, "device_ids": { "adid": device::advertising_id(n) } })
}

fn modeled(ip: &str) -> String {
    format!("ip_address={ip}&device_ua={}", device::encoded(device::PIXEL))
}

#[tokio::test]
async fn the_answer_explains_the_decision() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let adid = device::advertising_id(1);
    let older = link.click(&format!("adid={adid}&click_id=p-0")).await;
    let newer = link.click(&format!("adid={adid}&click_id=p-1&site_id=s-9")).await;
    let view = link.impression(&format!("adid={adid}")).await;
    let input = app.install("SX-1", android(1, "203.0.113.24")).await;
    let answer = app.attribution("SX-1").await;

    assert_eq!(answer["success"], 1, "{answer}");
    assert_eq!(answer["action"], "get_attribution", "{answer}");
    let data = &answer["data"];
    assert_eq!(data["kochava_device_id"], "SX-1", "{answer}");
    assert_eq!(data["retry"], -1, "{answer}");
    let install = data["install_id"].as_str().expect("an install id").to_owned();
    assert_eq!(install, input.replace("in_", "ins_"), "{answer}");
    let credited = &data["attribution"];
    for (key, value) in [
        ("attribution_action", json!("install")),
        ("attribution_prompt", json!("click")),
        ("is_first_install", json!(true)),
        ("campaign", json!("Spring")),
        ("campaign_id", json!(link.guid)),
        ("segment", json!("DE")),
        ("tracker", json!("DE spring video")),
        ("tracker_id", json!(link.id)),
        ("network", json!("Example Network")),
        ("network_id", json!(link.network)),
        ("site_id", json!("s-9")),
    ] {
        assert_eq!(credited[key], value, "{key} in {answer}");
    }
    assert_eq!(credited["click"]["id"], json!(newer), "{answer}");
    let decision = &answer["decision"];
    assert_eq!(decision["class"], "device_id", "{answer}");
    assert_eq!(decision["revision"], 0, "{answer}");
    assert_eq!(decision["ambiguous"], false, "{answer}");
    assert_eq!(decision["winner"]["click_id"], json!(newer), "{answer}");
    assert_eq!(decision["winner"]["window_seconds"], 30 * 86_400, "{answer}");
    let mut lost = app.losers("SX-1").await;
    lost.sort();
    let mut expected = [(older, "duplicate_only".to_owned()), (view, "lower_class".to_owned())];
    expected.sort();
    assert_eq!(lost, expected, "{answer}");

    // By the install's own number too; nothing for strangers.
    assert_eq!(app.attribution(&install).await, answer);
    server.get(&format!("/v1/apps/{}/attribution/SX-2", app.guid)).await.is(404);
    server.get("/v1/apps/konowhere-1/attribution/SX-1").await.is(404);
    let path = format!("/v1/apps/{}/attribution/SX-1", app.guid);
    let keyless = server.request(reqwest::Method::GET, &path);
    assert_eq!(crate::harness::Answered::answer(keyless).await.status, 401);
}

#[tokio::test]
async fn organic_is_false_in_the_incumbents_words() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    app.install("SX-1", json!({ "device_ua": device::IPHONE })).await;
    let answer = app.attribution("SX-1").await;
    assert_eq!(answer["data"]["attribution"], false, "{answer}");
    assert_eq!(answer["decision"]["winner"], Value::Null, "{answer}");
    assert_eq!(answer["decision"]["class"], "organic", "{answer}");
}

#[tokio::test]
async fn the_ladder_holds_before_recency() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let ip = "203.0.113.24";
    let adid = device::advertising_id(1);
    // From the lowest class to the highest, each older than what it beats.
    let minutes_ago = |n: i64| format!("click_time={}", now() - 60 * n);
    let view_modeled = link.impression(&format!("{}&{}", modeled(ip), minutes_ago(1))).await;
    let view_device = link.impression(&format!("adid={adid}&{}", minutes_ago(2))).await;
    let click_modeled = link.click(&format!("{}&{}", modeled(ip), minutes_ago(3))).await;
    let click_device = link.click(&format!("adid={adid}&{}", minutes_ago(4))).await;
    app.install("SX-1", android(1, ip)).await;
    let decision = app.attribution("SX-1").await["decision"].clone();
    let order: Vec<&str> = decision["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["click_id"].as_str())
        .collect();
    assert_eq!(order, [&click_device, &click_modeled, &view_device, &view_modeled], "{decision}");
    let ranks: Vec<u64> =
        decision["candidates"].as_array().unwrap().iter().filter_map(|one| one["rank"].as_u64()).collect();
    assert_eq!(ranks, [1, 2, 5, 6], "{decision}");
}

#[tokio::test]
async fn windows_come_from_tracker_then_network_then_app() {
    let server = Server::start().await;
    let settings = json!({ "attribution.windows.click_device": "3h" });
    let app = server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
    let link = app.link("Example Network").await;
    let two_hours_ago = |n: u64| format!("adid={}&click_time={}", device::advertising_id(n), now() - 7_200);
    let check = async |n: u64, class: &str, seconds: Value, from: &str| {
        link.click(&two_hours_ago(n)).await;
        let device = format!("SX-{n}");
        app.install(&device, android(n, "203.0.113.24")).await;
        let decision = app.attribution(&device).await["decision"].clone();
        assert_eq!(decision["class"], class, "{decision}");
        let candidate = &decision["candidates"][0];
        assert_eq!(candidate["window_seconds"], seconds, "{decision}");
        assert_eq!(candidate["window_from"], from, "{decision}");
        if class == "organic" {
            assert_eq!(candidate["lost"], "outside_window", "{decision}");
        }
    };
    check(1, "device_id", json!(10_800), "app").await;
    let network = json!({ "settings": { "attribution.windows.click_device": "1h" } });
    server.patch(&format!("/networks/{}", link.network), network).await.is(200);
    check(2, "organic", json!(3_600), "network").await;
    let path = format!("/tracker/override?id={}", link.id);
    let window = json!({ "name": "", "key": "device_id_lookback_window", "group": "", "type": "seconds",
                         "value": 14_400, "admin": 0 });
    server.post(&path, json!({ "device_id_lookback_window": window })).await.is(200);
    check(3, "device_id", json!(14_400), "tracker").await;
    // What one client posts when nothing is set.
    let unset = json!({ "name": "", "key": "", "group": "", "type": "", "value": 0, "admin": 0 });
    server.post(&path, json!({ "device_id_lookback_window": unset })).await.is(200);
    check(4, "organic", json!(3_600), "network").await;
}

#[tokio::test]
async fn a_window_ends_with_its_last_second() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let installed = now() - 60;
    for (n, age, class) in [(1, 30 * 86_400, "device_id"), (2, 30 * 86_400 + 1, "organic")] {
        link.click(&format!("adid={}&click_time={}", device::advertising_id(n), installed - age)).await;
        let mut data = android(n, "203.0.113.24");
        data["usertime"] = json!(installed);
        let device = format!("SX-{n}");
        app.install(&device, data).await;
        assert_eq!(app.class(&device).await, class, "a click {age} s before");
    }
}

#[tokio::test]
async fn a_second_install_of_a_device_is_no_new_one() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let first = app.install("SX-1", android(1, "203.0.113.24")).await;
    link.click(&format!("adid={}", device::advertising_id(1))).await;
    let by_id = app.install("SX-1", json!({ "device_ua": device::PIXEL })).await;
    let by_adid = app.install("SX-alias", android(1, "203.0.113.24")).await;
    for input in [by_id, by_adid] {
        let row = server.input(&input).await;
        assert_eq!(row["outcomes"][0]["outcome"], "duplicate_install", "{row}");
        assert_eq!(row["outcomes"][0]["install_id"], json!(first.replace("in_", "ins_")), "{row}");
    }
    assert_eq!(app.class("SX-1").await, "organic", "the first attribution stands");
    // The new id has become another name of the device (DECISIONS 13).
    let event = app.event("SX-alias", "Purchase", json!({})).await;
    assert_eq!(server.input(&event).await["outcomes"][0]["install_id"], json!(first.replace("in_", "ins_")));
    let ledger = server.balanced().await;
    assert_eq!(ledger["installs"], json!({ "organic": 1 }), "{ledger}");
}

#[tokio::test]
async fn a_disagreeing_identifier_stays_where_it_is() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    app.install("SX-1", android(1, "203.0.113.24")).await;
    app.install("SX-2", android(2, "203.0.113.24")).await;
    let data = json!({ "event_name": "View", "device_ids": { "adid": device::advertising_id(2) } });
    let input = app.send("event", "SX-1", data).await.accepted();
    let row = server.input(&input).await;
    let first = app.attribution("SX-1").await["data"]["install_id"].clone();
    assert_eq!(row["outcomes"][0]["install_id"], first, "kochava_device_id is asked first: {row}");
    assert!(row["flags"].to_string().contains("id_conflict"), "{row}");
    let body = json!({ "action": "event", "kochava_app_id": app.guid,
        "data": { "event_name": "View", "device_ids": { "adid": device::advertising_id(2) } } });
    let input = server.sends("/track/json", body.to_string()).await.accepted();
    let second = app.attribution("SX-2").await["data"]["install_id"].clone();
    assert_eq!(server.input(&input).await["outcomes"][0]["install_id"], second);
}

#[tokio::test]
async fn events_carry_the_source_of_their_install() {
    let server = Server::start().await;
    let app: App = server.app("Android").await;
    let link = app.link("Example Network").await;
    let click = link.click(&format!("adid={}", device::advertising_id(1))).await;
    app.install("SX-1", android(1, "203.0.113.24")).await;
    let input = app.event("SX-1", "Purchase", json!({ "sum": 14.99 })).await;
    let row = server.input(&input).await;
    assert_eq!(row["outcomes"][0]["outcome"], "linked", "{row}");
    assert_eq!(row["outcomes"][0]["source"]["click_id"], json!(click), "{row}");
    let ledger = eventually("the event in the ledger", async || {
        let ledger = server.ledger().await;
        (ledger["events_linked"] == 1).then_some(ledger)
    })
    .await;
    assert_eq!(ledger["installs"], json!({ "device_id": 1 }), "{ledger}");
}

#[tokio::test]
async fn a_tracker_deleted_after_the_click_may_still_win() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let click = link.click(&format!("adid={}", device::advertising_id(1))).await;
    server.delete(&format!("/tracker/{}/delete/{}", app.id, link.id)).await.is(200);
    app.install("SX-1", android(1, "203.0.113.24")).await;
    assert_eq!(app.winner("SX-1").await, click);
}

#[tokio::test]
async fn devices_may_have_any_name() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    for name in ["a/b", "a b?c=d&e#f", "Gerät 7", "%2F", "x..y", "templates"] {
        app.install(name, json!({})).await;
        let answer = app.attribution(&device::encoded(name)).await;
        assert_eq!(answer["data"]["kochava_device_id"], name, "{answer}");
    }
}
