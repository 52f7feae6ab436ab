//! The decision itself.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    NetworkId, Timestamp, TouchId, TrackerId,
    attribution::{
        Basis, Candidate, Decision, LosingReason,
        matching::{Matcher, rank},
    },
    catalogue::{APPLE_SEARCH_ADS, App, Catalogue},
    engagement::{EngagementKind, Touch},
    flag::{Flag, Flags},
    fraud::{self, HourFigures},
    install::InstallRecord,
    policy::{CANDIDATES_MAX, DEFAULT_WINDOWS, LATE_GRACE_MS, Level, Policy, Window},
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
    /// Figures of the last closed hour, for engagements that fraud rules need them for (DECISIONS 24).
    pub figures: &'a BTreeMap<TouchId, HourFigures>,
    /// Windows and settings.
    pub catalogue: &'a Catalogue,
    /// 0 for the first decision on the install; each change of it adds one.
    pub revision: u32,
    /// The receipt time of the input that asks.
    pub decided: Timestamp,
}

/// Decides which engagement an install came from (tracking-and-attribution.md sections 5 to 8 and 18).
/// Always answers, and the same for the same question, in whatever order the engagements come.
///
/// Every engagement that the install could have come from becomes one candidate: on the best basis that
/// is not barred, or on the best one if all are. The first candidate that nothing bars wins, by class,
/// then by time (DECISIONS 5).
#[must_use]
pub fn decide(question: &Question<'_>) -> Decision {
    let judge = Judge::new(question);
    let touches: BTreeMap<TouchId, &Touch> = question.touches.iter().map(|touch| (touch.id, touch)).collect();
    let mut candidates: Vec<Candidate> =
        touches.into_values().filter_map(|touch| judge.touch(touch)).chain(judge.search_ads()).collect();
    fraud::judge(question, &mut candidates);
    candidates.sort_by_key(|candidate| {
        let Candidate { rank, time, content_key, touch, .. } = candidate;
        (*rank, Reverse((*time, *content_key, *touch)))
    });
    let ambiguous = settle(&mut candidates);
    let flags = judge.flags(&candidates);
    let more = question.more || candidates.len() > CANDIDATES_MAX;
    candidates.truncate(CANDIDATES_MAX);
    Decision {
        app: question.record.app,
        install: question.record.id,
        revision: question.revision,
        decided: question.decided,
        catalogue: question.catalogue.version,
        candidates,
        more,
        ambiguous,
        flags,
        figures: question.figures.clone(),
    }
}

/// Moves the winner to the front of ordered candidates and gives every other one that nothing barred the
/// reason why it lost. Says whether another network had an equally good modeled claim.
fn settle(candidates: &mut [Candidate]) -> bool {
    let Some(place) = candidates.iter().position(|candidate| candidate.lost.is_none()) else {
        return false;
    };
    candidates[..=place].rotate_right(1);
    let Some((winner, losers)) = candidates.split_first_mut() else {
        return false;
    };
    let mut ambiguous = false;
    for loser in losers.iter_mut().filter(|loser| loser.lost.is_none()) {
        if loser.rank == winner.rank {
            ambiguous |= winner.basis == Basis::Modeled && loser.network != winner.network;
            loser.lost = Some(LosingReason::OlderClick);
        } else {
            loser.lost = Some(LosingReason::LowerClass);
        }
    }
    ambiguous
}

/// Who engaged, when, and whose engagement it was, as far as windows depend on it.
#[derive(Clone, Copy)]
struct Origin {
    kind: EngagementKind,
    network: NetworkId,
    tracker: Option<TrackerId>,
}

/// A question with what its candidates have in common.
struct Judge<'a> {
    question: &'a Question<'a>,
    app: Option<&'a App>,
    policy: Policy,
    matcher: Matcher<'a>,
}

impl<'a> Judge<'a> {
    fn new(question: &'a Question<'a>) -> Self {
        let catalogue = question.catalogue;
        let app = catalogue.app(question.record.app).map(AsRef::as_ref);
        Self {
            question,
            app,
            policy: app.map_or(catalogue.policy, |app| catalogue.policy_of(app)),
            matcher: Matcher::new(&question.record.install, question.touches),
        }
    }

    /// The candidate that a touch makes, if the install can have come from it at all.
    fn touch(&self, touch: &Touch) -> Option<Candidate> {
        let (age_ms, skewed) = self.age(touch.time, touch.received)?;
        let mut best: Option<Candidate> = None;
        for (basis, double_hash) in self.matcher.bases(touch) {
            let origin = Origin { kind: touch.kind, network: touch.network, tracker: Some(touch.tracker) };
            let (window, window_from) = self.window(origin, &basis);
            let lost = self.obstacle(touch, &basis).or_else(|| outside(window, age_ms));
            let candidate = Candidate {
                touch: Some(touch.id),
                kind: touch.kind,
                rank: rank(touch.kind, &basis),
                network: touch.network,
                campaign: Some(touch.campaign),
                segment: Some(touch.segment),
                tracker: Some(touch.tracker),
                time: touch.time,
                age_ms,
                window,
                window_from,
                flags: flags(&[(skewed, Flag::ClockSkew), (double_hash, Flag::DoubleHash)]),
                content_key: touch.content_key,
                basis,
                lost,
                fraud: Vec::new(),
                site: None,
            };
            if candidate.lost.is_none() {
                return Some(candidate);
            }
            best = best.or(Some(candidate));
        }
        best
    }

    /// Apple's word, a deterministic click (section 11). Without a date of Apple's it carries the time of
    /// the install.
    fn search_ads(&self) -> Option<Candidate> {
        let record = self.question.record;
        let ads = record.install.search_ads.as_ref()?;
        let time = ads.click_time.unwrap_or(record.install.time);
        let (age_ms, skewed) = self.age(time, record.received)?;
        let basis = Basis::AppleSearchAds;
        let kind = EngagementKind::Click;
        let (window, window_from) =
            self.window(Origin { kind, network: APPLE_SEARCH_ADS, tracker: None }, &basis);
        Some(Candidate {
            touch: None,
            kind,
            rank: rank(kind, &basis),
            network: APPLE_SEARCH_ADS,
            campaign: None,
            segment: None,
            tracker: None,
            time,
            age_ms,
            window,
            window_from,
            flags: flags(&[(skewed, Flag::ClockSkew), (ads.click_time.is_none(), Flag::DateManufactured)]),
            content_key: 0,
            basis,
            lost: outside(window, age_ms),
            fraud: Vec::new(),
            site: None,
        })
    }

    /// How long before the install an engagement happened, and whether that is 0 for the sake of clocks
    /// that disagree (DECISIONS 2). `None` when it happened after the install.
    fn age(&self, time: Timestamp, received: Timestamp) -> Option<(i64, bool)> {
        let record = self.question.record;
        let age_ms = record.install.time.since(time);
        if age_ms >= 0 {
            return Some((age_ms, false));
        }
        let skew = time <= super::horizon(record.install.time, &self.policy);
        (skew && received <= record.received).then_some((0, true))
    }

    /// What bars a touch whatever its window: first what makes the match impossible, then what forbids it.
    fn obstacle(&self, touch: &Touch, basis: &Basis) -> Option<LosingReason> {
        let credited = *basis == Basis::Modeled
            && self.policy.modeled_single_use
            && self.question.credited.contains(&touch.id);
        let late = touch.received.since(self.question.record.received) > LATE_GRACE_MS;
        self.matcher
            .obstacle(touch, basis, self.policy.modeled_without_att)
            .or(late.then_some(LosingReason::Late))
            .or(credited.then_some(LosingReason::AlreadyCredited))
    }

    /// The window of a class and who set it: tracker, else network, else app, else the server's default
    /// (section 6).
    fn window(&self, origin: Origin, basis: &Basis) -> (Window, Level) {
        let catalogue = self.question.catalogue;
        let [click_device, click_modeled, impression_device, impression_modeled] = DEFAULT_WINDOWS;
        let (setting, default) = match (origin.kind, basis.is_deterministic()) {
            (EngagementKind::Click, true) => click_device,
            (EngagementKind::Click, false) => click_modeled,
            (EngagementKind::Impression, true) => impression_device,
            (EngagementKind::Impression, false) => impression_modeled,
        };
        let tracker = origin.tracker.and_then(|id| catalogue.tracker(id)).map(|tracker| &tracker.windows);
        let network = catalogue.network(origin.network).map(|network| &network.windows);
        let app = self.app.map(|app| &app.policy.windows);
        [(tracker, Level::Tracker), (network, Level::Network), (app, Level::App)]
            .into_iter()
            .find_map(|(windows, level)| Some((setting(windows?)?, level)))
            .unwrap_or_else(|| {
                (setting(&self.policy.windows).unwrap_or(Window::Seconds(default)), Level::Default)
            })
    }

    /// What was odd about the decision as a whole: what was odd about the winner, whether its click was
    /// shared, and whether modeled matches were in question without consent (DECISIONS 17, 19).
    fn flags(&self, candidates: &[Candidate]) -> Flags {
        let modeled = |candidate: &Candidate| candidate.basis == Basis::Modeled;
        let winner = candidates.first().filter(|candidate| candidate.lost.is_none());
        let shared = winner.is_some_and(|winner| {
            modeled(winner) && winner.touch.is_some_and(|id| self.question.credited.contains(&id))
        });
        let no_consent = self.matcher.lacks_att() && candidates.iter().any(modeled);
        let mut all = winner.map(|winner| winner.flags.clone()).unwrap_or_default();
        all.extend(flags(&[(shared, Flag::SharedClick), (no_consent, Flag::AttNoConsent)]));
        all
    }
}

fn outside(window: Window, age_ms: i64) -> Option<LosingReason> {
    (!window.covers(age_ms)).then_some(LosingReason::OutsideWindow)
}

fn flags(given: &[(bool, Flag)]) -> Flags {
    given.iter().filter(|(is, _)| *is).map(|(_, flag)| *flag).collect()
}
