//! What is too old to be remembered.
//!
//! The store has no clock. Its time is the *horizon*: the newest [`crate::Batch::now`] committed so far,
//! unless the clock turns out to have been ahead ([`advance`]). What is older than its retention as seen from the horizon is never returned again, whether it has been
//! removed from disk yet or not, so that answers do not depend on when a compaction ran.

use measure::{
    Timestamp,
    policy::{IDEMPOTENCY_MS, QUARANTINE_MS, TOUCH_RETENTION_MS},
    time::HOUR_MS,
};

/// How long waiting inputs are kept. `ingest.hold` is 24 h (DECISIONS 4); the rest is a margin for inputs
/// that are committed out of the order of their receipt. Longer holds have no effect.
pub const HELD_MS: i64 = 48 * HOUR_MS;

/// How long arrivals are kept, by install time: an engagement older than the retention of touches cannot
/// win, so an install that old need not be found by one.
pub const ARRIVAL_RETENTION_MS: i64 = TOUCH_RETENTION_MS;

/// The horizon before the first commit: nothing is too old yet.
pub const BEFORE_ALL: Timestamp = Timestamp(i64::MIN);

/// How far a commit must lie before the horizon to show that the clock had been ahead: longer than any
/// input is under way, and longer than everything but quarantine and facts is kept.
pub const CLOCK_AHEAD_MS: i64 = TOUCH_RETENTION_MS;

/// The horizon after a commit of `now`. A machine whose clock jumped years ahead would otherwise see all
/// that is received after its repair as too old, for years: so the horizon goes back with the clock. The
/// epoch is the time of a batch that holds no input, and of a machine without a clock: it changes nothing.
#[must_use]
pub fn advance(horizon: Timestamp, now: Timestamp) -> Timestamp {
    let ahead = horizon != BEFORE_ALL && horizon.since(now) > CLOCK_AHEAD_MS;
    if now > Timestamp(0) && ahead { now } else { horizon.max(now) }
}

/// The oldest engagement time that counts for an ask of engagements up to `until`.
#[must_use]
pub fn oldest_touch(horizon: Timestamp, until: Timestamp) -> Timestamp {
    horizon.max(until).plus(-TOUCH_RETENTION_MS)
}

/// The oldest install time under which an arrival is kept.
#[must_use]
pub fn oldest_arrival(horizon: Timestamp) -> Timestamp {
    horizon.plus(-ARRIVAL_RETENTION_MS)
}

/// The oldest receipt time of a waiting input that is kept.
pub(crate) fn oldest_held(horizon: Timestamp) -> Timestamp {
    horizon.plus(-HELD_MS)
}

/// The oldest receipt time of an idempotency key that is kept.
pub(crate) fn oldest_seen(horizon: Timestamp) -> Timestamp {
    horizon.plus(-IDEMPOTENCY_MS)
}

/// The oldest receipt time of a quarantined body that is kept.
pub(crate) fn oldest_quarantined(horizon: Timestamp) -> Timestamp {
    horizon.plus(-QUARANTINE_MS)
}
