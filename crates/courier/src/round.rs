//! The round of the courier: lease, send, settle.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use measure::{
    DeliveryId, Timestamp,
    postback::{Delivery, DeliveryState, Next, Outcome, RETRY_AFTER_MAX_MS, Suppression},
    time::HOUR_MS,
};
use store::{Lease, LeaseAsk, Leased, Settlement, Store, StoreError};
use thiserror::Error;
use tokio::{
    sync::{Notify, watch},
    task::{JoinError, JoinSet},
    time::Instant,
};
use url::Url;

use crate::{
    Health, Options,
    breaker::{BreakerOptions, is_failure},
    client::{Answered, Secrets, Sender, Sent, elapsed_ms},
    lanes::{Lanes, Limits},
    steady::Steady,
};

/// The most that is leased at once. More is leased only when less than that waits for its turn.
const LEASE_MAX: usize = 256;
/// The most that is leased at once of a trigger that nothing is under way for.
const LEASE_EACH: usize = 128;
/// No rule lets a delivery wait for longer, milliseconds.
const WAIT_MAX_MS: i64 = RETRY_AFTER_MAX_MS + HOUR_MS;
/// How long a store that is not available is left alone.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How often the store is asked although nobody called: a forgotten call costs this much time, no more.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often hosts are looked at while nothing more is leased because so much waits for them.
const TRIM_EVERY: Duration = Duration::from_millis(50);
/// So many are settled at once when that many are there in time: one write and one sync for all.
const SETTLE_SOME: usize = 128;
/// How long what is to be settled waits for more while other attempts are under way.
const SETTLE_WAIT: Duration = Duration::from_millis(5);
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

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
/// Gives 64 random bits.
pub type Jitter = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Sends what is due.
pub struct Courier {
    store: Arc<dyn Store>,
    options: Options,
    clock: Clock,
    jitter: Jitter,
    sender: Sender,
    health: Arc<Health>,
    notify: Arc<Notify>,
}

impl Courier {
    /// A courier for the deliveries in `store`. `clock` tells the time by which they are due, `jitter` gives
    /// 64 random bits for each retry, `secrets` what the requests of a trigger are signed with.
    ///
    /// # Errors
    ///
    /// [`CourierError::Client`] when the HTTP client cannot be made.
    pub fn new(
        store: Arc<dyn Store>,
        options: Options,
        clock: Clock,
        jitter: Jitter,
        secrets: Secrets,
    ) -> Result<Self, CourierError> {
        let wall = clock;
        let clock = steady(wall.clone());
        let sender = Sender::new(&options, secrets, wall, clock.clone())?;
        Ok(Self { store, options, clock, jitter, sender, health: Arc::default(), notify: Arc::default() })
    }

    /// What sends single requests as this courier does.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// How the triggers fare.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        self.health.clone()
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
        let lanes = Lanes::new(limits(&self.options));
        let mut round = Round {
            courier: self,
            lanes,
            tasks: JoinSet::new(),
            settlements: Vec::new(),
            settle_by: None,
            in_hand: HashMap::new(),
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
    Leased(Result<Leased, StoreError>),
    Sent { lease: Lease, host: String, started: Timestamp, elapsed_ms: u32, sent: Sent },
    Settled(Vec<Settlement>, Result<Vec<bool>, StoreError>),
}

/// When to ask the store for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Now,
    At(Option<Timestamp>),
}

impl Look {
    /// When the store says that there is more at `due`: at once, if that is not later than `now`.
    fn due(due: Option<Timestamp>, now: Timestamp) -> Self {
        if due.is_some_and(|due| due <= now) { Self::Now } else { Self::At(due) }
    }

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
    /// When it is, if no more comes. Set while there is something and nothing is being settled.
    settle_by: Option<Instant>,
    /// Leased and not settled, with the newest fence: when a clock jumps, the store may think that a lease
    /// has ended and give out what is here already.
    in_hand: HashMap<DeliveryId, u64>,
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
        self.stop_by.is_some_and(|by| {
            (self.in_hand.is_empty() && !self.leasing && !self.settling) || Instant::now() >= by
        })
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
            // It waited so long that the lease could end under way, or it was withdrawn, or its trigger paused or
            // deleted meanwhile: back, to be leased afresh or not at all.
            let stands = lease.stands() && self.courier.store.sends(lease.delivery.trigger);
            if lease.until.since(now) < needed_ms || !stands {
                self.hand_back(&lease);
                self.lanes.unsent(&host, now, now);
                continue;
            }
            let sender = self.courier.sender.clone();
            self.tasks.spawn(async move {
                let began = Instant::now();
                let sent = sender.send(&lease.delivery, url).await;
                Report::Sent { lease, host, started: now, elapsed_ms: elapsed_ms(began), sent }
            });
        }
    }

    /// Hands back what waits for targets that have become slow or are left alone.
    fn trim(&mut self) {
        for parcel in self.lanes.trim(self.now()) {
            self.hand_back(&parcel.lease);
        }
    }

    /// Settles what has gathered, one batch at a time.
    fn settle(&mut self) {
        if self.settling || self.settlements.is_empty() || self.is_paused() {
            return;
        }
        if self.settlements.len() < SETTLE_SOME && self.lanes.running() > 0 {
            let now = Instant::now();
            if now < *self.settle_by.get_or_insert(now + SETTLE_WAIT) {
                return;
            }
        }
        (self.settling, self.settle_by) = (true, None);
        let mut settlements = std::mem::replace(&mut self.settlements, Vec::with_capacity(SETTLE_SOME));
        for settlement in &mut settlements {
            if let Some(fence) = self.in_hand.get(&settlement.delivery) {
                settlement.fence = *fence;
            }
        }
        let store = self.courier.store.clone();
        self.tasks.spawn_blocking(move || {
            let answer = store.settle(&settlements);
            Report::Settled(settlements, answer)
        });
    }

    /// Leases more when it is time and there is room.
    fn lease(&mut self) {
        let options = &self.courier.options;
        let limit = options.in_hand.saturating_sub(self.in_hand.len()).min(LEASE_MAX);
        let unwanted = self.look != Look::Now || self.is_full() || limit == 0;
        if unwanted || self.leasing || self.stop_by.is_some() || self.is_paused() {
            return;
        }
        self.leasing = true;
        let lease_ms = i64::try_from(options.lease.as_millis()).unwrap_or(i64::MAX);
        let now = self.now();
        let ask = LeaseAsk {
            now,
            until: now.plus(lease_ms),
            limit,
            room: self.lanes.room(now),
            room_each: LEASE_EACH,
            far: now.plus(WAIT_MAX_MS),
        };
        self.look = Look::At(None);
        let store = self.courier.store.clone();
        self.tasks.spawn_blocking(move || Report::Leased(store.take_on(&ask)));
    }

    /// Waits for the next thing to happen and takes it in.
    async fn wait(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), CourierError> {
        let patience = self.patience();
        let stopping = self.stop_by.is_some();
        let notify = self.courier.notify.clone();
        tokio::select! {
            Some(report) = self.tasks.join_next() => self.take(report?)?,
            () = notify.notified(), if !stopping => self.look = Look::Now,
            () = tokio::time::sleep(patience) => {
                if self.settle_by.is_none_or(|by| Instant::now() < by) {
                    self.look = Look::Now;
                }
            }
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
            // A target that hangs shows by the passing of time alone.
            Look::Now if self.is_full() => TRIM_EVERY,
            Look::At(None) | Look::Now => LOOK_EVERY,
        };
        let held_up = self.lanes.next_start(self.now());
        let until_start = held_up.map(|at| {
            let ms = u64::try_from(at.since(self.now())).unwrap_or_default();
            Duration::from_millis(ms.max(1))
        });
        let until_retry = self.paused_until.map(|until| until.saturating_duration_since(now));
        let until_stop = self.stop_by.map(|by| by.saturating_duration_since(now));
        let retry = until_retry.filter(|wait| !wait.is_zero());
        let until_settled = self.settle_by.map(|by| by.saturating_duration_since(now));
        [retry, until_stop, until_start, until_settled].into_iter().flatten().fold(until_due, Duration::min)
    }

    fn take(&mut self, report: Report) -> Result<(), CourierError> {
        match report {
            Report::Leased(Ok(Leased { leases, next_due })) => {
                self.leasing = false;
                // A call or a retry that came meanwhile still stands.
                self.look = self.look.or_sooner(Look::due(next_due, self.now()));
                self.admit(leases);
            }
            Report::Leased(Err(error)) => {
                self.leasing = false;
                self.pause(error)?;
                self.look = Look::Now;
            }
            Report::Sent { lease, host, started, elapsed_ms, sent } => {
                self.take_back(lease, &host, started, elapsed_ms, sent);
            }
            Report::Settled(settlements, Ok(counted)) => {
                self.settling = false;
                let mut lost = 0;
                for (settlement, counted) in settlements.iter().zip(&counted) {
                    self.in_hand.remove(&settlement.delivery);
                    lost += usize::from(!*counted);
                }
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
                (self.paused_until, self.settle_by) = (Some(Instant::now() + STORE_PAUSE), None);
                Ok(())
            }
            StoreError::Closed(_) | StoreError::Corrupt(_) => Err(error.into()),
        }
    }

    /// Puts leased deliveries into their lanes. What cannot be sent at all is settled here and now.
    fn admit(&mut self, leases: Vec<Lease>) {
        for lease in leases {
            if self.in_hand.insert(lease.delivery.id, lease.fence).is_some() {
                // It is here already, waiting or under way.
                continue;
            }
            if self.stop_by.is_some() {
                self.hand_back(&lease);
                continue;
            }
            let delivery = &lease.delivery;
            match self.courier.sender.target(&delivery.request.url) {
                Ok(url) => {
                    let port = url.port_or_known_default().unwrap_or_default();
                    let host = format!("{}:{port}", url.host_str().unwrap_or_default());
                    let line = (delivery.trigger, delivery.trigger_version);
                    let retry = !delivery.attempts.is_empty();
                    self.lanes.bring(&host, line, retry, Parcel { lease, url });
                }
                Err(reason) => self.withdraw(&lease, reason),
            }
        }
    }

    /// An attempt has ended.
    fn take_back(&mut self, lease: Lease, host: &str, started: Timestamp, elapsed_ms: u32, sent: Sent) {
        let now = self.now();
        // There is room again: what was left in the store for lack of it may come.
        if self.look != Look::Now && self.lanes.waiting() < LEASE_MAX / 2 {
            self.look = Look::Now;
        }
        match sent {
            Sent::Attempted(answered) => {
                let outcome = answered.outcome;
                let failed = is_failure(&outcome);
                let breaker = self.lanes.end(host, started, elapsed_ms, failed, now);
                self.courier.health.note(lease.delivery.trigger, host, outcome.error(), breaker, now);
                let settlement = self.settlement(&lease, started, elapsed_ms, *answered, now);
                self.settlements.push(settlement);
            }
            Sent::Blocked => {
                self.lanes.unsent(host, started, now);
                self.withdraw(&lease, Suppression::BlockedTarget);
            }
            Sent::Unsendable => {
                self.lanes.unsent(host, started, now);
                self.withdraw(&lease, Suppression::BadUrl);
            }
        }
    }

    /// Nothing was sent, and nothing will be.
    fn withdraw(&mut self, lease: &Lease, reason: Suppression) {
        let (delivery_id, trigger_id) = (lease.delivery.id, lease.delivery.trigger);
        tracing::info!(delivery.id = %delivery_id, trigger.id = %trigger_id, %reason, "not sent");
        self.settlements.push(Settlement {
            delivery: delivery_id,
            fence: lease.fence,
            attempt: None,
            state: DeliveryState::Suppressed,
            reason: Some(reason.name().to_owned()),
            due: lease.delivery.due,
        });
    }

    /// Nothing was sent; it waits as it did.
    fn hand_back(&mut self, lease: &Lease) {
        self.settlements.push(Settlement {
            delivery: lease.delivery.id,
            fence: lease.fence,
            attempt: None,
            state: DeliveryState::Pending,
            reason: None,
            due: lease.delivery.due,
        });
    }

    fn settlement(
        &self,
        lease: &Lease,
        started: Timestamp,
        elapsed_ms: u32,
        answered: Answered,
        now: Timestamp,
    ) -> Settlement {
        let delivery = &lease.delivery;
        let outcome = answered.outcome;
        let number = u32::try_from(delivery.attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let next = delivery.next(&outcome, now, (self.courier.jitter)());
        let attempt = answered.into_attempt(number, started, elapsed_ms);
        log(delivery, number, &outcome, attempt.status, elapsed_ms, next);
        let (state, reason, due) = match next {
            Next::Delivered => (DeliveryState::Delivered, None, now),
            Next::Retry(due) => (DeliveryState::Pending, None, due),
            Next::Dead(reason) => (DeliveryState::Dead, Some(reason.name().to_owned()), now),
        };
        Settlement { delivery: delivery.id, fence: lease.fence, attempt: Some(attempt), state, reason, due }
    }

    /// No more leases; what waits goes back as it came.
    fn stop(&mut self) {
        self.stop_by = Some(Instant::now() + self.courier.options.drain);
        for parcel in self.lanes.clear_waiting() {
            self.hand_back(&parcel.lease);
        }
    }
}

/// The limits of lanes.
fn limits(options: &Options) -> Limits {
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Limits {
        concurrency: options.concurrency,
        host_concurrency: options.host_concurrency,
        host_rate: options.host_rate,
        breaker: BreakerOptions {
            failures: options.breaker_failures,
            pause_ms: ms(options.breaker_pause),
            pause_max_ms: ms(options.breaker_pause_max),
        },
    }
}

/// A clock that does not go back.
fn steady(clock: Clock) -> Clock {
    let state = Mutex::new((Steady::new(clock()), Instant::now()));
    Arc::new(move || {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (steady, looked) = &mut *state;
        let (wall, at) = (clock(), Instant::now());
        let passed_ms = i64::try_from(at.duration_since(*looked).as_millis()).unwrap_or(i64::MAX);
        *looked = at;
        steady.look(wall, passed_ms)
    })
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
