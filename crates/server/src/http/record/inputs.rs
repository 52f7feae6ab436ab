//! What became of an input, what is in quarantine, which event names were seen
//! (DECISIONS 9, 11, 35).

use axum::{Json, extract::State};
use measure::{
    AppId, InputId,
    attribution::Source,
    catalogue::Catalogue,
    claim::Claim,
    event::Event,
    input::{Fact, Outcome, Payload, Quarantined},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::{Store, StoreError};

use super::super::asked::{Path, Query};
use super::{events, iso, rows};
use crate::http::openapi::Refusals;
use crate::{auth::Caller, error::Error, http::fraud, site::Site};

/// The bucket of bodies that belong to no known app.
const UNKNOWN: &str = "unknown";

#[utoipa::path(
    get, path = "/api/inputs/{id}", tag = "record",
    params(("id" = String, Path, description = "what `Sextant-Input` said")),
    responses((status = 200, description = "what became of the input", body = Value), Refusals),
    operation_id = "inputs_one",
)]
pub(in crate::http) async fn one(
    State(site): State<Site>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    let id: InputId = id.parse().map_err(|error| Error::BadRequest(format!("input: {error}")))?;
    let found = site
        .ask(move |store| {
            let Some((fact, released)) = store.fact(id)? else { return Ok(None) };
            let released = match released {
                Some(sequence) => store.facts(sequence, 1)?.pop(),
                None => None,
            };
            Ok(Some((fact, released)))
        })
        .await?;
    if let Some((fact, released)) = found {
        caller.may_read(fact.input.app)?;
        return Ok(Json(accepted(&site.catalogue.current(), &fact, released.as_ref())));
    }
    let apps: Vec<AppId> = site.catalogue.current().apps().iter().map(|app| app.id).collect();
    let body =
        site.ask(move |store| in_quarantine(store, &apps, id)).await?.ok_or(Error::NotFound("input"))?;
    match body.app {
        Some(app) => caller.may_read(app)?,
        None => caller.may_read_account()?,
    }
    let mut row = quarantined(&body);
    if let Some(fields) = row.as_object_mut() {
        fields.insert("became".to_owned(), "quarantined".into());
    }
    Ok(Json(row))
}

/// A quarantined body by its identifier. Each bucket is in descending order: the body comes right after
/// the identifier that follows its own.
fn in_quarantine(store: &dyn Store, apps: &[AppId], id: InputId) -> Result<Option<Quarantined>, StoreError> {
    let following = InputId(uuid::Uuid::from_u128(id.0.as_u128().saturating_add(1)));
    for app in apps.iter().copied().map(Some).chain([None]) {
        let next = store.quarantine(app, Some(following), 1)?;
        if let Some(body) = next.into_iter().find(|body| body.id == id) {
            return Ok(Some(body));
        }
    }
    Ok(None)
}

fn accepted(catalogue: &Catalogue, fact: &Fact, released: Option<&Fact>) -> Value {
    let input = &fact.input;
    let event = match &input.payload {
        Payload::Event(event) => Some(event),
        _ => None,
    };
    let outcome = |one: &Outcome| {
        let about = match one {
            Outcome::EventLinked { input, .. } | Outcome::EventRedecided { input, .. } => *input,
            _ => input.id,
        };
        // What became of other events with this one is told without their names and times.
        outcome(catalogue, event.filter(|_| about == input.id), one)
    };
    let mut outcomes: Vec<Value> = fact.outcomes.iter().map(outcome).collect();
    if let Some(released) = released {
        let mine = released.outcomes.iter().filter(|outcome| match outcome {
            Outcome::EventLinked { input: linked, .. }
            | Outcome::EventRedecided { input: linked, .. }
            | Outcome::Applied { input: linked, .. }
            | Outcome::UserChanged { input: linked, .. } => *linked == input.id,
            _ => false,
        });
        outcomes.extend(mine.map(outcome));
    }
    json!({
        "input_id": input.id.to_string(),
        "became": "accepted",
        "app_id": input.app,
        "kind": input.payload.kind(),
        "received": iso(input.received),
        "time": match &input.payload {
            Payload::Engagement(engagement) => iso(engagement.time),
            Payload::Install(install) => iso(install.time),
            Payload::Event(event) => iso(event.time),
            Payload::Claim(claim) => iso(claim.time),
            Payload::Update(_) | Payload::Link(_) | Payload::Aggregate(_) | Payload::Ignored(_) => Value::Null,
        },
        "event": match &input.payload {
            Payload::Event(event) => json!({
                "name": event.name, "amount": event.amount.map(|amount| amount.to_string()),
                "currency": event.currency,
            }),
            _ => Value::Null,
        },
        "device": match &input.payload {
            Payload::Install(install) => device(&install.origin),
            Payload::Event(event) => device(&event.origin),
            _ => Value::Null,
        },
        "ignored": match &input.payload {
            Payload::Ignored(ignored) => json!({ "reason": ignored.reason.name(), "event": ignored.event }),
            _ => Value::Null,
        },
        "claim": match &input.payload {
            Payload::Claim(claim) => self::claim(claim),
            _ => Value::Null,
        },
        "flags": input.flags.iter().map(|flag| flag.name()).collect::<Vec<_>>(),
        "settings_version": input.catalogue,
        "outcomes": outcomes,
    })
}

/// What was understood of a claim: which identifiers came, not their values.
fn claim(claim: &Claim) -> Value {
    json!({
        "kind": claim.kind.name(),
        "network_id": claim.network.to_string(),
        "tracker_id": claim.tracker.map(|id| id.to_string()),
        "claim_id": claim.claim_id,
        "identifiers": claim.identifiers.iter().map(|identifier| identifier.kind().name()).collect::<Vec<_>>(),
        "is_granular_data_sharing_allowed": claim.granular,
        "params": claim.params.iter().cloned().map(|(key, value)| (key, value.into())).collect::<Map<_, Value>>(),
    })
}

/// What was understood of the device: which identifiers came, not their values.
fn device(origin: &measure::device::Origin) -> Value {
    json!({
        "kochava_device_id": origin.kochava_device_id,
        "identifiers": origin.identifiers.iter().map(|identifier| identifier.kind.name()).collect::<Vec<_>>(),
        "os": origin.traits.os_text(),
        "model": origin.traits.model,
        "app_version": origin.app_version,
    })
}

/// Where an install or event came from, in short.
pub(super) fn source(source: &Option<Source>) -> Value {
    let Some(source) = source else { return Value::Null };
    json!({
        "class": source.class, "kind": source.kind.name(), "network_id": source.network.to_string(),
        "tracker_id": source.tracker.map(|id| id.to_string()),
        "click_id": source.touch.map(|touch| touch.to_string()),
    })
}

/// An outcome; `event` is the event that it is about, when the input is one.
fn outcome(catalogue: &Catalogue, event: Option<&Event>, outcome: &Outcome) -> Value {
    let suppressed: Vec<Value> = outcome
        .suppressed()
        .iter()
        .map(|pair| json!({ "trigger_id": pair.trigger, "reason": pair.reason.name() }))
        .collect();
    match outcome {
        Outcome::Touched { duplicate, findings, .. } => json!({
            "outcome": "stored", "duplicate": duplicate, "suppressed": suppressed,
            "fraud": findings.iter().map(fraud::finding).collect::<Vec<_>>(),
        }),
        Outcome::Installed { install, source: from, reprocess_for, .. } => json!({
            "outcome": "installed", "install_id": install.to_string(), "source": source(from),
            "suppressed": suppressed,
            "reprocess_for": reprocess_for.map(|first| first.to_string()),
        }),
        Outcome::DuplicateInstall { install } => {
            json!({ "outcome": "duplicate_install", "install_id": install.to_string() })
        }
        Outcome::Redecided { install, revision, source: from, .. } => json!({
            "outcome": "redecided", "install_id": install.to_string(), "revision": revision,
            "source": source(from), "suppressed": suppressed,
        }),
        Outcome::EventLinked { input, install, source: from, installed, decision, .. } => json!({
            "outcome": "linked", "input_id": input.to_string(), "install_id": install.to_string(),
            "source": source(from), "suppressed": suppressed,
            "attribution": event.map(|event| {
                let event = events::attributed(event, *installed, from.as_ref(), decision.as_deref());
                events::attribution(catalogue, &event)
            }),
        }),
        Outcome::EventRedecided { input, install, revision, source: from, installed, decision, .. } => {
            json!({
                "outcome": "redecided", "input_id": input.to_string(), "install_id": install.to_string(),
                "revision": revision, "source": source(from), "suppressed": suppressed,
                "attribution": event.map(|event| {
                    let event = events::attributed(event, *installed, from.as_ref(), decision.as_deref());
                    events::attribution(catalogue, &event)
                }),
            })
        }
        Outcome::Applied { input, install } => {
            json!({ "outcome": "linked", "input_id": input.to_string(), "install_id": install.to_string() })
        }
        Outcome::Counted { duplicate } => json!({ "outcome": "counted", "duplicate": duplicate }),
        Outcome::Ignored => json!({ "outcome": "ignored" }),
        Outcome::UserChanged { input, changed, refused } => json!({
            "outcome": "user_changed", "input_id": input.to_string(), "changed": changed, "refused": refused,
        }),
        Outcome::Held { .. } => json!({
            "outcome": "no_install", "suppressed": suppressed,
            "attribution": event.map(|event| {
                events::attribution(catalogue, &events::attributed(event, None, None, None))
            }),
        }),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Asked {
    limit: Option<usize>,
    page_token: Option<String>,
}

#[utoipa::path(
    get, path = "/api/apps/{id}/quarantine", tag = "record",
    params(("id" = String, Path, description = "the number of the app, or `unknown`"), ("limit" = Option<u32>, Query, description = "rows of a page, 1 to 1000"), ("pageToken" = Option<String>, Query, description = "what `nextToken` of the page before said")),
    responses((status = 200, description = "a page of bodies that could not be used, with the reason", body = Value), Refusals),
    operation_id = "inputs_quarantine",
)]
pub(in crate::http) async fn quarantine(
    State(site): State<Site>,
    caller: Caller,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Error> {
    let app = if id == UNKNOWN {
        caller.may_read_account()?;
        None
    } else {
        let app = app(&site, &id)?;
        caller.may_read(app)?;
        Some(app)
    };
    let limit = rows(asked.limit)?;
    let after = asked.page_token.as_deref().map(str::parse::<InputId>).transpose();
    let after = after.map_err(|_| Error::BadRequest("pageToken: not one of ours".to_owned()))?;
    let bodies = site.ask(move |store: &dyn Store| store.quarantine(app, after, limit)).await?;
    let next = bodies.last().filter(|_| bodies.len() == limit).map(|last| last.id.to_string());
    let data: Vec<Value> = bodies.iter().map(quarantined).collect();
    Ok(Json(json!({ "data": data, "nextToken": next })))
}

fn quarantined(body: &Quarantined) -> Value {
    json!({
        "input_id": body.id.to_string(),
        "received": iso(body.received),
        "app_id": body.app,
        "kochava_app_id": body.app_guid,
        "path": body.path,
        "status": body.status,
        "reason": body.reason,
        "body": body.body,
    })
}

/// The app with this number.
pub(in crate::http) fn app(site: &Site, id: &str) -> Result<AppId, Error> {
    let known = id.parse().ok().filter(|id| site.catalogue.current().app(*id).is_some());
    known.ok_or(Error::NotFound("app"))
}
