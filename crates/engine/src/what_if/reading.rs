//! Reading the record, on threads of its own: decoding takes longer than deciding.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use measure::{
    AppId, Timestamp,
    engagement::{LinkIdentifier, MatchKey},
    identifier::DigestLength,
    input::{Fact, Input, Outcome, Payload},
    policy::Addresses,
};
use store::{Store, StoreError, expiry};

use super::{
    WhatIfError,
    keys::{Keys, hash},
};
use crate::privacy::is_erased;

/// Facts read at once by one reader.
const CHUNK_FACTS: u64 = 500;
/// Chunks that may wait for each reader.
const CHUNKS_MAX: usize = 16;

/// What is read.
#[derive(Clone)]
pub(super) struct Reading {
    pub app: AppId,
    /// The first fact.
    pub first: u64,
    /// The one after the last.
    pub past: u64,
    pub readers: usize,
    /// Which address classes are in use at the end.
    pub addresses: Addresses,
    /// The keys of all installs, where engagements that share none of them do not matter.
    pub keys: Option<Arc<Keys>>,
}

impl Reading {
    /// Whether what has these keys may matter.
    fn wants(&self, own: impl FnOnce() -> Vec<MatchKey>) -> bool {
        self.keys.as_ref().is_none_or(|keys| own().iter().any(|key| keys.may_have(hash(key))))
    }
}

/// An input that decisions depend on: an engagement, or what else an install may be credited to, or an install
/// that was one of its own.
pub(super) struct Step {
    pub input: Box<Input>,
    /// The horizon before it, as the facts of its chunk make it ([`expiry`]); nothing when it is the first.
    pub horizon: Option<Timestamp>,
}

/// What matters in the facts that were read at once.
#[derive(Default)]
pub(super) struct Chunk {
    pub steps: Vec<Step>,
    /// The horizon after it, as [`Step::horizon`].
    pub horizon: Option<Timestamp>,
}

/// Reads facts in order and hands over, chunk by chunk, how many have been read and what matters in them.
pub(super) fn read(
    record: &dyn Store,
    reading: &Reading,
    mut take: impl FnMut(u64, Chunk) -> Result<(), WhatIfError>,
) -> Result<(), WhatIfError> {
    let chunks = (reading.past - reading.first).div_ceil(CHUNK_FACTS);
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..reading.readers as u64)
            .map(|lane| {
                let (into, from) = sync_channel(CHUNKS_MAX);
                scope.spawn(move || read_lane(record, reading, lane, &into));
                from
            })
            .collect();
        for (number, lane) in (0..chunks).zip(lanes.iter().cycle()) {
            let chunk = lane.recv().unwrap_or_else(|_| {
                Err(StoreError::Unavailable("a reader of a what-if was cut short".to_owned()))
            })?;
            let done = ((number + 1) * CHUNK_FACTS).min(reading.past - reading.first);
            take(done, chunk)?;
        }
        Ok(())
    })
}

/// Reads every chunk of one lane.
fn read_lane(record: &dyn Store, reading: &Reading, lane: u64, into: &SyncSender<Result<Chunk, StoreError>>) {
    let mut lengths = BTreeSet::new();
    let mut first = reading.first + lane * CHUNK_FACTS;
    while first < reading.past {
        let past = (first + CHUNK_FACTS).min(reading.past);
        let limit = usize::try_from(past - first).unwrap_or(usize::MAX);
        let chunk = record.facts(first, limit).map(|facts| {
            let mut chunk = Chunk::default();
            for fact in facts.into_iter().filter(|fact| fact.sequence < past) {
                let (received, horizon) = (fact.input.received, chunk.horizon);
                let input = matters(fact, reading, &mut lengths);
                chunk.steps.extend(input.map(|input| Step { input, horizon }));
                chunk.horizon = Some(expiry::advance(horizon.unwrap_or(expiry::BEFORE_ALL), received));
            }
            chunk
        });
        let failed = chunk.is_err();
        if into.send(chunk).is_err() || failed {
            return;
        }
        first += CHUNK_FACTS * reading.readers as u64;
    }
}

/// The input of a fact, if decisions depend on it. `lengths` are those of the digests that were seen in this lane.
fn matters(fact: Fact, reading: &Reading, lengths: &mut BTreeSet<DigestLength>) -> Option<Box<Input>> {
    let Fact { mut input, outcomes, .. } = fact;
    // What was erased is part of nothing any more: its installs stand as recorded.
    if input.app != reading.app || is_erased(&input) {
        return None;
    }
    input.body = String::new();
    let matters = match &mut input.payload {
        Payload::Engagement(engagement) => {
            engagement.query = String::new();
            let brings_length = bring_length(&engagement.identifiers, lengths);
            brings_length || reading.wants(|| engagement.match_keys(input.id.into(), reading.addresses))
        }
        Payload::Claim(claim) => {
            bring_length(&claim.identifiers, lengths) || reading.wants(|| claim.match_keys())
        }
        Payload::Install(_) => matches!(outcomes.first(), Some(Outcome::Installed { .. })),
        Payload::Event(_)
        | Payload::Update(_)
        | Payload::Link(_)
        | Payload::Aggregate(_)
        | Payload::Ignored(_) => false,
    };
    matters.then(|| Box::new(input))
}

/// Whether a link brings a length of digests that this lane has not seen: it may be the first of the app, and
/// then matters whatever it matches. Recent installs are decided again for it, and filed under such digests.
fn bring_length(identifiers: &[LinkIdentifier], seen: &mut BTreeSet<DigestLength>) -> bool {
    let mut brings = false;
    for identifier in identifiers {
        if let LinkIdentifier::Hashed(_, digest) = identifier {
            brings |= seen.insert(digest.length());
        }
    }
    brings
}
