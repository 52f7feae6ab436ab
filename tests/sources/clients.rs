//! The platforms' own client libraries, installed from their registries and pointed at a running server;
//! then the same through answers that go wrong. What Sextant has afterwards is what was sent, once each.
//!
//! Where a registry or Chromium is missing, a test says that it is skipped.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::OnceCell,
};

use crate::harness::{
    App, Server, Value,
    faults::{Fault, Faults},
    installed::{self, INSTALLING, LISTS, PLACE, run, skipped},
    json, now_ms, within,
};

/// How long a library may take.
const PATIENCE: Duration = Duration::from_secs(50);
const CHROMIUM: &str = "/usr/bin/chromium";

/// What goes wrong, one answer after the other, for libraries that retry at once.
const WRONG: [Fault; 4] = [Fault::TooMany, Fault::Turned(503), Fault::Lost(500), Fault::Lost(502)];

/// What a client sends.
struct Plan {
    device: String,
    user: &'static str,
    installed: i64,
    purchases: Vec<(i64, f64)>,
}

impl Plan {
    fn new(device: &str) -> Self {
        let hour = 3_600_000;
        let now = now_ms();
        let purchases = vec![(now - 20 * hour, 14.98), (now - 10 * hour, 0.5), (now - hour, 1_200.0)];
        Self { device: device.to_owned(), user: "user-4242", installed: now - 30 * hour, purchases }
    }

    fn text(&self) -> String {
        let purchases: Vec<Value> = self
            .purchases
            .iter()
            .map(|(time, revenue)| json!({ "time": time, "revenue": revenue }))
            .collect();
        json!({ "device": self.device, "user": self.user, "installed": self.installed, "purchases": purchases })
            .to_string()
    }

    /// Fails the test unless Sextant has exactly what was sent. `late` is how far a request that was sent
    /// again may have moved its times (milliseconds): its library writes the time of sending but once.
    async fn arrived(&self, app: &App, faults: &Faults, late: i64) {
        let wanted = self.purchases.len() + 2;
        let inputs = within(PATIENCE, &format!("{wanted} inputs"), async || {
            Some(faults.inputs()).filter(|inputs| inputs.len() >= wanted && faults.left() == 0)
        })
        .await;
        let mut events = Vec::new();
        let mut kinds = Vec::new();
        for input in &inputs {
            let row = app.server.input(input).await;
            kinds.push(row["kind"].as_str().unwrap_or_default().to_owned());
            let time = row["time"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
            match row["kind"].as_str() {
                Some("install") => self.near(time, self.installed, late),
                Some("event") => events.push((time, row)),
                _ => {}
            }
        }
        kinds.sort_unstable();
        assert_eq!(kinds, ["event", "event", "event", "identity_link", "install"], "{:?}", faults.statuses());
        events.sort_by_key(|(time, _)| *time);
        for ((time, row), (wanted, revenue)) in events.iter().zip(&self.purchases) {
            self.near(*time, *wanted, late);
            assert_eq!(row["event"]["name"], "Purchase", "{row}");
            let amount = row["event"]["amount"].as_str().and_then(|amount| amount.parse::<f64>().ok());
            assert_eq!(amount, Some(*revenue), "{row}");
        }
        let ledger = app.server.balanced().await;
        let by_kind = &ledger["inputs"]["by_kind"];
        assert_eq!(by_kind, &json!({ "event": 3, "identity_link": 1, "install": 1 }), "once each: {ledger}");
        assert_eq!(faults.left(), 0, "every fault was met: {:?}", faults.statuses());
    }

    fn near(&self, time: Option<jiff::Timestamp>, wanted: i64, late: i64) {
        let time = time.map_or(0, |time| time.as_millisecond());
        assert!((time - wanted).abs() <= late, "{time} is not {wanted}, give or take {late} ms");
    }
}

/// Runs a client through a proxy without faults and through one with them.
async fn check<T>(late: i64, run: impl AsyncFn(String, String, String) -> T) {
    for faults in [Vec::new(), WRONG.to_vec()] {
        let server = Server::start().await;
        let app = server.app("Android").await;
        let plan = Plan::new("device-77");
        let late = if faults.is_empty() { 2_000 } else { late };
        let proxy = Faults::before(server.address(), faults).await;
        let _running = run(format!("http://{}", proxy.address()), app.guid.clone(), plan.text()).await;
        plan.arrived(&app, &proxy, late).await;
    }
}

/// Runs a client to its end, which has to be a success.
async fn client(program: &Path, arguments: &[&str], directory: &Path) {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).env("NODE_PATH", directory.join("node_modules"));
    let done = run(&mut command, PATIENCE).await;
    assert_eq!(done, Ok(()), "{}", program.display());
}

/// The directory of the node libraries, installed.
async fn node() -> Result<PathBuf, String> {
    static INSTALLED: OnceCell<Result<(), String>> = OnceCell::const_new();
    let place = Path::new(PLACE).join("node");
    let install = async {
        std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
        for list in ["package.json", "package-lock.json"] {
            std::fs::copy(Path::new(LISTS).join(list), place.join(list))
                .map_err(|error| error.to_string())?;
        }
        let arguments =
            ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--prefer-offline"];
        run(Command::new("npm").args(arguments).current_dir(&place), INSTALLING).await
    };
    INSTALLED.get_or_init(|| install).await.clone()?;
    Ok(place)
}

/// The python that has the libraries, installed.
async fn python() -> Result<PathBuf, String> {
    static INSTALLED: OnceCell<Result<PathBuf, String>> = OnceCell::const_new();
    INSTALLED.get_or_init(|| installed::python("python", "requirements.txt")).await.clone()
}

fn script(name: &str) -> String {
    format!("{LISTS}/{name}")
}

#[tokio::test]
async fn segment_analytics_node() {
    let place = match node().await {
        Ok(place) => place,
        Err(why) => return skipped("segment_analytics_node", &why),
    };
    check(8_000, async |host, key, plan| {
        client(Path::new("node"), &[&script("segment_node.cjs"), &host, &key, &plan], &place).await;
    })
    .await;
}

#[tokio::test]
async fn segment_analytics_python() {
    let python = match python().await {
        Ok(python) => python,
        Err(why) => return skipped("segment_analytics_python", &why),
    };
    for compression in ["plain", "gzip"] {
        check(8_000, async |host, key, plan| {
            let arguments = [&script("segment_python.py"), &host, &key, &plan, compression];
            client(&python, &arguments, Path::new(LISTS)).await;
        })
        .await;
    }
}

#[tokio::test]
async fn amplitude_analytics_node() {
    let place = match node().await {
        Ok(place) => place,
        Err(why) => return skipped("amplitude_analytics_node", &why),
    };
    check(8_000, async |host, key, plan| {
        client(Path::new("node"), &[&script("amplitude_node.cjs"), &host, &key, &plan], &place).await;
    })
    .await;
}

#[tokio::test]
async fn amplitude_analytics_python() {
    let python = match python().await {
        Ok(python) => python,
        Err(why) => return skipped("amplitude_analytics_python", &why),
    };
    check(8_000, async |host, key, plan| {
        client(&python, &[&script("amplitude_python.py"), &host, &key, &plan], Path::new(LISTS)).await;
    })
    .await;
}

#[tokio::test]
async fn segment_analytics_next_in_a_browser() {
    let place = match node().await {
        Ok(place) if Path::new(CHROMIUM).exists() => place,
        Ok(_) => return skipped("segment_analytics_next_in_a_browser", "no chromium on this machine"),
        Err(why) => return skipped("segment_analytics_next_in_a_browser", &why),
    };
    let library = std::fs::read(place.join("node_modules/@segment/analytics-next/dist/umd/index.js"));
    let library = library.expect("the library has a bundle for browsers");
    check(60_000, async |host, key, plan| {
        let host = host.trim_start_matches("http://");
        browse(&library, host, &key, &plan).await
    })
    .await;
}

/// Opens the page of the test in a browser of its own, which stays because the library may have to retry.
async fn browse(library: &[u8], host: &str, key: &str, plan: &str) -> (Browser, tempfile::TempDir) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let profile = tempfile::tempdir().expect("a directory");
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("host", host), ("key", key), ("plan", plan)])
        .finish();
    let mut browser = Command::new(CHROMIUM);
    browser.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]);
    browser.arg(format!("--user-data-dir={}", profile.path().display()));
    browser.arg(format!("http://{address}/page?{query}"));
    browser.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let browser = Browser(browser.spawn().expect("the browser starts"));
    let page = std::fs::read(script("segment_browser.html")).expect("the page");
    let serving = async {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { continue };
            let mut head = Vec::new();
            while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
            let (kind, body): (&str, &[u8]) = match line.split(' ').nth(1).unwrap_or_default() {
                path if path.starts_with("/page") => ("text/html", &page),
                "/index.js" => ("text/javascript", library),
                path if path.starts_with("/done?") => return path.trim_start_matches("/done?").to_owned(),
                _ => ("text/plain", b""),
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(body).await;
        }
    };
    let done = tokio::time::timeout(PATIENCE, serving).await.expect("the page is done in time");
    assert_eq!(done, "sent");
    (browser, profile)
}

/// A browser that ends with its test.
struct Browser(std::process::Child);

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
