//! The ledger: what was received and what was due, counted in the commit that causes it
//! (DECISIONS 9 and 29).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{AppId, TriggerId, skad::AggregateCell};

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Counter {
    /// Inputs accepted, by kind.
    Accepted(String),
    /// Inputs quarantined.
    Quarantined,
    /// Pairs of conversion and matching trigger, per revision.
    Due,
    /// Deliveries created.
    Created,
    /// Deliveries that reached their partner.
    Delivered,
    /// Deliveries given up.
    Dead,
    /// Pairs suppressed when they were planned, or deliveries suppressed afterwards, by reason.
    Suppressed(String),
    /// Deliveries suppressed after they had been created.
    Withdrawn,
    /// Installs, by match class; `organic` is one of them.
    Installs(String),
    /// Events joined to an install.
    EventsLinked,
    /// Aggregate postbacks, each transaction once in each window.
    Aggregates(AggregateCell),
    /// Aggregate postbacks that came again.
    AggregatesRepeated,
    /// Inputs that tell of what was known already, by kind: they count as inputs too.
    Duplicates(String),
    /// Pairs of conversion and trigger, by trigger.
    OfTrigger(TriggerId, Share),
    /// When pairs began to be counted by trigger, milliseconds; only where the store is older than that.
    TriggersCountedSince,
}

/// What is counted of pairs of conversion and matching trigger, for the app and for the trigger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Share {
    /// As [`Counter::Due`].
    Due,
    /// As [`Counter::Created`].
    Created,
    /// As [`Counter::Delivered`].
    Delivered,
    /// As [`Counter::Dead`].
    Dead,
    /// As [`Counter::Suppressed`].
    Suppressed(String),
    /// As [`Counter::Withdrawn`].
    Withdrawn,
}

impl From<Share> for Counter {
    fn from(share: Share) -> Self {
        match share {
            Share::Due => Self::Due,
            Share::Created => Self::Created,
            Share::Delivered => Self::Delivered,
            Share::Dead => Self::Dead,
            Share::Suppressed(reason) => Self::Suppressed(reason),
            Share::Withdrawn => Self::Withdrawn,
        }
    }
}

/// Counts by app; the app is `None` for what belongs to no known app.
pub type Tally = BTreeMap<(Option<AppId>, Counter), i64>;

/// Adds `n` to a counter.
pub fn count(tally: &mut Tally, app: Option<AppId>, counter: Counter, n: i64) {
    *tally.entry((app, counter)).or_default() += n;
}

/// Adds `n` pairs of a trigger: to its own counter, and to the one of its app.
pub fn count_pairs(tally: &mut Tally, app: AppId, trigger: TriggerId, share: Share, n: i64) {
    count(tally, Some(app), Counter::OfTrigger(trigger, share.clone()), n);
    count(tally, Some(app), share.into(), n);
}

/// What became of the pairs of one trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerSums {
    /// Conversions that matched it, once for each revision of their decision.
    pub due: i64,
    /// Deliveries created.
    pub created: i64,
    /// Deliveries that reached the partner.
    pub delivered: i64,
    /// Deliveries given up.
    pub dead: i64,
    /// Deliveries suppressed after they had been created.
    pub withdrawn: i64,
    /// Pairs suppressed, by reason.
    pub suppressed: BTreeMap<String, i64>,
    /// When counting began, milliseconds; `None` is with the first conversion.
    pub since: Option<i64>,
}

impl TriggerSums {
    /// The sums of a trigger.
    #[must_use]
    pub fn of(tally: &Tally, app: AppId, trigger: TriggerId) -> Self {
        let mut sums =
            Self { since: tally.get(&(None, Counter::TriggersCountedSince)).copied(), ..Self::default() };
        let first = (Some(app), Counter::OfTrigger(trigger, Share::Due));
        for ((owner, counter), n) in tally.range(first..) {
            let Counter::OfTrigger(counted, share) = counter else { break };
            if (*owner, *counted) != (Some(app), trigger) {
                break;
            }
            match share {
                Share::Due => sums.due = *n,
                Share::Created => sums.created = *n,
                Share::Delivered => sums.delivered = *n,
                Share::Dead => sums.dead = *n,
                Share::Withdrawn => sums.withdrawn = *n,
                Share::Suppressed(reason) => {
                    sums.suppressed.insert(reason.clone(), *n);
                }
            }
        }
        sums.suppressed.retain(|_, n| *n != 0);
        sums
    }

    /// Deliveries that are neither final nor withdrawn.
    #[must_use]
    pub const fn pending(&self) -> i64 {
        self.created - self.delivered - self.dead - self.withdrawn
    }

    /// Whether every matching conversion is delivered, pending, dead or suppressed.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        let suppressed: i64 = self.suppressed.values().sum();
        self.pending() >= 0 && self.due == self.delivered + self.pending() + self.dead + suppressed
    }
}
