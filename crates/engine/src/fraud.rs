//! Fraud rules in the write path: what they count, kept across batches and restarts, and what they are
//! given (DECISIONS 24).
//!
//! What is counted is written with the batch that closes an hour, and else every [`CHECKPOINT_FACTS`]
//! facts; after a restart the facts since then are counted again.

use std::collections::{BTreeMap, BTreeSet};

use measure::{
    AppId, Timestamp, TouchId, TrackerId,
    attribution::{Candidate, Decision},
    catalogue::Catalogue,
    claim::Claim,
    engagement::{Engagement, Touch},
    fraud::{Figures, Finding, HourFigures, Rules, judge_claim, judge_engagement, wants_figures},
    input::{Input, Payload},
    postback::{Plan, Suppression},
};
use store::{Store, StoreError};

use crate::{history::Versions, machine::Turn, privacy::is_erased};

/// Facts between two writes of what is counted, and so about as many to count again at start.
const CHECKPOINT_FACTS: u64 = 10_000;
/// Facts read at once when they are counted again.
const STEP_FACTS: usize = 1_000;

/// What is counted for every app.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count {
    apps: BTreeMap<AppId, Figures>,
    changed: BTreeSet<AppId>,
    /// The last fact that is counted in what is written.
    written: u64,
    /// Whether an hour was closed since.
    closed: bool,
}

impl Count {
    /// Takes up what is written and counts the facts since then again, each under the settings of its day: a
    /// replay, which does not stop on the way, has to come to the same.
    pub(crate) fn load(store: &dyn Store) -> Result<Self, StoreError> {
        let apps: BTreeMap<AppId, Figures> = store.figures()?.into_iter().collect();
        let written = apps.values().map(|figures| figures.sequence).max().unwrap_or_default();
        let mut count = Self { apps, written, ..Self::default() };
        let mut next = written + 1;
        let mut versions: Option<Versions> = None;
        loop {
            let facts = store.facts(next, STEP_FACTS)?;
            let Some(last) = facts.last() else { return Ok(count) };
            next = last.sequence + 1;
            let versions = match &mut versions {
                Some(versions) => versions,
                none => none.insert(Versions::new(Catalogue::default(), store.changes()?)),
            };
            for fact in facts {
                let Input { id, app, received, payload, .. } = &fact.input;
                if is_erased(&fact.input) {
                    continue;
                }
                // Held inputs come a second time, with their old receipts: they tell no hour.
                match payload {
                    Payload::Engagement(engagement) => {
                        let catalogue = versions.at(fact.input.catalogue);
                        let rules = rules(&catalogue, *app, engagement);
                        let figures = count.of(*app, *received);
                        figures.observe(engagement, *received, &rules);
                        figures.count_touch(&engagement.touch((*id).into(), *received));
                    }
                    Payload::Install(_) => {
                        if let Some((_, decisions)) = store.install(*app, (*id).into())?
                            && let Some(first) = decisions.first()
                        {
                            count.of(*app, *received).count_install(&first.candidates);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// The figures of an app, in the hour of `now`.
    fn of(&mut self, app: AppId, now: Timestamp) -> &mut Figures {
        self.changed.insert(app);
        let figures = self.apps.entry(app).or_default();
        self.closed |= figures.advance(now);
        figures
    }

    /// Counts an install that was decided before anybody counted here.
    pub(crate) fn adopt(&mut self, app: AppId, received: Timestamp, candidates: &[Candidate]) {
        self.of(app, received).count_install(candidates);
    }

    /// What a commit that ends with fact `last` has to write, if anything.
    pub(crate) fn checkpoint(&mut self, last: u64) -> Vec<(AppId, Figures)> {
        let due = self.closed || last.saturating_sub(self.written) >= CHECKPOINT_FACTS;
        if due { self.written_now(last) } else { Vec::new() }
    }

    /// Forgets what an engagement was counted under.
    pub(crate) fn forget(&mut self, app: AppId, engagement: &Engagement) {
        if let Some(figures) = self.apps.get_mut(&app) {
            figures.forget(engagement);
            self.changed.insert(app);
        }
    }

    /// Everything that changed since it was written last, as of fact `last`.
    pub(crate) fn written_now(&mut self, last: u64) -> Vec<(AppId, Figures)> {
        (self.written, self.closed) = (last, false);
        let changed = std::mem::take(&mut self.changed);
        let figures = changed.into_iter().filter_map(|app| {
            let figures = self.apps.get_mut(&app)?;
            figures.sequence = last;
            Some((app, figures.clone()))
        });
        figures.collect()
    }
}

fn rules<'c>(catalogue: &'c Catalogue, app: AppId, engagement: &Engagement) -> Rules<'c> {
    Rules::of(catalogue, app, engagement.network, Some(engagement.tracker))
}

impl Turn<'_, '_> {
    /// Whether nothing has to be counted: nobody decides by it.
    fn is_idle(&self) -> bool {
        self.known.is_some_and(|known| !known.counts())
    }

    /// Goes on to the hour of an input.
    pub(crate) fn advance_hour(&mut self, input: &Input) {
        if self.is_idle() {
            return;
        }
        self.memory.count.of(input.app, input.received);
    }

    /// Counts an engagement and lets the rules about it look.
    pub(crate) fn look_at(&mut self, input: &Input, engagement: &Engagement) -> Vec<Finding> {
        if self.is_idle() {
            return Vec::new();
        }
        let rules = rules(self.catalogue, input.app, engagement);
        let figures = self.memory.count.of(input.app, input.received);
        let seen = figures.observe(engagement, input.received, &rules);
        judge_engagement(engagement, &input.flags, input.received, &rules, self.catalogue.blocklist(), seen)
    }

    /// Lets the rules about a claim look.
    pub(crate) fn look_at_claim(&self, input: &Input, claim: &Claim) -> Vec<Finding> {
        if self.is_idle() {
            return Vec::new();
        }
        let rules = Rules::of(self.catalogue, input.app, claim.network, claim.tracker);
        judge_claim(claim, input.received, &rules, self.catalogue.blocklist())
    }

    /// Counts a click into its hour.
    pub(crate) fn count_touch(&mut self, input: &Input, touch: &Touch) {
        if self.is_idle() {
            return;
        }
        self.memory.count.of(input.app, input.received).count_touch(touch);
    }

    /// Counts an install into its hour, by its first decision.
    pub(crate) fn count_install(&mut self, input: &Input, decision: &Decision) {
        if self.is_idle() {
            return;
        }
        self.memory.count.of(input.app, input.received).count_install(&decision.candidates);
    }

    /// What rules are told of the last closed hour about the engagements of a decision. What an earlier
    /// revision was told stands.
    pub(crate) fn hour_figures(
        &mut self,
        app: AppId,
        touches: &[Touch],
        decided: Timestamp,
        old: Option<&Decision>,
    ) -> BTreeMap<TouchId, HourFigures> {
        if !self.catalogue.has_fraud_settings() {
            return BTreeMap::new();
        }
        let mut resolved = BTreeMap::new();
        for touch in touches {
            let rules = Rules::of(self.catalogue, app, touch.network, touch.tracker);
            if wants_figures(&rules) {
                let known = old.and_then(|old| old.figures.get(&touch.id)).copied();
                let figures = known.unwrap_or_else(|| self.memory.count.of(app, decided).of(touch));
                resolved.insert(touch.id, figures);
            }
        }
        resolved
    }

    /// Withholds the postbacks about traffic that a rule caught, where its tracker wants that, and always about a
    /// click that one rejects (postbacks.md section 12).
    pub(crate) fn withhold_failed(
        &self,
        app: AppId,
        network: measure::NetworkId,
        tracker: Option<TrackerId>,
        findings: &[Finding],
        plan: &mut Plan,
    ) {
        let delivers = Rules::of(self.catalogue, app, network, tracker).delivers_failed();
        if findings.iter().any(|finding| finding.rejects() || finding.is_caught() && !delivers) {
            plan.withhold(Suppression::TrafficFailed);
        }
    }
}
