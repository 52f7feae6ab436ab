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
    for path in ["/track/json", "/track/json/", "/track/kvinit", "/track/kvinit/", "/v1/cpi/identityLink.php"]
    {
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
async fn a_text_that_was_cut_in_the_middle_of_a_character_is_taken() {
    let app = web_app().await;
    let server = &app.server;
    let data = json!({ "event_name": "abc<cut>", "event_data": { "page_name": "abc<cut>" } });
    // What JSON.stringify makes of "abc😀".slice(0, 4).
    let cut = browser_body(&app, "event", "1f0c2-1-f", data.clone()).replace("<cut>", "\\ud83d");
    let input = server.sends("/track/json/", cut.clone()).await.accepted();
    assert_eq!(server.sends("/track/json/", cut).await.accepted(), input, "a retry counts once");
    let event = server.input(&input).await;
    assert_eq!(event["event"]["name"], "abc\u{fffd}", "{event}");
    let plain = app.body("event", "SX-1", data).to_string().replace("<cut>", "\\ude00");
    server.sends("/track/json", plain).await.accepted();
}

#[tokio::test]
async fn a_payload_that_is_too_deep_drains_the_queue_and_is_kept_with_its_app() {
    let app = web_app().await;
    let server = &app.server;
    let deep = (0..200).fold(json!(1), |inner, _| json!({ "a": inner }));
    let data = json!({ "event_name": "page", "event_data": deep });
    let body = browser_body(&app, "event", "1f0c2-1-g", data.clone());
    for _ in 0..2 {
        let answer = server.sends("/track/json/", body.clone()).await.is(200);
        assert_eq!(answer.json(), json!({ "success": "1" }));
    }
    // Other senders to the same app hear the truth, and theirs is kept in the same place.
    server.sends("/track/json", app.body("event", "SX-1", data).to_string()).await.refused(400);
    let kept = server.get(&format!("/api/apps/{}/quarantine", app.id)).await.is(200).json();
    let rows = kept["data"].as_array().unwrap();
    let status: Vec<&Value> = rows.iter().map(|row| &row["status"]).collect();
    assert_eq!(status, [400, 200], "{kept}");
    assert!(
        rows.iter().all(|row| row["reason"].as_str().is_some_and(|why| why.contains("32 levels"))),
        "{kept}"
    );
    server.balanced().await;
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

fn init(guid: &str) -> String {
    json!({
        "action": "init", "kochava_app_id": guid,
        "kochava_device_id": "KB1760000000T5f2b0c1d9e8f4a7b8c6d5e4f3a2b1c0d",
        "sdk_version": "WebTracker 3.0.4", "sdk_protocol": "17",
        "nt_id": "1f0c2-1-0b0a3c55-5c5f-4d0e-9a7e-0d4f6f1f2a3b", "build_date": "kbd: 1/1/2025",
        "data": {
            "package": "com.shop.example.web", "platform": "web", "starttime": 1_760_000_000.118, "uptime": 0,
            "usertime": 1_760_000_000,
        },
    })
    .to_string()
}

#[tokio::test]
async fn the_handshake_points_every_url_back_at_us() {
    let app = web_app().await;
    let here = format!("http://{}", app.server.address());
    for path in ["/track/kvinit", "/track/kvinit/"] {
        let answer = app.server.sends(path, init(&app.guid)).await.is(200);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let answer = answer.json();
        assert_eq!(answer["success"], "1");
        let urls = json!({
            "init": format!("{here}/track/kvinit"), "install": format!("{here}/track/json/"),
            "event": format!("{here}/track/json/"), "identityLink": format!("{here}/track/json/"),
        });
        assert_eq!(answer["networking"]["urls"], urls, "{answer}");
        assert_eq!(answer["networking"]["retry_waterfall"], json!([7, 30, 300, 1_800]));
        assert_eq!(answer["config"]["refresh_minimum"], 60);
        assert_eq!(answer["install"], json!({ "resend_id": "", "updates_enabled": true }));
    }
    // What the browser can reach is what it asked for, behind a proxy too.
    let asked = app.server.request(Method::POST, "/track/kvinit").header("Host", "m.example.com");
    let answer = asked.body(init(&app.guid)).answer().await.is(200).json();
    assert_eq!(answer["networking"]["urls"]["event"], "http://m.example.com/track/json/", "{answer}");
}

#[tokio::test]
async fn the_handshake_tells_the_apps_settings() {
    let app = web_app().await;
    let settings = json!({
        "browser.allow_custom_ids": ["loyalty_id"], "browser.deny_datapoints": ["language"],
        "browser.deny_event_names": ["secret"], "browser.deny_identity_links": ["email"],
        "browser.resend_id": "r-1", "browser.refresh_minimum": 300,
    });
    let path = format!("/apps/{}", app.id);
    let changed = app.server.patch(&path, json!({ "settings": settings })).await.is(200).json();
    assert_eq!(changed["settings"], settings, "{changed}");
    let answer = app.server.sends("/track/kvinit", init(&app.guid)).await.is(200).json();
    let privacy = json!({
        "allow_custom_ids": ["loyalty_id"], "deny_datapoints": ["language"],
        "deny_event_names": ["secret"], "deny_identity_links": ["email"],
    });
    assert_eq!(answer["privacy"], privacy, "{answer}");
    assert_eq!(answer["install"]["resend_id"], "r-1");
    assert_eq!(answer["config"]["refresh_minimum"], 300);
    for (name, value) in [
        ("browser.deny_event_names", json!("secret")),
        ("browser.deny_event_names", json!([1])),
        ("browser.refresh_minimum", json!(5)),
        ("browser.resend_id", json!(7)),
    ] {
        let refused = app.server.patch(&path, json!({ "settings": { name: value } })).await.is(400).text();
        assert!(refused.contains(name), "{refused}");
    }
    let defaults = json!({ "settings": { "browser.deny_event_names": null, "browser.resend_id": null } });
    let changed = app.server.patch(&path, defaults).await.is(200).json();
    assert!(changed["settings"].get("browser.resend_id").is_none(), "{changed}");
}

#[tokio::test]
async fn a_handshake_that_names_no_app_is_no_success() {
    let server = Server::start().await;
    for (body, status) in [
        (init("kounknown-1"), 404),
        ("{}".to_owned(), 400),
        ("[]".to_owned(), 400),
        ("nonsense".to_owned(), 400),
    ] {
        let answer = server.sends("/track/kvinit", body).await.is(status);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.json()["success"], "0");
    }
    // Nothing of it is an input.
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["received"], 0, "{ledger}");
}

#[tokio::test]
async fn the_same_nt_id_counts_once_and_a_resent_install_is_a_duplicate() {
    let app = web_app().await;
    let data = json!({ "usertime": crate::harness::now() });
    let first =
        app.server.sends("/track/json/", browser_body(&app, "install", "1f0c2-1-d", data.clone())).await;
    let again =
        app.server.sends("/track/json/", browser_body(&app, "install", "1f0c2-1-d", data.clone())).await;
    assert_eq!(first.accepted(), again.accepted());
    let resent = app.server.sends("/track/json/", browser_body(&app, "install", "1f0c2-1-e", data)).await;
    let row = app.server.input(&resent.accepted()).await;
    assert_eq!(row["outcomes"][0]["outcome"], "duplicate_install", "{row}");
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_address_is_the_forwarded_one() {
    let server = Server::with(&[("SEXTANT_SERVER_TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let app = server.app("Web").await;
    let link = app.link("Example Network").await;
    let from = |method: Method, path: &str, address: &str| {
        let request = server.request(method, path).header("User-Agent", device::PIXEL);
        request.header("X-Forwarded-For", address)
    };
    from(Method::GET, &link.path(""), "203.0.113.24").answer().await.is(302);
    let install = async |device: &str, address: &str| {
        let mut body: Value =
            serde_json::from_str(&browser_body(&app, "install", device, json!({}))).unwrap();
        body["kochava_device_id"] = json!(device);
        from(Method::POST, "/track/json/", address).body(body.to_string()).answer().await.accepted();
        app.class(device).await
    };
    assert_eq!(install("KB-other", "198.51.100.7").await, "organic");
    assert_eq!(install("KB-same", "203.0.113.24").await, "modeled");
}

#[tokio::test]
async fn the_snippet_is_small_and_may_be_kept() {
    let server = Server::start().await;
    let answer = server.request(Method::GET, "/sx.js").answer().await.is(200);
    assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8");
    assert!(answer.header("cache-control").contains("max-age"));
    let text = answer.text();
    assert!(text.len() < 4_000, "{} bytes", text.len());
    for word in ["import", "require", "createElement", "document.write", "://"] {
        assert!(!text.contains(word), "it depends on nothing else: {word}");
    }
}
