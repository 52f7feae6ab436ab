//! Triggers (management-and-reporting.md sections 1 and 7; postbacks.md sections 3 and 12).

use crate::harness::{Answer, Server, Value, json};

#[track_caller]
fn enveloped(answer: &Answer, success: bool) -> Value {
    let body = answer.json();
    assert_eq!(body["success"], success, "{body}");
    for field in ["meta", "nextToken", "previousToken"] {
        assert_eq!(body.get(field), Some(&Value::Null), "{field} in {body}");
    }
    for field in ["errors", "warnings", "messages", "data"] {
        assert!(body[field].is_array(), "{field} in {body}");
    }
    assert_eq!(body["errors"].as_array().unwrap().is_empty(), success, "{body}");
    body
}

#[tokio::test]
async fn a_trigger_is_made_read_changed_and_deleted() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let body = json!({
        "app_id": app.id, "type": "event", "title": "Purchase to partner", "template_id": 3373, "filter_str": "Purchase",
        "context": { "cpi_mostback_url": "https://partner.example.com/pb?cid={click_id}&v={event_value}",
                     "deferred_for": 30_000, "max_delivery_attempts": "3", "cpi_partner_app_id": "x", "flag": true },
    });
    let answer = server.post("/postbacks", body.clone()).await.is(201);
    let made = enveloped(&answer, true)["data"][0].clone();
    let id = made["id"].as_u64().expect("ids are numbers");
    for field in ["app_id", "type", "title", "template_id", "filter_str", "context"] {
        assert_eq!(made[field], body[field], "{field} in {made}");
    }
    assert_eq!(made["active"], false, "{made}");
    assert!(made["date_created"].is_i64(), "{made}");
    let path = format!("/apps/{}/postbacks/{id}", app.id);
    assert_eq!(enveloped(&server.get(&path).await.is(200), true)["data"], json!([made]));
    let list = server.get(&format!("/apps/{}/postbacks", app.id)).await.is(200);
    assert_eq!(enveloped(&list, true)["data"], json!([made]));

    // Switches drift in their types.
    for (given, shown) in
        [(json!("true"), true), (json!(0), false), (json!("1"), true), (json!("False"), false)]
    {
        let answer = server.patch(&format!("/postbacks/{id}"), json!({ "active": given })).await.is(200);
        assert_eq!(answer.json()["data"][0]["active"], shown, "{given}");
    }
    // A context is merged by key; null deletes.
    let change = json!({ "title": "Second", "active": true,
                         "context": { "deferred_for": null, "max_delivery_attempts": 0, "sx_new": "y" } });
    let answer = server.patch(&format!("/postbacks/{id}"), change).await.is(200);
    let changed = enveloped(&answer, true)["data"][0].clone();
    assert_eq!((&changed["title"], &changed["active"]), (&json!("Second"), &json!(true)), "{changed}");
    let context = &changed["context"];
    assert_eq!(context.get("deferred_for"), None, "{changed}");
    assert_eq!(context["max_delivery_attempts"], 0, "{changed}");
    assert_eq!(context["cpi_partner_app_id"], "x", "{changed}");

    let answer = server.delete(&format!("/postbacks/{id}")).await.is(200);
    assert!(answer.body.is_empty());
    for gone in [server.get(&path).await, server.delete(&format!("/postbacks/{id}")).await] {
        enveloped(&gone.is(404), false);
    }
    let change = json!({ "active": true });
    enveloped(&server.patch(&format!("/postbacks/{id}"), change).await.is(404), false);
}

#[tokio::test]
async fn a_duplicate_is_409_or_400_as_configured() {
    for (status, setting) in [(409, "409"), (400, "400")] {
        let server = Server::with(&[("SEXTANT_PUBLISHER_API_DUPLICATE_STATUS", setting)]).await;
        let app = server.app("iOS").await;
        let other = server.app("iOS").await;
        let body = |app: u64, kind: &str, filter: &str| {
            json!({ "app_id": app, "type": kind, "title": "t", "template_id": 3373, "filter_str": filter,
                    "context": { "cpi_mostback_url": "https://partner.example.com/pb" } })
        };
        for (app, kind, filter, expected) in [
            (app.id, "install", "", 201),
            (app.id, "install", "", status),
            (app.id, "install", "x", status),
            (app.id, "click", "", 201),
            (app.id, "click", "", status),
            (app.id, "event", "", 201),
            (app.id, "event", "", status),
            (app.id, "event", "Purchase", 201),
            (app.id, "event", "purchase", 201),
            (app.id, "event", "Purchase", status),
            (other.id, "install", "", 201),
        ] {
            let answer = server.post("/postbacks", body(app, kind, filter)).await;
            assert_eq!(answer.status, expected, "{kind} {filter:?}: {}", answer.text());
            let answer = enveloped(&answer, expected == 201);
            if expected == status {
                assert_eq!(answer["errors"], json!(["Duplicate postback"]), "{answer}");
            }
        }
        let mut again = body(app.id, "install", "");
        again["template_id"] = json!(3374);
        again["context"]["sx_delivery"] = json!("all");
        server.post("/postbacks", again).await.is(201);
    }
}

#[tokio::test]
async fn what_makes_no_trigger_is_a_400() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let good = json!({ "app_id": app.id, "type": "install", "title": "t", "template_id": 3373,
                       "context": { "cpi_mostback_url": "https://partner.example.com/pb" } });
    let set = |pointer: &str, value: Value| {
        let mut body = good.clone();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let context = |key: &str, value: Value| {
        let mut body = good.clone();
        body["context"][key] = value;
        body
    };
    for body in [
        json!({}),
        json!([]),
        set("/app_id", Value::Null),
        set("/app_id", json!(999)),
        set("/type", json!("session")),
        set("/type", Value::Null),
        set("/template_id", Value::Null),
        set("/context", Value::Null),
        set("/context", json!({})),
        set("/context", json!("x")),
        context("cpi_mostback_url", json!("")),
        context("cpi_mostback_url", json!("partner.example.com/pb")),
        context("cpi_mostback_url", json!("ftp://partner.example.com/pb")),
        context("cpi_mostback_url", json!("https://{click_id}/pb")),
        context("cpi_mostback_url", json!("https://partner.example.com/pb\r\nX-Evil: 1")),
        context("deferred_for", json!(600_001)),
        context("deferred_for", json!("soon")),
        context("max_delivery_attempts", json!(11)),
        context("max_delivery_attempts", json!(-1)),
        context("sx_delivery", json!("everybody")),
        context("sx_delivery", json!("network")),
        context("sx_method", json!("DELETE")),
    ] {
        let answer = server.post("/postbacks", body.clone()).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        enveloped(&answer, false);
    }
    let id = app.trigger("install", json!({ "cpi_mostback_url": "https://partner.example.com/pb" })).await;
    for change in [
        json!({ "active": "perhaps" }),
        json!({ "title": 7 }),
        json!({ "context": "x" }),
        json!({ "context": { "cpi_mostback_url": null } }),
        json!({ "context": { "deferred_for": "soon" } }),
    ] {
        let answer = server.patch(&format!("/postbacks/{id}"), change.clone()).await;
        assert_eq!(answer.status, 400, "{change}: {}", answer.text());
        enveloped(&answer, false);
    }
    let kept = server.get(&format!("/apps/{}/postbacks/{id}", app.id)).await.is(200).json();
    assert_eq!(kept["data"][0]["context"]["cpi_mostback_url"], "https://partner.example.com/pb", "{kept}");
}

#[tokio::test]
async fn unknown_macros_are_warned_of() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let body = json!({ "app_id": app.id, "type": "install", "title": "t", "template_id": 3373,
                       "context": { "cpi_mostback_url": "https://partner.example.com/pb?x={clickid}" } });
    let answer = enveloped(&server.post("/postbacks", body).await.is(201), true);
    assert!(answer["warnings"].to_string().contains("clickid"), "{answer}");
}
