//! The store of a what-if: it keeps what decisions depend on, as long as they can, and writes nothing
//! anywhere.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use measure::{
    AppId, DeliveryId, DeviceId, InputId, InstallId, KeyId, Timestamp, TouchId, TriggerId,
    attribution::Decision,
    catalogue::Change,
    cost::{CostDay, Day},
    device::Device,
    engagement::MatchKey,
    fraud::Figures,
    identifier::{DigestLength, JoinKey},
    input::{Fact, Quarantined},
    install::InstallRecord,
    ledger::Tally,
    policy::{Addresses, LATE_GRACE_MS},
    postback::Delivery,
    privacy::{Job, Tombstone},
};
use store::{
    Ask, Batch, Context, Credit, DeliveryQuery, DigestIndex, EventName, LeaseAsk, Leased, Resend, Scrub,
    Settlement, Store, StoreError, expiry,
};

use super::{
    keys::{Keys, hash},
    table::{Table, filing, filing_of},
    touches::Touches,
};
use crate::{
    install::{Earlier, same_decision},
    machine::Known,
};

/// The lengths of digests that links of the app have carried.
pub(super) struct Lengths {
    /// Those that were in use when reading begins.
    pub known: BTreeSet<DigestLength>,
    /// When the first one of each was received.
    pub since: BTreeMap<DigestLength, Timestamp>,
}

impl Lengths {
    /// The marks ([`filing`]) of those under which an install was filed, in time for the grace of late
    /// engagements or later.
    fn filed(&self, received: Timestamp) -> u8 {
        let in_use = self.since.iter().filter(|(_, since)| since.since(received) <= LATE_GRACE_MS);
        in_use.fold(0, |marks, (length, _)| marks | filing_of(*length))
    }
}

/// The store that the write path of a what-if sees.
pub(super) struct Scratch {
    /// The record, which is only read.
    record: Arc<dyn Store>,
    app: AppId,
    keys: Arc<Keys>,
    lengths: Lengths,
    /// Whether any rule counts.
    counts: bool,
    state: Mutex<State>,
}

/// What changes.
pub(super) struct State {
    pub table: Table,
    horizon: Timestamp,
    touches: Touches,
    credits: HashMap<TouchId, Vec<Credit>>,
    /// How many engagements were kept at once, at most.
    pub most: usize,
    /// Decisions in full, for tests that compare them.
    #[cfg(test)]
    pub decisions: Vec<Decision>,
}

impl Scratch {
    pub(super) fn new(
        record: Arc<dyn Store>,
        app: AppId,
        keys: Arc<Keys>,
        lengths: Lengths,
        table: Table,
        counts: bool,
    ) -> Self {
        let state = State {
            table,
            horizon: expiry::BEFORE_ALL,
            touches: Touches::default(),
            credits: HashMap::new(),
            most: 0,
            #[cfg(test)]
            decisions: Vec::new(),
        };
        Self { record, app, keys, lengths, counts, state: Mutex::new(state) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on to the time of the record at which the next step begins: what does not matter to decisions
    /// moves it on, too.
    pub(super) fn advance(&self, horizon: Timestamp) {
        let mut state = self.state();
        state.horizon = expiry::advance(state.horizon, horizon);
    }

    /// Lets an install stand as the record has it; `used` are the address classes that were in use then.
    pub(super) fn adopt(&self, number: u32, used: Addresses) {
        let mut state = self.state();
        let Some(row) = state.table.rows.get_mut(number as usize) else { return };
        row.after = Some(row.before);
        row.filed = self.lengths.filed(row.received) | u8::from(used.whole) | u8::from(used.partial) << 1;
        let (before, install, installed) = (row.before, row.id, row.installed);
        let won = state.table.likely_touch(&before).map(|touch| (touch, false));
        let refused = state.table.refused(number).iter().map(|touch| (*touch, true));
        let credits: Vec<(TouchId, bool)> = won.into_iter().chain(refused).collect();
        for (touch, waiting) in credits {
            state.credits.entry(touch).or_default().push(Credit { install, installed, waiting });
        }
    }
}

impl State {
    fn context(&self, ask: &Ask, keys: &Keys) -> Context {
        let mut context = Context::default();
        for (app, key, until) in &ask.touches {
            let oldest = expiry::oldest_touch(self.horizon, *until);
            let (touches, more) = self.touches.newest(hash(key), oldest, *until);
            context.add_touches((*app, key.clone()), touches, more);
        }
        for (app, key, since) in &ask.arrivals {
            let oldest = expiry::oldest_arrival(self.horizon).max(*since);
            let rows = keys.installs(hash(key)).filter_map(|number| self.table.row(number));
            let arrived =
                rows.filter(|row| row.after.is_some() && row.installed >= oldest && row.is_under(key));
            let mut installs: Vec<_> = arrived.map(|row| (row.installed, row.id)).collect();
            installs.sort_unstable_by(|one, other| other.cmp(one));
            context.add_arrivals((*app, key.clone()), installs);
        }
        for (app, touch) in &ask.credits {
            if let Some(credits) = self.credits.get(touch) {
                let mut credits = credits.clone();
                credits.sort_unstable_by_key(|credit| (credit.installed, credit.install));
                context.credits.insert((*app, *touch), credits);
            }
        }
        context
    }

    fn take(&mut self, batch: &Batch) {
        self.horizon = expiry::advance(self.horizon, batch.now);
        let mut last: Option<(TouchId, u32)> = None;
        for (_, key, touch) in &batch.touches {
            // The keys of one engagement come one after the other.
            let number = match last {
                Some((id, number)) if id == touch.id => number,
                _ => self.touches.keep(touch),
            };
            last = Some((touch.id, number));
            self.touches.file(hash(key), number);
        }
        self.most = self.most.max(self.touches.len());
        for decision in &batch.decisions {
            self.table.decided(decision);
            #[cfg(test)]
            self.decisions.push(decision.clone());
        }
        for (_, key, _, install) in &batch.arrivals {
            let mark = filing(key);
            if mark != 0
                && let Some(number) = self.table.number(*install)
                && let Some(row) = self.table.rows.get_mut(number as usize)
            {
                row.filed |= mark;
            }
        }
        for (_, touch, credit, given) in &batch.credits {
            let credits = self.credits.entry(*touch).or_default();
            credits.retain(|known| known.install != credit.install);
            if *given {
                credits.push(*credit);
            }
        }
        if self.touches.forget(expiry::oldest_touch(self.horizon, self.horizon)) {
            let oldest = expiry::oldest_touch(self.horizon, self.horizon);
            self.credits.retain(|touch, _| received(*touch) >= oldest);
        }
    }
}

impl Known for Scratch {
    fn earlier(&self, install: InstallId) -> Option<Earlier> {
        self.state().table.earlier(install)
    }

    fn says_the_same(&self, old: &Decision, new: &Decision) -> bool {
        // One that is not in the table is of the step that is being decided, and whole.
        let known = self.state().table.says_the_same(old.revision, new);
        known.unwrap_or_else(|| same_decision(old, new))
    }

    fn looks_under(&self, key: &MatchKey) -> bool {
        self.keys.may_have(hash(key))
    }

    fn counts(&self) -> bool {
        self.counts
    }
}

/// When an engagement was received, as its identifier tells.
fn received(touch: TouchId) -> Timestamp {
    Timestamp(i64::try_from(touch.0.as_u128() >> 80).unwrap_or(i64::MAX))
}

/// What nobody asks a what-if for.
fn not_here<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("a what-if keeps nothing but engagements".to_owned()))
}

impl Store for Scratch {
    fn context(&self, ask: &Ask) -> Result<Context, StoreError> {
        Ok(self.state().context(ask, &self.keys))
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.state().take(batch);
        Ok(())
    }

    /// Nothing is to last.
    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn take_on(&self, _: &LeaseAsk) -> Result<Leased, StoreError> {
        not_here()
    }

    fn sends(&self, _: TriggerId) -> bool {
        false
    }

    fn resend(&self, _: &[Resend]) -> Result<Vec<bool>, StoreError> {
        not_here()
    }

    fn oldest_pending(&self, _: TriggerId) -> Result<Option<Delivery>, StoreError> {
        not_here()
    }

    fn settle(&self, _: &[Settlement]) -> Result<Vec<bool>, StoreError> {
        not_here()
    }

    fn withdraw(&self, _: TriggerId) -> Result<usize, StoreError> {
        not_here()
    }

    fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        not_here()
    }

    fn record(&self, _: &[Change]) -> Result<(), StoreError> {
        not_here()
    }

    fn changes(&self) -> Result<Vec<Change>, StoreError> {
        not_here()
    }

    fn last_sequence(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn facts(&self, _: u64, _: usize) -> Result<Vec<Fact>, StoreError> {
        Ok(Vec::new())
    }

    fn facts_back(&self, _: u64, _: usize) -> Result<Vec<Fact>, StoreError> {
        Ok(Vec::new())
    }

    /// None: what an engagement says beside its touch only matters to postbacks and events.
    fn fact(&self, _: InputId) -> Result<Option<(Fact, Option<u64>)>, StoreError> {
        Ok(None)
    }

    fn device(&self, _: AppId, _: &JoinKey) -> Result<Option<Device>, StoreError> {
        Ok(None)
    }

    fn devices(&self, _: AppId, _: Option<DeviceId>, _: usize) -> Result<Vec<Device>, StoreError> {
        Ok(Vec::new())
    }

    fn digest_indexes(&self) -> Result<Vec<(AppId, DigestLength, DigestIndex)>, StoreError> {
        Ok(Vec::new())
    }

    /// As the what-if has decided it last.
    fn install(
        &self,
        app: AppId,
        install: InstallId,
    ) -> Result<Option<(InstallRecord, Vec<Decision>)>, StoreError> {
        let last = {
            let state = self.state();
            state.table.number(install).and_then(|number| state.table.last_decision(app, number))
        };
        let Some(last) = last else { return Ok(None) };
        Ok(self.record.install(app, install)?.map(|(record, _)| (record, vec![last])))
    }

    fn installs(
        &self,
        _: AppId,
        _: Option<InstallId>,
        _: usize,
    ) -> Result<Vec<(InstallRecord, Vec<Decision>)>, StoreError> {
        not_here()
    }

    /// Nothing: what became of events is not asked.
    fn timeline(&self, _: AppId, _: InstallId) -> Result<Vec<u64>, StoreError> {
        Ok(Vec::new())
    }

    fn aggregates(&self, _: AppId, _: Option<u64>, _: usize) -> Result<Vec<Fact>, StoreError> {
        not_here()
    }

    fn delivery(&self, _: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        Ok(None)
    }

    fn deliveries(&self, _: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        Ok(Vec::new())
    }

    fn quarantine(
        &self,
        _: Option<AppId>,
        _: Option<InputId>,
        _: usize,
    ) -> Result<Vec<Quarantined>, StoreError> {
        not_here()
    }

    fn event_names(&self, _: AppId) -> Result<Vec<(String, EventName)>, StoreError> {
        Ok(Vec::new())
    }

    fn digest_lengths(&self) -> Result<Vec<(AppId, DigestLength, Timestamp)>, StoreError> {
        let known = self.lengths.since.iter().filter(|(length, _)| self.lengths.known.contains(length));
        Ok(known.map(|(length, since)| (self.app, *length, *since)).collect())
    }

    fn figures(&self) -> Result<Vec<(AppId, Figures)>, StoreError> {
        Ok(Vec::new())
    }

    fn note_use(&self, _: KeyId, _: Timestamp) -> Result<(), StoreError> {
        not_here()
    }

    fn key_uses(&self) -> Result<Vec<(KeyId, Timestamp)>, StoreError> {
        not_here()
    }

    fn tally(&self) -> Result<Tally, StoreError> {
        not_here()
    }

    fn put_costs(&self, _: &[CostDay]) -> Result<(), StoreError> {
        not_here()
    }

    fn costs(&self, _: AppId, _: Day, _: Day) -> Result<Vec<CostDay>, StoreError> {
        not_here()
    }

    fn scrub(&self, _: &Scrub) -> Result<(), StoreError> {
        not_here()
    }

    fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        not_here()
    }

    /// Nobody: whom the record refuses it does not hold.
    fn tombstones(&self) -> Result<Vec<Tombstone>, StoreError> {
        Ok(Vec::new())
    }

    fn compact(&self) -> Result<(), StoreError> {
        not_here()
    }
}
