//! `GET /api/apps/{id}/influencers`: the engagements that installs could have come from and did not, one row
//! per click or impression, with the one reason why it lost (tracking-and-attribution.md section 12).

use axum::{Json, extract::State};
use measure::{
    AppId, DeviceId, InstallId, attribution::Decision, catalogue::Catalogue, install::InstallRecord,
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Store, StoreError};

use super::super::asked::{Path, Query};
use super::{attribution::candidate, inputs::app, iso, rows};
use crate::{auth::Caller, error::Error, http::openapi::Refusals, site::Site};

/// Installs looked through for one page, so that a page costs the same in an app without influencers.
const INSTALLS_PER_PAGE_MAX: usize = 2_000;
/// Devices read at once.
const STEP_DEVICES: usize = 200;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Asked {
    install: Option<String>,
    reason: Option<String>,
    limit: Option<usize>,
    page_token: Option<String>,
}

/// Installs with their latest decisions, and where the next page begins.
struct Page {
    installs: Vec<(InstallRecord, Decision)>,
    next: Option<DeviceId>,
}

#[utoipa::path(
    get, path = "/api/apps/{id}/influencers", tag = "record",
    params(("id" = u64, Path, description = "the number of the app"), ("install" = Option<String>, Query, description = "of this install only"), ("reason" = Option<String>, Query, description = "with this losing reason only"), ("limit" = Option<u32>, Query, description = "rows of a page, 1 to 1000"), ("pageToken" = Option<String>, Query, description = "what `nextToken` of the page before said")),
    responses((status = 200, description = "a page of engagements that lost, each with its reason", body = Value), Refusals),
    operation_id = "influencers_list",
)]
pub(in crate::http) async fn list(
    State(site): State<Site>,
    caller: Caller,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Error> {
    let app = app(&site, &id)?;
    caller.may_read(app)?;
    let limit = rows(asked.limit)?;
    let page = match asked.install {
        Some(install) => {
            let wrong = |error| Error::BadRequest(format!("install: {error}"));
            let install = install.parse::<InstallId>().map_err(wrong)?;
            let found = site.ask(move |store| store.install(app, install)).await?;
            let found = found.and_then(|(record, mut decisions)| Some((record, decisions.pop()?)));
            Page { installs: vec![found.ok_or(Error::NotFound("install"))?], next: None }
        }
        None => {
            let after = asked.page_token.as_deref().map(str::parse::<DeviceId>).transpose();
            let after = after.map_err(|_| Error::BadRequest("pageToken: not one of ours".to_owned()))?;
            let reason = asked.reason.clone();
            site.ask(move |store: &dyn Store| page(store, app, after, limit, reason.as_deref())).await?
        }
    };
    let catalogue = site.catalogue.current();
    let reason = asked.reason.as_deref();
    let data: Vec<Value> = page
        .installs
        .iter()
        .flat_map(|(record, decision)| of_install(&catalogue, record, decision, reason))
        .collect();
    Ok(Json(json!({ "data": data, "nextToken": page.next.map(|next| next.to_string()) })))
}

/// Whole installs, in the order of their devices, until `limit` rows are together.
fn page(
    store: &dyn Store,
    app: AppId,
    mut after: Option<DeviceId>,
    limit: usize,
    reason: Option<&str>,
) -> Result<Page, StoreError> {
    let (mut installs, mut found, mut seen) = (Vec::new(), 0, 0);
    loop {
        let devices = store.devices(app, after, STEP_DEVICES)?;
        let is_last = devices.len() < STEP_DEVICES;
        for device in devices {
            after = Some(device.id);
            seen += 1;
            let decided = store.install(app, device.install)?;
            let decided = decided.and_then(|(record, mut decisions)| Some((record, decisions.pop()?)));
            if let Some((record, decision)) = decided {
                let lost = decision.losers().filter(|(_, lost)| wanted(lost.name(), reason)).count();
                found += lost;
                if lost > 0 {
                    installs.push((record, decision));
                }
            }
            if found >= limit || seen >= INSTALLS_PER_PAGE_MAX {
                return Ok(Page { installs, next: after });
            }
        }
        if is_last {
            return Ok(Page { installs, next: None });
        }
    }
}

fn wanted(lost: &str, reason: Option<&str>) -> bool {
    reason.is_none_or(|reason| reason == lost)
}

fn of_install(
    catalogue: &Catalogue,
    record: &InstallRecord,
    decision: &Decision,
    reason: Option<&str>,
) -> Vec<Value> {
    let lost = decision.losers().filter(|(_, lost)| wanted(lost.name(), reason));
    let rows = lost.map(|(loser, lost)| {
        let mut row = candidate(catalogue, loser);
        if let Some(fields) = row.as_object_mut() {
            fields.insert("influencer".to_owned(), lost.was_beaten().into());
            fields.insert("install_id".to_owned(), record.id.to_string().into());
            fields.insert("install_time".to_owned(), iso(record.install.time));
            fields.insert(
                "kochava_device_id".to_owned(),
                record.install.origin.kochava_device_id.clone().into(),
            );
            fields.insert("revision".to_owned(), decision.revision.into());
            let winner = decision.winner();
            let network = winner.map(|winner| winner.network.to_string());
            fields.insert("credited_class".to_owned(), decision.class().into());
            fields.insert("credited_network_id".to_owned(), network.into());
        }
        row
    });
    rows.collect()
}
