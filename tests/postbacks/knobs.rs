//! The settings of a trigger in the running program, and the reasons they lead to (postbacks.md sections 5
//! and 7). Every case of each setting is a line in the tests of `measure`.

use crate::harness::{App, Server, Sink, Value, device, eventually, json, now};

const DAY: i64 = 86_400;

/// The reasons why nothing was sent for a trigger, in order.
async fn reasons(server: &Server, trigger: u64) -> Vec<String> {
    let rows = server.deliveries(&format!("trigger={trigger}&state=suppressed")).await;
    let mut reasons: Vec<String> =
        rows.iter().map(|row| row["reason"].as_str().unwrap().to_owned()).collect();
    reasons.sort();
    reasons
}

async fn event(app: &App, name: &str, fields: Value) {
    let mut data = json!({ "event_name": name, "event_data": {}, "device_ua": device::PIXEL });
    data.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    app.send("event", "SX-1", data).await.accepted();
}

/// A cap is of a day of UTC: when one ends in the middle of it, it is done again on the next.
#[tokio::test]
async fn caps_and_first_events_are_counted_over_a_restart() {
    let day = || now() / DAY;
    loop {
        let began = day();
        let [capped, first] = caps_and_first_events().await;
        if day() != began {
            continue;
        }
        assert_eq!(capped, (3, vec!["rate_cap".to_owned(); 2]));
        assert_eq!(first, (2, vec!["filtered".to_owned(); 3]));
        return;
    }
}

/// How often the partners of two triggers were told, and why not: one may send three postbacks a day, the other
/// wants the first event of each name only.
async fn caps_and_first_events() -> [(usize, Vec<String>); 2] {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    app.install("SX-1", json!({})).await;
    event(&app, "Old", json!({})).await;
    let url = |path: &str, more: Value| {
        let mut context = json!({ "cpi_mostback_url": sink.url(path) });
        context.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        context
    };
    let capped = app.trigger("event", url("/capped", json!({ "sx_rate_cap": "3/day" }))).await;
    let first = json!({ "type": "event", "template_id": 3374, "context":
        url("/first", json!({ "sx_delivery": "all", "sx_filter": { "first": true } })) });
    let first = app.trigger_with(first).await;
    event(&app, "Purchase", json!({})).await;
    event(&app, "Purchase", json!({})).await;
    server.terminate().await;
    server.start_again().await;
    event(&app, "Purchase", json!({})).await;
    event(&app, "Old", json!({})).await;
    event(&app, "New", json!({})).await;
    eventually("nothing is pending", async || {
        server.deliveries("state=pending").await.is_empty().then_some(())
    })
    .await;
    server.balanced().await;
    [
        (sink.hits("/capped").len(), reasons(&server, capped).await),
        (sink.hits("/first").len(), reasons(&server, first).await),
    ]
}

#[tokio::test]
async fn sharing_rules_and_sessions() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let adid = device::advertising_id(1);
    let installed = now() - 4 * DAY;
    link.click(&format!("adid={adid}&click_time={}", installed - 60)).await;
    let data = json!({ "usertime": installed, "device_ids": { "adid": adid }, "device_ua": device::PIXEL });
    app.install("SX-1", data).await;
    let sessions = json!({ "type": "event", "template_id": 9027, "filter_str": "_SessionBegin", "context": {
        "sx_network_id": link.network, "cpi_network_mostback_url": sink.url("/session") } });
    let sessions = app.trigger_with(sessions).await;
    let ruled = json!({ "type": "event", "filter_str": "Ruled", "context": {
        "cpi_mostback_url": sink.url("/ruled"), "sx_data_controlled": true, "sx_consent": true } });
    let ruled = app.trigger_with(ruled).await;
    for hours in [1, 25, 26, 48, 50] {
        event(&app, "_SessionBegin", json!({ "usertime": installed + hours * 3_600 })).await;
    }
    assert_eq!(sink.receives("/session", 2).await.len(), 2);
    assert_eq!(reasons(&server, sessions).await, ["session_cap", "session_cap", "session_cap"]);

    event(&app, "Ruled", json!({ "event_data": { "data_controlled": true } })).await;
    let refused =
        json!({ "gdpr_privacy_consent": { "gdpr_applies": 1, "ad_user_data": 0, "ad_personalization": 0 } });
    event(&app, "Ruled", refused).await;
    assert_eq!(reasons(&server, ruled).await, ["consent", "data_controlled"]);
    assert!(sink.hits("/ruled").is_empty());
    server.balanced().await;
}

#[tokio::test]
async fn a_trigger_that_lacks_something_sends_nothing_until_it_is_set() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let context = json!({ "cpi_posthog_mostback_url": sink.url("/capture") });
    let trigger = app.trigger_with(json!({ "type": "event", "template_id": 9010, "context": context })).await;
    app.event("SX-1", "View", json!({})).await;
    assert_eq!(reasons(&server, trigger).await, ["incomplete"]);
    let key = json!({ "context": { "cpi_posthog_api_key": "phc_1", "sx_event_name": "Renamed" } });
    server.patch(&format!("/postbacks/{trigger}"), key).await.is(200);
    app.event("SX-1", "View", json!({ "page": { "id": 3 } })).await;
    let hit = sink.receives("/capture", 1).await.remove(0);
    let body: Value = serde_json::from_str(&hit.body).unwrap();
    assert_eq!((&body["event"], &body["distinct_id"]), (&json!("Renamed"), &json!("SX-1")));
    assert_eq!(body["properties"]["data"], json!({ "page": { "id": 3 } }));
    // The delivery names the version it was made with, and the history has it.
    let delivered = server.settled(&format!("trigger={trigger}"), "delivered", 1).await;
    assert_eq!(delivered[0]["trigger_version"], 2);
    let history = server.get(&format!("/api/triggers/{trigger}/versions")).await.is(200).json();
    assert_eq!(history["data"][1]["trigger"]["context"]["sx_event_name"], "Renamed");
}
