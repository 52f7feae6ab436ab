//! What was recorded comes back.

use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use measure::{
    AppId, InputId, KeyId, Timestamp,
    identifier::DigestLength,
    ledger::{Counter, Tally, count},
    policy::QUARANTINE_MS,
    skad::AggregateKey,
};

use super::sample::{
    APP, OTHER, aggregate_cell, change, cost_day, day, decision, delivery, delivery_id, device, device_id,
    fact, figures, input, install, install_id, join_key, match_key, quarantined, query, touch,
};
use crate::{Ask, Batch, Credit, DigestIndex, EventName, QUARANTINE_BODIES_MAX, Seen, Store, StoreError};

/// A batch with something of everything, all of it named by `n`; the fact gets that number.
#[must_use]
pub fn full_batch(n: u64) -> Batch {
    let id = u128::from(n);
    let idempotency = measure::input::IdempotencyKey { source: "header".to_owned(), key: format!("key {n}") };
    let mut tally = Tally::new();
    count(&mut tally, Some(APP), Counter::Accepted("event".to_owned()), 1);
    count(&mut tally, Some(APP), Counter::Created, 1);
    Batch {
        now: day(1),
        facts: vec![fact(n)],
        devices: vec![device(APP, id)],
        device_keys: vec![(APP, join_key(id), device_id(id), true)],
        touches: vec![(APP, match_key(id), touch(id, day(1)))],
        arrivals: vec![(APP, match_key(id), day(1), install_id(id))],
        installs: vec![install(APP, id)],
        decisions: vec![decision(APP, id, 0)],
        held: vec![(APP, join_key(id), input(id), day(1), true)],
        seen: vec![(APP, idempotency, Seen { input: input(id), received: day(1), body_hash: [1; 16] })],
        credits: vec![(
            APP,
            touch(id, day(1)).id,
            Credit { install: install_id(id), installed: day(1), waiting: false },
            true,
        )],
        timeline: vec![(APP, install_id(id), n)],
        aggregates: vec![(APP, n)],
        counted: vec![(APP, AggregateKey(id.to_be_bytes()), n)],
        released: vec![(input(id), n)],
        deliveries: vec![delivery(id, day(1))],
        superseded: Vec::new(),
        event_names: vec![(APP, format!("Event {n:05}"), EventName { first_seen: day(1), is_revenue: true })],
        digest_lengths: vec![(AppId(n), DigestLength::Sha1, day(1))],
        digest_indexes: vec![(
            AppId(n),
            DigestLength::Md5,
            DigestIndex { after: Some(device_id(id)), complete: false },
        )],
        quarantine: vec![quarantined(Some(APP), id, day(1))],
        tally,
        figures: vec![(APP, figures(n.into()))],
    }
}

/// Asks for everything of [`full_batch`] that a context can hold.
#[must_use]
pub fn full_ask(n: u64) -> Ask {
    let batch = full_batch(n);
    let id = u128::from(n);
    Ask {
        devices: vec![(APP, join_key(id))],
        touches: vec![(APP, match_key(id), day(1))],
        arrivals: vec![(APP, match_key(id), day(1))],
        held: vec![(APP, join_key(id))],
        seen: batch.seen.into_iter().map(|(app, key, _)| (app, key)).collect(),
        installs: vec![(APP, install_id(id))],
        credits: batch.credits.into_iter().map(|(app, touch, ..)| (app, touch)).collect(),
        counted: batch.counted.into_iter().map(|(app, key, _)| (app, key)).collect(),
    }
}

/// Checks that everything of the full batches up to `last` is there.
pub fn assert_full<S: Store>(store: &S, last: u64) {
    for n in 1..=last {
        let id = u128::from(n);
        let batch = full_batch(n);
        let context = store.context(&full_ask(n)).unwrap();
        let only = |len: usize| assert_eq!(len, 1, "of batch {n}");
        assert_eq!(context.devices[&(APP, join_key(id))], batch.devices[0]);
        assert_eq!(context.touches[&(APP, match_key(id))], (vec![batch.touches[0].2.clone()], false));
        assert_eq!(context.arrivals[&(APP, match_key(id))], [(day(1), install_id(id))]);
        assert_eq!(context.held[&(APP, join_key(id))], [input(id)]);
        assert_eq!(context.seen.values().collect::<Vec<_>>(), [&batch.seen[0].2]);
        let decided = (batch.installs[0].clone(), batch.decisions[0].clone());
        assert_eq!(context.installs[&(APP, install_id(id))], decided);
        only(context.credits.len());
        assert_eq!(context.counted.values().collect::<Vec<_>>(), [&n]);
        assert_eq!(store.fact(input(id)).unwrap(), Some((batch.facts[0].clone(), Some(n))));
        assert_eq!(store.device(APP, &join_key(id)).unwrap(), Some(batch.devices[0].clone()));
        assert_eq!(store.install(APP, install_id(id)).unwrap(), Some((decided.0, vec![decided.1])));
        assert_eq!(store.timeline(APP, install_id(id)).unwrap(), [n]);
        assert_eq!(store.delivery(delivery_id(id)).unwrap(), Some(batch.deliveries[0].clone()));
    }
    let all = usize::try_from(last).unwrap();
    assert_eq!(store.last_sequence().unwrap(), last);
    assert_eq!(store.facts(0, all + 1).unwrap().len(), all);
    assert_eq!(store.aggregates(APP, None, all + 1).unwrap().len(), all);
    assert_eq!(store.deliveries(&query(all + 1)).unwrap().len(), all);
    assert_eq!(store.devices(APP, None, all + 1).unwrap().len(), all);
    assert_eq!(store.quarantine(Some(APP), None, all + 1).unwrap().len(), all);
    assert_eq!(store.event_names(APP).unwrap().len(), all);
    assert_eq!(store.digest_lengths().unwrap().len(), all);
    assert_eq!(store.digest_indexes().unwrap().len(), all);
    let n = i64::try_from(last).unwrap();
    let accepted = (Some(APP), Counter::Accepted("event".to_owned()));
    let created = (Some(APP), Counter::Created);
    assert_eq!(store.tally().unwrap(), Tally::from([(accepted, n), (created, n)]));
    assert_eq!(store.next_due().unwrap(), Some(day(1)));
}

fn is_corrupt(result: Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Corrupt(_)))
}

/// Nothing is known at first.
pub fn an_empty_store_knows_nothing<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    let context = store.context(&full_ask(1)).unwrap();
    assert!(context.devices.is_empty() && context.touches.is_empty() && context.arrivals.is_empty());
    assert!(context.held.is_empty() && context.seen.is_empty() && context.installs.is_empty());
    assert!(context.credits.is_empty() && context.counted.is_empty());
    assert!(store.aggregates(APP, None, 5).unwrap().is_empty());
    assert_eq!(store.last_sequence().unwrap(), 0);
    assert_eq!(store.next_due().unwrap(), None);
    assert_eq!(store.fact(input(1)).unwrap(), None);
    assert_eq!(store.install(APP, install_id(1)).unwrap(), None);
    assert_eq!(store.delivery(delivery_id(1)).unwrap(), None);
    assert_eq!(store.tally().unwrap(), Tally::new());
    assert_eq!(store.changes().unwrap(), []);
    assert_eq!(store.lease(day(9), day(10), 5).unwrap().len(), 0);
    assert_eq!(store.deliveries(&query(5)).unwrap(), []);
}

/// Everything of a batch is there when the commit returns.
pub fn a_batch_is_visible_as_a_whole<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    for n in 1..=12 {
        store.commit(&full_batch(n)).unwrap();
        assert_full(&store, n);
    }
}

/// Who reads while others commit sees batches whole or not at all.
pub fn readers_never_see_half_a_batch<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=60 {
                store.commit(&full_batch(n)).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        let mut n = 1;
        while n <= 60 {
            let finished = done.load(Ordering::Acquire);
            let context = store.context(&full_ask(n)).unwrap();
            let parts = [
                context.devices.len(),
                context.touches.len(),
                context.arrivals.len(),
                context.held.len(),
                context.seen.len(),
                context.installs.len(),
                context.credits.len(),
            ];
            assert!(parts == [0; 7] || parts == [1; 7], "batch {n} is there in parts: {parts:?}");
            n += u64::from(parts == [1; 7]);
            assert!(!finished || parts == [1; 7], "batch {n} was committed and is not there");
        }
    });
}

/// Everything is there after the store was closed and opened again.
pub fn what_was_committed_survives_a_restart<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, mut store) = open();
    for n in 1..=7 {
        store.commit(&full_batch(n)).unwrap();
        store = reopen(store);
        assert_full(&store, n);
    }
}

/// The next batch builds on one that is written, synced or not; syncing again and again is allowed.
pub fn what_is_written_is_seen_before_it_is_synced<S: Store, R: FnMut(S) -> S>(
    open: impl FnOnce() -> (R, S),
) {
    let (mut reopen, store) = open();
    store.sync().unwrap();
    for n in 1..=3 {
        store.write(&full_batch(n)).unwrap();
        assert_full(&store, n);
    }
    store.sync().unwrap();
    store.sync().unwrap();
    let store = reopen(store);
    assert_full(&store, 3);
    assert_eq!(store.facts(1, 9).unwrap(), (1..=3).map(fact).collect::<Vec<_>>());
}

/// One thread writes, another one syncs.
pub fn syncs_and_writes_at_the_same_time_lose_nothing<S: Store, R: FnMut(S) -> S>(
    open: impl FnOnce() -> (R, S),
) {
    let (mut reopen, store) = open();
    thread::scope(|scope| {
        let (written, to_sync) = mpsc::channel();
        let store = &store;
        scope.spawn(move || {
            for n in 1..=30 {
                store.write(&full_batch(n)).unwrap();
                written.send(()).unwrap();
            }
        });
        while to_sync.recv().is_ok() {
            store.sync().unwrap();
        }
    });
    let store = reopen(store);
    assert_full(&store, 30);
    assert_eq!(store.facts(1, 99).unwrap(), (1..=30).map(fact).collect::<Vec<_>>());
}

/// A commit must not overwrite facts or leave a hole.
pub fn sequence_numbers_go_on_where_they_ended<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    let batch =
        |facts: &[u64]| Batch { facts: facts.iter().copied().map(fact).collect(), ..Batch::default() };
    assert!(is_corrupt(store.commit(&batch(&[2]))));
    store.commit(&batch(&[1, 2, 3])).unwrap();
    assert!(is_corrupt(store.commit(&batch(&[3]))));
    assert!(is_corrupt(store.commit(&batch(&[5]))));
    assert!(is_corrupt(store.commit(&batch(&[4, 6]))));
    assert_eq!(store.last_sequence().unwrap(), 3);
    assert_eq!(store.facts(1, 10).unwrap().len(), 3);
    let store = reopen(store);
    store.commit(&batch(&[4])).unwrap();
    assert_eq!(store.last_sequence().unwrap(), 4);
}

/// Facts are read from any place, forwards and backwards.
pub fn facts_are_paged_in_both_directions<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    store.commit(&Batch { facts: (1..=600).map(fact).collect(), ..Batch::default() }).unwrap();
    let forwards = |first, limit| -> Vec<u64> {
        store.facts(first, limit).unwrap().iter().map(|fact| fact.sequence).collect()
    };
    let backwards = |last, limit| -> Vec<u64> {
        store.facts_back(last, limit).unwrap().iter().map(|fact| fact.sequence).collect()
    };
    assert_eq!(forwards(0, 3), [1, 2, 3]);
    assert_eq!(forwards(255, 3), [255, 256, 257]);
    assert_eq!(forwards(599, 5), [599, 600]);
    assert!(forwards(601, 5).is_empty());
    assert!(forwards(1, 0).is_empty());
    assert_eq!(backwards(u64::MAX, 2), [600, 599]);
    assert_eq!(backwards(257, 3), [257, 256, 255]);
    assert_eq!(backwards(2, 5), [2, 1]);
    assert!(backwards(0, 5).is_empty());
}

/// A held input knows the fact that released it, and still its own.
pub fn released_inputs_name_the_fact_that_released_them<S: Store, R: FnMut(S) -> S>(
    open: impl FnOnce() -> (R, S),
) {
    let (_reopen, store) = open();
    store.commit(&Batch { facts: vec![fact(1)], ..Batch::default() }).unwrap();
    assert_eq!(store.fact(input(1)).unwrap(), Some((fact(1), None)));
    let release = Batch { facts: vec![fact(2)], released: vec![(input(1), 2)], ..Batch::default() };
    store.commit(&release).unwrap();
    assert_eq!(store.fact(input(1)).unwrap(), Some((fact(1), Some(2))));
    assert_eq!(store.fact(input(2)).unwrap(), Some((fact(2), None)));
}

/// The context has the latest revision, the history has all, and apps do not mix.
pub fn every_revision_of_a_decision_is_kept<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    store
        .commit(&Batch {
            installs: vec![install(APP, 1), install(OTHER, 1), install(APP, 2)],
            decisions: vec![decision(APP, 1, 0), decision(OTHER, 1, 0)],
            ..Batch::default()
        })
        .unwrap();
    let revisions = (1..=300).map(|revision| decision(APP, 1, revision)).collect();
    store.commit(&Batch { decisions: revisions, ..Batch::default() }).unwrap();
    let ask = Ask {
        installs: vec![(APP, install_id(1)), (OTHER, install_id(1)), (APP, install_id(2))],
        ..Ask::default()
    };
    let context = store.context(&ask).unwrap();
    assert_eq!(context.installs[&(APP, install_id(1))].1.revision, 300);
    assert_eq!(context.installs[&(OTHER, install_id(1))].1.revision, 0);
    assert!(!context.installs.contains_key(&(APP, install_id(2))), "it was never decided");
    let (_, history) = store.install(APP, install_id(1)).unwrap().unwrap();
    assert!(history.iter().map(|decision| decision.revision).eq(0..=300));
}

/// Installs come app by app, each with its own decisions and no other's.
pub fn installs_are_paged_with_their_decisions<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, mut store) = open();
    let installs = vec![install(APP, 1), install(APP, 2), install(APP, 4), install(OTHER, 3)];
    let revisions = [(1, 0), (1, 1), (2, 0), (3, 0), (4, 0), (4, 1)];
    // A decision on an install that is gone belongs to nobody.
    let decisions = revisions.map(|(n, revision)| decision(APP, n, revision)).to_vec();
    let decisions = decisions.into_iter().chain([decision(OTHER, 3, 0)]).collect();
    store.commit(&Batch { installs, decisions, ..Batch::default() }).unwrap();
    store = reopen(store);
    let page = |app, after, limit| {
        let page = store.installs(app, after, limit).unwrap();
        let row =
            |(record, decisions): (measure::install::InstallRecord, Vec<measure::attribution::Decision>)| {
                (
                    record.id.0.as_u128(),
                    decisions.iter().map(|one| (one.install.0.as_u128(), one.revision)).collect(),
                )
            };
        page.into_iter().map(row).collect::<Vec<(u128, Vec<(u128, u32)>)>>()
    };
    let all = [(1, vec![(1, 0), (1, 1)]), (2, vec![(2, 0)]), (4, vec![(4, 0), (4, 1)])];
    assert_eq!(page(APP, None, 10), all);
    assert_eq!(page(APP, None, 2), all[..2]);
    assert_eq!(page(APP, Some(install_id(1)), 10), all[1..]);
    assert_eq!(page(APP, Some(install_id(2)), 1), all[2..]);
    assert_eq!(page(APP, Some(install_id(4)), 10), []);
    assert_eq!(page(OTHER, None, 10), [(3, vec![(3, 0)])]);
}

/// A timeline is in the order of facts, whatever the order of commits, and holds each once.
pub fn a_timeline_lists_facts_in_order<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    for sequence in [7_u64, 300, 2, 300] {
        let timeline = vec![(APP, install_id(1), sequence), (OTHER, install_id(1), sequence + 1)];
        store.commit(&Batch { timeline, ..Batch::default() }).unwrap();
    }
    assert_eq!(store.timeline(APP, install_id(1)).unwrap(), [2, 7, 300]);
    assert_eq!(store.timeline(APP, install_id(2)).unwrap(), [0; 0]);
}

/// Aggregate postbacks are listed newest first, app by app, and what counted them is known however old.
pub fn aggregates_are_paged_by_app_and_counted_for_ever<S: Store, R: FnMut(S) -> S>(
    open: impl FnOnce() -> (R, S),
) {
    let (mut reopen, mut store) = open();
    let key = |n| AggregateKey([n; 16]);
    for n in 1..=5 {
        let owner = if n == 3 { OTHER } else { APP };
        let now = day(i64::try_from(n).unwrap() * 100);
        let counted = if n == 1 { vec![(owner, key(1), n)] } else { Vec::new() };
        let aggregates = vec![(owner, n)];
        let facts = vec![fact(n)];
        store.commit(&Batch { now, facts, aggregates, counted, ..Batch::default() }).unwrap();
    }
    store = reopen(store);
    let numbers = |app, before, limit| {
        let facts = store.aggregates(app, before, limit).unwrap();
        facts.iter().map(|fact| fact.sequence).collect::<Vec<_>>()
    };
    assert_eq!(numbers(APP, None, 10), [5, 4, 2, 1]);
    assert_eq!(numbers(APP, None, 2), [5, 4]);
    assert_eq!(numbers(APP, Some(4), 2), [2, 1]);
    assert_eq!(numbers(APP, Some(1), 2), [0; 0]);
    assert_eq!(numbers(APP, Some(0), 2), [0; 0]);
    assert_eq!(numbers(OTHER, None, 10), [3]);
    assert_eq!(numbers(AppId(77), None, 10), [0; 0]);
    let ask = Ask { counted: vec![(APP, key(1)), (OTHER, key(1)), (APP, key(2))], ..Ask::default() };
    assert_eq!(store.context(&ask).unwrap().counted, [((APP, key(1)), 1)].into());
}

/// Counters are sums over all commits, by app and by label.
pub fn counts_add_up<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, mut store) = open();
    let counters = [
        (Some(APP), Counter::Accepted("click".to_owned()), 3),
        (Some(APP), Counter::Accepted("event".to_owned()), 4),
        (Some(OTHER), Counter::Accepted("event".to_owned()), 1),
        (None, Counter::Quarantined, 2),
        (Some(APP), Counter::Due, -1),
        (Some(APP), Counter::Aggregates(aggregate_cell(0)), 2),
        (Some(APP), Counter::Aggregates(aggregate_cell(1)), 5),
        (Some(APP), Counter::AggregatesRepeated, 1),
    ];
    for _ in 0..3 {
        let mut tally = Tally::new();
        for (app, counter, n) in &counters {
            count(&mut tally, *app, counter.clone(), *n);
        }
        store.commit(&Batch { tally, ..Batch::default() }).unwrap();
        store = reopen(store);
    }
    let expected: Tally = counters.into_iter().map(|(app, counter, n)| ((app, counter), n * 3)).collect();
    assert_eq!(store.tally().unwrap(), expected);
}

/// Changes come back in the order of their versions, which leave no hole.
pub fn changes_come_back_in_order<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    store.record(&[change(1), change(2)]).unwrap();
    assert!(is_corrupt(store.record(&[change(2)])));
    assert!(is_corrupt(store.record(&[change(3), change(5)])));
    let store = reopen(store);
    store.record(&(3..=300).map(change).collect::<Vec<_>>()).unwrap();
    assert_eq!(store.changes().unwrap(), (1..=300).map(change).collect::<Vec<_>>());
}

/// Names come in order, whatever their length; lengths and indexes are kept per app.
pub fn event_names_and_digests_are_remembered<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    let long = "x".repeat(100_000);
    let name = |is_revenue| EventName { first_seen: day(1), is_revenue };
    let index = |after, complete| DigestIndex { after, complete };
    store
        .commit(&Batch {
            event_names: vec![
                (APP, long.clone(), name(true)),
                (APP, "a".to_owned(), name(false)),
                (OTHER, "b".to_owned(), name(true)),
            ],
            digest_lengths: vec![(OTHER, DigestLength::Md5, day(1)), (APP, DigestLength::Sha256, day(2))],
            digest_indexes: vec![(APP, DigestLength::Sha1, index(None, false))],
            ..Batch::default()
        })
        .unwrap();
    store
        .commit(&Batch {
            digest_lengths: vec![(APP, DigestLength::Md5, day(3))],
            digest_indexes: vec![(APP, DigestLength::Sha1, index(Some(device_id(4)), true))],
            ..Batch::default()
        })
        .unwrap();
    let store = reopen(store);
    assert_eq!(store.event_names(APP).unwrap(), [("a".to_owned(), name(false)), (long, name(true))]);
    let lengths = [
        (APP, DigestLength::Md5, day(3)),
        (APP, DigestLength::Sha256, day(2)),
        (OTHER, DigestLength::Md5, day(1)),
    ];
    assert_eq!(store.digest_lengths().unwrap(), lengths);
    let indexed = [(APP, DigestLength::Sha1, index(Some(device_id(4)), true))];
    assert_eq!(store.digest_indexes().unwrap(), indexed);
}

/// Of every key the last use is known, also after a restart.
pub fn the_last_use_of_a_key_is_remembered<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    for (key, at) in [(2, day(1)), (1, day(2)), (2, day(3))] {
        store.note_use(KeyId(key), at).unwrap();
    }
    let store = reopen(store);
    assert_eq!(store.key_uses().unwrap(), [(KeyId(1), day(2)), (KeyId(2), day(3))]);
}

/// Costs come back by day and network; what is uploaded again replaces, and what is not stays.
pub fn costs_are_replaced_by_app_day_and_network<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    let bare = |app, day, n| measure::cost::CostDay { rows: Vec::new(), ..cost_day(app, day, n) };
    let days = [(APP, -1, 5), (APP, 7, 300), (APP, 7, 2), (APP, 8, 2), (OTHER, 7, 2)];
    store.put_costs(&days.map(|(app, day, n)| cost_day(app, day, n))).unwrap();
    store.put_costs(&[bare(APP, 7, 2), bare(OTHER, 9, 2)]).unwrap();
    let store = reopen(store);
    let all = [cost_day(APP, -1, 5), bare(APP, 7, 2), cost_day(APP, 7, 300), cost_day(APP, 8, 2)];
    assert_eq!(store.costs(APP, -9, 9).unwrap(), all);
    assert_eq!(store.costs(APP, 7, 7).unwrap(), all[1..3]);
    assert_eq!(store.costs(OTHER, 0, 8).unwrap(), [cost_day(OTHER, 7, 2)]);
    assert_eq!(store.costs(APP, 9, 8).unwrap(), []);
}

/// What fraud rules count is kept by app, the newest only, also after a restart.
pub fn figures_are_replaced_by_app<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    assert_eq!(store.figures().unwrap(), []);
    let commit = |figures| store.commit(&Batch { figures, ..Batch::default() }).unwrap();
    commit(vec![(OTHER, figures(2)), (APP, figures(1))]);
    commit(vec![(APP, figures(3))]);
    let store = reopen(store);
    assert_eq!(store.figures().unwrap(), [(APP, figures(3)), (OTHER, figures(2))]);
}

/// Reads all pages of the quarantine of an app.
fn quarantine_pages<S: Store>(store: &S, app: Option<AppId>, limit: usize) -> Vec<InputId> {
    let mut ids: Vec<InputId> = Vec::new();
    loop {
        let page = store.quarantine(app, ids.last().copied(), limit).unwrap();
        assert!(page.len() <= limit);
        assert!(page.iter().all(|body| body.app == app));
        ids.extend(page.iter().map(|body| body.id));
        if page.len() < limit {
            return ids;
        }
    }
}

/// Pages join without gap or overlap, and apps do not mix.
pub fn quarantine_is_paged_by_app<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    let apps = [None, Some(APP), Some(OTHER), Some(AppId(u64::MAX))];
    for app in apps {
        let quarantine = (1..=10).map(|n| quarantined(app, n, day(1))).collect();
        store.commit(&Batch { now: day(1), quarantine, ..Batch::default() }).unwrap();
    }
    let newest_first: Vec<_> = (1..=10).rev().map(input).collect();
    for app in apps {
        for limit in [1, 3, 5, 10, 11] {
            assert_eq!(quarantine_pages(&store, app, limit), newest_first);
        }
    }
    assert_eq!(store.quarantine(Some(AppId(3)), None, 5).unwrap(), []);
}

/// Over the limit of an app its oldest bodies go, also after a restart.
pub fn quarantine_keeps_the_newest_bodies<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    let max = u128::try_from(QUARANTINE_BODIES_MAX).unwrap();
    let put = |store: &S, app, ids: std::ops::RangeInclusive<u128>| {
        let quarantine = ids.map(|n| quarantined(app, n, day(1))).collect();
        store.commit(&Batch { now: day(1), quarantine, ..Batch::default() }).unwrap();
    };
    put(&store, Some(APP), 1..=max);
    put(&store, Some(OTHER), 1..=1);
    let store = reopen(store);
    put(&store, Some(APP), max + 1..=max + 2);
    let kept: Vec<_> = (3..=max + 2).rev().map(input).collect();
    assert_eq!(quarantine_pages(&store, Some(APP), 4_000), kept);
    assert_eq!(quarantine_pages(&store, Some(OTHER), 4_000), [input(1)]);
}

/// Bodies older than seven days go with the next commit.
pub fn quarantine_forgets_after_a_week<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    let received = |n: i64| day(n);
    let quarantine = (1..=3).map(|n| quarantined(None, n as u128, received(n))).collect();
    store.commit(&Batch { now: day(3), quarantine, ..Batch::default() }).unwrap();
    let store = reopen(store);
    let advance = |store: &S, now: Timestamp| store.commit(&Batch { now, ..Batch::default() }).unwrap();
    advance(&store, day(1).plus(QUARANTINE_MS));
    assert_eq!(quarantine_pages(&store, None, 10), [input(3), input(2), input(1)]);
    advance(&store, day(2).plus(QUARANTINE_MS));
    assert_eq!(quarantine_pages(&store, None, 10), [input(3), input(2)]);
    advance(&store, day(1));
    assert_eq!(quarantine_pages(&store, None, 10), [input(3), input(2)]);
}
