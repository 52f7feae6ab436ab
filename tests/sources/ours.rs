//! Sources whose calls are in our own format: server-to-server calls and browsers.

use crate::harness::{Answer, App, Server, Value, json};

/// A source of the app; its path and key.
async fn source(app: &App, kind: &str, name: &str) -> (String, String) {
    let sources = format!("/api/apps/{}/sources", app.id);
    let made = app.server.post(&sources, json!({ "kind": kind, "name": name })).await.is(201).json();
    (format!("{sources}/{}", made["id"]), made["key"].as_str().expect("a key").to_owned())
}

/// Sends a call that names `key` where the app's GUID would stand.
async fn send(app: &App, key: &str, action: &str, fields: Value) -> Answer {
    let mut body = json!({ "action": action, "kochava_app_id": key, "kochava_device_id": "SX-1",
        "data": { "event_name": "Open", "identity_link": { "user_id": "u-42" }, "idfa": "358f3cc563911c41542fa3394787f529" } });
    body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    app.server.sends("/track/json", body.to_string()).await
}

fn browser() -> Value {
    json!({ "sdk_version": "WebTracker 3.0.4" })
}

async fn kind(app: &App, answer: &Answer) -> Value {
    app.server.input(&answer.accepted()).await["kind"].clone()
}

#[tokio::test]
async fn a_sources_key_stands_for_the_guid_and_tells_senders_apart() {
    let app = Server::start().await.app("Android").await;
    let (_, backend) = source(&app, "s2s", "backend").await;
    let (_, shop) = source(&app, "s2s", "shop").await;
    let (_, browsers) = source(&app, "web", "browsers").await;
    assert_eq!(kind(&app, &send(&app, &backend, "install", json!({})).await).await, "install");
    let event = app.server.input(&send(&app, &shop, "event", json!({})).await.accepted()).await;
    assert_eq!(event["outcomes"][0]["outcome"], "linked", "both are the same app: {event}");
    // A key of another kind means nobody: whoever sends it is not who the key says.
    send(&app, &browsers, "event", json!({})).await.refused(404);
    send(&app, &backend, "event", browser()).await.refused(404);
    send(&app, &browsers, "event", browser()).await.accepted();
    // The GUID means the first source of the kind.
    send(&app, &app.guid, "event", json!({})).await.accepted();
    let link = json!({ "kochava_app_id": shop, "device_id": { "adid": "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed" },
        "data": { "user_id": "u-42" } });
    app.server.sends("/v1/cpi/identityLink.php", link.to_string()).await.accepted();

    let health = app.server.get(&format!("/api/apps/{}/health", app.id)).await.is(200).json();
    let rows = health["sources"].as_array().expect("rows").iter();
    let told: Vec<String> = rows
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", text("source"), text("action"), row["accepted"])
        })
        .collect();
    let expected =
        ["backend event 1", "backend install 1", "shop event 1", "shop identity_link 1", "browsers event 1"];
    assert_eq!(told, expected, "{health}");
    app.server.balanced().await;
}

#[tokio::test]
async fn a_source_that_is_switched_off_refuses_servers_and_drains_browsers() {
    let app = Server::start().await.app("Web").await;
    let server = &app.server;
    let (backend, key) = source(&app, "s2s", "backend").await;
    let (other, _) = source(&app, "s2s", "other").await;
    let (browsers, _) = source(&app, "web", "browsers").await;
    for path in [&backend, &browsers] {
        server.patch(path, json!({ "status": "disabled" })).await.is(200);
    }
    let said = send(&app, &key, "event", json!({})).await.refused(403);
    assert!(said.contains("switched off"), "{said}");
    // The GUID means the first of its kind; the other one goes on under its own key.
    send(&app, &app.guid, "event", json!({})).await.refused(403);
    let key = server.get(&other).await.is(200).json()["key"].as_str().expect("a key").to_owned();
    send(&app, &key, "event", json!({})).await.accepted();

    let drained = send(&app, &app.guid, "event", browser()).await;
    let row = server.input(&drained.accepted()).await;
    assert_eq!(row["ignored"], json!({ "reason": "source_off", "event": null }), "{row}");
    server.patch(&browsers, json!({ "status": "enabled" })).await.is(200);
    assert_eq!(kind(&app, &send(&app, &app.guid, "event", browser()).await).await, "event");
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["by_kind"], json!({ "event": 2, "ignored": 1 }), "{ledger}");
    assert_eq!(ledger["inputs"]["refused"], 2, "{ledger}");
}

#[tokio::test]
async fn streams_are_switched_one_by_one() {
    let app = Server::start().await.app("iOS").await;
    let (path, _) = source(&app, "s2s", "backend").await;
    let check = async |streams: Value, expected: [&str; 4]| {
        app.server.patch(&path, json!({ "streams": streams })).await.is(200);
        for (action, expected) in ["install", "event", "update", "identityLink"].into_iter().zip(expected) {
            let row = app.server.input(&send(&app, &app.guid, action, json!({})).await.accepted()).await;
            let became = row["ignored"]["reason"].as_str().or(row["kind"].as_str());
            assert_eq!(became, Some(expected), "{action} under {streams}: {row}");
        }
    };
    check(json!({ "installs": false }), ["installs_off", "event", "update", "identity_link"]).await;
    let off = ["install", "events_off", "events_off", "events_off"];
    check(json!({ "installs": true, "events": false }), off).await;
    app.server.balanced().await;
}
