//! The event manager (postbacks.md section 5, DECISIONS 35).

use crate::harness::{Server, Sink, Value, json};

async fn names(server: &Server, app: u64) -> Vec<Value> {
    let list = server.get(&format!("/api/apps/{app}/events")).await.is(200).json();
    list["data"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn names_come_by_themselves_and_have_switches() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    assert_eq!(names(&server, app.id).await, Vec::<Value>::new());
    app.event("SX-1", "View", json!({ "page": 1 })).await;
    app.event("SX-1", "Purchase", json!({ "page": 1 })).await;
    let switches = |rows: &[Value]| -> Vec<(String, bool, bool)> {
        let row = |row: &Value| {
            let flag = |name: &str| row[name].as_bool().unwrap_or_else(|| panic!("{row}"));
            (row["name"].as_str().unwrap().to_owned(), flag("active"), flag("is_revenue"))
        };
        rows.iter().map(row).collect()
    };
    let found = names(&server, app.id).await;
    assert_eq!(switches(&found), [("Purchase".into(), true, false), ("View".into(), true, false)]);
    assert!(found[0]["first_seen"].is_string(), "{found:?}");

    // The first amount makes a name one that brings revenue.
    app.event("SX-1", "Purchase", json!({ "sum": 3 })).await;
    assert_eq!(switches(&names(&server, app.id).await)[0], ("Purchase".into(), true, true));

    let path = format!("/api/apps/{}/events", app.id);
    let one = json!({ "name": "Purchase", "is_revenue": false });
    let changed = server.patch(&path, one).await.is(200).json();
    assert_eq!(switches(changed["data"].as_array().unwrap()), [("Purchase".into(), true, false)]);
    let several =
        json!({ "events": [{ "name": "View", "active": false }, { "name": "Later", "active": false }] });
    server.patch(&path, several).await.is(200);
    let found = names(&server, app.id).await;
    let expected =
        [("Later".into(), false, false), ("Purchase".into(), true, false), ("View".into(), false, false)];
    assert_eq!(switches(&found), expected);
    assert_eq!(found[0]["first_seen"], Value::Null);
    let back = json!({ "name": "Purchase", "is_revenue": null });
    server.patch(&path, back).await.is(200);
    assert_eq!(switches(&names(&server, app.id).await)[1], ("Purchase".into(), true, true));
    for wrong in [
        json!({ "active": false }),
        json!({ "name": "", "active": false }),
        json!({ "name": "View", "active": "no" }),
        json!({ "name": "View", "enabled": true }),
        json!({ "events": "View" }),
        json!({ "events": ["View"] }),
    ] {
        server.patch(&path, wrong).await.is(400);
    }
    server.patch("/api/apps/999/events", json!({ "name": "View", "active": false })).await.is(404);
}

#[tokio::test]
async fn switches_take_effect() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let path = format!("/api/apps/{}/events", app.id);
    app.install("SX-1", json!({})).await;
    app.trigger(
        "event",
        json!({ "cpi_mostback_url": sink.url("/pb?e={event_name}&r={revenue}&v={event_value}") }),
    )
    .await;
    server.patch(&path, json!({ "name": "View", "active": false })).await.is(200);
    server.patch(&path, json!({ "name": "Coins", "is_revenue": false })).await.is(200);
    let input = app.event("SX-1", "View", json!({})).await;
    app.event("SX-1", "Coins", json!({ "sum": 5 })).await;
    assert_eq!(sink.receives("/pb", 1).await[0].query, "e=Coins&r=&v=5");
    let unsent = server.settled("", "suppressed", 1).await;
    assert_eq!(unsent[0]["reason"], "event_inactive");
    assert_eq!(server.input(&input).await["kind"], "event", "it is on record all the same");

    server.patch(&path, json!({ "events": [{ "name": "View", "active": null }, { "name": "Coins", "is_revenue": true }] })).await.is(200);
    app.event("SX-1", "View", json!({})).await;
    app.event("SX-1", "Coins", json!({ "sum": 7 })).await;
    let mut queries: Vec<String> = sink.receives("/pb", 3).await.into_iter().map(|hit| hit.query).collect();
    queries.sort();
    assert_eq!(queries, ["e=Coins&r=&v=5", "e=Coins&r=7&v=7", "e=View&r=&v="]);
    server.balanced().await;
}
