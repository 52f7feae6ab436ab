//! Conversions as they are on record, to be rendered: an install, an event or a click, and what is known of it.

use measure::{
    AppId, InputId, InstallId, NetworkId, Timestamp,
    attribution::{LosingReason, Source},
    device::{Device, Origin},
    engagement::{Engagement, EngagementKind},
    event::Event,
    flag::Flags,
    input::{Fact, Payload},
};
use store::{Store, StoreError};

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

    /// When the last session began that was told of before this event.
    pub fn last_session(&self) -> Option<Timestamp> {
        let (device, event) = (self.device.as_ref()?, self.event.as_ref()?);
        device.last_session.filter(|last| *last < event.time)
    }
}

/// An install of an app.
pub fn of_install(store: &dyn Store, app: AppId, id: InstallId) -> Result<Option<Case>, StoreError> {
    let Some((record, decisions)) = store.install(app, id)? else { return Ok(None) };
    let device = device_of(store, app, &record.install.origin)?;
    let candidates = decisions.last().map(|decision| decision.candidates.as_slice()).unwrap_or_default();
    let beaten = candidates.iter().filter(|candidate| candidate.lost.is_some_and(LosingReason::was_beaten));
    Ok(Some(Case {
        influencers: beaten.map(|candidate| candidate.network).collect(),
        install: Some(record.id),
        installed: Some(record.install.time),
        source: device.as_ref().and_then(|device| device.source.clone()),
        origin: Some(record.install.origin),
        flags: record.flags,
        device,
        ..Case::of(InputId::from(record.id))
    }))
}

fn device_of(store: &dyn Store, app: AppId, origin: &Origin) -> Result<Option<Device>, StoreError> {
    for key in origin.join_keys() {
        if let Some(device) = store.device(app, &key)? {
            return Ok(Some(device));
        }
    }
    Ok(None)
}

/// An install, event or click of an app.
pub fn of_input(store: &dyn Store, app: AppId, id: InputId) -> Result<Option<Case>, StoreError> {
    let Some((Fact { input, .. }, _)) = store.fact(id)? else { return Ok(None) };
    if input.app != app {
        return Ok(None);
    }
    match input.payload {
        Payload::Install(_) => of_install(store, app, id.into()),
        Payload::Event(event) => {
            let device = device_of(store, app, &event.origin)?;
            Ok(Some(Case {
                install: device.as_ref().map(|device| device.install),
                installed: device.as_ref().map(|device| device.installed),
                source: device.as_ref().and_then(|device| device.source.clone()),
                origin: Some(event.origin.clone()),
                flags: input.flags,
                device,
                event: Some(event),
                ..Case::of(id)
            }))
        }
        Payload::Engagement(click) if click.kind == EngagementKind::Click => {
            Ok(Some(Case { click: Some((click, id)), ..Case::of(id) }))
        }
        _ => Ok(None),
    }
}
