//! Bodies: streamed in, inflated, limited, and counted against what all of them may take together
//! (DECISIONS 25).

use std::{future::poll_fn, io::Read as _, ops::Deref, pin::Pin, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::Request,
    http::{HeaderMap, header},
};
use flate2::read::MultiGzDecoder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{error::Error, site::Site};

/// How much is inflated at once.
const STEP_BYTES: usize = 64 * 1024;
/// How much of a body that is too large is read at least before the connection is closed.
const DRAINED_BYTES_MIN: usize = 16 * 1024 * 1024;
/// How gzip data begins.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A body in memory. While it lives it counts against `limits.bodies_in_flight`: keep it until the request
/// is answered.
#[derive(Debug)]
pub struct Received {
    bytes: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads the body of a request, inflated when it begins as gzip does, of fewer than `limit` bytes.
///
/// 413 for a larger one, 408 when it does not arrive within `limits.body_timeout`, 400 when it breaks off or
/// does not inflate (there is nothing in it that quarantine could show), 503 when bodies under way take all of `limits.bodies_in_flight`.
pub async fn read_body(site: &Site, request: Request, limit: usize) -> Result<Received, Error> {
    let (parts, body) = request.into_parts();
    read_body_under(site, &parts.headers, body, limit).await
}

/// As [`read_body`], for whoever needs the headers afterwards.
pub async fn read_body_under(
    site: &Site,
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
) -> Result<Received, Error> {
    let permits = site.edge.bodies.clone();
    let patience = site.config.limits.body_timeout;
    if announced(headers).is_some_and(|bytes| bytes >= limit as u64) {
        drain(&mut body, limit, patience).await;
        return Err(Error::TooLarge(limit));
    }
    let received = collect(&mut body, permits.clone(), limit, patience).await;
    if let Err(Error::TooLarge(_) | Error::Busy) = received {
        drain(&mut body, limit, patience).await;
    }
    let received = received?;
    if !received.starts_with(&GZIP_MAGIC) {
        return Ok(received);
    }
    tokio::task::spawn_blocking(move || inflate(&received, &permits, limit))
        .await
        .unwrap_or(Err(Error::Internal("inflating a body was cut short")))
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads on and forgets what it reads, holding one piece at a time, so that a sender that is still writing gets its answer instead of a
/// connection that breaks under it and that it would try again for ever. Up to twice of what is allowed, since a
/// batch that is too large is seldom many times too large.
async fn drain(body: &mut Body, limit: usize, patience: Duration) {
    let bytes_max = DRAINED_BYTES_MIN.max(limit.saturating_mul(2));
    let reading = async {
        let mut drained = 0;
        while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
            drained += frame.data_ref().map_or(0, Bytes::len);
            if drained > bytes_max {
                break;
            }
        }
    };
    // Whoever needs longer than that for bytes that nobody wants is cut off.
    let _slow = tokio::time::timeout(patience, reading).await;
}

/// Takes the body in as it comes.
async fn collect(
    body: &mut Body,
    permits: Arc<Semaphore>,
    limit: usize,
    patience: Duration,
) -> Result<Received, Error> {
    let mut bytes = Vec::new();
    let mut permit = take(&permits, 0)?;
    let reading = async {
        while let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
            let frame = frame.map_err(|_| Error::BadRequest("the body broke off".to_owned()))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() >= limit {
                return Err(Error::TooLarge(limit));
            }
            permit.merge(take(&permits, data.len())?);
            bytes.extend_from_slice(&data);
        }
        Ok(())
    };
    tokio::time::timeout(patience, reading).await.unwrap_or(Err(Error::SlowBody))?;
    Ok(Received { bytes: bytes.into(), _permit: permit })
}

/// Inflates gzip. The compressed bytes count too until they are dropped.
fn inflate(compressed: &[u8], permits: &Arc<Semaphore>, limit: usize) -> Result<Received, Error> {
    let mut decoder = MultiGzDecoder::new(compressed);
    let mut bytes = Vec::new();
    let mut permit = take(permits, 0)?;
    loop {
        let before = bytes.len();
        let step = STEP_BYTES.min(limit - before);
        permit.merge(take(permits, step)?);
        let read = decoder.by_ref().take(step as u64).read_to_end(&mut bytes);
        let read = read.map_err(|_| {
            Error::BadRequest("the body says gzip but does not inflate; compress it again".to_owned())
        })?;
        if bytes.len() >= limit {
            return Err(Error::TooLarge(limit));
        }
        if read < step {
            return Ok(Received { bytes: bytes.into(), _permit: permit });
        }
    }
}

fn take(permits: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
    let bytes = u32::try_from(bytes).map_err(|_| Error::Busy)?;
    permits.clone().try_acquire_many_owned(bytes).map_err(|_| Error::Busy)
}
