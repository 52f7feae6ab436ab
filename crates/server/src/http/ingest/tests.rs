//! Ingest in process: what only a store that fails on purpose, or a body that nobody would send by hand, can
//! show (ingest.md sections 15 to 17, DECISIONS 9, 10, 25, 26).

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Request},
};
use serde_json::{Value, json};
use store::{Faulty, Memory};
use tower::ServiceExt as _;

use crate::http::tests::Server;

/// The longest that a test waits for something that has to come.
const PATIENCE: Duration = Duration::from_secs(20);
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148";

/// What came back from an address that the world sends to.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn inputs(&self) -> Vec<&str> {
        self.header("sextant-input").split(',').filter(|id| !id.is_empty()).collect()
    }
}

/// A server whose store can be stalled, with an app `ko-1` and a tracker `guid`.
struct World {
    server: Server,
    store: Arc<Faulty<Memory>>,
    guid: String,
}

impl World {
    async fn with(settings: &[(&'static str, &str)]) -> Self {
        let store = Arc::new(Faulty::new(Memory::new()));
        let server = Server::over(store.clone(), settings).await;
        let body = json!({ "name": "Demo", "platform": "iOS", "guid": "ko-1" });
        server.expect(201, "POST /apps", body).await;
        server.expect(201, "POST /networks", json!({ "name": "Blue" })).await;
        server.expect(201, "POST /campaign/1", json!({ "name": "Spring" })).await;
        server.expect(201, "POST /tier/1", json!({ "name": "DE" })).await;
        let tracker = json!({
            "name": "DE", "campaign_id": "1", "tier_id": "1", "network_id": "1001",
            "destination_url": "https://shop.example.com/",
        });
        let tracker = server.expect(201, "POST /tracker/1/create", tracker).await;
        Self { guid: tracker["guid"].as_str().unwrap().to_owned(), server, store }
    }

    async fn send(&self, line: &str, headers: &[(&str, &[u8])], body: impl Into<Body>) -> Reply {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.into()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([203, 0, 113, 7], 4711))));
        let response = self.server.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Reply { status, headers, body }
    }

    async fn post(&self, body: &Value) -> Reply {
        self.send("POST /track/json", &[], body.to_string()).await
    }

    async fn click(&self, more: &str) -> Reply {
        let line = format!("GET /v1/cpi/click?campaign_id={}&network_id=1001{more}", self.guid);
        self.send(&line, &[("user-agent", IPHONE.as_bytes())], Body::empty()).await
    }

    async fn ledger(&self) -> Value {
        let ledger = self.server.get("/api/ledger").await.body;
        assert_eq!(ledger["balanced"], json!(true), "{ledger}");
        ledger["inputs"].clone()
    }

    /// Waits until a count of the ledger is as expected.
    async fn until(&self, count: &str, expected: u64) {
        let begun = Instant::now();
        loop {
            let inputs = self.ledger().await;
            if inputs[count] == json!(expected) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{count} never was {expected}: {inputs}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the engine is at a stalled commit.
    async fn until_stalled(&self) {
        let begun = Instant::now();
        while self.store.stalled_commits() == 0 {
            assert!(begun.elapsed() < PATIENCE, "nothing was to be committed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn install(device: &str, click: &str) -> Value {
    json!({ "action": "install", "kochava_app_id": "ko-1", "kochava_device_id": device, "data": {
        "device_ua": IPHONE, "origination_ip": "203.0.113.7",
        "conversion_data": { "utm_source": click },
    }})
}

fn event(device: &str, n: usize) -> Value {
    json!({ "action": "event", "kochava_app_id": "ko-1", "kochava_device_id": device,
        "data": { "event_name": "x", "event_data": { "n": n } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_sent_on_while_storage_stalls_and_its_click_wins_later() {
    let world = World::with(&[("click.commit_wait", "50ms")]).await;
    world.store.stall_commits(true);
    let reply = tokio::time::timeout(PATIENCE, world.click("")).await.expect("the wait is bounded");
    assert_eq!(reply.status, 302);
    let inputs = world.ledger().await;
    assert_eq!((&inputs["redirected_unconfirmed"], &inputs["accepted"]), (&json!(1), &json!(0)));
    assert_eq!(inputs["in_flight"], json!(1));

    world.store.stall_commits(false);
    world.until("accepted", 1).await;
    world.until("redirected_unconfirmed", 0).await;
    let [click] = reply.inputs()[..] else { panic!("{reply:?}") };
    assert_eq!(world.server.get(&format!("/api/inputs/{click}")).await.status, 200);

    let (_, id) = reply.header("location").split_once("ko_click_id=").unwrap();
    assert_eq!(world.post(&install("SX-1", id)).await.status, 200);
    let found = world.server.get("/v1/apps/ko-1/attribution/SX-1").await.body;
    assert_eq!(found["decision"]["winner"]["click_id"].as_str(), Some(id), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_waits_for_the_commit_of_its_click() {
    let world = World::with(&[("click.commit_wait", "1ms")]).await;
    world.store.stall_commits(true);
    let mut call = Box::pin(world.click("&pbr=1"));
    // Polled until the click is at the store: it may not have been answered by then, and not much later.
    tokio::select! {
        reply = &mut call => panic!("answered before the commit: {reply:?}"),
        () = async { world.until_stalled().await; tokio::time::sleep(Duration::from_millis(100)).await } => {}
    }
    assert_eq!(world.server.site.ledger.unconfirmed(), 0);
    world.store.stall_commits(false);
    let reply = call.await;
    assert_eq!((reply.status, reply.json(), reply.inputs().len()), (200, json!({ "success": "1" }), 1));
    world.until("accepted", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_accepted_that_could_not_be_committed() {
    let world = World::with(&[]).await;
    world.store.fail_commits(usize::MAX);
    let array = json!([event("SX-1", 1), event("SX-1", 2)]);
    for body in [event("SX-1", 1), install("SX-1", ""), array, json!({ "action": "event" })] {
        let reply = world.post(&body).await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, "2"), "{body}");
        assert_eq!(reply.json()["success"], json!("0"));
        assert!(reply.inputs().is_empty(), "{reply:?}");
    }
    let server = world.click("&pbr=1").await;
    assert_eq!((server.status, server.header("retry-after")), (503, "2"));
    // The person goes on; the click is told of as refused.
    let browser = world.click("").await;
    assert_eq!((browser.status, browser.inputs().len()), (302, 0));
    let inputs = world.ledger().await;
    assert_eq!((&inputs["accepted"], &inputs["quarantined"]), (&json!(0), &json!(0)));
    assert_eq!((&inputs["refused"], &inputs["in_flight"]), (&json!(7), &json!(0)));

    world.store.fail_commits(0);
    assert_eq!(world.post(&event("SX-1", 1)).await.status, 200);
    assert_eq!(world.ledger().await["accepted"], json!(1));
}
