//! Black-box tests: every one starts the program and uses nothing but its command line and its HTTP
//! interface. A feature exists when one of these shows it.
//!
//! A file for each part of the contract. What all of them stand on (a running server, a partner that can
//! misbehave, devices, load) is in `harness`. Tests run in the order of their names; `adversity`, which
//! waits longest, begins.

#[cfg(test)]
mod harness;

#[cfg(test)]
mod adversity;
#[cfg(test)]
mod attribution;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod idempotency;
#[cfg(test)]
mod ingest;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod links;
#[cfg(test)]
mod loss;
#[cfg(test)]
mod management;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod postbacks;
#[cfg(test)]
mod privacy;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod reengagement;
#[cfg(test)]
mod senders;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod sources;
