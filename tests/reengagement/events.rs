//! What events are attributed to, and what partners hear of it.

use crate::harness::{App, Link, Server, Sink, Value, device, json, now};

const DAY: i64 = 86_400;

/// An app with a link for new people and one that may be credited with purchases.
struct Shop {
    app: App,
    acquisition: Link,
    reengagement: Link,
    /// From when everything counts: requests take their time.
    opened: i64,
}

impl Shop {
    async fn open(server: &Server, settings: Value) -> Self {
        let app =
            server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
        let acquisition = app.link("First Network").await;
        let network = server.network("Second Network").await;
        let fields = json!({
            "destination_url": "https://shop.example.com/start", "type": "reengagement", "events": ["Purchase"],
        });
        let reengagement = app.link_of(&network, fields).await;
        Self { app, acquisition, reengagement, opened: now() }
    }

    /// A click on a link by person `n`, so many seconds ago.
    async fn click(&self, link: &Link, n: u64, ago: i64) -> String {
        link.click(&format!(
            "adid={}&click_time={}&click_id=c-{n}",
            device::advertising_id(n),
            self.opened - ago
        ))
        .await
    }

    /// The install of person `n`, so many seconds ago.
    async fn install(&self, n: u64, ago: i64) -> String {
        let data = json!({
            "usertime": self.opened - ago, "device_ua": device::PIXEL,
            "device_ids": { "adid": device::advertising_id(n) },
        });
        self.app.install(&format!("SX-{n}"), data).await
    }

    /// An event of person `n`, so many seconds ago: its input.
    async fn event(&self, n: u64, name: &str, ago: i64) -> String {
        let data = json!({ "event_name": name, "usertime": self.opened - ago, "event_data": {} });
        self.app.send("event", &format!("SX-{n}"), data).await.accepted()
    }

    /// To what an event is attributed.
    async fn attribution(&self, input: &str) -> Value {
        let row = self.app.server.input(input).await;
        let outcomes = row["outcomes"].as_array().expect("a list").iter();
        let mut own = outcomes.filter(|one| !one["attribution"].is_null());
        own.next_back().expect("an outcome about the event")["attribution"].clone()
    }
}

#[tokio::test]
async fn a_reengagement_gets_the_events_that_its_tracker_lists_and_no_install() {
    let server = Server::start().await;
    let shop = Shop::open(&server, json!({})).await;
    shop.click(&shop.acquisition, 1, 11 * DAY).await;
    let early = shop.click(&shop.reengagement, 1, 10 * DAY + 60).await;
    shop.install(1, 10 * DAY).await;
    assert_eq!(shop.app.losers("SX-1").await, [(early, "reengagement_tracker".to_owned())]);

    let before = shop.event(1, "Purchase", 9 * DAY).await;
    let click = shop.click(&shop.reengagement, 1, 3_600).await;
    let purchase = shop.event(1, "Purchase", 60).await;
    let login = shop.event(1, "Login", 60).await;
    let found = shop.attribution(&before).await;
    assert_eq!((&found["action"], &found["matched_by"]), (&json!("install"), &json!("device_id")), "{found}");
    assert_eq!(found["seconds_since"], DAY, "{found}");
    assert_eq!(found["decision"]["candidates"][0]["lost"], "before_install", "{found}");

    let found = shop.attribution(&purchase).await;
    assert_eq!(found["action"], "reengagement", "{found}");
    assert_eq!(found["decision"]["winner"]["click_id"], json!(click), "{found}");
    assert_eq!((&found["matched_to"], &found["seconds_since"]), (&json!("click"), &json!(3_540)), "{found}");
    let sentence = found["explanation"][0].as_str().expect("a sentence");
    assert!(
        sentence.contains("Second Network") && sentence.contains("59 minutes before the event"),
        "{sentence}"
    );

    let found = shop.attribution(&login).await;
    assert_eq!((&found["action"], &found["decision"]), (&json!("install"), &Value::Null), "{found}");

    // What a trigger would have sent tells of the same.
    let url = "https://partner.example.com/pb?t={attribution_type}&n={network_id}";
    let trigger = shop.app.trigger("event", json!({ "cpi_mostback_url": url })).await;
    let path = format!("/api/triggers/{trigger}/render");
    for (input, kind, link) in
        [(purchase, "reengagement", &shop.reengagement), (login, "install", &shop.acquisition)]
    {
        let shown = server.post(&path, json!({ "input": input })).await.is(200).json();
        let expected = format!("https://partner.example.com/pb?t={kind}&n={}", link.network);
        assert_eq!(shown["request"]["url"], expected, "{shown}");
    }
}

#[tokio::test]
async fn a_device_is_protected_for_the_minimum_time_of_the_event() {
    let server = Server::start().await;
    let settings = json!({ "attribution.minimum_time_to_reengagement": { "Purchase": "1h" } });
    let shop = Shop::open(&server, settings).await;
    shop.click(&shop.acquisition, 1, 2 * DAY).await;
    shop.install(1, 7_200).await;
    shop.click(&shop.reengagement, 1, 7_100).await;
    // 3,500 s after the install; 3,700 s after it; 1,500 s after that reengagement; and 3,600 s after it.
    let mut found = Vec::new();
    for ago in [3_700, 3_500, 2_000] {
        let event = shop.event(1, "Purchase", ago).await;
        found.push(shop.attribution(&event).await);
    }
    let actions: Vec<&Value> = found.iter().map(|one| &one["action"]).collect();
    assert_eq!(actions, ["install", "reengagement", "install"], "{found:?}");
    for protected in [&found[0], &found[2]] {
        assert_eq!(protected["decision"]["candidates"][0]["lost"], "mtr_protected", "{protected}");
        assert_eq!(protected["decision"]["minimum_time_seconds"], 3_600, "{protected}");
    }
    // A change is about later events only.
    let settings = json!({ "settings": { "attribution.minimum_time_to_reengagement": { "Purchase": 0 } } });
    server.patch(&format!("/apps/{}", shop.app.id), settings).await.is(200);
    let event = shop.event(1, "Purchase", 1_900).await;
    assert_eq!(shop.attribution(&event).await["action"], "reengagement");
}

#[tokio::test]
async fn events_belong_to_their_install_for_as_long_as_app_and_tracker_say() {
    let server = Server::start().await;
    let shop = Shop::open(&server, json!({ "attribution.event_association": "1d" })).await;
    shop.click(&shop.acquisition, 1, 9 * DAY).await;
    shop.install(1, 8 * DAY).await;
    let check = async |ago: i64, action: &str, reason: Value| {
        let event = shop.event(1, "Login", ago).await;
        let found = shop.attribution(&event).await;
        assert_eq!((&found["action"], &found["reason"]), (&json!(action), &reason), "{ago} s ago: {found}");
    };
    let outside = json!("outside_event_association");
    check(7 * DAY + 60, "install", Value::Null).await;
    check(6 * DAY, "unattributed", outside.clone()).await;
    let path = format!("/tracker/override?id={}", shop.acquisition.id);
    let window = |seconds: i64| json!({ "event_association_window": { "key": "ea", "value": seconds } });
    server.post(&path, window(3 * DAY)).await.is(200);
    check(6 * DAY, "install", Value::Null).await;
    check(4 * DAY, "unattributed", outside.clone()).await;
    assert_eq!(
        server.get(&path).await.json()["tracker_overrides"][0]["event_association_window"]["value"],
        3 * DAY
    );
    server.post(&path, window(59)).await.is(400);
    shop.install(2, DAY / 2).await;
    let organic = shop.event(2, "Login", 60).await;
    assert_eq!(shop.attribution(&organic).await["reason"], "organic_install");
    let stranger = shop.event(3, "Login", 60).await;
    assert_eq!(shop.attribution(&stranger).await["reason"], "no_install");
}

#[tokio::test]
async fn a_held_event_is_decided_by_its_own_time_when_its_install_comes() {
    let server = Server::start().await;
    let shop = Shop::open(&server, json!({})).await;
    let click = shop.click(&shop.reengagement, 1, 600).await;
    let (later, earlier) = (shop.event(1, "Purchase", 300).await, shop.event(1, "Purchase", 900).await);
    assert_eq!(shop.attribution(&later).await["reason"], "no_install");
    shop.install(1, 1_000).await;
    let found = shop.attribution(&later).await;
    assert_eq!(found["decision"]["winner"]["click_id"], json!(click), "{found}");
    assert_eq!(shop.attribution(&earlier).await["reason"], "organic_install");
}

#[tokio::test]
async fn what_comes_late_inside_the_grace_has_the_event_decided_again() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let shop =
        Shop::open(&server, json!({ "attribution.minimum_time_to_reengagement": { "Purchase": "1h" } }))
            .await;
    let context = json!({
        "cpi_mostback_url": format!("{}?click={{click_id}}", sink.url("/second")), "sx_delivery": "network",
        "sx_network_id": shop.reengagement.network,
    });
    let trigger = shop.app.trigger_with(json!({ "type": "event", "context": context })).await;
    shop.install(1, DAY).await;
    let last = shop.event(1, "Purchase", 600).await;
    assert_eq!(shop.attribution(&last).await["reason"], "organic_install");
    let click = shop.click(&shop.reengagement, 1, 7_200).await;
    let found = shop.attribution(&last).await;
    assert_eq!(found["decision"]["winner"]["click_id"], json!(click), "{found}");
    assert_eq!(found["decision"]["revision"], 1, "{found}");
    let delivered = server.settled(&format!("trigger={trigger}"), "delivered", 1).await;
    assert_eq!(delivered[0]["conversion_id"], json!(last), "{delivered:?}");
    let explained = server.get(&format!("/api/events/{last}/explain")).await.is(200).json();
    assert_eq!(explained["decision"]["basis"], "reengagement", "{explained}");
    assert_eq!(explained["decision"]["released_by"], Value::Null, "{explained}");
    assert_eq!(explained["attribution"]["decision"]["revision"], 1, "{explained}");
    // Half an hour earlier there was another purchase: it is the one, and protects the device after it.
    let first = shop.event(1, "Purchase", 2_400).await;
    assert_eq!(shop.attribution(&first).await["action"], "reengagement");
    let found = shop.attribution(&last).await;
    assert_eq!(found["decision"]["candidates"][0]["lost"], "mtr_protected", "{found}");
    let row = server.input(&last).await;
    let outcomes = row["outcomes"].as_array().expect("a list").iter().map(|one| one["outcome"].clone());
    assert_eq!(outcomes.collect::<Vec<_>>(), ["linked", "redecided"], "{row}");
    server.balanced().await;
}

#[tokio::test]
async fn the_postback_goes_to_whom_the_event_is_attributed_and_says_so() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let shop = Shop::open(&server, json!({})).await;
    let trigger = async |path: &str, network: Option<&Link>| {
        let url =
            format!("{}?type={{attribution_type}}&click={{click_id}}&network={{network_id}}", sink.url(path));
        let mut context = json!({ "cpi_mostback_url": url, "sx_delivery": "all" });
        if let Some(link) = network {
            context["sx_delivery"] = json!("network");
            context["sx_network_id"] = json!(link.network);
        }
        let template = 3373 + path.len();
        let fields =
            json!({ "type": "event", "filter_str": "Purchase", "template_id": template, "context": context });
        shop.app.trigger_with(fields).await
    };
    let to_first = trigger("/first", Some(&shop.acquisition)).await;
    let to_second = trigger("/second", Some(&shop.reengagement)).await;
    let to_all = trigger("/everyone", None).await;
    shop.click(&shop.acquisition, 1, 3 * DAY).await;
    shop.install(1, 2 * DAY).await;
    let first = shop.event(1, "Purchase", DAY).await;
    shop.click(&shop.reengagement, 1, 3_600).await;
    let second = shop.event(1, "Purchase", 60).await;

    for (event, kind, network, told, other) in [
        (first, "install", &shop.acquisition.network, to_first, to_second),
        (second, "reengagement", &shop.reengagement.network, to_second, to_first),
    ] {
        let of_event = async |trigger: u64, state: &str| {
            let rows = server.deliveries(&format!("trigger={trigger}&state={state}")).await;
            rows.into_iter().filter(|row| row["conversion_id"] == json!(event)).collect::<Vec<_>>()
        };
        for trigger in [told, to_all] {
            let row = crate::harness::eventually("the postback", async || {
                of_event(trigger, "delivered").await.pop()
            })
            .await;
            let url = row["url"].as_str().expect("a URL");
            assert!(url.ends_with(&format!("?type={kind}&click=c-1&network={network}")), "{url}");
        }
        let suppressed = of_event(other, "suppressed").await;
        assert_eq!(suppressed[0]["reason"], "other_network", "{suppressed:?}");
    }
    server.balanced().await;
}

#[tokio::test]
async fn the_fields_of_a_reengagement_tracker_are_checked_and_kept() {
    let server = Server::start().await;
    let shop = Shop::open(&server, json!({})).await;
    let path = format!("/tracker/{}", shop.app.id);
    let save = async |fields: Value| {
        let mut body = json!({ "id": shop.reengagement.id });
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        server.post(&path, body).await
    };
    let by_click =
        json!([{ "name": "Purchase", "clicks": true, "impressions": false, "note": "kept" }, "Login"]);
    let saved = save(json!({ "events": by_click, "network_price": 2.5 })).await.is(200).json();
    assert_eq!((&saved["type"], &saved["events"]), (&json!("reengagement"), &by_click), "{saved}");
    for (fields, named) in [
        (json!({ "events": "Purchase" }), "events:"),
        (json!({ "events": ["Purchase", ""] }), "events[1].name:"),
        (json!({ "events": ["Purchase", 5] }), "events[1]:"),
        (json!({ "events": [{ "clicks": true }] }), "events[0].name:"),
        (json!({ "events": [{ "name": "Purchase", "clicks": "yes" }] }), "events[0].clicks:"),
        (json!({ "events": [{ "name": "Purchase", "clicks": false, "impressions": false }] }), "events[0]:"),
        (json!({ "events": vec!["Purchase"; 257] }), "events:"),
        (json!({ "type": 7 }), "type:"),
    ] {
        let answer = save(fields.clone()).await.is(400);
        assert!(answer.json().to_string().contains(named), "{fields}: {}", answer.json());
    }
    let answer = save(json!({ "type": "acquisition" })).await.is(200).json();
    assert_eq!(answer["type"], "acquisition");
    assert_eq!(save(json!({ "type": null })).await.is(200).json()["type"], "acquisition");

    let settings = async |settings: Value| {
        server.patch(&format!("/apps/{}", shop.app.id), json!({ "settings": settings })).await
    };
    let minimum = "attribution.minimum_time_to_reengagement";
    let shown = settings(json!({ minimum: { "Purchase": "2h", "Login": 5 } })).await.is(200).json();
    assert_eq!(shown["settings"][minimum], json!({ "Login": 5, "Purchase": 7_200 }));
    let shown = settings(json!({ minimum: { "Login": null } })).await.is(200).json();
    assert_eq!(shown["settings"][minimum], json!({ "Purchase": 7_200 }));
    for wrong in [json!({ "Purchase": "366d" }), json!({ "Purchase": -1 }), json!({ "": 1 }), json!(5)] {
        let answer = settings(json!({ minimum: wrong })).await.is(400);
        assert!(answer.json().to_string().contains(minimum), "{}", answer.json());
    }
    for (value, shown) in [
        (json!("unlimited"), json!("unlimited")),
        (json!("disabled"), json!("disabled")),
        (json!("1d"), json!(DAY)),
    ] {
        let answer = settings(json!({ "attribution.event_association": value })).await.is(200).json();
        assert_eq!(answer["settings"]["attribution.event_association"], shown);
    }
    for wrong in [json!(59), json!("3651d"), json!("forever")] {
        settings(json!({ "attribution.event_association": wrong })).await.is(400);
    }
}
