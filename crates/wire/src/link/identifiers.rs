//! Identifiers on a link, plain or hashed (tracking-and-attribution.md sections 2 and 7).

use measure::{
    engagement::LinkIdentifier,
    flag::{Flag, Flags},
    identifier::{Digest, IdKind, Identifier},
    platform::Os,
};

use super::Link;
use crate::{json::truth, s2s::kind_on};

/// Keys that say what `device_id` is.
const DEVICE_KEYS: [&str; 5] =
    ["device_id", "device_id_type", "device_id_is_hashed", "device_hash_method", "device_id_hash_method"];
/// Endings that say that a value is hashed: `mac_md5`.
const HASH_ENDINGS: [&str; 3] = ["_md5", "_sha1", "_sha256"];

/// The kind that a parameter key or a `device_id_type` names, and whether it says that the value is hashed.
/// `None` for a key that names no identifier.
pub fn kind_of_key(key: &str) -> Option<(IdKind, bool)> {
    let key = key.trim().to_ascii_lowercase();
    let base = HASH_ENDINGS.iter().find_map(|ending| key.strip_suffix(ending));
    match IdKind::named(base.unwrap_or(&key)) {
        IdKind::Custom(_) | IdKind::Generic => None,
        kind => Some((kind, base.is_some())),
    }
}

/// Whether the key belongs to an identifier, so that it is no parameter of its own.
pub fn is_own_key(key: &str) -> bool {
    DEVICE_KEYS.contains(&key) || kind_of_key(key).is_some()
}

/// Whether a value that looks like a digest can also be the identifier itself: 32 digits may be a UUID
/// without dashes; some kinds are free text or longer than that.
pub fn can_be_plain(identifier: &Identifier) -> bool {
    identifier.value.len() == 32
        || matches!(
            identifier.kind,
            IdKind::Custom(_) | IdKind::Generic | IdKind::Rida | IdKind::Odin | IdKind::OpenUdid
        )
}

impl Link {
    /// The kind of `device_id`: `device_id_type`, else what the operating system makes likely
    /// (DECISIONS 15).
    pub(super) fn device_kind(&self, os: Option<&Os>) -> IdKind {
        match self.text("device_id_type") {
            Some(named) => kind_of_key(named).map_or_else(|| IdKind::named(named), |(kind, _)| kind),
            None => kind_on(os),
        }
    }

    /// Whether the link says that `device_id` is hashed.
    fn device_is_hashed(&self) -> bool {
        let method = ["device_hash_method", "device_id_hash_method"].iter().find_map(|key| self.text(key));
        let kind_says =
            || self.text("device_id_type").and_then(kind_of_key).is_some_and(|(_, hashed)| hashed);
        self.text("device_id_is_hashed").and_then(truth) == Some(true) || method.is_some() || kind_says()
    }
}

/// The usable identifiers: `device_id` and those under their own key.
pub fn read(link: &Link, os: Option<&Os>, flags: &mut Flags) -> Vec<LinkIdentifier> {
    let mut sent: Vec<(Identifier, bool)> = Vec::new();
    let mut take = |kind: IdKind, value: &str, is_hashed: bool| {
        sent.extend(Identifier::new(kind, value).map(|identifier| (identifier, is_hashed)));
    };
    if let Some(value) = link.text("device_id") {
        take(link.device_kind(os), value, link.device_is_hashed());
    }
    for (key, _) in &link.pairs {
        if let (Some((kind, is_hashed)), Some(value)) = (kind_of_key(key), link.text(key)) {
            take(kind, value, is_hashed);
        }
    }
    if os.is_some_and(Os::runs_android_apps) {
        for (identifier, _) in sent.iter_mut().filter(|(identifier, _)| identifier.kind == IdKind::Idfa) {
            identifier.kind = IdKind::Adid;
            flags.insert(Flag::AdidUnderIdfa);
        }
    }
    let mut found = Vec::new();
    for identifier in sent.into_iter().flat_map(|(identifier, is_hashed)| forms(identifier, is_hashed)) {
        if !found.contains(&identifier) {
            found.push(identifier);
        }
    }
    found
}

/// An identifier as it may be matched: plain, hashed, or both when nobody can tell.
pub fn forms(identifier: Identifier, is_hashed: bool) -> Vec<LinkIdentifier> {
    let Some(digest) = Digest::parse(&identifier.value) else {
        // Some links say "hashed" whatever they carry; what is no digest is plain.
        return vec![LinkIdentifier::Plain(identifier)];
    };
    let hashed = LinkIdentifier::Hashed(identifier.kind.clone(), digest);
    if !is_hashed && can_be_plain(&identifier) {
        vec![LinkIdentifier::Plain(identifier), hashed]
    } else {
        vec![hashed]
    }
}
