//! How the triggers fare, as this process has seen it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use measure::{Timestamp, TriggerId};

use crate::breaker::BreakerState;

/// How many attempts of a trigger are looked back on.
pub const ATTEMPTS_SEEN: usize = 100;

/// How one trigger fares.
#[derive(Clone, Debug, Default)]
pub struct TriggerHealth {
    /// Whether each of the last attempts, at most [`ATTEMPTS_SEEN`], was a success, oldest first.
    recent: VecDeque<bool>,
    /// When an attempt last succeeded.
    pub last_success: Option<Timestamp>,
    /// When an attempt last failed, and the class of its error.
    pub last_failure: Option<(Timestamp, &'static str)>,
    /// The host and port it last sent to.
    pub target: String,
}

impl TriggerHealth {
    /// How many attempts are looked back on.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.recent.len()
    }

    /// How many of them failed.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.recent.iter().filter(|success| !**success).count()
    }
}

/// How all triggers and targets fare.
#[derive(Debug, Default)]
pub struct Health(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    triggers: HashMap<TriggerId, TriggerHealth>,
    /// Targets that are left alone.
    breakers: HashMap<String, BreakerState>,
}

impl Health {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a trigger fares, and what the breaker of its target does.
    #[must_use]
    pub fn of(&self, trigger: TriggerId) -> (TriggerHealth, BreakerState) {
        let seen = self.seen();
        let health = seen.triggers.get(&trigger).cloned().unwrap_or_default();
        let breaker = seen.breakers.get(&health.target).copied().unwrap_or(BreakerState::Closed);
        (health, breaker)
    }

    /// Takes in an attempt that ended at `now`; `error` is its class, `None` for a success.
    pub(crate) fn note(
        &self,
        trigger: TriggerId,
        target: &str,
        error: Option<&'static str>,
        breaker: BreakerState,
        now: Timestamp,
    ) {
        let mut seen = self.seen();
        let health = seen.triggers.entry(trigger).or_default();
        if health.recent.len() == ATTEMPTS_SEEN {
            health.recent.pop_front();
        }
        health.recent.push_back(error.is_none());
        match error {
            None => health.last_success = Some(now),
            Some(error) => health.last_failure = Some((now, error)),
        }
        if health.target != target {
            target.clone_into(&mut health.target);
        }
        match breaker {
            BreakerState::Closed if seen.breakers.is_empty() => {}
            BreakerState::Closed => {
                seen.breakers.remove(target);
            }
            state => {
                seen.breakers.insert(target.to_owned(), state);
            }
        }
    }
}
