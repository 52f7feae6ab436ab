//! The clock and the randomness of the program. Everything else takes them as arguments, so that a replay
//! of stored inputs gives the same decisions.

use std::time::{SystemTime, UNIX_EPOCH};

use measure::{InputId, Timestamp};
use rand::Rng as _;
use uuid::{Builder, Uuid};

/// The time now. A clock before 1970 reads as 1970.
#[must_use]
pub fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this module is where the time comes from")]
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

/// A new identifier for what was received at `received`: a UUID of version 7, so that identifiers sort by
/// time.
#[must_use]
pub fn new_id(received: Timestamp) -> InputId {
    let millis = u64::try_from(received.millis()).unwrap_or_default();
    InputId(Builder::from_unix_timestamp_millis(millis, &random()).into_uuid())
}

/// Random bytes, good enough for keys.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// 64 random bits, for jitter.
#[must_use]
pub fn random_bits() -> u64 {
    rand::random()
}

/// `N` random bytes as hexadecimal digits.
#[must_use]
pub fn random_hex<const N: usize>() -> String {
    random::<N>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A new secret of 128 random bits, in the look of the keys that clients know: an upper-case UUID.
#[must_use]
pub fn new_key() -> String {
    Uuid::from_bytes(random()).hyphenated().to_string().to_uppercase()
}
