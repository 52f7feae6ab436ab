//! `GET /api/deliveries` (DECISIONS 7 and 30).

use axum::{Json, extract::State};
use measure::{
    AppId, DeliveryId, InstallId, TriggerId,
    catalogue::Catalogue,
    input::{Fact, Outcome},
    postback::{Attempt, Delivery, DeliveryState, Method, Request},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::{DeliveryQuery, Store, StoreError};

use super::super::{
    asked::{Path, Query},
    postbacks::secrets::Hidden,
};
use super::{iso, masking, rows};
use crate::http::openapi::Refusals;
use crate::{auth::Caller, error::Error, site::Site};

/// Facts looked through for one page of suppressed pairs.
const FACTS_PER_PAGE_MAX: usize = 20_000;
/// Where suppressed pairs continue in the facts, as a page token.
const FACT_TOKEN: &str = "fact_";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Asked {
    app: Option<AppId>,
    trigger: Option<TriggerId>,
    state: Option<String>,
    install: Option<String>,
    limit: Option<usize>,
    page_token: Option<String>,
}

#[utoipa::path(
    get, path = "/api/deliveries", tag = "record",
    params(("app" = Option<u64>, Query, description = "only of this app"), ("trigger" = Option<u64>, Query, description = "only of this trigger"), ("state" = Option<String>, Query, description = "`pending`, `delivered`, `dead` or `suppressed`"), ("install" = Option<String>, Query, description = "only of this install"), ("limit" = Option<u32>, Query, description = "rows of a page, 1 to 1000"), ("pageToken" = Option<String>, Query, description = "what `nextToken` of the page before said")),
    responses((status = 200, description = "a page of deliveries, newest first, with every attempt", body = Value), Refusals),
    operation_id = "deliveries_list",
)]
pub(in crate::http) async fn list(
    State(site): State<Site>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Error> {
    match asked.app {
        Some(app) => caller.may_read(app)?,
        None => caller.may_read_account()?,
    }
    let limit = rows(asked.limit)?;
    let state = asked.state.as_deref().map(state).transpose()?;
    let install = asked.install.as_deref().map(str::parse::<InstallId>).transpose();
    let install = install.map_err(|error| Error::BadRequest(format!("install: {error}")))?;
    let token = asked.page_token.as_deref().unwrap_or_default();
    if let Some(sequence) = token.strip_prefix(FACT_TOKEN) {
        let last =
            sequence.parse().map_err(|_| Error::BadRequest("pageToken: not one of ours".to_owned()))?;
        return site
            .ask(move |store| suppressed(store, asked.app, asked.trigger, install, last, limit))
            .await
            .map(Json);
    }
    let after = Some(token).filter(|token| !token.is_empty()).map(str::parse::<DeliveryId>).transpose();
    let after = after.map_err(|_| Error::BadRequest("pageToken: not one of ours".to_owned()))?;
    let query = DeliveryQuery { app: asked.app, trigger: asked.trigger, state, install, after, limit };
    let catalogue = site.catalogue.current();
    site.ask(move |store| page(store, &catalogue, &query)).await.map(Json)
}

fn state(name: &str) -> Result<DeliveryState, Error> {
    use DeliveryState::{Dead, Delivered, Pending, Suppressed};
    [Pending, Delivered, Dead, Suppressed]
        .into_iter()
        .find(|state| state.name() == name)
        .ok_or_else(|| Error::BadRequest("state: must be pending, delivered, dead or suppressed".to_owned()))
}

fn page(store: &dyn Store, catalogue: &Catalogue, query: &DeliveryQuery) -> Result<Value, StoreError> {
    let deliveries = store.deliveries(query)?;
    let full = deliveries.len() == query.limit;
    let next = deliveries.last().filter(|_| full).map(|last| last.id.to_string());
    let data: Vec<Value> = deliveries.iter().map(|one| delivery(catalogue, one)).collect();
    if next.is_none() && query.state == Some(DeliveryState::Suppressed) {
        // Behind the deliveries that were withdrawn come the pairs that never became one.
        let last = store.last_sequence()?;
        if data.is_empty() {
            return suppressed(store, query.app, query.trigger, query.install, last, query.limit);
        }
        return Ok(json!({ "data": data, "nextToken": format!("{FACT_TOKEN}{last}") }));
    }
    Ok(json!({ "data": data, "nextToken": next }))
}

/// Everything of one delivery (postbacks.md section 8).
pub(in crate::http) fn delivery(catalogue: &Catalogue, delivery: &Delivery) -> Value {
    let hidden = Hidden::of(catalogue, delivery.trigger, delivery.trigger_version);
    let now = Sent::new(&hidden, delivery.trigger_version, &delivery.request);
    let attempts: Vec<Value> = delivery
        .attempts
        .iter()
        .map(|made| match delivery.sent_by(made.number) {
            Some((_, request)) if std::ptr::eq(request, &delivery.request) => {
                attempt(&hidden, made, Some(&now))
            }
            Some((version, request)) => {
                let hidden = Hidden::of(catalogue, delivery.trigger, version);
                attempt(&hidden, made, Some(&Sent::new(&hidden, version, request)))
            }
            None => attempt(&hidden, made, None),
        })
        .collect();
    json!({
        "delivery_id": delivery.id.to_string(),
        "sent_as": delivery.sent_as.map(|id| id.to_string()),
        "app_id": delivery.app,
        "trigger_id": delivery.trigger,
        "trigger_version": delivery.trigger_version,
        "conversion_id": delivery.conversion.to_string(),
        "install_id": delivery.install.map(|install| install.to_string()),
        "revision": delivery.revision,
        "network_id": delivery.network,
        "state": delivery.state.name(),
        "reason": delivery.reason,
        "method": now.method,
        "url": now.url,
        "content_type": delivery.request.content_type,
        "body": now.body,
        "success_match": delivery.request.success_match,
        "created": iso(delivery.created),
        "due": (delivery.state == DeliveryState::Pending).then(|| iso(delivery.due)),
        "attempts_made": delivery.attempts.len(),
        "attempts_allowed": delivery.attempts_allowed,
        "attempts": attempts,
    })
}

/// What an attempt sent, as it is shown.
pub(in crate::http) struct Sent {
    version: u32,
    pub method: &'static str,
    pub url: String,
    pub body: String,
}

impl Sent {
    /// A request that was made with a version of its trigger, without the secrets of that.
    pub fn new(hidden: &Hidden, version: u32, request: &Request) -> Self {
        let method = match request.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        Self { version, method, url: hidden.url(request), body: hidden.body(request) }
    }
}

/// An attempt; what it sent is null when that is forgotten.
pub(in crate::http) fn attempt(hidden: &Hidden, attempt: &Attempt, sent: Option<&Sent>) -> Value {
    let headers: Map<String, Value> = attempt
        .headers
        .iter()
        .map(|(name, value)| {
            let shown = if name == "location" { masking::url(value) } else { value.clone() };
            (name.clone(), hidden.text(&shown).into())
        })
        .collect();
    json!({
        "number": attempt.number, "started": iso(attempt.started),
        "trigger_version": sent.map(|sent| sent.version), "method": sent.map(|sent| sent.method),
        "url": sent.map(|sent| &sent.url), "body": sent.map(|sent| &sent.body),
        "status": attempt.status, "error": attempt.error, "connect_ms": attempt.connect_ms,
        "ms": attempt.elapsed_ms, "headers": headers, "response": hidden.text(&attempt.response),
    })
}

#[utoipa::path(
    get, path = "/api/deliveries/{delivery}", tag = "record",
    params(("delivery" = String, Path, description = "the identifier of the delivery")),
    responses((status = 200, description = "the delivery, with every attempt", body = Value), Refusals),
    operation_id = "deliveries_one",
)]
pub(in crate::http) async fn one(
    State(site): State<Site>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    find(&site, &caller, &id).await.map(|found| Json(delivery(&site.catalogue.current(), &found)))
}

/// A delivery that the caller may see.
pub(in crate::http) async fn find(site: &Site, caller: &Caller, id: &str) -> Result<Delivery, Error> {
    let id: DeliveryId = id.parse().map_err(|_| Error::NotFound("delivery"))?;
    let found = site.ask(move |store| store.delivery(id)).await?.ok_or(Error::NotFound("delivery"))?;
    caller.may_read(found.app)?;
    Ok(found)
}

/// Pairs for which nothing was sent, from the facts of their conversions, newest first.
fn suppressed(
    store: &dyn Store,
    app: Option<AppId>,
    trigger: Option<TriggerId>,
    install: Option<InstallId>,
    last: u64,
    limit: usize,
) -> Result<Value, StoreError> {
    let (mut data, mut last, mut read) = (Vec::new(), last, 0);
    while last > 0 && data.len() < limit && read < FACTS_PER_PAGE_MAX {
        let facts = store.facts_back(last, 500)?;
        if facts.is_empty() {
            last = 0;
        }
        for fact in facts {
            if data.len() >= limit {
                break;
            }
            last = fact.sequence - 1;
            read += 1;
            if app.is_none_or(|app| app == fact.input.app) {
                data.extend(pairs(&fact, trigger, install));
            }
        }
    }
    let next = (last > 0).then(|| format!("{FACT_TOKEN}{last}"));
    Ok(json!({ "data": data, "nextToken": next }))
}

fn pairs(fact: &Fact, trigger: Option<TriggerId>, install: Option<InstallId>) -> Vec<Value> {
    let mut rows = Vec::new();
    for outcome in &fact.outcomes {
        let (conversion, of_install) = match outcome {
            Outcome::Touched { .. } | Outcome::Held { .. } => (fact.input.id.to_string(), None),
            Outcome::Installed { install, .. } | Outcome::Redecided { install, .. } => {
                (measure::InputId::from(*install).to_string(), Some(*install))
            }
            Outcome::EventLinked { input, install, .. } | Outcome::EventRedecided { input, install, .. } => {
                (input.to_string(), Some(*install))
            }
            Outcome::DuplicateInstall { .. }
            | Outcome::Applied { .. }
            | Outcome::Counted { .. }
            | Outcome::Ignored
            | Outcome::UserChanged { .. } => continue,
        };
        if install.is_some() && of_install != install {
            continue;
        }
        for pair in outcome.suppressed().iter().filter(|pair| trigger.is_none_or(|id| id == pair.trigger)) {
            rows.push(json!({
                "delivery_id": null,
                "app_id": fact.input.app,
                "trigger_id": pair.trigger,
                "conversion_id": conversion,
                "install_id": of_install.map(|install| install.to_string()),
                "state": "suppressed",
                "reason": pair.reason.name(),
                "url": null,
                "created": iso(fact.input.received),
                "attempts": [],
            }));
        }
    }
    rows
}
