//! Which ad an install came from, and why (tracking-and-attribution.md sections 5 to 8; DECISIONS 1 to 6,
//! 13 to 20).

mod apple;
mod claims;
mod classes;
mod crowds;
mod decisions;
mod explain;
mod fraud;
mod influencers;
mod ladder;
mod ranges;
mod settings;
mod time;
mod what_if;
