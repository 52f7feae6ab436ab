//! The courier against sinks on loopback.

mod adversity;
mod attempts;
mod lanes;
mod pure;
mod rounds;
mod signing;
mod sink;
mod target;
mod tls;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use measure::{
    AppId, DeliveryId, InputId, Timestamp, TriggerId,
    postback::{Delivery, DeliveryState, Method, Request},
};
use store::{Batch, Memory, Store};
use tokio::{sync::watch, task::JoinHandle};
use uuid::Uuid;

use crate::{Courier, CourierError, Handle, Health, Options};

pub const NOW: Timestamp = Timestamp(1_795_248_000_000);

/// Loopback allowed, and time-outs that a hanging sink does not make long.
pub fn options() -> Options {
    Options { allow_targets: vec!["127.0.0.0/8".parse().unwrap()], ..Options::default() }
}

pub fn get(url: impl Into<String>) -> Request {
    Request { method: Method::Get, url: url.into(), ..Request::default() }
}

pub fn id(number: u128) -> DeliveryId {
    DeliveryId(Uuid::from_u128(number))
}

/// A running courier with its store and its clock.
pub struct Running {
    pub store: Arc<Memory>,
    clock: Arc<AtomicI64>,
    handle: Handle,
    pub health: Arc<Health>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), CourierError>>,
}

impl Running {
    pub fn start(options: Options) -> Self {
        Self::signing(options, Vec::new())
    }

    /// One whose requests are signed with these secrets.
    pub fn signing(options: Options, secrets: Vec<Vec<u8>>) -> Self {
        let store = Arc::new(Memory::new());
        let clock = Arc::new(AtomicI64::new(NOW.millis()));
        let time = clock.clone();
        let now = Arc::new(move || Timestamp(time.load(Ordering::SeqCst)));
        // The middle of the range: waits are exactly as written.
        let jitter = Arc::new(|| 1_u64 << 63);
        let secrets = Arc::new(move |_| secrets.clone());
        let courier = Courier::new(store.clone(), options, now, jitter, secrets).unwrap();
        let health = courier.health();
        let handle = courier.handle();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(courier.run(stopped));
        Self { store, clock, handle, health, stop, task }
    }

    /// Commits deliveries, numbered from 1, due `NOW`, and wakes the courier.
    pub fn commit(&self, requests: impl IntoIterator<Item = Request>) {
        self.put((1..).zip(requests).map(|(number, request)| delivery(number, request)));
    }

    /// Commits deliveries and wakes the courier.
    pub fn put(&self, deliveries: impl Iterator<Item = Delivery>) {
        let deliveries = deliveries.collect();
        self.store.commit(&Batch { now: NOW, deliveries, ..Batch::default() }).unwrap();
        self.handle.wake();
    }

    pub fn advance(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
        self.handle.wake();
    }

    pub fn delivery(&self, number: u128) -> Delivery {
        self.store.delivery(id(number)).unwrap().unwrap()
    }

    /// Waits until a delivery is as wanted; gives up after half a minute.
    pub async fn until(&self, number: u128, wanted: impl Fn(&Delivery) -> bool) -> Delivery {
        for _ in 0..6_000 {
            let delivery = self.delivery(number);
            if wanted(&delivery) {
                return delivery;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("still {:?}", self.delivery(number));
    }

    /// Waits until a delivery has had `attempts`.
    pub async fn attempted(&self, number: u128, attempts: usize) -> Delivery {
        self.until(number, |delivery| delivery.attempts.len() >= attempts).await
    }

    /// Waits until a delivery is no longer pending.
    pub async fn finished(&self, number: u128) -> Delivery {
        self.until(number, |delivery| delivery.state != DeliveryState::Pending).await
    }

    pub fn ask_to_stop(&self) {
        self.stop.send(true).unwrap();
    }

    pub async fn stopped(self) -> Arc<Memory> {
        let _ = self.stop.send(true);
        self.task.await.unwrap().unwrap();
        self.store
    }
}

pub fn delivery(number: u128, request: Request) -> Delivery {
    Delivery {
        id: id(number),
        app: AppId(501),
        trigger: TriggerId(1),
        trigger_version: 1,
        conversion: InputId(Uuid::from_u128(number)),
        install: None,
        revision: 0,
        network: None,
        request,
        state: DeliveryState::Pending,
        reason: None,
        created: NOW,
        due: NOW,
        attempts_allowed: 4,
        attempts: Vec::new(),
        sent_as: None,
        attempts_before: 0,
        planned_paused: false,
        earlier: vec![],
    }
}
