//! The identifiers of a device, wherever they stand (ingest.md section 7, DECISIONS 15).

use measure::{
    flag::{Flag, Flags},
    identifier::{IdKind, Identifier},
    platform::Os,
};

use super::envelope::Envelope;
use crate::json::{Json, Object};

/// Identifiers that some senders put beside `device_ids` instead of into it.
pub const DIRECT_KEYS: [&str; 8] =
    ["idfa", "ios_idfa", "idfv", "adid", "android_id", "fire_adid", "rida", "udid"];

/// The usable identifiers, one per kind: of `device_ids` in `data`, of `device_ids` at the root, and those
/// standing alone. The first of a kind wins.
pub fn read(envelope: &Envelope<'_>) -> Vec<Identifier> {
    let mut found = Vec::new();
    for object in [envelope.data, envelope.root] {
        if let Some(ids) = crate::json::get(object, "device_ids") {
            take(ids, &mut found);
        }
    }
    for object in [envelope.data, envelope.root] {
        for (key, value) in object.iter().filter(|(key, _)| is_direct(key)) {
            take_one(key, value, &mut found);
        }
    }
    found
}

/// Whether the key is that of an identifier standing alone.
pub fn is_direct(key: &str) -> bool {
    DIRECT_KEYS.iter().any(|known| key.eq_ignore_ascii_case(known))
}

/// Takes an object of identifiers, or a list of such objects.
pub fn take(ids: &Json, found: &mut Vec<Identifier>) {
    match ids {
        Json::Object(entries) => take_object(entries, found),
        Json::List(items) => items.iter().filter_map(Json::object).for_each(|item| take_object(item, found)),
        _ => {}
    }
}

fn take_object(entries: &Object, found: &mut Vec<Identifier>) {
    for (key, value) in entries {
        take_one(key, value, found);
    }
}

fn take_one(key: &str, value: &Json, found: &mut Vec<Identifier>) {
    let identifier = value.scalar().and_then(|text| Identifier::new(IdKind::named(key), text));
    if let Some(identifier) = identifier.filter(|new| !found.iter().any(|known| known.kind == new.kind)) {
        found.push(identifier);
    }
}

/// On an Android device a value under `idfa` is an advertising id (DECISIONS 15).
pub fn settle_android(identifiers: &mut Vec<Identifier>, os: Option<&Os>, flags: &mut Flags) {
    if os != Some(&Os::Android) {
        return;
    }
    let Some(place) = identifiers.iter().position(|id| id.kind == IdKind::Idfa) else { return };
    let idfa = identifiers.remove(place);
    flags.insert(Flag::AdidUnderIdfa);
    if !identifiers.iter().any(|id| id.kind == IdKind::Adid) {
        identifiers.insert(place, Identifier { kind: IdKind::Adid, value: idfa.value });
    }
}

/// The kind of an identifier that came without one (DECISIONS 15).
pub fn kind_on(os: Option<&Os>) -> IdKind {
    match os {
        Some(Os::Android) => IdKind::Adid,
        Some(Os::Ios | Os::TvOs) => IdKind::Idfa,
        _ => IdKind::Custom("custom".to_owned()),
    }
}
