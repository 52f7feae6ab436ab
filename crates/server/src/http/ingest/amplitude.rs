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
    LATE, Peer,
    answer::{Fate, with_inputs},
    body_of, finish,
    pace::Who,
    s2s::{Prepared, submit},
    source::{self, Known, receivers},
};
use crate::http::openapi::Untaken;
use crate::{clock, error::Error, site::Site};

/// Seconds after which a sender that met a full queue or the limit of an app may come again.
const RETRY_AFTER_SECONDS: &str = "2";
/// Seconds for which Amplitude asks to leave a device or user alone that is too fast.
const PAUSE_SECONDS: &str = "30";
const TOO_FAST: &str = "Too many requests for some devices and users";

receivers! {
    /// `POST /2/httpapi`
    http_api, "/2/httpapi", "amplitude_http_api" => Endpoint::HttpApi,
    /// `POST /batch`
    batch, "/batch", "amplitude_batch" => Endpoint::Batch,
    /// `POST /identify`
    identify, "/identify", "amplitude_identify" => Endpoint::Identify,
    /// `POST /groupidentify`
    group_identify, "/groupidentify", "amplitude_group_identify" => Endpoint::GroupIdentify,
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
    let body = match body_of(&site, &headers, request.into_body(), endpoint.bytes_max() + 1).await {
        Ok(body) => body,
        Err(error) => {
            let text = match &error {
                Error::TooLarge(_) => "Payload too large".to_owned(),
                other => other.message(),
            };
            return No::new(error.status(), text).answer(endpoint);
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

/// What is answered when the time for an upload of events is over.
pub(in crate::http) fn late_events() -> Response {
    No::new(503, LATE).answer(Endpoint::HttpApi)
}

/// What is answered when the time for identifications is over.
pub(in crate::http) fn late_identify() -> Response {
    No::new(503, LATE).answer(Endpoint::Identify)
}

/// What is to be put on record, and the refusal when the upload is not taken.
struct Plan {
    prepared: Vec<Prepared>,
    refusal: Option<No>,
}

/// A refusal of an upload.
struct No {
    status: u16,
    error: String,
    /// What stands beside the error: places of events, devices and users that are too fast.
    fields: Map<String, Value>,
    /// Seconds after which the same upload may be taken, where it may.
    retry_after: &'static str,
}

impl No {
    fn new(status: u16, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), fields: Map::new(), retry_after: RETRY_AFTER_SECONDS }
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }

    /// An object for events; for identifications a line that begins with the documented word.
    fn answer(self, endpoint: Endpoint) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = if endpoint.is_identify() {
            (status, self.words()).into_response()
        } else {
            let mut body = Map::from_iter([
                ("code".to_owned(), json!(self.status)),
                ("error".to_owned(), json!(self.error)),
            ]);
            body.extend(self.fields);
            (status, Json(Value::Object(body))).into_response()
        };
        if matches!(self.status, 429 | 503) {
            let seconds = HeaderValue::from_static(self.retry_after);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }

    fn words(&self) -> String {
        let is_key = self.error.starts_with("Invalid API key")
            || self.fields.get("missing_field") == Some(&json!("api_key"));
        let word = match self.status {
            400 if is_key => "invalid_api_key",
            400 => "missing_event",
            _ => "error",
        };
        let details = serde_json::to_string(&self.fields).unwrap_or_default();
        let details = if self.fields.is_empty() { String::new() } else { format!(" {details}") };
        format!("{word}: {}{details}", self.error)
    }
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
        let request = source::Request { catalogue, received: self.now, path: self.path };
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
            return Plan { prepared, refusal: Some(No::new(400, error)) };
        };
        if !known.is_enabled() {
            return refused(&upload, &known, No::new(403, source::SWITCHED_OFF));
        }
        let senders = senders(&upload);
        if let Some(per_second) = source::over_limit(self.site, [&known].into_iter()) {
            // It counts calls of the whole app, so that whoever is in this one is too many.
            return refused(&upload, &known, throttled(&upload, per_second, &senders));
        }
        if upload.calls.iter().any(Result::is_err) {
            return unusable(&request, &upload, &known);
        }
        let per_second = self.site.config.limits.device_events_per_second;
        let fast = self.site.paces.take(known.app.id, &senders, per_second, self.now);
        if !fast.is_empty() {
            let no = throttled(&upload, per_second, &fast);
            return refused(&upload, &known, No { retry_after: PAUSE_SECONDS, ..no });
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
                let key = call.insert_id().map(|key| {
                    let key: String = key.chars().take(256).collect();
                    IdempotencyKey::sent("insert_id", &key)
                });
                request.take(&known, key, call.body_hash(), parsed)
            }
        };
        Plan { prepared: upload.calls.iter().flatten().map(one).collect(), refusal: None }
    }

    /// The upload as a whole cannot be read: one body for the quarantine.
    fn unreadable(&self, request: &source::Request<'_>, problem: &Problem) -> Plan {
        let no = match problem {
            Problem::MissingBody => No::new(400, "Missing request body"),
            Problem::InvalidJson => No::new(400, "Invalid JSON request body"),
            Problem::MissingField(field) => {
                No::new(400, "Request missing required field").with("missing_field", json!(field))
            }
            Problem::TooMany => No::new(413, "Payload too large"),
        };
        let refused = Refusal { status: no.status, error: no.error.clone() };
        let prepared = vec![request.quarantine(None, "", masked(self.body), refused)];
        Plan { prepared, refusal: Some(no) }
    }

    fn answer(&self, fates: Vec<Fate>, refused: Option<No>) -> Response {
        if let Some(no) = refused {
            return no.answer(self.endpoint);
        }
        let mut accepted: Vec<InputId> = Vec::new();
        let mut invalid = Vec::new();
        let mut words = String::new();
        for (index, fate) in fates.into_iter().enumerate() {
            match fate {
                Fate::Accepted(id) | Fate::Drained(id) => accepted.push(id),
                // Of somebody whose data was erased nothing is taken; the others of the call are on record.
                Fate::Forgotten => {
                    invalid.push(index);
                    words = super::s2s::ERASED.to_owned();
                }
                Fate::Refused { status: 410, error } => {
                    invalid.push(index);
                    words = error;
                }
                Fate::Refused { status, error } => return No::new(status, error).answer(self.endpoint),
                Fate::Quarantined { error, .. } => {
                    invalid.push(index);
                    words = error;
                }
            }
        }
        if accepted.is_empty() {
            let no = No::new(400, words).with("events_with_invalid_fields", json!({ "event": invalid }));
            return no.answer(self.endpoint);
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
fn refused(upload: &Upload, known: &Known, no: No) -> Plan {
    let one = |call: &Result<Call, Unusable>| {
        let action = call.as_ref().map_or(source::UNKNOWN, |call| call.action(known.mapping()));
        source::refuse(Some(known), action, no.status, no.error.as_str())
    };
    let prepared = upload.calls.iter().map(one).collect();
    Plan { prepared, refusal: Some(no) }
}

/// An upload in which some events are wrong: those are kept in quarantine, and the sender is told which, so
/// that it sends the others again without them.
fn unusable(request: &source::Request<'_>, upload: &Upload, known: &Known) -> Plan {
    let (mut missing, mut invalid, mut short) = (Fields::new(), Fields::new(), Fields::new());
    let mut prepared = Vec::new();
    for (index, call) in upload.calls.iter().enumerate() {
        let wrong = match call {
            Err(wrong) => wrong,
            Ok(call) => {
                let action = call.action(known.mapping());
                let error = "other events of the upload are wrong";
                prepared.push(source::refuse(Some(known), action, 400, error));
                continue;
            }
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
    let mut no = No::new(400, error);
    for (name, of) in [
        ("events_with_missing_fields", missing),
        ("events_with_invalid_fields", invalid),
        ("events_with_invalid_id_lengths", short),
    ] {
        if !of.is_empty() {
            no = no.with(name, json!(of));
        }
    }
    Plan { prepared, refusal: Some(no) }
}

/// Places of events by field.
type Fields = BTreeMap<&'static str, Vec<usize>>;

/// How many events of an upload each device and user sends.
fn senders(upload: &Upload) -> BTreeMap<Who<'_>, u32> {
    let mut senders = BTreeMap::new();
    for who in upload.calls.iter().flatten().flat_map(of) {
        *senders.entry(who).or_default() += 1;
    }
    senders
}

/// The device and the user of an event.
fn of(call: &Call) -> impl Iterator<Item = Who<'_>> {
    call.device_id().map(Who::Device).into_iter().chain(call.user_id().map(Who::User))
}

/// What a sender is told that is too fast: the limit, each device and user above it with its rate, and the
/// places of their events.
fn throttled(upload: &Upload, per_second: u32, fast: &BTreeMap<Who<'_>, u32>) -> No {
    let (mut devices, mut users) = (Map::new(), Map::new());
    for (who, rate) in fast {
        match who {
            Who::Device(id) => devices.insert((*id).to_owned(), json!(rate)),
            Who::User(id) => users.insert((*id).to_owned(), json!(rate)),
        };
    }
    let is_fast = |call: &Result<Call, Unusable>| call.iter().flat_map(of).any(|who| fast.contains_key(&who));
    let places = upload.calls.iter().enumerate().filter(|(_, call)| is_fast(call)).map(|(place, _)| place);
    No::new(429, TOO_FAST)
        .with("eps_threshold", json!(per_second))
        .with("throttled_devices", Value::Object(devices))
        .with("throttled_users", Value::Object(users))
        .with("throttled_events", json!(places.collect::<Vec<_>>()))
}

fn text_of(call: &Result<Call, Unusable>) -> String {
    match call {
        Ok(call) => call.masked(),
        Err(wrong) => wrong.masked.clone(),
    }
}
