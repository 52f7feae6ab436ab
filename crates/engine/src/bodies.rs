//! Which bodies came lately, as far as it saves reading: almost every event is news, and asking the store for a key
//! that is not there is the dearest way to find that out.
//!
//! Two Bloom filters never deny what they were told. So a body that neither holds came in the last ten minutes only
//! if it came before the older one begins, and until when that was is remembered.

use fastbloom::BloomFilter;
use measure::{AppId, Timestamp, policy::POSSIBLE_DUPLICATE_MS};
use store::{Store, StoreError};

/// Bodies in each of the two generations: ten minutes of ten thousand events a second.
const BODIES_MAX: usize = 6_000_000;
/// Bits of a generation, 8 MiB: when it is full one body in a hundred is read although it is news.
const BITS: usize = 1 << 26;
/// Bits of a body.
const BITS_EACH: u32 = 5;
/// Facts at the end of the record that tell when the last one was received.
const LAST_FACTS: usize = 1_000;

/// What is noted goes into the younger generation. When that is full it becomes the older one, and the older one is
/// forgotten.
#[derive(Debug, Default)]
pub(crate) struct RecentBodies {
    young: Generation,
    old: Generation,
    /// The newest body that may be known to the store alone.
    unknown: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Generation {
    /// Made when it is first needed.
    filter: Option<BloomFilter>,
    bodies: usize,
    newest: Option<Timestamp>,
}

impl RecentBodies {
    /// Nothing is known of what a store holds already.
    pub(crate) fn after(store: &dyn Store) -> Result<Self, StoreError> {
        let last = store.last_sequence()?;
        let facts = if last == 0 { Vec::new() } else { store.facts_back(last, LAST_FACTS)? };
        let unknown = facts.iter().map(|fact| fact.input.received).max();
        Ok(Self { unknown, ..Self::default() })
    }

    /// Whether a body may have come to `app` within the ten minutes before `now`. When not, it certainly has not.
    pub(crate) fn may_hold(&self, app: AppId, body: &[u8; 16], now: Timestamp) -> bool {
        let is_lately = |at: Timestamp| now.since(at) <= POSSIBLE_DUPLICATE_MS;
        let hash = mixed(app, body);
        self.unknown.is_some_and(is_lately) || self.young.may_hold(hash) || self.old.may_hold(hash)
    }

    /// Notes a body that came to `app`.
    pub(crate) fn note(&mut self, app: AppId, body: &[u8; 16], received: Timestamp) {
        if self.young.bodies >= BODIES_MAX {
            let forgotten = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
            self.unknown = self.unknown.max(forgotten.newest);
            self.young.filter = forgotten.filter;
            if let Some(filter) = &mut self.young.filter {
                filter.clear();
            }
        }
        self.young.note(mixed(app, body), received);
    }
}

impl Generation {
    fn may_hold(&self, hash: u64) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.contains_hash(hash))
    }

    fn note(&mut self, hash: u64, received: Timestamp) {
        let filter =
            self.filter.get_or_insert_with(|| BloomFilter::with_num_bits(BITS).seed(&0).hashes(BITS_EACH));
        filter.insert_hash(hash);
        self.bodies += 1;
        self.newest = self.newest.max(Some(received));
    }
}

/// The hash of a body is one already; the app keeps those apart that came to several.
fn mixed(app: AppId, body: &[u8; 16]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *body;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) ^ app.0.rotate_right(8)
}

#[cfg(test)]
mod tests {
    use measure::time::MINUTE_MS;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_248_000_000);

    fn body(n: usize) -> [u8; 16] {
        // Spread over all bits, as a digest is.
        (n as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835).to_be_bytes()
    }

    #[test]
    fn what_was_noted_is_never_denied() {
        let mut bodies = RecentBodies::default();
        for n in 0..10_000 {
            bodies.note(AppId(1), &body(n), NOW);
        }
        assert!((0..10_000).all(|n| bodies.may_hold(AppId(1), &body(n), NOW.plus(MINUTE_MS))));
        let wrong = (10_000..20_000).filter(|n| bodies.may_hold(AppId(1), &body(*n), NOW)).count();
        assert!(wrong < 100, "{wrong}");
        let elsewhere = (0..10_000).filter(|n| bodies.may_hold(AppId(2), &body(*n), NOW)).count();
        assert!(elsewhere < 100, "{elsewhere}");
    }

    #[test]
    fn what_was_forgotten_is_denied_only_once_it_no_longer_counts() {
        let mut bodies = RecentBodies::default();
        let age = |bodies: &mut RecentBodies| {
            bodies.young.bodies = BODIES_MAX;
            bodies.note(AppId(1), &body(1), NOW.plus(MINUTE_MS));
        };
        bodies.note(AppId(1), &body(0), NOW);
        age(&mut bodies);
        // The older generation holds it.
        assert!(!bodies.may_hold(AppId(1), &body(2), NOW));
        assert!(bodies.may_hold(AppId(1), &body(0), NOW));
        age(&mut bodies);
        for held in [0, 2] {
            assert!(bodies.may_hold(AppId(1), &body(held), NOW.plus(POSSIBLE_DUPLICATE_MS)));
            assert!(!bodies.may_hold(AppId(1), &body(held), NOW.plus(POSSIBLE_DUPLICATE_MS + 1)));
        }
    }

    #[test]
    fn what_the_store_alone_knows_is_not_denied() {
        let bodies = RecentBodies { unknown: Some(NOW), ..RecentBodies::default() };
        assert!(bodies.may_hold(AppId(1), &body(0), NOW.plus(POSSIBLE_DUPLICATE_MS)));
        assert!(!bodies.may_hold(AppId(1), &body(0), NOW.plus(POSSIBLE_DUPLICATE_MS + 1)));
    }
}
