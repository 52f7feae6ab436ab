//! The history of a trigger: what it was when a delivery was made with it (postbacks.md section 10).

use axum::{Json, extract::State};
use measure::TriggerId;
use serde_json::{Value, json};

use super::{
    super::{asked::Path, openapi::Refusals, record::iso},
    object,
};
use crate::{auth::Caller, error::Error, site::Site};

/// `GET /api/triggers/{trigger}/versions`: every version of a trigger, oldest first, also of a deleted one.
#[utoipa::path(
    get, path = "/api/triggers/{trigger}/versions", tag = "postbacks",
    params(("trigger" = u64, Path, description = "the number of the trigger")),
    responses((status = 200, description = "the trigger as it was after each change; deliveries name the version", body = Value), Refusals),
    operation_id = "trigger_versions",
)]
pub async fn versions(
    State(site): State<Site>,
    caller: Caller,
    Path(trigger): Path<String>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let id: Option<TriggerId> = trigger.parse().ok();
    let trigger = id.and_then(|id| catalogue.trigger(id)).ok_or(Error::NotFound("trigger"))?;
    caller.may_read(trigger.app)?;
    let whole = caller.may_write(trigger.app).is_ok();
    let versions = catalogue.trigger_versions(trigger.id).iter().map(|version| {
        json!({
            "version": version.trigger.version, "at": iso(version.at), "key_id": version.by,
            "deleted": version.trigger.deleted, "trigger": object(&catalogue, &version.trigger, whole),
        })
    });
    Ok(Json(json!({ "data": versions.collect::<Vec<_>>() })))
}
