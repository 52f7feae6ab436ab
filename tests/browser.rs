//! The snippet `/sx.js` in a real browser (docs/browser.md).

use crate::harness::{App, Browser, Server, Value, json};

/// A page with the snippet; `before` runs before it loads, `after` once it has.
fn page(app: &App, before: &str, after: &str) -> String {
    format!(
        r#"<!doctype html><title>shop</title>
<script>window.sx = window.sx || function () {{ (sx.q = sx.q || []).push(arguments) }};
{before}</script>
<script async src="http://{}/sx.js" data-app="{}" onload="{after}"></script><p>shop</p>"#,
        app.server.address(),
        app.guid
    )
}

/// The inputs of an app by kind.
async fn kinds(app: &App) -> Value {
    let ledger = app.server.balanced().await;
    assert_eq!(ledger["inputs"]["quarantined"], 0, "{ledger}");
    assert_eq!(ledger["inputs"]["refused"], 0, "{ledger}");
    ledger["inputs"]["by_kind"].clone()
}

#[tokio::test]
async fn it_tells_install_page_events_and_links_once() {
    let app = Server::start().await.app("Web").await;
    let pages = [(
        "/",
        page(
            &app,
            "sx('event', 'Early', { step: 1 });",
            "sx('event', 'Purchase', { order_id: 'o-1', price: 14.99, currency: 'EUR' }); sx('identify', { user_id: 'u-42' })",
        ),
    )];
    let Some(browser) = Browser::on("the snippet tells installs and events", &pages).await else { return };
    browser.visit("/").await;
    assert_eq!(kinds(&app).await, json!({ "event": 3, "identity_link": 1, "install": 1 }));
    let names = app.server.get(&format!("/api/apps/{}/events", app.id)).await.is(200).json();
    let seen: Vec<&str> =
        names["data"].as_array().unwrap().iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(seen, ["Early", "Purchase", "page"], "{names}");
    // Another visit is no other install.
    browser.visit("/").await;
    assert_eq!(kinds(&app).await, json!({ "event": 6, "identity_link": 2, "install": 1 }));
    let ledger = app.server.ledger().await;
    assert_eq!(ledger["events_linked"], 6, "every event is joined: {ledger}");
}

#[tokio::test]
async fn the_click_that_led_to_the_page_is_credited() {
    let app = Server::start().await.app("Web").await;
    let link = app.link("Example Network").await;
    let location = link.browse("", crate::harness::device::PIXEL).await.is(302).header("location").to_owned();
    let url: url::Url = location.parse().unwrap();
    let id = url.query_pairs().find(|(key, _)| key == "ko_click_id").expect("ko_click_id").1.into_owned();
    let pages = [("/", page(&app, "", ""))];
    let Some(browser) = Browser::on("the snippet brings the click along", &pages).await else { return };
    browser.visit(&format!("/?ko_click_id={id}")).await;
    let ledger = app.server.balanced().await;
    assert_eq!(ledger["installs"], json!({ "ko_click_id": 1 }), "{ledger}");
}

#[tokio::test]
async fn what_could_not_be_sent_is_sent_by_the_next_visit() {
    let app = Server::start().await.app("Web").await;
    let cut = "window.fetch = function () { return Promise.reject(new TypeError('no network')) };";
    let pages = [("/cut", page(&app, cut, "sx('event', 'Offline', {})")), ("/", page(&app, "", ""))];
    let Some(browser) = Browser::on("the snippet survives being offline", &pages).await else { return };
    browser.visit("/cut").await;
    assert_eq!(kinds(&app).await, json!({}));
    browser.visit("/").await;
    assert_eq!(kinds(&app).await, json!({ "event": 3, "install": 1 }));
}

#[tokio::test]
async fn what_was_taken_though_the_answer_was_lost_counts_once() {
    let app = Server::start().await.app("Web").await;
    let lose =
        "const real = window.fetch; window.fetch = (url, options) => real(url, options).then(answer => {
        if (url.includes('/track/json')) throw new TypeError('the network is gone');
        return answer; });";
    let pages = [("/lost", page(&app, lose, "")), ("/", page(&app, "", ""))];
    let Some(browser) = Browser::on("the snippet sends again what may be lost", &pages).await else { return };
    browser.visit("/lost").await;
    assert_eq!(kinds(&app).await, json!({ "install": 1 }), "it waits for the answer to the first");
    browser.visit("/").await;
    assert_eq!(kinds(&app).await, json!({ "event": 2, "install": 1 }));
    let ledger = app.server.ledger().await;
    assert!(ledger["inputs"]["repeated"].as_u64() >= Some(1), "it was sent again: {ledger}");
}

#[tokio::test]
async fn global_privacy_control_means_no_until_the_person_says_yes() {
    let app = Server::start().await.app("Web").await;
    let control = "Object.defineProperty(navigator, 'globalPrivacyControl', { value: true }); sx('event', 'Early', {});";
    let show = "document.title = JSON.stringify(Object.keys(localStorage))";
    let pages = [
        ("/no", page(&app, control, &format!("sx('event', 'No', {{}}); {show}"))),
        ("/yes", page(&app, control, "sx('consent', true); sx('event', 'Yes', {})")),
        ("/never", page(&app, "", &format!("sx('consent', false); sx('event', 'Never', {{}}); {show}"))),
    ];
    let Some(browser) = Browser::on("the snippet honours Global Privacy Control", &pages).await else {
        return;
    };
    let dom = browser.visit("/no").await;
    assert!(dom.contains("<title>[]</title>"), "nothing is stored: {dom}");
    assert_eq!(kinds(&app).await, json!({}));
    browser.visit("/yes").await;
    assert_eq!(
        kinds(&app).await,
        json!({ "event": 2, "install": 1 }),
        "the page and what came after the yes"
    );
    browser.visit("/never").await;
    let after = kinds(&app).await;
    assert!(after["event"].as_u64().unwrap() <= 3, "the page event of this visit at most: {after}");
    browser.visit("/never").await;
    assert_eq!(kinds(&app).await, after, "and nothing more afterwards");
}

#[tokio::test]
async fn what_the_settings_deny_never_leaves_the_browser() {
    let app = Server::start().await.app("Web").await;
    let settings = json!({
        "browser.deny_event_names": ["page", "Secret"], "browser.deny_identity_links": ["email"],
        "browser.deny_datapoints": ["language"],
    });
    app.server.patch(&format!("/apps/{}", app.id), json!({ "settings": settings })).await.is(200);
    let pages = [(
        "/",
        page(
            &app,
            "",
            "sx('event', 'Secret', {}); sx('event', 'Open', {}); sx('identify', { email: 'a@example.com' })",
        ),
    )];
    let Some(browser) = Browser::on("the snippet obeys the app's lists", &pages).await else { return };
    browser.visit("/").await;
    assert_eq!(kinds(&app).await, json!({ "event": 1, "install": 1 }));
}
