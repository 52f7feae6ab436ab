//! A server that a test can start, stop, kill and start again on the same data.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use reqwest::{Client, Method, RequestBuilder, redirect::Policy};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    answer::{Answer, Answered as _},
    app::App,
    moment::eventually,
    program::{Process, program},
};

/// The first management key of every server.
pub const KEY: &str = "5F1D7A3C-6B0E-4C2D-9E84-0A1B2C3D4E5F";

/// A server on a data directory of its own. Clones are the same server; dropping the last one kills it.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    home: TempDir,
    settings: Vec<(String, String)>,
    running: Mutex<Option<Process>>,
    /// Where it listens, or last did.
    address: Mutex<Option<SocketAddr>>,
    client: Client,
}

impl Server {
    /// A server as most tests need it: partners on loopback, clicks that say when they happened.
    pub async fn start() -> Self {
        Self::with(&[("SEXTANT_TRACKING_ACCEPT_CLICK_TIME", "true")]).await
    }

    /// A server with these settings and partners on loopback.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let mut own = vec![("SEXTANT_COURIER_ALLOW_TARGETS", "127.0.0.0/8")];
        own.extend(settings);
        Self::exactly(&own).await
    }

    /// A server with these settings and the first key only.
    pub async fn exactly(settings: &[(&str, &str)]) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        // The server lets go of a connection that says nothing for 10 s; one that is let go of while a request
        // is being written to it would fail a test for nothing.
        let client = Client::builder().redirect(Policy::none()).no_proxy();
        let client = client.pool_idle_timeout(Duration::from_secs(4)).build().expect("a client");
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let server = Self(Arc::new(Inner {
            home: TempDir::new().expect("a temporary directory"),
            settings: settings.collect(),
            running: Mutex::new(None),
            address: Mutex::new(None),
            client,
        }));
        server.start_again().await;
        server
    }

    /// Starts it on the data that it left.
    pub async fn start_again(&self) {
        let mut command = program();
        command.arg("serve").arg("--data-dir").arg(self.data()).args(["--listen", "127.0.0.1:0"]);
        command.env("SEXTANT_BOOTSTRAP_KEY", KEY).envs(self.0.settings.iter().cloned());
        let mut process = Process::start(command, &self.0.home.path().join("log"));
        let address = process.says("listening on ").await.parse().expect("an address");
        *self.0.running.lock().expect("no test holds it and fails") = Some(process);
        *self.0.address.lock().expect("no test holds it and fails") = Some(address);
        eventually("ready", async || {
            let answer = self.request(Method::GET, "/readyz").try_answer().await?;
            (answer.status == 200).then_some(())
        })
        .await;
    }

    /// Ends it from one moment to the next.
    pub fn kill9(&self) {
        self.taken().kill();
    }

    /// SIGTERM: has to exit with 0 within 30 s.
    pub async fn terminate(&self) {
        let mut process = self.taken();
        process.ask_to_end();
        let status = process.ended().await;
        assert_eq!(status.code(), Some(0), "after SIGTERM; log: {}", self.log());
    }

    /// The process, for tests that end it their own way.
    pub fn taken(&self) -> Process {
        self.0.running.lock().expect("no test holds it and fails").take().expect("the server runs")
    }

    /// Where it listens, or last did.
    pub fn address(&self) -> SocketAddr {
        self.0.address.lock().expect("no test holds it and fails").expect("the server was started")
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.0.home.path().join("data")
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.0.home.path().join("log")).unwrap_or_default()
    }

    /// What it printed to standard output.
    pub fn printed(&self) -> Vec<String> {
        let running = self.0.running.lock().expect("no test holds it and fails");
        running.as_ref().map(Process::printed).unwrap_or_default()
    }

    /// A request without a key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.0.client.request(method, format!("http://{}{path}", self.address()))
    }

    /// A request to somebody else.
    pub fn foreign(&self, method: Method, url: &str) -> RequestBuilder {
        self.0.client.request(method, url)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).header("Authentication-Key", KEY).answer().await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.request(Method::POST, path).header("Authentication-Key", KEY).json(&body).answer().await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.request(Method::PATCH, path).header("Authentication-Key", KEY).json(&body).answer().await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.request(Method::DELETE, path).header("Authentication-Key", KEY).answer().await
    }

    /// Sends bytes to an ingest path, as any sender may.
    pub async fn sends(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.request(Method::POST, path).body(body.into()).answer().await
    }

    /// An app for a platform.
    pub async fn app(&self, platform: &str) -> App {
        self.app_with(json!({ "name": format!("Shop {platform}"), "platform": platform })).await
    }

    /// An app made with these fields.
    pub async fn app_with(&self, fields: Value) -> App {
        App::new(self, &self.post("/apps", fields).await.is(201).json())
    }

    /// A network; its number as answers show it.
    pub async fn network(&self, name: &str) -> String {
        match &self.post("/networks", json!({ "name": name })).await.is(201).json()["id"] {
            Value::String(id) => id.clone(),
            id => id.to_string(),
        }
    }

    /// What became of an input.
    pub async fn input(&self, id: &str) -> Value {
        self.get(&format!("/api/inputs/{id}")).await.is(200).json()
    }

    pub async fn ledger(&self) -> Value {
        self.get("/api/ledger").await.is(200).json()
    }

    /// The ledger, which has to balance.
    pub async fn balanced(&self) -> Value {
        let ledger = self.ledger().await;
        assert_eq!(ledger["balanced"], true, "{ledger}");
        let inputs = &ledger["inputs"];
        let count = |name: &str| inputs[name].as_i64().unwrap_or_else(|| panic!("no {name} in {ledger}"));
        let (received, settled) =
            (count("received"), count("accepted") + count("refused") + count("quarantined"));
        let in_flight = inputs["in_flight"].as_i64().unwrap_or_default();
        assert_eq!(received, settled + in_flight, "{ledger}");
        let postbacks = &ledger["postbacks"];
        let count = |name: &str| postbacks[name].as_i64().unwrap_or_else(|| panic!("no {name} in {ledger}"));
        let suppressed: i64 =
            postbacks["suppressed"].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_i64()).sum();
        let accounted = count("delivered") + count("pending") + count("dead") + suppressed;
        assert_eq!(count("due"), accounted, "{ledger}");
        self.balanced_by_trigger(&ledger).await;
        ledger
    }

    /// The ledger of every trigger balances, and while nothing moves they add up to the whole.
    async fn balanced_by_trigger(&self, ledger: &Value) {
        let mut sums = BTreeMap::new();
        for trigger in 1.. {
            let answer = self.get(&format!("/api/triggers/{trigger}/ledger")).await;
            if answer.status == 404 {
                break;
            }
            let row = answer.is(200).json();
            assert_eq!(row["balanced"], true, "{row}");
            assert_eq!(row["counted_since"], Value::Null, "{row}");
            let suppressed = row["suppressed"].as_object().into_iter().flatten();
            let suppressed = suppressed.map(|(reason, n)| (format!("suppressed {reason}"), n));
            let whole =
                [("due", "matching"), ("delivered", "delivered"), ("pending", "pending"), ("dead", "dead")];
            let whole = whole.map(|(name, own)| (name.to_owned(), &row[own]));
            for (name, n) in whole.into_iter().chain(suppressed) {
                *sums.entry(name).or_insert(0) += n.as_i64().unwrap_or_else(|| panic!("no count in {row}"));
            }
        }
        if self.ledger().await["postbacks"] != ledger["postbacks"] {
            return;
        }
        let postbacks = &ledger["postbacks"];
        let suppressed = postbacks["suppressed"].as_object().into_iter().flatten();
        let suppressed = suppressed.map(|(reason, n)| (format!("suppressed {reason}"), n));
        let whole = ["due", "delivered", "pending", "dead"].map(|name| (name.to_owned(), &postbacks[name]));
        for (name, n) in whole.into_iter().chain(suppressed) {
            assert_eq!(sums.get(&name).copied().unwrap_or_default(), n.as_i64().unwrap(), "{name}: {ledger}");
        }
    }

    /// Every delivery that a query finds, over all pages.
    pub async fn deliveries(&self, query: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut token = String::new();
        loop {
            let page = self.get(&format!("/api/deliveries?limit=500&{query}{token}")).await.is(200).json();
            all.extend(page["data"].as_array().expect("data is a list").iter().cloned());
            match page["nextToken"].as_str() {
                Some(next) => token = format!("&pageToken={next}"),
                None => return all,
            }
        }
    }

    /// The deliveries of a query, once there are `count` of them in this state.
    pub async fn settled(&self, query: &str, state: &str, count: usize) -> Vec<Value> {
        let what = format!("{count} deliveries {state}");
        eventually(&what, async || {
            let found = self.deliveries(&format!("{query}&state={state}")).await;
            (found.len() >= count).then_some(found)
        })
        .await
    }
}
