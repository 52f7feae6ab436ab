//! The settings that rules depend on, with their defaults and ranges. The server's configuration fills
//! [`Policy`]; an app, a network or a tracker may override parts of it.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

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
    /// Whether an engagement `age_ms` milliseconds before the install lies inside: whole seconds are
    /// compared, so that the last one counts to its end (tracking-and-attribution.md section 6).
    #[must_use]
    pub const fn covers(self, age_ms: i64) -> bool {
        match self {
            Self::Disabled => false,
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
        }
    }
}

/// How a window is read from [`Windows`], and the seconds that stand where nobody set it.
pub type WindowSetting = (fn(&Windows) -> Option<Window>, u32);

/// The default windows: 30 days, 7 days, 1 day, 1 day.
pub const DEFAULT_WINDOWS: [WindowSetting; 4] = [
    (|windows| windows.click_device, 30 * 86_400),
    (|windows| windows.click_modeled, 7 * 86_400),
    (|windows| windows.impression_device, 86_400),
    (|windows| windows.impression_modeled, 86_400),
];

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
            },
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
        }
    }
}
