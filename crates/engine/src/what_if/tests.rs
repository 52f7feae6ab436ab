//! What a what-if decides is what the server decided, or would have decided.

use std::{cell::Cell, collections::BTreeMap, sync::Arc};

use measure::{
    InstallId, NetworkId, Timestamp, TouchId,
    attribution::Decision,
    catalogue::{AppNetwork, Entry, Network, Tracker},
    engagement::{EngagementKind, LinkIdentifier},
    flag::Flag,
    fraud::{FraudSettings, HourFigures, Mode, Rule, Scope, Threshold},
    identifier::{DigestLength, forms},
    input::{Input, Payload},
    policy::{AppLadder, AppPolicy, FingerprintLevel, Window, Windows},
    reengagement::{CoveredEvent, Reengagement},
};
use proptest::prelude::*;
use store::Store;

use super::{Alteration, Plan, Progress, Range, Report, Run, WhatIfError, table, what_if};
use crate::late::in_time;
use crate::tests::world::{
    APP, World, adid, app, at, claim, click, event, hashed, install, network, origin, plain, tracker,
};

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

/// What a decision says: everything but how often and when it was made again, and what came too late for it, which
/// a what-if does not keep.
fn essence(decision: &Decision) -> Decision {
    let candidates = in_time(decision).cloned().collect();
    Decision { revision: 0, decided: Timestamp(0), candidates, ..decision.clone() }
}

#[derive(Clone, Debug)]
enum What {
    Touch {
        network: u64,
        person: u32,
        identifier: Named,
        far: bool,
        view: bool,
        ago: i64,
    },
    Claim {
        network: u64,
        person: u32,
        identifier: Named,
        view: bool,
        ago: i64,
    },
    /// The person's first one, or one more of its device.
    Install {
        person: u32,
        anonymous: bool,
        ago: i64,
    },
    Event {
        person: u32,
    },
    Set(Box<Setting>),
}

/// How a link names a person.
#[derive(Clone, Copy, Debug)]
enum Named {
    Not,
    Plainly,
    Hashed(DigestLength, usize),
}

/// What people set on the way.
#[derive(Clone, Debug)]
enum Setting {
    App(AppPolicy),
    Network(u64, Windows),
    InApp(u64, Windows),
    Tracker(u64, Windows),
    Rules(FraudSettings),
}

/// What happens, and how many seconds after what came before it.
type Steps = Vec<(i64, What)>;

fn named() -> BoxedStrategy<Named> {
    let lengths = prop_oneof![3 => Just(DigestLength::Md5), 1 => Just(DigestLength::Sha1)];
    prop_oneof![
        2 => Just(Named::Not),
        2 => Just(Named::Plainly),
        2 => (lengths, 0..12_usize).prop_map(|(length, form)| Named::Hashed(length, form)),
    ]
    .boxed()
}

fn steps() -> BoxedStrategy<Steps> {
    let person = || 0..6_u32;
    let ago = || prop_oneof![2 => Just(0_i64), 2 => 1..700_i64, 1 => 700..(3 * DAY)];
    let touch = (1..=3_u64, person(), named(), any::<bool>(), any::<bool>(), ago());
    let touch = touch.prop_map(|(network, person, identifier, far, view, ago)| What::Touch {
        network,
        person,
        identifier,
        far,
        view,
        ago,
    });
    let claim = (1..=3_u64, person(), named(), any::<bool>(), ago());
    let claim = claim.prop_map(|(network, person, identifier, view, ago)| What::Claim {
        network,
        person,
        identifier,
        view,
        ago,
    });
    let ago = prop_oneof![3 => Just(0_i64), 1 => 1..2_000_i64];
    let install = (person(), any::<bool>(), ago);
    let install = install.prop_map(|(person, anonymous, ago)| What::Install { person, anonymous, ago });
    let event = person().prop_map(|person| What::Event { person });
    let set = settings().prop_map(|setting| What::Set(Box::new(setting)));
    let pause = prop_oneof![3 => 1..300_i64, 1 => 300..(4 * HOUR), 1 => DAY..(9 * DAY)];
    let what = prop_oneof![6 => touch, 1 => claim, 4 => install, 1 => event, 2 => set];
    proptest::collection::vec((pause, what), 1..40).boxed()
}

fn window() -> BoxedStrategy<Option<Window>> {
    proptest::option::of(prop_oneof![
        Just(Window::Disabled),
        Just(Window::Seconds(600)),
        Just(Window::Seconds(3_600)),
        Just(Window::Seconds(86_400 * 5))
    ])
    .boxed()
}

fn windows() -> BoxedStrategy<Windows> {
    let clicks = (window(), window(), window(), window());
    (clicks, window(), window())
        .prop_map(|((device, modeled, ip, partial), view, view_ip)| Windows {
            click_device: device,
            click_modeled: modeled,
            click_ip: ip,
            click_partial_ip: partial,
            impression_modeled: view,
            impression_ip: view_ip,
            ..Windows::default()
        })
        .boxed()
}

fn settings() -> BoxedStrategy<Setting> {
    prop_oneof![
        4 => policies().prop_map(Setting::App),
        1 => (1..=3_u64, windows()).prop_map(|(id, windows)| Setting::Network(id, windows)),
        1 => (1..=3_u64, windows()).prop_map(|(id, windows)| Setting::InApp(id, windows)),
        1 => (1..=3_u64, windows()).prop_map(|(id, windows)| Setting::Tracker(id, windows)),
        1 => rules().prop_map(Setting::Rules),
    ]
    .boxed()
}

fn policies() -> BoxedStrategy<AppPolicy> {
    let level =
        proptest::option::of(prop_oneof![Just(FingerprintLevel::IpOnly), Just(FingerprintLevel::IpRange)]);
    let switch = || proptest::option::of(any::<bool>());
    (windows(), level, switch(), switch(), switch(), window())
        .prop_map(|(windows, level, single_use, refuse, first, equalizer)| AppPolicy {
            modeled_single_use: single_use,
            windows,
            ladder: AppLadder {
                fingerprint_level: level,
                refuse_ambiguous: refuse,
                device_impressions_first: first,
                equalizer,
                ..AppLadder::default()
            },
            ..AppPolicy::default()
        })
        .boxed()
}

fn rules() -> BoxedStrategy<FraudSettings> {
    let mode = || prop_oneof![Just(Mode::Off), Just(Mode::Flag), Just(Mode::Reject)];
    (mode(), mode(), mode())
        .prop_map(|(soon, many, capped)| FraudSettings {
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
        .boxed()
}

/// What a world is like that nobody can try otherwise.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Whether the third tracker is one for reengagement, with events `A`.
    reengages: bool,
    /// Whether further installs of a device count, after a day.
    reprocesses: bool,
}

fn frames() -> BoxedStrategy<Frame> {
    any::<(bool, bool)>().prop_map(|(reengages, reprocesses)| Frame { reengages, reprocesses }).boxed()
}

impl Frame {
    fn policy(self, policy: AppPolicy) -> AppPolicy {
        AppPolicy { install_reprocessing_days: self.reprocesses.then_some(1), ..policy }
    }

    fn world(self, policy: AppPolicy) -> World {
        World::of(app(self.policy(policy)), self.reengagement(), Vec::new())
    }

    fn reengagement(self) -> Option<Reengagement> {
        let event = CoveredEvent { name: "A".to_owned(), clicks: true, impressions: true };
        self.reengages.then(|| Reengagement { events: vec![event] })
    }

    fn entry(self, setting: &Setting) -> Entry {
        match setting.clone() {
            Setting::App(policy) => Entry::App(app(self.policy(policy))),
            Setting::Network(id, windows) => Entry::Network(Network { windows, ..network(id) }),
            Setting::InApp(id, windows) => {
                Entry::AppNetwork(AppNetwork { app: APP, network: NetworkId(id), windows })
            }
            Setting::Tracker(id, windows) => {
                let reengagement = self.reengagement().filter(|_| id == 3);
                Entry::Tracker(Tracker { windows, reengagement, ..tracker(id) })
            }
            Setting::Rules(rules) => Entry::Fraud(Scope::App(APP), rules),
        }
    }
}

fn identifiers(person: u32, named: Named) -> Vec<LinkIdentifier> {
    match named {
        Named::Not => Vec::new(),
        Named::Plainly => plain(adid(person)),
        Named::Hashed(length, form) => hashed(forms(&adid(person).value, length).remove(form).1),
    }
}

/// Lets everything happen; `set` says what becomes of settings. Two people share each address, and an address of
/// another range is everybody's.
fn live(world: &mut World, steps: &Steps, set: impl Fn(&Setting) -> Entry) -> Vec<Input> {
    let ip = |person: u32| u8::try_from(person / 2).unwrap();
    let mut now = 0;
    let mut inputs = Vec::new();
    for (number, (pause, what)) in steps.iter().enumerate() {
        now += pause;
        let payload = match *what {
            What::Touch { network, person, identifier, far, view, ago } => {
                let mut payload = click(network, now - ago, identifiers(person, identifier), ip(person));
                if let Payload::Engagement(engagement) = &mut payload {
                    if view {
                        engagement.kind = EngagementKind::Impression;
                    }
                    if far {
                        engagement.ip = Some(std::net::IpAddr::from([198, 51, 100, 1]));
                        // One network's server tells of no address but its own.
                        engagement.ip_of_caller = network == 3;
                    }
                }
                payload
            }
            What::Claim { network, person, identifier, view, ago } => {
                let mut payload = claim(network, now - ago, adid(person), view);
                if let (Payload::Claim(claim), Named::Hashed(..)) = (&mut payload, identifier) {
                    claim.identifiers = identifiers(person, identifier);
                }
                payload
            }
            What::Install { person, anonymous, ago } => {
                let identifiers = if anonymous { vec![] } else { vec![adid(person)] };
                install(now - ago, origin(Some(&format!("p{person}-{number}")), identifiers, ip(person)))
            }
            What::Event { person } => event(now, "A", origin(None, vec![adid(person)], ip(person))),
            What::Set(ref setting) => {
                world.set(vec![set(setting)]);
                continue;
            }
        };
        let input = world.input(now, payload);
        world.take(std::slice::from_ref(&input));
        inputs.push(input);
    }
    inputs
}

/// The installs that are ones of their own.
fn installs<'i>(world: &'i World, inputs: &'i [Input]) -> impl Iterator<Item = &'i Input> {
    let installs = inputs.iter().filter(|input| matches!(input.payload, Payload::Install(_)));
    installs.filter(|input| !world.decisions(input).is_empty())
}

fn recorded(world: &World, inputs: &[Input]) -> BTreeMap<InstallId, Decision> {
    installs(world, inputs).map(|input| (input.id.into(), essence(&world.decision(input)))).collect()
}

fn essences(decisions: BTreeMap<InstallId, Decision>) -> BTreeMap<InstallId, Decision> {
    decisions.iter().map(|(id, decision)| (*id, essence(decision))).collect()
}

proptest! {
    #[test]
    fn with_nothing_changed_every_decision_comes_out_as_recorded(
        steps in steps(),
        policy in policies(),
        frame in frames(),
        from in proptest::option::of(0..40_usize),
        until in proptest::option::of(0..40_usize),
    ) {
        let mut world = frame.world(policy);
        let all = live(&mut world, &steps, |setting| frame.entry(setting));
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
    fn what_would_be_is_what_comes_of_those_settings(
        steps in steps(),
        is in policies(),
        would_be in policies(),
        frame in frames(),
    ) {
        let mut world = frame.world(is);
        let mut other = frame.world(would_be);
        let would_be = frame.policy(would_be);
        let all = live(&mut world, &steps, |setting| frame.entry(setting));
        live(&mut other, &steps, |setting| match setting {
            Setting::App(_) => Entry::App(app(would_be)),
            setting => frame.entry(setting),
        });
        let (decisions, report) = decided(&world, &plan(with_policy(would_be)));
        prop_assert_eq!(essences(decisions), recorded(&other, &all));
        let differ = |input: &&Input| {
            let [is, would_be] = [&world, &other].map(|world| {
                let decision = world.decision(input);
                decision.winner().map(|winner| (winner.touch, winner.basis.clone()))
            });
            is != would_be
        };
        prop_assert_eq!(report.altered, installs(&world, &all).filter(differ).count() as u64);
        prop_assert_eq!(report.changes.len() as u64, report.altered);
    }
}

/// Settings change, and then a late click has an install decided again under the new ones. What the record says
/// has to come out, whatever made the server look at the install again.
mod decided_again_under_other_settings {
    use super::*;

    fn comes_out(world: &World, inputs: &[Input]) {
        let (decisions, report) = decided(world, &plan(Alteration::default()));
        assert_eq!(report.altered, 0, "{:?}", report.changes);
        assert_eq!(essences(decisions), recorded(world, inputs));
    }

    /// A click of the range loses, and then the range does not count any more: nobody is left.
    #[test]
    fn when_only_losers_go() {
        let range = AppPolicy {
            windows: Windows { click_partial_ip: Some(Window::Seconds(60)), ..Windows::default() },
            ..AppPolicy::default()
        };
        let mut world = World::with(range, Vec::new());
        let near = world.input(0, click(1, 0, vec![], 2));
        let one = world.input(100, install(100, origin(Some("d"), vec![adid(1)], 1)));
        world.take(&[near, one.clone()]);
        assert_eq!(world.decision(&one).candidates.len(), 1);
        world.set(vec![Entry::App(app(AppPolicy::default()))]);
        let late = world.input(200, click(2, 50, vec![], 3));
        world.take(&[late]);
        let decision = world.decision(&one);
        assert_eq!((decision.revision, decision.candidates.len(), decision.catalogue), (1, 0, 8));
        comes_out(&world, &[one]);
    }

    /// The late click matches no install, but is hashed as nobody hashed before.
    #[test]
    fn for_a_click_that_is_nobodys() {
        for of_a_claim in [false, true] {
            let mut world = World::new();
            let old = world.input(0, click(1, 0, vec![], 1));
            let one = world.input(4_000, install(4_000, origin(Some("d"), vec![adid(1)], 1)));
            world.take(&[old, one.clone()]);
            assert_eq!(world.verdict(&one), "modeled 1");
            let short = Windows { click_modeled: Some(Window::Seconds(3_600)), ..Windows::default() };
            world.set(vec![Entry::App(app(AppPolicy { windows: short, ..AppPolicy::default() }))]);
            let foreign = hashed(forms(&adid(9).value, DigestLength::Sha256).remove(0).1);
            let mut payload = click(2, 50, foreign.clone(), 1);
            if let Payload::Engagement(engagement) = &mut payload {
                engagement.ip = None;
            }
            if of_a_claim {
                payload = claim(2, 50, adid(9), false);
            }
            if let Payload::Claim(claim) = &mut payload {
                claim.identifiers = foreign;
            }
            let late = world.input(4_100, payload);
            world.take(&[late]);
            assert_eq!(world.verdict(&one), "organic");
            comes_out(&world, &[one]);
        }
    }

    /// Nothing comes of deciding the first one again, so the second one, which shares its click, is left alone.
    #[test]
    fn but_not_for_the_sake_of_one_that_stays() {
        let mut world = World::new();
        let shared = world.input(0, click(1, 0, vec![], 1));
        let loser = world.input(1, click(2, -10, vec![], 1));
        let one = world.input(100, install(100, origin(Some("one"), vec![adid(1)], 1)));
        let two = world.input(101, install(101, origin(Some("two"), vec![], 1)));
        world.take(&[shared, loser, one.clone(), two.clone()]);
        assert!(world.decision(&two).flags.contains(&Flag::SharedClick));
        let single = AppPolicy { modeled_single_use: Some(true), ..AppPolicy::default() };
        world.set(vec![Entry::App(app(single))]);
        // A moment after the first install, so it is looked at again; but too late to be credited.
        let mut payload = click(3, 150, plain(adid(1)), 1);
        if let Payload::Engagement(engagement) = &mut payload {
            engagement.ip = None;
        }
        let late = world.input(200, payload);
        world.take(&[late]);
        assert_eq!([&one, &two].map(|input| world.decision(input).revision), [0, 0]);
        comes_out(&world, &[one, two]);
    }

    /// A length of digests that the record begins to know only after what is read of it.
    #[test]
    fn or_not_when_it_was_not_filed_under_such_digests() {
        let mut world = World::new();
        let first = world.input(0, click(1, 0, vec![], 9));
        let old = world.input(60 * DAY, click(1, 60 * DAY, vec![], 1));
        let one =
            world.input(60 * DAY + 4_000, install(60 * DAY + 4_000, origin(Some("d"), vec![adid(1)], 1)));
        let digests = |n: u32| hashed(forms(&adid(n).value, DigestLength::Md5).remove(0).1);
        let brings = world.input(61 * DAY, click(2, 61 * DAY, digests(9), 2));
        world.take(&[first, old, one.clone(), brings]);
        let short = Windows { click_modeled: Some(Window::Seconds(3_600)), ..Windows::default() };
        world.set(vec![Entry::App(app(AppPolicy { windows: short, ..AppPolicy::default() }))]);
        let late = world.input(62 * DAY, click(2, 60 * DAY, digests(1), 2));
        world.take(&[late]);
        assert_eq!(world.verdict(&one), "modeled 1");
        let (decisions, report) =
            decided(&world, &Plan { from: Some(at(50 * DAY)), ..plan(Alteration::default()) });
        assert_eq!(report.altered, 0, "{:?}", report.changes);
        assert_eq!(essences(decisions), recorded(&world, &[one]));
    }

    /// Whatever else came in, the grace of ten minutes is over when it is.
    #[test]
    fn and_not_after_the_grace() {
        let mut world = World::new();
        let old = world.input(0, click(1, 0, vec![], 1));
        let one = world.input(4_000, install(4_000, origin(Some("d"), vec![adid(1)], 1)));
        let other = world.input(4_700, event(4_700, "B", origin(Some("d"), vec![], 1)));
        world.take(&[old, one.clone(), other]);
        let short = Windows { click_modeled: Some(Window::Seconds(3_600)), ..Windows::default() };
        world.set(vec![Entry::App(app(AppPolicy { windows: short, ..AppPolicy::default() }))]);
        let foreign = hashed(forms(&adid(9).value, DigestLength::Md5).remove(0).1);
        let mut payload = click(2, 50, foreign, 1);
        if let Payload::Engagement(engagement) = &mut payload {
            engagement.ip = None;
        }
        let late = world.input(4_701, payload);
        world.take(&[late]);
        assert_eq!(world.verdict(&one), "modeled 1");
        comes_out(&world, &[one]);
    }
}

/// Later installs of a device are decided again, too.
#[test]
fn a_reinstall_is_decided_anew() {
    let frame = Frame { reengages: true, reprocesses: true };
    let mut world = frame.world(AppPolicy::default());
    let first = world.input(0, install(0, origin(Some("one"), vec![adid(1)], 1)));
    let back = world.input(2 * DAY, click(3, 2 * DAY, plain(adid(1)), 1));
    let again = world.input(3 * DAY, install(3 * DAY, origin(Some("two"), vec![adid(1)], 1)));
    world.take(&[first, back, again.clone()]);
    assert_eq!(world.verdict(&again), "device_id 3");
    let short = Windows { click_device: Some(Window::Seconds(3_600)), ..Windows::default() };
    let policy = frame.policy(AppPolicy { windows: short, ..AppPolicy::default() });
    let report = asked(&world, &plan(with_policy(policy)));
    assert_eq!((report.installs, report.altered), (2, 1), "{report:?}");
    assert_eq!(report.changes[0].install, InstallId::from(again.id));
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

/// With a rule of the last hour on, every decision has figures of all its engagements.
#[test]
fn figures_are_kept_of_the_installs_decided_last() {
    let of = |touches: u128| -> BTreeMap<_, _> {
        (0..touches).map(|n| (TouchId(uuid::Uuid::from_u128(n)), HourFigures::default())).collect()
    };
    let mut figures = table::Figures::default();
    for number in 0..1_000 {
        figures.keep(number, of(7), 100);
    }
    let kept: Vec<u32> = (0..1_000).filter(|number| figures.get(*number).is_some()).collect();
    assert_eq!(kept, (986..1_000).collect::<Vec<_>>(), "14 times 7 is not more than 100");
    figures.keep(990, of(9), 100);
    assert_eq!(figures.get(990).unwrap().len(), 9, "one decided again stands in its place");
    figures.keep(1_000, of(101), 100);
    assert!((0..=1_000).all(|number| figures.get(number).is_none()));
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
