use std::path::Path;

use measure::{
    TriggerId,
    ledger::TriggerSums,
    policy::{IDEMPOTENCY_MS, TOUCH_RETENTION_MS},
    postback::DeliveryState,
};

use super::*;
use crate::{
    Seen,
    conformance::{
        full_ask, full_batch,
        sample::{
            APP, change, day, delivery, delivery_id, device, fact, input, join_key, match_key, settlement,
            touch,
        },
    },
    expiry::HELD_MS,
};

fn open(path: &Path) -> Fjall {
    Fjall::open(path, Options::default()).unwrap()
}

fn count(store: &Fjall, space: Space) -> usize {
    let keys = store.database.snapshot();
    fjall::Readable::len(&keys, store.spaces.at(space)).unwrap()
}

/// Puts the memtable on disk and compacts.
fn compact(store: &Fjall, space: Space) {
    store.spaces.at(space).rotate_memtable_and_wait().unwrap();
    store.spaces.at(space).major_compact().unwrap();
}

/// What is handed out must not be taken back by a power cut: it would be sent, and then sent again under
/// another identifier.
#[test]
fn a_lease_syncs_what_it_hands_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let batch = |n| Batch { deliveries: vec![delivery(n, day(1))], ..Batch::default() };
    store.write(&batch(1)).unwrap();
    assert!(!store.is_synced());
    assert_eq!(store.lease(day(0), day(2), 1).unwrap().len(), 0, "nothing is due");
    assert!(!store.is_synced());
    assert_eq!(store.lease(day(1), day(2), 1).unwrap().len(), 1);
    assert!(store.is_synced());
    store.write(&batch(2)).unwrap();
    store.settle(&[settlement(1, 1, DeliveryState::Delivered, None)]).unwrap();
    assert!(store.is_synced(), "the journal has one order");
}

#[test]
fn a_directory_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _store = open(folder.path());
    let message = Fjall::open(folder.path(), Options::default()).unwrap_err().to_string();
    assert!(message.contains("in use by another process"), "{message}");
    assert!(message.contains(&folder.path().display().to_string()), "{message}");
}

#[test]
fn a_directory_that_cannot_be_made_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Fjall::open(file.join("data"), Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
}

#[test]
fn a_newer_directory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.spaces.at(Space::Meta).insert(key::FORMAT, (FORMAT + 1).encode().unwrap()).unwrap();
    drop(store);
    let error = Fjall::open(folder.path(), Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    assert!(error.to_string().contains("has format 2, this program knows format 1"), "{error}");
}

#[test]
fn a_record_of_an_unknown_version_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.commit(&Batch { facts: vec![fact(1)], ..Batch::default() }).unwrap();
    let mut bytes = fact(1).encode().unwrap();
    bytes[0] = 9;
    store.spaces.at(Space::Facts).insert(key::number(1), bytes).unwrap();
    for found in [store.facts(1, 1).map(|_| ()), store.fact(input(1)).map(|_| ())] {
        assert!(matches!(found, Err(StoreError::Corrupt(_))), "{found:?}");
    }
}

#[test]
fn what_is_too_old_leaves_the_disk() {
    let spaces = [
        (Space::Held, HELD_MS),
        (Space::Seen, IDEMPOTENCY_MS),
        (Space::Touches, TOUCH_RETENTION_MS),
        (Space::Arrivals, TOUCH_RETENTION_MS),
    ];
    for (space, retention) in spaces {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        store.commit(&full_batch(1)).unwrap();
        let advance = |ms| {
            store.commit(&Batch { now: day(1).plus(retention + ms), ..Batch::default() }).unwrap();
            compact(&store, space);
            count(&store, space)
        };
        assert_eq!(advance(0), 1, "{space:?}");
        assert_eq!(advance(1), 0, "{space:?}");
        for kept in [Space::Facts, Space::Devices, Space::Deliveries, Space::Installs] {
            compact(&store, kept);
            assert_eq!(count(&store, kept), 1, "{kept:?}");
        }
    }
}

#[test]
fn an_older_value_does_not_come_back_when_a_newer_one_expires() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (app, key, seen) = full_batch(1).seen.remove(0);
    for received in [day(1), day(2)] {
        let seen = vec![(app, key.clone(), Seen { received, ..seen.clone() })];
        store.commit(&Batch { now: received, seen, ..Batch::default() }).unwrap();
        store.spaces.at(Space::Seen).rotate_memtable_and_wait().unwrap();
    }
    store.commit(&Batch { now: day(60), ..Batch::default() }).unwrap();
    compact(&store, Space::Seen);
    assert!(store.context(&full_ask(1)).unwrap().seen.is_empty());
    // Nor when the process has forgotten the time.
    drop(store);
    let store = open(folder.path());
    assert!(store.context(&full_ask(1)).unwrap().seen.is_empty());
}

#[test]
fn indexes_hold_what_is_pending_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let deliveries = (1..=20).map(|n| delivery(n, day(1))).collect();
    store.commit(&Batch { deliveries, ..Batch::default() }).unwrap();
    store.lease(day(1), day(2), 10).unwrap();
    store.lease(day(2), day(3), 15).unwrap();
    let superseded = (1..=5).map(delivery_id).collect();
    store.commit(&Batch { superseded, ..Batch::default() }).unwrap();
    assert_eq!((count(&store, Space::Queues), count(&store, Space::Pending)), (15, 15));
    assert_eq!((count(&store, Space::Deliveries), count(&store, Space::InstallDeliveries)), (20, 20));
    assert_eq!(count(&store, Space::Settled), 5);
}

/// A store of the time before final deliveries were listed by trigger and state: they are when it is opened.
#[test]
fn final_deliveries_are_listed_in_a_store_that_is_older_than_the_lists() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let numbers = 1..=2 * WITHDRAW_STEP as u128 + 1;
    let deliveries = numbers.clone().map(|n| delivery(n, day(1))).collect();
    store.commit(&Batch { deliveries, ..Batch::default() }).unwrap();
    let superseded = numbers.filter(|n| n % 2 == 0).map(delivery_id).collect();
    store.commit(&Batch { superseded, ..Batch::default() }).unwrap();
    let query = |state| DeliveryQuery {
        trigger: Some(TriggerId(8)),
        state: Some(state),
        limit: usize::MAX,
        ..DeliveryQuery::default()
    };
    let found = |store: &Fjall| {
        let mut found = [DeliveryState::Suppressed, DeliveryState::Pending].map(|state| {
            let found = store.deliveries(&query(state)).unwrap();
            found.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>()
        });
        found.iter_mut().for_each(|ids| ids.sort_unstable());
        found
    };
    let before = found(&store);
    assert_eq!(before[0].len(), WITHDRAW_STEP);
    // As the former version left it.
    let settled = store.spaces.at(Space::Settled);
    let snapshot = store.database.snapshot();
    for entry in fjall::Readable::iter(&snapshot, settled) {
        settled.remove(entry.key().unwrap()).unwrap();
    }
    store.spaces.at(Space::Meta).remove(key::SETTLED).unwrap();
    drop(snapshot);
    assert_eq!(found(&store)[0], []);
    drop(store);
    let store = open(folder.path());
    assert_eq!(found(&store), before);
}

#[test]
fn a_failed_commit_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.commit(&full_batch(1)).unwrap();
    let tally = store.tally().unwrap();
    let mut wrong = full_batch(2);
    wrong.facts = vec![fact(5)];
    assert!(store.commit(&wrong).is_err());
    assert_eq!(store.tally().unwrap(), tally);
    assert_eq!(store.delivery(delivery_id(2)).unwrap(), None);
    assert!(store.context(&full_ask(2)).unwrap().touches.is_empty());
    store.commit(&full_batch(2)).unwrap();
    assert_eq!(store.last_sequence().unwrap(), 2);
}

#[test]
fn everything_is_there_after_flushes_and_compactions() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.record(&[change(1)]).unwrap();
    for n in 1..=4 {
        store.commit(&full_batch(n)).unwrap();
        compact(&store, Space::Touches);
        compact(&store, Space::Queues);
        compact(&store, Space::Tally);
    }
    crate::conformance::assert_full(&store, 4);
    drop(store);
    let store = open(folder.path());
    crate::conformance::assert_full(&store, 4);
    assert_eq!(store.changes().unwrap(), [change(1)]);
    assert_eq!(store.device(APP, &join_key(1)).unwrap(), Some(device(APP, 1)));
    let ask = Ask { touches: vec![(APP, match_key(2), day(1))], ..Ask::default() };
    assert_eq!(store.context(&ask).unwrap().touches[&(APP, match_key(2))].0, [touch(2, day(1))]);
}

/// A store of the time before triggers had counters: what it holds is counted when it is opened, once, and the
/// ledger of a trigger balances from then on.
#[test]
fn triggers_are_counted_in_a_store_that_is_older_than_their_counters() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let deliveries = (1..=6).map(|n| delivery(n, day(1))).collect();
    let mut tally = Tally::new();
    // Two pairs were suppressed when they were planned: nothing says of which trigger.
    for (counter, n) in
        [(Counter::Due, 8), (Counter::Created, 6), (Counter::Suppressed("filtered".to_owned()), 2)]
    {
        super::count(&mut tally, Some(APP), counter, n);
    }
    store.commit(&Batch { now: day(2), deliveries, tally, ..Batch::default() }).unwrap();
    store.commit(&Batch { superseded: vec![delivery_id(6)], ..Batch::default() }).unwrap();
    let of_triggers = |store: &Fjall| {
        let tally = store.tally().unwrap();
        tally.into_iter().filter(|((_, counter), _)| is_of_triggers(counter)).collect::<Vec<_>>()
    };
    // As the former version left it.
    let counted = of_triggers(&store);
    for ((app, counter), _) in &counted {
        store.spaces.at(Space::Tally).remove(key::counter(*app, counter)).unwrap();
    }
    drop(store);

    let store = open(folder.path());
    let sums = TriggerSums::of(&store.tally().unwrap(), APP, TriggerId(8));
    assert_eq!((sums.due, sums.created, sums.withdrawn, sums.pending()), (6, 6, 1, 5));
    assert_eq!(sums.suppressed, [("superseded".to_owned(), 1)].into());
    assert_eq!(sums.since, Some(day(2).0));
    assert!(sums.is_balanced());
    let leases = store.lease(day(2), day(3), 10).unwrap();
    let delivered = |lease: &Lease| Settlement {
        delivery: lease.delivery.id,
        ..settlement(1, lease.fence, DeliveryState::Delivered, None)
    };
    let settlements: Vec<_> = leases.iter().map(delivered).collect();
    store.settle(&settlements).unwrap();
    let after = of_triggers(&store);
    drop(store);
    let store = open(folder.path());
    assert_eq!(of_triggers(&store), after, "it is counted once");
    let sums = TriggerSums::of(&store.tally().unwrap(), APP, TriggerId(8));
    assert_eq!((sums.due, sums.delivered, sums.pending()), (6, 5, 0));
    assert!(sums.is_balanced());
}

/// However much is pending, a restart reads one place of each queue, and what is due comes in its order.
#[test]
fn a_hundred_thousand_pending_deliveries_are_there_after_a_restart() {
    const COUNT: u128 = 100_000;
    const LEASED: usize = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let numbers: Vec<u128> = (1..=COUNT).collect();
    for some in numbers.chunks(5_000) {
        let of = |n: &u128| Delivery { trigger: TriggerId((n % 50) as u64 + 1), ..delivery(*n, day(1)) };
        store.write(&Batch { deliveries: some.iter().map(of).collect(), ..Batch::default() }).unwrap();
    }
    store.sync().unwrap();
    let leased = store.lease(day(1), day(2), 300).unwrap();
    assert_eq!(leased.len(), 300);
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.outbox().next_due(), Some(day(1)));
    for space in [Space::Deliveries, Space::Pending, Space::Queues] {
        assert_eq!(count(&store, space) as u128, COUNT, "{space:?}");
    }
    let mut seen = HashSet::new();
    while seen.len() < LEASED {
        let leases = store.lease(day(1), day(2), 1_000).unwrap();
        assert_eq!(leases.len(), 1_000);
        assert!(leases.iter().all(|lease| seen.insert(lease.delivery.id)), "none twice");
    }
    assert!(
        leased.iter().all(|lease| seen.contains(&lease.delivery.id)),
        "those that the process before had too"
    );
    let oldest: HashSet<_> = numbers.into_iter().take(LEASED).map(delivery_id).collect();
    assert_eq!(seen, oldest, "of fifty triggers in equal parts, each in its order");
}
