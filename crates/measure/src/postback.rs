//! Postbacks: which triggers a conversion fires, the request each one sends, and when it is tried again
//! (postbacks.md).

mod delivery;
mod destination;
mod macros;
mod plan;
mod schedule;
mod settings;
mod template;
mod text;
mod trigger;

#[cfg(test)]
mod tests;

pub use delivery::{
    Attempt, Delivery, DeliveryState, EARLIER_MAX, Earlier, Method, Remade, Request, Suppression,
};
pub use destination::check as check_url;
pub use macros::is_macro;
pub use plan::{Conversion, Past, Plan, compose, delivery_id, is_attributable_session, plan};
pub use schedule::{DeathReason, Failure, Next, Outcome, RETRY_AFTER_MAX_MS, next};
pub use settings::{Cap, SESSION, asks_for_first, cap, check_template, is_header};
pub use template::{BodyTemplate, CUSTOM_TEMPLATE, Field, Input, RequestTemplate, Template, is_destination};
pub use text::{REQUEST_BYTES_MAX, Token, is_json_template, tokens, wrong_header};
pub use trigger::{Sending, SigningSecret, Trigger, TriggerKind, attempts_allowed, missing, validate};
