//! What is remembered.
//!
//! [`Store`] speaks in domain operations on batches: the engine asks for the [`Context`] of a batch and
//! commits what it brought about; the courier leases what is due and settles what became of it; everyone
//! else reads. Two backends stand behind it, [`Fjall`] on disk and [`Memory`]; both pass the one
//! conformance suite, [`conformance`], and so must any later one.
//!
//! Only `record.rs` and `key.rs` know bytes.

pub mod conformance;
pub mod expiry;
mod faulty;
mod fjall;
mod key;
mod memory;
mod outbox;
mod quarantine;
mod record;
mod scrub;

pub use faulty::Faulty;
pub use fjall::{Fjall, Options};
pub use memory::Memory;
pub use quarantine::{QUARANTINE_BODIES_MAX, QUARANTINE_BYTES_MAX};
pub use scrub::{Scrub, TouchPlace};

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use measure::{
    AppId, DeliveryId, InputId, InstallId, KeyId, Timestamp, TouchId, TriggerId,
    attribution::Decision,
    catalogue::Change,
    cost::{CostDay, Day},
    device::Device,
    engagement::{MatchKey, Touch},
    fraud::Figures,
    identifier::{DigestLength, JoinKey},
    input::{Fact, IdempotencyKey, Quarantined},
    install::InstallRecord,
    ledger::Tally,
    postback::{Attempt, Delivery, DeliveryState, Remade},
    privacy::{Job, Tombstone},
    skad::AggregateKey,
};
use thiserror::Error;

/// Why the store could not do what was asked. Every variant says what the caller does next.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The disk is full, failing or gone: answer 503 and try again later; page someone when it lasts.
    #[error("storage is unavailable: {0}")]
    Unavailable(String),
    /// A write failed, and no other is taken until the store is opened again: nothing can be relied on but
    /// what was acknowledged before. End the program, so that whoever supervises it starts it again.
    #[error("the store takes no more writes ({0}): see to the disk, then start the program again")]
    Closed(String),
    /// What is stored cannot be read, or what was to be added does not go on where it ends: do not try
    /// again, page someone.
    #[error("the stored record is not sound ({0}): the data directory is damaged or from a newer version")]
    Corrupt(String),
}

/// What a batch needs to know before it can be decided.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Devices, by what they can be looked up by.
    pub devices: Vec<(AppId, JoinKey)>,
    /// Touches: the newest [`measure::policy::TOUCHES_PER_KEY_MAX`] with `time <= until`, ties by
    /// descending content key, then identifier, none older than [`measure::policy::TOUCH_RETENTION_MS`] before `until` or
    /// before the newest commit. A key may be asked for with several times, by the installs of one batch:
    /// the answer holds what each would have got, merged, so whoever uses it takes the newest ones up to
    /// its own time.
    pub touches: Vec<(AppId, MatchKey, Timestamp)>,
    /// Installs that arrived under a match key with an install time of at least this, the earliest of
    /// them when a key is asked for several times.
    pub arrivals: Vec<(AppId, MatchKey, Timestamp)>,
    /// Inputs that wait for an install under a join key.
    pub held: Vec<(AppId, JoinKey)>,
    /// Idempotency keys.
    pub seen: Vec<(AppId, IdempotencyKey)>,
    /// Installs with their latest decision.
    pub installs: Vec<(AppId, InstallId)>,
    /// Modeled wins of touches, the earliest install first.
    pub credits: Vec<(AppId, TouchId)>,
    /// Aggregate postbacks.
    pub counted: Vec<(AppId, AggregateKey)>,
}

/// What is known about an [`Ask`]; what is not known is absent.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Devices by what they were asked for.
    pub devices: HashMap<(AppId, JoinKey), Device>,
    /// Touches, newest first; the flag says whether there were more than were loaded, for any of the
    /// times asked.
    pub touches: HashMap<(AppId, MatchKey), (Vec<Touch>, bool)>,
    /// Installs by match key, newest first.
    pub arrivals: HashMap<(AppId, MatchKey), Vec<(Timestamp, InstallId)>>,
    /// Waiting inputs, oldest first.
    pub held: HashMap<(AppId, JoinKey), Vec<InputId>>,
    /// Idempotency keys seen within [`measure::policy::IDEMPOTENCY_MS`].
    pub seen: HashMap<(AppId, IdempotencyKey), Seen>,
    /// Installs with their latest decision.
    pub installs: HashMap<(AppId, InstallId), (InstallRecord, Decision)>,
    /// Installs credited with a touch as modeled.
    pub credits: HashMap<(AppId, TouchId), Vec<Credit>>,
    /// The sequences of the facts that counted aggregate postbacks, however long ago.
    pub counted: HashMap<(AppId, AggregateKey), u64>,
}

impl Context {
    /// Adds the answer for one time that a key was asked for; several are merged.
    pub fn add_touches(&mut self, key: (AppId, MatchKey), touches: Vec<Touch>, more: bool) {
        if touches.is_empty() {
            return;
        }
        let (known, known_more) = self.touches.entry(key).or_default();
        *known_more |= more;
        if known.is_empty() {
            *known = touches;
        } else {
            known.extend(touches);
            known.sort_unstable_by_key(|touch| Reverse((touch.time, touch.content_key, touch.id)));
            known.dedup_by_key(|touch| (touch.time, touch.id));
        }
    }

    /// Adds the answer for one time that a key was asked for; the longest list holds all others.
    pub fn add_arrivals(&mut self, key: (AppId, MatchKey), installs: Vec<(Timestamp, InstallId)>) {
        if installs.is_empty() {
            return;
        }
        let known = self.arrivals.entry(key).or_default();
        if known.len() < installs.len() {
            *known = installs;
        }
    }
}

/// The first input that came with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Seen {
    /// That input.
    pub input: InputId,
    /// When it was received.
    pub received: Timestamp,
    /// The hash of its bytes: the same key with other bytes is a conflict.
    pub body_hash: [u8; 16],
}

/// An install credited with a touch as modeled (DECISIONS 19).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Credit {
    /// The install.
    pub install: InstallId,
    /// When it happened: the earliest is the one that may keep a single-use click.
    pub installed: Timestamp,
    /// Whether it was only refused the engagement, because that is credited once and an earlier install has
    /// it: when that one lets go, this one is asked again.
    #[serde(default)]
    pub waiting: bool,
}

/// Everything that one batch brings about: written as one or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The receipt time of the newest input: what is older than its retention before it may be dropped
    /// ([`expiry`] says how). The epoch in a batch without inputs.
    pub now: Timestamp,
    /// Facts, in order of their sequence numbers, which go on where the last commit ended; a commit whose
    /// numbers do not is refused as [`StoreError::Corrupt`].
    pub facts: Vec<Fact>,
    /// Devices as they are now.
    pub devices: Vec<Device>,
    /// New ways to look up a device (`true`; a key leads to one device, the last one named) and ways that
    /// no longer hold (`false`; a key that leads to another device by now stays as it is).
    pub device_keys: Vec<(AppId, JoinKey, measure::DeviceId, bool)>,
    /// Touches under their match keys.
    pub touches: Vec<(AppId, MatchKey, Touch)>,
    /// Installs under the match keys that a late engagement could find them by.
    pub arrivals: Vec<(AppId, MatchKey, Timestamp, InstallId)>,
    /// New installs.
    pub installs: Vec<InstallRecord>,
    /// New decisions and new revisions of old ones; earlier revisions are kept.
    pub decisions: Vec<Decision>,
    /// Inputs that wait (`true`) and that no longer do (`false`), under a join key, with their receipt
    /// times. They are kept for [`expiry::HELD_MS`].
    pub held: Vec<(AppId, JoinKey, InputId, Timestamp, bool)>,
    /// Idempotency keys; one that is known already is replaced.
    pub seen: Vec<(AppId, IdempotencyKey, Seen)>,
    /// Modeled wins (`true`) and wins taken back (`false`).
    pub credits: Vec<(AppId, TouchId, Credit, bool)>,
    /// Facts that tell of an install: the install's own, its events, links and revisions.
    pub timeline: Vec<(AppId, InstallId, u64)>,
    /// Facts that are aggregate postbacks, by their sequence.
    pub aggregates: Vec<(AppId, u64)>,
    /// Aggregate postbacks counted, and the sequence of the fact that counted them. They are kept for ever:
    /// a device may send one again nine days later.
    pub counted: Vec<(AppId, AggregateKey, u64)>,
    /// Held inputs and the sequence of the fact that released them.
    pub released: Vec<(InputId, u64)>,
    /// New deliveries. A delivery whose id exists already is left as it is.
    pub deliveries: Vec<Delivery>,
    /// Deliveries that a new decision replaces, those of this batch included: those still pending, leased
    /// or not, become suppressed, `superseded`, and are counted so.
    pub superseded: Vec<DeliveryId>,
    /// Event names seen for the first time, and whether an amount came with them.
    pub event_names: Vec<(AppId, String, EventName)>,
    /// Lengths of digests seen for the first time on links of an app, with the receipt of that link.
    pub digest_lengths: Vec<(AppId, DigestLength, Timestamp)>,
    /// How far the index of device digests has come, for apps whose identity links are hashed.
    pub digest_indexes: Vec<(AppId, DigestLength, DigestIndex)>,
    /// Bodies that could not be used. Per app the newest [`QUARANTINE_BODIES_MAX`] and
    /// [`QUARANTINE_BYTES_MAX`] are kept, for [`measure::policy::QUARANTINE_MS`] (DECISIONS 11).
    pub quarantine: Vec<Quarantined>,
    /// Counts to add.
    pub tally: Tally,
    /// What fraud rules count, by app, as of the facts of this batch: replaces what was there.
    pub figures: Vec<(AppId, Figures)>,
}

/// An event name on record (DECISIONS 35).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EventName {
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// Whether events of this name count as revenue.
    pub is_revenue: bool,
}

/// How far the devices of an app have been indexed by the digests of their identifiers. The index begins
/// with the first hashed identity link of the app; an app that never sends one pays nothing for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DigestIndex {
    /// The last device indexed; `None` before the first.
    pub after: Option<measure::DeviceId>,
    /// Whether every device that was there when the index began has been indexed.
    pub complete: bool,
}

/// A delivery taken on by a worker until `until`. Only the holder of the newest fence may settle it.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The delivery.
    pub delivery: Arc<Delivery>,
    /// Counts the leases of this delivery.
    pub fence: u64,
    /// When the lease ends and another worker may take the delivery on.
    pub until: Timestamp,
    rewritten: Arc<AtomicBool>,
}

impl Lease {
    pub(crate) fn new(delivery: Delivery, fence: u64, until: Timestamp) -> Self {
        Self { delivery: Arc::new(delivery), fence, until, rewritten: Arc::default() }
    }

    /// Whether the delivery is as it was leased. One that was withdrawn or erased since must not be sent. Never
    /// waits.
    #[must_use]
    pub fn stands(&self) -> bool {
        !self.rewritten.load(Ordering::Acquire)
    }
}

/// What a worker can take on.
#[derive(Clone, Debug)]
pub struct LeaseAsk {
    /// What is due by then.
    pub now: Timestamp,
    /// When the leases end.
    pub until: Timestamp,
    /// At most this many.
    pub limit: usize,
    /// At most this many of these versions of triggers.
    pub room: HashMap<(TriggerId, u32), usize>,
    /// At most this many of any other.
    pub room_each: usize,
    /// What is due after then is due now: no rule lets anything wait so long, so a clock must have been ahead
    /// when it was put down.
    pub far: Timestamp,
}

impl LeaseAsk {
    /// Whatever is due at `now`, at most `limit`, until `until`.
    #[must_use]
    pub fn any(now: Timestamp, until: Timestamp, limit: usize) -> Self {
        let far = Timestamp(i64::MAX);
        Self { now, until, limit, room: HashMap::new(), room_each: usize::MAX, far }
    }
}

/// What a worker has taken on.
#[derive(Clone, Debug, Default)]
pub struct Leased {
    /// The leases.
    pub leases: Vec<Lease>,
    /// When there is more, of triggers that there is still room for; `None` when nothing else waits. In the
    /// past when the limit cut it off.
    pub next_due: Option<Timestamp>,
}

/// A final delivery that is to be sent again.
#[derive(Clone, Debug)]
pub struct Resend {
    /// The delivery.
    pub delivery: DeliveryId,
    /// When it is due.
    pub due: Timestamp,
    /// How many more attempts it may take.
    pub attempts: u32,
    /// The identifier that partners see, when they are to take it for another one.
    pub sent_as: Option<DeliveryId>,
    /// What it sends instead of what it sent.
    pub remade: Option<Remade>,
}

/// What became of a leased delivery.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The fence of the lease.
    pub fence: u64,
    /// The attempt that was made; `None` when the target was refused before anything was sent.
    pub attempt: Option<Attempt>,
    /// The state it is in now.
    pub state: DeliveryState,
    /// Why, for dead and suppressed ones.
    pub reason: Option<String>,
    /// When it is due next, for pending ones.
    pub due: Timestamp,
}

/// Which deliveries are asked for (DECISIONS 30).
#[derive(Clone, Debug, Default)]
pub struct DeliveryQuery {
    /// Of this app. All deliveries of a trigger are of its app.
    pub app: Option<AppId>,
    /// Of this trigger.
    pub trigger: Option<TriggerId>,
    /// In this state.
    pub state: Option<DeliveryState>,
    /// Of this install.
    pub install: Option<InstallId>,
    /// After this one, in descending order of identifiers.
    pub after: Option<DeliveryId>,
    /// At most this many.
    pub limit: usize,
}

impl DeliveryQuery {
    /// Whether a delivery is one of those asked for.
    fn covers(&self, delivery: &Delivery) -> bool {
        self.app.is_none_or(|app| delivery.app == app)
            && self.trigger.is_none_or(|trigger| delivery.trigger == trigger)
            && self.state.is_none_or(|state| delivery.state == state)
            && self.install.is_none_or(|install| delivery.install == Some(install))
            && self.after.is_none_or(|after| delivery.id < after)
    }
}

/// Refuses numbers that do not go on where the record ends: writing them would overwrite it or leave a
/// hole in it.
fn in_sequence(last: u64, numbers: impl Iterator<Item = u64>) -> Result<(), StoreError> {
    for (expected, number) in (last + 1..).zip(numbers) {
        if number != expected {
            return Err(StoreError::Corrupt(format!("number {number} was to follow {}", expected - 1)));
        }
    }
    Ok(())
}

/// What is remembered, and how it is asked for. Every method blocks; callers in async code move it to a
/// blocking thread.
pub trait Store: Send + Sync + 'static {
    /// What is known about `ask`, as of the last commit.
    fn context(&self, ask: &Ask) -> Result<Context, StoreError>;

    /// Writes a batch: atomic, and seen by every reader when this returns, but durable only after the next
    /// [`Self::sync`]. Until then it may be gone after a power cut, with everything that was written after
    /// it: acknowledge nothing yet.
    fn write(&self, batch: &Batch) -> Result<(), StoreError>;

    /// Makes durable whatever was written before it began; batches may be written meanwhile. A failure is
    /// always [`StoreError::Closed`]: how much of what was written is there will be known when the store is
    /// opened again.
    fn sync(&self) -> Result<(), StoreError>;

    /// Writes a batch: atomic, and durable when this returns.
    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.write(batch)?;
        self.sync()
    }

    /// Takes on pending deliveries that are due: those of a trigger in order of their due times, first
    /// attempts apart from retries, which get a quarter as long as first attempts are due; triggers in equal
    /// parts; none of paused triggers. A lease that was not settled by its end is free again, and so is every
    /// lease of a process that has ended. Deliveries of deleted triggers are suppressed instead, so there may
    /// be fewer although more is due. What is handed out is durable: whoever meets written batches syncs them
    /// first, or fails.
    fn take_on(&self, ask: &LeaseAsk) -> Result<Leased, StoreError>;

    /// [`Self::take_on`] without any limit but one.
    fn lease(&self, now: Timestamp, until: Timestamp, limit: usize) -> Result<Vec<Lease>, StoreError> {
        Ok(self.take_on(&LeaseAsk::any(now, until, limit))?.leases)
    }

    /// Whether the deliveries of a trigger are sent: it is neither paused nor deleted. Never waits for the
    /// disk.
    fn sends(&self, trigger: TriggerId) -> bool;

    /// Records what became of leased deliveries, durably, and counts delivered, dead and suppressed ones.
    /// A settlement with an old fence, or of a lease that was settled before, changes nothing; the answer says
    /// for each whether it counted. A lease that has ended may still be settled while nobody else took the
    /// delivery on. Of a delivery that was withdrawn meanwhile the attempt is kept, and if it arrived it is
    /// `delivered`, with the reason of its withdrawal. Handing back a delivery as it was costs no write.
    fn settle(&self, settlements: &[Settlement]) -> Result<Vec<bool>, StoreError>;

    /// Suppresses the pending deliveries of a trigger that was deleted, leased or not, as
    /// `trigger_deleted`, durably, and counts them; the answer is how many there were. What is planned
    /// under an older catalogue afterwards is suppressed when its turn comes: [`Self::lease`] never hands
    /// out deliveries of triggers that [`Self::record`] has seen deleted (DECISIONS 7).
    fn withdraw(&self, trigger: TriggerId) -> Result<usize, StoreError>;

    /// Makes final deliveries pending again, durably, and takes them off the counts; the answer says for each
    /// whether it was final.
    fn resend(&self, resends: &[Resend]) -> Result<Vec<bool>, StoreError>;

    /// The oldest pending delivery of a trigger.
    fn oldest_pending(&self, trigger: TriggerId) -> Result<Option<Delivery>, StoreError>;

    /// When the next pending delivery is due, those of paused triggers included, or a lease ends; `None` when
    /// nothing is pending.
    fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Records changes of the catalogue, durably, in one commit. Versions go on where the last change
    /// ended, or nothing is recorded and the answer is [`StoreError::Corrupt`].
    fn record(&self, changes: &[Change]) -> Result<(), StoreError>;

    /// Every change of the catalogue, in order.
    fn changes(&self) -> Result<Vec<Change>, StoreError>;

    /// Notes that a management key was used. Not synced: a power cut may lose the last of them.
    fn note_use(&self, key: KeyId, at: Timestamp) -> Result<(), StoreError>;

    /// When management keys were last used, by their numbers; those that never were are absent.
    fn key_uses(&self) -> Result<Vec<(KeyId, Timestamp)>, StoreError>;

    /// Keeps what uploads say about costs, each in place of what was there for its app, day and network:
    /// atomic, and durable when this returns.
    fn put_costs(&self, days: &[CostDay]) -> Result<(), StoreError>;

    /// What uploads say about the costs of an app from one day to another, both included, by day and network.
    fn costs(&self, app: AppId, from: Day, to: Day) -> Result<Vec<CostDay>, StoreError>;

    /// Does one step of a privacy request: atomic, and durable when this returns.
    fn scrub(&self, scrub: &Scrub) -> Result<(), StoreError>;

    /// Every privacy request, oldest first.
    fn jobs(&self) -> Result<Vec<Job>, StoreError>;

    /// Who is to be refused, because their data was erased.
    fn tombstones(&self) -> Result<Vec<Tombstone>, StoreError>;

    /// Gives up every older version of what privacy requests have replaced or removed: it is in no file any
    /// more when this returns. Takes as long as reading and writing all of it does; meanwhile everything
    /// else goes on.
    fn compact(&self) -> Result<(), StoreError>;

    /// The sequence number of the last fact; 0 when there is none.
    fn last_sequence(&self) -> Result<u64, StoreError>;

    /// Facts from `first` on, at most `limit`, in order.
    fn facts(&self, first: u64, limit: usize) -> Result<Vec<Fact>, StoreError>;

    /// Facts up to and including `last`, at most `limit`, newest first.
    fn facts_back(&self, last: u64, limit: usize) -> Result<Vec<Fact>, StoreError>;

    /// The fact of an input, and the sequence of the fact that released it if it had been held.
    fn fact(&self, input: InputId) -> Result<Option<(Fact, Option<u64>)>, StoreError>;

    /// The device that a key leads to.
    fn device(&self, app: AppId, key: &JoinKey) -> Result<Option<Device>, StoreError>;

    /// Devices of an app in ascending order of identifiers, after `after`, at most `limit`.
    fn devices(
        &self,
        app: AppId,
        after: Option<measure::DeviceId>,
        limit: usize,
    ) -> Result<Vec<Device>, StoreError>;

    /// How far the digest indexes of all apps have come.
    fn digest_indexes(&self) -> Result<Vec<(AppId, DigestLength, DigestIndex)>, StoreError>;

    /// An install and every revision of its decision, oldest first.
    fn install(
        &self,
        app: AppId,
        install: InstallId,
    ) -> Result<Option<(InstallRecord, Vec<Decision>)>, StoreError>;

    /// Installs of an app with every revision of their decisions, in ascending order of identifiers, after
    /// `after`, at most `limit`.
    fn installs(
        &self,
        app: AppId,
        after: Option<InstallId>,
        limit: usize,
    ) -> Result<Vec<(InstallRecord, Vec<Decision>)>, StoreError>;

    /// The sequence numbers of the facts that tell of an install, in order.
    fn timeline(&self, app: AppId, install: InstallId) -> Result<Vec<u64>, StoreError>;

    /// Facts of an app that are aggregate postbacks, newest first, those before `before`, at most `limit`.
    fn aggregates(&self, app: AppId, before: Option<u64>, limit: usize) -> Result<Vec<Fact>, StoreError>;

    /// A delivery.
    fn delivery(&self, delivery: DeliveryId) -> Result<Option<Delivery>, StoreError>;

    /// Deliveries, newest first. Whatever is asked for, only what is answered is read, and a few for each trigger.
    fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError>;

    /// Quarantined bodies of an app (`None`: of unknown apps), newest first, after `after`.
    fn quarantine(
        &self,
        app: Option<AppId>,
        after: Option<InputId>,
        limit: usize,
    ) -> Result<Vec<Quarantined>, StoreError>;

    /// The event names of an app.
    fn event_names(&self, app: AppId) -> Result<Vec<(String, EventName)>, StoreError>;

    /// The lengths of digests that links of each app have carried, and since when.
    fn digest_lengths(&self) -> Result<Vec<(AppId, DigestLength, Timestamp)>, StoreError>;

    /// What fraud rules count, by app, as last written.
    fn figures(&self) -> Result<Vec<(AppId, Figures)>, StoreError>;

    /// Every counter as of the last commit.
    fn tally(&self) -> Result<Tally, StoreError>;
}

impl Batch {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
            && self.quarantine.is_empty()
            && self.tally.is_empty()
            && self.device_keys.is_empty()
            && self.digest_indexes.is_empty()
            && self.seen.is_empty()
    }
}
