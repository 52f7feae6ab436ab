//! How long it takes from a click over its install to the postback at the partner, at half of what the program
//! carries of such journeys: a browser's click, answered by a redirect; the install of the same device, sent when
//! the redirect is there; the postback of the install, received by a sink of this process.
//!
//! First the capacity: so many journeys under way at a time (`SEXTANT_BENCH_CONNECTIONS`), each begun when
//! another one has ended with its postback. Then journeys begin at even intervals, at half of that rate, whether
//! earlier ones have ended or not; times count from when a journey was to begin.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use axum::{
    Router,
    extract::{RawQuery, State},
    http::StatusCode,
};
use serde_json::json;
use simulate::{
    account::{self, Account},
    device::Platform,
    target::Target,
};
use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{sleep_until, timeout},
};

use super::{KEY, NEW, click, install_of, load::Connection, program::Program, serve, setting};
use crate::load::Maker;

/// The argument that asks for it.
pub const ARGUMENT: &str = "journey";

const NAME: &str = "journey";
/// Before anything is measured.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long a postback is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures and prints.
pub async fn bench() -> anyhow::Result<()> {
    let time = Duration::from_secs(setting("SEXTANT_BENCH_SECONDS", 6)?);
    let connections = usize::try_from(setting("SEXTANT_BENCH_CONNECTIONS", 128)?)?;
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let server = serve(data.path())?;
    let sink = Sink::start().await?;
    let target = Target::new(&format!("http://{}", server.address), KEY)?;
    let account = account::set_up(&target, None).await?;
    let trigger = json!({
        "app_id": account.app(Platform::Android).id, "type": "install", "title": "Journey", "template_id": 3373,
        "active": true, "context": { "cpi_mostback_url": sink.url() },
    });
    target.create("/postbacks", &trigger).await?;
    let journeys = Arc::new(Journeys::new(&server, sink, &account));

    closed(&journeys, connections, WARM_UP).await?;
    let (count, took) = closed(&journeys, connections, time).await?;
    let capacity = rate(count, took);
    println!("{connections} journeys under way at a time: {capacity:.0} a second");
    let half = Duration::from_secs(1).div_f64(capacity / 2.0);
    let times = open(&journeys, half, time).await?;
    println!("{} journeys, {:.0} a second:", times.len(), capacity / 2.0);
    print("from the click to the redirect", times.iter().map(|time| time.redirected).collect());
    print("from the install to its postback", times.iter().map(|time| time.told).collect());
    print("from the click to the postback", times.iter().map(|time| time.whole).collect());

    let ledger = target.get("/api/ledger").await?;
    ensure!(ledger["balanced"] == true, "the ledger does not balance: {ledger}");
    println!("the ledger balances: {}", ledger["postbacks"]);
    Ok(())
}

/// How long the parts of a journey took.
struct Times {
    redirected: Duration,
    told: Duration,
    whole: Duration,
}

/// The partner: it tells whoever waits for a device that its postback is there.
#[derive(Clone)]
struct Sink {
    port: u16,
    waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<Instant>>>>,
}

impl Sink {
    async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let sink = Self { port: listener.local_addr()?.port(), waiting: Arc::default() };
        let router = Router::new().fallback(receive).with_state(sink.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(sink)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/pb?device={{kochava_device_id}}&click={{click_id}}", self.port)
    }

    fn wait_for(&self, number: u64) -> oneshot::Receiver<Instant> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, sender);
        receiver
    }
}

async fn receive(State(sink): State<Sink>, RawQuery(query): RawQuery) -> StatusCode {
    let at = Instant::now();
    let device = query.as_deref().and_then(|query| query.strip_prefix("device=")?.split('&').next());
    let number = device.and_then(|device| device.strip_prefix("journey-")?.parse().ok());
    let waiting = |number| sink.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    if let Some(sender) = number.and_then(waiting) {
        let _nobody = sender.send(at);
    }
    StatusCode::OK
}

/// What makes journeys.
struct Journeys {
    address: std::net::SocketAddr,
    sink: Sink,
    click: Maker,
    install: Maker,
    /// The number of the next one: none is made twice.
    next: AtomicU64,
    /// Open connections that nobody uses.
    idle: Mutex<Vec<Connection>>,
}

impl Journeys {
    fn new(server: &Program, sink: Sink, account: &Account) -> Self {
        Self {
            address: server.address,
            sink,
            click: click(account, false, NEW),
            install: install_of(account, NAME, |number| NEW + number),
            next: AtomicU64::new(0),
            idle: Mutex::default(),
        }
    }

    fn idle(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    async fn ask(&self, request: &[u8], expect: u16) -> anyhow::Result<()> {
        let mut connection = match self.idle() {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let status = connection.ask(request).await?;
        ensure!(status == expect, "answered {status} instead of {expect}");
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(())
    }

    /// One journey, which was to begin at `begun`.
    async fn go(&self, begun: Instant) -> anyhow::Result<Times> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.ask(&(self.click)(number), 302).await?;
        let redirected = Instant::now();
        let told = self.sink.wait_for(number);
        self.ask(&(self.install)(number), 200).await?;
        let told = timeout(PATIENCE, told).await.context("a postback did not come")??;
        Ok(Times {
            redirected: redirected.duration_since(begun),
            told: told.duration_since(redirected),
            whole: told.duration_since(begun),
        })
    }
}

/// So many under way at a time: how many ended, and how long it took.
async fn closed(
    journeys: &Arc<Journeys>,
    under_way: usize,
    time: Duration,
) -> anyhow::Result<(usize, Duration)> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..under_way {
        let journeys = journeys.clone();
        tasks.spawn(async move {
            let mut count = 0;
            while begun.elapsed() < time {
                journeys.go(Instant::now()).await?;
                count += 1;
            }
            anyhow::Ok(count)
        });
    }
    let mut count = 0;
    while let Some(ended) = tasks.join_next().await {
        count += ended??;
    }
    Ok((count, begun.elapsed()))
}

/// One after each `interval`, whatever became of the former.
async fn open(journeys: &Arc<Journeys>, interval: Duration, time: Duration) -> anyhow::Result<Vec<Times>> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    let mut at = begun;
    while at.duration_since(begun) < time {
        sleep_until(at.into()).await;
        let (journeys, due) = (journeys.clone(), at);
        tasks.spawn(async move { journeys.go(due).await });
        at += interval;
    }
    let mut times = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        times.push(ended??);
    }
    Ok(times)
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 journeys")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let percentile = |percent: usize| {
        let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
        times.get(place).copied().unwrap_or_default().as_secs_f64() * 1_000.0
    };
    println!("{what:<34} p50 {:>8.2} ms   p99 {:>8.2} ms", percentile(50), percentile(99));
}
