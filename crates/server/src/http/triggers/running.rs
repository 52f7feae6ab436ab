//! `POST /api/triggers/{trigger}/pause` and `/resume`: what a paused trigger plans stays pending.

use axum::{Json, extract::State};
use measure::catalogue::Entry;
use serde_json::{Value, json};

use super::super::{asked::Path, openapi::Refusals, postbacks};
use crate::{auth::Caller, clock, error::Error, site::Site};

#[utoipa::path(
    post, path = "/api/triggers/{trigger}/pause", tag = "postbacks",
    params(("trigger" = u64, Path, description = "the number of the trigger")),
    responses((status = 200, description = "it sends nothing more until it is resumed", body = Value), Refusals),
    operation_id = "triggers_pause",
)]
pub async fn pause(
    State(site): State<Site>,
    caller: Caller,
    Path(trigger): Path<String>,
) -> Result<Json<Value>, Error> {
    set(&site, &caller, &trigger, true).await
}

#[utoipa::path(
    post, path = "/api/triggers/{trigger}/resume", tag = "postbacks",
    params(("trigger" = u64, Path, description = "the number of the trigger")),
    responses((status = 200, description = "it sends what has gathered", body = Value), Refusals),
    operation_id = "triggers_resume",
)]
pub async fn resume(
    State(site): State<Site>,
    caller: Caller,
    Path(trigger): Path<String>,
) -> Result<Json<Value>, Error> {
    let answer = set(&site, &caller, &trigger, false).await?;
    site.delivery.wake.wake();
    Ok(answer)
}

async fn set(site: &Site, caller: &Caller, trigger: &str, paused: bool) -> Result<Json<Value>, Error> {
    let change = site.catalogue.change(clock::now(), Some(caller.key()), |catalogue| {
        let mut trigger = postbacks::find(catalogue, trigger)?.clone();
        caller.may_write(trigger.app)?;
        let id = trigger.id;
        if trigger.sending.paused == paused {
            return Ok((Vec::new(), id));
        }
        trigger.sending.paused = paused;
        Ok::<_, Error>((vec![Entry::Trigger(trigger)], id))
    });
    let trigger = change.await?;
    Ok(Json(json!({ "trigger_id": trigger, "paused": paused })))
}
