//! The backend on disk: one fjall database, a keyspace per noun ([`space`]).
//!
//! **Writing.** A commit, a settlement and a record of changes is one fjall batch over all its keyspaces.
//! Writers take turns behind one lock, from the first read of what they change to the end of the write.
//! What depends on nothing stored is encoded before the lock is taken. Readers never wait: they read a
//! snapshot across all keyspaces, which holds whole batches only.
//!
//! **Syncing.** There is one journal, so a sync makes everything durable that was written before it. A
//! batch of the engine is written first and synced by [`Store::sync`], while the next one is decided; all
//! other writes sync before they return. Three counters tell whether a batch is being written, or is written and not
//! synced yet. A lease syncs then too, so that nothing is sent that a power cut could take back.
//!
//! **Failing.** When the journal cannot be written, fjall refuses every later write until the database is
//! opened again; reads go on. The answer is [`StoreError::Closed`], and the program ends on it. So a failed commit leaves nothing behind, in memory or on disk, that a later
//! one could build on.

mod compact;
mod draft;
mod expire;
mod space;
mod view;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use fjall::{Database, PersistMode};
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
    ledger::{Counter, Tally, count},
    postback::{Delivery, DeliveryState, Suppression},
    privacy::{Job, Tombstone},
};

use crate::{
    Ask, Batch, Context, DeliveryQuery, DigestIndex, EventName, Lease, LeaseAsk, Leased, Resend, Scrub,
    Settlement, Store, StoreError, key,
    outbox::{Chosen, Outbox, Queue, Silent, Spot, count_for_trigger},
    quarantine::Shelves,
    record::{Counted, Record as _, SentLength, Shelved},
};
use draft::Draft;
use space::{Space, Spaces};
use view::{View, missing};

/// Facts that room is made for before they are read.
const FACTS_ROOM: usize = 1_000;

/// The layout of the data directory. A directory of another number is refused.
const FORMAT: u64 = 1;

/// Journals on disk, bytes: above it fjall writes memtables out. Bounds the time of a restart as well,
/// which replays them: 128 MiB take about a second.
const JOURNAL_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// How a write that has to outlive a power cut is synced: the data, with what finds them. When the journal was last
/// changed may be forgotten.
const DURABLE: PersistMode = PersistMode::SyncData;

/// Deliveries changed in one write of [`Store::withdraw`], and of what brings an older store up to date.
const WITHDRAW_STEP: usize = 1_000;

/// How the store uses the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Memory for blocks read from disk, bytes. With the memtables, which take at most about 100 MiB when
    /// all are full, it makes up most of the memory of the store.
    pub cache_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 64 * 1024 * 1024 }
    }
}

/// Everything on disk.
pub struct Fjall {
    database: Database,
    spaces: Spaces,
    /// Held by whoever writes. Inside is what only writers need to know.
    writing: Mutex<Shelves>,
    /// What is known of the last commit without reading: replaced after each write, by the writer.
    known: RwLock<Known>,
    /// Queues and leases. Whoever needs both takes the writers' lock first. What is written is made known here
    /// after it is durable and before its lease counts as settled, so a snapshot taken under this lock never
    /// shows a place as free that is not.
    outbox: Mutex<Outbox>,
    /// See [`crate::expiry`]. The compaction filters share it.
    horizon: Arc<AtomicI64>,
    /// How many batches were begun to be written, counted by the writer.
    begun: AtomicU64,
    /// How many batches were written, counted by the writer.
    written: AtomicU64,
    /// How many of them a sync is known to have made durable.
    synced: AtomicU64,
    path: PathBuf,
}

/// What is known without reading.
#[derive(Clone, Debug, Default)]
struct Known {
    tally: Tally,
    last_sequence: u64,
    last_version: u64,
    /// Whose deliveries are not sent.
    silent: Silent,
}

impl std::fmt::Debug for Fjall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fjall").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Fjall {
    /// Opens the store in the directory `path`, or makes one there. What earlier processes committed is
    /// there, however they ended.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the directory cannot be used or another process uses it;
    /// [`StoreError::Corrupt`] when what is in it is damaged or of another version.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        let horizon = Arc::new(AtomicI64::new(crate::expiry::BEFORE_ALL.0));
        let database = Database::builder(&path)
            .cache_size(options.cache_bytes)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .with_compaction_filter_factories(expire::filters(&horizon))
            .open()
            .map_err(|error| not_opened(&path, error))?;
        // Before any other keyspace is touched: a newer layout may mean other keyspaces.
        let meta = Spaces::meta(&database)?;
        check_format(&database, &meta, &path)?;
        let spaces = Spaces::open(&database)?;
        let store = Self {
            database,
            spaces,
            writing: Mutex::default(),
            known: RwLock::default(),
            outbox: Mutex::default(),
            horizon,
            begun: AtomicU64::new(0),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            path,
        };
        store.load()?;
        Ok(store)
    }

    /// Brings to mind what is kept in memory.
    fn load(&self) -> Result<(), StoreError> {
        let view = self.view();
        if let Some(horizon) = view.get::<Timestamp>(Space::Meta, key::HORIZON)? {
            self.horizon.store(horizon.0, Ordering::Relaxed);
        }
        let mut known = Known {
            last_sequence: view.last_number(Space::Facts)?,
            last_version: view.last_number(Space::Changes)?,
            tally: Tally::new(),
            silent: Silent::default(),
        };
        for change in view.all::<Change>(Space::Changes) {
            known.silent.note(&[change?]);
        }
        for counted in view.all::<Counted>(Space::Tally) {
            let (app, counter, n) = counted?;
            known.tally.insert((app, counter), n);
        }
        let mut shelves = self.writing();
        for shelved in view.all::<Shelved>(Space::Shelves) {
            let (app, id, entry) = shelved?;
            shelves.put(app, id, entry);
        }
        drop(shelves);
        let uncounted = known.tally.iter().any(|((_, counter), n)| *counter == Counter::Due && *n > 0)
            && !known.tally.keys().any(|(_, counter)| is_of_triggers(counter));
        let pending: i64 = known.tally.iter().map(|((_, counter), n)| n * pending_in(counter)).sum();
        *self.known_mut() = known;
        let heads = view.heads()?;
        // Searches begin at the heads and so skip the tombstones of everything that was due before, which
        // pile up at the front of any queue in an LSM tree.
        let lost = heads.is_empty() && pending > 0;
        *self.outbox() = Outbox::new(heads);
        if uncounted {
            self.count_for_triggers(&view)?;
        }
        if view.bytes(Space::Meta, key::SETTLED)?.is_none() {
            self.file_again(&view)?;
        }
        if lost { self.queue_again(&view) } else { Ok(()) }
    }

    /// Counts by trigger what was counted by app alone: a store of the time before there were such counters has
    /// none. What was suppressed when it was planned is in no delivery, and stays counted by app alone.
    fn count_for_triggers(&self, view: &View<'_>) -> Result<(), StoreError> {
        let _turn = self.writing();
        let mut tally = Tally::new();
        for delivery in view.all::<Delivery>(Space::Deliveries) {
            count_for_trigger(&delivery?, &mut tally);
        }
        count(&mut tally, None, Counter::TriggersCountedSince, self.horizon.load(Ordering::Relaxed).max(0));
        self.put(Draft::counting(tally), DURABLE)
    }

    /// Lists final deliveries under their triggers and states: a store of the time before there were such lists
    /// has none. One that is broken off begins again at the next start.
    fn file_again(&self, view: &View<'_>) -> Result<(), StoreError> {
        let _turn = self.writing();
        let mut draft = Draft::default();
        for (n, delivery) in (1_usize..).zip(view.all::<Delivery>(Space::Deliveries)) {
            let delivery = delivery?;
            if delivery.state != DeliveryState::Pending {
                draft.file(&delivery);
            }
            if n.is_multiple_of(WITHDRAW_STEP) {
                self.put(std::mem::take(&mut draft), PersistMode::Buffer)?;
            }
        }
        draft.all_filed()?;
        self.put(draft, DURABLE)
    }

    /// Makes the queues afresh: a store of the time before there were any has none.
    fn queue_again(&self, view: &View<'_>) -> Result<(), StoreError> {
        let _turn = self.writing();
        let mut draft = Draft::default();
        for (n, delivery) in (1_usize..).zip(view.every_pending()) {
            draft.enqueue(&delivery?, 0)?;
            if n.is_multiple_of(WITHDRAW_STEP) {
                self.put(std::mem::take(&mut draft), PersistMode::Buffer)?;
            }
        }
        self.put(draft, DURABLE)
    }

    fn view(&self) -> View<'_> {
        let horizon = Timestamp(self.horizon.load(Ordering::Relaxed));
        View::new(self.database.snapshot(), &self.spaces, horizon)
    }

    // The locks are never poisoned by us, since nothing panics while it holds one; if something did, what
    // they guard is only replaced as a whole after a successful write.

    fn writing(&self) -> MutexGuard<'_, Shelves> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether everything that a snapshot taken before may show is durable.
    fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire) == self.begun.load(Ordering::Acquire)
    }

    /// Writes a draft and makes it known. The caller holds the writers' lock.
    fn put(&self, mut draft: Draft, mode: PersistMode) -> Result<(), StoreError> {
        let counted = draft.count(&self.known().tally)?;
        let moves = draft.moves();
        let horizon = draft.horizon;
        let (closed, handed_back) =
            (std::mem::take(&mut draft.closed), std::mem::take(&mut draft.handed_back));
        let rewritten = draft.deliveries_written();
        draft.write(&self.database, &self.spaces, mode)?;
        if mode == DURABLE {
            self.synced.fetch_max(self.written.load(Ordering::Acquire), Ordering::AcqRel);
        }
        if let Some(horizon) = horizon {
            self.horizon.store(horizon.0, Ordering::Relaxed);
        }
        self.known_mut().tally.extend(counted);
        if !moves.is_empty() || !closed.is_empty() || !handed_back.is_empty() || !rewritten.is_empty() {
            let mut outbox = self.outbox();
            // Settled leases end with this; any other that it writes to stands no more.
            rewritten.into_iter().for_each(|delivery| outbox.rewritten(delivery));
            closed.into_iter().for_each(|delivery| outbox.close(delivery));
            handed_back.into_iter().for_each(|delivery| outbox.hand_back(delivery));
            outbox.apply(&moves, &self.view());
        }
        Ok(())
    }

    /// Leases what was chosen, but for deliveries of deleted triggers, which it tells apart.
    fn hold(
        &self,
        outbox: &mut Outbox,
        view: &View<'_>,
        places: &[(Queue, Spot)],
        until: Timestamp,
    ) -> Result<(Vec<Lease>, Vec<Delivery>), StoreError> {
        let silent = self.known().silent.clone();
        let (mut found, mut deleted) = (Vec::with_capacity(places.len()), Vec::new());
        for place @ (queue, (_, id)) in places {
            let delivery = view.get::<Delivery>(Space::Deliveries, key::delivery(*id))?;
            let delivery = delivery.ok_or_else(|| missing(*id))?;
            if silent.is_deleted(queue.trigger) {
                deleted.push(delivery);
                continue;
            }
            // What was never sent was never settled either.
            let settled = if queue.retry { view.settled_fence(queue.trigger, *id)? } else { 0 };
            let fence = outbox.fence(*id).max(settled) + 1;
            found.push((*place, Lease::new(delivery, fence, until)));
        }
        let hold = |(place, lease): (_, Lease)| {
            outbox.hold(place, &lease);
            lease
        };
        Ok((found.into_iter().map(hold).collect(), deleted))
    }
}

impl Store for Fjall {
    fn context(&self, ask: &Ask) -> Result<Context, StoreError> {
        self.view().context(ask)
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut draft = Draft::new(batch)?;
        let mut shelves = self.writing();
        let last_sequence = self.known().last_sequence;
        crate::in_sequence(last_sequence, batch.facts.iter().map(|fact| fact.sequence))?;
        let view = self.view();
        draft.device_keys(&view, batch)?;
        draft.deliveries(&view, batch)?;
        draft.advance(&view, batch.now)?;
        draft.quarantine(&mut shelves, &view, batch)?;
        self.begun.fetch_add(1, Ordering::AcqRel);
        self.put(draft, PersistMode::Buffer)?;
        self.written.fetch_add(1, Ordering::AcqRel);
        self.known_mut().last_sequence = last_sequence + batch.facts.len() as u64;
        Ok(())
    }

    /// Whoever writes meanwhile waits for the journal, but not for us.
    fn sync(&self) -> Result<(), StoreError> {
        let written = self.written.load(Ordering::Acquire);
        if self.synced.load(Ordering::Acquire) < written {
            // Whatever went wrong, fjall takes no more writes afterwards.
            let done = self.database.persist(DURABLE);
            done.map_err(|error| StoreError::Closed(error.to_string()))?;
            self.synced.fetch_max(written, Ordering::AcqRel);
        }
        Ok(())
    }

    fn take_on(&self, ask: &LeaseAsk) -> Result<Leased, StoreError> {
        let (leases, deleted, next_due) = {
            let mut outbox = self.outbox();
            let view = self.view();
            let Chosen { places, next_due } = outbox.choose(ask, &self.known().silent, &view)?;
            match self.hold(&mut outbox, &view, &places, ask.until) {
                Ok((leases, deleted)) => (leases, deleted, next_due),
                Err(error) => {
                    outbox.put_back(&places);
                    return Err(error);
                }
            }
        };
        // Nothing is handed out that a power cut could take back. Whoever writes now may have shown us a batch
        // that is not counted as written yet, so let them finish.
        if !leases.is_empty() && !self.is_synced() {
            drop(self.writing());
            self.sync()?;
        }
        if !deleted.is_empty() {
            let _turn = self.writing();
            let view = self.view();
            let mut draft = Draft::default();
            for delivery in deleted {
                let delivery = view.get::<Delivery>(Space::Deliveries, key::delivery(delivery.id))?;
                let Some(delivery) = delivery else { continue };
                draft.withdraw(delivery, Suppression::TriggerDeleted)?;
            }
            // Not synced: what a power cut undoes is done again when its turn comes.
            self.put(draft, PersistMode::Buffer)?;
        }
        Ok(Leased { leases, next_due })
    }

    fn sends(&self, trigger: TriggerId) -> bool {
        self.known().silent.sends(trigger)
    }

    fn settle(&self, settlements: &[Settlement]) -> Result<Vec<bool>, StoreError> {
        let _turn = self.writing();
        let view = self.view();
        let mut draft = Draft::default();
        // Whether each may be settled, and what was leased.
        let held: Vec<(bool, Option<Arc<Delivery>>)> = {
            let outbox = self.outbox();
            let mut once = HashSet::new();
            let of = |settlement: &Settlement| {
                let id = settlement.delivery;
                (outbox.is_held_by(id, settlement.fence) && once.insert(id), outbox.leased(id))
            };
            settlements.iter().map(of).collect()
        };
        for (settlement, (_, leased)) in settlements.iter().zip(&held).filter(|(_, (held, _))| *held) {
            draft.settle(&view, settlement, leased.as_deref())?;
        }
        let held: Vec<bool> = held.into_iter().map(|(held, _)| held).collect();
        if held.contains(&true) {
            self.put(draft, DURABLE)?;
        }
        Ok(held)
    }

    fn resend(&self, resends: &[Resend]) -> Result<Vec<bool>, StoreError> {
        let _turn = self.writing();
        let view = self.view();
        let mut draft = Draft::default();
        let were_final =
            resends.iter().map(|resend| draft.resend(&view, resend)).collect::<Result<Vec<_>, _>>()?;
        if were_final.contains(&true) {
            self.put(draft, DURABLE)?;
        }
        Ok(were_final)
    }

    fn oldest_pending(&self, trigger: TriggerId) -> Result<Option<Delivery>, StoreError> {
        self.view().oldest_pending(trigger)
    }

    /// In steps, so that nobody waits long when a partner's failure has left millions behind. The rest of
    /// one that is broken off is suppressed when its turn comes.
    fn withdraw(&self, trigger: TriggerId) -> Result<usize, StoreError> {
        let mut withdrawn = 0;
        loop {
            let _turn = self.writing();
            let view = self.view();
            let pending = view.some_pending(trigger, WITHDRAW_STEP)?;
            if pending.is_empty() {
                return Ok(withdrawn);
            }
            let mut draft = Draft::default();
            withdrawn += pending.len();
            for delivery in pending {
                draft.withdraw(delivery, Suppression::TriggerDeleted)?;
            }
            self.put(draft, DURABLE)?;
        }
    }

    fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.outbox().next_due())
    }

    fn record(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut draft = Draft::default();
        draft.changes(changes)?;
        let _turn = self.writing();
        let last_version = self.known().last_version;
        crate::in_sequence(last_version, changes.iter().map(|change| change.version))?;
        self.put(draft, DURABLE)?;
        let mut known = self.known_mut();
        known.last_version = last_version + changes.len() as u64;
        known.silent.note(changes);
        Ok(())
    }

    fn changes(&self) -> Result<Vec<Change>, StoreError> {
        self.view().all(Space::Changes).collect()
    }

    fn note_use(&self, key: KeyId, at: Timestamp) -> Result<(), StoreError> {
        let mut draft = Draft::default();
        draft.key_use(key, at)?;
        let _turn = self.writing();
        self.put(draft, PersistMode::Buffer)
    }

    fn key_uses(&self) -> Result<Vec<(KeyId, Timestamp)>, StoreError> {
        self.view().all(Space::KeyUses).collect()
    }

    fn put_costs(&self, days: &[CostDay]) -> Result<(), StoreError> {
        let mut draft = Draft::default();
        draft.costs(days)?;
        let _turn = self.writing();
        if draft.is_empty() { Ok(()) } else { self.put(draft, DURABLE) }
    }

    fn costs(&self, app: AppId, from: Day, to: Day) -> Result<Vec<CostDay>, StoreError> {
        self.view().costs(app, from, to)
    }

    fn scrub(&self, scrub: &Scrub) -> Result<(), StoreError> {
        let mut shelves = self.writing();
        let view = self.view();
        let mut draft = Draft::default();
        draft.scrub(&view, scrub)?;
        draft.scrub_quarantine(&mut shelves, scrub);
        if draft.is_empty() {
            return Ok(());
        }
        self.put(draft, DURABLE)
    }

    fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        self.view().all(Space::Jobs).collect()
    }

    fn tombstones(&self) -> Result<Vec<Tombstone>, StoreError> {
        self.view().all(Space::Tombstones).collect()
    }

    fn compact(&self) -> Result<(), StoreError> {
        self.give_up_older_versions()
    }

    fn last_sequence(&self) -> Result<u64, StoreError> {
        Ok(self.known().last_sequence)
    }

    fn facts(&self, first: u64, limit: usize) -> Result<Vec<Fact>, StoreError> {
        // Facts are large: growing would move them all again and again.
        let mut facts = Vec::with_capacity(limit.min(FACTS_ROOM));
        for fact in self.view().from(Space::Facts, key::number(first)).take(limit) {
            facts.push(fact?);
        }
        Ok(facts)
    }

    fn facts_back(&self, last: u64, limit: usize) -> Result<Vec<Fact>, StoreError> {
        self.view().back_from(Space::Facts, key::number(last)).take(limit).collect()
    }

    fn fact(&self, input: InputId) -> Result<Option<(Fact, Option<u64>)>, StoreError> {
        self.view().fact(input)
    }

    fn device(&self, app: AppId, key: &JoinKey) -> Result<Option<Device>, StoreError> {
        self.view().device(app, key)
    }

    fn devices(&self, app: AppId, after: Option<DeviceId>, limit: usize) -> Result<Vec<Device>, StoreError> {
        self.view().devices(app, after, limit)
    }

    fn digest_indexes(&self) -> Result<Vec<(AppId, DigestLength, DigestIndex)>, StoreError> {
        self.view().all(Space::DigestIndexes).collect()
    }

    fn install(
        &self,
        app: AppId,
        install: InstallId,
    ) -> Result<Option<(InstallRecord, Vec<Decision>)>, StoreError> {
        self.view().install(app, install)
    }

    fn installs(
        &self,
        app: AppId,
        after: Option<InstallId>,
        limit: usize,
    ) -> Result<Vec<(InstallRecord, Vec<Decision>)>, StoreError> {
        self.view().installs(app, after, limit)
    }

    fn timeline(&self, app: AppId, install: InstallId) -> Result<Vec<u64>, StoreError> {
        self.view().timeline(app, install)
    }

    fn aggregates(&self, app: AppId, before: Option<u64>, limit: usize) -> Result<Vec<Fact>, StoreError> {
        self.view().aggregates(app, before, limit)
    }

    fn delivery(&self, delivery: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        self.view().get(Space::Deliveries, key::delivery(delivery))
    }

    fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        self.view().deliveries(query)
    }

    fn quarantine(
        &self,
        app: Option<AppId>,
        after: Option<InputId>,
        limit: usize,
    ) -> Result<Vec<Quarantined>, StoreError> {
        self.view().quarantine(app, after, limit)
    }

    fn event_names(&self, app: AppId) -> Result<Vec<(String, EventName)>, StoreError> {
        self.view().event_names(app)
    }

    fn digest_lengths(&self) -> Result<Vec<(AppId, DigestLength, Timestamp)>, StoreError> {
        let all = self.view().all::<SentLength>(Space::DigestLengths);
        all.map(|sent| sent.map(|SentLength { app, length, since }| (app, length, since))).collect()
    }

    fn figures(&self) -> Result<Vec<(AppId, Figures)>, StoreError> {
        self.view().all(Space::Figures).collect()
    }

    fn tally(&self) -> Result<Tally, StoreError> {
        Ok(self.known().tally.clone())
    }
}

/// What a count says about how many deliveries are pending.
fn pending_in(counter: &Counter) -> i64 {
    match counter {
        Counter::Created => 1,
        Counter::Delivered | Counter::Dead | Counter::Withdrawn => -1,
        _ => 0,
    }
}

/// Whether a counter belongs to the counters of triggers.
const fn is_of_triggers(counter: &Counter) -> bool {
    matches!(counter, Counter::OfTrigger(..) | Counter::TriggersCountedSince)
}

/// Refuses a directory of another layout; marks a new one.
fn check_format(database: &Database, meta: &fjall::Keyspace, path: &Path) -> Result<(), StoreError> {
    let found = meta.get(key::FORMAT)?;
    let Some(found) = found else {
        meta.insert(key::FORMAT, FORMAT.encode()?)?;
        return Ok(database.persist(DURABLE)?);
    };
    match u64::decode(&found)? {
        FORMAT => Ok(()),
        other => Err(StoreError::Corrupt(format!(
            "{} has format {other}, this program knows format {FORMAT}: use the program that wrote it, or a \
             newer one",
            path.display()
        ))),
    }
}

fn not_opened(path: &Path, error: fjall::Error) -> StoreError {
    let path = path.display();
    match error {
        fjall::Error::Locked => {
            StoreError::Unavailable(format!("data directory {path} is in use by another process"))
        }
        fjall::Error::Io(error) => {
            StoreError::Unavailable(format!("data directory {path} cannot be used: {error}"))
        }
        error => match StoreError::from(error) {
            StoreError::Unavailable(why) | StoreError::Closed(why) => {
                StoreError::Unavailable(format!("data directory {path}: {why}"))
            }
            StoreError::Corrupt(why) => StoreError::Corrupt(format!("data directory {path}: {why}")),
        },
    }
}

impl From<fjall::Error> for StoreError {
    fn from(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
                Self::Unavailable(error.to_string())
            }
            fjall::Error::Poisoned => Self::Closed("an earlier write failed".to_owned()),
            fjall::Error::Locked => Self::Unavailable("in use by another process".to_owned()),
            error => Self::Corrupt(error.to_string()),
        }
    }
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
