//! Where clicks lead (tracking-and-attribution.md section 4).

use measure::{TouchId, catalogue::DestinationKind, engagement::EngagementKind, flag::Flag};
use wire::link::{LinkEdge, read};

use crate::world::{IDFA, IPHONE, PIXEL, app, link_edge, occurs, tracker};

const CLICK: &str = "clk_0199d3a0c0f97d3ea1b2c3d4e5f60718";

fn leads(kind: DestinationKind, url: &str, query: &str) -> Option<String> {
    let click: TouchId = CLICK.parse().unwrap();
    read(query)
        .destination(&tracker(kind, url), &app("Android"), None, click)
        .map(|url| url.replace(CLICK, "CLICK"))
}

fn check(kind: DestinationKind, url: &str, query: &str, expected: &str) {
    assert_eq!(leads(kind, url, query).as_deref(), Some(expected), "{url} {query}");
}

#[test]
fn the_play_store_gets_a_referrer() {
    const REFERRER: &str = "referrer=utm_source%3DCLICK%26utm_campaign%3Dkosextant-demo-t1";
    let play = "https://play.google.com/store/apps/details?id=com.example.shop";
    check(DestinationKind::GoogleReferrer, play, "", &format!("{play}&{REFERRER}"));
    check(DestinationKind::Custom, play, "", &format!("{play}&{REFERRER}"));
    check(
        DestinationKind::GoogleReferrer,
        "market://details?id=a",
        "",
        &format!("market://details?id=a&{REFERRER}"),
    );
    check(DestinationKind::GoogleReferrer, &format!("{play}&referrer=x"), "", &format!("{play}&{REFERRER}"));
    check(DestinationKind::Custom, &format!("{play}&referrer=x"), "", &format!("{play}&referrer=x"));
    check(DestinationKind::GoogleReferrer, play, "referrer=evil&id=evil", &format!("{play}&{REFERRER}"));
}

#[test]
fn web_pages_get_the_click_id() {
    let check = |url: &str, expected: &str| check(DestinationKind::LandingPage, url, "a=1", expected);
    check("https://shop.example.com", "https://shop.example.com/?ko_click_id=CLICK");
    check("https://shop.example.com/p?x=1", "https://shop.example.com/p?x=1&ko_click_id=CLICK");
    check("https://shop.example.com/p#top", "https://shop.example.com/p?ko_click_id=CLICK#top");
    check(
        "https://shop.example.com/p?ko_click_id=old&x=1",
        "https://shop.example.com/p?x=1&ko_click_id=CLICK",
    );
    check("HTTP://shop.example.com:8080/p", "http://shop.example.com:8080/p?ko_click_id=CLICK");
    check("https://apps.apple.com/app/id1", "https://apps.apple.com/app/id1");
}

#[test]
fn placeholders_are_filled_from_the_query() {
    let check = |url: &str, query: &str, expected: &str| check(DestinationKind::Custom, url, query, expected);
    check(
        "sextantdemo://open/{page}?q={q}",
        "page=a%2Fb&q=x%20y%26z",
        "sextantdemo://open/a%2Fb?q=x%20y%26z",
    );
    check("sextantdemo://open/{Page}", "page=a", "sextantdemo://open/");
    check("sextantdemo://open/{page}", "page=a&page=b", "sextantdemo://open/b");
    check("sextantdemo://open/{page}", "page={page}", "sextantdemo://open/");
    check("sextantdemo://open/{page}x{page", "page=a", "sextantdemo://open/ax%7Bpage");
    check("sextantdemo://{page}/x", "page=shop", "sextantdemo://shop/x");
    check("sextantdemo://{page}", "page=a%2F%40b%3A1", "sextantdemo://a%2F%40b%3A1");
    check("sextantdemo://{page}/x", "", "sextantdemo:///x");
    check("sextantdemo://open/{v}", "v=é%0D%0Aa:b", "sextantdemo://open/%C3%A9%0D%0Aa%3Ab");
    check(
        "https://apps.apple.com/app/{id}",
        "id=..%2F..%2Fevil",
        "https://apps.apple.com/app/..%2F..%2Fevil",
    );
    check("sextantdemo://open/{idfa}", "idfa=abc&att=0", "sextantdemo://open/");
}

#[test]
fn an_idfa_that_refused_tracking_forbids_is_not_handed_on() {
    let click: TouchId = CLICK.parse().unwrap();
    let check = |platform: &str, user_agent: Option<&str>, query: &str, is_handed_on: bool| {
        let edge = LinkEdge { user_agent, ..link_edge() };
        let (tracker, app, link) = (
            tracker(DestinationKind::Custom, "https://example.com/?d={device_id}&i={idfa}&s={site_id}"),
            app(platform),
            read(&format!("{query}&site_id=site-1")),
        );
        let url = link.destination(&tracker, &app, link.os(&app, &edge).as_ref(), click).unwrap();
        assert_eq!(occurs(IDFA, &url), is_handed_on, "{platform} {user_agent:?} {query}: {url}");
        assert!(url.contains("s=site-1"), "{url}: the rest stays");
        let (_, flags) = link.engagement(EngagementKind::Click, &tracker, &app, &edge);
        assert_eq!(flags.contains(&Flag::IdfaDroppedAttFalse), !is_handed_on, "{platform} {query}");
    };
    let (device_id, idfa) = (format!("device_id={IDFA}"), format!("idfa={IDFA}"));
    for platform in ["iOS", "Web", "Android", "Windows"] {
        check(platform, Some(IPHONE), &format!("{device_id}&att=0"), false);
        check(platform, Some(IPHONE), &format!("{device_id}&idfa=other&att=false"), false);
        check(platform, Some(PIXEL), &format!("{device_id}&user_agent={IPHONE}&att=0"), false);
        check(platform, Some(PIXEL), &format!("{device_id}&device_id_type=idfa&att=0"), false);
        check(platform, None, &format!("{idfa}&att=0"), false);
        check(platform, Some(IPHONE), &format!("{device_id}&att=1"), true);
        check(platform, Some(IPHONE), &device_id, true);
        check(platform, Some(PIXEL), &format!("{device_id}&att=0"), true);
    }
    check("iOS", None, &format!("{device_id}&att=0"), false);
    check("Web", None, &format!("{device_id}&att=0"), true);
    check("Android", None, &format!("{device_id}&att=0"), true);
}

#[test]
fn unusable_destinations() {
    let check = |url: &str| assert_eq!(leads(DestinationKind::Custom, url, "h=evil.example"), None, "{url}");
    check("");
    check("example.com/x");
    check("javascript:alert(1)");
    check("javascript://x/%0aalert(1)");
    check("ftp://example.com/");
    check("other://open");
    check("https://");
    check("https:///evil.example");
    check("https://{h}/");
    check("https://{h}.example.com/");
    check("https://example.com:{h}/");
    check("https://example.com@{h}/");
    check("https://example.com\\{h}/");
    check("https://example.com{h}");
    check("{h}://example.com/");
    check("https://exa\nmple.com/");
    check("market://{h}?id=a");
    check("market:details?id=a");
    check("sextantdemo:open");
    check("sextantdemo://open/a b");
}

#[test]
fn what_is_unusable_is_refused_in_words() {
    let schemes = ["demo".to_owned()];
    let check = |url: &str, expected: &str| {
        let refused = wire::link::check_destination(url, &schemes).unwrap_err();
        assert!(refused.contains(expected), "{url}: {refused}");
    };
    check("shop.example.com", "must begin with https://");
    check("javascript:alert(1)", "not allowed");
    check("ftp://example.com/", "no scheme of this app; name it first");
    check("Other://open", r#"{"settings":{"schemes":["other"]}}"#);
    check("demo:open", "write // after demo:");
    check("market:details?id=a", "write // after market:");
    check("https://{h}/", "placeholders");
    check("https://a b/", "%20");
    check("https://", "a host must follow");
    for url in ["https://shop.example.com", "market://details?id=a", "DEMO://{x}/y", " demo://open "] {
        assert_eq!(wire::link::check_destination(url, &schemes), Ok(()), "{url}");
    }
}

#[test]
fn schemes_of_an_app_run_nothing() {
    for (text, scheme) in [("demo", "demo"), ("Demo://", "demo"), ("com.example.shop", "com.example.shop")] {
        assert_eq!(wire::link::own_scheme(text).as_deref(), Ok(scheme));
    }
    for text in ["", "1a", "a b", "javascript", "DATA", "://", "a/b", &"a".repeat(65)] {
        assert!(wire::link::own_scheme(text).is_err(), "{text}");
    }
}
