//! The Premium Publisher API, call by call, with the examples of its documentation: only host, app and
//! trigger ids are ours.

use std::fs;

use crate::harness::{Answer, App, KEY, Server, Value, json, program};

/// The envelope of every answer, and its `data`.
#[track_caller]
fn data(answer: &Answer) -> Value {
    let body = answer.json();
    let envelope: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let fields = ["success", "meta", "nextToken", "previousToken", "errors", "warnings", "messages", "data"];
    assert_eq!(envelope, fields, "{body}");
    assert_eq!(body["success"], answer.status < 300, "{body}");
    for field in ["meta", "nextToken", "previousToken"] {
        assert_eq!(body[field], Value::Null, "{field} in {body}");
    }
    for field in ["errors", "messages"] {
        assert_eq!(body[field].as_array().unwrap().is_empty(), answer.status < 300 || field == "messages");
    }
    body["data"].clone()
}

/// The first page of templates by their numbers.
async fn templates(app: &App, server: &Server, call: &str) -> Vec<Value> {
    let answer = server.get(&format!("/apps/{}/postbacks/{call}", app.id)).await.is(200);
    data(&answer).as_array().unwrap().clone()
}

fn of_number(templates: &[Value], number: u64) -> Option<&Value> {
    templates.iter().find(|template| template["id"] == number)
}

#[tokio::test]
async fn templates_are_listed_as_documented() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let all = templates(&app, &server, "templates").await;
    assert!(all.len() >= 25, "{} templates", all.len());
    let mmdsp = of_number(&all, 2209).expect("mmDSP");
    assert_eq!(
        mmdsp.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["id", "network_id", "platform", "name", "context_meta"]
    );
    assert_eq!(mmdsp["network_id"], 3);
    assert_eq!(mmdsp["platform"], "");
    assert_eq!(mmdsp["name"], "mmDSP");
    let meta = mmdsp["context_meta"].as_array().unwrap();
    let app_id = json!({
        "label": { "name": "App ID", "description": "Provided by mmDSP" },
        "input": { "id": "cpi_jumptap_app_id", "type": "text", "required": false, "default_value": "" },
    });
    assert_eq!(meta[0], app_id);
    let lookback = &meta[1]["input"];
    assert_eq!(meta[1]["label"]["name"], "Fingerprint Lookback");
    assert_eq!(meta[1]["label"]["description"], "The lookback window for fingerprint reconciliation.");
    assert_eq!(lookback["id"], "cpi_jumptap_fingerprint_lookback_window");
    assert_eq!((&lookback["type"], &lookback["required"]), (&json!("select"), &json!("true")));
    assert_eq!(lookback["default_value"], "7");
    assert_eq!(lookback["options"][0], json!({ "value": 1, "label": "1 day" }));
    assert_eq!(lookback["options"][1], json!({ "value": 2, "label": "2 days" }));
    let delay = &meta[2]["input"];
    assert_eq!((&delay["id"], &delay["default_value"]), (&json!("deferred_for"), &json!(0)));
    assert_eq!(delay["options"][0], json!({ "value": 0, "label": "Realtime Delivery" }));
    assert_eq!(delay["options"][1], json!({ "value": 30_000, "label": "30 Second Delay" }));
    let retries = &meta[3]["input"];
    assert_eq!((&retries["id"], &retries["default_value"]), (&json!("max_delivery_attempts"), &json!(3)));
    assert_eq!(retries["options"][0], json!({ "value": 0, "label": "Do Not Retry" }));
    assert_eq!(retries["options"][1], json!({ "value": 1, "label": "1 Attempt" }));
    let custom = of_number(&all, 3373).expect("the custom template");
    assert_eq!(custom["context_meta"][0]["input"]["id"], "cpi_mostback_url");
    assert_eq!(custom["network_id"], 0);
    assert!(of_number(&all, 2602).is_some(), "OpenX Performance");
}

#[tokio::test]
async fn the_documented_triggers_are_made() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let bodies = [
        json!({ "app_id": app.id, "type": "install", "title": "Install Custom Postback", "template_id": 3373,
                "context": { "cpi_mostback_url": "https://example.com/ingest" } }),
        json!({ "app_id": app.id, "type": "event", "title": "Purchase Postback", "template_id": 3373,
                "filter_str": "Purchase", "context": { "cpi_mostback_url": "https://example.com/ingest" } }),
        json!({ "app_id": app.id, "type": "click", "title": "Click Postback", "template_id": 3373,
                "context": { "cpi_mostback_url": "https://example.com/ingest" } }),
        json!({ "app_id": app.id, "type": "event", "title": "OpenX Performance", "template_id": 2602,
                "filter_str": "Purchase",
                "context": { "cpi_openxperformance_fingerprint_lookback_window": "7",
                             "cpi_openxperformance_device_id_lookback_window": "30" } }),
    ];
    let mut made = Vec::new();
    for body in &bodies {
        let answer = server.post("/postbacks", body.clone()).await.is(201);
        let one = data(&answer);
        assert_eq!(one.as_array().unwrap().len(), 1, "{one}");
        for (field, value) in body.as_object().unwrap() {
            assert_eq!(&one[0][field], value, "{field} in {one}");
        }
        assert_eq!(one[0]["active"], false, "{one}");
        assert!(one[0]["date_created"].is_i64() && one[0]["id"].is_u64(), "{one}");
        let id = &one[0]["id"];
        let read = server.get(&format!("/apps/{}/postbacks/{id}", app.id)).await.is(200);
        assert_eq!(data(&read), one);
        made.push(one[0].clone());
    }
    let fields =
        ["id", "app_id", "type", "title", "template_id", "filter_str", "active", "date_created", "context"];
    assert_eq!(made[3].as_object().unwrap().keys().collect::<Vec<_>>(), fields);
    assert_eq!(made[0].get("filter_str"), None, "{}", made[0]);
    let list = server.get(&format!("/apps/{}/postbacks", app.id)).await.is(200);
    assert_eq!(data(&list), json!(made));

    // The network of a template comes with its first trigger.
    assert_eq!(server.get("/networks/4").await.is(200).json()["name"], "OpenX Performance");

    let change = json!({ "title": "Install Custom Postback v2", "active": true,
                         "context": { "cpi_mostback_url": "https://example.com/ingest/v2" } });
    let id = &made[0]["id"];
    let changed = data(&server.patch(&format!("/postbacks/{id}"), change.clone()).await.is(200));
    for (field, value) in change.as_object().unwrap() {
        assert_eq!(&changed[0][field], value, "{field} in {changed}");
    }
    let answer = server.delete(&format!("/postbacks/{id}")).await.is(200);
    assert!(answer.body.is_empty());
    assert!(data(&server.get(&format!("/apps/{}/postbacks/{id}", app.id)).await.is(404)).is_array());
}

/// Scripts carry numbers of templates that only the incumbent has: such a trigger is made, says what it waits for, and
/// tells nobody of what others won.
#[tokio::test]
async fn a_template_of_the_incumbents_own_is_taken() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let body = json!({ "app_id": app.id, "type": "install", "title": "Example Network", "template_id": 4711,
                       "active": true, "context": { "cpi_example_mostback_url": "https://example.com/ingest",
                                                    "cpi_example_app_id": "x-1" } });
    let made = server.post("/postbacks", body.clone()).await.is(201);
    let one = data(&made)[0].clone();
    assert_eq!((&one["template_id"], &one["context"]), (&body["template_id"], &body["context"]), "{one}");
    let warnings = made.json()["warnings"].to_string();
    assert!(warnings.contains("4711") && warnings.contains("sx_network_id"), "{warnings}");
    app.install("SX-1", json!({})).await;
    let row = server.settled("", "suppressed", 1).await.remove(0);
    assert_eq!(row["reason"], "incomplete", "{row}");
    let network = json!({ "context": { "sx_network_id": app.link("Example Network").await.network } });
    let said = server.patch(&format!("/postbacks/{}", one["id"]), network).await.is(200).json();
    assert!(!said["warnings"].to_string().contains("sx_network_id"), "{said}");
}

#[tokio::test]
async fn incomplete_templates_are_those_that_still_ask_for_something() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let numbers = async || -> Vec<u64> {
        let open = templates(&app, &server, "incomplete").await;
        open.iter().map(|template| template["id"].as_u64().unwrap()).collect()
    };
    let whole = templates(&app, &server, "templates").await;
    let open = templates(&app, &server, "incomplete").await;
    assert_eq!(of_number(&open, 2209), of_number(&whole, 2209), "the same objects");
    assert!(numbers().await.contains(&3373));

    // A custom trigger has all it needs; one of OpenX still lacks the URL, and says so.
    app.trigger("install", json!({ "cpi_mostback_url": "https://example.com/ingest" })).await;
    assert!(!numbers().await.contains(&3373));
    let openx = json!({ "app_id": app.id, "type": "install", "title": "OpenX Performance", "template_id": 2602,
                        "context": { "cpi_openxperformance_fingerprint_lookback_window": "7",
                                     "cpi_openxperformance_device_id_lookback_window": "30" } });
    let made = server.post("/postbacks", openx).await.is(201).json();
    assert!(made["warnings"].to_string().contains("cpi_openxperformance_mostback_url"), "{made}");
    assert!(numbers().await.contains(&2602));
    let id = &made["data"][0]["id"];
    let url = json!({ "context": { "cpi_openxperformance_mostback_url": "https://openx.example.com/pb" } });
    let changed = server.patch(&format!("/postbacks/{id}"), url).await.is(200).json();
    assert_eq!(changed["warnings"], json!([]), "{changed}");
    assert!(!numbers().await.contains(&2602));

    // A required input that is not set leaves its template incomplete, for this app and for others.
    let amplitude =
        json!({ "app_id": app.id, "type": "install", "title": "A", "template_id": 9004, "context": {} });
    let made = server.post("/postbacks", amplitude).await.is(201).json();
    assert!(made["warnings"].to_string().contains("cpi_amplitude_api_key"), "{made}");
    assert!(numbers().await.contains(&9004));
    let id = &made["data"][0]["id"];
    let key = json!({ "context": { "cpi_amplitude_api_key": "k" } });
    server.patch(&format!("/postbacks/{id}"), key).await.is(200);
    assert!(!numbers().await.contains(&9004));
    let other = server.app("Android").await;
    assert!(of_number(&templates(&other, &server, "incomplete").await, 9004).is_some());
}

#[tokio::test]
async fn statuses_are_those_of_the_documentation() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    for call in ["templates", "incomplete"] {
        server.get(&format!("/apps/999999/postbacks/{call}")).await.is(404);
        let path = format!("/apps/{}/postbacks/{call}", app.id);
        let url = format!("http://{}{path}", server.address());
        let wrong = server.foreign(reqwest::Method::GET, &url);
        let answer = wrong.header("Authentication-Key", "F5BC0519-8415-4720-925F-35EBCCFAB2ED");
        assert_eq!(answer.send().await.unwrap().status(), 401);
        let other = server.app("Android").await;
        let key = json!({ "name": "other", "apps": [other.id] });
        let key = server.post("/api/keys", key).await.is(201).json()["key"].as_str().unwrap().to_owned();
        let answer = server.foreign(reqwest::Method::GET, &url).header("Authentication-Key", key);
        assert_eq!(answer.send().await.unwrap().status(), 403);
    }
    let broken = server.request(reqwest::Method::POST, "/postbacks").header("Authentication-Key", KEY);
    let broken = broken.body("{").send().await.unwrap();
    assert_eq!(broken.status(), 400);
    assert_eq!(broken.json::<Value>().await.unwrap()["success"], false);
}

#[tokio::test]
async fn mistakes_name_their_field() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let check = async |template: u64, kind: &str, context: Value, field: &str| {
        let body = json!({ "app_id": app.id, "type": kind, "title": "t", "template_id": template, "context": context });
        let answer = server.post("/postbacks", body).await.is(400).json();
        let error = answer["errors"][0].as_str().unwrap_or_default().to_owned();
        assert!(error.starts_with(&format!("{field}: ")), "{error}");
    };
    let url = "https://partner.example.com/pb";
    let custom = |key: &str, value: Value| json!({ "cpi_mostback_url": url, key: value });
    check(3373, "install", json!({}), "context.cpi_mostback_url").await;
    check(9022, "install", json!({}), "context.cpi_slack_mostback_url").await;
    check(9001, "event", json!({ "cpi_segment_write_key": "k" }), "type").await;
    check(9016, "event", json!({ "cpi_awin_merchant_id": "1" }), "context.sx_network_id").await;
    check(9004, "install", json!({ "cpi_amplitude_api_key": "k", "sx_body": "form" }), "context.sx_body")
        .await;
    check(9004, "install", json!({ "cpi_amplitude_api_key": "k", "sx_method": "GET" }), "context.sx_method")
        .await;
    check(
        2209,
        "install",
        json!({ "cpi_jumptap_fingerprint_lookback_window": "soon" }),
        "context.cpi_jumptap_fingerprint_lookback_window",
    )
    .await;
    for (key, value) in [
        ("sx_filter", json!("x")),
        ("sx_headers", json!({ "X": 1 })),
        ("sx_all_data", json!("perhaps")),
        ("sx_rate_cap", json!("often")),
        ("sx_rate_cap", json!("0/hour")),
        ("sx_event_names", json!(["a"])),
        ("sx_countries", json!("Germany")),
        ("sx_required", json!("clickid")),
    ] {
        let field = format!("context.{key}");
        let body =
            json!({ "app_id": app.id, "type": "event", "template_id": 3373, "context": custom(key, value) });
        let answer = server.post("/postbacks", body).await.is(400).json();
        assert!(answer["errors"][0].as_str().unwrap().starts_with(&field), "{answer}");
    }
    for (filter, field) in [
        (json!({ "min_revenue": "much" }), "context.sx_filter.min_revenue"),
        (json!({ "first": 1 }), "context.sx_filter.first"),
        (json!({ "parameters": ["plan"] }), "context.sx_filter.parameters"),
        (json!({ "revenue": 1 }), "context.sx_filter.revenue"),
    ] {
        check(3373, "event", custom("sx_filter", filter), field).await;
    }
    check(3373, "event", custom("sx_headers", json!({ "Host": "x" })), "context.sx_headers.Host").await;
    for unsendable in ["a\r\nX-B: b", "Zoë"] {
        let headers = json!({ "X-A": unsendable });
        check(3373, "event", custom("sx_headers", headers), "context.sx_headers.X-A").await;
    }
}

#[tokio::test]
async fn lists_are_paged_when_asked() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    for n in 0..51 {
        let body = json!({ "type": "event", "filter_str": format!("e{n}"), "context": { "cpi_mostback_url": "https://p.example.com/" } });
        app.trigger_with(body).await;
    }
    let path = format!("/apps/{}/postbacks", app.id);
    let page = async |token: &str| server.get(&format!("{path}?pageToken={token}")).await.is(200).json();
    let whole = server.get(&path).await.is(200).json();
    assert_eq!((whole["data"].as_array().unwrap().len(), &whole["nextToken"]), (51, &Value::Null));
    let first = page("1").await;
    assert_eq!(first["data"].as_array().unwrap().len(), 50);
    assert_eq!((&first["nextToken"], &first["previousToken"]), (&json!("2"), &Value::Null));
    let second = page("2").await;
    assert_eq!(second["data"], json!([whole["data"][50]]));
    assert_eq!((&second["nextToken"], &second["previousToken"]), (&Value::Null, &json!("1")));
    server.get(&format!("{path}?pageToken=x")).await.is(400);
    let templates = server.get(&format!("{path}/templates?pageToken=1")).await.is(200).json();
    assert_eq!(templates["previousToken"], Value::Null, "{templates}");
}

#[tokio::test]
async fn every_version_of_a_trigger_can_be_read() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let id = app.trigger("install", json!({ "cpi_mostback_url": "https://example.com/1" })).await;
    let change = json!({ "context": { "cpi_mostback_url": "https://example.com/2" } });
    server.patch(&format!("/postbacks/{id}"), change).await.is(200);
    server.delete(&format!("/postbacks/{id}")).await.is(200);
    let history = server.get(&format!("/api/triggers/{id}/versions")).await.is(200).json();
    let rows = history["data"].as_array().unwrap();
    let urls: Vec<_> = rows.iter().map(|row| &row["trigger"]["context"]["cpi_mostback_url"]).collect();
    assert_eq!(urls, ["https://example.com/1", "https://example.com/2", "https://example.com/2"]);
    let deleted: Vec<_> = rows.iter().map(|row| &row["deleted"]).collect();
    assert_eq!(deleted, [false, false, true]);
    assert_eq!((&rows[0]["version"], &rows[1]["version"]), (&json!(1), &json!(2)));
    assert!(rows[0]["key_id"].is_u64() && rows[0]["at"].is_string(), "{history}");
    server.get("/api/triggers/999/versions").await.is(404);
}

/// A template of the installation's own.
const OWN: &str = r#"id = 100001
name = "In-house"
platform = "iOS"

[[inputs]]
id = "cpi_house_mostback_url"
name = "URL"
required = true

[request.query]
click = "{click_id}"

[request.headers]
X-House = "yes"
"#;

#[tokio::test]
async fn templates_of_a_directory_are_offered_too() {
    let folder = tempfile::TempDir::new().unwrap();
    fs::write(folder.path().join("house.toml"), OWN).unwrap();
    fs::write(
        folder.path().join("slack.toml"),
        OWN.replace("100001", "9022").replace("In-house", "Our chat"),
    )
    .unwrap();
    fs::write(folder.path().join("notes.txt"), "not a template").unwrap();
    let path = folder.path().to_str().unwrap();
    let server = Server::with(&[("SEXTANT_POSTBACKS_TEMPLATES_DIR", path)]).await;
    let apple = server.app("iOS").await;
    let robot = server.app("Android").await;
    let offered = templates(&apple, &server, "templates").await;
    assert_eq!(of_number(&offered, 100_001).expect("the directory's")["name"], "In-house");
    assert_eq!(of_number(&offered, 9022).expect("the directory's")["name"], "Our chat");
    assert!(of_number(&templates(&robot, &server, "templates").await, 100_001).is_none());
    assert!(of_number(&templates(&robot, &server, "templates?platform=ios").await, 100_001).is_some());
    let body = |app: u64| {
        json!({ "app_id": app, "type": "install", "template_id": 100_001,
                "context": { "cpi_house_mostback_url": "https://house.example.com/pb" } })
    };
    let refused = server.post("/postbacks", body(robot.id)).await.is(400).json();
    assert!(refused["errors"][0].as_str().unwrap().starts_with("template_id: "), "{refused}");
    let made = server.post("/postbacks", body(apple.id)).await.is(201).json();

    // One that is gone at the next start is offered no more; what was made from it stays.
    fs::remove_file(folder.path().join("house.toml")).unwrap();
    server.terminate().await;
    server.start_again().await;
    assert!(of_number(&templates(&apple, &server, "templates").await, 100_001).is_none());
    let path = format!("/apps/{}/postbacks/{}", apple.id, made["data"][0]["id"]);
    assert_eq!(data(&server.get(&path).await.is(200))[0], made["data"][0]);
    server.delete(&format!("/postbacks/{}", made["data"][0]["id"])).await.is(200);
    server.post("/postbacks", body(apple.id)).await.is(400);
}

#[test]
fn a_bad_template_ends_the_start_and_says_where() {
    let check = |files: &[(&str, String)], expected: &[&str]| {
        let folder = tempfile::TempDir::new().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let data = folder.path().join("data");
        let output = program::run(
            &["serve", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()],
            &[("SEXTANT_POSTBACKS_TEMPLATES_DIR", folder.path().to_str().unwrap())],
        );
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{error}");
        for part in expected {
            assert!(error.contains(part), "{error} does not say {part}");
        }
    };
    let typo = OWN.replace("{click_id}", "{clikc_id}");
    check(&[("house.toml", typo)], &["house.toml:11:", "there is no macro {clikc_id}"]);
    check(&[("a.toml", OWN.to_owned()), ("b.toml", OWN.to_owned())], &["b.toml", "a.toml", "100001"]);
    check(&[("a.toml", "id = ".to_owned())], &["a.toml:1:"]);
}
