//! `GET /api/apps/{id}/skad`: aggregate postbacks, newest first, with their counts (docs/skadnetwork.md).

use axum::{
    Json,
    extract::{Path, Query, State},
};
use measure::{
    AppId,
    input::{Fact, Outcome, Payload},
    ledger::{Counter, Tally},
    skad::{AggregatePostback, Framework},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{inputs::app, iso, rows};
use crate::http::openapi::Refusals;
use crate::{auth::Caller, error::Error, site::Site};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Asked {
    limit: Option<usize>,
    page_token: Option<String>,
}

#[utoipa::path(
    get, path = "/api/apps/{id}/skad", tag = "record",
    params(("id" = u64, Path, description = "the number of the app"), ("limit" = Option<u32>, Query, description = "rows of a page, 1 to 1000"), ("pageToken" = Option<String>, Query, description = "what `nextToken` of the page before said")),
    responses((status = 200, description = "a page of aggregate postbacks, and their counts", body = Value), Refusals),
    operation_id = "skad_list",
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
    let before = asked.page_token.as_deref().map(str::parse::<u64>).transpose();
    let before = before.map_err(|_| Error::BadRequest("pageToken: not one of ours".to_owned()))?;
    let (facts, tally) =
        site.ask(move |store| Ok((store.aggregates(app, before, limit)?, store.tally()?))).await?;
    let next = facts.last().filter(|_| facts.len() == limit).map(|last| last.sequence.to_string());
    let data: Vec<Value> = facts.iter().filter_map(row).collect();
    Ok(Json(json!({ "data": data, "summary": summary(&tally, app), "nextToken": next })))
}

/// Counts by source and window, each transaction once in each window.
fn summary(tally: &Tally, app: AppId) -> Vec<Value> {
    let cells = tally.iter().filter_map(|((owner, counter), n)| match counter {
        Counter::Aggregates(cell) if *owner == Some(app) => Some((cell, *n)),
        _ => None,
    });
    cells
        .map(|(cell, n)| {
            json!({
                "framework": cell.framework.name(), "signed_by": cell.signed.name(),
                "ad_network_id": cell.network, "source": cell.source, "window": cell.window,
                "won": cell.won, "count": n,
            })
        })
        .collect()
}

fn row(fact: &Fact) -> Option<Value> {
    let Payload::Aggregate(postback) = &fact.input.payload else { return None };
    let duplicate =
        fact.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Counted { duplicate: true }));
    let mut row = postback_row(postback);
    let fields = row.as_object_mut()?;
    fields.insert("input_id".to_owned(), fact.input.id.to_string().into());
    fields.insert("received".to_owned(), iso(fact.input.received));
    fields.insert("duplicate".to_owned(), duplicate.into());
    Some(row)
}

fn postback_row(postback: &AggregatePostback) -> Value {
    let advisory = &postback.advisory;
    let params: serde_json::Map<String, Value> =
        advisory.params.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let has_campaign =
        postback.framework == Framework::SkAdNetwork && postback.version.as_deref() != Some("4.0");
    json!({
        "framework": postback.framework.name(),
        "version": postback.version,
        "ad_network_id": postback.network,
        "source_identifier": (!has_campaign).then_some(&postback.source),
        "campaign_id": has_campaign.then_some(&postback.source),
        "app_store_id": postback.app_store_id,
        "transaction_id": postback.transaction,
        "window": postback.window,
        "conversion_type": postback.conversion.name(),
        "source_app_id": postback.source_app,
        "source_domain": postback.source_domain,
        "fidelity_type": postback.fidelity,
        "did_win": postback.did_win,
        "impression_type": postback.impression,
        "marketplace": postback.marketplace,
        "signed_by": postback.signed.name(),
        "advisory": {
            "conversion_value": advisory.fine_value,
            "coarse_conversion_value": advisory.coarse_value.map(|value| value.name()),
            "ad_interaction_type": advisory.interaction,
            "country_code": advisory.country,
            "params": params,
        },
    })
}
