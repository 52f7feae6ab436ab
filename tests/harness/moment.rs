//! The clock of the world outside, and waiting without sleeping longer than needed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long anything that is bound to happen may take.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "senders outside of the program have clocks")]
pub fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(elapsed.as_millis()).expect("a time of this age")
}

/// Seconds since 1970.
pub fn now() -> i64 {
    now_ms() / 1_000
}

/// Asks again and again until there is an answer; fails the test when there is none in time.
pub async fn eventually<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, probe).await
}

/// [`eventually`] with a patience of its own.
pub async fn within<T>(patience: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(begun.elapsed() < patience, "waited {patience:?} in vain: {what}");
        tokio::time::sleep(POLL).await;
    }
}
