//! The settings of the program: one typed struct. `config.default.toml` holds every default and what it
//! means; a file, the environment and the command line change it, in this order. Nothing else knows where a
//! setting came from.

mod duration;
mod source;
#[cfg(test)]
mod tests;
mod window;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use measure::policy::{Ladder, Policy, Window, Windows};
use serde::Deserialize;
use thiserror::Error;

use crate::telemetry;

pub use duration::parse_duration;
pub use source::{Cli, load};

/// `config.default.toml`: the defaults, and the manual.
pub const DEFAULTS: &str = include_str!("../../../config.default.toml");

/// Why the settings cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A setting is unknown or has a wrong type or value; the text names it and where it came from.
    #[error("{0}")]
    Setting(String),
}

/// Every setting. What each one means stands in `config.default.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the program listens and keeps things.
    pub server: Server,
    /// Tracking links.
    pub tracking: Tracking,
    /// Matching.
    pub attribution: Attribution,
    /// Databases of addresses.
    pub geo: Geo,
    /// What comes in.
    pub ingest: Ingest,
    /// Clicks.
    pub click: Click,
    /// Aggregate postbacks.
    pub skad: Skad,
    /// Postbacks, as they are planned.
    pub postbacks: Postbacks,
    /// Postbacks, as they are delivered.
    pub courier: Courier,
    /// The interface for triggers.
    pub publisher_api: PublisherApi,
    /// Limits.
    pub limits: Limits,
    /// The log.
    pub log: Log,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Address for management; `None` is the same one.
    #[serde(deserialize_with = "optional")]
    pub admin_listen: Option<SocketAddr>,
    /// The data directory.
    pub data_dir: PathBuf,
    /// What tracking links begin with, without a slash at the end.
    #[serde(deserialize_with = "optional")]
    pub public_url: Option<PublicUrl>,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// PEM file with the certificate chain.
    #[serde(deserialize_with = "optional")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the key.
    #[serde(deserialize_with = "optional")]
    pub tls_key: Option<PathBuf>,
}

/// `[tracking]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracking {
    /// Whether `click_time` is taken from links.
    pub accept_click_time: bool,
}

/// `[attribution]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribution {
    /// Allowed clock skew.
    #[serde(deserialize_with = "duration::deserialize")]
    pub clock_skew: Duration,
    /// Whether modeled matching runs without tracking consent.
    pub modeled_without_att: bool,
    /// Whether a modeled win uses a click up.
    pub modeled_single_use: bool,
    /// Whether Apple is asked about AdServices tokens.
    pub resolve_adservices_token: bool,
    /// Where.
    pub adservices_url: url::Url,
    /// For how long an install waits for the answer.
    #[serde(deserialize_with = "duration::deserialize")]
    pub adservices_wait: Duration,
    /// The windows of apps, networks and trackers that set none.
    pub windows: AttributionWindows,
}

/// `[attribution.windows]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributionWindows {
    /// Of clicks by device identifier.
    #[serde(deserialize_with = "window::deserialize")]
    pub click_device: Window,
    /// Of modeled clicks.
    #[serde(deserialize_with = "window::deserialize")]
    pub click_modeled: Window,
    /// Of impressions by device identifier.
    #[serde(deserialize_with = "window::deserialize")]
    pub impression_device: Window,
    /// Of modeled impressions.
    #[serde(deserialize_with = "window::deserialize")]
    pub impression_modeled: Window,
}

/// `[geo]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geo {
    /// A database of countries, or of cities.
    #[serde(deserialize_with = "optional")]
    pub country_database: Option<PathBuf>,
    /// A database of anonymous networks, or of AS numbers.
    #[serde(deserialize_with = "optional")]
    pub anonymous_database: Option<PathBuf>,
    /// AS numbers whose addresses count as anonymous.
    pub anonymous_asns: Vec<Asn>,
}

/// The number of an autonomous system: 64500, or `AS64500`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "WrittenAsn")]
pub struct Asn(pub u32);

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenAsn {
    Number(u32),
    Text(String),
}

impl TryFrom<WrittenAsn> for Asn {
    type Error = &'static str;

    fn try_from(written: WrittenAsn) -> Result<Self, Self::Error> {
        match written {
            WrittenAsn::Number(number) => Ok(Self(number)),
            WrittenAsn::Text(text) => {
                let digits = text.trim().trim_start_matches(['A', 'S', 'a', 's']);
                digits.parse().map(Self).map_err(|_| "must be the number of an autonomous system")
            }
        }
    }
}

/// `[ingest]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// How long inputs wait for their install.
    #[serde(deserialize_with = "duration::deserialize")]
    pub hold: Duration,
}

/// `[click]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Click {
    /// How long a browser's click waits for its commit.
    #[serde(deserialize_with = "duration::deserialize")]
    pub commit_wait: Duration,
}

/// `[skad]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skad {
    /// Whether postbacks signed with Apple's development keys are taken.
    pub accept_development_postbacks: bool,
}

/// `[postbacks]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postbacks {
    /// How long install postbacks are held back.
    #[serde(deserialize_with = "duration::deserialize")]
    pub hold_install: Duration,
    /// A directory of templates beside those that are built in.
    #[serde(deserialize_with = "optional")]
    pub templates_dir: Option<PathBuf>,
}

/// `[courier]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Courier {
    /// Private networks that may be targets.
    pub allow_targets: Vec<IpNet>,
    /// A file of certificates that targets are trusted by besides those of the system.
    #[serde(deserialize_with = "optional")]
    pub ca_file: Option<PathBuf>,
    /// Attempts under way at a time.
    pub concurrency: u32,
    /// Attempts under way at a time to one host and port.
    pub host_concurrency: u32,
    /// Time for a connection.
    #[serde(deserialize_with = "duration::deserialize")]
    pub connect_timeout: Duration,
    /// Time for an attempt.
    #[serde(deserialize_with = "duration::deserialize")]
    pub total_timeout: Duration,
    /// Attempts a second to one host and port; 0 is no limit.
    pub host_rate: u32,
    /// Failures in a row that open the breaker of a host and port; 0 never does.
    pub breaker_failures: u32,
    /// How long it is open at first.
    #[serde(deserialize_with = "duration::deserialize")]
    pub breaker_pause: Duration,
    /// Failed attempts of the last ones, percent, from which a trigger is to be looked at.
    pub alert_failure_percent: u32,
    /// How old the oldest pending postback of a trigger may be.
    #[serde(deserialize_with = "duration::deserialize")]
    pub alert_pending_age: Duration,
    /// How long it is open at most.
    #[serde(deserialize_with = "duration::deserialize")]
    pub breaker_pause_max: Duration,
}

/// `[publisher_api]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublisherApi {
    /// 409 or 400.
    pub duplicate_status: u16,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes of all bodies under way.
    pub bodies_in_flight: u32,
    /// Time for headers to arrive.
    #[serde(deserialize_with = "duration::deserialize")]
    pub header_timeout: Duration,
    /// Time for a body to arrive.
    #[serde(deserialize_with = "duration::deserialize")]
    pub body_timeout: Duration,
    /// Time for a whole request.
    #[serde(deserialize_with = "duration::deserialize")]
    pub request_timeout: Duration,
    /// Requests a second for one app; 0 is no limit.
    pub app_requests_per_second: u32,
    /// Events a second for one device or user in Amplitude's uploads; 0 is no limit.
    pub device_events_per_second: u32,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// What is logged.
    pub level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// The name in settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
        }
    }
}

/// An absolute http or https URL that paths can be appended to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The URL, without a slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for PublicUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "must be an http or https URL without query, such as https://link.example.com";
        let url = url::Url::parse(text).map_err(|_| WRONG)?;
        let usable = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none();
        if usable { Ok(Self(text.trim_end_matches('/').to_owned())) } else { Err(WRONG) }
    }
}

/// An empty text is "not set".
fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text = String::deserialize(deserializer)?;
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

impl AttributionWindows {
    fn check(&self) -> Result<(), ConfigError> {
        for (name, window, most) in [
            ("click_device", self.click_device, range::CLICK_WINDOW_S),
            ("click_modeled", self.click_modeled, range::CLICK_WINDOW_S),
            ("impression_device", self.impression_device, range::IMPRESSION_WINDOW_S),
            ("impression_modeled", self.impression_modeled, range::IMPRESSION_WINDOW_S),
        ] {
            if let Window::Seconds(seconds) = window
                && !(range::WINDOW_LEAST_S..=most).contains(&seconds.into())
            {
                let least = range::WINDOW_LEAST_S;
                return Err(ConfigError::Setting(format!(
                    "attribution.windows.{name}: must be disabled, or from {least}s to {most}s"
                )));
            }
        }
        Ok(())
    }
}

impl Config {
    /// The rules' part of the settings.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let windows = &self.attribution.windows;
        Policy {
            accept_click_time: self.tracking.accept_click_time,
            clock_skew_ms: millis(self.attribution.clock_skew),
            modeled_without_att: self.attribution.modeled_without_att,
            modeled_single_use: self.attribution.modeled_single_use,
            hold_ms: millis(self.ingest.hold),
            hold_install_ms: millis(self.postbacks.hold_install),
            windows: Windows {
                click_device: Some(windows.click_device),
                click_modeled: Some(windows.click_modeled),
                impression_device: Some(windows.impression_device),
                impression_modeled: Some(windows.impression_modeled),
                ..Windows::default()
            },
            ladder: Ladder::default(),
        }
    }

    /// `click.commit_wait`
    #[must_use]
    pub const fn commit_wait(&self) -> Duration {
        self.click.commit_wait
    }

    /// `limits.app_requests_per_second`
    #[must_use]
    pub const fn app_requests_per_second(&self) -> u32 {
        self.limits.app_requests_per_second
    }

    /// Refuses what types cannot: values out of range and settings that do not go together.
    fn check(&self) -> Result<(), ConfigError> {
        let most = |name: &str, value: Duration, most: u64| {
            if value <= Duration::from_secs(most) {
                Ok(())
            } else {
                Err(ConfigError::Setting(format!("{name}: must be at most {most}s")))
            }
        };
        most("attribution.clock_skew", self.attribution.clock_skew, range::CLOCK_SKEW_S)?;
        self.attribution.windows.check()?;
        most("ingest.hold", self.ingest.hold, range::HOLD_S)?;
        most("postbacks.hold_install", self.postbacks.hold_install, range::HOLD_INSTALL_S)?;
        most("click.commit_wait", self.click.commit_wait, 5)?;
        most("courier.total_timeout", self.courier.total_timeout, 60)?;
        most("attribution.adservices_wait", self.attribution.adservices_wait, 25)?;
        let refuse = |text: &str| Err(ConfigError::Setting(text.to_owned()));
        if self.server.tls_cert.is_some() != self.server.tls_key.is_some() {
            return refuse("server.tls_cert and server.tls_key: set both or neither");
        }
        let courier = &self.courier;
        if courier.connect_timeout.is_zero() || courier.connect_timeout > courier.total_timeout {
            return refuse("courier.connect_timeout: must be more than 0 and at most courier.total_timeout");
        }
        if !(1..=4_096).contains(&courier.concurrency) {
            return refuse("courier.concurrency: must be from 1 to 4096");
        }
        if !(1..=4_096).contains(&courier.host_concurrency) {
            return refuse("courier.host_concurrency: must be from 1 to 4096");
        }
        if courier.host_rate > 100_000 {
            return refuse("courier.host_rate: must be from 0 to 100000");
        }
        if courier.breaker_pause.is_zero() || courier.breaker_pause > courier.breaker_pause_max {
            return refuse(
                "courier.breaker_pause: must be more than 0 and at most courier.breaker_pause_max",
            );
        }
        most("courier.breaker_pause_max", courier.breaker_pause_max, 86_400)?;
        if !(1..=100).contains(&courier.alert_failure_percent) {
            return refuse("courier.alert_failure_percent: must be from 1 to 100");
        }
        if !matches!(self.publisher_api.duplicate_status, 400 | 409) {
            return refuse("publisher_api.duplicate_status: must be 409 or 400");
        }
        if !matches!(self.attribution.adservices_url.scheme(), "http" | "https") {
            return refuse("attribution.adservices_url: must be an http or https URL");
        }
        if !self.geo.anonymous_asns.is_empty() && self.geo.anonymous_database.is_none() {
            return refuse("geo.anonymous_asns: needs a database of AS numbers as geo.anonymous_database");
        }
        telemetry::filter(&self.log).map_err(|error| ConfigError::Setting(error.to_string()))?;
        if self.limits.bodies_in_flight < 4 * 1024 * 1024 {
            return refuse("limits.bodies_in_flight: must be at least 4194304 (4 MB)");
        }
        Ok(())
    }
}

/// Largest values of settings that apps have as well, in seconds.
pub mod range {
    /// `attribution.windows.*`: the shortest, unless it is disabled.
    pub const WINDOW_LEAST_S: u64 = 60;
    /// `attribution.windows.click_*` (tracking-and-attribution.md section 6)
    pub const CLICK_WINDOW_S: u64 = 30 * 86_400;
    /// `attribution.windows.impression_*`
    pub const IMPRESSION_WINDOW_S: u64 = 86_400;
    /// `attribution.event_association`: the longest, unless it is unlimited.
    pub const EVENT_ASSOCIATION_S: u64 = 3_650 * 86_400;
    /// `attribution.install_reprocessing`, days (tracking-and-attribution.md section 6)
    pub const INSTALL_REPROCESSING_DAYS: u64 = 365;
    /// `attribution.minimum_time_to_reengagement`
    pub const MINIMUM_TIME_S: u64 = 365 * 86_400;
    /// `attribution.clock_skew`
    pub const CLOCK_SKEW_S: u64 = 3_600;
    /// `ingest.hold`
    pub const HOLD_S: u64 = 30 * 86_400;
    /// `postbacks.hold_install` (DECISIONS 6)
    pub const HOLD_INSTALL_S: u64 = 600;
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
