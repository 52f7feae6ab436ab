//! Claims of self-attributing networks: a network says that a click or a view of its own led a device to
//! the app, instead of sending the click when it happens (tracking-and-attribution.md section 12).

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    CampaignId, NetworkId, SegmentId, Timestamp, TouchId, TrackerId,
    engagement::{EngagementKind, LinkIdentifier, MatchKey, Touch},
    fraud::site_key,
    place::Place,
    platform::Traits,
    policy::Window,
};

/// A claim, resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Of a click or of an impression.
    pub kind: EngagementKind,
    /// When that happened, as the network says; never later than the claim's receipt.
    pub time: Timestamp,
    /// The network.
    pub network: NetworkId,
    /// The tracker that the claim names, itself or in its campaign's name.
    pub tracker: Option<TrackerId>,
    /// The tracker's campaign as it was then.
    pub campaign: Option<CampaignId>,
    /// The tracker's segment as it was then.
    pub segment: Option<SegmentId>,
    /// The device, at least one identifier.
    pub identifiers: Vec<LinkIdentifier>,
    /// The network's own number of the claim.
    pub claim_id: Option<String>,
    /// The window that the network held it against; `None` when it does not say.
    pub lookback: Option<Window>,
    /// Whether the network lets it be used for a single install: X says so with
    /// `is_granular_data_sharing_allowed`.
    pub granular: bool,
    /// Publisher.
    pub site_id: Option<String>,
    /// Creative.
    pub creative_id: Option<String>,
    /// Every other field, the network's names of campaign and ad among them.
    pub params: Vec<(String, String)>,
    /// Whether the network's own time lay behind the receipt, which stands for it.
    #[serde(default)]
    pub time_future: bool,
}

/// What decisions need to know of a touch that is a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClaimTerms {
    /// See [`Claim::lookback`].
    pub lookback: Option<Window>,
    /// See [`Claim::granular`].
    pub granular: bool,
    /// See [`Claim::time_future`].
    #[serde(default)]
    pub time_future: bool,
}

impl Claim {
    /// The compact form in which it waits for an install.
    #[must_use]
    pub fn touch(&self, id: TouchId, received: Timestamp) -> Touch {
        Touch {
            id,
            kind: self.kind,
            time: self.time,
            received,
            tracker: self.tracker,
            network: self.network,
            campaign: self.campaign,
            segment: self.segment,
            identifiers: self.identifiers.clone(),
            ip: None,
            traits: Traits::default(),
            content_key: self.content_key(),
            completed_view: false,
            site: self.site_id.as_deref().map(|site| site_key(self.network, site)),
            findings: Vec::new(),
            claim: Some(ClaimTerms {
                lookback: self.lookback,
                granular: self.granular,
                time_future: self.time_future,
            }),
            place: Place::default(),
            ip_of_caller: false,
        }
    }

    /// The keys under which it is found: it names a device and nothing else.
    #[must_use]
    pub fn match_keys(&self) -> Vec<MatchKey> {
        let keys = self.identifiers.iter().map(|identifier| match identifier {
            LinkIdentifier::Plain(plain) => MatchKey::Identifier(plain.into()),
            LinkIdentifier::Hashed(_, digest) => MatchKey::Digest(digest.clone()),
        });
        let mut keys: Vec<MatchKey> = keys.collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Hash of network, tracker, claim number and identifiers (DECISIONS 5).
    #[must_use]
    pub fn content_key(&self) -> u64 {
        let mut identifiers: Vec<String> = self.identifiers.iter().map(LinkIdentifier::in_words).collect();
        identifiers.sort_unstable();
        let mut hasher = Sha256::new();
        for part in [
            "claim",
            self.network.to_string().as_str(),
            self.tracker.map(|tracker| tracker.to_string()).unwrap_or_default().as_str(),
            self.claim_id.as_deref().unwrap_or_default(),
            identifiers.join(",").as_str(),
        ] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let digest = hasher.finalize();
        digest.iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte))
    }
}
