//! Fraud rules in the write path: what they bar, what they are told, and what a restart keeps.

use std::{collections::BTreeMap, sync::Arc};

use measure::{
    AppId, NetworkId, TrackerId,
    catalogue::Entry,
    fraud::{Blocked, Finding, FraudSettings, Listing, Mode, Rule, Scope, Threshold, Verification},
    input::{Input, Outcome, Payload},
    policy::AppPolicy,
    postback::{DeliveryState, TriggerKind},
};
use store::DeliveryQuery;

use super::world::{APP, World, adid, at, click, install, origin, plain, trigger};
use crate::{Machine, replay};

fn on(rules: &[(Rule, Mode)], thresholds: &[(Threshold, u64)]) -> FraudSettings {
    FraudSettings {
        modes: rules.iter().copied().collect(),
        thresholds: thresholds.iter().copied().collect(),
        blocklist: true,
        ..FraudSettings::default()
    }
}

fn world_with(scope: Scope, settings: FraudSettings) -> World {
    let mut world = World::new();
    world.set(vec![Entry::Fraud(scope, settings)]);
    world
}

fn restart(world: &mut World) {
    world.machine = Machine::open(world.store.clone(), world.catalogue.clone()).unwrap();
}

/// The winner and what became of the others: `device_id 2; 1 rejected:…`.
fn words(world: &World, install: &Input) -> String {
    let decision = world.decision(install);
    let losers = decision
        .candidates
        .iter()
        .filter_map(|candidate| Some(format!("{} {}", candidate.network, candidate.lost?)));
    format!("{}; {}", world.verdict(install), losers.collect::<Vec<_>>().join(", "))
}

#[test]
fn the_next_candidate_wins_when_a_rule_rejects() {
    for (mode, expected) in [
        (Mode::Reject, "device_id 2; 1 rejected:minimum_time_to_install"),
        (Mode::Flag, "device_id 1; 2 older_click"),
        (Mode::Off, "device_id 1; 2 older_click"),
    ] {
        let settings = on(&[(Rule::MinimumTimeToInstall, mode)], &[]);
        let mut world = world_with(Scope::App(APP), settings);
        let early = world.input(0, click(2, 0, plain(adid(1)), 1));
        let injected = world.input(98, click(1, 98, plain(adid(1)), 1));
        let install = world.input(100, install(100, origin(Some("d"), vec![adid(1)], 9)));
        world.take(&[early, injected, install.clone()]);
        assert_eq!(words(&world, &install), expected);
    }
}

#[test]
fn a_blocked_click_stays_on_record_with_what_caught_it() {
    let settings = on(&[(Rule::BlocklistIp, Mode::Reject)], &[]);
    let mut world = world_with(Scope::App(APP), settings);
    let listing = Listing {
        what: Blocked::Ip("203.0.113.0/25".parse().unwrap()),
        reason: "data centre".to_owned(),
        score: "90".to_owned(),
        at: at(0),
        removed: false,
    };
    world.set(vec![Entry::Blocklist(vec![listing.clone()])]);
    let blocked = world.input(0, click(1, 0, plain(adid(1)), 1));
    world.take(std::slice::from_ref(&blocked));
    // What is taken off the list later was on it when the click came.
    world.set(vec![Entry::Blocklist(vec![Listing { removed: true, ..listing }])]);
    let let_through = world.input(1, click(2, 1, plain(adid(1)), 1));
    let install = world.input(100, install(100, origin(Some("d"), vec![adid(1)], 9)));
    world.take(&[let_through, install.clone()]);
    assert_eq!(words(&world, &install), "device_id 2; 1 rejected:blocklist_ip");
    let (fact, _) = world.store.fact(blocked.id).unwrap().unwrap();
    let [Outcome::Touched { findings, .. }] = &fact.outcomes[..] else { panic!("{:?}", fact.outcomes) };
    let figures: BTreeMap<_, _> = findings[0].figures.iter().cloned().collect();
    assert_eq!((figures["ip"].as_str(), figures["reason"].as_str()), ("203.0.113.0/25", "data centre"));
}

#[test]
fn caps_go_on_after_a_restart() {
    for restarts in [false, true] {
        let settings = on(&[(Rule::FrequencyCap, Mode::Reject)], &[(Threshold::CappedClicks, 2)]);
        let mut world = world_with(Scope::Tracker(TrackerId(1)), settings);
        let caught: Vec<bool> = (0..4)
            .map(|n| {
                let click = world.input(n, click(1, n, plain(adid(1)), 1));
                world.take(std::slice::from_ref(&click));
                if restarts {
                    restart(&mut world);
                }
                let (fact, _) = world.store.fact(click.id).unwrap().unwrap();
                let [Outcome::Touched { findings, .. }] = &fact.outcomes[..] else { panic!("{fact:?}") };
                findings.iter().any(Finding::is_caught)
            })
            .collect();
        assert_eq!(caught, [false, false, true, true], "with restarts: {restarts}");
    }
}

/// An hour with 12 clicks of network 1 and 10 of network 2, each with no install, then an install in the
/// next hour and one in the hour after.
fn flooded(world: &mut World, restarts: bool) -> Vec<String> {
    let hour = 3_600;
    // The beginning of the tests is no full hour: 08:53:20.
    let base = hour - 3_200;
    let mut inputs: Vec<Input> = Vec::new();
    for n in 0..12 {
        inputs.push(world.input(base + n, click(1, base + n, plain(adid(100 + n as u32)), 7)));
    }
    for n in 0..9 {
        inputs.push(world.input(base + 20 + n, click(2, base + 20 + n, plain(adid(200 + n as u32)), 8)));
    }
    inputs.push(world.input(base + 40, click(2, base + 40, plain(adid(1)), 8)));
    inputs.push(world.input(base + 41, click(1, base + 41, plain(adid(1)), 7)));
    for input in &inputs {
        world.take(std::slice::from_ref(input));
    }
    if restarts {
        restart(world);
    }
    let mut words_of = |seconds: i64, device: &str, id| {
        let install = world.input(seconds, install(seconds, origin(Some(device), vec![adid(id)], 9)));
        world.take(std::slice::from_ref(&install));
        if restarts {
            restart(world);
        }
        words(world, &install)
    };
    let open = words_of(base + 60, "a", 1);
    let closed = words_of(base + hour, "b", 100);
    let over = words_of(base + 2 * hour, "c", 101);
    vec![open, closed, over]
}

#[test]
fn ratios_are_those_of_the_last_closed_hour_also_after_a_restart() {
    for restarts in [false, true] {
        let thresholds = [(Threshold::FloodingClicks, 12), (Threshold::FloodingInstalls, 100_000)];
        let settings = on(&[(Rule::ClickFlooding, Mode::Reject)], &thresholds);
        let mut world = world_with(Scope::Network(NetworkId(1)), settings);
        assert_eq!(
            flooded(&mut world, restarts),
            ["device_id 1; 2 older_click", "organic; 1 rejected:click_flooding", "device_id 1; "],
            "with restarts: {restarts}"
        );
    }
}

#[test]
fn a_decision_holds_the_figures_it_was_given() {
    let settings = on(&[(Rule::HighVolumeIp, Mode::Flag)], &[(Threshold::IpClicks, 10)]);
    let mut world = world_with(Scope::App(APP), settings);
    flooded(&mut world, false);
    let facts = world.store.facts(1, 1_000).unwrap();
    let install = facts.iter().rev().nth(1).map(|fact| fact.input.clone()).unwrap();
    let decision = world.decision(&install);
    let figures = decision.figures.values().next().unwrap();
    assert_eq!((figures.ip_clicks, figures.network.clicks), (13, 13));
    assert_eq!(decision.candidates[0].fraud.len(), 1);
    assert!(decision.candidates[0].fraud[0].is_caught());
    assert!(decision.candidates[0].lost.is_none());
}

#[test]
fn postbacks_about_failed_traffic_are_withheld_where_the_tracker_says_so() {
    for (deliver, mode, sent, withheld) in
        [(true, Mode::Flag, 2, 0), (false, Mode::Flag, 0, 2), (false, Mode::Off, 2, 0)]
    {
        let triggers =
            vec![trigger(1, TriggerKind::Click, Some(1)), trigger(2, TriggerKind::Install, Some(1))];
        let mut world = World::with(AppPolicy::default(), triggers);
        let mut verification = Verification { enabled: true, ..Verification::default() };
        verification.fail_action.deliver_postback = deliver;
        verification.lists.insert("platform_in".to_owned(), vec!["iOS".to_owned()]);
        let settings =
            FraudSettings { verification: Some(verification), ..on(&[(Rule::Verification, mode)], &[]) };
        world.set(vec![Entry::Fraud(Scope::Tracker(TrackerId(1)), settings)]);
        let click = world.input(0, click(1, 0, plain(adid(1)), 1));
        let install = world.input(100, install(100, origin(Some("d"), vec![adid(1)], 9)));
        world.take(&[click, install.clone()]);
        assert_eq!(world.verdict(&install), "device_id 1");
        let query = DeliveryQuery { limit: 10, ..DeliveryQuery::default() };
        let deliveries = world.store.deliveries(&query).unwrap();
        assert!(deliveries.iter().all(|delivery| delivery.state == DeliveryState::Pending));
        let tally = world.tally();
        let suppressed = tally.get("Suppressed(\"traffic_failed\")").copied().unwrap_or_default();
        assert_eq!((deliveries.len(), suppressed), (sent, withheld), "{deliver} {mode:?}");
        assert_eq!(tally["Due"], 2);
    }
}

#[test]
fn a_rejected_click_is_told_to_nobody() {
    for (mode, sent) in [(Mode::Reject, 0), (Mode::Flag, 1)] {
        let mut world = World::with(AppPolicy::default(), vec![trigger(1, TriggerKind::Click, Some(1))]);
        let mut verification = Verification { enabled: true, ..Verification::default() };
        verification.lists.insert("platform_in".to_owned(), vec!["iOS".to_owned()]);
        let settings =
            FraudSettings { verification: Some(verification), ..on(&[(Rule::Verification, mode)], &[]) };
        world.set(vec![Entry::Fraud(Scope::Tracker(TrackerId(1)), settings)]);
        let click = world.input(0, click(1, 0, plain(adid(1)), 1));
        world.take(&[click]);
        let query = DeliveryQuery { limit: 10, ..DeliveryQuery::default() };
        assert_eq!(world.store.deliveries(&query).unwrap().len(), sent, "{mode:?}");
        let tally = world.tally();
        let withheld = tally.get("Suppressed(\"traffic_failed\")").copied().unwrap_or_default();
        assert_eq!((tally["Due"], withheld), (1, i64::from(sent == 0)), "{mode:?}");
    }
}

#[test]
fn a_replay_sees_the_same_fraud() {
    let thresholds = [
        (Threshold::FloodingClicks, 12),
        (Threshold::FloodingInstalls, 100_000),
        (Threshold::CappedClicks, 1),
        (Threshold::StackedSeconds, 60),
    ];
    let rules = [
        (Rule::ClickFlooding, Mode::Reject),
        (Rule::FrequencyCap, Mode::Flag),
        (Rule::AdStacking, Mode::Reject),
    ];
    let mut world = world_with(Scope::App(APP), on(&rules, &thresholds));
    flooded(&mut world, true);
    let into: Arc<dyn store::Store> = Arc::new(store::Memory::default());
    replay(world.store.as_ref(), &into).unwrap();
    let last = world.store.last_sequence().unwrap();
    let facts = world.store.facts(1, usize::MAX).unwrap();
    assert_eq!(into.last_sequence().unwrap(), last);
    assert_eq!(into.facts(1, usize::MAX).unwrap(), facts);
    let installs = facts.iter().filter(|fact| matches!(fact.input.payload, Payload::Install(_)));
    for fact in installs {
        let id = fact.input.id.into();
        assert_eq!(into.install(APP, id).unwrap(), world.store.install(APP, id).unwrap());
    }
    assert!(world.store.figures().unwrap().iter().any(|(app, _)| *app == AppId(1)));
}

/// A cap that nobody had set when the first clicks came: whether the server was started again since or not, they
/// count for nothing, and a replay says the same.
#[test]
fn what_came_before_a_cap_counts_for_nothing_after_a_restart_either() {
    for restarts in [false, true] {
        let mut world = World::new();
        let early = [0, 1].map(|n| world.input(n, click(1, n, plain(adid(1)), 1)));
        world.take(&early);
        let capped = on(&[(Rule::FrequencyCap, Mode::Reject)], &[(Threshold::CappedClicks, 2)]);
        world.set(vec![Entry::Fraud(Scope::App(APP), capped)]);
        if restarts {
            restart(&mut world);
        }
        let third = world.input(2, click(1, 2, plain(adid(1)), 1));
        let install = world.input(100, install(100, origin(Some("d"), vec![adid(1)], 9)));
        world.take(&[third, install.clone()]);
        assert_eq!(words(&world, &install), "device_id 1; 1 duplicate_only, 1 duplicate_only");
        let into: Arc<dyn store::Store> = Arc::new(store::Memory::default());
        replay(world.store.as_ref(), &into).unwrap();
        assert_eq!(into.facts(1, 100).unwrap(), world.store.facts(1, 100).unwrap(), "restarts: {restarts}");
    }
}
