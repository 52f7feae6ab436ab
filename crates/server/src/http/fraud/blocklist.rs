//! The blocklist of the account: the incumbent's `/fraud/blacklist/…`
//! (management-and-reporting.md section 8), and ours to read and import.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use measure::{
    NetworkId, Timestamp,
    catalogue::{Catalogue, Entry},
    fraud::{BLOCKLIST_ENTRIES_MAX, Blocked, Listing},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::import;
use crate::http::openapi::Refusals;
use crate::{
    auth::Caller,
    clock, edge,
    error::Error,
    http::{
        asked::{Path, Query},
        fields::Fields,
        rfc3339,
    },
    site::Site,
};

/// An import has fewer bytes than this.
const IMPORT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Rows of a page unless `limit` says otherwise, and at most.
const PAGE_ROWS: usize = 100;
const PAGE_ROWS_MAX: usize = 1_000;
/// Reasons and values are at most this many bytes long.
const TEXT_BYTES_MAX: usize = 512;

/// `POST /fraud/blacklist/{add,update,remove}`: 403 for what is on the list already, 404 for what is not.
#[utoipa::path(
    post, path = "/fraud/blacklist/{op}", tag = "fraud",
    params(("op" = String, Path, description = "`add`, `update` or `remove`")),
    request_body = Value,
    responses((status = 200, description = "done", body = Value), Refusals),
    operation_id = "blocklist_change",
)]
pub(in crate::http) async fn change(
    State(site): State<Site>,
    caller: Caller,
    Path(op): Path<String>,
    fields: Fields,
) -> Result<(StatusCode, Json<Value>), Error> {
    caller.may_write_account()?;
    let now = clock::now();
    if !matches!(op.as_str(), "add" | "update" | "remove") {
        return Err(Error::NotFound("operation; use add, update or remove"));
    }
    let mut listing = wire_listing(fields, now)?;
    listing.removed = op == "remove";
    let answer = site.catalogue.change(now, Some(caller.key()), |catalogue| {
        let is_listed = catalogue.blocklist().get(&listing.what).is_some();
        let status = |status, text: &str| (status, Json(json!({ "status": text })));
        match (op.as_str(), is_listed) {
            ("add", true) => return Ok((Vec::new(), status(StatusCode::FORBIDDEN, "exists"))),
            ("update" | "remove", false) => {
                return Ok((Vec::new(), status(StatusCode::NOT_FOUND, "not found")));
            }
            _ => {}
        }
        with_room(catalogue, usize::from(!is_listed))?;
        Ok::<_, Error>((vec![Entry::Blocklist(vec![listing])], status(StatusCode::OK, "success")))
    });
    answer.await
}

/// `POST /api/blocklist/import`: CSV or JSON lines; all of it or, when a line is wrong, nothing.
#[utoipa::path(
    post, path = "/api/blocklist/import", tag = "fraud",
    request_body(content = String, content_type = "text/csv", description = "CSV or JSON lines"),
    responses((status = 200, description = "how many entries are new, and changed", body = Value), Refusals),
    operation_id = "blocklist_import",
)]
pub(in crate::http) async fn import(
    State(site): State<Site>,
    caller: Caller,
    request: Request,
) -> Result<Json<Value>, Error> {
    caller.may_write_account()?;
    let body = edge::read_body(&site, request, IMPORT_BYTES_MAX).await?;
    let text = std::str::from_utf8(&body)
        .map_err(|_| Error::BadRequest("the file must be CSV or JSON lines in UTF-8".to_owned()))?;
    let now = clock::now();
    let listings = import::read(text, now).map_err(|errors| Error::BadRequest(errors.join("; ")))?;
    let lines = listings.len();
    let answer = site.catalogue.change(now, Some(caller.key()), |catalogue| {
        // A list that comes again every day must not make the history longer every day.
        let listings: Vec<Listing> =
            listings.into_iter().filter(|listing| !is_as_listed(catalogue, listing)).collect();
        let known = |listing: &&Listing| catalogue.blocklist().get(&listing.what).is_some();
        let mut new: Vec<&Blocked> =
            listings.iter().filter(|listing| !known(listing)).map(|listing| &listing.what).collect();
        new.sort_unstable();
        new.dedup();
        let added = new.len();
        with_room(catalogue, added)?;
        let answer = json!({
            "status": "success", "lines": lines, "added": added,
            "updated": listings.iter().filter(known).count(),
        });
        let entries = if listings.is_empty() { Vec::new() } else { vec![Entry::Blocklist(listings)] };
        Ok::<_, Error>((entries, answer))
    });
    Ok(Json(answer.await?))
}

/// How a page is asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Asked {
    kind: Option<String>,
    limit: Option<usize>,
    page_token: Option<usize>,
}

/// `GET /api/blocklist?kind=&limit=&pageToken=`
#[utoipa::path(
    get, path = "/api/blocklist", tag = "fraud",
    params(("kind" = Option<String>, Query, description = "`device`, `siteId` or `ip`"), ("limit" = Option<u32>, Query, description = "rows of a page, 1 to 1000"), ("pageToken" = Option<String>, Query, description = "what `nextToken` of the page before said")),
    responses((status = 200, description = "a page of entries", body = Value), Refusals),
    operation_id = "blocklist_list",
)]
pub(in crate::http) async fn list(
    State(site): State<Site>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Error> {
    caller.may_read_account()?;
    let limit = asked.limit.unwrap_or(PAGE_ROWS);
    if !(1..=PAGE_ROWS_MAX).contains(&limit) {
        return Err(Error::BadRequest(format!("limit: must lie between 1 and {PAGE_ROWS_MAX}")));
    }
    if asked.kind.as_deref().is_some_and(|kind| !matches!(kind, "device" | "siteId" | "ip")) {
        return Err(Error::BadRequest("kind: must be device, siteId or ip".to_owned()));
    }
    let catalogue = site.catalogue.current();
    let of_kind = |listing: &&Listing| asked.kind.as_deref().is_none_or(|kind| listing.what.kind() == kind);
    let skipped = asked.page_token.unwrap_or_default();
    let mut rows = catalogue.blocklist().entries().filter(of_kind).skip(skipped);
    let data: Vec<Value> = rows.by_ref().take(limit).map(row).collect();
    let next = rows.next().map(|_| (skipped + limit).to_string());
    Ok(Json(json!({ "data": data, "nextToken": next, "total": catalogue.blocklist().len() })))
}

pub(in crate::http) fn row(listing: &Listing) -> Value {
    let (value, kind, network) = match &listing.what {
        Blocked::Device(identifier) => (identifier.value.clone(), Some(identifier.kind.name()), None),
        Blocked::Digest(digest) => (digest.as_str().to_owned(), Some("hash"), None),
        Blocked::Site(network, site) => (site.clone(), None, *network),
        Blocked::Ip(cidr) => (cidr.to_string(), None, None),
    };
    json!({
        "kind": listing.what.kind(), "value": value, "device_id_type": kind,
        "network_id": network.map(|network| network.to_string()), "reason": listing.reason,
        "score": listing.score, "date_changed": rfc3339(listing.at),
    })
}

/// Whether the blocklist says the very same already.
fn is_as_listed(catalogue: &Catalogue, listing: &Listing) -> bool {
    let known = catalogue.blocklist().get(&listing.what);
    known.is_some_and(|known| known.reason == listing.reason && known.score == listing.score)
}

fn with_room(catalogue: &Catalogue, more: usize) -> Result<(), Error> {
    if catalogue.blocklist().len() + more > BLOCKLIST_ENTRIES_MAX {
        let text = format!("the blocklist holds at most {BLOCKLIST_ENTRIES_MAX} entries; remove some first");
        return Err(Error::Conflict(text));
    }
    Ok(())
}

/// An entry in one of the incumbent's bodies: `{"type":"siteId","blacklistSiteId":{…}}` and so on.
pub(super) fn wire_listing(mut fields: Fields, at: Timestamp) -> Result<Listing, Error> {
    let kind = fields.required_text("type")?;
    let (body, value, other) = match kind.as_str() {
        "siteId" => ("blacklistSiteId", "site_id", "network_id"),
        "device" => ("blacklistDevice", "deviceIdValue", "deviceIdType"),
        "ip" => ("blacklistIp", "ipAddress", ""),
        _ => return Err(Error::BadRequest("type: must be siteId, device or ip".to_owned())),
    };
    let mut sent = fields
        .object(body)?
        .ok_or_else(|| Error::BadRequest(format!("{body}: is required for type {kind}")))?;
    let mut plain = Fields::default();
    plain.put("kind", kind.into());
    for (from, to) in [(value, "value"), ("reason", "reason"), ("score", "score")] {
        plain.put(to, sent.take(from).unwrap_or_default());
    }
    let other_name = if body == "blacklistDevice" { "device_id_type" } else { "network_id" };
    plain.put(other_name, sent.take(other).unwrap_or_default());
    listing_of(plain, at)
}

/// An entry with the fields of an import.
pub(super) fn listing_of(mut fields: Fields, at: Timestamp) -> Result<Listing, Error> {
    let refuse = |text: String| Error::BadRequest(text);
    let kind = fields.required_text("kind")?;
    let value = text(&mut fields, "value")?;
    if value.is_empty() {
        return Err(refuse("value: is required".to_owned()));
    }
    let what = match kind.as_str() {
        "device" => {
            let kind = text(&mut fields, "device_id_type")?;
            if kind.is_empty() && measure::identifier::Digest::parse(&value).is_none() {
                return Err(refuse("device_id_type: is required for a device, such as adid".to_owned()));
            }
            Blocked::device(&kind, &value)
                .ok_or_else(|| refuse("value: is no device identifier".to_owned()))?
        }
        "site" | "siteId" => {
            let written = text(&mut fields, "network_id")?;
            let network = written.parse::<NetworkId>().ok().filter(|network| network.0 != 0);
            if network.is_none() && !matches!(written.as_str(), "" | "0") {
                return Err(refuse("network_id: must be a number, or empty for every network".to_owned()));
            }
            Blocked::Site(network, value)
        }
        "ip" => Blocked::Ip(value.parse().map_err(|error| refuse(format!("value: {error}")))?),
        _ => return Err(refuse("kind: must be device, site or ip".to_owned())),
    };
    let (reason, score) = (text(&mut fields, "reason")?, text(&mut fields, "score")?);
    Ok(Listing { what, reason, score, at, removed: false })
}

/// A text or a number, as text; empty when absent.
fn text(fields: &mut Fields, name: &str) -> Result<String, Error> {
    let text = match fields.take(name) {
        None => String::new(),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(Error::BadRequest(format!("{name}: must be a text"))),
    };
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::BadRequest(format!("{name}: must have at most {TEXT_BYTES_MAX} bytes")));
    }
    Ok(text)
}
