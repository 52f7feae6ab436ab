//! Phones: how common each make is, what their browsers tell, what their owners allow, when they update.

use rand::{RngExt as _, rngs::StdRng};

use super::{places::Home, weighted};
use crate::device::{Consent, Device, Platform};

/// Of a hundred phones, iPhones.
const APPLE: u32 = 42;
/// Of a hundred iPhones, those whose owners let this app, or the app that shows the ad, read the identifier.
const ATT: u32 = 30;
/// Of a hundred Android phones, those whose owners deleted the identifier.
const DELETED: u32 = 10;
/// Of a hundred phones, those that get another version of their system while the town is watched.
const UPDATES: u32 = 20;
/// Of a hundred clicks on Android, those in a browser that hides model and version (`Android 10; K`).
const REDUCED: u32 = 65;

/// Versions of iOS and their shares: the version, and the one that an update brings.
const IPHONES: [((&str, &str), u32); 7] = [
    (("18.5", "18.6"), 38),
    (("18.4.1", "18.5"), 18),
    (("18.1.1", "18.5"), 12),
    (("17.6.1", "18.5"), 12),
    (("17.5.1", "17.6.1"), 8),
    (("16.7.10", "16.7.11"), 7),
    (("17.4.1", "18.4.1"), 5),
];
/// Models of Android phones with their version and the next one.
const ANDROIDS: [((&str, &str, &str), u32); 14] = [
    (("SM-A155F", "14", "15"), 14),
    (("SM-A546B", "14", "15"), 12),
    (("SM-A057F", "14", "15"), 10),
    (("SM-S918B", "14", "15"), 9),
    (("SM-S928B", "15", "16"), 8),
    (("SM-A146P", "13", "14"), 8),
    (("Redmi Note 12", "13", "14"), 8),
    (("23129RAA4G", "14", "15"), 7),
    (("M2101K6G", "12", "13"), 5),
    (("Pixel 8", "15", "16"), 5),
    (("Pixel 7a", "15", "16"), 4),
    (("CPH2581", "14", "15"), 4),
    (("moto g54 5G", "14", "15"), 3),
    (("V2206", "13", "14"), 3),
];

/// A phone and its owner's choices.
#[derive(Clone, Debug)]
pub struct Phone {
    /// Its platform.
    pub platform: Platform,
    /// Its identifiers.
    pub device: Device,
    /// Where its owner lives and works.
    pub home: Home,
    /// Whether the app may read the advertising identifier.
    app_may: bool,
    /// Whether the apps and pages that show ads may.
    publisher_may: bool,
    /// When the system is updated, and to which version.
    update: Option<(i64, &'static str)>,
    version: &'static str,
    model: &'static str,
    reduced: bool,
}

impl Phone {
    pub fn draw(home: Home, from: i64, until: i64, rng: &mut StdRng) -> Self {
        let platform = if rng.random_range(0..100) < APPLE { Platform::Ios } else { Platform::Android };
        let (model, version, next) = match platform {
            Platform::Ios => {
                let (version, next) = weighted(&IPHONES, rng);
                ("iPhone", version, next)
            }
            Platform::Android => weighted(&ANDROIDS, rng),
        };
        let percent = if platform == Platform::Ios { ATT } else { 100 - DELETED };
        let app_may = rng.random_range(0..100) < percent;
        // On Android the choice is one for all apps.
        let publisher_may =
            if platform == Platform::Ios { rng.random_range(0..100) < percent } else { app_may };
        let consent = if app_may { Consent::Granted } else { Consent::Refused };
        let update = (rng.random_range(0..100) < UPDATES).then(|| (rng.random_range(from..until), next));
        Self {
            platform,
            device: Device::draw(rng, platform, consent, format!("CITY-{}", home.person)),
            home,
            app_may,
            publisher_may,
            update,
            version,
            model,
            reduced: platform == Platform::Android && rng.random_range(0..100) < REDUCED,
        }
    }

    pub fn is_apple(&self) -> bool {
        self.platform == Platform::Ios
    }

    /// Whether installs tell the advertising identifier.
    pub const fn install_has_id(&self) -> bool {
        self.app_may
    }

    /// Whether ads can be told it.
    pub const fn publisher_has_id(&self) -> bool {
        self.publisher_may
    }

    fn version_at(&self, time: i64) -> &'static str {
        self.update.filter(|(at, _)| *at <= time).map_or(self.version, |(_, next)| next)
    }

    /// What the browser says in which ads are clicked.
    pub fn browser(&self, time: i64) -> String {
        let version = self.version_at(time);
        match self.platform {
            Platform::Ios => format!(
                "Mozilla/5.0 (iPhone; CPU iPhone OS {} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/{version} Mobile/15E148 Safari/604.1",
                version.replace('.', "_")
            ),
            Platform::Android if self.reduced => {
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 \
                 Mobile Safari/537.36"
                    .to_owned()
            }
            Platform::Android => format!(
                "Mozilla/5.0 (Linux; Android {version}; {}) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/126.0.0.0 Mobile Safari/537.36",
                self.model
            ),
        }
    }

    /// `model-OS-version`, as the app tells it.
    pub fn device_ver(&self, time: i64) -> String {
        format!("{}-{}-{}", self.model, self.platform.name(), self.version_at(time))
    }
}
