//! Sources: Segment and Amplitude as they send, and what is set up for them.

mod amplitude;
mod clients;
mod management;
mod ours;
mod segment;
