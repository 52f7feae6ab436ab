//! The envelope: where a field may stand (ingest.md section 2).

use std::collections::HashSet;

use measure::event::Parameters;

use super::device_ids;
use crate::json::{Json, Object, get};

/// How deep nested parameters get a dotted key of their own. What lies deeper is still there, in the text
/// of the object around it.
const DOTTED_DEPTH_MAX: usize = 6;
/// The longest dotted key, bytes.
const DOTTED_KEY_MAX: usize = 256;

/// An element's root and its `data`.
#[derive(Clone, Copy)]
pub struct Envelope<'a> {
    pub root: &'a Object,
    pub data: &'a Object,
}

impl<'a> Envelope<'a> {
    /// The field, from `data` first, then from the root. `null` and `""` mean absent.
    pub fn field(&self, key: &str) -> Option<&'a Json> {
        let usable = |object| get(object, key).filter(|value: &&Json| !value.is_blank());
        usable(self.data).or_else(|| usable(self.root))
    }

    /// The field as a trimmed text, from a string or a number.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.field(key).and_then(Json::scalar).map(str::trim)
    }

    /// The field as a written time: something that is neither text nor number counts as unreadable.
    pub fn time(&self, key: &str) -> Option<&'a str> {
        self.field(key).map(|value| value.scalar().unwrap_or("?"))
    }

    /// The entry `key` of the object `name`, in `data` first, then at the root.
    pub fn inner(&self, name: &str, key: &str) -> Option<&'a Json> {
        let usable = |object| {
            let inner = get(object, name).and_then(Json::object)?;
            get(inner, key).filter(|value| !value.is_blank())
        };
        usable(self.data).or_else(|| usable(self.root))
    }

    /// Every field but `known`, kept: those of `data`, then those of the root that `data` does not have.
    pub fn rest(&self, known: &[&[&str]]) -> Parameters {
        let is_known = |key: &str| device_ids::is_direct(key) || known.iter().any(|keys| keys.contains(&key));
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for object in [self.data, self.root] {
            let mut fields: Vec<_> =
                object.iter().rev().filter(|(key, _)| seen.insert(key.as_str())).collect();
            fields.reverse();
            found.extend(fields.into_iter().filter(|(key, value)| !is_known(key) && !value.is_blank()));
        }
        let mut parameters = Parameters::new();
        for (key, value) in found {
            flatten(key, value, 0, &mut parameters);
        }
        parameters
    }
}

/// The entries of an object as parameters; keys of nested objects are dotted.
pub fn parameters(object: &Object) -> Parameters {
    let mut seen = HashSet::new();
    let mut entries: Vec<_> = object.iter().rev().filter(|(key, _)| seen.insert(key.as_str())).collect();
    entries.reverse();
    let mut parameters = Parameters::new();
    for (key, value) in entries {
        flatten(key, value, 0, &mut parameters);
    }
    parameters
}

fn flatten(key: &str, json: &Json, depth: usize, parameters: &mut Parameters) {
    let Some(value) = json.value() else { return };
    parameters.push((key.to_owned(), value));
    let Json::Object(entries) = json else { return };
    for (name, inner) in entries {
        if depth < DOTTED_DEPTH_MAX && key.len() + name.len() < DOTTED_KEY_MAX {
            flatten(&format!("{key}.{name}"), inner, depth + 1, parameters);
        }
    }
}
