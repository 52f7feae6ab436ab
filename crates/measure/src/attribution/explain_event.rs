//! The attribution of an event in plain sentences.

use crate::{
    attribution::{
        Attributed, Candidate, EventAction, EventDecision, LosingReason, Source, Unattributed,
        explain::{because, engagement, fraud, oddity, span, standing, why_lost, window},
    },
    catalogue::{APPLE_SEARCH_ADS, Catalogue},
    policy::Window,
    time::SECOND_MS,
};

/// What the thing is called that engagements are compared with.
const EVENT: &str = "event";

/// The attribution of an event in plain sentences, names taken from the catalogue: to whom and why, or why to
/// nobody, then each reengagement that lost with its one reason, then what was odd.
#[must_use]
pub fn explain_event(attributed: &Attributed<'_>, catalogue: &Catalogue) -> Vec<String> {
    let mut sentences = vec![verdict(attributed, catalogue)];
    let Some(decision) = attributed.decision else { return sentences };
    sentences.extend(decision.winner().into_iter().flat_map(standing));
    sentences.extend(protection(attributed, decision));
    let losers = decision.candidates.iter().filter_map(|candidate| Some((candidate, candidate.lost?)));
    let winner = decision.winner();
    sentences.extend(losers.map(|(loser, reason)| lost(loser, reason, winner, catalogue)));
    sentences.extend(fraud(&decision.candidates, catalogue, EVENT));
    if decision.ambiguous {
        sentences.push(
            "Another network had an equally likely claim: the latest engagement was taken, and the decision is \
             marked as ambiguous."
                .to_owned(),
        );
    }
    sentences.extend(decision.flags.iter().filter_map(|flag| oddity(*flag, EVENT)));
    if decision.more {
        sentences.push("There were more engagements than are listed here.".to_owned());
    }
    sentences
}

fn verdict(attributed: &Attributed<'_>, catalogue: &Catalogue) -> String {
    let event = attributed.event;
    let winner = attributed.decision.and_then(EventDecision::winner);
    match (attributed.action(), attributed.source, winner) {
        (EventAction::Reengagement, _, Some(winner)) => format!(
            "The event {event} is attributed to a reengagement: {}, because {}.",
            engagement(winner, catalogue, EVENT),
            because(winner)
        ),
        (EventAction::Reengagement | EventAction::Install, Some(source), _) => format!(
            "The event {event} is attributed to the source of its install, {}{}.",
            origin(source, catalogue),
            association(attributed)
        ),
        _ => format!(
            "The event {event} is unattributed: {}.",
            match attributed.reason() {
                Some(Unattributed::OrganicInstall) => "its install came from no ad".to_owned(),
                Some(Unattributed::OutsideEventAssociation) => format!(
                    "it came {}too late after its install{}",
                    excess(attributed),
                    association(attributed)
                ),
                Some(Unattributed::NoInstall) | None => "no install of its device is known".to_owned(),
            }
        ),
    }
}

/// `a click of Acme`.
fn origin(source: &Source, catalogue: &Catalogue) -> String {
    let name = catalogue.network(source.network).map(|network| network.name.clone());
    let name = name.unwrap_or_else(|| match source.network {
        APPLE_SEARCH_ADS => "Apple Search Ads".to_owned(),
        id => format!("network {id}"),
    });
    let article = if source.kind == crate::engagement::EngagementKind::Click { "a" } else { "an" };
    format!("{article} {} of {name}", source.kind.name())
}

/// `, 2 hours after it; events belong to it for 30 days (set by the tracker)`.
fn association(attributed: &Attributed<'_>) -> String {
    let after = attributed.installed.map_or(0, |installed| attributed.time.since(installed));
    let after = if after < 0 {
        format!(", {} before it", span(-after))
    } else {
        format!(", {} after it", span(after))
    };
    match attributed.decision.map(|decision| (decision.association, decision.association_from)) {
        None | Some((Window::UNLIMITED, _)) => after,
        Some((Window::Disabled, level)) => {
            format!("{after}; events never belong to it (set {})", level.in_words())
        }
        Some((Window::Seconds(seconds), level)) => {
            let window = span(i64::from(seconds) * SECOND_MS);
            format!("{after}; events belong to it for {window} (set {})", level.in_words())
        }
    }
}

/// `1 second `: by how much an event missed the time that events belong to its install; nothing where they never do.
fn excess(attributed: &Attributed<'_>) -> String {
    let window = attributed.decision.map(|decision| decision.association);
    let (Some(Window::Seconds(seconds)), Some(installed)) = (window, attributed.installed) else {
        return String::new();
    };
    format!("{} ", span(attributed.time.since(installed) - i64::from(seconds) * SECOND_MS))
}

fn protection(attributed: &Attributed<'_>, decision: &EventDecision) -> Option<String> {
    let protected = |candidate: &Candidate| candidate.lost == Some(LosingReason::MtrProtected);
    let last = decision.last_attributed.filter(|_| decision.candidates.iter().any(protected))?;
    Some(format!(
        "The device was attributed {} before; the minimum time to reengagement of {} is {}.",
        span(attributed.time.since(last)),
        attributed.event,
        span(i64::from(decision.minimum_time) * SECOND_MS)
    ))
}

fn lost(
    loser: &Candidate,
    reason: LosingReason,
    winner: Option<&Candidate>,
    catalogue: &Catalogue,
) -> String {
    format!(
        "Not credited: {} ({}, {}): {} ({reason}).",
        engagement(loser, catalogue, EVENT),
        loser.basis.class(),
        window(loser),
        why_lost(loser, reason, winner)
    )
}
