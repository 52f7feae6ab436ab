//! Digests of identifiers and progressive matching (tracking-and-attribution.md section 7).
//!
//! A network may send the MD5 of the upper-case identifier with dashes, the SHA-1 of the lower-case one
//! without, or the hash of a hash. [`forms`] lists every form an identifier can take.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::Sha256;

/// A digest of an identifier: lower-case hexadecimal of 32, 40 or 64 digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Reads a digest; case does not matter. `None` unless the text is 32, 40 or 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        (matches!(text.len(), 32 | 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit()))
            .then(|| Self(text.to_ascii_lowercase()))
    }

    /// The hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The MD5 of the digits. Of the MD5 of an identifier it is one of [`forms`] again, that of an identifier
    /// hashed twice; of an identifier of 32 digits it is one hashed once.
    #[must_use]
    pub fn hashed(&self) -> Self {
        hash(DigestLength::Md5, &self.0)
    }

    /// Its length, which tells the outermost hash.
    #[must_use]
    pub fn length(&self) -> DigestLength {
        match self.0.len() {
            32 => DigestLength::Md5,
            40 => DigestLength::Sha1,
            _ => DigestLength::Sha256,
        }
    }
}

/// The outermost hash of a digest, told by its length. The engine remembers per app which have been
/// seen, so that an install tries no others (DECISIONS 18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DigestLength {
    /// 32 digits.
    Md5,
    /// 40 digits.
    Sha1,
    /// 64 digits.
    Sha256,
}

/// How a digest was made from the plain identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Form {
    /// Whether the plain text was upper case.
    pub upper: bool,
    /// Whether the plain text kept its separators.
    pub separators: bool,
    /// The hashes, innermost first: one or two of them.
    pub first: DigestLength,
    /// The second hash, over the lower-case hexadecimal text of the first.
    pub second: Option<DigestLength>,
}

impl Form {
    /// Whether the identifier was hashed twice.
    #[must_use]
    pub const fn is_double(&self) -> bool {
        self.second.is_some()
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |length| match length {
            DigestLength::Md5 => "md5",
            DigestLength::Sha1 => "sha1",
            DigestLength::Sha256 => "sha256",
        };
        let case = if self.upper { "upper" } else { "lower" };
        let separators = if self.separators { "" } else { ", no separators" };
        match self.second {
            None => write!(f, "{}({case}{separators})", name(self.first)),
            Some(second) => write!(f, "{}({}({case}{separators}))", name(second), name(self.first)),
        }
    }
}

/// Every hashed form of `plain` whose outermost hash has the given length: 12 for MD5 and SHA-1 (each
/// of the four plain forms hashed once, and hashed after an MD5 or a SHA-1), 4 for SHA-256.
#[must_use]
pub fn forms(plain: &str, length: DigestLength) -> Vec<(Form, Digest)> {
    let mut found = Vec::with_capacity(12);
    for (upper, separators) in [(false, false), (false, true), (true, false), (true, true)] {
        let text = plain_form(plain, upper, separators);
        let mut push =
            |first, second, digest| found.push((Form { upper, separators, first, second }, digest));
        push(length, None, hash(length, &text));
        if length != DigestLength::Sha256 {
            for first in [DigestLength::Md5, DigestLength::Sha1] {
                push(first, Some(length), hash(length, &hash(first, &text).0));
            }
        }
    }
    found
}

/// The form in which `plain` gives `digest`, if any.
#[must_use]
pub fn matching_form(plain: &str, digest: &Digest) -> Option<Form> {
    forms(plain, digest.length()).into_iter().find(|(_, candidate)| candidate == digest).map(|(form, _)| form)
}

fn plain_form(plain: &str, upper: bool, separators: bool) -> String {
    plain
        .trim()
        .chars()
        .filter(|c| separators || !matches!(c, '-' | ':'))
        .map(|c| if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect()
}

fn hash(length: DigestLength, text: &str) -> Digest {
    use sha1::Digest as _;
    Digest(match length {
        DigestLength::Md5 => hex(&md5::Md5::digest(text)),
        DigestLength::Sha1 => hex(&Sha1::digest(text)),
        DigestLength::Sha256 => hex(&Sha256::digest(text)),
    })
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}
