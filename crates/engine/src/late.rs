//! Engagements that come when the grace is over: they go on record as having come late, and change nothing else
//! (DECISIONS 3). Who won is final then, whatever has been set otherwise since and whatever of that day's
//! engagements is still remembered.

use std::{cmp::Reverse, collections::BTreeSet};

use measure::{
    InputId, Timestamp, TouchId,
    attribution::{Candidate, Decision, EventDecision},
    input::{Input, Outcome},
    install::InstallRecord,
    policy::{CANDIDATES_MAX, LATE_GRACE_MS},
};
use store::StoreError;
use uuid::Uuid;

use crate::{event::LinkedEvent, machine::Turn};

/// When something was received: identifiers begin with that.
fn received(id: Uuid) -> Timestamp {
    Timestamp(i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX))
}

/// The candidates that were received before the grace of their install was over: the others are noted with it
/// and never decide anything.
pub(crate) fn in_time(decision: &Decision) -> impl Iterator<Item = &Candidate> {
    let end = received(decision.install.0).plus(LATE_GRACE_MS);
    decision.candidates.iter().filter(move |one| one.touch.is_none_or(|touch| received(touch.0) <= end))
}

/// Whether the grace of what was received at `received` is over when `cause` comes.
pub(crate) fn is_over(cause: &Input, received: Timestamp) -> bool {
    cause.received.since(received) > LATE_GRACE_MS
}

/// Puts the candidate that came late among those that lost before, if it is not there: `all` is what a decision
/// would make of everything now. The answer is whether there is anything new, and whether one had to give way.
fn note(candidates: &mut Vec<Candidate>, all: Vec<Candidate>, late: TouchId) -> Option<bool> {
    if candidates.iter().any(|known| known.touch == Some(late)) {
        return None;
    }
    let late = all.into_iter().find(|one| one.touch == Some(late) && one.lost.is_some())?;
    let order = |one: &Candidate| (one.rank, Reverse((one.time, one.content_key, one.touch)));
    let behind = |one: &Candidate| one.lost.is_some() && order(one) > order(&late);
    let place = candidates.iter().position(behind).unwrap_or(candidates.len());
    candidates.insert(place, late);
    let cut = candidates.len() > CANDIDATES_MAX;
    candidates.truncate(CANDIDATES_MAX);
    Some(cut)
}

impl Turn<'_, '_> {
    /// Notes an engagement that came too late with an install; `new` is what would be decided now.
    pub(crate) fn note_late(
        &mut self,
        cause: &Input,
        record: &InstallRecord,
        old: Decision,
        new: Decision,
    ) -> Result<Option<Outcome>, StoreError> {
        let mut noted = old;
        let Some(cut) = note(&mut noted.candidates, new.candidates, cause.id.into()) else { return Ok(None) };
        noted.more |= cut;
        noted.revision += 1;
        noted.decided = cause.received;
        let ads = record.install.search_ads.as_deref();
        let source = noted.winner().map(|winner| self.source(winner, ads)).transpose()?;
        let (install, revision) = (noted.install, noted.revision);
        self.view.batch().decisions.push(noted);
        Ok(Some(Outcome::Redecided { install, revision, source, suppressed: Vec::new() }))
    }

    /// Notes an engagement with the events that it came too late for. The others are left.
    pub(crate) fn note_late_events(
        &mut self,
        cause: &Input,
        events: &mut BTreeSet<InputId>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let mut outcomes = Vec::new();
        for id in events.clone() {
            let Some(LinkedEvent { input, event, mut device, old, revision }) = self.linked_event(id)? else {
                continue;
            };
            if !is_over(cause, input.received) {
                continue;
            }
            events.remove(&id);
            let new = self.attribute(&input, &event, &mut device, revision + 1, cause)?.decision;
            // An event that nothing was held against belongs to its install, and stays so.
            let (Some(old_decision), Some(new)) = (old.decision, new) else { continue };
            let mut noted: EventDecision = *old_decision;
            let Some(cut) = note(&mut noted.candidates, new.candidates, cause.id.into()) else { continue };
            noted.more |= cut;
            (noted.revision, noted.decided) = (revision + 1, cause.received);
            let outcome = Outcome::EventRedecided {
                input: input.id,
                install: device.install,
                revision: revision + 1,
                source: old.source,
                suppressed: Vec::new(),
                installed: Some(device.installed),
                decision: Some(Box::new(noted)),
            };
            self.view.put_redecided(input.id, outcome.clone());
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}
