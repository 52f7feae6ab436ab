//! What is known of a device is what was said last, in whatever order it comes (DECISIONS 4, 13, 16).

use measure::{
    consent::{Att, Consent},
    device::{Device, Origin},
    event::Value,
    identifier::{IdKind, Identifier},
    input::{Input, Outcome, Payload},
    link::IdentityLink,
    policy::AppPolicy,
    postback::{Trigger, TriggerKind},
    user::{Operation, Property},
};
use proptest::prelude::*;
use store::DeliveryQuery;

use super::world::{World, event, install, link, origin, trigger, update};

fn idfa() -> Identifier {
    Identifier::new(IdKind::Idfa, "7C9E6679-7425-40DE-944B-E07FC1F90AE7").unwrap()
}

fn idfv() -> Identifier {
    Identifier::new(IdKind::Idfv, "3D5F0B1E-6C2A-4F0E-9B7A-1C2D3E4F5A6B").unwrap()
}

fn ads(allowed: bool) -> Consent {
    Consent { ad_user_data: Some(allowed), ..Consent::default() }
}

fn att(flag: bool) -> Consent {
    Consent { att: Att { flag: Some(flag), ..Att::default() }, ..Consent::default() }
}

/// Device `d`, with an IDFA where the user allows it.
fn with(consent: Consent) -> Origin {
    let identifiers = if consent.att.flag == Some(true) { vec![idfa()] } else { Vec::new() };
    Origin { consent, ..origin(Some("d"), identifiers, 1) }
}

fn linked(mut install: Payload, user: &str) -> Payload {
    if let Payload::Install(install) = &mut install {
        install.links = vec![("user_id".to_owned(), user.to_owned())];
    }
    install
}

/// A trigger on events that renders `url`, and sends nothing of users who refuse.
fn told(url: &str) -> Trigger {
    let mut trigger = trigger(9, TriggerKind::Event, None);
    trigger.context = vec![
        ("cpi_mostback_url".to_owned(), Value::Text(format!("https://partner.example.com/{url}"))),
        ("sx_consent".to_owned(), Value::Bool(true)),
    ];
    trigger
}

/// What was queued for an event, `consent` where the user refuses.
fn outcome(world: &World, event: &Input) -> String {
    let query = DeliveryQuery { limit: 100, ..DeliveryQuery::default() };
    let all = world.store.deliveries(&query).unwrap();
    if let Some(delivery) = all.iter().find(|delivery| delivery.conversion == event.id) {
        return delivery.request.url.rsplit('/').next().unwrap().to_owned();
    }
    let facts = world.store.facts(1, 1_000).unwrap();
    let outcomes = facts.iter().flat_map(|fact| &fact.outcomes);
    let linked = outcomes
        .filter(|outcome| matches!(outcome, Outcome::EventLinked { input, .. } if *input == event.id));
    linked.flat_map(Outcome::suppressed).next().map_or("nothing", |pair| pair.reason.name()).to_owned()
}

fn names(device: &Device) -> Vec<&str> {
    device.links.iter().map(|(_, value)| value.as_str()).collect()
}

/// An event of `second` that says `said`, received before or after an install of second 100 that says the
/// `other`, and then a silent event: what becomes of that.
fn after(said: Consent, second: i64, is_held: bool, other: Consent) -> (String, Device) {
    let mut world = World::with(AppPolicy::default(), vec![told("{idfa}")]);
    let said = world.input(if is_held { 200 } else { 220 }, event(second, "A", with(said)));
    let install = world.input(210, install(100, with(other)));
    let silent = world.input(230, event(230, "B", with(Consent::default())));
    let first = if is_held { [said, install] } else { [install, said] };
    world.take(&first);
    world.take(std::slice::from_ref(&silent));
    (outcome(&world, &silent), world.device("d").unwrap())
}

#[test]
fn the_newest_word_on_advertising_stands() {
    for held in [true, false] {
        for (second, said, installed, expected) in [
            (90, true, false, "consent"),
            (110, true, false, ""),
            (90, false, true, ""),
            (110, false, true, "consent"),
        ] {
            let (outcome, _) = after(ads(said), second, held, ads(installed));
            assert_eq!(outcome, expected, "{said} at {second}, held: {held}");
        }
    }
}

#[test]
fn the_newest_word_on_tracking_stands() {
    let idfa = idfa().value;
    for held in [true, false] {
        for (second, said, installed, expected, kept) in [
            (90, false, true, idfa.as_str(), true),
            (110, false, true, "", false),
            (90, true, false, "", false),
        ] {
            let (outcome, device) = after(att(said), second, held, att(installed));
            assert_eq!(outcome, expected, "{said} at {second}, held: {held}");
            assert_eq!(device.identifier("idfa").is_some(), kept, "{said} at {second}, held: {held}");
            assert_eq!(
                device.consent.att.flag,
                Some(said == (second > 100)),
                "{said} at {second}, held: {held}"
            );
        }
    }
}

/// What an event allowed is over once the user has refused.
#[test]
fn an_event_of_before_a_refusal_is_told_no_more() {
    let mut world = World::with(AppPolicy::default(), vec![told("{kochava_device_id}{idfa}")]);
    let install = world.input(10, install(10, with(Consent { ad_user_data: Some(true), ..att(false) })));
    let late = world.input(20, event(5, "A", with(att(true))));
    let refusing = world.input(30, event(30, "B", with(ads(false))));
    let later = world.input(40, event(25, "C", with(ads(true))));
    let newer = world.input(50, event(35, "D", with(ads(true))));
    world.take(&[install, late.clone(), refusing.clone(), later.clone(), newer.clone()]);
    assert_eq!(outcome(&world, &late), "d");
    assert_eq!(outcome(&world, &refusing), "consent");
    assert_eq!(outcome(&world, &later), "consent");
    assert_eq!(outcome(&world, &newer), "d");
}

#[test]
fn a_held_link_gives_way_to_what_was_received_after_it() {
    let user = Operation::Set("user_id".to_owned(), Property::one(Value::Text("OLD".to_owned())));
    let traits = Payload::Link(IdentityLink {
        kochava_device_id: Some("d".to_owned()),
        user: vec![user.clone(), Operation::ClearAll, user],
        ..IdentityLink::default()
    });
    for held in [link(Some("d"), vec![], "OLD"), traits] {
        for (received, expected) in [(10, "NEW"), (20, "NEW")] {
            let mut world = World::with(AppPolicy::default(), vec![told("{identity.user_id}")]);
            let held = world.input(received, held.clone());
            let install = world.input(20, linked(install(5, with(Consent::default())), "NEW"));
            let event = world.input(30, event(30, "A", with(Consent::default())));
            world.take(&[held, install, event.clone()]);
            assert_eq!(names(&world.device("d").unwrap()), [expected]);
            assert_eq!(outcome(&world, &event), expected);
        }
        let mut world = World::new();
        let install = world.input(20, linked(install(5, with(Consent::default())), "OLDEST"));
        let direct = world.input(20, held);
        world.take(&[install, direct]);
        assert_eq!(names(&world.device("d").unwrap()), ["OLD"], "what comes later replaces");
    }
}

#[test]
fn a_held_link_tells_what_nobody_told_since() {
    let mut world = World::new();
    let held = [1, 2].map(|second| world.input(second, link(Some("d"), vec![], &format!("u-{second}"))));
    let install = world.input(20, install(5, with(Consent::default())));
    world.take(&held);
    world.take(&[install]);
    assert_eq!(names(&world.device("d").unwrap()), ["u-2"]);
}

#[test]
fn an_update_held_from_before_a_refusal_brings_no_idfa() {
    let mut world = World::new();
    let held = world.input(1, update("d", vec![idfa(), idfv()]));
    let refusing = world.input(3, install(2, with(att(false))));
    world.take(&[held, refusing]);
    let device = world.device("d").unwrap();
    assert_eq!((device.identifier("idfa"), device.consent.att.flag), (None, Some(false)));
    assert!(device.identifier("idfv").is_some());
}

/// One statement of a generated day: at a second, by an event or by another install of the device.
#[derive(Clone, Debug)]
struct Statement {
    second: i64,
    installs: bool,
    att: Option<bool>,
    ads: Option<bool>,
}

fn statements() -> impl Strategy<Value = Vec<Statement>> {
    let flag = || proptest::option::of(any::<bool>());
    let one = (0..12_i64, any::<bool>(), flag(), flag());
    proptest::collection::vec(one, 1..8).prop_map(|all| {
        let of = |(second, installs, att, ads)| Statement { second, installs, att, ads };
        all.into_iter().map(of).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_arrival_never_decides_what_is_allowed(
        (statements, order) in statements().prop_flat_map(|statements| {
            let places: Vec<usize> = (0..statements.len()).collect();
            (Just(statements), Just(places).prop_shuffle())
        }),
    ) {
        let (mut sorted, mut shuffled) = (World::new(), World::new());
        let mut inputs: Vec<Input> = statements
            .iter()
            .map(|said| {
                let consent = Consent { ad_user_data: said.ads, ..said.att.map(att).unwrap_or_default() };
                let payload = if said.installs {
                    install(said.second, with(consent))
                } else {
                    event(said.second, "A", with(consent))
                };
                sorted.input(300, payload)
            })
            .collect();
        let arrivals: Vec<Input> = order.into_iter().filter_map(|place| inputs.get(place).cloned()).collect();
        let first = sorted.input(300, install(0, with(Consent::default())));
        inputs.insert(0, first.clone());
        sorted.take(&inputs);
        shuffled.take(&arrivals);
        shuffled.take(&[first]);
        let essence = |world: &World| {
            let device = world.device("d").unwrap();
            (device.consent.att.flag, device.consent.ad_user_data, device.identifier("idfa").map(str::to_owned))
        };
        prop_assert_eq!(essence(&sorted), essence(&shuffled));
    }
}
