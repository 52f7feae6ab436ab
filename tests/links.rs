//! Tracking links: clicks, impressions and where clicks lead (tracking-and-attribution.md sections 2 to 4).

use reqwest::Method;
use url::Url;

use crate::harness::{Answered as _, App, Server, Value, app::click_id, device, json};

async fn link_to(app: &App, destination: &str) -> crate::harness::Link {
    let network = app.server.network("Example Network").await;
    app.link_of(&network, json!({ "destination_url": destination })).await
}

fn query_of(location: &str, key: &str) -> Option<String> {
    let url: Url = location.parse().unwrap_or_else(|error| panic!("{location}: {error}"));
    url.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn a_browser_is_redirected_with_the_click_id() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = link_to(&app, "https://shop.example.com/start?lang=de#top").await;
    for path in [link.path("click_id=partner-1"), link.path("").replace("/click?", "/click/?")] {
        let answer =
            server.request(Method::GET, &path).header("User-Agent", device::IPHONE).answer().await.is(302);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        let location = answer.header("location");
        assert!(location.starts_with("https://shop.example.com/start?"), "{location}");
        assert!(location.ends_with("#top"), "{location}");
        assert_eq!(query_of(location, "lang").as_deref(), Some("de"), "{location}");
        let inputs = answer.inputs();
        assert_eq!(inputs.len(), 1, "{location}");
        assert_eq!(query_of(location, "ko_click_id"), Some(click_id(&inputs[0])), "{location}");
        assert_eq!(server.input(&inputs[0]).await["kind"], "click");
    }
}

#[tokio::test]
async fn the_play_store_gets_an_install_referrer() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    for destination in [
        "https://play.google.com/store/apps/details?id=com.example.shop",
        "market://details?id=com.example.shop",
    ] {
        let link = link_to(&app, destination).await;
        let answer = link.browse("", device::PIXEL).await.is(302);
        let location = answer.header("location").to_owned();
        assert!(location.starts_with(destination), "{location}");
        let referrer = query_of(&location, "referrer").expect("a referrer");
        let pairs: Vec<(String, String)> = form_urlencoded::parse(referrer.as_bytes()).into_owned().collect();
        let click = click_id(&answer.inputs()[0]);
        assert!(pairs.contains(&("utm_source".to_owned(), click)), "{referrer}");
        assert!(pairs.iter().any(|(key, value)| key == "utm_campaign" && !value.is_empty()), "{referrer}");
        assert_eq!(query_of(&location, "ko_click_id"), None, "{location}");
    }
    // The destination type asks for it by name.
    let network = server.network("Example Network").await;
    let fields = json!({ "destination_url": "https://play.google.com/store/apps/details?id=com.example.shop",
                         "destination_data": { "type": "google_referrer", "typeObj": "" } });
    let link = app.link_of(&network, fields).await;
    let answer = link.browse("", device::PIXEL).await.is(302);
    assert!(query_of(answer.header("location"), "referrer").is_some());
}

/// The user agent tells that it is an IDFA, whatever the platform of the app.
#[tokio::test]
async fn a_redirect_keeps_back_the_idfa_that_refused_tracking_forbids() {
    let server = Server::start().await;
    let idfa = "7C9E6679-7425-40DE-944B-E07FC1F90AE7";
    for platform in ["Web", "Android", "iOS"] {
        let app = server.app(platform).await;
        let link = link_to(&app, "https://example.com/?d={device_id}").await;
        for (att, handed_on) in [("0", ""), ("1", idfa)] {
            let query = format!("device_id={idfa}&att={att}");
            let answer = link.browse(&query, device::IPHONE).await.is(302);
            let location = answer.header("location");
            assert_eq!(query_of(location, "d").as_deref(), Some(handed_on), "{platform}: {location}");
        }
    }
}

#[tokio::test]
async fn deep_link_placeholders_are_filled_and_encoded() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = link_to(&app, "https://shop.example.com/p/{sku}?q={Term}&t={term}&s={site_id}&x={gone}").await;
    let query = "sku=a%2Fb%3F&Term=Sky%20%26%20Boots&site_id=s-9&x=1";
    let location = link.browse(query, device::IPHONE).await.is(302).header("location").to_owned();
    assert!(location.starts_with("https://shop.example.com/p/a%2Fb%3F?"), "{location}");
    assert_eq!(query_of(&location, "q").as_deref(), Some("Sky & Boots"), "{location}");
    assert_eq!(query_of(&location, "t").as_deref(), Some(""), "names are case-sensitive: {location}");
    assert_eq!(query_of(&location, "s").as_deref(), Some("s-9"), "{location}");
    assert_eq!(query_of(&location, "x").as_deref(), Some(""), "unfilled is empty: {location}");
}

#[tokio::test]
async fn links_lead_into_an_app_by_its_own_schemes_only() {
    let server = Server::start().await;
    let settings = json!({ "schemes": ["skyboots"] });
    let app = server.app_with(json!({ "name": "Shop", "platform": "iOS", "settings": settings })).await;
    let link = link_to(&app, "skyboots://{screen}/{item}?from=ad").await;
    let answer = link.browse("screen=shop&item=a%2Fb%20c", device::IPHONE).await.is(302);
    assert_eq!(answer.header("location"), "skyboots://shop/a%2Fb%20c?from=ad");
    // An app that gives a scheme up leads nowhere by it; the click counts.
    let none = json!({ "settings": { "schemes": null } });
    server.patch(&format!("/apps/{}", app.id), none).await.is(200);
    assert_eq!(link.browse("screen=shop", device::IPHONE).await.is(200).inputs().len(), 1);
}

#[tokio::test]
async fn nothing_of_the_query_chooses_where_people_go() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = link_to(&app, "https://shop.example.com/{path}").await;
    for query in [
        "destination_url=https://evil.example.net/",
        "url=https://evil.example.net/&redirect=https://evil.example.net/&deeplink=//evil.example.net",
        "path=//evil.example.net/",
        "path=%5C%5Cevil.example.net",
        "path=..%2F..%2F%0d%0aLocation:%20https://evil.example.net/",
        "path=@evil.example.net/",
    ] {
        let answer = link.browse(query, device::IPHONE).await.is(302);
        let locations: Vec<_> = answer.headers.get_all("location").iter().collect();
        assert_eq!(locations.len(), 1, "{query}");
        let url: Url = answer.header("location").parse().unwrap();
        assert_eq!(url.host_str(), Some("shop.example.com"), "{query} led to {url}");
        assert_eq!((url.port(), url.username()), (None, ""), "{query} led to {url}");
    }
    // Nor can a tracker be made to lead to nowhere safe.
    let network = server.network("Another Network").await;
    for destination in
        ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "https://{host}/", "shop", ""]
    {
        let campaign =
            server.post(&format!("/campaign/{}", app.id), json!({ "name": "x" })).await.is(201).json();
        let campaign = campaign["id"].as_str().unwrap().to_owned();
        let tier = server.post(&format!("/tier/{campaign}"), json!({ "name": "x" })).await.is(201).json();
        let body = json!({ "name": "x", "network_id": network, "campaign_id": campaign, "tier_id": tier["id"],
                           "destination_url": destination });
        server.post(&format!("/tracker/{}/create", app.id), body).await.is(400);
    }
}

#[tokio::test]
async fn a_server_gets_200_instead_of_a_redirect() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let answer = server.request(Method::GET, &link.path("pbr=1")).answer().await;
    let input = answer.accepted();
    assert_eq!(answer.text(), r#"{"success":"1"}"#);
    assert_eq!(answer.header("location"), "");
    assert_eq!(server.input(&input).await["became"], "accepted");
}

#[tokio::test]
async fn an_impression_is_a_picture_of_one_pixel() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let path = link.path("impression_id=i-1&event=view").replace("/v1/cpi/click", "/track/impression");
    let answer = server.request(Method::GET, &path).answer().await.is(200);
    assert_eq!(answer.header("content-type"), "image/gif");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(&answer.body[..6], b"GIF89a");
    assert_eq!(&answer.body[6..10], &[1, 0, 1, 0], "1x1");
    assert_eq!(server.input(&answer.inputs()[0]).await["kind"], "impression");
}

#[tokio::test]
async fn an_unknown_tracker_is_a_404_and_counted() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    for path in
        ["/v1/cpi/click?campaign_id=nobody&network_id=1", "/v1/cpi/click", "/track/impression?campaign_id="]
    {
        let answer = server.request(Method::GET, path).answer().await.is(404);
        assert_eq!(answer.header("location"), "", "{path}");
        assert!(answer.inputs().is_empty(), "{path}");
    }
    server.delete(&format!("/tracker/{}/delete/{}", app.id, link.id)).await.is(200);
    link.browse("", device::IPHONE).await.is(404);
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["refused"], 4, "{ledger}");
}

#[tokio::test]
async fn placeholders_mean_absent() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let ua = device::encoded(device::PIXEL);
    for query in [
        "device_id=device_id&device_id_type=adid&site_id=1",
        "adid=&device_id=&device_id_type=",
        "adid=%7Badid%7D",
        "adid=null&android_id=android_id",
        "adid=00000000-0000-0000-0000-000000000000",
        "adid=7c9e6679-7425-40de-944b-000000000001&adid=null",
    ] {
        let click = link.click(&format!("{query}&ip_address=203.0.113.24&device_ua={ua}")).await;
        let input = click.replace("clk_", "in_");
        let row = server.input(&input).await;
        assert!(row["flags"].to_string().contains("no_identifier"), "{query}: {row}");
    }
}

#[tokio::test]
async fn links_survive_any_query() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let long = "x".repeat(7_000);
    for query in [
        "%",
        "%zz",
        "&&&==&",
        "a=%ff%fe",
        "ip_address=nonsense",
        "click_time=nonsense",
        "click_time=-1",
        "click_time=99999999999999999999",
        "idfa=%00",
        "device_id_is_hashed=true&device_hash_method=ROT13&device_id=abc",
        "att=perhaps",
        "pbr=perhaps",
        "click_id=%0d%0aX-Evil:%201",
        long.as_str(),
    ] {
        let answer = link.browse(query, device::PIXEL).await;
        assert_eq!(answer.status, 302, "{query}: {}", answer.text());
        assert_eq!(answer.header("x-evil"), "");
    }
    server.balanced().await;
}

#[tokio::test]
async fn click_time_counts_only_where_it_is_accepted() {
    let server = Server::with(&[]).await;
    let (closed, open) = (server.app("Android").await, server.app("Android").await);
    let settings = json!({ "settings": { "tracking.accept_click_time": true } });
    server.patch(&format!("/apps/{}", open.id), settings).await.is(200);
    let hour_ago = crate::harness::now() - 3_600;
    for (app, accepted) in [(&closed, false), (&open, true)] {
        let link = app.link("Example Network").await;
        let click = link.click(&format!("click_time={hour_ago}")).await;
        let row = server.input(&click.replace("clk_", "in_")).await;
        let time: jiff::Timestamp = row["time"].as_str().unwrap().parse().unwrap();
        assert_eq!(time.as_second() == hour_ago, accepted, "{row}");
        if !accepted {
            assert_eq!(row["time"], row["received"], "{row}");
        }
    }
}

#[tokio::test]
async fn a_repeated_click_of_a_device_is_flagged_and_kept() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let adid = device::advertising_id(1);
    let first = link.click(&format!("adid={adid}")).await;
    let second = link.click(&format!("adid={adid}")).await;
    let flagged = async |click: &str| {
        let row: Value = server.input(&click.replace("clk_", "in_")).await;
        row["outcomes"][0]["duplicate"].as_bool().unwrap_or_else(|| panic!("{row}"))
    };
    assert!(!flagged(&first).await);
    assert!(flagged(&second).await);
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["by_kind"]["click"], 2, "{ledger}");
}

#[tokio::test]
async fn clicks_of_nobody_in_particular_are_no_repeats() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    for click_id in ["p-1", "p-2"] {
        let click = link.click(&format!("click_id={click_id}")).await;
        let row = server.input(&click.replace("clk_", "in_")).await;
        assert_eq!(row["outcomes"][0]["duplicate"], false, "an address alone is no device: {row}");
    }
}
