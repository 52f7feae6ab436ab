use std::collections::BTreeSet;

use measure::{Timestamp, TriggerId};
use proptest::prelude::*;

use super::NOW;
use crate::{
    breaker::{BreakerOptions, BreakerState},
    lanes::{Lanes, Limits, Line},
};

const NEVER: BreakerOptions = BreakerOptions { failures: 0, pause_ms: 1_000, pause_max_ms: 4_000 };
const LIMITS: Limits = Limits { concurrency: 4, host_concurrency: 2, host_rate: 0, breaker: NEVER };

fn lanes() -> Lanes<u32> {
    Lanes::new(LIMITS)
}

/// Each host has a trigger of its own.
fn line(host: &str) -> Line {
    (TriggerId(u64::from(host.as_bytes()[0])), 1)
}

fn bring(lanes: &mut Lanes<u32>, host: &str, items: std::ops::Range<u32>) {
    items.for_each(|item| lanes.bring(host, line(host), false, item));
}

fn start_all(lanes: &mut Lanes<u32>, now: Timestamp) -> Vec<u32> {
    std::iter::from_fn(|| lanes.start(now).map(|(_, item)| item)).collect()
}

#[test]
fn hosts_take_turns_within_their_width() {
    let mut lanes = lanes();
    bring(&mut lanes, "a", 0..5);
    bring(&mut lanes, "b", 10..15);
    assert_eq!(start_all(&mut lanes, NOW), [0, 10, 1, 11]);
    lanes.end("a", NOW, 5, false, NOW);
    assert_eq!(start_all(&mut lanes, NOW), [2]);
}

#[test]
fn a_busy_host_leaves_its_turn_to_others() {
    let mut lanes = lanes();
    bring(&mut lanes, "a", 0..9);
    assert_eq!(start_all(&mut lanes, NOW), [0, 1]);
    bring(&mut lanes, "b", 10..12);
    assert_eq!(start_all(&mut lanes, NOW), [10, 11]);
}

/// Two targets that hang could take every place.
#[test]
fn the_last_places_are_for_hosts_that_nothing_is_under_way_to() {
    let mut lanes: Lanes<u32> = Lanes::new(Limits { concurrency: 16, host_concurrency: 8, ..LIMITS });
    bring(&mut lanes, "a", 0..20);
    bring(&mut lanes, "b", 20..40);
    assert_eq!(start_all(&mut lanes, NOW).len(), 14);
    bring(&mut lanes, "c", 40..42);
    assert_eq!(start_all(&mut lanes, NOW), [40]);
    lanes.end("c", NOW, 5, false, NOW);
    assert_eq!(start_all(&mut lanes, NOW), [41]);
    bring(&mut lanes, "d", 42..44);
    bring(&mut lanes, "e", 44..46);
    assert_eq!(start_all(&mut lanes, NOW), [42]);
    lanes.end("d", NOW, 5, false, NOW);
    assert_eq!(start_all(&mut lanes, NOW), [44]);
}

#[test]
fn there_is_room_for_what_is_done_within_a_second() {
    let mut lanes = lanes();
    bring(&mut lanes, "a", 0..5);
    // 100 ms are assumed: two at a time make 20 a second.
    assert_eq!(lanes.room(NOW), [(line("a"), 15)].into());
    // Two triggers of one host share it.
    lanes.bring("a", line("z"), false, 5);
    assert_eq!(lanes.room(NOW), [(line("a"), 7), (line("z"), 7)].into());
    // One that goes elsewhere by now has left its share behind.
    lanes.bring("b", line("z"), false, 6);
    assert_eq!(lanes.room(NOW), [(line("a"), 14), (line("z"), 19)].into());
}

#[test]
fn a_host_that_hangs_keeps_little_in_hand() {
    let mut lanes = lanes();
    bring(&mut lanes, "a", 0..20);
    start_all(&mut lanes, NOW);
    assert!(lanes.trim(NOW.plus(100)).is_empty());
    // Under way for ten seconds, two at a time: one may wait, though nothing has ended yet.
    let later = NOW.plus(10_000);
    let back = lanes.trim(later);
    assert_eq!((back.len(), lanes.waiting()), (17, 1));
    assert_eq!(lanes.room(later), [(line("a"), 0)].into());
}

#[test]
fn first_attempts_go_before_retries_and_leave_them_a_turn() {
    let mut lanes: Lanes<u32> = Lanes::new(Limits { concurrency: 99, host_concurrency: 9, ..LIMITS });
    (100..110).for_each(|item| lanes.bring("a", line("a"), true, item));
    bring(&mut lanes, "a", 0..5);
    assert_eq!(start_all(&mut lanes, NOW), [0, 1, 2, 100, 3, 4, 101, 102, 103]);
}

#[test]
fn a_rate_is_kept() {
    let mut lanes: Lanes<u32> =
        Lanes::new(Limits { concurrency: 99, host_concurrency: 99, host_rate: 10, ..LIMITS });
    bring(&mut lanes, "a", 0..30);
    bring(&mut lanes, "b", 50..51);
    let mut started = Vec::new();
    for ms in 0..=1_000 {
        started.extend(start_all(&mut lanes, NOW.plus(ms)).into_iter().map(|item| (item, ms)));
    }
    let of_a = started.iter().filter(|(item, _)| *item < 50).count();
    assert!((10..=13).contains(&of_a), "ten a second and a small burst: {started:?}");
    assert!(started.contains(&(50, 0)), "nobody else waits for it");
    assert!(lanes.next_start(NOW.plus(1_000)).is_some_and(|at| at <= NOW.plus(1_101)));
    assert!(lanes.room(NOW.plus(1_000)).values().all(|room| *room <= 10));
}

#[test]
fn a_host_that_fails_is_left_alone_and_probed() {
    let breaker = BreakerOptions { failures: 3, ..NEVER };
    let mut lanes: Lanes<u32> =
        Lanes::new(Limits { concurrency: 99, host_concurrency: 9, breaker, ..LIMITS });
    bring(&mut lanes, "a", 0..9);
    bring(&mut lanes, "b", 20..21);
    for _ in 0..4 {
        lanes.start(NOW);
    }
    for _ in 0..2 {
        assert_eq!(lanes.end("a", NOW, 5, true, NOW), BreakerState::Closed);
    }
    let until = NOW.plus(1_000);
    assert_eq!(lanes.end("a", NOW, 5, true, NOW), BreakerState::Open(until));
    // What waited goes back, and nothing new is wanted.
    assert_eq!(lanes.trim(NOW).len(), 6);
    assert_eq!(lanes.room(NOW)[&line("a")], 0);
    assert_eq!(lanes.next_start(NOW), Some(until));
    // Then one postback is a probe.
    assert_eq!(lanes.room(until)[&line("a")], 1);
    bring(&mut lanes, "a", 30..32);
    assert_eq!(start_all(&mut lanes, until), [30]);
    assert_eq!(lanes.room(until)[&line("a")], 0);
    let longer = until.plus(2_000);
    assert_eq!(lanes.end("a", until, 5, true, until), BreakerState::Open(longer));
    assert_eq!(start_all(&mut lanes, longer), [31]);
    assert_eq!(lanes.end("a", longer, 5, false, longer), BreakerState::Closed);
    assert!(lanes.room(longer)[&line("a")] > 1);
}

#[test]
fn nothing_is_left_when_told_to_clear() {
    let mut lanes = lanes();
    bring(&mut lanes, "a", 0..3);
    bring(&mut lanes, "b", 3..5);
    start_all(&mut lanes, NOW);
    assert_eq!((lanes.clear_waiting(), lanes.waiting(), lanes.start(NOW)), (vec![2], 0, None));
}

proptest! {
    /// Whatever happens in whatever order, every delivery comes out exactly once, and the widths hold.
    #[test]
    fn nothing_is_lost_or_doubled(
        steps in prop::collection::vec((0_u8..3, 0_u8..4, 0_i64..5_000, any::<bool>()), 0..200),
        host_rate in prop_oneof![Just(0_u32), 1_u32..50],
        failures in 0_u32..4,
    ) {
        let breaker = BreakerOptions { failures, ..NEVER };
        let mut lanes = Lanes::new(Limits { host_rate, breaker, ..LIMITS });
        let (mut now, mut next) = (NOW, 0_u32);
        let mut out = Vec::new();
        let mut running: Vec<(String, Timestamp)> = Vec::new();
        for (what, host, ms, flag) in steps {
            now = now.plus(ms / 10);
            match what {
                0 => {
                    let host = host.to_string();
                    lanes.bring(&host, line(&host), flag, next);
                    next += 1;
                }
                1 => if let Some((host, item)) = lanes.start(now) {
                    out.push(item);
                    running.push((host, now));
                },
                _ => if !running.is_empty() {
                    let (host, started) = running.remove(usize::from(host) % running.len());
                    if ms % 5 == 0 {
                        lanes.unsent(&host, started, now);
                    } else {
                        lanes.end(&host, started, u32::try_from(ms).unwrap(), flag, now);
                    }
                    out.extend(lanes.trim(now));
                },
            }
            prop_assert!(running.len() <= 4);
            for host in ["0", "1", "2", "3"] {
                prop_assert!(running.iter().filter(|(of, _)| of == host).count() <= 2);
            }
        }
        let waiting = lanes.waiting();
        let cleared = lanes.clear_waiting();
        prop_assert_eq!(waiting, cleared.len());
        out.extend(cleared);
        let once: BTreeSet<_> = out.iter().copied().collect();
        prop_assert_eq!(out.len(), once.len());
        prop_assert_eq!(once, (0..next).collect());
    }
}
