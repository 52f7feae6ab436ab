//! Inputs that templates call secret: sent to the partner, shown to nobody (docs/postbacks.md).

use reqwest::Method;

use crate::harness::{Answered as _, Reply, Server, Sink, device::advertising_id, json};

const SECRET: &str = "s3cr3t/of \"the\" partner";

/// Wherever a trigger and what it sends can be read.
async fn everything(server: &Server, app: u64, trigger: u64) -> Vec<(String, String)> {
    let mut read = Vec::new();
    for path in [
        format!("/apps/{app}/postbacks"),
        format!("/apps/{app}/postbacks/{trigger}"),
        format!("/api/triggers/{trigger}/versions"),
        format!("/api/triggers/{trigger}/health"),
        "/api/triggers".to_owned(),
        "/api/audit?limit=1000".to_owned(),
        "/api/deliveries".to_owned(),
    ] {
        let text = server.get(&path).await.is(200).text();
        read.push((path, text));
    }
    for call in ["render", "test"] {
        let path = format!("/api/triggers/{trigger}/{call}");
        let text = server.post(&path, json!({})).await.is(200).text();
        read.push((path, text));
    }
    read
}

#[track_caller]
fn hides(read: &[(String, String)], forms: &[&str]) {
    for (path, text) in read {
        for form in forms {
            assert!(!text.contains(form), "{path} shows {form}: {text}");
        }
    }
}

#[tokio::test]
async fn a_secret_is_sent_and_never_shown() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    // A partner that repeats what it was sent must not give it away.
    sink.on("/pb", [Reply::Text("unknown key s3cr3t/of \"the\" partner")]);
    let app = server.app("Android").await;
    let context = json!({ "cpi_amplitude_api_key": SECRET, "sx_delivery": "all",
                          "cpi_amplitude_mostback_url": sink.url("/pb") });
    let body = json!({ "type": "install", "template_id": 9004, "context": context });
    let id = app.trigger_with(body).await;
    let path = format!("/apps/{}/postbacks/{id}", app.id);
    let shown = server.get(&path).await.is(200).json()["data"][0].clone();
    assert_eq!(shown["context"]["cpi_amplitude_api_key"], "***", "{shown}");
    assert_eq!(shown["context"]["sx_delivery"], "all", "{shown}");

    // What is read can be written back: the secret stays what it is.
    let changed = json!({ "title": "again", "context": shown["context"] });
    server.patch(&format!("/postbacks/{id}"), changed).await.is(200);
    app.install("SX-1", json!({ "device_ids": { "adid": advertising_id(1) } })).await;
    let hit = sink.receives("/pb", 1).await.remove(0);
    let sent: Vec<(String, String)> = form_urlencoded::parse(hit.body.as_bytes()).into_owned().collect();
    assert!(sent.contains(&("api_key".to_owned(), SECRET.to_owned())), "{sent:?}");
    let delivery = server.settled("", "delivered", 1).await.remove(0);
    assert!(delivery["body"].as_str().unwrap().starts_with("api_key=***&"), "{delivery}");
    assert_eq!(delivery["attempts"][0]["response"], "unknown key ***", "{delivery}");
    let forms = ["s3cr3t", "of%20%22the", "of+%22the"];
    hides(&everything(&server, app.id, id).await, &forms);

    sink.on("/pb", [Reply::Text("ok")]);
    // A new one is a change that the log names, and shows neither of the two.
    let other = json!({ "context": { "cpi_amplitude_api_key": "n3w-one" } });
    let answer = server.patch(&format!("/postbacks/{id}"), other).await.is(200);
    hides(&[("PATCH".to_owned(), answer.text())], &["n3w-one"]);
    let log = server.get("/api/audit?kind=trigger&limit=1").await.is(200).json();
    let changed = log["data"][0]["changed"].as_array().unwrap();
    assert!(changed.contains(&json!("context.cpi_amplitude_api_key")), "{log}");
    hides(&everything(&server, app.id, id).await, &["s3cr3t", "n3w-one"]);

    // Three asterisks are no secret.
    let masked = json!({ "app_id": app.id, "type": "install", "template_id": 9022,
                         "context": { "cpi_slack_mostback_url": "***" } });
    let error = server.post("/postbacks", masked).await.is(400).json()["errors"][0].clone();
    assert!(error.as_str().unwrap().starts_with("context.cpi_slack_mostback_url: "), "{error}");
}

#[tokio::test]
async fn a_url_that_is_a_secret_shows_its_host_only() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    sink.on("/services/T1/h00k", [Reply::Text("ok")]);
    let app = server.app("Android").await;
    let body = json!({ "type": "install", "template_id": 9022,
                       "context": { "cpi_slack_mostback_url": sink.url("/services/T1/h00k?x=h1dd3n") } });
    let id = app.trigger_with(body).await;
    app.install("SX-1", json!({})).await;
    sink.receives("/services/T1/h00k", 1).await;
    let delivery = server.settled("", "delivered", 1).await.remove(0);
    assert_eq!(delivery["url"], json!(sink.url("/***")), "{delivery}");
    hides(&everything(&server, app.id, id).await, &["h00k", "h1dd3n"]);
}

/// What a trigger of one's own carries of secrets, in its headers and its URL, is sent and not shown either.
#[tokio::test]
async fn secrets_in_headers_and_urls_are_sent_and_not_shown() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    sink.on("/pb", [Reply::Text("no such token h34d3r-t0ken, nor p4ssw0rd-1 or b0dy-t0ken")]);
    let app = server.app("Android").await;
    let url =
        sink.url("/pb?api_key=p4r4m3ter&c={kochava_device_id}").replace("http://", "http://me:p4ssw0rd-1@");
    let headers = json!({ "Api-Key": "Token h34d3r-t0ken", "X-House": "house" });
    let sent = r#"{"token":"b0dy-t0ken","v":{event_time}}"#;
    let context = json!({ "cpi_mostback_url": url, "sx_headers": headers, "sx_body": sent });
    let id = app.trigger("install", context).await;
    let path = format!("/apps/{}/postbacks/{id}", app.id);
    let shown = server.get(&path).await.is(200).json()["data"][0].clone();
    assert_eq!(shown["context"]["sx_headers"], json!({ "Api-Key": "***", "X-House": "house" }), "{shown}");
    assert_eq!(shown["context"]["cpi_mostback_url"], json!(url.replace("p4ssw0rd-1", "***")), "{shown}");
    hides(&everything(&server, app.id, id).await, &["h34d3r", "p4ssw0rd", "b0dy-t0ken"]);

    // What is read can be written back, with one header changed.
    let mut context = shown["context"].clone();
    context["sx_headers"]["X-House"] = json!("other house");
    let answer = server.patch(&format!("/postbacks/{id}"), json!({ "context": context })).await.is(200);
    hides(&[("PATCH".to_owned(), answer.text())], &["h34d3r", "p4ssw0rd", "b0dy-t0ken"]);
    app.install("SX-1", json!({})).await;
    let hit = sink.receives("/pb", 2).await.pop().unwrap();
    assert_eq!(hit.headers["api-key"], "Token h34d3r-t0ken", "{hit:?}");
    assert_eq!(hit.headers["authorization"], "Basic bWU6cDRzc3cwcmQtMQ==", "{hit:?}");
    assert_eq!(
        (hit.headers["x-house"].as_str(), hit.parameter("api_key").as_deref()),
        ("other house", Some("p4r4m3ter"))
    );
    assert!(hit.body.starts_with(r#"{"token":"b0dy-t0ken","v":"#), "{}", hit.body);
    server.settled("", "delivered", 1).await;
    hides(&everything(&server, app.id, id).await, &["h34d3r", "p4ssw0rd", "b0dy-t0ken"]);

    // Who may only look does not see the parameters named like a secret; who may write sees what they wrote.
    let key = server.post("/api/keys", json!({ "name": "looks" })).await.is(201).json();
    let key = key["key"].as_str().unwrap();
    for path in [path, format!("/apps/{}/postbacks", app.id), format!("/api/triggers/{id}/versions")] {
        let answer =
            server.request(Method::GET, &path).header("Authentication-Key", key).answer().await.is(200);
        hides(&[(path.clone(), answer.text())], &["h34d3r", "p4ssw0rd", "b0dy-t0ken", "p4r4m3ter"]);
        assert!(server.get(&path).await.text().contains("p4r4m3ter"), "{path}");
    }

    // Three asterisks are no secret: nothing stands for what is not known.
    for (context, field) in [
        (json!({ "cpi_mostback_url": "https://me:***@other.example.com/" }), "context.cpi_mostback_url: "),
        (json!({ "sx_body": r#"{"api_key":"***"}"# }), "context.sx_body: "),
        (json!({ "sx_headers": { "X-Token": "***" } }), "context.sx_headers.X-Token: "),
    ] {
        let error = server.patch(&format!("/postbacks/{id}"), json!({ "context": context })).await.is(400);
        assert!(error.json()["errors"][0].as_str().unwrap().starts_with(field), "{}", error.text());
    }
}

/// The secret input of each template that is shipped.
#[tokio::test]
async fn every_template_hides_what_it_calls_a_secret() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    for (template, kind, key) in [
        (9001, "install", "cpi_segment_write_key"),
        (9002, "event", "cpi_segment_write_key"),
        (9003, "event", "cpi_rudderstack_write_key"),
        (9004, "install", "cpi_amplitude_api_key"),
        (9005, "event", "cpi_amplitude_api_key"),
        (9006, "install", "cpi_braze_api_key"),
        (9007, "event", "cpi_braze_api_key"),
        (9011, "event", "cpi_ga_api_secret"),
        (9012, "event", "cpi_customerio_api_key"),
        (9013, "event", "cpi_iterable_api_key"),
        (9014, "event", "cpi_clevertap_passcode"),
        (9015, "event", "cpi_intercom_token"),
        (9018, "event", "cpi_tune_security_token"),
        (9019, "event", "cpi_everflow_verification_token"),
        (9022, "event", "cpi_slack_mostback_url"),
        (9023, "event", "cpi_mattermost_mostback_url"),
        (9024, "event", "cpi_discord_mostback_url"),
        (9029, "event", "cpi_network_token"),
        (9030, "event", "cpi_telegram_bot_token"),
        (9031, "event", "cpi_tune_security_token"),
    ] {
        let secret = format!("https://s3cr3t.example.com/of-{template}");
        let body = json!({ "app_id": app.id, "type": kind, "template_id": template, "context": {
            key: secret, "cpi_clevertap_mostback_url": "https://eu1.api.clevertap.com/1/upload",
            "cpi_braze_mostback_url": "https://rest.iad-01.braze.com/users/track",
            "cpi_network_mostback_url": "https://partner.example.com/pb", "sx_network_id": "1",
            "cpi_rudderstack_mostback_url": "https://events.example.com/v1/track",
            "cpi_tune_mostback_url": "https://demo.example.com/aff_lsr",
            "cpi_everflow_mostback_url": "https://www.example.com/",
        } });
        let made = server.post("/postbacks", body).await.is(201).json();
        assert_eq!(made["data"][0]["context"][key], "***", "{made}");
        let log = server.get("/api/audit?limit=1").await.is(200).text();
        assert!(log.contains(key) && !log.contains("s3cr3t"), "{log}");
    }
}
