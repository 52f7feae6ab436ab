//! Random histories on both backends: whatever is asked, the one on disk answers like the one in memory.

use std::fmt::Debug;

use measure::{
    identifier::DigestLength,
    input::IdempotencyKey,
    ledger::{Counter, count},
    postback::DeliveryState,
    skad::AggregateKey,
};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    Credit, Memory, Seen,
    conformance::sample::{
        APP, OTHER, attempt, change, day, decision, delivery, delivery_id, device, device_id, fact, input,
        install, install_id, join_key, match_key, quarantined, query, touch, touch_id, trigger_deleted,
        trigger_paused,
    },
};

/// One step of a history. Small numbers, so that steps meet.
#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Write>, i64),
    Lease { now: i64, until: i64, limit: usize },
    Settle(Vec<(u128, u64, DeliveryState)>),
    Record(u8),
    Withdraw(u64),
    DeleteTrigger,
    Pause(bool),
    Resend(u128, i64),
    Reopen,
    Compact,
}

/// One part of a batch.
#[derive(Clone, Debug)]
enum Write {
    Fact,
    Device(bool, u128, u128, bool),
    Touch(bool, u128, u128, i64),
    Arrival(u128, u128, i64),
    Install(u128, u32),
    Held(u128, u128, i64, bool),
    Seen(u8, u128, i64),
    Credit(u128, u128, i64, bool),
    Delivery(u128, i64),
    Supersede(u128),
    Quarantine(bool, u128, i64),
    Name(u8, bool),
    Digests(bool, bool),
    Count(u8, i64),
}

fn id() -> impl Strategy<Value = u128> {
    0_u128..8
}

/// Days, most of them within all retentions of each other, some far apart.
fn days() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 100_i64..104, 1 => 60_i64..140]
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        3 => Just(Write::Fact),
        2 => (any::<bool>(), id(), id(), any::<bool>()).prop_map(|(app, n, key, on)| Write::Device(app, n, key, on)),
        2 => (any::<bool>(), id(), id(), days()).prop_map(|(app, n, key, at)| Write::Touch(app, n, key, at)),
        1 => (id(), id(), days()).prop_map(|(n, key, at)| Write::Arrival(n, key, at)),
        1 => (id(), 0_u32..3).prop_map(|(n, revision)| Write::Install(n, revision)),
        2 => (id(), id(), days(), any::<bool>()).prop_map(|(n, key, at, on)| Write::Held(n, key, at, on)),
        1 => (0_u8..3, id(), days()).prop_map(|(key, n, at)| Write::Seen(key, n, at)),
        1 => (id(), id(), days(), any::<bool>()).prop_map(|(n, touch, at, on)| Write::Credit(n, touch, at, on)),
        4 => (id(), days()).prop_map(|(n, due)| Write::Delivery(n, due)),
        2 => id().prop_map(Write::Supersede),
        1 => (any::<bool>(), id(), days()).prop_map(|(app, n, at)| Write::Quarantine(app, n, at)),
        1 => (0_u8..4, any::<bool>()).prop_map(|(name, on)| Write::Name(name, on)),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(app, on)| Write::Digests(app, on)),
        1 => (0_u8..4, -2_i64..3).prop_map(|(counter, n)| Write::Count(counter, n)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop_oneof![
        3 => Just(DeliveryState::Pending),
        1 => Just(DeliveryState::Delivered),
        1 => Just(DeliveryState::Dead),
        1 => Just(DeliveryState::Suppressed),
    ];
    let settlement = (id(), 0_u64..4, state);
    prop_oneof![
        // Not so far apart that the clock seems to have been ahead: what a compaction dropped by then is lost.
        6 => (vec(write(), 0..6), 95_i64..126).prop_map(|(writes, now)| Step::Commit(writes, now)),
        4 => (days(), days(), 0_usize..5).prop_map(|(now, until, limit)| Step::Lease { now, until, limit }),
        4 => vec(settlement, 0..6).prop_map(Step::Settle),
        1 => (0_u8..3).prop_map(Step::Record),
        1 => (7_u64..9).prop_map(Step::Withdraw),
        1 => Just(Step::DeleteTrigger),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => (id(), days()).prop_map(|(n, due)| Step::Resend(n, due)),
        1 => Just(Step::Reopen),
        1 => Just(Step::Compact),
    ]
}

fn app(other: bool) -> AppId {
    if other { OTHER } else { APP }
}

fn key(n: u8) -> IdempotencyKey {
    IdempotencyKey { source: "header".to_owned(), key: n.to_string() }
}

fn batch(writes: &[Write], now: i64, mut sequence: u64) -> Batch {
    let mut batch = Batch { now: day(now), ..Batch::default() };
    for write in writes {
        match *write {
            Write::Fact => {
                sequence += 1;
                batch.facts.push(fact(sequence));
                batch.timeline.push((APP, install_id(u128::from(sequence % 3)), sequence));
                batch.released.push((input(u128::from(sequence / 2)), sequence));
                batch.aggregates.push((app(sequence.is_multiple_of(5)), sequence));
                batch.counted.push((APP, AggregateKey([sequence as u8; 16]), sequence));
            }
            Write::Device(other, n, key, holds) => {
                batch.devices.push(device(app(other), n));
                batch.device_keys.push((app(other), join_key(key), device_id(n), holds));
            }
            Write::Touch(other, n, key, at) => {
                batch.touches.push((app(other), match_key(key), touch(n, day(at))));
            }
            Write::Arrival(n, key, at) => batch.arrivals.push((APP, match_key(key), day(at), install_id(n))),
            Write::Install(n, revision) => {
                batch.installs.push(install(APP, n));
                batch.decisions.push(decision(APP, n / 2, revision));
            }
            Write::Held(n, key, at, waits) => {
                batch.held.push((APP, join_key(key), input(n), day(at), waits));
            }
            Write::Seen(n, by, at) => {
                let seen = Seen { input: input(by), received: day(at), body_hash: [n; 16] };
                batch.seen.push((APP, key(n), seen));
            }
            Write::Credit(n, touch, at, won) => {
                let credit =
                    Credit { install: install_id(n), installed: day(at), waiting: n.is_multiple_of(2) };
                batch.credits.push((APP, touch_id(touch), credit, won));
            }
            Write::Delivery(n, due) => batch.deliveries.push(delivery(n, day(due))),
            Write::Supersede(n) => batch.superseded.push(delivery_id(n)),
            Write::Quarantine(known, n, at) => {
                batch.quarantine.push(quarantined(known.then_some(APP), n, day(at)));
            }
            Write::Name(n, is_revenue) => {
                let name = EventName { first_seen: day(now), is_revenue };
                batch.event_names.push((APP, format!("{n}"), name));
            }
            Write::Digests(other, complete) => {
                let length = if complete { DigestLength::Md5 } else { DigestLength::Sha1 };
                batch.digest_lengths.push((app(other), length, day(now)));
                let index = DigestIndex { after: None, complete };
                batch.digest_indexes.push((app(other), DigestLength::Md5, index));
            }
            Write::Count(counter, n) => {
                let counter =
                    if counter == 0 { Counter::EventsLinked } else { Counter::Accepted(counter.to_string()) };
                count(&mut batch.tally, Some(APP), counter, n);
            }
        }
    }
    batch
}

/// Everything there is to ask, as text: the types have no equality of their own, and a difference is to
/// be read by people.
fn answers(store: &dyn Store) -> Vec<String> {
    let mut answers = Vec::new();
    let mut put = |answer: &dyn Debug| answers.push(format!("{answer:?}"));
    for n in 0..8 {
        for app in [APP, OTHER] {
            let ask = Ask {
                devices: vec![(app, join_key(n))],
                touches: vec![(app, match_key(n), day(101)), (app, match_key(n), day(100 + n as i64))],
                arrivals: vec![(app, match_key(n), day(90)), (app, match_key(n), day(101))],
                held: vec![(app, join_key(n))],
                seen: vec![(app, key(n as u8))],
                installs: vec![(app, install_id(n))],
                credits: vec![(app, touch_id(n))],
                counted: vec![(app, AggregateKey([n as u8; 16]))],
            };
            put(&store.context(&ask));
            put(&store.install(app, install_id(n)));
            put(&store.timeline(app, install_id(n)));
        }
        put(&store.fact(input(n)));
        put(&store.delivery(delivery_id(n)));
        put(&store.deliveries(&DeliveryQuery { install: Some(install_id(n)), ..query(9) }));
        put(&store.deliveries(&DeliveryQuery { after: Some(delivery_id(n)), ..query(2) }));
    }
    for state in [DeliveryState::Pending, DeliveryState::Dead, DeliveryState::Suppressed] {
        put(&store.deliveries(&DeliveryQuery { state: Some(state), ..query(3) }));
    }
    for app in [APP, OTHER] {
        put(&store.devices(app, Some(device_id(2)), 3));
        put(&store.aggregates(app, Some(4), 3));
        put(&store.event_names(app));
        put(&store.quarantine(Some(app), None, 3));
    }
    put(&store.quarantine(None, Some(input(5)), 3));
    put(&store.next_due());
    put(&store.oldest_pending(TriggerId(8)));
    put(&store.changes());
    put(&store.last_sequence());
    put(&store.facts(2, 3));
    put(&store.facts_back(4, 3));
    put(&store.digest_indexes());
    put(&store.digest_lengths());
    put(&store.tally());
    answers
}

fn assert_same<T: Debug>(step: &Step, disk: T, memory: T) {
    assert_eq!(format!("{disk:?}"), format!("{memory:?}"), "after {step:?}");
}

fn take(step: &Step, store: Fjall, memory: &Memory, path: &Path) -> Fjall {
    match step {
        Step::Commit(writes, now) => {
            let batch = batch(writes, *now, memory.last_sequence().unwrap());
            assert_same(step, store.commit(&batch), memory.commit(&batch));
        }
        Step::Lease { now, until, limit } => {
            let lease = |store: &dyn Store| store.lease(day(*now), day(*until), *limit);
            assert_same(step, lease(&store), lease(memory));
        }
        Step::Settle(settlements) => {
            let settlement = |(n, fence, state): &(u128, u64, DeliveryState)| Settlement {
                delivery: delivery_id(*n),
                fence: *fence,
                attempt: fence.is_multiple_of(2).then(|| attempt(1, 500)),
                state: *state,
                reason: Some("http".to_owned()),
                due: day(100 + *n as i64),
            };
            let settlements: Vec<_> = settlements.iter().map(settlement).collect();
            assert_same(step, store.settle(&settlements), memory.settle(&settlements));
        }
        Step::Record(ahead) => {
            let last = memory.changes().unwrap().len() as u64;
            let changes = [change(last + u64::from(*ahead)), change(last + u64::from(*ahead) + 1)];
            assert_same(step, store.record(&changes), memory.record(&changes));
        }
        Step::Withdraw(trigger) => {
            let trigger = TriggerId(*trigger);
            assert_same(step, store.withdraw(trigger), memory.withdraw(trigger));
        }
        Step::DeleteTrigger => {
            let last = memory.changes().unwrap().len() as u64;
            let change = [trigger_deleted(last + 1, TriggerId(8))];
            assert_same(step, store.record(&change), memory.record(&change));
        }
        Step::Pause(paused) => {
            let last = memory.changes().unwrap().len() as u64;
            let change = [trigger_paused(last + 1, TriggerId(8), *paused)];
            assert_same(step, store.record(&change), memory.record(&change));
        }
        Step::Resend(n, due) => {
            let resend = [Resend {
                delivery: delivery_id(*n),
                due: day(*due),
                attempts: 2,
                sent_as: None,
                remade: None,
            }];
            assert_same(step, store.resend(&resend), memory.resend(&resend));
        }
        Step::Reopen => {
            drop(store);
            memory.restart();
            return Fjall::open(path, Options::default()).unwrap();
        }
        Step::Compact => {
            for space in [Space::Touches, Space::Arrivals, Space::Held, Space::Seen, Space::Queues] {
                store.spaces.at(space).rotate_memtable_and_wait().unwrap();
                store.spaces.at(space).major_compact().unwrap();
            }
        }
    }
    assert_same(step, store.next_due().ok(), memory.next_due().ok());
    store
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_backends_agree(steps in vec(step(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::new();
        let mut store = Fjall::open(folder.path(), Options::default()).unwrap();
        for step in &steps {
            store = take(step, store, &memory, folder.path());
        }
        for (disk, memory) in answers(&store).iter().zip(answers(&memory)) {
            prop_assert_eq!(disk, &memory);
        }
    }
}

/// The property would be worth little if fences never met, so one history is written out.
#[test]
fn a_history_with_leases() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Memory::new();
    let mut store = Fjall::open(folder.path(), Options::default()).unwrap();
    let settle = |n, fence| Step::Settle(vec![(n, fence, DeliveryState::Pending)]);
    let steps = [
        Step::Commit((0..8).map(|n| Write::Delivery(n, 100)).collect(), 100),
        Step::Lease { now: 100, until: 101, limit: 5 },
        settle(0, 1),
        Step::Compact,
        Step::Reopen,
        Step::Lease { now: 104, until: 60, limit: 4 },
        settle(7, 1),
        Step::Commit(vec![Write::Supersede(1), Write::Supersede(7)], 100),
        settle(1, 2),
        Step::Lease { now: 140, until: 141, limit: 9 },
        // What was withdrawn while it was on its way does not come back with a restart.
        Step::Withdraw(8),
        Step::Reopen,
    ];
    for step in &steps {
        store = take(step, store, &memory, folder.path());
    }
    assert_eq!(answers(&store), answers(&memory));
}

/// A settlement without an attempt is no courier's, but what arrived has arrived.
#[test]
fn what_was_withdrawn_and_arrived_counts_as_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Memory::new();
    let mut store = Fjall::open(folder.path(), Options::default()).unwrap();
    let steps = [
        Step::Commit(vec![Write::Delivery(2, 100)], 95),
        Step::Lease { now: 100, until: 100, limit: 1 },
        Step::DeleteTrigger,
        Step::Lease { now: 100, until: 100, limit: 1 },
        Step::Settle(vec![(2, 1, DeliveryState::Delivered)]),
    ];
    for step in &steps {
        store = take(step, store, &memory, folder.path());
    }
    assert_eq!(answers(&store), answers(&memory));
    let delivery = store.delivery(delivery_id(2)).unwrap().unwrap();
    assert_eq!((delivery.state, store.tally().unwrap()), (DeliveryState::Delivered, memory.tally().unwrap()));
}
