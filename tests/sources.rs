//! Sources: Segment and Amplitude as they send, and what is set up for them.

mod management;
mod segment;
