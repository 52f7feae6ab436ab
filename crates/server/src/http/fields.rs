//! The fields of a management request: taken out one by one by those who know them; what is left is kept as
//! it came.

use std::str::FromStr;

use axum::extract::{FromRequest, Request};
use serde_json::{Map, Value};

use crate::{edge, error::Error, site::Site};

/// Management bodies are smaller than this many bytes.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Names and titles are at most this many characters long.
const TEXT_CHARS_MAX: usize = 2_048;

/// The fields of a JSON object.
#[derive(Clone, Debug, Default)]
pub struct Fields(Map<String, Value>);

impl FromRequest<Site> for Fields {
    type Rejection = Error;

    async fn from_request(request: Request, site: &Site) -> Result<Self, Error> {
        Self::parse(&edge::read_body(site, request, BODY_BYTES_MAX).await?)
    }
}

/// The fields of a request that may come without a body: then there are none.
#[derive(Clone, Debug, Default)]
pub struct MaybeFields(pub Fields);

impl FromRequest<Site> for MaybeFields {
    type Rejection = Error;

    async fn from_request(request: Request, site: &Site) -> Result<Self, Error> {
        let body = edge::read_body(site, request, BODY_BYTES_MAX).await?;
        if body.trim_ascii().is_empty() { Ok(Self::default()) } else { Fields::parse(&body).map(Self) }
    }
}

impl Fields {
    /// The fields of a body.
    fn parse(body: &[u8]) -> Result<Self, Error> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Error::BadRequest("the body must be a JSON object".to_owned())),
            Err(error) => Err(Error::BadRequest(format!("the body is not JSON: {error}"))),
        }
    }

    /// The fields of an object at hand.
    #[must_use]
    pub const fn new(fields: Map<String, Value>) -> Self {
        Self(fields)
    }

    /// The fields kept as JSON text; none when it is not an object.
    #[must_use]
    pub fn kept(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_default())
    }

    /// A field that stays in its place; `None` when it is absent.
    #[must_use]
    pub fn peek(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Takes a field out; `None` when it is absent or null.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        self.0.shift_remove(key).filter(|value| !value.is_null())
    }

    /// Takes a text out, trimmed; 400 when it is something else or too long.
    pub fn text(&mut self, key: &str) -> Result<Option<String>, Error> {
        Ok(self.exact_text(key)?.map(|text| text.trim().to_owned()))
    }

    /// Takes a text out as it is, for what is compared with what others send.
    pub fn exact_text(&mut self, key: &str) -> Result<Option<String>, Error> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.chars().count() <= TEXT_CHARS_MAX => Ok(Some(text)),
            Some(Value::String(_)) => {
                Err(Error::BadRequest(format!("{key}: must have at most {TEXT_CHARS_MAX} characters")))
            }
            Some(_) => Err(Error::BadRequest(format!("{key}: must be a text"))),
        }
    }

    /// Takes a text out that must be there and not be empty.
    pub fn required_text(&mut self, key: &str) -> Result<String, Error> {
        let text = self.text(key)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| Error::BadRequest(format!("{key}: is required")))
    }

    /// Takes a text out that replaces another one: it may be absent but not empty.
    pub fn changed_text(&mut self, key: &str, target: &mut String) -> Result<(), Error> {
        match self.text(key)? {
            None => Ok(()),
            Some(text) if text.is_empty() => Err(Error::BadRequest(format!("{key}: must not be empty"))),
            Some(text) => {
                *target = text;
                Ok(())
            }
        }
    }

    /// Takes a number out, written as a number or as a text: both are in use.
    pub fn id<T: FromStr>(&mut self, key: &str) -> Result<Option<T>, Error> {
        let text = match self.take(key) {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(Error::BadRequest(format!("{key}: must be a number"))),
        };
        text.trim().parse().map(Some).map_err(|_| Error::BadRequest(format!("{key}: must be a number")))
    }

    /// Takes a number out that must be there.
    pub fn required_id<T: FromStr>(&mut self, key: &str) -> Result<T, Error> {
        self.id(key)?.ok_or_else(|| Error::BadRequest(format!("{key}: is required")))
    }

    /// Makes numbers of these fields however they were sent, because answers show them so: whole ones, or
    /// ones with a fraction. An empty text is as good as nothing.
    pub fn numbers(&mut self, keys: &[&str], whole: bool) -> Result<(), Error> {
        for key in keys {
            let text = match self.0.get(*key) {
                None | Some(Value::Null) => continue,
                Some(Value::String(text)) => text.trim().to_owned(),
                Some(Value::Number(number)) => number.to_string(),
                Some(_) => return Err(Error::BadRequest(format!("{key}: must be a number"))),
            };
            let number = match whole {
                _ if text.is_empty() => Some(Value::Null),
                true => text.parse::<i64>().ok().map(Value::from),
                false => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from),
            };
            let wrong = if whole { "must be a whole number" } else { "must be a number" };
            self.put(key, number.ok_or_else(|| Error::BadRequest(format!("{key}: {wrong}")))?);
        }
        Ok(())
    }

    /// Makes texts of these fields where they were sent as numbers, because answers show them so.
    pub fn texts(&mut self, keys: &[&str]) {
        for key in keys {
            if let Some(Value::Number(number)) = self.0.get(*key) {
                let text = number.to_string();
                self.put(key, text.into());
            }
        }
    }

    /// Makes booleans of these fields however they were sent: as booleans, 0 or 1, or one of these as a text. An
    /// empty text is as good as nothing.
    pub fn flags(&mut self, keys: &[&str]) -> Result<(), Error> {
        for key in keys {
            let text = match self.0.get(*key) {
                None | Some(Value::Null | Value::Bool(_)) => continue,
                Some(Value::String(text)) => text.trim().to_ascii_lowercase(),
                Some(other) => other.to_string(),
            };
            let flag = match text.as_str() {
                "" => Value::Null,
                "true" | "1" => true.into(),
                "false" | "0" => false.into(),
                _ => return Err(Error::BadRequest(format!("{key}: must be true or false"))),
            };
            self.put(key, flag);
        }
        Ok(())
    }

    /// Takes a switch out: a boolean, 0 or 1, or a text of either. An empty text is as good as nothing.
    pub fn flag(&mut self, key: &str) -> Result<Option<bool>, Error> {
        self.flags(&[key])?;
        Ok(self.take(key).and_then(|flag| flag.as_bool()))
    }

    /// Takes an object out; 400 when it is something else.
    pub fn object(&mut self, key: &str) -> Result<Option<Self>, Error> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Self(fields))),
            Some(_) => Err(Error::BadRequest(format!("{key}: must be an object"))),
        }
    }

    /// Drops fields that the server fills itself: clients send whole objects back.
    pub fn without(&mut self, keys: &[&str]) {
        for key in keys {
            self.0.shift_remove(*key);
        }
    }

    /// Keeps only what `keep` says.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|key, _| keep(key));
    }

    /// What is left, field by field.
    pub fn rest(self) -> impl Iterator<Item = (String, Value)> {
        self.0.into_iter()
    }

    /// Puts a field in, in place of one that is there.
    pub fn put(&mut self, key: &str, value: Value) {
        self.0.insert(key.to_owned(), value);
    }

    /// Puts all fields of `newer` in, in place of those that are there.
    pub fn merge(&mut self, newer: Self) {
        self.0.extend(newer.0);
    }

    /// As JSON text, to be kept.
    #[must_use]
    pub fn into_text(self) -> String {
        Value::Object(self.0).to_string()
    }

    /// As the object itself.
    #[must_use]
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// An answer in the order of `shape`: its defaults, then what was kept, then what the server knows. Clients
/// send `null` for what they leave empty: it stands for the default.
#[must_use]
pub fn shown(shape: Value, kept: &str, known: Value) -> Value {
    let mut fields = Fields::default();
    let mut kept = Fields::kept(kept);
    kept.0.retain(|key, value| !value.is_null() || shape.get(key).is_none_or(Value::is_null));
    for part in [shape, kept.into_value(), known] {
        if let Value::Object(part) = part {
            fields.merge(Fields(part));
        }
    }
    fields.into_value()
}
