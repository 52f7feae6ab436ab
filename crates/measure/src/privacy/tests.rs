use proptest::prelude::*;

use super::*;
use crate::{
    NetworkId, Timestamp, TrackerId,
    attribution::Basis,
    engagement::EngagementKind,
    event::Value,
    flag::Flags,
    fraud::{Mode, Rule, Verdict},
    identifier::{IdKind, matching_form},
    input::{IdempotencyKey, Suppressed},
    install::{ClickReference, ClickReferenceKind},
    platform::Os,
    policy::Level,
    postback::{Attempt, DeliveryState, Earlier, Method, Suppression},
};

const APP: AppId = AppId(1);
const ADID: &str = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed";
const OTHER: &str = "7c9e6679-7425-40de-944b-000000000001";
const KOCHAVA: &str = "KA-4711-device";

fn adid(value: &str) -> Identifier {
    Identifier { kind: IdKind::Adid, value: value.to_owned() }
}

fn subject() -> Subject {
    Subject {
        identifiers: vec![adid(ADID)],
        kochava_ids: vec![KOCHAVA.to_owned()],
        links: vec![("email".to_owned(), "sam@example.com".to_owned())],
        devices: vec![(APP, DeviceId(uuid::Uuid::from_u128(7)), install_id(7))],
        ..Subject::default()
    }
}

fn search() -> Search {
    Search::new(Some(APP), &subject())
}

const fn install_id(n: u128) -> InstallId {
    InstallId(uuid::Uuid::from_u128(n))
}

fn origin(identifier: Option<&str>, kochava: Option<&str>) -> Origin {
    Origin {
        kochava_device_id: kochava.map(str::to_owned),
        identifiers: identifier.map(adid).into_iter().collect(),
        ip: Some(std::net::IpAddr::from([203, 0, 113, 9])),
        user_agent: Some("Pixel 8 Pro agent".to_owned()),
        traits: Traits {
            os: Some(Os::Android),
            os_version: Some("14".to_owned()),
            model: Some("Pixel 8".to_owned()),
        },
        country: Some("DE".to_owned()),
        app_version: Some("1.2".to_owned()),
        ..Origin::default()
    }
}

fn click(identifiers: Vec<LinkIdentifier>, query: &str) -> Payload {
    Payload::Engagement(Engagement {
        kind: EngagementKind::Click,
        time: Timestamp(5),
        tracker: TrackerId(3),
        network: NetworkId(77),
        campaign: crate::CampaignId(4),
        segment: crate::SegmentId(5),
        identifiers,
        ip: Some(std::net::IpAddr::from([203, 0, 113, 9])),
        user_agent: Some("Pixel 8 Pro agent".to_owned()),
        traits: Traits::default(),
        att: Att::default(),
        click_id: Some("partner-click".to_owned()),
        site_id: Some("s-9".to_owned()),
        sub_site_id: None,
        creative_id: Some("banner".to_owned()),
        params: vec![("cp_0".to_owned(), "x".to_owned())],
        query: query.to_owned(),
        place: crate::place::Place::default(),
        ip_of_caller: false,
    })
}

fn event(origin: Origin, note: &str) -> Payload {
    Payload::Event(Event {
        origin,
        time: Timestamp(5),
        name: "Purchase".to_owned(),
        amount: Some("9.90".parse().unwrap()),
        currency: Some("EUR".to_owned()),
        params: vec![("note".to_owned(), Value::Text(note.to_owned()))],
        plain: None,
        extra: Vec::new(),
    })
}

fn install(origin: Origin) -> Payload {
    let click = ClickReference {
        kind: ClickReferenceKind::InstallReferrer,
        written: "clk_1".to_owned(),
        touch: None,
        raw: "utm_source=clk_1&cid=partner-click".to_owned(),
        click_time: None,
    };
    let links = vec![("email".to_owned(), "sam@example.com".to_owned())];
    Payload::Install(Install { origin, time: Timestamp(5), click: Some(click), links, ..Install::default() })
}

fn link(kochava: Option<&str>) -> Payload {
    let links = vec![("email".to_owned(), "sam@example.com".to_owned())];
    Payload::Link(IdentityLink {
        kochava_device_id: kochava.map(str::to_owned),
        links,
        ..IdentityLink::default()
    })
}

fn fact(n: u128, payload: Payload, outcomes: Vec<Outcome>) -> Fact {
    Fact {
        sequence: 1,
        input: Input {
            id: InputId(uuid::Uuid::from_u128(n)),
            received: Timestamp(9),
            app: APP,
            catalogue: 3,
            key: Some(IdempotencyKey { source: "header".to_owned(), key: "retry-1".to_owned() }),
            body_hash: [8; 16],
            body: "{\"note\":\"as sent\"}".to_owned(),
            flags: Flags::new(),
            payload,
            via: crate::source::Via::default(),
        },
        outcomes,
    }
}

fn source() -> Source {
    Source {
        touch: None,
        kind: EngagementKind::Click,
        class: "device_id".to_owned(),
        time: Timestamp(4),
        network: NetworkId(77),
        campaign: None,
        segment: None,
        tracker: None,
        click_id: Some("partner-click".to_owned()),
        site_id: Some("s-9".to_owned()),
        sub_site_id: None,
        creative_id: None,
        params: vec![("cp_0".to_owned(), "x".to_owned())],
        query: format!("adid={ADID}"),
        reengagement: false,
    }
}

/// What one input says of the subject.
#[test]
fn whose_an_input_is() {
    let check = |what: &str, fact: Fact, owned: bool| {
        assert_eq!(search().owns(&fact), owned, "{what}");
        assert_eq!(search().finds(&fact), owned, "{what}");
    };
    let hashed = |value: &str| forms(value, DigestLength::Sha1)[5].1.clone();
    let link_id = |digest| LinkIdentifier::Hashed(IdKind::Adid, digest);
    check("plain", fact(1, event(origin(Some(ADID), None), ""), vec![]), true);
    check("other case", fact(1, event(origin(Some(&ADID.to_uppercase()), None), ""), vec![]), true);
    check("without separators", fact(1, event(origin(Some(&ADID.replace('-', "")), None), ""), vec![]), true);
    check("another device", fact(1, event(origin(Some(OTHER), Some("KA-other-device")), ""), vec![]), false);
    check("kochava id", fact(1, event(origin(None, Some(KOCHAVA)), ""), vec![]), true);
    check(
        "kochava id of another case",
        fact(1, event(origin(None, Some("ka-4711-DEVICE")), ""), vec![]),
        false,
    );
    check("a click", fact(1, click(vec![LinkIdentifier::Plain(adid(ADID))], ""), vec![]), true);
    check("a hashed click", fact(1, click(vec![link_id(hashed(ADID))], ""), vec![]), true);
    check("a stranger's hash", fact(1, click(vec![link_id(hashed(OTHER))], ""), vec![]), false);
    check("in a query", fact(1, click(vec![], &format!("cp_3={}", ADID.to_uppercase())), vec![]), true);
    check("in a parameter", fact(1, event(origin(None, None), &format!("id {ADID}!")), vec![]), true);
    check(
        "a stranger's parameter",
        fact(1, event(origin(None, None), &format!("id {OTHER}!")), vec![]),
        false,
    );
    check(
        "an update",
        fact(
            1,
            Payload::Update(Update { kochava_device_id: KOCHAVA.to_owned(), ..Update::default() }),
            vec![],
        ),
        true,
    );
    check("a link", fact(1, link(Some(KOCHAVA)), vec![]), true);
    let mut body = fact(1, link(Some("KA-other-device")), vec![]);
    check("a stranger's link", body.clone(), false);
    body.input.body = "{\"mail\":\"SAM@example.com\"}".to_owned();
    check("in a body", body, true);
    check("its own install", fact(7, install(origin(None, None)), vec![]), true);
    let outcome = |input: u128, install: u128| {
        let linked =
            Outcome::Applied { input: InputId(uuid::Uuid::from_u128(input)), install: install_id(install) };
        fact(1, link(Some("KA-other-device")), vec![linked])
    };
    check("joined to its install", outcome(1, 7), true);
    check("joined to a stranger's", outcome(1, 8), false);
    check(
        "a duplicate",
        fact(1, install(origin(None, None)), vec![Outcome::DuplicateInstall { install: install_id(7) }]),
        true,
    );
    let elsewhere = Fact {
        input: Input { app: AppId(2), ..fact(1, event(origin(Some(ADID), None), ""), vec![]).input },
        ..fact(1, link(None), vec![])
    };
    check("another app", elsewhere.clone(), false);
    assert!(Search::new(None, &subject()).owns(&elsewhere), "all apps");
}

/// What a stranger's input brought about for the subject's install is cleaned, the input stays.
#[test]
fn a_strangers_input_stays() {
    let redecided = Outcome::Redecided {
        install: install_id(7),
        revision: 1,
        source: Some(source()),
        suppressed: vec![],
    };
    let mut fact = fact(1, event(origin(Some(OTHER), None), "mine"), vec![redecided]);
    let before = fact.clone();
    assert!(!search().owns(&fact) && search().finds(&fact));
    search().erase(&mut fact);
    assert_eq!(fact.input, before.input);
    let Outcome::Redecided { source: Some(left), .. } = &fact.outcomes[0] else { panic!("{fact:?}") };
    assert_eq!((left.click_id.as_deref(), left.query.as_str(), left.params.len()), (None, "", 0));
    assert_eq!((left.network, left.site_id.as_deref()), (NetworkId(77), Some("s-9")));
}

/// What counts stays: kind, times, places, amounts, countries, and which postbacks were not sent.
#[test]
fn what_counts_stays() {
    let suppressed = vec![Suppressed { trigger: crate::TriggerId(1), reason: Suppression::Inactive }];
    let linked = Outcome::EventLinked {
        input: InputId(uuid::Uuid::from_u128(1)),
        install: install_id(7),
        source: Some(source()),
        suppressed: suppressed.clone(),
        installed: None,
        decision: None,
    };
    let mut fact = fact(1, event(origin(Some(ADID), Some(KOCHAVA)), "mine"), vec![linked]);
    search().erase(&mut fact);
    let Payload::Event(event) = &fact.input.payload else { panic!("{fact:?}") };
    assert_eq!(
        (event.name.as_str(), event.amount, event.currency.as_deref()),
        ("Purchase", "9.90".parse().ok(), Some("EUR"))
    );
    assert_eq!((event.origin.country.as_deref(), &event.origin.traits.os), (Some("DE"), &Some(Os::Android)));
    assert_eq!((fact.input.received, event.time, fact.sequence), (Timestamp(9), Timestamp(5), 1));
    assert_eq!(fact.outcomes[0].suppressed(), suppressed);
    assert!(fact.input.flags.contains(&Flag::Erased));
}

/// What a link cost stays, and nothing else of what it carried.
#[test]
fn prices_stay() {
    let check = |query: &[(&str, &str)], left: &[(&str, &str)]| {
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let mut fact = fact(1, click(vec![LinkIdentifier::Plain(adid(ADID))], ""), vec![]);
        if let Payload::Engagement(engagement) = &mut fact.input.payload {
            engagement.params = pairs(query);
        }
        search().erase(&mut fact);
        let Payload::Engagement(engagement) = &fact.input.payload else { panic!("{fact:?}") };
        assert_eq!(engagement.params, pairs(left));
    };
    check(
        &[("bid_type", "CPC"), ("cp_0", "x"), ("bid_won", "0.1")],
        &[("bid_type", "CPC"), ("bid_won", "0.1")],
    );
    check(&[("bid_type", ADID), ("bid_won", "0.1")], &[]);
    check(&[("bid_type", "CPC"), ("bid_won", ADID)], &[]);
}

fn known(id: &str) -> Device {
    Device {
        id: DeviceId(uuid::Uuid::from_u128(7)),
        app: APP,
        kochava_ids: vec![],
        identifiers: vec![adid(id)],
        consent: Consent::default(),
        traits: Traits::default(),
        install: install_id(7),
        installed: Timestamp(0),
        install_received: Timestamp(0),
        source: None,
        links: vec![],
        claims: vec![],
        user: UserProperties::default(),
        last_session: None,
        seen_events: Default::default(),
        said: Default::default(),
    }
}

#[test]
fn a_device_is_meant_by_digest_or_link() {
    let device = |id: &str, links: &[(&str, &str)]| Device {
        links: links.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..known(id)
    };
    let of = |digests, links: &[(&str, &str)]| Subject {
        digests,
        links: links.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..Subject::default()
    };
    for length in [DigestLength::Md5, DigestLength::Sha1, DigestLength::Sha256] {
        for (_, digest) in forms(ADID, length) {
            assert!(of(vec![digest.clone()], &[]).means(&device(ADID, &[])));
            assert!(!of(vec![digest], &[]).means(&device(OTHER, &[])));
        }
    }
    let mail = [("email", "sam@example.com")];
    assert!(of(vec![], &mail).means(&device(OTHER, &mail)));
    assert!(!of(vec![], &mail).means(&device(OTHER, &[("user", "sam@example.com")])));
    assert!(!of(vec![], &[]).means(&device(ADID, &mail)));
}

/// A link that was found and not asked for is looked for where it is nobody else's.
#[test]
fn links_found_are_told_from_those_of_others() {
    let device = |n: u128, links: &[(&str, &str)]| Device {
        id: DeviceId(uuid::Uuid::from_u128(n)),
        install: install_id(n),
        links: links.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..known(OTHER)
    };
    let own = [("email", "Sam@example.com"), ("plan", "standard"), ("short", "pro")];
    let mut subject = Subject::default();
    subject.add_device(&device(7, &own));
    assert!(!subject.needs_all_devices() && !subject.means(&device(8, &own)), "they lead to no device");
    let mut others = Others::of(&subject);
    others.see(&subject, &device(7, &own));
    others.see(&subject, &device(8, &[("mail", "sam@example.com")]));
    (20..31).for_each(|n| others.see(&subject, &device(n, &[("plan", "Standard plus"), ("short", "pro")])));
    others.settle(&mut subject);
    assert_eq!(subject.others, [(APP, install_id(8))]);

    let search = Search::new(Some(APP), &subject);
    let check = |what: &str, install: Option<u128>, note: &str, owned: bool| {
        let applied =
            |n| Outcome::Applied { input: InputId(uuid::Uuid::from_u128(1)), install: install_id(n) };
        let fact = fact(1, event(origin(None, None), note), install.map(applied).into_iter().collect());
        assert_eq!(search.owns(&fact), owned, "{what}");
        let sent = Delivery {
            install: install.map(install_id),
            ..delivery(&format!("https://partner.example.com/?{note}"))
        };
        assert_eq!(search.finds_delivery(&sent, &BTreeSet::new()), owned, "{what}: the postback");
    };
    check("nobody's", None, "for sam@example.com", true);
    check("a stranger's", Some(9), "for sam@example.com", true);
    check("of one who has the same address", Some(8), "for sam@example.com", false);
    check("what many have", None, "standard", false);
    let named = Subject { links: vec![("email".to_owned(), "sam@example.com".to_owned())], ..subject };
    let theirs = fact(8, event(origin(None, None), "for sam@example.com"), vec![]);
    assert!(!search.owns(&theirs) && Search::new(None, &named).owns(&theirs), "a link that was asked for");
}

#[test]
fn an_erased_delivery_says_where_it_went_and_how_that_ended() {
    let check = |url: &str, expected: &str| {
        let mut delivery = delivery(url);
        delivery.earlier = vec![earlier(url)];
        erase_delivery(&mut delivery);
        assert_eq!(delivery.request.url, expected, "{url}");
        assert_eq!((delivery.request.body.as_str(), delivery.request.method), ("", Method::Post));
        assert_eq!(
            (delivery.attempts[0].status, delivery.attempts[0].response.as_str()),
            (Some(200), "[erased]")
        );
        assert!(is_erased(&delivery));
        assert_eq!(delivery.earlier[0].request, delivery.request, "what was sent before as well");
        let before = delivery.clone();
        erase_delivery(&mut delivery);
        assert_eq!(delivery, before, "twice is once");
    };
    check("https://partner.example.com/pb?d=1", "https://partner.example.com/[erased]");
    check("https://partner.example.com", "https://partner.example.com/[erased]");
    check("http://me:secret@partner.example.com:8080/x/1?y", "http://partner.example.com:8080/[erased]");
    check("https://partner.example.com?d=1", "https://partner.example.com/[erased]");
    check("nonsense", "nonsense/[erased]");
}

fn earlier(url: &str) -> Earlier {
    Earlier { first: 1, last: 1, trigger_version: 1, request: delivery(url).request }
}

fn delivery(url: &str) -> Delivery {
    Delivery {
        id: crate::DeliveryId(uuid::Uuid::from_u128(1)),
        app: APP,
        trigger: crate::TriggerId(1),
        trigger_version: 1,
        conversion: InputId(uuid::Uuid::from_u128(1)),
        install: Some(install_id(8)),
        revision: 0,
        network: None,
        request: Request {
            method: Method::Post,
            url: url.to_owned(),
            body: "b".to_owned(),
            ..Request::default()
        },
        state: DeliveryState::Delivered,
        reason: None,
        created: Timestamp(0),
        due: Timestamp(0),
        attempts_allowed: 3,
        attempts: vec![Attempt {
            number: 1,
            started: Timestamp(1),
            elapsed_ms: 3,
            status: Some(200),
            error: None,
            response: "thanks for the device".to_owned(),
            connect_ms: None,
            headers: vec![("x-device".to_owned(), ADID.to_owned())],
        }],
        sent_as: None,
        attempts_before: 0,
        planned_paused: false,
        earlier: vec![],
    }
}

#[test]
fn whose_a_delivery_is() {
    let check = |delivery: Delivery, inputs: &[u128], found: bool| {
        let inputs = inputs.iter().map(|n| InputId(uuid::Uuid::from_u128(*n))).collect();
        assert_eq!(search().finds_delivery(&delivery, &inputs), found, "{delivery:?}");
    };
    let plain = || {
        let mut plain = delivery("https://partner.example.com/pb");
        plain.attempts[0].headers.clear();
        plain
    };
    check(plain(), &[], false);
    check(delivery("https://partner.example.com/pb"), &[], true);
    let mut sent = plain();
    sent.request.headers.push(("X-User".to_owned(), "sam@example.com".to_owned()));
    check(sent, &[], true);
    let mut encoded = plain();
    encoded.request.url.push_str("?user=sam%40example.com");
    check(encoded, &[], true);
    let mut remade = plain();
    remade.earlier = vec![earlier("https://partner.example.com/pb?user=sam%40example.com")];
    check(remade, &[], true);
    check(plain(), &[1], true);
    check(Delivery { install: Some(install_id(7)), ..plain() }, &[], true);
    check(delivery(&format!("https://partner.example.com/{}", ADID.replace('-', ""))), &[], true);
    check(Delivery { app: AppId(2), install: Some(install_id(7)), ..plain() }, &[1], false);
    let mut echoed = plain();
    echoed.attempts[0].response = format!("unknown device {ADID}");
    check(echoed, &[], true);
}

#[test]
fn tombstones_depend_on_salt_and_key() {
    let keys = keys_of(&adid(ADID));
    assert_eq!(keys.len(), 1 + 12 + 12 + 4);
    let hash = |salt: u8, key: &JoinKey| tombstone(&[salt; 32], key);
    let all: BTreeSet<_> = keys.iter().flat_map(|key| [hash(1, key), hash(2, key)]).collect();
    assert_eq!(all.len(), keys.len() * 2);
    // Every writing of the identifier leads to the same one.
    let shouted = JoinKey::from(&adid(&ADID.to_uppercase().replace('-', "")));
    assert!(keys.iter().any(|key| hash(1, key) == hash(1, &shouted)));
}

#[test]
fn short_values_are_compared_but_not_searched_for() {
    let short = Subject { kochava_ids: vec!["ab1".to_owned()], ..Subject::default() };
    let search = Search::new(None, &short);
    assert!(search.owns(&fact(1, link(Some("ab1")), vec![])));
    assert!(!search.occurs_in("grab1t"));
}

fn payloads() -> impl Strategy<Value = Payload> {
    let id = prop_oneof![Just(ADID.to_owned()), Just(ADID.to_uppercase()), Just(ADID.replace('-', ""))];
    (id, 0..7_u8, any::<bool>()).prop_map(|(id, kind, named)| {
        let origin = origin(Some(&id), named.then_some(KOCHAVA));
        match kind {
            0 => click(vec![LinkIdentifier::Plain(adid(&id))], &format!("adid={id}&click_id=partner-click")),
            1 => {
                let digest = forms(&id, DigestLength::Md5)[3].1.clone();
                assert!(matching_form(ADID, &digest).is_some() || !id.contains('-'));
                click(
                    vec![LinkIdentifier::Plain(adid(&id)), LinkIdentifier::Hashed(IdKind::Adid, digest)],
                    "",
                )
            }
            2 => install(origin),
            3 => event(origin, &format!("device {id}, {KOCHAVA}, sam@example.com")),
            4 => Payload::Update(Update {
                kochava_device_id: KOCHAVA.to_owned(),
                identifiers: vec![adid(&id)],
                ..Update::default()
            }),
            5 => link(Some(KOCHAVA)),
            _ => event(origin, ""),
        }
    })
}

proptest! {
    /// Whatever told of the subject, nothing of it is left, and erasing again changes nothing.
    #[test]
    fn nothing_that_tells_of_the_subject_is_left(payload in payloads(), in_body in any::<bool>()) {
        let linked = Outcome::EventLinked { input: InputId(uuid::Uuid::from_u128(1)), install: install_id(7), source: Some(source()), suppressed: vec![], installed: None, decision: None };
        let mut fact = fact(1, payload, vec![linked]);
        if in_body {
            fact.input.body = format!("{{\"device_ids\":{{\"adid\":\"{ADID}\"}},\"kochava_device_id\":\"{KOCHAVA}\"}}");
        }
        prop_assert!(search().owns(&fact));
        search().erase(&mut fact);
        let text = format!("{fact:?}").to_lowercase();
        for told in [ADID, &ADID.replace('-', ""), &KOCHAVA.to_lowercase(), "sam@example.com", "203.0.113", "pixel", "partner-click", "retry-1"] {
            prop_assert!(!text.contains(told), "{told} in {text}");
        }
        prop_assert!(traces(&fact.input.payload).iter().all(|key| *key == JoinKey::kochava("")));
        let once = fact.clone();
        search().erase(&mut fact);
        prop_assert_eq!(fact, once);
    }
}

#[test]
fn a_decision_names_the_engagement_that_is_erased_with_it() {
    let mut subject = Subject::default();
    let touch = TouchId(uuid::Uuid::from_u128(3));
    let candidate = |lost| Candidate {
        touch: Some(touch),
        kind: EngagementKind::Click,
        basis: Basis::Modeled,
        rank: 4,
        network: NetworkId(77),
        campaign: None,
        segment: None,
        tracker: None,
        time: Timestamp(0),
        age_ms: 0,
        window: crate::policy::Window::Disabled,
        window_from: Level::App,
        flags: Flags::new(),
        content_key: 1,
        lost,
        fraud: vec![],
        site: None,
    };
    let decision = |lost| Decision {
        app: APP,
        install: install_id(7),
        revision: 0,
        decided: Timestamp(0),
        catalogue: 1,
        candidates: vec![candidate(lost)],
        more: false,
        ambiguous: false,
        flags: Flags::new(),
        figures: std::collections::BTreeMap::new(),
        reported: None,
    };
    subject.add_decision(&decision(Some(crate::attribution::LosingReason::OutsideWindow)));
    assert_eq!(subject.touches, []);
    subject.add_decision(&decision(None));
    assert_eq!(subject.touches, [touch]);
    assert!(Search::new(Some(APP), &subject).owns(&fact(3, click(vec![], ""), vec![])));
}

#[test]
fn a_value_is_found_however_it_is_written() {
    let search = search();
    for (text, found) in [
        ("for sam@example.com!", true),
        ("?c=SAM%40example.com", true),
        ("c=s%61m%40example%2ecom&d=1", true),
        ("?url=https%3A%2F%2Fshop.example%2F%3Fuser%3Dsam%2540example.com", true),
        (r#"{"note":"sam\u0040example.com"}"#, true),
        (r#"{"data":"{\"note\":\"sam@example\u002ecom\"}"}"#, true),
        ("?c=kim%40example.com", false),
        (r"sam\example.com \", false),
        ("100%", false),
        ("%%%%%%%%", false),
        (r"\u00\uzzzz\ud800", false),
    ] {
        assert_eq!(search.occurs_in(text), found, "{text}");
    }
    let named = Subject { links: vec![("name".to_owned(), "Sam Subject".to_owned())], ..Subject::default() };
    assert!(Search::new(None, &named).occurs_in("q=sam+subject&x=1"));
}

#[test]
fn what_is_kept_of_a_click_holds_no_value_either() {
    let query = "site_id=sam%40example.com&cp_1=7";
    let Payload::Engagement(mut engagement) = click(vec![], query) else { unreachable!("a click") };
    engagement.site_id = Some("sam@example.com".to_owned());
    let mut fact = fact(1, Payload::Engagement(engagement), vec![]);
    assert!(search().owns(&fact));
    search().erase(&mut fact);
    let Payload::Engagement(left) = &fact.input.payload else { unreachable!("a click") };
    assert_eq!((&left.site_id, left.creative_id.as_deref()), (&None, Some("banner")));
}

#[test]
fn what_a_rule_saw_tells_no_place_any_more() {
    let names = ["ip", "city", "state", "postal", "dma", "list", "threshold"];
    let figures = names.map(|name| (name.to_owned(), "x".to_owned())).to_vec();
    let (rule, mode, level) = (Rule::Verification, Mode::Flag, Level::Tracker);
    let mut findings = [Finding { rule, mode, level, verdict: Verdict::Caught, figures }];
    erase_findings(&mut findings);
    let left: Vec<&str> = findings[0].figures.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(left, ["list", "threshold"]);
}
