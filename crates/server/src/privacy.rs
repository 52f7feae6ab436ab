//! The desk where privacy requests are worked off, one after the other
//! (tracking-and-attribution.md section 16). A request is on record from the moment it is answered and
//! begins again after a restart: everything it does may be done twice.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use engine::{Engine, Erasure};
use measure::{
    AppId, DeviceId, InputId,
    device::Device,
    flag::Flag,
    identifier::JoinKey,
    input::Outcome,
    privacy::{ACCESS_FACTS_MAX, Job, JobKind, JobState, Others, Search, Subject, is_erased, keys_of},
};
use store::{DeliveryQuery, Scrub, Store, StoreError};
use tokio::sync::{Notify, watch};

use crate::{clock, lifecycle::stopped};

/// Facts, devices, deliveries and bodies looked at in one step: between two of them others have their turn.
const STEP: usize = 1_000;
/// How long to wait before trying again when the store could not be used.
const PAUSE: Duration = Duration::from_secs(5);

/// What works the requests off.
pub struct Desk {
    /// What is remembered.
    pub store: Arc<dyn Store>,
    /// The write path.
    pub engine: Engine,
    /// Rung when a request has come in.
    pub bell: Arc<Notify>,
    /// The apps there are.
    pub apps: Box<dyn Fn() -> Vec<AppId> + Send + Sync>,
}

impl Desk {
    /// Works requests off until told to stop; what is under way then goes on after the next start.
    pub async fn run(self, stop: watch::Receiver<bool>) -> Result<(), String> {
        loop {
            let outcome = tokio::select! {
                outcome = self.work_off() => outcome,
                () = stopped(stop.clone()) => return Ok(()),
            };
            let wait = async {
                match outcome {
                    Ok(()) => self.bell.notified().await,
                    Err(error) => {
                        tracing::error!(%error, "a privacy request could not go on");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            };
            tokio::select! {
                () = wait => {}
                () = stopped(stop.clone()) => return Ok(()),
            }
        }
    }

    /// Works off what is there. Older versions of records are given up once for all of it.
    async fn work_off(&self) -> Result<(), StoreError> {
        let jobs = self.ask(|store| store.jobs()).await?;
        let mut erasing = Vec::new();
        for job in jobs {
            match job.state {
                JobState::Completed => {}
                JobState::Erasing => erasing.push(job),
                JobState::Queued | JobState::Running => {
                    let job = self.take(job).await?;
                    if job.state == JobState::Erasing {
                        erasing.push(job);
                    }
                }
            }
        }
        if erasing.is_empty() {
            return Ok(());
        }
        self.ask(|store| store.compact()).await?;
        for mut job in erasing {
            job.state = JobState::Completed;
            job.finished = Some(clock::now());
            self.put(job).await?;
        }
        Ok(())
    }

    /// Takes a request from where it is to where only older versions are left of what it was about.
    async fn take(&self, mut job: Job) -> Result<Job, StoreError> {
        let scrub = job.kind == JobKind::Scrub;
        if !job.resolved {
            if scrub {
                // Before anything is looked for, so that nothing more comes in behind it.
                self.refuse(&job).await?;
            }
            let (apps, subject) = (self.apps_of(&job), job.subject.clone());
            job.subject = self.ask(move |store| resolve(store, &apps, subject)).await?;
            job.devices = job.subject.devices.len() as u64;
            if scrub {
                self.refuse(&job).await?;
            }
            job.until = self.ask(|store| store.last_sequence()).await?;
            (job.resolved, job.state) = (true, JobState::Running);
            self.put(job.clone()).await?;
        }
        let search = Arc::new(Search::new(job.app, &job.subject));
        if scrub {
            let devices = job.subject.devices.clone();
            self.erase(Erasure { search: search.clone(), devices, ..Erasure::default() }).await?;
        }
        let inputs = self.facts(&mut job, &search).await?;
        if scrub {
            self.deliveries(&mut job, &search, inputs).await?;
            self.quarantine(&mut job, &search).await?;
            job.subject = Subject::default();
            job.state = JobState::Erasing;
        } else {
            let devices = std::mem::take(&mut job.subject.devices);
            job.subject = Subject { devices, ..Subject::default() };
            (job.state, job.finished) = (JobState::Completed, Some(clock::now()));
        }
        self.put(job.clone()).await?;
        Ok(job)
    }

    async fn refuse(&self, job: &Job) -> Result<(), StoreError> {
        let search = Arc::new(Search::new(job.app, &job.subject));
        self.erase(Erasure { search, refuse: Some(job.app), ..Erasure::default() }).await
    }

    /// Goes through the facts. The answer is the inputs that are the subject's, those of an earlier start
    /// included.
    async fn facts(&self, job: &mut Job, search: &Arc<Search>) -> Result<BTreeSet<InputId>, StoreError> {
        let counted = job.done;
        let (mut next, mut inputs) = (1, BTreeSet::new());
        while next <= job.until {
            let (looking, until) = (search.clone(), job.until);
            let found = self.ask(move |store| look(store, &looking, next, until)).await?;
            next = found.next;
            inputs.extend(found.inputs);
            let new = found.facts.iter().filter(|sequence| **sequence > counted).count() as u64;
            job.inputs += new;
            job.done = job.done.max(next - 1);
            if job.kind == JobKind::Access {
                job.facts.extend(found.facts.iter().filter(|sequence| **sequence > counted));
                job.facts.truncate(ACCESS_FACTS_MAX);
            } else if !found.facts.is_empty() {
                let (search, facts) = (search.clone(), found.facts);
                let step = Erasure { search, facts, job: Some(job.clone()), ..Erasure::default() };
                self.erase(step).await?;
            }
        }
        Ok(inputs)
    }

    async fn deliveries(
        &self,
        job: &mut Job,
        search: &Arc<Search>,
        inputs: BTreeSet<InputId>,
    ) -> Result<(), StoreError> {
        let inputs = Arc::new(inputs);
        let mut after = None;
        loop {
            let (search, inputs) = (search.clone(), inputs.clone());
            let query = DeliveryQuery { after, limit: STEP, ..DeliveryQuery::default() };
            let (last, found) = self
                .ask(move |store| {
                    let page = store.deliveries(&query)?;
                    let mine = page
                        .iter()
                        .filter(|delivery| !is_erased(delivery) && search.finds_delivery(delivery, &inputs));
                    let found: Vec<_> = mine.map(|delivery| delivery.id).collect();
                    Ok((page.last().map(|delivery| delivery.id), found))
                })
                .await?;
            if !found.is_empty() {
                job.deliveries += found.len() as u64;
                let scrub = Scrub { deliveries: found, job: Some(job.clone()), ..Scrub::default() };
                self.ask(move |store| store.scrub(&scrub)).await?;
            }
            match last {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    async fn quarantine(&self, job: &mut Job, search: &Arc<Search>) -> Result<(), StoreError> {
        let shelves = self.apps_of(job).into_iter().map(Some);
        for app in shelves.chain(job.app.is_none().then_some(None)) {
            let mut after = None;
            loop {
                let search = search.clone();
                let (last, found) = self
                    .ask(move |store| {
                        let page = store.quarantine(app, after, STEP / 10)?;
                        let mine = page.iter().filter(|body| search.finds_quarantined(body));
                        let found: Vec<_> = mine.map(|body| (body.app, body.id)).collect();
                        Ok((page.last().map(|body| body.id), found))
                    })
                    .await?;
                if !found.is_empty() {
                    job.quarantined += found.len() as u64;
                    let scrub = Scrub { quarantine: found, job: Some(job.clone()), ..Scrub::default() };
                    self.ask(move |store| store.scrub(&scrub)).await?;
                }
                match last {
                    Some(last) => after = Some(last),
                    None => break,
                }
            }
        }
        Ok(())
    }

    fn apps_of(&self, job: &Job) -> Vec<AppId> {
        job.app.map_or_else(|| (self.apps)(), |app| vec![app])
    }

    async fn erase(&self, step: Erasure) -> Result<(), StoreError> {
        self.engine.erase(step).await
    }

    async fn put(&self, job: Job) -> Result<(), StoreError> {
        let scrub = Scrub { job: Some(job), ..Scrub::default() };
        self.ask(move |store| store.scrub(&scrub)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.store.clone();
        let answer = tokio::task::spawn_blocking(move || question(store.as_ref())).await;
        answer.unwrap_or_else(|_| Err(StoreError::Unavailable("a storage task was cut short".to_owned())))
    }
}

/// Facts found in one step.
struct Found {
    next: u64,
    facts: Vec<u64>,
    inputs: Vec<InputId>,
}

fn look(store: &dyn Store, search: &Search, next: u64, until: u64) -> Result<Found, StoreError> {
    let facts = store.facts(next, STEP)?;
    let mut found = Found { next: until + 1, facts: Vec::new(), inputs: Vec::new() };
    if let Some(last) = facts.last() {
        found.next = last.sequence + 1;
    }
    for fact in facts.iter().filter(|fact| fact.sequence <= until) {
        let own = search.owns(fact);
        if own || fact.input.flags.contains(&Flag::Erased) {
            found.inputs.push(fact.input.id);
        }
        if own || search.finds(fact) {
            found.facts.push(fact.sequence);
        }
    }
    Ok(found)
}

/// Finds the devices that are meant, and everything else that they are known by.
fn resolve(store: &dyn Store, apps: &[AppId], mut subject: Subject) -> Result<Subject, StoreError> {
    let asked = subject.clone();
    for app in apps {
        let kochava = asked.kochava_ids.iter().map(|id| JoinKey::kochava(id));
        let digests = asked.digests.iter().map(|digest| JoinKey::Digest(digest.clone()));
        let plain = asked.identifiers.iter().flat_map(keys_of);
        let mut devices = Vec::new();
        for key in kochava.chain(plain).chain(digests) {
            devices.extend(store.device(*app, &key)?);
        }
        let mut after: Option<DeviceId> = None;
        while asked.needs_all_devices() {
            let page = store.devices(*app, after, STEP)?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            devices.extend(page.into_iter().filter(|device| asked.means(device)));
        }
        for device in devices {
            subject.add_device(&device);
            if let Some((record, decisions)) = store.install(*app, device.install)? {
                subject.add_install(&record);
                decisions.last().into_iter().for_each(|decision| subject.add_decision(decision));
            }
            add_links(store, &device, &mut subject)?;
        }
    }
    compare(store, apps, &mut subject)?;
    Ok(subject)
}

/// Takes in the links that a device was sent, those included that were replaced since or came before its install.
fn add_links(store: &dyn Store, device: &Device, subject: &mut Subject) -> Result<(), StoreError> {
    for sequence in store.timeline(device.app, device.install)? {
        for fact in store.facts(sequence, 1)?.iter().filter(|fact| fact.sequence == sequence) {
            subject.add_links_of(fact);
            for outcome in &fact.outcomes {
                if let Outcome::Applied { input, install } = outcome
                    && (*install, *input != fact.input.id) == (device.install, true)
                {
                    store.fact(*input)?.iter().for_each(|(held, _)| subject.add_links_of(held));
                }
            }
        }
    }
    Ok(())
}

/// Holds the links found against all other devices.
fn compare(store: &dyn Store, apps: &[AppId], subject: &mut Subject) -> Result<(), StoreError> {
    let mut others = Others::of(subject);
    for app in if others.is_empty() { &[] } else { apps } {
        let mut after: Option<DeviceId> = None;
        loop {
            let page = store.devices(*app, after, STEP)?;
            page.iter().for_each(|device| others.see(subject, device));
            let Some(last) = page.last() else { break };
            after = Some(last.id);
        }
    }
    others.settle(subject);
    Ok(())
}
