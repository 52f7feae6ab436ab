//! How installs would have been attributed under other settings, and that asking changes nothing
//! (DECISIONS 23).

use crate::harness::{App, KEY, Link, Server, Value, device, json, now, program::run};

fn android(n: u64, ip: &str) -> Value {
    json!({ "origination_ip": ip, "device_ua": device::PIXEL, "device_ids": { "adid": device::advertising_id(n) } })
}

fn modeled(ip: &str, seconds_ago: i64) -> String {
    format!("ip_address={ip}&device_ua={}&click_time={}", device::encoded(device::PIXEL), now() - seconds_ago)
}

/// An app with installs of every kind: three modeled ones two hours after their click, one of them shared,
/// a certain one, and an organic one.
struct Shop {
    server: Server,
    app: App,
    blue: Link,
    red: Link,
}

impl Shop {
    async fn open() -> Self {
        let server = Server::start().await;
        let app = server.app("Android").await;
        let (blue, red) = (app.link("Blue Network").await, app.link("Red Network").await);
        blue.click(&modeled("203.0.113.1", 7_200)).await;
        red.click(&modeled("203.0.113.2", 7_200)).await;
        red.click(&format!("adid={}&click_time={}", device::advertising_id(4), now() - 60)).await;
        for (n, ip) in [
            (1, "203.0.113.1"),
            (2, "203.0.113.1"),
            (3, "203.0.113.2"),
            (4, "203.0.113.4"),
            (5, "203.0.113.5"),
        ] {
            app.install(&format!("SX-{n}"), android(n, ip)).await;
        }
        Self { server, app, blue, red }
    }

    fn path(&self) -> String {
        format!("/api/apps/{}/what-if", self.app.id)
    }

    /// Asks and waits for the end.
    async fn what_if(&self, body: Value) -> Value {
        self.app.what_if(body).await
    }
}

/// What a table says of a row: `before after`.
fn row(answer: &Value, table: &str, key: &str, name: &str) -> (i64, i64) {
    let rows = answer["report"][table].as_array().unwrap_or_else(|| panic!("no {table} in {answer}"));
    let found = rows.iter().find(|row| row[key] == name);
    found.map_or((0, 0), |row| (row["before"].as_i64().unwrap(), row["after"].as_i64().unwrap()))
}

#[tokio::test]
async fn with_nothing_changed_nothing_changes() {
    let shop = Shop::open().await;
    let answer = shop.what_if(json!({})).await;
    assert_eq!(answer["state"], "done", "{answer}");
    assert_eq!(answer["report"]["installs"], 5, "{answer}");
    assert_eq!(answer["report"]["changed"], 0, "{answer}");
    assert_eq!(answer["changes"], json!({ "total": 0, "listed": 0, "data": [], "nextToken": null }));
    assert_eq!(row(&answer, "networks", "network", "Blue Network"), (2, 2), "{answer}");
    assert_eq!(row(&answer, "networks", "network", "Red Network"), (2, 2), "{answer}");
    assert_eq!(row(&answer, "networks", "network", "organic"), (1, 1), "{answer}");
    assert_eq!(row(&answer, "campaigns", "campaign_id", &shop.blue.campaign), (2, 2), "{answer}");
    let sure = json!({ "certain": 1, "likely": 3, "ambiguous": 0, "shared_click": 1, "organic": 1 });
    assert_eq!(answer["report"]["how_sure"], json!({ "before": sure, "after": sure }), "{answer}");
}

#[tokio::test]
async fn a_what_if_tells_what_would_change_and_leaves_the_record_alone() {
    let shop = Shop::open().await;
    let (server, app) = (&shop.server, &shop.app);
    app.trigger("install", json!({ "cpi_mostback_url": "http://127.0.0.1:1/pb?c={click_id}" })).await;
    app.install("SX-6", android(6, "203.0.113.2")).await;
    let everything = async || {
        let mut all = vec![server.balanced().await, server.get(&format!("/apps/{}", app.id)).await.json()];
        for n in 1..=6 {
            all.push(app.attribution(&format!("SX-{n}")).await);
        }
        let deliveries = server.deliveries(&format!("app={}", app.id)).await;
        let known =
            |delivery: &Value| json!([delivery["delivery_id"], delivery["url"], delivery["conversion_id"]]);
        all.push(deliveries.iter().map(known).collect());
        // The courier goes on trying to reach nobody.
        for part in &mut all {
            if let Some(parts) = part.as_object_mut() {
                parts.remove("postbacks");
            }
        }
        all
    };
    let before = everything().await;
    let answer = shop.what_if(json!({ "settings": { "attribution.windows.click_modeled": "1h" } })).await;
    assert_eq!(answer["report"]["changed"], 4, "{answer}");
    assert_eq!(row(&answer, "networks", "network", "Blue Network"), (2, 0), "{answer}");
    assert_eq!(row(&answer, "networks", "network", "Red Network"), (3, 1), "{answer}");
    assert_eq!(row(&answer, "classes", "class", "organic"), (1, 5), "{answer}");
    let change = &answer["changes"]["data"][0];
    assert_eq!(change["before"]["class"], "modeled", "{answer}");
    assert_eq!(change["after"]["class"], "organic", "{answer}");
    assert_eq!(change["lost"], "outside_window", "{answer}");
    let why = change["why"].as_str().unwrap();
    assert!(why.contains("window of 1 hour set by the app"), "{why}");
    assert!(why.contains("It would be organic."), "{why}");
    assert_eq!(everything().await, before);

    // Page by page, each once.
    let path = answer["href"].as_str().unwrap();
    let (mut ids, mut token) = (Vec::new(), String::new());
    for _ in 0..2 {
        let page = server.get(&format!("{path}?limit=2{token}")).await.is(200).json();
        ids.extend(
            page["changes"]["data"].as_array().unwrap().iter().map(|row| row["install_id"].to_string()),
        );
        token = format!("&pageToken={}", page["changes"]["nextToken"].as_str().unwrap_or("none"));
    }
    assert_eq!(token, "&pageToken=none");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn networks_trackers_and_rules_can_be_tried_in_the_words_of_patch() {
    let shop = Shop::open().await;
    let (blue, red) = (&shop.blue, &shop.red);
    let hour = json!({ "name": "", "key": "fingerprint_lookback_window", "group": "", "type": "seconds",
                       "value": 3_600, "admin": 0 });
    for (body, changed) in [
        (
            json!({ "networks": { &blue.network: { "settings": { "attribution.windows.click_modeled": "1h" } } } }),
            2,
        ),
        (
            json!({ "networks": { &blue.network: { "settings_in_app": {
                               "attribution.windows.click_modeled": "1h" } } } }),
            2,
        ),
        (
            json!({ "trackers": { &red.id: { "tracker_overrides": { "fingerprint_lookback_window": hour } } } }),
            1,
        ),
        (json!({ "settings": { "attribution.modeled_single_use": true } }), 1),
        (
            json!({ "settings": { "fraud.minimum_time_to_install.mode": "reject",
                               "fraud.minimum_time_to_install.threshold": 3_600 } }),
            1,
        ),
        (
            json!({ "networks": { &red.network: { "settings": { "fraud.minimum_time_to_install.mode": "reject",
                               "fraud.minimum_time_to_install.threshold": 86_400 } } } }),
            2,
        ),
        (
            json!({ "trackers": { &blue.id: { "verification_rules": { "enabled": true, "rule": {
                               "platform_in": ["ios"] } } } } }),
            2,
        ),
    ] {
        let answer = shop.what_if(body.clone()).await;
        assert_eq!(answer["report"]["changed"], changed, "{body}: {answer}");
    }
    // The other way round: what was organic becomes attributed.
    let answer = shop.what_if(json!({ "settings": { "attribution.device_attribution": "inclusive" } })).await;
    assert_eq!(answer["report"]["changed"], 0, "{answer}");
    let off = json!({ "settings": { "attribution.windows.click_device": "disabled" } });
    let answer = shop.what_if(off).await;
    assert_eq!(answer["changes"]["data"][0]["lost"], "outside_window", "{answer}");
}

/// Each override of a tracker that decides anything, tried and then really set: both come to the same.
#[tokio::test]
async fn what_overrides_would_do_is_what_they_do() {
    let override_of = |key: &str, value: u64| {
        let one = json!({ "name": "", "key": key, "group": "", "type": "", "value": value, "admin": 0 });
        json!({ key: one })
    };
    let updated = device::IPHONE.replace("17_5", "17_6");
    for (key, value, before, after) in [
        ("omit_sub_os_version", 1, "organic", "modeled"),
        ("fingerprint_lookback_window", 60, "modeled", "organic"),
        ("fingerprint_lookback_window", 0, "modeled", "organic"),
    ] {
        let server = Server::start().await;
        let app = server.app("iOS").await;
        let link = app.link("Example Network").await;
        let seen = if key == "omit_sub_os_version" { updated.as_str() } else { device::IPHONE };
        let click =
            format!("ip_address=203.0.113.1&device_ua={}&click_time={}", device::encoded(seen), now() - 600);
        link.click(&click).await;
        let phone = json!({ "origination_ip": "203.0.113.1", "device_ua": device::IPHONE });
        app.install("SX-1", phone.clone()).await;
        assert_eq!(app.class("SX-1").await, before, "{key} {value}");
        let body = json!({ "trackers": { &link.id: { "tracker_overrides": override_of(key, value) } } });
        let answer = app.what_if(body).await;
        assert_eq!(row(&answer, "classes", "class", after), (0, 1), "{key} {value}: {answer}");
        let set = format!("/tracker/override?id={}", link.id);
        server.post(&set, override_of(key, value)).await.is(200);
        app.install("SX-2", phone).await;
        assert_eq!(app.class("SX-2").await, after, "{key} {value}");
    }
}

#[tokio::test]
async fn what_cannot_be_tried_is_refused() {
    let shop = Shop::open().await;
    let long_ago = json!({ "from": "2020-01-01T00:00:00Z" });
    let answer = shop.server.post(&shop.path(), long_ago).await.is(400);
    let text = answer.text();
    let year = text.split("goes back to ").nth(1).unwrap_or_else(|| panic!("no earliest start in {text}"));
    let earliest = year.split(';').next().unwrap();
    let answer = shop.what_if(json!({ "from": earliest })).await;
    assert_eq!(answer["report"]["installs"], 5, "{answer}");
    for (body, says) in [
        (json!({ "settings": { "attribution.windows.click_modeled": "31d" } }), "30 days"),
        (json!({ "settings": { "attribution.nothing": 1 } }), "no setting attribution.nothing"),
        (json!({ "settings": { "ingest.hold": "1h" } }), "ingest.hold changes nothing"),
        (json!({ "settings": { "attribution.referrer_begin_time": true } }), "changes nothing"),
        (json!({ "settings": { "consent.att_from_idfa": true } }), "changes nothing"),
        (json!({ "settings": { "schemes": ["shop"] } }), "changes nothing"),
        (
            json!({ "networks": { &shop.red.network: { "settings": { "fraud.click_validation.hash": "sha1" } } } }),
            "changes nothing",
        ),
        (json!({ "networks": { "7": { "settings": {} } } }), "networks.7"),
        (json!({ "trackers": { "777": {} } }), "trackers.777"),
        (json!({ "rules": {} }), "no such field"),
        (json!({ "from": "yesterday" }), "from"),
        (json!({ "from": now(), "to": now() - 10 }), "to"),
    ] {
        let answer = shop.server.post(&shop.path(), body.clone()).await.is(400);
        assert!(answer.text().contains(says), "{body}: {}", answer.text());
    }
    shop.server.get(&format!("{}/wif_0", shop.path())).await.is(404);
    shop.server.post("/api/apps/99/what-if", json!({})).await.is(404);
}

#[tokio::test]
async fn the_command_asks_a_server_or_reads_a_directory() {
    let shop = Shop::open().await;
    let app = shop.app.id.to_string();
    let url = format!("http://{}", shop.server.address());
    let set = ["--set", "attribution.windows.click_modeled=1h"];
    let printed = |arguments: &[&str], succeeds: bool| {
        let mut all = vec!["what-if", "--app", &app];
        all.extend(arguments);
        let output = run(&all, &[("SEXTANT_WHAT_IF_KEY", KEY)]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), succeeds, "{text}{wrong}");
        if succeeds { text } else { wrong }
    };
    let of_server = printed(&[&["--url", &url], &set[..]].concat(), true);
    assert!(of_server.contains("5 installs from"), "{of_server}");
    assert!(of_server.contains("3 of them credited otherwise"), "{of_server}");
    assert!(of_server.contains("Blue Network"), "{of_server}");
    assert!(of_server.contains("It would be organic."), "{of_server}");
    let data = shop.server.data();
    let directory = ["--data-dir", data.to_str().unwrap()];
    let busy = printed(&[&directory[..], &set[..]].concat(), false);
    assert!(busy.contains("in use"), "{busy}");
    let wrong = printed(&["--url", &url, "--set", "attribution.nothing=1"], false);
    assert!(wrong.contains("no setting attribution.nothing"), "{wrong}");
    shop.server.terminate().await;
    let of_directory = printed(&[&directory[..], &set[..]].concat(), true);
    let table = |text: &str| text.split("\nThe first").next().unwrap().split_once('\n').unwrap().1.to_owned();
    assert_eq!(table(&of_directory), table(&of_server));
    let as_json = printed(&[&directory[..], &["--json"][..]].concat(), true);
    let answer: Value = serde_json::from_str(&as_json).unwrap();
    assert_eq!(answer["report"]["changed"], 0, "{answer}");
}

/// What is in force by now was not when these were decided: to ask about it is to ask about a change.
#[tokio::test]
async fn rules_that_stand_today_are_asked_about_like_any_other() {
    let shop = Shop::open().await;
    let rules = json!({ "enabled": true, "rule": { "minimum_time_to_install": 600 }, "fail_action": {} });
    let body = json!({ "id": shop.red.id, "verification_rules": rules });
    shop.server.post(&format!("/tracker/{}", shop.app.id), body).await.is(200);
    let trackers = json!({ "trackers": { (shop.red.id.clone()): { "verification_rules": rules } } });
    let answer = shop.what_if(trackers).await;
    // The click a minute before its install; the one two hours before its install may pass.
    assert_eq!(answer["report"]["changed"], 1, "{answer}");
    assert_eq!(row(&answer, "networks", "network", "Red Network"), (2, 1), "{answer}");
}
