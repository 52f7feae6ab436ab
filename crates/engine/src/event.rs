//! Events: joined to their install, or held until it comes (ingest.md section 4, DECISIONS 4, 14, 35).

use measure::{
    attribution::{EventAction, EventDecision, EventQuestion, Source, decide_event, source, stand_in},
    device::Device,
    event::Event,
    flag::Flag,
    input::{Input, Outcome, Suppressed},
    postback::{Conversion, TriggerKind, plan},
    reengagement::{Claim, note},
};
use store::{EventName, StoreError};

use crate::{install::influencers, link::apply_user, machine::Turn, memory::EVENT_NAMES_MAX};

/// To whom an event is attributed, and the decision where there was one to make.
#[derive(Default)]
pub(crate) struct Attribution {
    source: Option<Source>,
    decision: Option<Box<EventDecision>>,
}

impl Turn<'_, '_> {
    pub(crate) fn event(&mut self, input: &mut Input, event: &Event) -> Result<Vec<Outcome>, StoreError> {
        self.record_name(input, event)?;
        let keys = event.origin.join_keys();
        if let Some(mut device) = self.view.device_by(input.app, &keys)? {
            let before = device.clone();
            self.flag_conflicts(input, &device, &event.origin.identifiers)?;
            self.take_consent(&mut device, &event.origin);
            let changed = apply_user(input.id, &event.origin.user, &mut device);
            let outcome = self.link_event(input, event, &mut device, 0, input)?;
            if device != before {
                self.view.put_device(device);
            }
            return Ok([outcome].into_iter().chain(changed).collect());
        }
        if keys.is_empty() {
            input.flags.insert(Flag::NoIdentifier);
        }
        for key in keys {
            self.view.hold(input.app, key, input.id, input.received)?;
        }
        let nobody = Attribution::default();
        Ok(vec![Outcome::Held { suppressed: self.post_event(input, event, None, &nobody, 0, input) }])
    }

    /// Joins an event to the install of its device: decides what it is attributed to and plans its postbacks.
    /// `cause` is the input that brought this about.
    pub(crate) fn link_event(
        &mut self,
        input: &Input,
        event: &Event,
        device: &mut Device,
        revision: u32,
        cause: &Input,
    ) -> Result<Outcome, StoreError> {
        let attribution = self.attribute(input, event, device, cause)?;
        let suppressed = self.post_event(input, event, Some(device), &attribution, revision, cause);
        let Attribution { source, decision } = attribution;
        let (install, installed) = (device.install, Some(device.installed));
        Ok(Outcome::EventLinked { input: input.id, install, source, suppressed, installed, decision })
    }

    /// Decides what an event of a device is attributed to (tracking-and-attribution.md section 9). Where no
    /// reengagement tracker covers the event and nobody limits event association there is nothing to decide:
    /// it belongs to its install.
    fn attribute(
        &mut self,
        input: &Input,
        event: &Event,
        device: &mut Device,
        cause: &Input,
    ) -> Result<Attribution, StoreError> {
        let is_covered = self.catalogue.reengages(device.app, &event.name);
        if !is_covered && !self.catalogue.has_event_association() {
            return Ok(Attribution { source: device.source.clone(), decision: None });
        }
        let stand_in = stand_in(input.id, event, input.received, device);
        let (touches, more) = if is_covered { self.touches_of(&stand_in)? } else { (Vec::new(), false) };
        let decision = decide_event(&EventQuestion {
            input: input.id,
            event,
            stand_in: &stand_in,
            installed: device.installed,
            source: device.source.as_ref(),
            claims: &device.claims,
            touches: &touches,
            more,
            catalogue: self.catalogue,
            revision: 0,
            decided: cause.received,
        });
        if is_covered {
            let claim = decision.has_claim().then(|| Claim {
                time: event.time,
                input: input.id,
                event: event.name.clone(),
                received: input.received,
                credited: decision.action == EventAction::Reengagement,
            });
            note(&mut device.claims, input.id, claim, cause.received);
        }
        let source = match decision.action {
            EventAction::Reengagement => self.reengagement(&decision)?,
            EventAction::Install => device.source.clone(),
            EventAction::Unattributed => None,
        };
        Ok(Attribution { source, decision: Some(Box::new(decision)) })
    }

    /// The engagement that brought the user back, in full.
    fn reengagement(&self, decision: &EventDecision) -> Result<Option<Source>, StoreError> {
        let Some(winner) = decision.winner() else { return Ok(None) };
        let engagement = match winner.touch {
            Some(touch) => self.view.engagement(touch)?,
            None => None,
        };
        Ok(Some(Source { reengagement: true, ..source(winner, engagement.as_ref(), None) }))
    }

    /// Plans the postbacks of an event; `cause` is the input that brought this about. An event that had
    /// been held counts as a correction of what was said when it came: revision 1 (DECISIONS 6).
    pub(crate) fn post_event(
        &mut self,
        input: &Input,
        event: &Event,
        device: Option<&Device>,
        attribution: &Attribution,
        revision: u32,
        cause: &Input,
    ) -> Vec<Suppressed> {
        let Some(app) = self.catalogue.app(input.app) else { return Vec::new() };
        let candidates =
            attribution.decision.as_ref().map(|decision| decision.candidates.as_slice()).unwrap_or_default();
        let mut plan = plan(&Conversion {
            kind: TriggerKind::Event,
            input: input.id,
            decided: cause.received,
            revision,
            app,
            catalogue: self.catalogue,
            install: device.map(|device| device.install),
            installed: device.map(|device| device.installed),
            origin: Some(&event.origin),
            device,
            event: Some(event),
            click: None,
            source: attribution.source.as_ref(),
            influencers: &influencers(candidates),
            duplicate: false,
            unsent: &[],
        });
        if let Some(winner) = candidates.first().filter(|first| first.lost.is_none()) {
            self.withhold_failed(input.app, winner.network, winner.tracker, &winner.fraud, &mut plan);
        }
        self.view.post(input.app, plan)
    }

    /// Puts a name on record when it is first seen.
    fn record_name(&mut self, input: &Input, event: &Event) -> Result<(), StoreError> {
        if !self.memory.event_names.contains_key(&input.app) {
            let names = self.view.event_names(input.app)?;
            self.memory.event_names.insert(input.app, names);
        }
        let Some(names) = self.memory.event_names.get_mut(&input.app) else { return Ok(()) };
        if names.len() < EVENT_NAMES_MAX && !names.contains(&event.name) {
            names.insert(event.name.clone());
            let name = EventName { first_seen: input.received, is_revenue: event.amount.is_some() };
            self.view.batch().event_names.push((input.app, event.name.clone(), name));
        }
        Ok(())
    }
}
