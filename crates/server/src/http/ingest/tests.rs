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
use store::{Faulty, Memory, Store as _};
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

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, plain).unwrap();
    encoder.finish().unwrap()
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

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_answered_as_its_sender_reads_it_and_counted_once() {
    let world = World::with(&[("limits.request_timeout", "100ms")]).await;
    world.store.stall_commits(true);
    type IsOfForm = fn(&Value) -> bool;
    let calls: [(&str, Value, IsOfForm); 4] = [
        ("/track/json", event("SX-1", 1), |body| body["success"] == json!("0")),
        (
            "/v1/track",
            json!({ "writeKey": "ko-1", "event": "x", "userId": "u-1", "context": { "ip": "203.0.113.7" } }),
            |body| body["success"] == json!(false) && body["code"].is_string(),
        ),
        (
            "/2/httpapi",
            json!({ "api_key": "ko-1", "events": [{ "event_type": "x", "device_id": "device-1" }] }),
            |body| body["code"] == json!(503),
        ),
        ("/track/json", json!({ "action": "event" }), |body| body["success"] == json!("0")),
    ];
    for (path, call, is_of_form) in &calls {
        let reply = world.send(&format!("POST {path}"), &[], call.to_string()).await;
        assert_eq!(
            (reply.status, reply.header("access-control-allow-origin")),
            (503, "*"),
            "{path}: {reply:?}"
        );
        assert!(!reply.header("retry-after").is_empty(), "{path}");
        assert!(is_of_form(&reply.json()), "{path}: {}", reply.json());
    }
    let inputs = world.ledger().await;
    assert_eq!((&inputs["received"], &inputs["in_flight"]), (&json!(4), &json!(4)), "{inputs}");
    world.store.stall_commits(false);
    world.until("accepted", 3).await;
    world.until("quarantined", 1).await;
    // What is on record is counted as such a moment before its sender would have been answered.
    world.until("in_flight", 0).await;
    let inputs = world.ledger().await;
    assert_eq!(
        (&inputs["received"], &inputs["refused"], &inputs["in_flight"]),
        (&json!(4), &json!(0), &json!(0)),
        "finished, and counted once: {inputs}"
    );
}

#[tokio::test]
async fn what_cannot_be_used_counts_once_under_its_key() {
    let world = World::with(&[]).await;
    let call = async |key: &str, body: &str| {
        let reply =
            world.send("POST /track/json", &[("idempotency-key", key.as_bytes())], body.to_owned()).await;
        (reply.status, reply.inputs().join(","), reply.json())
    };
    let nameless = r#"{"action":"event","kochava_app_id":"ko-1","data":{}}"#;
    let bodies = [
        nameless,
        r#"{"action":"event","kochava_app_id":"ko-nowhere","data":{}}"#,
        r#"{"action":"event","#,
        r#"[{"action":"event","kochava_app_id":"ko-1","data":{}},7]"#,
    ];
    for (n, body) in bodies.iter().enumerate() {
        let first = call(&format!("k-{n}"), body).await;
        assert!(matches!(first.0, 400 | 404), "{body}: {first:?}");
        assert_eq!(call(&format!("k-{n}"), body).await, first, "{body}");
    }
    let inputs = world.ledger().await;
    assert_eq!((&inputs["quarantined"], &inputs["repeated"]), (&json!(5), &json!(5)), "{inputs}");
    let kept = world.server.get("/api/apps/1/quarantine").await.body;
    assert_eq!(kept["data"].as_array().map(Vec::len), Some(2), "{kept}");
    // Another body under the key is another attempt, good or not, and so is the same one under another key.
    assert_ne!(call("k-0", &nameless.replace("{}", r#"{"n":1}"#)).await.1, call("k-0", nameless).await.1);
    assert_ne!(call("k-9", nameless).await.1, call("k-0", nameless).await.1);
    assert_eq!(call("k-0", &event("SX-1", 1).to_string()).await.0, 200);
    assert_eq!(call("k-0", &event("SX-1", 2).to_string()).await.0, 409);
    let nt = r#"{"action":"event","kochava_app_id":"ko-1","nt_id":"n-1","data":{}}"#;
    let replies =
        [world.send("POST /track/json", &[], nt).await, world.send("POST /track/json", &[], nt).await];
    assert_eq!(replies[0].inputs(), replies[1].inputs());
    assert_eq!(world.ledger().await["quarantined"], json!(8));
}

#[tokio::test]
async fn what_may_be_an_identity_link_is_kept_masked() {
    let world = World::with(&[]).await;
    let check = async |path: &str, body: &str| {
        let reply = world.send(&format!("POST {path}"), &[], body.to_owned()).await;
        assert_eq!(reply.status, 400, "{path} {body}");
        let shown = async |app: &str| {
            let kept = world.server.get(&format!("/api/apps/{app}/quarantine?limit=1")).await.body;
            kept["data"][0]["body"].as_str().unwrap_or_default().to_owned()
        };
        for kept in [shown("1").await, shown("unknown").await] {
            assert!(!kept.contains("joe@example.com") && !kept.contains("u-42"), "{path} {body}: {kept}");
        }
    };
    let body = |action: &str| {
        format!(
            r#"{{"action":"{action}","kochava_app_id":"ko-1","data":{{"email":"joe@example.com","user_id":"u-42"}}}}"#
        )
    };
    for misspelled in ["identitylink", "IdentityLink", "identity_link", " identityLink"] {
        check("/track/json", &body(misspelled)).await;
    }
    let link = "/v1/cpi/identityLink.php";
    for action in ["event", "install", "identitylink"] {
        let body = body(action);
        check(link, &body).await;
        check(link, body.trim_end_matches('}')).await;
        check(link, &format!("[{body}]")).await;
        let deep = body.replace("\"u-42\"", &format!("\"u-42\",\"a\":{}{}", "[".repeat(40), "]".repeat(40)));
        check(link, &deep).await;
        check(link, &format!("[{deep}]")).await;
    }
}

#[tokio::test]
async fn an_array_is_answered_element_by_element() {
    let world = World::with(&[]).await;
    let bad = json!({ "action": "event", "kochava_app_id": "ko-1", "data": {} });
    let check = async |array: Value, status: u16, accepted: usize, rejected: &[usize]| {
        let reply = world.post(&array).await;
        assert_eq!((reply.status, reply.inputs().len()), (status, accepted), "{array}");
        let listed = reply.json()["rejected"].as_array().cloned().unwrap_or_default();
        let listed: Vec<_> = listed.iter().map(|row| row["index"].as_u64().unwrap() as usize).collect();
        assert_eq!(listed, rejected, "{array}");
    };
    check(json!([event("a", 1), event("a", 2)]), 200, 2, &[]).await;
    check(json!([bad, event("a", 3), 7, null]), 200, 1, &[0, 2, 3]).await;
    check(json!([bad, "x"]), 400, 0, &[0, 1]).await;
    let inputs = world.ledger().await;
    assert_eq!((&inputs["accepted"], &inputs["quarantined"]), (&json!(3), &json!(5)));
    // What is kept of a bad element is that element, not the whole body once for each.
    let kept = world.server.get("/api/apps/unknown/quarantine").await.body;
    let mut kept: Vec<_> =
        kept["data"].as_array().unwrap().iter().map(|row| row["body"].as_str().unwrap()).collect();
    kept.sort_unstable();
    assert_eq!(kept, ["\"x\"", "7", "null"]);
}

#[tokio::test]
async fn the_answer_to_a_large_array_can_still_be_read() {
    let world = World::with(&[]).await;
    let array: Vec<Value> = (0..1_500).map(|n| event("SX-1", n)).collect();
    let reply = world.post(&json!(array)).await;
    assert_eq!((reply.status, reply.inputs().len()), (200, 400));
    assert!(reply.header("sextant-input").len() < 65_536, "what senders take for one header");
    let all = reply.json()["inputs"].as_array().unwrap().clone();
    assert_eq!(all.len(), 1_500);
    assert_eq!(all[..400].iter().map(|id| id.as_str().unwrap()).collect::<Vec<_>>(), reply.inputs());
}

#[tokio::test]
async fn an_app_that_sends_too_fast_is_told_before_anything_of_the_call_is_kept() {
    let world = World::with(&[]).await;
    let other = json!({ "name": "Other", "platform": "iOS", "guid": "ko-2" });
    world.server.expect(201, "POST /apps", other).await;
    let settings = json!({ "settings": { "limits.app_requests_per_second": 1 } });
    world.server.expect(200, "PATCH /apps/1", settings).await;
    let mut foreign = event("SX-1", 1);
    foreign["kochava_app_id"] = json!("ko-2");
    let array = json!([foreign, event("SX-1", 2), event("SX-1", 3)]);
    assert_eq!(world.post(&array).await.status, 200, "one call counts once");
    for body in [array, event("SX-1", 4)] {
        let reply = world.post(&body).await;
        assert_eq!((reply.status, reply.header("retry-after")), (429, "2"), "{body}");
    }
    let inputs = world.ledger().await;
    assert_eq!((&inputs["accepted"], &inputs["refused"]), (&json!(3), &json!(4)));
}

#[tokio::test]
async fn a_repeated_key_counts_once() {
    let world = World::with(&[]).await;
    let long = "k".repeat(60_000);
    for (round, key) in ["a", &long, "ключ", "\u{e9}"].into_iter().enumerate() {
        let call = async |body: Value| {
            world.send("POST /track/json", &[("idempotency-key", key.as_bytes())], body.to_string()).await
        };
        let first = call(event("SX-1", round)).await;
        let again = call(event("SX-1", round)).await;
        assert_eq!((first.status, again.status), (200, 200));
        assert_eq!(first.inputs(), again.inputs(), "round {round}");
        assert_eq!(call(event("SX-1", 99)).await.status, 409, "another body");
    }
    let nt = |n: usize| {
        let mut body = event("SX-1", n);
        body["nt_id"] = json!("n-1");
        body
    };
    let twice = world.post(&json!([nt(1), nt(1), nt(2)])).await;
    let inputs = twice.inputs();
    assert_eq!((twice.status, inputs.len(), inputs[0] == inputs[1]), (200, 2, true));
    assert_eq!(twice.json()["rejected"][0]["index"], json!(2));
    assert_eq!(world.ledger().await["accepted"], json!(5));
}

#[tokio::test]
async fn a_key_that_tells_a_dropped_idfa_is_not_kept() {
    const IDFA: &str = "7C9E6679-7425-40DE-944B-E07FC1F90AE7";
    let world = World::with(&[]).await;
    let body = |action: &str, nt_id: &str, n: usize| {
        json!({ "action": action, "kochava_app_id": "ko-1", "kochava_device_id": "SX-1", "nt_id": nt_id,
                "data": { "device_ver": "iPhone-iOS-17.5", "event_name": "x", "event_data": { "n": n },
                          "device_ids": { "idfa": IDFA },
                          "app_tracking_transparency": { "att": false } } })
    };
    let key = format!("install-{IDFA}");
    let header: &[(&str, &[u8])] = &[("idempotency-key", key.as_bytes())];
    let of_click = format!("click-{IDFA}");
    let click_header: &[(&str, &[u8])] = &[("idempotency-key", of_click.as_bytes())];
    let post = "POST /track/json".to_owned();
    let click = format!(
        "GET /v1/cpi/click?campaign_id={}&network_id=1001&pbr=1&att=0&device_id_type=idfa&device_id={IDFA}",
        world.guid
    );
    let array = |n: usize| json!([body("event", "", 3), body("event", "", n)]).to_string();
    let check = async |line: &str, headers: &[(&str, &[u8])], sent: String, other: (&str, String)| {
        let first = world.send(line, headers, sent.clone()).await;
        let again = world.send(line, headers, sent).await;
        assert_eq!((first.status, again.status), (200, 200), "{line}: {first:?}");
        assert_eq!(first.inputs(), again.inputs(), "{line}: counted once");
        assert!(!first.inputs().is_empty(), "{line}: {first:?}");
        let (line, other) = other;
        let other = world.send(line, headers, other).await;
        let refused = other.status == 409 || other.json()["rejected"][0]["error"].is_string();
        assert!(refused, "{line}: another body: {other:?}");
    };
    check(&post, header, body("install", "", 1).to_string(), (&post, body("install", "", 2).to_string()))
        .await;
    check(&post, header, array(4), (&post, array(5))).await;
    let nt = format!("nt-{IDFA}");
    check(&post, &[], body("event", &nt, 6).to_string(), (&post, body("event", &nt, 7).to_string())).await;
    check(&click, click_header, String::new(), (&format!("{click}&site_id=other"), String::new())).await;
    let facts = world.store.facts(0, 100).unwrap();
    let keys = facts.iter().filter(|fact| fact.input.key.is_some()).count();
    assert_eq!((facts.len(), keys), (5, 5));
    for fact in facts {
        let fact = serde_json::to_string(&fact).unwrap();
        let plain = fact.replace('-', "").to_lowercase();
        assert!(!plain.contains(&IDFA.replace('-', "").to_lowercase()), "{fact}");
    }
}

#[tokio::test]
async fn a_repeated_click_leads_on_as_the_first_one() {
    let world = World::with(&[]).await;
    let click = async |more: &str| {
        let line = format!("GET /v1/cpi/click?campaign_id={}{more}", world.guid);
        world.send(&line, &[("idempotency-key", b"c-1")], Body::empty()).await
    };
    let first = click("").await;
    for more in ["", "&site_id=other"] {
        let again = click(more).await;
        assert_eq!((again.status, again.inputs()), (302, first.inputs()), "{more}");
        assert_eq!(again.header("location"), first.header("location"), "{more}");
    }
    let server = click("&pbr=1").await;
    assert_eq!((server.status, server.json()["success"].as_str()), (409, Some("0")));
    let inputs = world.ledger().await;
    assert_eq!((&inputs["accepted"], &inputs["repeated"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn the_limit_of_a_body_is_exact() {
    let world = World::with(&[]).await;
    let body = |bytes: usize| {
        let start = r#"{"action":"event","kochava_app_id":"ko-1","data":{"event_name":"x","pad":""#;
        format!("{start}{}\"}}}}", "x".repeat(bytes - start.len() - 3))
    };
    for (bytes, status) in [(2_097_151, 200), (2_097_152, 413)] {
        let plain = body(bytes);
        assert_eq!(plain.len(), bytes);
        let packed = gzip(plain.as_bytes());
        assert_eq!(world.send("POST /track/json", &[], plain).await.status, status, "{bytes}");
        assert_eq!(world.send("POST /track/json", &[], packed).await.status, status, "{bytes} packed");
    }
    let check = async |name: &str, body: Vec<u8>, status: u16| {
        assert_eq!(world.send("POST /track/json", &[], body).await.status, status, "{name}");
    };
    check("bomb", gzip(&vec![b'0'; 30_000_000]), 413).await;
    check("two members", [gzip(&vec![b' '; 1_500_000]), gzip(&vec![b' '; 1_500_000])].concat(), 413).await;
    check("an object in two members", [gzip(b"{\"action\":"), gzip(b"7}")].concat(), 400).await;
    check("only the mark", vec![0x1f, 0x8b], 400).await;
    check("gzip in gzip", gzip(&gzip(event("SX-1", 1).to_string().as_bytes())), 400).await;
}

#[tokio::test]
async fn paths_and_methods() {
    let world = World::with(&[]).await;
    let click = format!("/v1/cpi/click?campaign_id={}", world.guid);
    let check = async |line: &str, status: u16| {
        let reply = world.send(line, &[], event("SX-1", 1).to_string()).await;
        assert_eq!(reply.status, status, "{line}");
        if status == 405 {
            assert!(!reply.header("allow").is_empty(), "{line}");
        }
    };
    check("POST /track/json/", 200).await;
    check("POST /track/json?a=b", 200).await;
    check("POST http://control.example.com/track/json", 200).await;
    check("OPTIONS /track/json", 204).await;
    check("OPTIONS /v1/cpi/identityLink.php/", 204).await;
    check("PUT /track/json", 405).await;
    check("GET /track/json", 405).await;
    check("HEAD /track/json", 405).await;
    check(&format!("GET {click}"), 302).await;
    check(&format!("POST {click}"), 405).await;
    check("GET /v1/cpi/click?campaign_id=nobody", 404).await;
    check("GET /v1/cpi/click", 404).await;
    check("GET /track/impression?campaign_id=nobody", 404).await;
}

#[tokio::test]
async fn a_user_agent_in_any_letters_counts() {
    let world = World::with(&[]).await;
    let line = format!("GET /v1/cpi/click?campaign_id={}", world.guid);
    let agent = format!("{IPHONE} Wetter für Köln");
    let reply = world.send(&line, &[("user-agent", agent.as_bytes())], Body::empty()).await;
    let input = world.server.get(&format!("/api/inputs/{}", reply.inputs()[0])).await.body;
    assert_eq!((reply.status, input["flags"].to_string().contains("ua_missing")), (302, false), "{input}");
}
