//! TLS, and HTTP/2 by ALPN.

use axum::http::Version;
use measure::postback::DeliveryState;

use super::{Running, get, options, sink::Sink};
use crate::Options;

/// Trusts the sinks under test.
fn trusting() -> Options {
    let certificate = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/tls/cert.pem");
    Options { authorities: std::fs::read(certificate).unwrap(), ..options() }
}

/// Two postbacks, one after the other, by the protocol that the target chooses: on one connection.
async fn check(protocols: &[&[u8]], version: Version) {
    let sink = Sink::secure("127.0.0.1", protocols).await;
    let running = Running::start(trusting());
    let url = format!("https://localhost:{}/pb", sink.address.port());
    running.commit([get(&url)]);
    let first = running.finished(1).await;
    assert_eq!(first.state, DeliveryState::Delivered, "{first:?}");
    assert!(first.attempts[0].connect_ms.is_some(), "{first:?}");
    running.put([super::delivery(2, get(&url))].into_iter());
    let second = running.finished(2).await;
    assert_eq!(second.state, DeliveryState::Delivered, "{second:?}");
    assert_eq!(second.attempts[0].connect_ms, None, "the connection is used again");
    assert_eq!(sink.received().iter().map(|received| received.version).collect::<Vec<_>>(), [version; 2]);
}

#[tokio::test]
async fn a_target_that_offers_http_2_is_spoken_to_so() {
    check(&[b"h2", b"http/1.1"], Version::HTTP_2).await;
}

#[tokio::test]
async fn a_target_without_http_2_is_spoken_to_in_http_1() {
    check(&[b"http/1.1"], Version::HTTP_11).await;
}

#[tokio::test]
async fn a_certificate_of_nobody_known_is_a_tls_error() {
    let sink = Sink::secure("127.0.0.1", &[b"h2", b"http/1.1"]).await;
    let running = Running::start(options());
    running.commit([get(format!("https://localhost:{}/pb", sink.address.port()))]);
    let delivery = running.attempted(1, 1).await;
    assert_eq!(delivery.state, DeliveryState::Pending);
    assert_eq!(delivery.attempts[0].error.as_deref(), Some("tls"));
    assert_eq!(sink.received(), []);
}

#[tokio::test]
async fn a_certificate_of_another_name_is_a_tls_error() {
    let sink = Sink::secure("127.0.0.2", &[b"http/1.1"]).await;
    let running = Running::start(trusting());
    running.commit([get(format!("https://127.0.0.2:{}/pb", sink.address.port()))]);
    let delivery = running.attempted(1, 1).await;
    assert_eq!(delivery.attempts[0].error.as_deref(), Some("tls"));
}
