//! The circuit breaker of one target: after some failures in a row it is left alone for a while, then asked
//! with a single postback. Pure.

use measure::{
    Timestamp,
    postback::{Failure, Outcome},
};

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerOptions {
    /// Failures in a row that open it; 0 never does.
    pub failures: u32,
    /// How long it stays open at first, milliseconds; twice as long after each probe that fails.
    pub pause_ms: i64,
    /// How long it stays open at most, milliseconds.
    pub pause_max_ms: i64,
}

/// What a breaker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything goes out.
    Closed,
    /// Nothing goes out until then.
    Open(Timestamp),
    /// One postback is out, to see how it fares.
    HalfOpen,
}

/// The breaker of one target.
#[derive(Clone, Copy, Debug)]
pub struct Breaker {
    options: BreakerOptions,
    state: BreakerState,
    failures: u32,
    pause_ms: i64,
}

impl Breaker {
    /// A closed one.
    pub const fn new(options: BreakerOptions) -> Self {
        Self { options, state: BreakerState::Closed, failures: 0, pause_ms: options.pause_ms }
    }

    /// What it is doing.
    pub const fn state(&self) -> BreakerState {
        self.state
    }

    /// Whether it has nothing to remember.
    pub fn is_calm(&self) -> bool {
        self.state == BreakerState::Closed && self.failures == 0
    }

    /// How many postbacks may be out at `now`; `None` is any number.
    pub fn allows(&self, now: Timestamp) -> Option<usize> {
        match self.state {
            BreakerState::Closed => None,
            BreakerState::Open(until) if until <= now => Some(1),
            BreakerState::Open(_) | BreakerState::HalfOpen => Some(0),
        }
    }

    /// A postback goes out: a probe, when it was open.
    pub fn start(&mut self) {
        if matches!(self.state, BreakerState::Open(_)) {
            self.state = BreakerState::HalfOpen;
        }
    }

    /// A postback that was out was not sent after all.
    pub fn unsent(&mut self, now: Timestamp) {
        if self.state == BreakerState::HalfOpen {
            self.state = BreakerState::Open(now);
        }
    }

    /// A postback came back. Any answer that shows the target at work closes the breaker.
    pub fn end(&mut self, failed: bool, now: Timestamp) {
        if !failed {
            *self = Self::new(self.options);
            return;
        }
        match self.state {
            BreakerState::Closed => {
                self.failures = self.failures.saturating_add(1);
                if self.options.failures > 0 && self.failures >= self.options.failures {
                    self.state = BreakerState::Open(now.plus(self.pause_ms));
                }
            }
            BreakerState::HalfOpen => {
                self.pause_ms = self.pause_ms.saturating_mul(2).min(self.options.pause_max_ms);
                self.state = BreakerState::Open(now.plus(self.pause_ms));
            }
            // It was under way when the breaker opened.
            BreakerState::Open(_) => {}
        }
    }
}

/// Whether an outcome tells that the target is not at work: no usable answer, 429 or 5xx. A refusal of one
/// postback says nothing about the next.
pub const fn is_failure(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Answered { status, .. } => matches!(*status, 429 | 500..=599),
        Outcome::Failed(
            Failure::Dns | Failure::Connect | Failure::Tls | Failure::Timeout | Failure::Read,
        ) => true,
    }
}
