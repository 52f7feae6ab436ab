//! Bodies taken apart into calls.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Call, Form, Kind};
use crate::{
    body::hash,
    json::{Json, JsonError, get},
    refusal::Refusal,
    s2s::{BadElement, ELEMENTS_MAX},
};

/// A call has at most this many bytes (32 kB).
pub const EVENT_BYTES_MAX: usize = 32 * 1_024;
/// A batch has at most this many bytes (500 kB).
pub const BATCH_BYTES_MAX: usize = 500 * 1_024;

/// The calls of a body in order; one that cannot be used is refused alone.
pub type Calls = Vec<Result<Call, BadElement>>;

/// A batch, each part in its own text.
#[derive(Deserialize)]
struct Batch<'b> {
    #[serde(borrow)]
    batch: Option<Vec<&'b RawValue>>,
    #[serde(borrow, rename = "writeKey")]
    write_key: Option<&'b RawValue>,
    #[serde(borrow, rename = "sentAt")]
    sent: Option<&'b RawValue>,
    #[serde(borrow)]
    context: Option<&'b RawValue>,
}

/// What a batch says for all of its calls.
#[derive(Default)]
struct Shared {
    write_key: Option<String>,
    sent: Option<String>,
    context: Option<Json>,
    is_corrected: bool,
}

/// Takes a body apart. The content type does not matter: browsers send `text/plain`.
///
/// # Errors
/// 400 for a body that is no JSON of that form.
pub fn calls(body: &[u8], form: Form) -> Result<Calls, Refusal> {
    let text = str::from_utf8(body).map_err(|_| Refusal::bad_request("the body is not UTF-8"))?.trim();
    match form {
        Form::One(kind) => Ok(vec![Ok(call(text, Some(kind), &Shared::default())?)]),
        Form::Webhook if text.starts_with('[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| broken(&error))?;
            let shared = Shared { is_corrected: true, ..Shared::default() };
            many(&items, &shared)
        }
        Form::Webhook => {
            let shared = Shared { is_corrected: true, ..Shared::default() };
            Ok(vec![Ok(call(text, None, &shared)?)])
        }
        Form::Batch => {
            let batch: Batch<'_> = serde_json::from_str(text).map_err(|error| broken(&error))?;
            let items = batch
                .batch
                .ok_or_else(|| Refusal::bad_request("batch is required: send an array of calls in it"))?;
            let shared = Shared {
                write_key: batch.write_key.and_then(scalar),
                sent: batch.sent.and_then(scalar),
                context: batch.context.and_then(|context| Json::parse(context.get()).ok()),
                is_corrected: false,
            };
            many(&items, &shared)
        }
    }
}

fn many(items: &[&RawValue], shared: &Shared) -> Result<Calls, Refusal> {
    if items.is_empty() {
        return Err(Refusal::bad_request("the batch is empty: send at least one call"));
    }
    if items.len() > ELEMENTS_MAX {
        let error = format!("the batch has more than {ELEMENTS_MAX} calls: send fewer at once");
        return Err(Refusal::bad_request(error));
    }
    let one = |item: &&RawValue| {
        let text = item.get();
        call(text, None, shared).map_err(|refusal| BadElement {
            refusal,
            masked: super::masked_text(text),
            text: text.to_owned(),
            hash: hash(text.as_bytes()),
        })
    };
    Ok(items.iter().map(one).collect())
}

fn call(text: &str, kind: Option<Kind>, shared: &Shared) -> Result<Call, Refusal> {
    if text.len() > EVENT_BYTES_MAX {
        return Err(Refusal::bad_request(format!(
            "the call has more than {EVENT_BYTES_MAX} bytes: send less"
        )));
    }
    let mut json = Json::parse(text).map_err(|error| match error {
        JsonError::Broken(error) => broken(&error),
        JsonError::TooMuch(limit) => Refusal::bad_request(limit.to_string()),
    })?;
    let Json::Object(entries) = &mut json else {
        return Err(Refusal::bad_request("the call is not an object"));
    };
    if let Some(context) = &shared.context {
        merge_context(entries, context);
    }
    let named = get(entries, "type").and_then(Json::scalar).and_then(Kind::named);
    let kind = kind.or(named).ok_or_else(|| {
        Refusal::bad_request("type is required: track, identify, page, screen, alias or group")
    })?;
    // The one that the user was known by names the device.
    if kind == Kind::Alias && get(entries, "anonymousId").is_none() {
        let previous = get(entries, "previousId").cloned();
        entries.extend(previous.map(|id| ("anonymousId".to_owned(), id)));
    }
    let own_key = get(entries, "writeKey").and_then(Json::scalar).map(str::to_owned);
    Ok(Call {
        kind,
        text: text.to_owned(),
        json,
        write_key: own_key.or_else(|| shared.write_key.clone()),
        sent: shared.sent.clone(),
        is_corrected: shared.is_corrected,
    })
}

/// Puts what the batch says of the context into that of the call; what the call says itself counts.
fn merge_context(entries: &mut Vec<(String, Json)>, shared: &Json) {
    let Json::Object(shared) = shared else { return };
    match entries.iter_mut().rev().find(|(key, _)| key == "context") {
        Some((_, Json::Object(own))) => {
            for (key, value) in shared {
                if get(own, key).is_none() {
                    own.push((key.clone(), value.clone()));
                }
            }
        }
        Some((_, other)) => *other = Json::Object(shared.clone()),
        None => entries.push(("context".to_owned(), Json::Object(shared.clone()))),
    }
}

/// The text of the first element of an array.
pub fn first_of_array(body: &[u8]) -> Option<&str> {
    let items: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
    items.first().map(|item| item.get())
}

fn scalar(raw: &RawValue) -> Option<String> {
    Json::parse(raw.get()).ok()?.scalar().map(|text| text.trim().to_owned())
}

fn broken(error: &serde_json::Error) -> Refusal {
    Refusal::bad_request(format!("the body is not valid JSON of this form: {error}"))
}
