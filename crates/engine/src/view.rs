//! What is known while a batch is being decided: the last commit, with what the batch has brought about
//! so far on top. Later inputs of a batch see earlier ones as if they had been committed, so the cut into
//! batches never shows in a decision.

use std::collections::{BTreeSet, HashMap};

use measure::{
    AppId, DeviceId, InputId, InstallId, Timestamp, TouchId, TriggerId,
    attribution::Decision,
    catalogue::Catalogue,
    claim::Claim,
    device::Device,
    engagement::{Engagement, MatchKey, Touch},
    event::Event,
    identifier::JoinKey,
    input::{Fact, IdempotencyKey, Input, Outcome, Payload, Suppressed},
    install::InstallRecord,
    ledger::{Counter, Share, count, count_pairs},
    policy::{IDEMPOTENCY_MS, TOUCHES_PER_KEY_MAX},
    postback::{Attempt, Delivery, DeliveryState, Plan, Suppression, TriggerKind, delivery_id},
    skad::AggregateKey,
};
use store::{Ask, Batch, Context, Credit, DeliveryQuery, EventName, Seen, Store, StoreError};
use uuid::Uuid;

use crate::{
    past::Sent,
    recent::{Known, RecentDevices},
};

/// Facts of one device that are looked through for an earlier event of a name, newest first.
pub(crate) const TIMELINE_READ_MAX: usize = 1_000;

/// A map whose keys nobody outside can choose so that they collide: its hashes are seeded when the program starts.
pub(crate) type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

type Touches = (Timestamp, Vec<Touch>, bool);

/// What a batch brings about.
pub(crate) struct Brought {
    pub batch: Batch,
    /// What is known of devices once it is written.
    pub known: Known,
    pub next_sequence: u64,
}

/// A conversion, and where what was said of it is filed.
#[derive(Clone, Copy)]
pub(crate) struct About {
    pub app: AppId,
    pub install: InstallId,
    /// The install itself, or an event of it.
    pub conversion: InputId,
    /// When that was received.
    pub received: Timestamp,
}

impl About {
    pub(crate) fn install(record: &InstallRecord) -> Self {
        Self { app: record.app, install: record.id, conversion: record.id.into(), received: record.received }
    }

    pub(crate) const fn event(input: &Input, device: &Device) -> Self {
        Self { app: input.app, install: device.install, conversion: input.id, received: input.received }
    }
}

/// Whom the postbacks of a conversion's earlier revisions have reached.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Those postbacks, as of the last commit.
    stored: Vec<Delivery>,
    /// The triggers that sent one, or may have.
    pub told: Vec<TriggerId>,
    /// Those of which one waits that has certainly not been sent.
    pub unsent: Vec<TriggerId>,
}

pub(crate) struct View<'s> {
    store: &'s dyn Store,
    recent: &'s mut RecentDevices,
    device_of: Map<(AppId, JoinKey), Option<DeviceId>>,
    devices: Map<DeviceId, Device>,
    changed: BTreeSet<DeviceId>,
    touches: Map<(AppId, MatchKey), Touches>,
    /// Where in the batch the touches under a key are.
    new_touches: Map<(AppId, MatchKey), Vec<usize>>,
    new_arrivals: Map<(AppId, MatchKey), Vec<(Timestamp, InstallId)>>,
    new_installs: Map<InstallId, usize>,
    held: Map<(AppId, JoinKey), Vec<InputId>>,
    seen: Map<(AppId, IdempotencyKey), Option<Seen>>,
    credits: Map<(AppId, TouchId), Vec<Credit>>,
    counted: Map<(AppId, AggregateKey), bool>,
    new_engagements: Map<TouchId, Engagement>,
    new_claims: Map<TouchId, Claim>,
    new_facts: Map<InputId, usize>,
    redecided: Map<InputId, Outcome>,
    next_sequence: u64,
    batch: Batch,
}

impl<'s> View<'s> {
    /// A view on the last commit, with everything `ask` names loaded in one go.
    pub(crate) fn open(
        store: &'s dyn Store,
        recent: &'s mut RecentDevices,
        next_sequence: u64,
        mut ask: Ask,
    ) -> Result<Self, StoreError> {
        ask.devices.retain(|place| !recent.keep(place));
        let mut view = Self {
            store,
            recent,
            device_of: Map::default(),
            devices: Map::default(),
            changed: BTreeSet::new(),
            touches: Map::default(),
            new_touches: Map::default(),
            new_arrivals: Map::default(),
            new_installs: Map::default(),
            held: Map::default(),
            seen: Map::default(),
            credits: Map::default(),
            counted: Map::default(),
            new_engagements: Map::default(),
            new_claims: Map::default(),
            new_facts: Map::default(),
            redecided: Map::default(),
            next_sequence,
            batch: Batch::default(),
        };
        view.load(ask)?;
        Ok(view)
    }

    fn load(&mut self, ask: Ask) -> Result<(), StoreError> {
        let Context { devices, mut touches, mut held, mut seen, mut credits, counted, .. } =
            self.store.context(&ask)?;
        for key in ask.devices {
            let found = devices.get(&key).map(|device| device.id);
            self.device_of.entry(key).or_insert(found);
        }
        for (_, device) in devices {
            self.devices.entry(device.id).or_insert(device);
        }
        // A key may be asked for twice, though not with two times: what was loaded is with the first.
        for (app, key, until) in ask.touches {
            let place = (app, key);
            let known = self.touches.get(&place).is_some_and(|(loaded_until, ..)| *loaded_until == until);
            match touches.remove(&place) {
                None if known => {}
                found => {
                    let (loaded, more) = found.unwrap_or_default();
                    self.touches.insert(place, (until, loaded, more));
                }
            }
        }
        for key in ask.held {
            let found = held.remove(&key);
            self.held.entry(key).or_insert_with(|| found.unwrap_or_default());
        }
        for key in ask.seen {
            let found = seen.remove(&key);
            self.seen.entry(key).or_insert(found);
        }
        for key in ask.counted {
            self.counted.entry(key).or_insert_with(|| counted.contains_key(&key));
        }
        for key in ask.credits {
            let found = credits.remove(&key);
            self.credits.entry(key).or_insert_with(|| found.unwrap_or_default());
        }
        Ok(())
    }

    // ---- reading

    /// The device that the first of `keys` with a hit leads to (DECISIONS 13).
    pub(crate) fn device_by(&mut self, app: AppId, keys: &[JoinKey]) -> Result<Option<Device>, StoreError> {
        for key in keys {
            if let Some(id) = self.owner(app, key)? {
                return Ok(self.at_hand(id).cloned());
            }
        }
        Ok(None)
    }

    /// A device by its own identifier, for installs that no look-up leads to.
    pub(crate) fn device(&self, app: AppId, id: DeviceId) -> Result<Option<Device>, StoreError> {
        if let Some(device) = self.at_hand(id) {
            return Ok(Some(device.clone()));
        }
        let before = DeviceId(Uuid::from_u128(id.0.as_u128().wrapping_sub(1)));
        let next = self.store.devices(app, Some(before), 1)?.pop();
        Ok(next.filter(|device| device.id == id))
    }

    /// The device that `key` belongs to.
    pub(crate) fn owner(&mut self, app: AppId, key: &JoinKey) -> Result<Option<DeviceId>, StoreError> {
        let place = (app, key.clone());
        if let Some(known) = self.device_of.get(&place) {
            return Ok(*known);
        }
        if let Some(id) = self.recent.owner(&place) {
            return Ok(Some(id));
        }
        self.load(Ask { devices: vec![place.clone()], ..Ask::default() })?;
        Ok(self.device_of.get(&place).copied().flatten())
    }

    /// A device that was loaded or changed, or that an earlier batch left at hand.
    pub(crate) fn at_hand(&self, id: DeviceId) -> Option<&Device> {
        self.devices.get(&id).or_else(|| self.recent.device(id))
    }

    /// Loads the touches under `keys` in one go, as far as they are not at hand.
    pub(crate) fn load_touches(
        &mut self,
        app: AppId,
        keys: &[MatchKey],
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let missing = keys.iter().filter(|key| {
            let loaded = self.touches.get(&(app, (*key).clone()));
            loaded.is_none_or(|(loaded_until, ..)| *loaded_until != until)
        });
        let touches: Vec<_> = missing.map(|key| (app, key.clone(), until)).collect();
        if touches.is_empty() { Ok(()) } else { self.load(Ask { touches, ..Ask::default() }) }
    }

    /// The newest touches under `key` that are not later than `until`, and whether there are more.
    pub(crate) fn touches(
        &mut self,
        app: AppId,
        key: &MatchKey,
        until: Timestamp,
    ) -> Result<(Vec<Touch>, bool), StoreError> {
        let place = (app, key.clone());
        if self.touches.get(&place).is_none_or(|(loaded_until, ..)| *loaded_until != until) {
            self.load(Ask { touches: vec![(app, key.clone(), until)], ..Ask::default() })?;
        }
        let (mut touches, mut more) =
            self.touches.get(&place).map(|(_, touches, more)| (touches.clone(), *more)).unwrap_or_default();
        if let Some(new) = self.new_touches.get(&place) {
            let new = new.iter().filter_map(|place| self.batch.touches.get(*place)).map(|(.., touch)| touch);
            touches.extend(new.filter(|touch| touch.time <= until).cloned());
            touches.sort_by_key(|touch| std::cmp::Reverse((touch.time, touch.content_key, touch.id)));
            more |= touches.len() > TOUCHES_PER_KEY_MAX;
            touches.truncate(TOUCHES_PER_KEY_MAX);
        }
        Ok((touches, more))
    }

    /// Installs of at least `since` that a late engagement with one of `keys` could belong to, as of the
    /// last commit and in this batch.
    pub(crate) fn arrivals(
        &self,
        app: AppId,
        keys: &[MatchKey],
        since: Timestamp,
    ) -> Result<BTreeSet<InstallId>, StoreError> {
        let ask =
            Ask { arrivals: keys.iter().map(|key| (app, key.clone(), since)).collect(), ..Ask::default() };
        let known = self.store.context(&ask)?.arrivals;
        let new = keys.iter().filter_map(|key| self.new_arrivals.get(&(app, key.clone()))).flatten().copied();
        let installs = known.into_values().flatten().chain(new);
        Ok(installs.filter(|(installed, _)| *installed >= since).map(|(_, install)| install).collect())
    }

    /// An install with its latest decision.
    pub(crate) fn install(
        &self,
        app: AppId,
        install: InstallId,
    ) -> Result<Option<(InstallRecord, Decision)>, StoreError> {
        let newest = self.batch.decisions.iter().rev().find(|decision| decision.install == install).cloned();
        if let Some(record) =
            self.new_installs.get(&install).and_then(|place| self.batch.installs.get(*place))
        {
            return Ok(newest.map(|decision| (record.clone(), decision)));
        }
        let found = self.store.install(app, install)?;
        Ok(found.and_then(|(record, mut decisions)| Some((record, newest.or(decisions.pop())?))))
    }

    /// What an event is attributed to as of now: the last outcome that tells of it.
    pub(crate) fn event_outcome(&self, event: InputId) -> Result<Option<Outcome>, StoreError> {
        let tells = |outcome: &&Outcome| {
            matches!(outcome, Outcome::EventLinked { input, .. } | Outcome::EventRedecided { input, .. }
                if *input == event)
        };
        if let Some(outcome) = self.redecided.get(&event) {
            return Ok(Some(outcome.clone()));
        }
        let last = |fact: &Fact| fact.outcomes.iter().rev().find(tells).cloned();
        if let Some(found) = self.batch.facts.iter().rev().find_map(last) {
            return Ok(Some(found));
        }
        let Some((fact, released)) = self.store.fact(event)? else { return Ok(None) };
        let released = match released {
            Some(sequence) => self.store.facts(sequence, 1)?.pop(),
            None => None,
        };
        Ok(released.as_ref().and_then(last).or_else(|| last(&fact)))
    }

    /// The newest events of an install that came with facts received at `since` or later, at most `limit`.
    pub(crate) fn events_of(
        &self,
        app: AppId,
        install: InstallId,
        since: Timestamp,
        limit: usize,
    ) -> Result<BTreeSet<InputId>, StoreError> {
        let mut found = BTreeSet::new();
        let mut look_at = |fact: &Fact| {
            for outcome in &fact.outcomes {
                if let Outcome::EventLinked { input, install: of, .. } = outcome
                    && *of == install
                {
                    found.insert(*input);
                }
            }
            fact.input.received >= since && found.len() < limit
        };
        for fact in self.batch.facts.iter().rev() {
            look_at(fact);
        }
        for sequence in self.store.timeline(app, install)?.into_iter().rev() {
            let Some(fact) = self.store.facts(sequence, 1)?.pop() else { continue };
            if !look_at(&fact) {
                break;
            }
        }
        Ok(found.into_iter().take(limit).collect())
    }

    /// Inputs that wait under `key`.
    pub(crate) fn held(&mut self, app: AppId, key: &JoinKey) -> Result<Vec<InputId>, StoreError> {
        let place = (app, key.clone());
        if !self.held.contains_key(&place) {
            self.load(Ask { held: vec![place.clone()], ..Ask::default() })?;
        }
        Ok(self.held.get(&place).cloned().unwrap_or_default())
    }

    /// The first input that came with `key` within the time that keys are remembered.
    pub(crate) fn seen(
        &mut self,
        app: AppId,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<Option<Seen>, StoreError> {
        let place = (app, key.clone());
        if !self.seen.contains_key(&place) {
            self.load(Ask { seen: vec![place.clone()], ..Ask::default() })?;
        }
        let seen = self.seen.get(&place).cloned().flatten();
        Ok(seen.filter(|seen| now.since(seen.received) <= IDEMPOTENCY_MS))
    }

    /// Whether an aggregate postback was counted before.
    pub(crate) fn counted(&mut self, app: AppId, key: AggregateKey) -> Result<bool, StoreError> {
        if !self.counted.contains_key(&(app, key)) {
            self.load(Ask { counted: vec![(app, key)], ..Ask::default() })?;
        }
        Ok(self.counted.get(&(app, key)).copied().unwrap_or_default())
    }

    /// The installs credited with a touch as modeled.
    pub(crate) fn credits(&mut self, app: AppId, touch: TouchId) -> Result<Vec<Credit>, StoreError> {
        let place = (app, touch);
        if !self.credits.contains_key(&place) {
            self.load(Ask { credits: vec![place], ..Ask::default() })?;
        }
        Ok(self.credits.get(&place).cloned().unwrap_or_default())
    }

    /// The fact of an input, committed or of this batch.
    pub(crate) fn fact(&self, input: InputId) -> Result<Option<Fact>, StoreError> {
        match self.new_facts.get(&input) {
            Some(place) => Ok(self.batch.facts.get(*place).cloned()),
            None => Ok(self.store.fact(input)?.map(|(fact, _)| fact)),
        }
    }

    /// The whole engagement behind a touch.
    pub(crate) fn engagement(&self, touch: TouchId) -> Result<Option<Engagement>, StoreError> {
        if let Some(engagement) = self.new_engagements.get(&touch) {
            return Ok(Some(engagement.clone()));
        }
        Ok(self.fact(touch.into())?.and_then(|fact| match fact.input.payload {
            Payload::Engagement(engagement) => Some(engagement),
            _ => None,
        }))
    }

    /// The claim behind a touch.
    pub(crate) fn claim(&self, touch: TouchId) -> Result<Option<Claim>, StoreError> {
        if let Some(claim) = self.new_claims.get(&touch) {
            return Ok(Some(claim.clone()));
        }
        Ok(self.fact(touch.into())?.and_then(|fact| match fact.input.payload {
            Payload::Claim(claim) => Some(claim),
            _ => None,
        }))
    }

    /// The event names of an app on record, and whether an amount came with them.
    pub(crate) fn event_names(&self, app: AppId) -> Result<HashMap<String, EventName>, StoreError> {
        Ok(self.store.event_names(app)?.into_iter().collect())
    }

    /// Asks the store as of the last commit and adds what is in the batch.
    pub(crate) fn sent(
        &self,
        load: impl FnOnce(&dyn Store) -> Result<Sent, StoreError>,
    ) -> Result<Sent, StoreError> {
        let mut sent = load(self.store)?;
        self.batch.deliveries.iter().for_each(|delivery| sent.add(delivery));
        Ok(sent)
    }

    /// The events that were joined to a device's install before the input `own` was, as of the last commit, in order;
    /// of very many the newest.
    pub(crate) fn events_before(&self, device: &Device, own: InputId) -> Result<Vec<Event>, StoreError> {
        let timeline = self.store.timeline(device.app, device.install)?;
        let mut events = Vec::new();
        let newest = timeline.len().saturating_sub(TIMELINE_READ_MAX);
        for sequence in timeline.into_iter().skip(newest) {
            let Some(fact) = self.store.facts(sequence, 1)?.pop() else { continue };
            for outcome in &fact.outcomes {
                let Outcome::EventLinked { input, .. } = outcome else { continue };
                if *input == own {
                    return Ok(events);
                }
                let payload = if *input == fact.input.id {
                    Some(fact.input.payload.clone())
                } else {
                    // What had been held stands in a fact of its own.
                    self.store.fact(*input)?.map(|(held, _)| held.input.payload)
                };
                if let Some(Payload::Event(event)) = payload {
                    events.push(event);
                }
            }
        }
        Ok(events)
    }

    // ---- bringing about

    /// The place of the fact that is being decided.
    pub(crate) const fn sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Puts the input and what it brought about on record.
    pub(crate) fn record(&mut self, input: Input, outcomes: Vec<Outcome>) {
        count(&mut self.batch.tally, Some(input.app), Counter::Accepted(input.payload.kind().to_owned()), 1);
        self.record_again(input, outcomes);
    }

    /// Puts a further fact of an input on record: it counts as an input once.
    pub(crate) fn record_again(&mut self, input: Input, outcomes: Vec<Outcome>) {
        self.batch.now = self.batch.now.max(input.received);
        self.new_facts.insert(input.id, self.batch.facts.len());
        self.batch.facts.push(Fact { sequence: self.next_sequence, input, outcomes });
        self.next_sequence += 1;
    }

    /// Keeps what an event is attributed to from now on, before the fact that brings it about is on record.
    pub(crate) fn put_redecided(&mut self, event: InputId, outcome: Outcome) {
        self.redecided.insert(event, outcome);
    }

    /// Keeps a device as it is now, unless it is as it was.
    pub(crate) fn put_device(&mut self, device: Device) {
        if self.at_hand(device.id) == Some(&device) {
            return;
        }
        self.changed.insert(device.id);
        self.devices.insert(device.id, device);
    }

    /// Makes `key` lead to `device`.
    pub(crate) fn add_device_key(&mut self, app: AppId, key: JoinKey, device: DeviceId) {
        self.device_of.insert((app, key.clone()), Some(device));
        self.batch.device_keys.push((app, key, device, true));
    }

    /// Makes `key` lead nowhere.
    pub(crate) fn remove_device_key(&mut self, app: AppId, key: JoinKey, device: DeviceId) {
        self.device_of.insert((app, key.clone()), None);
        self.batch.device_keys.push((app, key, device, false));
    }

    pub(crate) fn add_engagement(&mut self, touch: TouchId, engagement: Engagement) {
        self.new_engagements.insert(touch, engagement);
    }

    pub(crate) fn add_claim(&mut self, touch: TouchId, claim: Claim) {
        self.new_claims.insert(touch, claim);
    }

    pub(crate) fn add_touch(&mut self, app: AppId, key: MatchKey, touch: Touch) {
        self.new_touches.entry((app, key.clone())).or_default().push(self.batch.touches.len());
        self.batch.touches.push((app, key, touch));
    }

    pub(crate) fn add_install(&mut self, record: InstallRecord) {
        self.new_installs.insert(record.id, self.batch.installs.len());
        self.batch.installs.push(record);
    }

    /// Files an install under a key that a late engagement could find it by.
    pub(crate) fn add_arrival(&mut self, record: &InstallRecord, key: MatchKey) {
        let arrival = (record.install.time, record.id);
        self.new_arrivals.entry((record.app, key.clone())).or_default().push(arrival);
        self.batch.arrivals.push((record.app, key, record.install.time, record.id));
    }

    pub(crate) fn hold(
        &mut self,
        app: AppId,
        key: JoinKey,
        input: InputId,
        received: Timestamp,
    ) -> Result<(), StoreError> {
        self.held(app, &key)?;
        self.held.entry((app, key.clone())).or_default().push(input);
        self.batch.held.push((app, key, input, received, true));
        Ok(())
    }

    pub(crate) fn release(&mut self, app: AppId, key: JoinKey, input: InputId, received: Timestamp) {
        if let Some(waiting) = self.held.get_mut(&(app, key.clone())) {
            waiting.retain(|held| *held != input);
        }
        self.batch.held.push((app, key, input, received, false));
    }

    pub(crate) fn put_seen(&mut self, app: AppId, key: IdempotencyKey, seen: Seen) {
        self.seen.insert((app, key.clone()), Some(seen.clone()));
        self.batch.seen.push((app, key, seen));
    }

    /// Counts an aggregate postback, by the fact that is being decided.
    pub(crate) fn put_counted(&mut self, app: AppId, key: AggregateKey) {
        self.counted.insert((app, key), true);
        self.batch.counted.push((app, key, self.next_sequence));
    }

    /// Credits an install with a touch as modeled (`true`), or takes the credit back.
    pub(crate) fn credit(
        &mut self,
        app: AppId,
        touch: TouchId,
        credit: Credit,
        given: bool,
    ) -> Result<(), StoreError> {
        self.credits(app, touch)?;
        let credits = self.credits.entry((app, touch)).or_default();
        credits.retain(|known| known.install != credit.install);
        if given {
            credits.push(credit);
        }
        self.batch.credits.push((app, touch, credit, given));
        Ok(())
    }

    /// Puts a plan in the outbox and on the ledger; the answer is its suppressed pairs.
    pub(crate) fn post(&mut self, app: AppId, plan: Plan) -> Vec<Suppressed> {
        let tally = &mut self.batch.tally;
        for delivery in &plan.deliveries {
            count_pairs(tally, app, delivery.trigger, Share::Due, 1);
            count_pairs(tally, app, delivery.trigger, Share::Created, 1);
        }
        for Suppressed { trigger, reason } in &plan.suppressed {
            count_pairs(tally, app, *trigger, Share::Due, 1);
            count_pairs(tally, app, *trigger, Share::Suppressed(reason.name().to_owned()), 1);
        }
        self.batch.deliveries.extend(plan.deliveries);
        plan.suppressed
    }

    /// What was said of a conversion, which is an install or belongs to it, by its earlier revisions.
    pub(crate) fn heard(
        &self,
        catalogue: &Catalogue,
        about: About,
        now: Timestamp,
    ) -> Result<Heard, StoreError> {
        let mut heard = Heard { stored: self.deliveries_about(catalogue, about)?, ..Heard::default() };
        let planned = self.batch.deliveries.iter().filter(|delivery| delivery.conversion == about.conversion);
        for delivery in heard.stored.iter().chain(planned) {
            if self.batch.superseded.contains(&delivery.id) {
                continue;
            }
            let versions = catalogue.trigger_versions(delivery.trigger);
            match delivery.state {
                // Not due, or kept by a pause that is in force still, and no attempt may have arrived.
                DeliveryState::Pending
                    if (delivery.due > now || !self.store.sends(delivery.trigger))
                        && delivery.is_certainly_unsent(versions, now) =>
                {
                    heard.unsent.push(delivery.trigger);
                }
                DeliveryState::Suppressed if !delivery.attempts.iter().any(Attempt::may_have_arrived) => {}
                _ => heard.told.push(delivery.trigger),
            }
        }
        Ok(heard)
    }

    /// Withdraws what is still pending of the postbacks of a conversion's earlier revisions, except those of
    /// triggers that count as `told`: they may be on their way, and are to hear once (DECISIONS 6). The answer is
    /// what was withdrawn.
    pub(crate) fn supersede(&mut self, about: About, heard: Heard, told: &[TriggerId]) -> Vec<Delivery> {
        let mut withdrawn = Vec::new();
        let replaced = |delivery: &Delivery| {
            delivery.conversion == about.conversion
                && delivery.state == DeliveryState::Pending
                && !told.contains(&delivery.trigger)
        };
        for delivery in self.batch.deliveries.iter_mut().filter(|delivery| replaced(delivery)) {
            let reason = Suppression::Superseded.name().to_owned();
            delivery.state = DeliveryState::Suppressed;
            delivery.reason = Some(reason.clone());
            for share in [Share::Withdrawn, Share::Suppressed(reason)] {
                count_pairs(&mut self.batch.tally, delivery.app, delivery.trigger, share, 1);
            }
            withdrawn.push(delivery.clone());
        }
        let mut stored = heard.stored;
        stored.retain(|delivery| replaced(delivery) && !self.batch.superseded.contains(&delivery.id));
        self.batch.superseded.extend(stored.iter().map(|delivery| delivery.id));
        withdrawn.extend(stored);
        withdrawn
    }

    /// The deliveries of a conversion as of the last commit. What was planned when it came before its install is
    /// filed under none, and is found by its identifiers.
    fn deliveries_about(&self, catalogue: &Catalogue, about: About) -> Result<Vec<Delivery>, StoreError> {
        let About { app, install, conversion, received } = about;
        let query = DeliveryQuery { install: Some(install), limit: usize::MAX, ..DeliveryQuery::default() };
        let mut found = self.store.deliveries(&query)?;
        found.retain(|delivery| delivery.conversion == conversion);
        if conversion != install.into() {
            for trigger in catalogue.triggers_of(app).filter(|trigger| trigger.kind == TriggerKind::Event) {
                let id = delivery_id(trigger.id, conversion, 0, received);
                if found.iter().all(|known| known.id != id) {
                    found.extend(self.store.delivery(id)?);
                }
            }
        }
        Ok(found)
    }

    /// The batch so far, for what needs no view of its own.
    pub(crate) const fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// Everything that was brought about.
    pub(crate) fn into_parts(mut self) -> Brought {
        for id in &self.changed {
            self.batch.devices.extend(self.devices.get(id).cloned());
        }
        let known = Known { device_of: self.device_of, devices: self.devices };
        Brought { batch: self.batch, known, next_sequence: self.next_sequence }
    }
}
