//! `sextant demo` and `sextant simulate`: traffic with known ground truth, sent over HTTP as outside
//! parties would send it, and what the server made of it.

mod directory;
mod sink;
mod summary;

use std::{
    io::IsTerminal as _,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use simulate::{
    account::{self, Account},
    check,
    generate::{self, Plan},
    run::{self, Limits, Traffic},
    scenario::Scenario,
    target::Target,
};
use tokio::sync::oneshot;

use self::{directory::Directory, sink::Sink, summary::Summary};
use crate::{
    clock,
    config::{self, Cli, Config},
    serve, telemetry,
};

/// How long postbacks may take to be delivered once everything was sent.
const SETTLE: Duration = Duration::from_secs(30);
/// People at a time.
const CONCURRENCY: usize = 32;
/// The most people one run sends.
const PEOPLE_MAX: u64 = 1_000_000;

/// What is sent.
#[derive(Debug, Args)]
struct Amount {
    /// How many people to simulate; each sends about four requests
    #[arg(long, value_name = "N", default_value_t = 1_500, env = "SEXTANT_SIMULATE_COUNT",
          value_parser = clap::value_parser!(u64).range(1..=PEOPLE_MAX))]
    count: u64,
    /// Requests per second at most; 0 is as fast as they are answered
    #[arg(long, value_name = "R", default_value_t = 400.0, env = "SEXTANT_SIMULATE_RATE", value_parser = rate)]
    rate: f64,
    /// The same seed gives the same people
    #[arg(long, value_name = "S", default_value_t = 1, env = "SEXTANT_SIMULATE_SEED")]
    seed: u64,
}

/// Options of `sextant demo`.
#[derive(Debug, Args)]
pub struct DemoOptions {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", env = "SEXTANT_DEMO_LISTEN")]
    listen: SocketAddr,
    /// Where the demo keeps its data; it is emptied at every start
    #[arg(long, value_name = "DIR", default_value = "data/demo", env = "SEXTANT_DEMO_DATA_DIR")]
    data_dir: PathBuf,
    /// Exit after the summary, with 1 if the ledger does not balance or the ground truth was missed
    #[arg(long, env = "SEXTANT_DEMO_ONCE", value_parser = clap::builder::FalseyValueParser::new())]
    once: bool,
    #[command(flatten)]
    amount: Amount,
}

/// Options of `sextant simulate`.
#[derive(Debug, Args)]
pub struct SimulateOptions {
    /// The server to send to
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "SEXTANT_SIMULATE_URL")]
    url: String,
    /// A management key of it that may write: two apps are made for the traffic
    #[arg(long, value_name = "KEY", env = "SEXTANT_SIMULATE_KEY", hide_env_values = true)]
    key: String,
    /// Where triggers shall send postbacks to; without it none are made
    #[arg(long, value_name = "URL", env = "SEXTANT_SIMULATE_SINK")]
    sink: Option<String>,
    #[command(flatten)]
    amount: Amount,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=1_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("a number between 0 and 1000000".to_owned()),
    }
}

/// `sextant simulate`: fails when a request failed, the ledger does not balance or the truth was missed.
pub async fn simulate(options: SimulateOptions) -> anyhow::Result<()> {
    let target = Target::new(&options.url, &options.key)?;
    let account = account::set_up(&target, options.sink.as_deref()).await?;
    let summary = send(&target, &account, &options.amount, None).await?;
    summary.print();
    summary.verdict()
}

/// `sextant demo`.
pub async fn demo(options: DemoOptions) -> anyhow::Result<()> {
    let listen = free(options.listen)?;
    // Held until the end: two demos must not empty each other's data.
    let directory = Directory::made_anew(&options.data_dir)?;
    let sink = Sink::start().await.context("cannot start the partner sink")?;
    let config = settings(listen, &options.data_dir)?;
    telemetry::start(&config.log)?;
    let key = clock::new_key();
    let (ready, listening) = oneshot::channel();
    let (stop, stopping) = oneshot::channel::<()>();
    let server = serve::serve_until(
        config,
        Some(key.clone()),
        move |address| {
            // Nobody listens any more when the demo is being stopped.
            let _gone = ready.send(address);
        },
        async move {
            // An error means that the demo is gone, and then nobody wants the server either.
            let _gone = stopping.await;
        },
    );
    let mut server = tokio::spawn(server);
    let shown = async {
        let address = listening.await.context("the server did not start")?;
        show(&format!("http://{address}"), &key, &sink, &options).await
    };
    let summary = tokio::select! {
        ended = &mut server => {
            ended??;
            bail!("stopped before everything was sent");
        }
        summary = shown => summary?,
    };
    if options.once {
        let _gone = stop.send(());
    } else {
        println!("Still serving. Ctrl-C stops.");
    }
    server.await??;
    drop(directory);
    if options.once { summary.verdict() } else { Ok(()) }
}

/// Sets the account up, sends the traffic, and prints what became of it.
async fn show(url: &str, key: &str, sink: &Sink, options: &DemoOptions) -> anyhow::Result<Summary> {
    println!("Sextant demo");
    println!("  server        {url}");
    println!("  data          {} (emptied at every start of the demo)", options.data_dir.display());
    println!("  partner sink  {} (where postbacks go)", sink.url);
    println!();
    let target = Target::new(url, key)?;
    let account = account::set_up(&target, Some(&sink.url)).await.context("setting up the demo account")?;
    let summary = send(&target, &account, &options.amount, Some(sink)).await?;
    summary.print();
    if !options.once {
        summary.print_places(&target, key);
    }
    Ok(summary)
}

/// Sends the traffic with a progress bar, waits for its postbacks and compares.
async fn send(
    target: &Target,
    account: &Account,
    amount: &Amount,
    sink: Option<&Sink>,
) -> anyhow::Result<Summary> {
    let people = usize::try_from(amount.count)?;
    let plan = Plan { seed: amount.seed, people, until: clock::now().seconds() };
    let scenario = Arc::new(generate::scenario(&plan));
    let traffic = transmit(target, account, &scenario, amount).await?;
    if traffic.sent.is_empty() {
        let why = traffic.failures.first().map_or("nothing to send", |failure| failure.what.as_str());
        bail!("nothing could be sent: {why}");
    }
    if !account.triggers.is_empty() {
        check::settled(target, SETTLE).await?;
    }
    let report = check::check(target, account, &scenario, &traffic).await?;
    let arrived = sink.map(|sink| summary::Arrived::new(&scenario, &traffic, &sink.arrivals()));
    Ok(Summary { seed: amount.seed, scenario, traffic, report, arrived })
}

async fn transmit(
    target: &Target,
    account: &Account,
    scenario: &Arc<Scenario>,
    amount: &Amount,
) -> anyhow::Result<Traffic> {
    let bar = ProgressBar::new(u64::try_from(scenario.requests())?);
    bar.set_style(ProgressStyle::with_template(
        "  sending  {bar:40.cyan/blue}  {pos}/{len} requests  {per_sec:.dim}  {elapsed_precise}",
    )?);
    if !std::io::stderr().is_terminal() {
        eprintln!("  sending {} requests of {} people", scenario.requests(), scenario.people.len());
    }
    let limits = Limits { concurrency: CONCURRENCY, rate: Some(amount.rate).filter(|rate| *rate > 0.0) };
    let traffic = run::run(Arc::clone(scenario), account, target, limits, |done| {
        bar.set_position(u64::try_from(done).unwrap_or(u64::MAX));
    })
    .await?;
    bar.finish_and_clear();
    Ok(traffic)
}

/// The address, or a free port for port 0; says what to do when it is taken.
fn free(listen: SocketAddr) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).with_context(|| {
        format!(
            "cannot listen on {listen}: choose another address with --listen, such as --listen 127.0.0.1:0"
        )
    })?;
    Ok(listener.local_addr()?)
}

/// The settings of the demo: the defaults, with what the demo needs. The environment stays out of it, so
/// that the demo is the same everywhere.
fn settings(listen: SocketAddr, data_dir: &std::path::Path) -> anyhow::Result<Config> {
    let settings = vec![
        ("server.listen", listen.to_string()),
        ("server.data_dir", data_dir.display().to_string()),
        ("tracking.accept_click_time", "true".to_owned()),
        ("courier.allow_targets", "127.0.0.0/8".to_owned()),
        ("log.level", "warn".to_owned()),
    ];
    let (config, _) = config::load(&Cli { file: None, settings }, [])?;
    Ok(config)
}
