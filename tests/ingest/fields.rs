//! Where senders put things, and in which types (ingest.md sections 2 to 5, 7, 12 and 14).

use crate::harness::{App, Server, Value, device, json, now_ms};

/// What the server made of a body that it accepted.
async fn understood(app: &App, mut body: Value) -> Value {
    body["kochava_app_id"] = json!(app.guid);
    let answer = app.server.sends("/track/json", body.to_string()).await;
    app.server.input(&answer.accepted()).await
}

#[track_caller]
fn check(row: &Value, pointer: &str, expected: &Value, body: &str) {
    assert_eq!(row.pointer(pointer), Some(expected), "{pointer} of {body}: {row}");
}

fn flags(row: &Value) -> Vec<&str> {
    row["flags"].as_array().expect("flags are a list").iter().filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn fields_are_found_wherever_senders_put_them() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let event = |data: Value, root: Value| {
        let mut body = json!({ "action": "event", "kochava_device_id": "SX-1", "data": data });
        body.as_object_mut().unwrap().extend(root.as_object().unwrap().clone());
        body
    };
    let name = json!({ "event_name": "Purchase" });
    let with = |more: Value| {
        let mut data = name.clone();
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event(data, json!({}))
    };
    let root = |more: Value| event(name.clone(), more);
    let none = Value::Null;
    #[rustfmt::skip]
    let cases = [
        (event(json!({}), json!({ "event_name": "Purchase" })), "/event/name", json!("Purchase")),
        // `data` before the root; null, "" and absent are the same.
        (event(json!({ "event_name": "Inner" }), json!({ "event_name": "Outer" })), "/event/name", json!("Inner")),
        (event(json!({ "event_name": "" }), json!({ "event_name": "Outer" })), "/event/name", json!("Outer")),
        (event(json!({ "event_name": null }), json!({ "event_name": "Outer" })), "/event/name", json!("Outer")),
        // Amounts: the first of sum, price, revenue, else a bare number; never times quantity.
        (with(json!({ "event_data": { "sum": 14.99, "price": 1, "revenue": 2, "quantity": 3 } })), "/event/amount", json!("14.99")),
        (with(json!({ "event_data": { "price": "9.90", "revenue": 2 } })), "/event/amount", json!("9.90")),
        (with(json!({ "event_data": { "revenue": -3 } })), "/event/amount", json!("-3")),
        (with(json!({ "event_data": "20" })), "/event/amount", json!("20")),
        (with(json!({ "event_data": 20.5 })), "/event/amount", json!("20.5")),
        (with(json!({ "event_value": "20" })), "/event/amount", json!("20")),
        (with(json!({ "event_data": "level 3" })), "/event/amount", none.clone()),
        (with(json!({ "event_data": { "sum": "", "price": 7 } })), "/event/amount", json!("7")),
        (with(json!({ "event_data": { "sum": 0.1 } })), "/event/amount", json!("0.1")),
        (with(json!({ "event_data": { "sum": 12345678.91 } })), "/event/amount", json!("12345678.91")),
        (root(json!({ "event_data": { "sum": 5 } })), "/event/amount", json!("5")),
        (with(json!({ "currency": "EUR", "event_data": { "sum": 1, "currency": "USD" } })), "/event/currency", json!("EUR")),
        (with(json!({ "event_data": { "sum": 1, "currency": "USD" } })), "/event/currency", json!("USD")),
        (root(json!({ "currency": "CHF", "event_data": { "sum": 1 } })), "/event/currency", json!("CHF")),
        // The app's version in all four places, as text or number.
        (with(json!({ "app_version": "3.4.1" })), "/device/app_version", json!("3.4.1")),
        (with(json!({ "app_ver": "3.4.2" })), "/device/app_version", json!("3.4.2")),
        (root(json!({ "app_version": "3.4.3" })), "/device/app_version", json!("3.4.3")),
        (root(json!({ "app_ver": "3.4.4" })), "/device/app_version", json!("3.4.4")),
        (with(json!({ "app_version": 34 })), "/device/app_version", json!("34")),
        // Identifiers in `data` or at the root, keys of any case, lists, one object.
        (with(json!({ "device_ids": { "IDFV": "3D5F0B1E-6C2A-4E57-9E0B-7A1C2D3E4F50" } })), "/device/identifiers", json!(["idfv"])),
        (root(json!({ "device_ids": { "idfv": "3D5F0B1E-6C2A-4E57-9E0B-7A1C2D3E4F50" } })), "/device/identifiers", json!(["idfv"])),
        (with(json!({ "device_ids": [{ "idfv": "3D5F0B1E-6C2A-4E57-9E0B-7A1C2D3E4F50" }] })), "/device/identifiers", json!(["idfv"])),
        (with(json!({ "device_ids": { "idfv": "", "custom": "c-1" } })), "/device/identifiers", json!(["custom"])),
        (with(json!({ "device_ids": { "custom": "unknown", "idfv": "00000000-0000-0000-0000-000000000000" } })), "/device/identifiers", json!([])),
        (with(json!({ "device_ids": { "custom": "null", "idfv": "{idfv}" } })), "/device/identifiers", json!([])),
        // Devices: the user agent plain or encoded, `device_ver` from the right.
        (with(json!({ "device_ua": device::IPHONE })), "/device/os", json!("iOS 17.5")),
        (with(json!({ "device_ua": device::encoded(device::IPHONE) })), "/device/os", json!("iOS 17.5")),
        (root(json!({ "device_ua": device::IPHONE })), "/device/os", json!("iOS 17.5")),
        (with(json!({ "device_ua": "", "device_ver": "iPhone-iOS-13.6.0" })), "/device/os", json!("iOS 13.6.0")),
        (with(json!({ "device_ver": "SM-J727A-Android-7.0.0" })), "/device/model", json!("SM-J727A")),
        (with(json!({ "device_ver": "SM-J727A-Android-7.0.0" })), "/device/os", json!("Android 7.0.0")),
        (with(json!({ "device_ver": "Android SDK built for x86-Android-8.1.0" })), "/device/model", json!("Android SDK built for x86")),
        (with(json!({ "device_ver": "17.1" })), "/device/os", json!("iOS 17.1")),
        (with(json!({ "device_ver": "14", "device_ua": device::PIXEL })), "/device/os", json!("Android 14")),
        (with(json!({ "device_ver": 17.1 })), "/device/os", json!("iOS 17.1")),
        (root(json!({ "device_ver": "17.1" })), "/device/os", json!("iOS 17.1")),
        (with(json!({ "device_ver": "Pixel-8-Pro-Android-14" })), "/device/model", json!("Pixel-8-Pro")),
        (with(json!({ "device_ver": "Pixel-8-Pro-Android-14" })), "/device/os", json!("Android 14")),
        (with(json!({ "device_ver": "KFTRWI-Android-9" })), "/device/os", json!("Fire OS")),
        (with(json!({ "device_ver": "43UN7100-LGWebOS-5.2" })), "/device/os", json!("webos 5.2")),
        (with(json!({ "device_ver": "Unknown", "device_ua": device::IPHONE })), "/device/os", json!("iOS 17.5")),
        (with(json!({ "device_ver": "iPhone-iOS-17.5", "device_ua": "Unknown" })), "/device/os", json!("iOS 17.5")),
        (with(json!({ "device_ua": "Mozilla/5.0 (iPhone)" })), "/device/os", json!("iOS")),
        (with(json!({ "device_ua": device::IPHONE.replace(' ', "%20") })), "/device/os", json!("iOS 17.5")),
        (with(json!({ "device_ua": device::IPHONE.replace(' ', "+").replace(';', "%3B") })), "/device/os", json!("iOS 17.5")),
        (with(json!({ "device_ua": "test-ua" })), "/device/os", json!("")),
    ];
    for (body, pointer, expected) in cases {
        let row = understood(&app, body.clone()).await;
        check(&row, pointer, &expected, &body.to_string());
    }
}

#[tokio::test]
async fn usertime_comes_in_every_unit() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let event = |usertime: Value| {
        json!({ "action": "event", "kochava_device_id": "SX-1",
                "data": { "event_name": "View", "usertime": usertime } })
    };
    for (usertime, time) in [
        (json!(1_521_574_016), "2018-03-20T19:26:56.000Z"),
        (json!("1521574016"), "2018-03-20T19:26:56.000Z"),
        (json!(1_760_000_000.118), "2025-10-09T08:53:20.118Z"),
        (json!(1_579_236_831_206_i64), "2020-01-17T04:53:51.206Z"),
        (json!("1579236831206"), "2020-01-17T04:53:51.206Z"),
        (json!(1_579_236_831_206_000_i64), "2020-01-17T04:53:51.206Z"),
        (json!("2025-10-09T08:53:20Z"), "2025-10-09T08:53:20.000Z"),
        (json!("2025-10-09T10:53:20+02:00"), "2025-10-09T08:53:20.000Z"),
        (json!("2025-10-09T08:53:20"), "2025-10-09T08:53:20.000Z"),
    ] {
        let row = understood(&app, event(usertime.clone())).await;
        check(&row, "/time", &json!(time), &usertime.to_string());
        assert!(!flags(&row).iter().any(|flag| flag.starts_with("time_")), "{usertime}: {row}");
    }
    let soon = now_ms() / 1_000 + 3_600;
    for (usertime, flag) in [
        (json!(null), "time_missing"),
        (json!(""), "time_missing"),
        (json!("yesterday"), "time_invalid"),
        (json!(1_000_000_000), "time_before_2008"),
        (json!(soon), "time_future"),
        (json!(soon + 100_000), "time_future"),
    ] {
        let before = now_ms();
        let row = understood(&app, event(usertime.clone())).await;
        assert!(flags(&row).contains(&flag), "{usertime}: {row}");
        assert_eq!(row["time"], row["received"], "{usertime}: the receipt time stands: {row}");
        let received: jiff::Timestamp = row["received"].as_str().unwrap().parse().unwrap();
        assert!((before..=now_ms()).contains(&received.as_millisecond()), "{row}");
    }
}

#[tokio::test]
async fn what_is_missing_or_odd_is_flagged_and_accepted() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let event = |data: Value, id: &str| {
        let mut body = json!({ "action": "event", "kochava_device_id": id, "data": data });
        body["data"]["event_name"] = json!("View");
        body
    };
    for (body, flag) in [
        (event(json!({ "origination_ip": "69.224.141.777" }), "SX-1"), "ip_invalid"),
        (event(json!({ "device_ver": "iPhone-iOS-17.5.1" }), "SX-1"), "ua_manufactured"),
        (event(json!({}), "SX-1"), "ua_missing"),
        (event(json!({}), ""), "no_identifier"),
        (event(json!({ "device_limit_tracking": true }), "SX-1"), "limit_ad_tracking"),
        (event(json!({ "device_limit_tracking": "true" }), "SX-1"), "limit_ad_tracking"),
        (
            event(
                json!({ "device_ua": device::PIXEL, "device_ids": { "idfa": device::advertising_id(1) } }),
                "",
            ),
            "adid_under_idfa",
        ),
    ] {
        let row = understood(&app, body.clone()).await;
        assert!(flags(&row).contains(&flag), "no {flag} on {body}: {row}");
    }
    server.balanced().await;
}

#[tokio::test]
async fn the_callers_user_agent_is_not_the_devices() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let body = app.body("event", "SX-1", json!({ "event_name": "View" })).to_string();
    let request = server.request(reqwest::Method::POST, "/track/json").header("User-Agent", device::PIXEL);
    let answer = crate::harness::Answered::answer(request.body(body)).await;
    let row = server.input(&answer.accepted()).await;
    assert_eq!(row["device"]["model"], Value::Null, "{row}");
    assert!(flags(&row).contains(&"ua_missing"), "{row}");
}

#[tokio::test]
async fn repeated_events_are_kept_and_flagged() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let body = app.body("event", "SX-1", json!({ "event_name": "View", "usertime": 1_760_000_000 }));
    let first = server.sends("/track/json", body.to_string()).await.accepted();
    let second = server.sends("/track/json", body.to_string()).await.accepted();
    assert_ne!(first, second);
    assert!(!flags(&server.input(&first).await).contains(&"possible_duplicate"));
    assert!(flags(&server.input(&second).await).contains(&"possible_duplicate"));
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["by_kind"]["event"], 2, "{ledger}");
}

#[tokio::test]
async fn event_names_are_recorded_on_first_sight() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    app.event("SX-1", "Purchase", json!({ "sum": 3 })).await;
    app.event("SX-1", "Level Complete", json!({ "level": "3" })).await;
    app.event("SX-1", "purchase", json!({})).await;
    let events = server.get(&format!("/api/apps/{}/events", app.id)).await.is(200).json();
    let mut seen: Vec<(&str, bool)> = events["data"]
        .as_array()
        .expect("data is a list")
        .iter()
        .map(|event| (event["name"].as_str().unwrap(), event["is_revenue"].as_bool().unwrap()))
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [("Level Complete", false), ("Purchase", true), ("purchase", false)]);
}

#[tokio::test]
async fn an_update_binds_the_idfa_to_the_device() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let iphone = json!({ "device_ua": device::IPHONE });
    let by_idfa = |idfa: &str| {
        json!({ "action": "event", "data": {
            "event_name": "Purchase", "device_ua": device::IPHONE, "device_ids": { "idfa": idfa },
            "app_tracking_transparency": { "att": true } } })
    };
    for (device, data, binds) in [
        ("SX-1", json!({ "idfa": device::advertising_id(1) }), true),
        ("SX-2", json!({ "device_ids": { "idfa": device::advertising_id(2) } }), true),
        (
            "SX-3",
            json!({ "idfa": device::advertising_id(3), "app_tracking_transparency": { "att": false } }),
            false,
        ),
    ] {
        app.install(device, iphone.clone()).await;
        app.send("update", device, data.clone()).await.accepted();
        let n: u64 = device.trim_start_matches("SX-").parse().unwrap();
        let row = understood(&app, by_idfa(&device::advertising_id(n))).await;
        let outcome = row["outcomes"][0]["outcome"].as_str().unwrap();
        assert_eq!(outcome, if binds { "linked" } else { "no_install" }, "after {data}: {row}");
    }
}
