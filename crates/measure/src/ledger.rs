//! The ledger: what was received and what was due, counted in the commit that causes it
//! (DECISIONS 9 and 29).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{AppId, skad::AggregateCell};

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
}

/// Counts by app; the app is `None` for what belongs to no known app.
pub type Tally = BTreeMap<(Option<AppId>, Counter), i64>;

/// Adds `n` to a counter.
pub fn count(tally: &mut Tally, app: Option<AppId>, counter: Counter, n: i64) {
    *tally.entry((app, counter)).or_default() += n;
}
