//! Partners and clocks that misbehave.

use std::time::Duration;

use axum::http::StatusCode;
use measure::{
    TriggerId,
    postback::{Delivery, DeliveryState},
};
use store::{Store, conformance::sample::trigger_paused};

use super::{NOW, Running, delivery, get, options, sink::Sink};
use crate::{BreakerState, Options};

/// Deliveries of a trigger each, numbered from `first`.
fn of(trigger: u64, first: u128, url: &str, count: u128) -> Vec<Delivery> {
    let numbers = first..first + count;
    numbers.map(|n| Delivery { trigger: TriggerId(trigger), ..delivery(n, get(url)) }).collect()
}

/// Twenty fast partners and one that hangs, with far more for the one than for all others: nobody waits as long
/// as its time-out, which is ten seconds. The clock stands still, so nothing is helped by time passing.
#[tokio::test]
async fn one_that_hangs_delays_nobody() {
    let slow = Sink::content().await;
    let running = Running::start(options());
    running.put(of(1, 1, &slow.url("/hang"), 2_000).into_iter());
    let mut quick = Vec::new();
    for n in 0..20_u64 {
        let sink = Sink::content().await;
        running.put(of(2 + n, 10_000 + u128::from(n) * 100, &sink.url("/pb"), 30).into_iter());
        quick.push(sink);
    }
    let all_quick = async {
        for n in 0..20 {
            for k in 0..30 {
                running.finished(10_000 + n * 100 + k).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(9), all_quick)
        .await
        .expect("nobody waits for the one that hangs");
    assert!(quick.iter().all(|sink| sink.received().len() == 30));
    assert!(slow.received().len() <= 32, "{}", slow.received().len());
    assert_eq!(running.delivery(2_000).attempts, []);
}

/// Ten thousand retries that are due stand in nobody's way, not even at the same partner.
#[tokio::test]
async fn first_attempts_do_not_wait_behind_retries() {
    let sink = Sink::start(
        |_, received| {
            if received.target == "/old" { StatusCode::BAD_GATEWAY } else { StatusCode::OK }
        },
    )
    .await;
    let options = Options { host_concurrency: 1, breaker_failures: 0, ..options() };
    let running = Running::start(options);
    running.put(of(1, 1, &sink.url("/old"), 40).into_iter());
    for n in 1..=40 {
        running.attempted(n, 1).await;
    }
    running.put(of(1, 100, &sink.url("/new"), 20).into_iter());
    running.advance(10_000);
    for n in 100..120 {
        running.finished(n).await;
    }
    let received = sink.received();
    let last = received.iter().rposition(|received| received.target == "/new").unwrap();
    let old_before = received.iter().take(last).filter(|received| received.target == "/old").count();
    assert!(old_before <= 40 + 30, "{old_before} retries went before the last first attempt");
}

#[tokio::test]
async fn a_target_that_fails_is_left_alone_and_comes_back() {
    let up = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_up = up.clone();
    let sink = Sink::start(move |_, _| {
        if is_up.load(std::sync::atomic::Ordering::SeqCst) { StatusCode::OK } else { StatusCode::BAD_GATEWAY }
    })
    .await;
    let options = Options { host_concurrency: 1, breaker_failures: 5, ..options() };
    let running = Running::start(options);
    running.put(of(1, 1, &sink.url("/pb"), 50).into_iter());
    let state = || running.health.of(TriggerId(1)).1;
    for _ in 0..1_000 {
        if state() != BreakerState::Closed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(matches!(state(), BreakerState::Open(_)), "{:?}", state());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(sink.received().len(), 5, "it is left alone, and nothing uses attempts up");
    let (health, _) = running.health.of(TriggerId(1));
    assert_eq!((health.attempts(), health.failures()), (5, 5));
    assert_eq!(health.last_failure.map(|(_, error)| error), Some("http"));
    // The probe of half a minute later succeeds, and everything goes out.
    up.store(true, std::sync::atomic::Ordering::SeqCst);
    running.advance(31_000);
    for n in 1..=50 {
        running.finished(n).await;
    }
    assert_eq!(state(), BreakerState::Closed);
    assert_eq!(sink.received().len(), 55);
}

#[tokio::test]
async fn a_paused_trigger_sends_nothing_until_it_is_resumed() {
    let sink = Sink::content().await;
    let running = Running::start(options());
    running.store.record(&[trigger_paused(1, TriggerId(1), true)]).unwrap();
    running.put(of(1, 1, &sink.url("/paused"), 5).into_iter().chain(of(2, 10, &sink.url("/pb"), 1)));
    running.finished(10).await;
    assert!(sink.received().iter().all(|received| received.target == "/pb"));
    running.store.record(&[trigger_paused(2, TriggerId(1), false)]).unwrap();
    running.advance(1);
    for n in 1..=5 {
        assert_eq!(running.finished(n).await.state, DeliveryState::Delivered);
    }
}

/// A clock that jumps ahead ends leases before their time. What is under way is not sent a second time.
#[tokio::test]
async fn a_clock_that_jumps_ahead_sends_nothing_twice() {
    let sink = Sink::content().await;
    let running = Running::start(options());
    running.put(of(1, 1, &sink.url("/hang"), 1).into_iter().chain(of(2, 2, &sink.url("/pb"), 1)));
    running.finished(2).await;
    while sink.received().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.advance(7 * 86_400_000);
    running.put(of(2, 3, &sink.url("/pb"), 1).into_iter());
    running.finished(3).await;
    sink.let_go(10);
    let delivery = running.finished(1).await;
    assert_eq!((delivery.state, delivery.attempts.len()), (DeliveryState::Delivered, 1));
    assert_eq!(sink.received().len(), 3);
}

/// A clock that is put back makes nothing wait until it has caught up.
#[tokio::test]
async fn a_clock_that_is_put_back_delays_nothing() {
    let sink =
        Sink::start(|number, _| if number == 1 { StatusCode::BAD_GATEWAY } else { StatusCode::OK }).await;
    let running = Running::start(options());
    running.put(of(1, 1, &sink.url("/pb"), 1).into_iter());
    running.finished(1).await;
    running.advance(-86_400_000);
    running.put(of(1, 2, &sink.url("/pb"), 1).into_iter());
    let delivery = running.attempted(2, 1).await;
    // By the courier's time it is as late as before, and the retry is a retry's wait away.
    assert!(delivery.due >= NOW.plus(10_000) && delivery.due <= NOW.plus(60_000), "{:?}", delivery.due);
    running.advance(10_000);
    // Real time is added to the courier's, so the wait may be over a little sooner, never later.
    assert_eq!(running.finished(2).await.state, DeliveryState::Delivered);
}

/// What a clock that was years ahead has put down as due then is due now.
#[tokio::test]
async fn what_is_due_in_years_is_due() {
    let sink = Sink::content().await;
    let running = Running::start(options());
    let due = NOW.plus(3 * 365 * 86_400_000);
    running.put(of(1, 1, &sink.url("/pb"), 1).into_iter().map(|delivery| Delivery { due, ..delivery }));
    assert_eq!(running.finished(1).await.state, DeliveryState::Delivered);
}
