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

/// Reads the body of a request, inflated if it says `Content-Encoding: gzip`, of fewer than `limit` bytes.
///
/// 413 for a larger one, 408 when it does not arrive within `limits.body_timeout`, 415 for another encoding,
/// 400 for bytes that do not inflate or a connection that breaks, 503 when bodies under way take all of
/// `limits.bodies_in_flight`.
pub async fn read_body(site: &Site, request: Request, limit: usize) -> Result<Received, Error> {
    let (parts, body) = request.into_parts();
    let permits = site.edge.bodies.clone();
    let gzipped = is_gzipped(&parts.headers)?;
    if let Some(announced) = announced(&parts.headers)
        && announced >= limit as u64
    {
        return Err(Error::TooLarge(limit));
    }
    let received = collect(body, permits.clone(), limit, site.config.limits.body_timeout).await?;
    if !gzipped {
        return Ok(received);
    }
    tokio::task::spawn_blocking(move || inflate(&received, &permits, limit))
        .await
        .unwrap_or(Err(Error::Internal("inflating a body was cut short")))
}

fn is_gzipped(headers: &HeaderMap) -> Result<bool, Error> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else { return Ok(false) };
    match encoding.to_str().unwrap_or("?").trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(false),
        "gzip" | "x-gzip" => Ok(true),
        _ => Err(Error::UnknownEncoding),
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Takes the body in as it comes.
async fn collect(
    mut body: Body,
    permits: Arc<Semaphore>,
    limit: usize,
    patience: Duration,
) -> Result<Received, Error> {
    let mut bytes = Vec::new();
    let mut permit = take(&permits, 0)?;
    let reading = async {
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
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
        let read =
            read.map_err(|_| Error::BadRequest("the body says gzip but does not inflate".to_owned()))?;
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
