//! How much the server carries, held against simpler handlers on the same HTTP stack in the same run.
//! Absolute figures depend on the machine; the ratios are what to look at. Nothing here passes or fails by
//! speed.
//!
//! `SEXTANT_BENCH_TOUCHES` is how many clicks are stored before installs are measured (1,000,000), which is
//! most of the running time; `SEXTANT_BENCH_SECONDS` how long each row is measured (6),
//! `SEXTANT_BENCH_CONNECTIONS` how many requests are under way at a time (128). The baselines are
//! measured before and after every row, and a row is held against the ones next to it: on a machine that
//! others use as well, speed drifts within minutes.

mod baselines;
mod load;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use load::{Limit, Maker, Measured, load};
use simulate::{
    account::{self, Account},
    device::Platform,
    target::Target,
};

/// Devices that events are joined to.
const DEVICES: u64 = 10_000;
/// Before each row, unmeasured.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long each baseline is measured each time.
const BASELINE: Duration = Duration::from_secs(1);
const FOREVER: Duration = Duration::from_secs(3_600);
const KEY: &str = "7B0B6D52-93CC-4C5D-8D60-2F5B9F0C7A11";
const USER_AGENT: &str = "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36";

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if std::env::args().any(|argument| argument == baselines::ARGUMENT) {
        runtime.block_on(baselines::serve())
    } else {
        runtime.block_on(bench())
    }
}

/// A program under load, killed at the end.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        let mut program = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        for line in BufReader::new(output).lines() {
            if let Some(address) = line?.strip_prefix("listening on ") {
                program.address = address.parse()?;
                return Ok(program);
            }
        }
        anyhow::bail!("a program under test did not start");
    }

    /// Memory that is resident, in MiB, where the system tells it.
    fn resident_mib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? / 1_024)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already; there is nothing else to do about it here.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

async fn bench() -> anyhow::Result<()> {
    let touches = setting("SEXTANT_BENCH_TOUCHES", 1_000_000)?;
    let time = Duration::from_secs(setting("SEXTANT_BENCH_SECONDS", 6)?);
    let connections = usize::try_from(setting("SEXTANT_BENCH_CONNECTIONS", 128)?)?;
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let baseline = Program::start(Command::new(std::env::current_exe()?).arg(baselines::ARGUMENT))?;
    let server = serve(data.path())?;
    let target = Target::new(&format!("http://{}", server.address), KEY)?;
    let account = account::set_up(&target, None).await?;
    let event = event(&account);
    let redirect: Maker = Arc::new(|_| get("/redirect", ""));
    let baselines = [
        ("a handler that does nothing", 200, at("/nothing", &event)),
        ("a handler that parses the event", 200, at("/parse", &event)),
        ("a handler that redirects", 302, redirect),
    ];
    let mut bench =
        Bench { time, connections, next: 0, address: baseline.address, baselines, rows: Vec::new() };
    println!("{connections} connections, one request each under way, {} s a row", time.as_secs());

    let all = |requests| Limit { requests, time: FOREVER };
    load(server.address, connections, 0, all(DEVICES), 200, &install(&account, "known", None)).await?;
    bench.row("events, durable and joined", server.address, 200, &at("/track/json", &event)).await?;
    let first = bench.next;
    bench.row("clicks, redirected", server.address, 302, &click(&account, false)).await?;

    let stored = bench.next - first;
    let missing = touches.saturating_sub(stored);
    let begun = Instant::now();
    load(server.address, connections, bench.next, all(missing), 200, &click(&account, true)).await?;
    bench.next += missing;
    println!("  (stored {missing} more clicks in {:.0} s)", begun.elapsed().as_secs_f64());
    let name = format!("installs, {} touches stored", touches.max(stored));
    // Every other install is of somebody whose click is stored.
    let made = install(&account, "new", Some((first, touches.max(stored))));
    bench.row(&name, server.address, 200, &made).await?;

    bench.print().await?;
    if let Some(resident) = server.resident_mib() {
        println!("resident memory of the server at the end: {resident} MiB");
    }
    let ledger = target.get("/api/ledger").await?;
    println!("installs by match class: {}", ledger["installs"]);
    ensure!(ledger["balanced"] == true, "the ledger does not balance: {ledger}");
    println!("the ledger balances");
    Ok(())
}

fn serve(data: &Path) -> anyhow::Result<Program> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sextant"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
    // The settings of this program are not those of the server.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SEXTANT_")) {
        command.env_remove(name);
    }
    command.env("SEXTANT_BOOTSTRAP_KEY", KEY).env("SEXTANT_LOG_LEVEL", "warn");
    Program::start(&mut command)
}

fn setting(name: &str, default: u64) -> anyhow::Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}: must be a whole number")),
        Err(_) => Ok(default),
    }
}

/// A baseline: its name, the status it answers with and its requests.
type Baseline = (&'static str, u16, Maker);

/// A row, and the rates of the baselines around it.
struct Row {
    name: String,
    measured: Measured,
    baselines: [f64; 3],
}

struct Bench {
    time: Duration,
    /// Each with one request under way.
    connections: usize,
    /// The number of the next request: none is used twice.
    next: u64,
    /// Where the baselines are.
    address: SocketAddr,
    /// Does nothing, parses, redirects.
    baselines: [Baseline; 3],
    rows: Vec<Row>,
}

impl Bench {
    /// Measures a row of the server, and the baselines before and after it.
    async fn row(
        &mut self,
        name: &str,
        address: SocketAddr,
        expect: u16,
        make: &Maker,
    ) -> anyhow::Result<()> {
        print!("  {name} ...");
        std::io::stdout().flush()?;
        let before = self.around().await?;
        self.measure(address, WARM_UP, expect, make).await.context(name.to_owned())?;
        let measured = self.measure(address, self.time, expect, make).await.context(name.to_owned())?;
        let after = self.around().await?;
        println!(" {:.0}/s", measured.rate());
        let baselines = std::array::from_fn(|place| f64::midpoint(before[place], after[place]));
        self.rows.push(Row { name: name.to_owned(), measured, baselines });
        Ok(())
    }

    async fn around(&self) -> anyhow::Result<[f64; 3]> {
        let mut rates = [0.0; 3];
        for (place, (name, expect, make)) in self.baselines.clone().into_iter().enumerate() {
            let measured = self.baseline(BASELINE, expect, &make).await.context(name)?;
            rates[place] = measured.rate();
        }
        Ok(rates)
    }

    async fn measure(
        &mut self,
        address: SocketAddr,
        time: Duration,
        expect: u16,
        make: &Maker,
    ) -> anyhow::Result<Measured> {
        let limit = Limit { requests: u64::MAX, time };
        let measured = load(address, self.connections, self.next, limit, expect, make).await?;
        // Every connection may have drawn one number that it did not use any more.
        self.next += u64::try_from(measured.requests + self.connections)?;
        Ok(measured)
    }

    /// Baselines keep nothing, so their requests need no numbers of their own.
    async fn baseline(&self, time: Duration, expect: u16, make: &Maker) -> anyhow::Result<Measured> {
        load(self.address, self.connections, 0, Limit { requests: u64::MAX, time }, expect, make).await
    }

    /// Prints the rows. Those of the baselines come last, measured once more for their latencies.
    async fn print(&mut self) -> anyhow::Result<()> {
        for (name, expect, make) in self.baselines.clone() {
            let measured = self.baseline(self.time, expect, &make).await.context(name)?;
            let baselines = [f64::NAN; 3];
            self.rows.push(Row { name: name.to_owned(), measured, baselines });
        }
        println!();
        println!(
            "{:<34} {:>10} {:>8} {:>8}   {:>10} {:>10} {:>12}",
            "", "per second", "p50 ms", "p99 ms", "to nothing", "to parsing", "to redirects"
        );
        for Row { name, measured, baselines } in &self.rows {
            let ms = |percent| measured.percentile(percent).as_secs_f64() * 1_000.0;
            let ratio = |place: usize| match measured.rate() / baselines[place] {
                ratio if ratio.is_nan() => String::new(),
                ratio => format!("{ratio:.2}"),
            };
            let line = format!(
                "{name:<34} {:>10.0} {:>8.2} {:>8.2}   {:>10} {:>10} {:>12}",
                measured.rate(),
                ms(50),
                ms(99),
                ratio(0),
                ratio(1),
                ratio(2)
            );
            println!("{}", line.trim_end());
        }
        println!();
        Ok(())
    }
}

/// An identifier from a number: the same for the same one, spread over all values (SplitMix64).
fn identifier(number: u64) -> String {
    let mixed = |seed: u64| {
        let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let hex = format!("{:016x}{:016x}", mixed(number + 1), mixed(number ^ 0x5EED_5EED_5EED));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The address of somebody: a /64 each.
fn address(number: u64) -> String {
    format!("2001:db8:{:x}:{:x}::1", (number >> 16) & 0xffff, number & 0xffff)
}

fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
}

fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    (head + body).into_bytes()
}

type Body = Arc<dyn Fn(u64) -> String + Send + Sync>;

fn at(path: &'static str, body: &Body) -> Maker {
    let body = Arc::clone(body);
    Arc::new(move |number| post(path, &body(number)))
}

/// An event of one of the known devices.
fn event(account: &Account) -> Body {
    let app = account.app(Platform::Android).guid.clone();
    Arc::new(move |number| {
        let device = number.wrapping_mul(7_919) % DEVICES;
        format!(
            r#"{{"action":"event","kochava_app_id":"{app}","kochava_device_id":"known-{device}","data":{{"app_version":"3.4.1","origination_ip":"{}","device_ua":"{USER_AGENT}","device_ver":"","device_ids":{{"adid":"","android_id":""}},"event_name":"Purchase","currency":"EUR","event_data":{{"order_id":"o-{number}","name":"Sky Boots","quantity":1,"sum":14.99}}}}}}"#,
            address(device)
        )
    })
}

/// A new install. With `clicks`, the number of the first and how many are stored, every other install
/// carries the identifier of one of them.
fn install(account: &Account, name: &'static str, clicks: Option<(u64, u64)>) -> Maker {
    let app = account.app(Platform::Android).guid.clone();
    Arc::new(move |number| {
        // Others are numbered beyond any click.
        let who = match clicks {
            Some((first, stored)) if number.is_multiple_of(2) => first + number % stored.max(1),
            _ => number + (1 << 40),
        };
        let body = format!(
            r#"{{"action":"install","kochava_app_id":"{app}","kochava_device_id":"{name}-{number}","data":{{"app_version":"3.4.1","origination_ip":"{}","device_ua":"{USER_AGENT}","device_ver":"","device_ids":{{"adid":"{}"}}}}}}"#,
            address(who),
            identifier(who)
        );
        post("/track/json", &body)
    })
}

/// A click of somebody new, by a browser or a server.
fn click(account: &Account, server: bool) -> Maker {
    let tracker = account.tracker(Platform::Android, 0).guid.clone();
    let network = account.networks.first().map_or(0, |network| network.id);
    let pbr = if server { "&pbr=1" } else { "" };
    Arc::new(move |number| {
        let path = format!(
            "/v1/cpi/click?campaign_id={tracker}&network_id={network}&click_id=b-{number}&site_id=s-1&adid={}&ip_address={}{pbr}",
            identifier(number),
            address(number)
        );
        get(&path, &format!("User-Agent: {USER_AGENT}\r\n"))
    })
}
