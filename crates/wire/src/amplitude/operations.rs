//! The operations of `user_properties`.

use measure::{
    source::Mapping,
    user::{Operation, Property},
};

use crate::{
    draft::{property, set},
    json::{Json, Object},
};

/// Forgets everything; counts before all others, which is the only way to make sense of them together.
const CLEAR_ALL: &str = "$clearAll";

/// What `user_properties` does: properties that are set, or operations by name, in the order written. Both
/// together are not documented; then properties are set.
pub fn of(properties: &Object, mapping: &Mapping) -> Vec<Operation> {
    let clears = properties.iter().any(|(key, _)| key.eq_ignore_ascii_case(CLEAR_ALL));
    let mut operations = Vec::new();
    if clears {
        operations.push(Operation::ClearAll);
    }
    for (key, value) in properties.iter().filter(|(key, _)| !key.eq_ignore_ascii_case(CLEAR_ALL)) {
        match (Verb::named(key), value) {
            (Some(verb), Json::Object(entries)) => {
                let chosen = entries.iter().filter(|(name, _)| mapping.user_properties.takes(name));
                operations.extend(chosen.filter_map(|(name, value)| verb.on(name, value)));
            }
            // `{"$unset":"name"}`, as some write it.
            (Some(Verb::Unset), Json::Text(name)) => operations.push(Operation::Unset(name.clone())),
            (Some(_), _) => {}
            (None, value) if mapping.user_properties.takes(key) => operations.push(set(key, value)),
            (None, _) => {}
        }
    }
    operations
}

#[derive(Clone, Copy)]
enum Verb {
    Set,
    SetOnce,
    Add,
    Append,
    Prepend,
    Unset,
    PreInsert,
    PostInsert,
    Remove,
}

impl Verb {
    /// The verb of a key. Some libraries write `$preinsert` and `$postinsert`.
    fn named(key: &str) -> Option<Self> {
        Some(match key.strip_prefix('$')?.to_ascii_lowercase().as_str() {
            "set" => Self::Set,
            "setonce" => Self::SetOnce,
            "add" => Self::Add,
            "append" => Self::Append,
            "prepend" => Self::Prepend,
            "unset" => Self::Unset,
            "preinsert" => Self::PreInsert,
            "postinsert" => Self::PostInsert,
            "remove" => Self::Remove,
            _ => return None,
        })
    }

    fn on(self, name: &str, value: &Json) -> Option<Operation> {
        let with = |make: fn(String, Property) -> Operation| Some(make(name.to_owned(), property(value)?));
        match self {
            Self::Set => Some(set(name, value)),
            Self::SetOnce => with(Operation::SetOnce),
            Self::Add => Some(Operation::Add(name.to_owned(), value.decimal()?)),
            Self::Append => with(Operation::Append),
            Self::Prepend => with(Operation::Prepend),
            Self::Unset => Some(Operation::Unset(name.to_owned())),
            Self::PreInsert => with(Operation::PreInsert),
            Self::PostInsert => with(Operation::PostInsert),
            Self::Remove => with(Operation::Remove),
        }
    }
}
