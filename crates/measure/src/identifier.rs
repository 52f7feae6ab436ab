//! Device identifiers: their kinds, their canonical form and their digests
//! (ingest.md section 7, tracking-and-attribution.md section 7, DECISIONS 13, 15, 18).

mod digest;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use digest::{Digest, DigestLength, Form, forms, matching_form};

/// The kind of a device identifier.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum IdKind {
    /// Apple's advertising id.
    Idfa,
    /// Google's advertising id.
    Adid,
    /// Android id.
    AndroidId,
    /// Apple's vendor id.
    Idfv,
    /// Amazon's advertising id.
    FireAdid,
    /// Roku's id; older texts call it UDID.
    Rida,
    /// The generic slot `device_id`, used by LG.
    Generic,
    /// Legacy.
    Imei,
    /// Legacy.
    Mac,
    /// Legacy.
    Odin,
    /// Legacy.
    OpenUdid,
    /// Any other name, as the customer wrote it in lower case; `custom` is the plain one.
    Custom(String),
}

impl IdKind {
    /// The kind a key names; keys are case-insensitive.
    #[must_use]
    pub fn named(key: &str) -> Self {
        let key = key.trim().to_ascii_lowercase();
        match key.as_str() {
            "idfa" | "ios_idfa" => Self::Idfa,
            "adid" => Self::Adid,
            "android_id" => Self::AndroidId,
            "idfv" => Self::Idfv,
            "fire_adid" => Self::FireAdid,
            "rida" | "udid" => Self::Rida,
            "device_id" => Self::Generic,
            "imei" => Self::Imei,
            "mac" => Self::Mac,
            "odin" => Self::Odin,
            "openudid" => Self::OpenUdid,
            _ => Self::Custom(key),
        }
    }

    /// The key it has on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Idfa => "idfa",
            Self::Adid => "adid",
            Self::AndroidId => "android_id",
            Self::Idfv => "idfv",
            Self::FireAdid => "fire_adid",
            Self::Rida => "rida",
            Self::Generic => "device_id",
            Self::Imei => "imei",
            Self::Mac => "mac",
            Self::Odin => "odin",
            Self::OpenUdid => "openudid",
            Self::Custom(name) => name,
        }
    }

    /// The place in the look-up order of DECISIONS 13; lower is tried first.
    #[must_use]
    pub const fn lookup_rank(&self) -> u8 {
        match self {
            Self::Idfa => 0,
            Self::Adid => 1,
            Self::AndroidId => 2,
            Self::Idfv => 3,
            _ => 4,
        }
    }

    /// Whether values of this kind are opaque texts in which case and separators matter.
    const fn is_opaque(&self) -> bool {
        matches!(self, Self::Custom(_) | Self::Generic)
    }
}

impl From<String> for IdKind {
    fn from(key: String) -> Self {
        Self::named(&key)
    }
}

impl From<IdKind> for String {
    fn from(kind: IdKind) -> Self {
        kind.name().to_owned()
    }
}

impl fmt::Display for IdKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A device identifier in plain text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identifier {
    /// Its kind.
    pub kind: IdKind,
    /// The value as sent, trimmed: what macros render.
    pub value: String,
}

impl Identifier {
    /// An identifier, unless `value` means "absent" (see [`is_absent`]).
    #[must_use]
    pub fn new(kind: IdKind, value: &str) -> Option<Self> {
        let value = value.trim();
        (!is_absent(value) && !value.eq_ignore_ascii_case(kind.name()))
            .then(|| Self { kind, value: value.to_owned() })
    }

    /// Whether a text is its value, however it is written.
    #[must_use]
    pub fn is(&self, value: &str) -> bool {
        Self { kind: self.kind.clone(), value: value.to_owned() }.canonical() == self.canonical()
    }

    /// The form that look-ups use: lower case without `-` and `:`. Opaque kinds (custom, generic) stay
    /// as they are, because nobody promised that their case is free.
    #[must_use]
    pub fn canonical(&self) -> String {
        if self.kind.is_opaque() {
            self.value.clone()
        } else {
            self.value.chars().filter(|c| !matches!(c, '-' | ':')).map(|c| c.to_ascii_lowercase()).collect()
        }
    }
}

/// Whether a value means "absent": empty, only zeros, an unfilled macro or a literal placeholder
/// (ingest.md section 7, tracking-and-attribution.md section 2).
#[must_use]
pub fn is_absent(value: &str) -> bool {
    let value = value.trim();
    if value.is_empty() || value.bytes().all(|b| matches!(b, b'0' | b'-' | b':')) {
        return true;
    }
    if is_macro(value) || is_macro_encoded(value) {
        return true;
    }
    const PLACEHOLDERS: [&str; 12] = [
        "device_id",
        "null",
        "(null)",
        "nil",
        "none",
        "undefined",
        "unknown",
        "n/a",
        "not available",
        "not_available",
        "not set",
        "(not set)",
    ];
    PLACEHOLDERS.iter().any(|placeholder| value.eq_ignore_ascii_case(placeholder))
}

/// Whether a value is a macro that nobody filled: `{idfa}`, `${idfa}`, `[idfa]`, `<idfa>`, `__IDFA__`, `%IDFA%`.
fn is_macro(value: &str) -> bool {
    let name = value.trim_start_matches(['$', '#']);
    let within = |open: char, close: char| name.starts_with(open) && name.ends_with(close);
    let around = |mark: &str| {
        let name = value.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
        name.is_some_and(|name| !name.is_empty())
    };
    within('{', '}')
        || within('[', ']')
        || within('<', '>')
        || name.len() < value.len() && within('(', ')')
        || around("__")
        || around("%")
}

/// Whether a value is a macro whose brackets came percent-encoded, once or more.
fn is_macro_encoded(value: &str) -> bool {
    const BRACKETS: [(&str, &str); 3] = [("7b", "7d"), ("5b", "5d"), ("3c", "3e")];
    const LENGTH_MAX: usize = 128;
    if !value.starts_with(['%', '$', '#']) || value.len() > LENGTH_MAX {
        return false;
    }
    let mut value = value.to_ascii_lowercase();
    while value.contains("%25") {
        value = value.replace("%25", "%");
    }
    let name = value.trim_start_matches(['$', '#']);
    let name = ["%24", "%23"].iter().find_map(|mark| name.strip_prefix(mark)).unwrap_or(name);
    let Some(name) = name.strip_prefix('%') else { return false };
    BRACKETS.iter().any(|(open, close)| {
        name.starts_with(open) && name.strip_suffix(close).is_some_and(|name| name.ends_with('%'))
    })
}

/// An identifier reduced to 16 bytes: the start of SHA-256 over its kind and canonical value. Look-ups use
/// nothing else, so an identifier that may be looked up but not kept (the IDFA of an identity link,
/// DECISIONS 16) can be carried around as its fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub [u8; 16]);

impl From<&Identifier> for Fingerprint {
    fn from(identifier: &Identifier) -> Self {
        use sha2::Digest as _;
        let mut hasher = sha2::Sha256::new();
        hasher.update(identifier.kind.name());
        hasher.update([0]);
        hasher.update(identifier.canonical());
        Self::cut(hasher)
    }
}

impl Fingerprint {
    fn cut(hasher: sha2::Sha256) -> Self {
        use sha2::Digest as _;
        let mut fingerprint = [0; 16];
        for (to, from) in fingerprint.iter_mut().zip(hasher.finalize()) {
            *to = from;
        }
        Self(fingerprint)
    }
}

/// What a device is looked up by (DECISIONS 14).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum JoinKey {
    /// The `kochava_device_id`, exactly as sent; see [`JoinKey::kochava`].
    KochavaDeviceId(Fingerprint),
    /// A plain identifier.
    Identifier(Fingerprint),
    /// The digest of an identifier, from a hashed identity link.
    Digest(Digest),
}

impl JoinKey {
    /// The key of a `kochava_device_id`, or of what [`stand_in`] put in its place.
    #[must_use]
    pub fn kochava(id: &str) -> Self {
        Self::KochavaDeviceId(stood_for(id).unwrap_or_else(|| of_app_instance(id)))
    }
}

/// What takes the place of a `kochava_device_id` that is an IDFA which may not be kept: it leads to the same
/// device and does not tell the identifier (DECISIONS 16: the IDFA is not stored, the `kochava_device_id` still
/// joins).
#[must_use]
pub fn stand_in(kochava_device_id: &str) -> String {
    let Fingerprint(bytes) =
        stood_for(kochava_device_id).unwrap_or_else(|| of_app_instance(kochava_device_id));
    format!("{STAND_IN}{:032x}", u128::from_be_bytes(bytes))
}

/// Whether it is a [`stand_in`].
#[must_use]
pub fn is_stand_in(kochava_device_id: &str) -> bool {
    stood_for(kochava_device_id).is_some()
}

/// What a [`stand_in`] begins with; 32 hexadecimal digits follow.
const STAND_IN: &str = "anon-";

fn stood_for(id: &str) -> Option<Fingerprint> {
    let digits = id.strip_prefix(STAND_IN)?;
    let is_ours = digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let number = is_ours.then(|| u128::from_str_radix(digits, 16).ok()).flatten()?;
    Some(Fingerprint(number.to_be_bytes()))
}

/// The start of SHA-256 over the length and the bytes.
fn of_app_instance(id: &str) -> Fingerprint {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    hasher.update((id.len() as u64).to_be_bytes());
    hasher.update(id);
    Fingerprint::cut(hasher)
}

impl From<&Identifier> for JoinKey {
    fn from(identifier: &Identifier) -> Self {
        Self::Identifier(identifier.into())
    }
}
