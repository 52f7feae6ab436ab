//! Events (ingest.md sections 4 and 13).

use measure::{
    Decimal,
    device::Origin,
    event::{Event, Parameters, Value},
    flag::{Flag, Flags},
};

use super::{
    ENVELOPE_KEYS, Edge,
    envelope::{Envelope, parameters},
};
use crate::{
    json::{Json, get},
    moment,
    refusal::Refusal,
};

/// Where the amount stands, in the order of precedence.
const AMOUNT_KEYS: [&str; 3] = ["sum", "price", "revenue"];

/// The event that an envelope describes.
///
/// # Errors
/// 400 without an `event_name`.
pub fn read(
    envelope: &Envelope<'_>,
    origin: Origin,
    edge: &Edge<'_>,
    flags: &mut Flags,
) -> Result<Event, Refusal> {
    // The name counts exactly as sent, spaces around it included.
    let name = envelope.field("event_name").and_then(Json::scalar).ok_or_else(|| {
        Refusal::bad_request("event_name is required: name the event with a string in data.event_name")
    })?;
    let (time, odd) = moment::settle(envelope.time("usertime"), edge.received);
    flags.extend(odd);
    let data_key = if envelope.field("event_data").is_some() { "event_data" } else { "event_value" };
    let data = envelope.field(data_key);
    let (params, plain) = contents(data);
    let amount = data.and_then(amount);
    if amount.is_none() && data.is_some_and(names_an_amount) {
        flags.insert(Flag::AmountInvalid);
    }
    Ok(Event {
        origin,
        time,
        name: name.to_owned(),
        amount,
        currency: currency(envelope, data),
        params,
        plain,
        extra: envelope.rest(&[&ENVELOPE_KEYS, &["event_name", "currency", data_key]]),
    })
}

fn contents(data: Option<&Json>) -> (Parameters, Option<Value>) {
    match data {
        Some(Json::Object(entries)) => (parameters(entries), None),
        Some(plain) => (Parameters::new(), plain.value()),
        None => (Parameters::new(), None),
    }
}

/// `sum`, else `price`, else `revenue`, else the bare number that the data is.
fn amount(data: &Json) -> Option<Decimal> {
    match data {
        Json::Object(entries) => AMOUNT_KEYS.iter().find_map(|key| get(entries, key).and_then(Json::decimal)),
        plain => plain.decimal(),
    }
}

/// Whether there is a value under a key of an amount.
fn names_an_amount(data: &Json) -> bool {
    let is_said = |entries, key| get(entries, key).is_some_and(|value| !value.is_blank());
    data.object().is_some_and(|entries| AMOUNT_KEYS.iter().any(|key| is_said(entries, key)))
}

/// Beside `event_data`, else inside it.
fn currency(envelope: &Envelope<'_>, data: Option<&Json>) -> Option<String> {
    let inside = || get(data?.object()?, "currency")?.scalar().map(str::trim);
    envelope.text("currency").or_else(inside).filter(|text| !text.is_empty()).map(str::to_owned)
}
