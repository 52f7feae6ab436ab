//! Macros, methods and bodies (postbacks.md sections 5, 6 and 9).

use crate::harness::{Server, Sink, Value, device, json};

#[tokio::test]
async fn every_macro_is_filled_from_the_conversion() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let link = app.link("Gopher & Co").await;
    let names = [
        "click_id",
        "event_name",
        "event_value",
        "revenue",
        "currency",
        "event_time",
        "event_time:iso",
        "kochava_device_id",
        "adid",
        "android_id",
        "idfa",
        "ip_address",
        "device_ua",
        "os_version",
        "platform",
        "network_name",
        "network_id",
        "site_id",
        "sub_site_id",
        "creative_id",
        "campaign_id",
        "tracker_id",
        "segment_name",
        "attribution_type",
        "match_type",
        "app_id",
        "cp_0",
        "cp_9",
        "event_data.order_id",
        "ip",
        "ua",
        "event",
        "value",
        "install_time",
        "click_time",
        "unknown_macro",
    ];
    let query: Vec<String> = names.iter().enumerate().map(|(n, name)| format!("p{n}={{{name}}}")).collect();
    let url = sink.url(&format!("/all?{}&keep={{not a token}}&{{}}=1", query.join("&")));
    app.trigger("event", json!({ "cpi_mostback_url": url })).await;

    let adid = device::advertising_id(1);
    let clicked = crate::harness::now() - 600;
    let click = format!(
        "adid={adid}&click_id=p%201%2F%26&site_id=s-9&sub_site_id=ss-1&creative_id=cr-1&cp_0=null0&cp_9=nine\
         &click_time={clicked}"
    );
    link.click(&click).await;
    let installed = crate::harness::now() - 60;
    let data = json!({
        "usertime": installed, "origination_ip": "203.0.113.24", "device_ua": device::PIXEL,
        "device_ids": { "adid": adid, "android_id": "9774d56d682e549c" },
    });
    app.install("SX-1", data).await;
    let data = json!({
        "event_name": "Purchase", "currency": "EUR", "usertime": 1_760_086_400, "origination_ip": "203.0.113.25",
        "device_ua": device::PIXEL, "event_data": { "order_id": "o{click_id}", "sum": 14.99 },
    });
    app.send("event", "SX-1", data).await.accepted();

    let hit = sink.receives("/all", 1).await.remove(0);
    let value = |name: &str| {
        let place = names.iter().position(|known| *known == name).unwrap();
        hit.parameter(&format!("p{place}")).unwrap_or_else(|| panic!("no {name} in {}", hit.query))
    };
    let check = |name: &str, expected: &str| assert_eq!(value(name), expected, "{{{name}}} in {}", hit.query);
    check("click_id", "p 1/&");
    check("event_name", "Purchase");
    check("event_value", "14.99");
    check("revenue", "14.99");
    check("currency", "EUR");
    check("event_time", "1760086400");
    assert!(value("event_time:iso").starts_with("2025-10-10T08:53:20"), "{}", value("event_time:iso"));
    check("kochava_device_id", "SX-1");
    check("adid", &adid);
    check("android_id", "9774d56d682e549c");
    check("idfa", "");
    check("ip_address", "203.0.113.25");
    check("ip", "203.0.113.25");
    check("device_ua", device::PIXEL);
    check("ua", device::PIXEL);
    check("os_version", "14");
    assert_eq!(value("platform").to_lowercase(), "android");
    check("network_name", "Gopher & Co");
    check("network_id", &link.network);
    check("site_id", "s-9");
    check("sub_site_id", "ss-1");
    check("creative_id", "cr-1");
    check("campaign_id", &link.campaign);
    check("tracker_id", &link.id);
    check("segment_name", "DE");
    check("attribution_type", "install");
    assert!(!value("match_type").is_empty());
    check("app_id", &app.id.to_string());
    check("cp_0", "null0");
    check("cp_9", "nine");
    check("event_data.order_id", "o{click_id}");
    check("event", "Purchase");
    check("value", "14.99");
    check("install_time", &installed.to_string());
    check("click_time", &clicked.to_string());
    check("unknown_macro", "");
    assert!(hit.query.contains("p%201%2F%26"), "unreserved only: {}", hit.query);
    assert!(hit.query.contains("=o%7Bclick_id%7D"), "output is not looked at again: {}", hit.query);
}

#[tokio::test]
async fn the_vendors_own_exercise() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let url = sink.url("/data?title={event_data.mascot}&image={event_data.location}&foo={event_data.bar}");
    app.trigger("event", json!({ "cpi_mostback_url": url })).await;
    let gopher = json!({ "mascot": "Gopher & Co", "location": "https://blog.example/gopher.png" });
    app.event("SX-1", "View", gopher).await;
    app.event("SX-1", "View", json!({ "mascot": "Crab" })).await;
    let mut queries: Vec<String> = sink.receives("/data", 2).await.into_iter().map(|hit| hit.query).collect();
    queries.sort();
    let expected = [
        "title=Crab&image=&foo=",
        "title=Gopher%20%26%20Co&image=https%3A%2F%2Fblog.example%2Fgopher.png&foo=",
    ];
    assert_eq!(queries, expected);
}

#[tokio::test]
async fn forms_and_json_bodies_are_posted() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let form = json!({ "type": "event", "filter_str": "Form", "context": {
        "cpi_mostback_url": sink.url("/form?a={event_data.a}&v={event_value}"),
        "sx_method": "POST", "sx_body": "form" } });
    app.trigger_with(form).await;
    let body = r#"{"a":"{event_data.a}","v":{event_value},"none":{event_data.b}}"#;
    let posted = json!({ "type": "event", "filter_str": "Json", "context": {
        "cpi_mostback_url": sink.url("/json"), "sx_method": "POST", "sx_body": body } });
    app.trigger_with(posted).await;
    let data = json!({ "a": "x & \"y\"\n", "sum": 14.99 });
    app.event("SX-1", "Form", data.clone()).await;
    app.event("SX-1", "Json", data).await;
    let hit = sink.receives("/form", 1).await.remove(0);
    assert_eq!((hit.method.as_str(), hit.query.as_str()), ("POST", ""));
    assert_eq!(hit.headers["content-type"], "application/x-www-form-urlencoded");
    let pairs: Vec<(String, String)> = form_urlencoded::parse(hit.body.as_bytes()).into_owned().collect();
    assert_eq!(pairs, [("a".into(), "x & \"y\"\n".into()), ("v".into(), "14.99".into())], "{}", hit.body);
    let hit = sink.receives("/json", 1).await.remove(0);
    assert_eq!(hit.headers["content-type"], "application/json");
    let body: Value = serde_json::from_str(&hit.body).unwrap_or_else(|error| panic!("{error}: {}", hit.body));
    assert_eq!(body, json!({ "a": "x & \"y\"\n", "v": 14.99, "none": null }));
}
