//! What ads cost, and the links that tell it (docs/management.md).

use reqwest::Method;

use crate::harness::{Answer, Answered as _, App, KEY, Server, Value, device::advertising_id, json};

async fn upload(app: &App, body: &str) -> Answer {
    let path = format!("/api/costs?app={}", app.id);
    let request = app.server.request(Method::POST, &path).header("Authentication-Key", KEY);
    request.body(body.to_owned()).answer().await
}

async fn costs(app: &App, query: &str) -> Value {
    app.server.get(&format!("/api/costs?app={}&{query}", app.id)).await.is(200).json()
}

#[tokio::test]
async fn costs_of_links_and_uploads_are_summed() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    for n in 1..=3 {
        link.click(&format!("adid={}&bid_type=CPC&bid_won=0.1&partner_campaign_id=p-1", advertising_id(n)))
            .await;
    }
    link.impression(&format!("adid={}&bid_type=CPM&bid_won=2.5", advertising_id(4))).await;
    link.click(&format!("adid={}&bid_type=CPI&bid_won=1.25", advertising_id(5))).await;
    app.install("SX-5", json!({ "device_ids": { "adid": advertising_id(5) } })).await;
    let sums = costs(&app, "").await;
    let rows = sums["data"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{sums}");
    assert_eq!((&rows[0]["links"], &rows[0]["uploaded"]), (&json!("1.5525"), &json!("0")), "{sums}");
    assert_eq!(
        (&rows[0]["campaign_id"], &rows[0]["network_id"]),
        (&json!(link.campaign), &json!(link.network))
    );
    let today = rows[0]["day"].as_str().unwrap().to_owned();

    let network = &link.network;
    let csv = format!(
        "date,network_id,partner_campaign_id,cost\n{today},{network},p-1,10.10\n{today},{network},p-2,0.05\n2025-10-09,{network},p-1,7\n"
    );
    let taken = upload(&app, &csv).await.is(200).json();
    assert_eq!((&taken["rows"], &taken["days"]), (&json!(3), &json!(["2025-10-09", today])), "{taken}");
    let sums = costs(&app, "group=campaign").await;
    assert_eq!(sums["total"]["cost"], "11.7025", "{sums}");
    let of = |campaign: Value| {
        let rows = sums["data"].as_array().unwrap();
        rows.iter().find(|row| row["campaign_id"] == campaign).unwrap_or_else(|| panic!("{sums}")).clone()
    };
    assert_eq!(of(json!(link.campaign))["uploaded"], "10.1");
    assert_eq!(of(Value::Null)["uploaded"], "0.05", "no link told what p-2 is");
    assert_eq!(costs(&app, "from=2025-10-09&to=2025-10-09").await["total"]["uploaded"], "7");

    // A day that is uploaded again is replaced, others stay; JSON lines do as well; it survives a restart.
    let json_lines =
        json!({ "date": today, "network_id": network, "partner_campaign_id": "p-1", "cost": "3.3" });
    upload(&app, &json_lines.to_string()).await.is(200);
    server.kill9();
    server.start_again().await;
    assert_eq!(costs(&app, "group=").await["total"]["uploaded"], "3.3");
    assert_eq!(costs(&app, "from=2025-10-09&to=2025-10-09&group=network").await["total"]["uploaded"], "7");
    let all = server.get("/api/costs?group=app").await.is(200).json();
    assert_eq!(
        (&all["data"][0]["app_id"], &all["data"][0]["cost"]),
        (&json!(app.id), &json!("4.8525")),
        "{all}"
    );
}

#[tokio::test]
async fn an_upload_is_taken_whole_or_not_at_all() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let network = server.network("Example Network").await;
    let good = format!("date,network_id,cost\n2025-10-09,{network},1\n");
    for (bad, words) in [
        (String::new(), "empty"),
        ("date,cost\n2025-10-09,1".to_owned(), "network_id"),
        (format!("{good}2025-10-32,{network},1"), "line 3: date"),
        (format!("{good}2025-10-09,999999,1"), "line 3: network_id"),
        (format!("{good}2025-10-09,{network},-1"), "line 3: cost"),
        (format!("{good}2025-10-09,{network},a lot"), "line 3: cost"),
        (format!("{good}2025-10-09,{network},"), "line 3: cost"),
        (format!("{good}2999-01-01,{network},1"), "line 3: date"),
        (format!("date,network_id,cost,currency\n2025-10-09,{network},1,EUR"), "line 2: currency"),
        (format!("date,network_id,cost,weather\n2025-10-09,{network},1,fine"), "line 2: weather"),
        ("{\"date\":\"2025-10-09\"".to_owned(), "line 1"),
    ] {
        let answer = upload(&app, &bad).await.is(400);
        assert!(answer.text().contains(words), "{bad:?}: {}", answer.text());
    }
    assert_eq!(costs(&app, "from=2025-10-09&to=2025-10-09").await["data"], json!([]));
    for query in [
        "from=2025-10-09&to=2025-10-08",
        "from=x",
        "group=weather",
        "from=2025-01-01&to=2025-12-31",
        "app=999",
    ] {
        let answer = server.get(&format!("/api/costs?{query}")).await;
        assert!(matches!(answer.status, 400 | 404), "{query}: {}", answer.text());
    }
}

#[tokio::test]
async fn links_are_made_with_every_macro_and_a_code() {
    let server = Server::with(&[("SEXTANT_SERVER_PUBLIC_URL", "https://links.example.com")]).await;
    let app = server.app("iOS").await;
    let network = server.network("Example Network").await;
    let destination = json!({ "destination_url": "https://shop.example.com/{sku}" });
    let link = app.link_of(&network, destination).await;
    let path = format!("/api/trackers/{}/links", link.id);
    let links = server.get(&path).await.is(200).json();
    let url =
        |kind: &str| links[kind]["url"].as_str().unwrap_or_else(|| panic!("{kind} in {links}")).to_owned();
    let plain =
        format!("https://links.example.com/v1/cpi/click?campaign_id={}&network_id={network}", link.guid);
    assert_eq!(url("plain"), plain);
    let code = links["plain"]["qr_svg"].as_str().unwrap();
    assert!(code.contains("<svg") && code.ends_with("</svg>"));
    for name in [
        "click_id",
        "site_id",
        "sub_site_id",
        "creative_id",
        "partner_campaign_id",
        "partner_campaign_name",
        "bid_type",
        "bid_won",
        "ad_platform",
        "impression_id",
        "idfa",
        "att",
        "sku",
    ] {
        for kind in ["click", "impression", "click_s2s", "impression_s2s", "click_signed"] {
            assert!(url(kind).contains(&format!("&{name}={{{name}}}")), "{name} in {}", url(kind));
        }
    }
    assert!(url("click").starts_with(&plain) && !url("click").contains("ip_address"));
    assert!(url("impression").starts_with("https://links.example.com/track/impression?"));
    assert!(url("click_s2s").contains("&ip_address={ip_address}&device_ua={device_ua}&pbr=1"));
    assert!(url("click_signed").ends_with("&expires={expires}&signature={signature}"));
    assert_eq!(links["click_signed"]["required"], false);
    // A network writes macros its own way, and may sign.
    let settings = json!({ "link_macros": { "click_id": "%%CLICK%%" }, "settings": { "fraud.click_validation.key": "0123456789abcdef" } });
    server.patch(&format!("/networks/{network}"), settings).await.is(200);
    server
        .patch(&format!("/networks/{network}"), json!({ "link_macros": { "click_id": "a&b" } }))
        .await
        .is(400);
    let links = server.get(&path).await.is(200).json();
    assert!(links["click"]["url"].as_str().unwrap().contains("&click_id=%%CLICK%%&"), "{links}");
    assert_eq!(links["click_signed"]["required"], true);
    // What a network leaves unfilled means nothing, so the links work as they are.
    let click =
        server.request(Method::GET, &url("click").replace("https://links.example.com", "")).answer().await;
    assert_eq!((click.status, click.inputs().len()), (302, 1), "{}", click.text());
    server.get("/api/trackers/999/links").await.is(404);
    server.delete(&format!("/tracker/{}/delete/{}", app.id, link.id)).await.is(200);
    server.get(&path).await.is(404);
}
