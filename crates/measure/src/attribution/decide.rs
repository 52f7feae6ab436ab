//! The decision itself.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    NetworkId, Timestamp, TouchId, TrackerId,
    attribution::{
        Basis, Candidate, Decision, LosingReason,
        event::Purpose,
        keys::latest,
        matching::{Matcher, rank},
        repeats::repeats,
    },
    catalogue::{APPLE_SEARCH_ADS, App, Catalogue},
    claim::ClaimTerms,
    engagement::{EngagementKind, Touch},
    flag::{Flag, Flags},
    fraud::{self, HourFigures},
    install::{ClickReferenceKind, InstallRecord, SearchAds},
    platform::Versions,
    policy::{
        CANDIDATES_MAX, DEFAULT_WINDOWS, FingerprintLevel, LATE_GRACE_MS, Level, Policy, Window,
        WindowSetting, Windows, claim_window,
    },
    referrer::Reported,
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
    decide_for(question, Purpose::of(question.record))
}

/// Decides which engagement is credited with what `purpose` says; the install of the question is what
/// engagements are compared with.
pub(super) fn decide_for(question: &Question<'_>, purpose: Purpose<'_>) -> Decision {
    let mut judge = Judge::for_purpose(question, purpose);
    let touches: BTreeMap<TouchId, &Touch> = question.touches.iter().map(|touch| (touch.id, touch)).collect();
    let found = touches.values().filter_map(|touch| judge.touch(touch));
    let mut candidates: Vec<Candidate> = found.chain(judge.search_ads()).collect();
    match purpose {
        Purpose::Install | Purpose::Reinstall(_) => fraud::judge(question, &mut candidates),
        Purpose::Event(_) => fraud::judge_reengagement(question, &mut candidates),
    }
    // It is the reason only where nothing else is.
    for open in candidates.iter_mut().filter(|candidate| candidate.lost.is_none()) {
        open.lost = purpose.protection();
    }
    judge.look_for_clicks(&candidates);
    candidates.sort_by_key(|candidate| {
        let Candidate { rank, time, content_key, touch, .. } = candidate;
        (*rank, Reverse((judge.prefers(candidate), *time, *content_key, *touch)))
    });
    let ambiguous = settle(&judge, &mut candidates, &touches);
    let reported = judge.reported(&candidates);
    let flags = judge.flags(&candidates, reported.as_ref());
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
        reported,
    }
}

/// Moves the winner to the front of ordered candidates and gives every other one that nothing barred the
/// reason why it lost. Says whether another network had an equally good claim to a likely match; where such
/// claims are refused, the likely ones all lose and a certain one may still win.
fn settle(judge: &Judge<'_>, candidates: &mut [Candidate], touches: &BTreeMap<TouchId, &Touch>) -> bool {
    let ambiguous = judge.is_ambiguous(candidates);
    let refused = ambiguous && judge.policy.ladder.refuse_ambiguous;
    if refused {
        for likely in candidates.iter_mut().filter(|candidate| !candidate.basis.is_deterministic()) {
            likely.lost = likely.lost.or(Some(LosingReason::AmbiguousRefused));
        }
    }
    let Some(place) = candidates.iter().position(|candidate| candidate.lost.is_none()) else {
        return false;
    };
    let repeats = repeats(candidates, touches);
    candidates[..=place].rotate_right(1);
    let Some((winner, losers)) = candidates.split_first_mut() else {
        return false;
    };
    for loser in losers.iter_mut().filter(|loser| loser.lost.is_none()) {
        loser.lost = Some(match loser.basis {
            Basis::Claim { .. } => LosingReason::SanClaimBeaten,
            _ if loser.touch.is_some_and(|touch| repeats.contains(&touch)) => LosingReason::DuplicateOnly,
            _ if judge.place(loser) == judge.place(winner) => LosingReason::OlderClick,
            _ => LosingReason::LowerClass,
        });
    }
    ambiguous && !refused
}

/// Who engaged, when, and whose engagement it was, as far as windows depend on it.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) kind: EngagementKind,
    pub(super) network: NetworkId,
    pub(super) tracker: Option<TrackerId>,
    pub(super) claim: Option<ClaimTerms>,
}

/// A question with what its candidates have in common.
pub(super) struct Judge<'a> {
    question: &'a Question<'a>,
    purpose: Purpose<'a>,
    app: Option<&'a App>,
    pub(super) policy: Policy,
    pub(super) matcher: Matcher<'a>,
    /// The networks of which a click matches, where that counts for their impressions.
    clicked: BTreeSet<NetworkId>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(question: &'a Question<'a>) -> Self {
        Self::for_purpose(question, Purpose::of(question.record))
    }

    fn for_purpose(question: &'a Question<'a>, purpose: Purpose<'a>) -> Self {
        let catalogue = question.catalogue;
        let app = catalogue.app(question.record.app).map(AsRef::as_ref);
        Self {
            question,
            purpose,
            app,
            policy: app.map_or(catalogue.policy, |app| catalogue.policy_of(app)),
            matcher: Matcher::new(&question.record.install, question.touches),
            clicked: BTreeSet::new(),
        }
    }

    /// The candidate that a touch makes, if the install can have come from it at all.
    fn touch(&self, touch: &Touch) -> Option<Candidate> {
        let tracker = touch.tracker.and_then(|id| self.question.catalogue.reengagement(id));
        if !self.purpose.looks_at(tracker) {
            return None;
        }
        let barred = self.purpose.bar(touch, tracker);
        let (age_ms, skewed) = self.age(touch.time, touch.received)?;
        let mut best: Option<Candidate> = None;
        for (basis, double_hash) in self.matcher.bases(touch) {
            let Touch { kind, network, tracker, claim, .. } = *touch;
            let origin = Origin { kind, network, tracker, claim };
            let (window, window_from) = self.window(origin, &basis);
            let address_only = matches!(basis, Basis::Ip | Basis::PartialIp);
            if address_only && window == Window::Disabled {
                continue;
            }
            let obstacle = self.obstacle(touch, &basis);
            // What came from another device is that first of all.
            let foreign = obstacle.filter(|reason| is_foreign(*reason));
            let lost = foreign.or(barred).or(obstacle).or_else(|| outside(window, window_from, age_ms));
            let candidate = Candidate {
                touch: Some(touch.id),
                kind: touch.kind,
                rank: rank(touch.kind, &basis, age_ms, &self.policy.ladder),
                network: touch.network,
                campaign: touch.campaign,
                segment: touch.segment,
                tracker,
                time: touch.time,
                age_ms,
                window,
                window_from,
                flags: flags(&[
                    (skewed, Flag::ClockSkew),
                    (double_hash, Flag::DoubleHash),
                    (touch.completed_view, Flag::CompletedView),
                    (touch.claim.is_some_and(|claim| claim.time_future), Flag::TimeFuture),
                ]),
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

    /// Apple's word, a deterministic click, or an impression where it says so (section 11). Without a date of Apple's it carries the time of
    /// the install.
    fn search_ads(&self) -> Option<Candidate> {
        let record = self.question.record;
        let ads = record.install.search_ads.as_ref()?;
        let time = ads.click_time.unwrap_or(record.install.time);
        let (age_ms, skewed) = self.age(time, record.received)?;
        let named = self.named_by_apple(ads, time, age_ms);
        let lost =
            self.purpose.bar_without_tracker().or_else(|| outside(named.window, named.window_from, age_ms));
        let flags = flags(&[(skewed, Flag::ClockSkew), (ads.click_time.is_none(), Flag::DateManufactured)]);
        Some(Candidate { flags, lost, ..named })
    }

    /// What Apple names when that is later than the install, and so no candidate.
    pub(super) fn late_search_ads(&self) -> Option<Candidate> {
        let record = self.question.record;
        let ads = record.install.search_ads.as_ref()?;
        let time = ads.click_time?;
        let is_late = self.age(time, record.received).is_none();
        is_late.then(|| self.named_by_apple(ads, time, record.install.time.since(time)))
    }

    fn named_by_apple(&self, ads: &SearchAds, time: Timestamp, age_ms: i64) -> Candidate {
        let basis = Basis::AppleSearchAds;
        let kind = if ads.viewed { EngagementKind::Impression } else { EngagementKind::Click };
        let origin = Origin { kind, network: APPLE_SEARCH_ADS, tracker: None, claim: None };
        let (window, window_from) = self.window(origin, &basis);
        Candidate {
            touch: None,
            kind,
            rank: rank(kind, &basis, age_ms, &self.policy.ladder),
            network: APPLE_SEARCH_ADS,
            campaign: None,
            segment: None,
            tracker: None,
            time,
            age_ms,
            window,
            window_from,
            flags: Flags::new(),
            content_key: 0,
            basis,
            lost: None,
            fraud: Vec::new(),
            site: None,
        }
    }

    /// How long before the install an engagement happened, and whether that is 0 for the sake of clocks
    /// that disagree (DECISIONS 2). `None` when it happened after the install, or after the download began
    /// where that stands for it.
    fn age(&self, time: Timestamp, received: Timestamp) -> Option<(i64, bool)> {
        let record = self.question.record;
        let age_ms = record.install.time.since(time);
        if age_ms >= 0 {
            return Some((age_ms, false));
        }
        let skew = time <= latest(record, &self.policy);
        (skew && received <= record.received).then_some((0, true))
    }

    /// What bars a touch whatever its window: first what makes the match impossible, then what forbids it.
    pub(super) fn obstacle(&self, touch: &Touch, basis: &Basis) -> Option<LosingReason> {
        let credited = !basis.is_deterministic()
            && self.policy.modeled_single_use
            && self.question.credited.contains(&touch.id);
        let late = touch.received.since(self.question.record.received) > LATE_GRACE_MS;
        let withheld = touch.claim.is_some_and(|claim| !claim.granular);
        let tracker = touch.tracker.and_then(|id| self.question.catalogue.tracker(id));
        let versions = if tracker.is_some_and(|tracker| tracker.omit_sub_os_version) {
            Versions::Major
        } else {
            Versions::Whole
        };
        self.matcher
            .obstacle(touch, basis, &self.policy, versions)
            .or(withheld.then_some(LosingReason::GranularDataSharing))
            .or(late.then_some(LosingReason::Late))
            .or(credited.then_some(LosingReason::AlreadyCredited))
    }

    /// The window of a class and who set it: tracker, else network within the app, else network, else app,
    /// else the server's default (section 6). A claim has the window of its network, which nobody overrides
    /// (sections 12 and 19).
    pub(super) fn window(&self, origin: Origin, basis: &Basis) -> (Window, Level) {
        if origin.kind == EngagementKind::Impression && !self.policy.ladder.impressions {
            let own = self.app.is_some_and(|app| app.policy.ladder.impressions.is_some());
            return (Window::Disabled, if own { Level::App } else { Level::Default });
        }
        if let Some(claim) = origin.claim {
            let widest = claim_window(origin.kind);
            return claim.lookback.map_or((widest, Level::Default), |lookback| (lookback, Level::Claim));
        }
        let [click_device, click_modeled, impression_device, impression_modeled] = DEFAULT_WINDOWS;
        let level = self.policy.ladder.fingerprint_level;
        let address: (fn(&Windows) -> Option<Window>, FingerprintLevel) = match (origin.kind, basis) {
            (EngagementKind::Click, Basis::Ip) => (|windows| windows.click_ip, FingerprintLevel::IpOnly),
            (EngagementKind::Click, Basis::PartialIp) => {
                (|windows| windows.click_partial_ip, FingerprintLevel::IpRange)
            }
            (EngagementKind::Click, Basis::Modeled) => return self.window_of(origin, click_modeled),
            (EngagementKind::Click, _) => return self.window_of(origin, click_device),
            (EngagementKind::Impression, Basis::Ip) => {
                (|windows| windows.impression_ip, FingerprintLevel::IpOnly)
            }
            (EngagementKind::Impression, Basis::PartialIp) => {
                (|windows| windows.impression_partial_ip, FingerprintLevel::IpRange)
            }
            (EngagementKind::Impression, Basis::Modeled) => {
                return self.window_of(origin, impression_modeled);
            }
            (EngagementKind::Impression, _) => return self.window_of(origin, impression_device),
        };
        match self.set_window(origin, address.0) {
            Some(set) => set,
            None if level >= address.1 => self.window(origin, &Basis::Modeled),
            None => (Window::Disabled, Level::Default),
        }
    }

    /// What anybody set, else what stands where nobody did.
    fn window_of(&self, origin: Origin, (setting, default): WindowSetting) -> (Window, Level) {
        self.set_window(origin, setting).unwrap_or((Window::Seconds(default), Level::Default))
    }

    fn set_window(&self, origin: Origin, setting: fn(&Windows) -> Option<Window>) -> Option<(Window, Level)> {
        set_window(self.question.catalogue, self.app, origin.network, origin.tracker, setting)
    }

    /// Remembers of which networks a click matches, in its window or before it, where the app says that this
    /// counts for their impressions.
    fn look_for_clicks(&mut self, candidates: &[Candidate]) {
        if !self.policy.ladder.prioritize_clicked_impressions {
            return;
        }
        let matches = |candidate: &&Candidate| {
            candidate.kind == EngagementKind::Click
                && matches!(candidate.lost, None | Some(LosingReason::OutsideWindow))
        };
        self.clicked = candidates.iter().filter(matches).map(|candidate| candidate.network).collect();
    }

    /// Whether an impression goes before others of its class, where the app says so: one of a network of which
    /// a click matches too, then a completed view (section 5).
    fn prefers(&self, candidate: &Candidate) -> (bool, bool) {
        let is_impression = candidate.kind == EngagementKind::Impression;
        let completed =
            self.policy.ladder.prioritize_completed_view && candidate.flags.contains(&Flag::CompletedView);
        (is_impression && self.clicked.contains(&candidate.network), completed)
    }

    /// Candidates of one place compete by time alone.
    fn place(&self, candidate: &Candidate) -> (u8, (bool, bool)) {
        (candidate.rank, self.prefers(candidate))
    }

    /// Whether ordered candidates would give the install to a likely match to which another network has an
    /// equal claim.
    fn is_ambiguous(&self, candidates: &[Candidate]) -> bool {
        let mut open = candidates.iter().filter(|candidate| candidate.lost.is_none());
        let Some(first) = open.next().filter(|first| !first.basis.is_deterministic()) else { return false };
        open.any(|other| {
            !other.basis.is_deterministic()
                && self.place(other) == self.place(first)
                && other.network != first.network
        })
    }

    /// The click of ours that the install referrer names.
    fn named(&self) -> Option<TouchId> {
        let click = self.question.record.install.click.as_ref();
        click.filter(|click| click.kind == ClickReferenceKind::InstallReferrer).and_then(|click| click.touch)
    }

    /// The source that the install referrer names, unless that is the click that won, or that a fraud rule
    /// rejects, or one that this app has never seen, which tells nobody's name (section 10). A reinstall names no
    /// acquisition: it is credited to reengagement or is organic, and nothing is carried over (section 8).
    fn reported(&self, candidates: &[Candidate]) -> Option<Reported> {
        let referrer = self.question.record.install.referrer.as_ref()?;
        let name = referrer.name.clone()?;
        let catalogue = self.question.catalogue;
        let tracker = referrer.campaign.as_deref().and_then(|guid| catalogue.tracker_by_guid(guid));
        let tracker = tracker.filter(|tracker| tracker.app == self.question.record.app);
        let named = self.named();
        let told = candidates.iter().find(|candidate| named.is_some() && candidate.touch == named);
        if told.is_some_and(|told| matches!(told.lost, None | Some(LosingReason::Rejected(_)))) {
            return None;
        }
        if matches!(self.purpose, Purpose::Reinstall(_)) {
            use LosingReason::{AcquisitionTracker, BeforeInstall};
            let is_old = |told: &Candidate| matches!(told.lost, Some(AcquisitionTracker | BeforeInstall));
            let is_acquisition = tracker.is_some_and(|tracker| tracker.reengagement.is_none());
            if told.map_or(is_acquisition, is_old) {
                return None;
            }
        }
        let (tracker, network) = match told {
            Some(told) => (told.tracker, Some(told.network)),
            None => (tracker.map(|tracker| tracker.id), tracker.map(|tracker| tracker.network)),
        };
        if named.is_some() && network.is_none() {
            return None;
        }
        Some(Reported {
            name,
            paid: referrer.paid || network.is_some(),
            medium: referrer.medium.clone(),
            campaign: referrer.campaign.clone(),
            encrypted: referrer.encrypted,
            tracker,
            network,
        })
    }

    /// Whether the install referrer names another source than the winner's network. A click of ours that is
    /// not on record says nothing about its network.
    fn referrer_disagrees(
        &self,
        winner: &Candidate,
        candidates: &[Candidate],
        reported: Option<&Reported>,
    ) -> bool {
        if let Some(named) = self.named() {
            let told = candidates.iter().find(|candidate| candidate.touch == Some(named));
            let network =
                told.map(|told| told.network).or_else(|| reported.and_then(|reported| reported.network));
            return network.is_some_and(|network| network != winner.network);
        }
        let network = self.question.catalogue.network(winner.network);
        let name = network.map(|network| network.name.as_str()).unwrap_or_default();
        reported.is_some_and(|reported| !reported.is_of(winner.network, name))
    }

    /// What was odd about the decision as a whole: what was odd about the winner, whether its click was
    /// shared, and whether modeled matches were in question without consent (DECISIONS 17, 19).
    fn flags(&self, candidates: &[Candidate], reported: Option<&Reported>) -> Flags {
        let modeled = |candidate: &Candidate| !candidate.basis.is_deterministic();
        let winner = candidates.first().filter(|candidate| candidate.lost.is_none());
        let shared = winner.is_some_and(|winner| {
            modeled(winner) && winner.touch.is_some_and(|id| self.question.credited.contains(&id))
        });
        let no_consent = self.matcher.lacks_att() && candidates.iter().any(modeled);
        let mut all = winner.map(|winner| winner.flags.clone()).unwrap_or_default();
        let mismatch = winner.is_some_and(|winner| self.referrer_disagrees(winner, candidates, reported));
        all.extend(flags(&[
            (shared, Flag::SharedClick),
            (no_consent, Flag::AttNoConsent),
            (mismatch, Flag::ReferrerMismatch),
        ]));
        all
    }
}

/// What the first of tracker, network, app and server says that says anything, and which of them.
pub(super) fn set_window(
    catalogue: &Catalogue,
    app: Option<&App>,
    network: NetworkId,
    tracker: Option<TrackerId>,
    setting: fn(&Windows) -> Option<Window>,
) -> Option<(Window, Level)> {
    let tracker = tracker.and_then(|id| catalogue.tracker(id)).map(|tracker| &tracker.windows);
    let here = app.and_then(|app| catalogue.app_network(app.id, network)).map(|own| &own.windows);
    let network = catalogue.network(network).map(|network| &network.windows);
    let app = app.map(|app| &app.policy.windows);
    let server = Some(&catalogue.policy.windows);
    let levels = [
        (tracker, Level::Tracker),
        (here, Level::NetworkInApp),
        (network, Level::Network),
        (app, Level::App),
        (server, Level::Default),
    ];
    levels.into_iter().find_map(|(windows, level)| Some((setting(windows?)?, level)))
}

/// Whether a reason says that an engagement came from another device.
pub(super) const fn is_foreign(reason: LosingReason) -> bool {
    matches!(reason, LosingReason::IdentifierMismatch | LosingReason::PlatformMismatch)
}

fn outside(window: Window, from: Level, age_ms: i64) -> Option<LosingReason> {
    match (window, from) {
        (Window::Disabled, Level::Tracker) => Some(LosingReason::OverridesDisabled),
        _ => (!window.covers(age_ms)).then_some(LosingReason::OutsideWindow),
    }
}

fn flags(given: &[(bool, Flag)]) -> Flags {
    given.iter().filter(|(is, _)| *is).map(|(_, flag)| *flag).collect()
}
