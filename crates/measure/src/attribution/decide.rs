//! The decision itself.

use std::collections::BTreeSet;

use crate::{
    Timestamp, TouchId, attribution::Decision, catalogue::Catalogue, engagement::Touch, flag::Flags,
    install::InstallRecord,
};

/// Everything that a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The install.
    pub record: &'a InstallRecord,
    /// The engagements found under the install's match keys, all of its app, in any order. One that was
    /// found under several keys may be here several times.
    pub touches: &'a [Touch],
    /// Whether a match key had more engagements than were loaded (DECISIONS 22).
    pub more: bool,
    /// Engagements that an earlier install was credited with as modeled (DECISIONS 19).
    pub credited: &'a BTreeSet<TouchId>,
    /// Windows and settings.
    pub catalogue: &'a Catalogue,
    /// 0 for the first decision on the install; each change of it adds one.
    pub revision: u32,
    /// The receipt time of the input that asks.
    pub decided: Timestamp,
}

/// Decides which engagement an install came from (tracking-and-attribution.md sections 5 to 8 and 18).
/// Always answers, and the same for the same question, in whatever order the engagements come.
#[must_use]
pub fn decide(question: &Question<'_>) -> Decision {
    Decision {
        app: question.record.app,
        install: question.record.id,
        revision: question.revision,
        decided: question.decided,
        catalogue: question.catalogue.version,
        candidates: Vec::new(),
        more: question.more,
        ambiguous: false,
        flags: Flags::new(),
    }
}
