//! The ledger of a trigger: matching conversions = delivered + pending + dead + suppressed, by reason
//! (docs/delivery.md).

use crate::harness::{Reply, Server, Sink, Value, device, eventually, json};

async fn ledger(server: &Server, trigger: u64) -> Value {
    server.get(&format!("/api/triggers/{trigger}/ledger")).await.is(200).json()
}

/// The whole ledger of a trigger, once it is as expected.
async fn comes_to(server: &Server, trigger: u64, expected: [u64; 4], suppressed: Value) {
    let [matching, delivered, pending, dead] = expected;
    let balanced = eventually("the ledger of a trigger", async || {
        let row = ledger(server, trigger).await;
        (row["delivered"] == delivered && row["dead"] == dead && row["pending"] == pending).then_some(row)
    })
    .await;
    assert_eq!(balanced["matching"], matching, "{balanced}");
    assert_eq!(balanced["suppressed"], suppressed, "{balanced}");
    assert_eq!(
        (&balanced["balanced"], &balanced["counted_since"]),
        (&json!(true), &Value::Null),
        "{balanced}"
    );
}

#[tokio::test]
async fn every_matching_conversion_is_accounted_for_by_its_trigger() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    sink.on("/refuses", [Reply::Status(404)]);
    let every = app.trigger("event", json!({ "cpi_mostback_url": sink.url("/every") })).await;
    let sales = json!({ "type": "event", "filter_str": "Sale", "context": {
        "cpi_mostback_url": sink.url("/refuses"), "sx_filter": { "min_revenue": 5 }, "sx_countries": "!CN" } });
    let sales = app.trigger_with(sales).await;
    let never = app.trigger("click", json!({ "cpi_mostback_url": sink.url("/never") })).await;
    for (name, sum) in [("Sale", 9), ("Sale", 1), ("View", 0), ("Sale", 7)] {
        app.event("SX-1", name, json!({ "sum": sum })).await;
    }
    comes_to(&server, every, [4, 4, 0, 0], json!({})).await;
    comes_to(&server, sales, [3, 0, 0, 2], json!({ "filtered": 1 })).await;
    comes_to(&server, never, [0, 0, 0, 0], json!({})).await;

    // What is sent again is pending, and counted as what becomes of it.
    sink.on("/refuses", [Reply::Status(200)]);
    let again = json!({ "trigger": sales, "dry_run": false });
    server.post("/api/replays", again).await.is(202);
    comes_to(&server, sales, [3, 2, 0, 0], json!({ "filtered": 1 })).await;

    // A deleted trigger keeps its ledger; over a restart as well.
    let change = json!({ "context": { "deferred_for": 600_000 } });
    server.patch(&format!("/postbacks/{sales}"), change).await.is(200);
    app.event("SX-1", "Sale", json!({ "sum": 9 })).await;
    comes_to(&server, sales, [4, 2, 1, 0], json!({ "filtered": 1 })).await;
    server.delete(&format!("/postbacks/{sales}")).await.is(200);
    comes_to(&server, sales, [4, 2, 0, 0], json!({ "filtered": 1, "trigger_deleted": 1 })).await;
    server.kill9();
    server.start_again().await;
    comes_to(&server, sales, [4, 2, 0, 0], json!({ "filtered": 1, "trigger_deleted": 1 })).await;
    comes_to(&server, every, [5, 5, 0, 0], json!({})).await;
    server.balanced().await;
    server.get("/api/triggers/999/ledger").await.is(404);
}

#[tokio::test]
async fn a_correction_is_counted_for_both_networks() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let (one, other) = (app.link("One").await, app.link("Other").await);
    let to = |network: &str, template: u64, path: &str| {
        json!({ "type": "install", "template_id": template, "context": {
            "cpi_mostback_url": sink.url(path), "sx_network_id": network } })
    };
    let to_one = app.trigger_with(to(&one.network, 3373, "/one")).await;
    let to_other = app.trigger_with(to(&other.network, 3374, "/other")).await;
    // So that nothing is sent before the other click is in, however long that takes.
    server.post(&format!("/api/triggers/{to_one}/pause"), json!({})).await.is(200);
    let adid = device::advertising_id(1);
    let at = |minutes: i64| format!("adid={adid}&click_time={}", crate::harness::now() - 60 * minutes);
    one.click(&at(9)).await;
    app.install("SX-1", json!({ "device_ids": { "adid": adid }, "device_ua": device::PIXEL })).await;
    comes_to(&server, to_one, [1, 0, 1, 0], json!({})).await;
    comes_to(&server, to_other, [1, 0, 0, 0], json!({ "other_network": 1 })).await;
    other.click(&at(5)).await;
    comes_to(&server, to_one, [2, 0, 0, 0], json!({ "influencer_only": 1, "superseded": 1 })).await;
    server.post(&format!("/api/triggers/{to_one}/resume"), json!({})).await.is(200);
    comes_to(&server, to_other, [2, 1, 0, 0], json!({ "other_network": 1 })).await;
    assert!(sink.hits("/one").is_empty());
    server.balanced().await;
}
