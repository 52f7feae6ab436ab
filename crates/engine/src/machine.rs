//! One batch after another, without threads: the engine's core, also used to replay the record.

use std::{collections::BTreeSet, sync::Arc};

use measure::{
    AppId, InstallId, Timestamp,
    attribution::{Candidate, Decision, horizon, match_keys},
    catalogue::Catalogue,
    engagement::MatchKey,
    flag::Flag,
    identifier::{DigestLength, JoinKey, forms},
    input::{IdempotencyKey, Input, Outcome, Payload, Quarantined},
    ledger::{Counter, count},
    link::Update,
    policy::POSSIBLE_DUPLICATE_MS,
};
use store::{Ask, DigestIndex, Seen, Store, StoreError};

use crate::{
    Answer, Submission,
    bodies::RecentBodies,
    install::Earlier,
    memory::Memory,
    recent::RecentDevices,
    view::{Brought, View},
};

/// The source of idempotency keys that are the bytes of an event: they only flag.
const BODY: &str = "body";
/// Where keys of bodies are filed that belong to no known app; apps are numbered from 1.
const NO_APP: AppId = AppId(0);
/// Devices added to a digest index in one commit.
const INDEX_STEP_DEVICES: usize = 500;

/// What a machine that decides a record again knows of the decisions there were.
pub(crate) trait Known: Send + Sync {
    /// The earlier installs of the device, when an install was processed again. Whether it was one of its own is not
    /// decided again.
    fn earlier(&self, install: InstallId) -> Option<Earlier>;

    /// Whether a decision says what the one before it said, of which not everything may be known.
    fn says_the_same(&self, old: &Decision, new: &Decision) -> bool;

    /// Whether an install may look for engagements under a key.
    fn looks_under(&self, key: &MatchKey) -> bool;

    /// Whether any rule counts engagements and installs.
    fn counts(&self) -> bool;
}

/// Decides and commits, batch by batch.
pub struct Machine {
    pub(crate) store: Arc<dyn Store>,
    /// Set in a machine that decides a record again.
    known: Option<Arc<dyn Known>>,
    catalogue: Arc<Catalogue>,
    pub(crate) memory: Memory,
    pub(crate) recent: RecentDevices,
    pub(crate) bodies: RecentBodies,
    pub(crate) next_sequence: u64,
    /// Set by a failed commit: what is in memory may be ahead of the store.
    stale: bool,
    /// Set when the store takes no more writes.
    over: bool,
}

/// What became of a batch.
pub struct Done {
    /// The answers, request by request.
    pub answers: Vec<Vec<Answer>>,
    /// Whether there is something new for the courier.
    pub created_deliveries: bool,
}

/// One input being decided.
pub(crate) struct Turn<'t, 's> {
    pub view: &'t mut View<'s>,
    pub memory: &'t mut Memory,
    pub bodies: &'t mut RecentBodies,
    pub catalogue: &'t Catalogue,
    pub known: Option<&'t dyn Known>,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("next_sequence", &self.next_sequence).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Done").field("answers", &self.answers).finish_non_exhaustive()
    }
}

impl Machine {
    /// Takes up where the last commit ended. The catalogue serves until an input brings a newer one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn open(store: Arc<dyn Store>, catalogue: Arc<Catalogue>) -> Result<Self, StoreError> {
        let memory = Memory::load(store.as_ref())?;
        let next_sequence = store.last_sequence()? + 1;
        let bodies = RecentBodies::after(store.as_ref())?;
        Ok(Self {
            store,
            known: None,
            catalogue,
            memory,
            recent: RecentDevices::default(),
            bodies,
            next_sequence,
            stale: false,
            over: false,
        })
    }

    /// A machine that decides a record again, over a store that has nothing yet.
    pub(crate) fn again(
        store: Arc<dyn Store>,
        known: Arc<dyn Known>,
        catalogue: Arc<Catalogue>,
    ) -> Result<Self, StoreError> {
        Ok(Self { known: Some(known), ..Self::open(store, catalogue)? })
    }

    /// Decides and commits the elements of several requests, all in one commit.
    pub fn process(&mut self, requests: Vec<Vec<Submission>>) -> Done {
        let done = self.write(requests);
        match self.store.sync() {
            Ok(()) => done,
            Err(error) => self.refuse(&error, done.answers.iter().map(Vec::len)),
        }
    }

    /// As [`Self::process`], but the answers hold only once the store has synced: nobody may be told of them
    /// before.
    pub(crate) fn write(&mut self, requests: Vec<Vec<Submission>>) -> Done {
        let sizes: Vec<usize> = requests.iter().map(Vec::len).collect();
        self.decide_and_write(requests).unwrap_or_else(|error| self.refuse(&error, sizes.into_iter()))
    }

    fn refuse(&mut self, error: &StoreError, sizes: impl Iterator<Item = usize>) -> Done {
        tracing::error!(%error, "a batch could not be committed");
        self.fail(error);
        let answers = sizes.map(|size| vec![Answer::Unavailable; size]).collect();
        Done { answers, created_deliveries: false }
    }

    /// Takes the install of an input for decided, with the candidates of its first decision: what a what-if finds on
    /// record from before its time.
    pub(crate) fn adopt(&mut self, input: &Input, candidates: &[Candidate]) {
        self.memory.remember_recent((input.received, input.app, input.id.into()));
        self.memory.count.adopt(input.app, input.received, candidates);
    }

    /// Whether the store takes no more writes: nothing is to be had from this machine any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over
    }

    pub(crate) fn fail(&mut self, error: &StoreError) {
        self.stale = true;
        self.over |= matches!(error, StoreError::Closed(_));
    }

    fn decide_and_write(&mut self, requests: Vec<Vec<Submission>>) -> Result<Done, StoreError> {
        self.refresh()?;
        self.begin_digest_indexes(&requests)?;
        let store = self.store.clone();
        let ask = ask(&requests, &self.memory, &self.bodies, self.known.is_some());
        let mut view = View::open(store.as_ref(), &mut self.recent, self.next_sequence, ask)?;
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            let mut of_request = Vec::with_capacity(request.len());
            for submission in request {
                of_request.push(match submission {
                    Submission::Quarantine(body, key) => quarantine(&mut view, *body, key)?,
                    Submission::Input(input, catalogue) => {
                        let (memory, bodies) = (&mut self.memory, &mut self.bodies);
                        let known = self.known.as_deref();
                        let mut turn = Turn { view: &mut view, memory, bodies, catalogue: &catalogue, known };
                        let answer = turn.take(*input)?;
                        if catalogue.version > self.catalogue.version {
                            self.catalogue = catalogue;
                        }
                        answer
                    }
                });
            }
            answers.push(of_request);
        }
        let brought = view.into_parts();
        let created_deliveries = self.put(brought)?;
        Ok(Done { answers, created_deliveries })
    }

    /// Reads again what a failed commit may have left in doubt.
    pub(crate) fn refresh(&mut self) -> Result<(), StoreError> {
        if self.stale {
            let salt = self.memory.graves.salt;
            self.memory = Memory::load(self.store.as_ref())?;
            self.memory.graves.salt = salt;
            self.recent = RecentDevices::default();
            self.next_sequence = self.store.last_sequence()? + 1;
            self.stale = false;
        }
        Ok(())
    }

    /// Writes what a batch has brought about and says whether there are deliveries in it.
    fn put(&mut self, brought: Brought) -> Result<bool, StoreError> {
        let Brought { mut batch, known, next_sequence } = brought;
        if batch.is_empty() && self.known.is_none() {
            self.recent.put(known);
            return Ok(false);
        }
        batch.figures = self.memory.count.checkpoint(next_sequence - 1);
        self.store.write(&batch)?;
        self.recent.put(known);
        self.memory.forget(batch.now);
        self.next_sequence = next_sequence;
        Ok(!batch.deliveries.is_empty())
    }

    /// Begins a digest index for every app and length of digest that identity links bring for the first
    /// time. The first step is made here, before the links are decided: in an app of few devices it is the
    /// last one too, and the link finds its device at once.
    fn begin_digest_indexes(&mut self, requests: &[Vec<Submission>]) -> Result<(), StoreError> {
        for submission in requests.iter().flatten() {
            let Submission::Input(input, _) = submission else { continue };
            let Payload::Link(link) = &input.payload else { continue };
            for (_, digest) in &link.digests {
                let length = digest.length();
                if !self.memory.digest_indexes.contains_key(&(input.app, length)) {
                    self.index_step(input.app, length, DigestIndex { after: None, complete: false })?;
                }
            }
        }
        Ok(())
    }

    /// Adds some devices to a digest index that is not complete yet and links what was waiting for them.
    /// The answer is whether there was something to do and it was done.
    pub fn index_some_digests(&mut self) -> bool {
        let next = self.memory.digest_indexes.iter().find(|(_, index)| !index.complete);
        let Some((&(app, length), &index)) = next else { return false };
        match self.index_step(app, length, index) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "the digest index of an app could not be extended");
                self.fail(&error);
                false
            }
        }
    }

    fn index_step(&mut self, app: AppId, length: DigestLength, index: DigestIndex) -> Result<(), StoreError> {
        self.refresh()?;
        let store = self.store.clone();
        let mut view = View::open(store.as_ref(), &mut self.recent, self.next_sequence, Ask::default())?;
        let devices = store.devices(app, index.after, INDEX_STEP_DEVICES)?;
        let index = DigestIndex {
            after: devices.last().map(|device| device.id).or(index.after),
            complete: devices.len() < INDEX_STEP_DEVICES,
        };
        for mut device in devices {
            let mut waiting = BTreeSet::new();
            for identifier in &device.identifiers {
                for (_, digest) in forms(&identifier.value, length) {
                    let key = JoinKey::Digest(digest);
                    waiting.extend(view.held(app, &key)?);
                    view.add_device_key(app, key, device.id);
                }
            }
            for id in waiting {
                let Some(fact) = view.fact(id)? else { continue };
                let mut input = fact.input;
                let catalogue = self.catalogue.clone();
                let (memory, bodies) = (&mut self.memory, &mut self.bodies);
                let mut turn = Turn { view: &mut view, memory, bodies, catalogue: &catalogue, known: None };
                let outcomes = turn.release_held(&mut input, &mut device)?;
                turn.follow(&input, &outcomes);
                view.record_again(input, outcomes);
                view.put_device(device.clone());
            }
        }
        self.memory.digest_indexes.insert((app, length), index);
        view.batch().digest_indexes.push((app, length, index));
        let brought = view.into_parts();
        self.put(brought)?;
        // Nobody waits for an answer that would have it synced.
        self.store.sync()
    }
}

fn quarantine(
    view: &mut View<'_>,
    body: Quarantined,
    key: Option<IdempotencyKey>,
) -> Result<Answer, StoreError> {
    let place = body.app.unwrap_or(NO_APP);
    if let Some(key) = key {
        if let Some(first) = view.seen(place, &key, body.received)? {
            return Ok(Answer::Repeated(first.input));
        }
        view.put_seen(place, key, Seen { input: body.id, received: body.received, body_hash: [0; 16] });
    }
    let batch = view.batch();
    batch.now = batch.now.max(body.received);
    count(&mut batch.tally, body.app, Counter::Quarantined, 1);
    let id = body.id;
    batch.quarantine.push(body);
    Ok(Answer::Quarantined(id))
}

/// What the inputs of a batch need to know, so that it is loaded in one go. What is missed here is loaded
/// when it is needed. Who decides `again` needs engagements only.
fn ask(requests: &[Vec<Submission>], memory: &Memory, bodies: &RecentBodies, again: bool) -> Ask {
    let mut ask = Ask::default();
    let none = BTreeSet::new();
    for submission in requests.iter().flatten() {
        let (input, catalogue) = match submission {
            Submission::Input(input, catalogue) => (input, catalogue),
            Submission::Quarantine(body, key) => {
                ask.seen.extend(key.clone().map(|key| (body.app.unwrap_or(NO_APP), key)));
                continue;
            }
        };
        let app = input.app;
        if again && !matches!(input.payload, Payload::Install(_)) {
            continue;
        }
        if let Some(key) = &input.key {
            ask.seen.push((app, key.clone()));
        }
        let join_keys = match &input.payload {
            Payload::Engagement(engagement) => {
                ask.seen.extend(crate::engagement::sighting(engagement).map(|key| (app, key)));
                continue;
            }
            Payload::Install(install) => {
                let Some(owner) = catalogue.app(app) else { continue };
                let until = horizon(install.time, &catalogue.policy_of(owner));
                let lengths = memory.digest_lengths.get(&app).unwrap_or(&none);
                ask.touches.extend(
                    match_keys(install, lengths, catalogue.addresses())
                        .into_iter()
                        .map(|key| (app, key, until)),
                );
                if again {
                    continue;
                }
                let keys = install.origin.join_keys();
                ask.held.extend(keys.iter().map(|key| (app, key.clone())));
                keys
            }
            Payload::Event(event) => {
                if input.key.is_none() && bodies.may_hold(app, &input.body_hash, input.received) {
                    ask.seen.push((app, body_key(input)));
                }
                event.origin.join_keys()
            }
            Payload::Update(update) => {
                let identifiers = update.identifiers.iter().map(JoinKey::from);
                identifiers.chain([JoinKey::kochava(&update.kochava_device_id)]).collect()
            }
            Payload::Link(link) => link.join_keys(),
            Payload::Claim(claim) => {
                ask.seen.push((app, crate::claim::sighting(claim)));
                continue;
            }
            Payload::Aggregate(postback) => {
                ask.counted.push((app, postback.key()));
                continue;
            }
            Payload::Ignored(_) => continue,
        };
        ask.devices.extend(join_keys.into_iter().map(|key| (app, key)));
    }
    ask.touches.sort_unstable_by(|a, b| (a.0, &a.1, a.2).cmp(&(b.0, &b.1, b.2)));
    // One bound per key: a second one is loaded when its turn comes.
    ask.touches.dedup_by(|a, b| (a.0, &a.1) == (b.0, &b.1));
    ask
}

pub(crate) fn body_key(input: &Input) -> IdempotencyKey {
    IdempotencyKey { source: BODY.to_owned(), key: format!("{:032x}", u128::from_be_bytes(input.body_hash)) }
}

impl Turn<'_, '_> {
    /// Decides one input and puts it on record.
    pub(crate) fn take(&mut self, mut input: Input) -> Result<Answer, StoreError> {
        if self.known.is_some() {
            return self.take_again(input);
        }
        if self.memory.graves.refuse(&input) {
            return Ok(Answer::Erased);
        }
        let seen = Seen { input: input.id, received: input.received, body_hash: input.body_hash };
        if let Some(key) = &input.key
            && let Some(first) = self.view.seen(input.app, key, input.received)?
        {
            return Ok(if first.body_hash == input.body_hash {
                Answer::Repeated(first.input)
            } else {
                Answer::Conflict(first.input)
            });
        }
        self.advance_hour(&input);
        self.stand_in(&mut input)?;
        // The payload is taken out while it is decided, so that flags can be added to its input.
        let payload = std::mem::replace(&mut input.payload, Payload::Update(Update::default()));
        let outcomes = match &payload {
            Payload::Engagement(engagement) => self.engagement(&input, engagement)?,
            Payload::Install(install) => self.install(&mut input, install)?,
            Payload::Event(event) => {
                if input.key.is_none() {
                    self.flag_possible_duplicate(&mut input, &seen)?;
                }
                self.event(&mut input, event)?
            }
            Payload::Update(update) => self.update(&mut input, update)?,
            Payload::Link(link) => self.link(&input, link)?,
            Payload::Aggregate(postback) => self.aggregate(&input, postback)?,
            Payload::Ignored(_) => vec![Outcome::Ignored],
            Payload::Claim(claim) => self.claim(&input, claim)?,
        };
        input.payload = payload;
        if let Some(key) = &input.key {
            self.view.put_seen(input.app, key.clone(), seen);
        }
        let id = input.id;
        self.follow(&input, &outcomes);
        self.view.record(input, outcomes);
        Ok(Answer::Accepted(id))
    }

    /// Decides one input that is on record already: nothing is written down of it, and nobody is told.
    fn take_again(&mut self, mut input: Input) -> Result<Answer, StoreError> {
        self.advance_hour(&input);
        let (id, received) = (input.id, input.received);
        let payload = std::mem::replace(&mut input.payload, Payload::Update(Update::default()));
        match &payload {
            Payload::Engagement(engagement) => drop(self.engagement(&input, engagement)?),
            Payload::Install(install) => drop(self.install(&mut input, install)?),
            Payload::Claim(claim) => drop(self.claim(&input, claim)?),
            Payload::Event(_)
            | Payload::Update(_)
            | Payload::Link(_)
            | Payload::Aggregate(_)
            | Payload::Ignored(_) => {}
        }
        let batch = self.view.batch();
        batch.now = batch.now.max(received);
        Ok(Answer::Accepted(id))
    }

    /// Flags an event whose bytes came within the last minutes (ingest.md section 19): it is kept.
    fn flag_possible_duplicate(&mut self, input: &mut Input, seen: &Seen) -> Result<(), StoreError> {
        let key = body_key(input);
        if self.bodies.may_hold(input.app, &input.body_hash, input.received)
            && let Some(first) = self.view.seen(input.app, &key, input.received)?
            && input.received.since(first.received) <= POSSIBLE_DUPLICATE_MS
        {
            input.flags.insert(Flag::PossibleDuplicate);
        }
        self.bodies.note(input.app, &input.body_hash, input.received);
        self.view.put_seen(input.app, key, seen.clone());
        Ok(())
    }

    /// Files the outcomes of an input where they are looked for: with their install, and with the held
    /// inputs that they released.
    fn follow(&mut self, input: &Input, outcomes: &[Outcome]) {
        let sequence = self.view.sequence();
        for outcome in outcomes {
            let install = match outcome {
                Outcome::Installed { install, .. }
                | Outcome::DuplicateInstall { install }
                | Outcome::Redecided { install, .. }
                | Outcome::EventLinked { install, .. }
                | Outcome::EventRedecided { install, .. }
                | Outcome::Applied { install, .. } => *install,
                Outcome::Touched { .. }
                | Outcome::Held { .. }
                | Outcome::Counted { .. }
                | Outcome::Ignored
                | Outcome::UserChanged { .. } => continue,
            };
            let entry = (input.app, install, sequence);
            if self.view.batch().timeline.last() != Some(&entry) {
                self.view.batch().timeline.push(entry);
            }
            if let Outcome::EventLinked { input: linked, .. }
            | Outcome::EventRedecided { input: linked, .. }
            | Outcome::Applied { input: linked, .. } = outcome
                && *linked != input.id
            {
                self.view.batch().released.push((*linked, sequence));
            }
            if matches!(outcome, Outcome::EventLinked { .. }) {
                count(&mut self.view.batch().tally, Some(input.app), Counter::EventsLinked, 1);
            }
        }
    }

    /// The time bound for the engagements of an install.
    pub(crate) fn horizon(&self, app: AppId, time: Timestamp) -> Timestamp {
        let policy =
            self.catalogue.app(app).map_or(self.catalogue.policy, |app| self.catalogue.policy_of(app));
        horizon(time, &policy)
    }
}
