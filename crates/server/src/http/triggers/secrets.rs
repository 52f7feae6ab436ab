//! `/api/triggers/{trigger}/secrets`: what requests are signed with. A secret is shown once, when it is made.

use axum::{Json, extract::State, http::StatusCode};
use measure::{catalogue::Entry, postback::SigningSecret};
use serde_json::{Value, json};

use super::super::{asked::Path, fields::MaybeFields, openapi::Refusals, postbacks, rfc3339};
use crate::{auth::Caller, clock, error::Error, signing, site::Site};

fn object(secret: &SigningSecret) -> Value {
    json!({ "id": secret.id, "created": rfc3339(secret.created) })
}

#[utoipa::path(
    get, path = "/api/triggers/{trigger}/secrets", tag = "postbacks",
    params(("trigger" = u64, Path, description = "the number of the trigger")),
    responses((status = 200, description = "the secrets that sign, without themselves", body = Value), Refusals),
    operation_id = "triggers_secrets_list",
)]
pub async fn list(
    State(site): State<Site>,
    caller: Caller,
    Path(trigger): Path<String>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let trigger = postbacks::find(&catalogue, &trigger)?;
    caller.may_read(trigger.app)?;
    Ok(Json(json!({ "data": trigger.sending.secrets.iter().map(object).collect::<Vec<_>>() })))
}

#[utoipa::path(
    post, path = "/api/triggers/{trigger}/secrets", tag = "postbacks",
    params(("trigger" = u64, Path, description = "the number of the trigger")),
    request_body = Value,
    responses((status = 201, description = "a secret that signs from now on, beside those there are; shown this once", body = Value), Refusals),
    operation_id = "triggers_secrets_create",
)]
pub async fn create(
    State(site): State<Site>,
    caller: Caller,
    Path(trigger): Path<String>,
    MaybeFields(mut fields): MaybeFields,
) -> Result<(StatusCode, Json<Value>), Error> {
    let now = clock::now();
    let secret = fields.text("secret")?.unwrap_or_else(signing::generate);
    let change = site.catalogue.change(now, Some(caller.key()), |catalogue| {
        let mut trigger = postbacks::find(catalogue, &trigger)?.clone();
        caller.may_write(trigger.app)?;
        let added = signing::add(&mut trigger, "secret", &secret, &site.vault, now)?;
        Ok::<_, Error>((vec![Entry::Trigger(trigger)], added))
    });
    let mut shown = object(&change.await?);
    shown["secret"] = secret.into();
    Ok((StatusCode::CREATED, Json(shown)))
}

#[utoipa::path(
    delete, path = "/api/triggers/{trigger}/secrets/{secret}", tag = "postbacks",
    params(("trigger" = u64, Path, description = "the number of the trigger"), ("secret" = u32, Path, description = "the number of the secret")),
    responses((status = 204, description = "it signs no more"), Refusals),
    operation_id = "triggers_secrets_delete",
)]
pub async fn delete(
    State(site): State<Site>,
    caller: Caller,
    Path((trigger, secret)): Path<(String, String)>,
) -> Result<StatusCode, Error> {
    let change = site.catalogue.change(clock::now(), Some(caller.key()), |catalogue| {
        let mut trigger = postbacks::find(catalogue, &trigger)?.clone();
        caller.may_write(trigger.app)?;
        let id: u32 = secret.parse().map_err(|_| Error::NotFound("secret"))?;
        let secrets = &mut trigger.sending.secrets;
        let place = secrets.iter().position(|secret| secret.id == id).ok_or(Error::NotFound("secret"))?;
        secrets.remove(place);
        Ok::<_, Error>((vec![Entry::Trigger(trigger)], ()))
    });
    change.await?;
    Ok(StatusCode::NO_CONTENT)
}
