//! Bodies as they come: arrays, forms, compressed, mislabelled, broken (ingest.md sections 15 and 16).

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use reqwest::Method;

use crate::harness::{Answered as _, App, Server, json, socket::Socket};

fn event(app: &App) -> String {
    app.body("event", "SX-1", json!({ "event_name": "View" })).to_string()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_success_is_an_exact_answer() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    for path in ["/track/json", "/track/json/"] {
        let answer = server.sends(path, event(&app)).await.is(200);
        assert_eq!(answer.text(), r#"{"success":"1"}"#);
        assert_eq!(answer.header("content-type"), "application/json");
        let row = server.input(&answer.accepted()).await;
        assert_eq!(row["kind"], "event", "{row}");
        assert_eq!(row["became"], "accepted", "{row}");
    }
}

#[tokio::test]
async fn the_first_byte_decides_not_the_header() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    for content_type in
        ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8", "nonsense"]
    {
        let mut request = server.request(Method::POST, "/track/json");
        if !content_type.is_empty() {
            request = request.header("Content-Type", content_type);
        }
        request.body(event(&app)).answer().await.accepted();
    }
    for body in [
        format!("  \r\n\t{}\n\n", event(&app)),
        format!("\u{feff}{}", event(&app)),
        format!("\u{feff} {} ", event(&app)),
    ] {
        server.sends("/track/json", body).await.accepted();
    }
}

#[tokio::test]
async fn form_pairs_with_brackets_are_taken() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let body = format!(
        "action=event&kochava_app_id={}&kochava_device_id=SX-1&data[event_name]=Add+to+Cart\
         &data[device_ids][adid]=1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed&data%5Bevent_data%5D%5Bsum%5D=3.50\
         &data[usertime]=1760000000",
        app.guid
    );
    for content_type in ["application/x-www-form-urlencoded", "application/json"] {
        let request = server.request(Method::POST, "/track/json").header("Content-Type", content_type);
        let input = request.body(body.clone()).answer().await.accepted();
        let row = server.input(&input).await;
        assert_eq!(row["event"]["name"], "Add to Cart", "{row}");
        assert_eq!(row["event"]["amount"], "3.50", "{row}");
        assert_eq!(row["device"]["identifiers"], json!(["adid"]), "{row}");
        assert_eq!(row["time"], "2025-10-09T08:53:20.000Z", "{row}");
    }
}

#[tokio::test]
async fn gzip_is_inflated_and_measured_afterwards() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let send = |body: Vec<u8>| {
        let request = server.request(Method::POST, "/track/json").header("Content-Encoding", "gzip");
        request.body(body).answer()
    };
    send(gzip(event(&app).as_bytes())).await.accepted();

    let padding = " ".repeat(2_097_152 - event(&app).len());
    send(gzip(format!("{}{padding}", event(&app)).as_bytes())).await.refused(413);
    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    send(bomb).await.refused(413);

    let mut broken = gzip(event(&app).as_bytes());
    broken.truncate(broken.len() / 2);
    let answer = send(broken).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    // Mislabelled: the first byte decides.
    send(event(&app).into_bytes()).await.accepted();
    server.balanced().await;
}

#[tokio::test]
async fn two_megabytes_are_too_much_and_one_byte_less_is_not() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let body = |length: usize| {
        let body = event(&app);
        let padding = " ".repeat(length - body.len());
        format!("{body}{padding}")
    };
    server.sends("/track/json", body(2_097_151)).await.accepted();
    server.sends("/track/json", body(2_097_152)).await.refused(413);
    server.sends("/track/json", body(5_000_000)).await.refused(413);
    server.sends("/v1/cpi/identityLink.php", body(2_097_152)).await.refused(413);
    server.balanced().await;
}

#[tokio::test]
async fn each_element_of_an_array_is_one_input() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let good = app.body("event", "SX-1", json!({ "event_name": "View" }));
    let nameless = app.body("event", "SX-1", json!({}));
    let foreign =
        json!({ "action": "event", "kochava_app_id": "konowhere-1", "data": { "event_name": "View" } });

    let answer = server.sends("/track/json", json!([good, good, good]).to_string()).await.is(200);
    assert_eq!(answer.json(), json!({ "success": "1" }));
    assert_eq!(answer.inputs().len(), 3);
    for input in answer.inputs() {
        assert_eq!(server.input(&input).await["became"], "accepted");
    }

    let answer =
        server.sends("/track/json", json!([nameless, good, foreign, 7, good]).to_string()).await.is(200);
    let body = answer.json();
    assert_eq!(body["success"], "1", "{body}");
    assert_eq!(answer.inputs().len(), 2, "{body}");
    let rejected = body["rejected"].as_array().expect("rejected is a list");
    let indexes: Vec<u64> = rejected.iter().map(|entry| entry["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, [0, 2, 3], "{body}");
    assert!(rejected.iter().all(|entry| entry["error"].as_str().is_some_and(|error| !error.is_empty())));

    server.sends("/track/json", json!([nameless, 7]).to_string()).await.refused(400);
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["accepted"], 5, "{ledger}");
    assert_eq!(ledger["inputs"]["received"], 3 + 5 + 2, "{ledger}");
}

#[tokio::test]
async fn malformed_bodies_are_refused_with_4xx() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let guid = &app.guid;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_data = format!(
        r#"{{"action":"event","kochava_app_id":"{guid}","data":{{"event_name":"View","event_data":{}{}}}}}"#,
        r#"{"a":"#.repeat(50_000),
        "}".repeat(50_000)
    );
    #[rustfmt::skip]
    let bodies: Vec<Vec<u8>> = [
        "", " ", "\u{feff}", "{", "[", "}", "[]", "{}", "null", "true", "7", "\"text\"", "nonsense", "a=b", "=", "&&&",
        "[[]]", "[{}]", "[null]", "{\"action\":", "{\"action\":\"install\"}", "{\"action\":\"install\",}",
        r#"{"kochava_app_id":"GUID","data":{}}"#,
        r#"{"action":"","kochava_app_id":"GUID","data":{}}"#,
        r#"{"action":null,"kochava_app_id":"GUID","data":{}}"#,
        r#"{"action":7,"kochava_app_id":"GUID","data":{}}"#,
        r#"{"action":{},"kochava_app_id":"GUID","data":{}}"#,
        r#"{"action":"launch","kochava_app_id":"GUID","data":{}}"#,
        r#"{"action":"install","data":{}}"#,
        r#"{"action":"install","kochava_app_id":"","data":{}}"#,
        r#"{"action":"install","kochava_app_id":null,"data":{}}"#,
        r#"{"action":"install","kochava_app_id":[],"data":{}}"#,
        r#"{"action":"install","kochava_app_id":7,"data":{}}"#,
        r#"{"action":"install","kochava_app_id":"GUID"}"#,
        r#"{"action":"install","kochava_app_id":"GUID","data":null}"#,
        r#"{"action":"install","kochava_app_id":"GUID","data":"derp"}"#,
        r#"{"action":"install","kochava_app_id":"GUID","data":[]}"#,
        r#"{"action":"install","kochava_app_id":"GUID","data":7}"#,
        r#"{"action":"event","kochava_app_id":"GUID","data":{}}"#,
        r#"{"action":"event","kochava_app_id":"GUID","data":{"event_name":""}}"#,
        r#"{"action":"event","kochava_app_id":"GUID","data":{"event_name":null}}"#,
        r#"{"action":"event","kochava_app_id":"GUID","data":{"event_name":{}}}"#,
        r#"{"action":"update","kochava_app_id":"GUID","data":{"idfa":"7C9E6679-7425-40DE-944B-E07FC1F90AE7"}}"#,
        r#"{"action":"update","kochava_app_id":"GUID","kochava_device_id":"","data":{"idfa":"x"}}"#,
        r#"{"action":"event","kochava_app_id":"GUID","data":{"event_name":"View"}"#,
        r#"{"action":"event","kochava_app_id":"GUID","data":{"event_name":"View"}} trailing"#,
        r#"{"action":"event" "kochava_app_id":"GUID"}"#,
        "{\"action\":\"event\",\"kochava_app_id\":\"GUID\",\"data\":{\"event_name\":\"a\nb\"}",
        "action=event&data[event_name]=View",
        "action=event&kochava_app_id=GUID&data[event_name",
        "action=event&kochava_app_id=GUID&data=View",
        "<xml/>",
    ].iter().map(|body| body.replace("GUID", guid).into_bytes()).chain([
        deep.into_bytes(), deep_data.into_bytes(),
        vec![0xff, 0xfe, 0x00], vec![0], vec![b'{', 0xff, b'}'],
        [br#"{"action":"event","kochava_app_id":""#.as_slice(), &[0xc3, 0x28], br#"","data":{}}"#].concat(),
    ]).collect();
    let sent = bodies.len() as u64;
    for body in bodies {
        let start = String::from_utf8_lossy(&body[..body.len().min(120)]).into_owned();
        let answer = server.sends("/track/json", body).await;
        assert!((400..500).contains(&answer.status), "{} to {start:?}: {}", answer.status, answer.text());
        answer.refused(answer.status);
    }
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["accepted"], 0, "{ledger}");
    assert!(ledger["inputs"]["received"].as_u64() >= Some(sent), "{ledger}");
    server.sends("/track/json", event(&app)).await.accepted();
}

#[tokio::test]
async fn malformed_identity_links_are_refused_with_4xx() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    for body in [
        "",
        "{}",
        "[]",
        r#"{"kochava_app_id":"GUID"}"#,
        r#"{"kochava_app_id":"GUID","device_id":{"idfv":"x-1"}}"#,
        r#"{"kochava_app_id":"GUID","data":{"user_id":"u-42"}}"#,
        r#"{"kochava_app_id":"GUID","device_id":{"idfv":"x-1"},"data":"u-42"}"#,
        r#"{"device_id":{"idfv":"x-1"},"data":{"user_id":"u-42"}}"#,
        r#"{"kochava_app_id":"konowhere-1","device_id":{"idfv":"x-1"},"data":{"user_id":"u-42"}}"#,
    ] {
        let answer = server.sends("/v1/cpi/identityLink.php", body.replace("GUID", &app.guid)).await;
        assert!((400..500).contains(&answer.status), "{} to {body}: {}", answer.status, answer.text());
        answer.refused(answer.status);
    }
    server.balanced().await;
}

#[tokio::test]
async fn other_methods_are_not_taken() {
    let server = Server::start().await;
    for (method, path) in [
        (Method::GET, "/track/json"),
        (Method::PUT, "/track/json"),
        (Method::DELETE, "/track/json"),
        (Method::GET, "/v1/cpi/identityLink.php"),
        (Method::POST, "/v1/cpi/click"),
        (Method::POST, "/track/impression"),
    ] {
        let status = server.request(method.clone(), path).answer().await.status;
        assert_eq!(status, 405, "{method} {path}");
    }
    assert_eq!(server.request(Method::GET, "/track/nothing").answer().await.status, 404);
}

#[tokio::test]
async fn a_long_array_is_answered_readably() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let element = json!({ "action": "event", "kochava_app_id": app.guid, "data": { "event_name": "View" } });
    let body = serde_json::Value::Array(vec![element; 20_000]).to_string();
    assert!(body.len() < 2_097_152);
    let answer = server.sends("/track/json", body).await;
    let length: usize =
        answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    assert!(length < 16_384, "{length} bytes of headers are more than HTTP libraries read");
    let ledger = server.balanced().await;
    let kept = if answer.status == 200 { 20_000 } else { 0 };
    assert_eq!(ledger["inputs"]["accepted"], kept, "{ledger}");
}

#[tokio::test]
async fn oversized_values_hurt_nobody() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let big = "x".repeat(70_000);
    for (action, data) in [
        ("install", json!({ "device_ids": { "custom": big } })),
        ("install", json!({ "device_ids": { big.as_str(): "c" }, "device_ua": big, "device_ver": big })),
        (
            "install",
            json!({ "install_referrer": { "referrer": big }, "identity_link": { big.as_str(): big } }),
        ),
        ("event", json!({ "event_name": big, "currency": big, "app_version": big })),
        ("event", json!({ "event_name": "a\u{0}b", "device_ids": { "custom": "a\u{0}b" } })),
    ] {
        for device in ["SX-1", big.as_str(), ""] {
            let answer = app.send(action, device, data.clone()).await;
            assert!(answer.status == 200 || (400..500).contains(&answer.status), "{}", answer.status);
        }
    }
    let body = app.body("event", "SX-1", json!({ "event_name": "View" })).to_string();
    let request = server.request(Method::POST, "/track/json").header("Idempotency-Key", "k".repeat(10_000));
    let answer = request.body(body.clone()).answer().await;
    assert!(answer.status == 200 || (400..500).contains(&answer.status), "{}", answer.status);
    server.sends("/track/json", body).await.accepted();
    server.balanced().await;
    server.terminate().await;
}

#[tokio::test]
async fn bodies_in_chunks_are_taken_and_measured() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let head = "POST /track/json HTTP/1.1\r\nhost: sextant\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = event(&app);
    let (one, other) = body.split_at(20);
    let mut socket = Socket::open(server.address()).await;
    let request = format!("{head}{}{}0\r\n\r\n", chunk(one), chunk(other));
    assert!(socket.write(request.as_bytes()).await);
    assert_eq!(socket.answer().await.map(|(status, _)| status), Some(200));
    // More than is allowed, without ever saying how much it will be.
    assert!(socket.write(head.as_bytes()).await);
    for _ in 0..40 {
        socket.write(chunk(&" ".repeat(65_536)).as_bytes()).await;
    }
    socket.write(b"0\r\n\r\n").await;
    assert_eq!(socket.answer().await.map(|(status, _)| status), Some(413));
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["accepted"], 1, "{ledger}");
}
