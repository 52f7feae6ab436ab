use proptest::prelude::*;

use super::{
    super::{
        Attempt, Delivery, EARLIER_MAX, Remade, Request,
        schedule::{DeathReason, Failure, Next, Outcome, RETRY_AFTER_MAX_MS, next},
    },
    TriggerKind, World, trigger,
};
use crate::{NetworkId, Timestamp};

const NOW: Timestamp = Timestamp(1_000_000);
/// The middle of the range: no jitter.
const MIDDLE: u64 = 1 << 63;

fn answered(status: u16) -> Outcome {
    Outcome::Answered { status, matched: true, retry_after: None }
}

#[test]
fn any_2xx_is_delivered() {
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(next(&answered(status), 1, 1, NOW, 0), Next::Delivered, "{status}");
    }
}

#[test]
fn what_may_end_better_is_tried_again() {
    for status in [408, 425, 429, 500, 502, 503, 504, 599] {
        assert!(matches!(next(&answered(status), 1, 2, NOW, 0), Next::Retry(_)), "{status}");
    }
    for failure in [Failure::Dns, Failure::Connect, Failure::Tls, Failure::Timeout, Failure::Read] {
        assert!(matches!(next(&Outcome::Failed(failure), 1, 2, NOW, 0), Next::Retry(_)), "{failure:?}");
    }
    let mismatch = Outcome::Answered { status: 200, matched: false, retry_after: None };
    assert!(matches!(next(&mismatch, 1, 2, NOW, 0), Next::Retry(_)));
    assert_eq!(mismatch.error(), Some("text_mismatch"));
}

#[test]
fn every_other_answer_is_final() {
    for status in [100, 301, 302, 304, 307, 400, 401, 403, 404, 410, 422, 499, 600] {
        assert_eq!(next(&answered(status), 1, 9, NOW, 0), Next::Dead(DeathReason::Refused), "{status}");
    }
}

#[test]
fn attempts_come_to_an_end() {
    assert!(matches!(next(&answered(500), 3, 4, NOW, 0), Next::Retry(_)));
    for (attempt, allowed) in [(4, 4), (1, 1), (1, 0), (9, 4)] {
        assert_eq!(next(&answered(500), attempt, allowed, NOW, 0), Next::Dead(DeathReason::AttemptsUsedUp));
    }
}

#[test]
fn waits_grow_and_then_stay() {
    for (attempt, seconds) in
        [(1, 10), (2, 60), (3, 300), (4, 1_800), (5, 7_200), (6, 21_600), (7, 21_600), (10, 21_600)]
    {
        let due = NOW.plus(seconds * 1_000);
        assert_eq!(next(&answered(500), attempt, 11, NOW, MIDDLE), Next::Retry(due), "{attempt}");
    }
}

#[test]
fn retry_after_can_only_lengthen_a_wait() {
    for (asked_ms, due_ms) in [
        (-5_000, 10_000),
        (3_000, 10_000),
        (45_000, 45_000),
        (RETRY_AFTER_MAX_MS, RETRY_AFTER_MAX_MS),
        (i64::MAX, RETRY_AFTER_MAX_MS),
    ] {
        let outcome = Outcome::Answered { status: 429, matched: true, retry_after: Some(NOW.plus(asked_ms)) };
        assert_eq!(next(&outcome, 1, 2, NOW, MIDDLE), Next::Retry(NOW.plus(due_ms)), "{asked_ms}");
    }
}

/// A replay is a new beginning, however often it was tried before.
#[test]
fn waits_of_a_replay_begin_anew() {
    let mut world = World::new();
    world.add(trigger(1, TriggerKind::Install, "cpi_mostback_url=https://partner.example/"));
    let mut delivery = world.plan(TriggerKind::Install).deliveries.remove(0);
    let mut check = |made: u32, before: u32, allowed: u32, seconds: Option<i64>| {
        delivery.attempts = (1..=made).map(attempt).collect();
        (delivery.attempts_before, delivery.attempts_allowed) = (before, allowed);
        let expected = match seconds {
            Some(seconds) => Next::Retry(NOW.plus(seconds * 1_000)),
            None => Next::Dead(DeathReason::AttemptsUsedUp),
        };
        assert_eq!(delivery.next(&answered(500), NOW, MIDDLE), expected, "{made} {before} {allowed}");
    };
    check(0, 0, 2, Some(10));
    check(1, 0, 2, None);
    check(2, 2, 4, Some(10));
    check(3, 2, 4, None);
    check(5, 2, 9, Some(1_800));
    // What was sent again before this was counted, and what was erased.
    check(2, 0, 4, Some(300));
    check(0, 2, 4, Some(10));
}

/// Only what found no way to the partner is certainly not there.
#[test]
fn which_attempts_may_have_arrived() {
    let check = |error: Option<&str>, arrived: bool| {
        let made = Attempt { status: None, error: error.map(str::to_owned), ..attempt(1) };
        assert_eq!(made.may_have_arrived(), arrived, "{error:?}");
    };
    check(Some("dns"), false);
    check(Some("connect"), false);
    for error in ["tls", "timeout", "read", "http", "text_mismatch"] {
        check(Some(error), true);
    }
    check(None, true);
}

#[test]
fn what_attempts_sent_stays_with_them_when_a_delivery_is_made_again() {
    let mut world = World::new();
    world.add(trigger(1, TriggerKind::Install, "cpi_mostback_url=https://partner.example/1"));
    let mut delivery = world.plan(TriggerKind::Install).deliveries.remove(0);
    delivery.trigger_version = 1;
    let url = |version: u32| format!("https://partner.example/{version}");
    let remade = |version: u32| Remade {
        request: Request { url: url(version), ..Request::default() },
        trigger_version: version,
        network: Some(NetworkId(u64::from(version))),
    };
    let sent =
        |delivery: &Delivery, n: u32| delivery.sent_by(n).map(|(version, to)| (version, to.url.clone()));
    delivery.attempts = vec![attempt(1), attempt(2)];
    delivery.remake(remade(2));
    assert_eq!((delivery.trigger_version, delivery.network), (2, Some(NetworkId(2))));
    delivery.attempts.push(attempt(3));
    // Nothing was sent in between, so nothing is to be remembered.
    delivery.remake(remade(3));
    delivery.remake(remade(4));
    delivery.remake(remade(4));
    assert_eq!(delivery.earlier.len(), 2);
    for (n, version) in [(1, 1), (2, 1), (3, 2), (4, 4), (9, 4)] {
        assert_eq!(sent(&delivery, n), Some((version, url(version))), "attempt {n}");
    }
    for version in 5..=30 {
        delivery.attempts.push(attempt(version - 1));
        delivery.remake(remade(version));
    }
    assert_eq!(delivery.earlier.len(), EARLIER_MAX);
    assert_eq!(sent(&delivery, 1), None, "the oldest are forgotten");
    for (n, version) in [(28, 28), (29, 29), (30, 30)] {
        assert_eq!(sent(&delivery, n), Some((version, url(version))), "attempt {n}");
    }
}

fn attempt(number: u32) -> Attempt {
    Attempt {
        number,
        started: NOW,
        elapsed_ms: 1,
        status: Some(500),
        error: Some("http".into()),
        response: String::new(),
        connect_ms: None,
        headers: Vec::new(),
    }
}

proptest! {
    #[test]
    fn jitter_stays_within_a_fifth(attempt in 1_u32..20, jitter: u64) {
        let Next::Retry(middle) = next(&answered(500), attempt, 20, NOW, MIDDLE) else { panic!() };
        let Next::Retry(due) = next(&answered(500), attempt, 20, NOW, jitter) else { panic!() };
        let (base, wait) = (middle.since(NOW), due.since(NOW));
        prop_assert!((wait - base).abs() * 5 <= base, "{} of {}", wait, base);
    }

    #[test]
    fn it_always_ends_as_one_of_three(status: u16, matched: bool, attempt: u32, allowed: u32, now: i64, at: Option<i64>, jitter: u64) {
        let outcome = Outcome::Answered { status, matched, retry_after: at.map(Timestamp) };
        let now = Timestamp(now);
        match next(&outcome, attempt, allowed, now, jitter) {
            Next::Delivered => prop_assert!(outcome.error().is_none()),
            Next::Retry(due) => prop_assert!(outcome.is_transient() && attempt < allowed && due >= now),
            Next::Dead(_) => prop_assert!(outcome.error().is_some()),
        }
    }
}
