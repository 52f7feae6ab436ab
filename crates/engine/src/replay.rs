//! The record, decided once more.

use std::{collections::HashSet, sync::Arc};

use measure::catalogue::Catalogue;
use store::{Store, StoreError};

use crate::{Machine, Submission, history::Versions, privacy::is_erased};

/// Facts read and decided in one step.
const STEP_FACTS: usize = 1_000;

/// Decides every input on record in `from` again, in the order of the record and under the catalogue
/// versions that it names, into the empty store `into`. The decisions come out the same, byte for byte.
///
/// # Errors
/// One of the stores cannot be read or written.
pub fn replay(from: &dyn Store, into: &Arc<dyn Store>) -> Result<(), StoreError> {
    let changes = from.changes()?;
    into.record(&changes)?;
    let mut versions = Versions::new(Catalogue::default(), changes);
    let mut machine = Machine::open(into.clone(), versions.at(0))?;
    let mut done = HashSet::new();
    let mut next = 1;
    loop {
        let facts = from.facts(next, STEP_FACTS)?;
        let Some(last) = facts.last() else { return Ok(()) };
        next = last.sequence + 1;
        for fact in facts {
            // What was erased is part of nothing any more (DECISIONS 23).
            // A further fact of the same input tells what became of it later; it is no input of its own.
            if !done.insert(fact.input.id) || is_erased(&fact.input) {
                continue;
            }
            let catalogue = versions.at(fact.input.catalogue);
            let submission = Submission::Input(Box::new(fact.input), catalogue);
            machine.process(vec![vec![submission]]);
            while machine.index_some_digests() {}
        }
    }
}
