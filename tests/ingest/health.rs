//! Whether what senders send can be used (docs/health.md).

use crate::harness::{App, Server, Value, device, json};

async fn health(app: &App, query: &str) -> Value {
    app.server.get(&format!("/api/apps/{}/health{query}", app.id)).await.is(200).json()
}

fn verdicts(health: &Value) -> String {
    health["verdicts"].to_string()
}

#[tokio::test]
async fn an_app_that_nobody_sends_to_says_so() {
    let app = Server::start().await.app("Android").await;
    let health = health(&app, "").await;
    assert_eq!(health["verdicts"], json!(["nothing was received"]), "{health}");
    assert_eq!(health["complete"], true);
    app.server.get(&format!("/api/apps/{}/health?hours=0", app.id)).await.is(400);
    app.server.get("/api/apps/77/health").await.is(404);
}

#[tokio::test]
async fn what_payloads_lack_is_counted_by_action_and_said() {
    let app = Server::start().await.app("Android").await;
    app.install("d-1", json!({ "origination_ip": "203.0.113.9", "device_ua": device::PIXEL })).await;
    for _ in 0..3 {
        let data = json!({ "event_name": "Purchase", "event_data": { "sum": 1 } });
        app.send("event", "", data).await.accepted();
    }
    app.event("d-1", "Purchase", json!({ "sum": 2 })).await;
    let health = health(&app, "").await;
    let rows = health["sources"].as_array().unwrap();
    let row = |action: &str| rows.iter().find(|row| row["action"] == action).cloned().unwrap();
    assert_eq!(row("event")["accepted"], 4, "{health}");
    assert_eq!(row("event")["source"], "s2s", "{health}");
    assert_eq!(
        row("event")["missing"]["join_key"],
        json!({ "count": 3, "of": 4, "percent": 75 }),
        "{health}"
    );
    assert_eq!(row("install")["missing"]["ip"], json!({ "count": 0, "of": 1, "percent": 0 }), "{health}");
    assert_eq!(row("install")["missing"]["device_identifier"]["count"], 1, "{health}");
    let said = verdicts(&health);
    assert!(said.contains("75 % of events from `s2s` carry no device identifier"), "{said}");
    assert!(said.contains("only be matched by likeness"), "{said}");
}

#[tokio::test]
async fn the_last_payloads_are_shown_masked_with_what_became_of_them() {
    let app = Server::start().await.app("Android").await;
    let adid = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed";
    let data = json!({ "origination_ip": "203.0.113.9", "device_ids": { "adid": adid } });
    app.install("d-1", data).await;
    app.event("d-1", "Open", json!({})).await;
    app.send("event", "d-1", json!({})).await.refused(400);
    let health = health(&app, "").await;
    let became: Vec<&str> =
        health["last_payloads"].as_array().unwrap().iter().filter_map(|row| row["became"].as_str()).collect();
    assert_eq!(became, ["quarantined", "linked", "installed"], "{health}");
    let text = health["last_payloads"].to_string();
    assert!(!text.contains(adid) && !text.contains("203.0.113.9"), "{text}");
    assert_eq!(health["quarantined"]["count"], 1, "{health}");
    assert!(verdicts(&health).contains("1 bodies could not be used"), "{health}");
}

#[tokio::test]
async fn a_test_device_is_complete_or_says_what_is_missing() {
    let app = Server::start().await.app("Android").await;
    let asked = health(&app, "?device=d-1").await;
    assert_eq!(asked["device"]["complete"], false, "{asked}");
    assert!(asked["device"]["verdict"].as_str().unwrap().contains("no install of this device"), "{asked}");
    let adid = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed";
    let data = json!({
        "origination_ip": "203.0.113.9", "device_ua": device::PIXEL, "usertime": crate::harness::now(),
        "device_ids": { "adid": adid },
    });
    app.install("d-1", data).await;
    let asked = health(&app, &format!("?device={adid}")).await;
    assert_eq!(asked["device"]["complete"], false, "{asked}");
    assert_eq!(asked["device"]["missing"].as_array().unwrap().len(), 1, "only an event: {asked}");
    app.event("d-1", "Open", json!({})).await;
    let asked = health(&app, "?device=d-1").await;
    assert_eq!(asked["device"]["verdict"], "integration complete", "{asked}");
    assert_eq!(asked["device"]["missing"], json!([]), "{asked}");
}
