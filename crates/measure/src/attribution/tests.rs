//! One line a case. See [`world`] for the language.

mod keys;
mod laws;
mod rules;
mod sentences;
mod world;
