//! Sending again what was delivered or given up (docs/delivery.md).

use crate::harness::{Reply, Server, Sink, eventually, json};

#[tokio::test]
async fn what_was_given_up_is_sent_again_after_an_outage() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    sink.on("/pb", [Reply::Status(403)]);
    let app = server.app("Android").await;
    let trigger =
        app.trigger("install", json!({ "cpi_mostback_url": sink.url("/pb?d={delivery_id}") })).await;
    for n in 0..7 {
        app.install(&format!("SX-{n}"), json!({})).await;
    }
    server.settled(&format!("trigger={trigger}"), "dead", 7).await;
    sink.on("/pb", [Reply::Status(200)]);

    // Counted first, and nothing is sent by counting.
    let ask = json!({ "trigger": trigger });
    let counted = server.post("/api/replays", ask).await.is(200).json();
    assert_eq!(counted, json!({ "matching": 7, "dry_run": true }));
    let none = json!({ "trigger": trigger, "from": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z" });
    assert_eq!(server.post("/api/replays", none).await.is(200).json()["matching"], 0);
    let delivered = json!({ "trigger": trigger, "state": "delivered" });
    assert_eq!(server.post("/api/replays", delivered).await.is(200).json()["matching"], 0);
    assert_eq!(sink.all().len(), 7);

    let begun =
        server.post("/api/replays", json!({ "trigger": trigger, "dry_run": false })).await.is(202).json();
    let path = format!("/api/replays/{}", begun["replay_id"]);
    let done = eventually("the replay is done", async || {
        let progress = server.get(&path).await.is(200).json();
        (progress["state"] == "done").then_some(progress)
    })
    .await;
    assert_eq!((&done["matching"], &done["replayed"]), (&json!(7), &json!(7)), "{done}");
    let rows = server.settled(&format!("trigger={trigger}"), "delivered", 7).await;
    for row in &rows {
        assert_eq!(row["attempts"].as_array().unwrap().len(), 2, "a replay is a new attempt: {row}");
        let id = row["delivery_id"].as_str();
        let seen: Vec<_> = sink.hits("/pb").iter().filter_map(|hit| hit.parameter("d")).collect();
        assert_eq!(
            seen.iter().filter(|seen| Some(seen.as_str()) == id).count(),
            2,
            "under the same identifier"
        );
    }
    let ledger = server.balanced().await;
    assert_eq!(
        (&ledger["postbacks"]["delivered"], &ledger["postbacks"]["dead"]),
        (&json!(7), &json!(0)),
        "{ledger}"
    );
    server.get("/api/replays/99").await.is(404);
    for wrong in [
        json!({ "state": "pending" }),
        json!({ "from": "soon" }),
        json!({ "app": "x" }),
        json!({ "app": app.id, "state": "dead", "frm": "2020-01-01T00:00:00Z" }),
        json!({ "app": app.id, "dryrun": false }),
    ] {
        let named = wrong.as_object().unwrap().keys().next_back().unwrap().clone();
        let answer = server.post("/api/replays", wrong).await.is(400).text();
        assert!(answer.contains(&named), "{answer}");
    }
    server.post("/api/replays", json!({ "trigger": 999 })).await.is(404);
}

#[tokio::test]
async fn one_delivery_is_sent_again_under_its_identifier_or_by_force_under_another() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let trigger =
        app.trigger("install", json!({ "cpi_mostback_url": sink.url("/pb?d={delivery_id}") })).await;
    app.install("SX-1", json!({})).await;
    let row = server.settled(&format!("trigger={trigger}"), "delivered", 1).await.remove(0);
    let id = row["delivery_id"].as_str().unwrap().to_owned();
    let path = format!("/api/deliveries/{id}/replay");
    let answer = server.post(&path, json!({})).await.is(202).json();
    assert_eq!((&answer["state"], &answer["sent_as"]), (&json!("pending"), &json!(id)), "{answer}");
    let hits = sink.receives("/pb", 2).await;
    assert_eq!(hits[0].headers["x-sextant-delivery"], hits[1].headers["x-sextant-delivery"]);
    eventually("it is settled", async || {
        let row = server.get(&format!("/api/deliveries/{id}")).await.is(200).json();
        (row["attempts_made"] == 2 && row["state"] == "delivered").then_some(())
    })
    .await;
    let forced = server.post(&path, json!({ "force": true })).await.is(202).json();
    assert_ne!(forced["sent_as"], json!(id), "{forced}");
    let hits = sink.receives("/pb", 3).await;
    assert_eq!(forced["sent_as"].as_str(), Some(hits[2].headers["x-sextant-delivery"].as_str()));
    assert_eq!(hits[2].parameter("d").as_deref(), forced["sent_as"].as_str());
    eventually("it is settled", async || {
        let row = server.get(&format!("/api/deliveries/{id}")).await.is(200).json();
        (row["attempts_made"] == 3 && row["state"] == "delivered").then_some(())
    })
    .await;
    server.balanced().await;
    server.post("/api/deliveries/dlv_x/replay", json!({})).await.is(404);
    server.post(&path, json!({ "froce": true })).await.is(400);
    server.delete(&format!("/postbacks/{trigger}")).await.is(200);
    server.post(&path, json!({})).await.is(409);
}

#[tokio::test]
async fn a_replay_waits_as_if_nothing_had_been_tried_before() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    sink.on("/pb", [Reply::Status(500)]);
    let app = server.app("Android").await;
    let context = json!({ "cpi_mostback_url": sink.url("/pb"), "max_delivery_attempts": 0 });
    let trigger = app.trigger("install", context).await;
    app.install("SX-1", json!({})).await;
    let row = server.settled(&format!("trigger={trigger}"), "dead", 1).await.remove(0);
    let id = row["delivery_id"].as_str().unwrap().to_owned();
    let more = json!({ "context": { "max_delivery_attempts": 1 } });
    server.patch(&format!("/postbacks/{trigger}"), more).await.is(200);
    let path = format!("/api/deliveries/{id}");
    server.post(&format!("{path}/replay"), json!({})).await.is(202);
    let row = eventually("it failed again", async || {
        let row = server.get(&path).await.is(200).json();
        (row["attempts_made"] == 2).then_some(row)
    })
    .await;
    assert_eq!((&row["state"], &row["attempts_allowed"]), (&json!("pending"), &json!(3)), "{row}");
    let time =
        |value: &crate::harness::Value| -> jiff::Timestamp { value.as_str().unwrap().parse().unwrap() };
    let wait = time(&row["due"]).duration_since(time(&row["attempts"][1]["started"]));
    // 10 s, a fifth less or more, and what the attempt took.
    assert!((8.0..20.0).contains(&wait.as_secs_f64()), "{wait:?}: {row}");
}

/// Of what was erased nothing is left to send: it is not counted, and its refusal says why.
#[tokio::test]
async fn what_was_erased_is_not_sent_again() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let trigger =
        app.trigger("install", json!({ "cpi_mostback_url": sink.url("/pb?k={kochava_device_id}") })).await;
    for device in ["SX-subject-1", "SX-stays-2"] {
        app.install(device, json!({})).await;
    }
    let rows = server.settled(&format!("trigger={trigger}"), "delivered", 2).await;
    let mine = rows.iter().find(|row| row["url"].as_str().unwrap().contains("SX-subject-1")).unwrap();
    let subject = json!({ "device_ids": [{ "id_type": "kochava_device_id", "id_value": "SX-subject-1" }] });
    server.post("/accounts/1/privacy/scrub", subject).await.is(200);
    let path = format!("/api/deliveries/{}", mine["delivery_id"].as_str().unwrap());
    eventually("the delivery is erased", async || {
        let row = server.get(&path).await.is(200).json();
        row["url"].as_str().unwrap().ends_with("[erased]").then_some(())
    })
    .await;
    let answer = server.post(&format!("{path}/replay"), json!({})).await.is(409).text();
    assert!(answer.contains("erased") && !answer.contains("pending"), "{answer}");
    let ask = json!({ "app": app.id, "state": "delivered" });
    assert_eq!(server.post("/api/replays", ask).await.is(200).json()["matching"], 1);
}
