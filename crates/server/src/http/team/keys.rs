//! Management keys. A key is shown in the answer that makes it and never again: its SHA-256 is all that is
//! kept (DECISIONS 34).

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use measure::{
    KeyId, MemberId,
    catalogue::{Catalogue, Entry, ManagementKey},
};
use serde_json::{Value, json};

use super::{ListQuery, nothing_left, someone_is_left, take_apps};
use crate::{
    auth::{self, Caller},
    clock,
    error::Error,
    http::{
        asked::{Path, Query},
        fields::Fields,
        next_id,
        openapi::{Refusals, bodies::KeyBody},
        rfc3339,
    },
    site::Site,
};

/// Fields that the server fills.
const OWN: [&str; 4] = ["id", "date_created", "revoked", "last_used"];

/// `GET /api/keys`: withdrawn ones too; never the keys themselves.
#[utoipa::path(
    get, path = "/api/keys", tag = "team",
    params(("limit" = Option<u32>, Query, description = "rows of a page, 1 to 1000"), ("pageToken" = Option<String>, Query, description = "what `nextToken` of the page before said")),
    responses((status = 200, description = "a page of keys, without the keys themselves", body = Value), Refusals),
    operation_id = "keys_list",
)]
pub(in crate::http) async fn list(
    State(site): State<Site>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Error> {
    caller.may_read_account()?;
    let catalogue = site.catalogue.current();
    let rows = in_order(&catalogue).into_iter().map(|key| (key.id.0, shown(&site, key)));
    query.page(rows).map(Json)
}

/// `GET /api/keys/{key}`
#[utoipa::path(
    get, path = "/api/keys/{key}", tag = "team",
    params(("key" = u64, Path, description = "the number of the key")),
    responses((status = 200, description = "what is known of the key", body = Value), Refusals),
    operation_id = "keys_get",
)]
pub(in crate::http) async fn get(
    State(site): State<Site>,
    caller: Caller,
    Path(key): Path<String>,
) -> Result<Json<Value>, Error> {
    caller.may_read_account()?;
    let catalogue = site.catalogue.current();
    Ok(Json(shown(&site, find(&catalogue, &key)?)))
}

/// `POST /api/keys`: the only answer that holds the key.
#[utoipa::path(
    post, path = "/api/keys", tag = "team",
    request_body = KeyBody,
    responses((status = 201, description = "what is known of the key, and this once the key itself", body = Value), Refusals),
    operation_id = "keys_create",
)]
pub(in crate::http) async fn create(
    State(site): State<Site>,
    caller: Caller,
    mut fields: Fields,
) -> Result<(StatusCode, Json<Value>), Error> {
    caller.may_write_account()?;
    let now = clock::now();
    let secret = clock::new_key();
    let answer = site.catalogue.change(now, Some(caller.key()), |catalogue| {
        let mut key = ManagementKey {
            id: KeyId(next_id(in_order(catalogue).last().map(|key| key.id.0), 1)),
            name: fields.required_text("name")?,
            hash: auth::hash(&secret),
            apps: Vec::new(),
            write: false,
            created: now,
            revoked: false,
            member: fields.id::<MemberId>("member_id")?,
        };
        change(catalogue, &mut key, fields)?;
        let mut answer = shown(&site, &key);
        answer["key"] = json!(secret);
        Ok::<_, Error>((vec![Entry::Key(key)], answer))
    });
    Ok((StatusCode::CREATED, Json(answer.await?)))
}

/// `PATCH /api/keys/{key}`: name and scope. Whose it is stays as it was.
#[utoipa::path(
    patch, path = "/api/keys/{key}", tag = "team",
    params(("key" = u64, Path, description = "the number of the key")),
    request_body = KeyBody,
    responses((status = 200, description = "the key as it is now", body = Value), Refusals),
    operation_id = "keys_update",
)]
pub(in crate::http) async fn update(
    State(site): State<Site>,
    caller: Caller,
    Path(key): Path<String>,
    mut fields: Fields,
) -> Result<Json<Value>, Error> {
    caller.may_write_account()?;
    let answer = site.catalogue.change(clock::now(), Some(caller.key()), |catalogue| {
        let mut key = ManagementKey::clone(find(catalogue, &key)?);
        if key.revoked {
            return Err(Error::Conflict("the key was withdrawn; make a new one".to_owned()));
        }
        fields.changed_text("name", &mut key.name)?;
        if fields.id::<MemberId>("member_id")?.is_some_and(|member| key.member != Some(member)) {
            return Err(Error::BadRequest("member_id: cannot be changed; make a new key".to_owned()));
        }
        change(catalogue, &mut key, fields)?;
        let answer = shown(&site, &key);
        let entries = vec![Entry::Key(key)];
        someone_is_left(catalogue, &entries)?;
        Ok::<_, Error>((entries, answer))
    });
    Ok(Json(answer.await?))
}

/// `DELETE /api/keys/{key}`: withdraws it for good; it stays in the list.
#[utoipa::path(
    delete, path = "/api/keys/{key}", tag = "team",
    params(("key" = u64, Path, description = "the number of the key")),
    responses((status = 200, description = "the key, withdrawn", body = Value), Refusals),
    operation_id = "keys_revoke",
)]
pub(in crate::http) async fn revoke(
    State(site): State<Site>,
    caller: Caller,
    Path(key): Path<String>,
) -> Result<Json<Value>, Error> {
    caller.may_write_account()?;
    let answer = site.catalogue.change(clock::now(), Some(caller.key()), |catalogue| {
        let mut key = ManagementKey::clone(find(catalogue, &key)?);
        if key.revoked {
            return Ok((Vec::new(), shown(&site, &key)));
        }
        key.revoked = true;
        let answer = shown(&site, &key);
        let entries = vec![Entry::Key(key)];
        someone_is_left(catalogue, &entries)?;
        Ok::<_, Error>((entries, answer))
    });
    Ok(Json(answer.await?))
}

/// All keys by number.
fn in_order(catalogue: &Catalogue) -> Vec<&Arc<ManagementKey>> {
    let mut keys: Vec<_> = catalogue.keys().collect();
    keys.sort_unstable_by_key(|key| key.id);
    keys
}

/// The key of a number in a path; 404 when there never was one.
fn find<'c>(catalogue: &'c Catalogue, id: &str) -> Result<&'c ManagementKey, Error> {
    let id = id.parse().ok().map(KeyId);
    let key = catalogue.keys().find(|key| Some(key.id) == id);
    key.map(AsRef::as_ref).ok_or(Error::NotFound("key"))
}

/// Takes in what create and update have in common.
fn change(catalogue: &Catalogue, key: &mut ManagementKey, mut fields: Fields) -> Result<(), Error> {
    if let Some(write) = fields.flag("write")? {
        key.write = write;
    }
    if let Some(apps) = take_apps(&mut fields, catalogue)? {
        key.apps = apps;
    }
    if let Some(id) = key.member {
        let member = catalogue.member(id).filter(|member| !member.deleted);
        let member =
            member.ok_or_else(|| Error::BadRequest(format!("member_id: there is no member {id}")))?;
        let beyond = key.apps.iter().find(|app| !member.apps.is_empty() && !member.apps.contains(app));
        if let Some(app) = beyond {
            return Err(Error::BadRequest(format!("apps: member {id} does not reach app {app}")));
        }
    }
    fields.without(&OWN);
    nothing_left(fields)
}

fn shown(site: &Site, key: &ManagementKey) -> Value {
    let mut shown = object(key);
    shown["last_used"] = site.catalogue.last_use(key.id).map_or(Value::Null, |at| rfc3339(at).into());
    shown
}

/// A key by itself, as the audit log shows it: without its hash.
pub(super) fn object(key: &ManagementKey) -> Value {
    json!({
        "id": key.id, "name": key.name, "member_id": key.member, "apps": key.apps, "write": key.write,
        "date_created": rfc3339(key.created), "revoked": key.revoked,
    })
}
