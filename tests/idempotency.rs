//! A retry counts once (DECISIONS 26).

use reqwest::Method;

use crate::harness::{Answer, Answered as _, App, Server, json};

async fn send(app: &App, key: &str, body: &str) -> Answer {
    let request = app.server.request(Method::POST, "/track/json").header("Idempotency-Key", key);
    request.body(body.to_owned()).answer().await
}

fn event(app: &App, name: &str) -> String {
    app.body("event", "SX-1", json!({ "event_name": name, "event_data": { "sum": 3 } })).to_string()
}

#[tokio::test]
async fn a_key_makes_a_retry_answer_as_the_first_time() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let first = send(&app, "k-1", &event(&app, "Purchase")).await;
    let again = send(&app, "k-1", &event(&app, "Purchase")).await;
    assert_eq!((again.status, again.text()), (first.status, first.text()));
    assert_eq!(again.accepted(), first.accepted());
    assert_ne!(send(&app, "k-2", &event(&app, "Purchase")).await.accepted(), first.accepted());
    // Another body under the same key is a mistake of the sender's.
    send(&app, "k-1", &event(&app, "View")).await.refused(409);
    // A key belongs to an app.
    let other = server.app("iOS").await;
    send(&other, "k-1", &event(&other, "Purchase")).await.accepted();

    server.kill9();
    server.start_again().await;
    assert_eq!(send(&app, "k-1", &event(&app, "Purchase")).await.accepted(), first.accepted());
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["by_kind"]["event"], 3, "{ledger}");
}

#[tokio::test]
async fn an_install_and_its_postbacks_happen_once() {
    let server = Server::start().await;
    let sink = crate::harness::Sink::start().await;
    let app = server.app("iOS").await;
    app.trigger("install", json!({ "cpi_mostback_url": sink.url("/install") })).await;
    let body = app.body("install", "SX-1", json!({})).to_string();
    let mut inputs = std::collections::BTreeSet::new();
    for _ in 0..5 {
        inputs.insert(send(&app, "k-1", &body).await.accepted());
    }
    assert_eq!(inputs.len(), 1, "{inputs:?}");
    server.settled("", "delivered", 1).await;
    let ledger = server.balanced().await;
    assert_eq!(ledger["postbacks"]["due"], 1, "{ledger}");
    assert_eq!(sink.all().len(), 1);
}

#[tokio::test]
async fn retries_at_the_same_moment_count_once() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let mut retries = tokio::task::JoinSet::new();
    for n in 0..40 {
        let app = app.clone();
        retries.spawn(async move {
            send(&app, &format!("k-{}", n % 4), &event(&app, "Purchase")).await.accepted()
        });
    }
    let mut inputs = std::collections::BTreeSet::new();
    while let Some(input) = retries.join_next().await {
        inputs.insert(input.unwrap());
    }
    assert_eq!(inputs.len(), 4, "{inputs:?}");
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["accepted"], 4, "{ledger}");
}

#[tokio::test]
async fn an_array_is_retried_element_by_element() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let element =
        |n: u64| app.body("event", "SX-1", json!({ "event_name": "View", "event_data": { "n": n } }));
    let body = json!([element(1), element(2), element(3)]).to_string();
    let first = send(&app, "k-1", &body).await.is(200);
    let again = send(&app, "k-1", &body).await.is(200);
    assert_eq!(first.inputs().len(), 3);
    assert_eq!(again.inputs(), first.inputs());
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["accepted"], 3, "{ledger}");
}

#[tokio::test]
async fn an_nt_id_is_a_key_and_a_browser_is_never_told_of_a_conflict() {
    let server = Server::start().await;
    let web = server.app("Web").await;
    let body = |app: &App, name: &str| {
        let mut body =
            app.body("event", "KB1760000000T5f2b0c1d9e8f4a7b8c6d5e4f3a2b1c0d", json!({ "event_name": name }));
        body["nt_id"] = json!("1f0c2-1-9c0d3b52-8f5e-4bb1-a7a5-6e2d4c8b0f17");
        body["sdk_version"] = json!("WebTracker 3.0.4");
        body.to_string()
    };
    let first = server.sends("/track/json/", body(&web, "page")).await.accepted();
    assert_eq!(server.sends("/track/json/", body(&web, "page")).await.accepted(), first);
    assert_eq!(server.sends("/track/json/", body(&web, "another page")).await.accepted(), first);
    assert_eq!(server.input(&first).await["event"]["name"], "page", "kept once, the first");
    // Elsewhere it is a conflict.
    let app = server.app("iOS").await;
    server.sends("/track/json", body(&app, "page")).await.accepted();
    server.sends("/track/json", body(&app, "another page")).await.refused(409);
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["accepted"], 2, "{ledger}");
}

#[tokio::test]
async fn a_refused_call_can_be_mended_under_the_same_key() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let broken = app.body("event", "SX-1", json!({})).to_string();
    let first = send(&app, "k-1", &broken).await;
    first.refused(400);
    // Until it is mended it is answered as the first time, and counts once.
    let again = send(&app, "k-1", &broken).await;
    assert_eq!((again.status, again.text(), again.inputs()), (400, first.text(), first.inputs()));
    send(&app, "k-1", &event(&app, "Purchase")).await.accepted();
    let ledger = server.balanced().await;
    let inputs = &ledger["inputs"];
    assert_eq!((&inputs["quarantined"], &inputs["accepted"]), (&json!(1), &json!(1)), "{ledger}");
    let kept = server.get(&format!("/api/apps/{}/quarantine", app.id)).await.is(200).json();
    assert_eq!(kept["data"].as_array().map(Vec::len), Some(1), "{kept}");
}

#[tokio::test]
async fn links_are_retried_too() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let click = async |query: &str| {
        let request = server.request(Method::GET, &link.path(query)).header("Idempotency-Key", "k-1");
        request.answer().await
    };
    let first = click("pbr=1&click_id=p-1").await.accepted();
    assert_eq!(click("pbr=1&click_id=p-1").await.accepted(), first);
    click("pbr=1&click_id=p-2").await.refused(409);
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["by_kind"]["click"], 1, "{ledger}");
}
