//! Engagements of one device with one ad that came more than once (tracking-and-attribution.md section 8).

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    NetworkId, TouchId, TrackerId,
    attribution::Candidate,
    engagement::{EngagementKind, LinkIdentifier, Touch},
};

/// What two engagements have in common when one repeats the other: what was done, with which ad, and by whom.
type Sighting = (EngagementKind, NetworkId, Option<TrackerId>, Who);

/// By whom: the identifiers, or, of an engagement without any, everything it contains. Behind one address
/// there are several phones of one model.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Device(BTreeSet<String>),
    Content(u64),
}

fn sighting(touch: &Touch) -> Sighting {
    let identifiers: BTreeSet<String> = touch.identifiers.iter().map(LinkIdentifier::in_words).collect();
    let who = if identifiers.is_empty() { Who::Content(touch.content_key) } else { Who::Device(identifiers) };
    (touch.kind, touch.network, touch.tracker, who)
}

/// The candidates that only repeat one before them, of those in order that nothing bars.
pub(super) fn repeats(candidates: &[Candidate], touches: &BTreeMap<TouchId, &Touch>) -> BTreeSet<TouchId> {
    let mut seen = BTreeSet::new();
    let open = candidates.iter().filter(|candidate| candidate.lost.is_none());
    let touches = open.filter_map(|candidate| touches.get(&candidate.touch?));
    touches.filter(|touch| !seen.insert(sighting(touch))).map(|touch| touch.id).collect()
}
