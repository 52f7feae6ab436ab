//! Sources as people set them up.

use crate::harness::{App, Server, Value, json};

async fn source(app: &App, fields: Value) -> Value {
    app.server.post(&format!("/api/apps/{}/sources", app.id), fields).await.is(201).json()
}

fn path(app: &App, source: &Value) -> String {
    format!("/api/apps/{}/sources/{}", app.id, source["id"])
}

#[tokio::test]
async fn a_source_is_made_changed_and_deleted() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let made = source(&app, json!({ "kind": "segment", "name": "segment-prod" })).await;
    assert_eq!(made["status"], "enabled", "{made}");
    assert_eq!(made["streams"], json!({ "installs": true, "events": true }), "{made}");
    assert_eq!(made["mapping"]["renames"]["Order Completed"], "Purchase", "{made}");
    assert_eq!(made["mapping"]["install"], json!(["Application Installed"]), "{made}");
    let key = made["key"].as_str().expect("a key");
    assert_eq!(made["webhook_path"], format!("/segment/webhook/{key}"));
    assert_eq!(made["secret"].as_str().map(str::len), Some(64), "shown when it is made: {made}");

    let path = path(&app, &made);
    let shown = server.get(&path).await.is(200).json();
    assert_eq!(shown["secret"], Value::Null, "and never again: {shown}");
    assert_eq!(shown["key"], key);
    let list = server.get(&format!("/api/apps/{}/sources", app.id)).await.is(200).json();
    assert_eq!(list["data"][0]["name"], "segment-prod", "{list}");

    // What is shown may be sent back.
    assert_eq!(server.patch(&path, shown.clone()).await.is(200).json()["mapping"], shown["mapping"]);
    let change = json!({ "name": "Segment", "streams": { "installs": false }, "key": "oldWriteKey7",
        "mapping": { "events": ["Order Completed"], "renames": { "Order Completed": "Sale" } } });
    let changed = server.patch(&path, change).await.is(200).json();
    assert_eq!(changed["streams"], json!({ "installs": false, "events": true }), "{changed}");
    assert_eq!(changed["mapping"]["events"], json!(["Order Completed"]), "{changed}");
    assert_eq!(changed["mapping"]["renames"], json!({ "Order Completed": "Sale" }), "{changed}");
    assert_eq!(changed["mapping"]["install"], json!(["Application Installed"]), "{changed}");
    assert_eq!(changed["key"], "oldWriteKey7");

    server.delete(&path).await.is(200);
    server.get(&path).await.is(404);
    server.sends("/v1/track", r#"{"event":"A","writeKey":"oldWriteKey7"}"#).await.is(401);
}

#[tokio::test]
async fn a_mapping_without_what_it_needs_is_refused_by_name() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let made = source(&app, json!({ "kind": "segment" })).await;
    let path = path(&app, &made);
    let check = async |identifiers: Value, words: &[&str]| {
        let body = json!({ "mapping": { "identifiers": identifiers } });
        let answer = server.patch(&path, body).await.is(400).text();
        for word in words {
            assert!(answer.contains(word), "{answer}");
        }
    };
    check(
        json!({}),
        &["identifiers.kochava_device_id", "identifiers.ip", "idfa", "idfv", "adid", "android_id"],
    )
    .await;
    check(json!({ "kochava_device_id": "anonymousId", "idfv": "context.device.id" }), &["identifiers.ip"])
        .await;
    check(
        json!({ "kochava_device_id": "anonymousId", "ip": "context.ip", "email": "traits.email" }),
        &["one of"],
    )
    .await;
    check(json!({ "kochava_device_id": 7 }), &["mapping.identifiers.kochava_device_id"]).await;
    let enough =
        json!({ "kochava_device_id": "anonymousId", "ip": "context.ip", "idfv": "context.device.id" });
    server.patch(&path, json!({ "mapping": { "identifiers": enough } })).await.is(200);
    for body in [
        json!({ "status": "off" }),
        json!({ "streams": { "users": true } }),
        json!({ "mapping": { "events": "some" } }),
        json!({ "mapping": { "nonsense": 1 } }),
        json!({ "nonsense": 1 }),
        json!({ "key": "with space" }),
    ] {
        server.patch(&path, body).await.is(400);
    }
}

#[tokio::test]
async fn keys_belong_to_one_source() {
    let server = Server::start().await;
    let (app, other) = (server.app("iOS").await, server.app("Android").await);
    source(&app, json!({ "kind": "amplitude", "key": "shared" })).await;
    let taken = json!({ "kind": "amplitude", "key": "shared" });
    server.post(&format!("/api/apps/{}/sources", other.id), taken).await.is(409);
    let guid = json!({ "kind": "segment", "key": app.guid });
    server.post(&format!("/api/apps/{}/sources", other.id), guid).await.is(409);
    server.post("/apps", json!({ "name": "Shop", "platform": "iOS", "guid": "shared" })).await.is(409);
}

#[tokio::test]
async fn kinds_whose_calls_are_ours_have_no_mapping_and_no_secret() {
    let server = Server::start().await;
    let app = server.app("Web").await;
    for kind in ["s2s", "web"] {
        let made = source(&app, json!({ "kind": kind, "name": "ours" })).await;
        assert_eq!((&made["mapping"], &made["secret"]), (&Value::Null, &Value::Null), "{made}");
        assert!(made["key"].as_str().is_some_and(|key| key.len() == 32), "{made}");
        let path = path(&app, &made);
        server.patch(&path, made).await.is(200);
        for body in [json!({ "mapping": { "events": "all" } }), json!({ "secret": "s" })] {
            server.patch(&path, body).await.is(400);
        }
        let change =
            json!({ "status": "disabled", "streams": { "events": false }, "key": format!("{kind}-7") });
        let changed = server.patch(&path, change).await.is(200).json();
        assert_eq!(changed["status"], "disabled", "{changed}");
        assert_eq!(changed["streams"], json!({ "installs": true, "events": false }), "{changed}");
        assert_eq!(changed["key"], format!("{kind}-7"), "{changed}");
    }
    server.post(&format!("/api/apps/{}/sources", app.id), json!({ "kind": "mixpanel" })).await.is(400);
    server.post("/api/apps/999/sources", json!({ "kind": "segment" })).await.is(404);
}

#[tokio::test]
async fn a_preview_shows_what_a_call_becomes_and_stores_nothing() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let preview = async |kind: &str, body: Value| {
        let made = source(&app, json!({ "kind": kind })).await;
        let answer = server.post(&format!("{}/preview", path(&app, &made)), body).await.is(200).json();
        assert_eq!(answer["stored"], false);
        answer["data"].as_array().expect("a list").clone()
    };
    let batch = json!({ "batch": [
        { "type": "track", "event": "Order Completed", "anonymousId": "a-1", "userId": "u-42",
          "timestamp": "2025-10-09T08:53:20Z", "properties": { "revenue": 14.99, "currency": "EUR" } },
        { "type": "track", "event": "Application Installed", "anonymousId": "a-1" },
        { "type": "identify", "userId": "u-42", "traits": { "plan": "pro" } },
        { "type": "track" },
    ] });
    let rows = preview("segment", batch).await;
    assert_eq!(rows[0]["becomes"], "event", "{rows:?}");
    assert_eq!(rows[0]["event_name"], "Purchase", "{rows:?}");
    assert_eq!((&rows[0]["amount"], &rows[0]["currency"]), (&json!("14.99"), &json!("EUR")));
    assert_eq!(rows[0]["time"], "2025-10-09T08:53:20.000Z");
    assert_eq!(rows[0]["device"]["kochava_device_id"], "a-1");
    assert_eq!(rows[0]["user"], json!([["$set", "user_id", ["u-42"]]]));
    assert_eq!(rows[1]["becomes"], "install", "{rows:?}");
    assert_eq!(rows[2]["becomes"], "identity_link", "{rows:?}");
    assert_eq!((&rows[3]["becomes"], &rows[3]["status"]), (&json!("refused"), &json!(400)));

    let event =
        json!({ "event_type": "Level Complete", "device_id": "device-1", "price": 4.99, "quantity": 3 });
    let rows = preview("amplitude", event).await;
    assert_eq!((&rows[0]["event_name"], &rows[0]["amount"]), (&json!("Level Complete"), &json!("14.97")));

    let s2s = app.body("event", "SX-1", json!({ "event_name": "View" }));
    assert_eq!(preview("s2s", s2s.clone()).await[0]["event_name"], "View");
    let off = source(&app, json!({ "kind": "s2s", "streams": { "events": false } })).await;
    let answer = server.post(&format!("{}/preview", path(&app, &off)), s2s).await.is(200).json();
    assert_eq!(
        (&answer["data"][0]["becomes"], &answer["data"][0]["reason"]),
        (&json!("ignored"), &json!("events_off"))
    );

    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["received"], 0, "{ledger}");
}
