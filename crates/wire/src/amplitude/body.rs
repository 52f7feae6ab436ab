//! Uploads taken apart and checked, with the refusals that Amplitude documents.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Call, Kind};
use crate::json::{Json, Object, get};

/// A request to `/2/httpapi`, `/identify` or `/groupidentify` has at most this many bytes (1 MB).
pub const HTTP_API_BYTES_MAX: usize = 1_024 * 1_024;
/// A request to `/batch` has at most this many bytes (20 MB).
pub const BATCH_BYTES_MAX: usize = 20 * 1_024 * 1_024;
/// A request has at most this many events.
pub const BATCH_EVENTS_MAX: usize = 2_000;
/// The shortest user and device id, unless the sender says otherwise.
const ID_CHARS_MIN: u64 = 5;
/// Names that only Amplitude itself gives.
const RESERVED: [&str; 6] = [
    "[Amplitude] Start Session",
    "[Amplitude] End Session",
    "[Amplitude] Revenue",
    "[Amplitude] Revenue (Verified)",
    "[Amplitude] Revenue (Unverified)",
    "[Amplitude] Merged User",
];
/// Ids that mean nobody.
const NOBODY: [&str; 14] = [
    "anonymous",
    "nil",
    "none",
    "null",
    "n/a",
    "na",
    "undefined",
    "unknown",
    "",
    "00000000-0000-0000-0000-000000000000",
    "{}",
    "lmy47d",
    "0",
    "-1",
];

/// Where an upload comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/2/httpapi`.
    HttpApi,
    /// `/batch`.
    Batch,
    /// `/identify`.
    Identify,
    /// `/groupidentify`.
    GroupIdentify,
}

impl Endpoint {
    /// Bytes that an upload may have.
    #[must_use]
    pub const fn bytes_max(self) -> usize {
        match self {
            Self::Batch => BATCH_BYTES_MAX,
            Self::HttpApi | Self::Identify | Self::GroupIdentify => HTTP_API_BYTES_MAX,
        }
    }

    /// Whether identifications come in, not events.
    #[must_use]
    pub const fn is_identify(self) -> bool {
        matches!(self, Self::Identify | Self::GroupIdentify)
    }
}

/// Why a whole upload cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is no body.
    MissingBody,
    /// It is no JSON, or no form with JSON in it.
    InvalidJson,
    /// A field of the request is missing.
    MissingField(&'static str),
    /// More events than [`BATCH_EVENTS_MAX`].
    TooMany,
}

/// What is wrong with an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unusable {
    /// Required fields that it does not have.
    pub missing: Vec<&'static str>,
    /// Fields with values that they cannot have.
    pub invalid: Vec<&'static str>,
    /// Ids that are too short, when no other one is left.
    pub short: Vec<&'static str>,
    /// The event as sent, masked for the quarantine.
    pub masked: String,
}

/// An upload.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The key of the source.
    pub api_key: String,
    /// The events or identifications in order.
    pub calls: Vec<Result<Call, Unusable>>,
}

/// An upload of events as JSON.
#[derive(Default, Deserialize)]
struct Events<'b> {
    #[serde(borrow)]
    api_key: Option<&'b RawValue>,
    #[serde(borrow, alias = "event", alias = "identification")]
    events: Option<&'b RawValue>,
    #[serde(borrow)]
    options: Option<&'b RawValue>,
    #[serde(borrow)]
    client_upload_time: Option<&'b RawValue>,
}

/// Takes an upload apart: JSON, or a form whose `event` or `identification` is JSON, in the body or, for
/// identifications, in the query.
///
/// # Errors
/// What is wrong with the request as a whole.
pub fn upload(body: &[u8], query: &str, endpoint: Endpoint) -> Result<Upload, Problem> {
    let text = str::from_utf8(body).map_err(|_| Problem::InvalidJson)?.trim();
    if text.starts_with('{') {
        let events: Events<'_> = serde_json::from_str(text).map_err(|_| Problem::InvalidJson)?;
        let api_key = events.api_key.and_then(scalar);
        let length = events.options.and_then(min_id_length).unwrap_or(ID_CHARS_MIN);
        let uploaded = events.client_upload_time.and_then(scalar);
        return parts(api_key, events.events.map(RawValue::get), length, uploaded.as_deref(), endpoint);
    }
    let form = if text.is_empty() { query } else { text };
    if form.is_empty() {
        return Err(Problem::MissingBody);
    }
    if !form.contains('=') {
        return Err(Problem::InvalidJson);
    }
    let field = |names: &[&str]| {
        let mut pairs = form_urlencoded::parse(form.as_bytes());
        pairs.find(|(key, _)| names.contains(&key.as_ref())).map(|(_, value)| value.into_owned())
    };
    let api_key = field(&["api_key", "api-key"]);
    let events = field(&["event", "events", "identification", "e"]);
    parts(api_key, events.as_deref(), ID_CHARS_MIN, None, endpoint)
}

fn parts(
    api_key: Option<String>,
    events: Option<&str>,
    length: u64,
    uploaded: Option<&str>,
    endpoint: Endpoint,
) -> Result<Upload, Problem> {
    let name = if endpoint.is_identify() { "identification" } else { "events" };
    let api_key = api_key.filter(|key| !key.is_empty()).ok_or(Problem::MissingField("api_key"))?;
    let events = events.map(str::trim).ok_or(Problem::MissingField(name))?;
    let items: Vec<&RawValue> = if events.starts_with('[') {
        serde_json::from_str(events).map_err(|_| Problem::InvalidJson)?
    } else {
        vec![serde_json::from_str(events).map_err(|_| Problem::InvalidJson)?]
    };
    if items.is_empty() {
        return Err(Problem::MissingField(name));
    }
    if items.len() > BATCH_EVENTS_MAX {
        return Err(Problem::TooMany);
    }
    let calls = items.into_iter().map(|item| call(item.get(), length, uploaded, endpoint)).collect();
    Ok(Upload { api_key, calls })
}

fn call(text: &str, length: u64, uploaded: Option<&str>, endpoint: Endpoint) -> Result<Call, Unusable> {
    let mut json = match Json::parse(text) {
        Ok(json @ Json::Object(_)) => json,
        _ => return Err(Unusable { invalid: vec!["event"], ..Unusable::default() }),
    };
    let mut wrong = Unusable { masked: super::masked(&json, &super::MASKED), ..Unusable::default() };
    let Json::Object(entries) = &mut json else { return Err(wrong) };
    let kind = kind(entries, endpoint, &mut wrong);
    if kind != Kind::Group {
        check_ids(entries, length, &mut wrong);
    }
    check_values(entries, &mut wrong);
    if wrong.missing.is_empty() && wrong.invalid.is_empty() && wrong.short.is_empty() {
        Ok(Call { kind, text: text.to_owned(), json, uploaded: uploaded.map(str::to_owned) })
    } else {
        Err(wrong)
    }
}

fn kind(entries: &Object, endpoint: Endpoint, wrong: &mut Unusable) -> Kind {
    match endpoint {
        Endpoint::Identify => return Kind::Identify,
        Endpoint::GroupIdentify => return Kind::Group,
        Endpoint::HttpApi | Endpoint::Batch => {}
    }
    match get(entries, "event_type") {
        None | Some(Json::Null) => wrong.missing.push("event_type"),
        Some(Json::Text(name)) if name == "$identify" => return Kind::Identify,
        Some(Json::Text(name)) if name == "$groupidentify" => return Kind::Group,
        Some(Json::Text(name)) if !name.trim().is_empty() && !RESERVED.contains(&name.as_str()) => {}
        Some(_) => wrong.invalid.push("event_type"),
    }
    Kind::Event
}

/// One of the ids is required. One that is too short is taken out; one that means nobody is refused.
fn check_ids(entries: &mut Object, length: u64, wrong: &mut Unusable) {
    let mut found = 0;
    let mut short = Vec::new();
    for field in ["user_id", "device_id"] {
        match get(entries, field) {
            None | Some(Json::Null) => {}
            Some(Json::Text(id) | Json::Number(id)) => {
                if NOBODY.contains(&id.trim().to_ascii_lowercase().as_str()) {
                    wrong.invalid.push(field);
                } else if id.trim().chars().count() < usize::try_from(length).unwrap_or(usize::MAX) {
                    short.push(field);
                } else {
                    found += 1;
                }
            }
            Some(_) => wrong.invalid.push(field),
        }
    }
    if found == 0 && wrong.invalid.is_empty() {
        if short.is_empty() {
            wrong.missing.push("device_id");
        } else {
            wrong.short = short;
        }
        return;
    }
    entries.retain(|(key, _)| !short.contains(&key.as_str()));
}

fn check_values(entries: &Object, wrong: &mut Unusable) {
    let value = |field: &str| get(entries, field).filter(|value| !value.is_blank());
    // Milliseconds since 1970, and nothing else.
    if value("time").is_some_and(|time| !matches!(time, Json::Number(_))) {
        wrong.invalid.push("time");
    }
    for field in ["price", "quantity", "revenue"] {
        if value(field).is_some_and(|number| number.decimal().is_none()) {
            wrong.invalid.push(field);
        }
    }
    for field in ["event_properties", "user_properties", "group_properties"] {
        if value(field).is_some_and(|object| object.object().is_none()) {
            wrong.invalid.push(field);
        }
    }
}

fn min_id_length(options: &RawValue) -> Option<u64> {
    let options = Json::parse(options.get()).ok()?;
    get(options.object()?, "min_id_length")?.scalar()?.parse().ok()
}

fn scalar(raw: &RawValue) -> Option<String> {
    Json::parse(raw.get()).ok()?.scalar().map(|text| text.trim().to_owned())
}
