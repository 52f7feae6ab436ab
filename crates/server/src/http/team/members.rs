//! Members: who works with the account, and what they may do.

use axum::{Json, extract::State, http::StatusCode};
use measure::{
    MemberId,
    catalogue::{Catalogue, Entry, ManagementKey, Member, Role},
};
use serde_json::{Value, json};

use super::{ListQuery, nothing_left, someone_is_left, take_apps};
use crate::{
    auth::Caller,
    clock,
    error::Error,
    http::{
        asked::{Path, Query},
        fields::Fields,
        next_id,
        openapi::{Refusals, bodies::MemberBody},
        rfc3339,
    },
    site::Site,
};

/// Fields that the server fills.
const OWN: [&str; 3] = ["id", "date_created", "keys"];

/// `GET /api/members`
#[utoipa::path(
    get, path = "/api/members", tag = "team",
    params(("limit" = Option<u32>, Query, description = "rows of a page, 1 to 1000"), ("pageToken" = Option<String>, Query, description = "what `nextToken` of the page before said")),
    responses((status = 200, description = "a page of members", body = Value), Refusals),
    operation_id = "members_list",
)]
pub(in crate::http) async fn list(
    State(site): State<Site>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Error> {
    caller.may_read_account()?;
    let catalogue = site.catalogue.current();
    let members = catalogue.members();
    let living = members.into_iter().filter(|member| !member.deleted);
    query.page(living.map(|member| (member.id.0, shown(&catalogue, member)))).map(Json)
}

/// `GET /api/members/{member}`
#[utoipa::path(
    get, path = "/api/members/{member}", tag = "team",
    params(("member" = u64, Path, description = "the number of the member")),
    responses((status = 200, description = "the member", body = Value), Refusals),
    operation_id = "members_get",
)]
pub(in crate::http) async fn get(
    State(site): State<Site>,
    caller: Caller,
    Path(member): Path<String>,
) -> Result<Json<Value>, Error> {
    caller.may_read_account()?;
    let catalogue = site.catalogue.current();
    Ok(Json(shown(&catalogue, find(&catalogue, &member)?)))
}

/// `POST /api/members`
#[utoipa::path(
    post, path = "/api/members", tag = "team",
    request_body = MemberBody,
    responses((status = 201, description = "the member", body = Value), Refusals),
    operation_id = "members_create",
)]
pub(in crate::http) async fn create(
    State(site): State<Site>,
    caller: Caller,
    mut fields: Fields,
) -> Result<(StatusCode, Json<Value>), Error> {
    caller.may_write_account()?;
    let now = clock::now();
    let answer = site.catalogue.change(now, Some(caller.key()), |catalogue| {
        let mut member = Member {
            id: MemberId(next_id(catalogue.members().last().map(|member| member.id.0), 1)),
            name: fields.required_text("name")?,
            email: String::new(),
            role: role(&fields.required_text("role")?)?,
            apps: Vec::new(),
            created: now,
            deleted: false,
        };
        change(catalogue, &mut member, fields)?;
        let answer = shown(catalogue, &member);
        Ok::<_, Error>((vec![Entry::Member(member)], answer))
    });
    Ok((StatusCode::CREATED, Json(answer.await?)))
}

/// `PATCH /api/members/{member}`: in force at once for all keys of the member.
#[utoipa::path(
    patch, path = "/api/members/{member}", tag = "team",
    params(("member" = u64, Path, description = "the number of the member")),
    request_body = MemberBody,
    responses((status = 200, description = "the member as it is now", body = Value), Refusals),
    operation_id = "members_update",
)]
pub(in crate::http) async fn update(
    State(site): State<Site>,
    caller: Caller,
    Path(member): Path<String>,
    mut fields: Fields,
) -> Result<Json<Value>, Error> {
    caller.may_write_account()?;
    let answer = site.catalogue.change(clock::now(), Some(caller.key()), |catalogue| {
        let mut member = find(catalogue, &member)?.clone();
        fields.changed_text("name", &mut member.name)?;
        if let Some(name) = fields.text("role")? {
            member.role = role(&name)?;
        }
        change(catalogue, &mut member, fields)?;
        let answer = shown(catalogue, &member);
        let entries = vec![Entry::Member(member)];
        someone_is_left(catalogue, &entries)?;
        Ok::<_, Error>((entries, answer))
    });
    Ok(Json(answer.await?))
}

/// `DELETE /api/members/{member}`: its keys are withdrawn with it.
#[utoipa::path(
    delete, path = "/api/members/{member}", tag = "team",
    params(("member" = u64, Path, description = "the number of the member")),
    responses((status = 200, description = "the member as it was", body = Value), Refusals),
    operation_id = "members_delete",
)]
pub(in crate::http) async fn delete(
    State(site): State<Site>,
    caller: Caller,
    Path(member): Path<String>,
) -> Result<Json<Value>, Error> {
    caller.may_write_account()?;
    let answer = site.catalogue.change(clock::now(), Some(caller.key()), |catalogue| {
        let mut member = find(catalogue, &member)?.clone();
        member.deleted = true;
        let answer = shown(catalogue, &member);
        let keys = keys_of(catalogue, member.id);
        let withdrawn = keys.map(|key| Entry::Key(ManagementKey { revoked: true, ..key.clone() }));
        let entries: Vec<Entry> = withdrawn.collect();
        let entries = [Entry::Member(member)].into_iter().chain(entries).collect::<Vec<_>>();
        someone_is_left(catalogue, &entries)?;
        Ok::<_, Error>((entries, answer))
    });
    Ok(Json(answer.await?))
}

/// The member of a number in a path; 404 when it is unknown or removed.
fn find<'c>(catalogue: &'c Catalogue, id: &str) -> Result<&'c Member, Error> {
    let member = id.parse().ok().and_then(|id| catalogue.member(id)).filter(|member| !member.deleted);
    member.map(AsRef::as_ref).ok_or(Error::NotFound("member"))
}

fn role(name: &str) -> Result<Role, Error> {
    let names = Role::ALL.map(Role::name).join(", ");
    Role::named(name).ok_or_else(|| Error::BadRequest(format!("role: must be one of {names}")))
}

/// Takes in what create and update have in common.
fn change(catalogue: &Catalogue, member: &mut Member, mut fields: Fields) -> Result<(), Error> {
    if let Some(email) = fields.text("email")? {
        if !email.is_empty() && !is_address(&email) {
            return Err(Error::BadRequest("email: must look like name@example.com, or be empty".to_owned()));
        }
        member.email = email;
    }
    if let Some(apps) = take_apps(&mut fields, catalogue)? {
        member.apps = apps;
    }
    fields.without(&OWN);
    nothing_left(fields)
}

/// Whether a text has the shape of a mail address. It is a label; nothing is sent there.
fn is_address(text: &str) -> bool {
    let parts = text.split_once('@');
    let fits = |(name, host): (&str, &str)| !name.is_empty() && host.contains('.') && !host.contains('@');
    parts.is_some_and(fits) && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

fn keys_of(catalogue: &Catalogue, member: MemberId) -> impl Iterator<Item = &ManagementKey> {
    let keys = catalogue.keys().map(AsRef::as_ref);
    keys.filter(move |key| key.member == Some(member) && !key.revoked)
}

fn shown(catalogue: &Catalogue, member: &Member) -> Value {
    let mut keys: Vec<_> = keys_of(catalogue, member.id).map(|key| key.id).collect();
    keys.sort_unstable();
    let mut shown = object(member);
    shown["keys"] = json!(keys);
    shown
}

/// A member by itself, as the audit log shows it.
pub(super) fn object(member: &Member) -> Value {
    json!({
        "id": member.id, "name": member.name, "email": member.email, "role": member.role.name(),
        "apps": member.apps, "date_created": rfc3339(member.created), "deleted": member.deleted,
    })
}
