//! Settings of apps and networks: dotted names and values, as in `config.default.toml`.

mod reengagement;

use measure::{
    catalogue::App,
    policy::{AppPolicy, DeviceAttribution, FingerprintLevel, Window, Windows},
    referrer::ReferrerKeys,
};
use serde_json::{Map, Value, json};
use wire::link::own_scheme;

pub use self::reengagement::{association, show_minimum_times, take_minimum_times};

use super::fields::Fields;
use crate::{
    config::{parse_duration, range},
    error::Error,
};

/// One window: its dotted name, its longest value in seconds, and where it stands.
type WindowSetting = (&'static str, u64, fn(&mut Windows) -> &mut Option<Window>);

/// The windows and their ranges (tracking-and-attribution.md section 6).
pub const WINDOWS: [WindowSetting; 8] = [
    ("attribution.windows.click_device", range::CLICK_WINDOW_S, |windows| &mut windows.click_device),
    ("attribution.windows.click_modeled", range::CLICK_WINDOW_S, |windows| &mut windows.click_modeled),
    ("attribution.windows.impression_device", range::IMPRESSION_WINDOW_S, |windows| {
        &mut windows.impression_device
    }),
    ("attribution.windows.impression_modeled", range::IMPRESSION_WINDOW_S, |windows| {
        &mut windows.impression_modeled
    }),
    ("attribution.windows.click_ip", range::CLICK_WINDOW_S, |windows| &mut windows.click_ip),
    ("attribution.windows.impression_ip", range::IMPRESSION_WINDOW_S, |windows| &mut windows.impression_ip),
    ("attribution.windows.impression_partial_ip", range::IMPRESSION_WINDOW_S, |windows| {
        &mut windows.impression_partial_ip
    }),
    ("attribution.windows.click_partial_ip", range::CLICK_WINDOW_S, |windows| &mut windows.click_partial_ip),
];

/// A switch of an app.
type Switch = (&'static str, fn(&mut AppPolicy) -> &mut Option<bool>);

const SWITCHES: [Switch; 12] = [
    ("tracking.accept_click_time", |policy| &mut policy.accept_click_time),
    ("attribution.modeled_without_att", |policy| &mut policy.modeled_without_att),
    ("attribution.modeled_single_use", |policy| &mut policy.modeled_single_use),
    ("attribution.device_impressions_first", |policy| &mut policy.ladder.device_impressions_first),
    ("attribution.limit_ad_tracking_fallback", |policy| &mut policy.ladder.limit_ad_tracking_fallback),
    ("attribution.prioritize_completed_view", |policy| &mut policy.ladder.prioritize_completed_view),
    ("attribution.impressions", |policy| &mut policy.ladder.impressions),
    ("attribution.refuse_ambiguous", |policy| &mut policy.ladder.refuse_ambiguous),
    ("attribution.referrer_begin_time", |policy| &mut policy.referrer_begin_time),
    ("consent.att_from_idfa", |policy| &mut policy.att_from_idfa),
    ("attribution.prioritize_clicked_impressions", |policy| {
        &mut policy.ladder.prioritize_clicked_impressions
    }),
    ("postbacks.forward_installs", |policy| &mut policy.forward_installs),
];

const EQUALIZER: &str = "attribution.equalizer";
const DEVICE_ATTRIBUTION: &str = "attribution.device_attribution";
const DEVICE_ATTRIBUTIONS: [(&str, DeviceAttribution); 2] =
    [("standard", DeviceAttribution::Standard), ("inclusive", DeviceAttribution::Inclusive)];
const FINGERPRINT_LEVEL: &str = "attribution.fingerprint_level";
const FINGERPRINT_LEVELS: [(&str, FingerprintLevel); 3] = [
    ("standard", FingerprintLevel::Standard),
    ("ip_only", FingerprintLevel::IpOnly),
    ("ip_range", FingerprintLevel::IpRange),
];

/// A span of time of an app: its dotted name, its largest value in seconds, and where it stands, in
/// milliseconds.
type Span = (&'static str, u64, fn(&mut AppPolicy) -> &mut Option<i64>);

const SPANS: [Span; 3] = [
    ("attribution.clock_skew", range::CLOCK_SKEW_S, |policy| &mut policy.clock_skew_ms),
    ("ingest.hold", range::HOLD_S, |policy| &mut policy.hold_ms),
    ("postbacks.hold_install", range::HOLD_INSTALL_S, |policy| &mut policy.hold_install_ms),
];

/// A key of install referrers: its dotted name, and where it stands.
type ReferrerKey = (&'static str, fn(&mut ReferrerKeys) -> &mut String);

const REFERRER_KEYS: [ReferrerKey; 2] = [
    ("attribution.referrer_click_id_key", |keys| &mut keys.click_id),
    ("attribution.referrer_campaign_id_key", |keys| &mut keys.campaign_id),
];
/// Longest key of an install referrer, characters.
const REFERRER_KEY_CHARS_MAX: usize = 64;

const REQUESTS: &str = "limits.app_requests_per_second";

/// The URL schemes of an app's own deep links.
const SCHEMES: &str = "schemes";
/// Schemes of one app at most.
const SCHEMES_MAX: usize = 16;

/// Changes the settings of an app. `null` gives a setting back to the server; an unknown one is refused.
pub fn change_app(app: &mut App, settings: Fields) -> Result<(), Error> {
    for (name, value) in settings.rest() {
        if change_referrer_key(&mut app.referrer, &name, &value)? {
            continue;
        }
        if name == SCHEMES {
            app.schemes = schemes(&value)?;
            continue;
        }
        let policy = &mut app.policy;
        if change_window(&mut policy.windows, &name, &value)? {
            continue;
        }
        if let Some((_, place)) = SWITCHES.iter().find(|(known, _)| *known == name) {
            *place(policy) = optional(&value, |value| {
                value.as_bool().ok_or_else(|| Error::BadRequest(format!("{name}: must be true or false")))
            })?;
        } else if let Some((_, most, place)) = SPANS.iter().find(|(known, ..)| *known == name) {
            *place(policy) = optional(&value, |value| span(&name, value, *most))?;
        } else if name == EQUALIZER {
            policy.ladder.equalizer = window_value(&name, &value, range::CLICK_WINDOW_S)?;
        } else if name == DEVICE_ATTRIBUTION {
            policy.ladder.device_attribution = choice(&name, &value, &DEVICE_ATTRIBUTIONS)?;
        } else if name == FINGERPRINT_LEVEL {
            policy.ladder.fingerprint_level = choice(&name, &value, &FINGERPRINT_LEVELS)?;
        } else if name == reengagement::INSTALL_REPROCESSING {
            policy.install_reprocessing_days = reengagement::reprocessing(&value)?;
        } else if name == REQUESTS {
            policy.requests_per_second = optional(&value, |value| {
                let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
                number.ok_or_else(|| {
                    Error::BadRequest(format!("{name}: must be from 0 (no limit) to {}", u32::MAX))
                })
            })?;
        } else {
            return Err(unknown(&name));
        }
    }
    Ok(())
}

/// The URL schemes of an app's deep links; `null` is none.
fn schemes(value: &Value) -> Result<Vec<String>, Error> {
    let refuse = |text: &str| Error::BadRequest(format!("{SCHEMES}: {text}"));
    let names = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(names) if names.len() <= SCHEMES_MAX => names,
        _ => return Err(refuse(&format!("must be a list of at most {SCHEMES_MAX} URL schemes"))),
    };
    let scheme = |name: &Value| own_scheme(name.as_str().unwrap_or_default()).map_err(refuse);
    names.iter().map(scheme).collect()
}

/// Whether `name` is a key of install referrers, which then has the value; `null` is the default.
fn change_referrer_key(keys: &mut ReferrerKeys, name: &str, value: &Value) -> Result<bool, Error> {
    let Some((_, place)) = REFERRER_KEYS.iter().find(|(known, _)| *known == name) else { return Ok(false) };
    let is_key = |text: &&str| {
        (1..=REFERRER_KEY_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    };
    let text = optional(value, |value| {
        value.as_str().filter(is_key).map(str::to_owned).ok_or_else(|| {
            let most = REFERRER_KEY_CHARS_MAX;
            Error::BadRequest(format!("{name}: must have 1 to {most} letters, digits, `_`, `-` or `.`"))
        })
    })?;
    let mut changed = keys.clone();
    *place(&mut changed) = text.unwrap_or_else(|| place(&mut ReferrerKeys::default()).clone());
    if changed.click_id == changed.campaign_id {
        return Err(Error::BadRequest(format!("{name}: the other key of install referrers is the same")));
    }
    *keys = changed;
    Ok(true)
}

/// Changes the windows of a network, which are all it has.
pub fn change_network(windows: &mut Windows, settings: Fields) -> Result<(), Error> {
    for (name, value) in settings.rest() {
        if !change_window(windows, &name, &value)? {
            return Err(unknown(&name));
        }
    }
    Ok(())
}

/// The settings that an app has set for itself.
#[must_use]
pub fn of_app(app: &App) -> Value {
    let mut policy = app.policy;
    let mut settings = Map::new();
    for (name, place) in REFERRER_KEYS {
        let (key, default) =
            (place(&mut app.referrer.clone()).clone(), place(&mut ReferrerKeys::default()).clone());
        settings.extend((key != default).then(|| (name.to_owned(), Value::String(key))));
    }
    for (name, place) in SWITCHES {
        settings.extend(place(&mut policy).map(|flag| (name.to_owned(), Value::Bool(flag))));
    }
    for (name, _, place) in SPANS {
        settings.extend(place(&mut policy).map(|ms| (name.to_owned(), seconds(ms))));
    }
    settings.extend((!app.schemes.is_empty()).then(|| (SCHEMES.to_owned(), json!(app.schemes))));
    settings.extend(policy.requests_per_second.map(|number| (REQUESTS.to_owned(), json!(number))));
    settings.extend(policy.ladder.equalizer.map(|window| (EQUALIZER.to_owned(), window_text(window))));
    settings.extend(
        chosen(policy.ladder.device_attribution, &DEVICE_ATTRIBUTIONS)
            .map(|name| (DEVICE_ATTRIBUTION.to_owned(), json!(name))),
    );
    settings.extend(
        chosen(policy.ladder.fingerprint_level, &FINGERPRINT_LEVELS)
            .map(|name| (FINGERPRINT_LEVEL.to_owned(), json!(name))),
    );
    settings.extend(
        policy
            .install_reprocessing_days
            .map(|days| (reengagement::INSTALL_REPROCESSING.to_owned(), json!(days))),
    );
    windows(policy.windows, &mut settings);
    Value::Object(settings)
}

/// The windows that a network has set.
#[must_use]
pub fn of_network(set: Windows) -> Value {
    let mut settings = Map::new();
    windows(set, &mut settings);
    Value::Object(settings)
}

/// A window of `name` from seconds; 400 outside its range.
pub fn window(name: &str, seconds: u64, most: u64) -> Result<Window, Error> {
    let wrong = || {
        let most = if most > range::IMPRESSION_WINDOW_S { "30 days (2592000)" } else { "24 hours (86400)" };
        Error::BadRequest(format!("{name}: must be \"disabled\", or from 1 minute (60) to {most}"))
    };
    if !(range::WINDOW_LEAST_S..=most).contains(&seconds) {
        return Err(wrong());
    }
    u32::try_from(seconds).map(Window::Seconds).map_err(|_| wrong())
}

/// Whether `name` is a window, which then has the value.
fn change_window(windows: &mut Windows, name: &str, value: &Value) -> Result<bool, Error> {
    if name == reengagement::EVENT_ASSOCIATION {
        windows.event_association = reengagement::association_value(value)?;
        return Ok(true);
    }
    let Some((_, most, place)) = WINDOWS.iter().find(|(known, ..)| *known == name) else { return Ok(false) };
    *place(windows) = window_value(name, value, *most)?;
    Ok(true)
}

/// A window as people write it; `None` for null.
fn window_value(name: &str, value: &Value, most: u64) -> Result<Option<Window>, Error> {
    Ok(match value {
        Value::Null => None,
        Value::String(text) if text == "disabled" => Some(Window::Disabled),
        Value::String(text) => {
            let duration =
                parse_duration(text).map_err(|text| Error::BadRequest(format!("{name}: {text}")))?;
            Some(window(name, duration.as_secs(), most)?)
        }
        // What is no whole number of seconds lies outside of every range.
        other => Some(window(name, other.as_u64().unwrap_or_default(), most)?),
    })
}

fn window_text(window: Window) -> Value {
    match window {
        Window::Disabled => json!("disabled"),
        Window::Seconds(seconds) => json!(seconds),
    }
}

/// One of a few names; `None` for null.
fn choice<T: Copy>(name: &str, value: &Value, choices: &[(&str, T)]) -> Result<Option<T>, Error> {
    optional(value, |value| {
        let found = choices.iter().find(|(known, _)| value.as_str() == Some(known));
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(known, _)| *known).collect();
            Error::BadRequest(format!("{name}: must be one of {}", names.join(", ")))
        })
    })
}

fn chosen<T: PartialEq>(value: Option<T>, choices: &[(&'static str, T)]) -> Option<&'static str> {
    let value = value?;
    choices.iter().find(|(_, choice)| *choice == value).map(|(name, _)| *name)
}

fn windows(mut set: Windows, settings: &mut Map<String, Value>) {
    for (name, _, place) in WINDOWS {
        let value = match place(&mut set) {
            None => continue,
            Some(window) => window_text(*window),
        };
        settings.insert(name.to_owned(), value);
    }
    settings.extend(
        set.event_association.map(|window| {
            (reengagement::EVENT_ASSOCIATION.to_owned(), reengagement::association_text(window))
        }),
    );
}

fn optional<T>(value: &Value, read: impl FnOnce(&Value) -> Result<T, Error>) -> Result<Option<T>, Error> {
    if value.is_null() { Ok(None) } else { read(value).map(Some) }
}

/// Milliseconds from seconds or a text with a unit.
fn span(name: &str, value: &Value, most: u64) -> Result<i64, Error> {
    let wrong = || Error::BadRequest(format!("{name}: must be from 0 to {most} seconds"));
    let ms = match value {
        Value::String(text) => {
            parse_duration(text).map_err(|text| Error::BadRequest(format!("{name}: {text}")))?.as_millis()
        }
        other => u128::from(other.as_u64().ok_or_else(wrong)?) * 1_000,
    };
    i64::try_from(ms).ok().filter(|_| ms <= u128::from(most) * 1_000).ok_or_else(wrong)
}

/// Whole seconds as a number, anything finer as text.
fn seconds(ms: i64) -> Value {
    if ms % 1_000 == 0 { json!(ms / 1_000) } else { json!(format!("{ms}ms")) }
}

fn unknown(name: &str) -> Error {
    Error::BadRequest(format!("settings: there is no setting {name} here"))
}
