//! Entries of the blocklist as CSV or JSON lines.

use measure::{Timestamp, fraud::Listing};
use serde_json::{Map, Value};

use super::blocklist::{listing_of, wire_listing};
use crate::http::fields::Fields;

/// Errors named in one answer.
const ERRORS_MAX: usize = 20;

/// The entries of a text: JSON lines when its first line begins with `{`, else CSV whose first line names
/// the columns `kind`, `value`, `device_id_type`, `network_id`, `reason`, `score` (the first two are
/// required, any order).
///
/// # Errors
/// What is wrong, with the number of the line; nothing is taken then.
pub fn read(text: &str, at: Timestamp) -> Result<Vec<Listing>, Vec<String>> {
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.lines().enumerate().map(|(place, line)| (place + 1, line.trim()));
    let mut lines = lines.filter(|(_, line)| !line.is_empty()).peekable();
    let Some((number, first)) = lines.peek().copied() else {
        return Err(vec!["the file is empty".to_owned()]);
    };
    let mut columns = Vec::new();
    let is_json = first.starts_with('{');
    if !is_json {
        lines.next();
        columns = cells(first).map_err(|error| vec![format!("line {number}: {error}")])?;
        for column in ["kind", "value"] {
            if !columns.iter().any(|name| name == column) {
                return Err(vec![format!("line {number}: must name the columns, {column} among them")]);
            }
        }
    }
    let (mut listings, mut errors) = (Vec::new(), Vec::new());
    for (number, line) in lines {
        let row = if is_json { json_row(line, at) } else { csv_row(line, &columns, at) };
        match row {
            Ok(listing) => listings.push(listing),
            Err(error) if errors.len() < ERRORS_MAX => errors.push(format!("line {number}: {error}")),
            Err(_) => {}
        }
    }
    if errors.is_empty() { Ok(listings) } else { Err(errors) }
}

fn json_row(line: &str, at: Timestamp) -> Result<Listing, String> {
    let fields: Map<String, Value> =
        serde_json::from_str(line).map_err(|error| format!("is not a JSON object: {error}"))?;
    let is_wire = fields.contains_key("type");
    let fields = Fields::new(fields);
    let listing = if is_wire { wire_listing(fields, at) } else { listing_of(fields, at) };
    listing.map_err(|error| error.to_string())
}

fn csv_row(line: &str, columns: &[String], at: Timestamp) -> Result<Listing, String> {
    let cells = cells(line)?;
    if cells.len() > columns.len() {
        return Err(format!("has {} cells for {} columns", cells.len(), columns.len()));
    }
    let mut fields = Fields::default();
    for (column, cell) in columns.iter().zip(cells).filter(|(_, cell)| !cell.is_empty()) {
        fields.put(column, cell.into());
    }
    listing_of(fields, at).map_err(|error| error.to_string())
}

/// The cells of a line; one in double quotes may hold commas, and quotes written twice.
fn cells(line: &str) -> Result<Vec<String>, String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(cell) = cells.last_mut() else { break };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cell.push(c),
        }
    }
    if quoted {
        return Err("has a quote that does not end".to_owned());
    }
    Ok(cells.into_iter().map(|cell| cell.trim().to_owned()).collect())
}
