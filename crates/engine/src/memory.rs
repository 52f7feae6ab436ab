//! What the engine keeps in memory between batches: small sets that would otherwise be read for every
//! input. All of it is rebuilt from the store at start and after a failed commit.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use measure::{
    AppId, InstallId, Timestamp,
    identifier::DigestLength,
    input::{Outcome, Payload},
    policy::LATE_GRACE_MS,
};
use store::{DigestIndex, EventName, Store, StoreError};

use crate::{fraud::Count, past::Sent, privacy::Graves};

/// Event names recorded per app; further ones are kept on their events but not listed.
pub(crate) const EVENT_NAMES_MAX: usize = 10_000;
/// Installs and covered events of the last grace period that are kept at hand: only the first link with a
/// digest of a new length asks for them.
const RECENT_MAX: usize = 100_000;
/// Facts read back at start to find the installs of the last grace period.
const FACTS_AT_START_MAX: usize = 100_000;

#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// Lengths of digests that links of an app have carried (DECISIONS 18).
    pub digest_lengths: HashMap<AppId, BTreeSet<DigestLength>>,
    /// Digest indexes of devices.
    pub digest_indexes: BTreeMap<(AppId, DigestLength), DigestIndex>,
    /// Event names on record, for apps that have been asked for.
    pub event_names: HashMap<AppId, HashMap<String, EventName>>,
    /// Installs received within the grace for late engagements, oldest first, and events that a reengagement
    /// tracker covers, by the identifiers of their inputs; the newest [`RECENT_MAX`] of them.
    pub recent_installs: VecDeque<(Timestamp, AppId, InstallId)>,
    /// What fraud rules count.
    pub count: Count,
    /// How much triggers have sent, once one of them has a cap.
    pub sent: Option<Sent>,
    /// Who is refused.
    pub graves: Graves,
}

impl Memory {
    pub(crate) fn load(store: &dyn Store) -> Result<Self, StoreError> {
        let mut memory = Self::default();
        for (app, length, _) in store.digest_lengths()? {
            memory.digest_lengths.entry(app).or_default().insert(length);
        }
        for (app, length, index) in store.digest_indexes()? {
            memory.digest_indexes.insert((app, length), index);
        }
        memory.recent_installs = recent_installs(store)?;
        memory.count = Count::load(store)?;
        memory.graves = Graves::load(store)?;
        Ok(memory)
    }

    /// Puts an install or a covered event among the recent ones.
    pub(crate) fn remember_recent(&mut self, recent: (Timestamp, AppId, InstallId)) {
        self.recent_installs.push_back(recent);
        if self.recent_installs.len() > RECENT_MAX {
            self.recent_installs.pop_front();
        }
    }

    /// What of an app is recent when an input is received at `now`. What the last batches left may be past the
    /// grace already, so it does not show how inputs were cut into batches.
    pub(crate) fn recent(&self, of: AppId, now: Timestamp) -> impl Iterator<Item = InstallId> + '_ {
        let recent = self
            .recent_installs
            .iter()
            .filter(move |(received, app, _)| *app == of && now.since(*received) <= LATE_GRACE_MS);
        recent.map(|(.., install)| *install)
    }

    /// Forgets installs that are past the grace at `now`.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        while self.recent_installs.front().is_some_and(|(received, ..)| now.since(*received) > LATE_GRACE_MS)
        {
            self.recent_installs.pop_front();
        }
    }

    /// The lengths whose device index of `app` has begun.
    pub(crate) fn indexed_lengths(&self, app: AppId) -> impl Iterator<Item = DigestLength> + '_ {
        self.digest_indexes.keys().filter(move |(owner, _)| *owner == app).map(|(_, length)| *length)
    }
}

fn recent_installs(store: &dyn Store) -> Result<VecDeque<(Timestamp, AppId, InstallId)>, StoreError> {
    let mut found = VecDeque::new();
    let mut last = store.last_sequence()?;
    let (mut newest, mut read) = (None, 0);
    while last > 0 && read < FACTS_AT_START_MAX {
        let facts = store.facts_back(last, 1_000)?;
        let Some(oldest) = facts.last() else { break };
        let newest =
            *newest.get_or_insert(facts.first().map_or(oldest.input.received, |fact| fact.input.received));
        last = oldest.sequence.saturating_sub(1);
        read += facts.len();
        let done = newest.since(oldest.input.received) > LATE_GRACE_MS;
        for fact in facts {
            let is_new = match (&fact.input.payload, fact.outcomes.first()) {
                (Payload::Install(_), Some(Outcome::Installed { .. })) => true,
                (Payload::Event(_), Some(Outcome::EventLinked { decision, .. })) => decision.is_some(),
                _ => false,
            };
            if is_new {
                found.push_front((fact.input.received, fact.input.app, fact.input.id.into()));
            }
        }
        if done {
            break;
        }
    }
    Ok(found)
}
