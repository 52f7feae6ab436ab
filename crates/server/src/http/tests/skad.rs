//! Aggregate postbacks through the router, with postbacks of Apple's documentation, and AdServices tokens
//! against a stand-in.

use std::time::Duration;

use serde_json::{Value, json};

use super::{READER, Server};

const PATH: &str = "POST /v1/skad/postback";
const TRANSACTION: &str = "6aafb7a5-0170-41b5-bbe4-fe71dedf1e30";

/// An example of Apple's documentation, for the app 525463029.
fn postback() -> Value {
    json!({
        "version": "4.0", "ad-network-id": "com.example", "source-identifier": "5239", "app-id": 525463029,
        "transaction-id": TRANSACTION, "redownload": false, "source-domain": "example.com",
        "fidelity-type": 1, "did-win": true, "conversion-value": 63, "postback-sequence-index": 0,
        "attribution-signature": "MEUCIGRmSMrqedNu6uaHyhVcifs118R5z/AB6cvRaKrRRHWRAiEAv96ne3dKQ5kJpbsfk4eYiePmr\
                                  ZUU6sQmo+7zfP/1Bxo=",
    })
}

/// Another one: its network did not win.
fn lost() -> Value {
    json!({
        "version": "3.0", "ad-network-id": "example123.skadnetwork", "campaign-id": 42, "app-id": 525463029,
        "transaction-id": "f9ac267a-a889-44ce-b5f7-0166d11461f0", "redownload": true, "fidelity-type": 1,
        "did-win": false,
        "attribution-signature": "MEUCIQDDetUtkyc/MiQvVJ5I6HIO1E7l598572Wljot2Onzd4wIgVJLzVcyAV+TXksGNoa0DTMXEP\
                                  gNPeHCmD4fw1ABXX0g=",
    })
}

/// An AdAttributionKit one, signed with a development key, for the app 10738027756.
fn development() -> Value {
    json!({ "jws-string": concat!(
        "eyJraWQiOiJhcHBsZS1kZXZlbG9wbWVudC1pZGVudGlmaWVyXC8xIiwiYWxnIjoiRVMyNTYifQ.eyJwb3N0YmFjay1pZGVudGlma",
        "WVyIjoiODU1NDZFQjctRkQzOS00NEJDLTg5OTAtQzk4QTRBQzM2QTQ5IiwicHVibGlzaGVyLWl0ZW0taWRlbnRpZmllciI6MCwib",
        "WFya2V0cGxhY2UtaWRlbnRpZmllciI6ImNvbS5hcHBsZS5BcHBTdG9yZSIsImltcHJlc3Npb24tdHlwZSI6ImFwcC1pbXByZXNza",
        "W9uIiwiYWQtbmV0d29yay1pZGVudGlmaWVyIjoiZGV2ZWxvcG1lbnQuYWRhdHRyaWJ1dGlvbmtpdCIsImRpZC13aW4iOnRydWUsI",
        "nBvc3RiYWNrLXNlcXVlbmNlLWluZGV4IjowLCJjb252ZXJzaW9uLXR5cGUiOiJyZS1lbmdhZ2VtZW50Iiwic291cmNlLWlkZW50a",
        "WZpZXIiOiIxMjM0IiwiYWR2ZXJ0aXNlZC1pdGVtLWlkZW50aWZpZXIiOjEwNzM4MDI3NzU2fQ.bAdNwKd6OfHK9tofvjjua4X_JP",
        "cFTxXPQSspD9gZkinw97pY7R1aI-LSjl-oxZZF3_K2H5JK5TSEBee4_1U4oQ"), "conversion-value": 24 })
}

impl Server {
    /// With one app that has this number in the App Store.
    async fn in_the_store(settings: &[(&'static str, &str)], app_store_id: Value) -> Self {
        let server = Self::with(settings).await;
        let app = json!({ "name": "Demo", "platform": "iOS", "app_store_id": app_store_id });
        server.expect(201, "POST /apps", app).await;
        server
    }

    /// Sends what is not taken; the app in whose quarantine it is, and why.
    async fn refused(&self, status: u16, body: String) -> (Value, String) {
        let answer = self.call("", PATH, Some(body)).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        let input = answer.headers["sextant-input"].to_str().unwrap();
        let row = self.get(&format!("/api/inputs/{input}")).await.body;
        assert_eq!((&row["became"], &row["reason"]), (&json!("quarantined"), &answer.body["error"]));
        (row["app_id"].clone(), row["reason"].as_str().unwrap().to_owned())
    }

    async fn balances(&self) {
        let ledger = self.get("/api/ledger").await.body;
        assert_eq!(ledger["balanced"], true, "{ledger}");
    }
}

#[tokio::test]
async fn a_postback_is_counted_once_and_listed() {
    for app_store_id in [json!("525463029"), json!(525463029), json!("id525463029")] {
        let server = Server::in_the_store(&[], app_store_id).await;
        let answer = server.call("", &format!("{PATH}?partner=Blue"), Some(postback().to_string())).await;
        assert_eq!((answer.status, answer.body), (200, json!({ "success": "1" })));
        let input = answer.headers["sextant-input"].to_str().unwrap().to_owned();
        server.expect(200, "POST /.well-known/skadnetwork/report-attribution/", postback()).await;
        server.expect(200, PATH, lost()).await;

        let list = server.get("/api/apps/1/skad").await.body;
        let rows = list["data"].as_array().unwrap();
        assert_eq!(rows.len(), 3, "{list}");
        assert_eq!((&rows[0]["campaign_id"], &rows[0]["did_win"]), (&json!("42"), &json!(false)));
        assert_eq!((&rows[1]["duplicate"], &rows[2]["duplicate"]), (&json!(true), &json!(false)));
        assert_eq!((&rows[2]["input_id"], &rows[2]["transaction_id"]), (&json!(input), &json!(TRANSACTION)));
        assert_eq!(rows[2]["source_domain"], "example.com");
        assert_eq!(rows[2]["advisory"]["conversion_value"], 63);
        assert_eq!(rows[2]["advisory"]["params"], json!({ "partner": "Blue" }));
        let counts = list["summary"].as_array().unwrap();
        assert_eq!(counts.len(), 2, "{list}");
        assert!(counts.contains(&json!({
            "framework": "skadnetwork", "signed_by": "production", "ad_network_id": "com.example",
            "source": "5239", "window": 0, "won": true, "count": 1,
        })));

        let ledger = server.get("/api/ledger?app=1").await.body;
        assert_eq!(ledger["aggregates"], json!({ "counted": 2, "repeated": 1 }));
        assert_eq!((&ledger["installs"], &ledger["inputs"]["by_kind"]["aggregate"]), (&json!({}), &json!(3)));
        let fact = server.get(&format!("/api/inputs/{input}")).await.body;
        assert_eq!(
            (&fact["kind"], &fact["outcomes"][0]["outcome"]),
            (&json!("aggregate"), &json!("counted"))
        );
        server.balances().await;
    }
}

#[tokio::test]
async fn the_list_is_paged() {
    let server = Server::in_the_store(&[], json!("525463029")).await;
    for _ in 0..3 {
        server.expect(200, PATH, postback()).await;
    }
    let mut path = "/api/apps/1/skad?limit=2".to_owned();
    let mut rows = Vec::new();
    for expected in [2, 1] {
        let page = server.get(&path).await.body;
        let data = page["data"].as_array().unwrap();
        assert_eq!(data.len(), expected);
        rows.extend(data.iter().map(|row| row["duplicate"].clone()));
        path =
            format!("/api/apps/1/skad?limit=2&pageToken={}", page["nextToken"].as_str().unwrap_or_default());
    }
    assert_eq!(rows, [true, true, false]);
    assert_eq!(server.get("/api/apps/1/skad?pageToken=x").await.status, 400);
    assert_eq!(server.get("/api/apps/1/skad?limit=0").await.status, 400);
    assert_eq!(server.get("/api/apps/9/skad").await.status, 404);
    assert_eq!(server.call("", "GET /api/apps/1/skad", None).await.status, 401);
    assert_eq!(server.call(READER, "GET /api/apps/1/skad", None).await.status, 200);
}

#[tokio::test]
async fn what_is_not_taken_is_in_quarantine_with_the_reason() {
    let server = Server::in_the_store(&[], json!("525463029")).await;
    let check = async |body: String, app: Value, expected: &str| {
        let (owner, reason) = server.refused(400, body).await;
        assert_eq!(owner, app, "{reason}");
        assert!(reason.starts_with(expected), "{reason}");
    };
    let with = |name: &str, value: Value| {
        let mut body = postback();
        body[name] = value;
        body.to_string()
    };
    check(with("source-identifier", json!("5238")), json!(1), "bad_signature").await;
    check(with("app-id", json!(525463028)), Value::Null, "bad_signature").await;
    check(with("did-win", Value::Null), Value::Null, "did-win is missing").await;
    check(with("version", json!("9.0")), Value::Null, "version \"9.0\" is not known").await;
    check("not json".to_owned(), Value::Null, "the body is not valid JSON").await;
    assert_eq!(server.call("", PATH, Some("x".repeat(65_536))).await.status, 413);
    assert_eq!(server.get("/api/apps/1/skad").await.body["data"], json!([]));
    server.balances().await;
}

#[tokio::test]
async fn an_app_that_is_not_known_is_named() {
    let server = Server::in_the_store(&[], Value::Null).await;
    let (owner, reason) = server.refused(404, postback().to_string()).await;
    assert!(owner.is_null() && reason.contains("app_store_id 525463029"), "{owner} {reason}");
    server.expect(200, "PATCH /apps/1", json!({ "app_store_id": "525463029" })).await;
    server.expect(200, PATH, postback()).await;
}

#[tokio::test]
async fn development_postbacks_are_taken_when_the_settings_say_so() {
    let server = Server::in_the_store(&[], json!("10738027756")).await;
    let (owner, reason) = server.refused(400, development().to_string()).await;
    assert!(owner == 1 && reason.starts_with("development_key"), "{owner} {reason}");
    let settings = [("skad.accept_development_postbacks", "true")];
    let server = Server::in_the_store(&settings, json!("10738027756")).await;
    server.expect(200, "POST /.well-known/appattribution/report-attribution/", development()).await;
    let row = server.get("/api/apps/1/skad").await.body["data"][0].clone();
    assert_eq!((&row["signed_by"], &row["framework"]), (&json!("development"), &json!("adattributionkit")));
    assert_eq!(
        (&row["source_identifier"], &row["conversion_type"]),
        (&json!("1234"), &json!("re-engagement"))
    );
}

/// A server that asks a stand-in about tokens, which answers every call alike.
async fn asking(status: u16, answer: &'static str) -> Server {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let status = axum::http::StatusCode::from_u16(status).unwrap();
    let routes = axum::Router::new().route("/", axum::routing::post(async move || (status, answer)));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let asks = courier::AdServices::new(url, Duration::from_secs(20), Duration::ZERO).unwrap();
    let store = std::sync::Arc::new(store::Memory::new());
    let server = Server::made_of(store, &[], |parts| parts.adservices = Some(asks)).await;
    server.expect(201, "POST /apps", json!({ "name": "Demo", "platform": "iOS", "guid": "kodemo" })).await;
    server
}

/// The class that an install with this token is decided as, and its flags.
async fn decided(server: &Server, data: Value) -> (Value, Value) {
    let install = json!({
        "action": "install", "kochava_app_id": "kodemo", "kochava_device_id": "d1", "data": data,
    });
    let answer = server.call("", "POST /track/json", Some(install.to_string())).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let input = answer.headers["sextant-input"].to_str().unwrap();
    let fact = server.get(&format!("/api/inputs/{input}")).await.body;
    (fact["outcomes"][0]["source"]["kind"].clone(), fact["flags"].clone())
}

#[tokio::test]
async fn a_token_becomes_what_apple_says() {
    const CLICKED: &str =
        r#"{"attribution":true,"orgId":40669820,"campaignId":542370539,"clickDate":"2025-10-09T08:00Z"}"#;
    const UNDATED: &str = r#"{"attribution":true,"campaignId":542370539,"conversionType":"Download"}"#;
    let token = || json!({ "ad_services_token": "token", "usertime": 1_760_000_400 });
    let has = |flags: &Value, flag: &str| flags.as_array().unwrap().contains(&json!(flag));

    let (kind, flags) = decided(&asking(200, CLICKED).await, token()).await;
    assert_ne!(kind, Value::Null);
    assert!(!has(&flags, "asa_unresolved") && !has(&flags, "date_manufactured"), "{flags}");
    let (kind, flags) = decided(&asking(200, UNDATED).await, token()).await;
    assert!(kind != Value::Null && has(&flags, "date_manufactured"), "{kind} {flags}");
    let (kind, flags) = decided(&asking(200, r#"{"attribution":false}"#).await, token()).await;
    assert!(kind.is_null() && !has(&flags, "asa_unresolved"), "{kind} {flags}");
    for (status, answer) in [(404, ""), (400, ""), (200, "nonsense"), (200, "{}")] {
        let (kind, flags) = decided(&asking(status, answer).await, token()).await;
        assert!(kind.is_null() && has(&flags, "asa_unresolved"), "{status} {answer}: {kind} {flags}");
    }
}

#[tokio::test]
async fn apple_is_not_asked_when_the_sender_did_or_the_settings_do_not_want_it() {
    let answered = json!({
        "ad_services_token": "token", "adservices_attribution_details": { "attribution": false },
    });
    let (kind, flags) = decided(&asking(404, "").await, answered).await;
    assert!(kind.is_null() && !flags.as_array().unwrap().contains(&json!("asa_unresolved")), "{flags}");
    let server = Server::start().await;
    server.expect(201, "POST /apps", json!({ "name": "Demo", "platform": "iOS", "guid": "kodemo" })).await;
    let (_, flags) = decided(&server, json!({ "ad_services_token": "token" })).await;
    assert!(!flags.as_array().unwrap().contains(&json!("asa_unresolved")), "{flags}");
}
