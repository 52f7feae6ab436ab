//! Inputs that come before their install (ingest.md sections 4 to 6; DECISIONS 4).

use crate::harness::{App, Server, Value, json};

async fn outcomes(app: &App, input: &str) -> Vec<String> {
    let row = app.server.input(input).await;
    let outcomes = row["outcomes"].as_array().expect("outcomes are a list");
    outcomes.iter().filter_map(|outcome| outcome["outcome"].as_str()).map(str::to_owned).collect()
}

#[tokio::test]
async fn events_and_links_wait_for_their_install() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let idfa = "7C9E6679-7425-40DE-944B-E07FC1F90AE7";
    let link = |device: Value, method: Value| {
        json!({ "kochava_app_id": app.guid, "device_id": device, "device_hash_method": method,
                "data": { "user_id": "u-42", "crm_id": 2_718_281_828_u64 } })
    };
    let path = "/v1/cpi/identityLink.php";
    let hashed = link(json!({ "idfa": "358f3cc563911c41542fa3394787f529" }), json!({ "idfa": "md5" }));
    let unnamed = link(json!({ "idfa": "358f3cc563911c41542fa3394787f529" }), Value::Null);
    let plain = link(json!({ "idfv": "3D5F0B1E-6C2A-4E57-9E0B-7A1C2D3E4F50" }), Value::Null);
    let early = [
        app.event("SX-1", "Purchase", json!({ "sum": 3 })).await,
        server.sends(path, hashed.to_string()).await.accepted(),
        server.sends(path, unnamed.to_string()).await.accepted(),
        server.sends(path, plain.to_string()).await.accepted(),
        app.send("identityLink", "SX-1", json!({ "identity_link": { "user_id": "u-43" } })).await.accepted(),
    ];
    for input in &early {
        assert_eq!(outcomes(&app, input).await, ["no_install"]);
    }
    let stranger = app.event("SX-2", "Purchase", json!({})).await;

    let install = json!({
        "device_ver": "iPhone-iOS-17.5", "app_tracking_transparency": { "att": true },
        "device_ids": { "idfa": idfa, "idfv": "3D5F0B1E-6C2A-4E57-9E0B-7A1C2D3E4F50" },
    });
    app.install("SX-1", install).await;
    for input in &early {
        assert_eq!(outcomes(&app, input).await.last().map(String::as_str), Some("linked"), "{input}");
    }
    assert_eq!(outcomes(&app, &stranger).await, ["no_install"]);
    // What comes after the install joins at once.
    for link in [hashed, unnamed] {
        let late = server.sends(path, link.to_string()).await.accepted();
        assert_eq!(outcomes(&app, &late).await, ["linked"]);
    }
    server.balanced().await;
}

#[tokio::test]
async fn an_input_older_than_the_hold_stands_alone() {
    let server = Server::with(&[("SEXTANT_INGEST_HOLD", "0s")]).await;
    let app = server.app("iOS").await;
    let early = app.event("SX-1", "Purchase", json!({})).await;
    // Compared by receipt times: the two must differ.
    let sent = crate::harness::now_ms();
    crate::harness::eventually("the next millisecond", async || {
        (crate::harness::now_ms() > sent + 1).then_some(())
    })
    .await;
    app.install("SX-1", json!({})).await;
    assert_eq!(outcomes(&app, &early).await, ["no_install"]);
}

#[tokio::test]
async fn events_join_by_any_identifier() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let ids = json!({
        "adid": "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", "android_id": "9774d56d682e549c", "custom": "qa-1",
        "fire_adid": "2b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", "udid": "roku-1",
    });
    app.install("SX-1", json!({ "device_ids": ids })).await;
    for ids in [
        json!({ "adid": "1B9D6BCDBBFD4B2D9B5DAB8DFBBD4BED" }),
        json!({ "ADID": "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed" }),
        json!({ "android_id": "9774D56D682E549C" }),
        json!({ "custom": "qa-1" }),
        json!({ "fire_adid": "2b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed" }),
        json!({ "rida": "roku-1" }),
    ] {
        let data = json!({ "event_name": "View", "device_ids": ids });
        let body = json!({ "action": "event", "kochava_app_id": app.guid, "data": data });
        let input = server.sends("/track/json", body.to_string()).await.accepted();
        assert_eq!(outcomes(&app, &input).await, ["linked"], "{ids}");
    }
}

#[tokio::test]
async fn a_hashed_link_finds_a_device_that_was_there_before_any_hash() {
    let server = Server::start().await;
    for (method, digest) in [
        ("", "358f3cc563911c41542fa3394787f529"),
        ("", "E718F3645353E8CF742FF1293B141FCF"),
        ("", "7c9e6679742540de944be07fc1f90ae7"),
        ("md5", "358f3cc563911c41542fa3394787f529"),
        ("md5", "e718f3645353e8cf742ff1293b141fcf"),
        ("sha1", "2b8734dd8ba2c30d3468bce86b2df733592f5f2f"),
        ("", "0BC9F5A04DF672E1B1D157563BAF7E93F65490F0"),
    ] {
        let app = server.app("iOS").await;
        let data = json!({ "device_ver": "iPhone-iOS-17.5", "app_tracking_transparency": { "att": true },
                           "device_ids": { "idfa": "7C9E6679-7425-40DE-944B-E07FC1F90AE7" } });
        app.install("SX-1", data).await;
        let link = json!({ "kochava_app_id": app.guid, "device_id": { "idfa": digest },
                           "device_hash_method": { "idfa": method }, "data": { "user_id": "u-42" } });
        let input = server.sends("/v1/cpi/identityLink.php", link.to_string()).await.accepted();
        assert_eq!(outcomes(&app, &input).await, ["linked"], "{method} {digest}");
    }
}
