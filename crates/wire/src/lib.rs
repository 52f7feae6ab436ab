//! The formats of the world, parsed once into the domain: Kochava's server-to-server calls and browser
//! SDK, tracking links, install authentication, Apple's aggregate postbacks, the calls of Segment and
//! Amplitude.
//!
//! Pure: no clock, no randomness, no I/O. What a request does not say itself (receipt time, address and
//! user agent of the connection, the user agent parser) comes in an `Edge`. Past this crate there are no
//! raw JSON values, except the body kept as text.

pub mod amplitude;
pub mod auth;
pub mod body;
pub mod claim;
mod draft;
mod form;
mod json;
pub mod link;
mod moment;
pub mod partner;
pub mod quarantine;
mod redaction;
pub mod refusal;
pub mod s2s;
pub mod segment;
pub mod skad;
pub mod user_agent;
