//! Clicks and impressions (tracking-and-attribution.md sections 2 and 3), and the compact form in which
//! they wait for an install.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    CampaignId, NetworkId, SegmentId, Timestamp, TouchId, TrackerId,
    claim::ClaimTerms,
    consent::Att,
    fraud::{Finding, site_key},
    identifier::{Digest, Fingerprint, IdKind, Identifier},
    place::Place,
    platform::{Os, Traits},
    policy::Addresses,
};

/// A click or an impression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EngagementKind {
    /// A click.
    Click,
    /// An impression.
    Impression,
}

impl EngagementKind {
    /// `click` or `impression`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Click => "click",
            Self::Impression => "impression",
        }
    }
}

/// An identifier as a link carries it: in plain text or as a digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LinkIdentifier {
    /// In plain text.
    Plain(Identifier),
    /// Hashed; the kind is what the link says it is.
    Hashed(IdKind, Digest),
}

impl LinkIdentifier {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> &IdKind {
        match self {
            Self::Plain(identifier) => &identifier.kind,
            Self::Hashed(kind, _) => kind,
        }
    }

    /// Kind and value as they go into content keys.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Plain(plain) => format!("{}={}", plain.kind, plain.canonical()),
            Self::Hashed(kind, digest) => format!("{kind}#{}", digest.as_str()),
        }
    }
}

/// A click or impression, resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engagement {
    /// Click or impression.
    pub kind: EngagementKind,
    /// When it happened: receipt, or the link's `click_time` where that is accepted (DECISIONS 1).
    pub time: Timestamp,
    /// The tracker whose link it was.
    pub tracker: TrackerId,
    /// The tracker's network, campaign and segment as they were then.
    pub network: NetworkId,
    /// The campaign.
    pub campaign: CampaignId,
    /// The segment.
    pub segment: SegmentId,
    /// The usable identifiers.
    pub identifiers: Vec<LinkIdentifier>,
    /// The address: parameter first, else the connection. What tells of the user is [`Self::user_ip`].
    pub ip: Option<IpAddr>,
    /// The user agent: parameter first, else the connection.
    pub user_agent: Option<String>,
    /// The make told by the user agent.
    pub traits: Traits,
    /// App Tracking Transparency on the publisher's side.
    pub att: Att,
    /// The partner's click id.
    pub click_id: Option<String>,
    /// Publisher.
    pub site_id: Option<String>,
    /// Sub-publisher.
    pub sub_site_id: Option<String>,
    /// Creative.
    pub creative_id: Option<String>,
    /// Every other parameter, kept and reported: the last value of each key.
    pub params: Vec<(String, String)>,
    /// The query as received, with values that consent forbids removed.
    pub query: String,
    /// What databases say of the address.
    #[serde(default)]
    pub place: Place,
    /// Whether the address is only that of a server that called without telling the user's.
    #[serde(default)]
    pub ip_of_caller: bool,
}

/// The address as modeled matching sees it: IPv4 whole, IPv6 by its /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IpKey(pub IpAddr);

impl From<IpAddr> for IpKey {
    fn from(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => {
                let network = u128::from(v6) & (u128::MAX << 64);
                IpAddr::V6(network.into())
            }
        })
    }
}

impl IpKey {
    /// The first three octets; `None` for IPv6, which has no such class
    /// (tracking-and-attribution.md section 19).
    #[must_use]
    pub const fn range(self) -> Option<[u8; 3]> {
        match self.0 {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Some([a, b, c])
            }
            IpAddr::V6(_) => None,
        }
    }

    /// The keys of the address classes in use.
    pub fn keys(self, used: Addresses) -> impl Iterator<Item = MatchKey> {
        let whole = used.whole.then_some(MatchKey::Address(self));
        let partial = self.range().filter(|_| used.partial).map(MatchKey::Range);
        whole.into_iter().chain(partial)
    }
}

/// What an install and an engagement have to share to be looked at together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MatchKey {
    /// A plain identifier.
    Identifier(Fingerprint),
    /// The digest of an identifier.
    Digest(Digest),
    /// Our own click id, from an install referrer or a landing page.
    Click(TouchId),
    /// Address and operating system family.
    Modeled(IpKey, Os),
    /// Address alone.
    Address(IpKey),
    /// The first three octets of an IPv4 address.
    Range([u8; 3]),
}

/// An engagement as it waits for an install, or a network's claim of one: what a decision needs and no
/// more. Everything else is read from its fact. Tracker, campaign and segment are missing only where a
/// claim names no tracker.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Touch {
    /// Its identifier.
    pub id: TouchId,
    /// Click or impression.
    pub kind: EngagementKind,
    /// When it happened.
    pub time: Timestamp,
    /// When it was received.
    pub received: Timestamp,
    /// The tracker.
    pub tracker: Option<TrackerId>,
    /// The network.
    pub network: NetworkId,
    /// The campaign.
    pub campaign: Option<CampaignId>,
    /// The segment.
    pub segment: Option<SegmentId>,
    /// The usable identifiers.
    pub identifiers: Vec<LinkIdentifier>,
    /// The user's address, as far as it is known.
    pub ip: Option<IpKey>,
    /// The make.
    pub traits: Traits,
    /// Hash of what it contains: breaks ties whatever the order of arrival (DECISIONS 5).
    pub content_key: u64,
    /// Whether it is an impression that was seen to its end (`event=view`).
    #[serde(default)]
    pub completed_view: bool,
    /// What its site is counted under ([`crate::fraud::site_key`]); `None` without a site.
    #[serde(default)]
    pub site: Option<u64>,
    /// What fraud rules saw in it when it came in.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Set for what a network claims instead of sending it when it happens.
    #[serde(default)]
    pub claim: Option<ClaimTerms>,
    /// What databases say of the address.
    #[serde(default)]
    pub place: Place,
    /// Whether there is no address because a server called and did not tell the user's.
    #[serde(default)]
    pub ip_of_caller: bool,
}

impl Engagement {
    /// The address of whoever engaged, as far as it is known: a server that tells of an engagement and not of
    /// an address is not where the user is.
    #[must_use]
    pub fn user_ip(&self) -> Option<IpAddr> {
        self.ip.filter(|_| !self.ip_of_caller)
    }

    /// The compact form.
    #[must_use]
    pub fn touch(&self, id: TouchId, received: Timestamp) -> Touch {
        Touch {
            id,
            kind: self.kind,
            time: self.time,
            received,
            tracker: Some(self.tracker),
            network: self.network,
            campaign: Some(self.campaign),
            segment: Some(self.segment),
            identifiers: self.identifiers.clone(),
            ip: self.user_ip().map(IpKey::from),
            traits: self.traits.clone(),
            content_key: self.content_key(),
            completed_view: self.is_completed_view(),
            site: self.site_id.as_deref().map(|site| site_key(self.network, site)),
            findings: Vec::new(),
            claim: None,
            place: self.place,
            ip_of_caller: self.ip_of_caller,
        }
    }

    /// Whether it is an impression that says `event=view` (tracking-and-attribution.md section 3).
    fn is_completed_view(&self) -> bool {
        let viewed = |(key, value): &(String, String)| key == "event" && value.eq_ignore_ascii_case("view");
        self.kind == EngagementKind::Impression && self.params.iter().any(viewed)
    }

    /// The keys under which it is found, with those of the address classes in use.
    #[must_use]
    pub fn match_keys(&self, id: TouchId, used: Addresses) -> Vec<MatchKey> {
        let mut keys = vec![MatchKey::Click(id)];
        for identifier in &self.identifiers {
            keys.push(match identifier {
                LinkIdentifier::Plain(plain) => MatchKey::Identifier(plain.into()),
                LinkIdentifier::Hashed(_, digest) => MatchKey::Digest(digest.clone()),
            });
        }
        let ip = self.user_ip();
        if let (Some(ip), Some(os)) = (ip, &self.traits.os) {
            keys.push(MatchKey::Modeled(ip.into(), os.clone()));
        }
        keys.extend(ip.into_iter().flat_map(|ip| IpKey::from(ip).keys(used)));
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Hash of tracker, network, click id, identifiers, address and user agent (DECISIONS 5).
    #[must_use]
    pub fn content_key(&self) -> u64 {
        let mut identifiers: Vec<String> = self.identifiers.iter().map(LinkIdentifier::in_words).collect();
        identifiers.sort_unstable();
        let mut hasher = Sha256::new();
        let ip = self.ip.map(|ip| ip.to_string());
        for part in [
            self.tracker.to_string().as_str(),
            self.network.to_string().as_str(),
            self.click_id.as_deref().unwrap_or_default(),
            identifiers.join(",").as_str(),
            ip.as_deref().unwrap_or_default(),
            self.user_agent.as_deref().unwrap_or_default(),
        ] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let digest = hasher.finalize();
        digest.iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte))
    }
}
