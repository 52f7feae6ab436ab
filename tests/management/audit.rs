//! The audit log, kind by kind: who, what, before, after (docs/management.md).

use reqwest::Method;

use crate::harness::{Answered as _, KEY, Server, Value, json};

/// What a change has to leave behind: its kind, the action, and a field that it names.
type Row = (&'static str, &'static str, &'static str);

/// Changes in the order they are made on an empty server, where the first of everything has the number 1.
fn steps() -> Vec<(&'static str, Value, Row)> {
    let url = json!({ "cpi_mostback_url": "https://partner.example.com/pb" });
    let window = json!({ "key": "device_id_lookback_window", "value": 7_200 });
    let auth = |secret: &str| json!({ "install_auth": { "mode": "flag", "secret": secret } });
    let rules = |value: &str| json!({ "settings": { "fraud.click_validation.key": value } });
    let blocked = |reason: &str| json!({ "type": "ip", "blacklistIp": { "ipAddress": "203.0.113.9", "source": 2, "reason": reason } });
    let tracker = json!({ "name": "t", "network_id": "1001", "campaign_id": "1", "tier_id": "1",
                          "destination_url": "https://shop.example.com/" });
    let trigger =
        json!({ "app_id": 1, "type": "install", "title": "t", "template_id": 3373, "context": url });
    let source = json!({ "kind": "segment", "name": "segment-prod" });
    vec![
        ("POST /apps", json!({ "name": "Shop", "platform": "iOS" }), ("app", "created", "")),
        ("PATCH /apps/1", json!({ "sku": "b-1" }), ("app", "changed", "sku")),
        ("PATCH /apps/1", auth("one-secret-of-many"), ("app", "changed", "install_auth.secret")),
        ("PATCH /apps/1", auth("another-secret"), ("app", "changed", "install_auth.secret")),
        ("POST /networks", json!({ "name": "n" }), ("network", "created", "")),
        ("PATCH /networks/1001", json!({ "name": "m" }), ("network", "changed", "name")),
        ("PATCH /networks/1001", rules("0123456789abcdef"), ("fraud", "created", "")),
        (
            "PATCH /networks/1001",
            rules("fedcba9876543210"),
            ("fraud", "changed", "fraud.click_validation.key"),
        ),
        (
            "PATCH /apps/1/networks/1001",
            json!({ "settings": { "attribution.windows.click_device": "1d" } }),
            ("app_network", "created", ""),
        ),
        ("POST /campaign/1", json!({ "name": "Spring" }), ("campaign", "created", "")),
        ("POST /campaign/1", json!({ "id": "1", "budget_max": 5 }), ("campaign", "changed", "budget_max")),
        ("POST /tier/1", json!({ "name": "DE" }), ("segment", "created", "")),
        ("POST /tier/1", json!({ "id": "1", "target_geo": "DE" }), ("segment", "changed", "target_geo")),
        ("POST /tracker/1/create", tracker, ("tracker", "created", "")),
        ("POST /tracker/1", json!({ "id": "1", "is_active": false }), ("tracker", "changed", "is_active")),
        (
            "POST /tracker/override?id=1",
            json!({ "device_id_lookback_window": window }),
            ("tracker", "changed", "overrides.device_id_lookback_window"),
        ),
        ("POST /postbacks", trigger, ("trigger", "created", "")),
        ("PATCH /postbacks/1", json!({ "active": true }), ("trigger", "changed", "active")),
        ("PATCH /postbacks/1", json!({ "context": { "x": 1 } }), ("trigger", "changed", "context.x")),
        ("POST /api/triggers/1/pause", json!({}), ("trigger", "changed", "paused")),
        ("POST /api/triggers/1/secrets", json!({}), ("trigger", "changed", "signing_secrets")),
        ("PATCH /api/apps/1/events", json!({ "name": "View", "active": false }), ("event", "created", "")),
        (
            "PATCH /api/apps/1/events",
            json!({ "name": "View", "active": true }),
            ("event", "changed", "active"),
        ),
        ("POST /fraud/blacklist/add", blocked("a farm"), ("blocklist", "created", "")),
        ("POST /fraud/blacklist/update", blocked("a big farm"), ("blocklist", "changed", "entries")),
        ("POST /fraud/blacklist/remove", blocked(""), ("blocklist", "deleted", "entries")),
        ("POST /api/apps/1/sources", source, ("source", "created", "")),
        ("PATCH /api/apps/1/sources/1", json!({ "name": "s" }), ("source", "changed", "name")),
        ("DELETE /api/apps/1/sources/1", json!({}), ("source", "deleted", "deleted")),
        ("POST /api/members", json!({ "name": "Sam", "role": "Read Only" }), ("member", "created", "")),
        ("PATCH /api/members/1", json!({ "role": "App Admin" }), ("member", "changed", "role")),
        ("DELETE /api/members/1", json!({}), ("member", "deleted", "deleted")),
        ("POST /api/keys", json!({ "name": "k" }), ("key", "created", "")),
        ("PATCH /api/keys/3", json!({ "write": true }), ("key", "changed", "write")),
        ("DELETE /api/keys/3", json!({}), ("key", "deleted", "revoked")),
        ("DELETE /postbacks/1", json!({}), ("trigger", "deleted", "deleted")),
        ("DELETE /tracker/1/delete/1", json!({}), ("tracker", "deleted", "deleted")),
        ("DELETE /tier/1/delete/1", json!({}), ("segment", "deleted", "deleted")),
        ("DELETE /campaign/1/delete/1", json!({}), ("campaign", "deleted", "deleted")),
        ("DELETE /networks/1001", json!({}), ("network", "deleted", "deleted")),
        ("DELETE /apps/1", json!({}), ("app", "deleted", "deleted")),
    ]
}

#[tokio::test]
async fn each_change_leaves_a_row_with_who_what_before_and_after() {
    let server = Server::start().await;
    let made = server.post("/api/keys", json!({ "name": "CI", "write": true })).await.is(201).json();
    let key = made["key"].as_str().unwrap();
    let mut last = made["id"].as_u64().unwrap();
    for (line, body, (kind, action, field)) in steps() {
        let (method, path) = line.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let request = server.request(method.clone(), path).header("Authentication-Key", key);
        let request = if method == Method::DELETE { request } else { request.json(&body) };
        let answer = request.answer().await;
        assert!(matches!(answer.status, 200 | 201), "{line}: {}", answer.text());
        let log = server.get("/api/audit?limit=1").await.is(200).json();
        let row = &log["data"][0];
        assert!(row["version"].as_u64().unwrap() > last, "{line} left no row: {row}");
        last = row["version"].as_u64().unwrap();
        assert_eq!((&row["kind"], &row["action"]), (&json!(kind), &json!(action)), "{line}: {row}");
        assert_eq!((&row["by"]["key_id"], &row["by"]["key_name"]), (&made["id"], &json!("CI")), "{row}");
        assert!(row["at"].is_string() && !row["after"].is_null(), "{row}");
        assert_eq!(row["before"].is_null(), action == "created", "{line}: {row}");
        let changed = row["changed"].as_array().unwrap();
        assert!(field.is_empty() || changed.contains(&json!(field)), "{line} changed {field}: {row}");
    }
    let whole = server.get("/api/audit?limit=1000").await.is(200).text();
    for secret in ["one-secret-of-many", "another-secret", "0123456789abcdef", "fedcba9876543210", "whsec_"] {
        assert!(!whole.contains(secret), "{secret} in {whole}");
    }
}

#[tokio::test]
async fn an_upload_of_costs_is_on_record_with_what_it_replaced() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let network = server.network("Example Network").await;
    for (rows, before, after) in [
        (vec!["1.5", "2"], Value::Null, json!({ "rows": 2, "uploaded": "3.5" })),
        (vec!["7"], json!({ "rows": 2, "uploaded": "3.5" }), json!({ "rows": 1, "uploaded": "7" })),
    ] {
        let lines: Vec<String> = rows
            .iter()
            .map(|cost| json!({ "date": "2025-10-09", "network_id": network, "cost": cost }).to_string())
            .collect();
        let request = server.request(Method::POST, &format!("/api/costs?app={}", app.id));
        request.header("Authentication-Key", KEY).body(lines.join("\n")).answer().await.is(200);
        let log = server.get("/api/audit?kind=costs&limit=1").await.is(200).json();
        let row = &log["data"][0];
        assert_eq!(
            (&row["by"]["key_id"], &row["id"]),
            (&json!(1), &json!(format!("app {}", app.id))),
            "{row}"
        );
        for (side, expected) in [("before", before), ("after", after)] {
            let shown = row[side]
                .as_object()
                .map(|shown| json!({ "rows": shown["rows"], "uploaded": shown["uploaded"] }));
            assert_eq!(shown.unwrap_or_default(), expected, "{side} in {row}");
        }
        assert_eq!(row["after"]["network_ids"], json!([network]), "{row}");
    }
}
