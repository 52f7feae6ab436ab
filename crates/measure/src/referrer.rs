//! What a store's install referrer says of where an install came from, whether or not a click of ours is
//! behind it (tracking-and-attribution.md section 10).

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::{NetworkId, Timestamp, TrackerId};

/// Under which keys of the referrer an app finds what its links put there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferrerKeys {
    /// Our click id; `utm_source` unless the app says otherwise.
    pub click_id: String,
    /// The tracker's GUID; `utm_campaign` unless the app says otherwise.
    pub campaign_id: String,
}

impl Default for ReferrerKeys {
    fn default() -> Self {
        Self { click_id: "utm_source".to_owned(), campaign_id: "utm_campaign".to_owned() }
    }
}

/// An install referrer, read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referrer {
    /// Whom it names: a network by the click id that only it sends, else the source as it is written.
    /// `None` when it says that nobody sent the user, or nothing.
    pub name: Option<String>,
    /// Whether it says that somebody paid.
    pub paid: bool,
    /// `utm_medium`
    pub medium: Option<String>,
    /// What stands under the app's key for the campaign.
    pub campaign: Option<String>,
    /// Whether the network encrypted its own names.
    pub encrypted: bool,
    /// When the store says that the download began.
    pub begin: Option<Timestamp>,
}

/// A source that the install referrer names and no click on record stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reported {
    /// Its name, as in [`Referrer::name`].
    pub name: String,
    /// Whether the referrer says that somebody paid, or names a link of the account.
    pub paid: bool,
    /// `utm_medium`
    pub medium: Option<String>,
    /// The campaign as written.
    pub campaign: Option<String>,
    /// Whether the network encrypted its own names.
    pub encrypted: bool,
    /// The tracker whose GUID stands in the campaign's place.
    pub tracker: Option<TrackerId>,
    /// That tracker's network.
    pub network: Option<NetworkId>,
}

/// Networks as referrers call them, and the words that tell them in names that people give.
const BRANDS: [(&str, &[&str]); 8] = [
    ("Google Ads", &["google", "adwords", "youtube"]),
    ("Meta", &["meta", "facebook", "instagram"]),
    ("TikTok", &["tiktok"]),
    ("Microsoft Ads", &["microsoft", "bing"]),
    ("X", &["x", "twitter"]),
    ("Snapchat", &["snap", "snapchat"]),
    ("Reddit", &["reddit"]),
    ("Pinterest", &["pinterest"]),
];
/// Names shorter than this are part of too many others.
const NAME_PART_MIN: usize = 3;

impl Reported {
    /// Whether a network of this number and name can be the source: the tracker's network, else one that
    /// people call like it.
    #[must_use]
    pub fn is_of(&self, network: NetworkId, name: &str) -> bool {
        self.network.map_or_else(|| is_called(name, &self.name), |own| own == network)
    }
}

fn is_called(network: &str, source: &str) -> bool {
    if let Some((_, words)) = BRANDS.iter().find(|(brand, _)| *brand == source) {
        let lower = network.to_lowercase();
        return lower.split(|c: char| !c.is_alphanumeric()).any(|word| words.contains(&word));
    }
    let (network, source) = (letters(network), letters(source));
    let (short, long) = if network.len() < source.len() { (network, source) } else { (source, network) };
    short == long || short.len() >= NAME_PART_MIN && long.contains(&short)
}

/// The letters and digits of a name, in lower case.
fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
