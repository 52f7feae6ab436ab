//! Many senders at once, who remember what they were told.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::task::JoinSet;

use super::answer::Answer;

/// Senders that go on until told to stop. Each sends the next number; all note the inputs they were promised.
pub struct Load {
    stop: Arc<AtomicBool>,
    held: Arc<Mutex<Vec<String>>>,
    senders: JoinSet<()>,
}

impl Load {
    /// `senders` of them, each calling `send` with a number nobody else has. `None` is a broken connection,
    /// which ends a sender.
    pub fn of<F>(senders: usize, send: impl Fn(u64) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<Answer>> + Send + 'static,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let held = Arc::new(Mutex::new(Vec::new()));
        let next = Arc::new(AtomicU64::new(1));
        let mut tasks = JoinSet::new();
        for _ in 0..senders {
            let (stop, held, next, send) = (stop.clone(), held.clone(), next.clone(), send.clone());
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let Some(answer) = send(next.fetch_add(1, Ordering::Relaxed)).await else { return };
                    if answer.status == 200 {
                        held.lock().expect("no sender fails").extend(answer.inputs());
                    } else {
                        assert_eq!(answer.status, 503, "answered {}", answer.text());
                    }
                }
            });
        }
        Self { stop, held, senders: tasks }
    }

    /// How many inputs the senders hold so far.
    pub fn held(&self) -> usize {
        self.held.lock().expect("no sender fails").len()
    }

    /// Waits for the senders to end and gives the inputs they hold.
    pub async fn end(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.senders.join_next().await {
            ended.expect("a sender met an answer that it must not get");
        }
        let held = self.held.lock().expect("no sender fails");
        held.clone()
    }
}
