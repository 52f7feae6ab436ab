//! App Tracking Transparency (ingest.md section 8; DECISIONS 16).

use crate::harness::{Server, Sink, Value, device, json};

#[tokio::test]
async fn the_idfa_is_dropped_unless_tracking_is_authorized() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let before_14 = "iPhone-iOS-13.6.0";
    let since_14 = "iPhone-iOS-17.5";
    let kept = json!(["idfa", "idfv"]);
    let dropped = json!(["idfv"]);
    let (missing, refused) = (Some("idfa_dropped:att_missing"), Some("idfa_dropped:att_false"));
    #[rustfmt::skip]
    let cases = [
        (before_14, json!({}), None),
        (since_14, json!({}), missing),
        ("", json!({}), missing),
        (since_14, json!({ "app_tracking_transparency": { "att": true } }), None),
        (since_14, json!({ "app_tracking_transparency": { "att": 1 } }), None),
        (since_14, json!({ "app_tracking_transparency": { "att": "true" } }), None),
        (since_14, json!({ "app_tracking_transparency": {} }), missing),
        (since_14, json!({ "app_tracking_transparency": { "att": null } }), missing),
        (since_14, json!({ "app_tracking_transparency": { "att": false } }), refused),
        (since_14, json!({ "app_tracking_transparency": { "att": 0 } }), refused),
        (since_14, json!({ "app_tracking_transparency": { "att": "false" } }), refused),
        (since_14, json!({ "att": true }), None),
        (before_14, json!({ "app_tracking_transparency": { "att": false } }), refused),
    ];
    for (n, (device_ver, att, flag)) in (1..).zip(cases) {
        for action in ["install", "event"] {
            let mut data = json!({
                "device_ver": device_ver, "event_name": "View",
                "device_ids": { "idfa": device::advertising_id(n), "idfv": format!("3D5F0B1E-6C2A-4E57-9E0B-{n:012X}") },
            });
            data.as_object_mut().unwrap().extend(att.as_object().unwrap().clone());
            let input = app.send(action, &format!("SX-{n}"), data.clone()).await.accepted();
            let row = server.input(&input).await;
            let mut identifiers = row["device"]["identifiers"].as_array().unwrap().clone();
            identifiers.sort_by_key(Value::to_string);
            let expected = if flag.is_some() { &dropped } else { &kept };
            assert_eq!(&json!(identifiers), expected, "{action} {data}: {row}");
            let flags = row["flags"].as_array().unwrap();
            let found = flags.iter().filter_map(Value::as_str).find(|flag| flag.starts_with("idfa_dropped"));
            assert_eq!(found, flag, "{action} {data}: {row}");
        }
    }
}

#[tokio::test]
async fn an_idfv_that_came_as_idfa_too_still_joins() {
    let app = Server::start().await.app("iOS").await;
    let id = device::advertising_id(1);
    let twice = json!({ "device_ver": "iPhone-iOS-17.5", "device_ids": { "idfa": id, "idfv": id } });
    let install = app.send("install", "", twice).await.accepted();
    let row = app.server.input(&install).await;
    assert_eq!(row["device"]["identifiers"], json!(["idfv"]), "{row}");
    let later = json!({ "event_name": "View", "device_ids": { "idfv": id } });
    let event = app.send("event", "", later).await.accepted();
    let row = app.server.input(&event).await;
    assert_eq!(row["outcomes"][0]["outcome"], "linked", "{row}");
}

#[tokio::test]
async fn a_kochava_device_id_that_is_the_dropped_idfa_joins_and_is_not_kept() {
    let server = Server::start().await;
    for (n, att) in (1..).zip([Value::Null, json!(true)]) {
        let app = server.app("iOS").await;
        let id = device::advertising_id(n);
        let data = |att: &Value| {
            json!({ "device_ver": "iPhone-iOS-17.5", "event_name": "View", "device_ids": { "idfa": id },
                    "app_tracking_transparency": { "att": att } })
        };
        app.install(&id, data(&att)).await;
        for sent in [data(&Value::Null), data(&json!(true)), json!({ "event_name": "View" })] {
            let event = app.send("event", &id, sent.clone()).await.accepted();
            let row = server.input(&event).await;
            assert_eq!(row["outcomes"][0]["outcome"], "linked", "{sent}: {row}");
        }
        let update = app.send("update", &id, data(&json!(false))).await.accepted();
        let row = server.input(&update).await;
        assert_eq!(row["outcomes"][0]["outcome"], "linked", "{row}");
        assert!(!row.to_string().to_lowercase().contains(&id.to_lowercase()), "{row}");
        server.get(&format!("/v1/apps/{}/attribution/{id}", app.guid)).await.is(200);
    }
}

#[tokio::test]
async fn such_a_kochava_device_id_is_known_where_nobody_says_that_it_is_one() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("iOS").await;
    let url = sink.url("/pb?k={kochava_device_id}&e={event_name}");
    app.trigger("event", json!({ "cpi_mostback_url": url, "sx_delivery": "all" })).await;
    let named = async |input: &str| {
        let row = server.input(input).await;
        assert!(row["outcomes"][0]["install_id"].is_string(), "{row}");
        row["device"]["kochava_device_id"].as_str().unwrap().to_owned()
    };
    let data = |more: Value| {
        let mut data = json!({ "device_ver": "iPhone-iOS-17.5", "event_name": "View" });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    // Allowed with the IDFA beside it, then refused without.
    let id = device::advertising_id(1);
    app.install(&id, data(json!({ "att": true, "device_ids": { "idfa": id } }))).await;
    for more in [json!({ "att": false }), json!({})] {
        let event = app.send("event", &id, data(more)).await.accepted();
        assert!(named(&event).await.starts_with("anon-"));
    }
    // Dropped, then sent alone.
    let id = device::advertising_id(2);
    app.install(&id, data(json!({ "device_ids": { "idfa": id } }))).await;
    let again = app.send("install", &id, data(json!({}))).await.accepted();
    assert!(named(&again).await.starts_with("anon-"));
    // Alone, then dropped.
    let id = device::advertising_id(3);
    app.install(&id, data(json!({}))).await;
    for more in [json!({ "device_ids": { "idfa": id } }), json!({})] {
        let event = app.send("event", &id, data(more)).await.accepted();
        assert!(named(&event).await.starts_with("anon-"));
    }
    let told = sink.receives("/pb", 4).await;
    assert!(told.iter().all(|hit| hit.parameter("k").unwrap().starts_with("anon-")), "{told:?}");
}

#[tokio::test]
async fn a_later_refusal_removes_the_idfa_from_the_device() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let data = |att: Value| {
        json!({ "device_ua": device::IPHONE, "event_name": "View", "device_ids": { "idfa": device::advertising_id(1) },
                "app_tracking_transparency": { "att": att } })
    };
    app.install("SX-1", data(json!(true))).await;
    let joined = async || {
        let body = json!({ "action": "event", "kochava_app_id": app.guid, "data": data(json!(true)) });
        let input = server.sends("/track/json", body.to_string()).await.accepted();
        server.input(&input).await["outcomes"][0]["outcome"].clone()
    };
    assert_eq!(joined().await, "linked");
    // A missing flag drops the value that came and leaves the device as it is.
    app.send("event", "SX-1", data(Value::Null)).await.accepted();
    assert_eq!(joined().await, "linked");
    app.send("event", "SX-1", data(json!(false))).await.accepted();
    assert_eq!(joined().await, "no_install");
}
