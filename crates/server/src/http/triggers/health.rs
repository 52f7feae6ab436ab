//! `GET /api/triggers` and `GET /api/triggers/{trigger}/health`: how triggers fare, and what to look at.

use axum::{Json, extract::State};
use courier::BreakerState;
use measure::{
    AppId, Timestamp,
    postback::{Delivery, Trigger},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{
    asked::{Path, Query},
    openapi::Refusals,
    postbacks,
    record::iso,
};
use crate::{auth::Caller, clock, config, error::Error, site::Site};

/// Fewer attempts say nothing about a share.
const ATTEMPTS_LEAST: usize = 5;

#[derive(Deserialize)]
pub struct Asked {
    app: Option<AppId>,
}

#[utoipa::path(
    get, path = "/api/triggers", tag = "postbacks",
    params(("app" = Option<u64>, Query, description = "only of this app")),
    responses((status = 200, description = "how every trigger fares", body = Value), Refusals),
    operation_id = "triggers_health_list",
)]
pub async fn list(
    State(site): State<Site>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Error> {
    match asked.app {
        Some(app) => caller.may_read(app)?,
        None => caller.may_read_account()?,
    }
    let catalogue = site.catalogue.current();
    let triggers: Vec<Trigger> = catalogue
        .triggers()
        .into_iter()
        .filter(|trigger| !trigger.deleted && asked.app.is_none_or(|app| app == trigger.app))
        .map(|trigger| Trigger::clone(trigger))
        .collect();
    let ids: Vec<_> = triggers.iter().map(|trigger| trigger.id).collect();
    let oldest = site.ask(move |store| ids.into_iter().map(|id| store.oldest_pending(id)).collect()).await?;
    let oldest: Vec<Option<Delivery>> = oldest;
    let rows: Vec<Value> =
        triggers.iter().zip(&oldest).map(|(trigger, oldest)| row(&site, trigger, oldest.as_ref())).collect();
    Ok(Json(json!({ "data": rows })))
}

#[utoipa::path(
    get, path = "/api/triggers/{trigger}/health", tag = "postbacks",
    params(("trigger" = u64, Path, description = "the number of the trigger")),
    responses((status = 200, description = "how the trigger fares", body = Value), Refusals),
    operation_id = "triggers_health",
)]
pub async fn one(
    State(site): State<Site>,
    caller: Caller,
    Path(trigger): Path<String>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let trigger = postbacks::find(&catalogue, &trigger)?;
    caller.may_read(trigger.app)?;
    let id = trigger.id;
    let oldest = site.ask(move |store| store.oldest_pending(id)).await?;
    Ok(Json(row(&site, trigger, oldest.as_ref())))
}

fn row(site: &Site, trigger: &Trigger, oldest: Option<&Delivery>) -> Value {
    let now = clock::now();
    let (health, breaker) = site.delivery.health.of(trigger.id);
    let (attempts, failures) = (health.attempts(), health.failures());
    let alerts = alerts(&site.config.courier, attempts, failures, breaker, oldest, now);
    let state = match () {
        () if trigger.sending.paused => "paused",
        () if !alerts.is_empty() => "alert",
        () if !trigger.active => "inactive",
        () if attempts == 0 => "idle",
        () => "ok",
    };
    let (breaker, until) = match breaker {
        BreakerState::Closed => ("closed", Value::Null),
        BreakerState::Open(until) => ("open", iso(until)),
        BreakerState::HalfOpen => ("half_open", Value::Null),
    };
    json!({
        "trigger_id": trigger.id,
        "app_id": trigger.app,
        "title": trigger.title,
        "version": trigger.version,
        "active": trigger.active,
        "paused": trigger.sending.paused,
        "signed": !trigger.sending.secrets.is_empty(),
        "state": state,
        "alerts": alerts,
        "target": (!health.target.is_empty()).then_some(health.target.as_str()),
        "breaker": { "state": breaker, "until": until },
        "attempts": {
            "seen": attempts, "failed": failures,
            "failure_percent": (attempts > 0).then(|| failures * 100 / attempts),
        },
        "last_success": health.last_success.map(iso),
        "last_failure": health.last_failure.map(|(at, error)| json!({ "at": iso(at), "error": error })),
        "oldest_pending": oldest.map(|delivery| json!({
            "delivery_id": delivery.id.to_string(),
            "created": iso(delivery.created),
            "age_s": now.since(delivery.created).max(0) / 1_000,
            "attempts": delivery.attempts.len(),
        })),
    })
}

/// What somebody should look at.
fn alerts(
    settings: &config::Courier,
    attempts: usize,
    failures: usize,
    breaker: BreakerState,
    oldest: Option<&Delivery>,
    now: Timestamp,
) -> Vec<&'static str> {
    let percent = usize::try_from(settings.alert_failure_percent).unwrap_or(100);
    let age_ms = i64::try_from(settings.alert_pending_age.as_millis()).unwrap_or(i64::MAX);
    let mut alerts = Vec::new();
    if attempts >= ATTEMPTS_LEAST && failures * 100 >= attempts * percent {
        alerts.push("failures");
    }
    if breaker != BreakerState::Closed {
        alerts.push("breaker_open");
    }
    if oldest.is_some_and(|delivery| now.since(delivery.due.min(delivery.created)) > age_ms) {
        alerts.push("pending_age");
    }
    alerts
}
