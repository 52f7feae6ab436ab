//! Requests per second of one app (`limits.app_requests_per_second`, DECISIONS 25).

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use measure::AppId;

type Limiters = HashMap<AppId, (NonZeroU32, Arc<DefaultDirectRateLimiter>)>;

/// One token bucket per app that has a limit.
#[derive(Debug, Default)]
pub struct AppLimits(Mutex<Limiters>);

impl AppLimits {
    /// Whether a request of `app` may pass under `per_second`; 0 is no limit.
    pub fn admits(&self, app: AppId, per_second: u32) -> bool {
        let Some(per_second) = NonZeroU32::new(per_second) else { return true };
        let limiter = {
            let mut limiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = || (per_second, Arc::new(RateLimiter::direct(Quota::per_second(per_second))));
            let entry = limiters.entry(app).or_insert_with(fresh);
            if entry.0 != per_second {
                *entry = fresh();
            }
            entry.1.clone()
        };
        limiter.check().is_ok()
    }
}
