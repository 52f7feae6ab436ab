//! Triggers tried out: rendered without sending, and sent once beside the record (docs/delivery.md).

use crate::harness::{Answered as _, KEY, Reply, Server, Sink, Value, device, json};

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

    // A sample is somebody whom the network has brought.
    let sample = server.post(&path, json!({})).await.is(200).json();
    assert_eq!(sample["suppressed"], json!(["inactive", "country_blocked"]), "{sample}");
    let expected =
        sink.url("/pb?cid=SAMPLE-CLICK&adid=00000000-0000-4000-8000-000000000001&m=device_id&token=***");
    assert_eq!(sample["request"]["url"], expected, "{sample}");
    let organic = app.install("SX-2", json!({})).await;
    let organic = server.post(&path, json!({ "input": organic })).await.is(200).json();
    assert_eq!(organic["suppressed"], json!(["inactive", "not_attributed", "country_blocked"]), "{organic}");
    assert!(sink.all().is_empty(), "nothing is sent");
    assert!(server.deliveries("").await.is_empty(), "and nothing is on record");
    server.post(&path, json!({ "input": "x" })).await.is(400);
    let other = if input.ends_with('0') { '1' } else { '0' };
    let unknown = format!("{}{other}", &input[..input.len() - 1]);
    server.post(&path, json!({ "input": unknown })).await.is(404);
    server.post("/api/triggers/99/render", json!({})).await.is(404);
    server.balanced().await;
}

#[tokio::test]
async fn every_reason_is_told_and_the_request_is_shown_all_the_same() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let (winner, loser) = (app.link("Winner").await, app.link("Loser").await);
    let adid = device::advertising_id(1);
    loser.click(&format!("adid={adid}")).await;
    winner.click(&format!("adid={adid}")).await;
    let input = app.install("SX-1", json!({ "device_ids": { "adid": adid } })).await;
    let render = async |trigger: u64, body: Value| {
        server.post(&format!("/api/triggers/{trigger}/render"), body).await.is(200).json()
    };

    // Two events a day, and the third is to wait: the name is off, the cap is used up, the session is capped.
    let context = json!({ "cpi_network_mostback_url": sink.url("/session"), "sx_network_id": loser.network,
                          "sx_rate_cap": "2/day", "sx_delivery": "all", "sx_session_cap": false });
    let sessions =
        json!({ "type": "event", "template_id": 9027, "filter_str": "_SessionBegin", "context": context });
    let sessions = app.trigger_with(sessions).await;
    app.event("SX-1", "_SessionBegin", json!({})).await;
    let last = app.event("SX-1", "_SessionBegin", json!({})).await;
    server.settled(&format!("trigger={sessions}"), "delivered", 2).await;
    let capped = json!({ "context": { "sx_delivery": null, "sx_session_cap": null }, "active": false });
    server.patch(&format!("/postbacks/{sessions}"), capped).await.is(200);
    let off = json!({ "name": "_SessionBegin", "active": false });
    server.patch(&format!("/api/apps/{}/events", app.id), off).await.is(200);
    let real = render(sessions, json!({ "input": last })).await;
    let expected = ["inactive", "event_inactive", "other_network", "session_cap", "rate_cap"];
    assert_eq!(real["suppressed"], json!(expected), "{real}");
    assert!(real["request"]["url"].as_str().unwrap().starts_with(&sink.url("/session")), "{real}");

    // Who lost is told apart from who had no part in it.
    let context = json!({ "cpi_network_mostback_url": sink.url("/loser"), "sx_network_id": loser.network });
    let to_loser =
        app.trigger_with(json!({ "type": "install", "template_id": 9026, "context": context })).await;
    let real = render(to_loser, json!({ "input": input })).await;
    assert_eq!(real["suppressed"], json!(["influencer_only"]), "{real}");

    // What the template itself asks for is taken away as well.
    let context = json!({ "cpi_segment_write_key": "k", "cpi_segment_mostback_url": sink.url("/segment") });
    let segment =
        app.trigger_with(json!({ "type": "install", "template_id": 9001, "context": context })).await;
    let organic = app.install("SX-2", json!({})).await;
    let real = render(segment, json!({ "input": organic })).await;
    assert_eq!(real["suppressed"], json!(["filtered"]), "{real}");
    assert_eq!(real["request"]["url"], sink.url("/segment"), "{real}");
    let sample = render(segment, json!({})).await;
    assert_eq!((&sample["suppressed"], &sample["would_send"]), (&json!([]), &json!(true)), "{sample}");
    let context = json!({ "cpi_braze_api_key": "k", "cpi_braze_mostback_url": sink.url("/braze") });
    let braze = app.trigger_with(json!({ "type": "install", "template_id": 9006, "context": context })).await;
    let sample = render(braze, json!({})).await;
    assert_eq!(sample["suppressed"], json!(["missing_macro"]), "{sample}");
    assert_eq!(sample["request"]["method"], "POST", "{sample}");
    assert_eq!(sample["request"]["headers"]["Authorization"], "***", "{sample}");
    assert_eq!(sink.all().len(), 2, "nothing is sent by rendering");
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
    // Nothing said about the conversion is a sample as well.
    let bare = server.request(reqwest::Method::POST, &path).header("Authentication-Key", KEY);
    let done = bare.answer().await.is(200).json();
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
    let url = sink.url("/click?cid={click_id}&ev={event_name}&n={network_id}");
    let click = app.trigger("click", json!({ "cpi_mostback_url": url })).await;
    let link = app.link("Example Network").await;
    let done = server.post(&format!("/api/triggers/{click}/test"), json!({})).await.is(200).json();
    assert_eq!(done["delivered"], true, "{done}");
    let hit = sink.receives("/click", 1).await.remove(0);
    assert_eq!(hit.query, format!("cid=SAMPLE-CLICK&ev=_click&n={}", link.network));
    // What is asked about must be of the kind that the trigger is for.
    let input = app.install("SX-1", json!({})).await;
    server.post(&format!("/api/triggers/{click}/test"), json!({ "input": input })).await.is(400);
    server.balanced().await;
}
