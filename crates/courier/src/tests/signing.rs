use measure::postback::{DeliveryState, Method, Request};

use super::{NOW, Running, get, id, options, sink::Sink};
use crate::signature::sign;

/// The example of the Standard Webhooks specification.
#[test]
fn the_example_of_the_specification() {
    // `whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw`, decoded.
    let secret = vec![
        0x31, 0xf2, 0x90, 0xf6, 0xbf, 0x06, 0x29, 0x8a, 0xab, 0x4f, 0x08, 0xd4, 0x3c, 0x3f, 0x08, 0x2c, 0xf6,
        0x48, 0xa3, 0x62, 0xda, 0x2d, 0xa4, 0xb0,
    ];
    let at = measure::Timestamp::from_seconds(1_614_265_330);
    let signature = sign(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, r#"{"test": 2432232314}"#);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[tokio::test]
async fn every_attempt_is_signed_with_every_secret() {
    let sink = Sink::start(|number, _| {
        if number == 0 { axum::http::StatusCode::BAD_GATEWAY } else { axum::http::StatusCode::OK }
    })
    .await;
    let secrets = vec![b"one".to_vec(), b"other".to_vec()];
    let running = Running::signing(options(), secrets.clone());
    let body = r#"{"v":1}"#;
    running.commit([Request { method: Method::Post, body: body.into(), ..get(sink.url("/pb")) }]);
    running.attempted(1, 1).await;
    running.advance(10_000);
    assert_eq!(running.finished(1).await.state, DeliveryState::Delivered);
    for (received, at) in sink.received().iter().zip([NOW, NOW.plus(10_000)]) {
        let id = id(1).to_string();
        assert_eq!(received.header("webhook-id"), Some(id.as_str()));
        assert_eq!(received.header("x-sextant-delivery"), Some(id.as_str()));
        assert_eq!(received.header("webhook-timestamp"), Some(at.seconds().to_string().as_str()));
        let expected = sign(&secrets, &id, at, body);
        assert_eq!(received.header("webhook-signature"), Some(expected.as_str()));
        assert_eq!(expected.split(' ').count(), 2);
    }
}

#[tokio::test]
async fn without_secrets_nothing_is_signed() {
    let sink = Sink::content().await;
    let running = Running::start(options());
    running.commit([get(sink.url("/pb"))]);
    running.finished(1).await;
    assert_eq!(sink.received()[0].header("webhook-signature"), None);
}
