//! The round of the courier: lease, send, settle.

use std::{sync::Arc, time::Duration};

use measure::{
    Timestamp,
    postback::{Attempt, Delivery, DeliveryState, Next, Outcome, Suppression, next},
};
use reqwest::Client;
use store::{Lease, Settlement, Store, StoreError};
use thiserror::Error;
use tokio::{
    sync::{Notify, watch},
    task::{JoinError, JoinSet},
    time::Instant,
};
use url::Url;

use crate::{
    Guard, Options,
    client::{Sent, client, send},
    lanes::{Lanes, Place},
};

/// The most that is leased at once. More is leased only when less than that waits for its turn.
const LEASE_MAX: usize = 256;
/// How long a store that is not available is left alone.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How often the store is asked although nobody called: a forgotten call costs this much time, no more.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often hosts are looked at while nothing more is leased because so much waits for them.
const TRIM_EVERY: Duration = Duration::from_millis(50);
/// The shortest wait between two looks that found nothing.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// Why the courier could not start or had to end.
#[derive(Debug, Error)]
pub enum CourierError {
    /// The HTTP client cannot be made: fix the system, then start again.
    #[error("the http client cannot be set up, check that CA certificates are installed: {0}")]
    Client(#[from] reqwest::Error),
    /// What the store holds cannot be used: page someone.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part of the courier died: end the program, it starts again where it was.
    #[error("a task of the courier died: {0}")]
    Task(#[from] JoinError),
}

/// Calls the courier when deliveries have been committed.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Notify>);

impl Handle {
    /// Says that deliveries may be due. Cheap; calls that come while the courier is busy count as one.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
type Jitter = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Sends what is due.
pub struct Courier {
    store: Arc<dyn Store>,
    options: Options,
    clock: Clock,
    jitter: Jitter,
    guard: Arc<Guard>,
    client: Client,
    notify: Arc<Notify>,
}

impl Courier {
    /// A courier for the deliveries in `store`. `clock` tells the time by which they are due, `jitter` gives
    /// 64 random bits for each retry.
    ///
    /// # Errors
    ///
    /// [`CourierError::Client`] when the HTTP client cannot be made.
    pub fn new(
        store: Arc<dyn Store>,
        options: Options,
        clock: Clock,
        jitter: Jitter,
    ) -> Result<Self, CourierError> {
        let guard = Arc::new(Guard::new(options.allow_targets.clone()));
        let client = client(guard.clone(), &options)?;
        Ok(Self { store, options, clock, jitter, guard, client, notify: Arc::default() })
    }

    /// What wakes this courier.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(self.notify.clone())
    }

    /// Sends what is due until `stop` becomes true or its sender is gone. Then attempts under way are
    /// finished within [`Options::drain`] and settled; what was only leased is handed back.
    ///
    /// # Errors
    ///
    /// A store that is not available is asked again; one that takes no more writes, a damaged one and a task
    /// that died end the courier.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> Result<(), CourierError> {
        let lanes = Lanes::new(self.options.concurrency, self.options.host_concurrency);
        let mut round = Round {
            courier: self,
            lanes,
            tasks: JoinSet::new(),
            settlements: Vec::new(),
            in_hand: 0,
            leasing: false,
            settling: false,
            look: Look::Now,
            paused_until: None,
            stop_by: None,
        };
        if *stop.borrow_and_update() {
            round.stop();
        }
        while !round.is_over() {
            round.start();
            round.trim();
            round.settle();
            round.lease();
            round.wait(&mut stop).await?;
        }
        Ok(())
    }
}

/// A delivery in hand, with where it goes.
#[derive(Debug)]
struct Parcel {
    lease: Lease,
    url: Url,
}

/// What a task has to say when it ends.
enum Report {
    Leased(Result<(Vec<Lease>, Look), StoreError>),
    Sent { lease: Box<Lease>, host: String, started: Timestamp, elapsed_ms: u32, sent: Sent },
    Settled(Vec<Settlement>, Result<Vec<bool>, StoreError>),
}

/// When to ask the store for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Now,
    At(Option<Timestamp>),
}

impl Look {
    fn or_sooner(self, other: Self) -> Self {
        match (self, other) {
            (Self::Now, _) | (_, Self::Now) => Self::Now,
            (Self::At(one), Self::At(two)) => Self::At([one, two].into_iter().flatten().min()),
        }
    }
}

struct Round {
    courier: Courier,
    lanes: Lanes<Parcel>,
    tasks: JoinSet<Report>,
    /// What is to be settled next.
    settlements: Vec<Settlement>,
    /// Leased and not settled.
    in_hand: usize,
    leasing: bool,
    settling: bool,
    look: Look,
    paused_until: Option<Instant>,
    /// Set once the courier was told to stop.
    stop_by: Option<Instant>,
}

impl Round {
    fn now(&self) -> Timestamp {
        (self.courier.clock)()
    }

    fn is_over(&self) -> bool {
        self.stop_by
            .is_some_and(|by| (self.in_hand == 0 && !self.leasing && !self.settling) || Instant::now() >= by)
    }

    fn is_paused(&self) -> bool {
        self.paused_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether enough waits for its turn.
    fn is_full(&self) -> bool {
        self.lanes.waiting() >= LEASE_MAX
    }

    /// Starts as many attempts as there are places for.
    fn start(&mut self) {
        let now = self.now();
        let needed_ms = i64::try_from(self.courier.options.total_timeout.as_millis()).unwrap_or(i64::MAX);
        while let Some((host, Parcel { lease, url })) = self.lanes.start(now) {
            if lease.until.since(now) < needed_ms {
                // It waited so long that the lease could end under way: back, to be leased afresh.
                self.hand_back(lease, now);
                self.lanes.end(&host, now, 0);
                continue;
            }
            let (client, clock) = (self.courier.client.clone(), self.courier.clock.clone());
            self.tasks.spawn(async move {
                let began = Instant::now();
                let sent = send(&client, &lease.delivery, url, || clock()).await;
                let elapsed_ms = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
                Report::Sent { lease: Box::new(lease), host, started: now, elapsed_ms, sent }
            });
        }
    }

    /// Puts off what waits for hosts that have become slow.
    fn trim(&mut self) {
        for (parcel, due) in self.lanes.trim(self.now()) {
            self.hand_back(parcel.lease, due);
        }
    }

    /// Settles what has gathered, one batch at a time.
    fn settle(&mut self) {
        if self.settling || self.settlements.is_empty() || self.is_paused() {
            return;
        }
        self.settling = true;
        let settlements = std::mem::take(&mut self.settlements);
        let store = self.courier.store.clone();
        self.tasks.spawn_blocking(move || {
            let answer = store.settle(&settlements);
            Report::Settled(settlements, answer)
        });
    }

    /// Leases more when it is time and there is room.
    fn lease(&mut self) {
        let options = &self.courier.options;
        let limit = options.in_hand.saturating_sub(self.in_hand).min(LEASE_MAX);
        let unwanted = self.look != Look::Now || self.is_full() || limit == 0;
        if unwanted || self.leasing || self.stop_by.is_some() || self.is_paused() {
            return;
        }
        self.leasing = true;
        let (store, clock, lease) = (self.courier.store.clone(), self.courier.clock.clone(), options.lease);
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        self.look = Look::At(None);
        self.tasks.spawn_blocking(move || {
            let now = clock();
            Report::Leased(store.lease(now, now.plus(lease_ms), limit).and_then(|leases| {
                let look = if leases.len() < limit { Look::At(store.next_due()?) } else { Look::Now };
                Ok((leases, look))
            }))
        });
    }

    /// Waits for the next thing to happen and takes it in.
    async fn wait(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), CourierError> {
        let patience = self.patience();
        let stopping = self.stop_by.is_some();
        let notify = self.courier.notify.clone();
        tokio::select! {
            Some(report) = self.tasks.join_next() => self.take(report?)?,
            () = notify.notified(), if !stopping => self.look = Look::Now,
            () = tokio::time::sleep(patience) => self.look = Look::Now,
            changed = stop.changed(), if !stopping => {
                if changed.is_err() || *stop.borrow_and_update() {
                    self.stop();
                }
            }
        }
        while let Some(report) = self.tasks.try_join_next() {
            self.take(report?)?;
        }
        Ok(())
    }

    /// How long to wait when nothing happens.
    fn patience(&self) -> Duration {
        let now = Instant::now();
        let until_due = match self.look {
            Look::At(Some(due)) => {
                let ms = u64::try_from(due.since(self.now())).unwrap_or_default();
                Duration::from_millis(ms).clamp(LOOK_PAUSE, LOOK_EVERY)
            }
            // A host that hangs shows by the passing of time alone.
            Look::Now if self.is_full() => TRIM_EVERY,
            Look::At(None) | Look::Now => LOOK_EVERY,
        };
        let until_retry = self.paused_until.map(|until| until.saturating_duration_since(now));
        let until_stop = self.stop_by.map(|by| by.saturating_duration_since(now));
        let retry = until_retry.filter(|wait| !wait.is_zero());
        [retry, until_stop].into_iter().flatten().fold(until_due, Duration::min)
    }

    fn take(&mut self, report: Report) -> Result<(), CourierError> {
        match report {
            Report::Leased(Ok((leases, look))) => {
                self.leasing = false;
                // A call or a retry that came meanwhile still stands.
                self.look = self.look.or_sooner(look);
                self.in_hand += leases.len();
                self.admit(leases);
            }
            Report::Leased(Err(error)) => {
                self.leasing = false;
                self.pause(error)?;
                self.look = Look::Now;
            }
            Report::Sent { lease, host, started, elapsed_ms, sent } => {
                let now = self.now();
                self.lanes.end(&host, started, elapsed_ms);
                let settlement = self.settlement(&lease, started, elapsed_ms, sent, now);
                self.settlements.push(settlement);
            }
            Report::Settled(settlements, Ok(counted)) => {
                self.settling = false;
                self.in_hand = self.in_hand.saturating_sub(settlements.len());
                let lost = counted.iter().filter(|counted| !**counted).count();
                if lost > 0 {
                    tracing::warn!(deliveries = lost, "leases had ended before the attempts were settled");
                }
                self.look_for_retries(&settlements);
            }
            Report::Settled(mut settlements, Err(error)) => {
                self.settling = false;
                settlements.append(&mut self.settlements);
                self.settlements = settlements;
                self.pause(error)?;
            }
        }
        Ok(())
    }

    /// Brings the next look forward to what has just been put down as due.
    fn look_for_retries(&mut self, settlements: &[Settlement]) {
        let pending = settlements.iter().filter(|settlement| settlement.state == DeliveryState::Pending);
        if let Some(due) = pending.map(|settlement| settlement.due).min() {
            self.look = self.look.or_sooner(Look::At(Some(due)));
        }
    }

    fn pause(&mut self, error: StoreError) -> Result<(), CourierError> {
        match error {
            StoreError::Unavailable(_) => {
                tracing::warn!(%error, "the courier waits for the store");
                self.paused_until = Some(Instant::now() + STORE_PAUSE);
                Ok(())
            }
            StoreError::Closed(_) | StoreError::Corrupt(_) => Err(error.into()),
        }
    }

    /// Puts leased deliveries into their lanes. What cannot be sent at all is settled here and now.
    fn admit(&mut self, leases: Vec<Lease>) {
        let now = self.now();
        for lease in leases {
            if self.stop_by.is_some() {
                let due = lease.delivery.due;
                self.hand_back(lease, due);
                continue;
            }
            let Ok(url) = Url::parse(&lease.delivery.request.url) else {
                self.withdraw(&lease, Suppression::BadUrl);
                continue;
            };
            if !self.courier.guard.allows_url(&url) {
                self.withdraw(&lease, Suppression::BlockedTarget);
                continue;
            }
            let port = url.port_or_known_default().unwrap_or_default();
            let host = format!("{}:{port}", url.host_str().unwrap_or_default());
            if let Place::PutOff(parcel, due) = self.lanes.bring(&host, Parcel { lease, url }, now) {
                self.hand_back(parcel.lease, due);
            }
        }
    }

    /// Nothing was sent, and nothing will be.
    fn withdraw(&mut self, lease: &Lease, reason: Suppression) {
        self.settlements.push(withdrawn(lease, reason));
    }

    /// Nothing was sent; it is due again at `due`.
    fn hand_back(&mut self, lease: Lease, due: Timestamp) {
        self.settlements.push(Settlement {
            delivery: lease.delivery.id,
            fence: lease.fence,
            attempt: None,
            state: DeliveryState::Pending,
            reason: None,
            due,
        });
    }

    fn settlement(
        &self,
        lease: &Lease,
        started: Timestamp,
        elapsed_ms: u32,
        sent: Sent,
        now: Timestamp,
    ) -> Settlement {
        let (outcome, response) = match sent {
            Sent::Attempted { outcome, response } => (outcome, response),
            Sent::Blocked => return withdrawn(lease, Suppression::BlockedTarget),
            Sent::Unsendable => return withdrawn(lease, Suppression::BadUrl),
        };
        let delivery = &lease.delivery;
        let number = u32::try_from(delivery.attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let status = match outcome {
            Outcome::Answered { status, .. } => Some(status),
            Outcome::Failed(_) => None,
        };
        let next = next(&outcome, number, delivery.attempts_allowed, now, (self.courier.jitter)());
        log(delivery, number, &outcome, status, elapsed_ms, next);
        let (state, reason, due) = match next {
            Next::Delivered => (DeliveryState::Delivered, None, now),
            Next::Retry(due) => (DeliveryState::Pending, None, due),
            Next::Dead(reason) => (DeliveryState::Dead, Some(reason.name().to_owned()), now),
        };
        let error = outcome.error().map(str::to_owned);
        let attempt = Some(Attempt { number, started, elapsed_ms, status, error, response });
        Settlement { delivery: delivery.id, fence: lease.fence, attempt, state, reason, due }
    }

    /// No more leases; what waits goes back as it came.
    fn stop(&mut self) {
        self.stop_by = Some(Instant::now() + self.courier.options.drain);
        for parcel in self.lanes.clear_waiting() {
            let due = parcel.lease.delivery.due;
            self.hand_back(parcel.lease, due);
        }
    }
}

fn withdrawn(lease: &Lease, reason: Suppression) -> Settlement {
    tracing::info!(delivery.id = %lease.delivery.id, trigger.id = %lease.delivery.trigger, %reason, "not sent");
    Settlement {
        delivery: lease.delivery.id,
        fence: lease.fence,
        attempt: None,
        state: DeliveryState::Suppressed,
        reason: Some(reason.name().to_owned()),
        due: lease.delivery.due,
    }
}

/// Neither URL nor answer: both tell of people.
fn log(
    delivery: &Delivery,
    attempt: u32,
    outcome: &Outcome,
    status: Option<u16>,
    duration_ms: u32,
    next: Next,
) {
    let (delivery_id, trigger_id, error) = (delivery.id, delivery.trigger, outcome.error());
    match next {
        Next::Delivered => tracing::debug!(
            delivery.id = %delivery_id, trigger.id = %trigger_id, attempt, status, duration_ms, "delivered"
        ),
        Next::Retry(_) => tracing::debug!(
            delivery.id = %delivery_id, trigger.id = %trigger_id, attempt, status, error, duration_ms,
            "attempt failed, to be tried again"
        ),
        Next::Dead(reason) => tracing::info!(
            delivery.id = %delivery_id, trigger.id = %trigger_id, attempt, status, error, duration_ms,
            reason = reason.name(), "given up"
        ),
    }
}
