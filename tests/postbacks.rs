//! Triggers and what partners receive (postbacks.md; DECISIONS 6 to 8).

mod delivery;
mod rendering;
mod running;
mod suppression;
