//! Real senders' requests, sent as they stand and answered as their `expect` says
//! (`fixtures/senders.json`).

use reqwest::Method;

use crate::harness::{Answer, Answered as _, App, Server, Value, device, json};

const IDFA: &str = "7C9E6679-7425-40DE-944B-E07FC1F90AE7";

struct Sample(Value);

impl Sample {
    fn all() -> Vec<Self> {
        let samples: Vec<Value> = serde_json::from_str(include_str!("fixtures/senders.json")).unwrap();
        samples.into_iter().map(Self).collect()
    }

    fn named(name: &str) -> Self {
        Self::all().into_iter().find(|sample| sample.name() == name).unwrap()
    }

    fn name(&self) -> &str {
        self.0["name"].as_str().unwrap()
    }

    fn expect(&self, key: &str) -> Option<&str> {
        self.0["expect"][key].as_str()
    }

    async fn send(&self, server: &Server) -> Answer {
        let method: Method = self.0["method"].as_str().unwrap().parse().unwrap();
        let mut request = server.request(method, self.0["path"].as_str().unwrap());
        for (name, value) in self.0["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        request.body(self.0["body"].to_string()).answer().await
    }

    /// What the answer alone has to say.
    fn check_answer(&self, answer: &Answer) {
        let expect = &self.0["expect"];
        let name = self.name();
        assert_eq!(json!(answer.status), expect["status"], "{name}: {}", answer.text());
        if let Some(success) = expect.get("success") {
            assert_eq!(&answer.json()["success"], success, "{name}: {}", answer.text());
        }
        if let Some(rejected) = expect["rejected"].as_array() {
            let body = answer.json();
            let indexes: Vec<Value> =
                body["rejected"].as_array().unwrap().iter().map(|entry| entry["index"].clone()).collect();
            assert_eq!(&indexes, rejected, "{name}: {body}");
            assert_eq!(answer.inputs().len(), self.0["body"].as_array().unwrap().len() - rejected.len());
        } else if answer.status == 200 {
            answer.accepted();
        }
    }

    /// What the record has to say of an accepted input.
    fn check_row(&self, row: &Value) {
        let name = self.name();
        let flags: Vec<&str> = row["flags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let identifiers = row["device"]["identifiers"].to_string();
        for flag in self.0["expect"]["flags"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            // A flag of the decision is checked with the decision.
            assert!(flag == "date_manufactured" || flags.contains(&flag), "{name}: no {flag} in {row}");
        }
        if let Some(os) = self.expect("os") {
            assert_eq!(row["device"]["os"], os, "{name}: {row}");
        }
        if let Some(time) = self.expect("time") {
            let (expected, found): (jiff::Timestamp, jiff::Timestamp) =
                (time.parse().unwrap(), row["time"].as_str().unwrap().parse().unwrap());
            assert_eq!(found, expected, "{name}: {row}");
        }
        for (key, pointer) in [("amount", "/event/amount"), ("currency", "/event/currency")] {
            if let Some(expected) = self.expect(key) {
                assert_eq!(row.pointer(pointer), Some(&json!(expected)), "{name}: {row}");
            }
        }
        if self.expect("creates").is_some() {
            assert_eq!(row["kind"], "install", "{name}: {row}");
        }
        match self.expect("idfa") {
            Some(text) if text.starts_with("kept") => {
                assert!(identifiers.contains("\"idfa\""), "{name}: {row}")
            }
            Some(_) => assert!(!identifiers.contains("\"idfa\""), "{name}: {row}"),
            None => {}
        }
        if self.expect("identifier").is_some() {
            assert_eq!(row["device"]["identifiers"], json!(["adid"]), "{name}: {row}");
        }
        if self.expect("ip_and_ua").is_some() {
            assert!(!flags.contains(&"ip_missing"), "{name}: {row}");
        }
    }
}

/// A server with both apps of the samples.
async fn server() -> (Server, App) {
    let server = Server::start().await;
    let ios = json!({ "name": "Demo", "platform": "iOS", "guid": "kosextant-demo-ab12cd" });
    let web = json!({ "name": "Demo Web", "platform": "Web", "guid": "kosextant-web-77aa" });
    let app = server.app_with(ios).await;
    server.app_with(web).await;
    (server, app)
}

async fn outcome(server: &Server, input: &str) -> String {
    let row = server.input(input).await;
    row["outcomes"].as_array().unwrap().last().unwrap()["outcome"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn all_of_them_in_the_order_of_the_file() {
    let (server, _) = server().await;
    for sample in Sample::all() {
        let answer = sample.send(&server).await;
        sample.check_answer(&answer);
        for input in answer.inputs().iter().filter(|_| answer.status == 200) {
            let row = server.input(input).await;
            sample.check_row(&row);
            let became = row["outcomes"][0]["outcome"].as_str().unwrap();
            match (sample.expect("creates"), sample.expect("effect")) {
                (Some(_), _) => {
                    assert!(["installed", "duplicate_install"].contains(&became), "{}: {row}", sample.name());
                }
                // The first sample brought the device with that digest.
                (_, Some(effect)) if effect.starts_with("linked") => assert_eq!(became, "linked", "{row}"),
                _ => {}
            }
        }
    }
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["received"], 16, "{ledger}");
    assert_eq!(ledger["inputs"]["accepted"], 13, "{ledger}");
}

#[tokio::test]
async fn each_of_them_alone() {
    for sample in Sample::all() {
        let (server, _) = server().await;
        let answer = sample.send(&server).await;
        sample.check_answer(&answer);
        for input in answer.inputs().iter().filter(|_| answer.status == 200) {
            sample.check_row(&server.input(input).await);
            if sample.expect("creates").is_some() {
                assert_eq!(outcome(&server, input).await, "installed", "{}", sample.name());
            }
        }
        server.balanced().await;
    }
}

#[tokio::test]
async fn they_join_by_what_they_say() {
    for sample in Sample::all() {
        let Some(key) = sample.expect("joins_by") else { continue };
        let (server, app) = server().await;
        let name = sample.name();
        if key == "custom" {
            sample.send(&server).await.accepted();
            let body = json!({ "action": "event", "kochava_app_id": app.guid,
                "data": { "event_name": "View", "device_ids": { "custom": "qa-device-1" } } });
            let event = server.sends("/track/json", body.to_string()).await.accepted();
            assert_eq!(outcome(&server, &event).await, "linked", "{name}");
        } else {
            app.install(sample.0["body"]["kochava_device_id"].as_str().unwrap(), json!({})).await;
            let event = sample.send(&server).await.accepted();
            assert_eq!(outcome(&server, &event).await, "linked", "{name}");
        }
    }
}

#[tokio::test]
async fn an_update_after_consent_binds_the_idfa() {
    let (server, app) = server().await;
    Sample::named("AdServices result").send(&server).await.accepted();
    Sample::named("update after consent").send(&server).await.accepted();
    let body = json!({ "action": "event", "kochava_app_id": app.guid, "data": {
        "event_name": "View", "device_ua": device::IPHONE, "device_ids": { "idfa": IDFA },
        "app_tracking_transparency": { "att": true } } });
    let event = server.sends("/track/json", body.to_string()).await.accepted();
    let row = server.input(&event).await;
    let install = app.attribution("SX-9").await["data"]["install_id"].clone();
    assert_eq!(row["outcomes"][0]["install_id"], install, "{row}");
}

#[tokio::test]
async fn apple_search_ads_in_both_shapes() {
    let (new, app) = server().await;
    Sample::named("AdServices result").send(&new).await.accepted();
    let answer = app.attribution("SX-9").await;
    assert_eq!(answer["decision"]["class"], "asa", "{answer}");
    assert!(answer["decision"].to_string().contains("date_manufactured"), "{answer}");
    assert!(answer.to_string().contains("542370539"), "which campaign it was: {answer}");

    // Its click date is long ago by now: looked at, whether or not it lies in the window today.
    let (old, app) = server().await;
    let input = Sample::named("old Search Ads").send(&old).await.accepted();
    let answer = app.attribution(&input.replace("in_", "ins_")).await;
    let candidate = &answer["decision"]["candidates"][0];
    assert_eq!(candidate["class"], "asa", "{answer}");
    assert!(!answer["decision"].to_string().contains("date_manufactured"), "{answer}");
}
