//! The stored history, decided again under other settings, without writing anything.
//!
//! The inputs that decisions depend on, engagements and installs, go through the one write path once more, in
//! the order of the record: what a what-if decides is what the server would have decided. Only the store
//! behind it is another one ([`scratch`]): it keeps the engagements of the last 31 days that some install
//! could match, compactly, and of each install who was credited. The catalogue is that of each input, with
//! the alteration in it, so that with no alteration every decision comes out as recorded.
//!
//! An engagement that shares no match key with any install is left out: it can neither be credited nor be
//! late for one. With one exception ([`reading`]): whoever brings a length of digests that nobody had sent has
//! all recent installs decided again, under the catalogue of its own day.
//!
//! Installs from before the time that is looked at stand as recorded; engagements are read from 31 days before
//! it on, since installs may go back to them (DECISIONS 23).

mod keys;
mod reading;
mod scratch;
mod table;
#[cfg(test)]
mod tests;
mod touches;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use measure::{
    AppId, CampaignId, InstallId, NetworkId, Timestamp, TouchId,
    attribution::{Candidate, match_keys},
    catalogue::{Catalogue, Change, Entry},
    identifier::DigestLength,
    input::{Input, Payload},
    policy::{Addresses, TOUCH_RETENTION_MS},
    time::{HOUR_MS, SECOND_MS},
};
use store::{Store, StoreError, expiry};
use thiserror::Error;
use uuid::Uuid;

use crate::{Answer, Machine, Submission, history::Versions};
use keys::Keys;
use reading::{Reading, Step, read};
use scratch::{Lengths, Scratch};
use table::{Origin, Row, Standing, Table, mark};

/// Changed installs that a report lists. All are counted.
pub const CHANGES_MAX: usize = 100_000;
/// Installs that one what-if decides at most: about 200 bytes of memory each.
pub const INSTALLS_MAX: usize = 20_000_000;
/// Inputs decided in one step.
const STEP_INPUTS: usize = 256;
/// How far apart the receipts of one step may lie, as in the batches of a server, where something in it asks what
/// is too old: within a step nothing becomes so.
const STEP_MS: i64 = 100;
/// Installs read in one step.
const STEP_INSTALLS: usize = 1_000;
/// Facts looked at to tell when a part of the record was received: a few were received before their
/// neighbours.
const PROBE_FACTS: usize = 256;
/// How far the order of the record and that of receipts may differ.
const DISORDER_MS: i64 = HOUR_MS;

/// What is to be otherwise in the catalogue.
pub struct Alteration {
    /// Changes a thing as people set it up. Applied to every version of everything.
    pub alter: Box<dyn Fn(&mut Entry) + Send + Sync>,
    /// What there is from the beginning on, for settings that nobody had made; altered like the rest.
    pub begin: Vec<Entry>,
}

impl std::fmt::Debug for Alteration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alteration").field("begin", &self.begin).finish_non_exhaustive()
    }
}

impl Default for Alteration {
    /// Nothing is otherwise.
    fn default() -> Self {
        Self { alter: Box::new(|_| {}), begin: Vec::new() }
    }
}

/// What is asked.
#[derive(Debug)]
pub struct Plan {
    /// The app whose installs are decided again.
    pub app: AppId,
    /// Installs received from here on; `None` is the [`earliest`] start.
    pub from: Option<Timestamp>,
    /// Installs received before this, with what came in until then; `None` is the end of the record.
    pub until: Option<Timestamp>,
    /// What is to be otherwise.
    pub alteration: Alteration,
    /// Threads that read, beside the one that decides; at least 1.
    pub readers: usize,
}

/// How far a what-if has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Facts read; 0 while installs are looked through.
    pub done: u64,
    /// Facts to read.
    pub of: u64,
    /// Installs found.
    pub installs: u64,
}

/// Why there is no report.
#[derive(Debug, Error)]
pub enum WhatIfError {
    /// The record does not reach back that far: begin at the time named, milliseconds since the epoch.
    #[error("the record begins later")]
    TooEarly(Timestamp),
    /// There are more than [`INSTALLS_MAX`] installs: take a shorter time.
    #[error("there are more than {INSTALLS_MAX} installs in this time; take a shorter one")]
    TooMany,
    /// It was told to stop.
    #[error("it was stopped")]
    Stopped,
    /// The record cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How installs divide, on one side of the comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// By network; `None` is organic.
    pub networks: BTreeMap<Option<NetworkId>, u64>,
    /// Attributed ones by campaign; `None` is a network that names none.
    pub campaigns: BTreeMap<Option<CampaignId>, u64>,
    /// By match class, `organic` and `unclaimed` among them.
    pub classes: BTreeMap<&'static str, u64>,
    /// How sure they are.
    pub sure: Count,
}

/// How sure attributions are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Credited on a certain match.
    pub certain: u64,
    /// Credited on a likely match.
    pub likely: u64,
    /// Likely ones to which another network had an equal claim.
    pub ambiguous: u64,
    /// Likely ones whose engagement an earlier install was credited with, too.
    pub shared: u64,
    /// Organic.
    pub organic: u64,
}

/// The match class of a result.
fn class(origin: Option<&Origin>, standing: &Standing) -> &'static str {
    let nobody = if standing.unclaimed { "unclaimed" } else { "organic" };
    origin.map_or(nobody, |origin| origin.basis.class())
}

impl Side {
    fn count(&mut self, origin: Option<&Origin>, standing: &Standing) {
        *self.networks.entry(origin.map(|origin| origin.network)).or_default() += 1;
        *self.classes.entry(class(origin, standing)).or_default() += 1;
        match origin {
            None => self.sure.organic += 1,
            Some(origin) => {
                *self.campaigns.entry(origin.campaign).or_default() += 1;
                let certain = origin.basis.is_deterministic();
                self.sure.certain += u64::from(certain);
                self.sure.likely += u64::from(!certain);
            }
        }
        self.sure.ambiguous += u64::from(standing.ambiguous);
        self.sure.shared += u64::from(standing.shared);
    }
}

/// An install that would have been credited otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Altered {
    /// The install.
    pub install: InstallId,
    /// When it happened.
    pub installed: Timestamp,
    /// The engagement that it is credited to.
    pub was: Option<TouchId>,
    /// Its class.
    pub was_class: &'static str,
    /// Its network; `None` is organic.
    pub was_network: Option<NetworkId>,
    /// Its campaign.
    pub was_campaign: Option<CampaignId>,
    /// Whether that was an ambiguous tie.
    pub was_ambiguous: bool,
    /// The class that it would have.
    pub class: &'static str,
    /// The engagement that it is credited to, as the what-if sees it: with the reason why it loses now, and
    /// the window it was held against. `None` when it is no candidate any more, or when there was none.
    pub former: Option<Candidate>,
    /// The engagement that it would be credited to; `None` is organic.
    pub winner: Option<Candidate>,
    /// Whether that is an ambiguous tie.
    pub ambiguous: bool,
}

/// What a what-if found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// From when on installs were looked at.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Facts read.
    pub facts: u64,
    /// Installs decided again.
    pub installs: u64,
    /// Engagements kept in memory at once, at most.
    pub kept: usize,
    /// As recorded.
    pub before: Side,
    /// As it would be.
    pub after: Side,
    /// How many installs would be credited otherwise.
    pub altered: u64,
    /// Those, at most [`CHANGES_MAX`], in the order in which they were received.
    pub changes: Vec<Altered>,
}

/// The earliest time from which the record can be decided again: 31 days after the first fact that is still
/// kept, or, if the record is whole, when that was received, to the second. `None` when there is no record.
///
/// # Errors
/// The record cannot be read.
pub fn earliest(record: &dyn Store) -> Result<Option<Timestamp>, StoreError> {
    let first = record.facts(1, 1)?.pop();
    Ok(first.map(|first| match first.sequence {
        1 => Timestamp::from_seconds(first.input.received.seconds()),
        _ => Timestamp::from_seconds(first.input.received.plus(TOUCH_RETENTION_MS + SECOND_MS).seconds()),
    }))
}

/// Decides what is on `record` again, as planned. `watch` hears how it goes and says whether to go on.
///
/// # Errors
/// [`WhatIfError`] says what to do about each.
pub fn what_if(
    record: &Arc<dyn Store>,
    plan: &Plan,
    watch: &dyn Fn(Progress) -> bool,
) -> Result<Report, WhatIfError> {
    let last = record.last_sequence()?;
    let earliest = earliest(record.as_ref())?;
    let from = match (plan.from, earliest) {
        (Some(from), Some(earliest)) if from < earliest => return Err(WhatIfError::TooEarly(earliest)),
        (from, earliest) => from.or(earliest).unwrap_or_default(),
    };
    let newest = record.facts_back(last, PROBE_FACTS)?.iter().map(|fact| fact.input.received).max();
    let until = plan.until.unwrap_or_else(|| newest.unwrap_or_default().plus(1));
    Run::prepare(record, plan, Range { from, until, last }, watch)?.run(watch)
}

/// The part of the record that counts.
#[derive(Clone, Copy)]
struct Range {
    from: Timestamp,
    until: Timestamp,
    /// The last fact there was.
    last: u64,
}

impl Range {
    /// From when on engagements matter.
    fn warm(&self) -> Timestamp {
        self.from.plus(-TOUCH_RETENTION_MS)
    }
}

/// A what-if under way.
struct Run<'a> {
    record: &'a Arc<dyn Store>,
    range: Range,
    versions: Versions,
    reading: Reading,
    scratch: Arc<Scratch>,
    machine: Machine,
    /// Inputs to be decided in the next step.
    waiting: Vec<Vec<Submission>>,
    /// When the first of them was received.
    waiting_since: Timestamp,
    /// Installs from before the time, until it begins.
    early: Vec<(u32, Addresses)>,
    has_begun: bool,
    /// Whether rules want to know how installs were decided before.
    counts: bool,
    /// The time of the record where reading is: what is too old is told by it.
    horizon: Timestamp,
}

/// The lengths of digests that links of an app have carried, and since when.
fn lengths(record: &dyn Store, app: AppId) -> Result<BTreeMap<DigestLength, Timestamp>, StoreError> {
    let all = record.digest_lengths()?.into_iter();
    Ok(all.filter(|(of, ..)| *of == app).map(|(_, length, since)| (length, since)).collect())
}

impl<'a> Run<'a> {
    fn prepare(
        record: &'a Arc<dyn Store>,
        plan: &Plan,
        range: Range,
        watch: &dyn Fn(Progress) -> bool,
    ) -> Result<Self, WhatIfError> {
        let (first, changes) = altered_history(record.as_ref(), &plan.alteration)?;
        let mut end = first.clone();
        changes.iter().for_each(|change| end.apply(change.clone()));
        let since = lengths(record.as_ref(), plan.app)?;
        let lengths: BTreeSet<DigestLength> = since.keys().copied().collect();
        let mut table = Table::default();
        let mut keys = Keys::default();
        for_each_install(record.as_ref(), plan.app, range, |install, decisions| {
            let by = if install.received < range.from { range.from } else { range.until };
            let Some(decision) = decisions.iter().rev().find(|decision| decision.decided < by) else {
                return Ok(());
            };
            let number = u32::try_from(table.rows.len()).unwrap_or(u32::MAX);
            if table.rows.len() >= INSTALLS_MAX {
                return Err(WhatIfError::TooMany);
            }
            keys.add(number, &match_keys(&install.install, &lengths, end.addresses()));
            let before = table.standing(decision);
            table.note_refused(number, decision);
            table.note_earlier(number, install);
            table.rows.push(Row {
                id: install.id,
                installed: install.install.time,
                received: install.received,
                before,
                after: None,
                mark: mark(decision),
                filed: 0,
            });
            let goes_on = watch(Progress { done: 0, of: 0, installs: u64::from(number) + 1 });
            if goes_on { Ok(()) } else { Err(WhatIfError::Stopped) }
        })?;
        keys.close();
        let begin = sequence_at(record.as_ref(), range.warm().plus(-DISORDER_MS), range.last)?;
        let past = sequence_at(record.as_ref(), range.until.plus(DISORDER_MS), range.last)?;
        let past = (past + PROBE_FACTS as u64).min(range.last + 1).max(begin);
        // Lengths of digests that came later are learned on the way, as they were then.
        let began = range.warm().plus(-DISORDER_MS);
        let known: BTreeSet<DigestLength> = since
            .iter()
            .filter(|(_, since)| begin > 1 && **since < began)
            .map(|(length, _)| *length)
            .collect();
        let keys = Arc::new(keys);
        let counts = end.has_fraud_settings();
        let reading = Reading {
            app: plan.app,
            first: begin,
            past,
            readers: plan.readers.max(1),
            addresses: end.addresses(),
            // Rules that count want every engagement.
            keys: (!counts).then(|| keys.clone()),
        };
        let scratch =
            Arc::new(Scratch::new(record.clone(), plan.app, keys, Lengths { known, since }, table, counts));
        let mut versions = Versions::new(first, changes);
        let machine = Machine::again(scratch.clone(), scratch.clone(), versions.at(0))?;
        Ok(Self {
            record,
            range,
            versions,
            reading,
            scratch,
            machine,
            waiting: Vec::new(),
            waiting_since: Timestamp(0),
            early: Vec::new(),
            has_begun: false,
            counts,
            horizon: expiry::BEFORE_ALL,
        })
    }

    fn run(mut self, watch: &dyn Fn(Progress) -> bool) -> Result<Report, WhatIfError> {
        let installs = self.scratch.state().table.rows.len() as u64;
        let of = self.reading.past - self.reading.first;
        let reading = self.reading.clone();
        read(self.record.as_ref(), &reading, |done, chunk| {
            let horizon = self.horizon;
            for step in chunk.steps {
                self.horizon = step.horizon.map_or(horizon, |own| expiry::advance(horizon, own));
                self.step(step)?;
            }
            self.horizon = chunk.horizon.map_or(horizon, |own| expiry::advance(horizon, own));
            if watch(Progress { done, of, installs }) { Ok(()) } else { Err(WhatIfError::Stopped) }
        })?;
        self.flush()?;
        let mut state = self.scratch.state();
        let (before, after) = state.table.sides(self.range.from);
        let (altered, changes) = state.table.altered(self.range.from);
        Ok(Report {
            from: self.range.from,
            until: self.range.until,
            facts: of,
            installs: before.networks.values().sum(),
            kept: state.most,
            before,
            after,
            altered,
            changes,
        })
    }

    fn step(&mut self, step: Step) -> Result<(), WhatIfError> {
        let Step { input, .. } = step;
        if input.received >= self.range.until {
            return Ok(());
        }
        if input.received >= self.range.from {
            self.begin()?;
        }
        if !matches!(input.payload, Payload::Install(_)) {
            return self.submit(input);
        }
        let number = self.scratch.state().table.number(input.id.into());
        match number {
            // It is not in force: nobody could compare.
            None => Ok(()),
            Some(number) if input.received < self.range.from => self.adopt(&input, number),
            Some(_) => self.submit(input),
        }
    }

    /// From here on installs are decided.
    fn begin(&mut self) -> Result<(), WhatIfError> {
        if !self.has_begun {
            self.flush()?;
            self.has_begun = true;
            for (number, used) in std::mem::take(&mut self.early) {
                self.scratch.adopt(number, used);
            }
        }
        Ok(())
    }

    fn adopt(&mut self, input: &Input, number: u32) -> Result<(), WhatIfError> {
        let mut candidates = Vec::new();
        if self.counts {
            self.flush()?;
            let recorded = self.record.install(input.app, input.id.into())?;
            let first = recorded.and_then(|(_, decisions)| decisions.into_iter().next());
            candidates = first.map(|first| first.candidates).unwrap_or_default();
        }
        self.machine.adopt(input, &candidates);
        let used = self.versions.at(input.catalogue).addresses();
        if self.has_begun {
            self.scratch.adopt(number, used);
        } else {
            self.early.push((number, used));
        }
        Ok(())
    }

    fn submit(&mut self, input: Box<Input>) -> Result<(), WhatIfError> {
        // What only files an engagement does not ask what has become too old.
        let asks = match &input.payload {
            Payload::Engagement(engagement) => engagement.time < input.received,
            Payload::Claim(claim) => claim.time < input.received,
            _ => true,
        };
        let is_over = asks && input.received.since(self.waiting_since) > STEP_MS;
        if self.waiting.len() >= STEP_INPUTS || is_over {
            self.flush()?;
        }
        if self.waiting.is_empty() {
            self.waiting_since = input.received;
            self.scratch.advance(self.horizon);
        }
        let catalogue = self.versions.at(input.catalogue);
        self.waiting.push(vec![Submission::Input(input, catalogue)]);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), WhatIfError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let done = self.machine.process(std::mem::take(&mut self.waiting));
        if done.answers.iter().flatten().any(|answer| *answer == Answer::Unavailable) {
            return Err(
                StoreError::Unavailable("a step of a what-if failed; the log says why".to_owned()).into()
            );
        }
        Ok(())
    }
}

/// The history of the catalogue with an alteration in it, and what it begins with. Nobody is told anything:
/// triggers are gone.
fn altered_history(
    record: &dyn Store,
    alteration: &Alteration,
) -> Result<(Catalogue, Vec<Change>), StoreError> {
    let altered = |mut entry: Entry| {
        (alteration.alter)(&mut entry);
        if let Entry::Trigger(trigger) = &mut entry {
            trigger.deleted = true;
        }
        entry
    };
    let mut first = Catalogue::default();
    for entry in alteration.begin.iter().cloned().map(altered) {
        first.apply(Change { version: 0, at: Timestamp::default(), by: None, entry });
    }
    let changes = record.changes()?.into_iter();
    Ok((first, changes.map(|change| Change { entry: altered(change.entry), ..change }).collect()))
}

/// The installs received in a part of the record, in the order of their identifiers, with their decisions.
fn for_each_install(
    record: &dyn Store,
    app: AppId,
    range: Range,
    mut each: impl FnMut(
        &measure::install::InstallRecord,
        &[measure::attribution::Decision],
    ) -> Result<(), WhatIfError>,
) -> Result<(), WhatIfError> {
    // Identifiers begin with the time of receipt.
    let at = |time: Timestamp| {
        let ms = u128::try_from(time.millis()).unwrap_or_default();
        InstallId(Uuid::from_u128(ms.min((1 << 48) - 1) << 80))
    };
    let mut after = Some(at(range.warm().plus(-DISORDER_MS)));
    let end = at(range.until.plus(DISORDER_MS));
    loop {
        let page = record.installs(app, after, STEP_INSTALLS)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(last.id);
        let counts = |received: Timestamp| received >= range.warm() && received < range.until;
        for (install, decisions) in page.iter().filter(|(install, _)| counts(install.received)) {
            each(install, decisions)?;
        }
        if after >= Some(end) {
            return Ok(());
        }
    }
}

/// A fact at most [`PROBE_FACTS`] before the first that was received at `time` or later; the one after the
/// `last` when there is none.
fn sequence_at(record: &dyn Store, time: Timestamp, last: u64) -> Result<u64, StoreError> {
    let Some(first) = record.facts(1, 1)?.pop() else { return Ok(1) };
    let (mut low, mut high) = (first.sequence, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let newest = record.facts(middle, PROBE_FACTS)?.iter().map(|fact| fact.input.received).max();
        if newest.is_none_or(|newest| newest >= time) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}
