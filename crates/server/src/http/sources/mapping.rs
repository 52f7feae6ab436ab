//! A mapping as people write it.

use measure::source::{Choice, Mapping, Paths};
use serde_json::{Map, Value, json};

use crate::{error::Error, http::fields::Fields};

/// Entries of a list in a mapping: names, paths, renames.
const ENTRIES_MAX: usize = 500;
/// Bytes of a name or a path.
const TEXT_BYTES_MAX: usize = 256;

/// Changes a mapping: each field that is given replaces the one that was there.
///
/// # Errors
/// 400, naming the field, and what a complete mapping still has to name.
pub fn change(mapping: &mut Mapping, mut fields: Fields) -> Result<(), Error> {
    choice(&mut fields, "events", &mut mapping.events)?;
    choice(&mut fields, "event_properties", &mut mapping.event_properties)?;
    choice(&mut fields, "user_properties", &mut mapping.user_properties)?;
    for (name, place) in [
        ("install", &mut mapping.install),
        ("att", &mut mapping.att),
        ("revenue", &mut mapping.revenue),
        ("currency", &mut mapping.currency),
    ] {
        if let Some(value) = fields.take(name) {
            *place = list(&format!("mapping.{name}"), &value)?;
        }
    }
    if let Some(entries) = fields.object("renames")? {
        mapping.renames = renames(entries)?;
    }
    if let Some(entries) = fields.object("identifiers")? {
        mapping.identifiers = identifiers(entries)?;
    }
    mapping.send_users = fields.flag("send_users")?.unwrap_or(mapping.send_users);
    if let Some((name, _)) = fields.rest().next() {
        return Err(Error::BadRequest(format!("mapping.{name}: there is no such field")));
    }
    let missing = mapping.missing();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::BadRequest(format!("mapping: these are required: {}", missing.join("; "))))
    }
}

fn choice(fields: &mut Fields, name: &str, place: &mut Choice) -> Result<(), Error> {
    match fields.take(name) {
        None => {}
        Some(Value::String(text)) if text == "all" => *place = Choice::All,
        Some(value @ Value::Array(_)) => *place = Choice::Only(list(&format!("mapping.{name}"), &value)?),
        Some(_) => {
            let text = format!("mapping.{name}: must be \"all\", or a list of names");
            return Err(Error::BadRequest(text));
        }
    }
    Ok(())
}

/// A list of texts, or one alone.
fn list(name: &str, value: &Value) -> Result<Vec<String>, Error> {
    let wrong = || {
        let text =
            format!("{name}: must be a list of at most {ENTRIES_MAX} texts of 1 to {TEXT_BYTES_MAX} bytes");
        Error::BadRequest(text)
    };
    let one = |value: &Value| {
        let text = value.as_str().filter(|text| !text.is_empty() && text.len() <= TEXT_BYTES_MAX);
        text.map(str::to_owned).ok_or_else(wrong)
    };
    match value {
        Value::Array(values) if values.len() <= ENTRIES_MAX => values.iter().map(one).collect(),
        Value::Array(_) => Err(wrong()),
        text => Ok(vec![one(text)?]),
    }
}

fn renames(entries: Fields) -> Result<Vec<(String, String)>, Error> {
    let entries: Vec<(String, Value)> = entries.rest().collect();
    if entries.len() > ENTRIES_MAX {
        return Err(Error::BadRequest(format!("mapping.renames: at most {ENTRIES_MAX}")));
    }
    let one = |(from, to): (String, Value)| match to {
        Value::String(to) if !to.is_empty() && from.len().max(to.len()) <= TEXT_BYTES_MAX => Ok((from, to)),
        _ => {
            let text = format!("mapping.renames.{from}: must be a name of 1 to {TEXT_BYTES_MAX} bytes");
            Err(Error::BadRequest(text))
        }
    };
    entries.into_iter().map(one).collect()
}

fn identifiers(entries: Fields) -> Result<Vec<(String, Paths)>, Error> {
    let entries: Vec<(String, Value)> = entries.rest().filter(|(_, paths)| !paths.is_null()).collect();
    if entries.len() > 64 {
        return Err(Error::BadRequest("mapping.identifiers: at most 64 identifiers".to_owned()));
    }
    let one = |(name, paths): (String, Value)| {
        let paths = list(&format!("mapping.identifiers.{name}"), &paths)?;
        Ok((name.trim().to_ascii_lowercase(), paths))
    };
    entries.into_iter().map(one).collect()
}

/// A mapping as it is shown: what is shown may be sent back.
pub fn object(mapping: &Mapping) -> Value {
    let choice = |choice: &Choice| match choice {
        Choice::All => json!("all"),
        Choice::Only(names) => json!(names),
    };
    let renames: Map<String, Value> =
        mapping.renames.iter().map(|(from, to)| (from.clone(), json!(to))).collect();
    let identifiers: Map<String, Value> =
        mapping.identifiers.iter().map(|(name, paths)| (name.clone(), json!(paths))).collect();
    json!({
        "events": choice(&mapping.events), "renames": renames, "install": mapping.install,
        "identifiers": identifiers, "att": mapping.att,
        "event_properties": choice(&mapping.event_properties),
        "user_properties": choice(&mapping.user_properties), "send_users": mapping.send_users,
        "revenue": mapping.revenue, "currency": mapping.currency,
    })
}
