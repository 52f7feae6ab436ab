//! What-ifs under way: one at a time, on threads of their own that give way to everything else; the results
//! of the last ones are kept for a while.

pub mod command;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use engine::{Plan, Progress, Report, WhatIfError};
use measure::{AppId, Timestamp};
use store::Store;
use tokio::sync::watch;

use crate::{clock, error::Error};

/// Results kept; the oldest goes first.
const KEPT_MAX: usize = 8;
/// Changed installs that the results list which are kept when another what-if begins: about a kilobyte each.
const LISTED_MAX: usize = 200_000;
/// How much less the threads of a what-if weigh than those that serve (`nice`).
const NICENESS: i32 = 10;
/// Threads that read at most.
const READERS_MAX: usize = 4;

/// The what-ifs of the program. They do not survive it.
#[derive(Debug, Default)]
pub struct WhatIfs {
    jobs: Mutex<VecDeque<Arc<Job>>>,
}

/// One what-if.
#[derive(Debug)]
pub struct Job {
    /// What it is asked for by.
    pub id: String,
    /// Its app.
    pub app: AppId,
    /// When it was asked for.
    pub started: Timestamp,
    stopped: AtomicBool,
    done: AtomicU64,
    of: AtomicU64,
    installs: AtomicU64,
    outcome: watch::Sender<Option<Outcome>>,
}

/// What became of a what-if.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// What it found.
    Done(Arc<Report>),
    /// It was told to stop.
    Stopped,
    /// Why it failed, for people.
    Failed(String),
}

/// What the caller has to say differently.
pub fn refusal(error: &WhatIfError) -> Option<Error> {
    match error {
        WhatIfError::TooEarly(earliest) => Some(Error::BadRequest(format!(
            "from: the record goes back to {}; begin then or later",
            jiff::Timestamp::from_millisecond(earliest.millis()).unwrap_or_default()
        ))),
        WhatIfError::TooMany => Some(Error::BadRequest(format!("from: {error}"))),
        WhatIfError::Stopped | WhatIfError::Store(_) => None,
    }
}

/// How many threads shall read: those that this machine has beside the one that decides.
#[must_use]
pub fn readers() -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    cores.saturating_sub(1).clamp(1, READERS_MAX)
}

impl WhatIfs {
    fn jobs(&self) -> MutexGuard<'_, VecDeque<Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a what-if; 409 while another one is under way.
    pub fn begin(&self, store: Arc<dyn Store>, plan: Plan) -> Result<Arc<Job>, Error> {
        let mut jobs = self.jobs();
        if let Some(job) = jobs.iter().find(|job| job.outcome().is_none()) {
            return Err(Error::Conflict(format!(
                "a what-if is under way since {}; wait for it, or stop it with DELETE",
                jiff::Timestamp::from_millisecond(job.started.millis()).unwrap_or_default()
            )));
        }
        let job = Arc::new(Job {
            id: format!("wif_{}", clock::random_hex::<16>()),
            app: plan.app,
            started: clock::now(),
            stopped: AtomicBool::new(false),
            done: AtomicU64::new(0),
            of: AtomicU64::new(0),
            installs: AtomicU64::new(0),
            outcome: watch::Sender::new(None),
        });
        let working = job.clone();
        thread::Builder::new()
            .name("what-if".to_owned())
            .spawn(move || working.work(&store, &plan))
            .map_err(|_| Error::Busy)?;
        while jobs.len() >= KEPT_MAX || jobs.iter().map(|job| job.listed()).sum::<usize>() > LISTED_MAX {
            jobs.pop_front();
        }
        jobs.push_back(job.clone());
        Ok(job)
    }

    /// A what-if of an app.
    pub fn get(&self, app: AppId, id: &str) -> Result<Arc<Job>, Error> {
        let found = self.jobs().iter().find(|job| job.app == app && job.id == id).cloned();
        found.ok_or(Error::NotFound(
            "what-if: the last 8 are kept, fewer when they list many installs, until the server stops",
        ))
    }
}

impl Job {
    /// What became of it; `None` while it is under way.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome.borrow().clone()
    }

    /// How many changed installs it lists.
    fn listed(&self) -> usize {
        match &*self.outcome.borrow() {
            Some(Outcome::Done(report)) => report.changes.len(),
            _ => 0,
        }
    }

    /// Waits for its end, but not for longer than `patience`.
    pub async fn wait(&self, patience: Duration) -> Option<Outcome> {
        let mut outcome = self.outcome.subscribe();
        let ended = tokio::time::timeout(patience, outcome.wait_for(Option::is_some)).await;
        ended.ok().and_then(Result::ok).and_then(|outcome| outcome.clone())
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Progress { done: read(&self.done), of: read(&self.of), installs: read(&self.installs) }
    }

    /// Tells it to stop.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn work(&self, store: &Arc<dyn Store>, plan: &Plan) {
        give_way();
        let watch = |progress: Progress| {
            self.done.store(progress.done, Ordering::Relaxed);
            self.of.store(progress.of, Ordering::Relaxed);
            self.installs.store(progress.installs, Ordering::Relaxed);
            !self.stopped.load(Ordering::Relaxed)
        };
        let outcome = match engine::what_if(store, plan, &watch) {
            Ok(report) => Outcome::Done(Arc::new(report)),
            Err(WhatIfError::Stopped) => Outcome::Stopped,
            Err(error) => {
                tracing::error!(%error, "a what-if failed");
                Outcome::Failed(error.to_string())
            }
        };
        self.outcome.send_replace(Some(outcome));
    }
}

/// Lets this thread, and those that it starts, wait for all others.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        // Where it is not allowed, a what-if weighs as much as everything else.
        let _heavy = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
    }
}
