//! Events that an ad brought about in people who have the app already
//! (tracking-and-attribution.md sections 8 and 9).

mod events;
mod reinstalls;
