//! Outgoing postbacks. The courier leases deliveries that are due, sends their finished requests to vetted
//! addresses, and settles each by the pure schedule of [`measure::postback`]. It knows requests, not
//! partners (postbacks.md sections 5, 8 and 11).
//!
//! Delivery is at least once: a delivery is taken on by lease, sent, and only then settled. A process that
//! dies between the two loses its leases, and the delivery is sent again with the same bytes and the same
//! `X-Sextant-Delivery`.

mod adservices;
mod breaker;
mod client;
mod health;
mod lanes;
mod options;
mod round;
mod signature;
mod steady;
mod target;

#[cfg(test)]
mod tests;

pub use adservices::AdServices;
pub use breaker::BreakerState;
pub use client::{Secrets, Sender};
pub use health::{ATTEMPTS_SEEN, Health, TriggerHealth};
pub use options::Options;
pub use round::{Clock, Courier, CourierError, Handle, Jitter};
pub use target::Guard;
