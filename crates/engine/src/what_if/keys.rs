//! The match keys of all installs that a what-if decides: an engagement that shares none of them cannot
//! matter.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use measure::engagement::MatchKey;

/// Bits of the filter for each key: about one key in a hundred passes for nothing.
const BITS_PER_KEY: usize = 12;

/// Match keys by their hash, with the installs that have them.
#[derive(Default)]
pub(super) struct Keys {
    /// In order of hashes: the hash of a key and the number of an install.
    entries: Vec<(u64, u32)>,
    filter: Vec<u64>,
}

/// The hash of a match key. Two keys of one hash do no harm: the decision compares what they stand for.
pub(super) fn hash(key: &MatchKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

impl Keys {
    /// Adds the keys of an install.
    pub(super) fn add(&mut self, install: u32, keys: &[MatchKey]) {
        self.entries.extend(keys.iter().map(|key| (hash(key), install)));
    }

    /// To be called when all are added.
    pub(super) fn close(&mut self) {
        self.entries.sort_unstable();
        self.entries.dedup();
        self.entries.shrink_to_fit();
        let words = (self.entries.len() * BITS_PER_KEY / 64 + 1).next_power_of_two();
        self.filter = vec![0; words];
        for (key, _) in &self.entries {
            for bit in bits(*key, words) {
                self.filter[bit / 64] |= 1 << (bit % 64);
            }
        }
    }

    /// Whether some install may have a key of this hash; false is certain.
    pub(super) fn may_have(&self, key: u64) -> bool {
        let words = self.filter.len();
        words > 0 && bits(key, words).iter().all(|bit| self.filter[bit / 64] & 1 << (bit % 64) != 0)
    }

    /// The installs that have a key of this hash.
    pub(super) fn installs(&self, key: u64) -> impl Iterator<Item = u32> + '_ {
        let start = self.entries.partition_point(|(known, _)| *known < key);
        let rest = self.entries.get(start..).unwrap_or_default();
        rest.iter().take_while(move |(known, _)| *known == key).map(|(_, install)| *install)
    }
}

/// The bits of a key in a filter of `words` words, which are a power of two.
#[expect(clippy::cast_possible_truncation, reason = "the bits that are cut off are masked anyway")]
const fn bits(key: u64, words: usize) -> [usize; 3] {
    let mask = words * 64 - 1;
    [key as usize & mask, (key >> 21) as usize & mask, (key >> 42) as usize & mask]
}
