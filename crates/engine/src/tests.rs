//! The write path on the in-memory store, batch by batch and without threads.

mod aggregate;
mod claims;
mod fraud;
mod privacy;
mod reengagement;
mod statements;
mod sync;
pub(crate) mod world;

use std::sync::Arc;

use measure::{
    TriggerId,
    attribution::LosingReason,
    catalogue::Entry,
    consent::Att,
    device::KOCHAVA_IDS_MAX,
    flag::Flag,
    identifier::{DigestLength, IdKind, Identifier, forms},
    input::{IdempotencyKey, Input, Outcome, Payload},
    ledger::TriggerSums,
    link::IdentityLink,
    policy::{AppPolicy, Window, Windows},
    postback::{Attempt, DeliveryState, Sending, Trigger, TriggerKind},
};
use proptest::prelude::*;
use store::{DeliveryQuery, Faulty, Memory, Settlement, Store};

use self::world::{
    APP, World, adid, app, at, claim, click, event, hashed, install, link, origin, plain, trigger, update,
};
use crate::{Answer, Engine, Options, replay};

#[test]
fn a_click_and_its_install_meet_in_one_batch_and_in_two() {
    for together in [true, false] {
        let mut world = World::new();
        let click = world.input(0, click(1, 0, plain(adid(1)), 1));
        let install = world.input(60, install(60, origin(Some("d"), vec![adid(1)], 9)));
        let inputs = [click, install.clone()];
        let answers = if together { world.take_batch(&inputs) } else { world.take(&inputs) };
        assert_eq!(answers[1], Answer::Accepted(install.id));
        assert_eq!(world.verdict(&install), "device_id 1");
        assert_eq!(world.device("d").unwrap().source.unwrap().network.0, 1);
    }
}

#[test]
fn a_duplicate_install_keeps_the_first_attribution_and_adds_an_alias() {
    let mut world = World::new();
    let first = world.input(60, install(60, origin(Some("d"), vec![adid(1)], 9)));
    let click = world.input(70, click(1, 70, plain(adid(1)), 1));
    let second = world.input(80, install(80, origin(Some("d2"), vec![adid(1)], 9)));
    world.take(&[first.clone(), click, second.clone()]);
    assert_eq!(world.verdict(&first), "organic");
    assert!(world.decisions(&second).is_empty());
    assert_eq!(world.device("d2").unwrap().install, first.id.into());
    let (fact, _) = world.store.fact(second.id).unwrap().unwrap();
    assert_eq!(fact.outcomes, vec![Outcome::DuplicateInstall { install: first.id.into() }]);
}

#[test]
fn a_device_is_known_by_its_main_and_its_newest_aliases() {
    let mut world = World::new();
    let more = 3;
    let installs: Vec<Input> = (0..KOCHAVA_IDS_MAX + more)
        .map(|n| {
            let seconds = i64::try_from(n).unwrap();
            world.input(seconds, install(seconds, origin(Some(&format!("d{n}")), vec![adid(1)], 9)))
        })
        .collect();
    world.take(&installs);
    let device = world.device("d0").unwrap();
    assert_eq!(device.kochava_ids.len(), KOCHAVA_IDS_MAX);
    for n in 1..installs.len() {
        let found = world.device(&format!("d{n}")).map(|device| device.install);
        let expected = (n > more).then_some(installs[0].id.into());
        assert_eq!(found, expected, "d{n}");
    }
    // Nobody is refused: an alias that was forgotten comes again.
    let again = world.input(100, install(100, origin(Some("d1"), vec![adid(1)], 9)));
    world.take(&[again]);
    assert_eq!(world.device("d1").unwrap().install, installs[0].id.into());
    assert!(world.device("d4").is_none());
}

#[test]
fn an_identifier_of_another_device_stays_there_and_is_flagged() {
    let mut world = World::new();
    let one = world.input(1, install(1, origin(Some("one"), vec![adid(1)], 9)));
    let two = world.input(2, install(2, origin(Some("two"), vec![adid(2)], 9)));
    let update = world.input(3, update("two", vec![adid(1)]));
    world.take(&[one.clone(), two, update.clone()]);
    let (fact, _) = world.store.fact(update.id).unwrap().unwrap();
    assert!(fact.input.flags.contains(&Flag::IdConflict));
    assert_eq!(world.device("two").unwrap().identifier("adid"), Some(adid(2).value.as_str()));
    assert_eq!(world.device("one").unwrap().install, one.id.into());
}

#[test]
fn what_comes_before_its_install_is_held_and_then_linked() {
    let mut world = World::new();
    let event = world.input(0, event(0, "Purchase", origin(Some("d"), vec![], 1)));
    let link = world.input(1, link(Some("d"), vec![], "u-1"));
    let update = world.input(2, update("d", vec![adid(7)]));
    let install = world.input(3_600, install(3_600, origin(Some("d"), vec![], 1)));
    world.take(&[event.clone(), link.clone(), update.clone()]);
    let (fact, released) = world.store.fact(event.id).unwrap().unwrap();
    assert!(matches!(fact.outcomes[..], [Outcome::Held { .. }]));
    assert_eq!(released, None);
    world.take(std::slice::from_ref(&install));
    let (fact, _) = world.store.fact(install.id).unwrap().unwrap();
    for held in [&event, &link, &update] {
        let (_, released) = world.store.fact(held.id).unwrap().unwrap();
        assert_eq!(released, Some(fact.sequence));
    }
    let device = world.device("d").unwrap();
    assert_eq!(device.links, vec![("user_id".to_owned(), "u-1".to_owned())]);
    assert_eq!(device.identifier("adid"), Some(adid(7).value.as_str()));
    assert_eq!(world.tally()["EventsLinked"], 1);
}

/// Whether the update comes itself or was held as well.
#[test]
fn an_update_releases_what_waited_under_the_identifiers_it_brings() {
    for update_first in [false, true] {
        for hashed in [false, true] {
            let mut world = World::new();
            let (_, digest) = forms(&adid(7).value, DigestLength::Sha1).remove(0);
            let link = match hashed {
                true => link(None, vec![digest], "u-1"),
                false => Payload::Link(IdentityLink {
                    identifiers: vec![adid(7)],
                    links: vec![("user_id".to_owned(), "u-1".to_owned())],
                    ..IdentityLink::default()
                }),
            };
            let link = world.input(1, link);
            let event = world.input(2, event(2, "A", origin(None, vec![adid(7)], 1)));
            let install = world.input(10, install(10, origin(Some("d"), vec![], 1)));
            let update = world.input(if update_first { 5 } else { 20 }, update("d", vec![adid(7)]));
            world.take(&[link.clone(), event.clone()]);
            let last = if update_first { [update, install] } else { [install, update] };
            world.take(&last);
            let [_, last] = last;
            let (fact, _) = world.store.fact(last.id).unwrap().unwrap();
            for held in [&link, &event] {
                let (_, released) = world.store.fact(held.id).unwrap().unwrap();
                assert_eq!(released, Some(fact.sequence), "update first: {update_first}, hashed: {hashed}");
            }
            assert_eq!(world.device("d").unwrap().links, [("user_id".to_owned(), "u-1".to_owned())]);
            assert_eq!(world.tally()["EventsLinked"], 1);
        }
    }
}

#[test]
fn what_waited_longer_than_the_hold_stays_without_an_install() {
    let day = 24 * 3_600;
    for (wait, linked) in [(day, true), (day + 1, false)] {
        let mut world = World::new();
        let link = world.input(0, link(Some("d"), vec![], "u-1"));
        let install = world.input(wait, install(wait, origin(Some("d"), vec![], 1)));
        world.take(&[link, install]);
        assert_eq!(!world.device("d").unwrap().links.is_empty(), linked, "after {wait} s");
    }
}

#[test]
fn a_late_click_inside_the_grace_is_a_new_revision() {
    let mut world = World::new();
    let install = world.input(100, install(100, origin(Some("d"), vec![adid(1)], 9)));
    let late = world.input(100 + 600, click(2, 50, plain(adid(1)), 1));
    world.take(std::slice::from_ref(&install));
    assert_eq!(world.verdict(&install), "organic");
    world.take(&[late]);
    assert_eq!(world.verdict(&install), "device_id 2");
    assert_eq!(world.decision(&install).revision, 1);
    assert_eq!(world.device("d").unwrap().source.unwrap().network.0, 2);
    let tally = world.tally();
    assert_eq!(tally.get("Installs(\"organic\")"), None);
    assert_eq!(tally["Installs(\"device_id\")"], 1);
}

/// Held back, they hear once and the right thing; told already, they are not told again.
#[test]
fn those_who_hear_of_everything_hear_of_a_late_winner_once() {
    for (sent, states) in [(false, ["suppressed superseded", "pending "]), (true, ["delivered "; 2])] {
        let policy = AppPolicy { hold_install_ms: Some(600_000), ..AppPolicy::default() };
        let mut world = World::with(policy, vec![trigger(1, TriggerKind::Install, None)]);
        let install = world.input(100, install(100, origin(Some("d"), vec![adid(1)], 9)));
        let late = world.input(200, click(2, 50, plain(adid(1)), 1));
        world.take(std::slice::from_ref(&install));
        if sent {
            let lease = world.store.lease(at(5_000), at(6_000), 1).unwrap().remove(0);
            let settlement = Settlement {
                delivery: lease.delivery.id,
                fence: lease.fence,
                attempt: None,
                state: DeliveryState::Delivered,
                reason: None,
                due: at(5_000),
            };
            assert_eq!(world.store.settle(&[settlement]).unwrap(), [true]);
        }
        world.take(&[late]);
        let query = DeliveryQuery { limit: 9, ..DeliveryQuery::default() };
        let found = world.store.deliveries(&query).unwrap();
        let mut found: Vec<_> = found
            .iter()
            .map(|one| format!("{} {}", one.state.name(), one.reason.as_deref().unwrap_or_default()))
            .collect();
        found.reverse();
        let states = if sent { &states[..1] } else { &states[..] };
        assert_eq!(found, states);
        let tally = world.tally();
        assert_eq!((tally["Due"], tally.get("Suppressed(\"duplicate\")")), (2, sent.then_some(&1)));
    }
}

/// What was tried may have arrived, unless there was no connection: then they have heard, and its retry stays.
#[test]
fn a_late_winner_comes_too_late_for_what_may_have_arrived() {
    const REPLACED: [&str; 2] = ["suppressed superseded", "pending "];
    const KEPT: [&str; 1] = ["pending "];
    for (error, expected) in [
        ("dns", &REPLACED[..]),
        ("connect", &REPLACED[..]),
        ("timeout", &KEPT[..]),
        ("read", &KEPT[..]),
        ("http", &KEPT[..]),
    ] {
        let mut world = World::with(AppPolicy::default(), vec![trigger(1, TriggerKind::Install, None)]);
        let install = world.input(100, install(100, origin(Some("d"), vec![adid(1)], 9)));
        let late = world.input(200, click(2, 50, plain(adid(1)), 1));
        world.take(std::slice::from_ref(&install));
        let lease = world.store.lease(at(100), at(130), 1).unwrap().remove(0);
        let attempt = Attempt {
            number: 1,
            started: at(100),
            elapsed_ms: 10,
            status: None,
            error: Some(error.to_owned()),
            response: String::new(),
            connect_ms: None,
            headers: Vec::new(),
        };
        let settlement = Settlement {
            delivery: lease.delivery.id,
            fence: lease.fence,
            attempt: Some(attempt),
            state: DeliveryState::Pending,
            reason: None,
            due: at(300),
        };
        assert_eq!(world.store.settle(&[settlement]).unwrap(), [true]);
        world.take(&[late]);
        let query = DeliveryQuery { limit: 9, ..DeliveryQuery::default() };
        let mut found: Vec<_> = world.store.deliveries(&query).unwrap();
        found.reverse();
        let found: Vec<_> = found
            .iter()
            .map(|one| format!("{} {}", one.state.name(), one.reason.as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(found, expected, "{error}");
    }
}

/// What a pause has kept tells of the last decision; what may have been sent before it stays.
#[test]
fn a_paused_trigger_is_told_of_a_late_winner_instead() {
    const REPLACED: [&str; 2] = ["suppressed superseded", "pending "];
    const KEPT: [&str; 1] = ["pending "];
    let all = |paused| Trigger {
        sending: Sending { paused, ..Sending::default() },
        ..trigger(1, TriggerKind::Install, None)
    };
    // When the trigger is paused and when it is resumed, seconds; the install comes at 100, the click at 200.
    for (hold, paused, resumed, expected) in [
        (0, Some(90), None, &REPLACED[..]),
        (0, Some(101), None, &KEPT[..]),
        (0, Some(90), Some(150), &KEPT[..]),
        (60, Some(140), None, &REPLACED[..]),
        (60, Some(155), None, &KEPT[..]),
        (0, None, None, &KEPT[..]),
    ] {
        let policy = AppPolicy { hold_install_ms: Some(hold * 1_000), ..AppPolicy::default() };
        let mut world = World::with(policy, vec![all(false)]);
        let install = world.input(100, install(100, origin(Some("d"), vec![adid(1)], 9)));
        let late = world.input(200, click(2, 50, plain(adid(1)), 1));
        let mut waiting = Some(install);
        for second in [90, 101, 140, 150, 155] {
            if second > 100
                && let Some(install) = waiting.take()
            {
                world.take(&[install]);
            }
            if paused == Some(second) {
                world.set_at(second, vec![Entry::Trigger(all(true))]);
            }
            if resumed == Some(second) {
                world.set_at(second, vec![Entry::Trigger(all(false))]);
            }
        }
        world.take(&[late]);
        let query = DeliveryQuery { limit: 9, ..DeliveryQuery::default() };
        let mut found: Vec<_> = world.store.deliveries(&query).unwrap();
        found.reverse();
        let found: Vec<_> = found
            .iter()
            .map(|one| format!("{} {}", one.state.name(), one.reason.as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(found, expected, "{hold} {paused:?} {resumed:?}");
    }
}

/// Without an identifier no look-up finds the device, but its install names it.
#[test]
fn a_new_winner_of_an_install_without_identifiers_is_told() {
    let mut world = World::with(AppPolicy::default(), vec![trigger(1, TriggerKind::Install, Some(2))]);
    let install = world.input(100, install(100, origin(None, vec![], 1)));
    let late = world.input(200, click(2, 50, vec![], 1));
    world.take(std::slice::from_ref(&install));
    assert_eq!(world.tally()["Suppressed(\"not_attributed\")"], 1);
    world.take(&[late]);
    assert_eq!(world.verdict(&install), "modeled 2");
    assert_eq!(world.tally()["Created"], 1);
    let device = world.store.devices(APP, None, 1).unwrap().remove(0);
    assert_eq!(device.source.unwrap().network.0, 2);
}

#[test]
fn a_click_later_than_the_grace_is_only_on_record() {
    let mut world = World::new();
    let install = world.input(100, install(100, origin(Some("d"), vec![adid(1)], 9)));
    let late = world.input(100 + 601, click(2, 50, plain(adid(1)), 1));
    world.take(&[install.clone(), late]);
    assert_eq!(world.verdict(&install), "organic");
    assert_eq!(world.decision(&install).candidates[0].lost, Some(LosingReason::Late));
}

/// What was decided stays when the grace is over, although a setting has changed since, or what won is not
/// remembered any more.
#[test]
fn a_click_later_than_the_grace_changes_no_winner() {
    let day = 86_400;
    for (came, shorter, late) in [(100, true, 100 + 601), (25 * day, false, 35 * day)] {
        let mut world = World::with(AppPolicy::default(), vec![trigger(1, TriggerKind::Install, Some(1))]);
        let winner = world.input(0, click(1, 0, plain(adid(1)), 1));
        let loser = world.input(1, click(3, 1, plain(adid(2)), 9));
        let install = world.input(came, install(came, origin(Some("d"), vec![adid(1)], 9)));
        world.take(&[winner, loser, install.clone()]);
        assert_eq!(world.verdict(&install), "device_id 1");
        let before = world.decision(&install);
        if shorter {
            let windows = Windows { click_device: Some(Window::Seconds(60)), ..Windows::default() };
            world.set(vec![Entry::App(app(AppPolicy { windows, ..AppPolicy::default() }))]);
        }
        let tally = world.tally();
        let again = world.input(late + 10, click(2, came - 20, plain(adid(1)), 1));
        let late = world.input(late, click(2, came - 10, plain(adid(1)), 1));
        world.take(&[late]);
        let after = world.decision(&install);
        assert_eq!(world.verdict(&install), "device_id 1");
        assert_eq!((after.revision, after.catalogue), (1, before.catalogue));
        let lost: Vec<_> = after.losers().map(|(one, lost)| (one.network.0, lost.name())).collect();
        assert_eq!(lost[0], (2, "late"));
        assert_eq!(lost.len(), before.candidates.len());
        assert_eq!(world.device("d").unwrap().source.unwrap().network.0, 1);
        for counter in ["Due", "Created", "Installs(\"device_id\")"] {
            assert_eq!(world.tally()[counter], tally[counter], "{counter}");
        }
        world.take(&[again]);
        assert_eq!(world.decision(&install).revision, 2);
        assert_eq!(world.decision(&install).candidates.len(), before.candidates.len() + 2);
        let replayed: Arc<dyn Store> = Arc::new(Memory::default());
        replay(world.store.as_ref(), &replayed).unwrap();
        assert_eq!(replayed.facts(1, 100).unwrap(), world.store.facts(1, 100).unwrap());
    }
}

#[test]
fn a_late_click_hashed_as_nobody_hashed_before_finds_its_install() {
    let mut world = World::new();
    let install = world.input(100, install(100, origin(Some("d"), vec![adid(1)], 9)));
    let (_, digest) = forms(&adid(1).value, DigestLength::Sha1).remove(3);
    let late = world.input(110, click(2, 50, hashed(digest), 1));
    world.take(&[install.clone(), late]);
    assert_eq!(world.verdict(&install), "device_id 2");
}

#[test]
fn a_retry_with_its_key_counts_once_and_another_body_is_a_conflict() {
    let mut world = World::new();
    let key = Some(IdempotencyKey { source: "header".to_owned(), key: "k-1".to_owned() });
    let first = Input { key: key.clone(), ..world.input(0, event(0, "A", origin(Some("d"), vec![], 1))) };
    let retry =
        Input { body_hash: first.body_hash, key: key.clone(), ..world.input(1, first.payload.clone()) };
    let other =
        Input { key, body_hash: [9; 16], ..world.input(2, event(2, "B", origin(Some("d"), vec![], 1))) };
    for together in [true, false] {
        let mut world = World::new();
        let inputs = [first.clone(), retry.clone(), other.clone()];
        let answers = if together { world.take_batch(&inputs) } else { world.take(&inputs) };
        assert_eq!(
            answers,
            [Answer::Accepted(first.id), Answer::Repeated(first.id), Answer::Conflict(first.id)]
        );
        assert_eq!(world.tally()["Accepted(\"event\")"], 1);
    }
}

#[test]
fn the_same_bytes_within_ten_minutes_are_flagged_and_kept() {
    for restarted in [false, true] {
        let mut world = World::new();
        let payload = event(0, "A", origin(Some("d"), vec![], 1));
        let inputs: Vec<Input> = [0, 600, 1_201].map(|seconds| world.input(seconds, payload.clone())).into();
        for input in &inputs {
            if restarted {
                world.machine = crate::Machine::open(world.store.clone(), world.catalogue.clone()).unwrap();
            }
            world.take(std::slice::from_ref(input));
        }
        let flagged: Vec<bool> = inputs
            .iter()
            .map(|input| {
                world.store.fact(input.id).unwrap().unwrap().0.input.flags.contains(&Flag::PossibleDuplicate)
            })
            .collect();
        assert_eq!(flagged, [false, true, false], "restarted: {restarted}");
        assert_eq!(world.tally()["Accepted(\"event\")"], 3);
    }
}

#[test]
fn one_click_for_two_modeled_installs_is_flagged_on_the_later_one_in_any_order() {
    for (first, second) in [(0, 1), (1, 0)] {
        let mut world = World::new();
        let click = world.input(0, click(1, 0, vec![], 1));
        let installs = [
            world.input(200, install(100, origin(Some("a"), vec![], 1))),
            world.input(201, install(150, origin(Some("b"), vec![], 1))),
        ];
        world.take(&[click, installs[first].clone(), installs[second].clone()]);
        let shared =
            installs.each_ref().map(|input| world.decision(input).flags.contains(&Flag::SharedClick));
        assert_eq!(shared, [false, true]);
        assert_eq!(installs.each_ref().map(|input| world.verdict(input)), ["modeled 1", "modeled 1"]);
    }
}

#[test]
fn a_single_use_click_goes_to_the_earliest_install_in_any_order() {
    for (first, second) in [(0, 1), (1, 0)] {
        let policy = AppPolicy { modeled_single_use: Some(true), ..AppPolicy::default() };
        let mut world = World::with(policy, vec![]);
        let click = world.input(0, click(1, 0, vec![], 1));
        let installs = [
            world.input(200, install(100, origin(Some("a"), vec![], 1))),
            world.input(201, install(150, origin(Some("b"), vec![], 1))),
        ];
        world.take(&[click, installs[first].clone(), installs[second].clone()]);
        assert_eq!(installs.each_ref().map(|input| world.verdict(input)), ["modeled 1", "organic"]);
        let lost = world.decision(&installs[1]).candidates[0].lost;
        assert_eq!(lost, Some(LosingReason::AlreadyCredited));
    }
}

#[test]
fn a_hashed_identity_link_finds_devices_from_before_and_after_the_first_one() {
    let mut world = World::new();
    let digest = |n, form| forms(&adid(n).value, DigestLength::Md5).remove(form).1;
    let inputs = [
        world.input(1, install(1, origin(Some("old"), vec![adid(1)], 1))),
        world.input(2, link(None, vec![digest(1, 0)], "u-old")),
        world.input(3, link(None, vec![digest(2, 6)], "u-new")),
        world.input(4, install(4, origin(Some("new"), vec![adid(2)], 1))),
        world.input(5, link(None, vec![digest(2, 9)], "u-newer")),
    ];
    world.take(&inputs);
    assert_eq!(world.device("old").unwrap().links[0].1, "u-old");
    assert_eq!(world.device("new").unwrap().links[0].1, "u-newer");
    assert_eq!(world.tally()["Accepted(\"identity_link\")"], 3);
    for link in [&inputs[1], &inputs[2]] {
        let (fact, released) = world.store.fact(link.id).unwrap().unwrap();
        let applied = fact.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Applied { .. }));
        assert!(applied || released.is_some(), "the record tells that the link was made");
    }
}

#[test]
fn refusing_att_later_removes_the_idfa_from_the_device() {
    let mut world = World::new();
    let idfa = Identifier::new(IdKind::Idfa, "7C9E6679-7425-40DE-944B-E07FC1F90AE7").unwrap();
    let install = world.input(1, install(1, origin(Some("d"), vec![idfa.clone()], 1)));
    let mut refused = origin(Some("d"), vec![], 1);
    refused.consent.att = Att { flag: Some(false), ..Att::default() };
    let silent = world.input(2, event(2, "A", origin(Some("d"), vec![], 1)));
    let refusing = world.input(3, event(3, "A", refused));
    world.take(&[install, silent]);
    assert!(world.device("d").unwrap().identifier("idfa").is_some());
    world.take(&[refusing]);
    assert_eq!(world.device("d").unwrap().identifier("idfa"), None);
    assert_eq!(world.store.device(APP, &(&idfa).into()).unwrap(), None);
}

#[test]
fn an_update_with_an_idfa_is_consent_and_one_that_refuses_is_not() {
    let idfa = || Identifier::new(IdKind::Idfa, "7C9E6679-7425-40DE-944B-E07FC1F90AE7").unwrap();
    let check = |identifiers: Vec<Identifier>, sent: Option<bool>, expected: Option<bool>, held: bool| {
        let mut world = World::new();
        let mut payload = update("d", identifiers);
        if let Payload::Update(update) = &mut payload {
            update.consent.att.flag = sent;
        }
        let install = world.input(if held { 3 } else { 1 }, install(1, origin(Some("d"), vec![], 1)));
        let update = world.input(2, payload);
        world.take(&if held { [update, install] } else { [install, update] });
        assert_eq!(world.device("d").unwrap().consent.att.flag, expected, "{sent:?} {held}");
    };
    for held in [false, true] {
        check(vec![idfa()], None, Some(true), held);
        check(vec![idfa()], Some(true), Some(true), held);
        check(vec![], Some(false), Some(false), held);
        check(vec![adid(1)], None, None, held);
    }
}

#[test]
fn an_identity_link_that_refuses_att_removes_the_idfa_too() {
    let mut world = World::new();
    let idfa = Identifier::new(IdKind::Idfa, "7C9E6679-7425-40DE-944B-E07FC1F90AE7").unwrap();
    let install = world.input(1, install(1, origin(Some("d"), vec![idfa.clone()], 1)));
    let silent = world.input(2, link(Some("d"), vec![], "u-1"));
    let mut refusing = link(Some("d"), vec![], "u-2");
    if let Payload::Link(link) = &mut refusing {
        link.consent.att.flag = Some(false);
    }
    let refusing = world.input(3, refusing);
    world.take(&[install, silent]);
    assert!(world.device("d").unwrap().identifier("idfa").is_some());
    world.take(&[refusing]);
    let device = world.device("d").unwrap();
    assert_eq!((device.identifier("idfa"), device.consent.att.flag), (None, Some(false)));
    assert_eq!(device.links, [("user_id".to_owned(), "u-2".to_owned())]);
    assert_eq!(world.store.device(APP, &(&idfa).into()).unwrap(), None);
}

#[test]
fn event_names_go_on_record_once() {
    let mut world = World::new();
    let inputs: Vec<Input> = ["A", "B", "A"]
        .into_iter()
        .zip(1..)
        .map(|(name, seconds)| world.input(seconds, event(seconds, name, origin(Some("d"), vec![], 1))))
        .collect();
    world.take(&inputs);
    let names: Vec<String> =
        world.store.event_names(APP).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["A", "B"]);
}

/// Every pair of conversion and matching trigger is delivered, pending, dead or suppressed.
fn assert_balanced(world: &World) {
    let tally = world.tally();
    let n = |name: &str| tally.get(name).copied().unwrap_or_default();
    let suppressed: i64 =
        tally.iter().filter(|(name, _)| name.starts_with("Suppressed")).map(|(_, n)| n).sum();
    let all = world.store.deliveries(&DeliveryQuery { limit: 10_000, ..DeliveryQuery::default() }).unwrap();
    let live = all.iter().filter(|delivery| delivery.state == DeliveryState::Pending).count();
    let pending = n("Created") - n("Delivered") - n("Dead") - n("Withdrawn");
    assert_eq!(pending, i64::try_from(live).unwrap(), "pending as counted and as stored");
    assert_eq!(n("Due"), n("Delivered") + n("Dead") + pending + suppressed);
    // Each trigger for itself, and together they are all there is.
    let tally = world.store.tally().unwrap();
    let (mut due, mut held_back) = (0, 0);
    for trigger in (1..=20).map(TriggerId) {
        let sums = TriggerSums::of(&tally, APP, trigger);
        let of_trigger = || all.iter().filter(|delivery| delivery.trigger == trigger);
        let live = of_trigger().filter(|delivery| delivery.state == DeliveryState::Pending).count();
        assert_eq!(sums.created, i64::try_from(of_trigger().count()).unwrap(), "created of {trigger}");
        assert_eq!(sums.pending(), i64::try_from(live).unwrap(), "pending of {trigger}");
        assert!(sums.is_balanced(), "{trigger}: {sums:?}");
        due += sums.due;
        held_back += sums.suppressed.values().sum::<i64>();
    }
    assert_eq!((due, held_back), (n("Due"), suppressed));
}

#[test]
fn a_new_winner_takes_over_the_postbacks_and_the_ledger_balances() {
    for together in [true, false] {
        let triggers = (1..=3)
            .map(|network| trigger(network, TriggerKind::Install, Some(network)))
            .chain([trigger(9, TriggerKind::Install, None)]);
        let mut world = World::with(AppPolicy::default(), triggers.collect());
        let inputs = [
            world.input(0, click(1, 0, plain(adid(1)), 1)),
            world.input(100, install(100, origin(Some("d"), vec![adid(1)], 9))),
            world.input(110, click(2, 50, plain(adid(1)), 1)),
        ];
        if together {
            world.take_batch(&inputs);
        } else {
            world.take(&inputs);
        }
        assert_eq!(world.verdict(&inputs[1]), "device_id 2");
        let all = world.store.deliveries(&DeliveryQuery { limit: 100, ..DeliveryQuery::default() }).unwrap();
        let mut states: Vec<(u64, u32, DeliveryState)> =
            all.iter().map(|delivery| (delivery.trigger.0, delivery.revision, delivery.state)).collect();
        states.sort_unstable();
        assert_eq!(
            states,
            [
                (1, 0, DeliveryState::Suppressed),
                (2, 1, DeliveryState::Pending),
                (9, 0, DeliveryState::Pending),
            ]
        );
        assert_balanced(&world);
    }
}

#[test]
fn an_event_from_before_its_install_reaches_everybody_once_and_the_winner_when_it_is_linked() {
    let triggers = vec![trigger(1, TriggerKind::Event, Some(1)), trigger(9, TriggerKind::Event, None)];
    let mut world = World::with(AppPolicy::default(), triggers);
    let inputs = [
        world.input(0, click(1, 0, plain(adid(1)), 1)),
        world.input(10, event(10, "A", origin(Some("d"), vec![], 9))),
        world.input(20, install(20, origin(Some("d"), vec![adid(1)], 9))),
    ];
    world.take(&inputs);
    let all = world.store.deliveries(&DeliveryQuery { limit: 100, ..DeliveryQuery::default() }).unwrap();
    let mut told: Vec<(u64, u32)> =
        all.iter().map(|delivery| (delivery.trigger.0, delivery.revision)).collect();
    told.sort_unstable();
    assert_eq!(told, [(1, 1), (9, 0)]);
    assert_balanced(&world);
}

/// One step of a generated day.
#[derive(Clone, Debug)]
enum Step {
    Click { network: u64, person: u32, form: Option<usize>, bare: bool },
    Claim { network: u64, person: u32, view: bool },
    Install { person: u32, anonymous: bool },
    Event { person: u32 },
    Link { person: u32 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let person = 0..4_u32;
    let step = prop_oneof![
        (1..=3_u64, person.clone(), proptest::option::of(0..12_usize), any::<bool>())
            .prop_map(|(network, person, form, bare)| Step::Click { network, person, form, bare }),
        (1..=3_u64, person.clone(), any::<bool>()).prop_map(|(network, person, view)| Step::Claim {
            network,
            person,
            view
        }),
        (person.clone(), any::<bool>()).prop_map(|(person, anonymous)| Step::Install { person, anonymous }),
        person.clone().prop_map(|person| Step::Event { person }),
        person.prop_map(|person| Step::Link { person }),
    ];
    proptest::collection::vec(step, 1..24)
}

/// The payloads of a day, in the order in which they happened, one every ten seconds. Two people share
/// each address; a person installs once, with or without an identifier.
fn payloads(steps: &[Step]) -> Vec<Payload> {
    let mut installed = std::collections::BTreeSet::new();
    let ip = |person: u32| u8::try_from(person / 2).unwrap();
    steps
        .iter()
        .zip((0..).step_by(10))
        .filter_map(|(step, seconds)| {
            Some(match step {
                Step::Click { network, person, form, bare } => {
                    let identifiers = match form {
                        _ if *bare => Vec::new(),
                        None => plain(adid(*person)),
                        Some(form) => hashed(forms(&adid(*person).value, DigestLength::Md5).remove(*form).1),
                    };
                    click(*network, seconds, identifiers, ip(*person))
                }
                Step::Claim { network, person, view } => claim(*network, seconds, adid(*person), *view),
                Step::Install { person, anonymous } => {
                    if !installed.insert(*person) {
                        return None;
                    }
                    let identifiers = if *anonymous { vec![] } else { vec![adid(*person)] };
                    install(seconds, origin(Some(&format!("p{person}")), identifiers, ip(*person)))
                }
                Step::Event { person } => {
                    event(seconds, "A", origin(Some(&format!("p{person}")), vec![], ip(*person)))
                }
                Step::Link { person } => link(Some(&format!("p{person}")), vec![], "u"),
            })
        })
        .collect()
}

/// What a decision says, without what the order of arrival may change: its revision, its time.
fn essence(world: &World, inputs: &[Input]) -> Vec<String> {
    inputs
        .iter()
        .filter(|input| matches!(input.payload, Payload::Install(_)))
        .map(|input| {
            let decision = world.decision(input);
            format!("{:?} {} {:?}", decision.candidates, decision.ambiguous, decision.flags)
        })
        .collect()
}

fn all_triggers() -> Vec<Trigger> {
    vec![
        trigger(1, TriggerKind::Install, Some(1)),
        trigger(2, TriggerKind::Install, Some(2)),
        trigger(4, TriggerKind::Event, Some(1)),
        trigger(5, TriggerKind::Event, None),
        trigger(6, TriggerKind::Click, None),
        trigger(9, TriggerKind::Install, None),
    ]
}

proptest! {


    #[test]
    fn the_cut_into_batches_never_shows(steps in steps(), cuts in proptest::collection::vec(1..6_usize, 24)) {
        let mut whole = World::with(AppPolicy::default(), all_triggers());
        let mut cut = World::with(AppPolicy::default(), all_triggers());
        let inputs: Vec<Input> =
            payloads(&steps).into_iter().zip((0..).step_by(10)).map(|(payload, s)| whole.input(s, payload)).collect();
        whole.take_batch(&inputs);
        let mut rest = inputs.as_slice();
        for size in cuts {
            let (now, later) = rest.split_at(size.min(rest.len()));
            cut.take_batch(now);
            rest = later;
        }
        prop_assert_eq!(whole.store.facts(1, 1_000).unwrap(), cut.store.facts(1, 1_000).unwrap());
        prop_assert_eq!(whole.tally(), cut.tally());
        for input in &inputs {
            prop_assert_eq!(whole.decisions(input), cut.decisions(input));
        }
        assert_balanced(&whole);
        assert_balanced(&cut);
    }

    #[test]
    fn the_order_of_arrival_never_decides(
        (steps, order) in steps().prop_flat_map(|steps| {
            let places: Vec<usize> = (0..steps.len()).collect();
            (Just(steps), Just(places).prop_shuffle())
        }),
        single_use in any::<bool>(),
    ) {
        let policy = AppPolicy { modeled_single_use: Some(single_use), ..AppPolicy::default() };
        let mut sorted = World::with(policy, all_triggers());
        let mut shuffled = World::with(policy, all_triggers());
        let payloads = payloads(&steps);
        // Everything is received within the grace, after the day; times are those of the payloads.
        let inputs: Vec<Input> = payloads.into_iter().map(|payload| sorted.input(300, payload)).collect();
        sorted.take(&inputs);
        let arrivals: Vec<Input> = order.into_iter().filter_map(|place| inputs.get(place).cloned()).collect();
        shuffled.take(&arrivals);
        prop_assert_eq!(essence(&sorted, &inputs), essence(&shuffled, &inputs));
        assert_balanced(&shuffled);
    }

    #[test]
    fn a_replay_gives_every_decision_again(steps in steps()) {
        let mut world = World::with(AppPolicy::default(), all_triggers());
        let inputs: Vec<Input> =
            payloads(&steps).into_iter().zip((0..).step_by(10)).map(|(payload, s)| world.input(s, payload)).collect();
        world.take_batch(&inputs);
        let again: Arc<dyn Store> = Arc::new(Memory::default());
        replay(world.store.as_ref(), &again).unwrap();
        for input in &inputs {
            prop_assert_eq!(
                world.store.install(APP, input.id.into()).unwrap(),
                again.install(APP, input.id.into()).unwrap()
            );
        }
        prop_assert_eq!(world.store.tally().unwrap(), again.tally().unwrap());
        prop_assert_eq!(world.store.facts(1, 1_000).unwrap(), again.facts(1, 1_000).unwrap());
    }
}

/// Whoever supervises the program starts it again, so it has to end.
#[tokio::test]
async fn a_store_that_takes_no_more_writes_ends_the_write_path() {
    let mut world = World::new();
    let input = world.input(1, event(1, "A", origin(Some("d"), vec![], 1)));
    let store = Arc::new(Faulty::new(Memory::default()));
    let (engine, thread) =
        Engine::start(store.clone(), world.catalogue.clone(), Options::default(), || {}).unwrap();
    store.fail_commits(1);
    assert_eq!(engine.submit(vec![world.submission(input.clone())]).await, [Answer::Unavailable]);
    assert_eq!(engine.submit(vec![world.submission(input.clone())]).await, [Answer::Accepted(input.id)]);
    store.close();
    assert_eq!(engine.submit(vec![world.submission(input.clone())]).await, [Answer::Unavailable]);
    thread.join().unwrap();
    assert_eq!(engine.submit(vec![world.submission(input)]).await, [Answer::Unavailable]);
}
