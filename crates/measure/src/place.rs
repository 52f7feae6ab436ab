//! What databases of addresses say of one: resolved at the edge and stored with the input, so that nobody asks
//! them again.

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

/// A country by its two letters (ISO 3166), in upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Country([u8; 2]);

impl Country {
    /// The country of two letters, in upper or lower case.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let letters: [u8; 2] = text.trim().as_bytes().try_into().ok()?;
        letters
            .iter()
            .all(u8::is_ascii_alphabetic)
            .then(|| Self(letters.map(|byte| byte.to_ascii_uppercase())))
    }

    /// Its two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// Whether a database of countries was asked.
    pub has_countries: bool,
    /// The country that it gave.
    pub country: Option<Country>,
    /// Whether the address hides who is behind it: a proxy, a VPN, Tor, a data centre. `None` when no
    /// database of such networks was asked.
    pub anonymous: Option<bool>,
}

/// Where in its country an address is, as a database of cities tells it. Asked for installs only, whose verification
/// rules name such places (tracking-and-attribution.md section 14).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Locality {
    /// The city, by its English name.
    pub city: Option<String>,
    /// The state or region, by its code (`CA`) and by its English name.
    pub regions: Vec<String>,
    /// The postal code.
    pub postal: Option<String>,
    /// The designated market area, by its number (United States).
    pub dma: Option<String>,
}
