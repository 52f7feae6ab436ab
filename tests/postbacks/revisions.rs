//! What later decisions send of a conversion, and what they withdraw (DECISIONS 6).

use crate::harness::{App, Server, Sink, Value, device, eventually, json, now};

const DAY: i64 = 86_400;

/// What a trigger's ledger says was delivered, and why the rest was not.
async fn ledger(server: &Server, trigger: u64) -> (Value, Value) {
    let ledger = server.get(&format!("/api/triggers/{trigger}/ledger")).await.is(200).json();
    (ledger["delivered"].clone(), ledger["suppressed"].clone())
}

async fn nothing_is_pending(server: &Server) {
    eventually("nothing is pending", async || {
        server.deliveries("state=pending").await.is_empty().then_some(())
    })
    .await;
}

fn android(adid: &str) -> Value {
    json!({ "device_ua": device::PIXEL, "device_ids": { "adid": adid } })
}

async fn named(app: &App, device: &str, name: &str) {
    app.send("event", device, json!({ "event_name": name })).await.accepted();
}

#[tokio::test]
async fn who_was_told_nothing_is_told_once_there_is_something_to_tell() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let filtered = json!({ "cpi_mostback_url": sink.url("/filtered"), "sx_filter": { "attributed": true } });
    let filtered = app.trigger("install", filtered).await;
    let all = json!({ "cpi_mostback_url": sink.url("/all"), "sx_delivery": "all" });
    let all = app.trigger_with(json!({ "type": "install", "template_id": 3374, "context": all })).await;
    let wanting = json!({ "cpi_mostback_url": sink.url("/wanting?d={adid}"), "sx_required": "adid" });
    let wanting = app.trigger("event", wanting).await;
    let adid = device::advertising_id(1);
    named(&app, "SX-1", "Early").await;
    app.install("SX-1", android(&adid)).await;
    link.click(&format!("adid={adid}&click_time={}", now() - 60)).await;
    assert_eq!(sink.receives("/filtered", 1).await.len(), 1);
    assert_eq!(sink.receives("/wanting", 1).await[0].query, format!("d={adid}"));
    nothing_is_pending(&server).await;
    assert_eq!(ledger(&server, filtered).await, (json!(1), json!({ "filtered": 1 })));
    assert_eq!(ledger(&server, wanting).await, (json!(1), json!({ "duplicate": 1, "missing_macro": 1 })));
    // Who was told is told once.
    assert_eq!(ledger(&server, all).await, (json!(1), json!({ "duplicate": 1 })));
    server.balanced().await;
}

#[tokio::test]
async fn what_waits_of_an_event_is_sent_as_it_was_decided_last() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let context = json!({ "cpi_mostback_url": sink.url("/pb?c={click_id}&d={adid}"), "sx_delivery": "all" });
    let trigger = app.trigger("event", context).await;
    server.post(&format!("/api/triggers/{trigger}/pause"), json!({})).await.is(200);
    let adid = device::advertising_id(1);
    named(&app, "SX-1", "Early").await;
    app.install("SX-1", android(&adid)).await;
    link.click(&format!("adid={adid}&click_id=late&click_time={}", now() - 60)).await;
    server.post(&format!("/api/triggers/{trigger}/resume"), json!({})).await.is(200);
    let hits = sink.receives("/pb", 1).await;
    nothing_is_pending(&server).await;
    assert_eq!(sink.hits("/pb").len(), 1);
    assert!(hits[0].query.ends_with(&format!("d={adid}")), "{hits:?}");
    assert_eq!(ledger(&server, trigger).await.0, json!(1));
    server.balanced().await;
}

#[tokio::test]
async fn a_decision_that_changes_remembers_what_came_before() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let to = |path: &str, more: Value| {
        let mut context =
            json!({ "sx_network_id": link.network, "cpi_network_mostback_url": sink.url(path) });
        context.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        context
    };
    let trigger = async |template: u64, name: &str, context: Value| {
        let fields =
            json!({ "type": "event", "template_id": template, "filter_str": name, "context": context });
        app.trigger_with(fields).await
    };
    let first = trigger(9027, "Buy", to("/first", json!({ "sx_filter": { "first": true } }))).await;
    let sessions = trigger(9027, "_SessionBegin", to("/session", json!({}))).await;
    let adid = device::advertising_id(1);
    let installed = now() - 3 * DAY;
    let mut data = android(&adid);
    data["usertime"] = json!(installed);
    app.install("SX-1", data).await;
    for _ in 0..2 {
        named(&app, "SX-1", "Buy").await;
    }
    for minutes in [0, 10, 20] {
        let time = installed + DAY + 60 * minutes;
        app.send("event", "SX-1", json!({ "event_name": "_SessionBegin", "usertime": time }))
            .await
            .accepted();
    }
    link.click(&format!("adid={adid}&click_time={}", installed - 60)).await;
    assert_eq!(sink.receives("/first", 1).await.len(), 1);
    assert_eq!(sink.receives("/session", 1).await.len(), 1);
    nothing_is_pending(&server).await;
    assert_eq!(ledger(&server, first).await, (json!(1), json!({ "filtered": 1, "not_attributed": 2 })));
    assert_eq!(ledger(&server, sessions).await.0, json!(1));
    server.balanced().await;
}

#[tokio::test]
async fn what_is_withdrawn_keeps_no_place_in_a_cap() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let url = sink.url("/pb?c={click_id}");
    let context = json!({ "cpi_mostback_url": url, "sx_delivery": "all", "sx_rate_cap": "1/day" });
    let trigger = app.trigger("install", context).await;
    server.post(&format!("/api/triggers/{trigger}/pause"), json!({})).await.is(200);
    let adid = device::advertising_id(1);
    app.install("SX-1", android(&adid)).await;
    link.click(&format!("adid={adid}&click_time={}", now() - 60)).await;
    app.install("SX-2", android(&device::advertising_id(2))).await;
    server.post(&format!("/api/triggers/{trigger}/resume"), json!({})).await.is(200);
    sink.receives("/pb", 1).await;
    nothing_is_pending(&server).await;
    assert_eq!(ledger(&server, trigger).await, (json!(1), json!({ "rate_cap": 1, "superseded": 1 })));
    server.balanced().await;
}

#[tokio::test]
async fn only_the_first_of_the_events_that_wait_is_the_first() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let context = json!({ "cpi_mostback_url": sink.url("/pb"), "sx_filter": { "first": true } });
    let trigger = app.trigger("event", context).await;
    for _ in 0..2 {
        named(&app, "SX-1", "Buy").await;
    }
    app.install("SX-1", android(&device::advertising_id(1))).await;
    sink.receives("/pb", 1).await;
    nothing_is_pending(&server).await;
    assert_eq!(ledger(&server, trigger).await, (json!(1), json!({ "duplicate": 1, "filtered": 2 })));
}
