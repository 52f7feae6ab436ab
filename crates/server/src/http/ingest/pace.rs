//! Events per second of one device or user in Amplitude's uploads (`limits.device_events_per_second`).
//!
//! As Amplitude documents it, a rate is that of the last 30 seconds, and an upload is refused as a whole. The
//! upload that goes over the limit is taken: only those after it are not, so none is too large to be ever taken.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, PoisonError},
};

use measure::{AppId, Timestamp};

/// The stretch of time that a rate is the average of, milliseconds.
const WINDOW_MS: i64 = 30_000;
/// Devices and users that are watched at once. When there are more, new ones pass until old ones are still.
const WATCHED_MAX: usize = 100_000;
/// How often it is looked for old ones when there are too many, milliseconds.
const CLEAN_MS: i64 = 1_000;

/// Who sends events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who<'i> {
    /// The device of this id.
    Device(&'i str),
    /// The user of this id.
    User(&'i str),
}

/// How fast devices and users send.
#[derive(Debug, Default)]
pub struct Paces {
    watched: Mutex<Watched>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Watched {
    /// When each will have been still for so long that what it sent is no more than allowed: milliseconds.
    due: HashMap<u64, i64>,
    cleaned: i64,
}

impl Paces {
    /// Counts how many events each of `sent` sends at `now`, unless one of them is above `per_second` already:
    /// then nothing is counted, and the answer is the rate of each that is. 0 is no limit.
    pub fn take<'i>(
        &self,
        app: AppId,
        sent: &BTreeMap<Who<'i>, u32>,
        per_second: u32,
        now: Timestamp,
    ) -> BTreeMap<Who<'i>, u32> {
        if per_second == 0 {
            return BTreeMap::new();
        }
        let key = |who: &Who<'_>| self.hasher.hash_one((app, who));
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let fast = |who: &Who<'i>| {
            let owed = watched.due.get(&key(who))?.saturating_sub(now.millis());
            (owed > WINDOW_MS).then(|| (*who, rate(owed, per_second)))
        };
        let fast: BTreeMap<_, _> = sent.keys().filter_map(fast).collect();
        if fast.is_empty() {
            for (who, events) in sent {
                watched.count(key(who), i64::from(*events) * 1_000 / i64::from(per_second), now);
            }
        }
        fast
    }
}

impl Watched {
    fn count(&mut self, key: u64, costs: i64, now: Timestamp) {
        let now = now.millis();
        if self.due.len() >= WATCHED_MAX && now.saturating_sub(self.cleaned) >= CLEAN_MS {
            self.cleaned = now;
            self.due.retain(|_, due| *due > now);
        }
        if self.due.len() < WATCHED_MAX || self.due.contains_key(&key) {
            let due = self.due.entry(key).or_insert(now);
            // Whoever waits for the length of a window may come again.
            *due = (*due).max(now).saturating_add(costs).min(now.saturating_add(2 * WINDOW_MS));
        }
    }
}

/// Events per second that are owed for, rounded up.
fn rate(owed: i64, per_second: u32) -> u32 {
    let events = owed.saturating_mul(i64::from(per_second));
    u32::try_from(events.saturating_add(WINDOW_MS - 1) / WINDOW_MS).unwrap_or(u32::MAX)
}
