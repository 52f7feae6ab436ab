//! Who may see explanations.

use serde_json::json;

use super::{KEY, ONE_APP, READER, Server};

#[tokio::test]
async fn a_key_of_one_app_sees_no_explanation_of_another() {
    let server = Server::start().await;
    for (name, guid) in [("One", "koone-1"), ("Two", "kotwo-2")] {
        let app = json!({ "name": name, "platform": "iOS", "guid": guid });
        server.expect(201, "POST /apps", app).await;
    }
    let send = async |action: &str, data: serde_json::Value| {
        let body = json!({ "action": action, "kochava_app_id": "kotwo-2", "kochava_device_id": "SX-1", "data": data });
        let answer = server.call("", "POST /track/json", Some(body.to_string())).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.headers["sextant-input"].to_str().unwrap().to_owned()
    };
    let install = send("install", json!({ "origination_ip": "203.0.113.9" })).await.replace("in_", "ins_");
    let event = send("event", json!({ "event_name": "Purchase" })).await;
    for path in [
        format!("GET /api/installs/{install}/explain"),
        "GET /api/apps/2/devices/SX-1/explain".to_owned(),
        format!("GET /api/events/{event}/explain"),
    ] {
        for (key, status) in [(KEY, 200), (READER, 200), (ONE_APP, 403)] {
            let answer = server.call(key, &path, None).await;
            assert_eq!(answer.status, status, "{path} with {key}: {}", answer.body);
        }
    }
}
