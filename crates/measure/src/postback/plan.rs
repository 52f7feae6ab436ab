//! Which triggers a conversion fires, and what each one sends.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    Delivery, DeliveryState, Request, Suppression, Trigger, TriggerKind, destination,
    macros::{Macro, Subject},
    settings::{Body, Recipients, Settings},
    template::{Token, render_json, render_url},
};
use crate::{
    CampaignId, DeliveryId, InputId, InstallId, NetworkId, SegmentId, Timestamp, TouchId, TrackerId,
    TriggerId,
    attribution::Source,
    catalogue::{App, Catalogue},
    device::{Device, Origin},
    engagement::Engagement,
    event::Event,
    input::Suppressed,
};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

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
    /// Triggers whose postback of an earlier revision is withdrawn before it was sent: this one takes its
    /// place.
    pub unsent: &'a [TriggerId],
}

/// What a conversion sends: every trigger that matches it is in exactly one of the two lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The postbacks to be sent, in order of their triggers.
    pub deliveries: Vec<Delivery>,
    /// The triggers that matched but send nothing, and why, in order.
    pub suppressed: Vec<Suppressed>,
}

impl Plan {
    /// Sends nothing after all, for one reason.
    pub fn withhold(&mut self, reason: Suppression) {
        let withheld = self.deliveries.drain(..);
        self.suppressed.extend(withheld.map(|delivery| Suppressed { trigger: delivery.trigger, reason }));
        self.suppressed.sort_by_key(|pair| pair.trigger);
    }
}

impl Conversion<'_> {
    /// The network of the click itself, or of the winner.
    pub(super) fn network(&self) -> Option<NetworkId> {
        self.click.map(|(click, _)| click.network).or_else(|| Some(self.source?.network))
    }

    /// The campaign of the click itself, or of the winner.
    pub(super) fn campaign(&self) -> Option<CampaignId> {
        self.click.map(|(click, _)| click.campaign).or_else(|| self.source?.campaign)
    }

    /// The segment of the click itself, or of the winner.
    pub(super) fn segment(&self) -> Option<SegmentId> {
        self.click.map(|(click, _)| click.segment).or_else(|| self.source?.segment)
    }

    /// The tracker of the click itself, or of the winner.
    pub(super) fn tracker(&self) -> Option<TrackerId> {
        self.click.map(|(click, _)| click.tracker).or_else(|| self.source?.tracker)
    }
}

/// Plans the postbacks of a conversion: every trigger of the app that is not deleted, has the kind and, for
/// events, the name of the conversion, ends up in exactly one list. The first reason that applies is given:
/// inactive, incomplete, duplicate, recipients, country, missing macro, bad URL (postbacks.md section 7).
#[must_use]
pub fn plan(conversion: &Conversion<'_>) -> Plan {
    let mut plan = Plan::default();
    for trigger in conversion.catalogue.triggers_of(conversion.app.id) {
        if !matches(trigger, conversion) {
            continue;
        }
        match deliver(trigger, conversion) {
            Ok(delivery) => plan.deliveries.push(delivery),
            Err(reason) => plan.suppressed.push(Suppressed { trigger: trigger.id, reason }),
        }
    }
    plan
}

/// Only events have names to filter by; the filter of another kind means nothing.
fn matches(trigger: &Trigger, conversion: &Conversion<'_>) -> bool {
    let name = conversion.event.map_or("", |event| &event.name);
    trigger.kind == conversion.kind
        && match trigger.filter.as_deref() {
            None | Some("") => true,
            Some(filter) => trigger.kind != TriggerKind::Event || filter == name,
        }
}

fn deliver(trigger: &Trigger, conversion: &Conversion<'_>) -> Result<Delivery, Suppression> {
    if !trigger.active {
        return Err(Suppression::Inactive);
    }
    let settings = Settings::of(trigger).map_err(|_| Suppression::Incomplete)?;
    if conversion.duplicate && !settings.duplicates {
        return Err(Suppression::Duplicate);
    }
    check_recipient(trigger.id, &settings, conversion)?;
    let country = conversion.origin.and_then(|origin| origin.country.as_deref());
    if settings.countries.as_ref().is_some_and(|countries| !countries.allow(country)) {
        return Err(Suppression::CountryBlocked);
    }
    let id = delivery_id(trigger.id, conversion);
    let request = render(&settings, &Subject { conversion, delivery: id })?;
    Ok(Delivery {
        id,
        app: conversion.app.id,
        trigger: trigger.id,
        trigger_version: trigger.version,
        conversion: conversion.input,
        install: conversion.install,
        revision: conversion.revision,
        network: settings.network,
        request,
        state: DeliveryState::Pending,
        reason: None,
        created: conversion.decided,
        due: conversion.decided.plus(delay_ms(&settings, conversion)),
        attempts_allowed: settings.attempts_allowed,
        attempts: Vec::new(),
        sent_as: None,
    })
}

/// Whether this conversion is the recipient's to know. A changed decision is news to the network that wins
/// by it; those who hear of everything have heard of the conversion before, unless what they were to hear
/// was withdrawn in time (DECISIONS 6).
fn check_recipient(
    trigger: TriggerId,
    settings: &Settings<'_>,
    conversion: &Conversion<'_>,
) -> Result<(), Suppression> {
    let told = conversion.revision > 0 && !conversion.unsent.contains(&trigger);
    match (settings.recipients, conversion.network()) {
        (Recipients::All, _) if told && !settings.corrections => Err(Suppression::Duplicate),
        (Recipients::All, _) => Ok(()),
        (Recipients::Network(network), Some(winner)) if network == winner => Ok(()),
        (Recipients::Network(network), _) if conversion.influencers.contains(&network) => {
            Err(Suppression::InfluencerOnly)
        }
        (Recipients::Network(_), Some(_)) => Err(Suppression::OtherNetwork),
        (Recipients::Network(_), None) => Err(Suppression::NotAttributed),
    }
}

/// Installs may be held back a little, so that a late click can still correct them (DECISIONS 6).
fn delay_ms(settings: &Settings<'_>, conversion: &Conversion<'_>) -> i64 {
    match conversion.kind {
        TriggerKind::Install => {
            settings.delay_ms.max(conversion.catalogue.policy_of(conversion.app).hold_install_ms)
        }
        TriggerKind::Event | TriggerKind::Click => settings.delay_ms,
    }
}

/// The request, finished: the same bytes on every attempt.
fn render(settings: &Settings<'_>, subject: &Subject<'_>) -> Result<Request, Suppression> {
    let own = |token: Token<'_>| Macro::of(token)?.fill(subject);
    if settings.required.iter().any(|token| own(*token).is_none()) {
        return Err(Suppression::MissingMacro);
    }
    let fill = |token: Token<'_>| own(token).or_else(|| settings.default_of(token.name));
    let (address, form) = match settings.body {
        Body::Form => take_query(settings.destination),
        Body::Url | Body::Json(_) => (settings.destination, None),
    };
    let url = render_url(address, fill).ok_or(Suppression::BadUrl)?;
    destination::check(&url).map_err(|_| Suppression::BadUrl)?;
    let (content_type, body) = match settings.body {
        Body::Url => (None, Some(String::new())),
        Body::Form => (Some(FORM), render_url(form.unwrap_or_default(), fill)),
        Body::Json(template) => (Some(JSON), render_json(template, fill)),
    };
    Ok(Request {
        method: settings.method,
        url,
        content_type: content_type.map(str::to_owned),
        body: body.ok_or(Suppression::BadUrl)?,
        success_match: settings.success_match.map(str::to_owned),
    })
}

/// A URL template without its query, and the query. A fragment is never sent, so it goes with neither.
fn take_query(url: &str) -> (&str, Option<&str>) {
    let url = url.split('#').next().unwrap_or_default();
    match url.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (url, None),
    }
}

/// The time of the decision, and a hash of trigger, conversion and revision, in the layout of a UUID of
/// version 8: the same whenever it is computed, and in order of time.
fn delivery_id(trigger: TriggerId, conversion: &Conversion<'_>) -> DeliveryId {
    let mut hasher = Sha256::new();
    hasher.update(trigger.0.to_be_bytes());
    hasher.update(conversion.input.0.as_bytes());
    hasher.update(conversion.revision.to_be_bytes());
    let hash = hasher.finalize().iter().take(10).fold(0_u128, |hash, byte| hash << 8 | u128::from(*byte));
    let millis = u128::try_from(conversion.decided.millis()).unwrap_or_default() & ((1 << 48) - 1);
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0b11 << 62;
    let bits = (millis << 80 | hash) & !VERSION & !VARIANT | 8 << 76 | 0b10 << 62;
    DeliveryId(Uuid::from_u128(bits))
}
