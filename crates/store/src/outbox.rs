//! The life of a delivery in the store: filed, leased, settled or withdrawn. Pure; both backends use it.

use measure::{
    Timestamp, TriggerId,
    catalogue::{Change, Entry},
    ledger::{Counter, Tally, count},
    postback::{Delivery, DeliveryState, Suppression},
};

use crate::Settlement;

/// Where a pending delivery waits in the order of due times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Filing {
    /// Under this time: when it is due, or when its lease ends.
    pub at: Timestamp,
    /// How often it was leased; the newest lease holds this number.
    pub fence: u64,
    /// Whether the newest lease has not been settled. One that has ended may still be settled as long as
    /// nobody took the delivery on again.
    pub leased: bool,
}

impl Filing {
    /// A new delivery, due at `at`.
    pub fn new(at: Timestamp) -> Self {
        Self { at, fence: 0, leased: false }
    }

    /// The next lease, which ends at `until`.
    pub fn lease(self, until: Timestamp) -> Self {
        Self { at: until, fence: self.fence + 1, leased: true }
    }

    /// Waiting again until `due`, leased by nobody.
    pub fn release(self, due: Timestamp) -> Self {
        Self { at: due, leased: false, ..self }
    }

    /// Whether the holder of `fence` may settle.
    pub fn held_by(self, fence: u64) -> bool {
        self.leased && self.fence == fence
    }
}

/// Withdraws a delivery, if it is pending still. Whether it was.
pub(crate) fn withdraw(delivery: &mut Delivery, reason: Suppression, tally: &mut Tally) -> bool {
    if delivery.state != DeliveryState::Pending {
        return false;
    }
    delivery.state = DeliveryState::Suppressed;
    delivery.reason = Some(reason.name().to_owned());
    count_final(delivery, tally);
    true
}

/// The triggers that changes of the catalogue delete. Numbers are never given out twice, so a trigger once
/// deleted stays so.
pub(crate) fn deleted(changes: &[Change]) -> impl Iterator<Item = TriggerId> {
    changes.iter().filter_map(|change| match &change.entry {
        Entry::Trigger(trigger) if trigger.deleted => Some(trigger.id),
        _ => None,
    })
}

/// Puts down what became of a delivery. The caller has checked the fence.
pub(crate) fn settle(delivery: &mut Delivery, settlement: &Settlement, tally: &mut Tally) {
    delivery.attempts.extend(settlement.attempt.clone());
    delivery.state = settlement.state;
    delivery.reason = match settlement.state {
        DeliveryState::Dead | DeliveryState::Suppressed => settlement.reason.clone(),
        DeliveryState::Pending | DeliveryState::Delivered => None,
    };
    if settlement.state == DeliveryState::Pending {
        delivery.due = settlement.due;
    }
    count_final(delivery, tally);
}

/// Counts a delivery that has just become final. Pending ones are not counted: there are as many as were
/// created and have not become final.
fn count_final(delivery: &Delivery, tally: &mut Tally) {
    let app = Some(delivery.app);
    match delivery.state {
        DeliveryState::Pending => {}
        DeliveryState::Delivered => count(tally, app, Counter::Delivered, 1),
        DeliveryState::Dead => count(tally, app, Counter::Dead, 1),
        DeliveryState::Suppressed => {
            let reason = delivery.reason.clone().unwrap_or_default();
            count(tally, app, Counter::Suppressed(reason), 1);
            count(tally, app, Counter::Withdrawn, 1);
        }
    }
}
