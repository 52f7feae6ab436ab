//! Operating systems, their versions and device models, as far as matching needs them.

use serde::{Deserialize, Serialize};

/// An operating system family. Two families never match as modeled.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Os {
    /// iOS and iPadOS.
    Ios,
    /// tvOS.
    TvOs,
    /// Android, whatever the form of the device.
    Android,
    /// Amazon's Fire OS.
    FireOs,
    /// Anything else, by its lower-case name: `windows`, `roku`, `tizen`, …
    Other(String),
}

impl Os {
    /// The family named by `name`, however it is written (`iOS`, `iPadOS`, `android`, …); `None` for an
    /// empty or unknown-meaning name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        Some(match name.as_str() {
            "" | "other" | "unknown" | "null" => return None,
            "ios" | "ipados" | "iphone os" | "ios app clip" => Self::Ios,
            "tvos" | "atv os x" => Self::TvOs,
            "android" | "android tv" | "android instant app" => Self::Android,
            "fire os" | "fireos" => Self::FireOs,
            _ => Self::Other(name),
        })
    }

    /// The name people know it by.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Ios => "iOS",
            Self::TvOs => "tvOS",
            Self::Android => "Android",
            Self::FireOs => "Fire OS",
            Self::Other(name) => name,
        }
    }

    /// Whether App Tracking Transparency exists on this family.
    #[must_use]
    pub const fn is_apple_mobile(&self) -> bool {
        matches!(self, Self::Ios | Self::TvOs)
    }
}

/// What is known of a device's make: each part may be unknown, and an unknown part never speaks against
/// a match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Traits {
    /// The operating system family.
    pub os: Option<Os>,
    /// The version as written, digits and dots: `17.5.1`.
    pub os_version: Option<String>,
    /// The device model: `iPhone`, `Pixel 8 Pro`.
    pub model: Option<String>,
}

impl Traits {
    /// The first number of the OS version.
    #[must_use]
    pub fn os_major(&self) -> Option<u32> {
        self.os_version.as_deref()?.split('.').next()?.trim().parse().ok()
    }

    /// `iOS 17.5.1`, as far as known; empty when nothing is.
    #[must_use]
    pub fn os_text(&self) -> String {
        match (&self.os, &self.os_version) {
            (Some(os), Some(version)) => format!("{} {version}", os.name()),
            (Some(os), None) => os.name().to_owned(),
            (None, Some(version)) => version.clone(),
            (None, None) => String::new(),
        }
    }
}
