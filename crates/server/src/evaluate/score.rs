//! What was decided, held against what really happened.

use std::collections::BTreeMap;

use measure::engagement::EngagementKind;
use simulate::city::{Cause, Install, Mark, NETWORKS, Trace};

/// What was decided about an install.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// The match class, or `organic`.
    pub class: &'static str,
    /// Whether a click or an impression won; `None` when nothing did.
    pub kind: Option<EngagementKind>,
    /// The mark of the winning click or impression; `None` without one of ours.
    pub mark: Option<u64>,
    /// Whether another network had an equal claim.
    pub ambiguous: bool,
}

/// Installs of one class, by what is true of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// All.
    pub credited: usize,
    /// Those that are the truth: the very ad, or no ad.
    pub right: usize,
    /// Another ad of the network whose ad it was.
    pub right_network: usize,
    /// An ad of another network did it.
    pub wrong_network: usize,
    /// No ad did it.
    pub was_organic: usize,
    /// Those credited to an ad that another person saw.
    pub strangers: usize,
    /// Those with an equal claim of another network.
    pub ambiguous: usize,
}

/// A row of the table of classes: a match class, of clicks or of impressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The match class, or `organic`.
    pub class: &'static str,
    /// Whether impressions are meant.
    pub of_views: bool,
}

impl Row {
    /// The row that an install belongs to whose cause leaves this trace, when it is found.
    pub const fn of(trace: Trace) -> Self {
        let (class, of_views) = match trace {
            Trace::Identifier => ("device_id", false),
            Trace::Referrer => ("referrer", false),
            Trace::SearchAds => ("asa", false),
            Trace::ViewIdentifier => ("device_id", true),
            Trace::Guess => ("modeled", false),
            Trace::ViewGuess => ("modeled", true),
        };
        Self { class, of_views }
    }

    /// Of those that no ad caused.
    pub const ORGANIC: Self = Self { class: "organic", of_views: false };

    /// In words.
    pub fn name(self) -> String {
        match (self.class, self.of_views) {
            (class @ ("device_id" | "modeled"), false) => format!("`{class}`, click"),
            (class, true) => format!("`{class}`, impression"),
            (class, false) => format!("`{class}`"),
        }
    }
}

/// Installs with one kind of trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// All.
    pub installs: usize,
    /// Those credited to their very ad.
    pub found: usize,
}

/// Installs credited to networks that did nothing for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spoils {
    /// Of people whom no ad brought.
    pub organic: usize,
    /// Of people whom another network brought.
    pub stolen: usize,
    /// Of nobody.
    pub fake: usize,
}

impl Spoils {
    /// All of them.
    pub const fn all(&self) -> usize {
        self.organic + self.stolen + self.fake
    }
}

/// One run.
#[derive(Clone, Debug, Default)]
pub struct Score {
    /// By match class; `organic` is one.
    pub classes: BTreeMap<Row, Class>,
    /// Installs that no ad caused, and those of them that are credited to nobody.
    pub organic: Traced,
    /// By what could be known.
    pub traces: BTreeMap<Trace, Traced>,
    /// By fraudulent network.
    pub spoils: BTreeMap<usize, Spoils>,
    /// Installs of people whom an honest network brought, credited to it.
    pub earned: usize,
}

impl Score {
    /// Counts one install.
    pub fn count(&mut self, install: &Install, found: Found, marks: &[Mark]) {
        let mark_of = |mark: u64| usize::try_from(mark).ok().and_then(|mark| marks.get(mark));
        let network_of = |mark: u64| mark_of(mark).and_then(|mark| mark.network);
        let winner = found.mark.and_then(network_of);
        let seen_by = found.mark.and_then(mark_of).map(|mark| mark.person);
        let row = Row { class: found.class, of_views: found.kind == Some(EngagementKind::Impression) };
        let class = self.classes.entry(row).or_default();
        class.credited += 1;
        class.ambiguous += usize::from(found.ambiguous);
        class.strangers +=
            usize::from(seen_by.is_some() && seen_by != mark_of(install.mark).map(|mark| mark.person));
        // A source that only the referrer names is credited to nobody either.
        let organic = matches!(found.class, "organic" | "unclaimed");
        match install.cause {
            Cause::Ad { mark, trace } => {
                let right =
                    if trace == Trace::SearchAds { found.class == "asa" } else { found.mark == Some(mark) };
                let same_network = right || winner.is_some() && winner == network_of(mark);
                let traced = self.traces.entry(trace).or_default();
                traced.installs += 1;
                traced.found += usize::from(right);
                class.right += usize::from(right);
                class.right_network += usize::from(same_network && !right);
                class.wrong_network += usize::from(!same_network);
                self.earned += usize::from(same_network);
            }
            Cause::Organic | Cause::Fake => {
                self.organic.installs += 1;
                self.organic.found += usize::from(organic);
                class.right += usize::from(organic);
                class.was_organic += usize::from(!organic);
            }
        }
        if let Some(network) = winner.filter(|network| !NETWORKS[*network].honest) {
            let spoils = self.spoils.entry(network).or_default();
            match install.cause {
                Cause::Organic => spoils.organic += 1,
                Cause::Ad { .. } => spoils.stolen += 1,
                Cause::Fake => spoils.fake += 1,
            }
        }
    }

    /// What is credited to fraudulent networks, all together.
    pub fn all_spoils(&self) -> Spoils {
        self.spoils.values().fold(Spoils::default(), |sum, one| Spoils {
            organic: sum.organic + one.organic,
            stolen: sum.stolen + one.stolen,
            fake: sum.fake + one.fake,
        })
    }

    /// The installs of a class, of clicks and impressions together; none when it never occurred.
    pub fn class(&self, name: &str) -> Class {
        let rows = self.classes.iter().filter(|(row, _)| row.class == name);
        rows.fold(Class::default(), |sum, (_, one)| Class {
            credited: sum.credited + one.credited,
            right: sum.right + one.right,
            right_network: sum.right_network + one.right_network,
            wrong_network: sum.wrong_network + one.wrong_network,
            was_organic: sum.was_organic + one.was_organic,
            strangers: sum.strangers + one.strangers,
            ambiguous: sum.ambiguous + one.ambiguous,
        })
    }

    /// The installs whose cause leaves the trace of a row, and those of them credited to their very ad, or to
    /// nobody where no ad did it. None for a row that is nobody's truth.
    pub fn truth(&self, row: Row) -> Option<Traced> {
        if row == Row::ORGANIC {
            return Some(self.organic);
        }
        let trace = Trace::ALL.into_iter().find(|trace| Row::of(*trace) == row)?;
        Some(self.traces.get(&trace).copied().unwrap_or_default())
    }

    /// The installs that could only be guessed, and those of them found.
    pub fn guesses(&self) -> Traced {
        let of = |trace| self.traces.get(&trace).copied().unwrap_or_default();
        let (clicks, views) = (of(Trace::Guess), of(Trace::ViewGuess));
        Traced { installs: clicks.installs + views.installs, found: clicks.found + views.found }
    }
}
