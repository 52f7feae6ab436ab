//! What an event is attributed to: a reengagement, else the source of its install, else nothing
//! (tracking-and-attribution.md section 9).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{
    InputId, Timestamp,
    attribution::{
        Candidate, Decision, LosingReason, Question, Source,
        decide::{decide_for, set_window},
    },
    catalogue::{App, Catalogue},
    device::{Device, Origin},
    engagement::Touch,
    event::Event,
    flag::{Flags, has_dropped_idfa},
    identifier::IdKind,
    install::{Install, InstallRecord},
    platform::Traits,
    policy::{Level, Window},
    reengagement::{Claim, Reengagement, last_credited},
    time::SECOND_MS,
};

/// To what an event is attributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventAction {
    /// The source of its install.
    Install,
    /// An engagement that brought the user back.
    Reengagement,
    /// Nothing.
    Unattributed,
}

impl EventAction {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Reengagement => "reengagement",
            Self::Unattributed => "unattributed",
        }
    }
}

impl fmt::Display for EventAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why an event is attributed to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unattributed {
    /// No install of its device is known.
    NoInstall,
    /// Its install came from no ad.
    OrganicInstall,
    /// It came later after its install than events belong to it.
    OutsideEventAssociation,
}

impl Unattributed {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoInstall => "no_install",
            Self::OrganicInstall => "organic_install",
            Self::OutsideEventAssociation => "outside_event_association",
        }
    }
}

/// A decision on one event that some rule had to look at, with everything that led to it. An event that no
/// reengagement tracker covers, in an account where nobody limits event association, has none: it belongs to
/// its install.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventDecision {
    /// To what the event is attributed.
    pub action: EventAction,
    /// Why to nothing.
    pub reason: Option<Unattributed>,
    /// 0 for the first decision; each change of it adds one.
    pub revision: u32,
    /// The receipt time of the input that brought it about.
    pub decided: Timestamp,
    /// The catalogue version it was made under.
    pub catalogue: u64,
    /// How long after the install events belong to its source.
    pub association: Window,
    /// Who set that.
    pub association_from: Level,
    /// The minimum time to reengagement of the event's name, seconds; 0 is off.
    pub minimum_time: u32,
    /// The last attribution of the device before the event: its install, when that was credited to an ad, or
    /// an earlier event of this name that was credited to a reengagement.
    pub last_attributed: Option<Timestamp>,
    /// The engagements of reengagement trackers in order: the winner first, then by rank and time. At most
    /// [`crate::policy::CANDIDATES_MAX`].
    pub candidates: Vec<Candidate>,
    /// Whether there were more candidates than are listed.
    pub more: bool,
    /// Whether another network had an equally good claim.
    pub ambiguous: bool,
    /// What was odd about it.
    pub flags: Flags,
}

impl EventDecision {
    /// The reengagement that the event is credited to.
    #[must_use]
    pub fn winner(&self) -> Option<&Candidate> {
        self.candidates.first().filter(|candidate| candidate.lost.is_none())
    }

    /// Whether another decision says the same, whenever and for whatever input it was made.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let Self { revision, decided, catalogue, .. } = *self;
        *self == Self { revision, decided, catalogue, ..other.clone() }
    }

    /// Whether a reengagement had a claim to the event: it got it, or lost it to the minimum time alone.
    #[must_use]
    pub fn has_claim(&self) -> bool {
        let protected = |candidate: &Candidate| candidate.lost == Some(LosingReason::MtrProtected);
        self.winner().is_some() || self.candidates.iter().any(protected)
    }
}

/// Everything that a decision on an event looks at.
#[derive(Clone, Copy, Debug)]
pub struct EventQuestion<'a> {
    /// The event's input.
    pub input: InputId,
    /// The event.
    pub event: &'a Event,
    /// What engagements are compared with: [`stand_in`].
    pub stand_in: &'a InstallRecord,
    /// When the install of its device happened.
    pub installed: Timestamp,
    /// Where that install came from; `None` is organic.
    pub source: Option<&'a Source>,
    /// What is known of earlier events of the device.
    pub claims: &'a [Claim],
    /// The engagements found under the match keys of the stand-in, all of its app, in any order.
    pub touches: &'a [Touch],
    /// Whether a match key had more engagements than were loaded (DECISIONS 22).
    pub more: bool,
    /// Trackers, windows and settings.
    pub catalogue: &'a Catalogue,
    /// 0 for the first decision on the event; each change of it adds one.
    pub revision: u32,
    /// The receipt time of the input that asks.
    pub decided: Timestamp,
}

/// The event as engagements are compared with it: an install at its time, of a device that is known by what
/// the event tells and, where it is silent, by what the device is known for. An event whose IDFA was dropped,
/// as its `flags` tell, or that refuses tracking is not known by the IDFA of the device either (DECISIONS 16).
#[must_use]
pub fn stand_in(
    input: InputId,
    flags: &Flags,
    event: &Event,
    received: Timestamp,
    device: &Device,
) -> InstallRecord {
    let sent = &event.origin;
    let mut identifiers = sent.identifiers.clone();
    let told = |kind| sent.identifiers.iter().any(|identifier| identifier.kind == kind);
    let hides_idfa = has_dropped_idfa(flags) || sent.consent.att.flag == Some(false);
    let known = device.identifiers.iter().filter(|known| known.kind != IdKind::Idfa || !hides_idfa);
    identifiers.extend(known.filter(|known| !told(known.kind.clone())).cloned());
    let known = &device.traits;
    let traits = Traits {
        os: sent.traits.os.clone().or_else(|| known.os.clone()),
        os_version: sent.traits.os_version.clone().or_else(|| known.os_version.clone()),
        model: sent.traits.model.clone().or_else(|| known.model.clone()),
    };
    let origin = Origin { identifiers, traits, consent: device.consent.clone(), ..sent.clone() };
    InstallRecord {
        id: input.into(),
        app: device.app,
        device: device.id,
        received,
        catalogue: 0,
        install: Install { origin, time: event.time, ..Install::default() },
        flags: Flags::new(),
        reprocess_for: None,
        last_installed: None,
    }
}

/// Decides what an event is attributed to, in the order of section 9: a reengagement whose tracker covers the
/// event, after the install, inside its window, once the minimum time has passed; else the source of the
/// install inside the event association window; else nothing. Always answers, and the same for the same
/// question, in whatever order the engagements come.
#[must_use]
pub fn decide_event(question: &EventQuestion<'_>) -> EventDecision {
    let EventQuestion { event, catalogue, source, .. } = *question;
    let app = catalogue.app(question.stand_in.app).map(AsRef::as_ref);
    let minimum_time = app.and_then(|app| app.minimum_times.get(&event.name)).copied().unwrap_or_default();
    let last_attributed = last_attributed(question);
    let case = Case {
        event: &event.name,
        installed: question.installed,
        is_protected: last_attributed
            .is_some_and(|last| event.time.since(last) < i64::from(minimum_time) * SECOND_MS),
    };
    let Decision { candidates, more, ambiguous, flags, .. } = decide_for(
        &Question {
            record: question.stand_in,
            touches: question.touches,
            more: question.more,
            credited: &BTreeSet::new(),
            figures: &BTreeMap::new(),
            catalogue,
            revision: question.revision,
            decided: question.decided,
        },
        Purpose::Event(case),
    );
    let (association, association_from) = association(catalogue, app, source);
    let is_won = candidates.first().is_some_and(|first| first.lost.is_none());
    let (action, reason) = match source {
        _ if is_won => (EventAction::Reengagement, None),
        None => (EventAction::Unattributed, Some(Unattributed::OrganicInstall)),
        Some(_) if association.covers(event.time.since(question.installed)) => (EventAction::Install, None),
        Some(_) => (EventAction::Unattributed, Some(Unattributed::OutsideEventAssociation)),
    };
    EventDecision {
        action,
        reason,
        revision: question.revision,
        decided: question.decided,
        catalogue: catalogue.version,
        association,
        association_from,
        minimum_time,
        last_attributed,
        candidates,
        more,
        ambiguous,
        flags,
    }
}

fn last_attributed(question: &EventQuestion<'_>) -> Option<Timestamp> {
    let time = question.event.time;
    let install = question.source.map(|_| question.installed).filter(|installed| *installed <= time);
    install.max(last_credited(question.claims, &question.event.name, time, question.input))
}

/// How long after the install events belong to its source, and who set that.
fn association(catalogue: &Catalogue, app: Option<&App>, source: Option<&Source>) -> (Window, Level) {
    let set = source.and_then(|source| {
        set_window(catalogue, app, source.network, source.tracker, |windows| windows.event_association)
    });
    set.unwrap_or((Window::UNLIMITED, Level::Default))
}

/// What an engagement is to be credited with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose<'a> {
    /// The first install of a device.
    Install,
    /// An install that comes again, with the time of the one before it where that is known.
    Reinstall(Option<Timestamp>),
    /// An event.
    Event(Case<'a>),
}

/// An event as far as trackers and times depend on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case<'a> {
    event: &'a str,
    installed: Timestamp,
    is_protected: bool,
}

impl Purpose<'_> {
    /// What an engagement is to be credited with when it is an install.
    pub(super) const fn of(record: &InstallRecord) -> Self {
        if record.reprocess_for.is_some() { Self::Reinstall(record.last_installed) } else { Self::Install }
    }

    /// Whether an engagement is looked at; `tracker` is what a reengagement tracker may be credited with. No
    /// event is ever credited to an acquisition tracker but through its install.
    pub(super) const fn looks_at(self, tracker: Option<&Reengagement>) -> bool {
        !matches!(self, Self::Event(_)) || tracker.is_some()
    }

    /// What bars an engagement for the sake of its tracker or of its place in time.
    pub(super) fn bar(self, touch: &Touch, tracker: Option<&Reengagement>) -> Option<LosingReason> {
        match (self, tracker) {
            (Self::Install, Some(_)) => Some(LosingReason::ReengagementTracker),
            (Self::Reinstall(_), None) => Some(LosingReason::AcquisitionTracker),
            // It brought about the install before, if any: its source is not carried over.
            (Self::Reinstall(last), Some(_)) => {
                last.is_some_and(|last| touch.time <= last).then_some(LosingReason::BeforeInstall)
            }
            (Self::Event(case), tracker) => {
                if !tracker.is_some_and(|tracker| tracker.covers(case.event, touch.kind)) {
                    Some(LosingReason::NotCovered)
                } else if touch.time <= case.installed {
                    Some(LosingReason::BeforeInstall)
                } else {
                    None
                }
            }
            (Self::Install, None) => None,
        }
    }

    /// What bars what has no tracker of ours.
    pub(super) fn bar_without_tracker(self) -> Option<LosingReason> {
        matches!(self, Self::Reinstall(_)).then_some(LosingReason::AcquisitionTracker)
    }

    /// What bars an engagement that nothing else bars: the minimum time.
    pub(super) fn protection(self) -> Option<LosingReason> {
        matches!(self, Self::Event(Case { is_protected: true, .. })).then_some(LosingReason::MtrProtected)
    }
}

/// An event on record as far as its attribution goes.
#[derive(Clone, Copy, Debug)]
pub struct Attributed<'a> {
    /// Its name.
    pub event: &'a str,
    /// When it happened.
    pub time: Timestamp,
    /// When its install happened; `None` without an install.
    pub installed: Option<Timestamp>,
    /// To whom it is attributed.
    pub source: Option<&'a Source>,
    /// The decision, when there was something to decide.
    pub decision: Option<&'a EventDecision>,
}

impl Attributed<'_> {
    /// To what it is attributed.
    #[must_use]
    pub const fn action(&self) -> EventAction {
        match (self.decision, self.source) {
            (Some(decision), _) => decision.action,
            (None, Some(_)) => EventAction::Install,
            (None, None) => EventAction::Unattributed,
        }
    }

    /// Why it is attributed to nothing; `None` when it is attributed.
    #[must_use]
    pub const fn reason(&self) -> Option<Unattributed> {
        match (self.decision, self.source, self.installed) {
            (Some(decision), ..) => decision.reason,
            (None, Some(_), _) => None,
            (None, None, Some(_)) => Some(Unattributed::OrganicInstall),
            (None, None, None) => Some(Unattributed::NoInstall),
        }
    }

    /// The match class: `device_id`, `modeled`, …
    #[must_use]
    pub fn matched_by(&self) -> Option<&str> {
        self.source.map(|source| source.class.as_str())
    }

    /// What it was matched to: `click` or `impression`.
    #[must_use]
    pub fn matched_to(&self) -> Option<&'static str> {
        self.source.map(|source| source.kind.name())
    }

    /// Whole seconds since the attribution: since the reengagement, or since the install.
    #[must_use]
    pub fn seconds_since(&self) -> Option<i64> {
        let since = match self.action() {
            EventAction::Reengagement => self.source?.time,
            EventAction::Install => self.installed?,
            EventAction::Unattributed => return None,
        };
        Some(self.time.since(since).div_euclid(SECOND_MS))
    }
}
