//! Standard Webhooks as their receivers see them (standardwebhooks.com): what is signed, and how secrets are changed
//! without a gap; and receivers with a certificate of their own.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tempfile::TempDir;

use crate::harness::{
    KEY, Server, Sink, Value, json, now,
    program::{Process, program},
    sink::Hit,
};

/// Whether a receiver that knows this secret takes a request: one of the signatures is the HMAC over identifier,
/// time and body, and the time is of now.
fn verifies(hit: &Hit, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let (id, time) = (&hit.headers["webhook-id"], &hit.headers["webhook-timestamp"]);
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{time}.{}", hit.body).as_bytes());
    let signed = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let is_new = (time.parse::<i64>().unwrap() - now()).abs() < 300;
    is_new && hit.headers["webhook-signature"].split(' ').any(|signature| signature == signed)
}

#[tokio::test]
async fn a_receiver_of_standard_webhooks_can_verify_them_while_secrets_change() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let first = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let context = json!({ "cpi_mostback_url": sink.url("/hook"), "sx_signing_secret": first });
    let hook = json!({ "type": "event", "template_id": 9025, "filter_str": "Purchase", "context": context });
    let hook = app.trigger_with(hook).await;
    let purchase = async |n: usize| {
        let order = json!({ "sum": 14.99, "order_id": "o \"1\" ü" });
        let data = json!({ "event_name": "Purchase", "currency": "EUR", "usertime": 1_760_086_400, "event_data": order });
        app.send("event", "SX-1", data).await.accepted();
        sink.receives("/hook", n).await.pop().unwrap()
    };

    let hit = purchase(1).await;
    assert_eq!((hit.method.as_str(), hit.headers["content-type"].as_str()), ("POST", "application/json"));
    assert_eq!(hit.headers["webhook-id"], hit.headers["x-sextant-delivery"]);
    let body: Value = serde_json::from_str(&hit.body).unwrap_or_else(|error| panic!("{error}: {}", hit.body));
    assert_eq!((&body["type"], &body["timestamp"]), (&json!("Purchase"), &json!("2025-10-10T08:53:20Z")));
    assert_eq!(body["data"]["event_data"]["order_id"], "o \"1\" ü", "{body}");
    assert_eq!(body["data"]["revenue"], 14.99, "{body}");
    assert!(verifies(&hit, first), "{hit:?}");
    assert!(
        !verifies(&Hit { body: hit.body.replace("14.99", "1.00"), ..hit.clone() }, first),
        "another body"
    );
    let mut other = hit.clone();
    other.headers.insert("webhook-id".to_owned(), "dlv_other".to_owned());
    assert!(!verifies(&other, first), "another identifier");

    // A second secret signs beside the first; then the first is taken out of use.
    let secrets = format!("/api/triggers/{hook}/secrets");
    let made = server.post(&secrets, json!({})).await.is(201).json();
    let second = made["secret"].as_str().unwrap();
    let hit = purchase(2).await;
    assert!(verifies(&hit, first) && verifies(&hit, second), "{hit:?}");
    server.delete(&format!("{secrets}/1")).await.is(204);
    let hit = purchase(3).await;
    assert!(!verifies(&hit, first) && verifies(&hit, second), "{hit:?}");

    // Any other trigger is signed as well, once it has a secret; a GET has no body to sign.
    let plain =
        app.trigger("install", json!({ "cpi_mostback_url": sink.url("/get?d={kochava_device_id}") })).await;
    server.post(&format!("/api/triggers/{plain}/secrets"), json!({ "secret": first })).await.is(201);
    app.install("SX-1", json!({})).await;
    let hit = sink.receives("/get", 1).await.remove(0);
    assert!(hit.body.is_empty() && verifies(&hit, first), "{hit:?}");
}

#[tokio::test]
async fn a_partner_with_an_authority_of_its_own_is_trusted_when_the_settings_say_so() {
    let fixture = |name: &str| format!("{}/../../tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let home = TempDir::new().unwrap();
    // The partner is another server, with a certificate that nobody else knows.
    let mut command = program();
    command.arg("serve").arg("--data-dir").arg(home.path().join("data")).args(["--listen", "127.0.0.1:0"]);
    command.args(["--tls-cert", &fixture("cert.pem"), "--tls-key", &fixture("key.pem")]);
    command.env("SEXTANT_BOOTSTRAP_KEY", KEY);
    let mut partner = Process::start(command, &home.path().join("log"));
    let address = partner.says("listening on ").await;
    let port = address.rsplit(':').next().unwrap();
    let context =
        json!({ "cpi_mostback_url": format!("https://localhost:{port}/healthz?d={{delivery_id}}") });

    let wary = Server::start().await;
    let trigger = wary.app("Android").await.trigger("install", context.clone()).await;
    let tried = wary.post(&format!("/api/triggers/{trigger}/test"), json!({})).await.is(200).json();
    assert_eq!((&tried["delivered"], &tried["attempt"]["error"]), (&json!(false), &json!("tls")), "{tried}");

    let trusting = Server::with(&[("SEXTANT_COURIER_CA_FILE", &fixture("cert.pem"))]).await;
    let app = trusting.app("Android").await;
    app.trigger("install", context).await;
    app.install("SX-1", json!({})).await;
    let delivered = trusting.settled("", "delivered", 1).await;
    assert_eq!(delivered[0]["attempts"][0]["status"], 200, "{delivered:?}");
}
