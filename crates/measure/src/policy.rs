//! The settings that rules depend on, with their defaults and ranges. The server's configuration fills
//! [`Policy`]; an app, a network or a tracker may override parts of it.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::{
    engagement::EngagementKind,
    time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS},
};

/// How long touches are kept: the largest window plus grace (DECISIONS 23).
pub const TOUCH_RETENTION_MS: i64 = 31 * DAY_MS;
/// Between the receipts of an install and of an earlier engagement that came late: within it the install
/// is decided again (DECISIONS 3).
pub const LATE_GRACE_MS: i64 = 10 * MINUTE_MS;
/// How long an idempotency key is remembered (DECISIONS 26).
pub const IDEMPOTENCY_MS: i64 = 7 * DAY_MS;
/// Within it the same bytes are flagged as a possible duplicate (ingest.md section 19).
pub const POSSIBLE_DUPLICATE_MS: i64 = 10 * MINUTE_MS;
/// How long quarantined bodies are kept (DECISIONS 11).
pub const QUARANTINE_MS: i64 = 7 * DAY_MS;
/// Engagements loaded per match key, newest first (DECISIONS 22).
pub const TOUCHES_PER_KEY_MAX: usize = 256;
/// Candidates stored with a decision (DECISIONS 22).
pub const CANDIDATES_MAX: usize = 64;

/// A look-back window. It is inclusive of its last second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Window {
    /// The class does not match at all.
    Disabled,
    /// Seconds between the engagement and the install.
    Seconds(u32),
}

impl Window {
    /// Without an end.
    pub const UNLIMITED: Self = Self::Seconds(u32::MAX);

    /// Whether an engagement `age_ms` milliseconds before the install lies inside: whole seconds are
    /// compared, so that the last one counts to its end (tracking-and-attribution.md section 6).
    #[must_use]
    pub const fn covers(self, age_ms: i64) -> bool {
        match self {
            Self::Disabled => false,
            Self::UNLIMITED => true,
            Self::Seconds(seconds) => age_ms.div_euclid(SECOND_MS) <= seconds as i64,
        }
    }
}

/// Windows set at one level; `None` leaves the choice to the next one
/// (tracking-and-attribution.md section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Windows {
    /// Clicks, deterministic. 1 minute to 30 days.
    pub click_device: Option<Window>,
    /// Clicks, modeled. 1 minute to 30 days.
    pub click_modeled: Option<Window>,
    /// Impressions, device identifier. 1 minute to 24 hours.
    pub impression_device: Option<Window>,
    /// Impressions, modeled. 1 minute to 24 hours.
    pub impression_modeled: Option<Window>,
    /// Clicks, address only. 1 minute to 30 days.
    pub click_ip: Option<Window>,
    /// Clicks, first three octets of an IPv4 address. 1 minute to 30 days.
    pub click_partial_ip: Option<Window>,
    /// Impressions, address only. 1 minute to 24 hours.
    pub impression_ip: Option<Window>,
    /// Impressions, first three octets of an IPv4 address. 1 minute to 24 hours.
    pub impression_partial_ip: Option<Window>,
    /// How long after the install events belong to its source. 1 minute to 10 years, or
    /// [`Window::UNLIMITED`], which stands where nobody sets it.
    pub event_association: Option<Window>,
}

impl Windows {
    /// Whether a window of the address-only classes is open here, and one of the partial-address classes.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        const fn open(window: Option<Window>) -> bool {
            matches!(window, Some(Window::Seconds(_)))
        }
        Addresses {
            whole: open(self.click_ip) || open(self.impression_ip),
            partial: open(self.click_partial_ip) || open(self.impression_partial_ip),
        }
    }
}

/// Which of the classes that compare nothing but addresses are in use. Their match keys are written and
/// asked for only then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Address only.
    pub whole: bool,
    /// The first three octets.
    pub partial: bool,
}

impl Addresses {
    /// What either of both uses.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self { whole: self.whole || other.whole, partial: self.partial || other.partial }
    }
}

/// Whether a click that carried a device identifier may still match as modeled
/// (tracking-and-attribution.md section 5: Device Attribution).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceAttribution {
    /// It may not.
    #[default]
    Standard,
    /// It may, unless the identifier is one of another device.
    Inclusive,
}

/// How little may be enough for a likely match (tracking-and-attribution.md section 5: Fingerprint
/// Attribution). A class that this adds has the window of modeled matches where nobody sets one for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FingerprintLevel {
    /// Address and a device that looks alike; less only where a window is set for it.
    #[default]
    Standard,
    /// The address alone as well.
    IpOnly,
    /// Its first three octets as well.
    IpRange,
}

impl FingerprintLevel {
    const fn addresses(self) -> Addresses {
        Addresses { whole: !matches!(self, Self::Standard), partial: matches!(self, Self::IpRange) }
    }
}

/// Who set a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// An override of the tracker.
    Tracker,
    /// A setting of the network.
    Network,
    /// A setting of the app.
    App,
    /// The default of the server.
    Default,
    /// The network itself, in its claim: nobody overrides that (tracking-and-attribution.md section 12).
    Claim,
    /// A setting of the network within the app.
    NetworkInApp,
}

impl Level {
    /// The name shown to people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tracker => "tracker",
            Self::Network => "network",
            Self::App => "app",
            Self::Default => "default",
            Self::Claim => "claim",
            Self::NetworkInApp => "network_in_app",
        }
    }

    /// Who it was, after a verb: `by the tracker`.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Tracker => "by the tracker",
            Self::Network => "by the network",
            Self::App => "by the app",
            Self::Default => "by default",
            Self::NetworkInApp => "by the network within the app",
            Self::Claim => "by the network in its claim",
        }
    }
}

/// How a window is read from [`Windows`], and the seconds that stand where nobody set it.
pub type WindowSetting = (fn(&Windows) -> Option<Window>, u32);

/// The default windows: 30 days, 7 days, 1 day, 1 day. The address classes have none: they are off.
pub const DEFAULT_WINDOWS: [WindowSetting; 4] = [
    (|windows| windows.click_device, 30 * 86_400),
    (|windows| windows.click_modeled, 7 * 86_400),
    (|windows| windows.impression_device, 86_400),
    (|windows| windows.impression_modeled, 86_400),
];

/// The window of a claim whose network does not say its own: the widest of its kind, since the network has
/// held it against one already.
#[must_use]
pub const fn claim_window(kind: EngagementKind) -> Window {
    match kind {
        EngagementKind::Click => Window::Seconds(30 * 86_400),
        EngagementKind::Impression => Window::Seconds(86_400),
    }
}

/// The settings in force for one app: the server's, with the app's own in their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// `tracking.accept_click_time`: take the engagement time from the link (DECISIONS 1).
    pub accept_click_time: bool,
    /// `attribution.clock_skew`, milliseconds (DECISIONS 2).
    pub clock_skew_ms: i64,
    /// `attribution.modeled_without_att` (DECISIONS 17).
    pub modeled_without_att: bool,
    /// `attribution.modeled_single_use` (DECISIONS 19).
    pub modeled_single_use: bool,
    /// `ingest.hold`, milliseconds (DECISIONS 4).
    pub hold_ms: i64,
    /// `postbacks.hold_install`, milliseconds, at most 600 s (DECISIONS 6).
    pub hold_install_ms: i64,
    /// `attribution.windows.*`: the windows that nobody else sets.
    pub windows: Windows,
    /// `attribution.ladder`.
    pub ladder: Ladder,
}

/// The settings of the order of classes and of what may match at all
/// (tracking-and-attribution.md sections 5, 6 and 19).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ladder {
    /// `attribution.device_impressions_first`: an impression with a device identifier ranks before a
    /// modeled click.
    pub device_impressions_first: bool,
    /// `attribution.equalizer`: how long after a click its modeled match ranks equal to a certain one.
    pub equalizer: Window,
    /// `attribution.device_attribution`.
    pub device_attribution: DeviceAttribution,
    /// `attribution.fingerprint_level`.
    pub fingerprint_level: FingerprintLevel,
    /// `attribution.limit_ad_tracking_fallback`: likely matches of Apple devices that tell no IDFA.
    pub limit_ad_tracking_fallback: bool,
    /// `attribution.prioritize_completed_view`: completed views before other impressions of their class.
    pub prioritize_completed_view: bool,
    /// `attribution.impressions`: whether impressions may be credited at all.
    pub impressions: bool,
    /// `attribution.refuse_ambiguous`: no likely match wins when several networks have an equal claim.
    pub refuse_ambiguous: bool,
    /// `attribution.prioritize_clicked_impressions`: impressions of a network of which a click matches too
    /// before other impressions of their class.
    pub prioritize_clicked_impressions: bool,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            device_impressions_first: false,
            equalizer: Window::Disabled,
            device_attribution: DeviceAttribution::Standard,
            fingerprint_level: FingerprintLevel::Standard,
            limit_ad_tracking_fallback: true,
            prioritize_completed_view: false,
            impressions: true,
            refuse_ambiguous: false,
            prioritize_clicked_impressions: false,
        }
    }
}

/// What an app sets of [`Ladder`]; `None` leaves the server's setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppLadder {
    /// See [`Ladder::device_impressions_first`].
    pub device_impressions_first: Option<bool>,
    /// See [`Ladder::equalizer`].
    pub equalizer: Option<Window>,
    /// See [`Ladder::device_attribution`].
    pub device_attribution: Option<DeviceAttribution>,
    /// See [`Ladder::fingerprint_level`].
    pub fingerprint_level: Option<FingerprintLevel>,
    /// See [`Ladder::limit_ad_tracking_fallback`].
    pub limit_ad_tracking_fallback: Option<bool>,
    /// See [`Ladder::prioritize_completed_view`].
    pub prioritize_completed_view: Option<bool>,
    /// See [`Ladder::impressions`].
    pub impressions: Option<bool>,
    /// See [`Ladder::refuse_ambiguous`].
    pub refuse_ambiguous: Option<bool>,
    /// See [`Ladder::prioritize_clicked_impressions`].
    pub prioritize_clicked_impressions: Option<bool>,
}

impl Ladder {
    /// These settings with the app's own in their place.
    #[must_use]
    pub fn with(&self, app: &AppLadder) -> Self {
        Self {
            device_impressions_first: app.device_impressions_first.unwrap_or(self.device_impressions_first),
            equalizer: app.equalizer.unwrap_or(self.equalizer),
            device_attribution: app.device_attribution.unwrap_or(self.device_attribution),
            fingerprint_level: app.fingerprint_level.unwrap_or(self.fingerprint_level),
            limit_ad_tracking_fallback: app
                .limit_ad_tracking_fallback
                .unwrap_or(self.limit_ad_tracking_fallback),
            prioritize_completed_view: app
                .prioritize_completed_view
                .unwrap_or(self.prioritize_completed_view),
            impressions: app.impressions.unwrap_or(self.impressions),
            refuse_ambiguous: app.refuse_ambiguous.unwrap_or(self.refuse_ambiguous),
            prioritize_clicked_impressions: app
                .prioritize_clicked_impressions
                .unwrap_or(self.prioritize_clicked_impressions),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            accept_click_time: false,
            clock_skew_ms: 120 * SECOND_MS,
            modeled_without_att: true,
            modeled_single_use: false,
            hold_ms: 24 * HOUR_MS,
            hold_install_ms: 0,
            windows: Windows {
                click_device: Some(Window::Seconds(30 * 86_400)),
                click_modeled: Some(Window::Seconds(7 * 86_400)),
                impression_device: Some(Window::Seconds(86_400)),
                impression_modeled: Some(Window::Seconds(86_400)),
                ..Windows::default()
            },
            ladder: Ladder::default(),
        }
    }
}

/// What an app sets for itself; `None` leaves the server's setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppPolicy {
    /// See [`Policy::accept_click_time`].
    pub accept_click_time: Option<bool>,
    /// See [`Policy::clock_skew_ms`].
    pub clock_skew_ms: Option<i64>,
    /// See [`Policy::modeled_without_att`].
    pub modeled_without_att: Option<bool>,
    /// See [`Policy::modeled_single_use`].
    pub modeled_single_use: Option<bool>,
    /// See [`Policy::hold_ms`].
    pub hold_ms: Option<i64>,
    /// See [`Policy::hold_install_ms`].
    pub hold_install_ms: Option<i64>,
    /// `limits.app_requests_per_second`; 0 is off (DECISIONS 25).
    pub requests_per_second: Option<u32>,
    /// The app's windows.
    pub windows: Windows,
    /// The app's order of classes.
    pub ladder: AppLadder,
    /// `attribution.install_reprocessing`: after how many days an install of a known device is one of its
    /// own, 1 to 365; `None` is never (tracking-and-attribution.md section 8).
    pub install_reprocessing_days: Option<u32>,
    /// `attribution.referrer_begin_time`: the store's word for the beginning of the download is the time of
    /// the install.
    pub referrer_begin_time: Option<bool>,
    /// `consent.att_from_idfa`: an IDFA that comes without the flag of App Tracking Transparency says that the
    /// user allowed it; else it is dropped (tracking-and-attribution.md section 19).
    pub att_from_idfa: Option<bool>,
    /// `postbacks.forward_installs`: every partner hears of every install, unless its trigger says otherwise; else
    /// only of those that it won (postbacks.md section 5).
    pub forward_installs: Option<bool>,
}

impl AppPolicy {
    /// Whether an install of a known device, `age_ms` milliseconds after the last one, is one of its own.
    #[must_use]
    pub const fn reprocesses(&self, age_ms: i64) -> bool {
        match self.install_reprocessing_days {
            Some(days) => !Window::Seconds(days.saturating_mul(86_400)).covers(age_ms),
            None => false,
        }
    }

    /// Which address classes the app itself asks for.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let level = self.ladder.fingerprint_level.unwrap_or_default();
        self.windows.addresses().or(level.addresses())
    }
}

impl Policy {
    /// This policy with the app's own settings in their place.
    #[must_use]
    pub fn with(&self, app: &AppPolicy) -> Self {
        Self {
            accept_click_time: app.accept_click_time.unwrap_or(self.accept_click_time),
            clock_skew_ms: app.clock_skew_ms.unwrap_or(self.clock_skew_ms),
            modeled_without_att: app.modeled_without_att.unwrap_or(self.modeled_without_att),
            modeled_single_use: app.modeled_single_use.unwrap_or(self.modeled_single_use),
            hold_ms: app.hold_ms.unwrap_or(self.hold_ms),
            hold_install_ms: app.hold_install_ms.unwrap_or(self.hold_install_ms),
            windows: self.windows,
            ladder: self.ladder.with(&app.ladder),
        }
    }

    /// Which address classes the server asks for.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.windows.addresses().or(self.ladder.fingerprint_level.addresses())
    }
}
