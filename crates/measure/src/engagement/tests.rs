use uuid::Uuid;

use super::*;

fn key(ip: &str) -> IpKey {
    IpKey::from(ip.parse::<IpAddr>().expect("an address"))
}

fn click() -> Engagement {
    Engagement {
        kind: EngagementKind::Click,
        time: Timestamp(1_800_000_000_000),
        tracker: TrackerId(3),
        network: NetworkId(4),
        campaign: CampaignId(5),
        segment: SegmentId(6),
        identifiers: vec![
            plain("adid", "7C9E6679-7425-40DE-944B-E07FC1F90AE7"),
            plain("mac", "AA:BB:CC:00:11:22"),
        ],
        ip: "203.0.113.24".parse().ok(),
        user_agent: Some("ExampleBrowser/1".to_owned()),
        traits: Traits { os: Some(Os::Android), ..Traits::default() },
        att: Att::default(),
        click_id: Some("c-1".to_owned()),
        site_id: None,
        sub_site_id: None,
        creative_id: None,
        params: Vec::new(),
        query: String::new(),
        place: Place::default(),
        ip_of_caller: false,
    }
}

fn plain(kind: &str, value: &str) -> LinkIdentifier {
    LinkIdentifier::Plain(Identifier::new(IdKind::named(kind), value).expect("a usable identifier"))
}

fn hashed(kind: &str, digest: &str) -> LinkIdentifier {
    LinkIdentifier::Hashed(IdKind::named(kind), Digest::parse(digest).expect("a digest"))
}

#[test]
fn ipv4_counts_whole() {
    assert_eq!(key("203.0.113.24").0.to_string(), "203.0.113.24");
    assert_ne!(key("203.0.113.24"), key("203.0.113.25"));
}

#[test]
fn ipv4_inside_ipv6_is_ipv4() {
    assert_eq!(key("::ffff:203.0.113.24"), key("203.0.113.24"));
    assert_ne!(key("::ffff:203.0.113.24"), key("::ffff:203.0.113.25"));
}

#[test]
fn ipv6_counts_by_its_first_64_bits() {
    assert_eq!(key("2001:db8:1:2:3:4:5:6").0.to_string(), "2001:db8:1:2::");
    assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
}

#[test]
fn the_content_key_covers_what_the_decisions_name() {
    type Change = fn(&mut Engagement);
    let changes: [(&str, Change); 6] = [
        ("tracker", |click| click.tracker = TrackerId(30)),
        ("network", |click| click.network = NetworkId(30)),
        ("click id", |click| click.click_id = Some("c-2".to_owned())),
        ("identifiers", |click| click.identifiers.truncate(1)),
        ("address", |click| click.ip = None),
        ("user agent", |click| click.user_agent = None),
    ];
    for (what, change) in changes {
        let mut other = click();
        change(&mut other);
        assert_ne!(other.content_key(), click().content_key(), "{what}");
    }
}

#[test]
fn the_content_key_covers_nothing_else() {
    type Change = fn(&mut Engagement);
    let changes: [(&str, Change); 4] = [
        ("time", |click| click.time = Timestamp(1)),
        ("parameters", |click| click.params = vec![("cp_0".to_owned(), "1".to_owned())]),
        ("order of identifiers", |click| click.identifiers.reverse()),
        ("writing of identifiers", |click| {
            click.identifiers[0] = plain("adid", "7c9e6679742540de944be07fc1f90ae7");
        }),
    ];
    for (what, change) in changes {
        let mut other = click();
        change(&mut other);
        assert_eq!(other.content_key(), click().content_key(), "{what}");
    }
}

#[test]
fn parts_of_the_content_key_do_not_run_into_each_other() {
    let with = |click_id: &str, user_agent: &str| {
        let mut click = click();
        click.identifiers.clear();
        click.ip = None;
        click.click_id = Some(click_id.to_owned());
        click.user_agent = Some(user_agent.to_owned());
        click.content_key()
    };
    assert_ne!(with("ab", "c"), with("a", "bc"));
}

#[test]
fn a_hashed_identifier_is_not_a_plain_one() {
    let digest = "358f3cc563911c41542fa3394787f529";
    let (mut one, mut other) = (click(), click());
    one.identifiers = vec![plain("adid", digest)];
    other.identifiers = vec![hashed("adid", digest)];
    assert_ne!(one.content_key(), other.content_key());
}

#[test]
fn a_click_is_found_by_everything_it_carries() {
    let id = TouchId(Uuid::from_u128(9));
    let mut click = click();
    click.identifiers = vec![
        plain("adid", "a1b2"),
        hashed("adid", "358F3CC563911C41542FA3394787F529"),
        plain("adid", "A1-B2"),
    ];
    let adid = Identifier::new(IdKind::Adid, "a1b2").expect("a usable identifier");
    let digest = Digest::parse("358f3cc563911c41542fa3394787f529").expect("a digest");
    let mut expected = vec![
        MatchKey::Identifier(Fingerprint::from(&adid)),
        MatchKey::Digest(digest),
        MatchKey::Click(id),
        MatchKey::Modeled(key("203.0.113.24"), Os::Android),
    ];
    expected.sort_unstable();
    assert_eq!(click.match_keys(id, Addresses::default()), expected);
}

#[test]
fn without_address_or_system_it_is_not_found_as_modeled() {
    let id = TouchId(Uuid::from_u128(9));
    let modeled = |click: &Engagement| {
        click.match_keys(id, Addresses::default()).iter().any(|key| matches!(key, MatchKey::Modeled(..)))
    };
    assert!(modeled(&click()));
    assert!(!modeled(&Engagement { ip: None, ..click() }));
    assert!(!modeled(&Engagement { traits: Traits::default(), ..click() }));
}

#[test]
fn the_address_of_a_server_is_nobodys() {
    let id = TouchId(Uuid::from_u128(9));
    let all = Addresses { whole: true, partial: true };
    let by_address = |click: &Engagement| {
        let keys = click.match_keys(id, all);
        keys.iter()
            .filter(|key| matches!(key, MatchKey::Modeled(..) | MatchKey::Address(_) | MatchKey::Range(_)))
            .count()
    };
    let of_server = Engagement { ip_of_caller: true, ..click() };
    assert_eq!((by_address(&click()), by_address(&of_server)), (3, 0));
    let touch = of_server.touch(id, Timestamp(7));
    assert_eq!((touch.ip, touch.ip_of_caller), (None, true));
    assert_eq!(of_server.content_key(), click().content_key(), "ties are broken as ever");
}

#[test]
fn a_touch_keeps_what_a_decision_needs() {
    let click = click();
    let touch = click.touch(TouchId(Uuid::from_u128(9)), Timestamp(7));
    assert_eq!((touch.time, touch.received), (click.time, Timestamp(7)));
    assert_eq!(touch.ip, Some(key("203.0.113.24")));
    assert_eq!((touch.identifiers, touch.content_key), (click.identifiers.clone(), click.content_key()));
}

#[test]
fn addresses_alone_are_keys_only_where_used() {
    let check = |ip: &str, whole: bool, partial: bool, expected: &[MatchKey]| {
        let found: Vec<_> = key(ip).keys(Addresses { whole, partial }).collect();
        assert_eq!(found, expected, "{ip}");
    };
    let whole = |ip| MatchKey::Address(key(ip));
    check("203.0.113.24", false, false, &[]);
    check("203.0.113.24", true, false, &[whole("203.0.113.24")]);
    check("203.0.113.24", true, true, &[whole("203.0.113.24"), MatchKey::Range([203, 0, 113])]);
    check("::ffff:203.0.113.24", false, true, &[MatchKey::Range([203, 0, 113])]);
    check("2001:db8::1", true, true, &[whole("2001:db8::2")]);
}
