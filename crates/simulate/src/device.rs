//! Phones: their identifiers, their make and the addresses they are seen at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use md5::Digest as _;
use rand::{Rng, RngExt as _};
use serde::Serialize;

/// The platform of a phone, and of the app that runs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Platform {
    /// iPhones.
    Ios,
    /// Android phones.
    Android,
}

impl Platform {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ios, Self::Android];

    /// The name that `POST /apps` takes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ios => "iOS",
            Self::Android => "Android",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Ios => Self::Android,
            Self::Android => Self::Ios,
        }
    }

    /// The key of the advertising identifier: `idfa` or `adid`.
    #[must_use]
    pub const fn advertising_key(self) -> &'static str {
        match self {
            Self::Ios => "idfa",
            Self::Android => "adid",
        }
    }

    /// The key of the vendor's identifier: `idfv` or `android_id`.
    #[must_use]
    pub const fn vendor_key(self) -> &'static str {
        match self {
            Self::Ios => "idfv",
            Self::Android => "android_id",
        }
    }
}

/// Whether the advertising identifier may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Consent {
    /// From the start. The only case on Android.
    Granted,
    /// Refused in the prompt of App Tracking Transparency.
    Refused,
    /// Granted after the install: an update brings the identifier.
    GrantedLater,
}

/// A phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its platform.
    pub platform: Platform,
    /// The identifier that the app's own server gives it.
    pub kochava_device_id: String,
    /// IDFA or Google advertising identifier, as the platform writes it.
    pub advertising_id: String,
    /// IDFV or Android id, as the platform writes it.
    pub vendor_id: String,
    /// Whether the advertising identifier may be read.
    pub consent: Consent,
    /// Its model as user agents write it.
    pub model: String,
    /// The version of its operating system, with dots.
    pub os_version: String,
    /// Its user agent in a browser, where ads are clicked.
    pub browser: String,
    /// Its user agent inside the app.
    pub app_user_agent: String,
}

const IPHONES: [&str; 5] = ["17.4.1", "17.5.1", "17.6.1", "18.1.1", "18.5"];
const ANDROIDS: [(&str, &str); 6] = [
    ("SM-S918B", "14"),
    ("SM-A546B", "13"),
    ("Pixel 8 Pro", "14"),
    ("Pixel 7a", "15"),
    ("M2101K6G", "12"),
    ("CPH2581", "14"),
];
const IN_APP_BROWSER: &str = " Instagram 335.0.0.29.91";

impl Device {
    /// A phone with identifiers nobody else has.
    #[must_use]
    pub fn draw(rng: &mut impl Rng, platform: Platform, consent: Consent, kochava_device_id: String) -> Self {
        let in_app = if rng.random_bool(0.2) { IN_APP_BROWSER } else { "" };
        let (model, os_version, browser, app_user_agent) = match platform {
            Platform::Ios => {
                let version = IPHONES[rng.random_range(0..IPHONES.len())];
                let system = format!(
                    "Mozilla/5.0 (iPhone; CPU iPhone OS {} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)",
                    version.replace('.', "_")
                );
                let browser = format!("{system} Version/17.5 Mobile/15E148 Safari/604.1{in_app}");
                ("iPhone", version, browser, format!("{system} Mobile/15E148"))
            }
            Platform::Android => {
                let (model, version) = ANDROIDS[rng.random_range(0..ANDROIDS.len())];
                let system = format!("Mozilla/5.0 (Linux; Android {version}; {model}) AppleWebKit/537.36");
                let browser =
                    format!("{system} (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36{in_app}");
                let app =
                    format!("{system} (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36");
                (model, version, browser, app)
            }
        };
        let advertising = uuid(rng);
        Self {
            platform,
            kochava_device_id,
            advertising_id: match platform {
                Platform::Ios => advertising.to_ascii_uppercase(),
                Platform::Android => advertising,
            },
            vendor_id: match platform {
                Platform::Ios => uuid(rng).to_ascii_uppercase(),
                Platform::Android => format!("{:016x}", rng.random_range(1..=u64::MAX)),
            },
            consent,
            model: model.to_owned(),
            os_version: os_version.to_owned(),
            browser,
            app_user_agent,
        }
    }

    /// The same make as `self`, with identifiers of its own: what makes neighbours hard to tell apart.
    #[must_use]
    pub fn twin(&self, rng: &mut impl Rng, consent: Consent, kochava_device_id: String) -> Self {
        let own = Self::draw(rng, self.platform, consent, kochava_device_id);
        Self {
            model: self.model.clone(),
            os_version: self.os_version.clone(),
            browser: self.browser.clone(),
            app_user_agent: self.app_user_agent.clone(),
            ..own
        }
    }

    /// `model-OS-version`, what senders without a user agent give (ingest.md section 12).
    #[must_use]
    pub fn device_ver(&self) -> String {
        format!("{}-{}-{}", self.model, self.platform.name(), self.os_version)
    }
}

fn uuid(rng: &mut impl Rng) -> String {
    let hex = format!("{:032x}", rng.random_range(1..=u128::MAX));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// A hash that a network may send in place of an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Hash {
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
}

impl Hash {
    /// The name on a tracking link.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA1",
        }
    }

    /// The lower-case hexadecimal digest of `text`.
    #[must_use]
    pub fn hex(self, text: &str) -> String {
        let bytes = match self {
            Self::Md5 => md5::Md5::digest(text).to_vec(),
            Self::Sha1 => sha1::Sha1::digest(text).to_vec(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Where a household is on the internet: one IPv4 address for all of it, or an IPv6 /64 in which every
/// request may have another address (privacy extensions). Only documentation ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Household {
    /// Behind one IPv4 address.
    V4(Ipv4Addr),
    /// In this /64.
    V6(Ipv6Addr),
}

/// The networks 192.0.2.0/24, 198.51.100.0/24 and 203.0.113.0/24.
const V4_NETWORKS: [[u8; 3]; 3] = [[192, 0, 2], [198, 51, 100], [203, 0, 113]];
const V4_HOSTS: u32 = 254;

impl Household {
    /// The household with this number; no two share an address. Every other one is on IPv4 while the
    /// documentation ranges last (762 addresses), the rest have a /64 of 2001:db8::/32.
    #[must_use]
    pub fn numbered(number: u32) -> Self {
        let half = number / 2;
        let network = usize::try_from(half / V4_HOSTS).unwrap_or(usize::MAX);
        match V4_NETWORKS.get(network) {
            Some([a, b, c]) if number.is_multiple_of(2) => {
                let host = u8::try_from(half % V4_HOSTS + 1).unwrap_or(1);
                Self::V4(Ipv4Addr::new(*a, *b, *c, host))
            }
            _ => {
                let base = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0));
                Self::V6((base | u128::from(number) << 64).into())
            }
        }
    }

    /// An address that a phone of the household has at some moment.
    #[must_use]
    pub fn address(self, rng: &mut impl Rng) -> IpAddr {
        match self {
            Self::V4(address) => address.into(),
            Self::V6(prefix) => {
                let interface = rng.random_range(1..=u64::MAX);
                IpAddr::V6((u128::from(prefix) | u128::from(interface)).into())
            }
        }
    }
}
