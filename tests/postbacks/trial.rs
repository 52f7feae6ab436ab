//! Triggers tried out: rendered without sending, and sent once beside the record (docs/delivery.md).

use crate::harness::{Reply, Server, Sink, device, json};

#[tokio::test]
async fn a_request_is_rendered_and_nothing_is_sent() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let url = sink.url("/pb?cid={click_id}&adid={adid}&m={match_type}&token=abc");
    let context = json!({ "cpi_mostback_url": url, "sx_network_id": link.network, "sx_countries": "NZ",
                          "deferred_for": 600_000 });
    let trigger = app.trigger_with(json!({ "type": "install", "active": false, "context": context })).await;
    let adid = device::advertising_id(1);
    link.click(&format!("adid={adid}&click_id=p-1")).await;
    let input = app.install("SX-1", json!({ "device_ids": { "adid": adid } })).await;
    let path = format!("/api/triggers/{trigger}/render");

    let real = server.post(&path, json!({ "input": input })).await.is(200).json();
    assert_eq!(real["would_send"], false, "{real}");
    assert_eq!(real["suppressed"], json!(["inactive", "country_blocked"]), "{real}");
    let expected = sink.url(&format!("/pb?cid=p-1&adid={adid}&m=device_id&token=***"));
    assert_eq!(
        (&real["request"]["url"], &real["request"]["method"]),
        (&json!(expected), &json!("GET")),
        "{real}"
    );
    assert_eq!(real["request"]["delay_ms"], 600_000, "{real}");
    let install = app.attribution("SX-1").await["data"]["install_id"].clone();
    let same = server.post(&path, json!({ "install": install })).await.is(200).json();
    assert_eq!(same["request"]["url"], real["request"]["url"], "{same}");

    let sample = server.post(&path, json!({})).await.is(200).json();
    assert_eq!(sample["suppressed"], json!(["inactive", "not_attributed", "country_blocked"]), "{sample}");
    assert!(sample["request"]["url"].as_str().unwrap().contains("adid=00000000"), "{sample}");
    assert!(sink.all().is_empty(), "nothing is sent");
    assert!(server.deliveries("").await.is_empty(), "and nothing is on record");
    server.post(&path, json!({ "input": "x" })).await.is(400);
    server.post(&path, json!({ "input": format!("{}0", &input[..input.len() - 1]) })).await.is(404);
    server.post("/api/triggers/99/render", json!({})).await.is(404);
    server.balanced().await;
}

#[tokio::test]
async fn a_test_is_sent_once_and_told() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    sink.on("/pb", [Reply::With(500, "x-request-id: r-1"), Reply::Text("thanks")]);
    let app = server.app("Android").await;
    let context = json!({ "cpi_mostback_url": sink.url("/pb?ev={event_name}&v={event_value}") });
    let trigger =
        app.trigger_with(json!({ "type": "event", "filter_str": "Sale", "context": context })).await;
    let path = format!("/api/triggers/{trigger}/test");
    let failed = server.post(&path, json!({})).await.is(200).json();
    assert_eq!(
        (&failed["delivered"], &failed["attempt"]["status"]),
        (&json!(false), &json!(500)),
        "{failed}"
    );
    assert_eq!(failed["attempt"]["headers"]["x-request-id"], "r-1", "{failed}");
    let done = server.post(&path, json!({})).await.is(200).json();
    assert_eq!(
        (&done["delivered"], &done["attempt"]["response"]),
        (&json!(true), &json!("thanks")),
        "{done}"
    );
    let hits = sink.hits("/pb");
    assert_eq!(hits.len(), 2, "a test is not tried again");
    assert_eq!(
        (hits[0].parameter("ev"), hits[0].parameter("v")),
        (Some("Sale".into()), Some("14.99".into()))
    );
    assert!(server.deliveries("").await.is_empty(), "a test is not on record");
    let click = app.trigger("click", json!({ "cpi_mostback_url": sink.url("/click") })).await;
    server.post(&format!("/api/triggers/{click}/test"), json!({})).await.is(400);
    server.balanced().await;
}
