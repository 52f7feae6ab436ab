//! What was received without being kept. Unlike every other count it lives as long as the process
//! (DECISIONS 9, 10).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Elements by where they stand, as far as the store does not count them.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    in_flight: AtomicUsize,
    refused: AtomicUsize,
    unconfirmed: AtomicUsize,
}

impl Refusals {
    /// Takes `n` elements on. They are in flight until the receipt says what became of them or is dropped,
    /// which a client that goes away does; then the store knows what became of them.
    #[must_use]
    pub fn receive(&self, n: usize) -> Receipt {
        self.0.in_flight.fetch_add(n, Relaxed);
        Receipt { counts: self.0.clone(), n }
    }

    /// Counts one refused element or request and answers it as ingest does (ingest.md section 16).
    #[must_use]
    pub fn refuse(&self, status: u16, error: &str) -> Response {
        self.0.refused.fetch_add(1, Relaxed);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = (status, Json(json!({ "success": "0", "error": error }))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    /// Elements answered with 4xx or 5xx of which nothing was kept, since the program started.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.0.refused.load(Relaxed)
    }

    /// Elements received and not answered yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Relaxed)
    }

    /// Clicks redirected before their commit, since the program started.
    #[must_use]
    pub fn redirected_unconfirmed(&self) -> usize {
        self.0.unconfirmed.load(Relaxed)
    }
}

/// Elements in flight.
#[derive(Debug)]
pub struct Receipt {
    counts: Arc<Counts>,
    n: usize,
}

impl Receipt {
    /// The elements are answered; of `refused` of them nothing was kept.
    pub fn settle(self, refused: usize) {
        self.counts.refused.fetch_add(refused, Relaxed);
    }

    /// The elements are answered before their commit came.
    pub fn redirect_unconfirmed(self) {
        self.counts.unconfirmed.fetch_add(self.n, Relaxed);
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.counts.in_flight.fetch_sub(self.n, Relaxed);
    }
}
