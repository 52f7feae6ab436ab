//! Triggers as they are run: paused and resumed, watched, signed for (docs/delivery.md).

use std::time::Duration;

use crate::harness::{Reply, Server, Sink, eventually, json};

#[tokio::test]
async fn a_paused_trigger_plans_and_keeps_until_it_is_resumed() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let paused = app.trigger("install", json!({ "cpi_mostback_url": sink.url("/paused") })).await;
    let other = json!({ "type": "install", "template_id": 4000,
                        "context": { "cpi_mostback_url": sink.url("/other"), "sx_delivery": "all" } });
    app.trigger_with(other).await;
    let path = format!("/api/triggers/{paused}");
    let answer = server.post(&format!("{path}/pause"), json!({})).await.is(200).json();
    assert_eq!(answer, json!({ "trigger_id": paused, "paused": true }));
    for n in 0..5 {
        app.install(&format!("SX-{n}"), json!({})).await;
    }
    sink.receives("/other", 5).await;
    let health = server.get(&format!("{path}/health")).await.is(200).json();
    assert_eq!((&health["state"], &health["paused"]), (&json!("paused"), &json!(true)), "{health}");
    assert!(health["oldest_pending"]["delivery_id"].is_string(), "{health}");
    // It stays so over a restart.
    server.kill9();
    server.start_again().await;
    app.install("SX-5", json!({})).await;
    sink.receives("/other", 6).await;
    assert_eq!(server.deliveries(&format!("trigger={paused}&state=pending")).await.len(), 6);
    assert!(sink.hits("/paused").is_empty());
    server.balanced().await;
    server.post(&format!("{path}/resume"), json!({})).await.is(200);
    sink.receives("/paused", 6).await;
    server.settled(&format!("trigger={paused}"), "delivered", 6).await;
    server.post("/api/triggers/999/pause", json!({})).await.is(404);
}

#[tokio::test]
async fn triggers_that_fail_ask_to_be_looked_at() {
    let server = Server::with(&[("SEXTANT_COURIER_BREAKER_FAILURES", "6")]).await;
    let (good, bad) = (Sink::start().await, Sink::start().await);
    bad.on("/pb", [Reply::Status(503)]);
    let app = server.app("Android").await;
    let fine = app.trigger("install", json!({ "cpi_mostback_url": good.url("/pb") })).await;
    let failing = json!({ "type": "install", "template_id": 4000,
                          "context": { "cpi_mostback_url": bad.url("/pb"), "sx_delivery": "all" } });
    let failing = app.trigger_with(failing).await;
    for n in 0..8 {
        app.install(&format!("SX-{n}"), json!({})).await;
    }
    server.settled(&format!("trigger={fine}"), "delivered", 8).await;
    let rows = eventually("the breaker opens", async || {
        let rows = server.get(&format!("/api/triggers?app={}", app.id)).await.is(200).json();
        let row = rows["data"].as_array()?.iter().find(|row| row["trigger_id"] == failing)?.clone();
        (row["breaker"]["state"] == "open").then_some(rows)
    })
    .await;
    let row = |id: u64| rows["data"].as_array().unwrap().iter().find(|row| row["trigger_id"] == id).unwrap();
    assert_eq!((&row(fine)["state"], &row(fine)["alerts"]), (&json!("ok"), &json!([])), "{rows}");
    assert_eq!(row(failing)["state"], "alert", "{rows}");
    assert_eq!(row(failing)["alerts"], json!(["failures", "breaker_open"]), "{rows}");
    assert_eq!(row(failing)["attempts"]["failure_percent"], 100, "{rows}");
    assert_eq!(row(failing)["target"], format!("127.0.0.1:{}", bad.port()), "{rows}");
    assert_eq!(row(failing)["last_failure"]["error"], "http", "{rows}");
    // While it is left alone no attempts are used up: what came after waits without any.
    app.install("SX-9", json!({})).await;
    server.settled(&format!("trigger={fine}"), "delivered", 9).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let pending = server.deliveries(&format!("trigger={failing}&state=pending")).await;
    assert!(pending.iter().any(|row| row["attempts_made"] == 0), "{pending:?}");
}

#[tokio::test]
async fn a_trigger_whose_oldest_postback_waits_too_long_asks_to_be_looked_at() {
    let server = Server::with(&[("SEXTANT_COURIER_ALERT_PENDING_AGE", "1s")]).await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let context = json!({ "cpi_mostback_url": sink.url("/late"), "deferred_for": 600_000 });
    let late = app.trigger("install", context).await;
    let idle = app.trigger("event", json!({ "cpi_mostback_url": sink.url("/event") })).await;
    app.install("SX-1", json!({})).await;
    let health =
        async |trigger: u64| server.get(&format!("/api/triggers/{trigger}/health")).await.is(200).json();
    let row = eventually("the postback is old", async || {
        let row = health(late).await;
        (row["state"] == "alert").then_some(row)
    })
    .await;
    assert_eq!(row["alerts"], json!(["pending_age"]), "{row}");
    assert!(row["oldest_pending"]["age_s"].as_i64() >= Some(1), "{row}");
    let pending = server.deliveries("state=pending").await;
    assert_eq!(row["oldest_pending"]["delivery_id"], pending[0]["delivery_id"], "{row}");
    let row = health(idle).await;
    assert_eq!((&row["state"], &row["alerts"]), (&json!("idle"), &json!([])), "{row}");
}

#[tokio::test]
async fn requests_are_signed_with_every_secret_there_is() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let context =
        json!({ "cpi_mostback_url": sink.url("/pb"), "sx_signing_secret": given, "sx_body": "{\"v\":1}" });
    let fields = json!({ "app_id": app.id, "type": "install", "title": "t", "template_id": 3373, "active": true,
                         "context": context });
    let made = server.post("/postbacks", fields).await.is(201);
    assert!(!made.text().contains("whsec_"), "a secret is not shown: {}", made.text());
    let trigger = made.json()["data"][0]["id"].clone();
    let path = format!("/api/triggers/{trigger}/secrets");
    let shown = server.post(&path, json!({})).await.is(201).json();
    assert!(shown["secret"].as_str().unwrap().starts_with("whsec_"), "{shown}");
    let list = server.get(&path).await.is(200);
    assert!(!list.text().contains("whsec_"), "{}", list.text());
    assert_eq!(list.json()["data"].as_array().unwrap().len(), 2);
    app.install("SX-1", json!({})).await;
    let hit = sink.receives("/pb", 1).await.remove(0);
    let id = &hit.headers["x-sextant-delivery"];
    assert_eq!(hit.headers["webhook-id"], *id);
    assert_eq!(hit.headers["webhook-signature"].split(' ').filter(|part| part.starts_with("v1,")).count(), 2);
    assert!(hit.headers["webhook-timestamp"].parse::<i64>().is_ok());
    // One that is there already stays what it is, however often it is sent.
    let patch = format!("/postbacks/{trigger}");
    for _ in 0..6 {
        server.patch(&patch, json!({ "context": { "sx_signing_secret": given } })).await.is(200);
    }
    let same = server.post(&path, json!({ "secret": given })).await.is(201).json();
    assert_eq!((&same["id"], &same["created"]), (&json!(1), &list.json()["data"][0]["created"]), "{same}");
    assert_eq!(server.get(&path).await.is(200).json(), list.json());
    for wrong in ["", "secret"] {
        let context = json!({ "context": { "sx_signing_secret": wrong } });
        let answer = server.patch(&patch, context).await.is(400).json();
        let error = answer["errors"][0].as_str().unwrap_or_default();
        assert!(error.starts_with("context.sx_signing_secret: "), "{answer}");
    }
    // The first is taken out of use.
    server.delete(&format!("{path}/1")).await.is(204);
    server.delete(&format!("{path}/1")).await.is(404);
    app.install("SX-2", json!({})).await;
    let hits = sink.receives("/pb", 2).await;
    assert_eq!(hits[1].headers["webhook-signature"].split(' ').count(), 1);
    for wrong in ["", "secret", "whsec_", "whsec_AAAA", "whsec_ÄÖ"] {
        server.post(&path, json!({ "secret": wrong })).await.is(400);
    }
    // Nothing of it lies in the open on the disk.
    server.terminate().await;
    let log = server.log();
    assert!(!log.contains("whsec_"), "{log}");
}

#[tokio::test]
async fn a_delivery_shows_everything_but_secrets() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    sink.on(
        "/pb",
        [Reply::With(500, "x-request-id: r-1\r\nretry-after: 1\r\nset-cookie: c=1"), Reply::Text("thanks")],
    );
    let app = server.app("Android").await;
    let url = sink.url("/pb?api_key=abc&d={kochava_device_id}");
    let trigger = app
        .trigger("install", json!({ "cpi_mostback_url": url, "sx_body": "{\"token\":\"t\",\"v\":1}" }))
        .await;
    app.install("SX-1", json!({})).await;
    let row = server.settled(&format!("trigger={trigger}"), "delivered", 1).await.remove(0);
    let one = server.get(&format!("/api/deliveries/{}", row["delivery_id"].as_str().unwrap())).await.is(200);
    assert_eq!(one.json(), row);
    let url = sink.url("/pb?api_key=***&d=SX-1");
    let body = "{\"token\":\"***\",\"v\":1}";
    assert_eq!(
        (&row["url"], &row["body"], &row["method"]),
        (&json!(url), &json!(body), &json!("POST")),
        "{row}"
    );
    assert_eq!((&row["attempts_made"], &row["attempts_allowed"]), (&json!(2), &json!(4)), "{row}");
    let [failed, done] = row["attempts"].as_array().unwrap().as_slice() else { panic!("{row}") };
    for attempt in [failed, done] {
        assert_eq!((&attempt["url"], &attempt["body"]), (&json!(url), &json!(body)), "{row}");
        assert!(attempt["ms"].is_number() && attempt["started"].is_string(), "{row}");
    }
    assert!(failed["connect_ms"].is_number(), "the first one had to connect: {row}");
    assert_eq!(
        failed["headers"],
        json!({ "content-length": "0", "retry-after": "1", "x-request-id": "r-1" })
    );
    assert_eq!(
        (&failed["error"], &done["error"], &done["response"]),
        (&json!("http"), &json!(null), &json!("thanks"))
    );
    assert_eq!(sink.hits("/pb")[0].parameter("api_key").as_deref(), Some("abc"), "it is sent as it is");
    server.get("/api/deliveries/dlv_x").await.is(404);
}
