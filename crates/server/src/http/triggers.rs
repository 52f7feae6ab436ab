//! How triggers fare and are run: what is ours beside the Publisher API (docs/delivery.md).

pub mod case;
pub mod health;
pub mod ledger;
pub mod running;
pub mod secrets;
pub mod trial;
