//! When a postback is tried again (postbacks.md section 5).

use crate::{
    Timestamp,
    time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS},
};

/// The waits after the first, second, … attempt, before ±20 %; the last one repeats.
const SPACING_MS: [i64; 6] =
    [10 * SECOND_MS, MINUTE_MS, 5 * MINUTE_MS, 30 * MINUTE_MS, 2 * HOUR_MS, 6 * HOUR_MS];

/// The longest wait that `Retry-After` may ask for.
pub const RETRY_AFTER_MAX_MS: i64 = DAY_MS;

/// Why there is no usable answer: the error class of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The name of the host did not resolve.
    Dns,
    /// No connection.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// It took too long.
    Timeout,
    /// The connection broke before the answer was there, or what came is not HTTP.
    Read,
}

impl Failure {
    /// The name in an attempt's record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Read => "read",
        }
    }
}

/// What came of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The partner answered.
    Answered {
        /// The status.
        status: u16,
        /// Whether the answer contains the text it must contain; true when none is asked for.
        matched: bool,
        /// From when on the partner wants to be asked again: `Retry-After`.
        retry_after: Option<Timestamp>,
    },
    /// There was no usable answer.
    Failed(Failure),
}

impl Outcome {
    /// The error class of the attempt; `None` on success.
    #[must_use]
    pub const fn error(&self) -> Option<&'static str> {
        match self {
            Self::Answered { status: 200..=299, matched: true, .. } => None,
            Self::Answered { status: 200..=299, .. } => Some("text_mismatch"),
            Self::Answered { .. } => Some("http"),
            Self::Failed(failure) => Some(failure.name()),
        }
    }

    /// Whether another attempt may end better: no usable answer, 408, 425, 429, 5xx, or a success without
    /// the text asked for.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Answered { status: 200..=299, matched, .. } => !*matched,
            Self::Answered { status, .. } => matches!(*status, 408 | 425 | 429 | 500..=599),
            Self::Failed(_) => true,
        }
    }
}

/// Why a delivery is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeathReason {
    /// The partner answered that it does not want it.
    Refused,
    /// No attempt is left.
    AttemptsUsedUp,
}

impl DeathReason {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::AttemptsUsedUp => "attempts_used_up",
        }
    }
}

/// What becomes of a delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The partner has it.
    Delivered,
    /// It is tried again then.
    Retry(Timestamp),
    /// It is given up.
    Dead(DeathReason),
}

/// What becomes of a delivery after the attempt with number `attempt` (1 is the first) of `allowed`, that
/// ended at `now`. `jitter` is 64 random bits: they spread the waits of 10 s, 1 m, 5 m, 30 m, 2 h, 6 h,
/// 6 h, … by ±20 %. `Retry-After` can only lengthen a wait, up to a day.
#[must_use]
pub fn next(outcome: &Outcome, attempt: u32, allowed: u32, now: Timestamp, jitter: u64) -> Next {
    if outcome.error().is_none() {
        return Next::Delivered;
    }
    if !outcome.is_transient() {
        return Next::Dead(DeathReason::Refused);
    }
    if attempt >= allowed {
        return Next::Dead(DeathReason::AttemptsUsedUp);
    }
    let spaced = now.plus(spacing(attempt, jitter));
    let asked = match outcome {
        Outcome::Answered { retry_after: Some(at), .. } => (*at).min(now.plus(RETRY_AFTER_MAX_MS)),
        _ => spaced,
    };
    Next::Retry(spaced.max(asked))
}

fn spacing(attempt: u32, jitter: u64) -> i64 {
    let place = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    let [.., last] = SPACING_MS;
    let base = SPACING_MS.get(place).copied().unwrap_or(last);
    // Four fifths and up to two fifths more; the top bits of the jitter pick the place between.
    let spread = base / 5 * 2 + 1;
    let offset = (i128::from(jitter) * i128::from(spread)) >> 64;
    base / 5 * 4 + i64::try_from(offset).unwrap_or_default()
}
