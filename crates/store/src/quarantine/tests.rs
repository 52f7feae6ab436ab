use measure::{AppId, InputId, Timestamp, policy::QUARANTINE_MS, time::DAY_MS};

use super::{Entry, Shelves};

const APP: Option<AppId> = Some(AppId(1));

/// Puts bodies of these sizes on one shelf, the n-th received on day n, and returns which are evicted.
fn check(sizes: &[u64], now_day: i64, bodies_max: usize, bytes_max: u64, gone: &[u128]) {
    let mut shelves = Shelves::default();
    for (id, bytes) in (0_u32..).zip(sizes) {
        let entry = Entry { received: Timestamp(i64::from(id) * DAY_MS), bytes: *bytes };
        shelves.put(APP, id_of(u128::from(id)), entry);
        shelves.put(None, id_of(0), Entry { received: Timestamp(now_day * DAY_MS), bytes: 1 });
    }
    let evicted = shelves.evict_over(Timestamp(now_day * DAY_MS), bodies_max, bytes_max);
    let expected: Vec<_> = gone.iter().map(|id| (APP, id_of(*id))).collect();
    assert_eq!(evicted, expected);
}

fn id_of(id: u128) -> InputId {
    InputId::from_number(id)
}

/// Identifiers by number; the UUID type itself is not a dependency of this crate.
trait FromNumber {
    fn from_number(number: u128) -> Self;
}

impl FromNumber for InputId {
    fn from_number(number: u128) -> Self {
        format!("{}{number:032x}", Self::PREFIX).parse().unwrap()
    }
}

#[test]
fn everything_fits() {
    check(&[5, 5, 5], 3, 3, 15, &[]);
}

#[test]
fn too_many_bodies() {
    check(&[5, 5, 5], 3, 2, 100, &[0]);
}

#[test]
fn too_many_bytes() {
    check(&[5, 5, 5], 3, 10, 9, &[0, 1]);
}

#[test]
fn one_body_over_the_limit_goes_too() {
    check(&[50], 1, 10, 9, &[0]);
}

#[test]
fn exactly_seven_days_is_kept() {
    assert_eq!(QUARANTINE_MS, 7 * DAY_MS);
    check(&[5, 5, 5], 7, 10, 100, &[]);
}

#[test]
fn older_than_seven_days_goes() {
    check(&[5, 5, 5], 9, 10, 100, &[0, 1]);
}

#[test]
fn a_body_put_twice_counts_once() {
    let mut shelves = Shelves::default();
    for _ in 0..2 {
        shelves.put(APP, id_of(1), Entry { received: Timestamp(0), bytes: 6 });
    }
    assert_eq!(shelves.evict_over(Timestamp(0), 10, 10), []);
}
