//! Which ad an install came from, and why (tracking-and-attribution.md sections 5 to 8 and 18).

mod decide;
mod event;
mod explain;
mod explain_event;
mod keys;
mod matching;
mod misses;
mod repeats;
mod source;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    AppId, CampaignId, InstallId, NetworkId, SegmentId, Timestamp, TouchId, TrackerId,
    engagement::EngagementKind,
    flag::Flags,
    fraud::{Finding, HourFigures, Rule},
    policy::{Level, Window},
    referrer::Reported,
};

pub use decide::{Question, decide};
pub use event::{
    Attributed, EventAction, EventDecision, EventQuestion, Unattributed, decide_event, stand_in,
};
pub use explain::{explain, gain, loss};
pub use explain_event::explain_event;
pub use keys::{arrival_keys, horizon, match_keys};
pub use misses::{Miss, Missed, named_too_late, nearest, unseen};
pub use source::{claimed_source, source};

/// On what an engagement and an install were found to belong together. A later class of the ladder is one
/// more variant here, one arm in `bases` and one in `rank` of `matching`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Basis {
    /// The same device identifier: its kind, and how the link had hashed it.
    Identifier {
        /// The kind as the install names it: `idfa`, `adid`, …
        kind: String,
        /// The hashed form that matched, in words; `None` for a plain identifier.
        form: Option<String>,
    },
    /// The click id in the install referrer.
    InstallReferrer,
    /// The click id of the landing page.
    LandingPage,
    /// Apple's word.
    AppleSearchAds,
    /// The same address and a device that looks alike.
    Modeled,
    /// The same address, whatever the device looks like.
    Ip,
    /// The first three octets of the address.
    PartialIp,
    /// A self-attributing network claims the device.
    Claim {
        /// The kind of the identifier as the install names it.
        kind: String,
        /// The hashed form that matched, in words; `None` for a plain identifier.
        form: Option<String>,
    },
}

impl Basis {
    /// The match class: `device_id`, `referrer`, `ko_click_id`, `asa`, `modeled`, `ip`,
    /// `partial_ip`, `claim`.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Identifier { .. } => "device_id",
            Self::InstallReferrer => "referrer",
            Self::LandingPage => "ko_click_id",
            Self::AppleSearchAds => "asa",
            Self::Modeled => "modeled",
            Self::Ip => "ip",
            Self::PartialIp => "partial_ip",
            Self::Claim { .. } => "claim",
        }
    }

    /// Whether the match is certain rather than likely.
    #[must_use]
    pub const fn is_deterministic(&self) -> bool {
        !matches!(self, Self::Modeled | Self::Ip | Self::PartialIp)
    }
}

/// Why a candidate did not win: exactly one reason each (section 18, DECISIONS 3, 19).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LosingReason {
    /// It lies further back than its window, or the window is disabled.
    OutsideWindow,
    /// Another candidate has a better class.
    LowerClass,
    /// A later engagement of the same class won, or one of the same moment by the rule of ties (DECISIONS 5).
    OlderClick,
    /// It carries another identifier of the same kind than the install: a neighbour.
    IdentifierMismatch,
    /// The operating systems or models disagree.
    PlatformMismatch,
    /// The app does not allow modeled matches without ATT consent.
    AttNoConsent,
    /// It came more than the grace after the install.
    Late,
    /// Another install was credited with it as modeled, and the app allows that once.
    AlreadyCredited,
    /// A click that carried an identifier is not tried as modeled (Device Attribution: Standard).
    CarriedIdentifier,
    /// An Apple device tells no IDFA, and the app allows no likely match then (Limit Ad Tracking Fallback).
    AttNoIdfa,
    /// Several networks had an equal claim to a likely match, and the app takes none then.
    AmbiguousRefused,
    /// A fraud rule rejects it (section 14).
    Rejected(Rule),
    /// A reengagement tracker is never credited with the first install of a device (section 9).
    ReengagementTracker,
    /// Only reengagement trackers are credited with an install that comes again (section 8).
    AcquisitionTracker,
    /// Its tracker does not list the event, or not for engagements of this kind (section 9).
    NotCovered,
    /// It did not happen after the install (section 9), or, for an install that comes again, after the one
    /// before (section 8).
    BeforeInstall,
    /// The minimum time to reengagement had not passed since the last attribution (section 9).
    MtrProtected,
    /// A claim that another engagement beat, by class or by time (section 12).
    SanClaimBeaten,
    /// A claim that the network does not let anyone use for a single install (section 12, X).
    GranularDataSharing,
    /// The same device engaged with the same ad again later: the later one stands for both (section 8).
    DuplicateOnly,
    /// The overrides of its tracker switch its class off (section 6).
    OverridesDisabled,
}

impl LosingReason {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OutsideWindow => "outside_window",
            Self::LowerClass => "lower_class",
            Self::OlderClick => "older_click",
            Self::IdentifierMismatch => "identifier_mismatch",
            Self::PlatformMismatch => "platform_mismatch",
            Self::AttNoConsent => "att_no_consent",
            Self::Late => "late",
            Self::AlreadyCredited => "already_credited",
            Self::CarriedIdentifier => "carried_identifier",
            Self::AttNoIdfa => "att_no_idfa",
            Self::AmbiguousRefused => "ambiguous_refused",
            Self::Rejected(rule) => rule.rejection(),
            Self::ReengagementTracker => "reengagement_tracker",
            Self::AcquisitionTracker => "acquisition_tracker",
            Self::NotCovered => "not_covered",
            Self::BeforeInstall => "before_install",
            Self::MtrProtected => "mtr_protected",
            Self::SanClaimBeaten => "san_claim_beaten",
            Self::GranularDataSharing => "rejected:granular_data_sharing",
            Self::DuplicateOnly => "duplicate_only",
            Self::OverridesDisabled => "overrides_disabled",
        }
    }
}

impl LosingReason {
    /// Whether nothing was wrong with the candidate but that another one was better: what the incumbent
    /// calls an influencer.
    #[must_use]
    pub const fn was_beaten(self) -> bool {
        matches!(self, Self::LowerClass | Self::OlderClick | Self::SanClaimBeaten | Self::DuplicateOnly)
    }
}

impl fmt::Display for LosingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An engagement that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Candidate {
    /// The click or impression; `None` for Apple's word, which has none of ours.
    pub touch: Option<TouchId>,
    /// Click or impression.
    pub kind: EngagementKind,
    /// On what it matched.
    pub basis: Basis,
    /// The place of its class in the ladder of section 5; 1 is best.
    pub rank: u8,
    /// The network.
    pub network: NetworkId,
    /// The campaign, segment and tracker; `None` for Apple's word.
    pub campaign: Option<CampaignId>,
    /// The segment.
    pub segment: Option<SegmentId>,
    /// The tracker.
    pub tracker: Option<TrackerId>,
    /// When it happened.
    pub time: Timestamp,
    /// Milliseconds before the install; 0 within the allowed clock skew.
    pub age_ms: i64,
    /// The window it was held against.
    pub window: Window,
    /// Who set that window.
    pub window_from: Level,
    /// What was odd.
    pub flags: Flags,
    /// Hash of its content, the second tie-break.
    pub content_key: u64,
    /// Why it lost; `None` for the winner.
    pub lost: Option<LosingReason>,
    /// What fraud rules saw in it, when it came in and now.
    #[serde(default)]
    pub fraud: Vec<Finding>,
    /// What its site is counted under ([`crate::fraud::site_key`]).
    #[serde(default)]
    pub site: Option<u64>,
}

/// A decision on one install, with everything that led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The app.
    pub app: AppId,
    /// The install.
    pub install: InstallId,
    /// 0 for the first decision; each change of it adds one (DECISIONS 6).
    pub revision: u32,
    /// The receipt time of the input that brought it about.
    pub decided: Timestamp,
    /// The catalogue version it was made under.
    pub catalogue: u64,
    /// The candidates in order: the winner first, then by rank and time. At most
    /// [`crate::policy::CANDIDATES_MAX`].
    pub candidates: Vec<Candidate>,
    /// Whether there were more candidates than are listed.
    pub more: bool,
    /// Whether another network had an equally good claim: a modeled tie.
    pub ambiguous: bool,
    /// What was odd about the decision as a whole (`shared_click`, `clock_skew`, …).
    pub flags: Flags,
    /// Figures of the last closed hour that fraud rules were given (DECISIONS 24): a decision made again
    /// takes them from here.
    #[serde(default)]
    pub figures: BTreeMap<TouchId, HourFigures>,
    /// The source that the install referrer names, unless it is a click among the candidates.
    #[serde(default)]
    pub reported: Option<Reported>,
}

impl Decision {
    /// The winner; `None` is organic.
    #[must_use]
    pub fn winner(&self) -> Option<&Candidate> {
        self.candidates.first().filter(|candidate| candidate.lost.is_none())
    }

    /// The engagements that lost, best class first and latest first in it.
    pub fn losers(&self) -> impl Iterator<Item = (&Candidate, LosingReason)> {
        self.candidates.iter().filter_map(|candidate| Some((candidate, candidate.lost?)))
    }

    /// The match class of the winner; without one `unclaimed` when the install referrer names a source, else
    /// `organic`.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match (self.winner(), &self.reported) {
            (Some(winner), _) => winner.basis.class(),
            (None, Some(_)) => "unclaimed",
            (None, None) => "organic",
        }
    }
}

/// Where an install came from: the winning engagement as events inherit it and postbacks render it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The click or impression; `None` for Apple's word.
    pub touch: Option<TouchId>,
    /// Click or impression.
    pub kind: EngagementKind,
    /// The match class: `device_id`, `modeled`, …
    pub class: String,
    /// When the engagement happened.
    pub time: Timestamp,
    /// The network.
    pub network: NetworkId,
    /// The campaign.
    pub campaign: Option<CampaignId>,
    /// The segment.
    pub segment: Option<SegmentId>,
    /// The tracker.
    pub tracker: Option<TrackerId>,
    /// The partner's click id.
    pub click_id: Option<String>,
    /// Publisher.
    pub site_id: Option<String>,
    /// Sub-publisher.
    pub sub_site_id: Option<String>,
    /// Creative.
    pub creative_id: Option<String>,
    /// Every other parameter of the link: `cp_0`, …
    pub params: Vec<(String, String)>,
    /// The query of the link.
    pub query: String,
    /// Whether an event was credited to it as a reengagement; else it is the source of an install.
    #[serde(default)]
    pub reengagement: bool,
}
