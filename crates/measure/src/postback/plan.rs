//! Which triggers a conversion fires, and what each one sends.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    Delivery, DeliveryState, Field, Request, Suppression, Trigger, TriggerKind, destination,
    macros::{Macro, Subject, country},
    settings::{Body, Recipients, SESSION, Settings},
    text::{
        Filling, REQUEST_BYTES_MAX, Token, json_object, percent_encoded, push_pair, render_header,
        render_json, render_url,
    },
};
use crate::{
    CampaignId, DeliveryId, InputId, InstallId, NetworkId, SegmentId, Timestamp, TouchId, TrackerId,
    TriggerId,
    attribution::Source,
    catalogue::{App, Catalogue},
    consent::{Consent, ConsentSaid, Moment},
    device::{Device, Origin},
    engagement::Engagement,
    event::{Event, Value},
    flag::Flags,
    input::Suppressed,
    time::DAY_MS,
};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// What earlier conversions bring to bear on this one. Whoever keeps count resolves it, so that planning
/// the same conversion again gives the same plan.
#[derive(Clone, Copy, Debug, Default)]
pub struct Past<'a> {
    /// Whether the device had an event of this name before; of meaning only where
    /// [`asks_for_first`](super::asks_for_first) says so.
    pub repeated: bool,
    /// When the last attributable session of the device began.
    pub last_session: Option<Timestamp>,
    /// The triggers that have sent what they may in this hour or day.
    pub spent: &'a [TriggerId],
}

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
    /// What was odd about the install or event.
    pub flags: &'a Flags,
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
    /// Triggers of which a postback of an earlier revision was sent, or may have been.
    pub told: &'a [TriggerId],
    /// What earlier conversions bring to bear on it.
    pub past: Past<'a>,
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

impl<'a> Conversion<'a> {
    /// The amount of an event, unless its name was said not to bring revenue.
    pub(super) fn revenue(&self) -> Option<Decimal> {
        let event = self.event?;
        let switches = self.catalogue.event_switches(self.app.id, &event.name);
        event.amount.filter(|_| switches.counts_revenue())
    }

    /// The data of the event, without the members of nested objects, which stand in their objects.
    pub(super) fn data(&self) -> Vec<(&'a str, &'a Value)> {
        let params = self.event.map(|event| event.params.as_slice()).unwrap_or_default();
        let is_nested = |key: &str| {
            key.match_indices('.').any(|(place, _)| {
                key.get(..place).is_some_and(|parent| params.iter().any(|(known, _)| known == parent))
            })
        };
        let own = params.iter().filter(|(key, _)| !is_nested(key));
        own.map(|(key, value)| (key.as_str(), value)).collect()
    }

    /// Whether the user refuses a part of the consent: the conversion itself says so, or the device is known
    /// for it and the conversion says nothing, or said yes before that. Of one second what came last counts, and
    /// had that been the conversion, the device would not be known to refuse.
    pub(super) fn is_refused(
        &self,
        part: fn(&Consent) -> Option<bool>,
        said: fn(&ConsentSaid) -> Option<Moment>,
    ) -> bool {
        let own = self.origin.and_then(|origin| part(&origin.consent));
        let refuses = |device: &Device| part(&device.consent) == Some(false);
        match (own, self.device.filter(|device| refuses(device))) {
            (Some(false), _) => true,
            (None, refusing) => refusing.is_some(),
            (Some(true), None) => false,
            (Some(true), Some(device)) => {
                let happened = self.event.map(|event| event.time).or(self.installed);
                let refused = said(&device.said.consent).map(|refused| refused.second);
                refused >= happened.map(Timestamp::seconds)
            }
        }
    }

    /// Whether it begins a session that may be attributed.
    fn is_attributable_session(&self) -> bool {
        self.event.is_some_and(|event| is_attributable_session(event, self.installed, self.past.last_session))
    }

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

/// Whether an event begins a session that may be attributed: one a day, the first of them a day after the
/// install (postbacks.md section 1). `last` is when the last such session began.
#[must_use]
pub fn is_attributable_session(event: &Event, installed: Option<Timestamp>, last: Option<Timestamp>) -> bool {
    event.name == SESSION
        && installed.is_some_and(|installed| event.time.since(installed) >= DAY_MS)
        && last.is_none_or(|last| event.time.since(last) >= DAY_MS)
}

/// Plans the postbacks of a conversion: every trigger of the app that is not deleted, has the kind and, for
/// events, the name of the conversion, ends up in exactly one list. The first reason that applies is given,
/// in the order of [`refusal`] (postbacks.md section 7).
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
    if let Some(event) = conversion.event
        && !conversion.catalogue.event_switches(conversion.app.id, &event.name).is_active()
    {
        return Err(Suppression::EventInactive);
    }
    compose(trigger, conversion)
}

/// What a trigger, be it on or off, sends of a conversion that it matches: so a postback that was decided on
/// is made again. What the conversion says of the moment (repetitions, caps, who was told before) is
/// up to the caller.
///
/// # Errors
/// Why it sends nothing.
pub fn compose(trigger: &Trigger, conversion: &Conversion<'_>) -> Result<Delivery, Suppression> {
    let template = conversion.catalogue.template(trigger.template).map(AsRef::as_ref);
    let settings = Settings::of(trigger, template).map_err(|_| Suppression::Incomplete)?;
    if !settings.missing.is_empty() {
        return Err(Suppression::Incomplete);
    }
    if conversion.duplicate && !settings.duplicates {
        return Err(Suppression::Duplicate);
    }
    check_recipient(trigger.id, &settings, conversion)?;
    if let Some(reason) = refusal(trigger, &settings, conversion) {
        return Err(reason);
    }
    let id = delivery_id(trigger.id, conversion.input, conversion.revision, conversion.decided);
    let request = render(&settings, &Subject { conversion, delivery: id, settings: &settings })?;
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
        attempts_before: 0,
        planned_paused: trigger.sending.paused,
        earlier: Vec::new(),
    })
}

/// Why the recipient is not told, although it is the one to know.
fn refusal(trigger: &Trigger, settings: &Settings<'_>, conversion: &Conversion<'_>) -> Option<Suppression> {
    let is_session = conversion.event.is_some_and(|event| event.name == SESSION);
    let to_network = settings.recipients_of(conversion) != Recipients::All;
    let reasons = [
        (
            settings.session_cap && is_session && !conversion.is_attributable_session(),
            Suppression::SessionCap,
        ),
        (to_network && !settings.lookback.covers(conversion), Suppression::Filtered),
        (
            settings.condition.as_ref().is_some_and(|condition| !condition.holds(conversion)),
            Suppression::Filtered,
        ),
        (
            settings.countries.as_ref().is_some_and(|countries| !countries.allow(country(conversion))),
            Suppression::CountryBlocked,
        ),
        (settings.data_controlled && is_data_controlled(conversion), Suppression::DataControlled),
        (settings.consent && is_refused(conversion), Suppression::Consent),
        (conversion.past.spent.contains(&trigger.id), Suppression::RateCap),
    ];
    reasons.into_iter().find(|(applies, _)| *applies).map(|(_, reason)| reason)
}

/// Whether an event says of itself that its data are controlled.
fn is_data_controlled(conversion: &Conversion<'_>) -> bool {
    let Some(event) = conversion.event else { return false };
    let mut flags = event.params.iter().chain(&event.extra).filter(|(key, _)| key == "data_controlled");
    flags.any(|(_, value)| matches!(value.text(), "true" | "1"))
}

/// Whether the user does not let data about them be used for advertising. Unknown is not denied.
fn is_refused(conversion: &Conversion<'_>) -> bool {
    conversion.is_refused(|consent| consent.ad_user_data, |said| said.ad_user_data)
}

/// Whether this conversion is the recipient's to know. A changed decision is news to the network that wins
/// by it; those who hear of everything hear of a conversion once (DECISIONS 6).
fn check_recipient(
    trigger: TriggerId,
    settings: &Settings<'_>,
    conversion: &Conversion<'_>,
) -> Result<(), Suppression> {
    let told = conversion.told.contains(&trigger);
    match (settings.recipients_of(conversion), conversion.network()) {
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
    let mut required = settings.required.iter();
    if required.any(|alternatives| alternatives.iter().all(|token| own(*token).is_none())) {
        return Err(Suppression::MissingMacro);
    }
    let fill = |token: Token<'_>| own(token).or_else(|| settings.default_of(token.name));
    let url = url(settings, subject, fill).ok_or(Suppression::BadUrl)?;
    let url = destination::exact(settings.destination, &url).ok_or(Suppression::BadUrl)?;
    let (content_type, body) = match settings.body {
        Body::Url => (None, Some(String::new())),
        Body::Form => {
            let (_, query) = take_query(settings.destination);
            (Some(FORM), form(render_url(query.unwrap_or_default(), fill), settings, subject))
        }
        Body::Fields(fields) => {
            (Some(FORM), form(render_fields(fields, settings.omit_empty, fill), settings, subject))
        }
        Body::Json(template) => (Some(JSON), json(render_json(template, fill), settings, subject)),
    };
    let mut headers = Vec::with_capacity(settings.headers.len() + 1);
    for (name, value) in &settings.headers {
        headers.push((name.clone(), render_header(value, fill).ok_or(Suppression::BadUrl)?));
    }
    if let Some((user, password)) = settings.basic {
        let pair = render_header(user, fill).zip(render_header(password, fill));
        let (user, password) = pair.ok_or(Suppression::BadUrl)?;
        let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        headers.push(("authorization".to_owned(), value));
    }
    Ok(Request {
        method: settings.method,
        url,
        content_type: settings.content_type.or(content_type).map(str::to_owned),
        body: body.filter(|body| body.len() <= REQUEST_BYTES_MAX).ok_or(Suppression::BadUrl)?,
        success_match: settings.success_match.map(str::to_owned),
        headers,
    })
}

/// The URL with the parameters of the template and, where there is no body to hold it, the rest of the
/// event's data. `None` when it is too long.
fn url<'v>(
    settings: &Settings<'_>,
    subject: &Subject<'_>,
    mut fill: impl FnMut(Token<'_>) -> Option<Filling<'v>>,
) -> Option<String> {
    let address = match settings.body {
        Body::Form => take_query(settings.destination).0,
        _ => settings.destination,
    };
    let mut added = render_pairs(settings, &mut fill)?;
    if settings.body == Body::Url {
        push_data(&mut added, settings, subject);
    }
    if added.is_empty() {
        return render_url(address, fill);
    }
    // What comes after a fragment would be part of it.
    let mut url = render_url(address.split('#').next().unwrap_or_default(), fill)?;
    if !url.ends_with(['?', '&']) {
        url.push(if url.contains('?') { '&' } else { '?' });
    }
    url.push_str(&added);
    Some(url)
}

/// The parameters of the template: `name=value&…`. `None` when they are too long.
fn render_pairs<'v>(
    settings: &Settings<'_>,
    mut fill: impl FnMut(Token<'_>) -> Option<Filling<'v>>,
) -> Option<String> {
    let mut out = String::new();
    for (name, value) in settings.query {
        let value = render_url(value, &mut fill)?;
        if settings.omit_empty && value.is_empty() {
            continue;
        }
        let first = out.is_empty();
        push_pair(&mut out, first, name, &value);
        if out.len() > REQUEST_BYTES_MAX {
            return None;
        }
    }
    Some(out)
}

/// The fields of a form. `None` when they are too long.
fn render_fields<'v>(
    fields: &[Field],
    omit_empty: bool,
    mut fill: impl FnMut(Token<'_>) -> Option<Filling<'v>>,
) -> Option<String> {
    let mut out = String::new();
    for field in fields {
        let value = if field.json {
            percent_encoded(&render_json(&field.value, &mut fill)?)
        } else {
            render_url(&field.value, &mut fill)?
        };
        if omit_empty && value.is_empty() {
            continue;
        }
        let first = out.is_empty();
        push_pair(&mut out, first, &field.name, &value);
        if out.len() > REQUEST_BYTES_MAX {
            return None;
        }
    }
    Some(out)
}

/// A form with the rest of the event's data.
fn form(rendered: Option<String>, settings: &Settings<'_>, subject: &Subject<'_>) -> Option<String> {
    let mut out = rendered?;
    push_data(&mut out, settings, subject);
    Some(out)
}

/// Adds the data of the event that the request does not name itself, where the trigger wants all of it.
fn push_data(out: &mut String, settings: &Settings<'_>, subject: &Subject<'_>) {
    if !settings.all_data || settings.names("event_data") {
        return;
    }
    for (name, value) in subject.conversion.data() {
        if !settings.names(&format!("event_data.{name}")) {
            let first = out.is_empty();
            push_pair(out, first, name, &percent_encoded(value.text()));
        }
    }
}

/// A JSON text with all of the event's data as its member `event_data`, where the trigger wants that and the
/// text has no place of its own for them.
fn json(rendered: Option<String>, settings: &Settings<'_>, subject: &Subject<'_>) -> Option<String> {
    let mut out = rendered?;
    let data = if settings.all_data { subject.conversion.data() } else { Vec::new() };
    if data.is_empty() || settings.names("event_data") || !out.starts_with('{') {
        return Some(out);
    }
    let end = out.rfind('}')?;
    let is_empty = out.get(1..end).is_some_and(|members| members.trim().is_empty());
    let comma = if is_empty { "" } else { "," };
    out.insert_str(end, &format!("{comma}\"event_data\":{}", json_object(&data)));
    Some(out)
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
#[must_use]
pub fn delivery_id(trigger: TriggerId, conversion: InputId, revision: u32, decided: Timestamp) -> DeliveryId {
    let mut hasher = Sha256::new();
    hasher.update(trigger.0.to_be_bytes());
    hasher.update(conversion.0.as_bytes());
    hasher.update(revision.to_be_bytes());
    let hash = hasher.finalize().iter().take(10).fold(0_u128, |hash, byte| hash << 8 | u128::from(*byte));
    let millis = u128::try_from(decided.millis()).unwrap_or_default() & ((1 << 48) - 1);
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0b11 << 62;
    let bits = (millis << 80 | hash) & !VERSION & !VARIANT | 8 << 76 | 0b10 << 62;
    DeliveryId(Uuid::from_u128(bits))
}
