//! One line a case. See [`world`] for the language.

mod claims;
mod events;
mod keys;
mod ladder;
mod laws;
mod misses;
mod referrers;
mod rules;
mod sentences;
mod world;
