//! Updates and identity links (ingest.md sections 5 and 6).

use serde::{Deserialize, Serialize};

use crate::{
    consent::Consent,
    device::join_keys,
    identifier::{Digest, Fingerprint, IdKind, Identifier, JoinKey},
    platform::Traits,
    user::Operation,
};

/// An update: the IDFA became readable after the install.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// The device; always present.
    pub kochava_device_id: String,
    /// Identifiers to bind. An IDFA here counts as consent unless the body says `att: false`.
    pub identifiers: Vec<Identifier>,
    /// Consent as sent; see [`Self::effective_consent`].
    pub consent: Consent,
    /// The make, when told.
    pub traits: Traits,
}

impl Update {
    /// The consent that this update brings about: an IDFA in it is itself the user's word, unless the body
    /// says otherwise (ingest.md section 5).
    #[must_use]
    pub fn effective_consent(&self) -> Consent {
        let mut consent = self.consent.clone();
        if consent.att.flag.is_none() && self.identifiers.iter().any(|id| id.kind == IdKind::Idfa) {
            consent.att.flag = Some(true);
        }
        consent
    }
}

/// An identity link: names of a user joined to a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityLink {
    /// The device by its `kochava_device_id`.
    pub kochava_device_id: Option<String>,
    /// The device by plain identifiers other than an IDFA.
    pub identifiers: Vec<Identifier>,
    /// The device by its IDFA, which a link may only look up, never store (DECISIONS 16).
    pub idfa: Option<Fingerprint>,
    /// The device by hashed identifiers.
    pub digests: Vec<(IdKind, Digest)>,
    /// Name and value; numbers are kept as text.
    pub links: Vec<(String, String)>,
    /// Consent as sent.
    #[serde(default)]
    pub consent: Consent,
    /// What it says about the user, for senders that know users.
    #[serde(default)]
    pub user: Vec<Operation>,
}

impl IdentityLink {
    /// What the device can be looked up by, in order; digests last.
    #[must_use]
    pub fn join_keys(&self) -> Vec<JoinKey> {
        let mut keys = join_keys(self.kochava_device_id.as_deref(), &self.identifiers);
        if let Some(idfa) = self.idfa {
            // After the `kochava_device_id`, before every other identifier (DECISIONS 13).
            keys.insert(usize::from(self.kochava_device_id.is_some()), JoinKey::Identifier(idfa));
        }
        keys.extend(self.digests.iter().map(|(_, digest)| JoinKey::Digest(digest.clone())));
        keys
    }
}
