//! The wire formats through their public interface.
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod amplitude;
mod auth;
mod body;
mod claim;
mod consent;
mod destination;
mod identity;
mod link;
mod partners;
mod properties;
mod s2s;
mod segment;
mod senders;
mod skad;
mod world;
