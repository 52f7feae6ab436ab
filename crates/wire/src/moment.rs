//! Points in time as senders write them (ingest.md section 14, DECISIONS 1).

use measure::{Decimal, Timestamp, flag::Flag};

use crate::json::decimal;

/// 2008-01-01: no app measured anything before.
const EARLIEST: Timestamp = Timestamp::from_seconds(1_199_145_600);

/// What a written time turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing was written.
    Missing,
    /// It cannot be read.
    Invalid,
    /// It lies before 2008.
    Before2008,
    /// A point in time.
    At(Timestamp),
}

/// Reads epoch seconds, milliseconds or microseconds, told apart by their size, or ISO 8601 (no zone is
/// UTC).
pub fn read(text: Option<&str>) -> Moment {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Moment::Missing };
    match written(text) {
        None => Moment::Invalid,
        Some(time) if time < EARLIEST => Moment::Before2008,
        Some(time) => Moment::At(time),
    }
}

/// The time that a text means, however long ago: a device whose clock was never set says 1970.
pub fn written(text: &str) -> Option<Timestamp> {
    match decimal(text) {
        Some(number) => epoch(number),
        None => iso(text.trim()),
    }
}

/// The time as far as it can be used.
pub fn usable(text: Option<&str>) -> Option<Timestamp> {
    match read(text) {
        Moment::At(time) => Some(time),
        Moment::Missing | Moment::Invalid | Moment::Before2008 => None,
    }
}

/// The time that counts for something received at `received`, and what was odd about the written one: it
/// never lies in the future, and without a usable time the receipt stands.
pub fn settle(text: Option<&str>, received: Timestamp) -> (Timestamp, Option<Flag>) {
    match read(text) {
        Moment::At(time) if time > received => (received, Some(Flag::TimeFuture)),
        Moment::At(time) => (time, None),
        Moment::Missing => (received, Some(Flag::TimeMissing)),
        Moment::Invalid => (received, Some(Flag::TimeInvalid)),
        Moment::Before2008 => (received, Some(Flag::TimeBefore2008)),
    }
}

/// Whether a text is a time in ISO 8601.
pub fn is_iso(text: &str) -> bool {
    iso(text.trim()).is_some()
}

fn epoch(number: Decimal) -> Option<Timestamp> {
    let tens = |exponent: u32| Decimal::from(10_u64.pow(exponent));
    if number >= tens(17) {
        return None;
    }
    let millis = if number < tens(11) {
        number.checked_mul(tens(3))?
    } else if number < tens(14) {
        number
    } else {
        number / tens(3)
    };
    i64::try_from(millis.floor()).ok().map(Timestamp)
}

fn iso(text: &str) -> Option<Timestamp> {
    let zoned = text.parse::<jiff::Timestamp>();
    let time = zoned.or_else(|_| {
        let civil = text.parse::<jiff::civil::DateTime>()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp())
    });
    time.ok().map(|time| Timestamp(time.as_millisecond()))
}
