//! The team: members with roles, management keys, and the log of every change. Ours; the incumbent has
//! pages for them (management-and-reporting.md section 11) and no interface.

pub(super) mod audit;
pub(super) mod keys;
pub(super) mod members;

use measure::{
    AppId, Timestamp,
    catalogue::{Catalogue, Change, Entry},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{fields::Fields, record::rows};
use crate::error::Error;

/// How a list is asked for: the page after the row with the number `pageToken`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ListQuery {
    limit: Option<usize>,
    page_token: Option<u64>,
}

impl ListQuery {
    /// One page of rows that come in order of their numbers.
    fn page(self, numbered: impl Iterator<Item = (u64, Value)>) -> Result<Value, Error> {
        let limit = rows(self.limit)?;
        let mut rest = numbered.skip_while(|(id, _)| self.page_token.is_some_and(|last| *id <= last));
        let mut page: Vec<(u64, Value)> = rest.by_ref().take(limit).collect();
        let more = rest.next().is_some();
        let next = page.last().filter(|_| more).map(|(id, _)| id.to_string());
        let data: Vec<Value> = page.drain(..).map(|(_, row)| row).collect();
        Ok(json!({ "data": data, "nextToken": next }))
    }
}

/// Takes a list of apps out: numbers, as numbers or texts, of apps that exist. Empty is the whole account.
fn take_apps(fields: &mut Fields, catalogue: &Catalogue) -> Result<Option<Vec<AppId>>, Error> {
    let wrong = || Error::BadRequest("apps: must be a list of numbers of apps".to_owned());
    let Some(value) = fields.take("apps") else { return Ok(None) };
    let Value::Array(values) = value else { return Err(wrong()) };
    let mut apps = Vec::with_capacity(values.len());
    for value in values {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let id: AppId = text.trim().parse().map_err(|_| wrong())?;
        if catalogue.app(id).is_none_or(|app| app.deleted) {
            return Err(Error::BadRequest(format!("apps: there is no app {id}")));
        }
        if !apps.contains(&id) {
            apps.push(id);
        }
    }
    Ok(Some(apps))
}

/// Refuses what is left: these objects have no fields of their makers' own.
fn nothing_left(fields: Fields) -> Result<(), Error> {
    match fields.rest().next() {
        None => Ok(()),
        Some((name, _)) => Err(Error::BadRequest(format!("{name}: there is no such field"))),
    }
}

/// Refuses changes after which nobody could change anything any more.
fn someone_is_left(catalogue: &Catalogue, entries: &[Entry]) -> Result<(), Error> {
    let mut after = catalogue.clone();
    for (version, entry) in (catalogue.version + 1..).zip(entries.iter().cloned()) {
        after.apply(Change { version, at: Timestamp::default(), by: None, entry });
    }
    if after.has_whole_key() {
        return Ok(());
    }
    let text = "this would leave no account-wide key that may write; make another one first";
    Err(Error::Conflict(text.to_owned()))
}
