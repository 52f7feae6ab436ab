//! Removing values that may not be kept from a body, wherever they stand and however they are written
//! (DECISIONS 11 and 16, ingest.md section 8).

use measure::identifier::{IdKind, is_absent};
use percent_encoding::percent_decode_str;

use crate::{json::Json, user_agent::has_escape};

/// From this length on (without separators) a value is also removed from inside other texts. A shorter one
/// is no identifier, and cutting it out would only shred the body.
const INSIDE_LENGTH_MIN: usize = 8;
/// What stands where a value was cut out of a text.
const CUT: &str = "redacted";
/// What stands where the quarantine masks a value.
pub const MASK: &str = "***";

/// Values to be removed, in canonical form: lower case, no separators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needles(Vec<String>);

impl Needles {
    /// Adds a value, unless it means "absent".
    pub fn add(&mut self, value: &str) {
        let needle = canonical(value.trim());
        if !is_absent(value) && !self.0.contains(&needle) {
            self.0.push(needle);
        }
    }

    /// Keeps the values, in canonical form, that `is_kept` names.
    pub fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.0.retain(|needle| is_kept(needle));
    }

    /// How many values there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing to remove.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the text is or holds one of the values, percent-encoded or not.
    pub fn hit(&self, text: &str) -> bool {
        self.hit_plain(text) || self.hit_encoded(text)
    }

    fn hit_plain(&self, text: &str) -> bool {
        let text = canonical(text);
        self.0.iter().any(|needle| {
            text.trim() == needle || needle.len() >= INSIDE_LENGTH_MIN && text.contains(needle.as_str())
        })
    }

    fn hit_encoded(&self, text: &str) -> bool {
        let mut text = text.to_owned();
        // Referrers are encoded twice by some; a third time costs nothing.
        for _ in 0..3 {
            if !has_escape(&text) {
                return false;
            }
            text = percent_decode_str(&text).decode_utf8_lossy().into_owned();
            if self.hit_plain(&text) {
                return true;
            }
        }
        false
    }

    /// The text without the values; `None` when nothing worth keeping is left.
    fn cut(&self, text: &str) -> Option<String> {
        let whole = canonical(text);
        if self.0.iter().any(|needle| whole.trim() == needle) {
            return None;
        }
        let mut text = text.to_owned();
        for needle in self.0.iter().filter(|needle| needle.len() >= INSIDE_LENGTH_MIN) {
            text = cut_one(&text, needle);
        }
        (!self.hit(&text)).then_some(text)
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b':')
}

fn canonical(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '-' | ':')).map(|c| c.to_ascii_lowercase()).collect()
}

fn cut_one(text: &str, needle: &str) -> String {
    // Where in the text each byte of its canonical form stands.
    let places: Vec<usize> =
        text.bytes().enumerate().filter(|(_, byte)| !is_separator(*byte)).map(|(at, _)| at).collect();
    let searched = canonical(text);
    let mut kept = String::with_capacity(text.len());
    let (mut from, mut copied) = (0, 0);
    while let Some(found) = searched.get(from..).and_then(|rest| rest.find(needle)) {
        let (start, end) = (from + found, from + found + needle.len());
        let (Some(first), Some(last)) = (places.get(start), places.get(end.saturating_sub(1))) else { break };
        kept.push_str(text.get(copied..*first).unwrap_or_default());
        kept.push_str(CUT);
        (from, copied) = (end, last + 1);
    }
    kept.push_str(text.get(copied..).unwrap_or_default());
    kept
}

/// Every value that stands under a key for an IDFA, at any depth.
pub fn idfas(json: &Json, needles: &mut Needles) {
    match json {
        Json::Object(entries) => {
            for (key, value) in entries {
                if IdKind::named(key) == IdKind::Idfa {
                    add_scalars(value, needles);
                } else {
                    idfas(value, needles);
                }
            }
        }
        Json::List(items) => items.iter().for_each(|item| idfas(item, needles)),
        _ => {}
    }
}

fn add_scalars(json: &Json, needles: &mut Needles) {
    match json {
        Json::Text(text) | Json::Number(text) => needles.add(text),
        Json::List(items) => items.iter().for_each(|item| add_scalars(item, needles)),
        Json::Object(entries) => entries.iter().for_each(|(_, value)| add_scalars(value, needles)),
        Json::Null | Json::Bool(_) => {}
    }
}

/// Removes the values from a tree: entries for an IDFA go, keys that hold a value go with their entry, texts
/// lose it, and an identifier that holds it becomes `null`, because what is left of it would join strangers.
pub fn redact(json: &mut Json, needles: &Needles) {
    redact_at(json, needles, false);
}

fn redact_at(json: &mut Json, needles: &Needles, is_identifier: bool) {
    match json {
        Json::Object(entries) => {
            entries.retain(|(key, _)| IdKind::named(key) != IdKind::Idfa && !needles.hit(key));
            for (key, value) in entries {
                redact_at(value, needles, is_identifier || names_identifier(key));
            }
        }
        Json::List(items) => items.iter_mut().for_each(|item| redact_at(item, needles, is_identifier)),
        Json::Text(text) if needles.hit(text) => {
            let cut = if is_identifier { None } else { needles.cut(text) };
            *json = cut.map_or(Json::Null, Json::Text);
        }
        Json::Number(text) if needles.hit(text) => *json = Json::Null,
        _ => {}
    }
}

/// Whether the value of the key identifies a device.
fn names_identifier(key: &str) -> bool {
    matches!(key, "device_ids" | "kochava_device_id") || !matches!(IdKind::named(key), IdKind::Custom(_))
}

/// Where the address of a device stands; an address is masked like an identifier.
const ADDRESS_KEYS: [&str; 3] = ["origination_ip", "ip_address", "ip"];

/// Whether the quarantine masks what stands under the key (DECISIONS 11).
pub fn is_masked(key: &str, is_link: bool) -> bool {
    names_identifier(key) || ADDRESS_KEYS.contains(&key) || key == "identity_link" || is_link && key == "data"
}

/// Masks what identifies a device or a person: identifiers under any key that names one, addresses, identity
/// links, and the same values wherever else they stand.
pub fn mask(json: &mut Json, is_link: bool) {
    let mut needles = Needles::default();
    mask_named(json, false, is_link, &mut needles);
    mask_found(json, &needles);
}

fn mask_named(json: &mut Json, is_secret: bool, is_link: bool, needles: &mut Needles) {
    match json {
        Json::Object(entries) => {
            for (key, value) in entries {
                let is_secret = is_secret || is_masked(key, is_link);
                mask_named(value, is_secret, is_link, needles);
            }
        }
        Json::List(items) => {
            items.iter_mut().for_each(|item| mask_named(item, is_secret, is_link, needles));
        }
        // A placeholder tells nobody's identity and often is what is wrong.
        Json::Text(text) | Json::Number(text) if is_secret && !is_absent(text) => {
            if needles.len() < NEEDLES_MAX && canonical(text).len() >= INSIDE_LENGTH_MIN {
                needles.add(text);
            }
            *json = Json::Text(MASK.to_owned());
        }
        _ => {}
    }
}

/// How many values are looked for in other places; with more, the work would grow with their square.
pub const NEEDLES_MAX: usize = 64;

fn mask_found(json: &mut Json, needles: &Needles) {
    match json {
        Json::Object(entries) => {
            for (key, value) in entries {
                if needles.hit(key) {
                    *key = MASK.to_owned();
                }
                mask_found(value, needles);
            }
        }
        Json::List(items) => items.iter_mut().for_each(|item| mask_found(item, needles)),
        Json::Text(text) | Json::Number(text) if text != MASK && needles.hit(text) => {
            *json = Json::Text(MASK.to_owned());
        }
        _ => {}
    }
}
