//! A store that fails when it is told to. For tests.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use measure::{
    AppId, DeliveryId, DeviceId, InputId, InstallId, KeyId, Timestamp, TriggerId,
    attribution::Decision,
    catalogue::Change,
    cost::{CostDay, Day},
    device::Device,
    fraud::Figures,
    identifier::{DigestLength, JoinKey},
    input::{Fact, Quarantined},
    install::InstallRecord,
    ledger::Tally,
    postback::Delivery,
    privacy::{Job, Tombstone},
};

use crate::{
    Ask, Batch, Context, DeliveryQuery, DigestIndex, EventName, LeaseAsk, Leased, Resend, Scrub, Settlement,
    Store, StoreError,
};

/// A store around another one whose commits can be stalled and failed, in their writes and in their syncs,
/// for tests of what lies above the store. Everything else goes through as it is, but for leases: they
/// sync what is not synced yet, as every store has to.
#[derive(Debug, Default)]
pub struct Faulty<S> {
    inner: S,
    faults: Mutex<Faults>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Faults {
    stalled: bool,
    failures: usize,
    closed: bool,
    waiting: usize,
    syncs_stalled: bool,
    syncs_fail: bool,
    syncs_waiting: usize,
    written: u64,
    synced: u64,
}

impl<S> Faulty<S> {
    /// A store that behaves until it is told otherwise.
    pub const fn new(inner: S) -> Self {
        let faults = Faults {
            stalled: false,
            failures: 0,
            closed: false,
            waiting: 0,
            syncs_stalled: false,
            syncs_fail: false,
            syncs_waiting: 0,
            written: 0,
            synced: 0,
        };
        Self { inner, faults: Mutex::new(faults), changed: Condvar::new() }
    }

    /// The store inside.
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    /// While on, writes of batches wait before they begin; switching it off lets them go on.
    pub fn stall_commits(&self, on: bool) {
        self.faults().stalled = on;
        self.changed.notify_all();
    }

    /// Lets the next `n` writes of batches fail with [`StoreError::Unavailable`], writing nothing;
    /// `usize::MAX` for all until told otherwise, 0 for none.
    pub fn fail_commits(&self, n: usize) {
        self.faults().failures = n;
    }

    /// While on, syncs wait before they begin; switching it off lets them go on.
    pub fn stall_syncs(&self, on: bool) {
        self.faults().syncs_stalled = on;
        self.changed.notify_all();
    }

    /// Lets every sync from now on fail: what was written meanwhile is seen, but not durable, and nothing
    /// more is written.
    pub fn fail_syncs(&self) {
        self.faults().syncs_fail = true;
    }

    /// How many syncs wait because of [`Self::stall_syncs`].
    pub fn stalled_syncs(&self) -> usize {
        self.faults().syncs_waiting
    }

    /// Lets every write of a batch from now on fail with [`StoreError::Closed`], writing nothing.
    pub fn close(&self) {
        self.faults().closed = true;
    }

    /// How many commits wait because of [`Self::stall_commits`].
    pub fn stalled_commits(&self) -> usize {
        self.faults().waiting
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass_sync(&self) -> Result<(), StoreError> {
        let mut faults = self.faults();
        let written = faults.written;
        if faults.synced == written {
            return Ok(());
        }
        faults.syncs_waiting += 1;
        while faults.syncs_stalled {
            faults = self.changed.wait(faults).unwrap_or_else(PoisonError::into_inner);
        }
        faults.syncs_waiting -= 1;
        if faults.syncs_fail {
            faults.closed = true;
            return Err(StoreError::Closed("a sync was to fail".to_owned()));
        }
        faults.synced = faults.synced.max(written);
        Ok(())
    }

    fn pass(&self) -> Result<(), StoreError> {
        let mut faults = self.faults();
        faults.waiting += 1;
        while faults.stalled {
            faults = self.changed.wait(faults).unwrap_or_else(PoisonError::into_inner);
        }
        faults.waiting -= 1;
        if faults.closed {
            return Err(StoreError::Closed("it was asked for".to_owned()));
        }
        match faults.failures {
            0 => return Ok(()),
            usize::MAX => {}
            n => faults.failures = n - 1,
        }
        Err(StoreError::Unavailable("a fault was asked for".to_owned()))
    }
}

impl<S: Store> Store for Faulty<S> {
    fn context(&self, ask: &Ask) -> Result<Context, StoreError> {
        self.inner.context(ask)
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.pass()?;
        self.inner.write(batch)?;
        self.faults().written += 1;
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.pass_sync()?;
        self.inner.sync()
    }

    fn take_on(&self, ask: &LeaseAsk) -> Result<Leased, StoreError> {
        self.pass_sync()?;
        self.inner.take_on(ask)
    }

    fn sends(&self, trigger: TriggerId) -> bool {
        self.inner.sends(trigger)
    }

    fn resend(&self, resends: &[Resend]) -> Result<Vec<bool>, StoreError> {
        self.inner.resend(resends)
    }

    fn oldest_pending(&self, trigger: TriggerId) -> Result<Option<Delivery>, StoreError> {
        self.inner.oldest_pending(trigger)
    }

    fn settle(&self, settlements: &[Settlement]) -> Result<Vec<bool>, StoreError> {
        self.inner.settle(settlements)
    }

    fn withdraw(&self, trigger: TriggerId) -> Result<usize, StoreError> {
        self.inner.withdraw(trigger)
    }

    fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_due()
    }

    fn record(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.inner.record(changes)
    }

    fn changes(&self) -> Result<Vec<Change>, StoreError> {
        self.inner.changes()
    }

    fn note_use(&self, key: KeyId, at: Timestamp) -> Result<(), StoreError> {
        self.inner.note_use(key, at)
    }

    fn key_uses(&self) -> Result<Vec<(KeyId, Timestamp)>, StoreError> {
        self.inner.key_uses()
    }

    fn put_costs(&self, days: &[CostDay]) -> Result<(), StoreError> {
        self.inner.put_costs(days)
    }

    fn costs(&self, app: AppId, from: Day, to: Day) -> Result<Vec<CostDay>, StoreError> {
        self.inner.costs(app, from, to)
    }

    fn scrub(&self, scrub: &Scrub) -> Result<(), StoreError> {
        self.pass()?;
        self.inner.scrub(scrub)
    }

    fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        self.inner.jobs()
    }

    fn tombstones(&self) -> Result<Vec<Tombstone>, StoreError> {
        self.inner.tombstones()
    }

    fn compact(&self) -> Result<(), StoreError> {
        self.inner.compact()
    }

    fn last_sequence(&self) -> Result<u64, StoreError> {
        self.inner.last_sequence()
    }

    fn facts(&self, first: u64, limit: usize) -> Result<Vec<Fact>, StoreError> {
        self.inner.facts(first, limit)
    }

    fn facts_back(&self, last: u64, limit: usize) -> Result<Vec<Fact>, StoreError> {
        self.inner.facts_back(last, limit)
    }

    fn fact(&self, input: InputId) -> Result<Option<(Fact, Option<u64>)>, StoreError> {
        self.inner.fact(input)
    }

    fn device(&self, app: AppId, key: &JoinKey) -> Result<Option<Device>, StoreError> {
        self.inner.device(app, key)
    }

    fn devices(&self, app: AppId, after: Option<DeviceId>, limit: usize) -> Result<Vec<Device>, StoreError> {
        self.inner.devices(app, after, limit)
    }

    fn digest_indexes(&self) -> Result<Vec<(AppId, DigestLength, DigestIndex)>, StoreError> {
        self.inner.digest_indexes()
    }

    fn install(
        &self,
        app: AppId,
        install: InstallId,
    ) -> Result<Option<(InstallRecord, Vec<Decision>)>, StoreError> {
        self.inner.install(app, install)
    }

    fn installs(
        &self,
        app: AppId,
        after: Option<InstallId>,
        limit: usize,
    ) -> Result<Vec<(InstallRecord, Vec<Decision>)>, StoreError> {
        self.inner.installs(app, after, limit)
    }

    fn timeline(&self, app: AppId, install: InstallId) -> Result<Vec<u64>, StoreError> {
        self.inner.timeline(app, install)
    }

    fn aggregates(&self, app: AppId, before: Option<u64>, limit: usize) -> Result<Vec<Fact>, StoreError> {
        self.inner.aggregates(app, before, limit)
    }

    fn delivery(&self, delivery: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        self.inner.delivery(delivery)
    }

    fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        self.inner.deliveries(query)
    }

    fn quarantine(
        &self,
        app: Option<AppId>,
        after: Option<InputId>,
        limit: usize,
    ) -> Result<Vec<Quarantined>, StoreError> {
        self.inner.quarantine(app, after, limit)
    }

    fn event_names(&self, app: AppId) -> Result<Vec<(String, EventName)>, StoreError> {
        self.inner.event_names(app)
    }

    fn digest_lengths(&self) -> Result<Vec<(AppId, DigestLength, Timestamp)>, StoreError> {
        self.inner.digest_lengths()
    }

    fn figures(&self) -> Result<Vec<(AppId, Figures)>, StoreError> {
        self.inner.figures()
    }

    fn tally(&self) -> Result<Tally, StoreError> {
        self.inner.tally()
    }
}
