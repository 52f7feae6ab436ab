//! Privacy requests take away what they name and nothing else.

use measure::{
    JobId,
    flag::Flag,
    input::IdempotencyKey,
    ledger::Counter,
    postback::{Attempt, DeliveryState},
    privacy::{Job, JobKind, JobState, Search, Subject, Tombstone},
};
use uuid::Uuid;

use super::sample::{
    APP, OTHER, attempt, day, decision, delivery, delivery_id, device, device_id, fact, figures, identifier,
    input, install, install_id, join_key, match_key, quarantined, query, touch,
};
use crate::{Ask, Batch, Scrub, Seen, Store};

/// A request on its way, for samples.
#[must_use]
pub fn job(n: u128, state: JobState) -> Job {
    let subject = Subject {
        identifiers: vec![identifier(n)],
        kochava_ids: vec![format!("KD{n}")],
        links: vec![("user_id".to_owned(), "u-1".to_owned())],
        devices: vec![(APP, device_id(n), install_id(n))],
        ..Subject::default()
    };
    Job {
        id: JobId(Uuid::from_u128(n)),
        kind: JobKind::Scrub,
        app: Some(APP),
        created: day(1),
        by: Some(measure::KeyId(3)),
        state,
        subject,
        resolved: true,
        until: 90,
        done: 30,
        devices: 1,
        inputs: 4,
        deliveries: 2,
        quarantined: 0,
        facts: vec![7, 9],
        finished: None,
    }
}

/// Facts, devices, installs and decisions are replaced in place; the rest of the record stays as it is.
pub fn what_is_erased_is_replaced_in_place<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    let facts: Vec<_> = (1..=5).map(fact).collect();
    store
        .commit(&Batch {
            facts: facts.clone(),
            devices: vec![device(APP, 1), device(APP, 2)],
            installs: vec![install(APP, 1), install(APP, 2)],
            decisions: vec![decision(APP, 1, 0), decision(APP, 1, 1)],
            ..Batch::default()
        })
        .unwrap();
    let mut erased = fact(3);
    erased.input.body.clear();
    erased.input.flags.insert(Flag::Erased);
    let (mut bare, mut record) = (device(APP, 1), install(APP, 1));
    measure::privacy::erase_device(&mut bare);
    measure::privacy::erase_record(&mut record);
    let mut second = decision(APP, 1, 1);
    second.candidates.clear();
    let unknown = measure::input::Fact { sequence: 99, ..fact(3) };
    let foreign = measure::input::Fact { sequence: 4, ..fact(3) };
    let scrub = Scrub {
        facts: vec![erased.clone(), unknown, foreign],
        devices: vec![bare.clone()],
        installs: vec![record.clone()],
        decisions: vec![second.clone()],
        figures: vec![(APP, figures(4))],
        ..Scrub::default()
    };
    store.scrub(&scrub).unwrap();
    store.scrub(&scrub).unwrap();
    let store = reopen(store);
    let [one, two, _, four, five] = facts.try_into().unwrap();
    assert_eq!(store.facts(1, 10).unwrap(), [one, two, erased.clone(), four, five]);
    assert_eq!(store.fact(erased.input.id).unwrap().map(|(fact, _)| fact), Some(erased));
    assert_eq!(store.last_sequence().unwrap(), 5);
    assert_eq!(store.devices(APP, None, 10).unwrap(), [bare, device(APP, 2)]);
    assert_eq!(store.install(APP, install_id(1)).unwrap(), Some((record, vec![decision(APP, 1, 0), second])));
    assert_eq!(store.install(APP, install_id(2)).unwrap().map(|(record, _)| record), Some(install(APP, 2)));
    assert_eq!(store.figures().unwrap(), [(APP, figures(4))]);
}

/// What led to the erased no longer does; what leads to others still does.
pub fn what_leads_to_the_erased_is_taken_away<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    let idempotency = |n: u64| IdempotencyKey { source: "header".to_owned(), key: format!("key {n}") };
    let seen = |n| Seen { input: input(n), received: day(1), body_hash: [1; 16] };
    let keys = [join_key(1), join_key(2), join_key(3)];
    store
        .commit(&Batch {
            now: day(1),
            devices: vec![device(APP, 1), device(APP, 2)],
            device_keys: [1, 2, 1]
                .iter()
                .zip(&keys)
                .map(|(n, key)| (APP, key.clone(), device_id(*n), true))
                .collect(),
            touches: vec![(APP, match_key(1), touch(1, day(1))), (APP, match_key(1), touch(2, day(1)))],
            arrivals: vec![
                (APP, match_key(2), day(1), install_id(1)),
                (APP, match_key(2), day(1), install_id(2)),
            ],
            held: vec![
                (APP, join_key(4), input(1), day(1), true),
                (APP, join_key(4), input(2), day(1), true),
            ],
            seen: vec![(APP, idempotency(1), seen(1)), (APP, idempotency(2), seen(2))],
            quarantine: vec![quarantined(None, 1, day(1)), quarantined(Some(APP), 2, day(1))],
            ..Batch::default()
        })
        .unwrap();
    let gone = touch(1, day(1));
    store
        .scrub(&Scrub {
            device_keys: keys.iter().map(|key| (APP, key.clone(), device_id(1))).collect(),
            touches: vec![(APP, match_key(1), gone.time, gone.content_key, gone.id)],
            arrivals: vec![(APP, match_key(2), day(1), install_id(1))],
            held: vec![(APP, join_key(4), input(1)), (OTHER, join_key(4), input(2))],
            seen: vec![(APP, idempotency(1)), (OTHER, idempotency(2))],
            quarantine: vec![(None, input(1)), (Some(OTHER), input(2))],
            ..Scrub::default()
        })
        .unwrap();
    let store = reopen(store);
    let found: Vec<_> =
        keys.iter().map(|key| store.device(APP, key).unwrap().map(|device| device.id)).collect();
    assert_eq!(found, [None, Some(device_id(2)), None], "a key of another device stays");
    let context = store
        .context(&Ask {
            touches: vec![(APP, match_key(1), day(2))],
            arrivals: vec![(APP, match_key(2), day(0))],
            held: vec![(APP, join_key(4))],
            seen: vec![(APP, idempotency(1)), (APP, idempotency(2))],
            ..Ask::default()
        })
        .unwrap();
    assert_eq!(context.touches[&(APP, match_key(1))].0, [touch(2, day(1))]);
    assert_eq!(context.arrivals[&(APP, match_key(2))], [(day(1), install_id(2))]);
    assert_eq!(context.held[&(APP, join_key(4))], [input(2)]);
    assert_eq!(context.seen.into_keys().collect::<Vec<_>>(), [(APP, idempotency(2))]);
    assert_eq!(store.quarantine(None, None, 10).unwrap(), []);
    assert_eq!(store.quarantine(Some(APP), None, 10).unwrap(), [quarantined(Some(APP), 2, day(1))]);
}

/// An erased delivery keeps its state and where it went; a pending one is suppressed, counted, and settled
/// as what it is. What was on its way is put down without its answer.
pub fn erased_deliveries_tell_nothing<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    let deliveries: Vec<_> = (1..=3).map(|n| delivery(n, day(1))).collect();
    store.commit(&Batch { deliveries: deliveries.clone(), ..Batch::default() }).unwrap();
    let leases = store.lease(day(1), day(2), 1).unwrap();
    let leased = leases[0].delivery.id;
    let settlement =
        super::sample::settlement(leased.0.as_u128(), leases[0].fence, DeliveryState::Dead, None);
    let answered = Attempt { response: "who is KD1".to_owned(), ..attempt(1, 500) };
    let settlement = crate::Settlement { attempt: Some(answered), ..settlement };
    let scrub = Scrub { deliveries: vec![leased, delivery_id(2), delivery_id(77)], ..Scrub::default() };
    store.scrub(&scrub).unwrap();
    store.scrub(&scrub).unwrap();
    // It was on its way: the attempt is on record, what was answered is not.
    assert_eq!(store.settle(std::slice::from_ref(&settlement)).unwrap(), [true]);
    assert_eq!(store.settle(&[settlement]).unwrap(), [false]);
    let store = reopen(store);
    for id in [leased, delivery_id(2)] {
        let left = store.delivery(id).unwrap().unwrap();
        assert_eq!((left.state, left.reason.as_deref()), (DeliveryState::Suppressed, Some("erased")));
        assert!(left.request.body.is_empty() && left.request.url.ends_with("/[erased]"), "{left:?}");
    }
    let left = store.delivery(leased).unwrap().unwrap();
    assert_eq!((left.attempts.len(), left.attempts[0].response.as_str()), (1, "[erased]"));
    assert_eq!(store.delivery(delivery_id(3)).unwrap(), Some(deliveries[2].clone()));
    let tally = store.tally().unwrap();
    assert_eq!(tally[&(Some(APP), Counter::Suppressed("erased".to_owned()))], 2);
    assert_eq!(tally[&(Some(APP), Counter::Withdrawn)], 2);
    let pending = crate::DeliveryQuery { state: Some(DeliveryState::Pending), ..query(10) };
    assert_eq!(store.deliveries(&pending).unwrap().len(), 1);
    assert_eq!(store.lease(day(9), day(10), 10).unwrap().len(), 1);
}

/// Requests come back as they last were, and so do tombstones, each once.
pub fn privacy_requests_are_remembered<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    assert_eq!((store.jobs().unwrap(), store.tombstones().unwrap()), (vec![], vec![]));
    let tombstone = |app, n| Tombstone { app, hash: [n; 16] };
    let put = |store: &S, job, tombstones| {
        store.scrub(&Scrub { job: Some(job), tombstones, ..Scrub::default() }).unwrap()
    };
    put(&store, job(2, JobState::Queued), vec![tombstone(None, 1), tombstone(Some(APP), 1)]);
    put(&store, job(1, JobState::Running), vec![tombstone(Some(APP), 1), tombstone(Some(OTHER), 0)]);
    let store = reopen(store);
    put(&store, job(2, JobState::Completed), vec![]);
    let store = reopen(store);
    assert_eq!(store.jobs().unwrap(), [job(1, JobState::Running), job(2, JobState::Completed)]);
    let expected = [tombstone(None, 1), tombstone(Some(APP), 1), tombstone(Some(OTHER), 0)];
    assert_eq!(store.tombstones().unwrap(), expected);
}

/// Giving up older versions loses nothing that stands.
pub fn compaction_keeps_what_stands<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    let facts: Vec<_> = (1..=20).map(fact).collect();
    store.commit(&Batch { facts: facts.clone(), ..Batch::default() }).unwrap();
    let subject = Subject { identifiers: vec![identifier(3)], ..Subject::default() };
    let search = Search::new(Some(APP), &subject);
    let erased: Vec<_> = facts
        .iter()
        .cloned()
        .map(|mut fact| {
            search.erase(&mut fact);
            fact
        })
        .collect();
    store.scrub(&Scrub { facts: erased.clone(), ..Scrub::default() }).unwrap();
    store.compact().unwrap();
    assert_eq!(store.facts(1, 100).unwrap(), erased);
    let store = reopen(store);
    store.commit(&Batch { facts: vec![fact(21)], ..Batch::default() }).unwrap();
    assert_eq!(store.facts(1, 100).unwrap().len(), 21);
}
