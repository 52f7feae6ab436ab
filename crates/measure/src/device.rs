//! A device as one app knows it, and what every in-app input says about its device.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    AppId, DeviceId, InstallId, Timestamp,
    attribution::Source,
    consent::{Consent, ConsentSaid, Moment},
    identifier::{Identifier, JoinKey, is_stand_in, stand_in},
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
        .map(JoinKey::kochava)
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
    /// The `kochava_device_id`s it has been seen with, at most [`KOCHAVA_IDS_MAX`]; the first is the main one,
    /// the rest are aliases, the newest last.
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
    /// When it was said: what is older changes nothing.
    #[serde(default)]
    pub said: Said,
}

/// When what is known of a device was said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The parts of its consent.
    pub consent: ConsentSaid,
    /// When its identity links were received, in their order. Links from before this was noted have none, and
    /// every statement replaces them.
    pub links: Vec<Timestamp>,
    /// Its IDFA.
    pub idfa: Option<Moment>,
    /// The latest refusal of tracking, whatever was said after it.
    pub tracking_refused: Option<Moment>,
}

/// How an input came that tells of identity links or of a user. These tell no time of their own, so of two
/// statements the one that was received later stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// When it was received.
    pub at: Timestamp,
    /// Whether it has waited for an install since. What was received in the same moment then came after it.
    pub held: bool,
}

impl Receipt {
    const fn is_older_than(self, known: Timestamp) -> bool {
        self.at.millis() < known.millis() || (self.held && self.at.millis() == known.millis())
    }
}

/// `kochava_device_id`s that a device is known by: with one more, the oldest alias is forgotten.
pub const KOCHAVA_IDS_MAX: usize = 32;
/// Event names that a device remembers having had. A device with more of them counts further ones as had.
pub const EVENTS_REMEMBERED_MAX: usize = 256;

impl Device {
    /// Everything it can be looked up by.
    #[must_use]
    pub fn join_keys(&self) -> Vec<JoinKey> {
        let kochava = self.kochava_ids.iter().map(|id| JoinKey::kochava(id));
        kochava.chain(self.identifiers.iter().map(JoinKey::from)).collect()
    }

    /// Adds an alias; the answer is the one that is forgotten for it.
    pub fn add_alias(&mut self, kochava_device_id: String) -> Option<String> {
        // The main one stays.
        let oldest = (self.kochava_ids.len() >= KOCHAVA_IDS_MAX).then(|| self.kochava_ids.remove(1));
        self.kochava_ids.push(kochava_device_id);
        oldest
    }

    /// Puts what stands for it in the place of a `kochava_device_id` that is an identifier which may not be kept
    /// any longer. Its join keys stay.
    pub fn forget_value(&mut self, forbidden: &Identifier) {
        for id in self.kochava_ids.iter_mut().filter(|id| forbidden.is(id)) {
            *id = stand_in(id);
        }
    }

    /// What stands on this device for a `kochava_device_id` that may not be kept; `None` for any other.
    #[must_use]
    pub fn stand_in_of(&self, sent: &str) -> Option<&str> {
        let mut stand_ins = self.kochava_ids.iter().filter(|known| is_stand_in(known) && *known != sent);
        stand_ins.find(|known| JoinKey::kochava(known) == JoinKey::kochava(sent)).map(String::as_str)
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

    /// Notes what the user allows, as an input says it.
    pub fn take_consent(&mut self, sent: &Consent, at: Moment) {
        self.consent.take(&mut self.said.consent, sent, at);
        if sent.att.flag == Some(false) {
            self.said.tracking_refused = self.said.tracking_refused.max(Some(at));
        }
    }

    /// Whether it may have an IDFA that came at a moment: tracking is not refused, nor was it since
    /// (DECISIONS 16).
    #[must_use]
    pub fn allows_idfa(&self, said: Option<Moment>) -> bool {
        let refused = self.said.tracking_refused;
        self.consent.att.flag != Some(false) && (refused.is_none() || said > refused)
    }

    /// Adds identity links, and replaces those that were said before.
    pub fn link(&mut self, links: &[(String, String)], receipt: Receipt) {
        for (name, value) in links {
            if self.is_linked_since(name, receipt) {
                continue;
            }
            let place = self.links.iter().position(|(known, _)| known == name);
            let place = place.unwrap_or_else(|| {
                self.links.push((name.clone(), String::new()));
                self.links.len() - 1
            });
            self.said.links.resize(self.links.len(), Timestamp::default());
            if let (Some((_, known)), Some(said)) =
                (self.links.get_mut(place), self.said.links.get_mut(place))
            {
                known.clone_from(value);
                *said = receipt.at;
            }
        }
    }

    /// Whether there is an identity link of this name that was said after an input.
    fn is_linked_since(&self, name: &str, receipt: Receipt) -> bool {
        let mut links = self.links.iter().zip(&self.said.links);
        links.any(|((known, _), said)| known == name && receipt.is_older_than(*said))
    }

    /// Applies operations to the properties of its user, and carries what they changed into the identity
    /// links: a property that is gone or has become a list is no link any more. What is older than a link
    /// neither sets its property nor takes it away.
    pub fn apply(&mut self, operations: &[Operation], receipt: Receipt) -> Applied {
        let is_older = self.said.links.iter().any(|said| receipt.is_older_than(*said));
        let applied = if is_older {
            let still: Vec<Operation> =
                operations.iter().flat_map(|operation| self.still_to_apply(operation, receipt)).collect();
            self.user.apply(&still)
        } else {
            self.user.apply(operations)
        };
        for name in &applied.changed {
            match self.user.get(name).and_then(Property::single) {
                Some(value) => {
                    let link = (name.clone(), value.text().to_owned());
                    self.link(&[link], receipt);
                }
                None => self.unlink(name),
            }
        }
        applied
    }

    /// What is left of an operation in an input that is older than some of the links.
    fn still_to_apply(&self, operation: &Operation, receipt: Receipt) -> Vec<Operation> {
        match operation {
            Operation::Set(name, _) | Operation::Unset(name) if self.is_linked_since(name, receipt) => {
                Vec::new()
            }
            Operation::ClearAll => {
                let names = self.user.iter().map(|(name, _)| name);
                let older = names.filter(|name| !self.is_linked_since(name, receipt));
                older.map(|name| Operation::Unset(name.to_owned())).collect()
            }
            other => vec![other.clone()],
        }
    }

    fn unlink(&mut self, name: &str) {
        let Some(place) = self.links.iter().position(|(known, _)| known == name) else { return };
        self.links.remove(place);
        if place < self.said.links.len() {
            self.said.links.remove(place);
        }
    }
}

/// The first eight bytes of SHA-256.
fn name_digest(name: &str) -> u64 {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(name).iter().take(8).fold(0, |digest, byte| digest << 8 | u64::from(*byte))
}
