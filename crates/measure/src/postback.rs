//! Postbacks: which triggers a conversion fires, the request each one sends, and when it is tried again
//! (postbacks.md).

mod delivery;
mod destination;
mod macros;
mod plan;
mod schedule;
mod settings;
mod template;
mod trigger;

#[cfg(test)]
mod tests;

pub use delivery::{Attempt, Delivery, DeliveryState, Method, Request, Suppression};
pub use plan::{Conversion, Plan, plan};
pub use schedule::{DeathReason, Failure, Next, Outcome, RETRY_AFTER_MAX_MS, next};
pub use template::REQUEST_BYTES_MAX;
pub use trigger::{CUSTOM_TEMPLATE, Sending, SigningSecret, Trigger, TriggerKind, validate};
