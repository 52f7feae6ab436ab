//! Against a stand-in on this machine, never against Apple.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::post};

use super::AdServices;

/// A server that answers each call with the next of `script`, the last one for ever, and counts them.
async fn stand_in(script: &'static [(u16, &'static str)]) -> (SocketAddr, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let answer = move |headers: axum::http::HeaderMap, token: String| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        assert_eq!((headers["content-type"].as_bytes(), token.as_str()), (&b"text/plain"[..], "a token"));
        let (status, body) = script[call.min(script.len() - 1)];
        async move { (StatusCode::from_u16(status).unwrap(), body) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route("/api/v1/", post(answer));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (address, calls)
}

fn asking(address: SocketAddr, wait: Duration, pause: Duration) -> AdServices {
    AdServices::new(format!("http://{address}/api/v1/").parse().unwrap(), wait, pause).unwrap()
}

const LONG: Duration = Duration::from_secs(60);

async fn check(script: &'static [(u16, &'static str)], expected: Option<&str>, calls: usize) {
    let (address, counted) = stand_in(script).await;
    let answer = asking(address, LONG, Duration::ZERO).ask("a token").await;
    assert_eq!((answer.as_deref(), counted.load(Ordering::SeqCst)), (expected, calls), "{script:?}");
}

#[tokio::test]
async fn a_token_that_is_not_known_yet_is_asked_about_again() {
    check(&[(200, "{}")], Some("{}"), 1).await;
    check(&[(404, ""), (404, ""), (404, ""), (200, "{}")], Some("{}"), 4).await;
    check(&[(404, ""), (500, ""), (404, ""), (503, "")], None, 4).await;
    check(&[(400, "")], None, 1).await;
    check(&[(301, "")], None, 1).await;
}

#[tokio::test]
async fn what_cannot_be_a_token_is_not_sent() {
    let (address, counted) = stand_in(&[(200, "{}")]).await;
    let asking = asking(address, LONG, Duration::ZERO);
    assert_eq!(asking.ask("").await, None);
    assert_eq!(asking.ask(&"x".repeat(5_000)).await, None);
    assert_eq!(counted.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_wait_is_bounded_in_all() {
    let (address, counted) = stand_in(&[(404, "")]).await;
    let asking = asking(address, Duration::from_millis(200), LONG);
    assert_eq!(asking.ask("a token").await, None);
    assert!(counted.load(Ordering::SeqCst) <= 1);
}

#[tokio::test]
async fn nobody_there_is_no_answer() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(asking(address, LONG, Duration::ZERO).ask("a token").await, None);
}
