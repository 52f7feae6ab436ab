//! Install authentication (ingest.md section 11; DECISIONS 21).

use reqwest::Method;

use crate::harness::{Answer, Answered as _, Server, json};

const GUID: &str = "kosextant-demo-ab12cd";
const API_KEY: &str = "0D5E2B1C-7A44-4F0E-9B1D-3C2A1F6E8D90";
const SECRET: &str = "s3xt4nt-demo-secret";

const A: &str = concat!(
    r#"{"action":"install","kochava_app_id":"kosextant-demo-ab12cd","kochava_device_id":"SX-0001","#,
    r#""data":{"origination_ip":"203.0.113.24","device_ua":"","device_ver":"iPhone-iOS-17.5.1","#,
    r#""device_ids":{"idfv":"3D5F0B1E-6C2A-4E57-9E0B-7A1C2D3E4F50"}}}"#
);
const B: &str = concat!(
    r#"{"action":"install","kochava_app_id":"kosextant-demo-ab12cd","#,
    r#""data":{"device_ua":"Mozilla/5.0 (iPhone)"}}"#
);
const C: &str = concat!(
    r#"{"action":"install","kochava_app_id":"kosextant-demo-ab12cd","#,
    r#""data":{"device_ua":"Mozilla\/5.0 (iPhone)"}}"#
);
const TOKEN_A: &str = "7f6c2a2e27b2fb92bb81bf032e1ba2f32eaac614377e3766a9d9bb45aa42c4a0";
const TOKEN_B: &str = "59311c9978959f3ffbb0524a2e21336202bb237061a6484dea15418e9112701f";
const TOKEN_C: &str = "411343119292bbf6e8b441b2c9b6ff4c074d2dc672714e034901a926cc2d5892";

async fn send(server: &Server, path: &str, body: &str, key: &str, token: &str) -> Answer {
    let mut request = server.request(Method::POST, path).body(body.to_owned());
    if !key.is_empty() {
        request = request.header("Kochava-Api-Key", key);
    }
    if !token.is_empty() {
        request = request.header("Kochava-Auth-Token", token);
    }
    request.answer().await
}

async fn server_with(mode: &str) -> Server {
    let server = Server::start().await;
    let auth = json!({ "mode": mode, "api_key": API_KEY, "secret": SECRET });
    server.app_with(json!({ "name": "Demo", "platform": "iOS", "guid": GUID, "install_auth": auth })).await;
    server
}

#[tokio::test]
async fn strict_apps_take_what_is_signed_and_nothing_else() {
    assert_eq!((A.len(), B.len(), C.len()), (241, 105, 106), "the vectors are as published");
    let server = server_with("strict").await;
    let flipped = A.replace("SX-0001", "SX-0002");
    let wrong_key = API_KEY.replace("0D5E", "0D5F");
    let upper = TOKEN_A.to_uppercase();
    let cases = [
        ("A+A", A, API_KEY, TOKEN_A, 200),
        ("B+B", B, API_KEY, TOKEN_B, 200),
        ("B+C", B, API_KEY, TOKEN_C, 200),
        ("C+C", C, API_KEY, TOKEN_C, 200),
        ("A+A in upper case", A, API_KEY, &upper, 200),
        ("C+B", C, API_KEY, TOKEN_B, 401),
        ("A+B", A, API_KEY, TOKEN_B, 401),
        ("a flipped byte", &flipped, API_KEY, TOKEN_A, 401),
        ("another key", A, &wrong_key, TOKEN_A, 401),
        ("no token", A, API_KEY, "", 401),
        ("no key", A, "", TOKEN_A, 401),
        ("no header", A, "", "", 401),
        ("not hex", A, API_KEY, "token", 401),
        ("half a token", A, API_KEY, &TOKEN_A[..32], 401),
    ];
    for (name, body, key, token, status) in cases {
        let answer = send(&server, "/track/json", body, key, token).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        if status == 200 {
            let row = server.input(&answer.accepted()).await;
            assert!(row["flags"].to_string().contains("auth:ok"), "{name}: {row}");
        } else {
            answer.refused(401);
        }
    }
    // What was refused is kept, visible, in the app's quarantine.
    let app = server.get("/apps").await.is(200).json()[0]["id"].clone();
    let kept = server.get(&format!("/api/apps/{app}/quarantine")).await.is(200).json();
    assert_eq!(kept["data"].as_array().unwrap().len(), 9, "{kept}");
    assert!(kept["data"].as_array().unwrap().iter().all(|row| row["status"] == 401), "{kept}");
    server.balanced().await;
}

#[tokio::test]
async fn strict_covers_every_action_on_both_paths() {
    let server = server_with("strict").await;
    let body = |action: &str| {
        json!({ "action": action, "kochava_app_id": GUID, "kochava_device_id": "SX-1",
                "data": { "event_name": "View", "idfa": "", "identity_link": { "user_id": "u-42" } } })
    };
    for action in ["install", "event", "update", "identityLink"] {
        send(&server, "/track/json", &body(action).to_string(), "", "").await.refused(401);
    }
    let link =
        json!({ "kochava_app_id": GUID, "device_id": { "idfv": "x-1" }, "data": { "user_id": "u-42" } });
    send(&server, "/v1/cpi/identityLink.php", &link.to_string(), "", "").await.refused(401);

    // `actions` narrows it.
    let app = server.get("/apps").await.is(200).json()[0]["id"].clone();
    let narrowed = json!({ "install_auth": { "actions": ["install"] } });
    server.patch(&format!("/apps/{app}"), narrowed).await.is(200);
    send(&server, "/track/json", &body("install").to_string(), "", "").await.refused(401);
    send(&server, "/track/json", &body("event").to_string(), "", "").await.accepted();
    send(&server, "/v1/cpi/identityLink.php", &link.to_string(), "", "").await.accepted();
}

#[tokio::test]
async fn flagging_apps_take_everything_and_say_what_it_was() {
    let server = server_with("flag").await;
    for (key, token, flag) in [
        (API_KEY, TOKEN_A, "auth:ok"),
        (API_KEY, TOKEN_B, "auth:bad"),
        (API_KEY, "", "auth:missing"),
        ("", "", "auth:missing"),
    ] {
        let input = send(&server, "/track/json", A, key, token).await.accepted();
        let row = server.input(&input).await;
        assert!(row["flags"].to_string().contains(flag), "no {flag}: {row}");
    }
}

#[tokio::test]
async fn apps_without_authentication_ignore_the_headers() {
    let server = server_with("off").await;
    let input = send(&server, "/track/json", A, "nobody", "nothing").await.accepted();
    let row = server.input(&input).await;
    assert!(!row["flags"].to_string().contains("auth"), "{row}");
}

#[tokio::test]
async fn web_apps_cannot_be_strict_and_secrets_are_shown_once() {
    let server = Server::start().await;
    let strict = json!({ "name": "Web", "platform": "Web", "install_auth": { "mode": "strict" } });
    server.post("/apps", strict).await.is(400);

    let made = json!({ "name": "Demo", "platform": "iOS", "install_auth": { "mode": "strict" } });
    let made = server.post("/apps", made).await.is(201).json();
    let (key, secret) = (made["install_auth"]["api_key"].clone(), made["install_auth"]["secret"].clone());
    assert!(key.as_str().is_some_and(|key| !key.is_empty()), "{made}");
    let secret = secret.as_str().expect("a generated secret is in the answer").to_owned();
    assert!(secret.len() >= 32, "{made}");
    let app = made["id"].as_u64().unwrap();
    let seen = server.get(&format!("/apps/{app}")).await.is(200).text();
    assert!(!seen.contains(&secret), "{seen}");
    assert!(!server.get("/apps").await.text().contains(&secret));
}
