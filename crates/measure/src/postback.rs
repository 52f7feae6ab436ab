//! Postbacks: which triggers a conversion fires, the request each one sends, and when it is tried again
//! (postbacks.md).

mod delivery;
mod plan;
mod trigger;

pub use delivery::{Attempt, Delivery, DeliveryState, Method, Request, Suppression};
pub use plan::{Conversion, Plan, plan};
pub use trigger::{CUSTOM_TEMPLATE, Trigger, TriggerKind};
