//! Amplitude's HTTP API over HTTP.

use reqwest::Method;

use crate::harness::{Answer, Answered as _, App, Server, Value, json};

async fn send(app: &App, path: &str, events: Value) -> Answer {
    let body = json!({ "api_key": app.guid, "events": events });
    app.server.sends(path, body.to_string()).await
}

fn event(fields: Value) -> Value {
    let mut event = json!({ "event_type": "Level Complete", "device_id": "device-1", "user_id": "user-42" });
    event.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    event
}

/// A form as the Identify API takes it.
async fn identify(app: &App, path: &str, identification: Value) -> Answer {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("api_key", app.guid.as_str()), ("identification", &identification.to_string())])
        .finish();
    app.server.sends(path, form).await
}

#[tokio::test]
async fn uploads_are_answered_as_documented() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    for path in ["/2/httpapi", "/batch"] {
        let body = json!({ "api_key": app.guid, "events": [event(json!({})), event(json!({ "price": 2.5, "quantity": 2 }))] });
        let answer = server.sends(path, body.to_string()).await.is(200);
        let said = answer.json();
        assert_eq!((&said["code"], &said["events_ingested"]), (&json!(200), &json!(2)), "{said}");
        assert_eq!(said["payload_size_bytes"], body.to_string().len(), "{said}");
        assert!(said["server_upload_time"].as_i64().is_some_and(|time| time > 1_700_000_000_000), "{said}");
        let inputs = answer.inputs();
        assert_eq!(server.input(&inputs[1]).await["event"]["amount"], "5.0");
    }
}

#[tokio::test]
async fn refusals_name_the_field_and_the_places() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let check = async |body: Value, expected: Value| {
        let mut said = server.sends("/2/httpapi", body.to_string()).await.is(400).json();
        said.as_object_mut().expect("an object").shift_remove("code");
        assert_eq!(said, expected, "{body}");
    };
    let missing = |field: &str| json!({ "error": "Request missing required field", "missing_field": field });
    check(json!({ "events": [event(json!({}))] }), missing("api_key")).await;
    check(json!({ "api_key": app.guid }), missing("events")).await;
    let nobody = json!({ "api_key": "nobody", "events": [event(json!({}))] });
    check(nobody, json!({ "error": "Invalid API key: nobody" })).await;
    let events = json!([event(json!({})), { "device_id": "device-1" }, event(json!({ "time": "2025-10-09" })),
        { "event_type": "A" }, event(json!({ "revenue": "much" }))]);
    let wrong = json!({
        "error": "Request missing required field",
        "events_with_missing_fields": { "device_id": [3], "event_type": [1] },
        "events_with_invalid_fields": { "revenue": [4], "time": [2] },
    });
    check(json!({ "api_key": app.guid, "events": events }), wrong).await;
    let short = json!({ "error": "Invalid id length for user_id or device_id",
        "events_with_invalid_id_lengths": { "user_id": [0] } });
    check(json!({ "api_key": app.guid, "events": [{ "event_type": "A", "user_id": "u-1" }] }), short).await;
    assert_eq!(server.sends("/batch", "nonsense").await.is(400).json()["error"], "Invalid JSON request body");
    assert_eq!(server.sends("/batch", "").await.is(400).json()["error"], "Missing request body");
    // Nothing was taken; what is wrong is in quarantine, what was not was to be sent again.
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["accepted"], 0, "{ledger}");
    assert_eq!(ledger["inputs"]["refused"], 1, "{ledger}");
}

#[tokio::test]
async fn uploads_have_a_size() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let large = |bytes: usize| event(json!({ "event_properties": { "a": "a".repeat(bytes) } }));
    send(&app, "/2/httpapi", json!([large(1_000_000)])).await.is(200);
    let answer = send(&app, "/2/httpapi", json!([large(1_100_000)])).await.is(413);
    assert_eq!(answer.json(), json!({ "code": 413, "error": "Payload too large" }));
    send(&app, "/batch", json!([large(1_100_000)])).await.is(200);
    send(&app, "/batch", json!([large(21 * 1_024 * 1_024)])).await.is(413);
    let many: Vec<Value> = (0..2_001).map(|_| event(json!({}))).collect();
    send(&app, "/batch", json!(many)).await.is(413);
    server.balanced().await;
}

#[tokio::test]
async fn what_repeats_an_insert_id_counts_once() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let first =
        send(&app, "/2/httpapi", json!([event(json!({ "insert_id": "i-1" }))])).await.is(200).inputs();
    let again = json!([event(json!({ "insert_id": "i-1", "time": 1_760_000_000_000_i64 }))]);
    assert_eq!(send(&app, "/batch", again).await.is(200).inputs(), first);
    assert_eq!(server.balanced().await["inputs"]["accepted"], 1);
}

#[tokio::test]
async fn users_are_linked_once_their_install_is_known() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let add = |n: i64| json!({ "device_id": "device-1", "user_properties": { "$add": { "logins": n }, "$setOnce": { "plan": "free" } } });
    let early = identify(&app, "/identify", add(2)).await.is(200);
    assert_eq!(early.text(), "success");
    let early = early.inputs();
    assert_eq!(server.input(&early[0]).await["outcomes"][0]["outcome"], "no_install");

    let install = json!([event(json!({ "event_type": "[Amplitude] Application Installed" }))]);
    let install = send(&app, "/2/httpapi", install).await.is(200).inputs();
    assert_eq!(server.input(&install[0]).await["kind"], "install");
    let row = server.input(&early[0]).await;
    assert_eq!(row["outcomes"][1]["outcome"], "linked", "{row}");
    assert_eq!(row["outcomes"][2]["changed"], json!(["logins", "plan"]), "{row}");

    let changed = async |answer: Answer| {
        server.input(&answer.is(200).inputs()[0]).await["outcomes"][1]["changed"].clone()
    };
    assert_eq!(changed(identify(&app, "/identify", json!([add(3)])).await).await, json!(["logins"]));
    let events = json!([event(json!({ "user_properties": { "plan": "pro" } }))]);
    assert_eq!(changed(send(&app, "/2/httpapi", events).await).await, json!(["plan"]));
    server.balanced().await;
}

#[tokio::test]
async fn identifications_are_refused_in_words() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let check = async |body: String, words: &str| {
        let answer = server.sends("/identify", body).await.is(400).text();
        assert!(answer.starts_with(words), "{answer}");
    };
    check(format!("api_key={}", app.guid), "missing_event").await;
    check(format!("api_key={}&identification=nonsense", app.guid), "missing_event").await;
    check("identification=%7B%7D".to_owned(), "invalid_api_key").await;
    check(
        "api_key=nobody&identification=%7B%22device_id%22%3A%22device-1%22%7D".to_owned(),
        "invalid_api_key",
    )
    .await;
    let group = json!({ "group_type": "org", "group_value": "7", "group_properties": { "plan": "pro" } });
    let answer = identify(&app, "/groupidentify", group).await.is(200);
    assert_eq!(server.input(&answer.inputs()[0]).await["ignored"]["reason"], "nothing_to_keep");
    server.balanced().await;
}

#[tokio::test]
async fn too_many_calls_name_who_made_them() {
    let server = Server::start().await;
    let settings = json!({ "limits.app_requests_per_second": 1 });
    let app = server.app_with(json!({ "name": "Shop", "platform": "iOS", "settings": settings })).await;
    // At once: one after the other they may be slower than the limit on a busy machine.
    let call = async || send(&app, "/2/httpapi", json!([event(json!({})), event(json!({}))])).await;
    let (one, two, three, four) = tokio::join!(call(), call(), call(), call());
    let refused = [one, two, three, four].into_iter().find(|answer| answer.status == 429);
    let refused = refused.expect("one in four within a second is too many");
    assert_eq!(refused.header("retry-after"), "2");
    let expected = json!({
        "code": 429, "error": "Too many requests for some devices and users", "eps_threshold": 1,
        "throttled_devices": { "device-1": 2 }, "throttled_users": { "user-42": 2 }, "throttled_events": [0, 1],
    });
    assert_eq!(refused.json(), expected);
    server.balanced().await;
}

#[tokio::test]
async fn one_device_that_is_too_fast_is_named_and_nobody_else_is_held_up() {
    let server = Server::with(&[("SEXTANT_LIMITS_DEVICE_EVENTS_PER_SECOND", "1")]).await;
    let app = server.app("iOS").await;
    let of = |device: &str, user: &str| event(json!({ "device_id": device, "user_id": user }));
    // An upload is never too large for the limit: it is those after it that are refused, for a while.
    let many: Vec<Value> = (0..100).map(|_| of("device-1", "user-1")).collect();
    send(&app, "/batch", json!(many)).await.is(200);
    let mixed = json!([of("device-2", "user-2"), of("device-1", "user-3"), of("device-3", "user-1")]);
    let refused = send(&app, "/2/httpapi", mixed).await.is(429);
    assert_eq!(refused.header("retry-after"), "30");
    let expected = json!({
        "code": 429, "error": "Too many requests for some devices and users", "eps_threshold": 1,
        "throttled_devices": { "device-1": 2 }, "throttled_users": { "user-1": 2 }, "throttled_events": [1, 2],
    });
    assert_eq!(refused.json(), expected);
    send(&app, "/2/httpapi", json!([of("device-2", "user-2")])).await.is(200);
    let words = identify(&app, "/identify", json!({ "device_id": "device-1" })).await.is(429).text();
    assert!(words.contains(r#""throttled_devices":{"device-1":2}"#), "{words}");
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["accepted"], 101, "{ledger}");
    assert_eq!(ledger["inputs"]["refused"], 4, "{ledger}");
}

#[tokio::test]
async fn forms_carry_events_too() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    for path in ["/2/httpapi", "/batch"] {
        for events in [event(json!({ "revenue": 2.5 })), json!([event(json!({ "revenue": 2.5 }))])] {
            let form = form_urlencoded::Serializer::new(String::new())
                .extend_pairs([("api_key", app.guid.as_str()), ("event", &events.to_string())])
                .finish();
            let request = server.request(Method::POST, path);
            let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(form);
            let answer = request.answer().await.is(200);
            assert_eq!(answer.json()["events_ingested"], 1, "{}", answer.text());
            assert_eq!(server.input(&answer.inputs()[0]).await["event"]["amount"], "2.5");
        }
    }
    let answer = server.sends("/2/httpapi", format!("api_key={}&event=nonsense", app.guid)).await.is(400);
    assert_eq!(answer.json()["error"], "Invalid JSON request body");
    server.balanced().await;
}

#[tokio::test]
async fn the_address_of_the_connection_may_be_asked_for() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let inputs = send(&app, "/2/httpapi", json!([event(json!({ "ip": "$remote" })), event(json!({}))]))
        .await
        .is(200)
        .inputs();
    assert_eq!(server.input(&inputs[0]).await["flags"], json!(["ua_missing", "time_missing"]));
    assert_eq!(server.input(&inputs[1]).await["flags"], json!(["ip_missing", "ua_missing", "time_missing"]));
    server.request(Method::OPTIONS, "/2/httpapi").answer().await.is(204);
}
