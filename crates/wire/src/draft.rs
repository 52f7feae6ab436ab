//! Calls of other platforms, drafted as calls of ours: a mapping says where everything stands, the draft is
//! parsed as if its sender had written it, so that consent, devices, times and amounts follow one set of
//! rules.

use std::{borrow::Cow, net::IpAddr};

use measure::{
    Decimal, Timestamp,
    catalogue::App,
    device::Origin,
    event::{Event, Value},
    flag::{Flag, Flags},
    identifier::{Fingerprint, IdKind},
    input::Payload,
    link::IdentityLink,
    platform::Os,
    source::{IgnoreReason, Ignored, Mapping, Streams},
    user::{Operation, Property},
};

use crate::{
    json::{Json, Object, decimal, get},
    moment, quarantine,
    redaction::{MASK, Needles, idfas, mask, redact},
    refusal::Refusal,
    s2s::{Edge, Element, Endpoint, Parsed, parse},
};

/// From this difference on between a device's clock and ours it is noted that the clock was off.
const CLOCK_OFF_MS: i64 = 60_000;
/// Identifiers that only Apple's systems have.
const APPLE_IDENTIFIERS: [&str; 2] = ["idfa", "idfv"];
/// Identifiers that only Android has.
const ANDROID_IDENTIFIERS: [&str; 2] = ["adid", "android_id"];

/// What a call goes through: the source's mapping and streams, the app, the edge.
pub struct Route<'a> {
    /// How calls become ours.
    pub mapping: &'a Mapping,
    /// Which streams are taken.
    pub streams: Streams,
    /// The app.
    pub app: &'a App,
    /// What the edge knows about the request.
    pub edge: &'a Edge<'a>,
}

/// What a platform's call says about its device, wherever it stands there.
#[derive(Default)]
pub struct Said<'a> {
    /// The operating system by name.
    pub os: Option<&'a str>,
    /// Its version.
    pub os_version: Option<&'a str>,
    /// The model.
    pub model: Option<&'a str>,
    /// The user agent.
    pub user_agent: Option<&'a str>,
    /// The version of the app.
    pub app_version: Option<&'a str>,
    /// The country.
    pub country: Option<&'a str>,
    /// Whether ads may be tracked: the opposite of the limit.
    pub ad_tracking: Option<bool>,
    /// The address of the connection, when it is the device's.
    pub remote: Option<IpAddr>,
    /// When it happened: after reconciliation, or what was written and cannot be used.
    pub time: Told,
    /// Other values that are kept.
    pub extra: Vec<(&'a str, Json)>,
}

/// A time as a call tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// Not at all.
    #[default]
    Missing,
    /// In a way that cannot be read.
    Unreadable,
    /// Reconciled; the flag says that the sender's clock was off.
    At(Timestamp, Option<Flag>),
}

/// Reconciles the clock of a device with ours, as Segment documents it: `received - (sent - written)`. The
/// request was sent and received at one moment, so what differs between the two is the device's clock.
/// Without a time of sending the written one stands.
pub fn reconciled(written: Option<&str>, sent: Option<&str>, received: Timestamp) -> Told {
    let Some(written) = written.map(str::trim).filter(|text| !text.is_empty()) else { return Told::Missing };
    let Some(written) = moment::written(written) else { return Told::Unreadable };
    match sent.and_then(moment::written) {
        None => Told::At(written, None),
        Some(sent) => {
            let off = received.since(sent);
            Told::At(
                written.plus(off),
                (off.saturating_abs() >= CLOCK_OFF_MS).then_some(Flag::ClockCorrected),
            )
        }
    }
}

/// The value at a dotted path; a key that holds dots itself is found too. `null` and `""` mean absent.
pub fn at<'j>(json: &'j Json, path: &str) -> Option<&'j Json> {
    let object = json.object()?;
    if let Some(value) = get(object, path) {
        return Some(value).filter(|value| !value.is_blank());
    }
    let (first, rest) = path.split_once('.')?;
    at(get(object, first)?, rest)
}

/// The text at a path, from a string or a number.
pub fn text_at<'j>(json: &'j Json, path: &str) -> Option<&'j str> {
    at(json, path).and_then(Json::scalar).map(str::trim)
}

/// The first of the paths that holds something.
fn first<'j>(json: &'j Json, paths: &[String]) -> Option<&'j Json> {
    paths.iter().find_map(|path| at(json, path))
}

fn first_text<'j>(json: &'j Json, paths: &[String]) -> Option<&'j str> {
    paths.iter().find_map(|path| text_at(json, path))
}

/// What a call is about.
pub enum About<'a> {
    /// An event by the platform's name for it; whether it is an install is the mapping's word.
    Event { name: &'a str, properties: Option<&'a Object>, install: Object },
    /// The user alone.
    User,
}

impl Route<'_> {
    /// Parses a call. `said` is what it says of its device, `user` what it says of its user, read from what
    /// consent leaves of it.
    ///
    /// # Errors
    /// 400, naming what is wrong.
    pub fn parse(
        &self,
        original: &Json,
        text: &str,
        about: &About<'_>,
        said: &Said<'_>,
        user: impl FnOnce(&Json) -> Vec<Operation>,
    ) -> Result<Parsed, Refusal> {
        if let Some(ignored) = self.ignored(about) {
            return Ok(nothing(ignored));
        }
        let is_install = matches!(about, About::Event { name, .. } if self.mapping.is_install(name));
        let draft = self.draft(original, about, said, is_install);
        let mut parsed = parse(Endpoint::TrackJson, &Element::drafted(draft.clone()), self.app, self.edge)?;
        let forbids = |flag| parsed.flags.contains(flag);
        let mut forbidden = Needles::default();
        let is_user = matches!(about, About::User);
        if is_user || forbids(&Flag::IdfaDroppedAttMissing) || forbids(&Flag::IdfaDroppedAttFalse) {
            idfas(&draft, &mut forbidden);
        }
        let kept = kept(original, &forbidden);
        parsed.body = match &kept {
            Cow::Borrowed(_) => text.to_owned(),
            Cow::Owned(redacted) => redacted.to_string(),
        };
        let operations = if self.mapping.send_users { user(&kept) } else { Vec::new() };
        if is_user && operations.is_empty() {
            return Ok(nothing(Ignored { reason: IgnoreReason::NothingToKeep, event: None }));
        }
        self.complete(&mut parsed, original, operations, is_user);
        if let Told::At(_, Some(flag)) = &said.time {
            parsed.flags.insert(*flag);
        }
        Ok(parsed)
    }

    /// Why nothing comes of the call, if the source leaves it out.
    fn ignored(&self, about: &About<'_>) -> Option<Ignored> {
        let (reason, event) = match about {
            About::Event { name, .. } if self.mapping.is_install(name) => {
                ((!self.streams.installs).then_some(IgnoreReason::InstallsOff)?, Some(*name))
            }
            About::Event { name, .. } if !self.streams.events => (IgnoreReason::EventsOff, Some(*name)),
            About::Event { name, .. } => {
                ((!self.mapping.events.takes(name)).then_some(IgnoreReason::EventNotTaken)?, Some(*name))
            }
            About::User if !self.streams.events => (IgnoreReason::EventsOff, None),
            About::User => ((!self.mapping.send_users).then_some(IgnoreReason::UsersOff)?, None),
        };
        Some(Ignored { reason, event: event.map(str::to_owned) })
    }

    fn draft(&self, original: &Json, about: &About<'_>, said: &Said<'_>, is_install: bool) -> Json {
        let text = |text: &str| Json::Text(text.to_owned());
        let mut data = Object::new();
        let mut put =
            |key: &str, value: Option<Json>| data.extend(value.map(|value| (key.to_owned(), value)));
        put("origination_ip", self.address(original, said).map(Json::Text));
        put("device_ua", said.user_agent.map(text));
        put("device_ver", device_ver(said).map(Json::Text));
        put("app_version", said.app_version.map(text));
        put("country", said.country.map(text));
        put("device_limit_tracking", said.ad_tracking.map(|allowed| Json::Bool(!allowed)));
        put("usertime", usertime(&said.time));
        put("app_tracking_transparency", self.att(original));
        put("device_ids", Some(Json::Object(self.device_ids(original, said))));
        for (key, value) in &said.extra {
            put(key, Some(value.clone()));
        }
        match about {
            About::Event { install, .. } if is_install => data.extend(install.iter().cloned()),
            About::Event { name, properties, .. } => {
                put("event_name", Some(text(self.mapping.renamed(name))));
                put("event_data", properties.map(|properties| self.chosen(properties)));
                put("currency", first_text(original, &self.mapping.currency).map(text));
            }
            // What is said of a user names its device as an event does.
            About::User => put("event_name", Some(text("identify"))),
        }
        let root = [
            ("action", Some(text(if is_install { "install" } else { "event" }))),
            ("kochava_app_id", Some(text(&self.app.guid))),
            ("kochava_device_id", first_text(original, self.mapping.paths("kochava_device_id")).map(text)),
            ("data", Some(Json::Object(data))),
        ];
        let root = root.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Json::Object(root.collect())
    }

    /// The address as the mapping finds it, else that of the connection where that is the device's.
    fn address(&self, original: &Json, said: &Said<'_>) -> Option<String> {
        let written = first_text(original, self.mapping.paths("ip")).filter(|text| *text != "$remote");
        written.map(str::to_owned).or_else(|| said.remote.map(|ip| ip.to_string()))
    }

    /// The App Tracking Transparency status: a flag, or the name or number that Apple has for it.
    fn att(&self, original: &Json) -> Option<Json> {
        let status = first(original, &self.mapping.att)?;
        let flag = match status.scalar().map(|text| text.trim().to_ascii_lowercase()).as_deref() {
            Some("authorized" | "authorised" | "3") => Some(true),
            Some("denied" | "restricted" | "2") => Some(false),
            // Apple's 1 is `restricted`; as a truth it would be consent that nobody gave.
            Some("notdetermined" | "not_determined" | "unknown" | "0" | "1") => None,
            _ => status.truth(),
        };
        let mut att = Object::new();
        att.extend(flag.map(|flag| ("att".to_owned(), Json::Bool(flag))));
        att.extend(status.scalar().map(|text| ("att_detail".to_owned(), Json::Text(text.to_owned()))));
        Some(Json::Object(att))
    }

    /// The identifiers that the operating system can have: on both platforms one field stands for the
    /// advertising id and one for the vendor's or Android's, whichever system it is.
    fn device_ids(&self, original: &Json, said: &Said<'_>) -> Object {
        let os = said.os.and_then(Os::named).or_else(|| self.app.os());
        let is_possible = |name: &str| match os {
            Some(Os::Android | Os::FireOs) => !APPLE_IDENTIFIERS.contains(&name),
            Some(Os::Ios | Os::TvOs) => !ANDROID_IDENTIFIERS.contains(&name),
            _ => !APPLE_IDENTIFIERS.contains(&name) && !ANDROID_IDENTIFIERS.contains(&name),
        };
        let mut ids = Object::new();
        let named =
            self.mapping.identifiers.iter().filter(|(name, _)| name != "kochava_device_id" && name != "ip");
        for (name, paths) in named.filter(|(name, _)| is_possible(name)) {
            let value = first_text(original, paths).map(|value| (name.clone(), Json::Text(value.to_owned())));
            ids.extend(value);
        }
        // One library puts the vendor id where the advertising id would be when the user refuses.
        let value = |name: &str| get(&ids, name).and_then(Json::scalar).map(str::to_owned);
        if value("idfa").is_some() && value("idfa") == value("idfv") {
            ids.retain(|(name, _)| name != "idfa");
        }
        ids
    }

    fn chosen(&self, properties: &Object) -> Json {
        let chosen = properties.iter().filter(|(name, _)| self.mapping.event_properties.takes(name));
        Json::Object(chosen.cloned().collect())
    }

    /// Puts in what the draft could not say: the amount of the mapping, the user.
    fn complete(&self, parsed: &mut Parsed, original: &Json, user: Vec<Operation>, is_user: bool) {
        match &mut parsed.payload {
            Payload::Install(install) => install.origin.user = user,
            Payload::Event(event) if is_user => {
                let origin = std::mem::take(&mut event.origin);
                parsed.flags.remove(&Flag::AmountInvalid);
                parsed.payload = Payload::Link(linked(origin, user));
            }
            Payload::Event(event) => {
                event.origin.user = user;
                self.settle_amount(event, &mut parsed.flags, original);
            }
            _ => {}
        }
    }

    /// The amount stands where the mapping says, and nowhere else.
    fn settle_amount(&self, event: &mut Event, flags: &mut Flags, original: &Json) {
        let written = self.mapping.revenue.iter().find_map(|path| amount(original, path));
        event.amount = written.flatten();
        if written == Some(None) {
            flags.insert(Flag::AmountInvalid);
        } else {
            flags.remove(&Flag::AmountInvalid);
        }
    }
}

/// The amount at a path, or the product of several: `price*quantity`, in which what is absent after the
/// first counts as 1. `None` when nothing stands there, `Some(None)` when it is no amount.
fn amount(json: &Json, path: &str) -> Option<Option<Decimal>> {
    let (first, factors) = path.split_once('*').unwrap_or((path, ""));
    let mut product = at(json, first.trim())?.decimal();
    for factor in factors.split('*').filter(|factor| !factor.is_empty()) {
        let factor = at(json, factor.trim()).map_or(Some(Decimal::ONE), Json::decimal);
        product = product.zip(factor).and_then(|(product, factor)| product.checked_mul(factor));
    }
    Some(product)
}

/// An identity link of a device that was described as an event's is. The IDFA may be looked up and not kept.
fn linked(origin: Origin, user: Vec<Operation>) -> IdentityLink {
    let idfa = origin.identifiers.iter().find(|id| id.kind == IdKind::Idfa).map(Fingerprint::from);
    let identifiers = origin.identifiers.into_iter().filter(|id| id.kind != IdKind::Idfa).collect();
    IdentityLink {
        kochava_device_id: origin.kochava_device_id,
        identifiers,
        idfa,
        consent: origin.consent,
        user,
        ..IdentityLink::default()
    }
}

/// A call of which it is kept that it came.
pub fn nothing(ignored: Ignored) -> Parsed {
    Parsed { payload: Payload::Ignored(ignored), flags: Flags::new(), body: String::new() }
}

/// The call without what consent forbids.
fn kept<'j>(original: &'j Json, forbidden: &Needles) -> Cow<'j, Json> {
    let mut kept = Cow::Borrowed(original);
    if !forbidden.is_empty() {
        redact(kept.to_mut(), forbidden);
    }
    kept
}

/// What is said of the make as `model-OS-version`; a known system also without its version.
fn device_ver(said: &Said<'_>) -> Option<String> {
    let is_known = |os: &&str| Os::named(os).is_some_and(|os| os.is_known());
    match (said.os.filter(|os| said.os_version.is_some() || is_known(os)), said.os_version) {
        (Some(os), version) => {
            Some(format!("{}-{os}-{}", said.model.unwrap_or_default(), version.unwrap_or_default()))
        }
        (None, Some(version)) if said.model.is_none() => Some(version.to_owned()),
        _ => said.model.map(str::to_owned),
    }
}

fn usertime(told: &Told) -> Option<Json> {
    match told {
        Told::Missing => None,
        Told::Unreadable => Some(Json::Text("?".to_owned())),
        // As a text, because small numbers would be read as seconds.
        Told::At(time, _) => {
            let time = jiff::Timestamp::from_millisecond(time.millis());
            Some(Json::Text(time.map_or_else(|_| "?".to_owned(), |time| time.to_string())))
        }
    }
}

/// What the traits of a user say: each is set; one without a value is unset.
pub fn set_all(traits: &Object, mapping: &Mapping) -> Vec<Operation> {
    let chosen = traits.iter().filter(|(name, _)| mapping.user_properties.takes(name));
    chosen.map(|(name, value)| set(name, value)).collect()
}

/// One property that is set, or unset by `null`.
pub fn set(name: &str, value: &Json) -> Operation {
    property(value).map_or_else(
        || Operation::Unset(name.to_owned()),
        |property| Operation::Set(name.to_owned(), property),
    )
}

/// A value as a property; `None` for `null`.
pub fn property(value: &Json) -> Option<Property> {
    match value {
        Json::List(values) => Some(Property::list(values.iter().filter_map(scalar))),
        one => scalar(one).map(Property::one),
    }
}

fn scalar(value: &Json) -> Option<Value> {
    // Money and counters are decimals: `1e3` and `1000` are one number.
    match value {
        Json::Number(text) => {
            Some(Value::Number(decimal(text).map_or_else(|| text.clone(), |number| number.to_string())))
        }
        other => other.value(),
    }
}

/// [`masked`] of a text; of what is no JSON, what the quarantine shows.
pub fn masked_text(text: &str, paths: &[&str]) -> String {
    Json::parse(text).map_or_else(|_| quarantine::masked(text.as_bytes()), |json| masked(&json, paths))
}

/// The JSON text of a call with what identifies a device or a person masked, for the quarantine
/// (DECISIONS 11). `paths` are values that only this platform knows by their place.
pub fn masked(json: &Json, paths: &[&str]) -> String {
    let mut json = json.clone();
    for path in paths {
        hide(&mut json, path);
    }
    mask(&mut json, false);
    json.to_string()
}

fn hide(json: &mut Json, path: &str) {
    let Json::Object(entries) = json else { return };
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    for (_, value) in entries.iter_mut().filter(|(key, _)| key == first) {
        match rest {
            Some(rest) => hide(value, rest),
            None => hide_all(value),
        }
    }
}

fn hide_all(json: &mut Json) {
    match json {
        Json::Object(entries) => entries.iter_mut().for_each(|(_, value)| hide_all(value)),
        Json::List(items) => items.iter_mut().for_each(hide_all),
        Json::Text(text) if text.trim().is_empty() => {}
        Json::Text(_) | Json::Number(_) => *json = Json::Text(MASK.to_owned()),
        Json::Null | Json::Bool(_) => {}
    }
}
