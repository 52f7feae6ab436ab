use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use measure::{
    Timestamp,
    postback::{Delivery, DeliveryState, Method, Request},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use super::{
    NOW, Running, get, id, options,
    sink::{Sink, raw},
};
use crate::client::{RESPONSE_BYTES_KEPT, parse_retry_after};

/// State, reason, and status and error of the last attempt.
fn summary(delivery: &Delivery) -> (DeliveryState, Option<&str>, Option<u16>, Option<&str>) {
    let last = delivery.attempts.last().unwrap();
    (delivery.state, delivery.reason.as_deref(), last.status, last.error.as_deref())
}

async fn one_attempt(request: Request) -> Delivery {
    let running = Running::start(options());
    running.commit([request]);
    running.attempted(1, 1).await
}

/// The first attempt fails with this class and is to be repeated in 10 s.
async fn check_failure(request: Request, class: &str) {
    let delivery = one_attempt(request).await;
    assert_eq!(summary(&delivery), (DeliveryState::Pending, None, None, Some(class)));
    assert_eq!(delivery.due, NOW.plus(10_000));
}

#[tokio::test]
async fn a_get_arrives_as_it_is_on_record() {
    let sink = Sink::start(|_, _| (StatusCode::CREATED, "thanks")).await;
    let delivery = one_attempt(get(sink.url("/pb?title=Gopher%20%26%20Co&foo=&{x}#top"))).await;
    assert_eq!(summary(&delivery), (DeliveryState::Delivered, None, Some(201), None));
    assert_eq!((delivery.attempts[0].number, delivery.attempts[0].started), (1, NOW));
    assert_eq!(delivery.attempts[0].response, "thanks");
    let [received] = &sink.received()[..] else { panic!() };
    assert_eq!(
        (received.method.as_str(), received.target.as_str()),
        ("GET", "/pb?title=Gopher%20%26%20Co&foo=&{x}")
    );
    assert_eq!(received.header("x-sextant-delivery"), Some(id(1).to_string().as_str()));
    assert_eq!(received.header("user-agent"), Some(concat!("Sextant/", env!("CARGO_PKG_VERSION"))));
}

/// A partner gets one word on who is calling: that of the trigger's header.
#[tokio::test]
async fn a_header_outranks_the_user_of_a_url() {
    let sink = Sink::content().await;
    let url = sink.url("/pb").replace("http://", "http://user:word@");
    let header = |value: &str| ("Authorization".to_owned(), value.to_owned());
    for (headers, expected) in [(vec![], "Basic dXNlcjp3b3Jk"), (vec![header("Bearer one")], "Bearer one")] {
        one_attempt(Request { headers, ..get(url.clone()) }).await;
        let received = sink.received().pop().unwrap();
        let words: Vec<_> = received.headers.iter().filter(|(name, _)| name == "authorization").collect();
        assert_eq!(words, [&("authorization".to_owned(), expected.to_owned())]);
    }
}

#[tokio::test]
async fn a_post_carries_its_body() {
    let sink = Sink::content().await;
    let request = Request {
        method: Method::Post,
        url: sink.url("/pb"),
        content_type: Some("application/json".into()),
        body: r#"{"v":19.90}"#.into(),
        success_match: None,
        headers: vec![("x-partner-key".into(), "k 1".into())],
    };
    assert_eq!(one_attempt(request).await.state, DeliveryState::Delivered);
    let [received] = &sink.received()[..] else { panic!() };
    assert_eq!((received.method.as_str(), received.body.as_str()), ("POST", r#"{"v":19.90}"#));
    assert_eq!(received.header("content-type"), Some("application/json"));
    assert_eq!(received.header("x-partner-key"), Some("k 1"));
}

#[tokio::test]
async fn a_failure_is_followed_by_a_success() {
    let statuses = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::OK];
    let sink = Sink::start(move |number, _| statuses[number]).await;
    let running = Running::start(options());
    running.commit([get(sink.url("/pb"))]);
    let delivery = running.attempted(1, 1).await;
    assert_eq!(summary(&delivery), (DeliveryState::Pending, None, Some(500), Some("http")));
    assert_eq!(delivery.due, NOW.plus(10_000));
    running.advance(10_000);
    let delivery = running.finished(1).await;
    assert_eq!(summary(&delivery), (DeliveryState::Delivered, None, Some(200), None));
    assert_eq!(delivery.attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2]);
    let ids: Vec<_> =
        sink.received().iter().map(|r| r.header("x-sextant-delivery").unwrap().to_owned()).collect();
    assert_eq!(ids, [id(1).to_string(), id(1).to_string()]);
}

#[tokio::test]
async fn attempts_are_used_up() {
    let sink = Sink::start(|_, _| StatusCode::SERVICE_UNAVAILABLE).await;
    let running = Running::start(options());
    running.commit([get(sink.url("/pb"))]);
    for attempts in 1..=4 {
        running.attempted(1, attempts).await;
        running.advance(3_600_000);
    }
    let delivery = running.finished(1).await;
    assert_eq!(summary(&delivery), (DeliveryState::Dead, Some("attempts_used_up"), Some(503), Some("http")));
    assert_eq!((delivery.attempts.len(), sink.received().len()), (4, 4));
}

#[tokio::test]
async fn a_refusal_is_final() {
    let sink = Sink::start(|_, _| (StatusCode::NOT_FOUND, "no such campaign")).await;
    let delivery = one_attempt(get(sink.url("/pb"))).await;
    assert_eq!(summary(&delivery), (DeliveryState::Dead, Some("refused"), Some(404), Some("http")));
    assert_eq!(delivery.attempts[0].response, "no such campaign");
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let sink = Sink::start(|_, _| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "120")])).await;
    let delivery = one_attempt(get(sink.url("/pb"))).await;
    assert_eq!(summary(&delivery), (DeliveryState::Pending, None, Some(429), Some("http")));
    assert_eq!(delivery.due, NOW.plus(120_000));
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    for (text, expected) in [
        ("120", Some(NOW.plus(120_000))),
        (" 0 ", Some(NOW)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(Timestamp::from_seconds(784_111_777))),
        ("Sat, 21 Nov 2026 08:10:00 GMT", Some(Timestamp::from_seconds(1_795_248_600))),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(Timestamp::from_seconds(784_111_777))),
        ("Sun Nov  6 08:49:37 1994", Some(Timestamp::from_seconds(784_111_777))),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("99999999999999999999", None),
    ] {
        assert_eq!(parse_retry_after(text, NOW), expected, "{text}");
    }
}

#[tokio::test]
async fn a_partner_that_hangs_times_out() {
    let sink = Sink::content().await;
    let options = crate::Options { total_timeout: Duration::from_millis(100), ..options() };
    let running = Running::start(options);
    running.commit([get(sink.url("/hang"))]);
    let delivery = running.attempted(1, 1).await;
    assert_eq!(summary(&delivery), (DeliveryState::Pending, None, None, Some("timeout")));
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_read_error() {
    let address = raw(|stream| async move { drop(stream) }).await;
    check_failure(get(format!("http://{address}/")), "read").await;
    let address = raw(|mut stream: TcpStream| async move {
        let _ = stream.write_all(b"this is not HTTP\r\n\r\n").await;
    })
    .await;
    check_failure(get(format!("http://{address}/")), "read").await;
}

#[tokio::test]
async fn nobody_there_is_a_connect_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    check_failure(get(format!("http://{address}/")), "connect").await;
}

#[tokio::test]
async fn plain_text_instead_of_tls_is_a_tls_error() {
    let address = raw(|mut stream: TcpStream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    check_failure(get(format!("https://{address}/")), "tls").await;
}

#[tokio::test]
async fn a_success_without_the_text_is_none() {
    let bodies = ["message: sorry", "… message: success …"];
    let sink = Sink::start(move |number, _| bodies[number]).await;
    let running = Running::start(options());
    running.commit([Request { success_match: Some("message: success".into()), ..get(sink.url("/pb")) }]);
    let delivery = running.attempted(1, 1).await;
    assert_eq!(summary(&delivery), (DeliveryState::Pending, None, Some(200), Some("text_mismatch")));
    running.advance(10_000);
    assert_eq!(running.finished(1).await.state, DeliveryState::Delivered);
}

/// A head that promises more than comes.
async fn broken_off(head: &'static str) -> String {
    let address = raw(move |mut stream: TcpStream| async move {
        let _ = stream.write_all(head.as_bytes()).await;
    })
    .await;
    format!("http://{address}/")
}

#[tokio::test]
async fn the_status_decides_even_when_the_body_breaks_off() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nmess";
    let delivery = one_attempt(get(broken_off(ok).await)).await;
    assert_eq!(summary(&delivery), (DeliveryState::Delivered, None, Some(200), None));
    let gone = "HTTP/1.1 410 Gone\r\nContent-Length: 100\r\n\r\nno";
    let delivery = one_attempt(get(broken_off(gone).await)).await;
    assert_eq!(summary(&delivery), (DeliveryState::Dead, Some("refused"), Some(410), Some("http")));
    let url = broken_off(ok).await;
    check_failure(Request { success_match: Some("message".into()), ..get(url) }, "read").await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Sink::content().await;
    let location = elsewhere.url("/there");
    let sink = Sink::start(move |_, _| (StatusCode::FOUND, [("location", location.clone())])).await;
    let delivery = one_attempt(get(sink.url("/pb"))).await;
    assert_eq!(summary(&delivery), (DeliveryState::Dead, Some("refused"), Some(302), Some("http")));
    assert_eq!(elsewhere.received(), []);
}

#[tokio::test]
async fn a_large_answer_is_cut_off() {
    const PROMISED: usize = 1 << 30;
    let written = Arc::new(AtomicUsize::new(0));
    let ended = Arc::new(tokio::sync::Notify::new());
    let (count, end) = (written.clone(), ended.clone());
    let address = raw(move |mut stream: TcpStream| {
        let (count, end) = (count.clone(), end.clone());
        async move {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {PROMISED}\r\n\r\n");
            let mut result = stream.write_all(head.as_bytes()).await;
            while result.is_ok() && count.load(Ordering::SeqCst) < PROMISED {
                result = stream.write_all(&[b'x'; 16_384]).await;
                count.fetch_add(16_384, Ordering::SeqCst);
            }
            end.notify_one();
        }
    })
    .await;
    let delivery = one_attempt(get(format!("http://{address}/"))).await;
    assert_eq!(delivery.state, DeliveryState::Delivered);
    assert_eq!(delivery.attempts[0].response, "x".repeat(RESPONSE_BYTES_KEPT));
    ended.notified().await;
    // What was not read still fits into the buffers of two sockets.
    assert!(written.load(Ordering::SeqCst) < 64 << 20, "{written:?}");
}
