//! One line a case. See [`world`] for the language.

mod events;
mod keys;
mod ladder;
mod laws;
mod misses;
mod rules;
mod sentences;
mod world;
