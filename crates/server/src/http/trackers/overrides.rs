//! `/tracker/override` (management-and-reporting.md section 6).
//!
//! Values of windows are seconds. A value of 0 with an empty `key` is not overridden; a value of 0 with a
//! `key` disables the window, or turns the verifier off. `value` and `admin` are numbers however they were sent.
//! Overrides that are not known are kept and shown as they came, as long as they set nothing.

use axum::{Json, extract::State};
use measure::{
    TrackerId,
    catalogue::{Catalogue, Entry, Tracker},
    policy::{Window, Windows},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{super::asked::Query, super::fields::Fields, super::settings, OVERRIDES};
use crate::http::openapi::Refusals;
use crate::{auth::Caller, clock, error::Error, site::Site};

/// Every key, in the order shown.
const KEYS: [&str; 10] = [
    "device_id_lookback_window",
    "fingerprint_lookback_window",
    "ip_lookback_window",
    "impression_lookback_device",
    "impression_lookback_fingerprint",
    "impression_lookback_ip",
    "impression_lookback_partial_ip",
    DISABLE_IMPRESSIONS,
    ENABLE_VERIFICATION,
    OMIT_SUB_OS_VERSION,
];
/// A key of ours, shown when it is set.
const EVENT_ASSOCIATION: &str = "event_association_window";
/// Ours: the incumbent has the option, but nothing says how it is written.
const OMIT_SUB_OS_VERSION: &str = "omit_sub_os_version";
const ENABLE_VERIFICATION: &str = "enable_verification";
/// The unit of windows, told where the sender named none (tracking-and-attribution.md section 19).
const SECONDS: &str = "seconds";
const DISABLE_IMPRESSIONS: &str = "impressions_disable_attribution";
/// The keys that set windows, in the order of [`settings::WINDOWS`], which has one more.
const WINDOW_KEYS: [&str; 7] = [
    "device_id_lookback_window",
    "fingerprint_lookback_window",
    "impression_lookback_device",
    "impression_lookback_fingerprint",
    "ip_lookback_window",
    "impression_lookback_ip",
    "impression_lookback_partial_ip",
];

/// Which tracker.
#[derive(Debug, Deserialize)]
pub struct TrackerQuery {
    id: Option<String>,
}

/// One override as it is written.
#[derive(Debug, Default)]
struct Override {
    value: u64,
    is_set: bool,
}

/// `GET /tracker/override?id={tracker}`
#[utoipa::path(
    get, path = "/tracker/override", tag = "management",
    params(("id" = u64, Query, description = "the number of the tracker")),
    responses((status = 200, description = "the overrides of the tracker", body = Value), Refusals),
    operation_id = "overrides_get",
)]
pub async fn get(
    State(site): State<Site>,
    caller: Caller,
    Query(query): Query<TrackerQuery>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let tracker = find(&catalogue, &query)?;
    caller.may_read(tracker.app)?;
    Ok(Json(object(tracker)))
}

/// `POST /tracker/override?id={tracker}`: replaces all overrides of the tracker.
#[utoipa::path(
    post, path = "/tracker/override", tag = "management",
    params(("id" = u64, Query, description = "the number of the tracker")),
    request_body = Value,
    responses((status = 200, description = "the overrides as they are now", body = Value), Refusals),
    operation_id = "overrides_save",
)]
pub async fn save(
    State(site): State<Site>,
    caller: Caller,
    Query(query): Query<TrackerQuery>,
    mut fields: Fields,
) -> Result<Json<Value>, Error> {
    let answer = site.catalogue.change(clock::now(), Some(caller.key()), |catalogue| {
        let mut tracker = find(catalogue, &query)?.clone();
        caller.may_write(tracker.app)?;
        // Clients send the object itself or what GET answered, with one object in the place of the array.
        let overrides = match fields.take("tracker_overrides") {
            None => fields,
            Some(Value::Object(overrides)) => Fields::new(overrides),
            Some(Value::Array(list)) => match list.into_iter().next() {
                Some(Value::Object(overrides)) => Fields::new(overrides),
                _ => return Err(wrong("tracker_overrides")),
            },
            Some(_) => return Err(wrong("tracker_overrides")),
        };
        let kept = overrides.into_value();
        set(&mut tracker, &kept)?;
        let mut extra = Fields::kept(&tracker.extra);
        extra.put(OVERRIDES, kept);
        tracker.extra = extra.into_text();
        let answer = object(&tracker);
        Ok((vec![Entry::Tracker(tracker)], answer))
    });
    Ok(Json(answer.await?))
}

fn find<'c>(catalogue: &'c Catalogue, query: &TrackerQuery) -> Result<&'c Tracker, Error> {
    let id = query.id.as_deref().unwrap_or_default();
    let id: TrackerId =
        id.parse().map_err(|_| Error::BadRequest("id: give the tracker's number".to_owned()))?;
    let lives = |tracker: &&std::sync::Arc<Tracker>| {
        !tracker.deleted && catalogue.app(tracker.app).is_some_and(|app| !app.deleted)
    };
    catalogue.tracker(id).filter(lives).map(AsRef::as_ref).ok_or(Error::NotFound("tracker"))
}

/// Puts overrides in the place of those that a tracker has; what is shown of them is not touched.
pub(in crate::http) fn set(tracker: &mut Tracker, overrides: &Value) -> Result<(), Error> {
    if let Some((name, _)) =
        unknown(overrides).find(|(_, one)| one["key"].as_str().is_some_and(|key| !key.is_empty()))
    {
        let text = format!("{name}: there is no such override to set; leave it out, or its key empty");
        return Err(Error::BadRequest(text));
    }
    tracker.windows = windows(overrides)?;
    tracker.omit_sub_os_version = read(overrides, OMIT_SUB_OS_VERSION)?.value != 0;
    let Override { value, is_set } = read(overrides, ENABLE_VERIFICATION)?;
    tracker.verification = is_set.then_some(value != 0);
    Ok(())
}

/// Overrides that are not known.
fn unknown(overrides: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let is_known = |key: &str| KEYS.contains(&key) || key == EVENT_ASSOCIATION;
    overrides.as_object().into_iter().flatten().filter(move |(key, _)| !is_known(key))
}

/// Refuses overrides that change nothing, for those who want to know what they would change.
pub(in crate::http) fn no_unknown(overrides: &Value) -> Result<(), Error> {
    match unknown(overrides).next() {
        None => Ok(()),
        Some((key, _)) => Err(Error::BadRequest(format!("{key}: there is no such override"))),
    }
}

/// The windows that overrides set.
fn windows(overrides: &Value) -> Result<Windows, Error> {
    for key in KEYS.into_iter().chain([EVENT_ASSOCIATION]) {
        read(overrides, key)?;
        admin(overrides, key)?;
    }
    let mut windows = Windows::default();
    for (key, (_, most, place)) in WINDOW_KEYS.into_iter().zip(settings::WINDOWS) {
        let Override { value, is_set } = read(overrides, key)?;
        if is_set {
            let disabled = value == 0;
            *place(&mut windows) =
                Some(if disabled { Window::Disabled } else { settings::window(key, value, most)? });
        }
    }
    let Override { value, is_set } = read(overrides, EVENT_ASSOCIATION)?;
    if is_set {
        let disabled = value == 0;
        windows.event_association =
            Some(if disabled { Window::Disabled } else { settings::association(EVENT_ASSOCIATION, value)? });
    }
    if read(overrides, DISABLE_IMPRESSIONS)?.value != 0 {
        windows.impression_device = Some(Window::Disabled);
        windows.impression_modeled = Some(Window::Disabled);
        windows.impression_ip = Some(Window::Disabled);
        windows.impression_partial_ip = Some(Window::Disabled);
    }
    Ok(windows)
}

fn read(overrides: &Value, name: &str) -> Result<Override, Error> {
    let mut fields = fields_of(overrides, name)?;
    let value = fields.id::<u64>("value").map_err(|error| within(name, error))?.unwrap_or_default();
    let key = fields.text("key").map_err(|error| within(name, error))?.unwrap_or_default();
    Ok(Override { value, is_set: value != 0 || !key.is_empty() })
}

/// The number `admin` of an override: it is shown and sets nothing.
fn admin(overrides: &Value, name: &str) -> Result<i64, Error> {
    let given = fields_of(overrides, name)?.id("admin").map_err(|error| within(name, error))?;
    Ok(given.unwrap_or_default())
}

fn fields_of(overrides: &Value, name: &str) -> Result<Fields, Error> {
    match overrides.get(name) {
        None | Some(Value::Null) => Ok(Fields::default()),
        Some(Value::Object(given)) => Ok(Fields::new(given.clone())),
        Some(_) => Err(wrong(name)),
    }
}

/// An error of a field of the override `name`.
fn within(name: &str, error: Error) -> Error {
    match error {
        Error::BadRequest(text) => Error::BadRequest(format!("{name}.{text}")),
        other => other,
    }
}

fn wrong(name: &str) -> Error {
    Error::BadRequest(format!("{name}: must be an object"))
}

/// The overrides that a tracker has, by their keys, as the audit log shows them.
pub(in crate::http) fn recorded(tracker: &Tracker) -> Value {
    let kept = Fields::kept(&tracker.extra).take(OVERRIDES).unwrap_or_default();
    let keys = KEYS.into_iter().chain([EVENT_ASSOCIATION]);
    let set = keys.filter_map(|key| {
        let one = read(&kept, key).ok().filter(|one| one.is_set)?;
        Some((key.to_owned(), json!(one.value)))
    });
    let unknown = unknown(&kept).map(|(key, value)| (key.clone(), value.clone()));
    Value::Object(set.chain(unknown).collect())
}

fn object(tracker: &Tracker) -> Value {
    let kept = Fields::kept(&tracker.extra).take(OVERRIDES).unwrap_or_default();
    let mut shown = Fields::default();
    let own = kept.get(EVENT_ASSOCIATION).map(|_| EVENT_ASSOCIATION);
    for key in KEYS.into_iter().chain(own) {
        let blank = json!({ "name": "", "key": "", "group": "", "type": "", "value": 0, "admin": 0 });
        let mut fields = Fields::kept(&blank.to_string());
        if let Some(Value::Object(given)) = kept.get(key) {
            fields.merge(Fields::new(given.clone()));
            let Override { value, is_set } = read(&kept, key).unwrap_or_default();
            fields.put("value", value.into());
            fields.put("admin", admin(&kept, key).unwrap_or_default().into());
            let is_window = WINDOW_KEYS.contains(&key) || key == EVENT_ASSOCIATION;
            if is_window && is_set && fields.peek("type").is_some_and(|unit| unit == "") {
                fields.put("type", SECONDS.into());
            }
        }
        shown.put(key, fields.into_value());
    }
    unknown(&kept).for_each(|(key, value)| shown.put(key, value.clone()));
    json!({
        "success": true, "request_id": clock::random_hex::<16>(), "tracker_overrides": [shown.into_value()],
    })
}
