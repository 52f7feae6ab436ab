//! Reading: everything as of one commit.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BinaryHeap, HashMap, binary_heap::PeekMut, hash_map::Entry},
    ops::Bound,
};

use fjall::{Guard, Readable as _, Snapshot};
use measure::{
    AppId, DeliveryId, DeviceId, InputId, InstallId, Timestamp, TriggerId,
    attribution::Decision,
    cost::{CostDay, Day},
    device::Device,
    engagement::{MatchKey, Touch},
    identifier::JoinKey,
    input::{Fact, Quarantined},
    install::InstallRecord,
    policy::TOUCHES_PER_KEY_MAX,
    postback::{Delivery, DeliveryState},
};

use super::space::{Space, Spaces};
use crate::{
    Ask, Context, Credit, DeliveryQuery, EventName, Seen, StoreError, expiry,
    key::{self, Key},
    outbox::{Queue, Queues, Spot},
    record::{Arrival, Held, NamedEvent, Record, Sequence},
};

/// A snapshot across all keyspaces.
pub(super) struct View<'a> {
    snapshot: Snapshot,
    spaces: &'a Spaces,
    /// The horizon of expiry.
    pub horizon: Timestamp,
}

impl<'a> View<'a> {
    pub fn new(snapshot: Snapshot, spaces: &'a Spaces, horizon: Timestamp) -> Self {
        Self { snapshot, spaces, horizon }
    }

    pub fn bytes(&self, space: Space, key: impl AsRef<[u8]>) -> Result<Option<fjall::Slice>, StoreError> {
        Ok(self.snapshot.get(self.spaces.at(space), key)?)
    }

    pub fn get<R: Record>(&self, space: Space, key: impl AsRef<[u8]>) -> Result<Option<R>, StoreError> {
        self.bytes(space, key)?.map(|bytes| R::decode(&bytes)).transpose()
    }

    /// A range of a keyspace. fjall does not promise what an inverted range does, so it is never asked.
    fn range(&self, space: Space, from: Bound<Key>, to: Bound<Key>) -> Range {
        let inverted = match (&from, &to) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
                from >= to
            }
            _ => false,
        };
        let iter = (!inverted).then(|| self.snapshot.range(self.spaces.at(space), (from, to)));
        iter.into_iter().flatten()
    }

    /// Everything under a prefix that comes after `after`, when it is given.
    fn under(&self, space: Space, prefix: Key, after: Option<Key>) -> Range {
        let end = key::after_prefix(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
        self.range(space, after.map_or(Bound::Included(prefix), Bound::Excluded), end)
    }

    /// Everything under a prefix that comes before `before`, when it is given.
    fn under_before(&self, space: Space, prefix: Key, before: Option<Key>) -> Range {
        let end = before.or_else(|| key::after_prefix(&prefix));
        self.range(space, Bound::Included(prefix), end.map_or(Bound::Unbounded, Bound::Excluded))
    }

    /// All records of a keyspace in order.
    pub fn all<R: Record>(&self, space: Space) -> impl Iterator<Item = Result<R, StoreError>> + use<R> {
        self.range(space, Bound::Unbounded, Bound::Unbounded).map(value)
    }

    /// The records from a key on.
    pub fn from<R: Record>(
        &self,
        space: Space,
        first: Key,
    ) -> impl Iterator<Item = Result<R, StoreError>> + use<R> {
        self.range(space, Bound::Included(first), Bound::Unbounded).map(value)
    }

    /// The records up to a key, last first.
    pub fn back_from<R: Record>(
        &self,
        space: Space,
        last: Key,
    ) -> impl Iterator<Item = Result<R, StoreError>> + use<R> {
        self.range(space, Bound::Unbounded, Bound::Included(last)).rev().map(value)
    }

    /// What uploads say about the costs of an app in these days.
    pub fn costs(&self, app: AppId, from: Day, to: Day) -> Result<Vec<CostDay>, StoreError> {
        let end = key::cost_day(app, to.saturating_add(1));
        self.range(Space::Costs, Bound::Included(key::cost_day(app, from)), Bound::Excluded(end))
            .map(value)
            .collect()
    }

    /// The last number of a keyspace of numbers; 0 when it is empty.
    pub fn last_number(&self, space: Space) -> Result<u64, StoreError> {
        match self.range(space, Bound::Unbounded, Bound::Unbounded).next_back() {
            Some(last) => key::to_number(&last.key()?).ok_or_else(|| bad_key(space)),
            None => Ok(0),
        }
    }

    pub fn fact(&self, input: InputId) -> Result<Option<(Fact, Option<u64>)>, StoreError> {
        let Some(sequence) = self.get::<Sequence>(Space::Inputs, key::input(input, key::Of::Fact))? else {
            return Ok(None);
        };
        let Some(fact) = self.get(Space::Facts, key::number(sequence))? else { return Ok(None) };
        let released = self.get::<Sequence>(Space::Inputs, key::input(input, key::Of::Release))?;
        Ok(Some((fact, released)))
    }

    pub fn device(&self, app: AppId, join: &JoinKey) -> Result<Option<Device>, StoreError> {
        match self.get::<DeviceId>(Space::DeviceKeys, key::join(app, join))? {
            Some(device) => self.get(Space::Devices, key::device(app, device)),
            None => Ok(None),
        }
    }

    pub fn devices(
        &self,
        app: AppId,
        after: Option<DeviceId>,
        limit: usize,
    ) -> Result<Vec<Device>, StoreError> {
        let after = after.map(|after| key::device(app, after));
        self.under(Space::Devices, key::app(app), after).take(limit).map(value).collect()
    }

    pub fn install(
        &self,
        app: AppId,
        install: InstallId,
    ) -> Result<Option<(InstallRecord, Vec<Decision>)>, StoreError> {
        let key = key::install(app, install);
        let Some(record) = self.get(Space::Installs, &key)? else { return Ok(None) };
        let revisions = self.under(Space::Decisions, key, None).map(value).collect::<Result<_, _>>()?;
        Ok(Some((record, revisions)))
    }

    /// Installs and decisions lie in the same order: two scans side by side.
    pub fn installs(
        &self,
        app: AppId,
        after: Option<InstallId>,
        limit: usize,
    ) -> Result<Vec<(InstallRecord, Vec<Decision>)>, StoreError> {
        let prefix = key::app(app);
        let first_decision = after.map(|after| key::decision(app, after, u32::MAX));
        let records =
            self.under(Space::Installs, prefix.clone(), after.map(|after| key::install(app, after)));
        let decisions = self.under(Space::Decisions, prefix, first_decision);
        let mut decisions = decisions.map(value::<Decision>).peekable();
        let mut installs = Vec::new();
        for record in records.take(limit).map(value::<InstallRecord>) {
            let record = record?;
            let mut revisions = Vec::new();
            let not_later =
                |next: &Result<Decision, _>| next.as_ref().map_or(true, |next| next.install <= record.id);
            while let Some(decision) = decisions.next_if(not_later).transpose()? {
                if decision.install == record.id {
                    revisions.push(decision);
                }
            }
            installs.push((record, revisions));
        }
        Ok(installs)
    }

    pub fn timeline(&self, app: AppId, install: InstallId) -> Result<Vec<u64>, StoreError> {
        let facts = self.under(Space::Timeline, key::install(app, install), None);
        facts.map(|fact| key::to_sequence(&fact.key()?).ok_or_else(|| bad_key(Space::Timeline))).collect()
    }

    pub fn aggregates(&self, app: AppId, before: Option<u64>, limit: usize) -> Result<Vec<Fact>, StoreError> {
        let before = before.map(|before| key::aggregate(app, before));
        let newest_first = self.under_before(Space::Aggregates, key::app(app), before).rev();
        let facts = newest_first.map(|entry| {
            let sequence = key::to_sequence(&entry.key()?).ok_or_else(|| bad_key(Space::Aggregates))?;
            self.get(Space::Facts, key::number(sequence))
        });
        // A fact may have been dropped with its time while its place is still listed.
        facts.filter_map(Result::transpose).take(limit).collect()
    }

    pub fn event_names(&self, app: AppId) -> Result<Vec<(String, EventName)>, StoreError> {
        let names = self.under(Space::EventNames, key::app(app), None).map(value::<NamedEvent>);
        let mut names = names.collect::<Result<Vec<_>, _>>()?;
        names.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(names)
    }

    pub fn quarantine(
        &self,
        app: Option<AppId>,
        after: Option<InputId>,
        limit: usize,
    ) -> Result<Vec<Quarantined>, StoreError> {
        let before = after.map(|after| key::quarantined(app, after));
        let newest_first = self.under_before(Space::Quarantine, key::shelf(app), before).rev();
        newest_first.take(limit).map(value).collect()
    }

    /// The first place of every queue.
    pub fn heads(&self) -> Result<BTreeMap<Queue, Spot>, StoreError> {
        let mut heads = BTreeMap::new();
        let mut from = Bound::Unbounded;
        while let Some(first) = self.range(Space::Queues, from, Bound::Unbounded).next() {
            let (queue, spot) = key::to_place(&first.key()?).ok_or_else(|| bad_key(Space::Queues))?;
            heads.insert(queue, spot);
            let Some(next) = key::after_prefix(&key::queue(queue)) else { break };
            from = Bound::Included(next);
        }
        Ok(heads)
    }

    /// The triggers with deliveries in one of two lists by trigger, in order.
    fn triggers_in(&self, space: Space) -> Result<Vec<TriggerId>, StoreError> {
        let mut triggers = Vec::new();
        let mut from = Bound::Unbounded;
        while let Some(first) = self.range(space, from, Bound::Unbounded).next() {
            let trigger = key::to_trigger(&first.key()?).ok_or_else(|| bad_key(space))?;
            triggers.push(trigger);
            let Some(next) = key::after_prefix(&key::settled_of(trigger)) else { break };
            from = Bound::Included(next);
        }
        Ok(triggers)
    }

    /// Deliveries of a trigger that are in one state, newest first, those before `after`.
    fn listed(
        &self,
        trigger: TriggerId,
        state: DeliveryState,
        after: Option<DeliveryId>,
    ) -> impl Iterator<Item = Result<DeliveryId, StoreError>> + use<> {
        let (space, prefix) = match state {
            DeliveryState::Pending => (Space::Pending, key::pending_of(trigger)),
            _ => (Space::Settled, key::settled_in(trigger, state)),
        };
        let before = after.map(|after| match state {
            DeliveryState::Pending => key::pending(trigger, after),
            _ => key::settled(trigger, state, after),
        });
        let newest_first = self.under_before(space, prefix, before).rev();
        newest_first.map(move |entry| key::to_delivery(&entry.key()?).ok_or_else(|| bad_key(space)))
    }

    /// The oldest pending delivery of a trigger.
    pub fn oldest_pending(&self, trigger: TriggerId) -> Result<Option<Delivery>, StoreError> {
        let Some(oldest) = self.under(Space::Pending, key::pending_of(trigger), None).next() else {
            return Ok(None);
        };
        let id = key::to_delivery(&oldest.key()?).ok_or_else(|| bad_key(Space::Pending))?;
        self.get(Space::Deliveries, key::delivery(id))
    }

    /// At most `limit` pending deliveries of a trigger.
    pub fn some_pending(&self, trigger: TriggerId, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let pending = self.listed(trigger, DeliveryState::Pending, None);
        pending.take(limit).map(|id| self.known_delivery(id?)).collect()
    }

    fn known_delivery(&self, id: DeliveryId) -> Result<Delivery, StoreError> {
        self.get(Space::Deliveries, key::delivery(id))?.ok_or_else(|| missing(id))
    }

    /// The fence that was settled last of a pending delivery.
    pub fn settled_fence(&self, trigger: TriggerId, delivery: DeliveryId) -> Result<u64, StoreError> {
        let fence = self.get::<Sequence>(Space::Pending, key::pending(trigger, delivery))?;
        Ok(fence.unwrap_or_default())
    }

    /// Every pending delivery, by reading all.
    pub fn every_pending(&self) -> impl Iterator<Item = Result<Delivery, StoreError>> + use<> {
        let all = self.all::<Delivery>(Space::Deliveries);
        all.filter(|found| found.as_ref().map_or(true, |found| found.state == DeliveryState::Pending))
    }

    /// Deliveries are listed by install, and by trigger and state: whatever is asked for, only what is answered
    /// is read, and one of each list.
    pub fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        match query {
            DeliveryQuery { install: Some(install), after, .. } => {
                let before = after.map(|after| key::install_delivery(*install, after));
                let of_install = key::install_deliveries(*install);
                let found = self.under_before(Space::InstallDeliveries, of_install, before).rev();
                asked(
                    found.map(|entry| {
                        let id = key::to_delivery(&entry.key()?);
                        self.known_delivery(id.ok_or_else(|| bad_key(Space::InstallDeliveries))?)
                    }),
                    query,
                )
            }
            DeliveryQuery { app: None, trigger: None, state: None, after, .. } => {
                let before = after.map(key::delivery);
                asked(self.under_before(Space::Deliveries, Key::new(), before).rev().map(value), query)
            }
            _ => asked(self.merged(query)?.map(|id| self.known_delivery(id?)), query),
        }
    }

    /// The deliveries of every list that can hold what is asked for, merged by their identifiers. All deliveries
    /// of a trigger are of one app, so the first one of a list tells whether it is of the right one.
    fn merged(
        &self,
        query: &DeliveryQuery,
    ) -> Result<impl Iterator<Item = Result<DeliveryId, StoreError>> + use<>, StoreError> {
        use DeliveryState::{Dead, Delivered, Pending, Suppressed};
        let mut lists = BinaryHeap::new();
        for state in [Pending, Delivered, Dead, Suppressed] {
            if query.state.is_some_and(|asked| asked != state) {
                continue;
            }
            let space = if state == Pending { Space::Pending } else { Space::Settled };
            let triggers = match query.trigger {
                Some(trigger) => vec![trigger],
                None => self.triggers_in(space)?,
            };
            for trigger in triggers {
                let mut rest = self.listed(trigger, state, query.after);
                let Some(next) = rest.next().transpose()? else { continue };
                if let Some(app) = query.app
                    && self.known_delivery(next)?.app != app
                {
                    continue;
                }
                lists.push(List { next, rest });
            }
        }
        Ok(std::iter::from_fn(move || {
            let mut newest = lists.peek_mut()?;
            let id = newest.next;
            match newest.rest.next() {
                Some(Ok(next)) => newest.next = next,
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    let _at_its_end = PeekMut::pop(newest);
                }
            }
            Some(Ok(id))
        }))
    }

    pub fn context(&self, ask: &Ask) -> Result<Context, StoreError> {
        let mut context = Context::default();
        self.context_of_devices(ask, &mut context)?;
        for (app, under, until) in &ask.touches {
            let (touches, more) = self.touches(*app, under, *until)?;
            context.add_touches((*app, under.clone()), touches, more);
        }
        for (app, under, since) in &ask.arrivals {
            let installs = self.arrivals(*app, under, *since)?;
            context.add_arrivals((*app, under.clone()), installs);
        }
        for (app, join) in &ask.held {
            let waiting = self.held(*app, join)?;
            if !waiting.is_empty() {
                context.held.insert((*app, join.clone()), waiting);
            }
        }
        for (app, key) in &ask.seen {
            let seen = self.get::<Seen>(Space::Seen, key::seen(*app, key))?;
            if let Some(seen) = seen.filter(|seen| seen.received >= expiry::oldest_seen(self.horizon)) {
                context.seen.insert((*app, key.clone()), seen);
            }
        }
        for (app, key) in &ask.counted {
            if let Some(sequence) = self.get::<Sequence>(Space::Counted, key::counted(*app, *key))? {
                context.counted.insert((*app, *key), sequence);
            }
        }
        self.context_of_installs(ask, &mut context)?;
        Ok(context)
    }

    /// Most keys of a batch lead to few devices: each key is looked up once and each device read once.
    fn context_of_devices(&self, ask: &Ask, context: &mut Context) -> Result<(), StoreError> {
        let mut read: HashMap<(AppId, DeviceId), Option<Device>> = HashMap::new();
        for place @ (app, join) in &ask.devices {
            if context.devices.contains_key(place) {
                continue;
            }
            let Some(id) = self.get::<DeviceId>(Space::DeviceKeys, key::join(*app, join))? else { continue };
            let device = match read.entry((*app, id)) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(place) => {
                    place.insert(self.get(Space::Devices, key::device(*app, id))?).clone()
                }
            };
            if let Some(device) = device {
                context.devices.insert(place.clone(), device);
            }
        }
        Ok(())
    }

    fn context_of_installs(&self, ask: &Ask, context: &mut Context) -> Result<(), StoreError> {
        for (app, install) in &ask.installs {
            let key = key::install(*app, *install);
            let Some(record) = self.get::<InstallRecord>(Space::Installs, &key)? else { continue };
            if let Some(latest) = self.under(Space::Decisions, key, None).next_back() {
                context.installs.insert((*app, *install), (record, value(latest)?));
            }
        }
        for (app, touch) in &ask.credits {
            let credits = self.under(Space::Credits, key::credits(*app, *touch), None).map(value::<Credit>);
            let mut credits = credits.collect::<Result<Vec<_>, _>>()?;
            credits.sort_unstable_by_key(|credit| (credit.installed, credit.install));
            if !credits.is_empty() {
                context.credits.insert((*app, *touch), credits);
            }
        }
        Ok(())
    }

    fn touches(
        &self,
        app: AppId,
        under: &MatchKey,
        until: Timestamp,
    ) -> Result<(Vec<Touch>, bool), StoreError> {
        let (first, last) = key::span(app, under, until, expiry::oldest_touch(self.horizon, until));
        let mut newest_first = self.range(Space::Touches, Bound::Included(first), Bound::Included(last));
        let touches = newest_first.by_ref().take(TOUCHES_PER_KEY_MAX).map(value).collect::<Result<_, _>>()?;
        Ok((touches, newest_first.next().is_some()))
    }

    fn arrivals(
        &self,
        app: AppId,
        under: &MatchKey,
        since: Timestamp,
    ) -> Result<Vec<(Timestamp, InstallId)>, StoreError> {
        let oldest = expiry::oldest_arrival(self.horizon).max(since);
        let (first, last) = key::span(app, under, Timestamp(i64::MAX), oldest);
        let newest_first = self.range(Space::Arrivals, Bound::Included(first), Bound::Included(last));
        newest_first.map(value::<Arrival>).collect()
    }

    fn held(&self, app: AppId, under: &JoinKey) -> Result<Vec<InputId>, StoreError> {
        let waiting = self.under(Space::Held, key::join(app, under), None).map(value::<Held>);
        let mut waiting = waiting.collect::<Result<Vec<_>, _>>()?;
        waiting.retain(|(received, _)| *received >= expiry::oldest_held(self.horizon));
        waiting.sort_unstable();
        Ok(waiting.into_iter().map(|(_, input)| input).collect())
    }
}

/// A list of deliveries, newest first: its next one and the rest. Lists are in the order of the next ones.
struct List<I> {
    next: DeliveryId,
    rest: I,
}

impl<I> PartialEq for List<I> {
    fn eq(&self, other: &Self) -> bool {
        self.next == other.next
    }
}

impl<I> Eq for List<I> {}

impl<I> PartialOrd for List<I> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<I> Ord for List<I> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.next.cmp(&other.next)
    }
}

type Range = std::iter::Flatten<std::option::IntoIter<fjall::Iter>>;

fn value<R: Record>(entry: Guard) -> Result<R, StoreError> {
    R::decode(&entry.value()?)
}

impl Queues for View<'_> {
    fn spots(&self, queue: Queue, from: Spot) -> Box<dyn Iterator<Item = Result<Spot, StoreError>> + '_> {
        let end = key::after_prefix(&key::queue(queue)).map_or(Bound::Unbounded, Bound::Excluded);
        let places = self.range(Space::Queues, Bound::Included(key::place(queue, from)), end);
        Box::new(places.map(|entry| {
            let place = key::to_place(&entry.key()?).ok_or_else(|| bad_key(Space::Queues))?;
            Ok(place.1)
        }))
    }
}

/// Those that are asked for, as many as are asked for.
fn asked(
    deliveries: impl Iterator<Item = Result<Delivery, StoreError>>,
    query: &DeliveryQuery,
) -> Result<Vec<Delivery>, StoreError> {
    let asked = deliveries.filter(|found| found.as_ref().map_or(true, |delivery| query.covers(delivery)));
    asked.take(query.limit).collect()
}

fn bad_key(space: Space) -> StoreError {
    StoreError::Corrupt(format!("a key of {space:?}"))
}

/// An index names a delivery that is not there.
pub(super) fn missing(delivery: DeliveryId) -> StoreError {
    StoreError::Corrupt(format!("delivery {delivery} is missing"))
}
