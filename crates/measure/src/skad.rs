//! Aggregate postbacks: what Apple's SKAdNetwork and AdAttributionKit say about an ad without saying about
//! whom (tracking-and-attribution.md section 15). They are counted beside installs and never become one:
//! nothing in them leads to a device.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Which of Apple's two frameworks sent a postback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Framework {
    /// SKAdNetwork.
    SkAdNetwork,
    /// AdAttributionKit.
    AdAttributionKit,
}

impl Framework {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SkAdNetwork => "skadnetwork",
            Self::AdAttributionKit => "adattributionkit",
        }
    }
}

/// Whose signature a postback carries. One that carries none of these is never stored as an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Signed {
    /// Apple's production key: it tells of a real conversion.
    Production,
    /// One of Apple's development keys: somebody is testing.
    Development,
}

impl Signed {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Development => "development",
        }
    }
}

/// What the person did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConversionType {
    /// Installed the app for the first time.
    Download,
    /// Installed it again.
    Redownload,
    /// Came back to it; AdAttributionKit only.
    Reengagement,
    /// Something that this version does not know, as Apple calls it.
    Other(String),
}

impl ConversionType {
    /// The type that Apple calls so.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "download" => Self::Download,
            "redownload" => Self::Redownload,
            "re-engagement" => Self::Reengagement,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Apple's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Download => "download",
            Self::Redownload => "redownload",
            Self::Reengagement => "re-engagement",
            Self::Other(name) => name,
        }
    }
}

/// A coarse conversion value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoarseValue {
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
}

impl CoarseValue {
    /// The value that Apple calls so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Low, Self::Medium, Self::High].into_iter().find(|value| value.name() == name)
    }

    /// Apple's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// What comes with a postback but is not signed. Whoever holds a genuine postback can change it, so it is
/// shown and never decides anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advisory {
    /// The fine conversion value, 0 to 63.
    pub fine_value: Option<u8>,
    /// The coarse conversion value.
    pub coarse_value: Option<CoarseValue>,
    /// `click` or `view`; AdAttributionKit only.
    pub interaction: Option<String>,
    /// The country, two letters; AdAttributionKit only.
    pub country: Option<String>,
    /// Every other field of the body and of the query, as sent.
    pub params: Vec<(String, String)>,
}

/// A postback whose signature is Apple's. Everything outside of [`Advisory`] is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregatePostback {
    /// The framework.
    pub framework: Framework,
    /// The SKAdNetwork version, `2.0` to `4.0`; AdAttributionKit names none.
    pub version: Option<String>,
    /// The ad network, as Apple registered it.
    pub network: String,
    /// `source-identifier` (2 to 4 digits); in versions before 4.0 `campaign-id`.
    pub source: String,
    /// The advertised app in the App Store.
    pub app_store_id: String,
    /// `transaction-id`, or `postback-identifier` of AdAttributionKit.
    pub transaction: String,
    /// The conversion window, 0 to 2; always 0 before version 4.0.
    pub window: u8,
    /// What the person did.
    pub conversion: ConversionType,
    /// The app that showed the ad; 0 in Apple's tests, absent where few people are behind it.
    pub source_app: Option<String>,
    /// The site that showed the ad; version 4.0 only.
    pub source_domain: Option<String>,
    /// 0 for an ad that was seen, 1 for one that was presented by the store; from version 2.2 on.
    pub fidelity: Option<u8>,
    /// Whether the network won; absent before version 3.0, when only winners were told.
    pub did_win: Option<bool>,
    /// `app-impression` or `web-impression`; AdAttributionKit only.
    pub impression: Option<String>,
    /// Where the app was bought; AdAttributionKit only.
    pub marketplace: Option<String>,
    /// Whose signature it carries.
    pub signed: Signed,
    /// What is not signed.
    pub advisory: Advisory,
}

impl AggregatePostback {
    /// Whether the network won the conversion.
    #[must_use]
    pub fn won(&self) -> bool {
        self.did_win.unwrap_or(true)
    }

    /// What is counted once: a transaction in a window. Apple itself says "once per transaction", but
    /// version 4.0 may send three windows under one.
    #[must_use]
    pub fn key(&self) -> AggregateKey {
        let mut hasher = Sha256::new();
        for part in [self.framework.name(), &self.transaction] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.update([self.window]);
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(hasher.finalize()) {
            *to = from;
        }
        AggregateKey(key)
    }

    /// Where it is counted.
    #[must_use]
    pub fn cell(&self) -> AggregateCell {
        AggregateCell {
            framework: self.framework,
            signed: self.signed,
            network: self.network.clone(),
            source: self.source.clone(),
            window: self.window,
            won: self.won(),
        }
    }
}

/// A transaction in a window, as 16 bytes of SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AggregateKey(pub [u8; 16]);

/// What aggregate postbacks are counted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AggregateCell {
    /// The framework.
    pub framework: Framework,
    /// Whose signature.
    pub signed: Signed,
    /// The ad network.
    pub network: String,
    /// The source identifier or campaign.
    pub source: String,
    /// The conversion window.
    pub window: u8,
    /// Whether the network won.
    pub won: bool,
}

#[cfg(test)]
mod tests;
