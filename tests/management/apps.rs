//! Apps and networks.

use crate::harness::{App, Server, Value, json};

#[tokio::test]
async fn an_app_is_made_read_changed_and_deleted() {
    let server = Server::start().await;
    let made = server.post("/apps", json!({ "name": "Sky Boots", "platform": "iOS" })).await.is(201).json();
    assert!(made["id"].is_u64(), "{made}");
    let guid = made["guid"].as_str().expect("a guid").to_owned();
    assert!(guid.starts_with("kosky-boots-"), "{guid}");
    assert_eq!((&made["name"], &made["platform"]), (&json!("Sky Boots"), &json!("iOS")), "{made}");
    for (field, value) in [
        ("session_tracking", json!("full")),
        ("traffic_processing", json!("active")),
        ("deleted", json!(false)),
        ("twilio_basic_auth", Value::Null),
        ("aws_secret_key", Value::Null),
    ] {
        assert_eq!(made[field], value, "{field} in {made}");
    }
    for time in ["registered", "updated"] {
        let text = made[time].as_str().unwrap_or_default();
        assert!(text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok(), "{time} in {made}");
    }
    let path = format!("/apps/{}", made["id"]);
    assert_eq!(server.get(&path).await.is(200).json(), made);

    let changes = json!({ "name": "Sea Boots", "sku": "b-1", "aws_secret_key": "hush",
                          "settings": { "attribution.windows.click_modeled": "1d" } });
    let changed = server.patch(&path, changes).await.is(200).json();
    assert_eq!((&changed["name"], &changed["sku"]), (&json!("Sea Boots"), &json!("b-1")), "{changed}");
    assert_eq!(changed["guid"], json!(guid), "{changed}");
    assert_eq!(changed["aws_secret_key"], Value::Null, "{changed}");
    assert_eq!(changed["settings"]["attribution.windows.click_modeled"], 86_400, "{changed}");

    server.delete(&path).await.is(200);
    server.get(&path).await.is(404);
    server.patch(&path, json!({ "name": "x" })).await.is(404);
    server.delete(&path).await.is(404);
    assert_eq!(server.get("/apps?app_selector=false").await.is(200).json(), json!([]));
}

#[tokio::test]
async fn a_guid_can_be_chosen_once() {
    let server = Server::start().await;
    let app = json!({ "name": "Shop", "platform": "iOS", "guid": "kosextant-demo-ab12cd" });
    let made = server.post("/apps", app.clone()).await.is(201).json();
    assert_eq!(made["guid"], "kosextant-demo-ab12cd");
    server.post("/apps", app.clone()).await.is(409);
    server.delete(&format!("/apps/{}", made["id"])).await.is(200);
    server.post("/apps", app).await.is(409);
}

#[tokio::test]
async fn what_makes_no_app_is_a_400() {
    let server = Server::start().await;
    for body in [
        json!({}),
        json!({ "name": "Shop" }),
        json!({ "platform": "iOS" }),
        json!({ "name": "", "platform": "iOS" }),
        json!({ "name": 7, "platform": "iOS" }),
        json!({ "name": "Shop", "platform": "Toaster" }),
        json!({ "name": "Shop", "platform": "iOS", "guid": "a b" }),
        json!({ "name": "Shop", "platform": "iOS", "guid": 7 }),
        json!({ "name": "Shop", "platform": "iOS", "install_auth": "strict" }),
        json!({ "name": "Shop", "platform": "iOS", "install_auth": { "mode": "very" } }),
        json!({ "name": "Shop", "platform": "iOS", "install_auth": { "actions": ["dance"] } }),
        json!({ "name": "Shop", "platform": "iOS", "settings": { "attribution.windows.click_device": "31d" } }),
        json!({ "name": "Shop", "platform": "iOS", "settings": { "attribution.windows.click_device": 59 } }),
        json!({ "name": "Shop", "platform": "iOS", "settings": { "attribution.windows.impression_device": "25h" } }),
        json!({ "name": "Shop", "platform": "iOS", "settings": { "postbacks.hold_install": "601s" } }),
        json!({ "name": "Shop", "platform": "iOS", "settings": { "no.such.setting": 1 } }),
        json!([]),
        json!("Shop"),
    ] {
        let answer = server.post("/apps", body.clone()).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        let answer = answer.json();
        assert_eq!(answer["success"], false, "{body}: {answer}");
        assert!(answer["errors"][0].as_str().is_some_and(|error| !error.is_empty()), "{body}: {answer}");
    }
    for raw in ["", "{", "nonsense"] {
        let request =
            server.request(reqwest::Method::POST, "/apps").header("Authentication-Key", crate::harness::KEY);
        let answer = crate::harness::Answered::answer(request.body(raw)).await;
        assert_eq!(answer.status, 400, "{raw}: {}", answer.text());
    }
    assert_eq!(server.get("/apps").await.json(), json!([]));
}

#[tokio::test]
async fn lists_are_short_or_paged_on_request() {
    let server = Server::start().await;
    for n in 0..51 {
        server.app_with(json!({ "name": format!("App {n}"), "platform": "Android" })).await;
    }
    let all = server.get("/apps?app_selector=false").await.is(200).json();
    assert_eq!(all.as_array().expect("a bare array").len(), 51);
    let short = server.get("/apps?app_selector=true").await.is(200).json();
    assert_eq!(short.as_array().unwrap().len(), 51);
    assert!(short[0].as_object().unwrap().len() < all[0].as_object().unwrap().len());
    let first = server.get("/apps?pageToken=1").await.is(200).json();
    assert_eq!(first["data"].as_array().unwrap().len(), 50, "{first}");
    assert_eq!(first["previousToken"], Value::Null);
    let next = first["nextToken"].as_str().expect("a token").to_owned();
    let second = server.get(&format!("/apps?pageToken={next}")).await.is(200).json();
    assert_eq!(second["data"].as_array().unwrap().len(), 1, "{second}");
    assert_eq!(second["nextToken"], Value::Null);
    assert!(second["previousToken"].is_string());
    server.get("/apps?pageToken=x").await.is(400);
}

#[tokio::test]
async fn a_deleted_app_takes_nothing_any_more() {
    let server = Server::start().await;
    let app: App = server.app("Android").await;
    let link = app.link("Example Network").await;
    server.delete(&format!("/apps/{}", app.id)).await.is(200);
    app.send("install", "SX-1", json!({})).await.refused(404);
    assert_eq!(link.browse("", crate::harness::device::PIXEL).await.status, 404);
}

#[tokio::test]
async fn a_network_is_made_read_changed_and_deleted() {
    let server = Server::start().await;
    let made = server.post("/networks", json!({ "name": "Example Network" })).await.is(201).json();
    assert_eq!(made["name"], "Example Network");
    let path = format!("/networks/{}", made["id"]);
    assert_eq!(server.get(&path).await.is(200).json(), made);
    let changed = server.patch(&path, json!({ "name": "Other Network" })).await.is(200).json();
    assert_eq!((&changed["name"], &changed["id"]), (&json!("Other Network"), &made["id"]));
    let list = server.get("/networks").await.is(200).json();
    assert!(list.as_array().unwrap().iter().any(|network| network["id"] == made["id"]), "{list}");
    for body in [json!({}), json!({ "name": "" }), json!({ "name": "x", "settings": { "no": 1 } })] {
        server.post("/networks", body).await.is(400);
    }
    let app = server.app("iOS").await;
    let link =
        app.link_of(&made["id"].to_string(), json!({ "destination_url": "https://shop.example.com/" })).await;
    server.delete(&path).await.is(409);
    server.delete(&format!("/tracker/{}/delete/{}", app.id, link.id)).await.is(200);
    server.delete(&path).await.is(200);
    server.get(&path).await.is(404);
    server.get("/networks/999999").await.is(404);
}

#[tokio::test]
async fn a_change_is_in_force_for_what_begins_after_its_answer_and_stays() {
    let server = Server::start().await;
    for n in 0..20 {
        let app = server.app("iOS").await;
        app.install(&format!("SX-{n}"), json!({})).await;
    }
    let before = server.get("/apps").await.is(200).json();
    let network = server.network("Example Network").await;
    server.kill9();
    server.start_again().await;
    assert_eq!(server.get("/apps").await.is(200).json(), before);
    server.get(&format!("/networks/{network}")).await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_want_the_same_at_once_one_gets_it() {
    let server = Server::start().await;
    let app = json!({ "name": "Shop", "platform": "iOS", "guid": "kosextant-demo-ab12cd" });
    let trigger = json!({ "app_id": 1, "type": "install", "title": "t", "template_id": 3373,
                          "context": { "cpi_mostback_url": "https://partner.example.com/pb" } });
    for (path, body) in [("/apps", app), ("/postbacks", trigger)] {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let (server, body) = (server.clone(), body.clone());
            calls.spawn(async move { server.post(path, body).await.status });
        }
        let mut statuses = calls.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409, 409, 409], "{path}");
    }
}
