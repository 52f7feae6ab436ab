//! How much the server carries, held against simpler handlers on the same HTTP stack in the same run.
//! Absolute figures depend on the machine; the ratios are what to look at. Nothing here passes or fails by
//! speed.
//!
//! `SEXTANT_BENCH_TOUCHES` says at how many stored clicks installs are measured, in ascending order
//! (`100000,1000000`): storing them is most of the running time. `SEXTANT_BENCH_SECONDS` is how long each
//! row is measured (6), `SEXTANT_BENCH_CONNECTIONS` how many requests are under way at a time (128),
//! `SEXTANT_BENCH_PROGRAM` the program to measure, to compare with an older one. The baselines are
//! measured before and after every row, and a row is held against the ones next to it: on a machine that
//! others use as well, speed drifts within minutes. Processor time per request drifts less.
//!
//! `cargo bench -p server --bench throughput -- journey` measures something else instead: how long it takes from a
//! click over its install to the postback at the partner (`journey.rs`).

mod baselines;
mod journey;
mod load;
mod program;
mod table;

use std::{
    io::Write as _,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use load::{Limit, Maker, Measured, load};
use program::Program;
use simulate::{
    account::{self, Account},
    device::Platform,
    target::Target,
};
use table::Row;

/// Devices that events are joined to.
const DEVICES: u64 = 10_000;
/// Where the numbers of the clicks begin that installs are matched with.
const STORED: u64 = 1 << 36;
/// Where the numbers of further clicks begin. The low 32 bits make the address.
const NEW: u64 = (1 << 37) + (1 << 30);
/// Where the numbers of those begin who never clicked.
const NOBODY: u64 = (1 << 38) + (1 << 31);
/// Steps of this size, a prime number, come by every stored click once.
const SPREAD: u64 = 1_000_003;
/// Before each row, unmeasured.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long each baseline is measured each time.
const BASELINE: Duration = Duration::from_secs(1);
/// Events in a batch of Segment's.
const BATCH: usize = 100;
/// A server at rest uses less than a twentieth of a processor for so long.
const REST: Duration = Duration::from_secs(3);
const FOREVER: Duration = Duration::from_secs(3_600);
const KEY: &str = "7B0B6D52-93CC-4C5D-8D60-2F5B9F0C7A11";
const USER_AGENT: &str = "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36";

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if std::env::args().any(|argument| argument == baselines::ARGUMENT) {
        runtime.block_on(baselines::serve())
    } else if std::env::args().any(|argument| argument == journey::ARGUMENT) {
        runtime.block_on(journey::bench())
    } else {
        runtime.block_on(bench())
    }
}

async fn bench() -> anyhow::Result<()> {
    let sizes = sizes()?;
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
    let mut bench = Bench { time, connections, next: 0, server, baseline, baselines, rows: Vec::new() };
    println!("{connections} connections, one request each under way, {} s a row", time.as_secs());

    bench.send(0, DEVICES, &install(&account, "known", None)).await?;
    bench.next = DEVICES;
    bench.row("events, durable and joined", 200, &at("/track/json", &event), Of::Events(1)).await?;
    let batches = at("/v1/batch", &segment_batch(&account));
    bench.row("events in Segment batches of 100", 200, &batches, Of::Events(BATCH)).await?;
    let mut stored = 0;
    for size in sizes {
        let begun = Instant::now();
        bench.send(stored, size - stored, &click(&account, true, STORED)).await?;
        let (took, begun) = (begun.elapsed().as_secs_f64(), Instant::now());
        // Clicks are stored as fast as they can be, which leaves tables to be merged.
        bench.rest().await;
        let rest = begun.elapsed().as_secs_f64();
        println!(
            "  (stored {} more clicks in {took:.0} s, which were sorted {rest:.0} s later)",
            size - stored
        );
        stored = size;
        let made = install(&account, "new", Some(stored));
        bench.row(&format!("installs, {stored} touches stored"), 200, &made, Of::Installs).await?;
    }
    bench.row("clicks, redirected", 302, &click(&account, false, NEW), Of::Clicks).await?;
    bench.baseline_rows().await?;
    table::print(&bench.rows);

    let ledger = target.get("/api/ledger").await?;
    println!("installs by match class: {}", ledger["installs"]);
    ensure!(ledger["balanced"] == true, "the ledger does not balance: {ledger}");
    println!("the ledger balances");
    Ok(())
}

fn serve(data: &Path) -> anyhow::Result<Program> {
    let program = std::env::var_os("SEXTANT_BENCH_PROGRAM");
    let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_sextant").into()));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
    // The settings of this program are not those of the server.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SEXTANT_")) {
        command.env_remove(name);
    }
    command.env("SEXTANT_BOOTSTRAP_KEY", KEY).env("SEXTANT_LOG_LEVEL", "warn");
    command.env("SEXTANT_COURIER_ALLOW_TARGETS", "127.0.0.0/8");
    Program::start(&mut command)
}

fn setting(name: &str, default: u64) -> anyhow::Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}: must be a whole number")),
        Err(_) => Ok(default),
    }
}

/// At how many stored clicks installs are measured.
fn sizes() -> anyhow::Result<Vec<u64>> {
    const NAME: &str = "SEXTANT_BENCH_TOUCHES";
    let text = std::env::var(NAME).unwrap_or_else(|_| "100000,1000000".to_owned());
    let sizes: Result<Vec<u64>, _> = text.split(',').map(|size| size.trim().parse()).collect();
    let sizes = sizes.with_context(|| format!("{NAME}: must be whole numbers with commas between them"))?;
    ensure!(sizes.is_sorted() && sizes.iter().all(|size| *size > 0), "{NAME}: must ascend from 1 or more");
    Ok(sizes)
}

/// A baseline: its name, the status it answers with and its requests.
type Baseline = (&'static str, u16, Maker);

/// What the requests of a row are made of.
#[derive(Clone, Copy)]
enum Of {
    /// So many events each.
    Events(usize),
    Installs,
    Clicks,
}

struct Bench {
    time: Duration,
    /// Each with one request under way.
    connections: usize,
    /// The number of the next request of a row: none is used twice.
    next: u64,
    server: Program,
    baseline: Program,
    /// Does nothing, parses, redirects.
    baselines: [Baseline; 3],
    rows: Vec<Row>,
}

impl Bench {
    /// Sends what is not measured: requests numbered from `first` on.
    async fn send(&self, first: u64, requests: u64, make: &Maker) -> anyhow::Result<()> {
        let limit = Limit { requests, time: FOREVER };
        load(self.server.address, self.connections, first, limit, 200, make).await?;
        Ok(())
    }

    /// Waits until the server has nothing more to do, where the system tells it.
    async fn rest(&self) {
        let limit = Instant::now() + FOREVER;
        while Instant::now() < limit {
            let before = self.server.cpu();
            tokio::time::sleep(REST).await;
            if spent(before, self.server.cpu()).is_none_or(|spent| spent < REST / 20) {
                return;
            }
        }
    }

    /// Measures a row of the server, and the baselines before and after it.
    async fn row(&mut self, name: &str, expect: u16, make: &Maker, of: Of) -> anyhow::Result<()> {
        print!("  {name} ...");
        std::io::stdout().flush()?;
        let before = self.around().await?;
        self.measure(WARM_UP, expect, make).await.context(name.to_owned())?;
        let began = self.server.cpu();
        let mut measured = self.measure(self.time, expect, make).await.context(name.to_owned())?;
        if let Of::Events(each) = of {
            // What is held against the baselines is events, not requests.
            measured.requests *= each;
        }
        let cpu = spent(began, self.server.cpu());
        let after = self.around().await?;
        let baselines = std::array::from_fn(|place| f64::midpoint(before[place], after[place]));
        let [_, parsing, _] = baselines;
        println!(" {:.0}/s, {:.2} of parsing", measured.rate(), measured.rate() / parsing);
        self.rows.push(Row {
            name: name.to_owned(),
            measured,
            baselines,
            cpu,
            resident_mib: self.server.resident_mib(),
            installs: matches!(of, Of::Installs),
        });
        Ok(())
    }

    async fn around(&self) -> anyhow::Result<[f64; 3]> {
        let mut rates = [0.0; 3];
        for (place, (name, expect, make)) in self.baselines.iter().enumerate() {
            rates[place] = self.baseline(BASELINE, *expect, make).await.context(*name)?.rate();
        }
        Ok(rates)
    }

    async fn measure(&mut self, time: Duration, expect: u16, make: &Maker) -> anyhow::Result<Measured> {
        let limit = Limit { requests: u64::MAX, time };
        let measured = load(self.server.address, self.connections, self.next, limit, expect, make).await?;
        // Every connection may have drawn one number that it did not use any more.
        self.next += u64::try_from(measured.requests + self.connections)?;
        Ok(measured)
    }

    /// Baselines keep nothing, so their requests need no numbers of their own.
    async fn baseline(&self, time: Duration, expect: u16, make: &Maker) -> anyhow::Result<Measured> {
        let limit = Limit { requests: u64::MAX, time };
        load(self.baseline.address, self.connections, 0, limit, expect, make).await
    }

    /// Adds the baselines themselves, measured once more for their latencies and their processor time.
    async fn baseline_rows(&mut self) -> anyhow::Result<()> {
        for (name, expect, make) in self.baselines.clone() {
            let began = self.baseline.cpu();
            let measured = self.baseline(self.time, expect, &make).await.context(name)?;
            self.rows.push(Row {
                name: name.to_owned(),
                measured,
                baselines: [f64::NAN; 3],
                cpu: spent(began, self.baseline.cpu()),
                resident_mib: self.baseline.resident_mib(),
                installs: false,
            });
        }
        Ok(())
    }
}

fn spent(before: Option<Duration>, after: Option<Duration>) -> Option<Duration> {
    after?.checked_sub(before?)
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

/// A batch of events of known devices, as Segment's libraries send them.
fn segment_batch(account: &Account) -> Body {
    let app = account.app(Platform::Android).guid.clone();
    Arc::new(move |number| {
        let event = |place: u64| {
            let number = number * BATCH as u64 + place;
            let device = number.wrapping_mul(7_919) % DEVICES;
            format!(
                r#"{{"type":"track","event":"Order Completed","anonymousId":"known-{device}","messageId":"m-{number}","timestamp":"2025-10-09T08:53:20.000Z","properties":{{"order_id":"o-{number}","name":"Sky Boots","quantity":1,"revenue":14.99,"currency":"EUR"}},"context":{{"ip":"{}","userAgent":"{USER_AGENT}","app":{{"version":"3.4.1"}}}}}}"#,
                address(device)
            )
        };
        let events: Vec<String> = (0..BATCH as u64).map(event).collect();
        format!(r#"{{"writeKey":"{app}","batch":[{}]}}"#, events.join(","))
    })
}

/// A new install. With `clicks`, how many are stored, every other install carries the identifier of one of
/// them, taken from all over them.
fn install(account: &Account, name: &'static str, clicks: Option<u64>) -> Maker {
    install_of(account, name, move |number| match clicks {
        Some(stored) if number.is_multiple_of(2) => STORED + (number / 2).wrapping_mul(SPREAD) % stored,
        _ => NOBODY + number,
    })
}

/// The install of a device, by somebody whose number `who` knows.
fn install_of(
    account: &Account,
    name: &'static str,
    who: impl Fn(u64) -> u64 + Send + Sync + 'static,
) -> Maker {
    let app = account.app(Platform::Android).guid.clone();
    Arc::new(move |number| {
        let who = who(number);
        let body = format!(
            r#"{{"action":"install","kochava_app_id":"{app}","kochava_device_id":"{name}-{number}","data":{{"app_version":"3.4.1","origination_ip":"{}","device_ua":"{USER_AGENT}","device_ver":"","device_ids":{{"adid":"{}"}}}}}}"#,
            address(who),
            identifier(who)
        );
        post("/track/json", &body)
    })
}

/// A click by a browser or a server; requests are numbered on from `base`.
fn click(account: &Account, server: bool, base: u64) -> Maker {
    let tracker = account.tracker(Platform::Android, 0).guid.clone();
    let network = account.networks.first().map_or(0, |network| network.id);
    let pbr = if server { "&pbr=1" } else { "" };
    Arc::new(move |number| {
        let number = base + number;
        let path = format!(
            "/v1/cpi/click?campaign_id={tracker}&network_id={network}&click_id=b-{number}&site_id=s-1&adid={}&ip_address={}{pbr}",
            identifier(number),
            address(number)
        );
        get(&path, &format!("User-Agent: {USER_AGENT}\r\n"))
    })
}
