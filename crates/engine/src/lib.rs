//! The one write path.
//!
//! Resolved inputs come in over a bounded queue; one thread gathers those of the last moments into a
//! batch, loads what they need, asks `measure` what they bring about, and writes it all at once. A second
//! thread syncs what was written, and only then answers the senders, while the first one decides the
//! next batch. Batches form by themselves while the previous one is being written, so an idle server
//! answers at once and a busy one commits many inputs with one sync.

mod aggregate;
mod bodies;
mod claim;
mod engagement;
mod event;
mod fraud;
mod history;
mod install;
mod late;
mod link;
mod machine;
mod memory;
mod past;
mod privacy;
mod recent;
mod replay;
mod stand_in;
mod sync;
#[cfg(test)]
mod tests;
mod view;
mod what_if;

use std::{
    sync::{
        Arc,
        mpsc::{SendError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use measure::{
    InputId,
    catalogue::Catalogue,
    input::{IdempotencyKey, Input, Quarantined},
};
use store::{Store, StoreError};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

pub use machine::Machine;
pub use privacy::Erasure;
pub use replay::replay;
pub use what_if::{
    Alteration, Altered, CHANGES_MAX, Count, Plan, Progress, Report, Side, WhatIfError, earliest, what_if,
};

/// Batches that may be written and wait for the sync of an earlier one.
const BATCHES_WRITTEN_MAX: usize = 2;

/// Limits of the write path.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Requests that may wait for a batch; more are refused as [`Answer::Busy`].
    pub queue_requests_max: usize,
    /// Elements of one batch: bounds the memory of a commit and the wait of its first sender.
    pub batch_elements_max: usize,
    /// Salts what is remembered of those whose data was erased.
    pub salt: [u8; 32],
}

impl Default for Options {
    fn default() -> Self {
        Self { queue_requests_max: 16_384, batch_elements_max: 1_024, salt: [0; 32] }
    }
}

/// One element for the record.
#[derive(Clone, Debug)]
pub enum Submission {
    /// An input, with the catalogue it was resolved under.
    Input(Box<Input>, Arc<Catalogue>),
    /// A body that could not be used. What comes again under the same key counts once; the key is of these
    /// bytes, so that a body that was mended is another one.
    Quarantine(Box<Quarantined>, Option<IdempotencyKey>),
}

/// What became of a submission. What names an input is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// On record under this identifier.
    Accepted(InputId),
    /// The same key and bytes came before; that input stands and counts once.
    Repeated(InputId),
    /// The same key came before with other bytes; this input was not taken.
    Conflict(InputId),
    /// In quarantine under this identifier.
    Quarantined(InputId),
    /// It names somebody whose data was erased on request: it is not taken, now or later.
    Erased,
    /// Too many requests wait already: try again shortly. Nothing was kept.
    Busy,
    /// Storage failed: try again later. Nothing was promised.
    Unavailable,
}

/// What the writing thread is asked to do.
enum Job {
    /// Put the elements of a request on record.
    Take(Request),
    /// Do a step of a privacy request.
    Erase(Box<Erasure>, oneshot::Sender<Result<(), StoreError>>),
}

struct Request {
    submissions: Vec<Submission>,
    reply: Reply,
}

/// Where the answers to one request go.
type Reply = oneshot::Sender<Vec<Answer>>;

/// A handle to the write path; cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    jobs: mpsc::Sender<Job>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Take(request) => write!(f, "{} submissions", request.submissions.len()),
            Self::Erase(..) => f.write_str("a step of a privacy request"),
        }
    }
}

/// Takes a batch from the queue, decides and writes it. Also what was taken from the queue and is no part of it.
fn run_batch(
    machine: &mut Machine,
    queue: &mut mpsc::Receiver<Job>,
    first: Request,
    options: Options,
) -> (sync::Written, Option<Job>) {
    let mut elements = first.submissions.len();
    let mut batch = vec![first];
    let mut other = None;
    while elements < options.batch_elements_max {
        match queue.try_recv() {
            Ok(Job::Take(next)) => {
                elements += next.submissions.len();
                batch.push(next);
            }
            Ok(job) => {
                other = Some(job);
                break;
            }
            Err(_) => break,
        }
    }
    let (submissions, replies): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|request| (request.submissions, request.reply)).unzip();
    (sync::Written { done: machine.write(submissions), replies }, other)
}

/// The writing thread: batch after batch, until nobody can submit any more or the store takes no writes.
fn run(
    mut machine: Machine,
    mut queue: mpsc::Receiver<Job>,
    options: Options,
    written: &SyncSender<sync::Written>,
) {
    // The digest index grows in the pauses between batches.
    let mut indexing = machine.index_some_digests();
    let mut left = None;
    loop {
        let next = || if indexing { queue.try_recv().ok() } else { queue.blocking_recv() };
        match left.take().or_else(next) {
            Some(Job::Take(first)) => {
                let (batch, other) = run_batch(&mut machine, &mut queue, first, options);
                left = other;
                if let Err(SendError(batch)) = written.send(batch) {
                    return batch.refuse();
                }
            }
            Some(Job::Erase(step, reply)) => {
                // Whoever asked may have gone: the step is done all the same.
                let _gone = reply.send(machine.erase(&step));
            }
            None if queue.is_closed() && queue.is_empty() => return,
            None => {}
        }
        indexing = machine.index_some_digests();
        if machine.is_over() {
            return;
        }
    }
}

impl Engine {
    /// Starts the write path: a thread that decides and writes batches, and one that syncs them and answers.
    /// The handle is of the latter. It ends when every handle is gone and the queue is empty, or when the
    /// store takes no more writes: then end the program, for no more is accepted. `committed` is called
    /// once deliveries that were created are durable.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn start(
        store: Arc<dyn Store>,
        catalogue: Arc<Catalogue>,
        options: Options,
        committed: impl Fn() + Send + 'static,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        let machine = Machine::open(store.clone(), catalogue)?.with_salt(options.salt);
        let (jobs, queue) = mpsc::channel::<Job>(options.queue_requests_max);
        let (written, to_sync) = sync_channel(BATCHES_WRITTEN_MAX);
        let cannot_start =
            |error| StoreError::Unavailable(format!("cannot start the threads of the write path: {error}"));
        let writer = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || run(machine, queue, options, &written))
            .map_err(cannot_start)?;
        let syncer = std::thread::Builder::new()
            .name("sync".to_owned())
            .spawn(move || sync::run(store.as_ref(), &to_sync, writer, &committed))
            .map_err(cannot_start)?;
        Ok((Self { jobs }, syncer))
    }

    /// Puts the elements of one request on record, in one commit, and says what became of each. The
    /// answer comes after the commit; dropping the future does not take the request back.
    pub async fn submit(&self, submissions: Vec<Submission>) -> Vec<Answer> {
        let elements = submissions.len();
        let (reply, answers) = oneshot::channel();
        match self.jobs.try_send(Job::Take(Request { submissions, reply })) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return vec![Answer::Busy; elements],
            Err(TrySendError::Closed(_)) => return vec![Answer::Unavailable; elements],
        }
        answers.await.unwrap_or_else(|_| vec![Answer::Unavailable; elements])
    }

    /// Does one step of a privacy request, between two batches. Waits for room in the queue.
    ///
    /// # Errors
    /// The store cannot be read or written; nothing of the step was done.
    pub async fn erase(&self, step: Erasure) -> Result<(), StoreError> {
        let over = || StoreError::Unavailable("the write path has ended".to_owned());
        let (reply, done) = oneshot::channel();
        self.jobs.send(Job::Erase(Box::new(step), reply)).await.map_err(|_| over())?;
        done.await.unwrap_or_else(|_| Err(over()))
    }
}
