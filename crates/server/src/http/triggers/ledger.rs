//! `GET /api/triggers/{trigger}/ledger`: matching conversions = delivered + pending + dead + suppressed
//! (docs/delivery.md). What matched is counted when it is planned, what became of it when it is settled, and
//! what is pending is also looked for in the outbox.

use axum::{Json, extract::State};
use measure::{Timestamp, TriggerId, ledger::TriggerSums};
use serde_json::{Value, json};

use super::super::{asked::Path, openapi::Refusals, record::iso};
use crate::{auth::Caller, error::Error, site::Site};

#[utoipa::path(
    get, path = "/api/triggers/{trigger}/ledger", tag = "postbacks",
    params(("trigger" = u64, Path, description = "the number of the trigger, also of a deleted one")),
    responses((status = 200, description = "how many conversions matched the trigger, and what became of them", body = Value), Refusals),
    operation_id = "triggers_ledger",
)]
pub async fn one(
    State(site): State<Site>,
    caller: Caller,
    Path(trigger): Path<String>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let id: Option<TriggerId> = trigger.parse().ok();
    let trigger = id.and_then(|id| catalogue.trigger(id)).ok_or(Error::NotFound("trigger"))?;
    caller.may_read(trigger.app)?;
    let (app, id) = (trigger.app, trigger.id);
    let (sums, waits, later) = site
        .ask(move |store| {
            let sums = || store.tally().map(|tally| TriggerSums::of(&tally, app, id));
            Ok((sums()?, store.oldest_pending(id)?.is_some(), sums()?))
        })
        .await?;
    // The outbox can be held against the counters when nothing moved meanwhile.
    let holds = sums != later || waits == (sums.pending() > 0);
    Ok(Json(json!({
        "trigger_id": id,
        "app_id": app,
        "counted_since": sums.since.map(|since| iso(Timestamp(since))),
        "matching": sums.due,
        "delivered": sums.delivered,
        "pending": sums.pending(),
        "dead": sums.dead,
        "suppressed": sums.suppressed,
        "balanced": sums.is_balanced() && holds,
    })))
}
