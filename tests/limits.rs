//! Limits (DECISIONS 25; DESIGN section 8).

use std::time::Duration;

use reqwest::Method;

use crate::harness::{
    Answered as _, Server, json,
    socket::{Socket, post},
    within,
};

#[tokio::test]
async fn an_app_that_is_too_fast_is_told_when_to_come_again() {
    let server = Server::with(&[("SEXTANT_LIMITS_APP_REQUESTS_PER_SECOND", "5")]).await;
    let (fast, other) = (server.app("iOS").await, server.app("iOS").await);
    let body =
        |app: &crate::harness::App| app.body("event", "SX-1", json!({ "event_name": "View" })).to_string();
    // Many at once: one after the other they may be slower than the limit on a busy machine.
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let (server, body) = (server.clone(), body(&fast));
        calls.spawn(async move { server.sends("/track/json", body).await });
    }
    let (refused, accepted): (Vec<_>, Vec<_>) =
        calls.join_all().await.into_iter().partition(|answer| answer.status != 200);
    assert!(accepted.len() >= 5 && refused.len() >= 5, "{} and {}", accepted.len(), refused.len());
    for answer in &refused {
        answer.refused(429);
        let seconds: u64 = answer.header("retry-after").parse().expect("Retry-After in seconds");
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
    server.sends("/track/json", body(&other)).await.accepted();
    within(Duration::from_secs(60), "another chance", async || {
        (server.sends("/track/json", body(&fast)).await.status == 200).then_some(())
    })
    .await;
    // One app may have a limit of its own.
    let settings = json!({ "settings": { "limits.app_requests_per_second": 0 } });
    server.patch(&format!("/apps/{}", fast.id), settings).await.is(200);
    for _ in 0..30 {
        server.sends("/track/json", body(&fast)).await.accepted();
    }
    server.balanced().await;
}

#[tokio::test]
async fn bodies_in_flight_are_bounded() {
    let server = Server::with(&[("SEXTANT_LIMITS_BODIES_IN_FLIGHT", "4194304")]).await;
    let app = server.app("iOS").await;
    let body = app.body("event", "SX-1", json!({ "event_name": "View" })).to_string();
    let padded = format!("{body}{}", " ".repeat(1_900_000));
    // Senders that announce much and stop in the middle: two of them fill what there is. Which ones get
    // in is a race with the call that is to be refused, so there are more of them until it is.
    let half = vec![b' '; 1_900_000];
    let mut stalled = Vec::new();
    let mut answer = None;
    while answer.is_none() && stalled.len() < 30 {
        let mut socket = Socket::open(server.address()).await;
        let head = format!(
            "POST /track/json HTTP/1.1\r\nhost: sextant\r\ncontent-length: {}\r\n\r\n",
            half.len() + 1
        );
        socket.write(head.as_bytes()).await;
        socket.write(&half).await;
        stalled.push(socket);
        answer =
            Some(server.sends("/track/json", padded.clone()).await).filter(|answer| answer.status != 200);
    }
    let answer = answer.expect("an overload is refused");
    answer.refused(503);
    assert!(answer.header("retry-after").parse::<u64>().is_ok(), "Retry-After in seconds");
    drop(stalled);
    within(Duration::from_secs(30), "room again", async || {
        (server.sends("/track/json", padded.clone()).await.status == 200).then_some(())
    })
    .await;
    server.balanced().await;
}

#[tokio::test]
async fn slow_senders_are_let_go() {
    let settings = [("SEXTANT_LIMITS_HEADER_TIMEOUT", "1s"), ("SEXTANT_LIMITS_BODY_TIMEOUT", "1s")];
    let server = Server::with(&settings).await;
    for start in [
        "POST /track/json HTTP/1.1\r\nhost: sext",
        "POST /track/json HTTP/1.1\r\nhost: sextant\r\ncontent-length: 100\r\n\r\n{\"action\":",
    ] {
        let mut socket = Socket::open(server.address()).await;
        assert!(socket.write(start.as_bytes()).await);
        let ended = tokio::time::timeout(Duration::from_secs(60), async {
            // Refused or cut off: never answered as a success, never held for ever.
            while let Some((status, _)) = socket.answer().await {
                assert!((400..=503).contains(&status) && status != 500, "{status} to {start:?}");
            }
        });
        assert!(ended.await.is_ok(), "still open after a minute: {start:?}");
    }
    server.balanced().await;
}

#[tokio::test]
async fn a_call_whose_time_is_over_before_it_came_whole_is_refused_and_counted() {
    let server = Server::with(&[("SEXTANT_LIMITS_REQUEST_TIMEOUT", "1s")]).await;
    let app = server.app("iOS").await;
    let mut socket = Socket::open(server.address()).await;
    let head = "POST /track/json HTTP/1.1\r\nhost: sextant\r\ncontent-length: 100\r\n\r\n{\"action\":";
    socket.write(head.as_bytes()).await;
    let answer = tokio::time::timeout(Duration::from_secs(60), socket.answer()).await.expect("an answer");
    let (status, body) = answer.expect("an answer");
    assert_eq!(status, 503);
    let body: serde_json::Value = serde_json::from_slice(&body).expect("the answer is JSON");
    assert_eq!(body["success"], "0", "{body}");
    app.event("SX-1", "View", json!({})).await;
    let ledger = server.balanced().await;
    let inputs = &ledger["inputs"];
    assert_eq!((&inputs["received"], &inputs["refused"]), (&json!(2), &json!(1)), "{ledger}");
}

#[tokio::test]
async fn what_is_not_http_does_not_hurt() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"GET\r\n\r\n",
        b"POST /track/json HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /track/json HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let mut socket = Socket::open(server.address()).await;
        socket.write(bytes).await;
        let answer = tokio::time::timeout(Duration::from_secs(60), socket.answer()).await;
        let status = answer.unwrap_or_else(|_| panic!("still open: {bytes:?}")).map(|(status, _)| status);
        assert!(status.is_none_or(|status| (400..500).contains(&status)), "{status:?} to {bytes:?}");
    }
    let long = "x".repeat(100_000);
    let answer = server.request(Method::GET, &format!("/v1/cpi/click?campaign_id={long}")).try_answer().await;
    assert!(answer.is_none_or(|answer| (400..500).contains(&answer.status)));
    let body = app.body("event", "SX-1", json!({ "event_name": "View" })).to_string();
    let mut socket = Socket::open(server.address()).await;
    socket.write(&post("/track/json", &[], body.as_bytes())).await;
    assert_eq!(socket.answer().await.map(|(status, _)| status), Some(200));
    server.balanced().await;
}

#[tokio::test]
async fn what_a_url_cannot_hold_has_to_be_encoded() {
    let server = Server::start().await;
    let link = server.app("iOS").await.link("Example Network").await;
    let ask = async |query: &str| {
        let mut socket = Socket::open(server.address()).await;
        let request = format!("GET {} HTTP/1.1\r\nhost: sextant\r\n\r\n", link.path(query));
        socket.write(request.as_bytes()).await;
        let answer = tokio::time::timeout(Duration::from_secs(60), socket.answer()).await;
        answer.expect("an answer").map(|(status, _)| status)
    };
    for raw in ["idfa=<idfa>", "site_id=\"a\"", "site_id=a>b", "site_id=a b"] {
        assert_eq!(ask(raw).await, Some(400), "{raw}");
    }
    for encoded in ["idfa=%3Cidfa%3E", "site_id=%22a%22", "site_id=a%20b", "idfa={idfa}", "idfa=[idfa]"] {
        assert_eq!(ask(encoded).await, Some(302), "{encoded}");
    }
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["received"], 5, "what cannot be read is not counted: {ledger}");
}
