//! What was received without being kept. Unlike every other count it lives as long as the process
//! (DECISIONS 9, 10).

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use measure::AppId;

/// Elements answered with 4xx or 5xx whose bodies were not kept, and clicks redirected before their commit.
#[derive(Debug, Default)]
pub struct Refusals {
    refused: Mutex<HashMap<Option<AppId>, u64>>,
    unconfirmed: AtomicU64,
}

impl Refusals {
    /// Counts `n` refused elements of an app; `None` when no known app was named.
    pub fn count(&self, app: Option<AppId>, n: u64) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(app).or_default() += n;
    }

    /// Refused elements since the program started: of one app, or with `None` of all.
    #[must_use]
    pub fn refused(&self, app: Option<AppId>) -> u64 {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match app {
            Some(_) => refused.get(&app).copied().unwrap_or_default(),
            None => refused.values().sum(),
        }
    }

    /// A click was redirected before its commit.
    pub fn redirected(&self) {
        self.unconfirmed.fetch_add(1, Ordering::Relaxed);
    }

    /// The commit of such a click came, or failed.
    pub fn confirmed(&self) {
        self.unconfirmed.fetch_sub(1, Ordering::Relaxed);
    }

    /// Clicks redirected and not yet committed.
    #[must_use]
    pub fn unconfirmed(&self) -> u64 {
        self.unconfirmed.load(Ordering::Relaxed)
    }
}
