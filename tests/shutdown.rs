//! SIGTERM: nothing that was received is lost, and the program ends in time.

use std::time::Duration;

use crate::harness::{Answered as _, App, Load, Reply, Server, Sink, json, within};

/// A load of installs and events on an app.
fn load(app: &App, senders: usize) -> Load {
    let app = app.clone();
    Load::of(senders, move |n| {
        let app = app.clone();
        async move {
            let device = format!("SX-{}", n / 2);
            let body = match n % 2 {
                0 => app.body("install", &device, json!({ "device_ids": { "custom": device } })),
                _ => app.body(
                    "event",
                    &device,
                    json!({ "event_name": "Purchase", "event_data": { "sum": 1 } }),
                ),
            };
            let request = app.server.request(reqwest::Method::POST, "/track/json");
            request.body(body.to_string()).try_answer().await
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_told_to_end_under_load_exits_with_0_and_keeps_its_word() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    app.trigger("install", json!({ "cpi_mostback_url": sink.url("/install?d={delivery_id}") })).await;
    let load = load(&app, 16);
    within(Duration::from_secs(60), "some load", async || (load.held() > 300).then_some(())).await;
    server.terminate().await;
    let held = load.end().await;
    server.start_again().await;
    for input in &held {
        assert_eq!(server.input(input).await["became"], "accepted", "{input}");
    }
    within(Duration::from_secs(60), "every postback delivered", async || {
        server.deliveries("state=pending").await.is_empty().then_some(())
    })
    .await;
    let ledger = server.balanced().await;
    assert!(ledger["inputs"]["accepted"].as_u64() >= Some(held.len() as u64), "{ledger}");
    assert_eq!(ledger["postbacks"]["due"], ledger["postbacks"]["delivered"], "{ledger}");
}

#[tokio::test]
async fn a_partner_that_hangs_does_not_hold_up_the_end() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    sink.on("/hang", [Reply::Hang, Reply::Status(200)]);
    let app = server.app("Android").await;
    app.trigger("install", json!({ "cpi_mostback_url": sink.url("/hang") })).await;
    app.install("SX-1", json!({})).await;
    sink.receives("/hang", 1).await;
    server.terminate().await;
    server.start_again().await;
    let delivered = within(Duration::from_secs(60), "the postback after the restart", async || {
        server.deliveries("state=delivered").await.pop()
    })
    .await;
    assert!(sink.hits("/hang").len() >= 2, "{delivered}");
    server.balanced().await;
}

#[tokio::test]
async fn open_connections_do_not_hold_up_the_end() {
    let server = Server::with(&[("SEXTANT_LIMITS_BODY_TIMEOUT", "2s")]).await;
    let idle = crate::harness::socket::Socket::open(server.address()).await;
    let mut half = crate::harness::socket::Socket::open(server.address()).await;
    half.write(b"POST /track/json HTTP/1.1\r\nhost: sextant\r\ncontent-length: 100\r\n\r\n{").await;
    server.terminate().await;
    drop((idle, half));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    // By itself it would wait for the body.
    let server = Server::with(&[("SEXTANT_LIMITS_BODY_TIMEOUT", "60s")]).await;
    let mut half = crate::harness::socket::Socket::open(server.address()).await;
    half.write(b"POST /track/json HTTP/1.1\r\nhost: sextant\r\ncontent-length: 100\r\n\r\n{").await;
    let mut process = server.taken();
    process.ask_to_end();
    within(Duration::from_secs(15), "it accepts nothing more", async || {
        tokio::net::TcpStream::connect(server.address()).await.is_err().then_some(())
    })
    .await;
    // Signals that come almost together count as one, so a person presses again.
    let status = within(Duration::from_secs(15), "the end", async || {
        let ended = process.has_ended();
        if ended.is_none() {
            process.ask_to_end();
        }
        ended
    })
    .await;
    assert_ne!(status.code(), Some(0), "what was not finished is no success");
}
