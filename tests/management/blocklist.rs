//! The blocklist of the account (management-and-reporting.md section 8, docs/fraud.md).

use reqwest::Method;

use crate::harness::{Answer, Answered as _, KEY, Server, Value, device, device::advertising_id, json};

async fn change(server: &Server, op: &str, body: &Value) -> Answer {
    server.post(&format!("/fraud/blacklist/{op}"), body.clone()).await
}

#[tokio::test]
async fn entries_are_added_changed_read_and_removed() {
    let server = Server::start().await;
    let common = json!({ "source": 2, "accountId": "42", "reason": "a farm", "score": "0.9" });
    let of = |body: &str, fields: Value| {
        let mut listed = common.clone();
        listed.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        (body.to_owned(), listed)
    };
    for (kind, (body, fields)) in [
        ("siteId", of("blacklistSiteId", json!({ "site_id": "s-9", "network_id": "1001" }))),
        (
            "device",
            of("blacklistDevice", json!({ "deviceIdValue": advertising_id(1), "deviceIdType": "adid" })),
        ),
        ("ip", of("blacklistIp", json!({ "ipAddress": "203.0.113.9" }))),
    ] {
        let mut entry = json!({ "type": kind, body.as_str(): fields });
        for (op, status) in [("update", 404), ("remove", 404), ("add", 200), ("add", 403), ("update", 200)] {
            let answer = change(&server, op, &entry).await;
            assert_eq!(answer.status, status, "{op} {entry}: {}", answer.text());
            assert!(
                answer.json()["status"].as_str().is_some_and(|text| !text.is_empty()),
                "{}",
                answer.text()
            );
        }
        entry[body.as_str()]["reason"] = json!("another reason");
        change(&server, "update", &entry).await.is(200);
        let listed = server.get(&format!("/api/blocklist?kind={kind}")).await.is(200).json();
        assert_eq!(listed["total"], 1, "{listed}");
        assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
        assert_eq!(listed["data"][0]["reason"], "another reason", "{listed}");
        change(&server, "remove", &entry).await.is(200);
        let listed = server.get("/api/blocklist").await.is(200).json();
        assert_eq!((&listed["data"], &listed["total"]), (&json!([]), &json!(0)), "{listed}");
    }
    change(&server, "forget", &json!({ "type": "ip", "blacklistIp": { "ipAddress": "203.0.113.9" } }))
        .await
        .is(404);
    for body in [
        json!({}),
        json!({ "type": "weather" }),
        json!({ "type": "ip" }),
        json!({ "type": "ip", "blacklistIp": {} }),
        json!({ "type": "ip", "blacklistIp": { "ipAddress": "here" } }),
        json!({ "type": "siteId", "blacklistSiteId": { "site_id": "s", "network_id": "x" } }),
    ] {
        change(&server, "add", &body).await.is(400);
    }
}

#[tokio::test]
async fn what_is_listed_wins_nothing_in_apps_that_use_the_list() {
    let server = Server::start().await;
    let settings = json!({ "fraud.blocklist.enabled": true, "fraud.blocklist_site.mode": "reject" });
    let app = server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
    let link = app.link("Example Network").await;
    let entry = json!({ "type": "siteId", "blacklistSiteId": {
        "site_id": "s-9", "network_id": link.network, "source": 2, "reason": "a farm" } });
    change(&server, "add", &entry).await.is(200);
    for (n, site, class) in [(1, "s-9", "organic"), (2, "s-1", "device_id")] {
        let adid = advertising_id(n);
        link.click(&format!("adid={adid}&site_id={site}")).await;
        let data = json!({ "device_ua": device::PIXEL, "device_ids": { "adid": adid } });
        app.install(&format!("SX-{n}"), data).await;
        assert_eq!(app.class(&format!("SX-{n}")).await, class, "{site}");
    }
}

#[tokio::test]
async fn a_file_is_taken_whole_or_not_at_all() {
    let server = Server::start().await;
    let import = async |text: &str| {
        let request = server.request(Method::POST, "/api/blocklist/import").header("Authentication-Key", KEY);
        request.body(text.to_owned()).answer().await
    };
    let good = "kind,value,reason\nip,203.0.113.0/24,a farm\nip,198.51.100.7,\n";
    let taken = import(good).await.is(200).json();
    assert_eq!((&taken["added"], &taken["updated"]), (&json!(2), &json!(0)), "{taken}");
    let answer = import("kind,value\nip,203.0.113.1\nip,here\n").await.is(400);
    assert!(answer.text().contains("line 3"), "{}", answer.text());
    let (mut token, mut rows) = (String::new(), 0);
    loop {
        let page = server.get(&format!("/api/blocklist?limit=1{token}")).await.is(200).json();
        rows += page["data"].as_array().unwrap().len();
        match page["nextToken"].as_str() {
            Some(next) => token = format!("&pageToken={next}"),
            None => break,
        }
    }
    assert_eq!(rows, 2);
    for query in ["limit=0", "limit=1001", "kind=weather", "pageToken=x"] {
        let answer = server.get(&format!("/api/blocklist?{query}")).await.is(400).json();
        assert_eq!(answer["success"], false, "{query}: {answer}");
    }
}
