//! A decision in plain sentences.

use crate::{
    attribution::{Basis, Candidate, Decision, LosingReason, nearest},
    catalogue::{APPLE_SEARCH_ADS, Catalogue},
    engagement::EngagementKind,
    flag::Flag,
    policy::Window,
    referrer::Reported,
    time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS},
};

/// The decision in plain sentences, names taken from the catalogue: the winner and why, or that the
/// install is organic, then each loser with its one reason, its age and its window: best class and latest
/// first, or the nearest miss first of an organic install. Then what was odd.
#[must_use]
pub fn explain(decision: &Decision, catalogue: &Catalogue) -> Vec<String> {
    let mut sentences = Vec::new();
    match decision.winner() {
        Some(winner) => {
            sentences.push(format!("The install is attributed to {}.", gain(winner, catalogue)));
            sentences.extend(standing(winner));
        }
        None if decision.reported.is_some() => {
            sentences.extend(decision.reported.as_ref().map(|reported| unclaimed(reported, catalogue)));
        }
        None if decision.candidates.is_empty() => {
            sentences.push("The install is organic: no click or impression before it matches it.".to_owned());
        }
        None => sentences.push(
            "The install is organic: nothing that was found could be credited. The nearest misses follow."
                .to_owned(),
        ),
    }
    sentences.extend(nearest(decision).iter().map(|miss| miss.sentence(catalogue)));
    let beaten = decision.candidates.iter().filter(|_| decision.winner().is_some());
    let losers = beaten.filter_map(|candidate| Some((candidate, candidate.lost?)));
    sentences.extend(losers.map(|(loser, reason)| {
        format!("Not credited: {}.", loss(loser, reason, decision.winner(), catalogue))
    }));
    sentences.extend(fraud(&decision.candidates, catalogue, "install"));
    if decision.ambiguous {
        sentences.push(
            "Another network had an equally likely claim: the latest engagement was taken, and the decision is \
             marked as ambiguous."
                .to_owned(),
        );
    }
    sentences.extend(decision.flags.iter().filter_map(|flag| oddity(*flag, "install")));
    if decision.more {
        sentences.push("There were more engagements than are listed here.".to_owned());
    }
    sentences
}

/// What fraud rules saw in the candidates of a decision on `of`, an install or event.
pub(super) fn fraud(candidates: &[Candidate], catalogue: &Catalogue, of: &str) -> Vec<String> {
    let named: Vec<_> =
        candidates.iter().map(|candidate| (engagement(candidate, catalogue, of), candidate)).collect();
    crate::fraud::sentences(&named, of)
}

/// Why an install whose referrer names a source is credited to nobody.
fn unclaimed(reported: &Reported, catalogue: &Catalogue) -> String {
    let network = reported.network.and_then(|id| catalogue.network(id));
    let tracker = reported.tracker.and_then(|id| catalogue.tracker(id));
    let tracker = tracker.map(|tracker| format!(" (tracker {})", tracker.name)).unwrap_or_default();
    let what = match network {
        Some(network) => format!("a paid click of {}{tracker}", network.name),
        None if reported.paid => "a paid source".to_owned(),
        None => "a source".to_owned(),
    };
    let campaign = reported.campaign.as_deref().map(|name| format!(" (campaign {name})")).unwrap_or_default();
    format!(
        "The install is unclaimed: its install referrer names {}{campaign}, {what}, and nothing that could be \
         credited is on record.",
        reported.name
    )
}

/// What won and why, in words: `a click of Acme (tracker Spring, campaign Launch), 2 hours before the install,
/// because both carry the same adid`.
#[must_use]
pub fn gain(winner: &Candidate, catalogue: &Catalogue) -> String {
    format!("{}, because {}", engagement(winner, catalogue, "install"), because(winner))
}

/// The place of a winner among the classes, and its window.
pub(super) fn standing(winner: &Candidate) -> Vec<String> {
    let mut sentences = vec![format!(
        "The match is of class {}, place {} in the order of classes, inside its {}.",
        winner.basis.class(),
        winner.rank,
        window(winner)
    )];
    if winner.basis == Basis::Modeled && winner.rank == 1 {
        sentences.push(
            "The click lies inside the equalizer of the app (attribution.equalizer), so its likely match counts \
             as much as a certain one, and the latest won."
                .to_owned(),
        );
    }
    sentences
}

/// What lost, with its class and window, and why, in words; `winner` is what won instead.
#[must_use]
pub fn loss(
    loser: &Candidate,
    reason: LosingReason,
    winner: Option<&Candidate>,
    catalogue: &Catalogue,
) -> String {
    format!(
        "{} ({}, {}): {} ({reason})",
        engagement(loser, catalogue, "install"),
        loser.basis.class(),
        window(loser),
        why_lost(loser, reason, winner)
    )
}

/// `a click of Acme (tracker Spring, campaign Launch), 2 hours before the install`.
pub(super) fn engagement(candidate: &Candidate, catalogue: &Catalogue, of: &str) -> String {
    let network = catalogue.network(candidate.network).map(|network| network.name.clone());
    let network = network.unwrap_or_else(|| match candidate.network {
        APPLE_SEARCH_ADS => "Apple Search Ads".to_owned(),
        id => format!("network {id}"),
    });
    let tracker = candidate.tracker.map(|id| {
        let name = catalogue.tracker(id).map(|tracker| tracker.name.clone());
        format!("tracker {}", name.unwrap_or_else(|| id.to_string()))
    });
    let campaign = candidate.campaign.map(|id| {
        let name = catalogue.campaign(id).map(|campaign| campaign.name.clone());
        format!("campaign {}", name.unwrap_or_else(|| id.to_string()))
    });
    let places: Vec<String> = tracker.into_iter().chain(campaign).collect();
    let places = if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
    let kind = match (candidate.kind, &candidate.basis) {
        (EngagementKind::Click, Basis::Claim { .. }) => "a claimed click",
        (EngagementKind::Impression, Basis::Claim { .. }) => "a claimed impression",
        (EngagementKind::Click, _) => "a click",
        (EngagementKind::Impression, _) => "an impression",
    };
    let when = match candidate.age_ms {
        0 => format!("at the time of the {of}"),
        age_ms if age_ms < 0 => format!("{} after the {of}", span(-age_ms)),
        age_ms => format!("{} before the {of}", span(age_ms)),
    };
    format!("{kind} of {network}{places}, {when}")
}

pub(super) fn because(winner: &Candidate) -> String {
    match &winner.basis {
        Basis::Identifier { kind, form: None } => format!("both carry the same {kind}"),
        Basis::Identifier { kind, form: Some(form) } => {
            format!("it carries the {kind} of the device, hashed as {form}")
        }
        Basis::Claim { kind, form: None } => format!("the network claims the {kind} of the device"),
        Basis::Claim { kind, form: Some(form) } => {
            format!("the network claims the {kind} of the device, hashed as {form}")
        }
        Basis::InstallReferrer => "its click id came back in the install referrer".to_owned(),
        Basis::LandingPage => "its click id came back from the landing page".to_owned(),
        Basis::AppleSearchAds => "Apple says so".to_owned(),
        Basis::Modeled => "it came from the same address and a device that looks alike".to_owned(),
        Basis::Ip => "it came from the same address".to_owned(),
        Basis::PartialIp => "the first three parts of its address are the same".to_owned(),
    }
}

pub(super) fn why_lost(loser: &Candidate, reason: LosingReason, winner: Option<&Candidate>) -> String {
    match reason {
        LosingReason::OutsideWindow => match loser.window {
            Window::Disabled => "its class is switched off".to_owned(),
            // Spans are cut to two units: at the edge both would read the same.
            Window::Seconds(seconds) => format!(
                "it came {} too early for its window",
                span(loser.age_ms - i64::from(seconds) * SECOND_MS)
            ),
        },
        LosingReason::OverridesDisabled => "the overrides of its tracker switch its class off".to_owned(),
        LosingReason::DuplicateOnly => {
            "the same device engaged with the same ad again later, and that one stands for both".to_owned()
        }
        LosingReason::LowerClass if winner.is_some_and(|winner| winner.rank == loser.rank) => {
            "the app puts the one that won before others of its class (completed views, or those of a network \
             with a click)"
                .to_owned()
        }
        LosingReason::LowerClass => "an engagement of a better class won".to_owned(),
        LosingReason::OlderClick if winner.is_some_and(|winner| winner.time == loser.time) => {
            "another engagement of an equal class happened at the same moment and won by the rule of ties"
                .to_owned()
        }
        LosingReason::OlderClick => "a later engagement of an equal class won".to_owned(),
        LosingReason::IdentifierMismatch => "it carries the identifier of another device".to_owned(),
        LosingReason::PlatformMismatch => {
            "operating system, version or model differ, or the system is not known".to_owned()
        }
        LosingReason::AttNoConsent => {
            "no consent to tracking was told, and the app allows no modeled matches without it".to_owned()
        }
        LosingReason::AttNoIdfa => {
            "the device tells no IDFA, and the app allows no likely match then".to_owned()
        }
        LosingReason::AmbiguousRefused => {
            "several networks had an equally likely claim, and the app credits none of them then".to_owned()
        }
        LosingReason::Late => "it came in more than ten minutes after the install".to_owned(),
        LosingReason::AlreadyCredited => {
            "another install was credited with it, and the app allows that once".to_owned()
        }
        LosingReason::CarriedIdentifier => {
            "it carries an identifier that the install does not tell, and such engagements are not modeled"
                .to_owned()
        }
        LosingReason::SanClaimBeaten => {
            "another engagement was later, or of a better class, than what the network claims".to_owned()
        }
        LosingReason::GranularDataSharing => {
            "the network does not let this claim be used for a single install".to_owned()
        }
        LosingReason::Rejected(rule) => format!("the fraud rule {} rejects it", rule.name()),
        LosingReason::ReengagementTracker => {
            "its tracker is a reengagement tracker, and this is the first install of the device".to_owned()
        }
        LosingReason::AcquisitionTracker => {
            "the device had the app before, and only reengagement trackers are credited then".to_owned()
        }
        LosingReason::NotCovered => {
            "its tracker does not list this event, or not for engagements of this kind".to_owned()
        }
        LosingReason::BeforeInstall => "the app was installed after it already".to_owned(),
        LosingReason::MtrProtected => {
            "the minimum time to reengagement had not passed since the last attribution".to_owned()
        }
    }
}

/// `window of 7 days set by the network`.
pub(super) fn window(candidate: &Candidate) -> String {
    match candidate.window {
        Window::Disabled => format!("window switched off {}", candidate.window_from.in_words()),
        Window::Seconds(seconds) => {
            format!(
                "window of {} set {}",
                span(i64::from(seconds) * SECOND_MS),
                candidate.window_from.in_words()
            )
        }
    }
}

/// What a flag of a decision on `of`, an install or event, means, for those that say more than the sentences
/// before.
pub(super) fn oddity(flag: Flag, of: &str) -> Option<String> {
    let text = match flag {
        Flag::ClockSkew => {
            return Some(format!(
                "By its own time the engagement happened just after the {of}; it arrived before it, so the \
                 clocks disagree, and it counts as of the same moment."
            ));
        }
        Flag::DateManufactured => "Apple gave no date, so the time of the install stands for it.",
        Flag::TimeFuture => {
            "By the network's own time the engagement lay in the future, so the receipt of the claim stands for it, \
             which is later than anything that was received before."
        }
        Flag::SharedClick => {
            "An earlier install was credited with the same engagement: one of the two may be a neighbour."
        }
        Flag::ReferrerMismatch => "The install referrer names another source than the one credited.",
        Flag::DoubleHash => "The identifier was hashed twice, which is unusual.",
        Flag::AttNoConsent => {
            "The device asks for tracking (iOS 14 or later) and no consent was told, so modeled matches \
             depend on the app's setting attribution.modeled_without_att."
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// The two largest units of a span: `2 days 5 hours`, `40 seconds`; `less than a second`.
pub(super) fn span(ms: i64) -> String {
    const UNITS: [(i64, &str); 4] =
        [(DAY_MS, "day"), (HOUR_MS, "hour"), (MINUTE_MS, "minute"), (SECOND_MS, "second")];
    let mut rest = ms;
    let mut parts = Vec::new();
    for (size, name) in UNITS {
        let count = rest / size;
        rest %= size;
        match count {
            0 if parts.is_empty() => continue,
            0 => break,
            1 => parts.push(format!("1 {name}")),
            _ => parts.push(format!("{count} {name}s")),
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "less than a second".to_owned() } else { parts.join(" ") }
}
