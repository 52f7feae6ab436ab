//! Identity links (ingest.md section 6, DECISIONS 15 and 16).

use std::collections::HashSet;

use measure::{
    flag::{Flag, Flags},
    identifier::{Digest, DigestLength, Fingerprint, IdKind, Identifier},
    link::IdentityLink,
    platform::Os,
};

use super::{
    ENVELOPE_KEYS, Endpoint, consent,
    device_ids::{self, IDENTIFIERS_MAX},
    envelope::Envelope,
    origin,
};
use crate::{
    json::{Json, Object, get},
    redaction::{Needles, idfas},
    refusal::Refusal,
};

/// What names the device, besides `kochava_device_id` and `device_ids`.
const DEVICE_KEYS: [&str; 5] =
    ["device_id", "device_id_type", "device_id_is_hashed", "device_hash_method", "device_id_hash_method"];
/// How many links one input may carry; the browser SDK keeps about ten.
const LINKS_MAX: usize = 256;
/// What the browser SDK says of itself in `data`, which is no link.
const SDK_KEYS: [&str; 3] = ["starttime", "uptime", "usertime"];

/// The device as an identity link names it.
#[derive(Clone, Debug, Default)]
pub struct Named {
    plain: Vec<Identifier>,
    digests: Vec<(IdKind, Digest)>,
}

impl Named {
    /// Reads `device_id` (an object or a string), `device_ids` and the ids standing alone.
    ///
    /// # Errors
    /// 400 when a value is said to be hashed and is no digest.
    pub fn read(envelope: &Envelope<'_>, os: Option<&Os>, flags: &mut Flags) -> Result<Self, Refusal> {
        let mut sent = Vec::new();
        device_ids::take_device_id(envelope, os, &mut sent);
        for identifier in device_ids::read(envelope, os) {
            if !sent.iter().any(|known| known.kind == identifier.kind) {
                sent.push(identifier);
            }
        }
        device_ids::settle_android(&mut sent, os, flags);
        let mut named = Self::default();
        for identifier in sent {
            named.sort_in(identifier, envelope)?;
        }
        Ok(named)
    }

    fn sort_in(&mut self, identifier: Identifier, envelope: &Envelope<'_>) -> Result<(), Refusal> {
        let kind = identifier.kind.clone();
        let digest = Digest::parse(&identifier.value);
        if is_hashed(&kind, envelope) {
            let digest = digest.ok_or_else(|| {
                Refusal::bad_request(format!(
                    "device_id.{kind} is said to be hashed but is no md5, sha1 or sha256 in hexadecimal"
                ))
            })?;
            self.digests.push((kind, digest));
            return Ok(());
        }
        match digest {
            // An MD5 without its method, or an IDFA without separators, which must not be kept (DECISIONS 16).
            // It is looked up as both: as a digest by the MD5 of it, which is a form of the IDFA either way.
            Some(digest) if kind == IdKind::Idfa && digest.length() == DigestLength::Md5 => {
                self.plain.push(identifier);
                self.digests.push((kind, digest.hashed()));
            }
            Some(digest) if crate::link::can_be_plain(&identifier) => {
                self.plain.push(identifier);
                self.digests.push((kind, digest));
            }
            Some(digest) => self.digests.push((kind, digest)),
            None => self.plain.push(identifier),
        }
        Ok(())
    }

    /// The plain IDFA, which may be looked up and not kept.
    pub fn idfa(&self) -> Option<&Identifier> {
        self.plain.iter().find(|identifier| identifier.kind == IdKind::Idfa)
    }

    /// The plain IDFA and every other value under a key for one, which the body must not keep. Digests and
    /// the names of hash methods are no IDFAs.
    pub fn forbidden(&self, json: &Json) -> Needles {
        let mut needles = Needles::default();
        idfas(json, &mut needles);
        needles.retain(|value| value.len() > "sha256".len() && !self.is_digest_of_idfa(value));
        if let Some(idfa) = self.idfa() {
            needles.add(&idfa.value);
        }
        needles
    }

    /// Whether the value was sent as the hash of an IDFA.
    fn is_digest_of_idfa(&self, value: &str) -> bool {
        self.digests.iter().any(|(kind, digest)| *kind == IdKind::Idfa && digest.as_str() == value)
    }

    /// Drops every other identifier that is or holds a forbidden value.
    pub fn strip(&mut self, forbidden: &Needles) {
        let is_kept = |kind: &IdKind, value: &str| !forbidden.hit(kind.name()) && !forbidden.hit(value);
        self.plain.retain(|id| id.kind == IdKind::Idfa || is_kept(&id.kind, &id.value));
        self.digests.retain(|(kind, digest)| is_kept(kind, digest.as_str()));
    }

    /// Drops the IDFA, hashed or not; whether there was one.
    pub fn forget_idfa(&mut self) -> bool {
        let before = self.plain.len() + self.digests.len();
        self.plain.retain(|identifier| identifier.kind != IdKind::Idfa);
        self.digests.retain(|(kind, _)| *kind != IdKind::Idfa);
        before != self.plain.len() + self.digests.len()
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.digests.is_empty()
    }
}

/// Whether a hash method is named for the kind: per id name, or once for all.
fn is_hashed(kind: &IdKind, envelope: &Envelope<'_>) -> bool {
    let named =
        |text: &str| !["none", "plain", "raw", "false"].contains(&text.trim().to_ascii_lowercase().as_str());
    let methods = ["device_hash_method", "device_id_hash_method"].iter().find_map(|key| envelope.field(key));
    let method = match methods {
        Some(Json::Object(methods)) => methods.iter().any(|(key, method)| {
            IdKind::named(key) == *kind && !method.is_blank() && method.scalar().is_some_and(named)
        }),
        Some(Json::Text(method)) => named(method),
        _ => false,
    };
    method || envelope.field("device_id_is_hashed").and_then(Json::truth) == Some(true)
}

/// The identity link that an envelope describes. `named` was read before the IDFA was removed from the
/// envelope; everything else comes from what is left.
///
/// # Errors
/// 400 without a device (on `identityLink.php`) or without a link.
pub fn read(
    endpoint: Endpoint,
    envelope: &Envelope<'_>,
    named: Named,
    flags: &mut Flags,
) -> Result<IdentityLink, Refusal> {
    let links = links(endpoint, envelope);
    if links.len() > LINKS_MAX {
        return Err(too_many());
    }
    if links.is_empty() {
        return Err(Refusal::bad_request(match endpoint {
            Endpoint::IdentityLink => "data holds no link: send names and values, as in {\"user_id\":\"42\"}",
            Endpoint::TrackJson => {
                "data.identity_link holds no link: send names and values, as in {\"user_id\":\"42\"}"
            }
        }));
    }
    let device = device_part(endpoint, envelope);
    let kochava_device_id = origin::kochava_device_id(&device);
    if named.is_empty() && kochava_device_id.is_none() {
        flags.insert(Flag::NoIdentifier);
    }
    Ok(IdentityLink {
        kochava_device_id,
        idfa: named.idfa().map(Fingerprint::from),
        identifiers: named.plain.into_iter().filter(|identifier| identifier.kind != IdKind::Idfa).collect(),
        digests: named.digests,
        links,
        consent: consent::read(&device),
        user: Vec::new(),
    })
}

/// The part of an envelope that speaks of the device. On `identityLink.php` the entries of a flat `data` are
/// all links, whatever they are called.
pub fn device_part<'a>(endpoint: Endpoint, envelope: &Envelope<'a>) -> Envelope<'a> {
    const NOTHING: &Object = &Object::new();
    let is_flat = endpoint == Endpoint::IdentityLink && get(envelope.data, "identity_link").is_none();
    if is_flat { Envelope { root: envelope.root, data: NOTHING } } else { *envelope }
}

/// Whether the body names a device at all; required on `identityLink.php`.
pub fn names_device(envelope: &Envelope<'_>) -> bool {
    ["device_id", "device_ids", "kochava_device_id"].iter().any(|key| match envelope.field(key) {
        Some(Json::Object(ids)) => ids.iter().any(|(_, id)| !id.is_blank()),
        Some(Json::List(ids)) => !ids.is_empty(),
        named => named.is_some(),
    })
}

/// Refuses more links or identifiers than one input may carry.
///
/// # Errors
/// 400, naming the limit.
pub fn within_limits(envelope: &Envelope<'_>) -> Result<(), Refusal> {
    if device_ids::count(envelope) > IDENTIFIERS_MAX {
        let error = format!("more than {IDENTIFIERS_MAX} device identifiers: send those of one device");
        return Err(Refusal::bad_request(error));
    }
    let links = envelope.field("identity_link").and_then(Json::object).map_or(0, Vec::len);
    if links > LINKS_MAX { Err(too_many()) } else { Ok(()) }
}

fn too_many() -> Refusal {
    Refusal::bad_request(format!("more than {LINKS_MAX} identity links: send fewer at once"))
}

/// The links that ride on an install.
pub fn riding(envelope: &Envelope<'_>) -> Vec<(String, String)> {
    envelope
        .field("identity_link")
        .and_then(Json::object)
        .map(|links| pairs(links, |_| true))
        .unwrap_or_default()
}

/// `identity_link`, else the entries of `data` itself.
fn links(endpoint: Endpoint, envelope: &Envelope<'_>) -> Vec<(String, String)> {
    let links = riding(envelope);
    if !links.is_empty() {
        return links;
    }
    pairs(envelope.data, |key| match endpoint {
        Endpoint::IdentityLink => key != "identity_link",
        Endpoint::TrackJson => {
            let fixed = [
                &ENVELOPE_KEYS[..],
                &DEVICE_KEYS,
                &SDK_KEYS,
                &["identity_link", "origination_ip", "device_ver"],
            ];
            !device_ids::is_direct(key) && !fixed.iter().any(|keys| keys.contains(&key))
        }
    })
}

/// Names and values; of a repeated name the last value. Numbers are kept as text, exactly as written.
fn pairs(links: &Object, is_link: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut seen = HashSet::new();
    let last = links.iter().rev().filter(|(name, _)| is_link(name) && seen.insert(name.as_str()));
    let named = last.filter(|(_, value)| !value.is_blank());
    let mut pairs: Vec<(String, String)> =
        named.filter_map(|(name, value)| Some((name.clone(), value.value()?.text().to_owned()))).collect();
    pairs.reverse();
    pairs
}
