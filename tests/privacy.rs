//! What must not be kept is nowhere: not in the files, not in the log, not in any answer (DECISIONS 16).

mod requests;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::harness::{Server, Sink, Value, device, json};

const FORBIDDEN: &str = "A1B2C3D4-E5F6-47A8-99B0-C1D2E3F4A5B6";

/// The plain forms of an identifier: both cases, with and without separators.
fn forms(id: &str) -> [String; 4] {
    let bare = id.replace('-', "");
    [id.to_uppercase(), id.to_lowercase(), bare.to_uppercase(), bare.to_lowercase()]
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Where one of `needles` occurs in any file.
fn occurrences(directory: &Path, needles: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for path in files(directory) {
        // What is no text is replaced, which leaves every needle as it is and lets the standard library search.
        let bytes = fs::read(&path).expect("the file can be read");
        let text = String::from_utf8_lossy(&bytes);
        for needle in needles {
            if text.contains(needle.as_str()) {
                found.push(format!("{needle} in {}", path.display()));
            }
        }
    }
    found
}

#[tokio::test]
async fn a_dropped_idfa_is_nowhere() {
    let server = Server::with(&[("SEXTANT_LOG_LEVEL", "info")]).await;
    let sink = Sink::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let url = sink.url("/pb?idfa={idfa}&x={event_data.note}&ua={device_ua}");
    app.trigger("install", json!({ "cpi_mostback_url": url })).await;
    app.trigger("event", json!({ "cpi_mostback_url": url })).await;
    app.trigger("click", json!({ "cpi_mostback_url": url })).await;
    let kept = "0F0E0D0C-1111-4222-8333-444455556666";
    let mut inputs = vec![app.install("SX-kept", json!({
        "device_ua": device::IPHONE, "device_ids": { "idfa": kept }, "app_tracking_transparency": { "att": true },
    })).await];
    for (n, id) in forms(FORBIDDEN).into_iter().enumerate() {
        let device = format!("SX-{n}");
        let data = json!({
            "device_ua": device::IPHONE, "device_ids": { "idfa": id, "idfv": format!("3D5F0B1E-6C2A-4E57-9E0B-7A1C2D3E4F5{n}") },
            "idfa": id, "note": format!("my id is {id}!"), "app_tracking_transparency": { "att": false },
            "identity_link": { "user_id": id }, "event_name": "View", "event_data": { "note": id, "sum": 1 },
        });
        inputs.push(app.install(&device, data.clone()).await);
        inputs.push(app.send("event", &device, data.clone()).await.accepted());
        let mut unflagged = data.clone();
        unflagged.as_object_mut().unwrap().remove("app_tracking_transparency");
        inputs.push(app.send("event", &device, unflagged).await.accepted());
        inputs.push(app.send("update", &device, data).await.accepted());
        // Links of publishers without consent, and identity links, which only look up.
        for query in [
            format!("idfa={id}&att=0"),
            format!("device_id={id}&device_id_type=idfa&att=0&cp_0={id}"),
            format!("ios_idfa={id}&att=0&click_id={id}"),
        ] {
            inputs.push(link.click(&query).await.replace("clk_", "in_"));
            inputs.push(link.impression(&query).await.replace("clk_", "in_"));
        }
        let identity =
            json!({ "kochava_app_id": app.guid, "device_id": { "idfa": id }, "data": { "user_id": "u-42" } });
        inputs.push(server.sends("/v1/cpi/identityLink.php", identity.to_string()).await.accepted());
        // What cannot be used is kept masked.
        let broken = json!({ "action": "event", "kochava_app_id": app.guid, "data": { "device_ids": { "idfa": id } } });
        server.sends("/track/json", broken.to_string()).await.refused(400);
        let foreign = json!({ "action": "install", "kochava_app_id": "konowhere-1", "data": { "device_ids": { "idfa": id } } });
        server.sends("/track/json", foreign.to_string()).await.refused(404);
        let form = format!("action=event&kochava_app_id={}&data[device_ids][idfa]={id}", app.guid);
        server.sends("/track/json", form).await.refused(400);
        // The same in texts that are JSON.
        let ids = json!({ "idfa": id }).to_string();
        let data = json!({ "event_name": "View", "device_ids": { "idfa": id },
                           "app_tracking_transparency": { "att": false } });
        for field in ["device_ids", "event_data", "note"] {
            let mut data = json!({ "event_name": "View", "app_tracking_transparency": { "att": false } });
            data[field] = json!(ids);
            inputs.push(app.send("event", &device, data).await.accepted());
        }
        let whole = json!({ "action": "event", "kochava_app_id": app.guid, "data": data.to_string() });
        server.sends("/track/json", whole.to_string()).await.refused(400);
        let form: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("action", "event"), ("kochava_app_id", &app.guid), ("data", &data.to_string())])
            .finish();
        server.sends("/track/json", form).await.refused(400);
        let foreign = json!({ "data": json!({ "device_ids": { "adid": id } }).to_string() });
        server.sends("/track/json", foreign.to_string()).await.refused(400);
    }
    crate::harness::eventually("nothing is pending", async || {
        server.deliveries("state=pending").await.is_empty().then_some(())
    })
    .await;

    let mut answers: Vec<Value> = Vec::new();
    for input in &inputs {
        answers.push(server.input(input).await);
    }
    for n in 0..4 {
        answers.push(app.attribution(&format!("SX-{n}")).await);
    }
    for path in [
        format!("/api/apps/{}/quarantine?limit=500", app.id),
        "/api/apps/unknown/quarantine?limit=500".to_owned(),
        "/api/deliveries?limit=500".to_owned(),
        "/api/deliveries?limit=500&state=suppressed".to_owned(),
        format!("/api/apps/{}/events", app.id),
        "/api/ledger".to_owned(),
    ] {
        answers.push(server.get(&path).await.is(200).json());
    }
    let needles = forms(FORBIDDEN);
    for answer in &answers {
        let text = answer.to_string();
        assert!(!needles.iter().any(|needle| text.contains(needle)), "{text}");
    }
    for hit in sink.all() {
        let text = format!("{}{:?}{}", hit.query, hit.headers, hit.body);
        assert!(!needles.iter().any(|needle| text.contains(needle)), "sent to the partner: {text}");
    }
    server.balanced().await;
    server.terminate().await;
    let found = occurrences(&server.data(), &needles);
    assert!(found.is_empty(), "{found:#?}");
    // The search itself works: what may be kept is found.
    assert!(!occurrences(&server.data(), &forms(kept)).is_empty(), "the files are not readable as they are");
    let log = server.log();
    let logged = needles.iter().chain(&forms(kept)).any(|needle| log.contains(needle.as_str()));
    assert!(!logged, "identifiers in the log: {log}");
}

#[tokio::test]
async fn secrets_and_keys_are_not_in_the_files_or_the_log() {
    let server = Server::with(&[("SEXTANT_LOG_LEVEL", "info")]).await;
    let secret = "s3xt4nt-demo-secret-0f1e2d3c";
    let auth = json!({ "mode": "flag", "api_key": "0D5E2B1C-7A44-4F0E-9B1D-3C2A1F6E8D90", "secret": secret });
    let app = server.app_with(json!({ "name": "Demo", "platform": "iOS", "install_auth": auth })).await;
    app.install("SX-1", json!({ "origination_ip": "203.0.113.24" })).await;
    server.get("/apps").await.is(200);
    server.get("/api/ledger").await.is(200);
    server.terminate().await;
    let needles = [secret.to_owned(), crate::harness::KEY.to_owned()];
    let found = occurrences(&server.data(), &needles);
    assert!(found.is_empty(), "{found:#?}");
    let log = server.log();
    for needle in [secret, crate::harness::KEY, "203.0.113.24"] {
        assert!(!log.contains(needle), "{needle} in the log: {log}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_data_directory_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::start().await;
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&server.data()), 0o700);
    assert_eq!(mode(&server.data().join("secret.key")), 0o600);
}
