use uuid::Uuid;

use super::*;
use crate::{
    AppId, InstallId,
    event::Event,
    identifier::{IdKind, Identifier},
    input::Input,
    install::Install,
    link::IdentityLink,
    platform::Traits,
    source::SourceKind,
};

const NOW: Timestamp = Timestamp(1_760_000_000_000);

/// An origin by what it has: `d` device id, `a` advertising id, `i` address, `p` an Apple device, `t` its ATT
/// flag.
fn origin_of(parts: &str) -> Origin {
    let has = |part| parts.contains(part);
    let mut origin = Origin {
        kochava_device_id: has('d').then(|| "d-1".to_owned()),
        identifiers: Vec::new(),
        ip: has('i').then(|| "203.0.113.9".parse().unwrap()),
        traits: Traits { os: has('p').then_some(Os::Ios), ..Traits::default() },
        ..Origin::default()
    };
    if has('a') {
        let id = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed";
        origin.identifiers.extend(Identifier::new(IdKind::named("adid"), id));
    }
    origin.consent.att.flag = has('t').then_some(true);
    origin
}

fn fact(n: u128, payload: Payload, flags: &[Flag], outcome: Outcome) -> Fact {
    Fact {
        sequence: 1,
        input: Input {
            id: InputId(Uuid::from_u128(n)),
            received: Timestamp(NOW.millis() - 2 * HOUR_MS),
            app: AppId(1),
            catalogue: 1,
            key: None,
            body_hash: [0; 16],
            body: String::new(),
            flags: flags.iter().copied().collect(),
            payload,
            via: Via { kind: SourceKind::S2s, source: None },
        },
        outcomes: vec![outcome],
    }
}

fn event(parts: &str) -> Payload {
    Payload::Event(Event { origin: origin_of(parts), ..Event::default() })
}

fn install(parts: &str) -> Payload {
    Payload::Install(Install { origin: origin_of(parts), ..Install::default() })
}

fn held() -> Outcome {
    Outcome::Held { suppressed: Vec::new() }
}

fn linked(n: u128) -> Outcome {
    Outcome::Applied { input: InputId(Uuid::from_u128(n)), install: InstallId(Uuid::from_u128(99)) }
}

fn verdicts(facts: &[Fact]) -> Vec<String> {
    let mut health = Health::default();
    facts.iter().for_each(|fact| health.take(fact, NOW));
    health.verdicts(|_| "backend".to_owned())
}

fn check(facts: &[Fact], expected: &[&str]) {
    assert_eq!(verdicts(facts), expected);
}

fn good_install() -> Fact {
    fact(1, install("dai"), &[], linked(1))
}

#[test]
fn nothing_at_all() {
    check(&[], &["nothing was received"]);
}

#[test]
fn what_is_complete_gives_no_verdict() {
    check(&[fact(2, event("dai"), &[], linked(2)), good_install()], &[]);
}

#[test]
fn events_that_carry_nothing_to_join_by() {
    let event = fact(2, event("i"), &[Flag::NoIdentifier], linked(2));
    check(
        &[event, good_install()],
        &["events from `backend` carry no device identifier: none can be linked"],
    );
}

#[test]
fn half_of_the_events() {
    let bad = fact(2, event("i"), &[Flag::NoIdentifier], linked(2));
    let good = fact(3, event("di"), &[], linked(3));
    check(
        &[bad, good, good_install()],
        &["50 % of events from `backend` carry no device identifier: none can be linked"],
    );
}

#[test]
fn installs_that_can_only_be_matched_one_way() {
    check(
        &[fact(1, install("d"), &[Flag::UaMissing], linked(1))],
        &[
            "installs from `backend` carry no advertising or vendor identifier: they can only be matched by likeness",
            "installs from `backend` carry no IP address: they can only be matched by identifier",
            "installs from `backend` carry neither `device_ua` nor `device_ver`: they can only be matched by identifier",
        ],
    );
}

#[test]
fn the_att_flag_is_asked_of_apple_devices_only() {
    let without = "installs from `backend` carry no App Tracking Transparency flag: their IDFA is dropped";
    check(&[fact(1, install("daip"), &[], linked(1))], &[without]);
    check(&[fact(1, install("daipt"), &[], linked(1))], &[]);
    check(&[fact(1, install("dai"), &[], linked(1))], &[]);
}

const CLOCKS: &str = "events from `backend` come from clocks that are off: times ahead are cut to receipt, those \
                      of senders that tell when they sent are corrected";

#[test]
fn times_and_clocks() {
    check(
        &[fact(2, event("di"), &[Flag::TimeMissing], linked(2)), good_install()],
        &["events from `backend` carry no usable time: the time of receipt stands for it"],
    );
    check(&[fact(2, event("di"), &[Flag::TimeFuture], linked(2)), good_install()], &[CLOCKS]);
    check(&[fact(2, event("di"), &[Flag::ClockCorrected], linked(2)), good_install()], &[CLOCKS]);
}

#[test]
fn what_never_joins_is_told_of_and_what_joined_later_is_not() {
    let waits = fact(2, event("di"), &[], held());
    let sentence = "events from `backend` found no install within an hour: their install was not sent, or under other identifiers";
    check(&[waits.clone(), good_install()], &[sentence]);
    // Newest first: the install that released it comes before it.
    check(&[fact(1, install("dai"), &[], linked(2)), waits.clone()], &[]);
    let mut young = waits;
    young.input.received = NOW;
    check(&[young, good_install()], &[]);
}

#[test]
fn events_without_any_install() {
    check(
        &[fact(2, event("di"), &[], linked(2))],
        &["no install was received: events can only join installs of earlier times"],
    );
}

#[test]
fn sources_are_told_apart() {
    let mut health = Health::default();
    let mut other = fact(2, event("i"), &[Flag::NoIdentifier], linked(2));
    other.input.via = Via { kind: SourceKind::Segment, source: None };
    health.take(&other, NOW);
    health.take(&good_install(), NOW);
    let said = health.verdicts(|via| via.kind.name().to_owned());
    assert_eq!(said, ["events from `segment` carry no device identifier: none can be linked"]);
    assert_eq!(health.rows.len(), 2);
}

#[test]
fn an_integration_is_complete_or_says_what_is_missing() {
    let none = Flags::default();
    assert_eq!(incomplete(&origin_of("daipt"), &none), Vec::<String>::new());
    assert_eq!(incomplete(&origin_of("dai"), &none), Vec::<String>::new());
    let missing = incomplete(&origin_of("p"), &[Flag::UaMissing, Flag::TimeMissing].into());
    assert_eq!(missing.len(), 6, "{missing:?}");
}

#[test]
fn each_identifier_is_asked_of_the_system_that_has_it() {
    let check = |parts: &str, os: Option<Os>, expected: &[(&str, bool)]| {
        let mut origin = origin_of(parts);
        origin.traits.os.clone_from(&os);
        let mut health = Health::default();
        health.take(&fact(1, Payload::Event(Event { origin, ..Event::default() }), &[], held()), NOW);
        let row = health.rows.values().next().unwrap();
        let asked = ["idfa", "idfv", "adid", "android_id"];
        let told = row.missing.iter().filter(|(part, _)| asked.contains(&part.name()));
        let told: Vec<(&str, bool)> = told.map(|(part, share)| (part.name(), share.part > 0)).collect();
        assert_eq!(told, expected, "{parts} on {os:?}");
    };
    check("a", Some(Os::Android), &[("adid", false), ("android_id", true)]);
    check("a", Some(Os::FireOs), &[("android_id", true)]);
    check("d", Some(Os::Ios), &[("idfa", true), ("idfv", true)]);
    check("a", None, &[]);
}

#[test]
fn links_are_asked_what_they_join_by() {
    let link = |id: Option<&str>| {
        let link = IdentityLink { kochava_device_id: id.map(str::to_owned), ..IdentityLink::default() };
        fact(2, Payload::Link(link), &[], linked(2))
    };
    let sentence = "50 % of identity links from `backend` carry no device identifier: none can be linked";
    check(&[link(None), link(Some("d-1")), good_install()], &[sentence]);
}

#[test]
fn what_never_joins_is_counted_by_what_it_looks_for() {
    let mut health = Health::default();
    for n in 2..5 {
        health.take(&fact(n, event("d"), &[], held()), NOW);
    }
    health.take(&fact(5, event("a"), &[], held()), NOW);
    let row = health.rows.values().next().unwrap();
    assert_eq!((row.unjoined, row.strangers()), (Share { of: 4, part: 4 }, 2));
}

#[test]
fn what_was_not_taken_has_its_row() {
    let via = Via { kind: SourceKind::Segment, source: None };
    let mut health = Health::default();
    health.quarantined(via, "event", NOW);
    health.refused(via, "event", 3);
    let row = &health.rows[&(via, "event")];
    assert_eq!((row.accepted, row.quarantined, row.refused, row.last_seen), (0, 1, 3, Some(NOW)));
}
