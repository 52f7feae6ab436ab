//! How many requests an app may send (DECISIONS 25).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use measure::{AppId, Timestamp, catalogue::App};

use crate::error::Error;

/// Requests of each app in the current second.
#[derive(Debug, Default)]
pub struct Rates(Mutex<HashMap<AppId, (i64, u32)>>);

impl Rates {
    /// Counts a request of `app` at `now`; 429 above its limit a second: the app's own, else `server_limit`.
    /// 0 is no limit.
    pub fn admit(&self, app: &App, server_limit: u32, now: Timestamp) -> Result<(), Error> {
        let limit = app.policy.requests_per_second.unwrap_or(server_limit);
        if limit == 0 {
            return Ok(());
        }
        let mut seconds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (second, count) = seconds.entry(app.id).or_default();
        if *second != now.seconds() {
            (*second, *count) = (now.seconds(), 0);
        }
        if *count >= limit {
            return Err(Error::TooManyRequests);
        }
        *count += 1;
        Ok(())
    }
}
