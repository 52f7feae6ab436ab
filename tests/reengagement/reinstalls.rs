//! Installs of devices that had the app before, and other things that come twice.

use crate::harness::{App, Link, Server, Value, device, json, now};

const DAY: i64 = 86_400;
const SETTING: &str = "attribution.install_reprocessing";

async fn shop(server: &Server, days: Value) -> (App, Link, Link) {
    let settings = json!({ SETTING: days });
    let app = server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
    let acquisition = app.link("First Network").await;
    let network = server.network("Second Network").await;
    let fields = json!({ "destination_url": "https://shop.example.com/start", "type": "reengagement" });
    let reengagement = app.link_of(&network, fields).await;
    (app, acquisition, reengagement)
}

fn data(n: u64, ago: i64) -> Value {
    json!({ "usertime": now() - ago, "device_ua": device::PIXEL, "device_ids": { "adid": device::advertising_id(n) } })
}

/// What became of an install: its outcome, its install and the one that it was processed for.
async fn outcome(server: &Server, input: &str) -> (String, String, Value) {
    let row = server.input(input).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let outcome = &row["outcomes"][0];
    (text(&outcome["outcome"]), text(&outcome["install_id"]), outcome["reprocess_for"].clone())
}

fn install_id(input: &str) -> String {
    input.replace("in_", "ins_")
}

#[tokio::test]
async fn an_install_after_the_window_is_one_of_its_own_for_reengagement_trackers_only() {
    let server = Server::start().await;
    let (app, acquisition, reengagement) = shop(&server, json!(10)).await;
    let window = json!({ "device_id_lookback_window": { "key": "w", "value": 5 * DAY } });
    server.post(&format!("/tracker/override?id={}", reengagement.id), window).await.is(200);
    let adid = device::advertising_id(1);
    acquisition.click(&format!("adid={adid}&click_time={}", now() - 26 * DAY)).await;
    let first = app.install("SX-1", data(1, 25 * DAY)).await;
    // Inside the window, without an id of its own, or with one that is known, it is a duplicate.
    let nameless = json!({ "action": "install", "kochava_app_id": app.guid, "data": data(1, 0) });
    let duplicates = [
        app.install("SX-2", data(1, 16 * DAY)).await,
        app.install("SX-1", data(1, 0)).await,
        server.sends("/track/json", nameless.to_string()).await.accepted(),
    ];
    for duplicate in &duplicates {
        let found = outcome(&server, duplicate).await;
        assert_eq!(found, ("duplicate_install".to_owned(), install_id(&first), Value::Null));
        let flags = server.input(duplicate).await["flags"].to_string();
        assert!(flags.contains("\"duplicate\""), "{flags}");
    }
    assert_eq!(server.balanced().await["duplicates"]["install"], 3);

    let back = reengagement.click(&format!("adid={adid}&click_time={}", now() - 13 * DAY)).await;
    acquisition.click(&format!("adid={adid}&click_time={}", now() - 12 * DAY - 60)).await;
    let second = app.install("SX-3", data(1, 12 * DAY)).await;
    let found = outcome(&server, &second).await;
    assert_eq!(found, ("installed".to_owned(), install_id(&second), json!(install_id(&first))));
    let answer = app.attribution("SX-3").await;
    assert_eq!(answer["data"]["install_id"], json!(install_id(&first)), "{answer}");
    assert_eq!(answer["data"]["kochava_device_id"], "SX-3", "{answer}");
    assert_eq!(answer["data"]["attribution"]["network"], "First Network", "{answer}");
    let again = &answer["reprocessed"];
    assert_eq!(again["install_id"], json!(install_id(&second)), "{again}");
    assert_eq!(again["decision"]["winner"]["click_id"], json!(back), "{again}");
    assert_eq!(again["decision"]["candidates"][1]["lost"], "acquisition_tracker", "{again}");

    // The old record stays as it was, and a third install is for the first one too.
    assert_eq!(app.attribution("SX-1").await["reprocessed"], Value::Null);
    let third = app.install("SX-4", data(1, 0)).await;
    assert_eq!(outcome(&server, &third).await.2, json!(install_id(&first)));
    let again = app.attribution("SX-4").await["reprocessed"].clone();
    assert_eq!(again["decision"]["class"], "organic", "the old source is not carried over: {again}");

    // Events belong to the install of the app that they come from.
    for (device, install, action) in
        [("SX-1", &first, "install"), ("SX-3", &second, "install"), ("SX-4", &third, "unattributed")]
    {
        let event = app.event(device, "Login", json!({})).await;
        let row = server.input(&event).await["outcomes"][0].clone();
        assert_eq!(row["install_id"], json!(install_id(install)), "{row}");
        assert_eq!(row["attribution"]["action"], action, "{row}");
    }
    server.balanced().await;
}

#[tokio::test]
async fn without_the_setting_the_first_install_stands_for_ever() {
    let server = Server::start().await;
    let (app, _, reengagement) = shop(&server, json!("never")).await;
    let first = app.install("SX-1", data(1, 400 * DAY)).await;
    reengagement.click(&format!("adid={}&click_time={}", device::advertising_id(1), now() - 60)).await;
    let second = app.install("SX-2", data(1, 0)).await;
    assert_eq!(outcome(&server, &second).await.1, install_id(&first));
    assert_eq!(app.class("SX-2").await, "organic");
}

#[tokio::test]
async fn install_reprocessing_is_never_or_from_1_to_365_days() {
    let server = Server::start().await;
    let (app, ..) = shop(&server, json!("365d")).await;
    let path = format!("/apps/{}", app.id);
    let shown = async |value: Value| {
        let answer = server.patch(&path, json!({ "settings": { SETTING: value } })).await.is(200).json();
        answer["settings"].get(SETTING).cloned().unwrap_or_default()
    };
    assert_eq!(shown(json!(1)).await, 1);
    assert_eq!(shown(json!(365)).await, 365);
    assert_eq!(shown(json!("never")).await, Value::Null);
    for wrong in [json!(0), json!(366), json!(-1), json!(1.5), json!("always"), json!("1h")] {
        let answer = server.patch(&path, json!({ "settings": { SETTING: wrong } })).await.is(400);
        assert!(answer.text().contains("from 1 to 365 days"), "{}", answer.text());
    }
}

#[tokio::test]
async fn duplicate_clicks_are_flagged_and_still_counted() {
    let server = Server::start().await;
    let (app, acquisition, _) = shop(&server, json!("never")).await;
    let query = format!("adid={}", device::advertising_id(1));
    let clicks = [acquisition.click(&query).await, acquisition.click(&query).await];
    let mut flagged = Vec::new();
    for click in &clicks {
        let row = server.input(&click.replace("clk_", "in_")).await;
        flagged.push(row["outcomes"][0]["duplicate"].clone());
    }
    assert_eq!(flagged, [json!(false), json!(true)]);
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["by_kind"]["click"], 2, "{ledger}");
    assert_eq!(ledger["duplicates"]["click"], 1, "{ledger}");
    app.install("SX-1", data(1, 0)).await;
    assert_eq!(app.winner("SX-1").await, clicks[1], "a duplicate may win");
}
