//! Browsers (ingest.md sections 17 and 18; DECISIONS 12).

use reqwest::Method;

use crate::harness::{Answered as _, App, Server, Value, device, json};

async fn web_app() -> App {
    Server::start().await.app("Web").await
}

fn browser_body(app: &App, action: &str, nt_id: &str, data: Value) -> String {
    json!({
        "action": action, "kochava_app_id": app.guid,
        "kochava_device_id": "KB1760000000T5f2b0c1d9e8f4a7b8c6d5e4f3a2b1c0d",
        "sdk_version": "WebTracker 3.0.4", "sdk_protocol": "17", "nt_id": nt_id, "data": data,
    })
    .to_string()
}

#[tokio::test]
async fn every_answer_is_open_to_browsers() {
    let server = Server::start().await;
    for path in ["/track/json", "/track/json/", "/v1/cpi/identityLink.php"] {
        let preflight = server.request(Method::OPTIONS, path).header("Origin", "https://shop.example.com");
        let answer = preflight.header("Access-Control-Request-Method", "POST").answer().await.is(204);
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert!(answer.header("access-control-allow-methods").contains("POST"), "{path}");
        assert!(
            answer.header("access-control-allow-headers").to_lowercase().contains("content-type"),
            "{path}"
        );
        assert_eq!(answer.header("access-control-max-age"), "86400", "{path}");
        let refused = server.sends(path, "nonsense").await;
        assert_eq!(refused.header("access-control-allow-origin"), "*", "{path}");
    }
}

#[tokio::test]
async fn address_and_user_agent_are_those_of_the_connection() {
    let app = web_app().await;
    let body = browser_body(&app, "install", "1f0c2-1-a", json!({ "usertime": 1_760_000_000.118 }));
    let request = app.server.request(Method::POST, "/track/json/").header("User-Agent", device::PIXEL);
    let row = app.server.input(&request.body(body).answer().await.accepted()).await;
    assert_eq!(row["device"]["os"], "Android 14", "{row}");
    let flags = row["flags"].to_string();
    assert!(!flags.contains("ua_missing") && !flags.contains("ip_missing"), "{row}");
    assert_eq!(row["time"], "2025-10-09T08:53:20.118Z", "{row}");
}

#[tokio::test]
async fn a_payload_that_can_never_succeed_drains_the_queue() {
    let app = web_app().await;
    let server = &app.server;
    let answer =
        server.sends("/track/json/", browser_body(&app, "event", "1f0c2-1-b", json!({}))).await.is(200);
    assert_eq!(answer.json(), json!({ "success": "1" }));
    let kept = server.get(&format!("/api/apps/{}/quarantine", app.id)).await.is(200).json();
    assert_eq!(kept["data"].as_array().unwrap().len(), 1, "{kept}");
    // Other senders to the same app hear the truth.
    let body = json!({ "action": "event", "kochava_app_id": app.guid, "data": {} });
    server.sends("/track/json", body.to_string()).await.refused(400);
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["quarantined"], 2, "{ledger}");
    assert_eq!(ledger["inputs"]["accepted"], 0, "{ledger}");
}

#[tokio::test]
async fn a_click_leads_to_a_web_install_by_its_ko_click_id() {
    let app = web_app().await;
    let link = app.link("Example Network").await;
    let location = link.browse("", device::PIXEL).await.is(302).header("location").to_owned();
    let url: url::Url = location.parse().unwrap();
    let id = url.query_pairs().find(|(key, _)| key == "ko_click_id").expect("ko_click_id").1.into_owned();
    let data = json!({ "usertime": crate::harness::now(), "conversion_data": { "utm_source": id } });
    let body = browser_body(&app, "install", "1f0c2-1-c", data);
    app.server.sends("/track/json/", body).await.accepted();
    let device = "KB1760000000T5f2b0c1d9e8f4a7b8c6d5e4f3a2b1c0d";
    assert_eq!(app.class(device).await, "ko_click_id");
    assert_eq!(app.winner(device).await, id);
}
