//! Server-to-server calls and the browser SDK: `/track/json` and `/v1/cpi/identityLink.php`
//! (ingest.md sections 1 to 15).

use std::{borrow::Cow, net::IpAddr};

use measure::{
    Timestamp,
    catalogue::App,
    consent::{Consent, IdfaRefusal, idfa_refusal},
    flag::{Flag, Flags},
    identifier::IdKind,
    input::Payload,
    platform::{Os, Traits},
};

pub use self::{
    element::{BadElement, Body, ELEMENTS_MAX, Element, elements, is_web_sdk, outline},
    search_ads::adservices_answer,
};
pub use crate::user_agent::manufactured_user_agent;

use self::{
    envelope::Envelope,
    identity_link::Named,
    origin::{Make, Sender},
};
use crate::{
    json::{Json, Object, get},
    redaction::{NEEDLES_MAX, Needles, idfas, redact},
    refusal::Refusal,
};

mod consent;
mod device_ids;
mod element;
mod envelope;
mod event;
mod identity_link;
mod install;
mod origin;
mod referrer;
mod search_ads;
mod update;

pub(crate) use self::{consent::whole, device_ids::kind_on, origin::ip};

/// Fields that have a place of their own in every payload; all others are kept as parameters.
const ENVELOPE_KEYS: [&str; 18] = [
    "action",
    "kochava_app_id",
    "kochava_device_id",
    "data",
    "device_ids",
    "device_id",
    "device_id_type",
    "device_ua",
    "app_version",
    "app_ver",
    "app_tracking_transparency",
    "att",
    "att_time",
    "att_duration",
    "att_detail",
    "gdpr_privacy_consent",
    "device_limit_tracking",
    "nt_id",
];

/// Which address the body came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/track/json`: install, event, update, identityLink.
    TrackJson,
    /// `/v1/cpi/identityLink.php`.
    IdentityLink,
}

/// What an element is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Install,
    Event,
    Update,
    IdentityLink,
}

/// What the edge knows about a request.
pub struct Edge<'a> {
    /// When it was received.
    pub received: Timestamp,
    /// The address of the connection (behind a trusted proxy: of the client). Used for the browser SDK only.
    pub ip: Option<IpAddr>,
    /// The user agent of the connection. Used for the browser SDK only.
    pub user_agent: Option<&'a str>,
    /// The user agent parser.
    pub traits_of: &'a dyn Fn(&str) -> Traits,
}

/// An element, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// What it says.
    pub payload: Payload,
    /// What was odd about it.
    pub flags: Flags,
    /// The element as received, minus what consent forbids: a dropped IDFA occurs nowhere in it.
    pub body: String,
}

/// Parses an element of `app`. An IDFA that consent forbids is removed before anything else is read, so
/// that it is nowhere in the result (ingest.md section 8, DECISIONS 16).
///
/// # Errors
/// 400 when something required is missing or has the wrong type.
pub fn parse(endpoint: Endpoint, element: &Element, app: &App, edge: &Edge<'_>) -> Result<Parsed, Refusal> {
    let action = action(endpoint, element)?;
    if element.app_guid().is_none() {
        return Err(Refusal::bad_request("kochava_app_id is required: send the app's GUID"));
    }
    let sender = Sender { app, edge, is_web_sdk: element.is_web_sdk() };
    let envelope = identity_link::device_part(endpoint, &envelope(element.json())?);
    if endpoint == Endpoint::IdentityLink && !identity_link::names_device(&envelope) {
        return Err(Refusal::bad_request("device_id is required: send the device's identifiers in it"));
    }
    identity_link::within_limits(&envelope)?;
    let mut flags = Flags::new();
    let mut make = Make::read(&envelope, sender, &Needles::default());
    let os = make.os(app);
    let mut consent = consent::read(&envelope);
    if is_att_from_idfa(action, app, &envelope, os.as_ref(), &consent) {
        flags.insert(Flag::AttFromIdfa);
        consent.att.flag = Some(true);
    }
    let mut named = None;
    let forbidden = if action == Action::IdentityLink {
        let (found, forbidden) = linked_idfa(&envelope, element.json(), os.as_ref(), &consent, &mut flags)?;
        named = Some(found);
        Some(forbidden).filter(|forbidden| !forbidden.is_empty())
    } else {
        forbidden_idfas(action, &envelope, element.json(), &make, os.as_ref(), &consent, &mut flags)
    };
    let mut json = Cow::Borrowed(element.json());
    if let Some(forbidden) = forbidden {
        if forbidden.len() > NEEDLES_MAX {
            let error = format!("more than {NEEDLES_MAX} different idfa values: send one");
            return Err(Refusal::bad_request(error));
        }
        redact(json.to_mut(), &forbidden);
        make = Make::read(&identity_link::device_part(endpoint, &self::envelope(&json)?), sender, &forbidden);
    }
    let envelope = self::envelope(&json)?;
    let payload = payload(endpoint, action, &envelope, sender, make, named, &mut flags)?;
    let body = match &json {
        Cow::Borrowed(_) => element.text().to_owned(),
        Cow::Owned(redacted) => redacted.to_string(),
    };
    Ok(Parsed { payload, flags, body })
}

fn payload(
    endpoint: Endpoint,
    action: Action,
    envelope: &Envelope<'_>,
    sender: Sender<'_>,
    make: Make,
    named: Option<Named>,
    flags: &mut Flags,
) -> Result<Payload, Refusal> {
    let mut consent = consent::read(envelope);
    if flags.contains(&Flag::AttFromIdfa) {
        consent.att.flag = Some(true);
    }
    Ok(match action {
        Action::Install => {
            let origin = origin::read(envelope, sender, make, consent, flags);
            Payload::Install(install::read(envelope, origin, sender, flags))
        }
        Action::Event => {
            let origin = origin::read(envelope, sender, make, consent, flags);
            Payload::Event(event::read(envelope, origin, sender.edge, flags)?)
        }
        Action::Update => Payload::Update(update::read(envelope, sender, make, consent, flags)?),
        Action::IdentityLink => {
            Payload::Link(identity_link::read(endpoint, envelope, named.unwrap_or_default(), flags)?)
        }
    })
}

/// The action, exactly as spelled: another case would slip past the app's list of authenticated actions.
fn action(endpoint: Endpoint, element: &Element) -> Result<Action, Refusal> {
    match (endpoint, element.action()) {
        (Endpoint::IdentityLink, None | Some("identityLink")) => Ok(Action::IdentityLink),
        (Endpoint::IdentityLink, Some(_)) => {
            Err(Refusal::bad_request("only identityLink is taken here: send other actions to /track/json"))
        }
        (Endpoint::TrackJson, Some("install")) => Ok(Action::Install),
        (Endpoint::TrackJson, Some("event")) => Ok(Action::Event),
        (Endpoint::TrackJson, Some("update")) => Ok(Action::Update),
        (Endpoint::TrackJson, Some("identityLink")) => Ok(Action::IdentityLink),
        (Endpoint::TrackJson, _) => {
            Err(Refusal::bad_request("action is required: install, event, update or identityLink"))
        }
    }
}

fn envelope(json: &Json) -> Result<Envelope<'_>, Refusal> {
    const NO_FIELDS: &Object = &Object::new();
    let root = json.object().unwrap_or(NO_FIELDS);
    let data = get(root, "data")
        .and_then(Json::object)
        .ok_or_else(|| Refusal::bad_request("data is required: send an object in it"))?;
    Ok(Envelope { root, data })
}

/// Whether an IDFA stands for the consent that the flag would tell of, where the app reads it so.
fn is_att_from_idfa(
    action: Action,
    app: &App,
    envelope: &Envelope<'_>,
    os: Option<&Os>,
    consent: &Consent,
) -> bool {
    matches!(action, Action::Install | Action::Event)
        && app.policy.att_from_idfa == Some(true)
        && consent.att.flag.is_none()
        && os.is_some_and(Os::is_apple_mobile)
        && device_ids::read(envelope, os).iter().any(|identifier| {
            identifier.kind == IdKind::Idfa && vendor_id(envelope, os) != Some(identifier.canonical())
        })
}

/// The IDFV in canonical form. Some senders put it under `idfa` as well when the user refuses: such a value
/// is no IDFA.
fn vendor_id(envelope: &Envelope<'_>, os: Option<&Os>) -> Option<String> {
    let identifiers = device_ids::read(envelope, os);
    let idfv = identifiers.iter().find(|identifier| identifier.kind == IdKind::Idfv)?;
    Some(idfv.canonical())
}

/// What is to be removed because of consent: with `Some` every entry for an IDFA goes, and the values wherever
/// else they stand. On Android what stands under `idfa` is none (DECISIONS 15); what is the IDFV stays in its
/// own places.
fn forbidden_idfas(
    action: Action,
    envelope: &Envelope<'_>,
    json: &Json,
    make: &Make,
    os: Option<&Os>,
    consent: &Consent,
    flags: &mut Flags,
) -> Option<Needles> {
    if os.is_some_and(Os::runs_android_apps) {
        return None;
    }
    // The version of another system says nothing about iOS: unknown, so as iOS 14 or later.
    let is_apple = make.traits.os.as_ref().is_some_and(Os::is_apple_mobile);
    let traits = if is_apple { make.traits.clone() } else { Traits::default() };
    let refusal = match idfa_refusal(&traits, consent)? {
        // An IDFA in an update is itself the user's consent (ingest.md section 5).
        IdfaRefusal::AttMissing if action == Action::Update => return None,
        refusal => refusal,
    };
    let mut needles = Needles::default();
    idfas(json, &mut needles);
    if device_ids::device_id_kind(envelope, os) == IdKind::Idfa
        && let Some(idfa) = envelope.text("device_id")
    {
        needles.add(idfa);
    }
    if needles.is_empty() {
        return None;
    }
    if let Some(idfv) = vendor_id(envelope, os) {
        needles.retain(|needle| needle != idfv);
    }
    if !needles.is_empty() {
        flags.insert(match refusal {
            IdfaRefusal::AttMissing => Flag::IdfaDroppedAttMissing,
            IdfaRefusal::AttFalse => Flag::IdfaDroppedAttFalse,
        });
    }
    Some(needles)
}

/// The device that an identity link names, and its IDFA, which is looked up and then forgotten; after a
/// refused ATT it is not even looked up.
fn linked_idfa(
    envelope: &Envelope<'_>,
    json: &Json,
    os: Option<&Os>,
    consent: &Consent,
    flags: &mut Flags,
) -> Result<(Named, Needles), Refusal> {
    let mut named = Named::read(envelope, os, flags)?;
    if os.is_some_and(Os::runs_android_apps) {
        return Ok((named, Needles::default()));
    }
    let needles = named.forbidden(json);
    named.strip(&needles);
    if consent.att.flag == Some(false) && named.forget_idfa() {
        flags.insert(Flag::IdfaDroppedAttFalse);
    }
    Ok((named, needles))
}
