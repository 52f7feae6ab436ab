//! Events: joined to their install, or held until it comes (ingest.md section 4, DECISIONS 4, 14, 35).

use std::collections::BTreeSet;

use measure::{
    InputId, TriggerId,
    attribution::{EventAction, EventDecision, EventQuestion, Source, decide_event, stand_in},
    consent::Moment,
    device::Device,
    event::Event,
    flag::Flag,
    input::{Fact, Input, Outcome, Payload, Suppressed},
    install::InstallRecord,
    link::Update,
    postback::{Conversion, Past, Plan, TriggerKind, is_attributable_session, plan},
    reengagement::{Claim, following, note},
};
use store::{EventName, StoreError};

use crate::{
    install::influencers,
    link::{apply_user, came},
    machine::Turn,
    memory::EVENT_NAMES_MAX,
    view::{About, Heard},
};

/// To whom an event is attributed, and the decision where there was one to make.
#[derive(Default)]
pub(crate) struct Attribution {
    pub source: Option<Source>,
    pub decision: Option<Box<EventDecision>>,
}

/// Events that one input can have decided again.
pub(crate) const LATE_EVENTS_MAX: usize = 256;

/// An event that is joined to an install, as it is on record.
pub(crate) struct LinkedEvent {
    /// Its input, without the event.
    pub input: Input,
    pub event: Event,
    pub device: Device,
    pub old: Attribution,
    pub revision: u32,
}

impl Turn<'_, '_> {
    pub(crate) fn event(&mut self, input: &mut Input, event: &Event) -> Result<Vec<Outcome>, StoreError> {
        self.record_name(input, event)?;
        let keys = event.origin.join_keys();
        if let Some(mut device) = self.view.device_by(input.app, &keys)? {
            self.flag_conflicts(input, &device, &event.origin.identifiers)?;
            let said = Moment::new(event.time, input.received);
            self.take_consent(&mut device, &event.origin.consent, said);
            let changed = apply_user(input.id, &event.origin.user, &mut device, came(input));
            let mut outcomes = vec![self.link_event(input, event, &mut device, 0, input)?];
            outcomes.extend(changed);
            let following = following(&device.claims, &event.name, event.time, input.id);
            self.view.put_device(device);
            outcomes.extend(self.redecide_events(input, following)?);
            return Ok(outcomes);
        }
        if keys.is_empty() {
            input.flags.insert(Flag::NoIdentifier);
        }
        for key in keys {
            self.view.hold(input.app, key, input.id, input.received)?;
        }
        let nobody = Attribution::default();
        Ok(vec![Outcome::Held { suppressed: self.post_event(input, event, None, &nobody, 0, input)? }])
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
        let attribution = self.attribute(input, event, device, 0, cause)?;
        let suppressed = self.post_event(input, event, Some(device), &attribution, revision, cause)?;
        let Attribution { source, decision } = attribution;
        let (install, installed) = (device.install, Some(device.installed));
        Ok(Outcome::EventLinked { input: input.id, install, source, suppressed, installed, decision })
    }

    /// Decides what an event of a device is attributed to (tracking-and-attribution.md section 9). Where no
    /// reengagement tracker covers the event and nobody limits event association there is nothing to decide:
    /// it belongs to its install.
    pub(crate) fn attribute(
        &mut self,
        input: &Input,
        event: &Event,
        device: &mut Device,
        revision: u32,
        cause: &Input,
    ) -> Result<Attribution, StoreError> {
        let is_covered = self.catalogue.reengages(device.app, &event.name);
        if !is_covered && !self.catalogue.has_event_association() {
            return Ok(Attribution { source: device.source.clone(), decision: None });
        }
        let stand_in = stand_in(input.id, &input.flags, event, input.received, device);
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
            revision,
            decided: cause.received,
        });
        if is_covered && revision == 0 {
            self.await_late(&stand_in);
        }
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

    /// Files an event where engagements that come late look for what they could have led to.
    fn await_late(&mut self, stand_in: &InstallRecord) {
        for key in self.match_keys(stand_in) {
            self.view.add_arrival(stand_in, key);
        }
        let recent = (stand_in.received, stand_in.app, stand_in.id);
        self.memory.remember_recent(recent);
    }

    /// An event on record as engagements are compared with it, if the input is one that is joined to an
    /// install.
    pub(crate) fn event_stand_in(&self, input: InputId) -> Result<Option<InstallRecord>, StoreError> {
        let Some(linked) = self.linked_event(input)? else { return Ok(None) };
        let LinkedEvent { input, event, device, .. } = linked;
        Ok(Some(stand_in(input.id, &input.flags, &event, input.received, &device)))
    }

    pub(crate) fn linked_event(&self, event: InputId) -> Result<Option<LinkedEvent>, StoreError> {
        let Some(old) = self.view.event_outcome(event)? else { return Ok(None) };
        let Some(Fact { mut input, .. }) = self.view.fact(event)? else { return Ok(None) };
        let (install, source, decision, revision) = match old {
            Outcome::EventLinked { install, source, decision, .. } => (install, source, decision, 0),
            Outcome::EventRedecided { install, source, decision, revision, .. } => {
                (install, source, decision, revision)
            }
            _ => return Ok(None),
        };
        let Some((record, _)) = self.view.install(input.app, install)? else { return Ok(None) };
        let Some(device) = self.view.device(input.app, record.device)? else { return Ok(None) };
        let payload = std::mem::replace(&mut input.payload, Payload::Update(Update::default()));
        let Payload::Event(event) = payload else { return Ok(None) };
        Ok(Some(LinkedEvent { input, event, device, old: Attribution { source, decision }, revision }))
    }

    /// Decides events on record again, in the order in which they happened, and after each one those of its
    /// device whose minimum time counts from it. Nothing comes of it unless a decision changes; a new source
    /// takes over the postbacks (DECISIONS 3 and 6).
    pub(crate) fn redecide_events(
        &mut self,
        cause: &Input,
        events: impl IntoIterator<Item = InputId>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let mut queue = BTreeSet::new();
        let mut outcomes = Vec::new();
        let mut waiting: Vec<InputId> = events.into_iter().collect();
        for _ in 0..LATE_EVENTS_MAX {
            for event in std::mem::take(&mut waiting) {
                if let Some(linked) = self.linked_event(event)? {
                    queue.insert((linked.event.time, event));
                }
            }
            let Some((_, id)) = queue.pop_first() else { break };
            let Some(LinkedEvent { input, event, mut device, old, revision }) = self.linked_event(id)? else {
                continue;
            };
            let new = self.attribute(&input, &event, &mut device, revision + 1, cause)?;
            let same_decision = match (&old.decision, &new.decision) {
                (Some(old), Some(new)) => old.says_the_same(new),
                (old, new) => old.is_none() && new.is_none(),
            };
            let same_source = old.source == new.source;
            if same_decision && same_source {
                continue;
            }
            waiting.extend(following(&device.claims, &event.name, event.time, input.id));
            let suppressed = if same_source {
                Vec::new()
            } else {
                self.replace_event(&input, &event, &device, &new, revision + 1, cause)?
            };
            let Attribution { source, decision } = new;
            let (install, installed) = (device.install, Some(device.installed));
            self.view.put_device(device);
            let (input, revision) = (input.id, revision + 1);
            let outcome =
                Outcome::EventRedecided { input, install, revision, source, suppressed, installed, decision };
            self.view.put_redecided(input, outcome.clone());
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// Plans the postbacks of an event whose attribution has changed. Its first ones are of revision 0, or 1
    /// when it had been held, so these come after both.
    fn replace_event(
        &mut self,
        input: &Input,
        event: &Event,
        device: &Device,
        attribution: &Attribution,
        revision: u32,
        cause: &Input,
    ) -> Result<Vec<Suppressed>, StoreError> {
        let about = About::event(input, device);
        let heard = self.view.heard(self.catalogue, about, cause.received)?;
        let spent = self.spent(input.app, &heard, cause.received)?;
        let (repeated, last_session) = self.past_of(input, event, device)?;
        let past = Past { repeated, last_session, spent: &spent };
        let told = &heard.told;
        let plan = self.plan_event(input, event, Some(device), attribution, revision + 1, told, past, cause);
        Ok(self.post_instead(about, heard, plan))
    }

    /// The engagement that brought the user back, in full.
    fn reengagement(&self, decision: &EventDecision) -> Result<Option<Source>, StoreError> {
        let Some(winner) = decision.winner() else { return Ok(None) };
        Ok(Some(Source { reengagement: true, ..self.source(winner, None)? }))
    }

    /// Plans the postbacks of an event; `cause` is the input that brought this about. An event that had
    /// been held counts as a correction of what was said when it came: revision 1 (DECISIONS 6).
    pub(crate) fn post_event(
        &mut self,
        input: &Input,
        event: &Event,
        mut device: Option<&mut Device>,
        attribution: &Attribution,
        revision: u32,
        cause: &Input,
    ) -> Result<Vec<Suppressed>, StoreError> {
        let repeated = match &mut device {
            Some(device) => self.is_repeated(input, event, device)?,
            None => self.is_repeated_waiting(input, event)?,
        };
        let about = device.as_deref().filter(|_| revision > 0).map(|device| About::event(input, device));
        let heard = match about {
            Some(about) => self.view.heard(self.catalogue, about, cause.received)?,
            None => Heard::default(),
        };
        let spent = self.spent(input.app, &heard, cause.received)?;
        let last_session = device.as_deref().and_then(|device| device.last_session);
        let past = Past { repeated, last_session, spent: &spent };
        let (known, told) = (device.as_deref(), &heard.told);
        let plan = self.plan_event(input, event, known, attribution, revision, told, past, cause);
        if let Some(device) = device
            && is_attributable_session(event, Some(device.installed), last_session)
        {
            device.last_session = Some(event.time);
        }
        Ok(match about {
            Some(about) => self.post_instead(about, heard, plan),
            None => self.post(input.app, plan),
        })
    }

    #[expect(clippy::too_many_arguments, reason = "what a postback may tell of is much")]
    fn plan_event(
        &self,
        input: &Input,
        event: &Event,
        device: Option<&Device>,
        attribution: &Attribution,
        revision: u32,
        told: &[TriggerId],
        past: Past<'_>,
        cause: &Input,
    ) -> Plan {
        let Some(app) = self.catalogue.app(input.app) else { return Plan::default() };
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
            flags: &input.flags,
            device,
            event: Some(event),
            click: None,
            source: attribution.source.as_ref(),
            influencers: &influencers(candidates),
            duplicate: false,
            told,
            past,
        });
        if let Some(winner) = candidates.first().filter(|first| first.lost.is_none()) {
            self.withhold_failed(input.app, winner.network, winner.tracker, &winner.fraud, &mut plan);
        }
        plan
    }

    /// Puts a name on record when it is first seen, or first comes with an amount (DECISIONS 35).
    fn record_name(&mut self, input: &Input, event: &Event) -> Result<(), StoreError> {
        if !self.memory.event_names.contains_key(&input.app) {
            let names = self.view.event_names(input.app)?;
            self.memory.event_names.insert(input.app, names);
        }
        let Some(names) = self.memory.event_names.get_mut(&input.app) else { return Ok(()) };
        let has_amount = event.amount.is_some();
        let name = match names.get(&event.name) {
            Some(known) if known.is_revenue || !has_amount => return Ok(()),
            // The first amount makes it revenue, unless people have said otherwise.
            Some(known) => EventName { is_revenue: true, ..*known },
            None if names.len() >= EVENT_NAMES_MAX => return Ok(()),
            None => EventName { first_seen: input.received, is_revenue: has_amount },
        };
        names.insert(event.name.clone(), name);
        self.view.batch().event_names.push((input.app, event.name.clone(), name));
        Ok(())
    }
}
