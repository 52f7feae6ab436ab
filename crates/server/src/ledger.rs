//! What this process received, and what became of it (DECISIONS 9, 10, 29). Accepted and quarantined
//! elements are counted in the store, with their commit; what was refused lives as long as the process.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use measure::{AppId, ledger::Tally, source::Via};

/// Counts of one app, or of what belongs to no known app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Elements received.
    pub received: u64,
    /// Elements on record or in quarantine.
    pub kept: u64,
    /// Elements answered with 4xx or 5xx whose bodies were not kept.
    pub refused: u64,
    /// Elements that repeated an earlier one by its idempotency key and were answered as that one.
    pub repeated: u64,
}

impl Counts {
    /// Elements that nothing has become of yet.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.received.saturating_sub(self.kept + self.refused + self.repeated)
    }
}

/// The ledger of this process.
#[derive(Debug, Default)]
pub struct Ledger {
    at_start: Tally,
    counts: Mutex<HashMap<Option<AppId>, Counts>>,
    refusals: Mutex<HashMap<(AppId, Via, &'static str), u64>>,
    unconfirmed: AtomicU64,
}

/// What became of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is on record or in quarantine.
    Kept,
    /// It was answered with 4xx or 5xx and not kept.
    Refused,
    /// It repeated an earlier one.
    Repeated,
}

impl Ledger {
    /// A ledger that goes on from what the store had counted when the process began.
    #[must_use]
    pub fn new(at_start: Tally) -> Self {
        Self { at_start, ..Self::default() }
    }

    /// What the store had counted when the process began.
    #[must_use]
    pub const fn at_start(&self) -> &Tally {
        &self.at_start
    }

    /// Counts an element as received; `None` when no known app was named. Each call is followed by one of
    /// [`Self::settle`].
    pub fn receive(&self, app: Option<AppId>) {
        self.update(app, |counts| counts.received += 1);
    }

    /// Counts what became of a received element.
    pub fn settle(&self, app: Option<AppId>, fate: Fate) {
        self.update(app, |counts| match fate {
            Fate::Kept => counts.kept += 1,
            Fate::Refused => counts.refused += 1,
            Fate::Repeated => counts.repeated += 1,
        });
    }

    /// Counts an element that was refused before anything could be read from it.
    pub fn refuse(&self, app: Option<AppId>) {
        self.receive(app);
        self.settle(app, Fate::Refused);
    }

    /// The counts of one app, or with `None` of everything.
    #[must_use]
    pub fn counts(&self, app: Option<AppId>) -> Counts {
        let all = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if app.is_some() {
            return all.get(&app).copied().unwrap_or_default();
        }
        all.values().fold(Counts::default(), |sum, counts| Counts {
            received: sum.received + counts.received,
            kept: sum.kept + counts.kept,
            refused: sum.refused + counts.refused,
            repeated: sum.repeated + counts.repeated,
        })
    }

    /// Notes which source a refused element of an app came from, and what it was. There are as many of these
    /// as there are sources.
    pub fn refused_from(&self, app: AppId, via: Via, action: &'static str) {
        *self
            .refusals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry((app, via, action))
            .or_default() += 1;
    }

    /// How many elements of an app were refused, by source and action.
    #[must_use]
    pub fn refusals(&self, app: AppId) -> Vec<(Via, &'static str, u64)> {
        let all = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let of_app = all.iter().filter(|((of, ..), _)| *of == app);
        of_app.map(|((_, via, action), count)| (*via, *action, *count)).collect()
    }

    /// A browser was redirected before the commit of its click.
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

    fn update(&self, app: Option<AppId>, change: impl FnOnce(&mut Counts)) {
        change(self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(app).or_default());
    }
}
