//! Why a delivery is not sent again.

use std::fmt;

use measure::{
    catalogue::Catalogue,
    postback::{Delivery, DeliveryState, Suppression},
    privacy::is_erased,
};

/// Why a delivery is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Of what it told nothing is left.
    Erased,
    /// It waits to be sent as it is.
    Pending,
    /// Nothing goes to its recipient any more.
    TriggerDeleted,
    /// Another one tells of the conversion as it was decided later.
    Superseded,
    /// It is to be rendered anew, and its conversion is no longer kept.
    NotOnRecord,
    /// It is to be rendered anew, and its trigger, as it is now, sends nothing for it.
    Suppressed(Suppression),
}

impl Refusal {
    /// Why a delivery is not sent again, however it were rendered.
    pub fn of(catalogue: &Catalogue, delivery: &Delivery) -> Option<Self> {
        let lives = catalogue.trigger(delivery.trigger).is_some_and(|trigger| !trigger.deleted);
        Self::when(delivery, lives)
    }

    /// As [`Self::of`], when it is known whether its trigger is still there.
    fn when(delivery: &Delivery, lives: bool) -> Option<Self> {
        if is_erased(delivery) {
            return Some(Self::Erased);
        }
        match delivery.state {
            DeliveryState::Pending => Some(Self::Pending),
            _ if !lives => Some(Self::TriggerDeleted),
            // It may have arrived all the same: it was being sent when the decision was changed.
            DeliveryState::Suppressed | DeliveryState::Delivered | DeliveryState::Dead => {
                let superseded = delivery.reason.as_deref() == Some(Suppression::Superseded.name());
                superseded.then_some(Self::Superseded)
            }
        }
    }

    /// The name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Erased => "erased",
            Self::Pending => "pending",
            Self::TriggerDeleted => "trigger_deleted",
            Self::Superseded => "superseded",
            Self::NotOnRecord => "not_on_record",
            Self::Suppressed(reason) => reason.name(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Erased => f.write_str("it was erased on request, and nothing is left to send"),
            Self::Pending => f.write_str("it is pending already"),
            Self::TriggerDeleted => f.write_str("its trigger was deleted"),
            Self::Superseded => f.write_str("a later decision took its place"),
            Self::NotOnRecord => {
                f.write_str("what it tells of is no longer on record; without render it goes out as it was")
            }
            Self::Suppressed(reason) => {
                write!(f, "as its trigger is now, nothing is sent for it ({reason})")
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use measure::{
        AppId, DeliveryId, InputId, Timestamp, TriggerId,
        postback::{Delivery, DeliveryState, Request},
    };
    use uuid::Uuid;

    use super::Refusal;

    pub fn delivery(number: u128, state: DeliveryState, reason: Option<&str>, url: &str) -> Delivery {
        Delivery {
            id: DeliveryId(Uuid::from_u128(number)),
            app: AppId(1),
            trigger: TriggerId(1),
            trigger_version: 1,
            conversion: InputId(Uuid::from_u128(1)),
            install: None,
            revision: 0,
            network: None,
            request: Request { url: url.to_owned(), ..Request::default() },
            state,
            reason: reason.map(str::to_owned),
            created: Timestamp(0),
            due: Timestamp(0),
            attempts_allowed: 3,
            attempts: vec![],
            sent_as: None,
            attempts_before: 0,
            planned_paused: false,
            earlier: vec![],
        }
    }

    #[test]
    fn what_is_not_sent_again() {
        let check = |state, reason: Option<&str>, lives, url: &str, refusal: Option<Refusal>| {
            let delivery = delivery(1, state, reason, url);
            assert_eq!(Refusal::when(&delivery, lives), refusal, "{delivery:?}");
        };
        use DeliveryState::{Dead, Delivered, Pending, Suppressed};
        let (url, erased) = ("https://partner.example.com/pb", "https://partner.example.com/[erased]");
        check(Delivered, None, true, url, None);
        check(Dead, Some("status 403"), true, url, None);
        check(Suppressed, Some("rate_cap"), true, url, None);
        check(Pending, None, true, url, Some(Refusal::Pending));
        check(Suppressed, Some("superseded"), true, url, Some(Refusal::Superseded));
        check(Delivered, Some("superseded"), true, url, Some(Refusal::Superseded));
        check(Delivered, None, false, url, Some(Refusal::TriggerDeleted));
        for state in [Delivered, Dead, Suppressed] {
            check(state, None, true, erased, Some(Refusal::Erased));
        }
    }
}
