//! Updates and identity links, and the inputs that wait for an install
//! (ingest.md sections 5 and 6, DECISIONS 4, 13, 16).

use std::collections::BTreeSet;

use measure::{
    InputId, Timestamp,
    consent::Moment,
    device::{Device, Receipt},
    identifier::JoinKey,
    input::{Fact, Input, Outcome, Payload},
    link::{IdentityLink, Update},
    user::{Applied, Operation},
};
use store::StoreError;

use crate::machine::Turn;

impl Turn<'_, '_> {
    pub(crate) fn update(&mut self, input: &mut Input, update: &Update) -> Result<Vec<Outcome>, StoreError> {
        let key = JoinKey::kochava(&update.kochava_device_id);
        let Some(mut device) = self.view.device_by(input.app, std::slice::from_ref(&key))? else {
            self.view.hold(input.app, key, input.id, input.received)?;
            return Ok(vec![Outcome::Held { suppressed: Vec::new() }]);
        };
        let install = device.install;
        let mut outcomes = vec![Outcome::Applied { input: input.id, install }];
        if self.apply_update(input, update, &mut device)? {
            outcomes.extend(self.release_held(input, &mut device)?);
        }
        self.view.put_device(device);
        Ok(outcomes)
    }

    /// The answer is whether the device has identifiers that it did not have before.
    fn apply_update(
        &mut self,
        input: &mut Input,
        update: &Update,
        device: &mut Device,
    ) -> Result<bool, StoreError> {
        let said = Moment::new(input.received, input.received);
        self.take_consent(device, &update.effective_consent(), said);
        self.bind(input, device, &update.identifiers, said)
    }

    /// What the link says; the answer is what it changed about the user.
    fn apply_link(
        &mut self,
        input: InputId,
        link: &IdentityLink,
        device: &mut Device,
        receipt: Receipt,
    ) -> Option<Outcome> {
        self.take_consent(device, &link.consent, Moment::new(receipt.at, receipt.at));
        device.link(&link.links, receipt);
        apply_user(input, &link.user, device, receipt)
    }

    pub(crate) fn link(&mut self, input: &Input, link: &IdentityLink) -> Result<Vec<Outcome>, StoreError> {
        let keys = link.join_keys();
        if let Some(mut device) = self.view.device_by(input.app, &keys)? {
            let changed = self.apply_link(input.id, link, &mut device, came(input));
            let applied = Outcome::Applied { input: input.id, install: device.install };
            self.view.put_device(device);
            return Ok([applied].into_iter().chain(changed).collect());
        }
        for key in keys {
            self.view.hold(input.app, key, input.id, input.received)?;
        }
        Ok(vec![Outcome::Held { suppressed: Vec::new() }])
    }

    /// Links what waited for a device. What waited longer than `ingest.hold` stays without an install.
    pub(crate) fn release_held(
        &mut self,
        cause: &mut Input,
        device: &mut Device,
    ) -> Result<Vec<Outcome>, StoreError> {
        let is_update = |fact: &Fact| matches!(fact.input.payload, Payload::Update(_));
        let mut outcomes = Vec::new();
        let (updates, mut others): (Vec<Fact>, Vec<Fact>) =
            self.waiting(device)?.into_iter().partition(is_update);
        if !updates.is_empty() {
            for update in updates {
                outcomes.extend(self.release(update.input, cause, device)?);
            }
            // What they bound, others wait under. Updates wait for a `kochava_device_id` and bind none, so there
            // are none among these.
            others = self.waiting(device)?;
        }
        for other in others {
            outcomes.extend(self.release(other.input, cause, device)?);
        }
        Ok(outcomes)
    }

    /// What waits under the keys of a device, in the order in which it happened: minimum times count from one
    /// event to the next.
    fn waiting(&mut self, device: &Device) -> Result<Vec<Fact>, StoreError> {
        let app = device.app;
        let mut keys = device.join_keys();
        let lengths: Vec<_> = self.memory.indexed_lengths(app).collect();
        for identifier in &device.identifiers {
            for length in &lengths {
                let digests = measure::identifier::forms(&identifier.value, *length);
                keys.extend(digests.into_iter().map(|(_, digest)| JoinKey::Digest(digest)));
            }
        }
        let mut waiting = BTreeSet::new();
        for key in &keys {
            waiting.extend(self.view.held(app, key)?);
        }
        let mut facts = Vec::new();
        for id in waiting {
            facts.extend(self.view.fact(id)?);
        }
        facts.sort_by_key(|fact| (happened(&fact.input), fact.input.id));
        Ok(facts)
    }

    /// Links one input that waited.
    fn release(
        &mut self,
        mut held: Input,
        cause: &mut Input,
        device: &mut Device,
    ) -> Result<Vec<Outcome>, StoreError> {
        let (id, app) = (held.id, device.app);
        for key in held_keys(&held.payload) {
            self.view.release(app, key, id, held.received);
        }
        let policy =
            self.catalogue.app(app).map_or(self.catalogue.policy, |app| self.catalogue.policy_of(app));
        if device.install_received.since(held.received) > policy.hold_ms {
            return Ok(Vec::new());
        }
        let receipt = Receipt { at: held.received, held: true };
        let mut changed = None;
        let outcome = match held.payload.clone() {
            Payload::Event(event) => {
                let said = Moment::new(event.time, held.received);
                self.take_consent(device, &event.origin.consent, said);
                changed = apply_user(id, &event.origin.user, device, receipt);
                self.link_event(&held, &event, device, 1, cause)?
            }
            Payload::Update(update) => {
                self.apply_update(&mut held, &update, device)?;
                Outcome::Applied { input: id, install: device.install }
            }
            Payload::Link(link) => {
                changed = self.apply_link(id, &link, device, receipt);
                Outcome::Applied { input: id, install: device.install }
            }
            Payload::Engagement(_)
            | Payload::Install(_)
            | Payload::Aggregate(_)
            | Payload::Claim(_)
            | Payload::Ignored(_) => return Ok(Vec::new()),
        };
        Ok([outcome].into_iter().chain(changed).collect())
    }
}

/// When what an input tells of happened; for what tells of nothing, when it came.
const fn happened(input: &Input) -> Timestamp {
    match &input.payload {
        Payload::Event(event) => event.time,
        _ => input.received,
    }
}

/// The keys under which an input waits.
fn held_keys(payload: &Payload) -> Vec<JoinKey> {
    match payload {
        Payload::Event(event) => event.origin.join_keys(),
        Payload::Update(update) => vec![JoinKey::kochava(&update.kochava_device_id)],
        Payload::Link(link) => link.join_keys(),
        Payload::Engagement(_)
        | Payload::Install(_)
        | Payload::Aggregate(_)
        | Payload::Claim(_)
        | Payload::Ignored(_) => Vec::new(),
    }
}

/// How an input came that is decided at once.
pub(crate) const fn came(input: &Input) -> Receipt {
    Receipt { at: input.received, held: false }
}

/// Applies what an input says about the user; `None` when it says nothing.
pub(crate) fn apply_user(
    input: InputId,
    user: &[Operation],
    device: &mut Device,
    receipt: Receipt,
) -> Option<Outcome> {
    if user.is_empty() {
        return None;
    }
    let Applied { changed, refused } = device.apply(user, receipt);
    Some(Outcome::UserChanged { input, changed, refused })
}
