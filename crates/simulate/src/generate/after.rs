//! What people do once they have the app: events, identity links, updates, and the oddities of senders
//! (retries, things that arrive before the install they belong to).

use rand::RngExt as _;
use serde_json::json;

use super::{Builder, DAY, Draft, MINUTE};
use crate::{
    device::{Consent, Hash},
    scenario::{Action, Event, Join, Step},
};

impl Builder {
    /// Adds the steps after the install.
    pub(super) fn after(&mut self, draft: &mut Draft) {
        if draft.device.consent == Consent::GrantedLater {
            let time = self.moment(draft);
            draft.steps.push(Step { time, clock: self.clock(), action: Action::Update });
        }
        for _ in 0..self.rng.random_range(0..=3) {
            let event = self.event(draft);
            let step = Step { time: self.moment(draft), clock: self.clock(), action: Action::Event(event) };
            // The sender did not see the answer and tries again.
            let again = matches!(&step.action, Action::Event(Event { key: Some(_), .. }))
                && self.rng.random_bool(0.1);
            if again {
                draft.steps.push(step.clone());
            }
            self.place(draft, step);
        }
        if self.rng.random_bool(0.2) {
            let action =
                Action::Link { join: self.join(draft, true), user_id: format!("u-{}", self.number()) };
            let clock = self.clock();
            self.place(draft, Step { time: None, clock, action });
        }
        // The app was started again without knowing that its install had been told: no new install.
        if self.rng.random_bool(0.05)
            && let Some(install) =
                draft.steps.iter().find(|step| matches!(step.action, Action::Install(_))).cloned()
        {
            draft.steps.push(install);
        }
    }

    /// Puts a step at the end, or now and then at the very start, before the install is known.
    fn place(&mut self, draft: &mut Draft, step: Step) {
        // What an update brings can join nothing before it.
        if self.rng.random_bool(0.05) && draft.device.consent != Consent::GrantedLater {
            draft.steps.insert(0, step);
        } else {
            draft.steps.push(step);
        }
    }

    fn event(&mut self, draft: &Draft) -> Event {
        let number = self.number();
        let (name, data, currency) = match self.rng.random_range(0..5) {
            0 | 1 => {
                let cents = self.rng.random_range(99..9_999);
                let sum = f64::from(cents) / 100.0;
                let currency = if self.rng.random_bool(0.5) { "EUR" } else { "USD" };
                (
                    "Purchase",
                    json!({ "order_id": format!("o-{number}"), "quantity": 1, "sum": sum }),
                    Some(currency),
                )
            }
            2 => ("Registration Complete", json!({ "registration_method": "email" }), None),
            3 => ("Level Complete", json!({ "level": self.rng.random_range(1..30).to_string() }), None),
            _ => ("Tutorial Complete", json!({}), None),
        };
        let key = self.rng.random_bool(0.6).then(|| format!("sim-{:x}-{number}", self.plan.seed));
        Event { name, data, currency, key, join: self.join(draft, false) }
    }

    /// By what a sender names the device: something that the install or update has told before.
    fn join(&mut self, draft: &Draft, hashed: bool) -> Join {
        let readable = draft.device.consent != Consent::Refused;
        match self.rng.random_range(0..10) {
            0 | 1 if readable => Join::AdvertisingId,
            2 if readable && hashed => Join::Hashed(Hash::Md5),
            3 if readable && hashed => Join::Hashed(Hash::Sha1),
            4 => Join::VendorId,
            _ => Join::KochavaDeviceId,
        }
    }

    /// A moment after the install and before the end; `None` where the install itself was just now.
    fn moment(&mut self, draft: &Draft) -> Option<i64> {
        let installed = draft.installed?;
        let last = (installed + DAY).min(self.plan.until - MINUTE);
        Some(self.rng.random_range(installed + 1..=last))
    }
}
