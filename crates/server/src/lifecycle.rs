//! How the program ends. A signal asks every task to stop: servers accept nothing new and finish what was
//! received, the courier finishes what it is sending. A second signal, or time running out, ends it at once.
//! A task that ends without being asked has died; then the program ends too, and says so by its exit code.

use std::{future::Future, time::Duration};

use thiserror::Error;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::{JoinError, JoinSet},
    time::Instant,
};

/// How long tasks have to stop: below the 30 s after which supervisors kill.
pub const PATIENCE: Duration = Duration::from_secs(27);

/// Signals within this time of the first one count as the same.
const ONE_SIGNAL: Duration = Duration::from_millis(500);

/// Why the program ended other than by being asked to.
#[derive(Debug, Error)]
pub enum LifecycleError {
    /// Signals cannot be listened to.
    #[error("cannot listen to signals: {0}")]
    Signals(std::io::Error),
    /// A task ended by itself.
    #[error("{0} ended unexpectedly; the log above says why")]
    TaskDied(&'static str),
    /// A second signal came while stopping.
    #[error("stopped at once on the second signal")]
    Aborted,
    /// Tasks did not stop in time.
    #[error("stopped before everything was finished: it took longer than {} s", PATIENCE.as_secs())]
    TooSlow,
}

/// The tasks of the program.
pub struct Lifecycle {
    stop: watch::Sender<bool>,
    tasks: JoinSet<(&'static str, Result<(), String>)>,
    interrupt: Signal,
    terminate: Signal,
}

impl Lifecycle {
    /// Begins to listen to SIGINT and SIGTERM.
    pub fn new() -> Result<Self, LifecycleError> {
        Ok(Self {
            stop: watch::Sender::new(false),
            tasks: JoinSet::new(),
            interrupt: signal(SignalKind::interrupt()).map_err(LifecycleError::Signals)?,
            terminate: signal(SignalKind::terminate()).map_err(LifecycleError::Signals)?,
        })
    }

    /// Becomes true when it is time to stop; see [`stopped`].
    #[must_use]
    pub fn stop(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Starts a task that runs until it is told to stop.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { (name, task.await) });
    }

    /// Runs until a signal came, or `until` is ready, and every task ended.
    pub async fn run(mut self, until: impl Future<Output = ()>) -> Result<(), LifecycleError> {
        let mut died = tokio::select! {
            () = asked(&mut self.interrupt, &mut self.terminate) => None,
            () = until => None,
            Some(ended) = self.tasks.join_next() => Some(name_of(ended)),
        };
        tracing::info!("stopping: finishing what was received");
        self.stop.send_replace(true);
        let Self { mut tasks, mut interrupt, mut terminate, .. } = self;
        let ending = async {
            while let Some(ended) = tasks.join_next().await {
                if !matches!(ended, Ok((_, Ok(())))) {
                    died = Some(name_of(ended));
                }
            }
        };
        tokio::select! {
            () = ending => {}
            () = asked_again(&mut interrupt, &mut terminate) => return Err(LifecycleError::Aborted),
            () = tokio::time::sleep(PATIENCE) => return Err(LifecycleError::TooSlow),
        }
        died.map_or(Ok(()), |name| Err(LifecycleError::TaskDied(name)))
    }
}

/// Waits until it is time to stop.
pub async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it the program.
    let _gone = stop.wait_for(|stop| *stop).await;
}

async fn asked(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Waits for a signal that is meant: whoever signals a process and then its group sends two at once.
async fn asked_again(interrupt: &mut Signal, terminate: &mut Signal) {
    let meant = Instant::now() + ONE_SIGNAL;
    loop {
        asked(interrupt, terminate).await;
        if Instant::now() >= meant {
            return;
        }
    }
}

/// The name of a task that ended, after logging how.
fn name_of(ended: Result<(&'static str, Result<(), String>), JoinError>) -> &'static str {
    match ended {
        Ok((name, Ok(()))) => name,
        Ok((name, Err(error))) => {
            tracing::error!(task = name, error, "a task failed");
            name
        }
        Err(error) => {
            tracing::error!(%error, "a task broke off");
            "a task"
        }
    }
}
