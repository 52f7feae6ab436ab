//! Campaigns, segments, trackers and overrides.

use reqwest::Method;

use crate::harness::{Answered as _, KEY, Server, Value, json};

#[tokio::test]
async fn a_campaign_is_made_read_changed_and_deleted() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let base = format!("/campaign/{}", app.id);
    let body = json!({ "name": "Spring", "destination_url": "https://shop.example.com", "source": "api",
                       "date_start": 1_760_000_000, "date_end": "" });
    let made = server.post(&base, body.clone()).await.is(201).json();
    let id = made["id"].as_str().expect("ids are strings").to_owned();
    assert_eq!(made["app_id"], json!(app.id.to_string()), "{made}");
    for (field, value) in [
        ("type", json!("type_url_forward")),
        ("source", json!("api")),
        ("name", json!("Spring")),
        ("destination_url", json!("https://shop.example.com")),
        ("date_start", json!(1_760_000_000)),
        ("budget_daily", json!(0)),
        ("date_track_outside_range", json!(false)),
        ("smart_link_id", Value::Null),
    ] {
        assert_eq!(made[field], value, "{field} in {made}");
    }
    assert!(made["date_created"].is_i64(), "{made}");
    let path = format!("{base}/{id}");
    assert_eq!(server.get(&path).await.is(200).json(), made);
    let head = server.request(Method::HEAD, &path).header("Authentication-Key", KEY).answer().await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let head =
        server.request(Method::HEAD, &format!("{base}/999")).header("Authentication-Key", KEY).answer().await;
    assert_eq!(head.status, 404);

    let twice = server.post(&base, body).await.is(201).json();
    assert_ne!(twice["id"], made["id"], "duplicates are not detected");
    for given in [json!(id), json!(id.parse::<u64>().unwrap())] {
        let change =
            json!({ "id": given, "name": "Summer", "app_id": "77", "source": "web", "date_created": 1 });
        let changed = server.post(&base, change).await.is(200).json();
        assert_eq!(changed["name"], "Summer", "{changed}");
        for fixed in ["id", "app_id", "source", "date_created", "destination_url"] {
            assert_eq!(changed[fixed], made[fixed], "{fixed} is fixed: {changed}");
        }
    }
    server.post(&base, json!({ "id": "999", "name": "x" })).await.is(404);
    server.post(&base, json!({ "name": "" })).await.is(400);
    server.post(&base, json!({})).await.is(400);

    let list = server.get(&format!("{base}?stats=false")).await.is(200).json();
    assert_eq!(list.as_array().expect("a bare array").len(), 2);
    assert_eq!(list[0]["number_of_trackers"], Value::Null);
    server.delete(&format!("{base}/delete/{id}")).await.is(200);
    server.get(&path).await.is(404);
    server.get("/campaign/999").await.is(404);
}

#[tokio::test]
async fn a_campaign_counts_and_keeps_what_hangs_on_it() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let list = server.get(&format!("/campaign/{}?stats=true", app.id)).await.is(200).json();
    assert_eq!(
        (&list[0]["number_of_trackers"], &list[0]["number_of_tiers"]),
        (&json!(1), &json!(1)),
        "{list}"
    );
    server.delete(&format!("/campaign/{}/delete/{}", app.id, link.campaign)).await.is(409);
    server.delete(&format!("/tier/{}/delete/{}", link.campaign, link.tier)).await.is(409);
    server.delete(&format!("/tracker/{}/delete/{}", app.id, link.id)).await.is(200);
    server.delete(&format!("/tier/{}/delete/{}", link.campaign, link.tier)).await.is(200);
    server.delete(&format!("/campaign/{}/delete/{}", app.id, link.campaign)).await.is(200);
}

#[tokio::test]
async fn a_segment_is_made_read_and_changed() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let campaign =
        server.post(&format!("/campaign/{}", app.id), json!({ "name": "Spring" })).await.is(201).json();
    let campaign = campaign["id"].as_str().unwrap().to_owned();
    let base = format!("/tier/{campaign}");
    let made = server.post(&base, json!({ "name": "DE", "source": "api" })).await.is(201).json();
    let id = made["id"].as_str().expect("ids are strings").to_owned();
    assert_eq!(
        (&made["campaign_id"], &made["app_id"]),
        (&json!(campaign), &json!(app.id.to_string())),
        "{made}"
    );
    assert_eq!((&made["source"], &made["name"]), (&json!("api"), &json!("DE")), "{made}");
    assert!(made["date_created"].is_i64(), "{made}");
    assert_eq!(server.get(&format!("{base}/{id}")).await.is(200).json(), made);
    let changed = server.post(&base, json!({ "id": id, "name": "AT" })).await.is(200).json();
    assert_eq!((&changed["name"], &changed["id"]), (&json!("AT"), &json!(id)), "{changed}");
    assert_eq!(server.get(&base).await.is(200).json().as_array().unwrap().len(), 1);
    server.get("/tier/999").await.is(404);
    server.get(&format!("{base}/999")).await.is(404);
    server.post(&base, json!({})).await.is(400);
}

#[tokio::test]
async fn a_tracker_is_made_read_changed_and_deleted() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let other = app.link("Example Network").await;
    let base = format!("/tracker/{}", app.id);
    let body = json!({
        "name": "DE spring video", "type": "acquisition", "network_id": other.network,
        "destination_url": "https://apps.example.com/demo", "destination_url_reengagement": "demo://shop",
        "network_pricing": "cpi", "network_price": 1.5, "perm_publisher_allow_view": true,
        "click_url_custom_params": [], "tier_id": other.tier, "campaign_id": other.campaign,
        "destination_data": { "type": "", "typeObj": "" }, "events": [],
    });
    let made = server.post(&format!("{base}/create"), body.clone()).await.is(201).json();
    let id = made["id"].as_str().expect("ids are strings").to_owned();
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(&made[field], value, "{field} in {made}");
    }
    for (field, value) in [
        ("app_id", json!(app.id.to_string())),
        ("app_guid", json!(app.guid)),
        ("network_name", json!("Example Network")),
        ("campaign_name", json!("Spring")),
        ("tier_name", json!("DE")),
        ("network_is_self_attributing", json!(false)),
        ("is_active", json!(true)),
    ] {
        assert_eq!(made[field], value, "{field} in {made}");
    }
    for field in [
        "guid",
        "date_created",
        "source",
        "click_tracking_url",
        "imp_tracking_url",
        "budget_daily",
        "budget_weekly",
        "budget_max",
        "meta",
        "legacy_campaign_id",
        "legacy_post_id",
        "creative_ids",
        "rtb_id",
        "rtb_definitions",
        "rtb_update_status",
        "rtb_update_response",
        "rtb_update_pid",
        "s2s_destination",
        "postback_url",
        "verification_rules",
        "smart_link_id",
        "what_if_parent_tracker_id",
        "network_supports_impressions",
        "agency_tracker_id",
        "agency_network_id",
        "google_android_postback_url",
        "google_ios_postback_url",
        "twttter_event_guid",
    ] {
        assert!(made.get(field).is_some(), "no {field} in {made}");
    }
    // The links it shows lead where its destination says.
    let click = made["click_tracking_url"].as_str().unwrap();
    let answer = server.foreign(Method::GET, click).answer().await.is(302);
    assert!(answer.header("location").starts_with("https://apps.example.com/demo"), "{click}");
    let impression = made["imp_tracking_url"].as_str().unwrap();
    server.foreign(Method::GET, impression).answer().await.is(200);

    assert_eq!(server.get(&format!("{base}/{id}")).await.is(200).json(), made);
    let change = json!({ "id": id, "name": "AT", "destination_url": "https://apps.example.com/at", "landing_page_id": null,
                         "s2s_destination": "x", "verification_rules": null, "agency_network_id": null });
    let changed = server.post(&base, change).await.is(200).json();
    assert_eq!((&changed["name"], &changed["guid"]), (&json!("AT"), &made["guid"]), "{changed}");
    let answer = server.foreign(Method::GET, click).answer().await.is(302);
    assert!(answer.header("location").starts_with("https://apps.example.com/at"), "in force at once");

    let count = async |filter: &str| {
        server.get(&format!("{base}?{filter}")).await.is(200).json().as_array().expect("a bare array").len()
    };
    assert_eq!(count("").await, 2);
    assert_eq!(count("name=AT").await, 1);
    assert_eq!(count(&format!("campaign_id={}&network_id={}", other.campaign, other.network)).await, 2);
    assert_eq!(count("tier_id=999").await, 0);
    assert_eq!(count("is_active=true").await, 2);
    server.get(&format!("{base}?no_such_field=1")).await.is(400);

    server.delete(&format!("{base}/delete/{id}")).await.is(200);
    server.delete(&format!("{base}/delete/{id}")).await.is(404);
    assert_eq!(server.foreign(Method::GET, click).answer().await.status, 404);
}

#[tokio::test]
async fn what_makes_no_tracker_is_refused() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let foreign = server.app("iOS").await.link("Foreign Network").await;
    let path = format!("/tracker/{}/create", app.id);
    let good = json!({ "name": "x", "network_id": link.network, "campaign_id": link.campaign, "tier_id": link.tier,
                       "destination_url": "https://shop.example.com/" });
    for (field, value) in [
        ("name", Value::Null),
        ("name", json!("")),
        ("network_id", Value::Null),
        ("network_id", json!("999")),
        ("network_id", json!("x")),
        ("campaign_id", Value::Null),
        ("campaign_id", json!(foreign.campaign)),
        ("tier_id", Value::Null),
        ("tier_id", json!(foreign.tier)),
        ("destination_url", Value::Null),
    ] {
        let mut body = good.clone();
        body[field] = value.clone();
        let answer = server.post(&path, body).await;
        assert_eq!(answer.status, 400, "{field} = {value}: {}", answer.text());
    }
    // What clients send for empty lists and unset types.
    let mut body = good;
    for field in ["type", "destination_data", "events", "click_url_custom_params"] {
        body[field] = Value::Null;
    }
    server.post(&path, body).await.is(201);
    server.post("/tracker/999/create", json!({})).await.is(404);
}

#[tokio::test]
async fn overrides_are_shown_as_one_object_in_a_list() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let path = format!("/tracker/override?id={}", link.id);
    let shown = server.get(&path).await.is(200).json();
    assert_eq!(shown["success"], true, "{shown}");
    assert!(shown["request_id"].is_string(), "{shown}");
    let all = shown["tracker_overrides"].as_array().expect("an array with one object");
    assert_eq!(all.len(), 1);
    for key in [
        "device_id_lookback_window",
        "fingerprint_lookback_window",
        "ip_lookback_window",
        "impression_lookback_device",
        "impression_lookback_fingerprint",
        "impression_lookback_ip",
        "impression_lookback_partial_ip",
        "impressions_disable_attribution",
        "enable_verification",
    ] {
        assert_eq!(all[0][key]["value"], 0, "{key} in {shown}");
        assert_eq!(all[0][key]["key"], "", "{key} in {shown}");
    }
    let window = json!({ "name": "n", "key": "device_id_lookback_window", "group": "g", "type": "seconds",
                         "value": 7_200, "admin": 0 });
    server.post(&path, json!({ "device_id_lookback_window": window })).await.is(200);
    let shown = server.get(&path).await.is(200).json();
    assert_eq!(shown["tracker_overrides"][0]["device_id_lookback_window"]["value"], 7_200, "{shown}");
    server.get("/tracker/override?id=999").await.is(404);
    server.get("/tracker/override").await.is(400);
    let far = json!({ "key": "device_id_lookback_window", "value": 31 * 86_400 });
    server.post(&path, json!({ "device_id_lookback_window": far })).await.is(400);
    // What is not known comes back as it came; what is known is looked at all the same.
    let mut unset = json!({ "value": 0, "key": "" });
    let completed = json!({ "name": "Completed View", "key": "", "value": 0, "admin": 0 });
    let body = |window: &Value, more: &Value| json!({ "tracker_overrides": { "device_id_lookback_window": window, "completed_view": more } });
    for more in [completed, json!({ "value": "as \"sent\"", "nested": [{ "x": null }] })] {
        for answer in [
            server.post(&path, body(&unset, &more)).await.is(200).json(),
            server.get(&path).await.is(200).json(),
        ] {
            assert_eq!(answer["tracker_overrides"][0]["completed_view"], more, "{answer}");
            assert_eq!(answer["tracker_overrides"][0]["device_id_lookback_window"]["value"], 0, "{answer}");
        }
        unset["value"] = json!("soon");
        server.post(&path, body(&unset, &more)).await.is(400);
        unset["value"] = json!(0);
    }
    let audit = server.get("/api/audit?kind=tracker&limit=1").await.is(200).json();
    assert!(audit["data"][0]["after"]["overrides"]["completed_view"].is_object(), "{audit}");
    // Answered as it was shown, one object in the place of the list.
    let shown = server.get(&path).await.is(200).json();
    let again = server.post(&path, shown.clone()).await.is(200).json();
    assert_eq!(again["tracker_overrides"], shown["tracker_overrides"]);
}
