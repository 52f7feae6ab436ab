//! What could not be used and is kept all the same (DECISIONS 9, 11).

use crate::harness::{Server, json};

#[tokio::test]
async fn unknown_apps_go_to_a_bucket_of_their_own() {
    let server = Server::start().await;
    let idfa = "7C9E6679-7425-40DE-944B-E07FC1F90AE7";
    let body = json!({ "action": "install", "kochava_app_id": "konowhere-1", "kochava_device_id": "SX-1",
                       "data": { "device_ids": { "idfa": idfa } } });
    let answer = server.sends("/track/json", body.to_string()).await;
    answer.refused(404);
    let kept = server.get("/api/apps/unknown/quarantine").await.is(200).json();
    let row = &kept["data"][0];
    assert_eq!(row["kochava_app_id"], "konowhere-1", "{kept}");
    assert_eq!(row["status"], 404, "{kept}");
    assert!(row["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{kept}");
    assert!(!row.to_string().to_lowercase().contains(&idfa.to_lowercase()), "identifiers are masked: {kept}");
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["quarantined"], 1, "{ledger}");
}

#[tokio::test]
async fn an_apps_quarantine_is_paged_newest_first() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let other = server.app("Android").await;
    for n in 0..7 {
        app.send("event", &format!("SX-{n}"), json!({ "n": n })).await.refused(400);
    }
    other.send("event", "SX-9", json!({})).await.refused(400);
    let (mut seen, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let path = format!("/api/apps/{}/quarantine?limit=3{token}", app.id);
        let page = server.get(&path).await.is(200).json();
        let rows = page["data"].as_array().unwrap().clone();
        assert!(rows.len() <= 3);
        seen.extend(rows.iter().map(|row| row["body"].as_str().unwrap().to_owned()));
        pages += 1;
        match page["nextToken"].as_str() {
            Some(next) => token = format!("&pageToken={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
    assert!((3..=4).contains(&pages));
    for (n, body) in (0..7).rev().zip(&seen) {
        assert!(body.contains(&format!("\"n\":{n}")), "{n} in {seen:?}");
    }
    server.get("/api/apps/999/quarantine").await.is(404);
    server.get(&format!("/api/apps/{}/quarantine?limit=0", app.id)).await.is(400);
    server.balanced().await;
}

#[tokio::test]
async fn a_quarantine_holds_ten_thousand_bodies() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let nameless = |round: usize, n: usize| json!({ "action": "event", "kochava_app_id": app.guid, "data": { "n": round * 4_000 + n } });
    for round in 0..3 {
        let body: Vec<_> = (0..4_000).map(|n| nameless(round, n)).collect();
        server.sends("/track/json", json!(body).to_string()).await.refused(400);
    }
    let (mut rows, mut token) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/apps/{}/quarantine?limit=1000{token}", app.id);
        let page = server.get(&path).await.is(200).json();
        rows.extend(page["data"].as_array().unwrap().clone());
        match page["nextToken"].as_str() {
            Some(next) => token = format!("&pageToken={next}"),
            None => break,
        }
    }
    assert!(rows.len() <= 10_000, "{}", rows.len());
    assert!(rows.len() >= 9_000, "{}", rows.len());
    let newest: serde_json::Value = serde_json::from_str(rows[0]["body"].as_str().unwrap()).unwrap();
    assert!(newest["data"]["n"].as_u64() >= Some(8_000), "the newest stay: {newest}");
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["quarantined"], 12_000, "what was counted stays counted: {ledger}");
}

#[tokio::test]
async fn the_ledger_of_an_app_is_its_own() {
    let server = Server::start().await;
    let (one, other) = (server.app("iOS").await, server.app("iOS").await);
    one.install("SX-1", json!({})).await;
    one.send("event", "SX-1", json!({})).await.refused(400);
    other.event("SX-1", "View", json!({})).await;
    let ledger = server.get(&format!("/api/ledger?app={}", one.id)).await.is(200).json();
    assert_eq!(ledger["balanced"], true, "{ledger}");
    let inputs = &ledger["inputs"];
    assert_eq!((&inputs["received"], &inputs["accepted"]), (&json!(2), &json!(1)), "{ledger}");
    assert_eq!(inputs["by_kind"], json!({ "install": 1 }), "{ledger}");
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["received"], 3, "{ledger}");
    // What was refused is counted by the process, what was kept for ever.
    server.terminate().await;
    server.start_again().await;
    let after = server.balanced().await;
    for kept in ["accepted", "quarantined", "by_kind"] {
        assert_eq!(after["inputs"][kept], ledger["inputs"][kept], "{after}");
    }
}
