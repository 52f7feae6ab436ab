//! Operating systems, their versions and device models, as far as matching needs them.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The platforms that an app can be of (ingest.md section 7).
pub const PLATFORMS: [&str; 26] = [
    "Android",
    "Android Instant App",
    "Android TV",
    "Chromecast",
    "Daydream",
    "Fire OS",
    "HTC Vive",
    "iOS",
    "iOS App Clip",
    "LGWebOS",
    "Linux",
    "macOS",
    "Nintendo Switch",
    "Nintendo WiiU",
    "Oculus GO",
    "Oculus Rift",
    "Playstation",
    "Roku",
    "Samsung Gear VR",
    "Tizen OS",
    "tvOS",
    "Vizio Smartcast OS",
    "Web",
    "WebGL",
    "Windows",
    "Windows Xbox",
];

/// The platform of an app with this name, however its letters are cased.
#[must_use]
pub fn named(name: &str) -> Option<&'static str> {
    PLATFORMS.into_iter().find(|known| known.eq_ignore_ascii_case(name))
}

/// An operating system family. Two families never match as modeled.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Os {
    /// iOS and iPadOS.
    Ios,
    /// tvOS.
    TvOs,
    /// Android, whatever the form of the device: a telephone, a television or glasses.
    Android,
    /// Amazon's Fire OS.
    FireOs,
    /// Anything else, by its lower-case name: `windows`, `roku`, `tizen`, …
    Other(String),
}

/// The families without a variant of their own: the name each goes by, and how else user agents, senders and
/// the platforms of apps (ingest.md section 7) write it. Spaces make no difference.
const FAMILIES: [(&str, &[&str]); 13] = [
    ("chrome os", &["chromium os", "cros"]),
    ("chromecast", &["chromecast fuchsia", "chromecast linux", "chromecast smartspeaker"]),
    ("harmonyos", &["hongmengos", "openharmony"]),
    (
        "linux",
        &[
            "arch linux",
            "centos",
            "debian",
            "fedora",
            "gentoo",
            "gnu/linux",
            "kubuntu",
            "linux mint",
            "lubuntu",
            "mageia",
            "opensuse",
            "red hat",
            "slackware",
            "suse",
            "ubuntu",
        ],
    ),
    ("macos", &["mac catalyst", "mac os x", "macintosh", "os x"]),
    ("nintendo switch", &[]),
    ("playstation", &[]),
    ("roku", &["roku os"]),
    ("smartcast", &["vizio os", "vizio smartcast", "vizio smartcast os"]),
    ("tizen", &["tizen os"]),
    ("webos", &["lg webos", "web0s", "webos tv"]),
    (
        "windows",
        &[
            "htc vive",
            "microsoft windows",
            "oculus rift",
            "win32",
            "win32nt",
            "windows nt",
            "windows xbox",
            "xbox",
            "xbox one",
            "xbox os",
        ],
    ),
    ("windows phone", &["windows mobile", "windows phone os"]),
];

/// What may stand behind the name of Windows, and its version.
const EDITIONS: [&str; 3] = ["enterprise", "home", "pro"];

/// The name that a family without a variant of its own goes by; `None` when nobody knows it.
fn family(written: &str) -> Option<&'static str> {
    let letters = |name: &'static str| name.bytes().filter(|byte| *byte != b' ');
    let is_it = |name: &'static str| letters(name).eq(written.bytes().filter(|byte| *byte != b' '));
    let known = FAMILIES.iter().find(|(name, others)| is_it(name) || others.iter().any(|name| is_it(name)));
    known.map(|(name, _)| *name)
}

impl Os {
    /// The family named by `name`, however it is written (`iOS`, `iPadOS`, `Mac_OS_X`, `Windows 10 Pro`, …);
    /// `None` for an empty or unknown-meaning name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        let mut words: Vec<&str> =
            name.split(|c: char| c.is_whitespace() || matches!(c, '_' | '-')).collect();
        words.retain(|word| !word.is_empty());
        let is_windows = words.contains(&"windows");
        // A version behind the name, an edition behind that.
        while words.len() > 1
            && words.last().is_some_and(|word| {
                word.starts_with(|c: char| c.is_ascii_digit()) || is_windows && EDITIONS.contains(word)
            })
        {
            words.pop();
        }
        let plain = words.concat();
        Some(match plain.as_str() {
            "" | "other" | "unknown" | "null" => return None,
            "ios" | "ipados" | "iphoneos" | "iosappclip" => Self::Ios,
            "tvos" | "appletvos" | "atvosx" => Self::TvOs,
            "android" | "androidinstantapp" | "androidos" | "androidtv" | "chromecastandroid"
            | "daydream" | "googletv" | "oculusgo" | "samsunggearvr" => Self::Android,
            "amazonfireos" | "fireos" => Self::FireOs,
            _ => Self::Other(family(&plain).map_or(name.clone(), str::to_owned)),
        })
    }

    /// Whether it is a family that anybody knows, and no word that stands where one could.
    #[must_use]
    pub fn is_known(&self) -> bool {
        match self {
            Self::Ios | Self::TvOs | Self::Android | Self::FireOs => true,
            Self::Other(name) => family(name).is_some(),
        }
    }

    /// Whether both are one family. Records keep the name that it went by when they were written.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self == other || self.of_today() == other.of_today()
    }

    /// What its name of former times means today.
    fn of_today(&self) -> Cow<'_, Self> {
        match self {
            Self::Other(name) => Self::named(name).map_or(Cow::Borrowed(self), Cow::Owned),
            _ => Cow::Borrowed(self),
        }
    }

    /// Whether it runs the apps of Android, so that identifiers mean there what they mean on Android: Android
    /// itself and Fire OS, which is made from it.
    #[must_use]
    pub const fn runs_android_apps(&self) -> bool {
        matches!(self, Self::Android | Self::FireOs)
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

    /// With Fire OS where Android is told of a model of Amazon's. The version goes: it is that of the Android
    /// from which Fire OS was made, and the one of Fire OS is another.
    #[must_use]
    pub fn settled(self) -> Self {
        if self.os == Some(Os::Android) && self.model.as_deref().is_some_and(is_amazon) {
            Self { os: Some(Os::FireOs), os_version: None, ..self }
        } else {
            self
        }
    }

    /// Whether both may be one device, as modeled matching sees it (tracking-and-attribution.md section 5):
    /// the same family, known on both sides, and neither version nor model against it.
    #[must_use]
    pub fn resembles(&self, other: &Self, versions: Versions) -> bool {
        let (Some(os), Some(other_os)) = (&self.os, &other.os) else { return false };
        os.is_same(other_os)
            && (versions_agree(self.told_version(), other.told_version(), versions)
                || self.is_frozen_for(other)
                || other.is_frozen_for(self))
            && models_agree(self.model.as_deref(), other.model.as_deref())
    }

    /// The version, unless it is one that browsers give whatever the real one is.
    fn told_version(&self) -> Option<&str> {
        let version = self.os_version.as_deref()?;
        let numbers = numbers(Some(version));
        let is_frozen = match self.os.as_ref()? {
            // A reduced user agent: 10, together with a model that says nothing.
            Os::Android => numbers.first() == Some(&10) && self.model.as_deref().is_none_or(says_nothing),
            Os::Other(name) => family(name).is_some_and(|family| is_frozen(family, &numbers)),
            _ => false,
        };
        (!is_frozen).then_some(version)
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

/// Whether every browser on a family gives this version. Of Linux some give that of the kernel, some that of
/// the distribution.
fn is_frozen(family: &str, version: &[u32]) -> bool {
    match family {
        "chrome os" => version == [14_541, 0, 0],
        "chromecast" => version == [1, 56, 500_000],
        "linux" => true,
        "macos" => matches!(version, [10, 15] | [10, 15, 7] | [10, 16]),
        "windows" => matches!(version, [10] | [10, 0]),
        _ => false,
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

/// Whether a model is a word that stands for many: a family of devices, or what is said of devices that
/// cannot be told.
#[must_use]
pub fn says_nothing(model: &str) -> bool {
    const NOTHING: [&str; 28] = [
        "",
        "android",
        "androidtv",
        "browser",
        "chromecast",
        "desktop",
        "device",
        "feature phone",
        "generic",
        "generic android",
        "generic feature phone",
        "generic smartphone",
        "generic tablet",
        "ios device",
        "k",
        "kindle",
        "mac",
        "macintosh",
        "mobile",
        "other",
        "pc",
        "phone",
        "roku",
        "smart tv",
        "smartphone",
        "tablet",
        "unknown",
        "web0s smarttv",
    ];
    let words = words(model);
    // Before the year and the series of a television: `SmartTV2018:UNU7100`.
    words.first().is_some_and(|word| word.starts_with("smarttv"))
        || NOTHING.contains(&words.join(" ").as_str())
}

/// Whether a model is Amazon's, with or without its maker's name: a tablet (`KFTRWI`) or a television
/// (`AFTMM`).
#[must_use]
pub fn is_amazon(model: &str) -> bool {
    let words = words(model);
    let is_code = |word: &String| {
        let is_tablet = |rest: &str| rest.len() >= 2 && rest.bytes().all(|byte| byte.is_ascii_lowercase());
        word.strip_prefix("kf").is_some_and(is_tablet)
            || word.strip_prefix("aft").is_some_and(|rest| !rest.is_empty())
    };
    match words.as_slice() {
        [code] => is_code(code),
        [maker, code] if maker == "amazon" => is_code(code),
        [kindle, fire, ..] => kindle == "kindle" && fire == "fire",
        _ => false,
    }
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
