//! Entries of the blocklist as CSV or JSON lines.

use measure::{Timestamp, fraud::Listing};

use super::blocklist::{listing_of, wire_listing};
use crate::http::{fields::Fields, table};

/// The entries of a text. Columns are `kind`, `value`, `device_id_type`, `network_id`, `reason`, `score`, the
/// first two required; JSON lines may also be as the incumbent writes entries.
///
/// # Errors
/// What is wrong, with the number of the line; nothing is taken then.
pub fn read(text: &str, at: Timestamp) -> Result<Vec<Listing>, Vec<String>> {
    table::read(text, &["kind", "value"], |fields: Fields| {
        let is_wire = fields.peek("type").is_some();
        let listing = if is_wire { wire_listing(fields, at) } else { listing_of(fields, at) };
        listing.map_err(|error| error.to_string())
    })
}
