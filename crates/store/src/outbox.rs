//! The life of a delivery in the store: queued, leased, settled or withdrawn. Pure; both backends use it.
//!
//! Pending deliveries wait in **queues**, two for each version of a trigger: one for first attempts, one for what
//! was tried before. All of a version goes to one target. So a trigger with a hundred thousand postbacks for a partner that is down stands in nobody's
//! way, a trigger that is paused costs nothing, and a first attempt never waits behind retries.
//!
//! **Leases** live in memory only. One process has the store; when it dies, its leases die with it, and what
//! it had taken on is free again at once. Taking on costs no write, and neither does handing back.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering},
};

use measure::{
    DeliveryId, Timestamp, TriggerId,
    catalogue::{Change, Entry},
    ledger::{Counter, Share, Tally, count, count_pairs},
    postback::{Delivery, DeliveryState, Suppression},
    privacy::{erase_delivery, is_erased},
};

use crate::{Lease, LeaseAsk, Resend, Settlement, StoreError};

/// While first attempts are due, retries get one part in this many of what is taken on.
const RETRY_SHARE: usize = 4;

/// What is due in one line: the first attempts of a version of a trigger, or its retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Queue {
    pub trigger: TriggerId,
    pub version: u32,
    pub retry: bool,
}

impl Queue {
    const fn line(self) -> (TriggerId, u32) {
        (self.trigger, self.version)
    }
}

/// A place in a queue: by due time, then by identifier.
pub(crate) type Spot = (Timestamp, DeliveryId);

/// Where a pending delivery waits.
pub(crate) fn place(delivery: &Delivery) -> (Queue, Spot) {
    let retry = !delivery.attempts.is_empty();
    let queue = Queue { trigger: delivery.trigger, version: delivery.trigger_version, retry };
    (queue, (delivery.due, delivery.id))
}

/// Reads queues.
pub(crate) trait Queues {
    /// The places of a queue in order, from `from` on.
    fn spots(&self, queue: Queue, from: Spot) -> Box<dyn Iterator<Item = Result<Spot, StoreError>> + '_>;
}

/// Triggers that send nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silent {
    paused: BTreeSet<TriggerId>,
    deleted: BTreeSet<TriggerId>,
}

impl Silent {
    /// Takes in changes of the catalogue. Numbers are never given out twice, so a trigger once deleted stays
    /// so.
    pub fn note(&mut self, changes: &[Change]) {
        for change in changes {
            let Entry::Trigger(trigger) = &change.entry else { continue };
            if trigger.deleted {
                self.deleted.insert(trigger.id);
            }
            if trigger.sending.paused {
                self.paused.insert(trigger.id);
            } else {
                self.paused.remove(&trigger.id);
            }
        }
    }

    /// Whether its deliveries are suppressed when their turn comes.
    pub fn is_deleted(&self, trigger: TriggerId) -> bool {
        self.deleted.contains(&trigger)
    }

    /// Whether its deliveries wait.
    pub fn is_paused(&self, trigger: TriggerId) -> bool {
        self.paused.contains(&trigger)
    }

    /// Whether its deliveries are sent.
    pub fn sends(&self, trigger: TriggerId) -> bool {
        !self.is_deleted(trigger) && !self.is_paused(trigger)
    }
}

/// A lease.
#[derive(Clone, Debug)]
struct Held {
    lease: Lease,
    /// Others may take the delivery on: it ended, or it was handed back.
    free: bool,
    /// It cannot be settled any more.
    over: bool,
    queue: Queue,
    spot: Spot,
}

/// What is known of the outbox without reading.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Where the search of each queue begins: nothing that may be taken on lies before it.
    heads: BTreeMap<Queue, Spot>,
    held: HashMap<DeliveryId, Held>,
    /// The ends of the leases in force.
    ends: BTreeSet<(Timestamp, DeliveryId)>,
}

/// What is to be leased, and when there is more.
pub(crate) struct Chosen {
    pub places: Vec<(Queue, Spot)>,
    pub next_due: Option<Timestamp>,
}

/// One choice in the making.
struct Choice<'a> {
    ask: &'a LeaseAsk,
    room: HashMap<(TriggerId, u32), usize>,
    places: Vec<(Queue, Spot)>,
}

impl Choice<'_> {
    fn is_due(&self, at: Timestamp) -> bool {
        at <= self.ask.now || at > self.ask.far
    }

    fn room(&self, queue: Queue) -> usize {
        self.room.get(&queue.line()).copied().unwrap_or(self.ask.room_each)
    }

    fn put(&mut self, queue: Queue, spot: Spot) {
        let room = self.room(queue).saturating_sub(1);
        self.room.insert(queue.line(), room);
        self.places.push((queue, spot));
    }
}

impl Outbox {
    /// The outbox of a store that was opened, with the first place of every queue.
    pub fn new(heads: BTreeMap<Queue, Spot>) -> Self {
        Self { heads, ..Self::default() }
    }

    /// Forgets all leases, as a new process does: what was taken on waits again, unless it was withdrawn since
    /// and is in no queue any more.
    #[cfg(test)]
    pub fn restart(&mut self, queues: &impl Queues) {
        for held in std::mem::take(&mut self.held).into_values() {
            let first = queues.spots(held.queue, held.spot).next();
            if first.is_some_and(|first| first.ok() == Some(held.spot)) {
                come(&mut self.heads, held.queue, held.spot);
            }
        }
        self.ends.clear();
    }

    /// When the first pending delivery is due or a lease ends.
    pub fn next_due(&self) -> Option<Timestamp> {
        let due = self.heads.values().map(|(at, _)| *at);
        due.chain(self.ends.first().map(|(until, _)| *until)).min()
    }

    /// Whether `fence` is the newest lease of a delivery and may be settled.
    pub fn is_held_by(&self, delivery: DeliveryId, fence: u64) -> bool {
        self.held.get(&delivery).is_some_and(|held| held.lease.fence == fence && !held.over)
    }

    /// A leased delivery, as long as nothing has changed it since.
    pub fn leased(&self, delivery: DeliveryId) -> Option<Arc<Delivery>> {
        let lease = &self.held.get(&delivery)?.lease;
        lease.stands().then(|| lease.delivery.clone())
    }

    /// A delivery was written: as it was leased it is no more.
    pub fn rewritten(&self, delivery: DeliveryId) {
        if let Some(held) = self.held.get(&delivery) {
            held.lease.rewritten.store(true, Ordering::Release);
        }
    }

    /// The newest fence of a delivery in this process.
    pub fn fence(&self, delivery: DeliveryId) -> u64 {
        self.held.get(&delivery).map_or(0, |held| held.lease.fence)
    }

    /// Chooses what to lease: first attempts before retries, which get a share all the same; among triggers
    /// in equal parts; within a queue in order. The places are no longer found by the next choice, so each
    /// has to be held or put back.
    pub fn choose(
        &mut self,
        ask: &LeaseAsk,
        silent: &Silent,
        queues: &impl Queues,
    ) -> Result<Chosen, StoreError> {
        self.end_leases(ask.now);
        let mut choice = Choice { ask, room: ask.room.clone(), places: Vec::new() };
        let turns = [(false, ask.limit - ask.limit / RETRY_SHARE), (true, ask.limit), (false, ask.limit)];
        for (retry, limit) in turns {
            if let Err(error) = self.choose_among(retry, limit, &mut choice, silent, queues) {
                self.put_back(&choice.places);
                return Err(error);
            }
        }
        let waiting = self
            .heads
            .iter()
            .filter(|(queue, _)| !silent.is_paused(queue.trigger) && choice.room(**queue) > 0);
        let due = waiting.map(|(_, (at, _))| if *at > ask.far { ask.now } else { *at });
        let next_due = due.chain(self.ends.first().map(|(until, _)| *until)).min();
        Ok(Chosen { places: choice.places, next_due })
    }

    /// Chooses among the queues of one kind until there are `limit` in all.
    fn choose_among(
        &mut self,
        retry: bool,
        limit: usize,
        choice: &mut Choice<'_>,
        silent: &Silent,
        queues: &impl Queues,
    ) -> Result<(), StoreError> {
        let due = self.heads.iter().filter(|(queue, (at, _))| {
            queue.retry == retry && choice.is_due(*at) && !silent.is_paused(queue.trigger)
        });
        let mut waiting: Vec<(Spot, Queue)> = due.map(|(queue, spot)| (*spot, *queue)).collect();
        waiting.sort_unstable();
        while choice.places.len() < limit && !waiting.is_empty() {
            let share = ((limit - choice.places.len()) / waiting.len()).max(1);
            let mut more = Vec::new();
            for (spot, queue) in waiting {
                let left = limit - choice.places.len();
                let wanted = share.min(left).min(choice.room(queue));
                if wanted > 0 && self.choose_from(queue, wanted, choice, queues)? == wanted {
                    more.push((spot, queue));
                }
            }
            waiting = more;
        }
        Ok(())
    }

    /// Chooses at most `wanted` of one queue; says how many there were.
    fn choose_from(
        &mut self,
        queue: Queue,
        wanted: usize,
        choice: &mut Choice<'_>,
        queues: &impl Queues,
    ) -> Result<usize, StoreError> {
        let Some(head) = self.heads.get(&queue).copied() else { return Ok(0) };
        let mut chosen = 0;
        for spot in queues.spots(queue, head) {
            let spot = spot?;
            if self.is_taken(spot.1) {
                continue;
            }
            if chosen == wanted || !choice.is_due(spot.0) {
                self.heads.insert(queue, spot);
                return Ok(chosen);
            }
            choice.put(queue, spot);
            chosen += 1;
        }
        self.heads.remove(&queue);
        Ok(chosen)
    }

    /// Whether a lease is in force.
    fn is_taken(&self, delivery: DeliveryId) -> bool {
        self.held.get(&delivery).is_some_and(|held| !held.free)
    }

    /// What was leased until `now` may be taken on again.
    fn end_leases(&mut self, now: Timestamp) {
        while let Some(end @ &(until, delivery)) = self.ends.first()
            && until <= now
        {
            let end = *end;
            self.ends.remove(&end);
            if let Some(held) = self.held.get_mut(&delivery) {
                held.free = true;
                come(&mut self.heads, held.queue, held.spot);
            }
        }
    }

    /// Chosen places that are not held after all.
    pub fn put_back(&mut self, places: &[(Queue, Spot)]) {
        for (queue, spot) in places {
            come(&mut self.heads, *queue, *spot);
        }
    }

    /// A chosen delivery is leased.
    pub fn hold(&mut self, (queue, spot): (Queue, Spot), lease: &Lease) {
        self.end(spot.1);
        self.ends.insert((lease.until, spot.1));
        self.held.insert(spot.1, Held { lease: lease.clone(), free: false, over: false, queue, spot });
    }

    /// A leased delivery was settled.
    pub fn close(&mut self, delivery: DeliveryId) {
        self.end(delivery);
        self.held.remove(&delivery);
    }

    /// A leased delivery waits where it was, and anybody may take it on. Its fence is not given out again.
    pub fn hand_back(&mut self, delivery: DeliveryId) {
        self.end(delivery);
        if let Some(held) = self.held.get_mut(&delivery) {
            (held.free, held.over) = (true, true);
            come(&mut self.heads, held.queue, held.spot);
        }
    }

    fn end(&mut self, delivery: DeliveryId) {
        if let Some(held) = self.held.get(&delivery) {
            self.ends.remove(&(held.lease.until, delivery));
        }
    }

    /// Takes in which places came (`true`) and went (`false`) by a write that stands. Where a queue can not
    /// be read on, its search begins too early, which costs time and nothing else.
    pub fn apply(&mut self, moves: &BTreeMap<(Queue, Spot), bool>, queues: &impl Queues) {
        for ((queue, spot), comes) in moves {
            if *comes && !self.is_taken(spot.1) {
                come(&mut self.heads, *queue, *spot);
            }
            if !*comes && self.heads.get(queue) == Some(spot) {
                let free = |spot: &Result<Spot, _>| spot.as_ref().map_or(true, |(_, id)| !self.is_taken(*id));
                match queues.spots(*queue, *spot).find(free) {
                    Some(Ok(next)) => {
                        self.heads.insert(*queue, next);
                    }
                    Some(Err(_)) => {}
                    None => {
                        self.heads.remove(queue);
                    }
                }
            }
        }
    }
}

/// A place that may be taken on.
fn come(heads: &mut BTreeMap<Queue, Spot>, queue: Queue, spot: Spot) {
    let head = heads.entry(queue).or_insert(spot);
    *head = spot.min(*head);
}

/// Withdraws a delivery, if it is pending still. Whether it was. One that arrived before it was sent again stays
/// delivered.
pub(crate) fn withdraw(delivery: &mut Delivery, reason: Suppression, tally: &mut Tally) -> bool {
    if delivery.state != DeliveryState::Pending {
        return false;
    }
    let arrived = delivery.attempts.iter().any(|attempt| attempt.error.is_none());
    delivery.state = if arrived { DeliveryState::Delivered } else { DeliveryState::Suppressed };
    delivery.reason = Some(reason.name().to_owned());
    count_final(delivery, 1, tally);
    true
}

/// Puts down what became of a leased delivery. The caller has checked the fence. Whether anything changed: a
/// delivery that is handed back as it was does not.
pub(crate) fn settle(delivery: &mut Delivery, settlement: &Settlement, tally: &mut Tally) -> bool {
    let erased = is_erased(delivery);
    delivery.attempts.extend(settlement.attempt.clone());
    if erased {
        // It was on its way when it was erased: what was answered may tell of whom it was about.
        erase_delivery(delivery);
    }
    if delivery.state != DeliveryState::Pending {
        return settle_withdrawn(delivery, settlement, tally);
    }
    let same = settlement.attempt.is_none()
        && settlement.state == DeliveryState::Pending
        && settlement.due == delivery.due;
    delivery.state = settlement.state;
    delivery.reason = match settlement.state {
        DeliveryState::Dead | DeliveryState::Suppressed => settlement.reason.clone(),
        DeliveryState::Pending | DeliveryState::Delivered => None,
    };
    if settlement.state == DeliveryState::Pending {
        delivery.due = settlement.due;
    }
    count_final(delivery, 1, tally);
    !same
}

/// It was withdrawn while it was being sent. The attempt is on record; what arrived has been delivered,
/// and the reason says that it was not to be. Whether anything of it is another.
fn settle_withdrawn(delivery: &mut Delivery, settlement: &Settlement, tally: &mut Tally) -> bool {
    let arrived = settlement.state == DeliveryState::Delivered && delivery.state == DeliveryState::Suppressed;
    if arrived {
        count_final(delivery, -1, tally);
        delivery.state = DeliveryState::Delivered;
        count_final(delivery, 1, tally);
    }
    arrived || settlement.attempt.is_some()
}

/// Makes a final delivery pending again. Whether it was final.
pub(crate) fn resend(delivery: &mut Delivery, resend: &Resend, tally: &mut Tally) -> bool {
    // Of an erased one nothing is left to send.
    if delivery.state == DeliveryState::Pending || is_erased(delivery) {
        return false;
    }
    count_final(delivery, -1, tally);
    let made = u32::try_from(delivery.attempts.len()).unwrap_or(u32::MAX);
    delivery.state = DeliveryState::Pending;
    delivery.reason = None;
    delivery.due = resend.due;
    delivery.attempts_allowed = made.saturating_add(resend.attempts);
    delivery.attempts_before = made;
    if let Some(sent_as) = resend.sent_as {
        delivery.sent_as = Some(sent_as);
    }
    if let Some(remade) = &resend.remade {
        delivery.remake(remade.clone());
    }
    true
}

/// Counts `n` deliveries that have become final, like this one. Pending ones are not counted: there are as
/// many as were created and have not become final.
fn count_final(delivery: &Delivery, n: i64, tally: &mut Tally) {
    for share in finals(delivery) {
        count_pairs(tally, delivery.app, delivery.trigger, share, n);
    }
}

fn finals(delivery: &Delivery) -> Vec<Share> {
    match delivery.state {
        DeliveryState::Pending => Vec::new(),
        DeliveryState::Delivered => vec![Share::Delivered],
        DeliveryState::Dead => vec![Share::Dead],
        DeliveryState::Suppressed => {
            vec![Share::Suppressed(delivery.reason.clone().unwrap_or_default()), Share::Withdrawn]
        }
    }
}

/// Counts a delivery for its trigger that was counted for its app alone, before there were counters of triggers.
pub(crate) fn count_for_trigger(delivery: &Delivery, tally: &mut Tally) {
    for share in [Share::Due, Share::Created].into_iter().chain(finals(delivery)) {
        count(tally, Some(delivery.app), Counter::OfTrigger(delivery.trigger, share), 1);
    }
}
