//! What became of each install, before and after, a few bytes each.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use measure::{
    AppId, CampaignId, InstallId, NetworkId, SegmentId, Timestamp, TouchId, TrackerId,
    attribution::{Basis, Candidate, Decision, LosingReason},
    engagement::{EngagementKind, MatchKey},
    flag::{Flag, Flags},
    fraud::HourFigures,
    identifier::DigestLength,
    install::InstallRecord,
    policy::{Level, Window},
};

use super::{Altered, CHANGES_MAX, Side, class};
use crate::{install::Earlier, late::in_time};

/// Figures of engagements kept for installs that may be decided again: about 100 bytes each.
const FIGURES_MAX: usize = 1_000_000;

/// What winners have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub kind: EngagementKind,
    pub basis: Basis,
    pub network: NetworkId,
    pub campaign: Option<CampaignId>,
    pub segment: Option<SegmentId>,
    pub tracker: Option<TrackerId>,
}

/// The result of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The engagement that won, if it is one of ours.
    touch: Option<TouchId>,
    /// The number of its origin; `None` is organic.
    origin: Option<u32>,
    pub revision: u32,
    pub ambiguous: bool,
    pub shared: bool,
    /// Whether it is organic although its referrer names a source.
    pub unclaimed: bool,
}

impl Standing {
    /// Whether two results credit the same engagement on the same grounds.
    fn credits_as(&self, other: &Self) -> bool {
        (self.touch, self.origin) == (other.touch, other.origin)
    }
}

/// One install.
pub(super) struct Row {
    pub id: InstallId,
    pub installed: Timestamp,
    pub received: Timestamp,
    /// What the record says, at the end of the time that is looked at, or at its beginning for installs
    /// before it.
    pub before: Standing,
    /// What the what-if says; `None` until it has come to the install.
    pub after: Option<Standing>,
    /// What tells whether the last decision on it is made again unchanged ([`mark`]).
    pub mark: u64,
    /// Which keys that are not always in use it is filed under ([`filing`]).
    pub filed: u8,
}

/// The hash of what makes two decisions the same to the write path.
pub(super) fn mark(decision: &Decision) -> u64 {
    let mut hasher = DefaultHasher::new();
    let Decision { more, ambiguous, flags, reported, .. } = decision;
    in_time(decision).for_each(|candidate| candidate.hash(&mut hasher));
    (more, ambiguous, flags, reported).hash(&mut hasher);
    hasher.finish()
}

/// The mark of keys of one kind that installs are filed under only from some day on; 0 for all others.
pub(super) fn filing(key: &MatchKey) -> u8 {
    match key {
        MatchKey::Identifier(_) | MatchKey::Click(_) | MatchKey::Modeled(..) => 0,
        MatchKey::Address(_) => 1,
        MatchKey::Range(_) => 1 << 1,
        MatchKey::Digest(digest) => filing_of(digest.length()),
    }
}

/// The mark of digests of one length.
pub(super) const fn filing_of(length: DigestLength) -> u8 {
    match length {
        DigestLength::Md5 => 1 << 2,
        DigestLength::Sha1 => 1 << 3,
        DigestLength::Sha256 => 1 << 4,
    }
}

impl Row {
    /// Whether a late engagement finds it by a key.
    pub(super) fn is_under(&self, key: &MatchKey) -> bool {
        let mark = filing(key);
        self.filed & mark == mark
    }
}

/// A candidate of which nothing is known but what it was.
fn candidate(touch: Option<TouchId>, origin: &Origin, time: Timestamp) -> Candidate {
    Candidate {
        touch,
        kind: origin.kind,
        basis: origin.basis.clone(),
        rank: 0,
        network: origin.network,
        campaign: origin.campaign,
        segment: origin.segment,
        tracker: origin.tracker,
        time,
        age_ms: 0,
        window: Window::Disabled,
        window_from: Level::Default,
        flags: Flags::new(),
        content_key: 0,
        lost: None,
        fraud: Vec::new(),
        site: None,
    }
}

/// Figures that rules of the last closed hour were given about the engagements of an install.
type OfInstall = BTreeMap<TouchId, HourFigures>;

/// Those of the installs that were decided last, by their numbers. Only what is decided again asks for them, mostly
/// within minutes: who does so after that many others takes the figures of that moment.
#[derive(Default)]
pub(super) struct Figures {
    of: HashMap<u32, OfInstall>,
    order: VecDeque<u32>,
    held: usize,
}

impl Figures {
    /// Keeps the figures of an install, and forgets the oldest until there are at most `most` of all.
    pub(super) fn keep(&mut self, number: u32, figures: OfInstall, most: usize) {
        self.held += figures.len();
        match self.of.insert(number, figures) {
            Some(before) => self.held -= before.len(),
            None => self.order.push_back(number),
        }
        while self.held > most
            && let Some(oldest) = self.order.pop_front()
        {
            self.held -= self.of.remove(&oldest).map_or(0, |gone| gone.len());
        }
    }

    /// The figures of an install, as far as they are kept.
    pub(super) fn get(&self, number: u32) -> Option<&OfInstall> {
        self.of.get(&number)
    }
}

/// Every install that counts.
#[derive(Default)]
pub(super) struct Table {
    /// In the order of identifiers.
    pub rows: Vec<Row>,
    origins: Vec<Origin>,
    origin_numbers: HashMap<Origin, u32>,
    /// Figures of decisions that had some.
    figures: Figures,
    /// Engagements that installs were refused, because an earlier one has them.
    refused: HashMap<u32, Vec<TouchId>>,
    /// What came before the later installs of a device.
    earlier: HashMap<u32, Earlier>,
    /// Rows that changed, with the former winner and the new one as the what-if saw them.
    changes: HashMap<u32, [Option<Box<Candidate>>; 2]>,
}

impl Table {
    /// The result of a decision, in short.
    pub(super) fn standing(&mut self, decision: &Decision) -> Standing {
        let winner = decision.winner();
        let origin = winner.map(|winner| {
            let Candidate { kind, network, campaign, segment, tracker, .. } = *winner;
            let origin = Origin { kind, basis: winner.basis.clone(), network, campaign, segment, tracker };
            if let Some(number) = self.origin_numbers.get(&origin) {
                return *number;
            }
            let number = u32::try_from(self.origins.len()).unwrap_or(u32::MAX);
            self.origins.push(origin.clone());
            self.origin_numbers.insert(origin, number);
            number
        });
        Standing {
            touch: winner.and_then(|winner| winner.touch),
            origin,
            revision: decision.revision,
            ambiguous: decision.ambiguous,
            shared: decision.flags.contains(&Flag::SharedClick),
            unclaimed: winner.is_none() && decision.reported.is_some(),
        }
    }

    /// Where the winner came from; `None` is organic.
    pub(super) fn origin(&self, standing: &Standing) -> Option<&Origin> {
        self.origins.get(standing.origin? as usize)
    }

    /// The touch of a likely win.
    pub(super) fn likely_touch(&self, standing: &Standing) -> Option<TouchId> {
        self.origin(standing).filter(|origin| !origin.basis.is_deterministic()).and(standing.touch)
    }

    /// The number of an install.
    pub(super) fn number(&self, install: InstallId) -> Option<u32> {
        let found = self.rows.binary_search_by_key(&install, |row| row.id).ok()?;
        u32::try_from(found).ok()
    }

    /// An install by its number.
    pub(super) fn row(&self, number: u32) -> Option<&Row> {
        self.rows.get(number as usize)
    }

    /// Notes which engagements a decision refuses an install, because an earlier one has them.
    pub(super) fn note_refused(&mut self, number: u32, decision: &Decision) {
        let refused = decision.losers().filter(|(_, lost)| *lost == LosingReason::AlreadyCredited);
        let refused: Vec<TouchId> = refused.filter_map(|(candidate, _)| candidate.touch).collect();
        if refused.is_empty() {
            self.refused.remove(&number);
        } else {
            self.refused.insert(number, refused);
        }
    }

    /// Notes which installs of its device came before one that was processed again.
    pub(super) fn note_earlier(&mut self, number: u32, record: &InstallRecord) {
        let last_installed = record.last_installed;
        self.earlier.extend(record.reprocess_for.map(|first| (number, Earlier { first, last_installed })));
    }

    /// Which installs of its device came before one that was processed again.
    pub(super) fn earlier(&self, install: InstallId) -> Option<Earlier> {
        self.earlier.get(&self.number(install)?).copied()
    }

    /// Whether a decision says what the last one on its install said, if that is the one of revision `old`.
    pub(super) fn says_the_same(&self, old: u32, new: &Decision) -> Option<bool> {
        let row = self.row(self.number(new.install)?)?;
        (row.after?.revision == old).then(|| row.mark == mark(new))
    }

    /// The engagements that an install waits for.
    pub(super) fn refused(&self, number: u32) -> &[TouchId] {
        self.refused.get(&number).map(Vec::as_slice).unwrap_or_default()
    }

    /// Notes what the what-if decided.
    pub(super) fn decided(&mut self, decision: &Decision) {
        let standing = self.standing(decision);
        let Some(number) = self.number(decision.install) else { return };
        let Some(row) = self.rows.get_mut(number as usize) else { return };
        row.after = Some(standing);
        row.mark = mark(decision);
        let before = row.before;
        self.note_refused(number, decision);
        if !decision.figures.is_empty() {
            self.figures.keep(number, decision.figures.clone(), FIGURES_MAX);
        }
        if before.credits_as(&standing) {
            self.changes.remove(&number);
        } else if self.changes.len() < CHANGES_MAX || self.changes.contains_key(&number) {
            let former = decision.candidates.iter().find(|candidate| match before.touch {
                Some(touch) => candidate.touch == Some(touch),
                None => before.origin.is_some() && candidate.touch.is_none(),
            });
            let both = [former, decision.winner()].map(|candidate| candidate.cloned().map(Box::new));
            self.changes.insert(number, both);
        }
    }

    /// What the write path has to know of the last decision on an install, when it decides it again: its
    /// revision, its winner, what it was refused, and its figures. Other losers are not kept: whether it
    /// changes is told by its mark ([`Self::says_the_same`]).
    pub(super) fn last_decision(&self, app: AppId, number: u32) -> Option<Decision> {
        let row = self.row(number)?;
        let standing = row.after?;
        let winner = self.origin(&standing).map(|origin| candidate(standing.touch, origin, row.installed));
        let nobody = Origin {
            kind: EngagementKind::Click,
            basis: Basis::Modeled,
            network: NetworkId(0),
            campaign: None,
            segment: None,
            tracker: None,
        };
        let refused = self.refused(number).iter().map(|touch| Candidate {
            lost: Some(LosingReason::AlreadyCredited),
            ..candidate(Some(*touch), &nobody, row.installed)
        });
        Some(Decision {
            app,
            install: row.id,
            revision: standing.revision,
            decided: row.received,
            catalogue: 0,
            candidates: winner.into_iter().chain(refused).collect(),
            more: false,
            ambiguous: standing.ambiguous,
            flags: Flags::new(),
            figures: self.figures.get(number).cloned().unwrap_or_default(),
            reported: None,
        })
    }

    /// Counts the installs received from `from` on.
    pub(super) fn sides(&self, from: Timestamp) -> (Side, Side) {
        let (mut before, mut after) = (Side::default(), Side::default());
        for row in self.rows.iter().filter(|row| row.received >= from) {
            // What the what-if did not come to stays as it is.
            let now = row.after.unwrap_or(row.before);
            for (side, standing) in [(&mut before, row.before), (&mut after, now)] {
                side.count(self.origin(&standing), &standing);
            }
        }
        (before, after)
    }

    /// The installs received from `from` on that changed: how many, and at most [`CHANGES_MAX`] of them, in
    /// the order of identifiers.
    pub(super) fn altered(&mut self, from: Timestamp) -> (u64, Vec<Altered>) {
        let mut altered = Vec::new();
        let mut all = 0;
        for (row, number) in self.rows.iter().zip(0_u32..).filter(|(row, _)| row.received >= from) {
            let Some(after) = row.after.filter(|after| !after.credits_as(&row.before)) else { continue };
            all += 1;
            let Some([former, winner]) = self.changes.remove(&number) else { continue };
            let was = self.origin(&row.before);
            altered.push(Altered {
                install: row.id,
                installed: row.installed,
                was: row.before.touch,
                was_class: class(was, &row.before),
                was_network: was.map(|origin| origin.network),
                was_campaign: was.and_then(|origin| origin.campaign),
                was_ambiguous: row.before.ambiguous,
                class: class(self.origin(&after), &after),
                former: former.map(|candidate| *candidate),
                winner: winner.map(|candidate| *candidate),
                ambiguous: after.ambiguous,
            });
        }
        (all, altered)
    }
}
