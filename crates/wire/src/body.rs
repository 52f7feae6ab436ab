//! Request bodies before anyone reads them: size and compression (ingest.md sections 15 and 16).

use std::{borrow::Cow, io::Read};

use flate2::read::MultiGzDecoder;

use crate::refusal::Refusal;

/// A body of this many bytes or more, after inflation, is refused with 413 (DECISIONS 25).
pub const BODY_BYTES_MAX: usize = 2_097_152;

/// How gzip data starts.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The body as the sender meant it. Gzip is told by its first bytes, whatever the headers say. Never
/// holds more than `limit` bytes, however well the body was compressed.
///
/// # Errors
/// 413 for `limit` bytes or more after inflation, 400 for broken gzip.
pub fn inflate(body: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, Refusal> {
    if !body.starts_with(&GZIP_MAGIC) {
        return if body.len() < limit { Ok(Cow::Borrowed(body)) } else { Err(too_large(limit)) };
    }
    let mut plain = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX);
    match MultiGzDecoder::new(body).take(bound).read_to_end(&mut plain) {
        Ok(_) if plain.len() >= limit => Err(too_large(limit)),
        Ok(_) => Ok(Cow::Owned(plain)),
        Err(_) => Err(Refusal::bad_request("the gzip body is broken: compress it again")),
    }
}

fn too_large(limit: usize) -> Refusal {
    Refusal::too_large(format!("the body is too large: send fewer than {limit} bytes (after inflation)"))
}
