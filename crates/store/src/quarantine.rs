//! How much of what could not be used is kept (DECISIONS 11). Pure; both backends use it.

use std::collections::BTreeMap;

use measure::{AppId, InputId, Timestamp, input::Quarantined};

use crate::expiry;

/// Bodies kept per app; the oldest go first.
pub const QUARANTINE_BODIES_MAX: usize = 10_000;
/// Bytes of bodies kept per app; the oldest go first.
pub const QUARANTINE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What the shelf knows of a body: enough to decide when it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Entry {
    /// When it was received.
    pub received: Timestamp,
    /// The size of the body, bytes.
    pub bytes: u64,
}

impl From<&Quarantined> for Entry {
    fn from(body: &Quarantined) -> Self {
        Self { received: body.received, bytes: body.body.len() as u64 }
    }
}

/// The quarantined bodies of one app, in order of their identifiers, which is the order of receipt.
#[derive(Clone, Debug, Default)]
struct Shelf {
    entries: BTreeMap<InputId, Entry>,
    bytes: u64,
}

impl Shelf {
    fn put(&mut self, id: InputId, entry: Entry) {
        self.bytes += entry.bytes;
        if let Some(replaced) = self.entries.insert(id, entry) {
            self.bytes -= replaced.bytes;
        }
    }

    /// Takes the oldest out if the shelf is over its limits or the oldest is too old.
    fn evict(&mut self, oldest: Timestamp, bodies_max: usize, bytes_max: u64) -> Option<InputId> {
        let first = self.entries.first_entry()?;
        let too_old = first.get().received < oldest;
        let over = self.bytes > bytes_max;
        let (id, entry) = (too_old || over || self.entries.len() > bodies_max)
            .then(|| self.entries.pop_first())
            .flatten()?;
        self.bytes -= entry.bytes;
        Some(id)
    }
}

/// All shelves; `None` is the shared one for unknown apps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelves(BTreeMap<Option<AppId>, Shelf>);

impl Shelves {
    /// Takes a body in.
    pub fn put(&mut self, app: Option<AppId>, id: InputId, entry: Entry) {
        self.0.entry(app).or_default().put(id, entry);
    }

    /// Takes a body out.
    pub fn remove(&mut self, app: Option<AppId>, id: InputId) {
        if let Some(shelf) = self.0.get_mut(&app)
            && let Some(entry) = shelf.entries.remove(&id)
        {
            shelf.bytes -= entry.bytes;
        }
    }

    /// Takes everything out that is too old or over the limits.
    pub fn evict(&mut self, horizon: Timestamp) -> Vec<(Option<AppId>, InputId)> {
        self.evict_over(horizon, QUARANTINE_BODIES_MAX, QUARANTINE_BYTES_MAX)
    }

    fn evict_over(
        &mut self,
        horizon: Timestamp,
        bodies_max: usize,
        bytes_max: u64,
    ) -> Vec<(Option<AppId>, InputId)> {
        let oldest = expiry::oldest_quarantined(horizon);
        let mut gone = Vec::new();
        for (app, shelf) in &mut self.0 {
            while let Some(id) = shelf.evict(oldest, bodies_max, bytes_max) {
                gone.push((*app, id));
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests;
