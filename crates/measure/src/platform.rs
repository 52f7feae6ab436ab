//! Operating systems, their versions and device models, as far as matching needs them.

#[cfg(test)]
mod tests;

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

/// How much of two OS versions has to agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// Every number that both have.
    Whole,
    /// The first number.
    Major,
}

impl Traits {
    /// The first number of the OS version.
    #[must_use]
    pub fn os_major(&self) -> Option<u32> {
        self.os_version.as_deref()?.split('.').next()?.trim().parse().ok()
    }

    /// Whether both may be one device, as modeled matching sees it (tracking-and-attribution.md section 5):
    /// the same family, known on both sides, and neither version nor model against it.
    #[must_use]
    pub fn resembles(&self, other: &Self, versions: Versions) -> bool {
        self.os.is_some()
            && self.os == other.os
            && (versions_agree(self.told_version(), other.told_version(), versions)
                || self.is_frozen_for(other)
                || other.is_frozen_for(self))
            && models_agree(self.model.as_deref(), other.model.as_deref())
    }

    /// The version, unless it is the one that browsers with a reduced user agent give for every Android
    /// device: 10, together with a model that says nothing.
    fn told_version(&self) -> Option<&str> {
        let version = self.os_version.as_deref()?;
        let frozen = self.os == Some(Os::Android)
            && self.os_major() == Some(10)
            && self.model.as_deref().is_none_or(says_nothing);
        (!frozen).then_some(version)
    }

    /// Whether this is the iOS version that browsers go on giving on a device of iOS 26 or later: the last
    /// one before it, 18.6 or 18.7. Web views give no other sign of the real one.
    fn is_frozen_for(&self, real: &Self) -> bool {
        self.os == Some(Os::Ios)
            && real.os_major().is_some_and(|major| major >= 26)
            && matches!(numbers(self.os_version.as_deref()).as_slice(), [18, 6 | 7, ..])
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

/// Whether two versions agree in every number that both have: `17.5` and `17.5.1` do.
fn versions_agree(one: Option<&str>, other: Option<&str>, versions: Versions) -> bool {
    let compared = match versions {
        Versions::Whole => usize::MAX,
        Versions::Major => 1,
    };
    numbers(one).iter().zip(&numbers(other)).take(compared).all(|(one, other)| one == other)
}

/// The numbers of a version, up to the first part that is none.
fn numbers(version: Option<&str>) -> Vec<u32> {
    let parts = version.unwrap_or_default().split(['.', '_']);
    parts.map_while(|part| part.trim().parse().ok()).collect()
}

/// Whether two models may be one. Upper and lower case and separators make no difference, nor does a
/// maker's name in front: `Samsung SM-S918B` is `SM-S918B`.
fn models_agree(one: Option<&str>, other: Option<&str>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return true };
    if says_nothing(one) || says_nothing(other) {
        return true;
    }
    let (one, other) = (words(one), words(other));
    match (apple(&one), apple(&other)) {
        (Some((family, one)), Some((other_family, other))) => {
            family == other_family && (one.is_none() || other.is_none() || one == other)
        }
        _ => {
            let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
            long.len() - short.len() <= 1 && long.ends_with(&short)
        }
    }
}

/// Whether a model is a word that stands for many.
fn says_nothing(model: &str) -> bool {
    const NOTHING: [&str; 16] = [
        "",
        "k",
        "android",
        "device",
        "generic",
        "mobile",
        "other",
        "phone",
        "smartphone",
        "tablet",
        "unknown",
        "feature phone",
        "generic android",
        "generic feature phone",
        "generic smartphone",
        "generic tablet",
    ];
    NOTHING.contains(&words(model).join(" ").as_str())
}

/// The letters and digits of a model, in lower case, between whatever separates them.
fn words(model: &str) -> Vec<String> {
    model
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// An Apple model as its family and, when it is told, its number: `iPhone` is any iPhone, `iPhone15,2` a
/// certain one. A trade name such as `iPhone 14 Pro` tells the family only.
fn apple(words: &[String]) -> Option<(&'static str, Option<String>)> {
    const FAMILIES: [&str; 4] = ["iphone", "ipad", "ipod", "appletv"];
    let joined = words.concat();
    let family = FAMILIES.into_iter().find(|family| joined.starts_with(family))?;
    let number = match words {
        [first, second] if first.strip_prefix(family).is_some_and(is_number) && is_number(second) => {
            Some(format!("{first},{second}"))
        }
        _ => None,
    };
    Some((family, number))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
