//! What the tests stand on.

pub mod answer;
pub mod app;
pub mod browser;
#[cfg(target_os = "linux")]
pub mod clock;
pub mod device;
pub mod faults;
pub mod installed;
pub mod load;
pub mod mmdb;
pub mod moment;
pub mod program;
pub mod server;
pub mod sink;
pub mod socket;

pub use answer::{Answer, Answered};
pub use app::{App, Link};
pub use browser::Browser;
pub use load::Load;
pub use moment::{eventually, now, now_ms, within};
pub use serde_json::{Value, json};
pub use server::{KEY, Server};
pub use sink::{Reply, Sink};
