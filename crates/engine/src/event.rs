//! Events: joined to their install, or held until it comes (ingest.md section 4, DECISIONS 4, 14, 35).

use measure::{
    device::Device,
    event::Event,
    flag::Flag,
    input::{Input, Outcome, Suppressed},
    postback::{Conversion, TriggerKind, plan},
};
use store::{EventName, StoreError};

use crate::{machine::Turn, memory::EVENT_NAMES_MAX};

impl Turn<'_, '_> {
    pub(crate) fn event(&mut self, input: &mut Input, event: &Event) -> Result<Vec<Outcome>, StoreError> {
        self.record_name(input, event)?;
        let keys = event.origin.join_keys();
        if let Some(mut device) = self.view.device_by(input.app, &keys)? {
            let before = device.clone();
            self.flag_conflicts(input, &device, &event.origin.identifiers)?;
            self.take_consent(&mut device, &event.origin);
            let suppressed = self.post_event(input, event, Some(&device), 0, input);
            let source = device.source.clone();
            let outcome =
                Outcome::EventLinked { input: input.id, install: device.install, source, suppressed };
            if device != before {
                self.view.put_device(device);
            }
            return Ok(vec![outcome]);
        }
        if keys.is_empty() {
            input.flags.insert(Flag::NoIdentifier);
        }
        for key in keys {
            self.view.hold(input.app, key, input.id, input.received)?;
        }
        Ok(vec![Outcome::Held { suppressed: self.post_event(input, event, None, 0, input) }])
    }

    /// Plans the postbacks of an event; `cause` is the input that brought this about. An event that had
    /// been held counts as a correction of what was said when it came: revision 1 (DECISIONS 6).
    pub(crate) fn post_event(
        &mut self,
        input: &Input,
        event: &Event,
        device: Option<&Device>,
        revision: u32,
        cause: &Input,
    ) -> Vec<Suppressed> {
        let Some(app) = self.catalogue.app(input.app) else { return Vec::new() };
        let plan = plan(&Conversion {
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
            source: device.and_then(|device| device.source.as_ref()),
            influencers: &[],
            duplicate: false,
            unsent: &[],
        });
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
