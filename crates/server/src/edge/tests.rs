use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use measure::platform::Os;

use super::{UserAgents, address};

/// The client behind `headers`, one a line, when 10.0.0.0/8 and 2001:db8:1::/48 are trusted.
fn client(peer: &str, headers: &str) -> String {
    let mut map = HeaderMap::new();
    for line in headers.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()];
    let peer: IpAddr = peer.parse().unwrap();
    address::client(peer, &map, &trusted).map_or("unknown".to_owned(), |address| address.to_string())
}

#[test]
fn only_trusted_proxies_are_believed() {
    let rows = [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "X-Forwarded-For: 198.51.100.1", "192.0.2.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "X-Forwarded-For: 198.51.100.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "X-Forwarded-For: 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "X-Forwarded-For: 203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "X-Forwarded-For: 203.0.113.9, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "X-Forwarded-For: 203.0.113.9\nX-Forwarded-For: 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "X-Forwarded-For: 10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "X-Forwarded-For: 198.51.100.1:5123", "198.51.100.1"),
        ("10.0.0.1", "X-Forwarded-For: 2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "X-Forwarded-For: unknown", "unknown"),
        ("10.0.0.1", "X-Forwarded-For: 198.51.100.1, nonsense", "unknown"),
        ("10.0.0.1", "Forwarded: for=198.51.100.1;proto=https", "198.51.100.1"),
        ("10.0.0.1", "Forwarded: proto=https;FOR=\"[2001:db8::7]:4711\"", "2001:db8::7"),
        ("10.0.0.1", "Forwarded: for=203.0.113.9, for=\"[2001:db8::7]\"", "2001:db8::7"),
        ("10.0.0.1", "Forwarded: for=\"x,y\"", "unknown"),
        ("10.0.0.1", "Forwarded: for=_hidden", "unknown"),
        ("10.0.0.1", "Forwarded: by=10.0.0.9", "unknown"),
        ("10.0.0.1", "Forwarded: for=198.51.100.1\nX-Forwarded-For: 203.0.113.9", "198.51.100.1"),
        ("2001:db8:1::5", "X-Forwarded-For: 198.51.100.1", "198.51.100.1"),
    ];
    for (peer, headers, expected) in rows {
        assert_eq!(client(peer, headers), expected, "{peer} {headers}");
    }
}

#[test]
fn user_agents_tell_the_make() {
    const WEBKIT: &str = "AppleWebKit/605.1.15 (KHTML, like Gecko)";
    const CHROME: &str = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36";
    let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X)";
    let rows = [
        (format!("Mozilla/5.0 (Linux; Android 10; K) {CHROME}"), Some(Os::Android), "", ""),
        (
            format!("Mozilla/5.0 (Linux; Android 14; Pixel 8 Pro) {CHROME}"),
            Some(Os::Android),
            "14",
            "Pixel 8 Pro",
        ),
        (
            "Dalvik/2.1.0 (Linux; U; Android 13; SM-S911B Build/TP1A.220624.014)".to_owned(),
            Some(Os::Android),
            "13",
            "SM-S911B",
        ),
        (
            format!("{iphone} {WEBKIT} Version/17.5 Mobile/15E148 Safari/604.1"),
            Some(Os::Ios),
            "17.5.1",
            "iPhone",
        ),
        (format!("{iphone} {WEBKIT} Mobile/21F90 Instagram 330.0.0.0"), Some(Os::Ios), "17.5.1", "iPhone"),
        (
            "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 Version/16.6 Mobile/15E148 \
             Safari/604.1"
                .to_owned(),
            Some(Os::Ios),
            "16.6",
            "iPad",
        ),
        ("Shop/1 CFNetwork/1404.0.5 Darwin/22.4.0".to_owned(), Some(Os::Ios), "16.4", ""),
        // The rules know no version of this one; unknown is better than wrong.
        (
            "AppleCoreMedia/1.0.0.21L227 (Apple TV; U; CPU OS 17_4 like Mac OS X; en_us)".to_owned(),
            Some(Os::TvOs),
            "",
            "AppleTV",
        ),
        ("Player/2.1 (tvOS 17.4; en_US)".to_owned(), Some(Os::TvOs), "17.4", ""),
        ("curl/8.5.0".to_owned(), None, "", ""),
        (String::new(), None, "", ""),
        ("x".repeat(5_000), None, "", ""),
    ];
    let user_agents = UserAgents::default();
    for (text, os, version, model) in rows {
        for _cached in [false, true] {
            let traits = user_agents.traits_of(&text);
            assert_eq!(traits.os, os, "{text}");
            assert_eq!(traits.os_version.as_deref().unwrap_or_default(), version, "{text}");
            assert_eq!(traits.model.as_deref().unwrap_or_default(), model, "{text}");
        }
    }
}
