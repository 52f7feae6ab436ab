//! What events are attributed to, in the write path (tracking-and-attribution.md sections 8 and 9).

use std::sync::Arc;

use measure::{
    attribution::LosingReason,
    catalogue::Entry,
    flag::Flag,
    identifier::{DigestLength, forms},
    input::{Input, Outcome, Payload},
    install::InstallRecord,
    policy::{AppPolicy, Window, Windows},
    postback::{DeliveryState, Trigger, TriggerKind},
    reengagement::Reengagement,
};
use proptest::prelude::*;
use store::{DeliveryQuery, Memory, Store};

use super::{
    all_triggers, assert_balanced, essence, payloads, steps,
    world::{APP, World, adid, app, click, event, hashed, install, origin, plain, trigger},
};
use crate::replay;

/// The last outcome that tells of an event.
fn outcome(world: &World, event: &Input) -> Option<Outcome> {
    let (fact, released) = world.store.fact(event.id).unwrap().unwrap();
    let released = released.and_then(|sequence| world.store.facts(sequence, 1).unwrap().pop());
    let tells = |outcome: &&Outcome| {
        matches!(outcome, Outcome::EventLinked { input, .. } | Outcome::EventRedecided { input, .. }
            if *input == event.id)
    };
    let last = |fact: &measure::input::Fact| fact.outcomes.iter().rev().find(tells).cloned();
    released.as_ref().and_then(last).or_else(|| last(&fact))
}

/// To what an event is attributed: `reengagement 3`, `install 1`, `organic`, `no install`; then why the
/// engagements lost that did.
fn verdict(world: &World, event: &Input) -> String {
    let (source, decision) = match outcome(world, event) {
        Some(
            Outcome::EventLinked { source, decision, .. } | Outcome::EventRedecided { source, decision, .. },
        ) => (source, decision),
        _ => return "no install".to_owned(),
    };
    let mut words = match source {
        Some(source) if source.reengagement => format!("reengagement {}", source.network),
        Some(source) => format!("install {}", source.network),
        None => "organic".to_owned(),
    };
    for lost in decision.iter().flat_map(|decision| &decision.candidates).filter_map(|one| one.lost) {
        words += &format!(" {lost}");
    }
    words
}

#[test]
fn an_event_is_found_by_what_its_device_is_known_for() {
    for together in [true, false] {
        let mut world = World::reengaging(0, vec![]);
        let inputs = [
            world.input(1, install(1, origin(Some("d"), vec![adid(1)], 9))),
            world.input(2, click(3, 2, plain(adid(1)), 1)),
            world.input(3, event(3, "A", origin(Some("d"), vec![], 7))),
            world.input(4, event(4, "B", origin(Some("d"), vec![], 7))),
        ];
        if together {
            world.take_batch(&inputs);
        } else {
            world.take(&inputs);
        }
        assert_eq!(verdict(&world, &inputs[2]), "reengagement 3");
        assert_eq!(verdict(&world, &inputs[3]), "organic");
        assert_eq!(world.verdict(&inputs[0]), "organic");
    }
}

#[test]
fn an_app_without_reengagement_trackers_decides_and_files_nothing_for_events() {
    let mut world = World::new();
    let inputs = [
        world.input(1, install(1, origin(Some("d"), vec![adid(1)], 9))),
        world.input(3, event(3, "A", origin(Some("d"), vec![], 7))),
    ];
    world.take(&inputs);
    let Some(Outcome::EventLinked { decision, .. }) = outcome(&world, &inputs[1]) else {
        panic!("not linked")
    };
    assert_eq!(decision, None);
    assert!(world.device("d").unwrap().claims.is_empty());
}

#[test]
fn a_late_reengagement_inside_the_grace_takes_the_event_and_its_postbacks_over() {
    let triggers = vec![
        trigger(1, TriggerKind::Event, Some(1)),
        trigger(3, TriggerKind::Event, Some(3)),
        trigger(9, TriggerKind::Event, None),
    ];
    let mut world = World::reengaging(0, triggers);
    let inputs = [
        world.input(0, click(1, 0, plain(adid(1)), 1)),
        world.input(1, install(1, origin(Some("d"), vec![adid(1)], 9))),
        world.input(100, event(100, "A", origin(Some("d"), vec![], 7))),
        world.input(700, click(3, 50, plain(adid(1)), 1)),
    ];
    world.take(&inputs[..3]);
    assert_eq!(verdict(&world, &inputs[2]), "install 1");
    world.take(&inputs[3..]);
    assert_eq!(verdict(&world, &inputs[2]), "reengagement 3");
    let all = world.store.deliveries(&DeliveryQuery { limit: 100, ..DeliveryQuery::default() }).unwrap();
    let mut told: Vec<_> = all.iter().map(|one| (one.trigger.0, one.revision, one.state)).collect();
    told.sort_unstable();
    let expected =
        [(1, 0, DeliveryState::Suppressed), (3, 2, DeliveryState::Pending), (9, 0, DeliveryState::Pending)];
    assert_eq!(told, expected);
    assert_eq!(world.tally()["EventsLinked"], 1);
    assert_balanced(&world);
}

#[test]
fn a_reengagement_after_the_grace_is_on_record_as_late() {
    let mut world = World::reengaging(0, vec![]);
    let inputs = [
        world.input(1, install(1, origin(Some("d"), vec![adid(1)], 9))),
        world.input(100, event(100, "A", origin(Some("d"), vec![], 7))),
        world.input(701, click(3, 50, plain(adid(1)), 1)),
    ];
    world.take(&inputs);
    assert_eq!(verdict(&world, &inputs[1]), "organic late");
}

/// Neither does it change an event whose tracker was told otherwise since.
#[test]
fn a_reengagement_after_the_grace_changes_nothing_that_was_decided() {
    let mut world = World::reengaging(0, vec![]);
    let inputs = [
        world.input(1, install(1, origin(Some("d"), vec![adid(1)], 9))),
        world.input(2, click(3, 2, plain(adid(1)), 1)),
        world.input(1_000, event(1_000, "A", origin(Some("d"), vec![], 7))),
    ];
    world.take(&inputs);
    assert_eq!(verdict(&world, &inputs[2]), "reengagement 3");
    let windows = Windows { click_device: Some(Window::Seconds(60)), ..Windows::default() };
    world.set(vec![Entry::App(app(AppPolicy { windows, ..AppPolicy::default() }))]);
    let late = world.input(1_601, click(3, 50, plain(adid(1)), 1));
    world.take(&[late]);
    assert_eq!(verdict(&world, &inputs[2]), "reengagement 3 late");
}

#[test]
fn an_earlier_event_that_comes_late_protects_those_after_it() {
    let mut world = World::reengaging(60, vec![]);
    let early = world.input(200, event(10, "A", origin(Some("d"), vec![], 7)));
    let inputs = [
        world.input(1, install(1, origin(Some("d"), vec![adid(1)], 9))),
        world.input(2, click(3, 2, plain(adid(1)), 1)),
        world.input(50, event(50, "A", origin(Some("d"), vec![], 7))),
        world.input(100, event(100, "A", origin(Some("d"), vec![], 7))),
    ];
    world.take(&inputs);
    assert_eq!(verdict(&world, &inputs[2]), "reengagement 3");
    assert_eq!(verdict(&world, &inputs[3]), "organic mtr_protected");
    // With one at 10 s, the one at 50 s is protected, and that at 100 s is no longer.
    world.take(std::slice::from_ref(&early));
    assert_eq!(verdict(&world, &early), "reengagement 3");
    assert_eq!(verdict(&world, &inputs[2]), "organic mtr_protected");
    assert_eq!(verdict(&world, &inputs[3]), "reengagement 3");
}

#[test]
fn events_go_with_an_install_that_is_decided_again() {
    let triggers = vec![trigger(2, TriggerKind::Event, Some(2)), trigger(9, TriggerKind::Event, None)];
    let mut world = World::with(AppPolicy::default(), triggers);
    let inputs = [
        world.input(90, event(110, "B", origin(Some("d"), vec![], 7))),
        world.input(100, install(100, origin(Some("d"), vec![adid(1)], 9))),
        world.input(120, event(120, "B", origin(Some("d"), vec![], 7))),
        world.input(300, click(2, 50, plain(adid(1)), 1)),
    ];
    world.take(&inputs);
    for event in [&inputs[0], &inputs[2]] {
        assert_eq!(verdict(&world, event), "install 2");
    }
    let all = world.store.deliveries(&DeliveryQuery { limit: 100, ..DeliveryQuery::default() }).unwrap();
    let mut told: Vec<(u64, u32)> = all.iter().map(|one| (one.trigger.0, one.revision)).collect();
    told.sort_unstable();
    assert_eq!(told, [(2, 2), (2, 2), (9, 0), (9, 0)], "the new network hears, and nobody hears twice");
    assert_balanced(&world);
}

#[test]
fn a_late_reengagement_by_the_first_digest_of_its_length_finds_the_event() {
    let mut world = World::reengaging(0, vec![]);
    let digest = |form: usize| hashed(forms(&adid(1).value, DigestLength::Md5).remove(form).1);
    let inputs = [
        world.input(1, install(1, origin(Some("d"), vec![adid(1)], 9))),
        world.input(100, event(100, "A", origin(Some("d"), vec![], 7))),
        world.input(110, click(3, 50, digest(0), 1)),
        world.input(120, click(3, 60, digest(1), 1)),
    ];
    world.take(&inputs[..3]);
    assert_eq!(verdict(&world, &inputs[1]), "reengagement 3");
    world.take(&inputs[3..]);
    assert_eq!(verdict(&world, &inputs[1]), "reengagement 3 older_click");
}

#[test]
fn an_install_after_the_window_is_one_of_its_own() {
    let day = 86_400;
    let policy = AppPolicy { install_reprocessing_days: Some(2), ..AppPolicy::default() };
    let record = |world: &World, input: &Input| -> Option<InstallRecord> {
        world.store.install(APP, input.id.into()).unwrap().map(|(record, _)| record)
    };
    let mut world = World::with(policy, vec![]);
    let first = world.input(1, install(1, origin(Some("a"), vec![adid(1)], 9)));
    let at_once = world.input(2 * day + 1, install(2 * day + 1, origin(Some("b"), vec![adid(1)], 9)));
    let known = world.input(2 * day + 2, install(2 * day + 2, origin(Some("a"), vec![adid(1)], 9)));
    let nameless = world.input(2 * day + 2, install(2 * day + 2, origin(None, vec![adid(1)], 9)));
    let clicked = world.input(2 * day + 2, click(1, 2 * day + 2, plain(adid(1)), 1));
    let again = world.input(2 * day + 3, install(2 * day + 3, origin(Some("c"), vec![adid(1)], 9)));
    world.take(&[first.clone(), at_once.clone(), known.clone(), nameless.clone(), clicked, again.clone()]);
    for duplicate in [&at_once, &known, &nameless] {
        assert_eq!(record(&world, duplicate), None);
        let (fact, _) = world.store.fact(duplicate.id).unwrap().unwrap();
        assert!(fact.input.flags.contains(&Flag::Duplicate));
    }
    assert_eq!(world.tally()["Duplicates(\"install\")"], 3);
    assert_eq!(record(&world, &again).unwrap().reprocess_for, Some(first.id.into()));
    assert_eq!(world.verdict(&again), "organic");
    let lost = world.decision(&again).candidates[0].lost;
    assert_eq!(lost, Some(LosingReason::AcquisitionTracker));
    assert_eq!(world.device("a").unwrap().install, first.id.into());
    assert_eq!(world.device("c").unwrap().install, again.id.into());
    assert_eq!(world.store.device(APP, &(&adid(1)).into()).unwrap().unwrap().install, again.id.into());
    // A click that comes late for it is barred like any other.
    let late = world.input(2 * day + 4, click(2, 2 * day, plain(adid(1)), 1));
    world.take(std::slice::from_ref(&late));
    assert_eq!(world.verdict(&again), "organic");
}

/// Section 8: the old source is not carried over.
#[test]
fn one_click_brings_a_user_back_once() {
    let day = 86_400;
    let policy = AppPolicy { install_reprocessing_days: Some(1), ..AppPolicy::default() };
    let mut world = World::of(app(policy), Some(Reengagement { events: Vec::new() }), vec![]);
    let early = world.input(0, click(3, 0, plain(adid(1)), 1));
    let mut come = |at: i64, id: &str| world.input(at, install(at, origin(Some(id), vec![adid(1)], 9)));
    let installs = [come(10, "a"), come(2 * day, "b"), come(4 * day, "c"), come(6 * day, "d")];
    let back = world.input(3 * day, click(3, 3 * day, plain(adid(1)), 1));
    let [first, second, third, fourth] = installs.clone();
    world.take(&[early, first, second, back, third, fourth]);
    let found = installs.each_ref().map(|input| {
        (
            world.verdict(input),
            world.decision(input).candidates.iter().filter_map(|one| one.lost).collect::<Vec<_>>(),
        )
    });
    let early = LosingReason::BeforeInstall;
    assert_eq!(found[0], ("organic".to_owned(), vec![LosingReason::ReengagementTracker]));
    assert_eq!(found[1], ("organic".to_owned(), vec![early]));
    assert_eq!(found[2], ("device_id 3".to_owned(), vec![early]));
    assert_eq!(found[3], ("organic".to_owned(), vec![early, early]));
}

fn triggers() -> Vec<Trigger> {
    all_triggers().into_iter().chain([trigger(7, TriggerKind::Event, Some(3))]).collect()
}

/// What is said of every event, without what the order of arrival may change.
fn events(world: &World, inputs: &[Input]) -> Vec<String> {
    let events = inputs.iter().filter(|input| matches!(input.payload, Payload::Event(_)));
    events
        .map(|input| match outcome(world, input) {
            Some(
                Outcome::EventLinked { source, decision, .. }
                | Outcome::EventRedecided { source, decision, .. },
            ) => {
                let decision = decision.map(|decision| {
                    format!("{:?} {:?} {:?}", decision.action, decision.candidates, decision.last_attributed)
                });
                format!("{source:?} {decision:?}")
            }
            other => format!("{other:?}"),
        })
        .collect()
}

proptest! {
    #[test]
    fn the_order_of_arrival_never_decides_about_events(
        (steps, order) in steps().prop_flat_map(|steps| {
            let places: Vec<usize> = (0..steps.len()).collect();
            (Just(steps), Just(places).prop_shuffle())
        }),
        minimum in 0..60_u32,
    ) {
        let mut sorted = World::reengaging(minimum, triggers());
        let mut shuffled = World::reengaging(minimum, triggers());
        let payloads = payloads(&steps);
        let inputs: Vec<Input> = payloads.into_iter().map(|payload| sorted.input(300, payload)).collect();
        sorted.take(&inputs);
        let arrivals: Vec<Input> = order.into_iter().filter_map(|place| inputs.get(place).cloned()).collect();
        shuffled.take(&arrivals);
        prop_assert_eq!(essence(&sorted, &inputs), essence(&shuffled, &inputs));
        prop_assert_eq!(events(&sorted, &inputs), events(&shuffled, &inputs));
        assert_balanced(&shuffled);
    }

    #[test]
    fn neither_cut_nor_replay_changes_what_events_are_attributed_to(
        (steps, order) in steps().prop_flat_map(|steps| {
            let places: Vec<usize> = (0..steps.len()).collect();
            (Just(steps), Just(places).prop_shuffle())
        }),
        minimum in 0..60_u32,
        size in 1..6_usize,
    ) {
        let mut whole = World::reengaging(minimum, triggers());
        let mut cut = World::reengaging(minimum, triggers());
        let payloads = payloads(&steps);
        let inputs: Vec<Input> = payloads.into_iter().map(|payload| whole.input(300, payload)).collect();
        let arrivals: Vec<Input> = order.into_iter().filter_map(|place| inputs.get(place).cloned()).collect();
        whole.take_batch(&arrivals);
        arrivals.chunks(size).for_each(|chunk| {
            cut.take_batch(chunk);
        });
        prop_assert_eq!(whole.store.facts(1, 1_000).unwrap(), cut.store.facts(1, 1_000).unwrap());
        prop_assert_eq!(whole.tally(), cut.tally());
        assert_balanced(&cut);
        let again: Arc<dyn Store> = Arc::new(Memory::default());
        replay(whole.store.as_ref(), &again).unwrap();
        prop_assert_eq!(whole.store.facts(1, 1_000).unwrap(), again.facts(1, 1_000).unwrap());
        prop_assert_eq!(whole.store.tally().unwrap(), again.tally().unwrap());
    }
}
