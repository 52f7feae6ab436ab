//! Rows that people upload: CSV whose first line names the columns, or JSON lines.

use serde_json::{Map, Value};

use super::fields::Fields;

/// Mistakes named in one answer.
const ERRORS_MAX: usize = 20;

/// Reads a file row by row: JSON lines when its first line begins with `{`, else CSV, whose first line names
/// the columns, in any order, `required` among them. Empty cells are absent fields.
///
/// # Errors
/// What is wrong, with the number of the line; nothing is taken then.
pub fn read<T>(
    text: &str,
    required: &[&str],
    row: impl Fn(Fields) -> Result<T, String>,
) -> Result<Vec<T>, Vec<String>> {
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
        for column in required {
            if !columns.iter().any(|name| name == column) {
                return Err(vec![format!("line {number}: must name the columns, {column} among them")]);
            }
        }
    }
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for (number, line) in lines {
        let fields = if is_json { json_fields(line) } else { csv_fields(line, &columns) };
        match fields.and_then(&row) {
            Ok(row) => rows.push(row),
            Err(error) if errors.len() < ERRORS_MAX => errors.push(format!("line {number}: {error}")),
            Err(_) => {}
        }
    }
    if errors.is_empty() { Ok(rows) } else { Err(errors) }
}

fn json_fields(line: &str) -> Result<Fields, String> {
    let fields: Map<String, Value> =
        serde_json::from_str(line).map_err(|error| format!("is not a JSON object: {error}"))?;
    Ok(Fields::new(fields))
}

fn csv_fields(line: &str, columns: &[String]) -> Result<Fields, String> {
    let cells = cells(line)?;
    if cells.len() > columns.len() {
        return Err(format!("has {} cells for {} columns", cells.len(), columns.len()));
    }
    let mut fields = Fields::default();
    for (column, cell) in columns.iter().zip(cells).filter(|(_, cell)| !cell.is_empty()) {
        fields.put(column, cell.into());
    }
    Ok(fields)
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
