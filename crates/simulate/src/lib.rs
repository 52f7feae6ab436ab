//! Traffic with a known ground truth, sent over HTTP as outside parties would send it.
//!
//! [`generate::scenario`] draws people, what they saw and clicked, and which ad, if any, made each of them
//! install: pure, from a seed. [`account::set_up`] makes the apps, networks and trackers that the traffic
//! needs; [`run::run`] sends it; [`check::check`] asks the server what it made of it and compares.
//! [`city::city`] draws another kind of scenario, for `sextant evaluate`: a town with what makes attribution hard.
//! Nothing here knows how the server works: it speaks the documented HTTP interface only.

pub mod account;
pub mod check;
pub mod city;
pub mod device;
pub mod generate;
pub mod request;
pub mod run;
pub mod scenario;
pub mod target;
