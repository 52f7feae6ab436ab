//! Clicks and impressions: remembered under every key that an install could find them by.

use std::collections::BTreeSet;

use measure::{
    InstallId, Timestamp,
    attribution::match_keys,
    engagement::{Engagement, EngagementKind, LinkIdentifier, MatchKey, Touch},
    fraud::{Finding, noteworthy},
    identifier::Fingerprint,
    input::{IdempotencyKey, Input, Outcome},
    ledger::{Counter, count},
    postback::{Conversion, Past, TriggerKind, plan},
};
use sha2::{Digest as _, Sha256};
use store::{Seen, StoreError};

use crate::{machine::Turn, view::Heard};

/// Installs and events that one late engagement can have decided again: an import of old clicks behind an address
/// that thousands share must not stop the write path.
const LATE_INSTALLS_MAX: usize = 256;

/// What tells that the same device had the same kind of engagement with a tracker before: its identifiers.
/// Without any it takes the same address, user agent and partner's click id, since behind one address there
/// are several phones of one model; `None` when too little is known to tell, as of a server that tells neither
/// address nor click id.
pub(crate) fn sighting(engagement: &Engagement) -> Option<IdempotencyKey> {
    let mut hasher = Sha256::new();
    hasher.update(engagement.kind.name());
    hasher.update(engagement.tracker.0.to_be_bytes());
    let mut identifiers: Vec<Vec<u8>> = engagement
        .identifiers
        .iter()
        .map(|identifier| match identifier {
            LinkIdentifier::Plain(plain) => Fingerprint::from(plain).0.to_vec(),
            LinkIdentifier::Hashed(_, digest) => digest.as_str().as_bytes().to_vec(),
        })
        .collect();
    identifiers.sort_unstable();
    if identifiers.is_empty() {
        if engagement.user_ip().is_none() && engagement.click_id.is_none() {
            return None;
        }
        let ip = engagement.ip?.to_string();
        let user_agent = engagement.user_agent.as_deref()?;
        let click_id = engagement.click_id.as_deref().unwrap_or_default();
        identifiers.push([ip.as_str(), user_agent, click_id].join("\0").into_bytes());
    }
    for identifier in identifiers {
        hasher.update([0]);
        hasher.update(identifier);
    }
    let mut short = [0; 16];
    for (to, from) in short.iter_mut().zip(hasher.finalize()) {
        *to = from;
    }
    let key = format!("{:032x}", u128::from_be_bytes(short));
    Some(IdempotencyKey { source: "touch".to_owned(), key })
}

impl Turn<'_, '_> {
    pub(crate) fn engagement(
        &mut self,
        input: &Input,
        engagement: &Engagement,
    ) -> Result<Vec<Outcome>, StoreError> {
        let id = input.id.into();
        let keys = engagement.match_keys(id, self.catalogue.addresses());
        let late_for = self.late_for(input, engagement.time, &engagement.identifiers, &keys)?;
        let duplicate = self.seen_before(input, || sighting(engagement))?;
        if duplicate {
            let kind = Counter::Duplicates(engagement.kind.name().to_owned());
            count(&mut self.view.batch().tally, Some(input.app), kind, 1);
        }
        let findings = self.look_at(input, engagement);
        let touch = Touch { findings: noteworthy(&findings), ..engagement.touch(id, input.received) };
        self.count_touch(input, &touch);
        if !late_for.is_empty() {
            self.view.add_engagement(id, engagement.clone());
        }
        self.file_touch(input, keys, &touch);
        self.remember_digest_lengths(input, &engagement.identifiers)?;

        let suppressed = self.post_click(input, engagement, duplicate, &findings)?;
        let mut outcomes = vec![Outcome::Touched { duplicate, suppressed, findings }];
        let mut events = BTreeSet::new();
        let may_be_event = self.catalogue.has_reengagement(input.app);
        for install in late_for {
            if may_be_event && self.view.install(input.app, install)?.is_none() {
                events.insert(install.into());
            } else {
                outcomes.extend(self.take_late(input, install)?);
            }
        }
        outcomes.extend(self.note_late_events(input, &mut events)?);
        outcomes.extend(self.redecide_events(input, events)?);
        Ok(outcomes)
    }

    /// Files an engagement under the keys by which installs look for it.
    pub(crate) fn file_touch(&mut self, input: &Input, keys: Vec<MatchKey>, touch: &Touch) {
        for key in keys {
            if self.known.is_none_or(|known| known.looks_under(&key)) {
                self.view.add_touch(input.app, key, touch.clone());
            }
        }
    }

    /// Whether an engagement of the same `sighting` came before; else it is remembered. No decision depends on
    /// it.
    pub(crate) fn seen_before(
        &mut self,
        input: &Input,
        sighting: impl FnOnce() -> Option<IdempotencyKey>,
    ) -> Result<bool, StoreError> {
        if self.known.is_some() {
            return Ok(false);
        }
        let Some(key) = sighting() else { return Ok(false) };
        if self.view.seen(input.app, &key, input.received)?.is_some() {
            return Ok(true);
        }
        let seen = Seen { input: input.id, received: input.received, body_hash: input.body_hash };
        self.view.put_seen(input.app, key, seen);
        Ok(false)
    }

    /// Installs that an engagement of `time` came too late for (DECISIONS 3). Only one with a time of its
    /// own can be late.
    pub(crate) fn late_for(
        &mut self,
        input: &Input,
        time: Timestamp,
        identifiers: &[LinkIdentifier],
        keys: &[MatchKey],
    ) -> Result<BTreeSet<InstallId>, StoreError> {
        if time >= input.received {
            return Ok(BTreeSet::new());
        }
        let skew = self.horizon(input.app, time).since(time);
        let mut installs = self.view.arrivals(input.app, keys, time.plus(-skew))?;
        let new_lengths = identifiers.iter().any(|identifier| match identifier {
            LinkIdentifier::Hashed(_, digest) => {
                let known = self.memory.digest_lengths.get(&input.app);
                known.is_none_or(|lengths| !lengths.contains(&digest.length()))
            }
            LinkIdentifier::Plain(_) => false,
        });
        if new_lengths {
            // Installs of the grace period are not filed under digests of a length that nobody had sent.
            installs.extend(self.memory.recent(input.app, input.received));
        }
        Ok(installs.into_iter().take(LATE_INSTALLS_MAX).collect())
    }

    pub(crate) fn remember_digest_lengths(
        &mut self,
        input: &Input,
        identifiers: &[LinkIdentifier],
    ) -> Result<(), StoreError> {
        for identifier in identifiers {
            let LinkIdentifier::Hashed(_, digest) = identifier else { continue };
            let length = digest.length();
            if !self.memory.digest_lengths.entry(input.app).or_default().insert(length) {
                continue;
            }
            self.view.batch().digest_lengths.push((input.app, length, input.received));
            // From now on installs are filed under such digests; file those of the grace period too.
            let lengths = BTreeSet::from([length]);
            let recent: Vec<InstallId> = self.memory.recent(input.app, input.received).collect();
            for install in recent {
                let known = self.view.install(input.app, install)?.map(|(record, _)| record);
                let Some(record) =
                    known.map_or_else(|| self.event_stand_in(install.into()), |one| Ok(Some(one)))?
                else {
                    continue;
                };
                for key in match_keys(&record.install, &lengths, self.catalogue.addresses()) {
                    if matches!(key, MatchKey::Digest(_)) {
                        self.view.add_arrival(&record, key);
                    }
                }
            }
        }
        Ok(())
    }

    fn post_click(
        &mut self,
        input: &Input,
        engagement: &Engagement,
        duplicate: bool,
        findings: &[Finding],
    ) -> Result<Vec<measure::input::Suppressed>, StoreError> {
        let Some(app) = self.catalogue.app(input.app) else { return Ok(Vec::new()) };
        if engagement.kind != EngagementKind::Click || self.known.is_some() {
            return Ok(Vec::new());
        }
        let spent = self.spent(input.app, &Heard::default(), input.received)?;
        let mut plan = plan(&Conversion {
            kind: TriggerKind::Click,
            input: input.id,
            decided: input.received,
            revision: 0,
            app,
            catalogue: self.catalogue,
            install: None,
            installed: None,
            origin: None,
            flags: &input.flags,
            device: None,
            event: None,
            click: Some((engagement, input.id.into())),
            source: None,
            influencers: &[],
            duplicate,
            told: &[],
            past: Past { spent: &spent, ..Past::default() },
        });
        let (network, tracker) = (engagement.network, Some(engagement.tracker));
        self.withhold_failed(input.app, network, tracker, findings, &mut plan);
        Ok(self.post(input.app, plan))
    }
}
