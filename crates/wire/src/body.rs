//! How large a request body may be (ingest.md section 16). Reading and inflating it is the edge's work.

/// A body of this many bytes or more, after inflation, is refused with 413 (DECISIONS 25).
pub const BODY_BYTES_MAX: usize = 2_097_152;
