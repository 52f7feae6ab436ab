//! Privacy requests in the write path (tracking-and-attribution.md section 16): who is refused from now on,
//! and what is taken away. It is done by the writing thread, between two batches, because only that thread
//! knows that nobody is about to write back what is being erased.

use std::{collections::HashSet, sync::Arc};

use measure::{
    AppId, DeviceId, InstallId,
    engagement::Engagement,
    identifier::{DigestLength, JoinKey},
    input::{Fact, Input, Outcome, Payload},
    policy::Addresses,
    privacy::{
        Job, Search, Tombstone, erase_decision, erase_device, erase_record, keys_of, tombstone, traces,
    },
};
use store::{Scrub, Store, StoreError};

use crate::{
    machine::{Machine, body_key},
    recent::RecentDevices,
};

/// Every address class: what was ever filed under one is found.
const ALL_ADDRESSES: Addresses = Addresses { whole: true, partial: true };

/// One step of a privacy request.
#[derive(Clone, Debug, Default)]
pub struct Erasure {
    /// Whom it is about.
    pub search: Arc<Search>,
    /// Whether everything that names them is refused from now on, in the app or, with `None`, in all apps.
    pub refuse: Option<Option<AppId>>,
    /// Devices to erase.
    pub devices: Vec<(AppId, DeviceId, InstallId)>,
    /// Facts to erase, by their sequences.
    pub facts: Vec<u64>,
    /// The request as it is after this step.
    pub job: Option<Job>,
}

/// Who is refused, because their data was erased.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graves {
    /// Makes the hashes useless to whoever has only the store.
    pub salt: [u8; 32],
    hashes: HashSet<Tombstone>,
}

impl Graves {
    pub(crate) fn load(store: &dyn Store) -> Result<Self, StoreError> {
        Ok(Self { salt: [0; 32], hashes: store.tombstones()?.into_iter().collect() })
    }

    /// Whether an input names somebody who is to be refused.
    pub(crate) fn refuse(&self, input: &Input) -> bool {
        !self.hashes.is_empty()
            && traces(&input.payload).iter().any(|key| {
                let hash = tombstone(&self.salt, key);
                [None, Some(input.app)].into_iter().any(|app| self.hashes.contains(&Tombstone { app, hash }))
            })
    }
}

impl Machine {
    /// Takes the salt of tombstones; without it none of them is recognised.
    #[must_use]
    pub fn with_salt(mut self, salt: [u8; 32]) -> Self {
        self.memory.graves.salt = salt;
        self
    }

    /// Does one step of a privacy request.
    ///
    /// # Errors
    /// The store cannot be read or written; nothing of the step was done.
    pub fn erase(&mut self, step: &Erasure) -> Result<(), StoreError> {
        self.refresh()?;
        let done = self.try_erase(step);
        if let Err(error) = &done {
            self.fail(error);
        }
        done
    }

    fn try_erase(&mut self, step: &Erasure) -> Result<(), StoreError> {
        let store = self.store.clone();
        let mut scrub = Scrub { job: step.job.clone(), ..Scrub::default() };
        if let Some(app) = step.refuse {
            let salt = &self.memory.graves.salt;
            scrub.tombstones =
                step.search.keys().map(|key| Tombstone { app, hash: tombstone(salt, key) }).collect();
        }
        for (app, device, install) in &step.devices {
            take_device(store.as_ref(), *app, *device, *install, &mut scrub)?;
        }
        for sequence in &step.facts {
            let fact = store.facts(*sequence, 1)?.pop().filter(|fact| fact.sequence == *sequence);
            if let Some(fact) = fact {
                self.take_fact(store.as_ref(), &step.search, fact, &mut scrub)?;
            }
        }
        if !scrub.facts.is_empty() {
            scrub.figures = self.memory.count.written_now(self.next_sequence.saturating_sub(1));
        }
        store.scrub(&scrub)?;
        self.memory.graves.hashes.extend(scrub.tombstones);
        self.recent = RecentDevices::default();
        Ok(())
    }

    fn take_fact(
        &mut self,
        store: &dyn Store,
        search: &Search,
        mut fact: Fact,
        scrub: &mut Scrub,
    ) -> Result<(), StoreError> {
        if search.owns(&fact) {
            unfile(&fact, scrub);
            // A device may have later installs beside the one that it names.
            if let Some(Outcome::Installed { install, .. }) = fact.outcomes.first() {
                take_install(store, fact.input.app, *install, scrub)?;
            }
            if let Payload::Engagement(engagement) = &fact.input.payload {
                self.memory.count.forget(fact.input.app, engagement);
            }
        }
        search.erase(&mut fact);
        scrub.facts.push(fact);
        Ok(())
    }
}

/// Takes a device with its install and its decisions, and everything that leads to them.
fn take_device(
    store: &dyn Store,
    app: AppId,
    device: DeviceId,
    install: InstallId,
    scrub: &mut Scrub,
) -> Result<(), StoreError> {
    let before = DeviceId(uuid::Uuid::from_u128(device.0.as_u128().wrapping_sub(1)));
    let found = store.devices(app, Some(before), 1)?.pop().filter(|found| found.id == device);
    if let Some(mut found) = found {
        let digests = found.identifiers.iter().flat_map(keys_of);
        let keys = found.join_keys().into_iter().chain(digests);
        scrub.device_keys.extend(keys.map(|key| (app, key, device)));
        erase_device(&mut found);
        scrub.devices.push(found);
    }
    take_install(store, app, install, scrub)
}

fn take_install(
    store: &dyn Store,
    app: AppId,
    install: InstallId,
    scrub: &mut Scrub,
) -> Result<(), StoreError> {
    if let Some((mut record, decisions)) = store.install(app, install)? {
        let lengths = [DigestLength::Md5, DigestLength::Sha1, DigestLength::Sha256].into();
        let keys = measure::attribution::match_keys(&record.install, &lengths, ALL_ADDRESSES);
        scrub.arrivals.extend(keys.into_iter().map(|key| (app, key, record.install.time, record.id)));
        // The install may have named identifiers that the device has lost since.
        let named = record.install.origin.identifiers.iter().flat_map(keys_of);
        let named = record.install.origin.join_keys().into_iter().chain(named);
        scrub.device_keys.extend(named.map(|key| (app, key, record.device)));
        erase_record(&mut record);
        scrub.installs.push(record);
        scrub.decisions.extend(decisions.into_iter().map(|mut decision| {
            erase_decision(&mut decision);
            decision
        }));
    }
    Ok(())
}

/// Takes an input out of everything that it is filed under.
fn unfile(fact: &Fact, scrub: &mut Scrub) {
    let Input { id, app, payload, key, .. } = &fact.input;
    scrub.seen.extend(key.iter().map(|key| (*app, key.clone())));
    match payload {
        Payload::Engagement(engagement) => unfile_touch(fact, engagement, scrub),
        Payload::Event(event) => {
            scrub.seen.push((*app, body_key(&fact.input)));
            scrub.held.extend(event.origin.join_keys().into_iter().map(|key| (*app, key, *id)));
        }
        Payload::Update(update) => {
            let key = JoinKey::kochava(&update.kochava_device_id);
            scrub.held.push((*app, key, *id));
        }
        Payload::Link(link) => {
            scrub.held.extend(link.join_keys().into_iter().map(|key| (*app, key, *id)));
        }
        Payload::Claim(claim) => {
            let touch = claim.touch((*id).into(), fact.input.received);
            let place = |key| (*app, key, touch.time, touch.content_key, touch.id);
            scrub.touches.extend(claim.match_keys().into_iter().map(place));
            scrub.seen.push((*app, crate::claim::sighting(claim)));
        }
        Payload::Install(_) | Payload::Aggregate(_) | Payload::Ignored(_) => {}
    }
}

fn unfile_touch(fact: &Fact, engagement: &Engagement, scrub: &mut Scrub) {
    let (app, id) = (fact.input.app, fact.input.id.into());
    let touch = engagement.touch(id, fact.input.received);
    let keys = engagement.match_keys(id, ALL_ADDRESSES);
    scrub.touches.extend(keys.into_iter().map(|key| (app, key, touch.time, touch.content_key, id)));
    scrub.seen.extend(crate::engagement::sighting(engagement).map(|key| (app, key)));
}

/// Whether an input was erased: it is part of no decision any more.
pub(crate) fn is_erased(input: &Input) -> bool {
    input.flags.contains(&measure::flag::Flag::Erased)
}
