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

/// How many entries the objects of identifiers of one input may have: each is looked up and waited under.
pub const IDENTIFIERS_MAX: usize = 64;

/// The usable identifiers, one per kind: of `device_ids` in `data`, of `device_ids` at the root, those
/// standing alone, and `device_id`. The first of a kind wins; of a key that is given twice in one object the
/// last value is meant.
pub fn read(envelope: &Envelope<'_>, os: Option<&Os>) -> Vec<Identifier> {
    let mut found = Vec::new();
    for object in [envelope.data, envelope.root] {
        if let Some(ids) = crate::json::get(object, "device_ids") {
            take(ids, &mut found);
        }
    }
    for object in [envelope.data, envelope.root] {
        take_object(object, is_direct, &mut found);
    }
    take_device_id(envelope, os, &mut found);
    found
}

/// `device_id`: an object of identifiers, or one as a text (DECISIONS 15). One that is the IDFV is no IDFA.
pub fn take_device_id(envelope: &Envelope<'_>, os: Option<&Os>, found: &mut Vec<Identifier>) {
    match envelope.field("device_id") {
        Some(ids @ (Json::Object(_) | Json::List(_))) => take(ids, found),
        Some(text) => {
            let kind = device_id_kind(envelope, os);
            let as_idfv = text.scalar().and_then(|text| Identifier::new(IdKind::Idfv, text));
            if kind != IdKind::Idfa || !found.iter().any(|known| is_same(known, as_idfv.as_ref())) {
                take_one(kind.name(), text, found);
            }
        }
        None => {}
    }
}

fn is_same(known: &Identifier, other: Option<&Identifier>) -> bool {
    other.is_some_and(|other| known.kind == other.kind && known.canonical() == other.canonical())
}

/// The kind of a `device_id` that is a text: `device_id_type`, else what the operating system makes likely.
pub fn device_id_kind(envelope: &Envelope<'_>, os: Option<&Os>) -> IdKind {
    envelope.text("device_id_type").map_or_else(|| kind_on(os), IdKind::named)
}

/// How many entries there are where identifiers stand.
pub fn count(envelope: &Envelope<'_>) -> usize {
    let places = [envelope.data, envelope.root].into_iter().flatten();
    let ids = places.filter(|(key, _)| matches!(key.as_str(), "device_ids" | "device_id"));
    ids.map(|(_, ids)| entries(ids)).sum()
}

fn entries(ids: &Json) -> usize {
    match ids {
        Json::Object(entries) => entries.len(),
        Json::List(items) => items.iter().filter_map(Json::object).map(Vec::len).sum(),
        _ => 0,
    }
}

/// Whether the key is that of an identifier standing alone.
pub fn is_direct(key: &str) -> bool {
    DIRECT_KEYS.iter().any(|known| key.eq_ignore_ascii_case(known))
}

/// Takes an object of identifiers, or a list of such objects.
fn take(ids: &Json, found: &mut Vec<Identifier>) {
    match ids {
        Json::Object(entries) => take_object(entries, |_| true, found),
        Json::List(items) => {
            items.iter().filter_map(Json::object).for_each(|item| take_object(item, |_| true, found));
        }
        _ => {}
    }
}

fn take_object(entries: &Object, is_taken: impl Fn(&str) -> bool, found: &mut Vec<Identifier>) {
    for (at, (key, value)) in entries.iter().enumerate().filter(|(_, (key, _))| is_taken(key)) {
        if !entries.iter().skip(at + 1).any(|(later, _)| later == key) {
            take_one(key, value, found);
        }
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
    if !os.is_some_and(Os::runs_android_apps) {
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
        Some(Os::Android | Os::FireOs) => IdKind::Adid,
        Some(Os::Ios | Os::TvOs) => IdKind::Idfa,
        _ => IdKind::Custom("custom".to_owned()),
    }
}
