//! The record, decided once more.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use measure::catalogue::Catalogue;
use store::{Store, StoreError};

use crate::{Machine, Submission};

/// Facts read and decided in one step.
const STEP_FACTS: usize = 1_000;
/// Catalogue versions kept at hand.
const VERSIONS_MAX: usize = 64;

/// Decides every input on record in `from` again, in the order of the record and under the catalogue
/// versions that it names, into the empty store `into`. The decisions come out the same, byte for byte.
///
/// # Errors
/// One of the stores cannot be read or written.
pub fn replay(from: &dyn Store, into: &Arc<dyn Store>) -> Result<(), StoreError> {
    let changes = from.changes()?;
    into.record(&changes)?;
    let mut changes = changes.into_iter().peekable();
    let mut newest = Arc::new(Catalogue::default());
    let mut machine = Machine::open(into.clone(), newest.clone())?;
    // Inputs resolved under neighbouring versions may have been committed the other way round.
    let mut versions = BTreeMap::from([(0, newest.clone())]);
    let mut done = HashSet::new();
    let mut next = 1;
    loop {
        let facts = from.facts(next, STEP_FACTS)?;
        let Some(last) = facts.last() else { return Ok(()) };
        next = last.sequence + 1;
        for fact in facts {
            // A further fact of the same input tells what became of it later; it is no input of its own.
            if !done.insert(fact.input.id) {
                continue;
            }
            while changes.peek().is_some_and(|change| change.version <= fact.input.catalogue) {
                if let Some(change) = changes.next() {
                    Arc::make_mut(&mut newest).apply(change);
                    versions.insert(newest.version, newest.clone());
                }
                if versions.len() > VERSIONS_MAX {
                    versions.pop_first();
                }
            }
            let version = versions.range(..=fact.input.catalogue).next_back();
            let catalogue = version.map_or_else(|| newest.clone(), |(_, catalogue)| catalogue.clone());
            let submission = Submission::Input(Box::new(fact.input), catalogue);
            machine.process(vec![vec![submission]]);
            while machine.index_some_digests() {}
        }
    }
}
