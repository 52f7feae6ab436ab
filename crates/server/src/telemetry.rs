//! The log: lines for people, or JSON. Nothing here or elsewhere writes secrets, and at `info` and above
//! nothing writes identifiers of devices or addresses.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{Log, LogFormat};

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("log.level: {0}; write a level such as `info`, or directives such as `info,courier=debug`")]
pub struct LogError(String);

/// What of it `log.level` lets through.
pub fn filter(log: &Log) -> Result<EnvFilter, LogError> {
    log.level.parse().map_err(|error| LogError(format!("{error}")))
}

/// Starts logging to standard error.
pub fn start(log: &Log) -> Result<(), LogError> {
    let filter = filter(log)?;
    let lines =
        fmt().with_env_filter(filter).with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Human => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| LogError(error.to_string()))
}
