//! Installs (ingest.md section 3).

use serde::{Deserialize, Serialize};

use crate::{
    AppId, DeviceId, InstallId, Timestamp, TouchId, device::Origin, event::Parameters, flag::Flags,
    referrer::Referrer,
};

/// How an install came to name one of our clicks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ClickReferenceKind {
    /// `utm_source` of the Play install referrer.
    InstallReferrer,
    /// `ko_click_id` of the landing page, sent back as `conversion_data.utm_source`.
    LandingPage,
}

/// A click named by the install itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClickReference {
    /// Where it came from.
    pub kind: ClickReferenceKind,
    /// The click id as sent, before anyone knows whether it is ours.
    pub written: String,
    /// The click, when the text is one of our click ids.
    pub touch: Option<TouchId>,
    /// The whole referrer string.
    pub raw: String,
    /// When the referrer says that the click happened.
    pub click_time: Option<Timestamp>,
}

/// An attribution to Apple Search Ads (ingest.md section 10).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchAds {
    /// When the ad was clicked, or seen; `None` without the user's consent.
    pub click_time: Option<Timestamp>,
    /// Campaign, as Apple numbers it.
    pub campaign_id: Option<String>,
    /// Campaign name; only the old form has one.
    pub campaign_name: Option<String>,
    /// Ad group.
    pub ad_group_id: Option<String>,
    /// Keyword.
    pub keyword_id: Option<String>,
    /// Keyword text; only the old form has one.
    pub keyword: Option<String>,
    /// Creative set.
    pub creative_set_id: Option<String>,
    /// `Download`, `Redownload`.
    pub conversion_type: Option<String>,
    /// Country or region.
    pub country: Option<String>,
    /// Whether the ad was only seen (`claimType`).
    #[serde(default)]
    pub viewed: bool,
}

/// An install, resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    /// The device.
    pub origin: Origin,
    /// When it happened: `usertime`, clamped to receipt (DECISIONS 1).
    pub time: Timestamp,
    /// Our click, when the install names one.
    pub click: Option<ClickReference>,
    /// Apple's word that it was a Search Ads install.
    pub search_ads: Option<Box<SearchAds>>,
    /// Identity links that ride on it.
    pub links: Vec<(String, String)>,
    /// Every other value the sender gave, kept.
    pub params: Parameters,
    /// What the store's referrer says, whoever it names.
    #[serde(default)]
    pub referrer: Option<Box<Referrer>>,
}

/// An install as it is stored: the first of its device, or one that the app has processed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallRecord {
    /// Its identifier.
    pub id: InstallId,
    /// The app.
    pub app: AppId,
    /// The device.
    pub device: DeviceId,
    /// When it was received.
    pub received: Timestamp,
    /// The catalogue version it was decided under.
    pub catalogue: u64,
    /// What was sent.
    pub install: Install,
    /// What was odd about it.
    pub flags: Flags,
    /// The first install of the device, when this is a later one (tracking-and-attribution.md section 8).
    #[serde(default)]
    pub reprocess_for: Option<InstallId>,
    /// When the device had been installed before that, for a later one.
    #[serde(default)]
    pub last_installed: Option<Timestamp>,
}
