//! What a decision needs is found.

use measure::{
    AppId, DeviceId, InputId, Timestamp,
    identifier::JoinKey,
    input::IdempotencyKey,
    policy::{IDEMPOTENCY_MS, TOUCH_RETENTION_MS, TOUCHES_PER_KEY_MAX},
};

use super::sample::{
    APP, OTHER, day, device, device_id, input, install_id, join_key, match_key, touch, touch_id,
};
use crate::{Ask, Batch, Credit, Seen, Store, expiry::HELD_MS};

fn advance<S: Store>(store: &S, now: Timestamp) {
    store.commit(&Batch { now, ..Batch::default() }).unwrap();
}

/// A device is found by each of its keys, in its own app only, by the latest device of a key.
pub fn devices_are_found_by_every_key<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    // The longest text first: a key of a store has limits, texts from outside have none.
    let mut keys = vec![JoinKey::kochava(&"k".repeat(100_000))];
    keys.extend((0..9).map(join_key));
    let device_keys = keys.iter().map(|key| (APP, key.clone(), device_id(1), true)).collect();
    store.commit(&Batch { devices: vec![device(APP, 1)], device_keys, ..Batch::default() }).unwrap();
    for key in &keys {
        assert_eq!(store.device(APP, key).unwrap(), Some(device(APP, 1)), "{key:?}");
        assert_eq!(store.device(OTHER, key).unwrap(), None);
    }
    assert_eq!(store.device(APP, &join_key(9)).unwrap(), None);
    let ask = Ask { devices: keys.iter().map(|key| (APP, key.clone())).collect(), ..Ask::default() };
    assert_eq!(store.context(&ask).unwrap().devices.len(), keys.len());
    // One key moves, in one batch, by way of two devices; the device behind the others changes.
    let mut renamed = device(APP, 1);
    renamed.kochava_ids = vec!["new".to_owned()];
    store
        .commit(&Batch {
            devices: vec![renamed.clone(), device(APP, 2), device(APP, 3)],
            device_keys: vec![(APP, join_key(0), device_id(2), true), (APP, join_key(0), device_id(3), true)],
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(store.device(APP, &join_key(0)).unwrap(), Some(device(APP, 3)));
    assert_eq!(store.device(APP, &join_key(1)).unwrap(), Some(renamed));
}

/// A key is taken away from the device it leads to and from no other.
pub fn a_key_that_moved_on_is_not_taken_away<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    let key = |device: u128, holds| (APP, join_key(1), device_id(device), holds);
    let commit = |device_keys: Vec<_>| {
        let devices = vec![device(APP, 1), device(APP, 2)];
        store.commit(&Batch { devices, device_keys, ..Batch::default() }).unwrap();
        store.device(APP, &join_key(1)).unwrap().map(|device| device.id)
    };
    assert_eq!(commit(vec![key(1, true)]), Some(device_id(1)));
    assert_eq!(commit(vec![key(2, false)]), Some(device_id(1)));
    assert_eq!(commit(vec![key(2, true), key(1, false)]), Some(device_id(2)));
    assert_eq!(commit(vec![key(2, false)]), None);
    assert_eq!(commit(vec![key(1, true), key(1, false)]), None);
    assert_eq!(commit(vec![key(1, false), key(1, true)]), Some(device_id(1)));
}

/// Pages join without gap or overlap, and apps do not mix.
pub fn devices_are_paged_by_app<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    for app in [APP, OTHER, AppId(u64::MAX)] {
        let devices = (1..=10).map(|n| device(app, n * 100)).collect();
        store.commit(&Batch { devices, ..Batch::default() }).unwrap();
    }
    for app in [APP, OTHER, AppId(u64::MAX)] {
        for limit in [1, 3, 5, 11] {
            let mut found: Vec<DeviceId> = Vec::new();
            loop {
                let page = store.devices(app, found.last().copied(), limit).unwrap();
                assert!(page.iter().all(|device| device.app == app));
                found.extend(page.iter().map(|device| device.id));
                if page.len() < limit {
                    break;
                }
            }
            assert_eq!(found, (1..=10).map(|n| device_id(n * 100)).collect::<Vec<_>>());
        }
    }
}

/// The identifiers of the touches under key 1, and whether there are more.
fn touches<S: Store>(store: &S, until: &[Timestamp]) -> Option<(Vec<u128>, bool)> {
    let touches = until.iter().map(|until| (APP, match_key(1), *until)).collect();
    let mut context = store.context(&Ask { touches, ..Ask::default() }).unwrap();
    let (touches, more) = context.touches.remove(&(APP, match_key(1)))?;
    Some((touches.iter().map(|touch| touch.id.0.as_u128()).collect(), more))
}

/// By descending time, then by descending content key and identifier; later ones, other keys and other apps stay out.
pub fn touches_come_newest_first<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    let at = |n, ms| (APP, match_key(1), touch(n, Timestamp(ms)));
    let mut all = vec![at(5, 10), at(300, 10), at(2, 11), at(9, -1), at(7, 0), at(8, 12)];
    all.push((OTHER, match_key(1), touch(20, Timestamp(10))));
    all.extend((2..9).map(|key| (APP, match_key(key), touch(key + 20, Timestamp(10)))));
    store.commit(&Batch { now: Timestamp(12), touches: all, ..Batch::default() }).unwrap();
    assert_eq!(touches(&store, &[Timestamp(11)]), Some((vec![2, 300, 5, 7, 9], false)));
    assert_eq!(touches(&store, &[Timestamp(10)]), Some((vec![300, 5, 7, 9], false)));
    assert_eq!(touches(&store, &[Timestamp(-2)]), None);
    let ask = Ask { touches: vec![(APP, match_key(5), Timestamp(10))], ..Ask::default() };
    let context = store.context(&ask).unwrap();
    assert_eq!(context.touches[&(APP, match_key(5))].0, [touch(25, Timestamp(10))]);
}

/// More than the limit: the newest are returned, whatever the order of arrival, and it is said.
pub fn touches_are_cut_at_the_newest<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    let max = u128::try_from(TOUCHES_PER_KEY_MAX).unwrap();
    let put = |n: u128| {
        // Two at a time, so that the cut has to go by content: the later identifier has the smaller key.
        let mut touch = touch(n ^ 1, day(1).plus(i64::try_from(n / 2).unwrap()));
        touch.content_key = u64::try_from(n).unwrap();
        let touches = vec![(APP, match_key(1), touch)];
        store.commit(&Batch { now: day(2), touches, ..Batch::default() }).unwrap();
    };
    (1..=max).rev().for_each(put);
    let ids = |keys: std::ops::RangeInclusive<u128>| keys.rev().map(|n| n ^ 1).collect::<Vec<_>>();
    assert_eq!(touches(&store, &[day(2)]), Some((ids(1..=max), false)));
    put(max + 2);
    put(max + 1);
    assert_eq!(touches(&store, &[day(2)]), Some((ids(3..=max + 2), true)));
    let before = day(1).plus(1);
    assert_eq!(touches(&store, &[before]), Some((ids(1..=3), false)));
}

/// Two installs of one batch may share a match key: each gets what it would have got alone.
pub fn touches_of_several_times_are_merged<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    let max = u128::try_from(TOUCHES_PER_KEY_MAX).unwrap();
    let time = |n: u128| day(1).plus(i64::try_from(n).unwrap());
    let all = (1..=max + 10).map(|n| (APP, match_key(1), touch(n, time(n)))).collect();
    store.commit(&Batch { now: day(2), touches: all, ..Batch::default() }).unwrap();
    let everything = Some(((1..=max + 10).rev().collect::<Vec<_>>(), true));
    assert_eq!(touches(&store, &[time(5), day(2), time(max)]), everything);
    assert_eq!(touches(&store, &[day(2), time(5)]).unwrap().0.len(), TOUCHES_PER_KEY_MAX + 5);
    assert_eq!(touches(&store, &[time(5), time(7)]), Some(((1..=7).rev().collect(), false)));
}

/// A touch is found for 31 days, both before the time asked and before the newest commit.
pub fn old_touches_are_forgotten<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    let all = [(1, day(100)), (2, day(100).plus(1)), (3, day(110))];
    let all = all.map(|(n, time)| (APP, match_key(1), touch(n, time))).to_vec();
    store.commit(&Batch { now: day(110), touches: all, ..Batch::default() }).unwrap();
    let last = day(100).plus(TOUCH_RETENTION_MS);
    assert_eq!(touches(&store, &[last]), Some((vec![3, 2, 1], false)));
    assert_eq!(touches(&store, &[last.plus(1)]), Some((vec![3, 2], false)));
    advance(&store, last.plus(1));
    let store = reopen(store);
    assert_eq!(touches(&store, &[last]), Some((vec![3, 2], false)));
    advance(&store, day(400));
    assert_eq!(touches(&store, &[last]), None);
}

/// A clock that jumped years ahead and was put right does not make everything too old for years.
pub fn a_clock_that_was_ahead_is_forgiven<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    let put = |store: &S, n: u128, time| {
        let touches = vec![(APP, match_key(1), touch(n, time))];
        store.commit(&Batch { now: time, touches, ..Batch::default() }).unwrap();
    };
    put(&store, 1, day(100));
    advance(&store, day(5_000));
    store.commit(&Batch::default()).unwrap();
    assert_eq!(touches(&store, &[day(101)]), None);
    put(&store, 2, day(101));
    assert_eq!(touches(&store, &[day(101)]), Some((vec![2, 1], false)));
    let store = reopen(store);
    assert_eq!(touches(&store, &[day(101)]), Some((vec![2, 1], false)));
    // What was only under way for long changes nothing.
    advance(&store, day(131));
    advance(&store, day(101));
    assert_eq!(touches(&store, &[day(101)]), Some((vec![2, 1], false)));
    advance(&store, day(132).plus(1));
    advance(&store, day(102));
    assert_eq!(touches(&store, &[day(101)]), None);
}

/// Installs under a match key, from an install time on.
pub fn arrivals_come_newest_first<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    let all = [(5, 10), (300, 10), (2, 11), (9, -1), (7, 0)];
    let mut arrivals: Vec<_> =
        all.iter().map(|(n, ms)| (APP, match_key(1), Timestamp(*ms), install_id(*n))).collect();
    arrivals.push((OTHER, match_key(1), Timestamp(10), install_id(20)));
    arrivals.push((APP, match_key(2), Timestamp(10), install_id(21)));
    store.commit(&Batch { now: Timestamp(20), arrivals, ..Batch::default() }).unwrap();
    let found = |since: &[i64]| {
        let arrivals = since.iter().map(|ms| (APP, match_key(1), Timestamp(*ms))).collect();
        let mut context = store.context(&Ask { arrivals, ..Ask::default() }).unwrap();
        let found = context.arrivals.remove(&(APP, match_key(1))).unwrap_or_default();
        found.into_iter().map(|(at, install)| (install.0.as_u128(), at.0)).collect::<Vec<_>>()
    };
    assert_eq!(found(&[-5]), [(2, 11), (300, 10), (5, 10), (7, 0), (9, -1)]);
    assert_eq!(found(&[10]), [(2, 11), (300, 10), (5, 10)]);
    assert_eq!(found(&[11, 0, 10]), [(2, 11), (300, 10), (5, 10), (7, 0)]);
    assert_eq!(found(&[12]), []);
    advance(&store, Timestamp(10).plus(crate::expiry::ARRIVAL_RETENTION_MS));
    assert_eq!(found(&[-5]), [(2, 11), (300, 10), (5, 10)]);
}

fn waiting<S: Store>(store: &S, key: u128) -> Vec<InputId> {
    let ask = Ask { held: vec![(APP, join_key(key))], ..Ask::default() };
    store.context(&ask).unwrap().held.remove(&(APP, join_key(key))).unwrap_or_default()
}

/// Inputs wait in the order of receipt until they are released or too old.
pub fn held_inputs_wait_until_they_are_released<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (mut reopen, store) = open();
    let wait = |key, n: u128, ms, waits| (APP, join_key(key), input(n), day(1).plus(ms), waits);
    let held = vec![wait(1, 3, 0, true), wait(1, 2, 1, true), wait(1, 1, 1, true), wait(2, 1, 1, true)];
    store.commit(&Batch { now: day(1), held, ..Batch::default() }).unwrap();
    assert_eq!(waiting(&store, 1), [input(3), input(1), input(2)]);
    // Who releases an input need not know when it was received.
    let held = vec![wait(1, 2, 0, false), wait(1, 99, 0, false)];
    store.commit(&Batch { now: day(1), held, ..Batch::default() }).unwrap();
    let store = reopen(store);
    assert_eq!(waiting(&store, 1), [input(3), input(1)]);
    advance(&store, day(1).plus(HELD_MS + 1));
    assert_eq!(waiting(&store, 1), [input(1)]);
    assert_eq!(waiting(&store, 2), [input(1)]);
    let held = vec![wait(1, 1, 1, false)];
    store.commit(&Batch { held, ..Batch::default() }).unwrap();
    assert_eq!(waiting(&store, 1), []);
    assert_eq!(waiting(&store, 2), [input(1)]);
}

/// A key is known for seven days, by app, source and text.
pub fn idempotency_keys_last_a_week<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    let key = |source: &str, key: &str| IdempotencyKey { source: source.to_owned(), key: key.to_owned() };
    let long = key("header", &"k".repeat(100_000));
    let seen = |n, received| Seen { input: input(n), received, body_hash: [2; 16] };
    let entries = vec![
        (APP, key("header", "a"), seen(1, day(1))),
        (APP, long.clone(), seen(2, day(1).plus(1))),
        (OTHER, key("header", "a"), seen(3, day(1))),
    ];
    store.commit(&Batch { now: day(1), seen: entries, ..Batch::default() }).unwrap();
    let find = |app, key: IdempotencyKey| {
        let ask = Ask { seen: vec![(app, key)], ..Ask::default() };
        store.context(&ask).unwrap().seen.into_values().next().map(|seen| seen.input)
    };
    assert_eq!(find(APP, key("header", "a")), Some(input(1)));
    assert_eq!(find(OTHER, key("header", "a")), Some(input(3)));
    assert_eq!(find(APP, key("heade", "ra")), None);
    assert_eq!(find(APP, key("header", "")), None);
    advance(&store, day(1).plus(IDEMPOTENCY_MS));
    assert_eq!(find(APP, key("header", "a")), Some(input(1)));
    advance(&store, day(1).plus(IDEMPOTENCY_MS + 1));
    assert_eq!(find(APP, key("header", "a")), None);
    assert_eq!(find(APP, long.clone()), Some(input(2)));
    // A key that came again is known by its latest entry.
    let again = vec![(APP, long.clone(), seen(9, day(5)))];
    store.commit(&Batch { seen: again, ..Batch::default() }).unwrap();
    assert_eq!(find(APP, long), Some(input(9)));
}

/// Modeled wins come with the earliest install first and can be taken back.
pub fn modeled_wins_are_given_and_taken<S: Store, R: FnMut(S) -> S>(open: impl FnOnce() -> (R, S)) {
    let (_reopen, store) = open();
    let credit =
        |n, ms| Credit { install: install_id(n), installed: Timestamp(ms), waiting: n.is_multiple_of(2) };
    let won = |n, ms, won| (APP, touch_id(1), credit(n, ms), won);
    let found = |touch| {
        let ask = Ask { credits: vec![(APP, touch_id(touch))], ..Ask::default() };
        store.context(&ask).unwrap().credits.remove(&(APP, touch_id(touch))).unwrap_or_default()
    };
    let credits = vec![won(3, 20, true), won(2, 30, true), won(1, 30, true)];
    store.commit(&Batch { credits, ..Batch::default() }).unwrap();
    assert_eq!(found(1), [credit(3, 20), credit(1, 30), credit(2, 30)]);
    assert_eq!(found(2), []);
    let credits = vec![won(3, 20, false), won(8, 1, false)];
    store.commit(&Batch { credits, ..Batch::default() }).unwrap();
    assert_eq!(found(1), [credit(1, 30), credit(2, 30)]);
    let credits = vec![won(1, 30, false), won(2, 30, false)];
    store.commit(&Batch { credits, ..Batch::default() }).unwrap();
    assert_eq!(found(1), []);
}
