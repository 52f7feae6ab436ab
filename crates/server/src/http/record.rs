//! What the record says: decisions, deliveries, inputs, quarantine, the ledger (DECISIONS 11, 28 to 30).

pub(super) mod attribution;
pub(super) mod deliveries;
mod events;
pub(super) mod explain;
pub(super) mod health;
pub(super) mod influencers;
pub(super) mod inputs;
pub(super) mod ledger;
pub(super) mod masking;
pub(super) mod replay;
pub(super) mod skad;

use jiff::fmt::strtime;
use measure::Timestamp;
use serde_json::Value;

use crate::error::Error;

/// Rows of a page unless `limit` says otherwise.
const PAGE_ROWS: usize = 50;
/// Rows of a page at most.
const PAGE_ROWS_MAX: usize = 1_000;

/// How many rows a caller asks for.
pub(super) fn rows(limit: Option<usize>) -> Result<usize, Error> {
    match limit.unwrap_or(PAGE_ROWS) {
        rows @ 1..=PAGE_ROWS_MAX => Ok(rows),
        _ => Err(Error::BadRequest(format!("limit: must lie between 1 and {PAGE_ROWS_MAX}"))),
    }
}

/// A time as ISO 8601 in UTC, with milliseconds.
pub(super) fn iso(time: Timestamp) -> Value {
    jiff::Timestamp::from_millisecond(time.millis()).map_or(Value::Null, |time| format!("{time:.3}").into())
}

/// A time as the incumbent's attribution answer prints it: `2025-10-09 08:53:20`, UTC.
fn plain(time: Timestamp) -> Value {
    let text = jiff::Timestamp::from_millisecond(time.millis())
        .and_then(|time| strtime::format("%Y-%m-%d %H:%M:%S", time));
    text.map_or(Value::Null, Value::from)
}
