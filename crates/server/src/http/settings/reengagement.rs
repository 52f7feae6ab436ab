//! Settings about people who come back: how long events belong to an install, when an install of a known
//! device is one of its own, and for how long an attribution is protected
//! (tracking-and-attribution.md sections 6, 8 and 9).

use std::collections::BTreeMap;

use measure::{
    policy::Window,
    reengagement::{EVENT_NAME_CHARS_MAX, MINIMUM_TIMES_MAX},
};
use serde_json::{Map, Value, json};

use super::{super::fields::Fields, optional};
use crate::{
    config::{parse_duration, range},
    error::Error,
};

/// How long events belong to the source of their install.
pub const EVENT_ASSOCIATION: &str = "attribution.event_association";
/// After how many days an install of a known device is one of its own.
pub const INSTALL_REPROCESSING: &str = "attribution.install_reprocessing";
const MINIMUM_TIME: &str = "attribution.minimum_time_to_reengagement";

const UNLIMITED: &str = "unlimited";
const NEVER: &str = "never";

/// How long events belong to their install, from seconds; 400 outside the range.
pub fn association(name: &str, seconds: u64) -> Result<Window, Error> {
    let fits = (range::WINDOW_LEAST_S..=range::EVENT_ASSOCIATION_S).contains(&seconds);
    let window = u32::try_from(seconds).ok().filter(|_| fits).map(Window::Seconds);
    window.ok_or_else(|| {
        Error::BadRequest(format!(
            "{name}: must be \"unlimited\", \"disabled\", or from 1 minute (60) to 3650 days (315360000)"
        ))
    })
}

/// The same as people write it; `None` for null.
pub fn association_value(value: &Value) -> Result<Option<Window>, Error> {
    optional(value, |value| match value.as_str() {
        Some(UNLIMITED) => Ok(Window::UNLIMITED),
        Some("disabled") => Ok(Window::Disabled),
        Some(text) => {
            let duration = parse_duration(text)
                .map_err(|text| Error::BadRequest(format!("{EVENT_ASSOCIATION}: {text}")))?;
            association(EVENT_ASSOCIATION, duration.as_secs())
        }
        None => association(EVENT_ASSOCIATION, value.as_u64().unwrap_or_default()),
    })
}

/// How long events belong to their install, as it is shown.
pub fn association_text(window: Window) -> Value {
    match window {
        Window::UNLIMITED => json!(UNLIMITED),
        window => super::window_text(window),
    }
}

/// After how many days an install of a known device is one of its own; `None` is never.
pub fn reprocessing(value: &Value) -> Result<Option<u32>, Error> {
    let wrong =
        || Error::BadRequest(format!("{INSTALL_REPROCESSING}: must be \"never\" or from 1 to 365 days"));
    let days = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text == NEVER => return Ok(None),
        Value::String(text) => {
            text.strip_suffix('d').and_then(|days| days.trim().parse().ok()).ok_or_else(wrong)?
        }
        other => other.as_u64().ok_or_else(wrong)?,
    };
    let fits = (1..=range::INSTALL_REPROCESSING_DAYS).contains(&days);
    u32::try_from(days).ok().filter(|_| fits).map(Some).ok_or_else(wrong)
}

/// Takes the minimum times to reengagement out of the settings of an app, event by event: `null` takes one
/// back, and `null` for all of them takes all back.
pub fn take_minimum_times(known: &mut BTreeMap<String, u32>, settings: &mut Fields) -> Result<(), Error> {
    let refuse = |text: String| Err(Error::BadRequest(format!("{MINIMUM_TIME}{text}")));
    let given = match settings.peek(MINIMUM_TIME).cloned() {
        None => return Ok(()),
        Some(Value::Null) => {
            known.clear();
            Map::new()
        }
        Some(Value::Object(given)) => given,
        Some(_) => return refuse(": must be an object of event names and times".to_owned()),
    };
    settings.without(&[MINIMUM_TIME]);
    for (event, value) in given {
        if event.is_empty() || event.chars().count() > EVENT_NAME_CHARS_MAX {
            return refuse(format!(": event names have 1 to {EVENT_NAME_CHARS_MAX} characters"));
        }
        let seconds = match &value {
            Value::Null => {
                known.remove(&event);
                continue;
            }
            Value::String(text) => match parse_duration(text) {
                Ok(duration) => Some(duration.as_secs()),
                Err(text) => return refuse(format!(".{event}: {text}")),
            },
            other => other.as_u64(),
        };
        let seconds = seconds.filter(|seconds| *seconds <= range::MINIMUM_TIME_S);
        let Some(seconds) = seconds.and_then(|seconds| u32::try_from(seconds).ok()) else {
            return refuse(format!(".{event}: must be from 0 (off) to 365 days (31536000)"));
        };
        known.insert(event, seconds);
    }
    if known.len() > MINIMUM_TIMES_MAX {
        return refuse(format!(": at most {MINIMUM_TIMES_MAX} events may have one"));
    }
    Ok(())
}

/// The minimum times of an app among its settings, where it has any.
pub fn show_minimum_times(known: &BTreeMap<String, u32>, settings: &mut Value) {
    if let (Some(settings), false) = (settings.as_object_mut(), known.is_empty()) {
        settings.insert(MINIMUM_TIME.to_owned(), json!(known));
    }
}
