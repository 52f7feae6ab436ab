//! Nothing accepted is ever lost (DESIGN sections 1, 3 and 10).

use std::{collections::BTreeMap, time::Duration};

use reqwest::Method;

use crate::harness::{
    Answered as _, App, Load, Reply, Server, Sink, eventually, json,
    socket::{Socket, post},
    within,
};

/// Installs, events, links and clicks, from the device number `first` on.
fn load(app: &App, link: &crate::harness::Link, first: u64) -> Load {
    let (app, link) = (app.clone(), link.clone());
    Load::of(16, move |n| {
        let (app, link) = (app.clone(), link.clone());
        async move {
            let device = format!("SX-{}", first + n / 4);
            let ids = json!({ "custom": device });
            let body = match n % 4 {
                0 => {
                    let path =
                        link.path(&format!("pbr=1&click_id=p-{n}&device_id={device}&device_id_type=custom"));
                    return app.server.request(Method::GET, &path).try_answer().await;
                }
                1 => app.body("install", &device, json!({ "device_ids": ids })),
                2 => app.body(
                    "event",
                    &device,
                    json!({ "event_name": "Purchase", "event_data": { "sum": n } }),
                ),
                _ => app.body("identityLink", &device, json!({ "identity_link": { "user_id": device } })),
            };
            app.server.request(Method::POST, "/track/json").body(body.to_string()).try_answer().await
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_under_load_loses_nothing_that_was_promised() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    sink.on("/install", [Reply::Slow(Duration::from_millis(15))]);
    let to = |path: &str| json!({ "cpi_mostback_url": sink.url(path) });
    app.trigger("install", to("/install?d={delivery_id}&k={kochava_device_id}")).await;
    app.trigger("event", to("/event?d={delivery_id}&k={kochava_device_id}&v={event_value}")).await;
    app.trigger("click", to("/click?d={delivery_id}&c={click_id}")).await;

    let mut held = Vec::new();
    for (round, until) in [(1, 170), (2, 310), (3, 40), (4, 230)] {
        let load = load(&app, &link, round * 1_000_000);
        within(Duration::from_secs(60), "some load", async || (load.held() > until).then_some(())).await;
        server.kill9();
        held.extend(load.end().await);
        server.start_again().await;
    }
    for input in &held {
        let row = server.input(input).await;
        assert_eq!(row["became"], "accepted", "{input}: {row}");
    }
    within(Duration::from_secs(150), "every postback delivered", async || {
        server.get("/api/deliveries?limit=1&state=pending").await.is(200).json()["data"]
            .as_array()
            .is_some_and(Vec::is_empty)
            .then_some(())
    })
    .await;
    let ledger = server.balanced().await;
    assert!(ledger["inputs"]["accepted"].as_u64() >= Some(held.len() as u64), "{ledger}");

    // Each is known to the partner by one id with one content.
    let mut contents: BTreeMap<String, String> = BTreeMap::new();
    for hit in sink.all() {
        let id = hit.parameter("d").expect("a delivery id");
        let content = format!("{} {}", hit.path, hit.query);
        let known = contents.entry(id).or_insert_with(|| content.clone());
        assert_eq!(*known, content, "one id with two contents");
    }
    let delivered = server.deliveries("state=delivered").await;
    assert_eq!(ledger["postbacks"]["delivered"], delivered.len(), "{ledger}");
    assert_eq!(ledger["postbacks"]["dead"], 0, "{ledger}");
    for row in &delivered {
        let id = row["delivery_id"].as_str().unwrap();
        let content = contents.remove(id).unwrap_or_else(|| panic!("the partner knows nothing of {row}"));
        let url = row["url"].as_str().unwrap();
        assert!(url.ends_with(&content.replacen(' ', "?", 1)), "{content} is not {url}");
    }
    assert!(contents.is_empty(), "sent but not on record: {contents:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_that_hang_up_and_come_again_count_once() {
    const SENDERS: u64 = 120;
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    app.trigger("install", json!({ "cpi_mostback_url": sink.url("/install?k={kochava_device_id}") })).await;
    let mut senders = tokio::task::JoinSet::new();
    for n in 0..SENDERS {
        let app = app.clone();
        senders.spawn(async move {
            let body = app.body(
                "install",
                &format!("SX-{n}"),
                json!({ "device_ids": { "custom": format!("c-{n}") } }),
            );
            let body = body.to_string();
            let key = format!("k-{n}");
            for attempt in 0..3 {
                let mut socket = Socket::open(app.server.address()).await;
                let request = post("/track/json", &[("idempotency-key", &key)], body.as_bytes());
                socket.write(&request).await;
                socket.hang_up_after(Duration::from_millis(1 + (n + attempt) % 10)).await;
            }
            let request = app.server.request(Method::POST, "/track/json").header("Idempotency-Key", &key);
            request.body(body).answer().await.accepted()
        });
    }
    let mut held = std::collections::BTreeSet::new();
    while let Some(input) = senders.join_next().await {
        held.insert(input.expect("every retry is answered"));
    }
    assert_eq!(held.len() as u64, SENDERS);
    server.settled("", "delivered", held.len()).await;
    let ledger = eventually("nothing is in flight", async || {
        let ledger = server.ledger().await;
        (ledger["inputs"]["in_flight"] == 0).then_some(ledger)
    })
    .await;
    assert_eq!(ledger["inputs"]["by_kind"], json!({ "install": SENDERS }), "{ledger}");
    assert_eq!(ledger["installs"], json!({ "organic": SENDERS }), "{ledger}");
    assert_eq!(ledger["postbacks"]["due"], SENDERS, "{ledger}");
    server.balanced().await;
    assert_eq!(sink.all().len() as u64, SENDERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_in_full_is_there_or_it_is_not() {
    const SENDERS: u64 = 200;
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    app.trigger("install", json!({ "cpi_mostback_url": sink.url("/install?k={kochava_device_id}") })).await;
    let mut senders = tokio::task::JoinSet::new();
    for n in 0..SENDERS {
        let app = app.clone();
        senders.spawn(async move {
            let body = app.body("install", &format!("SX-{n}"), json!({})).to_string();
            let mut request = post("/track/json", &[], body.as_bytes());
            // Every fourth hangs up in the middle of the body.
            if n % 4 == 0 {
                request.truncate(request.len() - 10);
            }
            let mut socket = Socket::open(app.server.address()).await;
            socket.write(&request).await;
            socket.hang_up_after(Duration::from_millis(1 + n % 10)).await;
        });
    }
    senders.join_all().await;
    // What they wrote may still lie in a socket that the server has not come to: until everything agrees.
    let there = eventually("what is there, promised and told is the same", async || {
        let mut there = 0;
        for n in 0..SENDERS {
            let path = format!("/v1/apps/{}/attribution/SX-{n}", app.guid);
            match server.get(&path).await.status {
                200 if n % 4 == 0 => panic!("half a body is no install: SX-{n}"),
                200 => there += 1,
                404 => {}
                status => panic!("{status} for SX-{n}"),
            }
        }
        let ledger = server.ledger().await;
        let agrees = ledger["inputs"]["in_flight"] == 0
            && ledger["inputs"]["accepted"] == there
            && ledger["postbacks"]["due"] == there
            && ledger["postbacks"]["delivered"] == there;
        agrees.then_some(there)
    })
    .await;
    assert!(there > 0, "work that was received is finished though the sender has gone");
}

#[tokio::test]
async fn a_promise_survives_the_very_next_moment() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    for round in 0..5 {
        let device = format!("SX-{round}");
        let install = app.install(&device, json!({})).await;
        server.kill9();
        server.start_again().await;
        assert_eq!(server.input(&install).await["outcomes"][0]["outcome"], "installed");
        let event = app.event(&device, "Purchase", json!({})).await;
        assert_eq!(server.input(&event).await["outcomes"][0]["outcome"], "linked");
    }
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["accepted"], 10, "{ledger}");
}

/// Postbacks that are on their way when the process dies go out again at once when it is back: nothing waits
/// for a lease to end, nothing is lost, and each goes by one identifier.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_while_postbacks_are_on_their_way_loses_none() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    sink.on("/install", [Reply::Hang]);
    app.trigger("install", json!({ "cpi_mostback_url": sink.url("/install?d={delivery_id}") })).await;
    for n in 0..50 {
        app.install(&format!("SX-{n}"), json!({})).await;
    }
    sink.receives("/install", 20).await;
    server.kill9();
    // The next process is answered with resets, then well.
    sink.on("/install", [Reply::Reset, Reply::Reset, Reply::Reset, Reply::Status(200)]);
    server.start_again().await;
    let delivered = server.settled("", "delivered", 50).await;
    assert_eq!(delivered.len(), 50);
    let once: std::collections::BTreeSet<_> =
        sink.all().iter().filter_map(|hit| hit.parameter("d")).collect();
    assert_eq!(once.len(), 50, "one identifier each");
    let retried = delivered.iter().filter(|row| row["attempts_made"] == 2).count();
    assert!(retried <= 3, "only what was reset: {retried}");
    server.balanced().await;
}
