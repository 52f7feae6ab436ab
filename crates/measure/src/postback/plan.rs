//! Which triggers a conversion fires, and what each one sends.

use crate::{
    InputId, InstallId, NetworkId, Timestamp, TouchId,
    attribution::Source,
    catalogue::{App, Catalogue},
    device::{Device, Origin},
    engagement::Engagement,
    event::Event,
    input::Suppressed,
    postback::{Delivery, TriggerKind},
};

/// An install, event or click, with all that a postback may tell of it.
#[derive(Clone, Debug)]
pub struct Conversion<'a> {
    /// What it is.
    pub kind: TriggerKind,
    /// The input of the conversion itself.
    pub input: InputId,
    /// The receipt of the input that brought the decision about: delays count from here.
    pub decided: Timestamp,
    /// The revision of the decision; 0 is the first.
    pub revision: u32,
    /// The app.
    pub app: &'a App,
    /// The catalogue it is planned under.
    pub catalogue: &'a Catalogue,
    /// The install that it is or belongs to; `None` for clicks and events without one.
    pub install: Option<InstallId>,
    /// When that install happened.
    pub installed: Option<Timestamp>,
    /// What the install or event itself says of its device.
    pub origin: Option<&'a Origin>,
    /// The device as known now: identifiers that the origin lacks are taken from here.
    pub device: Option<&'a Device>,
    /// The event, for events.
    pub event: Option<&'a Event>,
    /// The click, for clicks.
    pub click: Option<(&'a Engagement, TouchId)>,
    /// Where the install came from; `None` is organic, or no install.
    pub source: Option<&'a Source>,
    /// Networks that were candidates but lost.
    pub influencers: &'a [NetworkId],
    /// Whether a click repeats an earlier one of the same device.
    pub duplicate: bool,
}

/// What a conversion sends: every trigger that matches it is in exactly one of the two lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The postbacks to be sent, in order of their triggers.
    pub deliveries: Vec<Delivery>,
    /// The triggers that matched but send nothing, and why, in order.
    pub suppressed: Vec<Suppressed>,
}

/// Plans the postbacks of a conversion.
#[must_use]
pub fn plan(conversion: &Conversion<'_>) -> Plan {
    let _ = conversion;
    Plan::default()
}
