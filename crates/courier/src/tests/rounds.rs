use std::time::Duration;

use axum::http::StatusCode;
use measure::postback::{Delivery, DeliveryState};
use store::{Batch, DeliveryQuery, Store};

use super::{NOW, Running, delivery, get, id, options, sink::Sink};
use crate::Options;

#[tokio::test]
async fn many_deliveries_arrive_once_each() {
    let sink = Sink::content().await;
    let running = Running::start(options());
    running.commit((1..=600).map(|number| get(sink.url(&format!("/{number}")))));
    // The clock stands still, so what was put off for lack of room comes back when it is moved.
    for number in 1..=600 {
        running
            .until(number, |delivery| {
                running.advance(10);
                delivery.state == DeliveryState::Delivered
            })
            .await;
    }
    let mut targets: Vec<String> = sink.received().into_iter().map(|received| received.target).collect();
    targets.sort_unstable();
    targets.dedup();
    assert_eq!((targets.len(), sink.received().len()), (600, 600));
}

#[tokio::test]
async fn a_delivery_is_sent_when_it_is_due_and_not_before() {
    let sink = Sink::content().await;
    let running = Running::start(options());
    running.advance(-1_000);
    running.commit([get(sink.url("/later"))]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(sink.received(), []);
    running.advance(1_000);
    assert_eq!(running.finished(1).await.state, DeliveryState::Delivered);
}

#[tokio::test]
async fn a_partner_that_hangs_stops_nobody_else() {
    let slow = Sink::content().await;
    let quick = Sink::content().await;
    let running = Running::start(options());
    // Of one trigger, whose destination was changed.
    let version = |number: u128, request| Delivery {
        trigger_version: if number <= 1_500 { 1 } else { 2 },
        ..delivery(number, request)
    };
    let hanging = (1..=1_500).map(|number| version(number, get(slow.url("/hang"))));
    running.put(hanging.chain((1_501..=1_550).map(|number| version(number, get(quick.url("/pb"))))));
    for number in 1_501..=1_550 {
        running
            .until(number, |delivery| {
                running.advance(10);
                delivery.state == DeliveryState::Delivered
            })
            .await;
    }
    assert_eq!(quick.received().len(), 50);
    assert!(slow.received().len() <= 32, "{}", slow.received().len());
    assert_eq!(running.delivery(1_500).state, DeliveryState::Pending);
}

/// What was withdrawn while it waited for its turn is not sent.
#[tokio::test]
async fn what_is_withdrawn_while_it_waits_is_not_sent() {
    let sink = Sink::content().await;
    let running = Running::start(Options { host_concurrency: 1, ..options() });
    running.commit([get(sink.url("/hang")), get(sink.url("/second")), get(sink.url("/third"))]);
    while sink.received().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let superseded = vec![id(2)];
    running.store.commit(&Batch { now: NOW, superseded, ..Batch::default() }).unwrap();
    sink.let_go(1);
    assert_eq!(running.finished(3).await.state, DeliveryState::Delivered);
    let targets: Vec<String> = sink.received().into_iter().map(|received| received.target).collect();
    assert_eq!(targets, ["/hang", "/third"]);
    let second = running.delivery(2);
    assert_eq!((second.state, second.attempts.len()), (DeliveryState::Suppressed, 0));
}

#[tokio::test]
async fn stopping_finishes_what_is_under_way_and_hands_back_the_rest() {
    let sink = Sink::content().await;
    let running = Running::start(Options { host_concurrency: 2, ..options() });
    running.commit((0..10).map(|_| get(sink.url("/hang"))));
    while sink.received().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.ask_to_stop();
    sink.let_go(100);
    let store = running.stopped().await;
    let of = |state| {
        store.deliveries(&DeliveryQuery { state: Some(state), limit: 100, ..Default::default() }).unwrap()
    };
    assert_eq!((of(DeliveryState::Delivered).len(), of(DeliveryState::Pending).len()), (2, 8));
    assert_eq!(sink.received().len(), 2);
    // Nothing waits for a lease to end: the next process takes on all of it at once.
    assert_eq!(store.lease(NOW, NOW.plus(1), 100).unwrap().len(), 8);
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let sink = Sink::content().await;
    let running = Running::start(Options { drain: Duration::from_millis(50), ..options() });
    running.commit([get(sink.url("/hang"))]);
    while sink.received().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let store = running.stopped().await;
    let delivery = store.delivery(id(1)).unwrap().unwrap();
    assert_eq!((delivery.state, delivery.attempts.len()), (DeliveryState::Pending, 0));
    assert_eq!(store.lease(NOW, NOW.plus(1), 1).unwrap().len(), 0, "it is still leased");
    assert_eq!(store.lease(NOW.plus(40_000), NOW.plus(60_000), 1).unwrap().len(), 1);
}

#[tokio::test]
async fn a_courier_without_its_owner_stops() {
    let sink = Sink::start(|_, _| StatusCode::OK).await;
    let running = Running::start(options());
    running.commit([get(sink.url("/pb"))]);
    running.finished(1).await;
    let Running { stop, task, .. } = running;
    drop(stop);
    task.await.unwrap().unwrap();
}
