use measure::Timestamp;
use proptest::prelude::*;

use super::NOW;
use crate::lanes::{Lanes, Place};

fn lanes() -> Lanes<u32> {
    Lanes::new(4, 2)
}

fn bring(lanes: &mut Lanes<u32>, host: &str, items: std::ops::Range<u32>) -> Vec<Timestamp> {
    items
        .filter_map(|item| match lanes.bring(host, item, NOW) {
            Place::Waits => None,
            Place::PutOff(put_off, due) => {
                assert_eq!(put_off, item);
                Some(due)
            }
        })
        .collect()
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
    lanes.end("a", NOW, 5);
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

#[test]
fn what_a_host_cannot_take_soon_is_put_off_and_spread() {
    let mut lanes = lanes();
    // 100 ms are assumed: two at a time make 20 a second.
    let due = bring(&mut lanes, "a", 0..25);
    assert_eq!(due, [1_000, 1_050, 1_100, 1_150, 1_200].map(|ms| NOW.plus(ms)));
}

#[test]
fn a_host_that_hangs_keeps_little_in_hand() {
    let mut lanes = lanes();
    assert_eq!(bring(&mut lanes, "a", 0..20), []);
    start_all(&mut lanes, NOW);
    let later = NOW.plus(10_000);
    assert_eq!(lanes.trim(NOW.plus(100)), []);
    // Under way for ten seconds, two at a time: one may wait, though nothing has ended yet.
    let put_off = lanes.trim(later);
    assert_eq!((put_off.len(), lanes.waiting()), (17, 1));
    assert!(put_off.iter().all(|(_, due)| *due > later));
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
    fn nothing_is_lost_or_doubled(steps in prop::collection::vec((0_u8..3, 0_u8..4, 0_i64..5_000), 0..200)) {
        let (mut lanes, mut now, mut next) = (lanes(), NOW, 0_u32);
        let mut out = Vec::new();
        let mut running: Vec<(String, Timestamp)> = Vec::new();
        for (what, host, ms) in steps {
            now = now.plus(ms / 10);
            match what {
                0 => {
                    if let Place::PutOff(item, due) = lanes.bring(&host.to_string(), next, now) {
                        prop_assert!(due > now && due <= now.plus(60_000));
                        out.push(item);
                    }
                    next += 1;
                }
                1 => if let Some((host, item)) = lanes.start(now) {
                    out.push(item);
                    running.push((host, now));
                },
                _ => if !running.is_empty() {
                    let (host, started) = running.remove(usize::from(host) % running.len());
                    lanes.end(&host, started, u32::try_from(ms).unwrap());
                    out.extend(lanes.trim(now).into_iter().map(|(item, _)| item));
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
        out.sort_unstable();
        prop_assert_eq!(out, (0..next).collect::<Vec<_>>());
    }
}
