//! From a conversion to a request at the partner.

use std::time::Duration;

use crate::harness::{Server, Sink, device, eventually, json};

#[tokio::test]
async fn installs_events_and_clicks_are_told_to_the_partner() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let to = |path: &str| json!({ "cpi_mostback_url": sink.url(path) });
    app.trigger("install", to("/install?cid={click_id}&ev={event_name}&d={delivery_id}")).await;
    app.trigger("click", to("/click?cid={click_id}&ev={event_name}")).await;
    let purchase = json!({ "type": "event", "filter_str": "Purchase",
                           "context": to("/purchase?cid={click_id}&ev={event_name}&v={event_value}") });
    app.trigger_with(purchase).await;
    app.trigger("event", to("/every?ev={event_name}")).await;

    let adid = device::advertising_id(1);
    link.click(&format!("adid={adid}&click_id=p-1")).await;
    let data = json!({ "device_ids": { "adid": adid }, "device_ua": device::PIXEL });
    app.install("SX-1", data).await;
    app.event("SX-1", "Purchase", json!({ "sum": 14.99 })).await;
    app.event("SX-1", "purchase", json!({ "sum": 14.99 })).await;

    let install = sink.receives("/install", 1).await.remove(0);
    assert_eq!(install.method, "GET");
    assert_eq!(install.parameter("cid").as_deref(), Some("p-1"));
    assert_eq!(install.parameter("ev").as_deref(), Some("_install"));
    let click = sink.receives("/click", 1).await.remove(0);
    assert_eq!(
        (click.parameter("cid").as_deref(), click.parameter("ev").as_deref()),
        (Some("p-1"), Some("_click"))
    );
    let event = sink.receives("/purchase", 1).await.remove(0);
    assert_eq!(event.parameter("v").as_deref(), Some("14.99"));
    sink.receives("/every", 2).await;

    let delivered = server.settled(&format!("app={}", app.id), "delivered", 5).await;
    assert_eq!(delivered.len(), 5, "{delivered:?}");
    let of_install = app.attribution("SX-1").await["data"]["install_id"].clone();
    for row in &delivered {
        assert_eq!(row["state"], "delivered", "{row}");
        assert_eq!(row["attempts"].as_array().unwrap().len(), 1, "{row}");
        assert_eq!(row["attempts"][0]["number"], 1, "{row}");
        assert_eq!(row["attempts"][0]["status"], 200, "{row}");
        assert!(row["attempts"][0]["ms"].is_number() && row["attempts"][0]["started"].is_string(), "{row}");
    }
    let row = delivered.iter().find(|row| row["url"].as_str().unwrap().contains("/install?")).unwrap();
    assert_eq!(row["install_id"], of_install, "{row}");
    assert_eq!(row["delivery_id"].as_str(), install.parameter("d").as_deref(), "{row}");
    assert_eq!(sink.hits("/purchase").len(), 1, "names are matched exactly");
    let query = format!("install={}", of_install.as_str().unwrap());
    assert_eq!(server.deliveries(&query).await.len(), 4, "all but the click belong to the install");
    let ledger = server.balanced().await;
    assert_eq!((&ledger["postbacks"]["due"], &ledger["postbacks"]["delivered"]), (&json!(5), &json!(5)));
}

#[tokio::test]
async fn the_bodies_of_the_seed_deliver_once_active() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let mut ids = Vec::new();
    for (kind, title, filter) in [
        ("install", "Install Custom Postback", None),
        ("event", "Purchase Postback", Some("Purchase")),
        ("click", "Click Postback", None),
    ] {
        let mut body = json!({ "app_id": app.id, "type": kind, "title": title, "template_id": 3373,
                               "context": { "cpi_mostback_url": sink.url(&format!("/{kind}")) } });
        if let Some(filter) = filter {
            body["filter_str"] = json!(filter);
        }
        let made = server.post("/postbacks", body).await.is(201).json();
        assert_eq!(made["success"], true, "{made}");
        assert_eq!(made["data"][0]["active"], false, "as in the sample: {made}");
        ids.push(made["data"][0]["id"].as_u64().unwrap());
    }
    link.click(&format!("adid={}", device::advertising_id(1))).await;
    for id in &ids {
        let patched =
            server.patch(&format!("/postbacks/{id}"), json!({ "active": true })).await.is(200).json();
        assert_eq!(patched["data"][0]["active"], true, "{patched}");
    }
    link.click(&format!("adid={}", device::advertising_id(2))).await;
    app.install("SX-1", json!({ "device_ua": device::PIXEL })).await;
    app.event("SX-1", "Purchase", json!({})).await;
    for kind in ["install", "event", "click"] {
        sink.receives(&format!("/{kind}"), 1).await;
    }
    server.settled("", "delivered", 3).await;
    assert_eq!(sink.all().len(), 3, "the click before is not sent");
    let suppressed = server.deliveries("state=suppressed").await;
    assert_eq!(suppressed.len(), 1, "{suppressed:?}");
    assert_eq!(suppressed[0]["reason"], "inactive", "{suppressed:?}");
}

#[tokio::test]
async fn a_delay_counts_from_the_decision() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    app.trigger("install", json!({ "cpi_mostback_url": sink.url("/late"), "deferred_for": 1_500 })).await;
    let begun = std::time::Instant::now();
    app.install("SX-1", json!({})).await;
    let hit = sink.receives("/late", 1).await.remove(0);
    let waited = hit.at.duration_since(begun);
    assert!(waited >= Duration::from_millis(1_500), "{waited:?}");
    let later =
        json!({ "cpi_mostback_url": sink.url("/later"), "sx_delivery": "all", "deferred_for": 600_000 });
    let later = json!({ "type": "install", "template_id": 3374, "context": later });
    let later = app.trigger_with(later).await;
    app.install("SX-2", json!({})).await;
    let row = server.settled(&format!("trigger={later}"), "pending", 1).await.remove(0);
    let due: jiff::Timestamp = row["due"].as_str().unwrap().parse().unwrap();
    let created: jiff::Timestamp = row["created"].as_str().unwrap().parse().unwrap();
    assert_eq!(due.as_millisecond() - created.as_millisecond(), 600_000);
}

#[tokio::test]
async fn a_changed_trigger_does_not_touch_what_was_due() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let context = json!({ "cpi_mostback_url": sink.url("/old"), "deferred_for": 1_500 });
    let trigger = app.trigger("install", context).await;
    app.install("SX-1", json!({})).await;
    let changes = json!({ "context": { "cpi_mostback_url": sink.url("/new"), "deferred_for": null } });
    server.patch(&format!("/postbacks/{trigger}"), changes).await.is(200);
    app.install("SX-2", json!({})).await;
    sink.receives("/new", 1).await;
    sink.receives("/old", 1).await;
    server.settled("", "delivered", 2).await;
    assert_eq!(sink.all().len(), 2);
}

#[tokio::test]
async fn a_new_winner_is_told_and_the_old_one_withdrawn() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let (one, other) = (app.link("One").await, app.link("Other").await);
    let fields = |link: &crate::harness::Link, template: u64, path: &str| {
        json!({ "type": "install", "template_id": template, "context": {
            "cpi_mostback_url": sink.url(path), "sx_network_id": link.network } })
    };
    let old = app.trigger_with(fields(&one, 3373, "/one")).await;
    app.trigger_with(fields(&other, 3374, "/other")).await;
    // So that nothing is sent before the other click is in, however long that takes.
    server.post(&format!("/api/triggers/{old}/pause"), json!({})).await.is(200);
    let adid = device::advertising_id(1);
    let at = |minutes: i64| format!("adid={adid}&click_time={}", crate::harness::now() - 60 * minutes);
    one.click(&at(9)).await;
    let data = json!({ "device_ids": { "adid": adid }, "device_ua": device::PIXEL });
    app.install("SX-1", data).await;
    assert_eq!(server.deliveries("state=pending").await.len(), 1);
    other.click(&at(5)).await;
    eventually("the revision", async || {
        (app.attribution("SX-1").await["decision"]["revision"] == 1).then_some(())
    })
    .await;
    server.post(&format!("/api/triggers/{old}/resume"), json!({})).await.is(200);
    sink.receives("/other", 1).await;
    server.settled("", "delivered", 1).await;
    let suppressed = server.deliveries("state=suppressed").await;
    let reasons: Vec<&str> = suppressed.iter().filter_map(|row| row["reason"].as_str()).collect();
    assert!(reasons.contains(&"superseded"), "{suppressed:?}");
    assert!(sink.hits("/one").is_empty(), "the old winner was not told");
    server.balanced().await;
}

#[tokio::test]
async fn what_a_paused_trigger_keeps_says_what_was_decided_last() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let url = sink.url("/pb?c={click_id}&m={match_type}");
    let trigger = app.trigger("install", json!({ "cpi_mostback_url": url, "sx_delivery": "all" })).await;
    server.post(&format!("/api/triggers/{trigger}/pause"), json!({})).await.is(200);
    let adid = device::advertising_id(1);
    app.install("SX-1", json!({ "device_ids": { "adid": adid } })).await;
    assert_eq!(server.deliveries("state=pending").await.len(), 1);
    link.click(&format!("adid={adid}&click_id=late&click_time={}", crate::harness::now() - 300)).await;
    eventually("the revision", async || {
        (app.attribution("SX-1").await["decision"]["revision"] == 1).then_some(())
    })
    .await;
    server.post(&format!("/api/triggers/{trigger}/resume"), json!({})).await.is(200);
    let hit = sink.receives("/pb", 1).await.remove(0);
    assert_eq!(hit.query, "c=late&m=device_id");
    server.settled("", "delivered", 1).await;
    let withdrawn = server.deliveries("state=suppressed").await;
    assert_eq!(withdrawn.len(), 1, "{withdrawn:?}");
    assert_eq!(withdrawn[0]["reason"], "superseded", "{withdrawn:?}");
    assert!(server.deliveries("state=pending").await.is_empty());
    assert_eq!(sink.all().len(), 1, "everybody hears once");
    server.balanced().await;
}

#[tokio::test]
async fn deliveries_are_filtered_and_paged() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    sink.on("/dead", [crate::harness::Reply::Status(404)]);
    let (one, other) = (server.app("Android").await, server.app("iOS").await);
    let good = one.trigger("install", json!({ "cpi_mostback_url": sink.url("/good") })).await;
    let dead = other.trigger("install", json!({ "cpi_mostback_url": sink.url("/dead") })).await;
    for n in 0..5 {
        one.install(&format!("SX-{n}"), json!({})).await;
        other.install(&format!("SX-{n}"), json!({})).await;
    }
    server.settled("", "delivered", 5).await;
    server.settled("", "dead", 5).await;
    let count = async |query: String| server.deliveries(&query).await.len();
    assert_eq!(count(String::new()).await, 10);
    assert_eq!(count(format!("app={}", one.id)).await, 5);
    assert_eq!(count(format!("trigger={good}")).await, 5);
    assert_eq!(count(format!("trigger={dead}&state=delivered")).await, 0);
    assert_eq!(count(format!("trigger={dead}&state=dead")).await, 5);
    assert_eq!(count(format!("app={}&state=pending", one.id)).await, 0);
    let mut seen = std::collections::BTreeSet::new();
    let mut token = String::new();
    for _ in 0..4 {
        let page = server.get(&format!("/api/deliveries?limit=3{token}")).await.is(200).json();
        let rows = page["data"].as_array().unwrap();
        assert!(rows.len() <= 3);
        seen.extend(rows.iter().map(|row| row["delivery_id"].as_str().unwrap().to_owned()));
        match page["nextToken"].as_str() {
            Some(next) => token = format!("&pageToken={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 10);
    for wrong in ["state=gone", "limit=0", "limit=x", "install=x", "pageToken=x", "app=x"] {
        server.get(&format!("/api/deliveries?{wrong}")).await.is(400);
    }
}

#[tokio::test]
async fn corrections_are_told_to_those_who_ask_for_them() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let trigger = |template: u64, path: &str, corrections: bool| {
        json!({ "type": "install", "template_id": template, "context": {
            "cpi_mostback_url": sink.url(&format!("{path}?d={{delivery_id}}&m={{match_type}}")),
            "sx_delivery": "all", "sx_corrections": corrections } })
    };
    let silent = app.trigger_with(trigger(3373, "/once", false)).await;
    app.trigger_with(trigger(3374, "/each", true)).await;
    let adid = device::advertising_id(1);
    app.install("SX-1", json!({ "device_ids": { "adid": adid } })).await;
    server.settled("", "delivered", 2).await;
    link.click(&format!("adid={adid}&click_time={}", crate::harness::now() - 600)).await;
    let hits = sink.receives("/each", 2).await;
    assert_ne!(hits[0].parameter("d"), hits[1].parameter("d"), "a revision is another delivery");
    assert_ne!(hits[0].parameter("m"), hits[1].parameter("m"));
    server.settled("", "delivered", 3).await;
    assert_eq!(sink.hits("/once").len(), 1);
    let suppressed = server.deliveries(&format!("trigger={silent}&state=suppressed")).await;
    assert_eq!(suppressed.len(), 1, "{suppressed:?}");
    assert_eq!(suppressed[0]["reason"], "duplicate", "{suppressed:?}");
    server.balanced().await;
}

#[tokio::test]
async fn installs_can_be_held_back_until_the_decision_is_sure() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    // Long enough for a click on a machine that does other things as well.
    let settings = json!({ "postbacks.hold_install": "8s" });
    let app = server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
    let link = app.link("Example Network").await;
    let url = sink.url("/install?m={match_type}");
    app.trigger("install", json!({ "cpi_mostback_url": url, "sx_delivery": "all" })).await;
    let adid = device::advertising_id(1);
    app.install("SX-1", json!({ "device_ids": { "adid": adid } })).await;
    link.click(&format!("adid={adid}&click_time={}", crate::harness::now() - 600)).await;
    let hit = sink.receives("/install", 1).await.remove(0);
    server.settled("", "delivered", 1).await;
    eventually("nothing is pending", async || {
        server.deliveries("state=pending").await.is_empty().then_some(())
    })
    .await;
    assert_eq!(sink.all().len(), 1, "one install, told once");
    assert!(
        hit.parameter("m").is_some_and(|class| class.contains("device")),
        "by its last decision: {}",
        hit.query
    );
    server.balanced().await;
}
