//! `GET /api/apps/{id}/health`: whether what the senders of an app send can be used (docs/health.md).

use std::collections::{BTreeMap, BTreeSet};

use axum::{Json, extract::State};
use measure::{
    AppId, SourceId, Timestamp,
    catalogue::Catalogue,
    health::{Health, Part, Row, Share, incomplete},
    input::{Fact, Outcome, Payload, Quarantined},
    install::InstallRecord,
    source::{SourceKind, Via},
    time::HOUR_MS,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::{Store, StoreError};
use wire::{amplitude, s2s, segment};

use super::{
    super::{
        asked::{Path, Query},
        ingest::{Known, UNKNOWN, action},
    },
    explain::find,
    inputs::app,
    iso,
};
use crate::{auth::Caller, clock, error::Error, http::openapi::Refusals, ledger::Counts, site::Site};

/// Hours looked back unless `hours` says otherwise, and at most.
const HOURS: i64 = 24;
const HOURS_MAX: i64 = 168;
/// Facts looked through for one answer, of all apps: an answer about a busy server covers less time, and says so.
const FACTS_MAX: usize = 20_000;
/// Facts read in one step.
const FACTS_STEP: usize = 1_000;
/// Quarantined bodies looked through.
const QUARANTINED_MAX: usize = 500;
/// Payloads shown.
const PAYLOADS: usize = 10;

#[derive(Deserialize)]
pub(in crate::http) struct Asked {
    hours: Option<i64>,
    device: Option<String>,
}

/// What the answer is made of, read in one go.
struct Material {
    health: Health,
    /// The oldest moment looked at.
    from: Timestamp,
    /// Whether everything of the time asked for was looked at.
    complete: bool,
    newest: Vec<Fact>,
    quarantined: Vec<Quarantined>,
    /// The install of the test device, and the facts that tell of it.
    device: Option<Option<(InstallRecord, Vec<Fact>)>>,
}

#[utoipa::path(
    get, path = "/api/apps/{id}/health", tag = "record",
    params(("id" = u64, Path, description = "the number of the app"), ("hours" = Option<i64>, Query, description = "how far to look back, 1 to 168; 24 unless said"), ("device" = Option<String>, Query, description = "a test device, by `kochava_device_id`, install or identifier: is its integration complete?")),
    responses((status = 200, description = "by source and action: what came, what it lacks, and what to do", body = Value), Refusals),
    operation_id = "health_of_app",
)]
pub(in crate::http) async fn of_app(
    State(site): State<Site>,
    caller: Caller,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Error> {
    let app = app(&site, &id)?;
    caller.may_read(app)?;
    let hours = asked.hours.unwrap_or(HOURS);
    if !(1..=HOURS_MAX).contains(&hours) {
        return Err(Error::BadRequest(format!("hours: must lie between 1 and {HOURS_MAX}")));
    }
    let now = clock::now();
    let from = Timestamp(now.millis() - hours * HOUR_MS);
    let device = asked.device.clone();
    let mut material = site.ask(move |store| gather(store, app, from, now, device.as_deref())).await?;
    let catalogue = site.catalogue.current();
    for body in &material.quarantined {
        if let Some((via, action)) = sender(&catalogue, body) {
            material.health.quarantined(via, action, body.received);
        }
    }
    for (via, action, calls) in site.ledger.refusals(app) {
        material.health.refused(via, action, calls);
    }
    let counts = site.ledger.counts(Some(app));
    Ok(Json(shown(&catalogue, &material, counts, now, asked.device.as_deref())))
}

fn gather(
    store: &dyn Store,
    app: AppId,
    from: Timestamp,
    now: Timestamp,
    device: Option<&str>,
) -> Result<Material, StoreError> {
    let (mut health, mut newest) = (Health::default(), Vec::new());
    let (mut last, mut seen, mut oldest) = (store.last_sequence()?, 0, now);
    let mut complete = true;
    'facts: while last > 0 {
        if seen >= FACTS_MAX {
            complete = false;
            break;
        }
        let facts = store.facts_back(last, FACTS_STEP)?;
        let Some(first) = facts.last() else { break };
        last = first.sequence.saturating_sub(1);
        seen += facts.len();
        for fact in facts {
            if fact.input.received < from {
                break 'facts;
            }
            oldest = oldest.min(fact.input.received);
            if fact.input.app == app {
                health.take(&fact, now);
                if newest.len() < PAYLOADS {
                    newest.push(fact);
                }
            }
        }
    }
    let from = if complete { from } else { oldest };
    let mut quarantined = store.quarantine(Some(app), None, QUARANTINED_MAX)?;
    quarantined.retain(|body| body.received >= from);
    let device = device.map(|device| test_device(store, app, device)).transpose()?;
    Ok(Material { health, from, complete, newest, quarantined, device })
}

fn test_device(
    store: &dyn Store,
    app: AppId,
    device: &str,
) -> Result<Option<(InstallRecord, Vec<Fact>)>, StoreError> {
    let Some(install) = find(store, app, device, None)? else { return Ok(None) };
    let Some((record, _)) = store.install(app, install)? else { return Ok(None) };
    let mut facts = Vec::new();
    for sequence in store.timeline(app, install)?.into_iter().take(FACTS_STEP) {
        facts.extend(store.facts(sequence, 1)?);
    }
    Ok(Some((record, facts)))
}

fn shown(
    catalogue: &Catalogue,
    material: &Material,
    counts: Counts,
    now: Timestamp,
    device: Option<&str>,
) -> Value {
    let hours = hours_between(material.from, now);
    let name = |via: Via| source_name(catalogue, via);
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for body in &material.quarantined {
        *reasons.entry(&body.reason).or_default() += 1;
    }
    let rows: Vec<Value> = material
        .health
        .rows
        .iter()
        .map(|((via, action), row)| row_shown(&name(*via), *via, action, row, hours))
        .collect();
    let mut verdicts = material.health.verdicts(name);
    let sources: BTreeSet<SourceId> = material.health.rows.keys().filter_map(|(via, _)| via.source).collect();
    let off = sources.iter().filter_map(|id| catalogue.source(*id)).filter(|source| !source.enabled);
    verdicts.extend(off.map(|source| format!("`{}` is switched off: nothing is taken from it", source.name)));
    if let Some((reason, times)) = reasons.iter().max_by_key(|(_, times)| **times) {
        let all = material.quarantined.len();
        verdicts.insert(0, format!("{all} bodies could not be used; {times} of them because: {reason}"));
    }
    if counts.refused > 0 {
        let refused = counts.refused;
        verdicts.push(format!("{refused} calls were refused since the server started: they were not kept"));
    }
    if verdicts.is_empty() {
        verdicts.push("everything that was received can be used".to_owned());
    }
    json!({
        "from": iso(material.from), "to": iso(now), "complete": material.complete,
        "verdicts": verdicts,
        "sources": rows,
        "quarantined": { "count": material.quarantined.len(), "reasons": reasons },
        "refused_since_start": counts.refused,
        "last_payloads": payloads(catalogue, material),
        "device": material.device.as_ref().map(|found| integration(device.unwrap_or_default(), found.as_ref())),
    })
}

#[expect(clippy::cast_precision_loss, reason = "hours of a week")]
fn hours_between(from: Timestamp, to: Timestamp) -> f64 {
    ((to.millis() - from.millis()).max(1) as f64 / HOUR_MS as f64).max(1.0 / 60.0)
}

fn row_shown(name: &str, via: Via, action: &str, row: &Row, hours: f64) -> Value {
    let missing: Map<String, Value> = Part::ALL
        .into_iter()
        .filter_map(|part| Some((part.name().to_owned(), share(*row.missing.get(&part)?))))
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "at most the facts of one answer")]
    let per_hour = (row.accepted as f64 / hours * 100.0).round() / 100.0;
    let mut never_joined = share(row.unjoined);
    if let Some(fields) = never_joined.as_object_mut() {
        fields.insert("ids".to_owned(), json!(row.strangers()));
    }
    json!({
        "source": name, "source_id": via.source, "kind": via.kind.name(), "action": action,
        "last_seen": row.last_seen.map(iso), "accepted": row.accepted, "per_hour": per_hour,
        "quarantined": row.quarantined, "refused": row.refused,
        "missing": missing, "clocks_off": share(row.clocks_off), "never_joined": never_joined,
    })
}

fn share(share: Share) -> Value {
    json!({ "count": share.part, "of": share.of, "percent": share.percent() })
}

/// What people call the source.
fn source_name(catalogue: &Catalogue, via: Via) -> String {
    let source = via.source.and_then(|id| catalogue.source(id));
    source.map_or_else(|| via.kind.name().to_owned(), |source| source.name.clone())
}

/// Which source a body came from that could not be used, and what it would have become, as far as it can be told
/// from what is kept of it; `None` for what comes from no source: claims, what Apple sends.
fn sender(catalogue: &Catalogue, body: &Quarantined) -> Option<(Via, &'static str)> {
    let json: Value = serde_json::from_str(&body.body).unwrap_or_default();
    let text = |key: &str| json[key].as_str().unwrap_or_default();
    let (kind, action) = match body.path.as_str() {
        "/2/httpapi" | "/batch" if text("event_type").is_empty() => (SourceKind::Amplitude, UNKNOWN),
        "/2/httpapi" | "/batch" => (SourceKind::Amplitude, "event"),
        "/identify" | "/groupidentify" => (SourceKind::Amplitude, "identity_link"),
        "/v1/cpi/identityLink.php" => (kind_of(text("sdk_version")), "identity_link"),
        "/track/json" => (kind_of(text("sdk_version")), action(text("action"))),
        path if path.starts_with("/v1/skad/") => return None,
        path if path.starts_with("/v1/") || path.starts_with("/segment/") => {
            let named = segment::Kind::named(text("type")).or_else(|| segment::Kind::of_path(path));
            (SourceKind::Segment, named.map_or(UNKNOWN, segment::Kind::action))
        }
        _ => return None,
    };
    let via = Known::named(catalogue, kind, &body.app_guid).map(|known| known.via());
    Some((via.unwrap_or(Via { kind, source: None }), action))
}

/// How a call of our own format came in, by the version of its SDK.
fn kind_of(sdk_version: &str) -> SourceKind {
    if s2s::is_web_sdk(sdk_version) { SourceKind::Web } else { SourceKind::S2s }
}

/// The newest payloads, taken and not taken, with what became of each.
fn payloads(catalogue: &Catalogue, material: &Material) -> Vec<Value> {
    let taken = material.newest.iter().map(|fact| {
        let input = &fact.input;
        let body = match &input.payload {
            Payload::Engagement(engagement) => &engagement.query,
            _ => &input.body,
        };
        let source = input.payload.has_source().then(|| source_name(catalogue, input.via));
        let row = json!({
            "input_id": input.id.to_string(), "received": iso(input.received), "source": source,
            "action": input.payload.kind(), "became": became(fact),
            "flags": input.flags.iter().map(|flag| flag.name()).collect::<Vec<_>>(),
            "body": masked(input.via.kind, body),
        });
        (input.received, row)
    });
    let refused = material.quarantined.iter().take(PAYLOADS).map(|body| {
        let (source, action) =
            sender(catalogue, body).map(|(via, action)| (source_name(catalogue, via), action)).unzip();
        let row = json!({
            "input_id": body.id.to_string(), "received": iso(body.received),
            "source": source, "action": action, "became": "quarantined",
            "reason": body.reason, "body": body.body,
        });
        (body.received, row)
    });
    let mut rows: Vec<(Timestamp, Value)> = taken.chain(refused).collect();
    rows.sort_by_key(|(received, _)| std::cmp::Reverse(*received));
    rows.into_iter().take(PAYLOADS).map(|(_, row)| row).collect()
}

/// A body as its platform's quarantine shows it.
fn masked(kind: SourceKind, body: &str) -> String {
    match kind {
        SourceKind::Segment => segment::masked_text(body),
        SourceKind::Amplitude => amplitude::masked_text(body),
        SourceKind::S2s | SourceKind::Web => wire::quarantine::masked(body.as_bytes()),
    }
}

/// What became of an input, in a word.
fn became(fact: &Fact) -> &'static str {
    let own = |input: measure::InputId| input == fact.input.id;
    let mut words = fact.outcomes.iter().map(|outcome| match outcome {
        Outcome::Touched { duplicate: true, .. } => "stored_duplicate",
        Outcome::Touched { .. } => "stored",
        Outcome::Installed { .. } => "installed",
        Outcome::DuplicateInstall { .. } => "duplicate_install",
        Outcome::EventLinked { input, .. } | Outcome::Applied { input, .. } if own(*input) => "linked",
        Outcome::Held { .. } => "no_install",
        Outcome::Counted { .. } => "counted",
        Outcome::Ignored => "ignored",
        _ => "",
    });
    words.find(|word| !word.is_empty()).unwrap_or("accepted")
}

/// Whether a test device is measured in full.
fn integration(device: &str, found: Option<&(InstallRecord, Vec<Fact>)>) -> Value {
    let Some((record, facts)) = found else {
        return json!({
            "device": device, "complete": false,
            "verdict": "no install of this device is on record: start the app on it, and send its install first",
            "missing": ["an install of this device"],
        });
    };
    let is_event = |outcome: &&Outcome| matches!(outcome, Outcome::EventLinked { .. });
    let linked = facts.iter().flat_map(|fact| &fact.outcomes).filter(is_event).count();
    let missing = incomplete(&record.install.origin, &record.flags);
    let verdict = if missing.is_empty() {
        "integration complete".to_owned()
    } else {
        format!("integration not complete: {} missing", missing.len())
    };
    let next =
        (linked == 0).then_some("send an event from the same device: none has joined this install yet");
    json!({
        "device": device, "complete": missing.is_empty(), "verdict": verdict, "missing": missing,
        "install_id": record.id.to_string(), "events_linked": linked, "next": next,
    })
}
