//! Segment's HTTP Tracking API and its webhooks.

use std::collections::HashMap;

use axum::{
    Json,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use measure::{InputId, input::IdempotencyKey, source::SourceKind};
use serde_json::{Map, Value, json};
use wire::{
    quarantine::masked,
    refusal::Refusal,
    s2s::{BadElement, Edge},
    segment::{BATCH_BYTES_MAX, Call, EVENT_BYTES_MAX, Form, Kind, calls, is_signed},
};

use super::{
    LATE, Peer,
    answer::{Fate, with_inputs},
    body_of, finish,
    s2s::{Prepared, submit},
    source::{self, Known, receivers},
    text,
};
use crate::http::openapi::Untaken;
use crate::{auth, clock, error::Error, site::Site};

/// Seconds after which a sender that met a limit or a full queue may come again.
const RETRY_AFTER_SECONDS: &str = "2";

receivers! {
    /// `POST /v1/track` and `/v1/t`
    track, "/v1/track", "segment_track" => Form::One(Kind::Track),
    /// `POST /v1/identify` and `/v1/i`
    identify, "/v1/identify", "segment_identify" => Form::One(Kind::Identify),
    /// `POST /v1/page` and `/v1/p`
    page, "/v1/page", "segment_page" => Form::One(Kind::Page),
    /// `POST /v1/screen` and `/v1/s`
    screen, "/v1/screen", "segment_screen" => Form::One(Kind::Screen),
    /// `POST /v1/alias` and `/v1/a`
    alias, "/v1/alias", "segment_alias" => Form::One(Kind::Alias),
    /// `POST /v1/group` and `/v1/g`
    group, "/v1/group", "segment_group" => Form::One(Kind::Group),
    /// `POST /v1/batch`, `/v1/b` and `/v1/import`
    batch, "/v1/batch", "segment_batch" => Form::Batch,
}

/// `POST /segment/webhook/{key}`: what a webhook of Segment sends, signed with the source's secret.
#[utoipa::path(
    post, path = "/segment/webhook/{key}", tag = "ingest",
    params(("key" = String, Path, description = "the key of the source")),
    request_body = Value,
    responses((status = 200, description = "on record", body = Value), Untaken),
    operation_id = "segment_webhook",
)]
pub(in crate::http) async fn webhook(
    State(site): State<Site>,
    peer: Peer,
    headers: HeaderMap,
    Path(key): Path<String>,
    request: Request,
) -> Response {
    take(site, peer, headers, request, Form::Webhook, Some(key)).await
}

/// Answers what a browser asks before it calls: whatever headers its library wants to send.
pub(in crate::http) async fn preflight(headers: HeaderMap) -> Response {
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let allowed = asked.unwrap_or(HeaderValue::from_static("content-type, authorization"));
    let mut response = StatusCode::NO_CONTENT.into_response();
    let answer = response.headers_mut();
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, OPTIONS"));
    answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

async fn receive(site: Site, peer: Peer, headers: HeaderMap, request: Request, form: Form) -> Response {
    take(site, peer, headers, request, form, None).await
}

async fn take(
    site: Site,
    peer: Peer,
    headers: HeaderMap,
    request: Request,
    form: Form,
    webhook_key: Option<String>,
) -> Response {
    let path = request.uri().path().to_owned();
    let bytes_max = match form {
        Form::One(_) => EVENT_BYTES_MAX,
        Form::Batch | Form::Webhook => BATCH_BYTES_MAX,
    };
    let body = match body_of(&site, &headers, request.into_body(), bytes_max + 1).await {
        Ok(body) => body,
        Err(error) => {
            // Too much is 400 here, as the platform documents it.
            let status = if matches!(error, Error::TooLarge(_)) { 400 } else { error.status() };
            return refusal(status, &error.message());
        }
    };
    finish(async move {
        let call = Received { site: &site, headers: &headers, path: &path, body: &body, form };
        let prepared = call.prepare(&peer, webhook_key.as_deref());
        answer(submit(&site, prepared).await)
    })
    .await
}

struct Received<'r> {
    site: &'r Site,
    headers: &'r HeaderMap,
    path: &'r str,
    body: &'r [u8],
    form: Form,
}

impl Received<'_> {
    fn prepare(&self, peer: &Peer, webhook_key: Option<&str>) -> Vec<Prepared> {
        let request = source::Request {
            catalogue: self.site.catalogue.current(),
            received: clock::now(),
            path: if webhook_key.is_some() { "/segment/webhook" } else { self.path },
        };
        let named = webhook_key.map(str::to_owned).or_else(|| auth::basic_user(self.headers));
        let known = |key: &str| Known::named(&request.catalogue, SourceKind::Segment, key);
        let sender = named.as_deref().and_then(known);
        let whole = |refused: Refusal| {
            let key = named.as_deref().unwrap_or_default();
            vec![request.quarantine(sender.as_ref(), key, masked(self.body), refused)]
        };
        if webhook_key.is_some() && !sender.as_ref().is_some_and(|sender| self.is_signed(sender)) {
            let error = "X-Signature does not match: sign with the secret of the source that the path names";
            return whole(Refusal { status: 401, error: error.to_owned() });
        }
        let calls = match calls(self.body, self.form) {
            Ok(calls) => calls,
            Err(refused) => return whole(refused),
        };
        let mut by_key: HashMap<&str, Option<Known>> = HashMap::new();
        let keys: Vec<&str> = calls
            .iter()
            .map(|call| named.as_deref().or(call.as_ref().ok().and_then(Call::write_key)).unwrap_or_default())
            .collect();
        for key in &keys {
            by_key.entry(key).or_insert_with(|| known(key));
        }
        if let Some(_limit) = source::over_limit(self.site, by_key.values().flatten()) {
            let turned_away = |(key, call): (&&str, &Result<Call, BadElement>)| {
                let known = by_key.get(*key).and_then(Option::as_ref);
                let error = "too many requests for this app: come again after Retry-After";
                source::refuse(known, action(call.as_ref().ok(), known), 429, error)
            };
            return keys.iter().zip(&calls).map(turned_away).collect();
        }
        let edge = Edge {
            received: request.received,
            ip: self.site.edge.client_ip(peer.0.ip(), self.headers),
            user_agent: None,
            traits_of: &|user_agent| self.site.edge.traits_of(user_agent),
        };
        let one = |(key, call): (&&str, &Result<Call, BadElement>)| {
            one(&request, &edge, key, by_key.get(*key).and_then(Option::as_ref), call)
        };
        keys.iter().zip(&calls).map(one).collect()
    }

    /// Whether the body carries the signature of the sender's source.
    fn is_signed(&self, sender: &Known) -> bool {
        let secret = sender.secret().and_then(|sealed| self.site.vault.open(sealed));
        let signature = text(self.headers, "x-signature");
        secret.is_some_and(|secret| is_signed(self.body, &secret, signature.as_deref()))
    }
}

fn one(
    request: &source::Request<'_>,
    edge: &Edge<'_>,
    key: &str,
    known: Option<&Known>,
    call: &Result<Call, BadElement>,
) -> Prepared {
    let call = match call {
        Ok(call) => call,
        Err(bad) => return request.quarantine(known, key, bad.masked.clone(), bad.refusal.clone()),
    };
    let Some(known) = known else {
        let error = if key.is_empty() {
            "the write key is missing: send it as the user of basic authentication or as writeKey"
        } else {
            "the write key is not known here: send the app's GUID, or the key of a source of kind segment"
        };
        return request.quarantine(
            None,
            key,
            call.masked(),
            Refusal { status: 401, error: error.to_owned() },
        );
    };
    if !known.is_enabled() {
        return source::refuse(Some(known), call.action(known.mapping()), 403, source::SWITCHED_OFF);
    }
    match call.parse(known.mapping(), known.streams(), &known.app, edge) {
        Err(refused) => request.quarantine(Some(known), key, call.masked(), refused),
        Ok(parsed) => {
            let key = call.message_id().map(|key| IdempotencyKey::sent("messageId", &key));
            request.take(known, key, call.body_hash(), parsed)
        }
    }
}

/// What a call would have become.
fn action(call: Option<&Call>, known: Option<&Known>) -> &'static str {
    call.zip(known).map_or(source::UNKNOWN, |(call, known)| call.action(known.mapping()))
}

/// `{"success":true}`, with what was not taken of a batch; a refusal when nothing was.
fn answer(fates: Vec<Fate>) -> Response {
    let mut accepted: Vec<InputId> = Vec::new();
    let mut rejected = Vec::new();
    let mut worst: Option<(u16, String)> = None;
    for (index, fate) in fates.into_iter().enumerate() {
        match fate {
            Fate::Accepted(id) | Fate::Drained(id) => accepted.push(id),
            Fate::Forgotten => {
                rejected.push(json!({ "index": index, "error": super::s2s::ERASED }));
                worst = worst.or(Some((410, super::s2s::ERASED.to_owned())));
            }
            Fate::Quarantined { status, error, .. } | Fate::Refused { status, error } => {
                // The calls of a request share a commit: what is to be sent again is all of it.
                if matches!(status, 429 | 503) {
                    return refusal(status, &error);
                }
                rejected.push(json!({ "index": index, "error": error }));
                worst = worst.or(Some((status, error)));
            }
        }
    }
    if accepted.is_empty() {
        let (status, error) = worst.unwrap_or((400, "the body holds no call".to_owned()));
        return refusal(status, &error);
    }
    let mut body = Map::from_iter([("success".to_owned(), Value::Bool(true))]);
    if !rejected.is_empty() {
        body.insert("rejected".to_owned(), Value::Array(rejected));
    }
    with_inputs(Json(body).into_response(), &accepted)
}

/// A refusal: `code` and `message` are what the platform's libraries read.
/// What is answered when the time for a request is over.
pub(in crate::http) fn late() -> Response {
    refusal(503, LATE)
}

fn refusal(status: u16, error: &str) -> Response {
    let code = match status {
        401 => "invalid_write_key",
        429 => "too_many_requests",
        500.. => "unavailable",
        _ => "bad_request",
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = json!({ "success": false, "code": code, "message": error });
    let mut response = (status, Json(body)).into_response();
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        for name in [header::RETRY_AFTER, HeaderName::from_static("x-ratelimit-reset")] {
            response.headers_mut().insert(name, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
    }
    response
}
