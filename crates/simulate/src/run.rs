//! Sends a scenario: many people at a time, each person's requests in order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    account::Account,
    request,
    scenario::{Action, Scenario},
    target::{Error, Target, quote},
};

/// After this many requests that failed for good nobody else starts.
const FAILURES_MAX: usize = 100;
/// Outcomes that wait for the caller to take note.
const OUTCOMES_WAITING: usize = 1_024;

/// How hard to push.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// People at a time.
    pub concurrency: usize,
    /// Requests per second over all of them; `None` is as fast as the server answers.
    pub rate: Option<f64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrency: 32, rate: None }
    }
}

/// What became of one step.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The index of the person.
    pub person: usize,
    /// The index of the step.
    pub step: usize,
    /// `click`, `install`, ….
    pub kind: &'static str,
    /// The status it was answered with.
    pub status: u16,
    /// The input ids it got.
    pub inputs: Vec<String>,
    /// How many times it was sent.
    pub attempts: u32,
    /// When it was sent for the first time.
    pub sent: Instant,
    /// From then to the answer.
    pub took: Duration,
}

/// A step that was not answered as documented; the person's later steps were not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The index of the person.
    pub person: usize,
    /// The index of the step.
    pub step: usize,
    /// What happened, for people.
    pub what: String,
}

/// What became of a scenario.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// The steps that were answered as documented, in the order of the answers.
    pub sent: Vec<Sent>,
    /// The others.
    pub failures: Vec<Failure>,
    /// From the first request to the last answer.
    pub took: Duration,
}

impl Traffic {
    /// How many steps of a kind were answered as documented.
    #[must_use]
    pub fn count(&self, kind: &str) -> usize {
        self.sent.iter().filter(|sent| sent.kind == kind).count()
    }
}

/// The smallest of `values` that the share `part` (0 to 1) of them does not exceed; `None` when empty.
#[must_use]
pub fn percentile(mut values: Vec<Duration>, part: f64) -> Option<Duration> {
    values.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 values")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the length")]
    let place = (part.clamp(0.0, 1.0) * values.len() as f64).ceil() as usize;
    values.get(place.saturating_sub(1)).copied()
}

struct Shared {
    scenario: Arc<Scenario>,
    account: Account,
    target: Target,
    next: AtomicUsize,
    failures: AtomicUsize,
    pace: Option<Pace>,
}

/// Lets one request after the other go, so that there are never more than the rate allows since the first.
struct Pace {
    begun: tokio::time::Instant,
    rate: f64,
    next: AtomicU32,
}

impl Pace {
    fn new(rate: f64) -> Self {
        Self { begun: tokio::time::Instant::now(), rate, next: AtomicU32::new(0) }
    }

    /// Waits for the turn of the next request.
    async fn turn(&self) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep_until(self.begun + due(number, self.rate)).await;
    }
}

/// How long after the first one the request with this number, counted from 0, may go at `rate` requests a second.
fn due(number: u32, rate: f64) -> Duration {
    Duration::try_from_secs_f64(f64::from(number) / rate).unwrap_or(Duration::MAX)
}

/// Sends `scenario` to `target` under the names of `account`. `progress` is called with the number of steps
/// done so far, failed ones and those given up included.
///
/// # Errors
/// Only when a task of the simulator itself fails; what the server does is in the answer.
pub async fn run(
    scenario: Arc<Scenario>,
    account: &Account,
    target: &Target,
    limits: Limits,
    mut progress: impl FnMut(usize),
) -> Result<Traffic, Error> {
    let pace = limits.rate.filter(|rate| *rate > 0.0).map(Pace::new);
    let shared = Arc::new(Shared {
        scenario,
        account: account.clone(),
        target: target.clone(),
        next: AtomicUsize::new(0),
        failures: AtomicUsize::new(0),
        pace,
    });
    let begun = Instant::now();
    let (outcomes, mut inbox) = mpsc::channel(OUTCOMES_WAITING);
    let mut workers = JoinSet::new();
    for _ in 0..limits.concurrency.max(1) {
        workers.spawn(work(Arc::clone(&shared), outcomes.clone()));
    }
    drop(outcomes);
    let mut traffic = Traffic::default();
    let mut done = 0;
    while let Some(outcome) = inbox.recv().await {
        match outcome {
            Ok(sent) => {
                done += 1;
                traffic.sent.push(sent);
            }
            Err(failure) => {
                // Nor are the person's later steps coming.
                let steps = shared.scenario.people.get(failure.person).map_or(0, |person| person.steps.len());
                done += steps.saturating_sub(failure.step);
                traffic.failures.push(failure);
            }
        }
        progress(done);
    }
    while let Some(worker) = workers.join_next().await {
        worker?;
    }
    traffic.took = begun.elapsed();
    Ok(traffic)
}

/// Takes one person after the other until there is none left, or too much went wrong.
async fn work(shared: Arc<Shared>, outcomes: mpsc::Sender<Result<Sent, Failure>>) {
    while shared.failures.load(Ordering::Relaxed) < FAILURES_MAX {
        let index = shared.next.fetch_add(1, Ordering::Relaxed);
        let Some(person) = shared.scenario.people.get(index) else { return };
        let mut referrer = None;
        for (number, step) in person.steps.iter().enumerate() {
            if let Some(pace) = &shared.pace {
                pace.turn().await;
            }
            let request = request::render(&shared.account, person, step, referrer.as_deref());
            let outcome = match shared.target.send(&request).await {
                Ok(answer) if answer.status == request.expect => {
                    if matches!(step.action, Action::Click(_)) {
                        referrer = answer.location.as_deref().and_then(request::referrer).or(referrer);
                    }
                    Ok(Sent {
                        person: index,
                        step: number,
                        kind: step.action.kind(),
                        status: answer.status,
                        inputs: answer.inputs,
                        attempts: answer.attempts,
                        sent: answer.sent,
                        took: answer.took,
                    })
                }
                Ok(answer) => Err(format!(
                    "the {} was answered {} instead of {}: {}",
                    step.action.kind(),
                    answer.status,
                    request.expect,
                    quote(&answer.body)
                )),
                Err(error) => Err(error.to_string()),
            };
            let outcome = outcome.map_err(|what| Failure { person: index, step: number, what });
            let failed = outcome.is_err();
            if failed {
                shared.failures.fetch_add(1, Ordering::Relaxed);
            }
            if outcomes.send(outcome).await.is_err() || failed {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests;
