//! What the world sends: installs, events, updates and identity links, clicks and impressions,
//! aggregate postbacks.
//!
//! Every element received ends in exactly one of accepted, refused and quarantined (DECISIONS 9); the
//! answers of this module say which.

pub(super) mod amplitude;
mod answer;
pub(super) mod browser;
pub(super) mod claims;
mod finished;
mod limit;
pub(super) mod link;
mod pace;
pub(super) mod s2s;
mod search_ads;
pub(super) mod segment;
pub(super) mod skad;
mod source;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, net::SocketAddr};

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use finished::Finished;

pub use limit::AppLimits;
pub use pace::Paces;
pub(super) use source::{Known, UNKNOWN, action, left_out};

/// The address that a connection came from.
type Peer = axum::extract::ConnectInfo<SocketAddr>;

/// Answers what a browser asks before it calls from another page (ingest.md section 18).
pub(super) async fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, OPTIONS"));
    let allowed = HeaderValue::from_static("content-type, idempotency-key");
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// Lets pages of any origin read the answers, errors included.
pub(super) async fn open_to_browsers(mut response: Response) -> Response {
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// Runs `work` to its end, whether or not the sender waits for the answer.
async fn finish(work: impl Future<Output = Response> + Send + 'static) -> Response {
    let done = Finished::new(work).await;
    done.unwrap_or_else(|| answer::refusal(500, "the server failed while it took this call: send it again"))
}

/// The text of a header, byte by byte where it is not UTF-8, so that two values stay two; `None` when it is
/// absent.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<Cow<'h, str>> {
    let bytes = headers.get(name)?.as_bytes();
    let latin = || Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect());
    Some(str::from_utf8(bytes).map_or_else(|_| latin(), Cow::Borrowed))
}
