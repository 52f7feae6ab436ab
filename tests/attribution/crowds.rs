//! Neighbours, strangers and masses (DESIGN section 10; DECISIONS 19, 22).

use crate::harness::{Server, device, json, socket::pipelined};

/// Clicks of strangers between a click and its install.
const FOREIGN_CLICKS: u64 = 100_000;
const CONNECTIONS: usize = 64;
const DEPTH: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn masses_of_foreign_clicks_do_not_hide_the_right_one() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let stranger = app.link("Other Network").await;
    let ua = device::encoded(device::PIXEL);
    let by_id = link.click(&format!("adid={}", device::advertising_id(1))).await;
    let by_address = link.click(&format!("ip_address=203.0.113.24&device_ua={ua}")).await;

    let paths = (0..FOREIGN_CLICKS).map(|n| {
        let ip = format!("198.{}.{}.{}", 18 + (n >> 16), (n >> 8) & 255, n & 255);
        stranger.path(&format!("pbr=1&adid={}&ip_address={ip}", device::advertising_id(1_000_000 + n)))
    });
    pipelined(server.address(), paths.collect(), CONNECTIONS, DEPTH).await;

    let adid = json!({ "adid": device::advertising_id(1) });
    app.install("SX-1", json!({ "device_ids": adid, "device_ua": device::PIXEL })).await;
    assert_eq!((app.class("SX-1").await, app.winner("SX-1").await), ("device_id".to_owned(), by_id));
    app.install("SX-2", json!({ "origination_ip": "203.0.113.24", "device_ua": device::PIXEL })).await;
    assert_eq!((app.class("SX-2").await, app.winner("SX-2").await), ("modeled".to_owned(), by_address));
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["by_kind"]["click"], FOREIGN_CLICKS + 2, "{ledger}");
}

#[tokio::test]
async fn more_clicks_of_one_address_than_are_looked_at() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let ua = device::encoded(device::PIXEL);
    let mut last = String::new();
    for n in 0..300 {
        last = link.click(&format!("ip_address=203.0.113.24&device_ua={ua}&site_id=s-{n}")).await;
    }
    app.install("SX-1", json!({ "origination_ip": "203.0.113.24", "device_ua": device::PIXEL })).await;
    assert_eq!(app.winner("SX-1").await, last);
    let decision = app.attribution("SX-1").await["decision"].clone();
    assert_eq!(decision["candidates"].as_array().unwrap().len(), 64, "the best 64 are stored");
    assert_eq!(decision["more"], true);
}

#[tokio::test]
async fn the_same_device_on_a_new_network_is_found_by_its_identifier() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let ua = device::encoded(device::PIXEL);
    let adid = device::advertising_id(1);
    let click = link.click(&format!("adid={adid}&ip_address=203.0.113.24&device_ua={ua}")).await;
    let data = json!({ "origination_ip": "198.51.100.7", "device_ua": device::PIXEL, "device_ids": { "adid": adid } });
    app.install("SX-1", data).await;
    assert_eq!((app.class("SX-1").await, app.winner("SX-1").await), ("device_id".to_owned(), click));
}

#[tokio::test]
async fn a_neighbour_does_not_win_by_another_devices_click() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let ua = device::encoded(device::PIXEL);
    let (mine, neighbours) = (device::advertising_id(1), device::advertising_id(2));
    let click = link.click(&format!("adid={mine}&ip_address=203.0.113.24&device_ua={ua}")).await;
    let data = |adid: &str| json!({ "origination_ip": "203.0.113.24", "device_ua": device::PIXEL, "device_ids": { "adid": adid } });
    app.install("SX-neighbour", data(&neighbours)).await;
    assert_eq!(app.class("SX-neighbour").await, "organic");
    assert_eq!(app.losers("SX-neighbour").await, [(click.clone(), "identifier_mismatch".to_owned())]);
    app.install("SX-mine", data(&mine)).await;
    assert_eq!(app.winner("SX-mine").await, click);
}

#[tokio::test]
async fn two_devices_behind_one_address_share_a_click_and_the_record_says_so() {
    let server = Server::start().await;
    for single_use in [false, true] {
        let settings = json!({ "attribution.modeled_single_use": single_use });
        let app =
            server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
        let link = app.link("Example Network").await;
        let ua = device::encoded(device::PIXEL);
        let click = link.click(&format!("ip_address=203.0.113.24&device_ua={ua}")).await;
        let data = json!({ "origination_ip": "203.0.113.24", "device_ua": device::PIXEL });
        app.install("SX-1", data.clone()).await;
        app.install("SX-2", data).await;
        assert_eq!(app.winner("SX-1").await, click);
        let second = app.attribution("SX-2").await["decision"].clone();
        if single_use {
            assert_eq!(second["class"], "organic", "{second}");
            assert_eq!(app.losers("SX-2").await, [(click, "already_credited".to_owned())]);
        } else {
            assert_eq!(second["class"], "modeled", "{second}");
            assert!(second["flags"].to_string().contains("shared_click"), "{second}");
        }
    }
}

#[tokio::test]
async fn a_click_for_one_app_means_nothing_to_another() {
    let server = Server::start().await;
    let (clicked, installed) = (server.app("Android").await, server.app("Android").await);
    let link = clicked.link("Example Network").await;
    let ua = device::encoded(device::PIXEL);
    let adid = device::advertising_id(1);
    let click = link.click(&format!("adid={adid}&ip_address=203.0.113.24&device_ua={ua}")).await;
    let data = json!({
        "origination_ip": "203.0.113.24", "device_ua": device::PIXEL, "device_ids": { "adid": adid },
        "install_referrer": { "referrer": format!("utm_source={click}&utm_campaign={}", link.guid) },
    });
    installed.install("SX-1", data.clone()).await;
    assert_eq!(installed.class("SX-1").await, "organic");
    assert!(installed.losers("SX-1").await.is_empty());
    clicked.install("SX-1", data).await;
    assert_eq!(clicked.winner("SX-1").await, click);
}

#[tokio::test]
async fn an_install_counts_as_attributed_or_as_organic_and_never_as_both() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let adid = device::advertising_id(1);
    app.install("SX-1", json!({ "device_ids": { "adid": adid }, "device_ua": device::PIXEL })).await;
    assert_eq!(server.balanced().await["installs"], json!({ "organic": 1 }));
    // A click from before it, told late, takes it over.
    link.click(&format!("adid={adid}&click_time={}", crate::harness::now() - 600)).await;
    assert_eq!(app.class("SX-1").await, "device_id");
    assert_eq!(server.balanced().await["installs"], json!({ "device_id": 1 }));
    // The same device again is neither.
    app.install("SX-2", json!({ "device_ids": { "adid": adid }, "device_ua": device::PIXEL })).await;
    assert_eq!(server.balanced().await["installs"], json!({ "device_id": 1 }));
}

#[tokio::test]
async fn a_modeled_tie_between_networks_is_flagged() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let (one, other) = (app.link("Example Network").await, app.link("Other Network").await);
    let ua = device::encoded(device::PIXEL);
    one.click(&format!("ip_address=203.0.113.24&device_ua={ua}")).await;
    let later = other.click(&format!("ip_address=203.0.113.24&device_ua={ua}")).await;
    app.install("SX-1", json!({ "origination_ip": "203.0.113.24", "device_ua": device::PIXEL })).await;
    let decision = app.attribution("SX-1").await["decision"].clone();
    assert_eq!(decision["winner"]["click_id"], json!(later), "{decision}");
    assert_eq!(decision["ambiguous"], true, "{decision}");
    // Two clicks of one network are no question.
    one.click(&format!("ip_address=203.0.113.25&device_ua={ua}")).await;
    one.click(&format!("ip_address=203.0.113.25&device_ua={ua}")).await;
    app.install("SX-2", json!({ "origination_ip": "203.0.113.25", "device_ua": device::PIXEL })).await;
    assert_eq!(app.attribution("SX-2").await["decision"]["ambiguous"], false);
}

#[tokio::test]
async fn a_click_that_carried_an_identifier_is_not_tried_as_modeled() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let ua = device::encoded(device::PIXEL);
    let adid = device::advertising_id(1);
    let click = link.click(&format!("adid={adid}&ip_address=203.0.113.24&device_ua={ua}")).await;
    app.install("SX-1", json!({ "origination_ip": "203.0.113.24", "device_ua": device::PIXEL })).await;
    assert_eq!(app.class("SX-1").await, "organic");
    let losers = app.losers("SX-1").await;
    assert_eq!(losers.len(), 1, "{losers:?}");
    assert_eq!(losers[0].0, click, "{losers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_device_that_installs_twenty_times_at_once_installs_once() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let mut installs = tokio::task::JoinSet::new();
    for n in 0..20 {
        let app = app.clone();
        let data = json!({ "device_ids": { "adid": device::advertising_id(1) } });
        installs.spawn(async move { app.install(&format!("SX-{n}"), data).await });
    }
    let mut outcomes = Vec::new();
    while let Some(input) = installs.join_next().await {
        let row = server.input(&input.unwrap()).await;
        outcomes.push(row["outcomes"][0]["outcome"].as_str().unwrap().to_owned());
    }
    outcomes.sort();
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "installed").count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "duplicate_install").count(), 19, "{outcomes:?}");
    let ledger = server.balanced().await;
    assert_eq!(ledger["installs"], json!({ "organic": 1 }), "{ledger}");
    // Every name of it leads to the one install.
    let install = app.attribution("SX-0").await["data"]["install_id"].clone();
    for n in 1..20 {
        assert_eq!(app.attribution(&format!("SX-{n}")).await["data"]["install_id"], install, "SX-{n}");
    }
}
