//! The catalogue as it was when each input was resolved.

use std::{collections::BTreeMap, iter::Peekable, sync::Arc, vec::IntoIter};

use measure::catalogue::{Catalogue, Change};

/// Catalogue versions kept at hand: inputs resolved under neighbouring versions may have been committed the
/// other way round.
const VERSIONS_MAX: usize = 64;

/// The versions of a catalogue, made one after the other as a record is read from its beginning.
pub(crate) struct Versions {
    changes: Peekable<IntoIter<Change>>,
    newest: Arc<Catalogue>,
    at_hand: BTreeMap<u64, Arc<Catalogue>>,
}

impl Versions {
    /// The history that `changes` make, beginning with `first`.
    pub(crate) fn new(first: Catalogue, changes: Vec<Change>) -> Self {
        let newest = Arc::new(first);
        let at_hand = BTreeMap::from([(0, newest.clone())]);
        Self { changes: changes.into_iter().peekable(), newest, at_hand }
    }

    /// The catalogue of a version that an input names.
    pub(crate) fn at(&mut self, version: u64) -> Arc<Catalogue> {
        while self.changes.peek().is_some_and(|change| change.version <= version) {
            if let Some(change) = self.changes.next() {
                Arc::make_mut(&mut self.newest).apply(change);
                self.at_hand.insert(self.newest.version, self.newest.clone());
            }
            if self.at_hand.len() > VERSIONS_MAX {
                self.at_hand.pop_first();
            }
        }
        let found = self.at_hand.range(..=version).next_back();
        found.map_or_else(|| self.newest.clone(), |(_, catalogue)| catalogue.clone())
    }
}
