//! What earlier conversions bring to bear on one: how much triggers have sent, whether a device had such an
//! event before, when its last session was told of (postbacks.md sections 1 and 7).

use std::collections::HashMap;

use measure::{
    AppId, Timestamp, TriggerId,
    device::{Device, EVENTS_REMEMBERED_MAX},
    event::Event,
    input::{Input, Payload, Suppressed},
    postback::{Delivery, Plan, SESSION, Suppression, asks_for_first, cap, is_attributable_session},
    time::{DAY_MS, HOUR_MS},
};
use store::{DeliveryQuery, Store, StoreError};

use crate::{
    machine::Turn,
    view::{About, Heard, TIMELINE_READ_MAX},
};

/// Deliveries read back at start to find how much was sent today, at most.
const DELIVERIES_AT_START_MAX: usize = 200_000;

/// How much each trigger has sent in this hour and on this day, from midnight UTC.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    hour: Period,
    day: Period,
}

#[derive(Clone, Debug, Default)]
struct Period {
    /// Which one: its begin, milliseconds.
    begin: i64,
    count: HashMap<TriggerId, u32>,
}

impl Period {
    /// Goes on to the period of `now`; one that is over counts no more. A clock that is set back stays in
    /// the period that has begun.
    fn advance(&mut self, now: Timestamp, length: i64) {
        let begin = now.millis() - now.millis().rem_euclid(length);
        if begin > self.begin {
            (self.begin, self.count) = (begin, HashMap::new());
        }
    }

    fn add(&mut self, delivery: &Delivery) {
        if delivery.created.millis() >= self.begin {
            *self.count.entry(delivery.trigger).or_default() += 1;
        }
    }

    fn take_back(&mut self, delivery: &Delivery) {
        if delivery.created.millis() >= self.begin
            && let Some(count) = self.count.get_mut(&delivery.trigger)
        {
            *count = count.saturating_sub(1);
        }
    }
}

impl Sent {
    /// What the store holds of the day of `now`.
    fn load(store: &dyn Store, now: Timestamp) -> Result<Self, StoreError> {
        let mut sent = Self::default();
        sent.advance(now);
        let mut query = DeliveryQuery { limit: 1_000, ..DeliveryQuery::default() };
        for _ in 0..DELIVERIES_AT_START_MAX / query.limit {
            let page = store.deliveries(&query)?;
            page.iter().filter(|delivery| is_counted(delivery)).for_each(|delivery| sent.add(delivery));
            let Some(last) = page.last() else { break };
            if last.created.millis() < sent.day.begin {
                break;
            }
            query.after = Some(last.id);
        }
        Ok(sent)
    }

    fn advance(&mut self, now: Timestamp) {
        self.hour.advance(now, HOUR_MS);
        self.day.advance(now, DAY_MS);
    }

    pub(crate) fn add(&mut self, delivery: &Delivery) {
        self.hour.add(delivery);
        self.day.add(delivery);
    }

    /// One that was counted is withdrawn before it was sent.
    fn take_back(&mut self, delivery: &Delivery) {
        if delivery.attempts.is_empty() {
            self.hour.take_back(delivery);
            self.day.take_back(delivery);
        }
    }
}

/// Whether it counts as sent: all do but those that a later revision withdrew in time.
fn is_counted(delivery: &Delivery) -> bool {
    !delivery.attempts.is_empty() || delivery.reason.as_deref() != Some(Suppression::Superseded.name())
}

impl Turn<'_, '_> {
    /// The triggers of an app that have sent as much as they may (`sx_rate_cap`). One whose earlier postback of the
    /// same conversion has not been sent takes the place of that.
    pub(crate) fn spent(
        &mut self,
        app: AppId,
        heard: &Heard,
        now: Timestamp,
    ) -> Result<Vec<TriggerId>, StoreError> {
        let mut spent = Vec::new();
        for trigger in self.catalogue.triggers_of(app) {
            let template = self.catalogue.template(trigger.template).map(AsRef::as_ref);
            let Some(cap) = cap(trigger, template) else { continue };
            let sent = match &mut self.memory.sent {
                Some(sent) => sent,
                None => self.memory.sent.insert(self.view.sent(|store| Sent::load(store, now))?),
            };
            sent.advance(now);
            let period = if cap.within_ms == HOUR_MS { &sent.hour } else { &sent.day };
            let is_spent = period.count.get(&trigger.id).is_some_and(|count| *count >= cap.most);
            if is_spent && !heard.unsent.contains(&trigger.id) {
                spent.push(trigger.id);
            }
        }
        Ok(spent)
    }

    /// Puts the plan of a later revision in the place of what the earlier ones have not sent.
    pub(crate) fn post_instead(&mut self, about: About, heard: Heard, plan: Plan) -> Vec<Suppressed> {
        let repeated = plan.suppressed.iter().filter(|pair| pair.reason == Suppression::Duplicate);
        let told: Vec<_> = repeated.map(|pair| pair.trigger).collect();
        let withdrawn = self.view.supersede(about, heard, &told);
        if let Some(sent) = &mut self.memory.sent {
            withdrawn.iter().for_each(|delivery| sent.take_back(delivery));
        }
        self.post(about.app, plan)
    }

    /// Puts a plan in the outbox and counts what it sends.
    pub(crate) fn post(&mut self, app: AppId, plan: Plan) -> Vec<Suppressed> {
        if let Some(sent) = &mut self.memory.sent {
            for delivery in &plan.deliveries {
                sent.advance(delivery.created);
                sent.add(delivery);
            }
        }
        self.view.post(app, plan)
    }

    /// Whether the device had an event of this name before, where a trigger asks. From then on the device
    /// remembers; what came before that is found among its facts.
    pub(crate) fn is_repeated(
        &mut self,
        input: &Input,
        event: &Event,
        device: &mut Device,
    ) -> Result<bool, StoreError> {
        if !asks_for_first(self.catalogue, input.app, &event.name) {
            return Ok(false);
        }
        if device.had_event(&event.name) || device.seen_events.len() >= EVENTS_REMEMBERED_MAX {
            return Ok(true);
        }
        device.remember_event(&event.name);
        Ok(self.view.events_before(device, input.id)?.iter().any(|before| before.name == event.name))
    }

    /// Whether an event that waits for its install is known to wait for the same one, where a trigger asks.
    pub(crate) fn is_repeated_waiting(&mut self, input: &Input, event: &Event) -> Result<bool, StoreError> {
        if !asks_for_first(self.catalogue, input.app, &event.name) {
            return Ok(false);
        }
        for key in event.origin.join_keys() {
            for waiting in self.view.held(input.app, &key)?.into_iter().rev().take(TIMELINE_READ_MAX) {
                let fact = self.view.fact(waiting)?.filter(|fact| fact.input.id != input.id);
                if fact.is_some_and(|fact| event_name(&fact.input.payload) == Some(&event.name)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// What an event brought to bear on its postbacks when it was joined to its install, as far as a trigger asks:
    /// whether it was a repetition, and when the last session before it was told of.
    pub(crate) fn past_of(
        &self,
        input: &Input,
        event: &Event,
        device: &Device,
    ) -> Result<(bool, Option<Timestamp>), StoreError> {
        let asks = asks_for_first(self.catalogue, input.app, &event.name);
        if !asks && event.name != SESSION {
            return Ok((false, None));
        }
        let before = self.view.events_before(device, input.id)?;
        let mut last_session = None;
        for session in &before {
            if is_attributable_session(session, Some(device.installed), last_session) {
                last_session = Some(session.time);
            }
        }
        Ok((asks && before.iter().any(|before| before.name == event.name), last_session))
    }
}

/// The name of an event, if a payload is one.
pub(crate) fn event_name(payload: &Payload) -> Option<&str> {
    match payload {
        Payload::Event(event) => Some(&event.name),
        _ => None,
    }
}
