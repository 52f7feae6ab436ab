//! Settings of apps about browsers: what the handshake tells them (ingest.md section 18, docs/browser.md).

use measure::catalogue::BrowserSettings;
use serde_json::{Map, Value, json};

use super::fields::Fields;
use crate::error::Error;

/// Names of a list, at most, and characters of a name: a browser is told all of them again and again.
const NAMES_MAX: usize = 200;
const NAME_CHARS_MAX: usize = 256;
/// Seconds for which browsers need not ask again: the range.
const REFRESH_S: std::ops::RangeInclusive<u64> = 10..=86_400;

const RESEND_ID: &str = "browser.resend_id";
const REFRESH_MINIMUM: &str = "browser.refresh_minimum";

/// A list: its dotted name and where it stands.
type List = (&'static str, fn(&mut BrowserSettings) -> &mut Vec<String>);

const LISTS: [List; 4] = [
    ("browser.allow_custom_ids", |settings| &mut settings.allow_custom_ids),
    ("browser.deny_datapoints", |settings| &mut settings.deny_datapoints),
    ("browser.deny_event_names", |settings| &mut settings.deny_event_names),
    ("browser.deny_identity_links", |settings| &mut settings.deny_identity_links),
];

/// Takes out the settings about browsers. `null` gives one its default back.
pub fn change(settings: &mut BrowserSettings, given: &mut Fields) -> Result<(), Error> {
    for (name, place) in LISTS {
        if given.peek(name).is_some() {
            let value = given.take(name);
            *place(settings) = value.map_or_else(|| Ok(Vec::new()), |value| names(name, &value))?;
        }
    }
    if given.peek(RESEND_ID).is_some() {
        settings.resend_id = given.text(RESEND_ID)?.unwrap_or_default();
    }
    if given.peek(REFRESH_MINIMUM).is_some() {
        settings.refresh_minimum_s = given.take(REFRESH_MINIMUM).map(|value| refresh(&value)).transpose()?;
    }
    Ok(())
}

fn refresh(value: &Value) -> Result<u32, Error> {
    let seconds = value.as_u64().filter(|seconds| REFRESH_S.contains(seconds));
    seconds.and_then(|seconds| u32::try_from(seconds).ok()).ok_or_else(|| {
        let (least, most) = (REFRESH_S.start(), REFRESH_S.end());
        Error::BadRequest(format!("{REFRESH_MINIMUM}: must be a number of seconds from {least} to {most}"))
    })
}

fn names(setting: &str, value: &Value) -> Result<Vec<String>, Error> {
    let wrong = || {
        Error::BadRequest(format!(
            "{setting}: must be a list of at most {NAMES_MAX} texts of at most {NAME_CHARS_MAX} characters"
        ))
    };
    let list = value.as_array().filter(|list| list.len() <= NAMES_MAX).ok_or_else(wrong)?;
    let name = |value: &Value| {
        let text = value.as_str().filter(|text| (1..=NAME_CHARS_MAX).contains(&text.chars().count()));
        text.map(str::to_owned).ok_or_else(wrong)
    };
    list.iter().map(name).collect()
}

/// The settings about browsers that an app has set.
pub fn shown(settings: &BrowserSettings) -> Map<String, Value> {
    let mut settings = settings.clone();
    let mut shown = Map::new();
    for (name, place) in LISTS {
        let list = std::mem::take(place(&mut settings));
        if !list.is_empty() {
            shown.insert(name.to_owned(), json!(list));
        }
    }
    if !settings.resend_id.is_empty() {
        shown.insert(RESEND_ID.to_owned(), json!(settings.resend_id));
    }
    shown.extend(settings.refresh_minimum_s.map(|seconds| (REFRESH_MINIMUM.to_owned(), json!(seconds))));
    shown
}
