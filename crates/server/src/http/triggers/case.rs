//! Conversions as they are on record, to be rendered: an install, an event or a click, and what is known of it.

use measure::{
    AppId, InputId, InstallId, NetworkId, Timestamp,
    attribution::{Candidate, LosingReason, Source},
    catalogue::{App, Catalogue},
    device::{Device, Origin},
    engagement::{Engagement, EngagementKind},
    event::Event,
    flag::{Flag, Flags},
    input::{Fact, Outcome, Payload},
    postback::{Conversion, Past, TriggerKind},
};
use store::{Store, StoreError};

use super::super::record::attribution::Decided;

/// A conversion to render with.
pub struct Case {
    pub input: InputId,
    pub install: Option<InstallId>,
    pub installed: Option<Timestamp>,
    pub origin: Option<Origin>,
    pub flags: Flags,
    pub device: Option<Device>,
    pub event: Option<Event>,
    pub click: Option<(Engagement, InputId)>,
    pub source: Option<Source>,
    pub influencers: Vec<NetworkId>,
}

impl Case {
    /// A conversion of which nothing is known.
    pub const fn of(input: InputId) -> Self {
        Self {
            input,
            install: None,
            installed: None,
            origin: None,
            flags: Flags::new(),
            device: None,
            event: None,
            click: None,
            source: None,
            influencers: Vec::new(),
        }
    }

    /// Whether what tells of whom it was about was erased on request.
    pub fn is_erased(&self) -> bool {
        self.flags.contains(&Flag::Erased)
    }

    /// The conversion as a trigger of this kind is told of it, decided on at `decided`. Nothing is said of
    /// what went before.
    pub fn conversion<'a>(
        &'a self,
        kind: TriggerKind,
        app: &'a App,
        catalogue: &'a Catalogue,
        decided: Timestamp,
    ) -> Conversion<'a> {
        Conversion {
            kind,
            input: self.input,
            decided,
            revision: 0,
            app,
            catalogue,
            install: self.install,
            installed: self.installed,
            origin: self.origin.as_ref(),
            flags: &self.flags,
            device: self.device.as_ref(),
            event: self.event.as_ref(),
            click: self.click.as_ref().map(|(click, input)| (click, (*input).into())),
            source: self.source.as_ref(),
            influencers: &self.influencers,
            duplicate: false,
            told: &[],
            past: Past::default(),
        }
    }

    /// When the last session began that was told of before this event.
    pub fn last_session(&self) -> Option<Timestamp> {
        let (device, event) = (self.device.as_ref()?, self.event.as_ref()?);
        device.last_session.filter(|last| *last < event.time)
    }
}

/// An install of an app, as it was decided last.
pub fn of_install(store: &dyn Store, app: AppId, id: InstallId) -> Result<Option<Case>, StoreError> {
    let Some(Decided { record, decision, device, .. }) = Decided::find(store, app, id)? else {
        return Ok(None);
    };
    Ok(Some(Case {
        influencers: beaten(&decision.candidates),
        install: Some(record.id),
        installed: Some(record.install.time),
        source: device.as_ref().and_then(|device| device.source.clone()),
        origin: Some(record.install.origin),
        flags: record.flags,
        device,
        ..Case::of(InputId::from(record.id))
    }))
}

/// The networks of candidates that were beaten.
fn beaten(candidates: &[Candidate]) -> Vec<NetworkId> {
    let beaten = candidates.iter().filter(|candidate| candidate.lost.is_some_and(LosingReason::was_beaten));
    beaten.map(|candidate| candidate.network).collect()
}

/// An install, event or click of an app.
pub fn of_input(store: &dyn Store, app: AppId, id: InputId) -> Result<Option<Case>, StoreError> {
    let Some((fact, released)) = store.fact(id)? else { return Ok(None) };
    if fact.input.app != app {
        return Ok(None);
    }
    match &fact.input.payload {
        Payload::Install(_) => of_install(store, app, id.into()),
        Payload::Event(event) => {
            let told = Case {
                origin: Some(event.origin.clone()),
                flags: fact.input.flags.clone(),
                event: Some(event.clone()),
                ..Case::of(id)
            };
            let released = match released {
                Some(sequence) => store.facts(sequence, 1)?.pop(),
                None => None,
            };
            let joined = released.iter().chain([&fact]).find_map(|fact| joined(fact, id));
            let Some((install, source, candidates)) = joined else { return Ok(Some(told)) };
            let device = Decided::find(store, app, install)?.and_then(|decided| decided.device);
            Ok(Some(Case {
                install: Some(install),
                installed: device.as_ref().map(|device| device.installed),
                source: source.cloned(),
                influencers: beaten(candidates),
                device,
                ..told
            }))
        }
        Payload::Engagement(click) if click.kind == EngagementKind::Click => {
            let click = Some((click.clone(), id));
            Ok(Some(Case { click, flags: fact.input.flags.clone(), ..Case::of(id) }))
        }
        _ => Ok(None),
    }
}

/// The install that an event was joined to, and what it was attributed to last, as far as a fact tells.
fn joined(fact: &Fact, event: InputId) -> Option<(InstallId, Option<&Source>, &[Candidate])> {
    fact.outcomes.iter().rev().find_map(|outcome| match outcome {
        Outcome::EventLinked { input, install, source, decision, .. }
        | Outcome::EventRedecided { input, install, source, decision, .. }
            if *input == event =>
        {
            let candidates = decision.as_ref().map(|decision| decision.candidates.as_slice());
            Some((*install, source.as_ref(), candidates.unwrap_or_default()))
        }
        _ => None,
    })
}
