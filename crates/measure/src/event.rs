//! In-app events (ingest.md sections 4 and 13).

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{Timestamp, device::Origin};

/// A parameter value. Lists and the like stay JSON text: nothing here reads inside them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number exactly as written.
    Number(String),
    /// A boolean.
    Bool(bool),
    /// A list or an object as JSON text.
    Json(String),
}

impl Value {
    /// The value as a macro renders it.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Json(text) => text,
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
        }
    }
}

/// Parameters in the order sent. Keys of nested objects are dotted: `product.sku`; the object itself is
/// kept under its own key as well.
pub type Parameters = Vec<(String, Value)>;

/// An event, resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The device.
    pub origin: Origin,
    /// When it happened (DECISIONS 1).
    pub time: Timestamp,
    /// Its name, exactly as sent.
    pub name: String,
    /// `sum`, else `price`, else `revenue`, else a bare numeric `event_data`; never multiplied. Negative
    /// amounts are refunds.
    pub amount: Option<Decimal>,
    /// ISO 4217, as sent.
    pub currency: Option<String>,
    /// The keys of an `event_data` object.
    pub params: Parameters,
    /// An `event_data` that is not an object.
    pub plain: Option<Value>,
    /// Every other value the sender gave, kept.
    pub extra: Parameters,
}
