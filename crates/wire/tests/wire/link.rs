//! Tracking links, one line per case (tracking-and-attribution.md sections 2 and 3).

use measure::{
    Timestamp,
    catalogue::DestinationKind,
    engagement::{Engagement, EngagementKind, LinkIdentifier},
    flag::{Flag, Flags},
    platform::Os,
};
use wire::link::{LinkEdge, read};

use crate::world::{IDFA, IPHONE, PIXEL, RECEIVED, app, link_edge, occurs, tracker};

fn engage(platform: &str, query: &str, edge: &LinkEdge<'_>) -> (Engagement, Flags) {
    let tracker = tracker(DestinationKind::Custom, "https://example.com/");
    read(query).engagement(EngagementKind::Click, &tracker, &app(platform), edge)
}

fn click(query: &str) -> (Engagement, Flags) {
    engage("iOS", query, &link_edge())
}

#[test]
fn identifiers() {
    let check = |platform: &str, query: &str, expected: &[&str]| {
        let edge = LinkEdge { user_agent: None, ..link_edge() };
        let found: Vec<String> = engage(platform, query, &edge).0.identifiers.iter().map(written).collect();
        assert_eq!(found, expected, "{query}");
    };
    let md5 = "358f3cc563911c41542fa3394787f529";
    let sha1 = "0bc9f5a04df672e1b1d157563baf7e93f65490f0";
    check("iOS", "idfa=a-1", &["idfa=a-1"]);
    check("iOS", "ios_idfa=a-1", &["idfa=a-1"]);
    check("iOS", "IDFA=a-1", &["idfa=a-1"]);
    check(
        "iOS",
        "adid=a-1&android_id=b&imei=c&mac=d:e&odin=f",
        &["adid=a-1", "android_id=b", "imei=c", "mac=d:e", "odin=f"],
    );
    check("iOS", "device_id=a-1&device_id_type=idfa", &["idfa=a-1"]);
    check("iOS", "device_id=a-1&device_id_type=ADID", &["adid=a-1"]);
    check("iOS", "device_id=a-1&device_id_type=", &["idfa=a-1"]);
    check("Android", "device_id=a-1", &["adid=a-1"]);
    check("Web", "device_id=a-1", &["custom=a-1"]);
    check("Android", "idfa=a-1", &["adid=a-1"]);
    for android in ["Daydream", "Oculus GO", "Samsung Gear VR"] {
        check(android, "device_id=a-1", &["adid=a-1"]);
        check(android, "idfa=a-1", &["adid=a-1"]);
    }
    check("Oculus Rift", "device_id=a-1", &["custom=a-1"]);
    check("Fire OS", "device_id=a-1", &["adid=a-1"]);
    check("Fire OS", "idfa=a-1", &["adid=a-1"]);
    check("Fire OS", "fire_adid=a-1&idfa=b", &["fire_adid=a-1", "adid=b"]);
    check(
        "iOS",
        &format!("device_id={md5}&device_id_type=idfa&device_id_is_hashed=true"),
        &[&format!("idfa#{md5}")],
    );
    check(
        "iOS",
        &format!("device_id={}&device_hash_method=MD5", md5.to_uppercase()),
        &[&format!("idfa#{md5}")],
    );
    check("iOS", &format!("device_id={sha1}&device_id_hash_method=sha1"), &[&format!("idfa#{sha1}")]);
    check("iOS", &format!("mac_md5={md5}"), &[&format!("mac#{md5}")]);
    check("iOS", &format!("device_id={md5}&device_id_type=idfa_md5"), &[&format!("idfa#{md5}")]);
    check("iOS", &format!("idfa={md5}"), &[&format!("idfa={md5}"), &format!("idfa#{md5}")]);
    check("iOS", &format!("idfa={sha1}"), &[&format!("idfa#{sha1}")]);
    check("iOS", &format!("odin={sha1}"), &[&format!("odin={sha1}"), &format!("odin#{sha1}")]);
    check("iOS", &format!("device_id={IDFA}&device_id_is_hashed=true"), &[&format!("idfa={IDFA}")]);
    check("iOS", "idfa=a-1&device_id=a-1&device_id_type=idfa", &["idfa=a-1"]);
    check("iOS", "idfa=a-1&idfa=b-2", &["idfa=b-2"]);
    check("iOS", "device_id=device_id&idfa={idfa}&adid=null&mac=&android_id=0000-0000", &[]);
    check("iOS", "device_id=&device_id_type=&click_id=c", &[]);
}

fn written(identifier: &LinkIdentifier) -> String {
    match identifier {
        LinkIdentifier::Plain(plain) => format!("{}={}", plain.kind, plain.value),
        LinkIdentifier::Hashed(kind, digest) => format!("{kind}#{}", digest.as_str()),
    }
}

#[test]
fn named_parameters() {
    let (click, _) = click(
        "campaign_id=t1&network_id=5&click_id=c+1%20x&site_id=0&sub_site_id={sub}&creative_id=creative_id&cp_0=a&cp_0=b&cp_9=&bid_won=0.1&pbr=1",
    );
    assert_eq!(click.click_id.as_deref(), Some("c 1 x"));
    assert_eq!(click.site_id.as_deref(), Some("0"));
    assert_eq!((click.sub_site_id, click.creative_id), (None, None));
    let params: Vec<String> = click.params.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(params, ["network_id=5", "cp_0=b", "bid_won=0.1"]);
    assert!(click.query.contains("cp_0=a&cp_0=b"), "the raw query keeps all values");
    assert_eq!((click.network.0, click.campaign.0, click.segment.0, click.tracker.0), (4, 2, 3, 7));
}

#[test]
fn tracker_and_server_call() {
    let check = |query: &str, tracker: Option<&str>, is_server: bool| {
        assert_eq!(
            (read(query).tracker_guid(), read(query).is_server_call()),
            (tracker, is_server),
            "{query}"
        );
    };
    check("campaign_id=t1", Some("t1"), false);
    check("?campaign_id=t1&pbr=1", Some("t1"), true);
    check("campaign_id=a&campaign_id=b&pbr=1&pbr=0", Some("b"), false);
    check("campaign_id=&pbr=", None, false);
    check("campaign_id={campaign_id}", None, false);
    check("campaign_id=%FF", Some("\u{fffd}"), false);
    check("", None, false);
}

#[test]
fn address_and_user_agent() {
    let check = |query: &str, ip: Option<&str>, os: Option<Os>, flags: &[Flag]| {
        let (click, found) = click(query);
        assert_eq!((click.ip.map(|ip| ip.to_string()).as_deref(), click.traits.os), (ip, os), "{query}");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), flags, "{query}");
    };
    let pixel = PIXEL.replace(' ', "+");
    check("", Some("192.0.2.1"), Some(Os::Ios), &[]);
    check("ip_address=203.0.113.9", Some("203.0.113.9"), Some(Os::Ios), &[]);
    check("ip_address={ip}", Some("192.0.2.1"), Some(Os::Ios), &[]);
    check("ip_address=", Some("192.0.2.1"), Some(Os::Ios), &[]);
    check("ip_address=1.2.3.999", None, Some(Os::Ios), &[Flag::IpInvalid]);
    check("ip_address=2001:db8::1", Some("2001:db8::1"), Some(Os::Ios), &[]);
    check(&format!("device_ua={pixel}"), Some("192.0.2.1"), Some(Os::Android), &[]);
    check(&format!("user_agent={pixel}"), Some("192.0.2.1"), Some(Os::Android), &[]);
    check(&format!("device_ua={{ua}}&user_agent={pixel}"), Some("192.0.2.1"), Some(Os::Android), &[]);
    check(&format!("device_ua={}", PIXEL.replace(' ', "%2520")), Some("192.0.2.1"), Some(Os::Android), &[]);
    check("device_ua=[FB_IAB/FB4A;Android+14;+Pixel+8]", Some("192.0.2.1"), Some(Os::Android), &[]);
    check("device_ua=[user_agent]", Some("192.0.2.1"), Some(Os::Ios), &[]);
    // A server that tells no address is not where the user is.
    for (query, of_caller, flags) in [
        ("pbr=1", true, vec![Flag::IpOfCaller]),
        ("pbr=true&ip_address={ip}", true, vec![Flag::IpOfCaller]),
        ("pbr=1&ip_address=203.0.113.9", false, vec![]),
        ("pbr=1&ip_address=1.2.3.999", false, vec![Flag::IpInvalid]),
        ("pbr=0", false, vec![]),
        ("", false, vec![]),
    ] {
        let (click, found) = click(query);
        assert_eq!((click.ip_of_caller, found.into_iter().collect()), (of_caller, flags), "{query}");
        assert_eq!(click.user_ip().is_none(), of_caller || click.ip.is_none(), "{query}");
    }
    let bare = LinkEdge { ip: None, user_agent: None, ..link_edge() };
    let flags: Vec<Flag> = engage("iOS", "", &bare).1.into_iter().collect();
    assert_eq!(flags, [Flag::IpMissing, Flag::UaMissing]);
}

#[test]
fn click_time() {
    let check = |written: &str, millis: i64, flag: Option<Flag>| {
        let (click, flags) = click(&format!("click_time={written}"));
        assert_eq!((click.time, flags.into_iter().next()), (Timestamp(millis), flag), "{written}");
    };
    check("1760000000", 1_760_000_000_000, None);
    check("1760000000123", 1_760_000_000_123, None);
    check("", RECEIVED * 1000, None);
    check("{time}", RECEIVED * 1000, None);
    check("soon", RECEIVED * 1000, Some(Flag::TimeInvalid));
    check("5", RECEIVED * 1000, Some(Flag::TimeBefore2008));
    check("1900000000", RECEIVED * 1000, Some(Flag::TimeFuture));
    let edge = LinkEdge { accept_click_time: false, ..link_edge() };
    let (click, _) = engage("iOS", "click_time=1760000000", &edge);
    assert_eq!(click.time, edge.received);
    assert_eq!(click.params, [("click_time".to_owned(), "1760000000".to_owned())]);
}

#[test]
fn refused_tracking_drops_the_idfa_everywhere() {
    let md5 = "358f3cc563911c41542fa3394787f529";
    let check = |query: &str, secret: &str, is_dropped: bool| {
        let (click, flags) = click(query);
        let everything = format!("{click:?}");
        assert_eq!(!occurs(secret, &everything), is_dropped, "{query}: {everything}");
        assert_eq!(flags.contains(&Flag::IdfaDroppedAttFalse), is_dropped, "{query}");
        assert!(everything.contains("site-1"), "{query}: the rest stays");
    };
    let bare = IDFA.replace('-', "");
    let encoded = IDFA.replace('-', "%2D");
    check(&format!("idfa={IDFA}&site_id=site-1&att=0"), IDFA, true);
    check(&format!("idfa={IDFA}&site_id=site-1&att=false"), IDFA, true);
    check(&format!("idfa={IDFA}&site_id=site-1&att=1"), IDFA, false);
    check(&format!("idfa={IDFA}&site_id=site-1"), IDFA, false);
    check(&format!("device_id={IDFA}&site_id=site-1&att=0"), IDFA, true);
    check(&format!("device_id={IDFA}&device_id_type=idfa&site_id=site-1&att=0"), IDFA, true);
    check(&format!("idfa={IDFA}&cp_1=x{bare}y&site_id=site-1&att=0"), IDFA, true);
    check(&format!("idfa={encoded}&cp_1={encoded}&site_id=site-1&att=0"), IDFA, true);
    check(&format!("idfa={IDFA}&click_id={bare}&{bare}=1&site_id=site-1&att=0"), IDFA, true);
    check(&format!("idfa={IDFA}&idfa=other&site_id=site-1&att=0"), IDFA, true);
    check(&format!("idfa={IDFA}&device_ua={IPHONE}{IDFA}&site_id=site-1&att=0"), IDFA, true);
    check(
        &format!("device_id={md5}&device_id_type=idfa&device_id_is_hashed=true&site_id=site-1&att=0"),
        md5,
        true,
    );
    check(&format!("device_id={md5}&device_id_type=adid&site_id=site-1&att=0"), md5, false);
}
