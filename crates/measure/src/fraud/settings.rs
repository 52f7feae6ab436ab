//! How each rule is set, and at which level.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Mode, Rule, Verification};
use crate::{
    AppId, NetworkId, TrackerId,
    catalogue::{Catalogue, Sealed},
    policy::Level,
};

/// What settings belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Every engagement of an app.
    App(AppId),
    /// Every engagement of a network.
    Network(NetworkId),
    /// Every engagement of a tracker.
    Tracker(TrackerId),
    /// Every engagement of a network in one app.
    NetworkInApp(AppId, NetworkId),
}

/// A number that a rule compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// Seconds below which a time to install is caught.
    MinimumSeconds,
    /// Installs per 100,000 clicks below which clicks are caught.
    FloodingInstalls,
    /// Clicks of the hour from which on the ratio is looked at.
    FloodingClicks,
    /// Percent of installs a day or more after the click above which they are caught.
    LateShare,
    /// Installs of the hour from which on the share is looked at.
    LateInstalls,
    /// Clicks of one address in the hour above which they are caught.
    IpClicks,
    /// Clicks of one device in the hour above which they are caught.
    DeviceClicks,
    /// Clicks of one device at once that are let through.
    StackedClicks,
    /// Seconds that count as at once.
    StackedSeconds,
    /// Clicks of one device on one network and site that are let through.
    CappedClicks,
    /// Impressions of one device on one network and site that are let through.
    CappedImpressions,
    /// Minutes of the cap.
    CappedMinutes,
}

/// One threshold: its rule, its name in settings, default, smallest and largest value, and unit.
#[derive(Clone, Copy, Debug)]
pub struct ThresholdSetting {
    /// Which.
    pub threshold: Threshold,
    /// The dotted name of the setting.
    pub name: &'static str,
    /// The value where nobody set one.
    pub default: u64,
    /// The smallest value.
    pub least: u64,
    /// The largest value.
    pub most: u64,
    /// What is counted.
    pub unit: &'static str,
}

const fn threshold(
    threshold: Threshold,
    name: &'static str,
    default: u64,
    (least, most): (u64, u64),
    unit: &'static str,
) -> ThresholdSetting {
    ThresholdSetting { threshold, name, default, least, most, unit }
}

/// Every threshold, in the order of [`Threshold`]. The incumbent's are not public: these are ours.
pub const THRESHOLDS: [ThresholdSetting; 12] = [
    threshold(
        Threshold::MinimumSeconds,
        "fraud.minimum_time_to_install.threshold",
        10,
        (1, 86_400),
        "seconds",
    ),
    threshold(
        Threshold::FloodingInstalls,
        "fraud.click_flooding.threshold",
        100,
        (1, 100_000),
        "installs per 100000 clicks",
    ),
    threshold(
        Threshold::FloodingClicks,
        "fraud.click_flooding.threshold_clicks",
        1_000,
        (10, 1_000_000_000),
        "clicks",
    ),
    threshold(Threshold::LateShare, "fraud.tti_distribution.threshold", 50, (1, 100), "percent"),
    threshold(
        Threshold::LateInstalls,
        "fraud.tti_distribution.threshold_installs",
        50,
        (10, 1_000_000_000),
        "installs",
    ),
    threshold(Threshold::IpClicks, "fraud.high_volume_ip.threshold", 200, (10, 1_000_000), "clicks"),
    threshold(Threshold::DeviceClicks, "fraud.high_volume_device.threshold", 50, (10, 1_000_000), "clicks"),
    threshold(Threshold::StackedClicks, "fraud.ad_stacking.threshold", 3, (1, 100), "clicks"),
    threshold(Threshold::StackedSeconds, "fraud.ad_stacking.threshold_seconds", 2, (1, 60), "seconds"),
    threshold(Threshold::CappedClicks, "fraud.frequency_cap.threshold", 20, (1, 100_000), "clicks"),
    threshold(
        Threshold::CappedImpressions,
        "fraud.frequency_cap.threshold_impressions",
        100,
        (1, 100_000),
        "impressions",
    ),
    threshold(Threshold::CappedMinutes, "fraud.frequency_cap.threshold_minutes", 60, (1, 1_440), "minutes"),
];

/// The settings of one app, network or tracker; what is absent is left to the next level.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FraudSettings {
    /// Modes of rules.
    pub modes: BTreeMap<Rule, Mode>,
    /// Thresholds of rules.
    pub thresholds: BTreeMap<Threshold, u64>,
    /// Of an app: whether the blocklist of the account is used at all. Off by default.
    pub blocklist: bool,
    /// Of a network: the key that signs its clicks.
    pub signing_key: Option<Sealed>,
    /// Of a tracker: its traffic verifier.
    pub verification: Option<Verification>,
    /// Of a network: the hash that its signatures are made with.
    pub signing_hash: SigningHash,
}

/// The hash of the HMAC that signs clicks (tracking-and-attribution.md section 19).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SigningHash {
    /// HMAC-SHA256.
    #[default]
    Sha256,
    /// HMAC-SHA1, for partners that sign with nothing else.
    Sha1,
}

impl SigningHash {
    /// The name in settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha1 => "sha1",
        }
    }

    /// The hash of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha1].into_iter().find(|hash| hash.name() == name)
    }
}

/// The settings in force for one engagement: tracker before network within the app before network before app, as
/// for windows.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    levels: [(Option<&'a FraudSettings>, Level); 4],
    /// Whether an override of the tracker turns its verifier on or off.
    verifies: Option<bool>,
}

impl<'a> Rules<'a> {
    /// The settings of an engagement on `tracker` of `network`, for `app`.
    #[must_use]
    pub fn of(catalogue: &'a Catalogue, app: AppId, network: NetworkId, tracker: Option<TrackerId>) -> Self {
        let at = |scope| catalogue.fraud(scope).map(AsRef::as_ref);
        let verifies = tracker.and_then(|id| catalogue.tracker(id)).and_then(|tracker| tracker.verification);
        Self {
            levels: [
                (tracker.and_then(|tracker| at(Scope::Tracker(tracker))), Level::Tracker),
                (at(Scope::NetworkInApp(app, network)), Level::NetworkInApp),
                (at(Scope::Network(network)), Level::Network),
                (at(Scope::App(app)), Level::App),
            ],
            verifies,
        }
    }

    fn first<T>(&self, read: impl Fn(&'a FraudSettings, Level) -> Option<T>) -> Option<(T, Level)> {
        self.levels.iter().find_map(|(settings, level)| Some((read((*settings)?, *level)?, *level)))
    }

    /// What a rule is to do, and who set it: a mode of the tracker, what its verifier asks for, a mode of
    /// the network within the app, of the network, of the app; else it is off. The rules of the blocklist also
    /// need the app's switch.
    #[must_use]
    pub fn mode(&self, rule: Rule) -> (Mode, Level) {
        let listed = matches!(rule, Rule::BlocklistDevice | Rule::BlocklistSite | Rule::BlocklistIp);
        if listed && !self.uses_blocklist() {
            return (Mode::Off, Level::App);
        }
        self.first(|settings, _| {
            let asked = self.enabled(settings).is_some_and(|verifier| verifier.asks_for(rule));
            settings.modes.get(&rule).copied().or_else(|| asked.then_some(Mode::Reject))
        })
        .unwrap_or((Mode::Off, Level::Default))
    }

    /// The value of a threshold.
    #[must_use]
    pub fn threshold(&self, threshold: Threshold) -> u64 {
        let default = || THRESHOLDS.iter().find(|row| row.threshold == threshold).map(|row| row.default);
        self.first(|settings, _| settings.thresholds.get(&threshold).copied())
            .map_or_else(|| default().unwrap_or_default(), |(value, _)| value)
    }

    /// Whether the app uses the blocklist of the account.
    #[must_use]
    pub fn uses_blocklist(&self) -> bool {
        self.levels.iter().any(|(settings, level)| {
            *level == Level::App && settings.is_some_and(|settings| settings.blocklist)
        })
    }

    /// The tracker's verifier, when it is enabled.
    #[must_use]
    pub fn verifier(&self) -> Option<&'a Verification> {
        self.enabled(self.levels[0].0?)
    }

    fn enabled(&self, settings: &'a FraudSettings) -> Option<&'a Verification> {
        settings.verification.as_ref().filter(|verifier| self.verifies.unwrap_or(verifier.enabled))
    }

    /// Whether postbacks about traffic that a rule caught are still sent.
    #[must_use]
    pub fn delivers_failed(&self) -> bool {
        self.verifier().is_none_or(|verifier| verifier.fail_action.deliver_postback)
    }
}
