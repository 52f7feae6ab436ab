//! The answers of ingest (ingest.md section 16).

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use measure::InputId;
use serde_json::{Map, Value, json};

/// Seconds after which a sender that met a full queue or a failing disk may come again.
const RETRY_AFTER_SECONDS: &str = "2";

/// Identifiers named in the header of an answer; more would be a header that common clients refuse to read.
const HEADER_INPUTS_MAX: usize = 400;

/// What became of one element.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// On record, now or by an earlier call with the same key.
    Accepted(InputId),
    /// Not usable, kept in quarantine.
    Quarantined { id: InputId, status: u16, error: String },
    /// Not usable for ever, but answered as a success so that a browser's queue drains (DECISIONS 12).
    Drained(InputId),
    /// Refused because the person's data was erased, but answered as a success so that a browser's queue
    /// drains; it has no identifier.
    Forgotten,
    /// Refused, nothing kept.
    Refused { status: u16, error: String },
}

/// A success without anything else to say.
pub(super) fn accepted() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], r#"{"success":"1"}"#).into_response()
}

/// The answer to one element.
pub(super) fn single(fate: Fate) -> Response {
    match fate {
        Fate::Accepted(id) | Fate::Drained(id) => with_inputs(accepted(), &[id]),
        Fate::Forgotten => accepted(),
        Fate::Quarantined { id, status, error } => with_inputs(refusal(status, &error), &[id]),
        Fate::Refused { status, error } => refusal(status, &error),
    }
}

/// The answer to an array: a success if any element is good, with the others listed.
pub(super) fn array(fates: Vec<Fate>) -> Response {
    let mut accepted = Vec::new();
    let mut rejected = Vec::new();
    let mut overload = None;
    for (index, fate) in fates.into_iter().enumerate() {
        match fate {
            Fate::Accepted(id) | Fate::Drained(id) => accepted.push(id),
            Fate::Forgotten => {
                rejected.push(json!({ "index": index, "error": super::s2s::ERASED }));
            }
            Fate::Quarantined { error, .. } => rejected.push(json!({ "index": index, "error": error })),
            Fate::Refused { status, error } => {
                if matches!(status, 429 | 503) {
                    overload = Some((status, error.clone()));
                }
                rejected.push(json!({ "index": index, "error": error }));
            }
        }
    }
    // The elements of a request share a commit: when it failed, the sender has to send all of it again.
    if let Some((status, error)) = overload {
        return refusal(status, &error);
    }
    if accepted.is_empty() {
        let body =
            json!({ "success": "0", "error": "no element of the array is usable", "rejected": rejected });
        return (StatusCode::BAD_REQUEST, Json(body)).into_response();
    }
    let mut body = Map::from_iter([("success".to_owned(), json!("1"))]);
    if !rejected.is_empty() {
        body.insert("rejected".to_owned(), Value::Array(rejected));
    }
    if accepted.len() > HEADER_INPUTS_MAX {
        let all = accepted.iter().map(|id| Value::String(id.to_string()));
        body.insert("inputs".to_owned(), all.collect());
    }
    with_inputs(Json(body).into_response(), &accepted)
}

/// An error for the sender: says what to fix, or when to come again.
pub(super) fn refusal(status: u16, error: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = (status, Json(json!({ "success": "0", "error": error }))).into_response();
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    response
}

/// Names the inputs, the first of very many, in the header by which a sender can look them up (DECISIONS 9).
pub(super) fn with_inputs(mut response: Response, inputs: &[InputId]) -> Response {
    let list = match inputs {
        [one] => one.to_string(),
        _ => inputs.iter().take(HEADER_INPUTS_MAX).map(ToString::to_string).collect::<Vec<_>>().join(","),
    };
    if let Ok(value) = HeaderValue::from_str(&list) {
        response.headers_mut().insert("sextant-input", value);
    }
    response
}
