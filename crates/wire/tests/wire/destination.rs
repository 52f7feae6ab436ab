//! Where clicks lead (tracking-and-attribution.md section 4).

use measure::{TouchId, catalogue::DestinationKind};
use wire::link::read;

use crate::world::{app, tracker};

const CLICK: &str = "clk_0199d3a0c0f97d3ea1b2c3d4e5f60718";

fn leads(kind: DestinationKind, url: &str, query: &str) -> Option<String> {
    let click: TouchId = CLICK.parse().unwrap();
    read(query)
        .destination(&tracker(kind, url), &app("Android"), click)
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
