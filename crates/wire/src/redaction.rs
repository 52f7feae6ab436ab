//! Removing values that may not be kept from a body, wherever they stand and however they are written
//! (DECISIONS 11 and 16, ingest.md section 8).

use measure::identifier::{IdKind, is_absent, stand_in};
use percent_encoding::percent_decode_str;

use crate::{
    json::Json,
    quarantine::{is_identifier_like, runs_masked, text_masked},
    user_agent::has_escape,
};

/// From this length on (without separators) a value is also removed from inside other texts. A shorter one
/// is no identifier, and cutting it out would only shred the body.
const INSIDE_LENGTH_MIN: usize = 8;
/// How many texts of JSON that stand in each other are read. What lies deeper is searched as text.
const TEXTS_DEPTH_MAX: usize = 4;
/// How many times percent-encoded a text is read: referrers are so by stores and senders, and values in them
/// once more. Where less is looked for than is read elsewhere, a value that may not be kept would stay.
pub const ENCODINGS_MAX: usize = 4;
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
        let Some(value) = told(value) else { return };
        let needle = canonical(value);
        if !self.0.contains(&needle) {
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
        for _ in 0..ENCODINGS_MAX {
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

/// What a value tells; `None` when it means "absent". An identifier in brackets is no unfilled macro.
fn told(value: &str) -> Option<&str> {
    let value = value.trim();
    if !is_absent(value) {
        return Some(value);
    }
    let bare = value.trim_matches(|c| matches!(c, '{' | '}' | '[' | ']' | '<' | '>'));
    (bare != value && !is_absent(bare) && is_identifier_like(bare)).then_some(bare)
}

/// The JSON that a text is, when it is an object, a list, or such a text once more.
fn json_in(text: &str, depth: usize) -> Option<Json> {
    if depth >= TEXTS_DEPTH_MAX || !begins_as_json(text) {
        return None;
    }
    Json::parse(text).ok()
}

/// Whether a text wants to be JSON, broken or not.
pub fn begins_as_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[', '"'])
}

/// Changes what a text of JSON says; the text stays as written when that changes nothing. Whether it is one.
fn said(text: &mut String, depth: usize, change: impl FnOnce(&mut Json)) -> bool {
    let Some(written) = json_in(text, depth) else { return false };
    let mut kept = written.clone();
    change(&mut kept);
    if kept != written {
        *text = kept.to_string();
    }
    true
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

/// Every value that stands under a key for an IDFA, at any depth, in texts that are JSON too; of other texts
/// what follows such a key and looks like an identifier.
pub fn idfas(json: &Json, needles: &mut Needles) {
    idfas_at(json, 0, needles);
}

fn idfas_at(json: &Json, depth: usize, needles: &mut Needles) {
    match json {
        Json::Object(entries) => {
            for (key, value) in entries {
                if IdKind::named(key) == IdKind::Idfa {
                    add_scalars(value, depth, needles);
                } else {
                    idfas_at(value, depth, needles);
                }
            }
        }
        Json::List(items) => items.iter().for_each(|item| idfas_at(item, depth, needles)),
        Json::Text(text) => match json_in(text, depth) {
            Some(inner) => idfas_at(&inner, depth + 1, needles),
            None => written_idfas(text, needles),
        },
        _ => {}
    }
}

fn add_scalars(json: &Json, depth: usize, needles: &mut Needles) {
    match json {
        Json::Text(text) | Json::Number(text) => match json_in(text, depth) {
            Some(inner) => add_scalars(&inner, depth + 1, needles),
            None => needles.add(text),
        },
        Json::List(items) => items.iter().for_each(|item| add_scalars(item, depth, needles)),
        Json::Object(entries) => entries.iter().for_each(|(_, value)| add_scalars(value, depth, needles)),
        Json::Null | Json::Bool(_) => {}
    }
}

/// What looks like an identifier behind the name of an IDFA in a text: a query, or JSON that is broken or lies
/// too deep. Percent-encoded texts are searched as well.
fn written_idfas(text: &str, needles: &mut Needles) {
    const NAME: &str = "idfa";
    let is_named = text.as_bytes().windows(NAME.len()).any(|part| part.eq_ignore_ascii_case(NAME.as_bytes()));
    if !is_named && !has_escape(text) {
        return;
    }
    let mut text = text.to_owned();
    for _ in 0..ENCODINGS_MAX {
        let lower = text.to_ascii_lowercase();
        for (at, name) in lower.match_indices(NAME) {
            let behind = lower.get(at + name.len()..).unwrap_or_default();
            let value = behind.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
            let end = value.find(|c: char| !c.is_ascii_hexdigit() && !matches!(c, '-' | ':'));
            let value = value.get(..end.unwrap_or(value.len())).unwrap_or_default();
            if is_identifier_like(value) {
                needles.add(value);
            }
        }
        if !has_escape(&text) {
            return;
        }
        text = percent_decode_str(&text).decode_utf8_lossy().into_owned();
    }
}

/// Removes the values from a tree: entries for an IDFA go, keys that hold a value go with their entry, texts
/// lose it, and an identifier that holds it becomes `null`, because what is left of it would join strangers. In
/// the place of a `kochava_device_id` that holds it comes what joins as it did and does not tell it.
/// Texts that are JSON are treated as what they say.
pub fn redact(json: &mut Json, needles: &Needles) {
    redact_at(json, needles, 0, false);
}

fn redact_at(json: &mut Json, needles: &Needles, depth: usize, is_identifier: bool) {
    match json {
        Json::Object(entries) => {
            entries.retain(|(key, _)| IdKind::named(key) != IdKind::Idfa && !needles.hit(key));
            for (key, value) in entries {
                match value {
                    Json::Text(id) if is_one_of(key, &[KOCHAVA_DEVICE_ID]) && needles.hit(id) => {
                        *id = stand_in(id.trim());
                    }
                    _ => redact_at(value, needles, depth, is_identifier || names_identifier(key)),
                }
            }
        }
        Json::List(items) => {
            items.iter_mut().for_each(|item| redact_at(item, needles, depth, is_identifier));
        }
        Json::Text(text) => {
            said(text, depth, |said| redact_at(said, needles, depth + 1, is_identifier));
            if needles.hit(text) {
                let cut = if is_identifier { None } else { needles.cut(text) };
                *json = cut.map_or(Json::Null, Json::Text);
            }
        }
        Json::Number(text) if needles.hit(text) => *json = Json::Null,
        _ => {}
    }
}

/// Whether the value of the key identifies a device. Keys are case-insensitive.
fn names_identifier(key: &str) -> bool {
    is_one_of(key, &["device_ids", KOCHAVA_DEVICE_ID]) || !matches!(IdKind::named(key), IdKind::Custom(_))
}

const KOCHAVA_DEVICE_ID: &str = "kochava_device_id";

fn is_one_of(key: &str, known: &[&str]) -> bool {
    known.iter().any(|known| key.trim().eq_ignore_ascii_case(known))
}

/// Where addresses of devices and the links of people stand; both are masked like identifiers.
const MASKED_KEYS: [&str; 4] = ["origination_ip", "ip_address", "ip", "identity_link"];
/// What stays readable whatever it looks like: without it nobody could tell what is wrong with a body.
const READABLE_KEYS: [&str; 2] = ["kochava_app_id", "usertime"];

/// Whether the quarantine masks what stands under the key (DECISIONS 11).
pub fn is_masked(key: &str, is_link: bool) -> bool {
    names_identifier(key) || is_one_of(key, &MASKED_KEYS) || is_link && is_one_of(key, &["data"])
}

/// Masks what identifies a device or a person: identifiers under any key that names one, addresses, identity
/// links, the same values wherever else they stand, and what looks like an identifier. Texts that are JSON are
/// masked as what they say.
pub fn mask(json: &mut Json, is_link: bool) {
    let mut needles = Needles::default();
    Masking { depth: 0, is_secret: false, is_link }.mask(json, &mut needles);
    mask_found(json, &needles, 0);
}

/// Where in a body something is masked.
#[derive(Clone, Copy)]
struct Masking {
    /// In how many texts of JSON it stands.
    depth: usize,
    /// Whether it stands below a key for something to mask.
    is_secret: bool,
    /// Whether the body is an identity link.
    is_link: bool,
}

impl Masking {
    fn mask(self, json: &mut Json, needles: &mut Needles) {
        match json {
            Json::Object(entries) => {
                for (key, value) in entries {
                    let is_secret = self.is_secret || is_masked(key, self.is_link);
                    Self { is_secret, ..self }.mask(value, needles);
                }
            }
            Json::List(items) => items.iter_mut().for_each(|item| self.mask(item, needles)),
            Json::Text(text) => {
                let inside = Self { depth: self.depth + 1, ..self };
                if said(text, self.depth, |said| inside.mask(said, needles)) {
                    return;
                }
                if self.is_secret {
                    self.mask_secret(json, needles);
                } else if begins_as_json(text) {
                    *text = text_masked(text);
                }
            }
            Json::Number(_) if self.is_secret => self.mask_secret(json, needles),
            _ => {}
        }
    }

    fn mask_secret(self, json: &mut Json, needles: &mut Needles) {
        let Some(text) = json.scalar() else { return };
        // A placeholder tells nobody's identity and often is what is wrong.
        let Some(value) = told(text).or_else(|| text.contains('"').then_some(text)) else { return };
        if needles.len() < NEEDLES_MAX && canonical(value).len() >= INSIDE_LENGTH_MIN {
            needles.add(value);
        }
        *json = Json::Text(MASK.to_owned());
    }
}

/// How many values are looked for in other places; with more, the work would grow with their square.
pub const NEEDLES_MAX: usize = 64;

fn mask_found(json: &mut Json, needles: &Needles, depth: usize) {
    match json {
        Json::Object(entries) => {
            for (key, value) in entries {
                *key = if needles.hit(key) { MASK.to_owned() } else { runs_masked(key) };
                let hit = |text: &str| needles.hit(text);
                if !is_one_of(key, &READABLE_KEYS) || value.scalar().is_none_or(hit) {
                    mask_found(value, needles, depth);
                }
            }
        }
        Json::List(items) => items.iter_mut().for_each(|item| mask_found(item, needles, depth)),
        Json::Text(text) if text == MASK => {}
        Json::Text(text) => {
            let is_json = said(text, depth, |said| mask_found(said, needles, depth + 1));
            if !is_json {
                *text = if needles.hit(text) { MASK.to_owned() } else { runs_masked(text) };
            }
        }
        Json::Number(text) if needles.hit(text) => *json = Json::Text(MASK.to_owned()),
        _ => {}
    }
}
