//! The program `sextant`.

mod auth;
mod catalogue;
mod clock;
mod config;
mod edge;
mod error;
mod http;
mod ledger;
mod site;
mod vault;

fn main() {}
