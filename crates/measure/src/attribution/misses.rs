//! What an organic install was close to: everything that matched it and was not credited, the nearest first.

use std::{cmp::Reverse, collections::BTreeSet};

use crate::{
    attribution::{
        Basis, Candidate, Decision, LosingReason, Question,
        decide::{Judge, Origin, is_foreign},
        explain::{engagement, span, why_lost},
        keys::latest,
        matching::rank,
    },
    catalogue::Catalogue,
    engagement::Touch,
    flag::Flags,
    policy::Window,
    time::SECOND_MS,
};

/// An engagement that an install could have come from had one thing been otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The engagement, as it was or would have been looked at.
    pub candidate: Candidate,
    /// What was in its way.
    pub how: Missed,
}

/// What was in the way of a [`Miss`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// A setting or a rule stood against it, inside its window or not.
    Barred(LosingReason),
    /// It is this many milliseconds older than its window allows.
    Beyond(i64),
    /// Its class is switched off.
    SwitchedOff,
    /// It happened this many milliseconds after the install.
    After(i64),
    /// It came from a device that is known to be another one, or seems to be.
    OtherDevice(LosingReason),
}

impl Missed {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Barred(_) => "barred",
            Self::Beyond(_) => "outside_window",
            Self::SwitchedOff => "switched_off",
            Self::After(_) => "after_install",
            Self::OtherDevice(_) => "other_device",
        }
    }

    /// How far away it was, milliseconds, where that is a matter of time.
    #[must_use]
    pub const fn by_ms(self) -> Option<i64> {
        match self {
            Self::Beyond(ms) | Self::After(ms) => Some(ms),
            Self::Barred(_) | Self::SwitchedOff | Self::OtherDevice(_) => None,
        }
    }

    fn of(candidate: &Candidate, reason: LosingReason) -> Self {
        match (reason, candidate.window) {
            (LosingReason::OutsideWindow, Window::Disabled) | (LosingReason::OverridesDisabled, _) => {
                Self::SwitchedOff
            }
            (LosingReason::OutsideWindow, Window::Seconds(seconds)) => {
                Self::Beyond(candidate.age_ms - i64::from(seconds) * SECOND_MS)
            }
            (LosingReason::IdentifierMismatch | LosingReason::PlatformMismatch, _) => {
                Self::OtherDevice(reason)
            }
            (reason, _) => Self::Barred(reason),
        }
    }
}

impl Miss {
    /// Nearer misses come first: by what was in the way, then by how much, then by class and time.
    fn distance(&self) -> impl Ord + use<> {
        let Candidate { rank, time, content_key, touch, .. } = &self.candidate;
        let inside = self.candidate.window.covers(self.candidate.age_ms);
        let step = match self.how {
            Missed::Barred(_) if inside => 0,
            Missed::Beyond(_) => 1,
            Missed::SwitchedOff => 2,
            Missed::Barred(_) => 3,
            Missed::After(_) => 4,
            Missed::OtherDevice(_) => 5,
        };
        (step, self.how.by_ms(), *rank, Reverse((*time, *content_key, *touch)))
    }

    /// The miss in a sentence: what it was, on what it matched, which window it was held against and who set
    /// it, and what was in its way.
    #[must_use]
    pub fn sentence(&self, catalogue: &Catalogue) -> String {
        let Candidate { basis, window, window_from, .. } = &self.candidate;
        let class = basis.class();
        let place = match window {
            Window::Disabled => format!("the {class} class is switched off {}", window_from.in_words()),
            Window::Seconds(seconds) => {
                let length = span(i64::from(*seconds) * SECOND_MS);
                format!("the {class} window is {length}, set {}", window_from.in_words())
            }
        };
        let why = match self.how {
            Missed::Beyond(ms) => format!(": it came {} too early for it", span(ms)),
            Missed::SwitchedOff => String::new(),
            Missed::After(_) if *basis == Basis::AppleSearchAds => {
                format!(", but the {} that Apple names is later than the install", self.candidate.kind.name())
            }
            Missed::After(_) => ", and only what happens before an install can lead to it".to_owned(),
            Missed::Barred(reason) | Missed::OtherDevice(reason) => {
                format!(", but {} ({reason})", why_lost(&self.candidate, reason, None))
            }
        };
        // What looks different matched by nothing but its address.
        let by = match self.how {
            Missed::OtherDevice(LosingReason::PlatformMismatch) => "IP, not by user agent".to_owned(),
            Missed::OtherDevice(_) if *basis == Basis::Modeled => "IP, not by identifier".to_owned(),
            _ => matched(basis),
        };
        format!(
            "Missed: {}, matched by {by}; {place}{why}.",
            engagement(&self.candidate, catalogue, "install")
        )
    }
}

/// On what an engagement matched, in words.
fn matched(basis: &Basis) -> String {
    match basis {
        Basis::Identifier { kind, form: None } | Basis::Claim { kind, form: None } => kind.clone(),
        Basis::Identifier { kind, form: Some(form) } | Basis::Claim { kind, form: Some(form) } => {
            format!("{kind}, hashed as {form}")
        }
        Basis::InstallReferrer => "its click id in the install referrer".to_owned(),
        Basis::LandingPage => "its click id from the landing page".to_owned(),
        Basis::AppleSearchAds => "Apple's word".to_owned(),
        Basis::Modeled => "IP and user agent".to_owned(),
        Basis::Ip => "IP alone".to_owned(),
        Basis::PartialIp => "the first three parts of the IP".to_owned(),
    }
}

/// The candidates of an organic decision as misses, the nearest first; none when there is a winner.
#[must_use]
pub fn nearest(decision: &Decision) -> Vec<Miss> {
    let mut misses: Vec<Miss> = match decision.winner() {
        Some(_) => Vec::new(),
        None => decision
            .candidates
            .iter()
            .filter_map(|candidate| {
                let how = Missed::of(candidate, candidate.lost?);
                Some(Miss { candidate: candidate.clone(), how })
            })
            .collect(),
    };
    misses.sort_by_cached_key(Miss::distance);
    misses
}

/// Engagements that match the install of a question and never became candidates of its `decision`, the
/// nearest first: those after the install, what Apple names included, and those that only a class that is switched
/// off would find.
#[must_use]
pub fn unseen(question: &Question<'_>, decision: &Decision) -> Vec<Miss> {
    let judge = Judge::new(question);
    let record = question.record;
    let last = latest(record, &judge.policy);
    let known: BTreeSet<_> = decision.candidates.iter().filter_map(|candidate| candidate.touch).collect();
    let mut looked_at = BTreeSet::new();
    let fresh = question.touches.iter().filter(|touch| !known.contains(&touch.id));
    let misses = fresh.filter(|touch| looked_at.insert(touch.id)).filter_map(|touch| {
        let (candidate, foreign) = would_be(&judge, question, touch)?;
        let how = match (foreign, candidate.window) {
            (Some(reason), _) => Missed::OtherDevice(reason),
            (None, _) if touch.time > last => Missed::After(-candidate.age_ms),
            (None, Window::Disabled) => Missed::SwitchedOff,
            (None, Window::Seconds(_)) => return None,
        };
        Some(Miss { candidate, how })
    });
    let mut misses: Vec<Miss> = misses.chain(late_word(&judge)).collect();
    misses.sort_by_cached_key(Miss::distance);
    misses
}

/// What Apple names as the source of an install, be it organic or not, when that is later than the install.
#[must_use]
pub fn named_too_late(question: &Question<'_>) -> Option<Miss> {
    late_word(&Judge::new(question))
}

fn late_word(judge: &Judge<'_>) -> Option<Miss> {
    let candidate = judge.late_search_ads()?;
    let how = Missed::After(-candidate.age_ms);
    Some(Miss { candidate, how })
}

/// The candidate that a touch would be, whenever it happened and whether or not its class is on: by the best
/// class that is on and that takes it for the same device, else by the best one, with what speaks for another
/// device there.
fn would_be(
    judge: &Judge<'_>,
    question: &Question<'_>,
    touch: &Touch,
) -> Option<(Candidate, Option<LosingReason>)> {
    let origin =
        Origin { kind: touch.kind, network: touch.network, tracker: touch.tracker, claim: touch.claim };
    let mut classes: Vec<_> = judge
        .matcher
        .bases(touch)
        .into_iter()
        .map(|(basis, _)| {
            let foreign = judge.obstacle(touch, &basis).filter(|reason| is_foreign(*reason));
            (judge.window(origin, &basis), foreign, basis)
        })
        .collect();
    let own = classes
        .iter()
        .position(|((window, _), foreign, _)| foreign.is_none() && *window != Window::Disabled)
        .unwrap_or(0);
    if classes.is_empty() {
        return None;
    }
    let ((window, window_from), foreign, basis) = classes.swap_remove(own);
    let age_ms = question.record.install.time.since(touch.time);
    let candidate = Candidate {
        touch: Some(touch.id),
        kind: touch.kind,
        rank: rank(touch.kind, &basis, age_ms, &judge.policy.ladder),
        network: touch.network,
        campaign: touch.campaign,
        segment: touch.segment,
        tracker: touch.tracker,
        time: touch.time,
        age_ms,
        window,
        window_from,
        flags: Flags::new(),
        content_key: touch.content_key,
        basis,
        lost: None,
        fraud: touch.findings.clone(),
        site: touch.site,
    };
    Some((candidate, foreign))
}
