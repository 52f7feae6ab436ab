//! How fast postbacks go out, held against the bare HTTP client in a loop, in the same run and against the same
//! sink on loopback: `cargo bench -p courier`. What is due lies in a store on disk; every postback is leased,
//! sent, and settled durably.
//!
//! The two take turns, and the medians count. `SEXTANT_BENCH_POSTBACKS` says how many postbacks go out each time
//! (20000). Nothing here passes or fails by speed.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "it is run by hand and may panic")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, http::StatusCode};
use courier::{Courier, Options};
use measure::{
    AppId, DeliveryId, InputId, Timestamp, TriggerId,
    postback::{Delivery, DeliveryState, Request},
};
use store::{Batch, Fjall, Store};
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_795_248_000_000);
/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// So often each is measured.
const TURNS: usize = 5;
/// The one target takes so many at a time.
const CONCURRENCY: usize = 64;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(bench());
}

async fn bench() {
    let count = std::env::var("SEXTANT_BENCH_POSTBACKS").map_or(20_000, |count| count.parse().unwrap());
    let (address, received) = sink().await;
    let url = format!("http://{address}/pb?click=p-1&device=SX-1");
    let mut before = bare(&url, count).await;
    let mut rows = [1, 50].map(|triggers| (triggers, Vec::new(), Vec::new(), Vec::new()));
    for _ in 0..TURNS {
        for (triggers, rates, bares, ratios) in &mut rows {
            let rate = courier(&url, count, *triggers, &received).await;
            let after = bare(&url, count).await;
            let around = f64::midpoint(before, after);
            rates.push(rate);
            bares.push(around);
            ratios.push(rate / around);
            before = after;
        }
    }
    for (triggers, mut rates, mut bares, mut ratios) in rows {
        let (rate, bare, ratio) = (median(&mut rates), median(&mut bares), median(&mut ratios));
        let (least, most) = (ratios[0], ratios[TURNS - 1]);
        println!(
            "{triggers:>3} triggers: {rate:>6.0}/s   bare client: {bare:>6.0}/s   \
             ratio {ratio:.2} ({least:.2} to {most:.2})"
        );
    }
}

/// The middle one; puts them in order.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn sink() -> (SocketAddr, Arc<AtomicUsize>) {
    let received = Arc::new(AtomicUsize::new(0));
    let count = received.clone();
    let app = Router::new().fallback(async move || {
        count.fetch_add(1, Ordering::Relaxed);
        StatusCode::OK
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, received)
}

/// Requests a second of the client that the courier uses, in a loop.
async fn bare(url: &str, count: usize) -> f64 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(CONCURRENCY).build().unwrap();
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CONCURRENCY {
        let (client, next, url) = (client.clone(), next.clone(), url.to_owned());
        tasks.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < count {
                let answer = client.get(&url).send().await.unwrap();
                assert!(answer.status().is_success());
                answer.bytes().await.unwrap();
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    rate(count, begun.elapsed())
}

/// Postbacks a second, until the last one is settled.
async fn courier(url: &str, count: usize, triggers: u64, received: &AtomicUsize) -> f64 {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = Arc::new(Fjall::open(folder.path(), store::Options::default()).unwrap());
    let numbers: Vec<u128> = (1..=count as u128).collect();
    for some in numbers.chunks(1_000) {
        let deliveries = some.iter().map(|number| delivery(*number, url, triggers)).collect();
        store.commit(&Batch { now: NOW, deliveries, ..Batch::default() }).unwrap();
    }
    let options = Options {
        allow_targets: vec!["127.0.0.0/8".parse().unwrap()],
        host_concurrency: CONCURRENCY,
        ..Options::default()
    };
    let made = Instant::now();
    let clock = Arc::new(move || NOW.plus(i64::try_from(made.elapsed().as_millis()).unwrap()));
    let courier =
        Courier::new(store.clone(), options, clock, Arc::new(|| 0), Arc::new(|_| Vec::new())).unwrap();
    let before = received.load(Ordering::Relaxed);
    // As for the bare client: reading the certificates of the system is no part of it.
    let begun = Instant::now();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let running = tokio::spawn(courier.run(stopped));
    while store.next_due().unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let took = begun.elapsed();
    assert_eq!(received.load(Ordering::Relaxed) - before, count, "each arrived once");
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    rate(count, took)
}

fn delivery(number: u128, url: &str, triggers: u64) -> Delivery {
    Delivery {
        id: DeliveryId(Uuid::from_u128(number)),
        app: AppId(1),
        trigger: TriggerId(u64::try_from(number).unwrap() % triggers + 1),
        trigger_version: 1,
        conversion: InputId(Uuid::from_u128(number)),
        install: None,
        revision: 0,
        network: None,
        request: Request { url: format!("{url}&n={number}"), ..Request::default() },
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

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
