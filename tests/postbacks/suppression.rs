//! What is not sent, and why (postbacks.md sections 7 and 11).

use crate::harness::{Server, Sink, device, json, mmdb};

async fn reasons(server: &Server, trigger: u64) -> Vec<String> {
    let rows = server.deliveries(&format!("trigger={trigger}&state=suppressed")).await;
    rows.iter().filter_map(|row| row["reason"].as_str()).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_pair_that_is_not_sent_has_its_reason() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let (winner, loser) = (app.link("Winner").await, app.link("Loser").await);
    let stranger = server.network("Stranger").await;
    let adid = device::advertising_id(1);
    let template = std::cell::Cell::new(3373);
    let install = async |context: crate::harness::Value| {
        template.set(template.get() + 1);
        let mut context = context;
        context["cpi_mostback_url"] = json!(sink.url("/never"));
        context["sx_delivery"] = context.get("sx_delivery").cloned().unwrap_or(json!("all"));
        app.trigger_with(json!({ "type": "install", "template_id": template.get(), "context": context }))
            .await
    };
    let network = |id: &str| json!({ "sx_delivery": "network", "sx_network_id": id });
    let to_loser = install(network(&loser.network)).await;
    let to_stranger = install(network(&stranger)).await;
    let needs_click = install(json!({ "sx_required": "idfa" })).await;
    let inactive = install(json!({})).await;
    server.patch(&format!("/postbacks/{inactive}"), json!({ "active": false })).await.is(200);
    let abroad = install(json!({ "sx_countries": "US" })).await;

    loser.click(&format!("adid={adid}")).await;
    winner.click(&format!("adid={adid}")).await;
    app.install("SX-1", json!({ "device_ids": { "adid": adid }, "device_ua": device::PIXEL })).await;
    for (trigger, reason) in [
        (to_loser, "influencer_only"),
        (to_stranger, "other_network"),
        (needs_click, "missing_macro"),
        (inactive, "inactive"),
        (abroad, "country_blocked"),
    ] {
        assert_eq!(reasons(&server, trigger).await, [reason]);
    }
    app.install("SX-2", json!({ "device_ua": device::PIXEL })).await;
    let mut of_loser = reasons(&server, to_loser).await;
    of_loser.sort();
    assert_eq!(of_loser, ["influencer_only", "not_attributed"]);
    let ledger = server.balanced().await;
    assert_eq!(ledger["postbacks"]["due"], 10, "{ledger}");
    assert_eq!(ledger["postbacks"]["suppressed"]["inactive"], 2, "{ledger}");
    assert!(sink.all().is_empty());
}

#[tokio::test]
async fn repeated_clicks_are_told_only_when_asked_for() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let once = app.trigger("click", json!({ "cpi_mostback_url": sink.url("/once") })).await;
    let context =
        json!({ "cpi_mostback_url": sink.url("/each"), "sx_duplicates": true, "sx_delivery": "all" });
    app.trigger_with(json!({ "type": "click", "template_id": 3374, "context": context })).await;
    for _ in 0..3 {
        link.click(&format!("adid={}", device::advertising_id(1))).await;
    }
    sink.receives("/each", 3).await;
    sink.receives("/once", 1).await;
    assert_eq!(reasons(&server, once).await, ["duplicate", "duplicate"]);
    assert_eq!(sink.hits("/once").len(), 1);
}

#[tokio::test]
async fn a_click_is_told_of_by_the_country_of_its_address() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("countries.mmdb");
    let german = json!({ "country": { "iso_code": "DE" } });
    std::fs::write(&file, mmdb::database("Test-Country", &[("203.0.113.0/24", german)])).unwrap();
    let server = Server::with(&[("SEXTANT_GEO_COUNTRY_DATABASE", &file.display().to_string())]).await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let to = async |template: u64, path: &str, countries: &str| {
        let url = sink.url(&format!("{path}?country={{country}}"));
        let context = json!({ "cpi_mostback_url": url, "sx_countries": countries, "sx_delivery": "all" });
        app.trigger_with(json!({ "type": "click", "template_id": template, "context": context })).await
    };
    let only = to(3373, "/only", "DE").await;
    let but = to(3374, "/but", "!DE").await;
    link.click(&format!("adid={}&ip_address=203.0.113.24", device::advertising_id(1))).await;
    link.click(&format!("adid={}&ip_address=198.51.100.7", device::advertising_id(2))).await;
    assert_eq!(sink.receives("/only", 1).await.remove(0).query, "country=DE");
    assert_eq!(sink.receives("/but", 1).await.remove(0).query, "country=");
    for trigger in [only, but] {
        assert_eq!(reasons(&server, trigger).await, ["country_blocked"]);
    }
    server.settled("", "delivered", 2).await;
    assert_eq!(sink.all().len(), 2);
    server.balanced().await;
}

#[tokio::test]
async fn a_deleted_trigger_sends_nothing_more() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let context = json!({ "cpi_mostback_url": sink.url("/late"), "deferred_for": 600_000 });
    let trigger = app.trigger("install", context).await;
    app.install("SX-1", json!({})).await;
    let answer = server.delete(&format!("/postbacks/{trigger}")).await.is(200);
    assert!(answer.body.is_empty(), "{}", answer.text());
    server.settled("", "suppressed", 1).await;
    assert_eq!(reasons(&server, trigger).await, ["trigger_deleted"]);
    app.install("SX-2", json!({})).await;
    let ledger = server.balanced().await;
    assert_eq!(ledger["postbacks"]["due"], 1, "a deleted trigger has nothing due: {ledger}");
    assert!(sink.all().is_empty());
}

/// Nothing could tell its triggers to stop any more.
#[tokio::test]
async fn a_deleted_app_sends_nothing_more() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let context = json!({ "cpi_mostback_url": sink.url("/late"), "deferred_for": 600_000 });
    let trigger = app.trigger("install", context).await;
    app.install("SX-1", json!({})).await;
    server.delete(&format!("/apps/{}", app.id)).await.is(200);
    server.settled("", "suppressed", 1).await;
    assert_eq!(reasons(&server, trigger).await, ["trigger_deleted"]);
    server.balanced().await;
    assert!(sink.all().is_empty());
}

#[tokio::test]
async fn private_targets_are_refused_unless_allowed() {
    let server = Server::exactly(&[]).await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let urls = [
        sink.url("/loopback"),
        format!("http://localhost:{}/name", sink.port()),
        format!("http://[::1]:{}/six", sink.port()),
        format!("http://[::ffff:127.0.0.1]:{}/mapped", sink.port()),
        format!("http://0.0.0.0:{}/any", sink.port()),
        format!("http://2130706433:{}/number", sink.port()),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://10.0.0.1/private".to_owned(),
        "http://[64:ff9b::7f00:1]/nat64".to_owned(),
        "http://[fd00::1]/unique".to_owned(),
    ];
    let mut made = 0;
    for (n, url) in urls.iter().enumerate() {
        let context = json!({ "cpi_mostback_url": url, "max_delivery_attempts": 0, "sx_delivery": "all" });
        let body = json!({ "app_id": app.id, "type": "install", "template_id": 4000 + n, "active": true,
                           "context": context });
        match server.post("/postbacks", body).await.status {
            201 => made += 1,
            400 => {}
            status => panic!("{status} for {url}"),
        }
    }
    app.install("SX-1", json!({})).await;
    let blocked = crate::harness::eventually("all of them settled", async || {
        let pending = server.deliveries("state=pending").await;
        pending.is_empty().then_some(())?;
        Some(server.deliveries("").await)
    })
    .await;
    for row in &blocked {
        assert_ne!(row["state"], "delivered", "{row}");
        assert_eq!(row["reason"], "blocked_target", "{row}");
    }
    let suppressed = server.deliveries("state=suppressed").await;
    assert!(suppressed.iter().all(|row| row["reason"] == "blocked_target"), "{suppressed:?}");
    let ledger = server.balanced().await;
    assert_eq!(ledger["postbacks"]["due"], made, "{ledger}");
    assert_eq!(ledger["postbacks"]["delivered"], 0, "{ledger}");
    assert!(sink.all().is_empty(), "{:?}", sink.all());
}

#[tokio::test]
async fn what_cannot_be_a_request_is_not_sent() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let trigger = app.trigger("event", json!({ "cpi_mostback_url": sink.url("/pb?x={event_data.x}") })).await;
    app.event("SX-1", "Long", json!({ "x": "x".repeat(70_000) })).await;
    assert_eq!(reasons(&server, trigger).await, ["bad_url"]);
    app.event("SX-1", "Header", json!({ "x": "x\r\nX-Evil: 1" })).await;
    let hit = sink.receives("/pb", 1).await.remove(0);
    assert_eq!(hit.parameter("x").as_deref(), Some("x\r\nX-Evil: 1"));
    assert!(!hit.headers.contains_key("x-evil"), "{:?}", hit.headers);
    server.settled("", "delivered", 1).await;
    server.balanced().await;
}

#[tokio::test]
async fn no_value_changes_what_is_called_and_what_is_called_is_on_record() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let url = sink.url("/a|b'c/{event_data.c}/end?q=x y|z'w&c={event_data.c}#top");
    let trigger = app.trigger("event", json!({ "cpi_mostback_url": url })).await;
    for step in ["..", "."] {
        app.event("SX-1", "Sale", json!({ "c": step })).await;
    }
    assert_eq!(reasons(&server, trigger).await, ["bad_url", "bad_url"]);
    app.event("SX-1", "Sale", json!({ "c": "../%2e" })).await;
    let row = server.settled(&format!("trigger={trigger}"), "delivered", 1).await.remove(0);
    let hits = sink.all();
    assert_eq!(hits.len(), 1, "{hits:?}");
    let asked_for = format!("{}?{}", hits[0].path, hits[0].query);
    assert_eq!(row["url"], sink.url(&asked_for), "{row}");
    assert_eq!(hits[0].path, "/a|b'c/..%2F%252e/end");
    assert_eq!(hits[0].parameter("c").as_deref(), Some("../%2e"));
    let input = app.event("SX-1", "Sale", json!({ "c": "v" })).await;
    let rendered = server.post(&format!("/api/triggers/{trigger}/render"), json!({ "input": input })).await;
    let rendered = rendered.is(200).json()["request"]["url"].clone();
    let hit = crate::harness::eventually("the last one", async || sink.all().into_iter().nth(1)).await;
    assert_eq!(rendered, sink.url(&format!("{}?{}", hit.path, hit.query)));
    server.balanced().await;
}

#[tokio::test]
async fn an_app_may_forward_all_installs_to_all_partners() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let network = app.link("Example Network").await.network;
    let context = json!({ "cpi_network_mostback_url": sink.url("/pb"), "sx_network_id": network });
    let trigger =
        app.trigger_with(json!({ "type": "install", "template_id": 9026, "context": context })).await;
    app.install("SX-1", json!({})).await;
    assert_eq!(reasons(&server, trigger).await, ["not_attributed"]);
    let settings = json!({ "settings": { "postbacks.forward_installs": true } });
    server.patch(&format!("/apps/{}", app.id), settings).await.is(200);
    app.install("SX-2", json!({})).await;
    sink.receives("/pb", 1).await;
    let own = json!({ "context": { "sx_delivery": "network" } });
    server.patch(&format!("/postbacks/{trigger}"), own).await.is(200);
    app.install("SX-3", json!({})).await;
    assert_eq!(reasons(&server, trigger).await, ["not_attributed", "not_attributed"]);
    server.balanced().await;
}
