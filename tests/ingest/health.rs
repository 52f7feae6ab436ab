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
    assert_eq!(row("install")["missing"]["adid"], json!({ "count": 1, "of": 1, "percent": 100 }), "{health}");
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
    assert_eq!(asked["device"]["verdict"], "integration complete", "{asked}");
    assert_eq!(asked["device"]["missing"], json!([]), "{asked}");
    assert!(asked["device"]["next"].as_str().unwrap().starts_with("send an event"), "{asked}");
    app.event("d-1", "Open", json!({})).await;
    let asked = health(&app, "?device=d-1").await;
    assert_eq!(
        (&asked["device"]["complete"], &asked["device"]["next"]),
        (&json!(true), &json!(null)),
        "{asked}"
    );

    app.install("d-2", json!({})).await;
    let asked = health(&app, "?device=d-2").await;
    let missing = asked["device"]["missing"].to_string();
    for what in ["device identifier", "origination_ip", "device_ua", "usertime"] {
        assert!(missing.contains(what), "{what}: {asked}");
    }
}

/// The sentence of the issue that this page answers.
#[tokio::test]
async fn a_verdict_names_the_source_and_what_to_mend() {
    let app = Server::start().await.app("iOS").await;
    let made = json!({ "kind": "segment", "name": "segment-prod", "key": "writeKey7" });
    app.server.post(&format!("/api/apps/{}/sources", app.id), made).await.is(201);
    for _ in 0..2 {
        app.server.sends("/v1/track", r#"{"event":"Open","writeKey":"writeKey7"}"#).await.is(200);
    }
    let health = health(&app, "").await;
    let verdict = "events from `segment-prod` carry no device identifier: none can be linked";
    assert!(health["verdicts"].as_array().unwrap().contains(&json!(verdict)), "{health}");
}

#[tokio::test]
async fn what_was_not_taken_is_counted_by_source_and_action() {
    let app = Server::start().await.app("Android").await;
    let server = &app.server;
    let sources = format!("/api/apps/{}/sources", app.id);
    for (kind, name) in [("segment", "segment-prod"), ("amplitude", "amplitude-prod"), ("web", "site")] {
        let made = json!({ "kind": kind, "name": name, "key": name });
        server.post(&sources, made).await.is(201);
    }
    // In quarantine, each kind.
    server.sends("/v1/track", r#"{"writeKey":"segment-prod"}"#).await.is(400);
    let batch =
        r#"{"writeKey":"segment-prod","batch":[{"type":"track"},{"type":"identify","userId":"u-1"}]}"#;
    server.sends("/v1/batch", batch).await.is(200);
    let upload = r#"{"api_key":"amplitude-prod","events":[{"event_type":"A"},{"event_type":"B","device_id":"device-1"}]}"#;
    server.sends("/2/httpapi", upload).await.is(400);
    let browser =
        json!({ "action": "event", "kochava_app_id": "site", "sdk_version": "WebTracker 3.0.4", "data": {} });
    server.sends("/track/json/", browser.to_string()).await.is(400);
    app.send("event", "d-1", json!({})).await.refused(400);
    // Refused, and not kept.
    let list = server.get(&sources).await.is(200).json();
    let path = format!("{sources}/{}", list["data"][0]["id"]);
    server.patch(&path, json!({ "status": "disabled" })).await.is(200);
    let install = r#"{"writeKey":"segment-prod","event":"Application Installed","userId":"u-1"}"#;
    server.sends("/v1/track", install).await.is(403);

    let health = health(&app, "").await;
    let told: Vec<String> = health["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            format!(
                "{} {}: {} {} {}",
                text("source"),
                text("action"),
                row["accepted"],
                row["quarantined"],
                row["refused"]
            )
        })
        .collect();
    let expected = [
        "s2s event: 0 1 0",
        "segment-prod event: 0 2 0",
        "segment-prod identity_link: 1 0 0",
        "segment-prod install: 0 0 1",
        "amplitude-prod event: 0 1 1",
        "site event: 0 1 0",
    ];
    assert_eq!(told, expected, "{health}");
    assert_eq!(health["quarantined"]["count"], 5, "{health}");
    assert!(verdicts(&health).contains("`segment-prod` is switched off"), "{health}");
    server.balanced().await;
}

#[tokio::test]
async fn payloads_of_other_platforms_are_shown_masked_too() {
    let app = Server::start().await.app("iOS").await;
    let call = json!({ "writeKey": app.guid, "userId": "user-4242", "anonymousId": "anon-77",
        "traits": { "email": "a@example.com" }, "context": { "ip": "203.0.113.9" } });
    app.server.sends("/v1/identify", call.to_string()).await.is(200);
    let upload = json!({ "api_key": app.guid, "events": [{ "event_type": "Open", "device_id": "device-77",
        "user_id": "user-4242", "ip": "203.0.113.9", "user_properties": { "email": "a@example.com" } }] });
    app.server.sends("/2/httpapi", upload.to_string()).await.is(200);
    let health = health(&app, "").await;
    assert_eq!(health["last_payloads"].as_array().unwrap().len(), 2, "{health}");
    let text = health["last_payloads"].to_string();
    assert!(text.contains("Open"), "{text}");
    for secret in ["user-4242", "anon-77", "device-77", "a@example.com", "203.0.113.9"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}
