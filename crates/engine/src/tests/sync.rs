//! The second half of a commit: a batch is written, and nobody hears of it before it is synced.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use measure::{input::Input, policy::AppPolicy, postback::TriggerKind};
use store::{Faulty, Memory, Store};
use tokio::{sync::mpsc, task::JoinHandle as Task};

use super::world::{World, adid, at, install, origin, trigger};
use crate::{Answer, Engine, Options};

/// An engine on a store whose syncs can be stalled and failed, with a trigger that every install meets.
struct Running {
    world: World,
    store: Arc<Faulty<Memory>>,
    engine: Engine,
    thread: JoinHandle<()>,
    /// How often the courier was told of new deliveries.
    told: Arc<AtomicUsize>,
}

impl Running {
    fn start() -> Self {
        let trigger = trigger(1, TriggerKind::Install, None);
        let world = World::with(AppPolicy::default(), vec![trigger]);
        let store = Arc::new(Faulty::new(Memory::default()));
        let told = Arc::<AtomicUsize>::default();
        let telling = told.clone();
        let committed = move || {
            telling.fetch_add(1, Ordering::SeqCst);
        };
        let (engine, thread) =
            Engine::start(store.clone(), world.catalogue.clone(), Options::default(), committed).unwrap();
        Self { world, store, engine, thread, told }
    }

    fn install(&mut self, n: u32) -> Input {
        let device = format!("d-{n}");
        self.world.input(1, install(1, origin(Some(&device), vec![adid(n)], 9)))
    }

    fn submit(&self, input: &Input) -> Task<Vec<Answer>> {
        let (engine, submission) = (self.engine.clone(), self.world.submission(input.clone()));
        tokio::spawn(async move { engine.submit(vec![submission]).await })
    }

    /// Waits until so many facts are written, and a sync waits.
    async fn until_written(&self, facts: u64) {
        let written = async {
            while self.store.last_sequence().unwrap() < facts || self.store.stalled_syncs() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), written).await.expect("it is written");
    }
}

#[tokio::test]
async fn a_batch_is_decided_while_the_one_before_is_synced_and_nobody_hears_of_either() {
    let mut running = Running::start();
    running.store.stall_syncs(true);
    let inputs = [running.install(1), running.install(2)];
    let mut tasks = Vec::new();
    for (input, written) in inputs.iter().zip(1..) {
        tasks.push(running.submit(input));
        running.until_written(written).await;
    }
    assert!(tasks.iter().all(|task| !task.is_finished()));
    assert_eq!(running.told.load(Ordering::SeqCst), 0);
    running.store.stall_syncs(false);
    for (task, input) in tasks.into_iter().zip(&inputs) {
        assert_eq!(task.await.unwrap(), [Answer::Accepted(input.id)]);
    }
    assert_ne!(running.told.load(Ordering::SeqCst), 0, "told before the answer");
    assert_eq!(running.store.lease(at(9_999), at(99_999), 9).unwrap().len(), 2);
}

#[tokio::test]
async fn a_repeated_input_is_answered_after_the_sync_of_the_first() {
    let mut running = Running::start();
    running.store.stall_syncs(true);
    let mut input = running.install(1);
    input.key = Some(measure::input::IdempotencyKey { source: "header".to_owned(), key: "k".to_owned() });
    let first = running.submit(&input);
    running.until_written(1).await;
    let again = running.submit(&input);
    // The second batch writes nothing, so there is nothing to wait for: it has to come after the first.
    let (order, mut answered) = mpsc::unbounded_channel();
    let second = order.clone();
    tokio::spawn(async move { order.send(first.await.unwrap()) });
    tokio::spawn(async move { second.send(again.await.unwrap()) });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(answered.try_recv().is_err(), "answered before the sync");
    running.store.stall_syncs(false);
    let mut answers = [answered.recv().await.unwrap(), answered.recv().await.unwrap()].concat();
    answers.sort_by_key(|answer| matches!(answer, Answer::Repeated(_)));
    assert_eq!(answers, [Answer::Accepted(input.id), Answer::Repeated(input.id)]);
}

#[tokio::test]
async fn a_sync_that_fails_promises_nothing_to_anyone_and_ends_the_write_path() {
    let mut running = Running::start();
    running.store.stall_syncs(true);
    let inputs = [running.install(1), running.install(2), running.install(3)];
    let mut tasks = Vec::new();
    for (input, written) in inputs.iter().zip(1..) {
        tasks.push(running.submit(input));
        running.until_written(written).await;
    }
    running.store.fail_syncs();
    running.store.stall_syncs(false);
    for task in tasks {
        assert_eq!(task.await.unwrap(), [Answer::Unavailable]);
    }
    assert_eq!(running.told.load(Ordering::SeqCst), 0);
    assert!(running.store.lease(at(9_999), at(99_999), 9).is_err(), "what is not durable is not sent");
    running.thread.join().unwrap();
    let late = running.world.submission(inputs[0].clone());
    assert_eq!(running.engine.submit(vec![late]).await, [Answer::Unavailable]);
}
