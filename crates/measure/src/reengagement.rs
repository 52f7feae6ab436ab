//! Reengagement trackers: links for people who have the app already. They are credited with events and with
//! installs that come again, never with the first install (tracking-and-attribution.md sections 8 and 9).

use serde::{Deserialize, Serialize};

use crate::{InputId, Timestamp, engagement::EngagementKind, policy::LATE_GRACE_MS};

/// Events that one reengagement tracker may list.
pub const EVENTS_MAX: usize = 256;
/// Event names that an app may set a minimum time for.
pub const MINIMUM_TIMES_MAX: usize = 1_000;
/// Characters of an event name in settings.
pub const EVENT_NAME_CHARS_MAX: usize = 256;
/// Claims remembered per device: the newest by the time of their events.
pub const CLAIMS_MAX: usize = 64;

/// What a reengagement tracker may be credited with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reengagement {
    /// The events. A tracker without any is still good for installs that come again.
    pub events: Vec<CoveredEvent>,
}

/// An event that a reengagement tracker may be credited with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoveredEvent {
    /// Its name, matched exactly.
    pub name: String,
    /// Whether clicks of the tracker may be credited with it.
    pub clicks: bool,
    /// Whether impressions may.
    pub impressions: bool,
}

impl Reengagement {
    /// What the tracker says of events of this name.
    #[must_use]
    pub fn event(&self, name: &str) -> Option<&CoveredEvent> {
        self.events.iter().find(|event| event.name == name)
    }

    /// Whether an engagement of this kind may be credited with an event of this name.
    #[must_use]
    pub fn covers(&self, name: &str, kind: EngagementKind) -> bool {
        self.event(name).is_some_and(|event| match kind {
            EngagementKind::Click => event.clicks,
            EngagementKind::Impression => event.impressions,
        })
    }
}

/// An event of a device to which a reengagement had a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// When the event happened.
    pub time: Timestamp,
    /// The event.
    pub input: InputId,
    /// Its name.
    pub event: String,
    /// When it was received.
    pub received: Timestamp,
    /// Whether the reengagement got it; otherwise the minimum time protected the device.
    pub credited: bool,
}

/// When an event of this name that happened before `time` was last credited to a reengagement. Events of the
/// same moment are in the order of their identifiers.
#[must_use]
pub fn last_credited(claims: &[Claim], event: &str, time: Timestamp, input: InputId) -> Option<Timestamp> {
    let before = claims
        .iter()
        .filter(|claim| claim.credited && claim.event == event && (claim.time, claim.input) < (time, input));
    before.map(|claim| claim.time).max()
}

/// The events of this name that happened after one: whether they are protected depends on what becomes of it.
pub fn following(claims: &[Claim], event: &str, time: Timestamp, input: InputId) -> Vec<InputId> {
    let later = |claim: &&Claim| claim.event == event && (claim.time, claim.input) > (time, input);
    claims.iter().filter(later).map(|claim| claim.input).collect()
}

/// Puts what became of an event among the claims of its device, by time; `claim` is `None` when no
/// reengagement had a claim to it. What nothing can depend on any more is dropped: at `now`, claims that were
/// received before the grace for late engagements, except the newest credited one of each name.
pub fn note(claims: &mut Vec<Claim>, input: InputId, claim: Option<Claim>, now: Timestamp) {
    claims.retain(|known| known.input != input);
    claims.extend(claim);
    claims.sort_by_key(|claim| (claim.time, claim.input));
    let all = std::mem::take(claims);
    let is_last = |claim: &Claim| {
        let later = all.iter().filter(|other| (other.time, other.input) > (claim.time, claim.input));
        claim.credited && !later.into_iter().any(|other| other.credited && other.event == claim.event)
    };
    let kept = all.iter().filter(|claim| now.since(claim.received) <= LATE_GRACE_MS || is_last(claim));
    claims.extend(kept.cloned());
    claims.drain(..claims.len().saturating_sub(CLAIMS_MAX));
}
