//! What a what-if decides is what the server decided, or would have decided.

use std::{cell::Cell, collections::BTreeMap, sync::Arc};

use measure::{
    InstallId, NetworkId, Timestamp,
    attribution::Decision,
    catalogue::Entry,
    engagement::{EngagementKind, LinkIdentifier},
    fraud::{FraudSettings, Mode, Rule, Scope, Threshold},
    identifier::{DigestLength, forms},
    input::{Input, Payload},
    policy::{AppLadder, AppPolicy, FingerprintLevel, Window, Windows},
};
use proptest::prelude::*;
use store::Store;

use super::{Alteration, Plan, Progress, Range, Report, Run, WhatIfError, what_if};
use crate::tests::world::{APP, World, adid, app, at, click, hashed, install, origin, plain};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn plan(alteration: Alteration) -> Plan {
    Plan { app: APP, from: None, until: None, alteration, readers: 2 }
}

/// The app has this policy instead of its own.
fn with_policy(policy: AppPolicy) -> Alteration {
    let alter = move |entry: &mut Entry| {
        if let Entry::App(app) = entry {
            app.policy = policy;
        }
    };
    Alteration { alter: Box::new(alter), begin: Vec::new() }
}

fn asked(world: &World, plan: &Plan) -> Report {
    what_if(&world.store, plan, &|_| true).unwrap()
}

/// Decides again and gives the last decision on every install, with the report.
fn decided(world: &World, plan: &Plan) -> (BTreeMap<InstallId, Decision>, Report) {
    let last = world.store.last_sequence().unwrap();
    let newest = world.store.facts_back(last, 500).unwrap().iter().map(|fact| fact.input.received).max();
    let from = plan.from.unwrap_or(at(-1));
    let range = Range { from, until: plan.until.unwrap_or(newest.unwrap_or_default().plus(1)), last };
    let run = Run::prepare(&world.store, plan, range, &|_| true).unwrap();
    let scratch = run.scratch.clone();
    let report = run.run(&|_| true).unwrap();
    let mut state = scratch.state();
    let decisions = std::mem::take(&mut state.decisions);
    (decisions.into_iter().map(|decision| (decision.install, decision)).collect(), report)
}

/// What a decision says: everything but how often and when it was made again, which a what-if does not keep.
fn essence(decision: &Decision) -> Decision {
    Decision { revision: 0, decided: Timestamp(0), ..decision.clone() }
}

#[derive(Clone, Debug)]
enum What {
    Touch { network: u64, person: u32, form: Option<usize>, bare: bool, view: bool, ago: i64 },
    Install { person: u32, anonymous: bool, ago: i64 },
}

/// What happens, and how many seconds after what came before it.
type Steps = Vec<(i64, What)>;

fn steps() -> impl Strategy<Value = Steps> {
    let person = 0..6_u32;
    let ago = prop_oneof![4 => Just(0_i64), 1 => 1..300_i64, 1 => 300..(3 * DAY)];
    let touch =
        (1..=3_u64, person.clone(), proptest::option::of(0..12_usize), any::<bool>(), any::<bool>(), ago);
    let touch = touch.prop_map(|(network, person, form, bare, view, ago)| What::Touch {
        network,
        person,
        form,
        bare,
        view,
        ago,
    });
    let ago = prop_oneof![3 => Just(0_i64), 1 => 1..2_000_i64];
    let install = (person, any::<bool>(), ago);
    let install = install.prop_map(|(person, anonymous, ago)| What::Install { person, anonymous, ago });
    let pause = prop_oneof![3 => 1..300_i64, 1 => 300..(4 * HOUR), 1 => DAY..(9 * DAY)];
    proptest::collection::vec((pause, prop_oneof![3 => touch, 2 => install]), 1..40)
}

fn policies() -> impl Strategy<Value = AppPolicy> {
    let window = || {
        proptest::option::of(prop_oneof![
            Just(Window::Disabled),
            Just(Window::Seconds(3_600)),
            Just(Window::Seconds(86_400 * 5))
        ])
    };
    let level =
        proptest::option::of(prop_oneof![Just(FingerprintLevel::IpOnly), Just(FingerprintLevel::IpRange)]);
    let switch = || proptest::option::of(any::<bool>());
    let windows = (window(), window(), window(), window());
    (windows, level, switch(), switch(), switch(), window()).prop_map(
        |((device, modeled, view, ip), level, single_use, refuse, first, equalizer)| AppPolicy {
            modeled_single_use: single_use,
            windows: Windows {
                click_device: device,
                click_modeled: modeled,
                impression_modeled: view,
                click_ip: ip,
                ..Windows::default()
            },
            ladder: AppLadder {
                fingerprint_level: level,
                refuse_ambiguous: refuse,
                device_impressions_first: first,
                equalizer,
                ..AppLadder::default()
            },
            ..AppPolicy::default()
        },
    )
}

fn rules() -> impl Strategy<Value = FraudSettings> {
    let mode = || prop_oneof![Just(Mode::Off), Just(Mode::Flag), Just(Mode::Reject)];
    (mode(), mode(), mode()).prop_map(|(soon, many, capped)| FraudSettings {
        modes: [
            (Rule::MinimumTimeToInstall, soon),
            (Rule::ClickFlooding, many),
            (Rule::FrequencyCap, capped),
        ]
        .into(),
        thresholds: [
            (Threshold::MinimumSeconds, 100),
            (Threshold::FloodingClicks, 2),
            (Threshold::FloodingInstalls, 60_000),
            (Threshold::CappedClicks, 2),
        ]
        .into(),
        ..FraudSettings::default()
    })
}

/// Two people share each address; a person installs once.
fn inputs(world: &mut World, steps: &Steps) -> Vec<Input> {
    let mut installed = std::collections::BTreeSet::new();
    let ip = |person: u32| u8::try_from(person / 2).unwrap();
    let mut now = 0;
    let mut inputs = Vec::new();
    for (pause, what) in steps {
        now += pause;
        let payload = match what {
            What::Touch { network, person, form, bare, view, ago } => {
                let identifiers: Vec<LinkIdentifier> = match form {
                    _ if *bare => Vec::new(),
                    None => plain(adid(*person)),
                    Some(form) => hashed(forms(&adid(*person).value, DigestLength::Md5).remove(*form).1),
                };
                let mut payload = click(*network, now - ago, identifiers, ip(*person));
                if let (true, Payload::Engagement(engagement)) = (view, &mut payload) {
                    engagement.kind = EngagementKind::Impression;
                }
                payload
            }
            What::Install { person, anonymous, ago } => {
                if !installed.insert(*person) {
                    continue;
                }
                let identifiers = if *anonymous { vec![] } else { vec![adid(*person)] };
                install(now - ago, origin(Some(&format!("p{person}")), identifiers, ip(*person)))
            }
        };
        inputs.push(world.input(now, payload));
    }
    inputs
}

fn recorded(world: &World, inputs: &[Input]) -> BTreeMap<InstallId, Decision> {
    let installs = inputs.iter().filter(|input| matches!(input.payload, Payload::Install(_)));
    installs.map(|input| (input.id.into(), essence(&world.decision(input)))).collect()
}

fn essences(decisions: BTreeMap<InstallId, Decision>) -> BTreeMap<InstallId, Decision> {
    decisions.iter().map(|(id, decision)| (*id, essence(decision))).collect()
}

proptest! {
    #[test]
    fn with_nothing_changed_every_decision_comes_out_as_recorded(
        steps in steps(),
        policy in policies(),
        later in proptest::option::of(policies()),
        rules in proptest::option::of(rules()),
        from in proptest::option::of(0..40_usize),
        until in proptest::option::of(0..40_usize),
    ) {
        let mut world = World::with(policy, Vec::new());
        if let Some(rules) = rules {
            world.set(vec![Entry::Fraud(Scope::App(APP), rules)]);
        }
        let half = steps.len() / 2;
        let all = inputs(&mut world, &steps);
        let (early, late) = all.split_at(half.min(all.len()));
        world.take(early);
        let mut late = late.to_vec();
        if let Some(later) = later {
            world.set(vec![Entry::App(app(later))]);
            for input in &mut late {
                input.catalogue = world.catalogue.version;
            }
        }
        world.take(&late);
        let receipt = |place: Option<usize>| place.and_then(|place| all.get(place)).map(|input| input.received);
        let (from, until) = (receipt(from), receipt(until));
        let plan = Plan { from, until, ..plan(Alteration::default()) };
        let (decisions, report) = decided(&world, &plan);
        prop_assert_eq!(report.altered, 0, "{:?}", report.changes);
        prop_assert_eq!(&report.before, &report.after);
        if until.is_none() {
            let mut expected = recorded(&world, &all);
            let since = |id: &InstallId| from.is_none_or(|from| {
                all.iter().any(|input| InstallId::from(input.id) == *id && input.received >= from)
            });
            expected.retain(|id, _| since(id));
            prop_assert_eq!(report.installs, expected.len() as u64);
            let mut decisions = essences(decisions);
            decisions.retain(|id, _| since(id));
            prop_assert_eq!(decisions, expected);
        }
    }

    #[test]
    fn what_would_be_is_what_comes_of_those_settings(steps in steps(), is in policies(), would_be in policies()) {
        let mut world = World::with(is, Vec::new());
        let mut other = World::with(would_be, Vec::new());
        let all = inputs(&mut world, &steps);
        world.take(&all);
        other.take(&all);
        let (decisions, report) = decided(&world, &plan(with_policy(would_be)));
        prop_assert_eq!(essences(decisions), recorded(&other, &all));
        let differ = |input: &&Input| {
            let [is, would_be] = [&world, &other].map(|world| {
                let decision = world.decision(input);
                decision.winner().map(|winner| (winner.touch, winner.basis.clone()))
            });
            is != would_be
        };
        let installs = all.iter().filter(|input| matches!(input.payload, Payload::Install(_)));
        prop_assert_eq!(report.altered, installs.filter(differ).count() as u64);
        prop_assert_eq!(report.changes.len() as u64, report.altered);
    }
}

#[test]
fn a_shorter_window_loses_what_lies_outside_it() {
    let mut world = World::new();
    let old = world.input(0, click(1, 0, vec![], 1));
    let new = world.input(4 * DAY, click(2, 4 * DAY, vec![], 2));
    let one = world.input(5 * DAY, install(5 * DAY, origin(Some("one"), vec![], 1)));
    let two = world.input(5 * DAY + 1, install(5 * DAY + 1, origin(Some("two"), vec![], 2)));
    world.take(&[old, new, one.clone(), two]);
    let window = Some(Window::Seconds(3 * 86_400));
    let windows = Windows { click_modeled: window, ..Windows::default() };
    let report = asked(&world, &plan(with_policy(AppPolicy { windows, ..AppPolicy::default() })));
    assert_eq!((report.installs, report.altered), (2, 1));
    let [change] = report.changes.as_slice() else { panic!("{report:?}") };
    assert_eq!(change.install, one.id.into());
    assert_eq!((change.was_class, change.was_network), ("modeled", Some(NetworkId(1))));
    assert_eq!(change.winner, None);
    let lost = change.former.as_ref().and_then(|former| former.lost);
    assert_eq!(lost.map(|lost| lost.name()), Some("outside_window"));
    let networks = |pairs: &[(Option<u64>, u64)]| -> BTreeMap<_, _> {
        pairs.iter().map(|(network, n)| (network.map(NetworkId), *n)).collect()
    };
    assert_eq!(report.before.networks, networks(&[(Some(1), 1), (Some(2), 1)]));
    assert_eq!(report.after.networks, networks(&[(None, 1), (Some(2), 1)]));
    assert_eq!(report.after.classes, BTreeMap::from([("modeled", 1), ("organic", 1)]));
    assert_eq!((report.after.sure.likely, report.after.sure.organic), (1, 1));
}

#[test]
fn a_rule_that_nobody_had_can_be_tried() {
    let mut world = World::new();
    let injected = world.input(0, click(1, 0, plain(adid(1)), 1));
    let install = world.input(5, install(5, origin(Some("d"), vec![adid(1)], 1)));
    world.take(&[injected, install]);
    let rules = FraudSettings {
        modes: [(Rule::MinimumTimeToInstall, Mode::Reject)].into(),
        ..FraudSettings::default()
    };
    let begin = vec![Entry::Fraud(Scope::App(APP), rules)];
    let report = asked(&world, &plan(Alteration { begin, ..Alteration::default() }));
    assert_eq!(report.altered, 1);
    let lost = report.changes[0].former.as_ref().and_then(|former| former.lost);
    assert_eq!(lost.map(|lost| lost.name()), Some("rejected:minimum_time_to_install"));
}

#[test]
fn installs_before_the_time_keep_what_they_were_credited_with() {
    let mut world = World::new();
    let click = world.input(0, click(1, 0, vec![], 1));
    let one = world.input(100, install(100, origin(Some("one"), vec![], 1)));
    let two = world.input(200, install(200, origin(Some("two"), vec![], 1)));
    world.take(&[click, one, two.clone()]);
    let single = || with_policy(AppPolicy { modeled_single_use: Some(true), ..AppPolicy::default() });
    let report = asked(&world, &Plan { from: Some(at(150)), ..plan(single()) });
    assert_eq!((report.installs, report.altered), (1, 1));
    assert_eq!(report.changes[0].install, two.id.into());
    let lost = report.changes[0].former.as_ref().and_then(|former| former.lost);
    assert_eq!(lost.map(|lost| lost.name()), Some("already_credited"));
    assert_eq!((report.before.sure.shared, report.after.sure.shared), (1, 0));
}

#[test]
fn the_time_must_lie_in_the_record_and_a_watcher_may_stop() {
    let mut world = World::new();
    let install = world.input(100, install(100, origin(Some("d"), vec![], 1)));
    world.take(&[install]);
    let early = Plan { from: Some(at(99)), ..plan(Alteration::default()) };
    let refused = what_if(&world.store, &early, &|_| true);
    assert!(matches!(refused, Err(WhatIfError::TooEarly(earliest)) if earliest == at(100)), "{refused:?}");
    let stopped = what_if(&world.store, &plan(Alteration::default()), &|_| false);
    assert!(matches!(stopped, Err(WhatIfError::Stopped)), "{stopped:?}");
    let last = Cell::new(None);
    let watch = |progress: Progress| {
        last.set(Some(progress));
        true
    };
    what_if(&world.store, &plan(Alteration::default()), &watch).unwrap();
    assert_eq!(last.get(), Some(Progress { done: 1, of: 1, installs: 1 }));
    let nothing = World::new();
    assert_eq!(asked(&nothing, &plan(Alteration::default())).installs, 0);
}

#[test]
fn nothing_is_written() {
    let mut world = World::with(AppPolicy::default(), Vec::new());
    let click = world.input(0, click(1, 0, plain(adid(1)), 1));
    let install = world.input(100, install(100, origin(Some("d"), vec![adid(1)], 1)));
    world.take(&[click, install.clone()]);
    let faulty = Arc::new(store::Faulty::new(store::Memory::new()));
    let record: Arc<dyn Store> = faulty.clone();
    crate::replay(world.store.as_ref(), &record).unwrap();
    faulty.close();
    let windows = Windows { click_device: Some(Window::Disabled), ..Windows::default() };
    let off = with_policy(AppPolicy { windows, ..AppPolicy::default() });
    assert_eq!(what_if(&record, &plan(off), &|_| true).unwrap().altered, 1);
    assert_eq!(record.facts(1, 10).unwrap(), world.store.facts(1, 10).unwrap());
    assert_eq!(record.tally().unwrap(), world.store.tally().unwrap());
}

/// The cut at the newest 256 of a key, and the note that there were more.
#[test]
fn crowds_are_cut_as_in_the_record() {
    let mut world = World::new();
    let mut all: Vec<Input> =
        (0..300).map(|n| world.input(n, click(1 + n as u64 % 3, n, vec![], 1))).collect();
    all.push(world.input(400, install(400, origin(Some("d"), vec![], 1))));
    world.take(&all);
    let (decisions, report) = decided(&world, &plan(Alteration::default()));
    assert_eq!(report.kept, 300);
    let decisions = essences(decisions);
    assert!(decisions.values().all(|decision| decision.more && decision.candidates.len() == 64));
    assert_eq!(decisions, recorded(&world, &all));
}
