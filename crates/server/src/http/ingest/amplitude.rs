//! Amplitude's HTTP V2 API, batch upload, Identify and Group Identify, with the answers of each.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use measure::{InputId, Timestamp, input::IdempotencyKey, source::SourceKind};
use serde_json::{Map, Value, json};
use wire::{
    amplitude::{Call, Endpoint, Problem, Unusable, Upload, upload},
    quarantine::masked,
    refusal::Refusal,
    s2s::Edge,
};

use super::{
    Peer,
    answer::{Fate, with_inputs},
    finish,
    s2s::{Prepared, submit},
    source::{self, Known},
};
use crate::http::openapi::Untaken;
use crate::{clock, edge, error::Error, site::Site};

/// Seconds after which a sender that met a full queue or a limit may come again.
const RETRY_AFTER_SECONDS: &str = "2";

/// `POST /2/httpapi`
#[utoipa::path(
    post, path = "/2/httpapi", tag = "ingest",
    request_body = Value,
    responses((status = 200, description = "on record", body = Value), Untaken),
    operation_id = "amplitude_http_api",
)]
pub(in crate::http) async fn http_api(
    State(site): State<Site>,
    peer: Peer,
    headers: HeaderMap,
    request: Request,
) -> Response {
    receive(site, peer, headers, request, Endpoint::HttpApi).await
}

/// `POST /batch`
#[utoipa::path(
    post, path = "/batch", tag = "ingest",
    request_body = Value,
    responses((status = 200, description = "on record", body = Value), Untaken),
    operation_id = "amplitude_batch",
)]
pub(in crate::http) async fn batch(
    State(site): State<Site>,
    peer: Peer,
    headers: HeaderMap,
    request: Request,
) -> Response {
    receive(site, peer, headers, request, Endpoint::Batch).await
}

/// `POST /identify`
#[utoipa::path(
    post, path = "/identify", tag = "ingest",
    request_body = Value,
    responses((status = 200, description = "on record", body = Value), Untaken),
    operation_id = "amplitude_identify",
)]
pub(in crate::http) async fn identify(
    State(site): State<Site>,
    peer: Peer,
    headers: HeaderMap,
    request: Request,
) -> Response {
    receive(site, peer, headers, request, Endpoint::Identify).await
}

/// `POST /groupidentify`
#[utoipa::path(
    post, path = "/groupidentify", tag = "ingest",
    request_body = Value,
    responses((status = 200, description = "on record", body = Value), Untaken),
    operation_id = "amplitude_group_identify",
)]
pub(in crate::http) async fn group_identify(
    State(site): State<Site>,
    peer: Peer,
    headers: HeaderMap,
    request: Request,
) -> Response {
    receive(site, peer, headers, request, Endpoint::GroupIdentify).await
}

async fn receive(
    site: Site,
    peer: Peer,
    headers: HeaderMap,
    request: Request,
    endpoint: Endpoint,
) -> Response {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let body = match edge::read_body(&site, request, endpoint.bytes_max() + 1).await {
        Ok(body) => body,
        Err(error) => {
            site.ledger.refuse(None);
            let text = match &error {
                Error::TooLarge(_) => "Payload too large".to_owned(),
                other => other.message(),
            };
            return refusal(endpoint, error.status(), &text, Map::new());
        }
    };
    finish(async move {
        let received = Received { site: &site, path: &path, body: &body, endpoint, now: clock::now() };
        let plan = received.plan(&peer, &headers, &query);
        let fates = submit(&site, plan.prepared).await;
        received.answer(fates, plan.refusal)
    })
    .await
}

/// What is to be put on record, and the refusal when the upload is not taken.
struct Plan {
    prepared: Vec<Prepared>,
    refusal: Option<(u16, String, Map<String, Value>)>,
}

struct Received<'r> {
    site: &'r Site,
    path: &'r str,
    body: &'r [u8],
    endpoint: Endpoint,
    now: Timestamp,
}

impl Received<'_> {
    fn plan(&self, peer: &Peer, headers: &HeaderMap, query: &str) -> Plan {
        let catalogue = self.site.catalogue.current();
        let request = source::Request { site: self.site, catalogue, received: self.now, path: self.path };
        let upload = match upload(self.body, query, self.endpoint) {
            Ok(upload) => upload,
            Err(problem) => return self.unreadable(&request, &problem),
        };
        let Some(known) = Known::named(&request.catalogue, SourceKind::Amplitude, &upload.api_key) else {
            // Libraries look for these words, with the colon.
            let error = format!("Invalid API key: {}", upload.api_key);
            let one = |call: &Result<Call, Unusable>| {
                let refused = Refusal { status: 400, error: error.clone() };
                request.quarantine(None, &upload.api_key, text_of(call), refused)
            };
            let prepared = upload.calls.iter().map(one).collect();
            return Plan { prepared, refusal: Some((400, error, Map::new())) };
        };
        if !known.is_enabled() {
            return refused(&upload, &known, 403, "this source is switched off", Map::new());
        }
        if let Some(per_second) = request.over_limit([&known].into_iter()) {
            let text = "Too many requests for some devices and users";
            return refused(&upload, &known, 429, text, throttled(&upload, per_second));
        }
        if upload.calls.iter().any(Result::is_err) {
            return unusable(&request, &upload, &known);
        }
        let edge = Edge {
            received: self.now,
            ip: self.site.edge.client_ip(peer.0.ip(), headers),
            user_agent: None,
            traits_of: &|user_agent| self.site.edge.traits_of(user_agent),
        };
        let one = |call: &Call| match call.parse(known.mapping(), known.streams(), &known.app, &edge) {
            Err(refused) => request.quarantine(Some(&known), &upload.api_key, call.masked(), refused),
            Ok(parsed) => {
                let key = call.insert_id().map(|key| IdempotencyKey {
                    source: "insert_id".to_owned(),
                    key: key.chars().take(256).collect(),
                });
                request.take(&known, key, call.body_hash(), parsed)
            }
        };
        Plan { prepared: upload.calls.iter().flatten().map(one).collect(), refusal: None }
    }

    /// The upload as a whole cannot be read: one body for the quarantine.
    fn unreadable(&self, request: &source::Request<'_>, problem: &Problem) -> Plan {
        let mut fields = Map::new();
        let (status, error) = match problem {
            Problem::MissingBody => (400, "Missing request body"),
            Problem::InvalidJson => (400, "Invalid JSON request body"),
            Problem::MissingField(field) => {
                fields.insert("missing_field".to_owned(), json!(field));
                (400, "Request missing required field")
            }
            Problem::TooMany => (413, "Payload too large"),
        };
        let refused = Refusal { status, error: error.to_owned() };
        let prepared = vec![request.quarantine(None, "", masked(self.body), refused)];
        Plan { prepared, refusal: Some((status, error.to_owned(), fields)) }
    }

    fn answer(&self, fates: Vec<Fate>, refused: Option<(u16, String, Map<String, Value>)>) -> Response {
        if let Some((status, error, fields)) = refused {
            return refusal(self.endpoint, status, &error, fields);
        }
        let mut accepted: Vec<InputId> = Vec::new();
        let mut invalid = Vec::new();
        let mut words = String::new();
        for (index, fate) in fates.into_iter().enumerate() {
            match fate {
                Fate::Accepted(id) | Fate::Drained(id) => accepted.push(id),
                Fate::Refused { status, error } => return refusal(self.endpoint, status, &error, Map::new()),
                Fate::Quarantined { error, .. } => {
                    invalid.push(index);
                    words = error;
                }
            }
        }
        if accepted.is_empty() {
            let fields =
                Map::from_iter([("events_with_invalid_fields".to_owned(), json!({ "event": invalid }))]);
            return refusal(self.endpoint, 400, &words, fields);
        }
        if self.endpoint.is_identify() {
            return with_inputs("success".into_response(), &accepted);
        }
        let body = json!({
            "code": 200, "events_ingested": accepted.len(), "payload_size_bytes": self.body.len(),
            "server_upload_time": self.now.millis(),
        });
        with_inputs(Json(body).into_response(), &accepted)
    }
}

/// An upload of which nothing is taken and nothing kept.
fn refused(upload: &Upload, known: &Known, status: u16, error: &str, fields: Map<String, Value>) -> Plan {
    let prepared = upload.calls.iter().map(|_| source::refuse(Some(known), status, error)).collect();
    Plan { prepared, refusal: Some((status, error.to_owned(), fields)) }
}

/// An upload in which some events are wrong: those are kept in quarantine, and the sender is told which, so
/// that it sends the others again without them.
fn unusable(request: &source::Request<'_>, upload: &Upload, known: &Known) -> Plan {
    let (mut missing, mut invalid, mut short) = (Fields::new(), Fields::new(), Fields::new());
    let mut prepared = Vec::new();
    for (index, call) in upload.calls.iter().enumerate() {
        let Err(wrong) = call else {
            prepared.push(source::refuse(Some(known), 400, "other events of the upload are wrong"));
            continue;
        };
        for (found, of) in
            [(&mut missing, &wrong.missing), (&mut invalid, &wrong.invalid), (&mut short, &wrong.short)]
        {
            of.iter().for_each(|field| found.entry(field).or_default().push(index));
        }
        let error = format!(
            "missing: {}; invalid: {}; too short: {}",
            wrong.missing.join(", "),
            wrong.invalid.join(", "),
            wrong.short.join(", ")
        );
        let refused = Refusal { status: 400, error };
        prepared.push(request.quarantine(Some(known), &upload.api_key, wrong.masked.clone(), refused));
    }
    let error = match (missing.is_empty(), invalid.is_empty()) {
        (false, _) => "Request missing required field",
        (true, false) => "Invalid field values on some events",
        (true, true) => "Invalid id length for user_id or device_id",
    };
    let mut fields = Map::new();
    for (name, of) in [
        ("events_with_missing_fields", missing),
        ("events_with_invalid_fields", invalid),
        ("events_with_invalid_id_lengths", short),
    ] {
        if !of.is_empty() {
            fields.insert(name.to_owned(), json!(of));
        }
    }
    Plan { prepared, refusal: Some((400, error.to_owned(), fields)) }
}

/// Places of events by field.
type Fields = BTreeMap<&'static str, Vec<usize>>;

/// What a sender is told that met the limit of an app: the limit counts calls of the whole app, so every
/// event of this one is named, and how many each device and user has in it.
fn throttled(upload: &Upload, per_second: u32) -> Map<String, Value> {
    let mut devices: BTreeMap<&str, u32> = BTreeMap::new();
    let mut users: BTreeMap<&str, u32> = BTreeMap::new();
    for call in upload.calls.iter().flatten() {
        for (found, id) in [(&mut devices, call.device_id()), (&mut users, call.user_id())] {
            id.into_iter().for_each(|id| *found.entry(id).or_default() += 1);
        }
    }
    let all: Vec<usize> = (0..upload.calls.len()).collect();
    Map::from_iter([
        ("eps_threshold".to_owned(), json!(per_second)),
        ("throttled_devices".to_owned(), json!(devices)),
        ("throttled_users".to_owned(), json!(users)),
        ("throttled_events".to_owned(), json!(all)),
    ])
}

fn text_of(call: &Result<Call, Unusable>) -> String {
    match call {
        Ok(call) => call.masked(),
        Err(wrong) => wrong.masked.clone(),
    }
}

/// A refusal: an object for events; for identifications a line that begins with the documented word.
fn refusal(endpoint: Endpoint, status: u16, error: &str, fields: Map<String, Value>) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = if endpoint.is_identify() {
        let word = match error {
            text if text.starts_with("Invalid API key") => "invalid_api_key",
            "Request missing required field" if fields.get("missing_field") == Some(&json!("api_key")) => {
                "invalid_api_key"
            }
            _ if status == 400 => "missing_event",
            _ => "error",
        };
        let details = if fields.is_empty() { String::new() } else { format!(" {}", Value::Object(fields)) };
        (code, format!("{word}: {error}{details}")).into_response()
    } else {
        let mut body =
            Map::from_iter([("code".to_owned(), json!(status)), ("error".to_owned(), json!(error))]);
        body.extend(fields);
        (code, Json(Value::Object(body))).into_response()
    };
    if matches!(status, 429 | 503) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    response
}
