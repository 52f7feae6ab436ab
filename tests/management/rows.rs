//! What the pages about campaigns, segments and trackers say field by field
//! (management-and-reporting.md sections 1 to 5): types that drift, empty values of clients, fields that are
//! nobody's.

use crate::harness::{App, Link, Server, Value, json};

async fn campaign(app: &App, fields: Value) -> Value {
    let mut body = json!({ "name": "Spring" });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    app.server.post(&format!("/campaign/{}", app.id), body).await.is(201).json()
}

async fn tracker(app: &App, link: &Link, fields: Value) -> Value {
    let mut body = json!({
        "name": "t", "network_id": link.network, "campaign_id": link.campaign, "tier_id": link.tier,
        "destination_url": "https://shop.example.com/",
    });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    app.server.post(&format!("/tracker/{}/create", app.id), body).await.is(201).json()
}

#[tokio::test]
async fn numbers_are_answered_as_the_incumbent_does_however_they_come() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    for field in [
        "budget_daily",
        "budget_weekly",
        "budget_max",
        "target_clicks",
        "target_installs",
        "date_start",
        "date_end",
    ] {
        assert_eq!(campaign(&app, json!({ field: "100" })).await[field], 100, "{field} of a campaign");
        assert_eq!(campaign(&app, json!({ field: 100 })).await[field], 100, "{field} of a campaign");
        let path = format!("/campaign/{}", app.id);
        server.post(&path, json!({ "name": "x", field: "much" })).await.is(400);
        server.post(&path, json!({ "name": "x", field: [1] })).await.is(400);
    }
    let link = app.link("Example Network").await;
    for field in ["network_price", "budget_daily", "budget_weekly", "budget_max"] {
        for given in [json!("1.5"), json!(1.5)] {
            assert_eq!(
                tracker(&app, &link, json!({ field: given })).await[field],
                json!(1.5),
                "{field} of a tracker"
            );
        }
        assert_eq!(
            tracker(&app, &link, json!({ field: 2 })).await[field],
            json!(2.0),
            "{field} of a tracker"
        );
        let body = json!({ "id": link.id, field: "much" });
        server.post(&format!("/tracker/{}", app.id), body).await.is(400);
    }
    // Ids: strings here, numbers on apps and networks; both are taken everywhere.
    let tracker = tracker(&app, &link, json!({ "network_id": link.network.parse::<u64>().unwrap() })).await;
    for field in ["id", "app_id", "network_id", "campaign_id", "tier_id", "date_created"] {
        assert!(tracker[field].is_string(), "{field} in {tracker}");
    }
    let campaign = campaign(&app, json!({})).await;
    assert!(
        campaign["id"].is_string() && campaign["app_id"].is_string() && campaign["date_created"].is_i64()
    );
    let networks = server.get("/networks").await.is(200).json();
    assert!(networks[0]["id"].is_u64(), "{networks}");
}

#[tokio::test]
async fn null_and_empty_stand_for_the_default() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let nothing = json!({ "type": null, "events": null, "click_url_custom_params": null, "creative_ids": null,
                          "destination_data": null, "network_price": null });
    let made = tracker(&app, &link, nothing).await;
    for (field, value) in [
        ("type", json!("acquisition")),
        ("events", json!([])),
        ("click_url_custom_params", json!([])),
        ("creative_ids", json!([])),
        ("destination_data", json!({ "type": "", "typeObj": "" })),
        ("network_price", json!(0.0)),
    ] {
        assert_eq!(made[field], value, "{field} in {made}");
    }
    let made =
        campaign(&app, json!({ "date_start": "", "date_end": "", "budget_max": "", "meta": null })).await;
    for (field, value) in [
        ("date_start", Value::Null),
        ("date_end", Value::Null),
        ("budget_max", json!(0)),
        ("meta", Value::Null),
    ] {
        assert_eq!(made[field], value, "{field} in {made}");
    }
}

#[tokio::test]
async fn unknown_fields_are_kept_and_given_back() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let extra = json!({ "zz_new": { "a": [1, "2"] }, "type": "something-new" });
    let campaign = campaign(&app, extra.clone()).await;
    let tracker = tracker(&app, &link, extra.clone()).await;
    let network =
        server.post("/networks", json!({ "name": "n", "zz_new": extra["zz_new"] })).await.is(201).json();
    let changed = server.patch(&format!("/apps/{}", app.id), extra.clone()).await.is(200).json();
    let path = format!("/tier/{}", link.campaign);
    let mut segment = extra.clone();
    segment["name"] = json!("AT");
    let segment = server.post(&path, segment).await.is(201).json();
    for object in [&campaign, &tracker, &network, &changed, &segment] {
        assert_eq!(object["zz_new"], extra["zz_new"], "{object}");
    }
    assert_eq!(
        (&campaign["type"], &tracker["type"]),
        (&extra["type"], &extra["type"]),
        "unknown values are stored"
    );
}

/// Every resource answers its misses alike, and takes nothing with a verb that it does not know.
#[tokio::test]
async fn statuses_are_the_same_everywhere() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let id = app.id;
    for (line, status) in [
        ("GET /apps/999".to_owned(), 404),
        ("PUT /apps/1".to_owned(), 405),
        ("GET /campaign/999".to_owned(), 404),
        (format!("PUT /campaign/{id}"), 405),
        (format!("DELETE /campaign/{id}/delete/999"), 404),
        (format!("GET /tier/{}/999", link.campaign), 404),
        (format!("DELETE /tier/{}/delete/999", link.campaign), 404),
        (format!("GET /tracker/{id}/999"), 404),
        (format!("DELETE /tracker/{id}/delete/999"), 404),
        (format!("GET /tracker/{id}?weather=fine"), 400),
        ("GET /tracker/override?id=999".to_owned(), 404),
        ("GET /networks/999999".to_owned(), 404),
        ("GET /nowhere".to_owned(), 404),
    ] {
        use crate::harness::{Answered as _, KEY};
        let (method, path) = line.split_once(' ').unwrap();
        let request = server.request(method.parse().unwrap(), path).header("Authentication-Key", KEY);
        let answer = request.answer().await;
        assert_eq!(answer.status, status, "{line}: {}", answer.text());
        let body = answer.json();
        assert_eq!(body["success"], false, "{line}: {body}");
        assert!(body["errors"][0].as_str().is_some_and(|text| !text.is_empty()), "{line}: {body}");
    }
    // A filter of one field and of several, and the empty one.
    let base = format!("/tracker/{id}");
    for (query, count) in [
        ("".to_owned(), 1),
        (format!("?campaign_id={}&network_id={}&is_active=true", link.campaign, link.network), 1),
        (format!("?tier_id={}", link.tier), 1),
        ("?is_active=false".to_owned(), 0),
        ("?name=nobody".to_owned(), 0),
    ] {
        let rows = server.get(&format!("{base}{query}")).await.is(200).json();
        assert_eq!(rows.as_array().expect("a bare array").len(), count, "{query}: {rows}");
    }
}
