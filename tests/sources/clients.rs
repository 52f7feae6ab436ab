//! The platforms' own client libraries, installed from their registries and pointed at a running server;
//! then the same through answers that go wrong. What Sextant has afterwards is what was sent, once each.
//!
//! Where a registry or Chromium is missing, a test says that it is skipped.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use axum::{
    Router,
    http::{Uri, header},
    response::Html,
    routing::get,
};
use tokio::{
    process::Child,
    sync::{OnceCell, mpsc},
};

use crate::harness::{
    App, Browser, Server, Value,
    faults::{Fault, Faults},
    installed::{self, INSTALLING, LISTS, PLACE, run, skipped},
    json, now_ms, within,
};

/// How long a library may take.
const PATIENCE: Duration = Duration::from_secs(150);

/// What goes wrong, one answer after the other, for libraries that retry at once.
const WRONG: [Fault; 4] = [Fault::TooMany, Fault::Turned(503), Fault::Lost(500), Fault::Lost(502)];

/// What a client sends.
struct Plan {
    /// When the client began, milliseconds.
    begun: i64,
    device: &'static str,
    user: &'static str,
    installed: i64,
    purchases: Vec<(i64, f64)>,
}

impl Plan {
    fn new() -> Self {
        let hour = 3_600_000;
        let now = now_ms();
        let purchases = vec![(now - 20 * hour, 14.98), (now - 10 * hour, 0.5), (now - hour, 1_200.0)];
        Self { begun: now, device: "device-77", user: "user-4242", installed: now - 30 * hour, purchases }
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

    /// Fails the test unless Sextant has exactly what was sent.
    async fn arrived(&self, app: &App, faults: &Faults, currency: Option<&str>) {
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
                Some("install") => self.is(time, self.installed),
                Some("event") => events.push((time, row)),
                Some("identity_link") => {
                    let changed: Vec<&Value> =
                        row["outcomes"].as_array().into_iter().flatten().map(|one| &one["changed"]).collect();
                    let names =
                        |changed: &Value| changed.as_array().is_some_and(|of| of.contains(&json!("plan")));
                    assert!(changed.into_iter().any(names), "the user is known: {row}");
                }
                _ => {}
            }
        }
        kinds.sort_unstable();
        assert_eq!(kinds, ["event", "event", "event", "identity_link", "install"], "{:?}", faults.statuses());
        events.sort_by_key(|(time, _)| *time);
        for ((time, row), (wanted, revenue)) in events.iter().zip(&self.purchases) {
            self.is(*time, *wanted);
            assert_eq!(row["event"]["name"], "Purchase", "{row}");
            assert_eq!(row["event"]["currency"].as_str(), currency, "{row}");
            // At once, or when the install came.
            let outcomes = row["outcomes"].as_array().expect("outcomes");
            assert!(outcomes.iter().any(|one| one["outcome"] == "linked"), "{row}");
            let amount = row["event"]["amount"].as_str().and_then(|amount| amount.parse::<f64>().ok());
            assert_eq!(amount, Some(*revenue), "{row}");
        }
        let ledger = app.server.balanced().await;
        let by_kind = &ledger["inputs"]["by_kind"];
        assert_eq!(by_kind, &json!({ "event": 3, "identity_link": 1, "install": 1 }), "once each: {ledger}");
        assert_eq!(faults.left(), 0, "every fault was met: {:?}", faults.statuses());
    }

    /// A time is the one that was sent, but for what both platforms' rule for wrong clocks adds: the time from
    /// the client's writing when it sends until the call is received, which is less than the client has run.
    fn is(&self, time: Option<jiff::Timestamp>, wanted: i64) {
        let (time, ran) = (time.map_or(0, |time| time.as_millisecond()), now_ms() - self.begun);
        assert!((-1..=ran + 1).contains(&(time - wanted)), "{time} is not {wanted}; the client ran {ran} ms");
    }
}

/// Runs a client through a proxy without faults and through one with them; the requests that came compressed.
async fn check<T>(currency: Option<&str>, run: impl AsyncFn(String, String, String) -> T) -> usize {
    let mut compressed = 0;
    for faults in [Vec::new(), WRONG.to_vec()] {
        let server = Server::start().await;
        let app = server.app("Android").await;
        let plan = Plan::new();
        let proxy = Faults::before(server.address(), faults).await;
        let _running = run(format!("http://{}", proxy.address()), app.guid.clone(), plan.text()).await;
        plan.arrived(&app, &proxy, currency).await;
        compressed += proxy.compressed();
    }
    compressed
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
    check(Some("EUR"), async |host, key, plan| {
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
        let compressed = check(Some("EUR"), async |host, key, plan| {
            let arguments = [&script("segment_python.py"), &host, &key, &plan, compression];
            client(&python, &arguments, Path::new(LISTS)).await;
        })
        .await;
        assert_eq!(compressed > 0, compression == "gzip", "{compressed} requests");
    }
}

#[tokio::test]
async fn amplitude_analytics_node() {
    let place = match node().await {
        Ok(place) => place,
        Err(why) => return skipped("amplitude_analytics_node", &why),
    };
    check(None, async |host, key, plan| {
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
    check(None, async |host, key, plan| {
        client(&python, &[&script("amplitude_python.py"), &host, &key, &plan], Path::new(LISTS)).await;
    })
    .await;
}

#[tokio::test]
async fn segment_analytics_next_in_a_browser() {
    let test = "segment_analytics_next_in_a_browser";
    let place = match node().await {
        Ok(place) => place,
        Err(why) => return skipped(test, &why),
    };
    let library = std::fs::read(place.join("node_modules/@segment/analytics-next/dist/umd/index.js"));
    let library = library.expect("the library has a bundle for browsers");
    let page = std::fs::read_to_string(script("segment_browser.html")).expect("the page");
    let (says, mut said) = mpsc::channel(8);
    let script = [(header::CONTENT_TYPE, "text/javascript")];
    let done = move |uri: Uri| {
        let says = says.clone();
        async move {
            let _ = says.send(uri.query().unwrap_or_default().to_owned()).await;
        }
    };
    let site = Router::new()
        .route("/page", get(Html(page)))
        .route("/index.js", get((script, library)))
        .route("/done", get(done));
    let Some(browser) = Browser::on_site(test, site).await else { return };
    let said = tokio::sync::Mutex::new(&mut said);
    check(Some("EUR"), async |host, key, plan| {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("host", host.trim_start_matches("http://")), ("key", &key), ("plan", &plan)])
            .finish();
        // It stays, because the library may have to retry.
        let browsing: Child = browser.stay(&format!("/page?{query}"));
        let done = tokio::time::timeout(PATIENCE, async { said.lock().await.recv().await }).await;
        assert_eq!(done.expect("the page is done in time").as_deref(), Some("sent"));
        browsing
    })
    .await;
}
