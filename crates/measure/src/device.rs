//! A device as one app knows it, and what every in-app input says about its device.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    AppId, DeviceId, InstallId, Timestamp,
    attribution::Source,
    consent::Consent,
    identifier::{Identifier, JoinKey},
    place::{Locality, Place},
    platform::Traits,
    reengagement::Claim,
    user::{Applied, Operation, Property, UserProperties},
};

/// What an install, event or update says about the device it comes from, after consent has been
/// applied: an identifier that may not be kept is not in here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Stable per app instance; `None` when empty or absent.
    pub kochava_device_id: Option<String>,
    /// The usable identifiers.
    pub identifiers: Vec<Identifier>,
    /// The address of the device.
    pub ip: Option<IpAddr>,
    /// The user agent of the device, decoded; manufactured when none was sent (DECISIONS 20).
    pub user_agent: Option<String>,
    /// Its make, from the device version and the user agent.
    pub traits: Traits,
    /// What the user allowed.
    pub consent: Consent,
    /// The version of the app.
    pub app_version: Option<String>,
    /// ISO 3166 country, when the sender or a geo database gave one.
    pub country: Option<String>,
    /// What the input says about the user, for senders that know users.
    #[serde(default)]
    pub user: Vec<Operation>,
    /// What databases say of the address.
    #[serde(default)]
    pub place: Place,
    /// Of an install, where in its country that is; `None` when no database of cities was asked.
    #[serde(default)]
    pub locality: Option<Box<Locality>>,
}

impl Origin {
    /// What the device can be looked up by, in the order of DECISIONS 13.
    #[must_use]
    pub fn join_keys(&self) -> Vec<JoinKey> {
        join_keys(self.kochava_device_id.as_deref(), &self.identifiers)
    }
}

/// Join keys in the order of DECISIONS 13: `kochava_device_id` first, then idfa, adid, android_id, idfv,
/// others.
#[must_use]
pub fn join_keys(kochava_device_id: Option<&str>, identifiers: &[Identifier]) -> Vec<JoinKey> {
    let mut ordered: Vec<&Identifier> = identifiers.iter().collect();
    ordered.sort_by_key(|identifier| identifier.kind.lookup_rank());
    kochava_device_id
        .map(|id| JoinKey::KochavaDeviceId(id.to_owned()))
        .into_iter()
        .chain(ordered.into_iter().map(JoinKey::from))
        .collect()
}

/// A device with its install.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its identifier in this app.
    pub id: DeviceId,
    /// The app that knows it.
    pub app: AppId,
    /// The `kochava_device_id`s it has been seen with; the first is the main one, the rest are aliases.
    pub kochava_ids: Vec<String>,
    /// Its identifiers, one per kind.
    pub identifiers: Vec<Identifier>,
    /// The latest known consent.
    pub consent: Consent,
    /// Its make as of the install.
    pub traits: Traits,
    /// Its install.
    pub install: InstallId,
    /// When the install happened.
    pub installed: Timestamp,
    /// When the install was received; held inputs are compared with it (DECISIONS 4).
    pub install_received: Timestamp,
    /// Where the install came from, as last decided; `None` is organic.
    pub source: Option<Source>,
    /// Identity links by name.
    pub links: Vec<(String, String)>,
    /// Events that a reengagement had a claim to, by time: minimum times count from them.
    #[serde(default)]
    pub claims: Vec<Claim>,
    /// What is known of its user. Every property that is one text, number or boolean is an identity link too.
    #[serde(default)]
    pub user: UserProperties,
    /// When the last session that may be attributed began (postbacks.md section 1).
    #[serde(default)]
    pub last_session: Option<Timestamp>,
    /// Digests of the names of events that it had, as far as a trigger wants only the first; at most
    /// [`EVENTS_REMEMBERED_MAX`].
    #[serde(default)]
    pub seen_events: Vec<u64>,
}

/// Event names that a device remembers having had. A device with more of them counts further ones as had.
pub const EVENTS_REMEMBERED_MAX: usize = 256;

impl Device {
    /// Everything it can be looked up by.
    #[must_use]
    pub fn join_keys(&self) -> Vec<JoinKey> {
        let kochava = self.kochava_ids.iter().map(|id| JoinKey::KochavaDeviceId(id.clone()));
        kochava.chain(self.identifiers.iter().map(JoinKey::from)).collect()
    }

    /// The value of the identifier with the wire name `kind`.
    #[must_use]
    pub fn identifier(&self, kind: &str) -> Option<&str> {
        self.identifiers.iter().find(|id| id.kind.name() == kind).map(|id| id.value.as_str())
    }

    /// Whether it remembers an event of this name.
    #[must_use]
    pub fn had_event(&self, name: &str) -> bool {
        self.seen_events.contains(&name_digest(name))
    }

    /// Remembers an event of this name.
    pub fn remember_event(&mut self, name: &str) {
        let digest = name_digest(name);
        if !self.seen_events.contains(&digest) && self.seen_events.len() < EVENTS_REMEMBERED_MAX {
            self.seen_events.push(digest);
        }
    }

    /// Adds or replaces identity links.
    pub fn link(&mut self, links: &[(String, String)]) {
        for (name, value) in links {
            match self.links.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.clone_from(value),
                None => self.links.push((name.clone(), value.clone())),
            }
        }
    }

    /// Applies operations to the properties of its user, and carries what they changed into the identity
    /// links: a property that is gone or has become a list is no link any more.
    pub fn apply(&mut self, operations: &[Operation]) -> Applied {
        let applied = self.user.apply(operations);
        for name in &applied.changed {
            match self.user.get(name).and_then(Property::single) {
                Some(value) => self.link(&[(name.clone(), value.text().to_owned())]),
                None => self.links.retain(|(known, _)| known != name),
            }
        }
        applied
    }
}

/// The first eight bytes of SHA-256.
fn name_digest(name: &str) -> u64 {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(name).iter().take(8).fold(0, |digest, byte| digest << 8 | u64::from(*byte))
}
