//! What a delivery sends when it is sent again: what it sent, or what its trigger, as it is now, makes of its
//! conversion, as that is on record.

use courier::Sender;
use measure::{
    DeliveryId, Timestamp,
    catalogue::Catalogue,
    postback::{Conversion, Delivery, Remade, attempts_allowed, compose},
    privacy::is_erased,
};
use store::{Resend, Store, StoreError};
use uuid::Uuid;

use super::refusal::Refusal;
use crate::http::triggers::case::of_input;

/// Attempts that a replay may take when its trigger is not there to be asked.
const ATTEMPTS: u32 = 4;

/// How deliveries are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    /// Under another identifier, so that partners take them for others.
    pub force: bool,
    /// Rendered anew, as their triggers are now.
    pub render: bool,
}

/// Sends deliveries again.
pub struct Again<'a> {
    pub store: &'a dyn Store,
    pub catalogue: &'a Catalogue,
    pub sender: &'a Sender,
    pub how: How,
}

impl Again<'_> {
    /// The order to send a delivery again at `now`, or why it is not.
    pub fn order(&self, delivery: &Delivery, now: Timestamp) -> Result<Result<Resend, Refusal>, StoreError> {
        if let Some(refusal) = Refusal::of(self.catalogue, delivery) {
            return Ok(Err(refusal));
        }
        let sent_as = self.how.force.then(|| another(delivery));
        let public = sent_as.unwrap_or_else(|| delivery.public_id());
        let remade = if self.how.render {
            match self.rendered(delivery)? {
                Ok(remade) => Some(renamed(remade, delivery.id, public)),
                Err(refusal) => return Ok(Err(refusal)),
            }
        } else {
            let same = Remade {
                request: delivery.request.clone(),
                trigger_version: delivery.trigger_version,
                network: delivery.network,
            };
            sent_as.map(|_| renamed(same, delivery.public_id(), public))
        };
        let attempts = self.attempts(delivery);
        Ok(Ok(Resend { delivery: delivery.id, due: now, attempts, sent_as, remade }))
    }

    /// What its trigger, as it is now, makes of the conversion, under the delivery's own identifier.
    fn rendered(&self, delivery: &Delivery) -> Result<Result<Remade, Refusal>, StoreError> {
        let (Some(trigger), Some(app)) =
            (self.catalogue.trigger(delivery.trigger), self.catalogue.app(delivery.app))
        else {
            return Ok(Err(Refusal::TriggerDeleted));
        };
        let Some(case) = of_input(self.store, delivery.app, delivery.conversion)? else {
            return Ok(Err(Refusal::NotOnRecord));
        };
        if case.is_erased() {
            return Ok(Err(Refusal::Erased));
        }
        let conversion = Conversion {
            revision: delivery.revision,
            // It is this one itself that was told of the conversion.
            told: &[],
            ..case.conversion(trigger.kind, app, self.catalogue, delivery.created)
        };
        let made = compose(trigger, &conversion)
            .and_then(|made| self.sender.target(&made.request.url).map(|_| made));
        Ok(match made {
            Ok(Delivery { request, trigger_version, network, .. }) => {
                Ok(Remade { request, trigger_version, network })
            }
            Err(reason) => Err(Refusal::Suppressed(reason)),
        })
    }

    fn attempts(&self, delivery: &Delivery) -> u32 {
        let allowed = self.catalogue.trigger(delivery.trigger).and_then(|trigger| {
            attempts_allowed(trigger, self.catalogue.template(trigger.template).map(AsRef::as_ref))
        });
        allowed.unwrap_or(ATTEMPTS)
    }
}

/// Puts deliveries back: how many, and why the others are not, which could be when they were read. They may have been
/// erased since, or put back by somebody else.
pub fn resend(
    store: &dyn Store,
    resends: &[Resend],
) -> Result<(usize, Vec<(DeliveryId, Refusal)>), StoreError> {
    let (mut put_back, mut refused) = (0, Vec::new());
    for (resend, was_final) in resends.iter().zip(store.resend(resends)?) {
        if was_final {
            put_back += 1;
            continue;
        }
        let refusal = match store.delivery(resend.delivery)? {
            Some(delivery) if is_erased(&delivery) => Refusal::Erased,
            // It was pending at that moment, whatever has become of it by now.
            Some(_) => Refusal::Pending,
            None => Refusal::NotOnRecord,
        };
        refused.push((resend.delivery, refusal));
    }
    Ok((put_back, refused))
}

/// An identifier that the partner takes for another one: the hash is changed, the time stays.
fn another(delivery: &Delivery) -> DeliveryId {
    let made = u32::try_from(delivery.attempts.len()).unwrap_or(u32::MAX);
    DeliveryId(Uuid::from_u128(delivery.id.0.as_u128() ^ u128::from(made.saturating_add(1))))
}

fn renamed(remade: Remade, old: DeliveryId, new: DeliveryId) -> Remade {
    if old == new {
        return remade;
    }
    Remade { request: remade.request.renamed(old, new), ..remade }
}

#[cfg(test)]
mod tests {
    use measure::{DeliveryId, Timestamp, postback::DeliveryState};
    use store::{Batch, Memory, Resend, Store};
    use uuid::Uuid;

    use super::{super::refusal::tests::delivery, Refusal, resend};

    #[test]
    fn whatever_is_not_put_back_is_accounted_for() {
        let store = Memory::new();
        let (url, erased) = ("https://partner.example.com/pb", "https://partner.example.com/[erased]");
        let deliveries = vec![
            delivery(1, DeliveryState::Dead, None, url),
            delivery(2, DeliveryState::Dead, None, erased),
            delivery(3, DeliveryState::Pending, None, url),
            delivery(4, DeliveryState::Delivered, None, url),
        ];
        store.commit(&Batch { deliveries, ..Batch::default() }).unwrap();
        let id = |number| DeliveryId(Uuid::from_u128(number));
        let order = |number| Resend {
            delivery: id(number),
            due: Timestamp(0),
            attempts: 1,
            sent_as: None,
            remade: None,
        };
        let (put_back, refused) = resend(&store, &[1, 2, 3, 4, 5].map(order)).unwrap();
        assert_eq!(put_back, 2);
        let expected = [(id(2), Refusal::Erased), (id(3), Refusal::Pending), (id(5), Refusal::NotOnRecord)];
        assert_eq!(refused, expected);
    }
}
