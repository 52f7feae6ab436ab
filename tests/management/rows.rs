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

/// What is read can be written back, whole: nothing changes but the time of the change.
#[tokio::test]
async fn what_is_read_can_be_written_back() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let settings = json!({ "settings": { "attribution.windows.click_modeled": "1d",
                           "fraud.anonymous_network.mode": "flag" },
                           "install_auth": { "mode": "flag", "actions": ["install"] }, "zz_new": [1] });
    server.patch(&format!("/apps/{}", app.id), settings.clone()).await.is(200);
    let rules = json!({ "settings": { "fraud.click_validation.key": "0123456789abcdef",
                        "attribution.windows.click_device": "3h" } });
    server.patch(&format!("/networks/{}", link.network), rules).await.is(200);
    let id = app.trigger("event", json!({ "cpi_mostback_url": "https://p.example.com/", "x": [1] })).await;
    let (app, network) = (app.id, &link.network);
    for (read, verb, write) in [
        (format!("/apps/{app}"), "PATCH", format!("/apps/{app}")),
        (format!("/networks/{network}"), "PATCH", format!("/networks/{network}")),
        (format!("/campaign/{app}/{}", link.campaign), "POST", format!("/campaign/{app}")),
        (format!("/tier/{}/{}", link.campaign, link.tier), "POST", format!("/tier/{}", link.campaign)),
        (format!("/tracker/{app}/{}", link.id), "POST", format!("/tracker/{app}")),
        (format!("/tracker/override?id={}", link.id), "POST", format!("/tracker/override?id={}", link.id)),
        (format!("/apps/{app}/postbacks/{id}"), "PATCH", format!("/postbacks/{id}")),
    ] {
        let mut before = server.get(&read).await.is(200).json();
        let body = before.pointer("/data/0").unwrap_or(&before).clone();
        let answer =
            if verb == "POST" { server.post(&write, body).await } else { server.patch(&write, body).await };
        let mut after = answer.is(200).json();
        let mut again = server.get(&read).await.is(200).json();
        for object in [&mut before, &mut after, &mut again] {
            for moment in ["updated", "request_id"] {
                object.as_object_mut().unwrap().shift_remove(moment);
            }
        }
        assert_eq!((&after, &again), (&before, &before), "{write}");
    }
}

#[tokio::test]
async fn fields_come_in_the_documented_order() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let of_app = [
        "id",
        "guid",
        "package_code",
        "path",
        "cluster_analytics",
        "cluster_control",
        "registered",
        "updated",
        "session_tracking",
        "traffic_processing",
        "ibeacon_enabled",
        "deleted",
        "push_enabled",
        "sms_enabled",
        "app_universal_link_enabled",
        "fraud_blacklist",
        "name",
        "platform",
        "sku",
        "integration_type",
        "facebook_app_id",
        "kochava_app_url",
        "app_store_id",
        "twilio_account_sid",
        "twilio_basic_auth",
        "twilio_from_number",
        "aws_region",
        "aws_bucket",
        "aws_access_key",
        "aws_secret_key",
        "request_time_pref",
        "overwrite_origination_ip",
        "use_short_version_string",
        "api_access_enabled",
        "currency_processing",
        "sdk_blacklist_mac",
        "sdk_blacklist_odin",
    ];
    let of_campaign = [
        "id",
        "app_id",
        "type",
        "source",
        "name",
        "destination_url",
        "date_created",
        "date_start",
        "date_end",
        "date_track_outside_range",
        "budget_daily",
        "budget_weekly",
        "budget_max",
        "target_clicks",
        "target_installs",
        "meta",
        "legacy_io_guid",
        "smart_link_id",
        "what_if_parent_campaign_id",
    ];
    let of_segment = [
        "id",
        "app_id",
        "campaign_id",
        "source",
        "name",
        "target_geo",
        "date_created",
        "what_if_parent_tier_id",
    ];
    for (path, fields) in [
        (format!("/apps/{}", app.id), &of_app[..]),
        (format!("/campaign/{}/{}", app.id, link.campaign), &of_campaign[..]),
        (format!("/tier/{}/{}", link.campaign, link.tier), &of_segment[..]),
    ] {
        let object = server.get(&path).await.is(200).json();
        let shown: Vec<&String> = object.as_object().unwrap().keys().take(fields.len()).collect();
        assert_eq!(shown, fields, "{path}");
    }
    // Secrets of other systems are never given back, and not kept.
    for (field, value) in [("twilio_basic_auth", "t0p"), ("aws_secret_key", "t0p"), ("other_auth", "t0p")] {
        let changed =
            server.patch(&format!("/apps/{}", app.id), json!({ field: value })).await.is(200).json();
        assert!(!changed.to_string().contains("t0p"), "{field} in {changed}");
        let log = server.get("/api/audit?limit=1").await.text();
        assert!(!log.contains("t0p"), "{field} in {log}");
    }
}

#[tokio::test]
async fn switches_and_texts_are_answered_as_the_incumbent_does_however_they_come() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    for (given, shown) in [
        (json!(true), true),
        (json!("true"), true),
        (json!(1), true),
        (json!("1"), true),
        (json!(0), false),
        (json!("false"), false),
        (json!(""), false),
        (json!(null), false),
    ] {
        let made = campaign(&app, json!({ "date_track_outside_range": given })).await;
        assert_eq!(made["date_track_outside_range"], shown, "{given}");
        let made = tracker(&app, &link, json!({ "perm_publisher_allow_view": given })).await;
        assert_eq!(made["perm_publisher_allow_view"], shown, "{given}");
    }
    let made = tracker(&app, &link, json!({ "is_active": "" })).await;
    assert_eq!(made["is_active"], true, "{made}");
    let path = format!("/campaign/{}", app.id);
    server.post(&path, json!({ "name": "x", "date_track_outside_range": "perhaps" })).await.is(400);
    for field in ["smart_link_id", "legacy_io_guid", "what_if_parent_campaign_id", "meta"] {
        assert_eq!(campaign(&app, json!({ field: 7 })).await[field], "7", "{field}");
    }
    for field in ["smart_link_id", "agency_network_id", "landing_page_id"] {
        assert_eq!(tracker(&app, &link, json!({ field: 7 })).await[field], "7", "{field}");
    }
}

/// What clients of the incumbent send when nothing is overridden (management-and-reporting.md section 6).
#[tokio::test]
async fn overrides_are_taken_in_every_form_that_clients_send() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let path = format!("/tracker/override?id={}", link.id);
    let keys = [
        "device_id_lookback_window",
        "fingerprint_lookback_window",
        "ip_lookback_window",
        "impression_lookback_device",
        "impression_lookback_fingerprint",
        "impression_lookback_ip",
        "impression_lookback_partial_ip",
        "impressions_disable_attribution",
        "enable_verification",
    ];
    let one = |key: &str, value: Value| json!({ "name": "n", "key": key, "group": "g", "type": "t", "value": value, "admin": 0 });
    let audited =
        async || server.get("/api/audit?kind=tracker&limit=1").await.json()["data"][0]["after"].clone();
    let nothing: serde_json::Map<String, Value> =
        keys.iter().map(|key| ((*key).to_owned(), one("", json!(0)))).collect();
    server.post(&path, Value::Object(nothing)).await.is(200);
    assert_eq!(audited().await["overrides"], json!({}), "0 and no key is not overridden");
    // One object as POST has it, the list of one that GET answers, and bare; numbers as texts too.
    let set = json!({ "device_id_lookback_window": one("device_id_lookback_window", json!("7200")) });
    for body in [json!({ "tracker_overrides": set }), json!({ "tracker_overrides": [set] }), set.clone()] {
        server.post(&path, json!({})).await.is(200);
        assert_eq!(audited().await["overrides"], json!({}));
        let answer = server.post(&path, body).await.is(200).json();
        assert_eq!(answer["tracker_overrides"].as_array().unwrap().len(), 1, "{answer}");
        assert_eq!(audited().await["overrides"], json!({ "device_id_lookback_window": 7_200 }));
    }
    // 0 with its key is an override: the window is closed.
    server.post(&path, json!({ keys[0]: one(keys[0], json!(0)) })).await.is(200);
    assert_eq!(audited().await["overrides"], json!({ "device_id_lookback_window": 0 }));
    server.post(&path, json!({ "no_such_override": one("x", json!(1)) })).await.is(400);
    server.post(&path, json!({ "tracker_overrides": "all" })).await.is(400);
    // Numbers as texts come back as numbers, and what is none is refused by its name.
    let texts = json!({ "key": keys[0], "value": "86400", "admin": "1", "type": "" });
    let texts = json!({ keys[0]: texts, "event_association_window": { "key": "x", "value": " 3600", "admin": null } });
    for answer in [server.post(&path, texts).await.is(200).json(), server.get(&path).await.is(200).json()] {
        let shown = |value: i64, admin: i64, key: &str| json!({ "name": "", "key": key, "group": "", "type": "seconds", "value": value, "admin": admin });
        let all = &answer["tracker_overrides"][0];
        assert_eq!(all[keys[0]], shown(86_400, 1, keys[0]), "{answer}");
        assert_eq!(all["event_association_window"], shown(3_600, 0, "x"), "{answer}");
    }
    for (field, value) in [("admin", json!("yes")), ("admin", json!([1])), ("value", json!("soon"))] {
        let mut one = one(keys[0], json!(7_200));
        one[field] = value;
        let answer = server.post(&path, json!({ keys[0]: one })).await.is(400).text();
        assert!(answer.contains(&format!("{}.{field}: must be a number", keys[0])), "{answer}");
    }
    let kept = server.get(&path).await.is(200).json();
    assert_eq!(kept["tracker_overrides"][0][keys[0]]["value"], 86_400, "nothing refused is kept");
}

/// `HEAD` tells of existence, as the introduction says; the trigger host has its envelope for every refusal.
#[tokio::test]
async fn existence_is_told_by_head() {
    use crate::harness::{Answered as _, KEY};
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    for (path, status) in [
        (format!("/apps/{}", app.id), 200),
        (format!("/campaign/{}/{}", app.id, link.campaign), 200),
        (format!("/campaign/{}/999", app.id), 404),
        (format!("/tier/{}/{}", link.campaign, link.tier), 200),
        (format!("/tracker/{}/{}", app.id, link.id), 200),
        (format!("/tracker/{}/999", app.id), 404),
    ] {
        let head =
            server.request(reqwest::Method::HEAD, &path).header("Authentication-Key", KEY).answer().await;
        assert_eq!((head.status, head.body.len()), (status, 0), "{path}");
    }
    for (path, key, status) in [
        ("/apps/1/postbacks", "nobody", 401),
        ("/apps/999/postbacks", KEY, 404),
        ("/apps/1/postbacks/999", KEY, 404),
        ("/apps/1/postbacks?pageToken=x", KEY, 400),
    ] {
        let answer =
            server.request(reqwest::Method::GET, path).header("Authentication-Key", key).answer().await;
        assert_eq!(answer.status, status, "{path}");
        let body = answer.json();
        let fields =
            ["success", "meta", "nextToken", "previousToken", "errors", "warnings", "messages", "data"];
        assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), fields, "{body}");
        assert_eq!((&body["success"], &body["data"]), (&json!(false), &json!([])), "{body}");
    }
}

/// The attribution query in the incumbent's shape (management-and-reporting.md section 10).
#[tokio::test]
async fn attribution_is_answered_in_the_incumbents_shape() {
    use crate::harness::device::advertising_id;
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<String>>();
    app.install("SX-1", json!({})).await;
    let organic = app.attribution("SX-1").await;
    assert_eq!(
        (&organic["success"], &organic["action"]),
        (&json!(1), &json!("get_attribution")),
        "a number: {organic}"
    );
    assert_eq!(keys(&organic["data"]), ["kochava_device_id", "retry", "attribution", "install_id"]);
    assert_eq!((&organic["data"]["retry"], &organic["data"]["attribution"]), (&json!(-1), &json!(false)));

    let adid = advertising_id(1);
    link.click(&format!("adid={adid}&site_id=s-9")).await;
    app.install("SX-2", json!({ "device_ids": { "adid": adid } })).await;
    let data = app.attribution("SX-2").await["data"].clone();
    let credited = &data["attribution"];
    let documented = [
        "attribution_action",
        "attribution_module",
        "attribution_prompt",
        "is_first_install",
        "agency_network_id",
        "campaign",
        "campaign_id",
        "segment",
        "tracker",
        "tracker_id",
        "network",
        "network_id",
        "network_key",
        "site",
        "site_id",
        "date",
        "click",
    ];
    assert_eq!(keys(credited), documented);
    assert_eq!(keys(&credited["click"]), ["id", "date", "deeplink", "meta"]);
    assert_eq!(keys(&credited["click"]["meta"]), ["adid", "control_server", "original_request"]);
    for (field, value) in credited.as_object().unwrap() {
        let fits = match field.as_str() {
            "is_first_install" => value.is_boolean(),
            "click" => value.is_object(),
            _ => value.is_string(),
        };
        assert!(fits, "{field} in {data}");
    }
    for date in [&credited["date"], &credited["click"]["date"]] {
        let text = date.as_str().unwrap();
        assert!(jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text).is_ok(), "{text}");
    }
    let meta = &credited["click"]["meta"];
    let expected = format!("campaign_id={}&network_id={}", link.guid, link.network);
    assert!(meta["original_request"].as_str().unwrap().starts_with(&expected), "{data}");
    assert_eq!(meta["adid"], json!(adid), "{data}");
}
