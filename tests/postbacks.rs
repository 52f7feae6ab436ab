//! Triggers and what partners receive (postbacks.md; DECISIONS 6 to 8).

mod delivery;
mod knobs;
mod ledger;
mod partners;
mod rendering;
mod replay;
mod revisions;
mod running;
mod suppression;
mod trial;
mod webhooks;
