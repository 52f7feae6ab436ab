//! Segment's HTTP Tracking API and webhooks over HTTP.

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use reqwest::Method;

use crate::harness::{Answer, Answered as _, App, Server, Value, json};

fn basic(key: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{key}:")))
}

/// Sends a call with the app's GUID as write key.
async fn send(app: &App, path: &str, body: Value) -> Answer {
    let request = app.server.request(Method::POST, path).header("Authorization", basic(&app.guid));
    request.body(body.to_string()).answer().await
}

/// The one input of a call that was taken.
async fn taken(app: &App, path: &str, body: Value) -> Value {
    let answer = send(app, path, body).await.is(200);
    assert_eq!(answer.json(), json!({ "success": true }), "{}", answer.text());
    let inputs = answer.inputs();
    assert_eq!(inputs.len(), 1);
    app.server.input(&inputs[0]).await
}

fn phone(call: Value) -> Value {
    let mut call = call;
    call["context"] = json!({
        "ip": "203.0.113.24", "os": { "name": "Android", "version": "14" },
        "device": { "id": "9774d56d682e549c", "advertisingId": "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", "model": "Pixel 8" },
    });
    call
}

#[tokio::test]
async fn an_install_is_attributed_and_events_join_it() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let click = link.click("adid=1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed").await;
    let install =
        taken(&app, "/v1/track", phone(json!({ "event": "Application Installed", "anonymousId": "a-1" })))
            .await;
    assert_eq!(install["kind"], "install", "{install}");
    assert_eq!(app.winner("9774d56d682e549c").await, click);

    // A server knows only who it was.
    let order = json!({ "event": "Order Completed", "anonymousId": "a-1", "userId": "u-42",
        "timestamp": "2025-10-09T08:53:20Z", "properties": { "revenue": 14.99, "currency": "EUR" } });
    let row = taken(&app, "/v1/track", order).await;
    assert_eq!(row["event"], json!({ "name": "Purchase", "amount": "14.99", "currency": "EUR" }), "{row}");
    assert_eq!(row["time"], "2025-10-09T08:53:20.000Z", "{row}");
    assert_eq!(row["outcomes"][0]["outcome"], "linked", "{row}");
    assert_eq!(row["outcomes"][1]["changed"], json!(["user_id"]), "{row}");
    // An event is known from the first time on.
    let known = server.get(&format!("/api/apps/{}/events", app.id)).await.is(200).json();
    assert_eq!(known["data"][0]["name"], "Purchase", "{known}");
    server.balanced().await;
}

#[tokio::test]
async fn every_path_takes_its_call() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let check = async |paths: &[&str], body: Value, kind: &str| {
        for path in paths {
            let row = taken(&app, path, body.clone()).await;
            assert_eq!(row["kind"], kind, "{path}: {row}");
        }
    };
    check(&["/v1/track", "/v1/t"], json!({ "event": "A", "userId": "u-1" }), "event").await;
    check(&["/v1/page", "/v1/p", "/v1/screen", "/v1/s"], json!({ "name": "A", "userId": "u-1" }), "event")
        .await;
    check(&["/v1/identify", "/v1/i", "/v1/alias", "/v1/a"], json!({ "userId": "u-1" }), "identity_link")
        .await;
    check(&["/v1/group", "/v1/g"], json!({ "userId": "u-1", "groupId": "g" }), "identity_link").await;
    let batch = json!({ "batch": [{ "type": "track", "event": "A", "userId": "u-1" }] });
    check(&["/v1/batch", "/v1/b", "/v1/import"], batch, "event").await;
}

#[tokio::test]
async fn the_write_key_is_the_guid_or_a_sources_own_wherever_it_stands() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let made = json!({ "kind": "segment", "key": "writeKey9" });
    server.post(&format!("/api/apps/{}/sources", app.id), made).await.is(201);
    for key in [app.guid.as_str(), "writeKey9"] {
        let call = json!({ "event": "A", "userId": "u-1", "writeKey": key });
        server.sends("/v1/t", call.to_string()).await.is(200);
        let batch = json!({ "writeKey": key, "batch": [{ "type": "track", "event": "A" }] });
        server.sends("/v1/batch", batch.to_string()).await.is(200);
        let request = server.request(Method::POST, "/v1/track").header("Authorization", basic(key));
        request.header("Content-Type", "text/plain").body(r#"{"event":"A"}"#).answer().await.is(200);
    }
    for body in [json!({ "event": "A" }), json!({ "event": "A", "writeKey": "nobody" })] {
        let answer = server.sends("/v1/track", body.to_string()).await.is(401);
        assert_eq!(answer.json()["success"], false, "{}", answer.text());
    }
    let kept = server.get("/api/apps/unknown/quarantine").await.is(200).json();
    assert_eq!(kept["data"].as_array().map(Vec::len), Some(2), "{kept}");
    server.balanced().await;
}

#[tokio::test]
async fn what_repeats_a_message_id_counts_once() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let batch = json!({ "batch": [{ "type": "track", "event": "A", "userId": "u-1", "messageId": "m-1" },
        { "type": "track", "event": "A", "userId": "u-1", "messageId": "m-2" }] });
    let first = send(&app, "/v1/batch", batch.clone()).await.is(200).inputs();
    assert_eq!(send(&app, "/v1/batch", batch).await.is(200).inputs(), first);
    // Browsers write another time of sending into a retry.
    let retry =
        json!({ "event": "A", "userId": "u-1", "messageId": "m-1", "sentAt": "2025-10-09T08:53:20Z" });
    assert_eq!(send(&app, "/v1/t", retry).await.is(200).inputs(), first[..1]);
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["accepted"], 2, "{ledger}");
}

#[tokio::test]
async fn identifies_change_only_what_is_new_and_wait_for_their_install() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let identify = |traits: Value| json!({ "userId": "u-42", "anonymousId": "a-1", "traits": traits });
    let early = send(&app, "/v1/identify", identify(json!({ "plan": "free" }))).await.is(200).inputs();
    let row = server.input(&early[0]).await;
    assert_eq!(row["outcomes"][0]["outcome"], "no_install", "{row}");
    taken(&app, "/v1/track", json!({ "event": "Application Installed", "anonymousId": "a-1" })).await;
    let row = server.input(&early[0]).await;
    assert_eq!(row["outcomes"][1]["outcome"], "linked", "{row}");
    assert_eq!(row["outcomes"][2]["changed"], json!(["user_id", "plan"]), "{row}");

    let changed = async |traits: Value| {
        let row = taken(&app, "/v1/identify", identify(traits)).await;
        row["outcomes"][1]["changed"].clone()
    };
    assert_eq!(changed(json!({ "plan": "free" })).await, json!([]));
    assert_eq!(changed(json!({ "plan": "pro", "in_audience": true })).await, json!(["plan", "in_audience"]));
    assert_eq!(changed(json!({ "plan": "pro", "in_audience": false })).await, json!(["in_audience"]));
}

#[tokio::test]
async fn streams_and_sources_are_switched_off_one_by_one() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let made = json!({ "kind": "segment", "streams": { "installs": false } });
    let made = server.post(&format!("/api/apps/{}/sources", app.id), made).await.is(201).json();
    let path = format!("/api/apps/{}/sources/{}", app.id, made["id"]);
    let installed = json!({ "event": "Application Installed", "anonymousId": "a-1" });
    let row = taken(&app, "/v1/track", installed.clone()).await;
    assert_eq!(row["kind"], "ignored", "{row}");
    assert_eq!(
        row["ignored"],
        json!({ "reason": "installs_off", "event": "Application Installed" }),
        "{row}"
    );
    assert_eq!(taken(&app, "/v1/track", json!({ "event": "A" })).await["kind"], "event");

    server.patch(&path, json!({ "streams": { "installs": true, "events": false } })).await.is(200);
    assert_eq!(taken(&app, "/v1/track", installed).await["kind"], "install");
    let row = taken(&app, "/v1/track", json!({ "event": "A" })).await;
    assert_eq!(row["ignored"]["reason"], "events_off", "{row}");

    server.patch(&path, json!({ "status": "disabled" })).await.is(200);
    send(&app, "/v1/track", json!({ "event": "A" })).await.is(403);
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["by_kind"]["ignored"], 2, "{ledger}");
}

#[tokio::test]
async fn batches_list_what_was_not_taken() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let batch =
        json!({ "batch": [{ "type": "track" }, { "type": "track", "event": "A" }, { "type": "poll" }, 7] });
    let answer = send(&app, "/v1/batch", batch).await.is(200);
    let body = answer.json();
    assert_eq!(body["success"], true, "{body}");
    assert_eq!(answer.inputs().len(), 1);
    let rejected = body["rejected"].as_array().expect("a list");
    let indexes: Vec<_> = rejected.iter().map(|entry| entry["index"].as_u64()).collect();
    assert_eq!(indexes, [Some(0), Some(2), Some(3)], "{body}");
    for body in [r#"{"batch":[{"type":"track"}]}"#, r#"{"batch":[]}"#, "{}", "", "[", "nonsense"] {
        let request = server.request(Method::POST, "/v1/batch").header("Authorization", basic(&app.guid));
        let answer = request.body(body).answer().await.is(400);
        assert_eq!(answer.json()["success"], false, "{body}");
        assert!(answer.json()["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    }
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["received"], 4 + 6, "{ledger}");
    assert_eq!(ledger["inputs"]["quarantined"], 3 + 6, "{ledger}");
}

#[tokio::test]
async fn sizes_are_limited_as_documented_and_gzip_is_inflated() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let call =
        |bytes: usize| json!({ "type": "track", "event": "A", "properties": { "a": "a".repeat(bytes) } });
    let room = 32 * 1_024 - call(0).to_string().len();
    send(&app, "/v1/track", call(room)).await.is(200);
    send(&app, "/v1/track", call(room + 1)).await.is(400);
    let answer = send(&app, "/v1/batch", json!({ "batch": [call(room), call(room + 1)] })).await.is(200);
    assert_eq!(answer.json()["rejected"][0]["index"], 1, "{}", answer.text());
    let batch = |calls: usize| json!({ "batch": vec![call(30_000); calls] }).to_string();
    assert!(batch(16).len() < 500 * 1_024 && batch(18).len() > 500 * 1_024);
    let gzip = |body: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    send(&app, "/v1/batch", json!({ "batch": vec![json!({}); 20_001] })).await.is(400);
    for (calls, status) in [(16, 200), (18, 400)] {
        let request = server.request(Method::POST, "/v1/batch").header("Authorization", basic(&app.guid));
        request.body(batch(calls)).answer().await.is(status);
        let request = server.request(Method::POST, "/v1/batch").header("Authorization", basic(&app.guid));
        request.header("Content-Encoding", "gzip").body(gzip(&batch(calls))).answer().await.is(status);
    }
    server.balanced().await;
}

#[tokio::test]
async fn browsers_may_call_from_other_pages() {
    let server = Server::start().await;
    let app = server.app("Web").await;
    let request = server.request(Method::OPTIONS, "/v1/t").header("Origin", "https://shop.example.com");
    let request =
        request.header("Access-Control-Request-Headers", "authorization,content-type,x-retry-count");
    let answer = request.answer().await.is(204);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-headers"), "authorization,content-type,x-retry-count");
    let call = json!({ "event": "A", "anonymousId": "a-1", "writeKey": app.guid,
        "context": { "library": { "name": "analytics.js" } } });
    let answer = server.sends("/v1/t", call.to_string()).await.is(200);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let answer = server.sends("/v1/t", "nonsense").await.is(400);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn webhooks_are_signed() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let made = json!({ "kind": "segment", "secret": "shared-secret" });
    let made = server.post(&format!("/api/apps/{}/sources", app.id), made).await.is(201).json();
    let path = made["webhook_path"].as_str().expect("a path").to_owned();
    let send = async |body: &str, signature: &str| {
        let request = server.request(Method::POST, &path).header("X-Signature", signature);
        request.body(body.to_owned()).answer().await
    };
    // HMAC-SHA1 computed with another implementation.
    let one = r#"{"type":"track","event":"A"}"#;
    let signature = "e5fa9a5f5544634797061946abfb37e34d556e80";
    send(one, signature).await.is(200);
    let many = r#"[{"type":"track","event":"A"},{"type":"track","event":"B"}]"#;
    assert_eq!(send(many, "8953f18343dafca4db645b9d392ecdbabe421774").await.is(200).inputs().len(), 2);
    assert_eq!(send(many, signature).await.is(200).inputs().len(), 2, "of the first event alone");
    for bad in ["", "00", &signature.replace('a', "b")] {
        send(one, bad).await.is(401);
    }
    server.request(Method::POST, "/segment/webhook/nobody").body(one).answer().await.is(401);
    server.balanced().await;
}

#[tokio::test]
async fn too_many_calls_of_an_app_are_told_when_to_come_again() {
    let server = Server::start().await;
    let app = server
        .app_with(
            json!({ "name": "Shop", "platform": "iOS", "settings": { "limits.app_requests_per_second": 1 } }),
        )
        .await;
    // At once: one after the other they may be slower than the limit on a busy machine.
    let call = async || send(&app, "/v1/track", json!({ "event": "A" })).await;
    let (one, two, three, four) = tokio::join!(call(), call(), call(), call());
    let refused = [one, two, three, four].into_iter().find(|answer| answer.status == 429);
    let refused = refused.expect("one in four within a second is too many");
    assert_eq!(refused.header("retry-after"), "2");
    assert_eq!(refused.header("x-ratelimit-reset"), "2");
    server.balanced().await;
}

/// What came in from Segment as an install goes back to it as `Install Attributed`, with the campaign. Sextant
/// itself stands for Segment: another app of it is the workspace.
#[tokio::test]
async fn the_loop_is_closed_by_install_attributed() {
    const INSTALL_ATTRIBUTED: u64 = 9_001;
    let server = Server::start().await;
    let app = server.app("Android").await;
    let workspace = server.app("Android").await;
    let link = app.link("Example Network").await;
    let endpoint = format!("http://{}/v1/track", server.address());
    let context = json!({ "cpi_segment_write_key": workspace.guid, "cpi_segment_mostback_url": endpoint });
    let trigger = app
        .trigger_with(json!({ "type": "install", "template_id": INSTALL_ATTRIBUTED, "context": context }))
        .await;
    link.click("click_id=p-77&creative_id=cr-9&adid=1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed").await;
    taken(&app, "/v1/track", phone(json!({ "event": "Application Installed", "anonymousId": "a-1" }))).await;
    server.settled(&format!("trigger={trigger}"), "delivered", 1).await;

    let health = server.get(&format!("/api/apps/{}/health", workspace.id)).await.is(200).json();
    let came = health["last_payloads"].as_array().unwrap();
    assert_eq!(came.len(), 1, "{health}");
    assert_eq!(came[0]["source"], "segment", "{health}");
    let row = server.input(came[0]["input_id"].as_str().unwrap()).await;
    assert_eq!(row["kind"], "event", "{row}");
    assert_eq!(row["event"]["name"], "Install Attributed", "{row}");
    let body = came[0]["body"].as_str().unwrap();
    for said in ["Example Network", "p-77", "cr-9", "Sextant"] {
        assert!(body.contains(said), "{said}: {body}");
    }
    // An install without an ad has nothing to tell.
    let other = json!({ "event": "Application Installed", "anonymousId": "a-2",
        "context": { "ip": "198.51.100.7", "device": { "id": "0000d56d682e549c" } } });
    taken(&app, "/v1/track", other).await;
    let suppressed = server.deliveries(&format!("trigger={trigger}&state=suppressed")).await;
    assert_eq!(suppressed.len(), 1, "{suppressed:?}");
    server.balanced().await;
}
