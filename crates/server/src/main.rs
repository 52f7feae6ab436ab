//! The program `sextant`: a self-hosted mobile measurement server.

mod auth;
mod catalogue;
mod clock;
mod config;
mod demo;
mod edge;
mod error;
mod evaluate;
mod http;
mod ledger;
mod lifecycle;
mod partners;
mod privacy;
mod serve;
mod signing;
mod site;
mod telemetry;
mod vault;
mod what_if;

use std::{ffi::OsString, io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use config::{Cli, LogFormat};
use demo::{DemoOptions, SimulateOptions};
use evaluate::EvaluateOptions;
use what_if::command::WhatIfOptions;

/// Batches allocate on one thread and free on others, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures which ads lead to installs, on your own machine.
#[derive(Debug, Parser)]
#[command(name = "sextant", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server until SIGTERM or SIGINT.
    Serve(Options),
    /// Prints the settings in force and where each one comes from.
    Config(Options),
    /// Runs a server with a demo account and simulated traffic, and says what it made of it.
    Demo(DemoOptions),
    /// Sends simulated traffic to a running server and compares what it made of it with the truth.
    Simulate(SimulateOptions),
    /// Says how installs would have been attributed under other settings.
    WhatIf(WhatIfOptions),
    /// Says how right attribution is, on simulated towns whose truth is known.
    Evaluate(EvaluateOptions),
}

/// Options that stand for settings. Everything else is set in the file or the environment. Their environment
/// variables are read with those of all other settings, so that what is said about a setting names them.
#[derive(Debug, Args)]
struct Options {
    /// Where everything is kept (server.data_dir, SEXTANT_DATA_DIR)
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Address and port to listen on (server.listen, SEXTANT_LISTEN)
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address and port for management, if not the same (server.admin_listen, SEXTANT_ADMIN_LISTEN)
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,
    /// A file with settings; an empty name is none
    #[arg(long, value_name = "FILE", env = "SEXTANT_CONFIG")]
    config: Option<OsString>,
    /// Certificate chain, PEM (server.tls_cert, SEXTANT_TLS_CERT)
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// Key of the certificate, PEM (server.tls_key, SEXTANT_TLS_KEY)
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// How log lines look (log.format, SEXTANT_LOG_FORMAT)
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

impl Options {
    /// The options by the names of their settings.
    fn settings(self) -> Cli {
        let settings = [
            ("server.data_dir", self.data_dir),
            ("server.listen", self.listen),
            ("server.admin_listen", self.admin_listen),
            ("server.tls_cert", self.tls_cert),
            ("server.tls_key", self.tls_key),
            ("log.format", self.log_format.map(|format| format.name().to_owned())),
        ];
        let given = settings.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let file = self.config.filter(|name| !name.is_empty()).map(PathBuf::from);
        Cli { file, settings: given.collect() }
    }
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(options) => serve(options),
        Command::Config(options) => print_config(options),
        Command::Demo(options) => run(demo::demo(options)),
        Command::Simulate(options) => run(demo::simulate(options)),
        Command::WhatIf(options) => run(what_if::command::what_if(options)),
        Command::Evaluate(options) => evaluate::evaluate(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is closed, the exit code has to do.
            let _unseen = writeln!(std::io::stderr(), "sextant: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: Options) -> anyhow::Result<()> {
    let (config, _) = config::load(&options.settings(), environment())?;
    telemetry::start(&config.log)?;
    let first_key = std::env::var("SEXTANT_BOOTSTRAP_KEY").ok();
    run(async { Ok(serve::serve(config, first_key).await?) })
}

/// Runs a command on a runtime of its own.
fn run(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    // Only the first call sets it, and this is the first.
    let _set = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let outcome = runtime.block_on(command);
    // What still runs was asked to stop and did not; waiting for it would hold the exit up.
    runtime.shutdown_background();
    outcome
}

fn print_config(options: Options) -> anyhow::Result<()> {
    let (_, settings) = config::load(&options.settings(), environment())?;
    let lines: String = settings
        .into_iter()
        .map(|setting| format!("{} = {}  # {}\n", setting.name, setting.value, setting.source))
        .collect();
    // Whoever reads only the first lines has what they wanted.
    let _enough = std::io::stdout().write_all(lines.as_bytes());
    Ok(())
}

/// The variables of the process, as far as they are text.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Arguments;

    /// Options of `serve` and `config` stand for settings, which have variables; all others have their own.
    #[test]
    fn every_option_is_an_environment_variable_too() {
        for command in Arguments::command().get_subcommands() {
            for option in command.get_arguments() {
                let name = option.get_id().as_str();
                let is_setting = matches!(command.get_name(), "serve" | "config") && name != "config";
                let has_variable =
                    option.get_env().is_some_and(|name| name.to_string_lossy().starts_with("SEXTANT_"));
                assert!(is_setting || has_variable, "{} {name}", command.get_name());
            }
        }
    }
}
