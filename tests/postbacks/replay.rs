//! Sending again what was delivered or given up (docs/delivery.md).

use crate::harness::{Reply, Server, Sink, device, eventually, json, now};

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

/// After a URL was mended: as it was, a replay goes where it went; rendered anew, it goes where the trigger says now.
#[tokio::test]
async fn one_delivery_is_rendered_anew_for_a_trigger_that_was_mended() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    sink.on("/wrong", [Reply::Status(404)]);
    let app = server.app("Android").await;
    let query = "d={delivery_id}&k={kochava_device_id}&token=secret-of-";
    let url = |path: &str, version: u32| sink.url(&format!("/{path}?{query}{version}"));
    let trigger = app.trigger("install", json!({ "cpi_mostback_url": url("wrong", 1) })).await;
    app.install("SX-1", json!({})).await;
    let row = server.settled(&format!("trigger={trigger}"), "dead", 1).await.remove(0);
    let id = row["delivery_id"].as_str().unwrap().to_owned();
    let path = format!("/api/deliveries/{id}");
    let replay = format!("{path}/replay");
    let change = async |context: crate::harness::Value| {
        server.patch(&format!("/postbacks/{trigger}"), json!({ "context": context })).await.is(200);
    };
    let settled = async |attempts: u64, state: &str| {
        eventually("it is settled", async || {
            let row = server.get(&path).await.is(200).json();
            (row["attempts_made"] == attempts && row["state"] == state).then_some(row)
        })
        .await
    };
    change(json!({ "cpi_mostback_url": url("right", 2) })).await;

    let answer = server.post(&replay, json!({ "render": false })).await.is(202).json();
    assert_eq!(answer["trigger_version"], 1, "{answer}");
    let row = settled(2, "dead").await;
    assert_eq!((&row["trigger_version"], sink.hits("/wrong").len()), (&json!(1), 2), "{row}");

    let answer = server.post(&replay, json!({ "render": true })).await.is(202).json();
    assert_eq!((&answer["sent_as"], &answer["trigger_version"]), (&json!(id), &json!(2)), "{answer}");
    let row = settled(3, "delivered").await;
    let hit = sink.hits("/right").remove(0);
    assert_eq!(hit.query, format!("d={id}&k=SX-1&token=secret-of-2"));
    assert_eq!(hit.headers["x-sextant-delivery"], id);
    assert_eq!((&row["trigger_version"], sink.hits("/wrong").len()), (&json!(2), 2), "{row}");
    // What was sent before stays on record with the attempts that sent it.
    let sent = |row: &crate::harness::Value| -> Vec<(u64, String)> {
        let attempts = row["attempts"].as_array().unwrap().iter();
        attempts
            .map(|one| (one["trigger_version"].as_u64().unwrap(), one["url"].as_str().unwrap().to_owned()))
            .collect()
    };
    let shown = |path: &str, id: &str| sink.url(&format!("/{path}?d={id}&k=SX-1&token=***"));
    let before = [(1, shown("wrong", &id)), (1, shown("wrong", &id)), (2, shown("right", &id))];
    assert_eq!(sent(&row), before, "{row}");
    assert_eq!(row["url"], before[2].1, "{row}");

    // By force it is another one, in the request as well.
    change(json!({ "cpi_mostback_url": url("third", 3) })).await;
    let forced = server.post(&replay, json!({ "render": true, "force": true })).await.is(202).json();
    let other = forced["sent_as"].as_str().unwrap().to_owned();
    assert_ne!(other, id);
    let row = settled(4, "delivered").await;
    let hit = sink.hits("/third").remove(0);
    assert_eq!((hit.parameter("d"), &hit.headers["x-sextant-delivery"]), (Some(other.clone()), &other));
    assert_eq!((&row["delivery_id"], &row["trigger_version"]), (&json!(id), &json!(3)), "{row}");
    assert_eq!(sent(&row)[..3], before, "{row}");

    // What can no longer be rendered says why, and can still be sent as it was.
    for (context, reason) in [
        (json!({ "sx_required": "adid" }), "missing_macro"),
        (json!({ "sx_required": null, "cpi_mostback_url": "http://10.0.0.1/" }), "blocked_target"),
        (json!({ "cpi_mostback_url": url("third", 3), "sx_countries": "NZ" }), "country_blocked"),
    ] {
        change(context).await;
        let answer = server.post(&replay, json!({ "render": true })).await.is(409).text();
        assert!(answer.contains(reason), "{reason}: {answer}");
    }
    server.post(&replay, json!({})).await.is(202);
    settled(5, "delivered").await;
    server.post(&replay, json!({ "render": "yes" })).await.is(400);
    server.balanced().await;
}

/// Counted first; what cannot be rendered is counted by reason and left as it is; a kill in between loses
/// nothing and sends nothing twice.
#[tokio::test]
async fn many_are_rendered_anew_and_the_others_are_accounted_for() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    sink.on("/wrong", [Reply::Status(404)]);
    let app = server.app("Android").await;
    let trigger = app.trigger("install", json!({ "cpi_mostback_url": sink.url("/wrong?a={adid}") })).await;
    for n in 0..5 {
        let ids = if n < 3 { json!({ "adid": device::advertising_id(n) }) } else { json!({}) };
        app.install(&format!("SX-{n}"), json!({ "device_ids": ids })).await;
    }
    let dead = server.settled(&format!("trigger={trigger}"), "dead", 5).await;
    let context = json!({ "cpi_mostback_url": sink.url("/right?a={adid}"), "sx_required": "adid" });
    server.patch(&format!("/postbacks/{trigger}"), json!({ "context": context })).await.is(200);

    let ask = json!({ "trigger": trigger, "render": true });
    let counted = server.post("/api/replays", ask).await.is(200).json();
    assert_eq!((&counted["matching"], &counted["rendered"]), (&json!(5), &json!(3)), "{counted}");
    assert_eq!(counted["not_rendered"], json!({ "missing_macro": 2 }), "{counted}");
    let named = counted["first_not_rendered"].as_array().unwrap().clone();
    assert_eq!(named.len(), 2, "{counted}");
    for one in &named {
        let row = dead.iter().find(|row| row["delivery_id"] == one["delivery_id"]).expect("one of them");
        assert!(row["url"].as_str().unwrap().ends_with("a="), "{row}");
        assert_eq!(one["reason"], "missing_macro");
    }
    assert_eq!(sink.all().len(), 5, "nothing is sent by counting");

    server.post(&format!("/api/triggers/{trigger}/pause"), json!({})).await.is(200);
    let ask = json!({ "trigger": trigger, "render": true, "dry_run": false });
    let begun = server.post("/api/replays", ask).await.is(202).json();
    assert_eq!(begun["matching"], 5, "{begun}");
    let done = eventually("the replay is done", async || {
        let progress = server.get(&format!("/api/replays/{}", begun["replay_id"])).await.is(200).json();
        (progress["state"] == "done").then_some(progress)
    })
    .await;
    assert_eq!((&done["replayed"], &done["matching"]), (&json!(3), &json!(5)), "{done}");
    assert_eq!(done["not_rendered"], json!({ "missing_macro": 2 }), "{done}");
    assert_eq!(done["first_not_rendered"], json!(named), "{done}");
    server.kill9();
    server.start_again().await;
    let pending = server.settled(&format!("trigger={trigger}"), "pending", 3).await;
    for row in &pending {
        assert_eq!(row["trigger_version"], 2, "{row}");
        assert!(row["url"].as_str().unwrap().starts_with(&sink.url("/right")), "{row}");
    }
    server.post(&format!("/api/triggers/{trigger}/resume"), json!({})).await.is(200);
    let rows = server.settled(&format!("trigger={trigger}"), "delivered", 3).await;
    let hits = sink.hits("/right");
    assert_eq!(hits.len(), 3, "{hits:?}");
    for row in &rows {
        let id = row["delivery_id"].as_str().unwrap();
        assert_eq!(hits.iter().filter(|hit| hit.headers["x-sextant-delivery"] == id).count(), 1, "{row}");
    }
    for row in server.settled(&format!("trigger={trigger}"), "dead", 2).await {
        assert_eq!((&row["trigger_version"], &row["attempts_made"]), (&json!(1), &json!(1)), "{row}");
    }
    server.balanced().await;
}

/// A network is not told of the click by which another one has won since; what was withdrawn for its target is sent
/// when the target is mended.
#[tokio::test]
async fn what_is_rendered_anew_is_told_to_whom_it_concerns_now() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let (one, other) = (app.link("One").await, app.link("Other").await);
    let context =
        json!({ "cpi_network_mostback_url": sink.url("/one?c={click_id}"), "sx_network_id": one.network });
    let trigger =
        app.trigger_with(json!({ "type": "install", "template_id": 9026, "context": context })).await;
    let everybody =
        app.trigger("install", json!({ "cpi_mostback_url": "http://10.0.0.1/pb?c={click_id}" })).await;
    let adid = device::advertising_id(1);
    let at = |minutes: i64| format!("adid={adid}&click_time={}", now() - 60 * minutes);
    one.click(&format!("{}&click_id=of-one", at(9))).await;
    app.install("SX-1", json!({ "device_ids": { "adid": adid }, "device_ua": device::PIXEL })).await;
    let told = server.settled(&format!("trigger={trigger}"), "delivered", 1).await.remove(0);
    let blocked = server.settled(&format!("trigger={everybody}"), "suppressed", 1).await.remove(0);
    assert_eq!(blocked["reason"], "blocked_target", "{blocked}");
    other.click(&format!("{}&click_id=of-other", at(5))).await;
    eventually("the revision", async || {
        (app.attribution("SX-1").await["decision"]["revision"] == 1).then_some(())
    })
    .await;
    let path = format!("/api/deliveries/{}/replay", told["delivery_id"].as_str().unwrap());
    let answer = server.post(&path, json!({ "render": true })).await.is(409).text();
    assert!(answer.contains("influencer_only"), "{answer}");

    let context = json!({ "cpi_mostback_url": sink.url("/all?c={click_id}") });
    server.patch(&format!("/postbacks/{everybody}"), json!({ "context": context })).await.is(200);
    let ask = json!({ "trigger": everybody, "state": "suppressed", "render": true, "dry_run": false });
    server.post("/api/replays", ask).await.is(202);
    let hit = sink.receives("/all", 1).await.remove(0);
    assert_eq!(hit.query, "c=of-other", "as it was decided last");
    server.settled(&format!("trigger={everybody}"), "delivered", 1).await;
    server.balanced().await;
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
    let answer = server.post(&format!("{path}/replay"), json!({ "render": true })).await.is(409).text();
    assert!(answer.contains("erased"), "{answer}");
    let ask = json!({ "app": app.id, "state": "delivered", "render": true });
    let counted = server.post("/api/replays", ask).await.is(200).json();
    assert_eq!((&counted["matching"], &counted["rendered"]), (&json!(2), &json!(1)), "{counted}");
    assert_eq!(counted["not_rendered"], json!({ "erased": 1 }), "{counted}");
}
