//! The macros and what each one stands for (postbacks.md section 6). A new macro is one row of a table.

use uuid::Uuid;

use super::{
    TriggerKind,
    plan::Conversion,
    settings::Settings,
    text::{Filling, Token, json_object},
};
use crate::{
    DeliveryId, Timestamp,
    attribution::Source,
    engagement::{Engagement, EngagementKind, LinkIdentifier},
    flag::has_dropped_idfa,
    id::ulid,
    identifier::IdKind,
    place::Country,
    platform::Traits,
    time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS},
};

/// What a rendering is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub conversion: &'a Conversion<'a>,
    pub delivery: DeliveryId,
    pub settings: &'a Settings<'a>,
}

type Fill = for<'a> fn(&Subject<'a>) -> Option<Filling<'a>>;
type FillTime = for<'a> fn(&Conversion<'a>) -> Option<Timestamp>;
type FillId = for<'a> fn(&Subject<'a>) -> Option<Uuid>;

/// A macro that a token names.
#[derive(Clone, Copy)]
pub enum Macro<'t> {
    /// One of the table.
    Value(&'t str, Fill),
    /// One of the table, in lower case.
    Lower(&'t str, Fill),
    /// Another macro that is a text, by its name, for a place where text is marked up: `&`, `<` and `>` as `&amp;`,
    /// `&lt;` and `&gt;`.
    Markup(&'t str),
    /// A point in time: epoch seconds.
    Time(&'t str, FillTime),
    /// A point in time, as ISO 8601 in UTC.
    IsoTime(&'t str, FillTime),
    /// A point in time: epoch milliseconds.
    MilliTime(&'t str, FillTime),
    /// One of our identifiers, as a UUID without its prefix.
    Uuid(FillId),
    /// One of our identifiers, as a ULID: the same 128 bits in 26 characters.
    Ulid(FillId),
    /// A parameter of the link: `cp_0` to `cp_9`.
    LinkParam(&'t str),
    /// A key of `event_data`; dotted for nested objects.
    EventData(&'t str),
    /// An identity link of the device, by name.
    Identity(&'t str),
    /// A key of the context: an input of the template, or whatever the trigger holds.
    Context(&'t str),
}

/// What tells where a conversion came from: `sx_network_data: false` keeps it back (postbacks.md section 5).
const ATTRIBUTION: [&str; 15] = [
    "attributed",
    "attribution_type",
    "campaign_id",
    "campaign_name",
    "click_id",
    "click_time",
    "creative_id",
    "match_type",
    "network_id",
    "network_name",
    "segment_name",
    "site_id",
    "sub_site_id",
    "tracker_id",
    "tracker_name",
];

/// Whether `token` names a macro, with a format that it has.
#[must_use]
pub fn is_macro(token: Token<'_>) -> bool {
    Macro::of(token).is_some()
}

const VALUES: &[(&str, Fill)] = &[
    ("click_id", |s| text(from_engagement(s, |click| &click.click_id, |source| &source.click_id))),
    ("event_name", event_name),
    ("event", event_name),
    ("event_data", event_data),
    ("event_value", event_value),
    ("value", event_value),
    ("revenue", |s| Some(Filling::Number(s.conversion.revenue()?.to_string().into()))),
    ("currency", |s| text(s.conversion.event?.currency.as_deref())),
    ("kochava_device_id", kochava_device_id),
    ("idfa", |s| identifier(s, &IdKind::Idfa)),
    ("adid", |s| identifier(s, &IdKind::Adid)),
    ("android_id", |s| identifier(s, &IdKind::AndroidId)),
    ("idfv", |s| identifier(s, &IdKind::Idfv)),
    ("advertising_id", |s| identifier(s, &IdKind::Idfa).or_else(|| identifier(s, &IdKind::Adid))),
    ("ip_address", ip_address),
    ("ip", ip_address),
    ("device_ua", user_agent),
    ("ua", user_agent),
    ("device_ver", |s| owned(device_version(s.conversion))),
    ("device_type", |s| text(make(s.conversion, |traits| traits.model.as_deref()))),
    ("os_version", |s| text(make(s.conversion, |traits| traits.os_version.as_deref()))),
    ("platform", |s| text(Some(platform(s.conversion)))),
    ("country", |s| text(country(s.conversion))),
    ("network_name", network_name),
    ("network_id", |s| number(s.conversion.network()?.0)),
    ("campaign_id", |s| number(s.conversion.campaign()?.0)),
    ("campaign_name", campaign_name),
    ("tracker_id", |s| number(s.conversion.tracker()?.0)),
    ("tracker_name", tracker_name),
    ("segment_name", segment_name),
    ("site_id", |s| text(from_engagement(s, |click| &click.site_id, |source| &source.site_id))),
    ("sub_site_id", |s| text(from_engagement(s, |click| &click.sub_site_id, |source| &source.sub_site_id))),
    ("creative_id", |s| text(from_engagement(s, |click| &click.creative_id, |source| &source.creative_id))),
    ("attribution_type", |s| text(s.conversion.source.map(attribution_type))),
    ("match_type", |s| text(match_type(s.conversion))),
    ("attributed", attributed),
    ("app_id", |s| number(s.conversion.app.id.0)),
    ("app_guid", |s| text(Some(&s.conversion.app.guid))),
    ("app_name", |s| text(Some(&s.conversion.app.name))),
    ("app_version", |s| text(s.conversion.origin?.app_version.as_deref())),
    ("install_id", |s| owned(s.conversion.install.map(|install| install.to_string()))),
    ("conversion_id", |s| owned(Some(s.conversion.input.to_string()))),
    ("trigger_title", |s| text(Some(s.settings.title()))),
    ("delivery_id", |s| owned(Some(s.delivery.to_string()))),
];

/// The identifiers that are also had in the forms that others ask for.
const IDS: &[(&str, FillId)] = &[
    ("install_id", |s| s.conversion.install.map(|install| install.0)),
    ("conversion_id", |s| Some(s.conversion.input.0)),
    ("delivery_id", |s| Some(s.delivery.0)),
];

const TIMES: &[(&str, FillTime)] = &[
    ("event_time", |c| match c.kind {
        TriggerKind::Install => c.installed,
        TriggerKind::Event => Some(c.event?.time),
        TriggerKind::Click => Some(c.click?.0.time),
    }),
    ("install_time", |c| c.installed),
    // An impression that won has no click to tell the time of.
    ("click_time", |c| match (c.click, c.source) {
        (Some((click, _)), _) => Some(click.time),
        (None, source) => {
            source.filter(|source| source.kind == EngagementKind::Click).map(|source| source.time)
        }
    }),
];

impl<'t> Macro<'t> {
    /// The macro that `token` names, in this case of letters and with a format that it has; else `None`.
    pub fn of(token: Token<'t>) -> Option<Self> {
        let time = TIMES.iter().find(|(name, _)| *name == token.name).map(|(_, time)| *time);
        match (token.format, time) {
            (None, Some(time)) => return Some(Self::Time(token.name, time)),
            (Some("iso"), Some(time)) => return Some(Self::IsoTime(token.name, time)),
            (Some("ms"), Some(time)) => return Some(Self::MilliTime(token.name, time)),
            (Some("uuid"), None) => return id_of(token.name).map(Self::Uuid),
            (Some("ulid"), None) => return id_of(token.name).map(Self::Ulid),
            (Some("lower"), None) => return value_of(token.name).map(|(name, fill)| Self::Lower(name, fill)),
            (Some("markup"), None) => {
                let plain = Self::of(Token { name: token.name, format: None });
                return plain.map(|_| Self::Markup(token.name));
            }
            (Some(_), _) => return None,
            (None, None) => {}
        }
        let keyed = |prefix| token.name.strip_prefix(prefix).filter(|key: &&str| !key.is_empty());
        if let Some(key) = keyed("event_data.") {
            return Some(Self::EventData(key));
        }
        if let Some(name) = keyed("identity.") {
            return Some(Self::Identity(name));
        }
        if let Some(key) = keyed("context.") {
            return Some(Self::Context(key));
        }
        if let Some(digit) = token.name.strip_prefix("cp_") {
            let is_digit = digit.len() == 1 && digit.bytes().all(|b| b.is_ascii_digit());
            return is_digit.then_some(Self::LinkParam(token.name));
        }
        value_of(token.name).map(|(name, fill)| Self::Value(name, fill))
    }

    /// Whether it tells where a conversion came from.
    fn tells_attribution(self) -> bool {
        match self {
            Self::Value(name, _)
            | Self::Lower(name, _)
            | Self::Time(name, _)
            | Self::IsoTime(name, _)
            | Self::MilliTime(name, _) => ATTRIBUTION.contains(&name),
            Self::LinkParam(_) => true,
            // The macro that is marked up looks itself.
            Self::Markup(_)
            | Self::Uuid(_)
            | Self::Ulid(_)
            | Self::EventData(_)
            | Self::Identity(_)
            | Self::Context(_) => false,
        }
    }

    /// The value it has for a conversion; `None` when there is none, or an empty one.
    pub fn fill<'a>(self, subject: &Subject<'a>) -> Option<Filling<'a>> {
        let conversion = subject.conversion;
        if self.tells_attribution() && !subject.settings.network_data {
            return None;
        }
        let filling = match self {
            Self::Value(_, fill) => fill(subject),
            Self::Lower(_, fill) => owned(Some(fill(subject)?.text().to_lowercase())),
            Self::Markup(name) => {
                let plain = Self::of(Token { name, format: None })?.fill(subject)?;
                owned(Some(plain.text().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")))
            }
            Self::Time(_, time) => number_of(time(conversion)?.seconds()),
            Self::IsoTime(_, time) => owned(Some(iso(time(conversion)?))),
            Self::MilliTime(_, time) => number_of(time(conversion)?.millis()),
            Self::Uuid(id) => owned(Some(id(subject)?.to_string())),
            Self::Ulid(id) => owned(Some(ulid(id(subject)?))),
            Self::LinkParam(key) => {
                let params = match (conversion.click, conversion.source) {
                    (Some((click, _)), _) => &click.params,
                    (None, source) => &source?.params,
                };
                text(params.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str()))
            }
            Self::EventData(key) => {
                let params = &conversion.event?.params;
                params.iter().find(|(name, _)| name == key).map(|(_, value)| value.into())
            }
            Self::Identity(name) => {
                let links = &conversion.device?.links;
                text(links.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()))
            }
            Self::Context(key) => subject.settings.value(key).map(Filling::from),
        };
        filling.filter(|filling| !filling.text().is_empty())
    }
}

fn value_of(name: &str) -> Option<(&'static str, Fill)> {
    VALUES.iter().find(|(known, _)| *known == name).copied()
}

fn id_of(name: &str) -> Option<FillId> {
    IDS.iter().find(|(known, _)| *known == name).map(|(_, id)| *id)
}

fn text(value: Option<&str>) -> Option<Filling<'_>> {
    value.map(|value| Filling::Text(value.into()))
}

fn owned<'a>(value: Option<String>) -> Option<Filling<'a>> {
    value.map(|value| Filling::Text(value.into()))
}

fn number<'a>(value: u64) -> Option<Filling<'a>> {
    Some(Filling::Number(value.to_string().into()))
}

fn number_of<'a>(value: i64) -> Option<Filling<'a>> {
    Some(Filling::Number(value.to_string().into()))
}

/// A text of the engagement that it is all about: the click itself, or the winner.
fn from_engagement<'a>(
    subject: &Subject<'a>,
    click: fn(&Engagement) -> &Option<String>,
    source: fn(&Source) -> &Option<String>,
) -> Option<&'a str> {
    match (subject.conversion.click, subject.conversion.source) {
        (Some((engagement, _)), _) => click(engagement).as_deref(),
        (None, Some(winner)) => source(winner).as_deref(),
        (None, None) => None,
    }
}

/// As the trigger calls it for its partner.
fn event_name<'a>(subject: &Subject<'a>) -> Option<Filling<'a>> {
    let conversion = subject.conversion;
    let name = match conversion.kind {
        TriggerKind::Install => "_install",
        TriggerKind::Click => "_click",
        TriggerKind::Event => conversion.event.map_or("", |event| &event.name),
    };
    text(Some(subject.settings.renamed(name)))
}

/// The amount with the decimals it was sent with, be it revenue or not; else the plain event data.
fn event_value<'a>(subject: &Subject<'a>) -> Option<Filling<'a>> {
    let event = subject.conversion.event?;
    let amount = event.amount.map(|amount| Filling::Number(amount.to_string().into()));
    amount.or_else(|| event.plain.as_ref().map(Filling::from))
}

/// All of the event's data as one JSON object, where the trigger wants it (`sx_all_data`).
fn event_data<'a>(subject: &Subject<'a>) -> Option<Filling<'a>> {
    if !subject.settings.all_data {
        return None;
    }
    let data = subject.conversion.data();
    (!data.is_empty()).then(|| Filling::Json(json_object(&data).into()))
}

fn campaign_name<'a>(subject: &Subject<'a>) -> Option<Filling<'a>> {
    let campaign = subject.conversion.catalogue.campaign(subject.conversion.campaign()?)?;
    text(Some(&campaign.name))
}

fn tracker_name<'a>(subject: &Subject<'a>) -> Option<Filling<'a>> {
    let tracker = subject.conversion.catalogue.tracker(subject.conversion.tracker()?)?;
    text(Some(&tracker.name))
}

/// Whether anybody won the install; clicks have nothing to win.
fn attributed<'a>(subject: &Subject<'a>) -> Option<Filling<'a>> {
    subject.conversion.install?;
    Some(Filling::Json(if subject.conversion.source.is_some() { "true" } else { "false" }.into()))
}

fn kochava_device_id<'a>(subject: &Subject<'a>) -> Option<Filling<'a>> {
    let sent = subject.conversion.origin.and_then(|origin| origin.kochava_device_id.as_deref());
    let device = subject.conversion.device;
    let known = || device?.kochava_ids.first().map(String::as_str);
    let sent = sent.map(|sent| device.and_then(|device| device.stand_in_of(sent)).unwrap_or(sent));
    text(sent.or_else(known))
}

/// The identifier as the conversion sent it, else as the device is known. What consent forbids is in
/// neither; that the device may still hold the IDFA of better days when the conversion's own was dropped or
/// it says `att: false` does not count, nor that it allowed what has been refused since (DECISIONS 16).
fn identifier<'a>(subject: &Subject<'a>, kind: &IdKind) -> Option<Filling<'a>> {
    let conversion = subject.conversion;
    if let Some((click, _)) = conversion.click {
        return text(click.identifiers.iter().find_map(|identifier| match identifier {
            LinkIdentifier::Plain(plain) if plain.kind == *kind => Some(plain.value.as_str()),
            _ => None,
        }));
    }
    let is_refused = || conversion.is_refused(|consent| consent.att.flag, |said| said.att);
    if *kind == IdKind::Idfa && (has_dropped_idfa(conversion.flags) || is_refused()) {
        return None;
    }
    let sent = conversion.origin.map(|origin| origin.identifiers.as_slice()).unwrap_or_default();
    let known = conversion.device.map(|device| device.identifiers.as_slice()).unwrap_or_default();
    let found = sent.iter().chain(known).find(|identifier| identifier.kind == *kind);
    text(found.map(|identifier| identifier.value.as_str()))
}

fn ip_address<'a>(subject: &Subject<'a>) -> Option<Filling<'a>> {
    let ip = match subject.conversion.click {
        Some((click, _)) => click.user_ip(),
        None => subject.conversion.origin?.ip,
    };
    owned(ip.map(|ip| ip.to_string()))
}

fn user_agent<'a>(subject: &Subject<'a>) -> Option<Filling<'a>> {
    text(match subject.conversion.click {
        Some((click, _)) => click.user_agent.as_deref(),
        None => subject.conversion.origin?.user_agent.as_deref(),
    })
}

/// The country of the conversion, or of the click when it is one.
pub fn country<'a>(conversion: &Conversion<'a>) -> Option<&'a str> {
    match conversion.click {
        Some((click, _)) => click.place.country.as_ref().map(Country::as_str),
        None => conversion.origin?.country.as_deref(),
    }
}

/// A part of the make: of the click, else as the conversion tells it, else as the device is known.
fn make<'a, T>(conversion: &Conversion<'a>, part: fn(&'a Traits) -> Option<T>) -> Option<T> {
    if let Some((click, _)) = conversion.click {
        return part(&click.traits);
    }
    let sent = conversion.origin.and_then(|origin| part(&origin.traits));
    sent.or_else(|| part(&conversion.device?.traits))
}

/// `model-OS-version` as senders write `device_ver`, as far as it is known (ingest.md section 12).
fn device_version(conversion: &Conversion<'_>) -> Option<String> {
    let model = make(conversion, |traits| traits.model.as_deref());
    let os = make(conversion, |traits| traits.os.as_ref()).map(|os| os.name());
    let version = make(conversion, |traits| traits.os_version.as_deref());
    let known: Vec<String> =
        [model, os, version].into_iter().flatten().map(|part| part.replace(' ', "-")).collect();
    (!known.is_empty()).then(|| known.join("-"))
}

fn platform<'a>(conversion: &Conversion<'a>) -> &'a str {
    make(conversion, |traits| traits.os.as_ref()).map_or(&conversion.app.platform, |os| os.name())
}

fn network_name<'a>(subject: &Subject<'a>) -> Option<Filling<'a>> {
    let network = subject.conversion.catalogue.network(subject.conversion.network()?)?;
    text(Some(&network.name))
}

fn segment_name<'a>(subject: &Subject<'a>) -> Option<Filling<'a>> {
    let segment = subject.conversion.catalogue.segment(subject.conversion.segment()?)?;
    text(Some(&segment.name))
}

const fn attribution_type(source: &Source) -> &'static str {
    if source.reengagement { "reengagement" } else { "install" }
}

/// The match class; `organic` for what belongs to an install that nobody won.
fn match_type<'a>(conversion: &Conversion<'a>) -> Option<&'a str> {
    match conversion.source {
        Some(source) => Some(&source.class),
        None => conversion.install.map(|_| "organic"),
    }
}

/// `2026-11-21T08:00:00Z`: the civil date of a day number in the proleptic Gregorian calendar, by counting
/// in eras of 400 years from 1 March.
fn iso(time: Timestamp) -> String {
    let day = time.millis().div_euclid(DAY_MS);
    let within = time.millis().rem_euclid(DAY_MS);
    // Day 0 is 1970-01-01; 719,468 days before it lies 0000-03-01.
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) =
        (within / HOUR_MS, within % HOUR_MS / MINUTE_MS, within % MINUTE_MS / SECOND_MS);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}Z")
}
