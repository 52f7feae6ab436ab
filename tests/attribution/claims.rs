//! Claims of self-attributing networks (tracking-and-attribution.md section 12; docs/claims.md).

use reqwest::Method;

use crate::harness::{Answered as _, App, Server, Value, device, json, now};

fn android(n: u64) -> Value {
    json!({ "origination_ip": "203.0.113.24", "device_ua": device::PIXEL,
            "device_ids": { "adid": device::advertising_id(n) } })
}

fn path(app: &App) -> String {
    format!("/api/apps/{}/claims", app.id)
}

/// A claim of device `n`, `minutes` ago, with these fields.
fn claim(network: &str, n: u64, minutes: i64, fields: Value) -> Value {
    let mut claim = json!({ "network_id": network, "kind": "click", "time": now() - 60 * minutes,
                            "device_ids": { "adid": device::advertising_id(n) } });
    claim.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    claim
}

#[tokio::test]
async fn a_claim_wins_or_stays_as_an_influencer() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let san = server.network("Claims Itself").await;
    let names = json!({ "campaign_id": "9001", "campaign_name": "Spring", "ad_name": "Video" });
    let first = server.post(&path(&app), claim(&san, 1, 5, names)).await.accepted();
    app.install("SX-1", android(1)).await;
    let answer = app.attribution("SX-1").await;
    assert_eq!(answer["decision"]["class"], "claim", "{answer}");
    assert_eq!(answer["decision"]["winner"]["network"], "Claims Itself", "{answer}");
    assert_eq!(answer["decision"]["winner"]["identifier"], "adid", "{answer}");
    assert_eq!(answer["data"]["attribution"]["network_id"], json!(san), "{answer}");
    assert_eq!(answer["data"]["attribution"]["campaign"], "Spring", "{answer}");
    assert_eq!(answer["data"]["attribution"]["campaign_id"], "9001", "{answer}");
    let row = server.input(&first).await;
    assert_eq!(
        (&row["kind"], &row["claim"]["params"]["ad_name"]),
        (&json!("claim"), &json!("Video")),
        "{row}"
    );

    // A later click of another network beats it.
    server.post(&path(&app), claim(&san, 2, 5, json!({}))).await.accepted();
    let click = link.click(&format!("adid={}", device::advertising_id(2))).await;
    app.install("SX-2", android(2)).await;
    assert_eq!(app.winner("SX-2").await, click);
    assert_eq!(app.losers("SX-2").await[0].1, "san_claim_beaten");
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["by_kind"]["claim"], 2, "{ledger}");
    assert_eq!(ledger["installs"], json!({ "claim": 1, "device_id": 1 }), "{ledger}");
}

#[tokio::test]
async fn a_claim_that_comes_after_its_install_decides_it_again() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let san = server.network("Claims Itself").await;
    app.install("SX-1", android(1)).await;
    assert_eq!(app.class("SX-1").await, "organic");
    server.post(&path(&app), claim(&san, 1, 5, json!({}))).await.accepted();
    let answer = app.attribution("SX-1").await;
    assert_eq!((&answer["decision"]["class"], &answer["decision"]["revision"]), (&json!("claim"), &json!(1)));
}

#[tokio::test]
async fn overrides_of_a_tracker_mean_nothing_to_a_claim_and_its_own_lookback_does() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Claims Itself").await;
    let window = json!({ "name": "", "key": "device_id_lookback_window", "group": "", "type": "seconds",
                         "value": 60, "admin": 0 });
    let overrides = format!("/tracker/override?id={}", link.id);
    server.post(&overrides, json!({ "device_id_lookback_window": window })).await.is(200);
    let by_name = json!({ "campaign_name": format!("DE | {} | video", link.guid) });
    server.post(&path(&app), claim(&link.network, 1, 90, by_name)).await.accepted();
    app.install("SX-1", android(1)).await;
    let answer = app.attribution("SX-1").await;
    assert_eq!(answer["decision"]["class"], "claim", "{answer}");
    assert_eq!(answer["decision"]["winner"]["tracker_id"], json!(link.id), "{answer}");
    assert_eq!(answer["data"]["attribution"]["tracker"], "DE spring video", "{answer}");
    assert_eq!(answer["decision"]["winner"]["window_from"], "default", "{answer}");

    let own = json!({ "lookback_window": 3_600, "tracker_id": link.id });
    server.post(&path(&app), claim(&link.network, 2, 90, own)).await.accepted();
    app.install("SX-2", android(2)).await;
    let decision = app.attribution("SX-2").await["decision"].clone();
    assert_eq!(decision["class"], "organic", "{decision}");
    let lost = &decision["candidates"][0];
    assert_eq!(
        (&lost["lost"], &lost["window_from"]),
        (&json!("outside_window"), &json!("claim")),
        "{decision}"
    );
}

#[tokio::test]
async fn a_claim_without_granular_sharing_leaves_the_install_to_the_next_best() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let san = server.network("Claims Itself").await;
    let older = format!("adid={}&click_time={}", device::advertising_id(1), now() - 3_600);
    let click = link.click(&older).await;
    let withheld = json!({ "is_granular_data_sharing_allowed": false });
    server.post(&path(&app), claim(&san, 1, 5, withheld)).await.accepted();
    app.install("SX-1", android(1)).await;
    assert_eq!(app.winner("SX-1").await, click);
    assert_eq!(app.losers("SX-1").await[0].1, "rejected:granular_data_sharing");
}

#[tokio::test]
async fn a_list_of_claims_says_which_are_refused_and_a_repeated_one_counts_once() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let san = server.network("Claims Itself").await;
    let numbered = claim(&san, 1, 5, json!({ "claim_id": "c-1" }));
    let list = json!([numbered, { "network_id": san }, 7, claim(&san, 2, 5, json!({}))]);
    let answer = server.post(&path(&app), list).await.is(200);
    assert_eq!(answer.inputs().len(), 2);
    let rejected = answer.json()["rejected"].clone();
    assert_eq!(rejected[0]["index"], 1, "{rejected}");
    assert_eq!(rejected[1]["index"], 2, "{rejected}");

    // Its own number makes a retry count once; other words under it are refused.
    let again = server.post(&path(&app), numbered.clone()).await.accepted();
    assert_eq!(again, answer.inputs()[0]);
    let mut other = numbered;
    other["kind"] = json!("impression");
    server.post(&path(&app), other).await.is(409);
    server.post(&path(&app), json!({ "network_id": san, "time": now() })).await.is(400);
    server.post(&path(&app), json!([])).await.is(400);
    let quarantined = server.get(&format!("/api/apps/{}/quarantine", app.id)).await.is(200).json();
    assert_eq!(quarantined["data"].as_array().unwrap().len(), 4, "{quarantined}");
    let ledger = server.balanced().await;
    assert_eq!(ledger["inputs"]["by_kind"]["claim"], 2, "{ledger}");
}

#[tokio::test]
async fn claims_need_a_key_that_may_write() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let san = server.network("Claims Itself").await;
    let body = claim(&san, 1, 5, json!({})).to_string();
    let keyless = server.request(Method::POST, &path(&app)).body(body).answer().await;
    assert_eq!(keyless.status, 401);
    server.post("/api/apps/987654/claims", claim(&san, 1, 5, json!({}))).await.is(404);
}
