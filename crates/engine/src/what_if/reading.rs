//! Reading the record, on threads of its own: decoding takes longer than deciding.

use std::{
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use measure::{
    AppId,
    engagement::MatchKey,
    input::{Fact, Input, Outcome, Payload},
    policy::Addresses,
};
use store::{Store, StoreError};

use super::{
    WhatIfError,
    keys::{Keys, hash},
};

/// Facts read at once by one reader.
const CHUNK_FACTS: u64 = 2_000;
/// Chunks that may wait for each reader.
const CHUNKS_MAX: usize = 4;

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

/// An input that decisions depend on.
pub(super) enum Step {
    /// A click, an impression, or what else an install may be credited to.
    Engagement(Box<Input>),
    /// An install that was the first of its device.
    Install(Box<Input>),
}

/// Reads facts in order and hands over, chunk by chunk, how many have been read and what matters in them.
pub(super) fn read(
    record: &dyn Store,
    reading: &Reading,
    mut take: impl FnMut(u64, Vec<Step>) -> Result<(), WhatIfError>,
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
        for (chunk, lane) in (0..chunks).zip(lanes.iter().cycle()) {
            let steps = lane.recv().unwrap_or_else(|_| {
                Err(StoreError::Unavailable("a reader of a what-if was cut short".to_owned()))
            })?;
            let done = ((chunk + 1) * CHUNK_FACTS).min(reading.past - reading.first);
            take(done, steps)?;
        }
        Ok(())
    })
}

/// Reads every chunk of one lane.
fn read_lane(
    record: &dyn Store,
    reading: &Reading,
    lane: u64,
    into: &SyncSender<Result<Vec<Step>, StoreError>>,
) {
    let mut first = reading.first + lane * CHUNK_FACTS;
    while first < reading.past {
        let past = (first + CHUNK_FACTS).min(reading.past);
        let limit = usize::try_from(past - first).unwrap_or(usize::MAX);
        let steps = record.facts(first, limit).map(|facts| {
            let chunk = facts.into_iter().filter(|fact| fact.sequence < past);
            chunk.filter_map(|fact| step(fact, reading)).collect()
        });
        let failed = steps.is_err();
        if into.send(steps).is_err() || failed {
            return;
        }
        first += CHUNK_FACTS * reading.readers as u64;
    }
}

/// What a fact is to a what-if.
fn step(fact: Fact, reading: &Reading) -> Option<Step> {
    let Fact { mut input, outcomes, .. } = fact;
    if input.app != reading.app {
        return None;
    }
    input.body = String::new();
    match &mut input.payload {
        Payload::Engagement(engagement) => {
            engagement.query = String::new();
            let own = || engagement.match_keys(input.id.into(), reading.addresses);
            reading.wants(own).then(|| Step::Engagement(Box::new(input)))
        }
        Payload::Claim(claim) => {
            reading.wants(|| claim.match_keys()).then(|| Step::Engagement(Box::new(input)))
        }
        Payload::Install(_) => {
            let is_first = matches!(outcomes.first(), Some(Outcome::Installed { .. }));
            is_first.then(|| Step::Install(Box::new(input)))
        }
        Payload::Event(_)
        | Payload::Update(_)
        | Payload::Link(_)
        | Payload::Aggregate(_)
        | Payload::Ignored(_) => None,
    }
}
