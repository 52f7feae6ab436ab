//! What a call would become, without anything being stored.

use axum::{
    Json,
    extract::{Request, State},
};
use measure::{
    catalogue::App,
    device::Origin,
    event::Parameters,
    input::Payload,
    source::{Source, SourceKind},
    user::{Operation, Property},
};
use serde_json::{Map, Value, json};
use wire::{
    amplitude,
    refusal::Refusal,
    s2s::{self, Edge, Parsed},
    segment,
};

use super::{super::apps, find};
use crate::http::openapi::Refusals;
use crate::{
    auth::Caller,
    clock, edge,
    error::Error,
    http::{asked::Path, ingest::left_out, record::iso},
    site::Site,
};

/// `POST /api/apps/{id}/sources/{source}/preview`: the body is what the platform would send.
#[utoipa::path(
    post, path = "/api/apps/{id}/sources/{source}/preview", tag = "management",
    params(("id" = u64, Path, description = "the number of the app"),
        ("source" = u64, Path, description = "the number of the source")),
    request_body = Value,
    responses((status = 200, description = "what each call would become; nothing is stored", body = Value), Refusals),
    operation_id = "sources_preview",
)]
pub async fn preview(
    State(site): State<Site>,
    caller: Caller,
    Path((app, source)): Path<(String, String)>,
    request: Request,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let app = apps::find(&catalogue, &app)?;
    caller.may_read(app.id)?;
    let source = find(&catalogue, app.id, &source)?;
    let body = edge::read_body(&site, request, segment::BATCH_BYTES_MAX + 1).await?;
    let edge = Edge {
        received: clock::now(),
        ip: None,
        user_agent: None,
        traits_of: &|user_agent| site.edge.traits_of(user_agent),
    };
    let rows = rows(source, app, &body, &edge).map_err(Error::BadRequest)?;
    let data: Vec<Value> =
        rows.into_iter().map(|row| row.map_or_else(refused, |parsed| shown(&parsed))).collect();
    Ok(Json(json!({ "data": data, "stored": false })))
}

type Row = Result<Parsed, Refusal>;

/// What each call of the body would become.
fn rows(source: &Source, app: &App, body: &[u8], edge: &Edge<'_>) -> Result<Vec<Row>, String> {
    let mapping = source.mapping.clone().unwrap_or_default();
    match source.kind {
        SourceKind::Segment => {
            let calls = segment::calls(body, form(body)?).map_err(|refusal| refusal.error)?;
            let parse = |call: segment::Call| call.parse(&mapping, source.streams, app, edge);
            Ok(calls.into_iter().map(|call| call.map_err(Refusal::from).and_then(parse)).collect())
        }
        SourceKind::Amplitude => {
            let (body, endpoint) = upload(body)?;
            let upload = amplitude::upload(body.as_bytes(), "", endpoint)
                .map_err(|problem| format!("the upload cannot be used: {problem:?}"))?;
            let parse = |call: amplitude::Call| call.parse(&mapping, source.streams, app, edge);
            let wrong = |unusable: amplitude::Unusable| {
                Refusal::bad_request(format!(
                    "missing: {:?}; invalid: {:?}; too short: {:?}",
                    unusable.missing, unusable.invalid, unusable.short
                ))
            };
            Ok(upload.calls.into_iter().map(|call| call.map_err(wrong).and_then(parse)).collect())
        }
        SourceKind::S2s | SourceKind::Web => {
            let elements = s2s::elements(body).map_err(|refusal| refusal.error)?.elements;
            let parse = |element: s2s::Element| {
                let parsed = s2s::parse(s2s::Endpoint::TrackJson, &element, app, edge)?;
                Ok(left_out(parsed, source.streams))
            };
            Ok(elements.into_iter().map(|element| element.map_err(Refusal::from).and_then(parse)).collect())
        }
    }
}

/// How a body of Segment comes in: as a batch, as a webhook's array, or as one call that says its type.
fn form(body: &[u8]) -> Result<segment::Form, String> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    if value.is_array() {
        return Ok(segment::Form::Webhook);
    }
    if value.get("batch").is_some() {
        return Ok(segment::Form::Batch);
    }
    let kind = value.get("type").and_then(Value::as_str).and_then(segment::Kind::named);
    kind.map(segment::Form::One)
        .ok_or_else(|| "type is required: track, identify, page, screen, alias or group".to_owned())
}

/// An upload of Amplitude, in which the key may be missing; an event or a list of them alone will do.
fn upload(body: &[u8]) -> Result<(String, amplitude::Endpoint), String> {
    let text = str::from_utf8(body).map_err(|_| "the body is not UTF-8".to_owned())?.trim();
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("the body is not JSON: {error}"))?;
    let is_identify = value.get("identification").is_some();
    let endpoint = if is_identify { amplitude::Endpoint::Identify } else { amplitude::Endpoint::HttpApi };
    let is_upload = is_identify || value.get("events").is_some();
    let text = match (is_upload, value.get("api_key").is_some()) {
        (true, true) => text.to_owned(),
        (true, false) => format!("{{\"api_key\":\"preview\",{}", text.trim_start_matches('{')),
        (false, _) => format!("{{\"api_key\":\"preview\",\"events\":{text}}}"),
    };
    Ok((text, endpoint))
}

fn refused(refusal: Refusal) -> Value {
    json!({ "becomes": "refused", "status": refusal.status, "error": refusal.error })
}

fn shown(parsed: &Parsed) -> Value {
    let mut row = match &parsed.payload {
        Payload::Install(install) => json!({
            "becomes": "install", "time": iso(install.time), "device": device(&install.origin),
            "search_ads": install.search_ads.as_ref().map(|ads| json!({
                "campaign_id": ads.campaign_id, "campaign_name": ads.campaign_name,
                "ad_group_id": ads.ad_group_id, "keyword": ads.keyword, "click_time": ads.click_time.map(iso),
            })),
            "params": params(&install.params), "user": user(&install.origin.user),
        }),
        Payload::Event(event) => json!({
            "becomes": "event", "time": iso(event.time), "event_name": event.name,
            "amount": event.amount.map(|amount| amount.to_string()), "currency": event.currency,
            "event_data": params(&event.params), "device": device(&event.origin),
            "user": user(&event.origin.user),
        }),
        Payload::Link(link) => json!({
            "becomes": "identity_link",
            "device": {
                "kochava_device_id": link.kochava_device_id,
                "identifiers": link.identifiers.iter().map(|id| (id.kind.name().to_owned(), json!(id.value)))
                    .collect::<Map<_, _>>(),
            },
            "links": link.links.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>(),
            "user": user(&link.user),
        }),
        Payload::Ignored(ignored) => json!({
            "becomes": "ignored", "reason": ignored.reason.name(), "event": ignored.event,
        }),
        other => json!({ "becomes": other.kind() }),
    };
    if let Some(row) = row.as_object_mut() {
        row.insert("flags".to_owned(), parsed.flags.iter().map(|flag| flag.name()).collect());
    }
    row
}

fn device(origin: &Origin) -> Value {
    let identifiers: Map<String, Value> =
        origin.identifiers.iter().map(|id| (id.kind.name().to_owned(), json!(id.value))).collect();
    json!({
        "kochava_device_id": origin.kochava_device_id, "identifiers": identifiers, "ip": origin.ip,
        "os": origin.traits.os_text(), "model": origin.traits.model, "user_agent": origin.user_agent,
        "app_version": origin.app_version, "att": origin.consent.att.flag,
        "limit_tracking": origin.consent.limit_tracking,
    })
}

fn params(params: &Parameters) -> Map<String, Value> {
    params.iter().map(|(name, value)| (name.clone(), json!(value.text()))).collect()
}

/// Operations as `[verb, property, value]`.
fn user(operations: &[Operation]) -> Vec<Value> {
    let values = |property: &Property| -> Vec<String> {
        property.values().iter().map(|value| value.text().to_owned()).collect()
    };
    let one = |operation: &Operation| match operation {
        Operation::ClearAll => json!(["$clearAll"]),
        Operation::Unset(name) => json!(["$unset", name]),
        Operation::Add(name, number) => json!(["$add", name, number.to_string()]),
        Operation::Set(name, value) => json!(["$set", name, values(value)]),
        Operation::SetOnce(name, value) => json!(["$setOnce", name, values(value)]),
        Operation::Append(name, value) => json!(["$append", name, values(value)]),
        Operation::Prepend(name, value) => json!(["$prepend", name, values(value)]),
        Operation::PreInsert(name, value) => json!(["$preInsert", name, values(value)]),
        Operation::PostInsert(name, value) => json!(["$postInsert", name, values(value)]),
        Operation::Remove(name, value) => json!(["$remove", name, values(value)]),
    };
    operations.iter().map(one).collect()
}
