//! Installs: the first of a device is decided, later ones are duplicates unless the app processes them again (tracking-and-attribution.md
//! section 8, DECISIONS 2, 3, 6, 13, 19).

use std::collections::BTreeSet;

use measure::{
    InputId, InstallId, NetworkId, Timestamp, TouchId,
    attribution::{
        Basis, Candidate, Decision, LosingReason, Question, Source, claimed_source, decide, match_keys,
        source,
    },
    catalogue::App,
    consent::{Consent, Moment},
    device::{Device, Receipt, Said},
    engagement::{MatchKey, Touch},
    flag::Flag,
    identifier::{IdKind, Identifier, JoinKey},
    input::{Input, Outcome, Suppressed},
    install::{Install, InstallRecord, SearchAds},
    ledger::{Counter, count},
    policy::LATE_GRACE_MS,
    postback::{Conversion, Past, Plan, TriggerKind, plan},
    user::UserProperties,
};
use store::{Credit, StoreError};

use crate::{
    event::LATE_EVENTS_MAX,
    late,
    link::{apply_user, came},
    machine::Turn,
    view::{About, Heard},
};

/// A decision with what follows from it, before any of it is written.
struct Verdict {
    decision: Decision,
    source: Option<Source>,
    /// Installs that share the modeled click and came later: they are decided again.
    sharers: Vec<InstallId>,
}

/// What makes an install of a known device one of its own.
#[derive(Clone, Copy)]
pub(crate) struct Earlier {
    /// The first install of the device.
    pub first: InstallId,
    /// When the last one before this happened.
    pub last_installed: Option<Timestamp>,
}

impl Turn<'_, '_> {
    pub(crate) fn install(
        &mut self,
        input: &mut Input,
        install: &Install,
    ) -> Result<Vec<Outcome>, StoreError> {
        if let Some(known) = self.known {
            return self.new_install(input, install, known.earlier(input.id.into()));
        }
        let keys = install.origin.join_keys();
        let Some(device) = self.view.device_by(input.app, &keys)? else {
            return self.new_install(input, install, None);
        };
        match self.earlier(input, install, &device)? {
            None => self.duplicate_install(input, install, device),
            earlier => self.new_install(input, install, earlier),
        }
    }

    /// The earlier installs of a known device, when this is one of its own: the app says so, the time since the
    /// last one has passed, and the sender gives a `kochava_device_id` that nobody has yet. One that is known
    /// is the same app instance, so its install is the one on record.
    fn earlier(
        &mut self,
        input: &Input,
        install: &Install,
        device: &Device,
    ) -> Result<Option<Earlier>, StoreError> {
        let age_ms = install.time.since(device.installed);
        let wanted = self.catalogue.app(input.app).is_some_and(|app| app.policy.reprocesses(age_ms));
        let Some(id) = install.origin.kochava_device_id.as_ref().filter(|_| wanted) else { return Ok(None) };
        if self.view.owner(input.app, &JoinKey::kochava(id))?.is_some() {
            return Ok(None);
        }
        let last = self.view.install(input.app, device.install)?;
        let first = last.and_then(|(record, _)| record.reprocess_for).unwrap_or(device.install);
        Ok(Some(Earlier { first, last_installed: Some(device.installed) }))
    }

    fn new_install(
        &mut self,
        input: &mut Input,
        install: &Install,
        earlier: Option<Earlier>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let record = InstallRecord {
            id: input.id.into(),
            app: input.app,
            device: input.id.into(),
            received: input.received,
            catalogue: input.catalogue,
            install: install.clone(),
            flags: input.flags.clone(),
            reprocess_for: earlier.map(|earlier| earlier.first),
            last_installed: earlier.and_then(|earlier| earlier.last_installed),
        };
        let verdict = self.decide(&record, 0, input.received, None)?;
        self.count_install(input, &verdict.decision);
        self.await_engagements(&record);
        if self.known.is_some() {
            return self.follow_up(input, record, verdict, Vec::new());
        }
        let mut device = self.new_device(&record, verdict.source.clone());
        let changed = apply_user(input.id, &install.origin.user, &mut device, came(input));
        self.file(&record, &device);
        let suppressed = self.post_install(&record, &verdict, &device, input.received)?;
        let mut outcomes = vec![Outcome::Installed {
            install: record.id,
            source: verdict.source.clone(),
            suppressed,
            reprocess_for: record.reprocess_for,
        }];
        outcomes.extend(changed);
        outcomes.extend(self.release_held(input, &mut device)?);
        self.view.put_device(device);
        let class = verdict.decision.class().to_owned();
        count(&mut self.view.batch().tally, Some(input.app), Counter::Installs(class), 1);
        self.follow_up(input, record, verdict, outcomes)
    }

    /// Puts a decided install on record, and lets what shares its click be decided again.
    fn follow_up(
        &mut self,
        input: &Input,
        record: InstallRecord,
        verdict: Verdict,
        mut outcomes: Vec<Outcome>,
    ) -> Result<Vec<Outcome>, StoreError> {
        self.credit_modeled(&record, &verdict.decision, true)?;
        self.view.batch().decisions.push(verdict.decision);
        self.memory.remember_recent((input.received, input.app, record.id));
        self.view.add_install(record);
        for sharer in verdict.sharers {
            outcomes.extend(self.redecide(input, sharer)?);
        }
        Ok(outcomes)
    }

    fn duplicate_install(
        &mut self,
        input: &mut Input,
        install: &Install,
        mut device: Device,
    ) -> Result<Vec<Outcome>, StoreError> {
        input.flags.insert(Flag::Duplicate);
        count(&mut self.view.batch().tally, Some(input.app), Counter::Duplicates("install".to_owned()), 1);
        if let Some(id) = &install.origin.kochava_device_id {
            let key = JoinKey::kochava(id);
            match self.view.owner(input.app, &key)? {
                None => {
                    self.view.add_device_key(input.app, key, device.id);
                    if let Some(oldest) = device.add_alias(id.clone()) {
                        let key = JoinKey::kochava(&oldest);
                        self.view.remove_device_key(input.app, key, device.id);
                    }
                }
                Some(owner) if owner != device.id => {
                    input.flags.insert(Flag::IdConflict);
                }
                Some(_) => {}
            }
        }
        let said = Moment::new(install.time, input.received);
        self.take_consent(&mut device, &install.origin.consent, said);
        self.bind(input, &mut device, &install.origin.identifiers, said)?;
        device.link(&install.links, came(input));
        let mut outcomes = vec![Outcome::DuplicateInstall { install: device.install }];
        outcomes.extend(apply_user(input.id, &install.origin.user, &mut device, came(input)));
        outcomes.extend(self.release_held(input, &mut device)?);
        self.view.put_device(device);
        Ok(outcomes)
    }

    fn new_device(&self, record: &InstallRecord, source: Option<Source>) -> Device {
        let origin = &record.install.origin;
        let mut device = Device {
            id: record.device,
            app: record.app,
            kochava_ids: origin.kochava_device_id.iter().cloned().collect(),
            identifiers: Vec::new(),
            consent: Consent::default(),
            traits: origin.traits.clone(),
            install: record.id,
            installed: record.install.time,
            install_received: record.received,
            source,
            links: Vec::new(),
            claims: Vec::new(),
            user: UserProperties::default(),
            last_session: None,
            seen_events: Vec::new(),
            said: Said::default(),
        };
        for identifier in &origin.identifiers {
            if !device.identifiers.iter().any(|known| known.kind == identifier.kind) {
                device.identifiers.push(identifier.clone());
            }
        }
        let said = Moment::new(record.install.time, record.received);
        device.take_consent(&origin.consent, said);
        device.said.idfa = device.identifier("idfa").is_some().then_some(said);
        device.link(&record.install.links, Receipt { at: record.received, held: false });
        device
    }

    /// Makes everything that a new install is known by lead to its device.
    fn file(&mut self, record: &InstallRecord, device: &Device) {
        for key in device.join_keys() {
            self.view.add_device_key(record.app, key, device.id);
        }
        for identifier in &device.identifiers {
            self.index_digests(device, identifier);
        }
    }

    /// Files an install under the keys by which engagements that come late look for it.
    fn await_engagements(&mut self, record: &InstallRecord) {
        for key in self.match_keys(record) {
            self.view.add_arrival(record, key);
        }
    }

    /// Makes the digests of an identifier lead to its device, where the app's links are hashed.
    fn index_digests(&mut self, device: &Device, identifier: &Identifier) {
        let lengths: Vec<_> = self.memory.indexed_lengths(device.app).collect();
        for length in lengths {
            for (_, digest) in measure::identifier::forms(&identifier.value, length) {
                self.view.add_device_key(device.app, JoinKey::Digest(digest), device.id);
            }
        }
    }

    pub(crate) fn match_keys(&self, record: &InstallRecord) -> Vec<MatchKey> {
        let lengths = self.memory.digest_lengths.get(&record.app);
        match_keys(&record.install, lengths.unwrap_or(&BTreeSet::new()), self.catalogue.addresses())
    }

    /// Binds identifiers to a device, one per kind; what belongs to another device stays there, and an IDFA is
    /// left out when tracking was refused since it was `said` (DECISIONS 16). The answer is whether one was bound.
    pub(crate) fn bind(
        &mut self,
        input: &mut Input,
        device: &mut Device,
        identifiers: &[Identifier],
        said: Moment,
    ) -> Result<bool, StoreError> {
        let mut is_bound = false;
        let allows_idfa = device.allows_idfa(Some(said));
        for identifier in identifiers {
            if identifier.kind == IdKind::Idfa && !allows_idfa {
                continue;
            }
            let key = JoinKey::from(identifier);
            match self.view.owner(input.app, &key)? {
                Some(owner) if owner == device.id => {
                    if identifier.kind == IdKind::Idfa {
                        device.said.idfa = device.said.idfa.max(Some(said));
                    }
                }
                Some(_) => {
                    input.flags.insert(Flag::IdConflict);
                }
                None if device.identifiers.iter().any(|known| known.kind == identifier.kind) => {
                    input.flags.insert(Flag::IdConflict);
                }
                None => {
                    if identifier.kind == IdKind::Idfa {
                        device.said.idfa = Some(said);
                    }
                    device.identifiers.push(identifier.clone());
                    self.view.add_device_key(input.app, key, device.id);
                    self.index_digests(device, identifier);
                    is_bound = true;
                }
            }
        }
        Ok(is_bound)
    }

    /// Flags identifiers that disagree with the device they came with (DECISIONS 13). Nothing is bound: an
    /// event tells of a device, it does not describe it.
    pub(crate) fn flag_conflicts(
        &mut self,
        input: &mut Input,
        device: &Device,
        identifiers: &[Identifier],
    ) -> Result<(), StoreError> {
        for identifier in identifiers {
            let owner = self.view.owner(input.app, &identifier.into())?;
            let other_value = device
                .identifiers
                .iter()
                .any(|known| known.kind == identifier.kind && known.canonical() != identifier.canonical());
            if other_value || owner.is_some_and(|owner| owner != device.id) {
                input.flags.insert(Flag::IdConflict);
            }
        }
        Ok(())
    }

    /// Notes the consent that came with an input, unless something later is known. Tracking refused also
    /// removes the IDFA that is already on the device; a missing flag does not (DECISIONS 16).
    pub(crate) fn take_consent(&mut self, device: &mut Device, sent: &Consent, said: Moment) {
        device.take_consent(sent, said);
        if device.identifier("idfa").is_some() && !device.allows_idfa(device.said.idfa) {
            device.said.idfa = None;
            let (idfa, kept) = std::mem::take(&mut device.identifiers)
                .into_iter()
                .partition(|identifier| identifier.kind == IdKind::Idfa);
            device.identifiers = kept;
            let removed: Vec<Identifier> = idfa;
            for identifier in &removed {
                device.forget_value(identifier);
                self.view.remove_device_key(device.app, identifier.into(), device.id);
                let lengths: Vec<_> = self.memory.indexed_lengths(device.app).collect();
                for length in lengths {
                    for (_, digest) in measure::identifier::forms(&identifier.value, length) {
                        self.view.remove_device_key(device.app, JoinKey::Digest(digest), device.id);
                    }
                }
            }
        }
    }

    /// The engagements that an install could have come from, and whether there were more than are looked at.
    pub(crate) fn touches_of(&mut self, record: &InstallRecord) -> Result<(Vec<Touch>, bool), StoreError> {
        let until = self.horizon(record.app, record.install.time);
        let keys = self.match_keys(record);
        self.view.load_touches(record.app, &keys, until)?;
        let (mut touches, mut more) = (Vec::new(), false);
        for key in &keys {
            let (found, cut) = self.view.touches(record.app, key, until)?;
            touches.extend(found);
            more |= cut;
        }
        Ok((touches, more))
    }

    /// Decides an install on what is known now. Writes nothing.
    fn decide(
        &mut self,
        record: &InstallRecord,
        revision: u32,
        decided: Timestamp,
        old: Option<&Decision>,
    ) -> Result<Verdict, StoreError> {
        let (touches, more) = self.touches_of(record)?;
        let figures = self.hour_figures(record.app, &touches, decided, old);
        let mut credited = BTreeSet::new();
        let mut asked: BTreeSet<TouchId> = BTreeSet::new();
        let (decision, sharers) = loop {
            let decision = decide(&Question {
                record,
                touches: &touches,
                more,
                credited: &credited,
                figures: &figures,
                catalogue: self.catalogue,
                revision,
                decided,
            });
            let Some(touch) = modeled_winner(&decision) else { break (decision, Vec::new()) };
            if !asked.insert(touch) {
                break (decision, self.later_sharers(record, touch)?);
            }
            // The first of several installs keeps a single-use click; the others are flagged or go on
            // without it (DECISIONS 19).
            let credits = self.view.credits(record.app, touch)?;
            let mine = (record.install.time, record.id);
            if credits.iter().any(|credit| !credit.waiting && (credit.installed, credit.install) < mine) {
                credited.insert(touch);
            }
        };
        let ads = record.install.search_ads.as_deref();
        let source = decision.winner().map(|winner| self.source(winner, ads)).transpose()?;
        Ok(Verdict { decision, source, sharers })
    }

    /// The winner as events inherit it.
    pub(crate) fn source(&self, winner: &Candidate, ads: Option<&SearchAds>) -> Result<Source, StoreError> {
        if let (Some(touch), Basis::Claim { .. }) = (winner.touch, &winner.basis)
            && let Some(claim) = self.view.claim(touch)?
        {
            return Ok(claimed_source(winner, &claim));
        }
        let engagement = match winner.touch {
            Some(touch) => self.view.engagement(touch)?,
            None => None,
        };
        Ok(source(winner, engagement.as_ref(), ads))
    }

    fn later_sharers(
        &mut self,
        record: &InstallRecord,
        touch: TouchId,
    ) -> Result<Vec<InstallId>, StoreError> {
        let credits = self.view.credits(record.app, touch)?;
        let mine = (record.install.time, record.id);
        let later =
            credits.into_iter().filter(|credit| !credit.waiting && (credit.installed, credit.install) > mine);
        Ok(later.map(|credit| credit.install).collect())
    }

    fn credit_modeled(
        &mut self,
        record: &InstallRecord,
        decision: &Decision,
        given: bool,
    ) -> Result<(), StoreError> {
        let won = modeled_winner(decision).map(|touch| (touch, false));
        let refused = decision.losers().filter(|(_, lost)| *lost == LosingReason::AlreadyCredited);
        let refused = refused.filter_map(|(candidate, _)| Some((candidate.touch?, true)));
        for (touch, waiting) in won.into_iter().chain(refused) {
            let credit = Credit { install: record.id, installed: record.install.time, waiting };
            self.view.credit(record.app, touch, credit, given)?;
        }
        Ok(())
    }

    /// Takes an engagement in that came after an install, which is decided again as long as the grace lasts.
    pub(crate) fn take_late(
        &mut self,
        cause: &Input,
        install: InstallId,
    ) -> Result<Vec<Outcome>, StoreError> {
        let Some((record, old)) = self.view.install(cause.app, install)? else { return Ok(Vec::new()) };
        if !late::is_over(cause, record.received) {
            return self.redecide(cause, install);
        }
        if self.known.is_some() || record.flags.contains(&Flag::Erased) {
            // Who won is all that a what-if asks.
            return Ok(Vec::new());
        }
        let verdict = self.decide(&record, old.revision + 1, cause.received, Some(&old))?;
        Ok(self.note_late(cause, &record, old, verdict.decision)?.into_iter().collect())
    }

    /// Decides a committed install again. Nothing comes of it unless the decision changes; a new winner
    /// takes over the device and the postbacks (DECISIONS 3 and 6).
    pub(crate) fn redecide(&mut self, cause: &Input, install: InstallId) -> Result<Vec<Outcome>, StoreError> {
        let mut outcomes = Vec::new();
        let mut events = BTreeSet::new();
        let mut queue = vec![install];
        let mut done = BTreeSet::new();
        while let Some(install) = queue.pop() {
            if !done.insert(install) {
                continue;
            }
            let Some((record, old)) = self.view.install(cause.app, install)? else { continue };
            if record.flags.contains(&Flag::Erased) {
                continue;
            }
            let verdict = self.decide(&record, old.revision + 1, cause.received, Some(&old))?;
            let same = match self.known {
                Some(known) => known.says_the_same(&old, &verdict.decision),
                None => same_decision(&old, &verdict.decision),
            };
            if same {
                continue;
            }
            let winner_changed = winner_of(&old) != winner_of(&verdict.decision);
            self.credit_modeled(&record, &old, false)?;
            self.credit_modeled(&record, &verdict.decision, true)?;
            queue.extend(&verdict.sharers);
            if winner_changed && let Some(touch) = modeled_winner(&old) {
                // Whoever shared the old click may be its only holder now, whoever was refused it may have it.
                queue.extend(self.view.credits(cause.app, touch)?.into_iter().map(|credit| credit.install));
            }
            let mut suppressed = Vec::new();
            if winner_changed {
                suppressed = self.replace_winner(cause, &record, &verdict)?;
                let since = cause.received.plus(-LATE_GRACE_MS);
                events.extend(self.view.events_of(cause.app, install, since, LATE_EVENTS_MAX)?);
            }
            if old.class() != verdict.decision.class() {
                let tally = &mut self.view.batch().tally;
                count(tally, Some(cause.app), Counter::Installs(old.class().to_owned()), -1);
                count(tally, Some(cause.app), Counter::Installs(verdict.decision.class().to_owned()), 1);
            }
            outcomes.push(Outcome::Redecided {
                install,
                revision: verdict.decision.revision,
                source: verdict.source.clone(),
                suppressed,
            });
            self.view.batch().decisions.push(verdict.decision);
        }
        // Events that belong to the installs go with them.
        outcomes.extend(self.redecide_events(cause, events)?);
        Ok(outcomes)
    }

    fn replace_winner(
        &mut self,
        cause: &Input,
        record: &InstallRecord,
        verdict: &Verdict,
    ) -> Result<Vec<Suppressed>, StoreError> {
        let mut suppressed = Vec::new();
        if let Some(mut device) = self.view.device(record.app, record.device)? {
            device.source.clone_from(&verdict.source);
            let about = About::install(record);
            let heard = self.view.heard(self.catalogue, about, cause.received)?;
            let plan = self.plan_install(record, verdict, &device, &heard, cause.received)?;
            suppressed = self.post_instead(about, heard, plan);
            self.view.put_device(device);
        }
        Ok(suppressed)
    }

    fn post_install(
        &mut self,
        record: &InstallRecord,
        verdict: &Verdict,
        device: &Device,
        decided: Timestamp,
    ) -> Result<Vec<Suppressed>, StoreError> {
        let plan = self.plan_install(record, verdict, device, &Heard::default(), decided)?;
        Ok(self.post(record.app, plan))
    }

    fn plan_install(
        &mut self,
        record: &InstallRecord,
        verdict: &Verdict,
        device: &Device,
        heard: &Heard,
        decided: Timestamp,
    ) -> Result<Plan, StoreError> {
        let spent = self.spent(record.app, heard, decided)?;
        let Some(app) = self.app(record) else { return Ok(Plan::default()) };
        let mut plan = plan(&Conversion {
            kind: TriggerKind::Install,
            input: InputId::from(record.id),
            decided,
            revision: verdict.decision.revision,
            app,
            catalogue: self.catalogue,
            install: Some(record.id),
            installed: Some(record.install.time),
            origin: Some(&record.install.origin),
            flags: &record.flags,
            device: Some(device),
            event: None,
            click: None,
            source: verdict.source.as_ref(),
            influencers: &influencers(&verdict.decision.candidates),
            duplicate: false,
            told: &heard.told,
            past: Past { spent: &spent, ..Past::default() },
        });
        if let Some(winner) = verdict.decision.winner() {
            let (network, tracker) = (winner.network, winner.tracker);
            self.withhold_failed(record.app, network, tracker, &winner.fraud, &mut plan);
        }
        Ok(plan)
    }

    fn app(&self, record: &InstallRecord) -> Option<&App> {
        self.catalogue.app(record.app).map(AsRef::as_ref)
    }
}

/// The touch of a likely win.
fn modeled_winner(decision: &Decision) -> Option<TouchId> {
    decision.winner().filter(|winner| !winner.basis.is_deterministic()).and_then(|winner| winner.touch)
}

fn winner_of(decision: &Decision) -> Option<(Option<TouchId>, &Basis)> {
    decision.winner().map(|winner| (winner.touch, &winner.basis))
}

/// Networks that were eligible but lost.
pub(crate) fn influencers(candidates: &[Candidate]) -> Vec<NetworkId> {
    let beaten = candidates.iter().filter(|candidate| candidate.lost.is_some_and(LosingReason::was_beaten));
    beaten.map(|candidate| candidate.network).collect()
}

/// Whether two decisions on an install say the same, whenever and under whatever catalogue they were made, but for
/// what came too late.
pub(crate) fn same_decision(old: &Decision, new: &Decision) -> bool {
    late::in_time(old).eq(late::in_time(new))
        && old.ambiguous == new.ambiguous
        && old.flags == new.flags
        && old.more == new.more
        && old.reported == new.reported
}
