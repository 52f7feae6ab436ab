//! What is known of the user of a device: properties, and the operations that senders change them with.
//!
//! The operations are Amplitude's (its Identify API); what other senders say of a user is a `Set` of each
//! trait. Every operation is total: whatever comes, what is kept stays within the limits below.

#[cfg(test)]
mod tests;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::event::Value;

/// Properties that one device keeps.
pub const PROPERTIES_MAX: usize = 128;
/// Bytes of a name.
pub const NAME_BYTES_MAX: usize = 256;
/// Characters of a text; more are cut off, as Amplitude documents it.
pub const TEXT_CHARS_MAX: usize = 1_024;
/// Values of a list.
pub const LIST_MAX: usize = 256;
/// Bytes of all names and values of one device.
pub const BYTES_MAX: usize = 32 * 1_024;

/// The value of a property.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Property {
    /// One value.
    One(Value),
    /// A list.
    List(Vec<Value>),
}

impl Property {
    /// One value within the limits: a text is cut, a number has one way of being written.
    #[must_use]
    pub fn one(value: Value) -> Self {
        Self::One(bounded(value))
    }

    /// A list within the limits: what is too much at its end is left out.
    #[must_use]
    pub fn list(values: impl IntoIterator<Item = Value>) -> Self {
        Self::List(values.into_iter().take(LIST_MAX).map(bounded).collect())
    }

    /// The text, number or boolean that it is; a list and an object are none.
    #[must_use]
    pub const fn single(&self) -> Option<&Value> {
        match self {
            Self::One(value @ (Value::Text(_) | Value::Number(_) | Value::Bool(_))) => Some(value),
            Self::One(Value::Json(_)) | Self::List(_) => None,
        }
    }

    /// Its values.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::List(values) => values,
        }
    }

    fn into_values(self) -> Vec<Value> {
        match self {
            Self::One(value) => vec![value],
            Self::List(values) => values,
        }
    }

    fn number(&self) -> Option<Decimal> {
        match self {
            Self::One(Value::Number(text)) => text.parse().ok(),
            _ => None,
        }
    }

    fn bytes(&self) -> usize {
        self.values().iter().map(|value| value.text().len()).sum()
    }
}

/// A value within the limits. A number is written in one way only, so that 1.0 and 1 are the same value.
fn bounded(value: Value) -> Value {
    let cut = |text: String| match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    };
    match value {
        Value::Text(text) => Value::Text(cut(text)),
        Value::Number(text) => match text.parse::<Decimal>() {
            Ok(number) => written(number),
            Err(_) => Value::Number(cut(text)),
        },
        Value::Bool(truth) => Value::Bool(truth),
        // Half an object is none.
        Value::Json(text) if text.len() > TEXT_CHARS_MAX * 4 => Value::Json("{}".to_owned()),
        Value::Json(text) => Value::Json(text),
    }
}

fn written(number: Decimal) -> Value {
    Value::Number(number.normalize().to_string())
}

/// One change of what is known of a user. Made by [`Property::one`] and [`Property::list`], so values are
/// within the limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// `$clearAll`: nothing is known any more.
    ClearAll,
    /// `$set`: the property has this value.
    Set(String, Property),
    /// `$setOnce`: it has this value unless it had one.
    SetOnce(String, Property),
    /// `$add`: the number grows by this one. What is absent counts as 0; what is no number stays.
    Add(String, Decimal),
    /// `$append`: the values go to the end of the list.
    Append(String, Property),
    /// `$prepend`: the values go to the beginning of the list, in their order.
    Prepend(String, Property),
    /// `$unset`: the property is gone.
    Unset(String),
    /// `$preInsert`: those values that the list does not hold go to its beginning.
    PreInsert(String, Property),
    /// `$postInsert`: those values that the list does not hold go to its end.
    PostInsert(String, Property),
    /// `$remove`: the list holds none of the values any more.
    Remove(String, Property),
}

impl Operation {
    /// The property that it changes; `None` for all of them.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::ClearAll => None,
            Self::Set(name, _)
            | Self::SetOnce(name, _)
            | Self::Add(name, _)
            | Self::Append(name, _)
            | Self::Prepend(name, _)
            | Self::Unset(name)
            | Self::PreInsert(name, _)
            | Self::PostInsert(name, _)
            | Self::Remove(name, _) => Some(name),
        }
    }
}

/// What came of operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The properties that have another value than before, by name, each once.
    pub changed: Vec<String>,
    /// The properties that were left as they are, because a device keeps no more.
    pub refused: Vec<String>,
}

/// The properties of a user by name, in the order in which they became known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserProperties(Vec<(String, Property)>);

impl UserProperties {
    /// The value of a property.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Property> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, property)| property)
    }

    /// Every property.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Property)> {
        self.0.iter().map(|(name, property)| (name.as_str(), property))
    }

    /// Whether nothing is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all names and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(name, property)| name.len() + property.bytes()).sum()
    }

    /// Applies operations one after the other.
    pub fn apply(&mut self, operations: &[Operation]) -> Applied {
        let before = self.clone();
        let mut applied = Applied::default();
        for operation in operations {
            let Some(name) = operation.name() else {
                self.0.clear();
                continue;
            };
            let changed = self.changed(name, operation);
            if !self.put(name, changed) && !applied.refused.iter().any(|known| known == name) {
                applied.refused.push(name.to_owned());
            }
        }
        let names = before.0.iter().chain(&self.0).map(|(name, _)| name);
        for name in names {
            if before.get(name) != self.get(name) && !applied.changed.contains(name) {
                applied.changed.push(name.clone());
            }
        }
        applied
    }

    /// What the property is after an operation; `None` when it is not there.
    fn changed(&self, name: &str, operation: &Operation) -> Option<Property> {
        let known = self.get(name);
        let list = || known.cloned().map(Property::into_values).unwrap_or_default();
        let joined =
            |first: &[Value], then: &[Value]| Some(Property::list(first.iter().chain(then).cloned()));
        match operation {
            Operation::ClearAll | Operation::Unset(_) => None,
            Operation::Set(_, value) => Some(value.clone()),
            Operation::SetOnce(_, value) => Some(known.unwrap_or(value).clone()),
            Operation::Add(_, more) => match known {
                None => Some(Property::One(written(*more))),
                Some(property) => {
                    let sum = property.number().and_then(|number| number.checked_add(*more));
                    Some(sum.map_or_else(|| property.clone(), |sum| Property::One(written(sum))))
                }
            },
            Operation::Append(_, more) => joined(&list(), more.values()),
            Operation::Prepend(_, more) => joined(more.values(), &list()),
            Operation::PreInsert(_, more) => joined(&missing(more, &list()), &list()),
            Operation::PostInsert(_, more) => joined(&list(), &missing(more, &list())),
            Operation::Remove(_, gone) => match known? {
                Property::One(value) if gone.values().contains(value) => None,
                Property::List(values) => Some(Property::List(
                    values.iter().filter(|value| !gone.values().contains(value)).cloned().collect(),
                )),
                other => Some(other.clone()),
            },
        }
    }

    /// Puts a property in its place; whether there was room for it.
    fn put(&mut self, name: &str, property: Option<Property>) -> bool {
        let place = self.0.iter().position(|(known, _)| known == name);
        let Some(property) = property else {
            place.map(|place| self.0.remove(place));
            return true;
        };
        let old = self.get(name).map_or(0, |old| name.len() + old.bytes());
        let is_too_much = self.bytes() - old + name.len() + property.bytes() > BYTES_MAX;
        let is_named = !name.is_empty() && name.len() <= NAME_BYTES_MAX;
        let has_room = is_named && self.0.len() < PROPERTIES_MAX;
        match place.and_then(|place| self.0.get_mut(place)) {
            Some((_, known)) if *known == property => true,
            _ if is_too_much => false,
            Some((_, known)) => {
                *known = property;
                true
            }
            None => {
                if has_room {
                    self.0.push((name.to_owned(), property));
                }
                has_room
            }
        }
    }
}

/// The values of `more`, each once, that `list` does not hold.
fn missing(more: &Property, list: &[Value]) -> Vec<Value> {
    let mut missing: Vec<Value> = Vec::new();
    for value in more.values() {
        if !list.contains(value) && !missing.contains(value) {
            missing.push(value.clone());
        }
    }
    missing
}
