//! Fraud: rules that look at one engagement, alone or with the install it may have led to, and say what
//! they saw (tracking-and-attribution.md section 14). A rule is off, flags or rejects; what it rejects stays
//! on record with the rule and the figures that triggered it, and only cannot win.
//!
//! Rules about the engagement alone are judged when it comes in ([`judge_engagement`]) and stored with it.
//! Rules about engagement and install are judged with the decision ([`judge`]). Rates are those of the last
//! closed hour, resolved from [`Figures`] before the decision and stored in it (DECISIONS 24).

mod blocklist;
mod engagement;
mod figures;
mod install;
mod settings;
#[cfg(test)]
mod tests;
mod verification;
mod words;

use serde::{Deserialize, Serialize};

use crate::policy::Level;

pub use blocklist::{BLOCKLIST_ENTRIES_MAX, Blocked, Blocklist, Cidr, Listing};
pub use engagement::{Seen, judge_claim, judge_engagement};
pub use figures::{Counts, Figures, HourFigures, site_key};
pub use install::{judge, judge_reengagement, wants_figures};
pub use settings::{FraudSettings, Rules, Scope, SigningHash, THRESHOLDS, Threshold, ThresholdSetting};
pub use verification::{FailAction, Verification};
pub use words::sentences;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// A rule, in the order in which they are shown.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its identifier in settings and answers.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The losing reason of what it rejects.
            #[must_use]
            pub const fn rejection(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("rejected:", $text),)*
                }
            }
        }
    };
}

rules! {
    /// A device on the blocklist.
    BlocklistDevice => "blocklist_device",
    /// A site on the blocklist.
    BlocklistSite => "blocklist_site",
    /// An address on the blocklist.
    BlocklistIp => "blocklist_ip",
    /// Click validation: the link's signature is missing, wrong or expired.
    ClickValidation => "click_validation",
    /// The traffic verifier of the tracker.
    Verification => "verification",
    /// More engagements of one device on one network and site than the cap.
    FrequencyCap => "frequency_cap",
    /// Many clicks of one device at once.
    AdStacking => "ad_stacking",
    /// The install came sooner after the click than anyone can install.
    MinimumTimeToInstall => "minimum_time_to_install",
    /// Click and install name different operating systems.
    PlatformMismatch => "platform_mismatch",
    /// Click and install come from different countries.
    GeoMismatch => "geo_mismatch",
    /// The address hides who is behind it.
    AnonymousNetwork => "anonymous_network",
    /// Very few installs for the clicks of a site or network.
    ClickFlooding => "click_flooding",
    /// An unusual share of installs long after their clicks.
    TtiDistribution => "tti_distribution",
    /// One address with very many clicks.
    HighVolumeIp => "high_volume_ip",
    /// One device with very many clicks.
    HighVolumeDevice => "high_volume_device",
}

impl Rule {
    /// The rule of this identifier.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.name() == name)
    }

    /// Whether it is judged when the engagement comes in, and then only.
    #[must_use]
    pub const fn is_of_engagement(self) -> bool {
        matches!(self, Self::BlocklistSite | Self::ClickValidation | Self::FrequencyCap | Self::AdStacking)
    }
}

/// What a rule does with what it catches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It does not look.
    #[default]
    Off,
    /// It marks; the engagement may still win.
    Flag,
    /// The engagement cannot win. It stays on record.
    Reject,
}

impl Mode {
    /// The name in settings and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Flag => "flag",
            Self::Reject => "reject",
        }
    }

    /// The mode of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Off, Self::Flag, Self::Reject].into_iter().find(|mode| mode.name() == name)
    }
}

/// What a rule that looked came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is wrong.
    Passed,
    /// It caught the engagement.
    Caught,
    /// It could not look: when the address was resolved there was no database for it.
    NoDatabase,
    /// It could not look: too little is known.
    TooLittle,
}

impl Verdict {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Caught => "caught",
            Self::NoDatabase => "no_database",
            Self::TooLittle => "too_little",
        }
    }
}

/// What one rule saw in one engagement.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// What it was set to do.
    pub mode: Mode,
    /// Who set that.
    pub level: Level,
    /// What it came to.
    pub verdict: Verdict,
    /// What it saw, by name, and the thresholds it compared with.
    pub figures: Vec<(String, String)>,
}

impl Finding {
    /// Whether the engagement was caught.
    #[must_use]
    pub fn is_caught(&self) -> bool {
        self.verdict == Verdict::Caught
    }

    /// Whether the engagement was caught and may not win for it.
    #[must_use]
    pub fn rejects(&self) -> bool {
        self.is_caught() && self.mode == Mode::Reject
    }
}

/// What goes with an engagement to where installs look for it: a rule that let it pass has nothing to say there.
/// Its fact keeps everything.
#[must_use]
pub fn noteworthy(findings: &[Finding]) -> Vec<Finding> {
    findings.iter().filter(|finding| finding.verdict != Verdict::Passed).cloned().collect()
}

/// A figure of a finding.
fn figure(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}
