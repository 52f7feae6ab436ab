//! Why something was not taken.

use thiserror::Error;

/// A refusal, as the sender sees it (ingest.md section 16).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{error}")]
pub struct Refusal {
    /// The HTTP status: 400, 401, 404 or 413.
    pub status: u16,
    /// What to fix, for the sender.
    pub error: String,
}

impl Refusal {
    /// 400: the sender has to change what it sends.
    #[must_use]
    pub fn bad_request(error: impl Into<String>) -> Self {
        Self { status: 400, error: error.into() }
    }

    /// 413: the sender has to send less at once.
    #[must_use]
    pub fn too_large(error: impl Into<String>) -> Self {
        Self { status: 413, error: error.into() }
    }
}
