//! Writing: everything of one commit, gathered first.
//!
//! A draft holds one value per key. That is more than convenience: two writes to one key in a fjall batch
//! carry the same number, and which of them wins is not defined.

use std::collections::BTreeMap;

use fjall::{Database, OwnedWriteBatch, PersistMode};
use measure::{
    DeliveryId, DeviceId, KeyId, Timestamp,
    catalogue::Change,
    cost::CostDay,
    engagement::Touch,
    input::Fact,
    ledger::Tally,
    postback::{Delivery, DeliveryState, Suppression},
    privacy::erase_delivery,
};

use super::{
    space::{Space, Spaces},
    view::{View, missing},
};
use crate::{
    Batch, Resend, Scrub, Settlement, StoreError, expiry,
    key::{self, Key},
    outbox::{self, Queue, Spot},
    quarantine::Shelves,
    record::{Record, SentLength},
};

/// What a commit is going to write.
#[derive(Default)]
pub(super) struct Draft {
    writes: BTreeMap<(Space, Key), Option<Vec<u8>>>,
    /// Counts to add.
    tally: Tally,
    /// The horizon afterwards, when it moves.
    pub horizon: Option<Timestamp>,
    /// Leases that are settled with it.
    pub closed: Vec<DeliveryId>,
    /// Leases that are handed back with it.
    pub handed_back: Vec<DeliveryId>,
}

impl Draft {
    /// Everything of a batch that depends on nothing stored.
    pub fn new(batch: &Batch) -> Result<Self, StoreError> {
        let mut draft = Self { tally: batch.tally.clone(), ..Self::default() };
        draft.facts(batch)?;
        draft.decisions(batch)?;
        draft.lookups(batch)?;
        draft.names(batch)?;
        Ok(draft)
    }

    /// Nothing but counts to add.
    pub fn counting(tally: Tally) -> Self {
        Self { tally, ..Self::default() }
    }

    fn put(&mut self, space: Space, key: Key, record: &impl Record) -> Result<(), StoreError> {
        self.writes.insert((space, key), Some(record.encode()?));
        Ok(())
    }

    /// Puts a key that says everything itself.
    fn mark(&mut self, space: Space, key: Key) {
        self.writes.insert((space, key), Some(Vec::new()));
    }

    fn remove(&mut self, space: Space, key: Key) {
        self.writes.insert((space, key), None);
    }

    /// What is stored once the draft is written.
    fn get<R: Record>(&self, view: &View<'_>, space: Space, key: Key) -> Result<Option<R>, StoreError> {
        let place = (space, key);
        match self.writes.get(&place) {
            Some(written) => written.as_deref().map(R::decode).transpose(),
            None => view.get(space, place.1),
        }
    }

    fn facts(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for fact in &batch.facts {
            self.put(Space::Facts, key::number(fact.sequence), fact)?;
            self.put(Space::Inputs, key::input(fact.input.id, key::Of::Fact), &fact.sequence)?;
        }
        for (input, sequence) in &batch.released {
            self.put(Space::Inputs, key::input(*input, key::Of::Release), sequence)?;
        }
        for (app, install, sequence) in &batch.timeline {
            self.mark(Space::Timeline, key::timeline(*app, *install, *sequence));
        }
        for (app, sequence) in &batch.aggregates {
            self.mark(Space::Aggregates, key::aggregate(*app, *sequence));
        }
        for (app, key, sequence) in &batch.counted {
            self.put(Space::Counted, key::counted(*app, *key), sequence)?;
        }
        Ok(())
    }

    fn decisions(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for install in &batch.installs {
            self.put(Space::Installs, key::install(install.app, install.id), install)?;
        }
        for decision in &batch.decisions {
            let key = key::decision(decision.app, decision.install, decision.revision);
            self.put(Space::Decisions, key, decision)?;
        }
        for (app, touch, credit, won) in &batch.credits {
            let key = key::credit(*app, *touch, credit.install);
            if *won {
                self.put(Space::Credits, key, credit)?;
            } else {
                self.remove(Space::Credits, key);
            }
        }
        Ok(())
    }

    fn lookups(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for device in &batch.devices {
            self.put(Space::Devices, key::device(device.app, device.id), device)?;
        }
        // A touch lies under several keys, one after the other.
        let mut last: Option<(&Touch, Vec<u8>)> = None;
        for (app, under, touch) in &batch.touches {
            let key = key::touch(*app, under, touch.time, touch.content_key, touch.id);
            let bytes = match last.take() {
                Some((same, bytes)) if same == touch => bytes,
                _ => touch.encode()?,
            };
            self.writes.insert((Space::Touches, key), Some(bytes.clone()));
            last = Some((touch, bytes));
        }
        for (app, under, installed, install) in &batch.arrivals {
            let key = key::arrival(*app, under, *installed, *install);
            self.put(Space::Arrivals, key, &(*installed, *install))?;
        }
        for (app, under, input, received, waits) in &batch.held {
            let key = key::held(*app, under, *input);
            if *waits {
                self.put(Space::Held, key, &(*received, *input))?;
            } else {
                self.remove(Space::Held, key);
            }
        }
        for (app, key, seen) in &batch.seen {
            self.put(Space::Seen, key::seen(*app, key), seen)?;
        }
        Ok(())
    }

    fn names(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for (app, name, event_name) in &batch.event_names {
            let key = key::event_name(*app, name);
            self.put(Space::EventNames, key, &(name.clone(), *event_name))?;
        }
        for (app, length, since) in batch.digest_lengths.iter().copied() {
            let sent = SentLength { app, length, since };
            self.put(Space::DigestLengths, key::digest_length(app, length), &sent)?;
        }
        for (app, length, index) in &batch.digest_indexes {
            let key = key::digest_length(*app, *length);
            self.put(Space::DigestIndexes, key, &(*app, *length, *index))?;
        }
        for (app, figures) in &batch.figures {
            self.put(Space::Figures, key::app(*app), &(*app, figures.clone()))?;
        }
        Ok(())
    }

    pub fn changes(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        changes.iter().try_for_each(|change| self.put(Space::Changes, key::number(change.version), change))
    }

    pub fn key_use(&mut self, key: KeyId, at: Timestamp) -> Result<(), StoreError> {
        self.put(Space::KeyUses, key::key_use(key), &(key, at))
    }

    pub fn device_keys(&mut self, view: &View<'_>, batch: &Batch) -> Result<(), StoreError> {
        for (app, join, device, holds) in &batch.device_keys {
            let key = key::join(*app, join);
            if *holds {
                self.put(Space::DeviceKeys, key, device)?;
            } else if self.get::<DeviceId>(view, Space::DeviceKeys, key.clone())? == Some(*device) {
                self.remove(Space::DeviceKeys, key);
            }
        }
        Ok(())
    }

    pub fn deliveries(&mut self, view: &View<'_>, batch: &Batch) -> Result<(), StoreError> {
        for delivery in &batch.deliveries {
            let key = key::delivery(delivery.id);
            let place = (Space::Deliveries, key.clone());
            if self.writes.contains_key(&place) || view.bytes(Space::Deliveries, &key)?.is_some() {
                continue;
            }
            self.put(Space::Deliveries, key, delivery)?;
            if let Some(install) = delivery.install {
                self.mark(Space::InstallDeliveries, key::install_delivery(install, delivery.id));
            }
            if delivery.state == DeliveryState::Pending {
                self.enqueue(delivery, 0)?;
            } else {
                self.file(delivery);
            }
        }
        for id in &batch.superseded {
            let delivery = self.get::<Delivery>(view, Space::Deliveries, key::delivery(*id))?;
            let Some(delivery) = delivery else { continue };
            self.withdraw(delivery, Suppression::Superseded)?;
        }
        Ok(())
    }

    pub fn costs(&mut self, days: &[CostDay]) -> Result<(), StoreError> {
        days.iter().try_for_each(|day| self.put(Space::Costs, key::cost(day.app, day.day, day.network), day))
    }

    /// Everything of a privacy request but what lies in quarantine.
    pub fn scrub(&mut self, view: &View<'_>, scrub: &Scrub) -> Result<(), StoreError> {
        for fact in &scrub.facts {
            let key = key::number(fact.sequence);
            let stored = view.get::<Fact>(Space::Facts, &key)?;
            if stored.is_some_and(|stored| stored.input.id == fact.input.id) {
                self.put(Space::Facts, key, fact)?;
            }
        }
        for device in &scrub.devices {
            self.put(Space::Devices, key::device(device.app, device.id), device)?;
        }
        for (app, join, device) in &scrub.device_keys {
            let key = key::join(*app, join);
            if view.get::<DeviceId>(Space::DeviceKeys, &key)? == Some(*device) {
                self.remove(Space::DeviceKeys, key);
            }
        }
        for install in &scrub.installs {
            self.put(Space::Installs, key::install(install.app, install.id), install)?;
        }
        for decision in &scrub.decisions {
            let key = key::decision(decision.app, decision.install, decision.revision);
            self.put(Space::Decisions, key, decision)?;
        }
        for (app, figures) in &scrub.figures {
            self.put(Space::Figures, key::app(*app), &(*app, figures.clone()))?;
        }
        for tombstone in &scrub.tombstones {
            self.put(Space::Tombstones, key::tombstone(tombstone), tombstone)?;
        }
        if let Some(job) = &scrub.job {
            self.put(Space::Jobs, key::job(job.id), job)?;
        }
        self.unfile_scrubbed(scrub);
        self.scrub_deliveries(view, &scrub.deliveries)
    }

    fn unfile_scrubbed(&mut self, scrub: &Scrub) {
        for (app, under, time, content, touch) in &scrub.touches {
            self.remove(Space::Touches, key::touch(*app, under, *time, *content, *touch));
        }
        for (app, under, installed, install) in &scrub.arrivals {
            self.remove(Space::Arrivals, key::arrival(*app, under, *installed, *install));
        }
        for (app, under, input) in &scrub.held {
            self.remove(Space::Held, key::held(*app, under, *input));
        }
        for (app, key) in &scrub.seen {
            self.remove(Space::Seen, key::seen(*app, key));
        }
    }

    fn scrub_deliveries(&mut self, view: &View<'_>, ids: &[DeliveryId]) -> Result<(), StoreError> {
        for id in ids {
            let place = || key::delivery(*id);
            let Some(delivery) = view.get::<Delivery>(Space::Deliveries, place())? else { continue };
            self.withdraw(delivery.clone(), Suppression::Erased)?;
            let mut left = self.get::<Delivery>(view, Space::Deliveries, place())?.unwrap_or(delivery);
            erase_delivery(&mut left);
            self.put(Space::Deliveries, place(), &left)?;
        }
        Ok(())
    }

    /// Takes bodies out of quarantine. Comes last, as [`Self::quarantine`] does and for its reason.
    pub fn scrub_quarantine(&mut self, shelves: &mut Shelves, scrub: &Scrub) {
        for (app, id) in &scrub.quarantine {
            shelves.remove(*app, *id);
            self.remove(Space::Shelves, key::quarantined(*app, *id));
            self.remove(Space::Quarantine, key::quarantined(*app, *id));
        }
    }

    /// Moves the horizon. What holds nothing else writes it as it is: whoever commits an empty batch wants
    /// to know whether writes work.
    pub fn advance(&mut self, view: &View<'_>, now: Timestamp) -> Result<(), StoreError> {
        let horizon = expiry::advance(view.horizon, now);
        if horizon != view.horizon || self.is_empty() {
            self.horizon = Some(horizon);
            self.put(Space::Meta, key::HORIZON.to_vec(), &horizon)?;
        }
        Ok(())
    }

    /// Comes last, because it changes the shelves, which nothing but a failure to write may follow: after
    /// one, nothing more is written and the shelves are not used again.
    pub fn quarantine(
        &mut self,
        shelves: &mut Shelves,
        view: &View<'_>,
        batch: &Batch,
    ) -> Result<(), StoreError> {
        for body in &batch.quarantine {
            let key = key::quarantined(body.app, body.id);
            self.put(Space::Shelves, key.clone(), &(body.app, body.id, body.into()))?;
            self.put(Space::Quarantine, key, body)?;
        }
        for body in &batch.quarantine {
            shelves.put(body.app, body.id, body.into());
        }
        for (app, id) in shelves.evict(self.horizon.unwrap_or(view.horizon)) {
            self.remove(Space::Shelves, key::quarantined(app, id));
            self.remove(Space::Quarantine, key::quarantined(app, id));
        }
        Ok(())
    }

    /// Suppresses a delivery, if it is pending.
    pub fn withdraw(&mut self, mut delivery: Delivery, reason: Suppression) -> Result<(), StoreError> {
        let before = outbox::place(&delivery);
        if outbox::withdraw(&mut delivery, reason, &mut self.tally) {
            self.put(Space::Deliveries, key::delivery(delivery.id), &delivery)?;
            self.dequeue(before);
            self.file(&delivery);
        }
        Ok(())
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Settles a lease that is held, of `leased` if nothing has changed that since.
    pub fn settle(
        &mut self,
        view: &View<'_>,
        settlement: &Settlement,
        leased: Option<&Delivery>,
    ) -> Result<(), StoreError> {
        let id = settlement.delivery;
        let delivery = match leased {
            Some(leased) => Some(leased.clone()),
            None => self.get::<Delivery>(view, Space::Deliveries, key::delivery(id))?,
        };
        let mut delivery = delivery.ok_or_else(|| missing(id))?;
        let before = (delivery.state == DeliveryState::Pending).then(|| outbox::place(&delivery));
        let was = delivery.state;
        let changed = outbox::settle(&mut delivery, settlement, &mut self.tally);
        let pending = delivery.state == DeliveryState::Pending;
        if pending && !changed {
            self.handed_back.push(id);
            return Ok(());
        }
        self.closed.push(id);
        if changed || before.is_some() {
            self.put(Space::Deliveries, key::delivery(id), &delivery)?;
        }
        if let Some(before) = before {
            self.dequeue(before);
        }
        if pending {
            self.enqueue(&delivery, settlement.fence)?;
        } else if delivery.state != was {
            self.unfile(&delivery, was);
            self.file(&delivery);
        }
        Ok(())
    }

    /// Makes a delivery pending again, if it is final. Whether it was.
    pub fn resend(&mut self, view: &View<'_>, resend: &Resend) -> Result<bool, StoreError> {
        let key = key::delivery(resend.delivery);
        let delivery = self.get::<Delivery>(view, Space::Deliveries, key.clone())?;
        let Some(mut delivery) = delivery else { return Ok(false) };
        let was = delivery.state;
        let was_final = outbox::resend(&mut delivery, resend, &mut self.tally);
        if was_final {
            self.put(Space::Deliveries, key, &delivery)?;
            self.unfile(&delivery, was);
            self.enqueue(&delivery, 0)?;
        }
        Ok(was_final)
    }

    /// Puts a pending delivery into its queue.
    pub fn enqueue(&mut self, delivery: &Delivery, fence: u64) -> Result<(), StoreError> {
        let (queue, spot) = outbox::place(delivery);
        self.mark(Space::Queues, key::place(queue, spot));
        self.put(Space::Pending, key::pending(queue.trigger, delivery.id), &fence)
    }

    /// Lists a final delivery under its trigger and state.
    pub fn file(&mut self, delivery: &Delivery) {
        self.mark(Space::Settled, key::settled(delivery.trigger, delivery.state, delivery.id));
    }

    /// Takes a delivery off the list of a state that it was in; pending ones are on none.
    fn unfile(&mut self, delivery: &Delivery, was: DeliveryState) {
        if was != DeliveryState::Pending {
            self.remove(Space::Settled, key::settled(delivery.trigger, was, delivery.id));
        }
    }

    /// Says that every final delivery is listed.
    pub fn all_filed(&mut self) -> Result<(), StoreError> {
        self.put(Space::Meta, key::SETTLED.to_vec(), &1_u64)
    }

    fn dequeue(&mut self, (queue, spot): (Queue, Spot)) {
        self.remove(Space::Queues, key::place(queue, spot));
        self.remove(Space::Pending, key::pending(queue.trigger, spot.1));
    }

    /// Puts the counters that change, which are kept as absolute values; `tally` is how they stand.
    pub fn count(&mut self, tally: &Tally) -> Result<Tally, StoreError> {
        let mut counted = Tally::new();
        for ((app, counter), n) in std::mem::take(&mut self.tally) {
            let place = (app, counter);
            let n = n + tally.get(&place).copied().unwrap_or_default();
            self.put(Space::Tally, key::counter(app, &place.1), &(app, place.1.clone(), n))?;
            counted.insert(place, n);
        }
        Ok(counted)
    }

    /// The deliveries that are written.
    pub fn deliveries_written(&self) -> Vec<DeliveryId> {
        let changes =
            self.writes.range((Space::Deliveries, Key::new())..(Space::InstallDeliveries, Key::new()));
        changes.filter_map(|((_, key), _)| key::to_delivery(key)).collect()
    }

    /// The places that come (`true`) and go (`false`).
    pub fn moves(&self) -> BTreeMap<(Queue, Spot), bool> {
        let changes = self.writes.range((Space::Queues, Key::new())..(Space::Pending, Key::new()));
        changes.filter_map(|((_, key), value)| Some((key::to_place(key)?, value.is_some()))).collect()
    }

    /// Writes it all, or nothing.
    pub fn write(self, database: &Database, spaces: &Spaces, mode: PersistMode) -> Result<(), StoreError> {
        let mut batch =
            OwnedWriteBatch::with_capacity(database.clone(), self.writes.len()).durability(Some(mode));
        for ((space, key), value) in self.writes {
            match value {
                Some(value) => batch.insert(spaces.at(space), key, value),
                None => batch.remove(spaces.at(space), key),
            }
        }
        // Whatever went wrong, fjall takes no more writes afterwards.
        batch.commit().map_err(|error| StoreError::Closed(error.to_string()))
    }
}
