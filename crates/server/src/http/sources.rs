//! Sources: where an app's events come from, how the calls of other platforms become ours, and what a given
//! call would become.

mod mapping;
pub mod preview;

use axum::{Json, extract::State, http::StatusCode};
use measure::{
    AppId, SourceId, Timestamp,
    catalogue::{App, Catalogue, Entry},
    source::{Mapping, Source, SourceKind, Streams},
};
use serde_json::{Value, json};

use super::{apps, asked::Path, fields::Fields, next_id, rfc3339};
use crate::http::openapi::{Refusals, bodies::SourceBody};
use crate::{auth::Caller, clock, error::Error, site::Site, vault::Vault};

/// Characters that a key may have.
const KEY_CHARS_MAX: usize = 128;

/// `GET /api/apps/{id}/sources`
#[utoipa::path(
    get, path = "/api/apps/{id}/sources", tag = "management",
    params(("id" = u64, Path, description = "the number of the app")),
    responses((status = 200, description = "the sources", body = Value), Refusals),
    operation_id = "sources_list",
)]
pub async fn list(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let app = apps::find(&catalogue, &app)?;
    caller.may_read(app.id)?;
    let rows: Vec<Value> = catalogue.sources_of(app.id).map(|source| object(source, None)).collect();
    Ok(Json(json!({ "data": rows })))
}

/// `GET /api/apps/{id}/sources/{source}`
#[utoipa::path(
    get, path = "/api/apps/{id}/sources/{source}", tag = "management",
    params(("id" = u64, Path, description = "the number of the app"),
        ("source" = u64, Path, description = "the number of the source")),
    responses((status = 200, description = "the source", body = Value), Refusals),
    operation_id = "sources_get",
)]
pub async fn get(
    State(site): State<Site>,
    caller: Caller,
    Path((app, source)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let app = apps::find(&catalogue, &app)?;
    caller.may_read(app.id)?;
    Ok(Json(object(find(&catalogue, app.id, &source)?, None)))
}

/// `POST /api/apps/{id}/sources`
#[utoipa::path(
    post, path = "/api/apps/{id}/sources", tag = "management",
    params(("id" = u64, Path, description = "the number of the app")),
    request_body = SourceBody,
    responses((status = 201, description = "the source; a generated secret only here", body = Value), Refusals),
    operation_id = "sources_create",
)]
pub async fn create(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
    mut fields: Fields,
) -> Result<(StatusCode, Json<Value>), Error> {
    let now = clock::now();
    let answer = site.catalogue.change(now, Some(caller.key()), |catalogue| {
        let app = apps::find(catalogue, &app)?;
        caller.may_write(app.id)?;
        let kind = kind(&fields.required_text("kind")?)?;
        let mut source = fresh(catalogue, app, kind, now);
        let secret = change(&mut source, fields, catalogue, &site.vault)?;
        let answer = object(&source, secret.as_deref());
        Ok::<_, Error>((vec![Entry::Source(Box::new(source))], answer))
    });
    Ok((StatusCode::CREATED, Json(answer.await?)))
}

/// `PATCH /api/apps/{id}/sources/{source}`
#[utoipa::path(
    patch, path = "/api/apps/{id}/sources/{source}", tag = "management",
    params(("id" = u64, Path, description = "the number of the app"),
        ("source" = u64, Path, description = "the number of the source")),
    request_body = SourceBody,
    responses((status = 200, description = "the source", body = Value), Refusals),
    operation_id = "sources_update",
)]
pub async fn update(
    State(site): State<Site>,
    caller: Caller,
    Path((app, source)): Path<(String, String)>,
    fields: Fields,
) -> Result<Json<Value>, Error> {
    let now = clock::now();
    let answer = site.catalogue.change(now, Some(caller.key()), |catalogue| {
        let app = apps::find(catalogue, &app)?;
        caller.may_write(app.id)?;
        let mut source = find(catalogue, app.id, &source)?.clone();
        source.updated = now;
        let secret = change(&mut source, fields, catalogue, &site.vault)?;
        let answer = object(&source, secret.as_deref());
        Ok::<_, Error>((vec![Entry::Source(Box::new(source))], answer))
    });
    Ok(Json(answer.await?))
}

/// `DELETE /api/apps/{id}/sources/{source}`: its key is unknown from then on, what it sent stays.
#[utoipa::path(
    delete, path = "/api/apps/{id}/sources/{source}", tag = "management",
    params(("id" = u64, Path, description = "the number of the app"),
        ("source" = u64, Path, description = "the number of the source")),
    responses((status = 200, description = "the deleted source", body = Value), Refusals),
    operation_id = "sources_delete",
)]
pub async fn delete(
    State(site): State<Site>,
    caller: Caller,
    Path((app, source)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    let now = clock::now();
    let answer = site.catalogue.change(now, Some(caller.key()), |catalogue| {
        let app = apps::find(catalogue, &app)?;
        caller.may_write(app.id)?;
        let mut source = find(catalogue, app.id, &source)?.clone();
        (source.deleted, source.updated) = (true, now);
        let answer = object(&source, None);
        Ok::<_, Error>((vec![Entry::Source(Box::new(source))], answer))
    });
    Ok(Json(answer.await?))
}

/// The source that a path names; 404 when the app has none of that number.
fn find<'c>(catalogue: &'c Catalogue, app: AppId, id: &str) -> Result<&'c Source, Error> {
    let source = id.parse().ok().and_then(|id| catalogue.source(id));
    let source = source.filter(|source| source.app == app && !source.deleted);
    source.map(AsRef::as_ref).ok_or(Error::NotFound("source"))
}

fn fresh(catalogue: &Catalogue, app: &App, kind: SourceKind, now: Timestamp) -> Source {
    Source {
        id: SourceId(next_id(catalogue.sources().last().map(|source| source.id.0), 1)),
        app: app.id,
        kind,
        name: kind.name().to_owned(),
        enabled: true,
        key: Some(clock::random_hex::<16>()),
        secret: None,
        streams: Streams { installs: true, events: true },
        mapping: Mapping::of(kind),
        created: now,
        updated: now,
        deleted: false,
    }
}

/// Takes in what create and update have in common. The answer is a generated secret, to be shown once.
fn change(
    source: &mut Source,
    mut fields: Fields,
    catalogue: &Catalogue,
    vault: &Vault,
) -> Result<Option<String>, Error> {
    fields.changed_text("name", &mut source.name)?;
    let status = fields.text("status")?;
    let streams = fields.object("streams")?;
    let mapping = fields.object("mapping")?;
    let key = fields.exact_text("key")?;
    let given = fields.text("secret")?.filter(|secret| !secret.is_empty());
    fields.without(&["id", "app_id", "kind", "date_created", "date_updated", "webhook_path"]);
    if let Some((name, _)) = fields.rest().next() {
        return Err(Error::BadRequest(format!("{name}: there is no such field")));
    }
    if !source.kind.is_mapped() && (mapping.is_some() || given.is_some()) {
        return Err(Error::BadRequest(format!(
            "a source of kind {} has no mapping and no secret: its calls are in our own format",
            source.kind.name()
        )));
    }
    match status.as_deref() {
        None => {}
        Some("enabled") => source.enabled = true,
        Some("disabled") => source.enabled = false,
        Some(_) => return Err(Error::BadRequest("status: must be enabled or disabled".to_owned())),
    }
    if let Some(streams) = streams {
        change_streams(&mut source.streams, streams)?;
    }
    if let Some((mapping, fields)) = source.mapping.as_mut().zip(mapping) {
        mapping::change(mapping, fields)?;
    }
    if let Some(key) = key {
        source.key = Some(checked_key(key, source.id, catalogue)?);
    }
    let seal = |secret: &str| vault.seal(secret).map_err(|_| Error::Internal("a secret cannot be sealed"));
    if let Some(secret) = given {
        source.secret = Some(seal(&secret)?);
        return Ok(None);
    }
    // Only what Segment's webhooks send is signed.
    if source.secret.is_some() || source.kind != SourceKind::Segment {
        return Ok(None);
    }
    let secret = clock::random_hex::<32>();
    source.secret = Some(seal(&secret)?);
    Ok(Some(secret))
}

fn change_streams(streams: &mut Streams, mut fields: Fields) -> Result<(), Error> {
    streams.installs = fields.flag("installs")?.unwrap_or(streams.installs);
    streams.events = fields.flag("events")?.unwrap_or(streams.events);
    match fields.rest().next() {
        None => Ok(()),
        Some((name, _)) => Err(Error::BadRequest(format!("streams.{name}: there is installs and events"))),
    }
}

/// A key of the customer's own: the one that senders have already.
fn checked_key(key: String, source: SourceId, catalogue: &Catalogue) -> Result<String, Error> {
    let is_plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_graphic() && c != ':');
    if !is_plain || key.len() > KEY_CHARS_MAX {
        let text = format!("key: must have 1 to {KEY_CHARS_MAX} visible ASCII characters and no colon");
        return Err(Error::BadRequest(text));
    }
    let is_taken = catalogue.source_by_key(&key).is_some_and(|known| known.id != source);
    if is_taken || catalogue.app_guid_taken(&key) {
        return Err(Error::Conflict("key: it belongs to another source or is the GUID of an app".to_owned()));
    }
    Ok(key)
}

fn kind(name: &str) -> Result<SourceKind, Error> {
    let known = SourceKind::ALL.into_iter().find(|kind| kind.name() == name);
    known.ok_or_else(|| {
        let names: Vec<&str> = SourceKind::ALL.iter().map(|kind| kind.name()).collect();
        Error::BadRequest(format!("kind: must be one of {}", names.join(", ")))
    })
}

/// A source as it is shown; a generated secret only once.
pub fn object(source: &Source, secret: Option<&str>) -> Value {
    let webhook = source.key.as_ref().filter(|_| source.kind == SourceKind::Segment);
    json!({
        "id": source.id, "app_id": source.app, "kind": source.kind.name(), "name": source.name,
        "status": if source.enabled { "enabled" } else { "disabled" },
        "key": source.key, "secret": secret,
        "webhook_path": webhook.map(|key| format!("/segment/webhook/{key}")),
        "streams": { "installs": source.streams.installs, "events": source.streams.events },
        "mapping": source.mapping.as_ref().map(mapping::object),
        "date_created": rfc3339(source.created), "date_updated": rfc3339(source.updated),
    })
}
