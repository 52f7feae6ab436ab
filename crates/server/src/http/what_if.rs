//! `POST /api/apps/{id}/what-if`: how installs would have been attributed under other settings
//! (docs/what-if.md, DECISIONS 23).

pub mod alteration;
pub mod report;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use measure::{InstallId, attribution::LosingReason};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    asked::{Path, Query},
    fields::Fields,
    openapi::{Refusals, bodies::WhatIfBody},
    record::{inputs::app, iso, rows},
};
use crate::{
    auth::Caller,
    error::Error,
    site::Site,
    what_if::{Job, Outcome, readers, refusal},
};

/// How long an answer waits for a what-if before it says how to ask for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which changed installs are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    limit: Option<usize>,
    page_token: Option<String>,
}

/// Begins a what-if. A short one is answered at once, any other one with where to ask for it.
#[utoipa::path(
    post, path = "/api/apps/{id}/what-if", tag = "record",
    params(("id" = u64, Path, description = "the number of the app")),
    request_body = WhatIfBody,
    responses(
        (status = 200, description = "what it found", body = Value),
        (status = 202, description = "it is under way: ask for it by its `job_id`", body = Value),
        Refusals,
    ),
    operation_id = "what_if_ask",
)]
pub async fn ask(
    State(site): State<Site>,
    caller: Caller,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<(StatusCode, Json<Value>), Error> {
    let app = app(&site, &id)?;
    caller.may_read(app)?;
    let plan = alteration::plan(&site.catalogue.current(), app, fields, &site.vault, readers())?;
    let from = plan.from;
    let earliest = site.ask(engine::earliest).await?;
    if let (Some(from), Some(earliest)) = (from, earliest)
        && from < earliest
        && let Some(refused) = refusal(&engine::WhatIfError::TooEarly(earliest))
    {
        return Err(refused);
    }
    let job = site.what_ifs.begin(site.store.clone(), plan)?;
    let status = if job.wait(PATIENCE).await.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(answer(&site, &job, &Asked::default()).await?)))
}

/// How far a what-if is, or what it found, with a page of the installs that change.
#[utoipa::path(
    get, path = "/api/apps/{id}/what-if/{job}", tag = "record",
    params(("id" = u64, Path, description = "the number of the app"), ("job" = String, Path, description = "the `job_id`"), ("limit" = Option<u32>, Query, description = "changed installs on a page, 1 to 1000"), ("pageToken" = Option<String>, Query, description = "what `changes.nextToken` of the page before said")),
    responses((status = 200, description = "how far it is, or what it found", body = Value), Refusals),
    operation_id = "what_if_get",
)]
pub async fn get(
    State(site): State<Site>,
    caller: Caller,
    Path((id, job)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Error> {
    let app = app(&site, &id)?;
    caller.may_read(app)?;
    let job = site.what_ifs.get(app, &job)?;
    Ok(Json(answer(&site, &job, &asked).await?))
}

/// Stops a what-if.
#[utoipa::path(
    delete, path = "/api/apps/{id}/what-if/{job}", tag = "record",
    params(("id" = u64, Path, description = "the number of the app"), ("job" = String, Path, description = "the `job_id`")),
    responses((status = 200, description = "it stops, if it was under way", body = Value), Refusals),
    operation_id = "what_if_stop",
)]
pub async fn stop(
    State(site): State<Site>,
    caller: Caller,
    Path((id, job)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    let app = app(&site, &id)?;
    caller.may_read(app)?;
    let job = site.what_ifs.get(app, &job)?;
    job.stop();
    job.wait(PATIENCE).await;
    Ok(Json(answer(&site, &job, &Asked::default()).await?))
}

async fn answer(site: &Site, job: &Arc<Job>, asked: &Asked) -> Result<Value, Error> {
    let progress = job.progress();
    let mut answer = json!({
        "job_id": job.id,
        "app_id": job.app,
        "started": iso(job.started),
        "state": "running",
        "progress": {
            "facts_read": progress.done, "facts": progress.of, "installs": progress.installs,
        },
        "href": format!("/api/apps/{}/what-if/{}", job.app, job.id),
    });
    let Some(fields) = answer.as_object_mut() else { return Ok(answer) };
    let state = match job.outcome() {
        None => "running",
        Some(Outcome::Stopped) => "stopped",
        Some(Outcome::Failed(why)) => {
            fields.insert("error".to_owned(), why.into());
            "failed"
        }
        Some(Outcome::Done(found)) => {
            let catalogue = site.catalogue.current();
            let page = page(&found, asked)?;
            let ids: Vec<InstallId> = page.rows.iter().map(|row| row.install).collect();
            let (app, until) = (job.app, found.until);
            // Why the new winner did not win so far stands in the decision on record.
            let recorded = site
                .ask(move |store| {
                    let mut recorded = BTreeMap::new();
                    for id in ids {
                        let decisions = store.install(app, id)?.map(|(_, decisions)| decisions);
                        let mut decisions = decisions.into_iter().flatten();
                        recorded.insert(id, decisions.rfind(|decision| decision.decided < until));
                    }
                    Ok(recorded)
                })
                .await?;
            let lost_before = |row: &engine::Altered| -> Option<LosingReason> {
                let touch = row.winner.as_ref()?.touch;
                let decision = recorded.get(&row.install)?.as_ref()?;
                decision.candidates.iter().find(|candidate| candidate.touch == touch)?.lost
            };
            let changes: Vec<Value> =
                page.rows.iter().map(|row| report::change(&catalogue, row, lost_before(row))).collect();
            fields.insert("report".to_owned(), report::summary(&catalogue, &found));
            fields.insert(
                "changes".to_owned(),
                json!({
                    "total": found.altered, "listed": found.changes.len(), "data": changes,
                    "nextToken": page.next,
                }),
            );
            "done"
        }
    };
    fields.insert("state".to_owned(), state.into());
    Ok(answer)
}

/// A body at hand.
#[must_use]
pub const fn fields(body: serde_json::Map<String, Value>) -> Fields {
    Fields::new(body)
}

/// Some of the changed installs.
struct Page<'r> {
    rows: &'r [engine::Altered],
    next: Option<String>,
}

fn page<'r>(found: &'r engine::Report, asked: &Asked) -> Result<Page<'r>, Error> {
    let limit = rows(asked.limit)?;
    let after = asked.page_token.as_deref().map(str::parse::<InstallId>).transpose();
    let after = after.map_err(|_| Error::BadRequest("pageToken: not one of ours".to_owned()))?;
    let start = after.map_or(0, |after| found.changes.partition_point(|row| row.install <= after));
    let rest = found.changes.get(start..).unwrap_or_default();
    let rows = rest.get(..limit).unwrap_or(rest);
    let next = rows.last().filter(|_| rest.len() > rows.len()).map(|last| last.install.to_string());
    Ok(Page { rows, next })
}
