//! Influencers: what an install could have come from and did not (tracking-and-attribution.md section 12).

use crate::harness::{Server, Value, device, json, now};

fn android(n: u64) -> Value {
    json!({ "origination_ip": "203.0.113.24", "device_ua": device::PIXEL,
            "device_ids": { "adid": device::advertising_id(n) } })
}

#[tokio::test]
async fn every_engagement_that_lost_is_a_row_with_its_reason() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let other = app.link("Other Network").await;
    let adid = device::advertising_id(1);
    let old = other.click(&format!("adid={adid}&click_time={}", now() - 31 * 86_400 + 3_600)).await;
    let older = other.click(&format!("adid={adid}&click_time={}", now() - 3_600)).await;
    let view = other.impression(&format!("adid={adid}")).await;
    let winner = link.click(&format!("adid={adid}")).await;
    app.install("SX-1", android(1)).await;
    app.install("SX-2", android(2)).await;
    assert_eq!(app.winner("SX-1").await, winner);

    let path = format!("/api/apps/{}/influencers", app.id);
    let answer = server.get(&path).await.is(200).json();
    assert_eq!(answer["nextToken"], Value::Null, "{answer}");
    let rows = answer["data"].as_array().unwrap();
    let told: Vec<(&str, &str, bool)> = rows
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap();
            (text("click_id"), text("lost"), row["influencer"].as_bool().unwrap())
        })
        .collect();
    let expected = [
        (older.as_str(), "older_click", true),
        (&old, "outside_window", false),
        (&view, "lower_class", true),
    ];
    assert_eq!(told, expected, "{answer}");
    for row in rows {
        assert_eq!(row["kochava_device_id"], "SX-1", "{row}");
        assert_eq!(row["network"], "Other Network", "{row}");
        assert_eq!(row["credited_network_id"], json!(link.network), "{row}");
        assert_eq!(row["credited_class"], "device_id", "{row}");
    }
    // Of one install, and of one reason.
    let install = rows[0]["install_id"].as_str().unwrap();
    let one = server.get(&format!("{path}?install={install}")).await.is(200).json();
    assert_eq!(one["data"], answer["data"], "{one}");
    let reason = server.get(&format!("{path}?reason=lower_class")).await.is(200).json();
    assert_eq!(reason["data"].as_array().unwrap().len(), 1, "{reason}");
    server.get(&format!("{path}?install=ins_1")).await.is(400);
    server.get(&format!("{path}?pageToken=x")).await.is(400);
    server.get("/api/apps/987654/influencers").await.is(404);
}

#[tokio::test]
async fn influencers_come_in_pages_of_whole_installs() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    for n in 1..=5 {
        for _ in 0..3 {
            link.click(&format!("adid={}", device::advertising_id(n))).await;
        }
        app.install(&format!("SX-{n}"), android(n)).await;
    }
    let path = format!("/api/apps/{}/influencers?limit=3", app.id);
    let (mut token, mut rows, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let answer = server.get(&format!("{path}{token}")).await.is(200).json();
        rows.extend(answer["data"].as_array().unwrap().clone());
        pages += 1;
        let Some(next) = answer["nextToken"].as_str() else { break };
        token = format!("&pageToken={next}");
    }
    assert_eq!((rows.len(), pages), (10, 3), "two losers of each install, two installs a page");
    let mut ids: Vec<&str> = rows.iter().map(|row| row["click_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10, "each once");
}
