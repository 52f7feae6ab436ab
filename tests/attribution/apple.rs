//! What Apple says, from outside: aggregate postbacks and AdServices tokens (ingest.md section 10,
//! tracking-and-attribution.md sections 11 and 15).

use crate::harness::{Reply, Server, Sink, Value, json, now};

/// The example of Apple's documentation for version 4, for the app 525463029.
fn postback() -> Value {
    json!({
        "version": "4.0", "ad-network-id": "com.example", "source-identifier": "5239", "app-id": 525_463_029,
        "transaction-id": "6aafb7a5-0170-41b5-bbe4-fe71dedf1e30", "redownload": false,
        "source-domain": "example.com", "fidelity-type": 1, "did-win": true, "conversion-value": 63,
        "postback-sequence-index": 0,
        "attribution-signature": "MEUCIGRmSMrqedNu6uaHyhVcifs118R5z/AB6cvRaKrRRHWRAiEAv96ne3dKQ5kJpbsfk4eYiePmr\
                                  ZUU6sQmo+7zfP/1Bxo=",
    })
}

/// The example of Apple's documentation for AdAttributionKit: a development key signed it.
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

async fn in_the_store(settings: &[(&str, &str)], number: u64) -> (Server, u64) {
    let server = Server::with(settings).await;
    let fields = json!({ "name": "Shop", "platform": "iOS", "app_store_id": number });
    let app = server.app_with(fields).await.id;
    (server, app)
}

#[tokio::test]
async fn a_skadnetwork_postback_counts_once_and_apart_from_installs() {
    let (server, app) = in_the_store(&[], 525_463_029).await;
    for path in ["/v1/skad/postback", "/.well-known/skadnetwork/report-attribution/"] {
        server.sends(path, postback().to_string()).await.is(200);
    }
    let mut forged = postback();
    forged["source-identifier"] = json!("5238");
    let text = server.sends("/v1/skad/postback", forged.to_string()).await.is(400).text();
    assert!(text.contains("bad_signature"), "{text}");
    let list = server.get(&format!("/api/apps/{app}/skad")).await.is(200).json();
    let repeated: Vec<&Value> =
        list["data"].as_array().unwrap().iter().map(|row| &row["duplicate"]).collect();
    assert_eq!(repeated, [&json!(true), &json!(false)], "{list}");
    assert_eq!(list["summary"][0]["count"], 1, "{list}");
    assert_eq!(list["summary"][0]["window"], 0, "{list}");
    let ledger = server.balanced().await;
    assert_eq!(ledger["aggregates"], json!({ "counted": 1, "repeated": 1 }), "{ledger}");
    assert_eq!(ledger["installs"], json!({}), "{ledger}");
    // It is there after the end of the program, and still counts once.
    server.kill9();
    server.start_again().await;
    server.sends("/v1/skad/postback", postback().to_string()).await.is(200);
    let list = server.get(&format!("/api/apps/{app}/skad")).await.is(200).json();
    assert_eq!(list["summary"][0]["count"], 1, "{list}");
}

#[tokio::test]
async fn adattributionkit_with_a_development_key_passes_only_where_it_is_wanted() {
    let (server, app) = in_the_store(&[], 10_738_027_756).await;
    let path = "/.well-known/appattribution/report-attribution/";
    let text = server.sends(path, development().to_string()).await.is(400).text();
    assert!(text.contains("development_key"), "{text}");
    assert_eq!(server.get(&format!("/api/apps/{app}/skad")).await.json()["data"], json!([]));
    let wanted = [("SEXTANT_SKAD_ACCEPT_DEVELOPMENT_POSTBACKS", "true")];
    let (server, app) = in_the_store(&wanted, 10_738_027_756).await;
    server.sends(path, development().to_string()).await.is(200);
    let row = server.get(&format!("/api/apps/{app}/skad")).await.json()["data"][0].clone();
    assert_eq!(row["framework"], "adattributionkit", "{row}");
    assert_eq!(row["signed_by"], "development", "{row}");
}

#[tokio::test]
async fn a_token_is_resolved_only_where_it_is_wanted() {
    let clicked = r#"{"attribution":true,"orgId":40669820,"campaignId":542370539}"#;
    for (wanted, class) in [("false", "organic"), ("true", "asa")] {
        let apple = Sink::start().await;
        apple.on("/api/v1/", [Reply::Text(clicked)]);
        let url = apple.url("/api/v1/");
        let settings = [
            ("SEXTANT_ATTRIBUTION_RESOLVE_ADSERVICES_TOKEN", wanted),
            ("SEXTANT_ATTRIBUTION_ADSERVICES_URL", url.as_str()),
        ];
        let server = Server::with(&settings).await;
        let app = server.app("iOS").await;
        app.install("SX-1", json!({ "usertime": now(), "ad_services_token": "a-token" })).await;
        assert_eq!(app.class("SX-1").await, class, "{wanted}");
        let asked: Vec<String> = apple.all().into_iter().map(|hit| hit.body).collect();
        assert_eq!(
            asked,
            if wanted == "true" { vec!["a-token"] } else { Vec::new() },
            "the token and nothing else"
        );
    }
}
