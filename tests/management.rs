//! Apps, networks, campaigns, segments, trackers, overrides and triggers
//! (management-and-reporting.md sections 1 to 7; DECISIONS 8, 27).

mod apps;
mod audit;
mod blocklist;
mod campaigns;
mod costs;
mod events;
mod keys;
mod publisher;
mod rows;
mod scope;
mod secrets;
mod team;
mod triggers;
