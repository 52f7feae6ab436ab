//! Every delivery is leased to one worker at a time and ends in one state.

use std::{
    collections::{BTreeSet, HashMap},
    thread,
};

use measure::{
    DeliveryId, Timestamp, TriggerId,
    ledger::{Counter, Share, Tally, count_pairs},
    postback::{Delivery, DeliveryState, Remade, Request},
};

use super::sample::{
    APP, OTHER, attempt, day, delivery, delivery_id, install_id, query, settlement, trigger_deleted,
    trigger_paused,
};
use crate::{Batch, DeliveryQuery, Lease, LeaseAsk, Resend, Settlement, Store};

fn create<S: Store>(store: &S, deliveries: Vec<Delivery>) {
    store.commit(&Batch { deliveries, ..Batch::default() }).unwrap();
}

fn supersede<S: Store>(store: &S, ids: &[u128]) {
    let superseded = ids.iter().copied().map(delivery_id).collect();
    store.commit(&Batch { superseded, ..Batch::default() }).unwrap();
}

/// Leases and tells numbers and fences.
fn lease<S: Store>(store: &S, now: Timestamp, until: Timestamp, limit: usize) -> Vec<(u128, u64)> {
    let leases: Vec<Lease> = store.lease(now, until, limit).unwrap();
    assert!(leases.iter().all(|lease| lease.until == until));
    leases.iter().map(|lease| (lease.delivery.id.0.as_u128(), lease.fence)).collect()
}

fn state<S: Store>(store: &S, n: u128) -> (DeliveryState, Option<String>, usize) {
    let delivery = store.delivery(delivery_id(n)).unwrap().unwrap();
    (delivery.state, delivery.reason, delivery.attempts.len())
}

fn counted<S: Store>(store: &S, counter: Counter) -> i64 {
    store.tally().unwrap().get(&(Some(APP), counter)).copied().unwrap_or_default()
}

/// A leased delivery is not leased again before its lease ends.
pub fn a_delivery_is_leased_to_one_worker<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    create(&store, vec![delivery(1, day(1)), delivery(2, day(1)), delivery(3, day(2))]);
    assert_eq!(store.next_due().unwrap(), Some(day(1)));
    assert_eq!(lease(&store, day(1).plus(-1), day(9), 10), []);
    let leases = store.lease(day(1), day(9), 1).unwrap();
    assert_eq!(*leases[0].delivery, delivery(1, day(1)));
    assert_eq!(store.next_due().unwrap(), Some(day(1)));
    assert_eq!(lease(&store, day(1), day(9), 10), [(2, 1)]);
    assert_eq!(lease(&store, day(1), day(9), 10), []);
    assert_eq!(store.next_due().unwrap(), Some(day(2)));
    assert_eq!(lease(&store, day(2), day(8), 10), [(3, 1)]);
    assert_eq!(store.next_due().unwrap(), Some(day(8)));
    assert_eq!(state(&store, 1), (DeliveryState::Pending, None, 0));
}

/// By due time, then by identifier, at most as many as asked for.
pub fn leases_come_oldest_first<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    let due = [(1, 30), (2, -5), (3, 10), (4, 10), (300, 10), (5, 0)];
    create(&store, due.map(|(n, ms)| delivery(n, Timestamp(ms))).to_vec());
    assert_eq!(store.next_due().unwrap(), Some(Timestamp(-5)));
    assert_eq!(lease(&store, day(1), day(2), 0), []);
    assert_eq!(lease(&store, day(1), day(2), 3), [(2, 1), (5, 1), (3, 1)]);
    assert_eq!(lease(&store, day(1), day(2), 9), [(4, 1), (300, 1), (1, 1)]);
}

/// A lease that was not settled in time is free again, with a new fence.
pub fn a_lease_ends<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    create(&store, vec![delivery(1, day(1))]);
    assert_eq!(lease(&store, day(1), day(3), 5), [(1, 1)]);
    assert_eq!(lease(&store, day(3).plus(-1), day(9), 5), []);
    assert_eq!(store.next_due().unwrap(), Some(day(3)));
    assert_eq!(lease(&store, day(3), day(5), 5), [(1, 2)]);
    assert_eq!(store.next_due().unwrap(), Some(day(5)));
    // One that has ended may still be settled, since nobody else took the delivery on.
    assert_eq!(store.settle(&[settlement(1, 2, DeliveryState::Delivered, None)]).unwrap(), [true]);
    assert_eq!(store.next_due().unwrap(), None);
}

/// Who lost a delivery to another worker cannot settle it any more.
pub fn an_old_fence_settles_nothing<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    create(&store, vec![delivery(1, day(1))]);
    let settle = |fence, state| store.settle(&[settlement(1, fence, state, None)]).unwrap();
    assert_eq!(settle(0, DeliveryState::Delivered), [false]);
    assert_eq!(lease(&store, day(1), day(2), 5), [(1, 1)]);
    assert_eq!(lease(&store, day(2), day(3), 5), [(1, 2)]);
    assert_eq!(settle(1, DeliveryState::Dead), [false]);
    assert_eq!(settle(3, DeliveryState::Dead), [false]);
    assert_eq!(state(&store, 1), (DeliveryState::Pending, None, 0));
    assert_eq!(store.tally().unwrap(), Tally::new());
    assert_eq!(settle(2, DeliveryState::Delivered), [true]);
    assert_eq!(settle(2, DeliveryState::Delivered), [false]);
    assert_eq!(state(&store, 1), (DeliveryState::Delivered, None, 1));
    assert_eq!(counted(&store, Counter::Delivered), 1);
    assert_eq!(store.settle(&[settlement(7, 1, DeliveryState::Dead, None)]).unwrap(), [false]);
}

/// A second settlement of one lease does not count, in one call or two, not even for a retry.
pub fn a_lease_is_settled_once<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    create(&store, vec![delivery(1, day(1))]);
    assert_eq!(lease(&store, day(1), day(2), 5), [(1, 1)]);
    let retry = settlement(1, 1, DeliveryState::Pending, None);
    assert_eq!(store.settle(&[retry.clone(), retry.clone()]).unwrap(), [true, false]);
    assert_eq!(store.settle(&[retry]).unwrap(), [false]);
    assert_eq!(state(&store, 1), (DeliveryState::Pending, None, 1));
}

/// A delivery that is tried again waits for its new due time; attempts are kept in order.
pub fn a_retry_waits_until_it_is_due<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    create(&store, vec![delivery(1, day(1))]);
    assert_eq!(lease(&store, day(1), day(9), 5), [(1, 1)]);
    let retry = settlement(1, 1, DeliveryState::Pending, Some("not a final state"));
    assert_eq!(store.settle(&[retry]).unwrap(), [true]);
    assert_eq!(store.next_due().unwrap(), Some(day(3)));
    assert_eq!(lease(&store, day(3).plus(-1), day(9), 5), []);
    let leases = store.lease(day(3), day(9), 5).unwrap();
    let [Lease { delivery, fence: 2, .. }] = leases.as_slice() else { unreachable!("it is due: {leases:?}") };
    assert_eq!((delivery.due, &delivery.reason), (day(3), &None));
    assert_eq!(delivery.attempts, [attempt(1, 500)]);
    let mut done = settlement(1, 2, DeliveryState::Delivered, None);
    done.attempt = Some(attempt(2, 200));
    assert_eq!(store.settle(&[done]).unwrap(), [true]);
    let delivery = store.delivery(delivery_id(1)).unwrap().unwrap();
    assert_eq!(delivery.attempts, [attempt(1, 500), attempt(2, 200)]);
}

/// Each final state counts once, pending ones not at all.
pub fn final_states_are_counted<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    create(&store, (1..=5).map(|n| delivery(n, day(1))).collect());
    assert_eq!(lease(&store, day(1), day(2), 9).len(), 5);
    let mut refused = settlement(3, 1, DeliveryState::Suppressed, Some("blocked_target"));
    refused.attempt = None;
    let settlements = [
        settlement(1, 1, DeliveryState::Delivered, None),
        settlement(2, 1, DeliveryState::Dead, Some("http 400")),
        refused,
        settlement(4, 1, DeliveryState::Pending, None),
        settlement(5, 9, DeliveryState::Dead, None),
    ];
    assert_eq!(store.settle(&settlements).unwrap(), [true, true, true, true, false]);
    let store = reopen(store);
    assert_eq!(state(&store, 1), (DeliveryState::Delivered, None, 1));
    assert_eq!(state(&store, 2), (DeliveryState::Dead, Some("http 400".to_owned()), 1));
    assert_eq!(state(&store, 3), (DeliveryState::Suppressed, Some("blocked_target".to_owned()), 0));
    assert_eq!(state(&store, 4), (DeliveryState::Pending, None, 1));
    // Each counts for its app and for its trigger.
    let mut expected = Tally::new();
    let trigger = delivery(1, day(1)).trigger;
    let refused = Share::Suppressed("blocked_target".to_owned());
    for share in [Share::Delivered, Share::Dead, refused, Share::Withdrawn] {
        count_pairs(&mut expected, APP, trigger, share, 1);
    }
    assert_eq!(store.tally().unwrap(), expected);
}

/// A delivery planned a second time, in one batch or later, changes nothing.
pub fn a_known_delivery_is_left_alone<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    let mut other = delivery(1, day(5));
    other.request.url = "https://other.example.com/".to_owned();
    create(&store, vec![delivery(1, day(1)), other.clone()]);
    create(&store, vec![other.clone()]);
    assert_eq!(store.delivery(delivery_id(1)).unwrap(), Some(delivery(1, day(1))));
    assert_eq!(store.next_due().unwrap(), Some(day(1)));
    assert_eq!(lease(&store, day(9), day(10), 5), [(1, 1)]);
    assert_eq!(store.settle(&[settlement(1, 1, DeliveryState::Delivered, None)]).unwrap(), [true]);
    create(&store, vec![other]);
    assert_eq!(state(&store, 1), (DeliveryState::Delivered, None, 1));
    assert_eq!(store.next_due().unwrap(), None);
    assert_eq!(store.deliveries(&query(9)).unwrap().len(), 1);
}

/// Pending deliveries that are superseded are never sent, and are counted.
pub fn superseded_deliveries_are_withdrawn<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    create(&store, vec![delivery(1, day(1)), delivery(2, day(2))]);
    supersede(&store, &[1, 99]);
    assert_eq!(store.next_due().unwrap(), Some(day(2)));
    let store = reopen(store);
    assert_eq!(store.next_due().unwrap(), Some(day(2)));
    assert_eq!(state(&store, 1), (DeliveryState::Suppressed, Some("superseded".to_owned()), 0));
    assert_eq!(lease(&store, day(9), day(10), 5), [(2, 1)]);
    assert_eq!(counted(&store, Counter::Withdrawn), 1);
    assert_eq!(counted(&store, Counter::Suppressed("superseded".to_owned())), 1);
}

/// Of a delivery that is superseded while it is being sent the attempt is on record. If it fails there is no
/// other; if it arrives the partner has it, and the counts say so.
pub fn a_superseded_lease_keeps_its_attempt<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    let superseded = || Some("superseded".to_owned());
    create(&store, vec![delivery(1, day(1)), delivery(2, day(1)), delivery(3, day(1))]);
    assert_eq!(lease(&store, day(1), day(2), 5), [(1, 1), (2, 1), (3, 1)]);
    supersede(&store, &[1, 2, 3]);
    assert_eq!(counted(&store, Counter::Withdrawn), 3);
    let unsent = Settlement { attempt: None, ..settlement(3, 1, DeliveryState::Pending, None) };
    let settlements = [
        settlement(1, 1, DeliveryState::Pending, None),
        settlement(2, 1, DeliveryState::Delivered, None),
        unsent.clone(),
    ];
    assert_eq!(store.settle(&settlements).unwrap(), [true, true, true]);
    assert_eq!(store.settle(&settlements).unwrap(), [false, false, false]);
    assert_eq!(store.next_due().unwrap(), None);
    let store = reopen(store);
    assert_eq!(state(&store, 1), (DeliveryState::Suppressed, superseded(), 1));
    assert_eq!(state(&store, 2), (DeliveryState::Delivered, superseded(), 1));
    assert_eq!(state(&store, 3), (DeliveryState::Suppressed, superseded(), 0));
    assert_eq!(counted(&store, Counter::Withdrawn), 2);
    assert_eq!(counted(&store, Counter::Suppressed("superseded".to_owned())), 2);
    assert_eq!(counted(&store, Counter::Delivered), 1);
    assert_eq!(lease(&store, day(9), day(10), 5), []);
}

/// What the partner has it has, whatever becomes of a replay.
pub fn what_arrived_stays_delivered_when_its_replay_is_withdrawn<S: Store, R: FnMut(S) -> S>(
    open: impl FnOnce() -> (R, S),
) {
    let (mut reopen, store) = open();
    create(&store, (1..=2).map(|n| delivery(n, day(1))).collect());
    assert_eq!(lease(&store, day(1), day(2), 2).len(), 2);
    let mut settlements = [1, 2].map(|n| settlement(n, 1, DeliveryState::Delivered, None));
    settlements[1] = settlement(2, 1, DeliveryState::Dead, Some("refused"));
    assert_eq!(store.settle(&settlements).unwrap(), [true, true]);
    let again =
        |n| Resend { delivery: delivery_id(n), due: day(3), attempts: 4, sent_as: None, remade: None };
    assert_eq!(store.resend(&[again(1), again(2)]).unwrap(), [true, true]);
    assert_eq!(counted(&store, Counter::Delivered), 0);
    supersede(&store, &[1, 2]);
    let store = reopen(store);
    let superseded = || Some("superseded".to_owned());
    assert_eq!(state(&store, 1), (DeliveryState::Delivered, superseded(), 1));
    assert_eq!(state(&store, 2), (DeliveryState::Suppressed, superseded(), 1));
    assert_eq!((counted(&store, Counter::Delivered), counted(&store, Counter::Withdrawn)), (1, 1));
    assert_eq!(lease(&store, day(9), day(10), 5), []);
}

/// What is handed back as it was waits where it was; its lease is over.
pub fn a_delivery_is_handed_back<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    create(&store, vec![delivery(1, day(1)), delivery(2, day(2))]);
    assert_eq!(lease(&store, day(2), day(9), 5), [(1, 1), (2, 1)]);
    let back = Settlement { attempt: None, due: day(1), ..settlement(1, 1, DeliveryState::Pending, None) };
    assert_eq!(store.settle(std::slice::from_ref(&back)).unwrap(), [true]);
    assert_eq!(store.next_due().unwrap(), Some(day(1)));
    assert_eq!(store.settle(&[back]).unwrap(), [false]);
    assert_eq!(store.delivery(delivery_id(1)).unwrap(), Some(delivery(1, day(1))));
    assert_eq!(lease(&store, day(1), day(9), 5), [(1, 2)]);
}

/// However many retries are due, first attempts go before them, and retries get their share all the same.
pub fn first_attempts_go_before_retries<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    create(&store, (1..=40).map(|n| delivery(n, day(1))).collect());
    assert_eq!(lease(&store, day(1), day(2), 40).len(), 40);
    let retries: Vec<_> = (1..=40).map(|n| settlement(n, 1, DeliveryState::Pending, None)).collect();
    assert!(store.settle(&retries).unwrap().iter().all(|counted| *counted));
    create(&store, (101..=140).map(|n| delivery(n, day(4))).collect());
    // Retries are due since day 3, first attempts since day 4.
    let leases = lease(&store, day(5), day(6), 8);
    let numbers: Vec<_> = leases.iter().map(|(n, _)| *n).collect();
    assert_eq!(numbers, [101, 102, 103, 104, 105, 106, 1, 2]);
    assert_eq!(lease(&store, day(5), day(6), 100).len(), 72);
}

/// Triggers share what is taken on, however many wait for one of them.
pub fn triggers_share_what_is_taken_on<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    let of = |trigger, n, due| Delivery { trigger: TriggerId(trigger), ..delivery(n, due) };
    create(&store, (1..=90).map(|n| of(1, n, day(1))).collect());
    create(&store, vec![of(2, 201, day(2)), of(3, 301, day(2)), of(3, 302, day(2)), of(4, 401, day(9))]);
    let numbers = |ask: &LeaseAsk| -> (Vec<u128>, Option<Timestamp>) {
        let leased = store.take_on(ask).unwrap();
        let mut numbers: Vec<_> = leased.leases.iter().map(|lease| lease.delivery.id.0.as_u128()).collect();
        numbers.sort_unstable();
        (numbers, leased.next_due)
    };
    let ask = LeaseAsk::any(day(3), day(4), 6);
    assert_eq!(numbers(&ask), (vec![1, 2, 3, 201, 301, 302], Some(day(1))));
    // Of a trigger without room nothing is taken on, and nobody is called for its sake.
    let none = LeaseAsk { room: [((TriggerId(1), 2), 0)].into(), ..ask.clone() };
    assert_eq!(numbers(&none), (vec![], Some(day(4))));
    let some = LeaseAsk { room: [((TriggerId(1), 2), 2)].into(), room_each: 0, ..ask.clone() };
    assert_eq!(numbers(&some), (vec![4, 5], Some(day(4))));
    // What is due absurdly late is due.
    let far = LeaseAsk { far: day(8), room: [((TriggerId(1), 2), 0)].into(), ..ask };
    assert_eq!(numbers(&far), (vec![401], Some(day(4))));
}

/// Of a paused trigger nothing is taken on until it is resumed; it stays pending.
pub fn a_paused_trigger_waits<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    let other = Delivery { trigger: TriggerId(9), ..delivery(3, day(1)) };
    create(&store, vec![delivery(1, day(1)), delivery(2, day(1)), other]);
    assert!(store.sends(TriggerId(8)));
    store.record(&[trigger_paused(1, TriggerId(8), true)]).unwrap();
    assert_eq!((store.sends(TriggerId(8)), store.sends(TriggerId(9))), (false, true));
    let store = reopen(store);
    assert!(!store.sends(TriggerId(8)));
    assert_eq!(lease(&store, day(2), day(3), 5), [(3, 1)]);
    assert_eq!(store.settle(&[settlement(3, 1, DeliveryState::Delivered, None)]).unwrap(), [true]);
    let leased = store.take_on(&LeaseAsk::any(day(2), day(3), 5)).unwrap();
    assert_eq!((leased.leases.len(), leased.next_due), (0, None));
    assert_eq!(store.next_due().unwrap(), Some(day(1)), "it is pending all the same");
    assert_eq!(
        store.deliveries(&DeliveryQuery { state: Some(DeliveryState::Pending), ..query(9) }).unwrap().len(),
        2
    );
    store.record(&[trigger_paused(2, TriggerId(8), false)]).unwrap();
    assert_eq!(lease(&store, day(2), day(3), 5), [(1, 1), (2, 1)]);
}

/// What is final can be sent again; the counts are as if it had not been final.
pub fn final_deliveries_are_sent_again<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    create(&store, (1..=3).map(|n| delivery(n, day(1))).collect());
    assert_eq!(lease(&store, day(1), day(2), 2).len(), 2);
    let settlements = [
        settlement(1, 1, DeliveryState::Delivered, None),
        settlement(2, 1, DeliveryState::Dead, Some("refused")),
    ];
    assert_eq!(store.settle(&settlements).unwrap(), [true, true]);
    let again = |n, sent_as: Option<u128>| Resend {
        delivery: delivery_id(n),
        due: day(5),
        attempts: 4,
        sent_as: sent_as.map(delivery_id),
        remade: None,
    };
    let resends = [again(1, Some(77)), again(2, None), again(3, None), again(99, None)];
    assert_eq!(store.resend(&resends).unwrap(), [true, true, false, false]);
    let store = reopen(store);
    assert_eq!((counted(&store, Counter::Delivered), counted(&store, Counter::Dead)), (0, 0));
    assert_eq!(state(&store, 1), (DeliveryState::Pending, None, 1));
    assert_eq!(lease(&store, day(4), day(6), 9), [(3, 1)]);
    let leases = store.lease(day(5), day(6), 9).unwrap();
    let seen: Vec<_> =
        leases.iter().map(|lease| (lease.delivery.public_id(), lease.delivery.attempts_allowed)).collect();
    assert_eq!(seen, [(delivery_id(77), 5), (delivery_id(2), 5)]);
    assert!(leases.iter().all(|lease| lease.delivery.attempts_before == 1));
    let mut done = settlement(2, leases[1].fence, DeliveryState::Delivered, None);
    done.attempt = Some(attempt(2, 200));
    assert_eq!(store.settle(&[done]).unwrap(), [true]);
    assert_eq!(state(&store, 2), (DeliveryState::Delivered, None, 2));
    assert_eq!(counted(&store, Counter::Delivered), 1);
}

/// A delivery that is made again waits with what is of the same version, and its attempts keep what they sent.
pub fn deliveries_are_sent_again_as_another_version<S: Store, R: FnMut(S) -> S>(
    open: impl FnOnce() -> (R, S),
) {
    let (mut reopen, store) = open();
    create(&store, (1..=2).map(|n| delivery(n, day(1))).collect());
    let mut settlements = [1, 2].map(|n| settlement(n, 1, DeliveryState::Dead, Some("refused")));
    settlements[0].attempt = Some(attempt(1, 404));
    assert_eq!(lease(&store, day(1), day(2), 2).len(), 2);
    assert_eq!(store.settle(&settlements).unwrap(), [true, true]);
    let old = delivery(1, day(1));
    let request = Request { url: "https://partner.example.com/mended".to_owned(), ..Request::default() };
    let version = old.trigger_version + 1;
    let remade = Remade { request: request.clone(), trigger_version: version, network: None };
    let again =
        |n, remade| Resend { delivery: delivery_id(n), due: day(3), attempts: 4, sent_as: None, remade };
    assert_eq!(store.resend(&[again(1, Some(remade)), again(2, None)]).unwrap(), [true, true]);
    let store = reopen(store);
    let room = HashMap::from([((old.trigger, old.trigger_version), 0)]);
    let ask = LeaseAsk { room, ..LeaseAsk::any(day(3), day(4), 9) };
    let leased = store.take_on(&ask).unwrap().leases;
    assert_eq!(leased.len(), 1, "there is no room for the older version");
    let seen = &leased[0].delivery;
    assert_eq!((seen.id, seen.trigger_version, seen.network), (delivery_id(1), version, None));
    assert_eq!(seen.request, request);
    assert_eq!(seen.sent_by(1), Some((old.trigger_version, &old.request)));
    assert_eq!(lease(&store, day(3), day(4), 9).len(), 1);
}

/// The oldest by its identifier, whenever it is due.
pub fn the_oldest_pending_delivery_is_known<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    let oldest = || store.oldest_pending(TriggerId(8)).unwrap().map(|delivery| delivery.id.0.as_u128());
    assert_eq!(oldest(), None);
    let other = Delivery { trigger: TriggerId(9), ..delivery(1, day(1)) };
    create(&store, vec![other, delivery(3, day(1)), delivery(2, day(9))]);
    assert_eq!(oldest(), Some(2));
    supersede(&store, &[2]);
    assert_eq!(oldest(), Some(3));
}

/// An install and the late click that changes its decision may come in one batch.
pub fn a_batch_may_supersede_its_own_delivery<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    let deliveries = vec![delivery(1, day(1)), delivery(2, day(1))];
    store.commit(&Batch { deliveries, superseded: vec![delivery_id(1)], ..Batch::default() }).unwrap();
    assert_eq!(state(&store, 1), (DeliveryState::Suppressed, Some("superseded".to_owned()), 0));
    assert_eq!(counted(&store, Counter::Withdrawn), 1);
    assert_eq!(lease(&store, day(1), day(2), 5), [(2, 1)]);
}

/// What is final stays as it is, and nothing is withdrawn twice.
pub fn only_pending_deliveries_are_superseded<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    create(&store, vec![delivery(1, day(1)), delivery(2, day(1))]);
    assert_eq!(lease(&store, day(1), day(2), 1), [(1, 1)]);
    assert_eq!(store.settle(&[settlement(1, 1, DeliveryState::Delivered, None)]).unwrap(), [true]);
    supersede(&store, &[1, 2, 2]);
    supersede(&store, &[2]);
    assert_eq!(state(&store, 1), (DeliveryState::Delivered, None, 1));
    assert_eq!(counted(&store, Counter::Withdrawn), 1);
}

/// Of a deleted trigger nothing stays pending, leased or not; what is final and what other triggers send
/// stays as it is.
pub fn deliveries_of_a_deleted_trigger_are_withdrawn<S: Store, R: FnMut(S) -> S>(
    open: impl FnOnce() -> (R, S),
) {
    let (mut reopen, store) = open();
    let mut other = delivery(4, day(5));
    other.trigger = TriggerId(9);
    create(&store, vec![delivery(1, day(1)), delivery(2, day(2)), delivery(3, day(9)), other]);
    assert_eq!(lease(&store, day(2), day(3), 5), [(1, 1), (2, 1)]);
    assert_eq!(store.settle(&[settlement(1, 1, DeliveryState::Delivered, None)]).unwrap(), [true]);
    assert_eq!(store.withdraw(TriggerId(8)).unwrap(), 2);
    assert_eq!(store.withdraw(TriggerId(8)).unwrap(), 0);
    assert_eq!(store.settle(&[settlement(2, 1, DeliveryState::Pending, None)]).unwrap(), [true]);
    let store = reopen(store);
    assert_eq!(state(&store, 1), (DeliveryState::Delivered, None, 1));
    for (n, attempts) in [(2, 1), (3, 0)] {
        assert_eq!(
            state(&store, n),
            (DeliveryState::Suppressed, Some("trigger_deleted".to_owned()), attempts)
        );
    }
    assert_eq!(counted(&store, Counter::Suppressed("trigger_deleted".to_owned())), 2);
    assert_eq!(counted(&store, Counter::Withdrawn), 2);
    assert_eq!(store.next_due().unwrap(), Some(day(5)));
    assert_eq!(lease(&store, day(20), day(21), 5), [(4, 1)]);
}

/// What is planned for a trigger after its deletion is on record is suppressed when it is due.
pub fn deliveries_of_a_deleted_trigger_are_never_leased<S: Store, R: FnMut(S) -> S>(
    open: impl FnOnce() -> (R, S),
) {
    let (mut reopen, store) = open();
    let mut other = delivery(2, day(2));
    other.trigger = TriggerId(9);
    create(&store, vec![delivery(1, day(1)), other]);
    store.record(&[trigger_deleted(1, TriggerId(8))]).unwrap();
    assert_eq!(lease(&store, day(2), day(3), 1), []);
    assert_eq!(state(&store, 1), (DeliveryState::Suppressed, Some("trigger_deleted".to_owned()), 0));
    let store = reopen(store);
    create(&store, vec![delivery(3, day(1))]);
    assert_eq!(lease(&store, day(2), day(3), 5), [(2, 1)]);
    assert_eq!(state(&store, 3), (DeliveryState::Suppressed, Some("trigger_deleted".to_owned()), 0));
    assert_eq!(counted(&store, Counter::Withdrawn), 2);
    assert_eq!(store.next_due().unwrap(), Some(day(3)));
}

/// Pending deliveries, retries and final states are there after a restart, and fences go on.
pub fn the_outbox_survives_a_restart<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    create(&store, (1..=4).map(|n| delivery(n, day(1))).collect());
    assert_eq!(lease(&store, day(1), day(2), 3).len(), 3);
    let settlements =
        [settlement(1, 1, DeliveryState::Delivered, None), settlement(2, 1, DeliveryState::Pending, None)];
    assert_eq!(store.settle(&settlements).unwrap(), [true, true]);
    let store = reopen(store);
    assert_eq!(store.next_due().unwrap(), Some(day(1)));
    // The lease of the process that ended is free. Its fence may come again: nobody holds it any more.
    let leases = lease(&store, day(9), day(10), 9);
    assert_eq!(leases.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [3, 4, 2]);
    assert_eq!(leases.last(), Some(&(2, 2)));
}

fn pages<S: Store>(store: &S, query: &DeliveryQuery) -> Vec<u128> {
    let mut query = query.clone();
    let mut found: Vec<DeliveryId> = Vec::new();
    loop {
        query.after = found.last().copied();
        let page = store.deliveries(&query).unwrap();
        assert!(page.len() <= query.limit);
        found.extend(page.iter().map(|delivery| delivery.id));
        if page.len() < query.limit {
            return found.into_iter().map(|id| id.0.as_u128()).collect();
        }
    }
}

/// Newest first; pages join without gap or overlap under every filter.
pub fn deliveries_are_paged_and_filtered<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    let all: Vec<Delivery> = (1..=30)
        .map(|n| Delivery {
            app: if n % 2 == 0 { APP } else { OTHER },
            // Ten triggers, each of one app.
            trigger: TriggerId((n % 10) as u64),
            install: (n % 3 != 0).then(|| install_id(n % 3)),
            ..delivery(n, day(1))
        })
        .collect();
    create(&store, all.clone());
    let leases = store.lease(day(1), day(2), 10).unwrap();
    let done = leases.iter().map(|lease| {
        settlement(lease.delivery.id.0.as_u128(), lease.fence, DeliveryState::Dead, Some("http"))
    });
    store.settle(&done.collect::<Vec<_>>()).unwrap();
    let dead = |n: u128| n <= 10;
    let check = |query: DeliveryQuery, wanted: &dyn Fn(u128, &Delivery) -> bool| {
        let expected: Vec<u128> = (1..=30).rev().filter(|n| wanted(*n, &all[*n as usize - 1])).collect();
        for limit in [1, 4, 30, 31] {
            assert_eq!(pages(&store, &DeliveryQuery { limit, ..query.clone() }), expected, "{query:?}");
        }
    };
    let any = query(0);
    assert_eq!(store.deliveries(&any).unwrap(), []);
    check(any.clone(), &|_, _| true);
    check(DeliveryQuery { app: Some(APP), ..any.clone() }, &|_, delivery| delivery.app == APP);
    check(DeliveryQuery { trigger: Some(TriggerId(3)), ..any.clone() }, &|n, _| n % 10 == 3);
    check(DeliveryQuery { trigger: Some(TriggerId(3)), app: Some(APP), ..any.clone() }, &|_, _| false);
    for trigger in 0..10 {
        for (state, is_in) in [(DeliveryState::Dead, true), (DeliveryState::Pending, false)] {
            let query =
                DeliveryQuery { trigger: Some(TriggerId(trigger)), state: Some(state), ..any.clone() };
            check(query, &|n, _| n % 10 == u128::from(trigger) && dead(n) == is_in);
        }
    }
    let of_app = DeliveryQuery { app: Some(OTHER), state: Some(DeliveryState::Dead), ..any.clone() };
    check(of_app, &|n, _| n % 2 == 1 && dead(n));
    check(DeliveryQuery { install: Some(install_id(2)), ..any.clone() }, &|n, _| n % 3 == 2);
    check(DeliveryQuery { install: Some(install_id(7)), ..any.clone() }, &|_, _| false);
    check(DeliveryQuery { state: Some(DeliveryState::Pending), ..any.clone() }, &|n, _| !dead(n));
    check(DeliveryQuery { state: Some(DeliveryState::Dead), ..any.clone() }, &|n, _| dead(n));
    check(DeliveryQuery { state: Some(DeliveryState::Delivered), ..any.clone() }, &|_, _| false);
    let narrow = DeliveryQuery {
        app: Some(OTHER),
        install: Some(install_id(1)),
        state: Some(DeliveryState::Pending),
        ..any
    };
    check(narrow, &|n, _| n % 2 == 1 && n % 3 == 1 && !dead(n));
}

/// Whatever becomes of a delivery, it is found in the state that it is in, and in no other.
pub fn deliveries_are_found_by_trigger_in_every_state<S: Store, R: FnMut(S) -> S>(
    open: impl FnOnce() -> (R, S),
) {
    use DeliveryState::{Dead, Delivered, Pending, Suppressed};
    let (mut reopen, store) = open();
    let found = |store: &S| -> Vec<Vec<u128>> {
        let in_state = |state| {
            let query = DeliveryQuery { trigger: Some(TriggerId(8)), state: Some(state), ..query(99) };
            let found = store.deliveries(&query).unwrap();
            let whole = DeliveryQuery { trigger: None, ..query };
            assert_eq!(store.deliveries(&whole).unwrap(), found);
            found.iter().map(|delivery| delivery.id.0.as_u128()).collect()
        };
        [Pending, Delivered, Dead, Suppressed].into_iter().map(in_state).collect()
    };
    let final_at_once = Delivery { state: Suppressed, ..delivery(7, day(1)) };
    create(&store, (1..=6).map(|n| delivery(n, day(1))).chain([final_at_once]).collect());
    assert_eq!(found(&store), [vec![6, 5, 4, 3, 2, 1], vec![], vec![], vec![7]]);
    assert_eq!(lease(&store, day(1), day(2), 5).len(), 5);
    supersede(&store, &[4, 5, 6]);
    let settlements = [
        settlement(1, 1, Delivered, None),
        settlement(2, 1, Dead, Some("refused")),
        settlement(3, 1, Pending, None),
        // It arrived after it was withdrawn.
        settlement(4, 1, Delivered, None),
        settlement(5, 1, Pending, None),
    ];
    assert_eq!(store.settle(&settlements).unwrap(), [true; 5]);
    let store = reopen(store);
    assert_eq!(found(&store), [vec![3], vec![4, 1], vec![2], vec![7, 6, 5]]);
    let again =
        |n| Resend { delivery: delivery_id(n), due: day(5), attempts: 4, sent_as: None, remade: None };
    assert_eq!(store.resend(&[again(1), again(2), again(5)]).unwrap(), [true; 3]);
    assert_eq!(found(&store), [vec![5, 3, 2, 1], vec![4], vec![], vec![7, 6]]);
    assert_eq!(store.withdraw(TriggerId(8)).unwrap(), 4);
    let store = reopen(store);
    // What arrived before it was sent again stays delivered.
    assert_eq!(found(&store), [vec![], vec![4, 1], vec![], vec![7, 6, 5, 3, 2]]);
}

/// Workers that lease at the same time share what is due.
pub fn two_workers_never_lease_the_same<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    create(&store, (1..=200).map(|n| delivery(n, day(1))).collect());
    let work = || {
        let mut mine = Vec::new();
        loop {
            let leases = lease(&store, day(1), day(2), 7);
            if leases.is_empty() {
                return mine;
            }
            let done = leases.iter().map(|(n, fence)| settlement(*n, *fence, DeliveryState::Delivered, None));
            assert!(store.settle(&done.collect::<Vec<_>>()).unwrap().iter().all(|counted| *counted));
            mine.extend(leases);
        }
    };
    let all: Vec<(u128, u64)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(all.len(), 200);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), (1..=200).map(|n| (n, 1)).collect());
    assert_eq!(counted(&store, Counter::Delivered), 200);
}
