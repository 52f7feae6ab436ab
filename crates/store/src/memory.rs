//! The backend in memory: plain ordered maps behind one lock. It is the oracle that other backends are
//! compared with, so it is written to be obviously right. Nothing survives the value; what is too old is
//! not returned but, quarantined bodies aside, still takes its space.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use measure::{
    AppId, DeliveryId, DeviceId, InputId, InstallId, JobId, KeyId, NetworkId, Timestamp, TouchId, TriggerId,
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
    policy::TOUCHES_PER_KEY_MAX,
    postback::{Delivery, DeliveryState, Suppression},
    privacy::{Job, Tombstone, erase_delivery},
    skad::AggregateKey,
};

use crate::{
    Ask, Batch, Context, Credit, DeliveryQuery, DigestIndex, EventName, Lease, LeaseAsk, Leased, Resend,
    Scrub, Seen, Settlement, Store, StoreError, expiry,
    outbox::{self, Chosen, Outbox, Queue, Queues, Silent, Spot},
    quarantine::Shelves,
};

/// Everything in memory.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
}

/// Under one match key, newest first, ties by what is given.
type Newest<Tie, Item> = BTreeMap<(Reverse<Timestamp>, Reverse<Tie>), Item>;

#[derive(Debug)]
struct State {
    horizon: Timestamp,
    facts: BTreeMap<u64, Fact>,
    inputs: BTreeMap<InputId, u64>,
    released: BTreeMap<InputId, u64>,
    devices: BTreeMap<(AppId, DeviceId), Device>,
    device_keys: BTreeMap<(AppId, JoinKey), DeviceId>,
    touches: BTreeMap<(AppId, MatchKey), Newest<(u64, TouchId), Touch>>,
    arrivals: BTreeMap<(AppId, MatchKey), Newest<InstallId, ()>>,
    held: BTreeMap<(AppId, JoinKey), BTreeMap<InputId, Timestamp>>,
    seen: BTreeMap<(AppId, IdempotencyKey), Seen>,
    installs: BTreeMap<(AppId, InstallId), InstallRecord>,
    decisions: BTreeMap<(AppId, InstallId), BTreeMap<u32, Decision>>,
    credits: BTreeMap<(AppId, TouchId), BTreeMap<InstallId, Credit>>,
    timeline: BTreeMap<(AppId, InstallId), BTreeSet<u64>>,
    aggregates: BTreeSet<(AppId, u64)>,
    counted: BTreeMap<(AppId, AggregateKey), u64>,
    deliveries: BTreeMap<DeliveryId, Delivery>,
    /// The last settled fence of each pending delivery.
    fences: BTreeMap<DeliveryId, u64>,
    queues: BTreeSet<(Queue, Spot)>,
    outbox: Outbox,
    silent: Silent,
    changes: BTreeMap<u64, Change>,
    quarantine: BTreeMap<(Option<AppId>, InputId), Quarantined>,
    shelves: Shelves,
    event_names: BTreeMap<(AppId, String), EventName>,
    digest_lengths: BTreeMap<(AppId, DigestLength), Timestamp>,
    digest_indexes: BTreeMap<(AppId, DigestLength), DigestIndex>,
    tally: Tally,
    figures: BTreeMap<AppId, Figures>,
    key_uses: BTreeMap<KeyId, Timestamp>,
    jobs: BTreeMap<JobId, Job>,
    tombstones: BTreeSet<Tombstone>,
    costs: BTreeMap<(AppId, Day, NetworkId), CostDay>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            horizon: expiry::BEFORE_ALL,
            facts: BTreeMap::new(),
            inputs: BTreeMap::new(),
            released: BTreeMap::new(),
            devices: BTreeMap::new(),
            device_keys: BTreeMap::new(),
            touches: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            held: BTreeMap::new(),
            seen: BTreeMap::new(),
            installs: BTreeMap::new(),
            decisions: BTreeMap::new(),
            credits: BTreeMap::new(),
            timeline: BTreeMap::new(),
            aggregates: BTreeSet::new(),
            counted: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            fences: BTreeMap::new(),
            queues: BTreeSet::new(),
            outbox: Outbox::default(),
            silent: Silent::default(),
            changes: BTreeMap::new(),
            quarantine: BTreeMap::new(),
            shelves: Shelves::default(),
            event_names: BTreeMap::new(),
            digest_lengths: BTreeMap::new(),
            digest_indexes: BTreeMap::new(),
            tally: Tally::new(),
            figures: BTreeMap::new(),
            key_uses: BTreeMap::new(),
            jobs: BTreeMap::new(),
            tombstones: BTreeSet::new(),
            costs: BTreeMap::new(),
        }
    }
}

impl Memory {
    /// A store that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets what a process forgets that ends.
    #[cfg(test)]
    pub(crate) fn restart(&self) {
        let state = &mut *self.state();
        state.outbox.restart(&state.queues);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn last_sequence(&self) -> u64 {
        self.facts.last_key_value().map_or(0, |(sequence, _)| *sequence)
    }

    fn context_of_people(&self, ask: &Ask, context: &mut Context) {
        for key in &ask.devices {
            if let Some(device) = self.device(key) {
                context.devices.insert(key.clone(), device.clone());
            }
        }
        for key in &ask.installs {
            let decision = self.decisions.get(key).and_then(BTreeMap::last_key_value);
            if let (Some(install), Some((_, decision))) = (self.installs.get(key), decision) {
                context.installs.insert(*key, (install.clone(), decision.clone()));
            }
        }
        for key in &ask.counted {
            context.counted.extend(self.counted.get(key).map(|sequence| (*key, *sequence)));
        }
        for key in &ask.held {
            let waiting = self.held.get(key).into_iter().flatten();
            let mut waiting: Vec<_> = waiting
                .filter(|(_, received)| **received >= expiry::oldest_held(self.horizon))
                .map(|(input, received)| (*received, *input))
                .collect();
            waiting.sort_unstable();
            if !waiting.is_empty() {
                context.held.insert(key.clone(), waiting.into_iter().map(|(_, input)| input).collect());
            }
        }
        for key in &ask.seen {
            let seen = self.seen.get(key);
            if let Some(seen) = seen.filter(|seen| seen.received >= expiry::oldest_seen(self.horizon)) {
                context.seen.insert(key.clone(), seen.clone());
            }
        }
    }

    fn context_of_touches(&self, ask: &Ask, context: &mut Context) {
        for (app, key, until) in &ask.touches {
            let oldest = expiry::oldest_touch(self.horizon, *until);
            let mut touches: Vec<_> = self
                .touches
                .get(&(*app, key.clone()))
                .into_iter()
                .flat_map(BTreeMap::values)
                .filter(|touch| touch.time <= *until && touch.time >= oldest)
                .cloned()
                .collect();
            let more = touches.len() > TOUCHES_PER_KEY_MAX;
            touches.truncate(TOUCHES_PER_KEY_MAX);
            context.add_touches((*app, key.clone()), touches, more);
        }
        for (app, key, since) in &ask.arrivals {
            let oldest = expiry::oldest_arrival(self.horizon).max(*since);
            let installs = self
                .arrivals
                .get(&(*app, key.clone()))
                .into_iter()
                .flat_map(BTreeMap::keys)
                .map(|(Reverse(installed), Reverse(install))| (*installed, *install))
                .filter(|(installed, _)| *installed >= oldest)
                .collect();
            context.add_arrivals((*app, key.clone()), installs);
        }
        for key in &ask.credits {
            if let Some(credits) = self.credits.get(key).filter(|credits| !credits.is_empty()) {
                let mut credits: Vec<_> = credits.values().copied().collect();
                credits.sort_unstable_by_key(|credit| (credit.installed, credit.install));
                context.credits.insert(*key, credits);
            }
        }
    }

    fn device(&self, key: &(AppId, JoinKey)) -> Option<&Device> {
        self.devices.get(&(key.0, *self.device_keys.get(key)?))
    }

    fn commit_record(&mut self, batch: &Batch) {
        for fact in &batch.facts {
            self.inputs.insert(fact.input.id, fact.sequence);
            self.facts.insert(fact.sequence, fact.clone());
        }
        self.released.extend(batch.released.iter().copied());
        for (app, install, sequence) in &batch.timeline {
            self.timeline.entry((*app, *install)).or_default().insert(*sequence);
        }
        for install in &batch.installs {
            self.installs.insert((install.app, install.id), install.clone());
        }
        for decision in &batch.decisions {
            let revisions = self.decisions.entry((decision.app, decision.install)).or_default();
            revisions.insert(decision.revision, decision.clone());
        }
        self.aggregates.extend(batch.aggregates.iter().copied());
        self.counted.extend(batch.counted.iter().map(|(app, key, sequence)| ((*app, *key), *sequence)));
        for (app, name, event_name) in &batch.event_names {
            self.event_names.insert((*app, name.clone()), *event_name);
        }
        let lengths = batch.digest_lengths.iter();
        self.digest_lengths.extend(lengths.map(|(app, length, since)| ((*app, *length), *since)));
        for (app, length, index) in &batch.digest_indexes {
            self.digest_indexes.insert((*app, *length), *index);
        }
        for (app, figures) in &batch.figures {
            self.figures.insert(*app, figures.clone());
        }
        for ((app, counter), n) in &batch.tally {
            *self.tally.entry((*app, counter.clone())).or_default() += n;
        }
    }

    fn commit_lookups(&mut self, batch: &Batch) {
        for device in &batch.devices {
            self.devices.insert((device.app, device.id), device.clone());
        }
        for (app, key, device, holds) in &batch.device_keys {
            let place = (*app, key.clone());
            if *holds {
                self.device_keys.insert(place, *device);
            } else if self.device_keys.get(&place) == Some(device) {
                self.device_keys.remove(&place);
            }
        }
        for (app, key, touch) in &batch.touches {
            let place = (Reverse(touch.time), Reverse((touch.content_key, touch.id)));
            self.touches.entry((*app, key.clone())).or_default().insert(place, touch.clone());
        }
        for (app, key, installed, install) in &batch.arrivals {
            let place = (Reverse(*installed), Reverse(*install));
            self.arrivals.entry((*app, key.clone())).or_default().insert(place, ());
        }
        for (app, key, input, received, waits) in &batch.held {
            let waiting = self.held.entry((*app, key.clone())).or_default();
            if *waits {
                waiting.insert(*input, *received);
            } else {
                waiting.remove(input);
            }
        }
        for (app, key, seen) in &batch.seen {
            self.seen.insert((*app, key.clone()), seen.clone());
        }
        for (app, touch, credit, won) in &batch.credits {
            let credits = self.credits.entry((*app, *touch)).or_default();
            if *won {
                credits.insert(credit.install, *credit);
            } else {
                credits.remove(&credit.install);
            }
        }
    }

    fn commit_deliveries(&mut self, batch: &Batch) {
        for delivery in &batch.deliveries {
            if self.deliveries.contains_key(&delivery.id) {
                continue;
            }
            self.deliveries.insert(delivery.id, delivery.clone());
            if delivery.state == DeliveryState::Pending {
                self.enqueue(delivery.id, 0);
            }
        }
        for id in &batch.superseded {
            self.withdraw(*id, Suppression::Superseded);
        }
    }

    fn commit_quarantine(&mut self, batch: &Batch) {
        for body in &batch.quarantine {
            self.shelves.put(body.app, body.id, body.into());
            self.quarantine.insert((body.app, body.id), body.clone());
        }
        for gone in self.shelves.evict(self.horizon) {
            self.quarantine.remove(&gone);
        }
    }

    fn scrub_record(&mut self, scrub: &Scrub) {
        for fact in &scrub.facts {
            if let Some(stored) = self.facts.get_mut(&fact.sequence)
                && stored.input.id == fact.input.id
            {
                *stored = fact.clone();
            }
        }
        for device in &scrub.devices {
            self.devices.insert((device.app, device.id), device.clone());
        }
        for install in &scrub.installs {
            self.installs.insert((install.app, install.id), install.clone());
        }
        for decision in &scrub.decisions {
            let revisions = self.decisions.entry((decision.app, decision.install)).or_default();
            revisions.insert(decision.revision, decision.clone());
        }
        for (app, figures) in &scrub.figures {
            self.figures.insert(*app, figures.clone());
        }
        self.tombstones.extend(scrub.tombstones.iter().copied());
        self.jobs.extend(scrub.job.iter().map(|job| (job.id, job.clone())));
        for id in &scrub.deliveries {
            self.withdraw(*id, Suppression::Erased);
            self.outbox.rewritten(*id);
            self.deliveries.get_mut(id).into_iter().for_each(erase_delivery);
        }
    }

    fn scrub_lookups(&mut self, scrub: &Scrub) {
        for (app, key, device) in &scrub.device_keys {
            let place = (*app, key.clone());
            if self.device_keys.get(&place) == Some(device) {
                self.device_keys.remove(&place);
            }
        }
        for (app, key, time, content, touch) in &scrub.touches {
            if let Some(touches) = self.touches.get_mut(&(*app, key.clone())) {
                touches.remove(&(Reverse(*time), Reverse((*content, *touch))));
            }
        }
        for (app, key, installed, install) in &scrub.arrivals {
            if let Some(arrivals) = self.arrivals.get_mut(&(*app, key.clone())) {
                arrivals.remove(&(Reverse(*installed), Reverse(*install)));
            }
        }
        for (app, key, input) in &scrub.held {
            if let Some(waiting) = self.held.get_mut(&(*app, key.clone())) {
                waiting.remove(input);
            }
        }
        for (app, key) in &scrub.seen {
            self.seen.remove(&(*app, key.clone()));
        }
        for (app, id) in &scrub.quarantine {
            self.shelves.remove(*app, *id);
            self.quarantine.remove(&(*app, *id));
        }
    }

    /// Puts a pending delivery into its queue.
    fn enqueue(&mut self, id: DeliveryId, fence: u64) {
        let Some(delivery) = self.deliveries.get(&id) else { return };
        self.queues.insert(outbox::place(delivery));
        self.fences.insert(id, fence);
        self.outbox.apply(&[(outbox::place(delivery), true)].into(), &self.queues);
    }

    /// Takes a delivery, as it was when it was pending, out of its queue.
    fn dequeue(&mut self, pending: &Delivery) {
        self.queues.remove(&outbox::place(pending));
        self.fences.remove(&pending.id);
        self.outbox.apply(&[(outbox::place(pending), false)].into(), &self.queues);
    }

    /// Suppresses a delivery. Whether it was pending.
    fn withdraw(&mut self, id: DeliveryId, reason: Suppression) -> bool {
        let Some(delivery) = self.deliveries.get_mut(&id) else { return false };
        let before = delivery.clone();
        let pending = outbox::withdraw(delivery, reason, &mut self.tally);
        if pending {
            self.dequeue(&before);
            self.outbox.rewritten(id);
        }
        pending
    }

    fn settle(&mut self, settlement: &Settlement) -> bool {
        let id = settlement.delivery;
        let Some(delivery) = self.deliveries.get_mut(&id) else { return false };
        if !self.outbox.is_held_by(id, settlement.fence) {
            return false;
        }
        let before = delivery.clone();
        let changed = outbox::settle(delivery, settlement, &mut self.tally);
        let pending = delivery.state == DeliveryState::Pending;
        if pending && !changed {
            self.outbox.hand_back(id);
            return true;
        }
        self.outbox.close(id);
        if before.state == DeliveryState::Pending {
            self.dequeue(&before);
        }
        if pending {
            self.enqueue(id, settlement.fence);
        }
        true
    }

    fn resend(&mut self, resend: &Resend) -> bool {
        let Some(delivery) = self.deliveries.get_mut(&resend.delivery) else { return false };
        let was_final = outbox::resend(delivery, resend, &mut self.tally);
        if was_final {
            self.enqueue(resend.delivery, 0);
        }
        was_final
    }

    fn take_on(&mut self, ask: &LeaseAsk) -> Result<Leased, StoreError> {
        let Chosen { places, next_due } = self.outbox.choose(ask, &self.silent, &self.queues)?;
        let mut leases = Vec::new();
        for place in places {
            let id = place.1.1;
            if self.silent.is_deleted(place.0.trigger) {
                self.withdraw(id, Suppression::TriggerDeleted);
                continue;
            }
            let Some(delivery) = self.deliveries.get(&id).cloned() else { continue };
            let settled = self.fences.get(&id).copied().unwrap_or_default();
            let fence = self.outbox.fence(id).max(settled) + 1;
            let lease = Lease::new(delivery, fence, ask.until);
            self.outbox.hold(place, &lease);
            leases.push(lease);
        }
        Ok(Leased { leases, next_due })
    }
}

impl Queues for BTreeSet<(Queue, Spot)> {
    fn spots(&self, queue: Queue, from: Spot) -> Box<dyn Iterator<Item = Result<Spot, StoreError>> + '_> {
        let rest = self.range((queue, from)..).take_while(move |(of, _)| *of == queue);
        Box::new(rest.map(|(_, spot)| Ok(*spot)))
    }
}

impl Store for Memory {
    fn context(&self, ask: &Ask) -> Result<Context, StoreError> {
        let state = self.state();
        let mut context = Context::default();
        state.context_of_people(ask, &mut context);
        state.context_of_touches(ask, &mut context);
        Ok(context)
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut state = self.state();
        crate::in_sequence(state.last_sequence(), batch.facts.iter().map(|fact| fact.sequence))?;
        state.horizon = expiry::advance(state.horizon, batch.now);
        state.commit_record(batch);
        state.commit_lookups(batch);
        state.commit_deliveries(batch);
        state.commit_quarantine(batch);
        Ok(())
    }

    /// What is in memory is as durable as it will ever be.
    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn take_on(&self, ask: &LeaseAsk) -> Result<Leased, StoreError> {
        self.state().take_on(ask)
    }

    fn sends(&self, trigger: TriggerId) -> bool {
        self.state().silent.sends(trigger)
    }

    fn resend(&self, resends: &[Resend]) -> Result<Vec<bool>, StoreError> {
        let mut state = self.state();
        Ok(resends.iter().map(|resend| state.resend(resend)).collect())
    }

    fn oldest_pending(&self, trigger: TriggerId) -> Result<Option<Delivery>, StoreError> {
        let state = self.state();
        let mut of_trigger = state.deliveries.values().filter(|delivery| delivery.trigger == trigger);
        Ok(of_trigger.find(|delivery| delivery.state == DeliveryState::Pending).cloned())
    }

    fn settle(&self, settlements: &[Settlement]) -> Result<Vec<bool>, StoreError> {
        let mut state = self.state();
        Ok(settlements.iter().map(|settlement| state.settle(settlement)).collect())
    }

    fn withdraw(&self, trigger: TriggerId) -> Result<usize, StoreError> {
        let mut state = self.state();
        let of_trigger = state.deliveries.values().filter(|delivery| delivery.trigger == trigger);
        let ids: Vec<_> = of_trigger.map(|delivery| delivery.id).collect();
        Ok(ids.into_iter().filter(|id| state.withdraw(*id, Suppression::TriggerDeleted)).count())
    }

    fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.state().outbox.next_due())
    }

    fn record(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut state = self.state();
        let last = state.changes.last_key_value().map_or(0, |(version, _)| *version);
        crate::in_sequence(last, changes.iter().map(|change| change.version))?;
        state.silent.note(changes);
        state.changes.extend(changes.iter().map(|change| (change.version, change.clone())));
        Ok(())
    }

    fn changes(&self) -> Result<Vec<Change>, StoreError> {
        Ok(self.state().changes.values().cloned().collect())
    }

    fn note_use(&self, key: KeyId, at: Timestamp) -> Result<(), StoreError> {
        self.state().key_uses.insert(key, at);
        Ok(())
    }

    fn key_uses(&self) -> Result<Vec<(KeyId, Timestamp)>, StoreError> {
        Ok(self.state().key_uses.iter().map(|(key, at)| (*key, *at)).collect())
    }

    fn put_costs(&self, days: &[CostDay]) -> Result<(), StoreError> {
        let place = |day: &CostDay| ((day.app, day.day, day.network), day.clone());
        self.state().costs.extend(days.iter().map(place));
        Ok(())
    }

    fn costs(&self, app: AppId, from: Day, to: Day) -> Result<Vec<CostDay>, StoreError> {
        let state = self.state();
        let asked = state.costs.iter().filter(|((of, day, _), _)| *of == app && (from..=to).contains(day));
        Ok(asked.map(|(_, day)| day.clone()).collect())
    }

    fn scrub(&self, scrub: &Scrub) -> Result<(), StoreError> {
        let mut state = self.state();
        state.scrub_record(scrub);
        state.scrub_lookups(scrub);
        Ok(())
    }

    fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        Ok(self.state().jobs.values().cloned().collect())
    }

    fn tombstones(&self) -> Result<Vec<Tombstone>, StoreError> {
        Ok(self.state().tombstones.iter().copied().collect())
    }

    fn compact(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn last_sequence(&self) -> Result<u64, StoreError> {
        Ok(self.state().last_sequence())
    }

    fn facts(&self, first: u64, limit: usize) -> Result<Vec<Fact>, StoreError> {
        Ok(self.state().facts.range(first..).take(limit).map(|(_, fact)| fact.clone()).collect())
    }

    fn facts_back(&self, last: u64, limit: usize) -> Result<Vec<Fact>, StoreError> {
        Ok(self.state().facts.range(..=last).rev().take(limit).map(|(_, fact)| fact.clone()).collect())
    }

    fn fact(&self, input: InputId) -> Result<Option<(Fact, Option<u64>)>, StoreError> {
        let state = self.state();
        let fact = state.inputs.get(&input).and_then(|sequence| state.facts.get(sequence));
        Ok(fact.map(|fact| (fact.clone(), state.released.get(&input).copied())))
    }

    fn device(&self, app: AppId, key: &JoinKey) -> Result<Option<Device>, StoreError> {
        Ok(self.state().device(&(app, key.clone())).cloned())
    }

    fn devices(&self, app: AppId, after: Option<DeviceId>, limit: usize) -> Result<Vec<Device>, StoreError> {
        let state = self.state();
        let of_app = state.devices.iter().filter(|((of, id), _)| *of == app && Some(*id) > after);
        Ok(of_app.take(limit).map(|(_, device)| device.clone()).collect())
    }

    fn digest_indexes(&self) -> Result<Vec<(AppId, DigestLength, DigestIndex)>, StoreError> {
        let state = self.state();
        Ok(state.digest_indexes.iter().map(|((app, length), index)| (*app, *length, *index)).collect())
    }

    fn install(
        &self,
        app: AppId,
        install: InstallId,
    ) -> Result<Option<(InstallRecord, Vec<Decision>)>, StoreError> {
        let state = self.state();
        let revisions = state.decisions.get(&(app, install)).into_iter().flat_map(BTreeMap::values);
        let record = state.installs.get(&(app, install));
        Ok(record.map(|record| (record.clone(), revisions.cloned().collect())))
    }

    fn installs(
        &self,
        app: AppId,
        after: Option<InstallId>,
        limit: usize,
    ) -> Result<Vec<(InstallRecord, Vec<Decision>)>, StoreError> {
        let state = self.state();
        let of_app = state.installs.iter().filter(|((of, id), _)| *of == app && Some(*id) > after);
        let with_decisions = of_app.map(|(key, record)| {
            let revisions = state.decisions.get(key).into_iter().flat_map(BTreeMap::values);
            (record.clone(), revisions.cloned().collect())
        });
        Ok(with_decisions.take(limit).collect())
    }

    fn timeline(&self, app: AppId, install: InstallId) -> Result<Vec<u64>, StoreError> {
        Ok(self.state().timeline.get(&(app, install)).into_iter().flatten().copied().collect())
    }

    fn aggregates(&self, app: AppId, before: Option<u64>, limit: usize) -> Result<Vec<Fact>, StoreError> {
        let state = self.state();
        let newest_first = state.aggregates.range((app, 0)..(app, before.unwrap_or(u64::MAX))).rev();
        let facts = newest_first.filter_map(|(_, sequence)| state.facts.get(sequence));
        Ok(facts.take(limit).cloned().collect())
    }

    fn delivery(&self, delivery: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        Ok(self.state().deliveries.get(&delivery).cloned())
    }

    fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        let state = self.state();
        let asked = state.deliveries.values().rev().filter(|delivery| query.covers(delivery));
        Ok(asked.take(query.limit).cloned().collect())
    }

    fn quarantine(
        &self,
        app: Option<AppId>,
        after: Option<InputId>,
        limit: usize,
    ) -> Result<Vec<Quarantined>, StoreError> {
        let state = self.state();
        let newest_first = state.quarantine.iter().rev();
        let asked = newest_first.filter(|((of, id), _)| *of == app && after.is_none_or(|after| *id < after));
        Ok(asked.take(limit).map(|(_, body)| body.clone()).collect())
    }

    fn event_names(&self, app: AppId) -> Result<Vec<(String, EventName)>, StoreError> {
        let state = self.state();
        let of_app = state.event_names.iter().filter(|((of, _), _)| *of == app);
        Ok(of_app.map(|((_, name), event_name)| (name.clone(), *event_name)).collect())
    }

    fn digest_lengths(&self) -> Result<Vec<(AppId, DigestLength, Timestamp)>, StoreError> {
        let state = self.state();
        Ok(state.digest_lengths.iter().map(|((app, length), since)| (*app, *length, *since)).collect())
    }

    fn figures(&self) -> Result<Vec<(AppId, Figures)>, StoreError> {
        Ok(self.state().figures.iter().map(|(app, figures)| (*app, figures.clone())).collect())
    }

    fn tally(&self) -> Result<Tally, StoreError> {
        Ok(self.state().tally.clone())
    }
}
