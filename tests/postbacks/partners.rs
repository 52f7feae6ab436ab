//! What partners receive through their templates. Every template is rendered in the tests of `wire`; here
//! the way from the call to the wire is shown for some.

use crate::harness::{App, Reply, Server, Sink, Value, device, json};

async fn won(server: &Server, app: &App, query: &str) -> String {
    let link = app.link("Gopher & Co").await;
    let adid = device::advertising_id(1);
    link.click(&format!("adid={adid}&{query}")).await;
    let data = json!({ "device_ids": { "adid": adid }, "device_ua": device::PIXEL });
    app.install("SX-1", data).await;
    assert!(server.address().ip().is_loopback());
    link.network.clone()
}

#[tokio::test]
async fn awin_is_told_in_its_form() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let awc = "1001_1403695822_a430d81e22c9e8687f423efcf024fbaa";
    let network = won(&server, &app, &format!("click_id={awc}")).await;
    let context = json!({
        "sx_network_id": network, "cpi_awin_merchant_id": "1001", "cpi_awin_commission_group": "NEW",
        "cpi_awin_mostback_url": sink.url("/sread.php?tt=ss&tv=2"),
    });
    let trigger =
        json!({ "type": "event", "template_id": 9016, "filter_str": "Purchase", "context": context });
    app.trigger_with(trigger).await;
    let order = json!({ "sum": 19.90, "order_id": "o 1&2", "coupon": "TEN" });
    let data = json!({ "event_name": "Purchase", "currency": "EUR", "event_data": order });
    app.send("event", "SX-1", data).await.accepted();
    let hit = sink.receives("/sread.php", 1).await.remove(0);
    assert_eq!(hit.method, "GET");
    let expected = format!(
        "tt=ss&tv=2&merchant=1001&amount=19.90&ch=aw&parts=NEW:19.90&vc=TEN&cr=EUR&ref=o%201%262&testmode=0&cks={awc}"
    );
    assert_eq!(hit.query.replace("19.9&", "19.90&"), expected);

    // Without an order there is nothing to tell.
    app.event("SX-1", "Purchase", json!({ "sum": 5 })).await;
    let suppressed = server.settled("", "suppressed", 1).await;
    assert_eq!(suppressed[0]["reason"], "missing_macro");
}

#[tokio::test]
async fn game_analytics_is_told_in_its_form() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let context =
        json!({ "cpi_gameanalytics_game_key": "g/1", "cpi_gameanalytics_mostback_url": sink.url("/ga") });
    let trigger = json!({ "type": "install", "template_id": 9008, "context": context });
    app.trigger_with(trigger).await;
    won(&server, &app, "site_id=s-9&sub_site_id=ss-1&creative_id=cr-1").await;
    let hit = sink.receives("/ga", 1).await.remove(0);
    let adid = device::advertising_id(1);
    let expected = format!(
        "game_key=g%2F1&attribution_partner=kochava&install_publisher=Gopher%20%26%20Co&ios_idfa=&google_aid={adid}\
         &install_site=s-9&install_campaign=ss-1&install_ad=cr-1&country=&event_name=_install&event_value=\
         &event_revenue_currency="
    );
    assert_eq!(hit.query, expected);
}

#[tokio::test]
async fn segment_hears_of_attributed_installs() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let context =
        json!({ "cpi_segment_write_key": "wk-secret", "cpi_segment_mostback_url": sink.url("/v1/track") });
    let trigger =
        app.trigger_with(json!({ "type": "install", "template_id": 9001, "context": context })).await;
    won(&server, &app, "creative_id=cr-1").await;
    app.install("SX-2", json!({ "device_ua": device::IPHONE })).await;
    let hit = sink.receives("/v1/track", 1).await.remove(0);
    assert_eq!(hit.method, "POST");
    assert_eq!(hit.headers["authorization"], "Basic d2stc2VjcmV0Og==");
    let body: Value = serde_json::from_str(&hit.body).unwrap_or_else(|error| panic!("{error}: {}", hit.body));
    assert_eq!((&body["type"], &body["event"]), (&json!("track"), &json!("Install Attributed")));
    assert_eq!(body["anonymousId"], "SX-1");
    assert_eq!(body["context"]["campaign"]["source"], "Gopher & Co");
    assert_eq!(body["context"]["campaign"]["content"], "cr-1");
    assert_eq!(body["context"]["device"]["advertisingId"], device::advertising_id(1));
    // The other install has nobody to credit.
    let query = format!("trigger={trigger}");
    assert_eq!(server.settled(&query, "suppressed", 1).await[0]["reason"], "filtered");

    // The write key is not shown with the request.
    let delivered = server.settled(&query, "delivered", 1).await;
    let shown = delivered[0].to_string();
    assert!(!shown.contains("wk-secret") && !shown.contains("d2stc2VjcmV0Og"), "{shown}");
}

#[tokio::test]
async fn amplitude_takes_a_form_with_json_in_it() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let context =
        json!({ "cpi_amplitude_api_key": "k&1", "cpi_amplitude_mostback_url": sink.url("/attribution") });
    app.trigger_with(json!({ "type": "install", "template_id": 9004, "context": context })).await;
    won(&server, &app, "creative_id=%22c%22").await;
    let hit = sink.receives("/attribution", 1).await.remove(0);
    let form: Vec<(String, String)> = form_urlencoded::parse(hit.body.as_bytes()).into_owned().collect();
    assert_eq!(form[0], ("api_key".into(), "k&1".into()));
    let event: Value =
        serde_json::from_str(&form[1].1).unwrap_or_else(|error| panic!("{error}: {}", form[1].1));
    assert_eq!((&event["event_type"], &event["platform"]), (&json!("[Sextant] Install"), &json!("android")));
    assert_eq!(event["adid"], device::advertising_id(1));
    assert_eq!(event["user_properties"]["[Sextant] creative"], "\"c\"");
}

#[tokio::test]
async fn what_senders_call_an_event_mentions_nobody_in_a_chat() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    for path in ["/slack", "/mattermost", "/telegram"] {
        sink.on(path, [Reply::Text("ok {\"ok\":true}")]);
    }
    let app = server.app("Android").await;
    for (template, context) in [
        (9022, json!({ "cpi_slack_mostback_url": sink.url("/slack") })),
        (9023, json!({ "cpi_mattermost_mostback_url": sink.url("/mattermost") })),
        (
            9030,
            json!({ "cpi_telegram_mostback_url": sink.url("/telegram"), "cpi_telegram_bot_token": "1:t",
                    "cpi_telegram_chat_id": "-1" }),
        ),
    ] {
        app.trigger_with(json!({ "type": "event", "template_id": template, "context": context })).await;
    }
    app.event("SX-1", "<!channel> @here </code>&lt; \"q\"", json!({})).await;
    let told = async |path: &str| -> Value {
        let hit = sink.receives(path, 1).await.remove(0);
        serde_json::from_str(&hit.body).unwrap_or_else(|error| panic!("{error}: {}", hit.body))
    };
    let escaped = "&lt;!channel&gt; @here &lt;/code&gt;&amp;lt; \"q\"";
    let slack = told("/slack").await;
    assert!(slack["text"].as_str().is_some_and(|text| text.contains(escaped)), "{slack}");
    assert!(!slack["text"].as_str().unwrap().contains('<'), "{slack}");
    let telegram = told("/telegram").await;
    let text = telegram["text"].as_str().unwrap();
    assert_eq!(telegram["parse_mode"], "HTML", "{telegram}");
    let code = text.strip_prefix("<code>").and_then(|text| text.strip_suffix("</code>"));
    assert!(code.is_some_and(|code| code.contains(escaped) && !code.contains('<')), "{telegram}");
    // Mattermost looks for mentions in texts and the values of fields, not in titles.
    let mattermost = told("/mattermost").await;
    assert_eq!(mattermost["text"], Value::Null, "{mattermost}");
    let attachment = &mattermost["attachments"][0];
    assert!(attachment["title"].as_str().is_some_and(|title| title.contains("@here")), "{mattermost}");
    for field in ["text", "pretext", "fields"] {
        assert_eq!(attachment[field], Value::Null, "{mattermost}");
    }
    server.settled("", "delivered", 3).await;
}
