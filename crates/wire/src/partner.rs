//! The catalogue of partners: one TOML file per template, read once into [`Template`], and the form that a
//! template has on the wire (postbacks.md section 2).
//!
//! What a file may hold is described in `docs/postbacks.md`. Everything a file says is checked here, so
//! that a template that loads can also be rendered: macros exist, inputs that are named are asked for, the
//! JSON is JSON, headers may be set.

mod file;
#[cfg(test)]
mod tests;

use measure::{
    event::Value,
    postback::{Input, Template},
};
use serde_json::{Map, Value as Json, json};
use thiserror::Error;

use self::file::Partner;

/// Why a file of the catalogue cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}:{line}: {reason}")]
pub struct PartnerError {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 when it is about the whole file.
    pub line: usize,
    /// What is wrong, and what it must be.
    pub reason: String,
}

/// Reads a template; `file` is what errors call it.
///
/// # Errors
///
/// File, line and reason.
pub fn parse(file: &str, text: &str) -> Result<Template, PartnerError> {
    let failed = |line, reason: String| PartnerError { file: file.to_owned(), line, reason };
    let partner: Partner = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| line_of(text, span.start));
        failed(line, error.message().to_owned())
    })?;
    partner.template().map_err(|wrong| failed(line_of(text, wrong.place), wrong.reason))
}

/// The line that a byte of a text stands in, from 1.
fn line_of(text: &str, place: usize) -> usize {
    1 + text.bytes().take(place).filter(|byte| *byte == b'\n').count()
}

/// A template as the incumbent's interface shows it (postbacks.md section 2).
#[must_use]
pub fn shown(template: &Template) -> Json {
    let context_meta: Vec<Json> = template.inputs.iter().map(input).collect();
    json!({
        "id": template.id,
        "network_id": template.network.map_or(0, |network| network.0),
        "platform": template.platform,
        "name": template.name,
        "context_meta": context_meta,
    })
}

fn input(input: &Input) -> Json {
    let mut shown = Map::new();
    shown.insert("id".to_owned(), json!(input.id));
    shown.insert("type".to_owned(), json!(if input.options.is_empty() { "text" } else { "select" }));
    if let Some(required) = &input.required {
        shown.insert("required".to_owned(), json_value(required));
    }
    if let Some(default) = &input.default {
        shown.insert("default_value".to_owned(), json_value(default));
    }
    if !input.options.is_empty() {
        let options = input.options.iter();
        let options = options.map(|(value, label)| json!({ "value": json_value(value), "label": label }));
        shown.insert("options".to_owned(), options.collect());
    }
    json!({ "label": { "name": input.name, "description": input.description }, "input": shown })
}

/// A context value in the JSON type that it was given in.
#[must_use]
pub fn json_value(value: &Value) -> Json {
    match value {
        Value::Text(text) => Json::String(text.clone()),
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Number(text) | Value::Json(text) => {
            serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.clone()))
        }
    }
}
