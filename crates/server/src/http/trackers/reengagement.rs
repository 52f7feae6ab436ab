//! What a tracker of type `reengagement` may be credited with (management-and-reporting.md section 5).
//!
//! `events` lists what it may match: names, or objects `{"name": "Purchase", "clicks": true,
//! "impressions": false}`, where both kinds of engagement count unless said otherwise.

use measure::reengagement::{CoveredEvent, EVENT_NAME_CHARS_MAX, EVENTS_MAX, Reengagement};
use serde_json::Value;

use crate::{error::Error, http::fields::Fields};

/// What the fields of a tracker say of its type; `None` is an acquisition tracker, which is what every type
/// but `reengagement` means. Nothing is taken out.
pub fn of(fields: &Fields) -> Result<Option<Reengagement>, Error> {
    let kind = match fields.peek("type") {
        None | Some(Value::Null) => "",
        Some(Value::String(kind)) => kind.trim(),
        Some(_) => return refuse("type: must be acquisition or reengagement"),
    };
    if !kind.eq_ignore_ascii_case("reengagement") {
        return Ok(None);
    }
    let events = match fields.peek("events") {
        None | Some(Value::Null) => &[][..],
        Some(Value::Array(events)) => events.as_slice(),
        Some(_) => return refuse("events: must be a list of event names"),
    };
    if events.len() > EVENTS_MAX {
        return refuse(&format!("events: must have at most {EVENTS_MAX} entries"));
    }
    let events = events.iter().enumerate().map(|(place, event)| covered(place, event));
    Ok(Some(Reengagement { events: events.collect::<Result<_, _>>()? }))
}

fn covered(place: usize, event: &Value) -> Result<CoveredEvent, Error> {
    let (name, mut fields) = match event {
        Value::String(name) => (Some(name.clone()), Fields::default()),
        Value::Object(fields) => {
            let mut fields = Fields::new(fields.clone());
            (fields.exact_text("name").map_err(|error| within(place, error))?, fields)
        }
        _ => return refuse(&format!("events[{place}]: must be an event name, or an object with a name")),
    };
    let fits = |name: &String| !name.is_empty() && name.chars().count() <= EVENT_NAME_CHARS_MAX;
    let Some(name) = name.filter(fits) else {
        return refuse(&format!("events[{place}].name: must have 1 to {EVENT_NAME_CHARS_MAX} characters"));
    };
    let clicks = fields.flag("clicks").map_err(|error| within(place, error))?.unwrap_or(true);
    let impressions = fields.flag("impressions").map_err(|error| within(place, error))?.unwrap_or(true);
    if !clicks && !impressions {
        return refuse(&format!("events[{place}]: clicks, impressions or both must count"));
    }
    Ok(CoveredEvent { name, clicks, impressions })
}

fn within(place: usize, error: Error) -> Error {
    match error {
        Error::BadRequest(text) => Error::BadRequest(format!("events[{place}].{text}")),
        other => other,
    }
}

fn refuse<T>(text: &str) -> Result<T, Error> {
    Err(Error::BadRequest(text.to_owned()))
}
