//! What an event is attributed to, and why (tracking-and-attribution.md sections 9 and 18).

use measure::{
    Timestamp,
    attribution::{Attributed, EventDecision, explain_event},
    catalogue::Catalogue,
    policy::Window,
};
use serde_json::{Value, json};

use super::{attribution::candidate, iso};

/// The attribution of an event as data and in plain sentences.
pub(super) fn attribution(catalogue: &Catalogue, event: &Attributed<'_>) -> Value {
    json!({
        "action": event.action().name(),
        "reason": event.reason().map(measure::attribution::Unattributed::name),
        "matched_by": event.matched_by(),
        "matched_to": event.matched_to(),
        "seconds_since": event.seconds_since(),
        "install_time": event.installed.map(iso),
        "decision": event.decision.map(|decision| in_full(catalogue, decision)),
        "explanation": explain_event(event, catalogue),
    })
}

/// What was decided, with every candidate.
fn in_full(catalogue: &Catalogue, decision: &EventDecision) -> Value {
    json!({
        "winner": decision.winner().map(|winner| candidate(catalogue, winner)),
        "ambiguous": decision.ambiguous,
        "revision": decision.revision,
        "flags": decision.flags.iter().map(|flag| flag.name()).collect::<Vec<_>>(),
        "candidates": decision.candidates.iter().map(|one| candidate(catalogue, one)).collect::<Vec<_>>(),
        "more": decision.more,
        "event_association_seconds": match decision.association {
            Window::UNLIMITED => Value::Null,
            Window::Disabled => 0.into(),
            Window::Seconds(seconds) => seconds.into(),
        },
        "event_association_from": decision.association_from.name(),
        "minimum_time_seconds": decision.minimum_time,
        "last_attributed": decision.last_attributed.map(iso),
        "decided": iso(decision.decided),
        "settings_version": decision.catalogue,
    })
}

/// The attribution of what is joined to an install, or waits for one.
pub(super) fn attributed<'a>(
    event: &'a measure::event::Event,
    installed: Option<Timestamp>,
    source: Option<&'a measure::attribution::Source>,
    decision: Option<&'a EventDecision>,
) -> Attributed<'a> {
    Attributed { event: &event.name, time: event.time, installed, source, decision }
}
