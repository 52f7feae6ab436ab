//! How large a request body may be (ingest.md section 16). Reading and inflating it is the edge's work.

/// A body of this many bytes or more, after inflation, is refused with 413 (DECISIONS 25).
pub const BODY_BYTES_MAX: usize = 2_097_152;

/// The first 16 bytes of SHA-256.
#[must_use]
pub fn hash(bytes: &[u8]) -> [u8; 16] {
    use sha2::Digest as _;
    let mut hash = [0; 16];
    for (to, from) in hash.iter_mut().zip(sha2::Sha256::digest(bytes)) {
        *to = from;
    }
    hash
}
