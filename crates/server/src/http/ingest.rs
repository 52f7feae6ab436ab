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
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use finished::Finished;

use crate::{edge, error::Error, ledger::Ledger, site::Site};

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
pub(super) fn open_to_browsers(response: &mut Response) {
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// Reads the body of a call. One that does not come whole counts as refused, also when nobody waits for it any
/// more: its sender is gone, or the time for the request is over.
async fn body_of(
    site: &Site,
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<edge::Received, Error> {
    let mut unread = Unread(Some(&site.ledger));
    let body = edge::read_body_under(site, headers, body, bytes_max).await?;
    unread.0 = None;
    Ok(body)
}

/// A call whose body is not there yet. When it goes, the call was refused.
struct Unread<'l>(Option<&'l Ledger>);

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        if let Some(ledger) = self.0 {
            ledger.refuse(None);
        }
    }
}

/// What is answered when a request takes longer than `limits.request_timeout`. What was received is finished and
/// counted all the same.
pub(super) fn late() -> Response {
    answer::refusal(503, LATE)
}

/// What the sender of a call hears whose time is over.
const LATE: &str = "the call took too long, and what was received of it is finished all the same: send it again, \
                    with its Idempotency-Key if it had one";

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
