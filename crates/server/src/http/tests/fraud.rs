//! Fraud rules as people set them, and blocklists.

use axum::extract::connect_info::MockConnectInfo;
use hmac_of::signed;

use super::*;

const SIGNING_KEY: &str = "a key of sixteen";

/// Signatures as a partner makes them, from the reference in the documentation.
mod hmac_of {
    use sha2::{Digest as _, Sha256};

    /// HMAC-SHA256 written out (RFC 2104), so that the test does not lean on what it tests.
    pub fn signed(key: &str, query: &str) -> String {
        let pad = |byte: u8| -> Vec<u8> {
            let key = key.bytes().chain(std::iter::repeat(0)).take(64);
            key.map(|b| b ^ byte).collect()
        };
        let inner = Sha256::digest([pad(0x36), format!("/v1/cpi/click?{query}").into_bytes()].concat());
        let outer = Sha256::digest([pad(0x5c), inner.to_vec()].concat());
        let hex: String = outer.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{query}&signature={hex}")
    }
}

/// Sends a click as a server does; the answer's input, as the record shows it.
async fn click(server: &Server, query: &str) -> Value {
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    let router = server.router.clone().layer(MockConnectInfo(address));
    let request = Request::get(format!("/v1/cpi/click?{query}")).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 200, "{query}");
    let id = response.headers()["sextant-input"].to_str().unwrap().to_owned();
    server.get(&format!("/api/inputs/{id}")).await.body
}

/// What rules saw in a click: `blocklist_ip reject caught, …`.
fn words(input: &Value) -> String {
    let findings = input["outcomes"][0]["fraud"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let words = findings.iter().map(|finding| {
        format!("{} {} {}", text(&finding["rule"]), text(&finding["mode"]), text(&finding["verdict"]))
    });
    words.collect::<Vec<_>>().join(", ")
}

async fn tracker_guid(server: &Server) -> String {
    server.get("/tracker/1/1").await.body["guid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn rules_are_set_by_name_and_shown() {
    let server = Server::with_tracker().await;
    for path in ["/apps/1", "/networks/1001"] {
        let before = server.get(path).await.body["settings"].clone();
        let settings = json!({
            "fraud.minimum_time_to_install.mode": "reject", "fraud.minimum_time_to_install.threshold": 30,
            "fraud.geo_mismatch.mode": "flag", "fraud.click_flooding.mode": "off",
            "attribution.windows.click_device": 86_400,
        });
        let body = server.expect(200, &format!("PATCH {path}"), json!({ "settings": settings })).await;
        for (name, value) in settings.as_object().unwrap() {
            assert_eq!(body["settings"][name], *value, "{path} {name}");
        }
        assert_eq!(body["settings"]["fraud.geo_mismatch.state"], json!("no_database"));
        assert_eq!(server.get(path).await.body["settings"], body["settings"], "{path}");
        // A client that sends back what it read changes nothing.
        let version = server.site.catalogue.current().version;
        let again = json!({ "settings": body["settings"] });
        assert_eq!(server.expect(200, &format!("PATCH {path}"), again).await["settings"], body["settings"]);
        assert_eq!(server.site.catalogue.current().version, version + 1, "only the thing itself");
        let nulls: serde_json::Map<String, Value> =
            settings.as_object().unwrap().keys().map(|name| (name.clone(), Value::Null)).collect();
        let body = server.expect(200, &format!("PATCH {path}"), json!({ "settings": nulls })).await;
        assert_eq!(body["settings"], before);
    }
    let created =
        json!({ "name": "New", "platform": "iOS", "settings": { "fraud.ad_stacking.mode": "flag" } });
    let body = server.expect(201, "POST /apps", created).await;
    assert_eq!(body["settings"]["fraud.ad_stacking.mode"], json!("flag"));
    let listed = server.get("/apps").await.body;
    assert_eq!(listed[1]["settings"]["fraud.ad_stacking.mode"], json!("flag"));
}

#[tokio::test]
async fn values_outside_their_range_are_told_the_range() {
    let server = Server::with_tracker().await;
    let check = async |path: &str, name: &str, value: Value, words: &str| {
        let body = json!({ "settings": { name: value } });
        let answer = server.send(&format!("PATCH {path}"), body).await;
        assert_eq!(answer.status, 400, "{path} {name}");
        let text = answer.body["errors"][0].as_str().unwrap();
        assert!(text.contains(name) && text.contains(words), "{text}");
    };
    let version = server.site.catalogue.current().version;
    for path in ["/apps/1", "/networks/1001"] {
        check(path, "fraud.minimum_time_to_install.threshold", json!(0), "from 1 to 86400 seconds").await;
        check(path, "fraud.minimum_time_to_install.threshold", json!(86_401), "from 1 to 86400").await;
        check(path, "fraud.minimum_time_to_install.threshold", json!("ten"), "from 1 to 86400").await;
        check(path, "fraud.tti_distribution.threshold", json!(101), "from 1 to 100 percent").await;
        check(path, "fraud.frequency_cap.threshold_minutes", json!(1.5), "from 1 to 1440 minutes").await;
        check(path, "fraud.ad_stacking.mode", json!("on"), "off, flag or reject").await;
        check(path, "fraud.ad_stacking.mode", json!(true), "off, flag or reject").await;
        check(path, "fraud.nothing.mode", json!("flag"), "no setting").await;
        check(path, "fraud.ad_stacking.colour", json!(1), "no setting").await;
    }
    check("/apps/1", "fraud.blocklist.enabled", json!("yes"), "true or false").await;
    check("/networks/1001", "fraud.blocklist.enabled", json!(true), "no setting").await;
    check("/apps/1", "fraud.click_validation.key", json!(SIGNING_KEY), "no setting").await;
    check("/networks/1001", "fraud.click_validation.key", json!("short"), "16 to 256").await;
    assert_eq!(server.site.catalogue.current().version, version, "nothing was changed");
}

#[tokio::test]
async fn verification_rules_are_kept_and_obeyed() {
    let server = Server::with_tracker().await;
    let rules = json!({
        "enabled": true, "fail_action": { "append_param": true, "deliver_postback": false, "reconcile": null },
        "rule": {
            "platform_in": ["Android"], "platform_not_in": null, "country_in": null, "blacklist_device": false,
            "minimum_time_to_install": 20, "frequency_cap_click": 2, "frequency_cap_minutes": 30,
            "frequency_cap_rules": {}, "meta": { "os_version_human_readable": null },
        },
    });
    let body = server.expect(200, "POST /tracker/1", json!({ "id": "1", "verification_rules": rules })).await;
    assert_eq!(body["verification_rules"], rules);
    let guid = tracker_guid(&server).await;
    let device = "adid=7c9e6679-7425-40de-944b-e07fc1f90ae7";
    let agent = "device_ua=Mozilla/5.0%20(Linux;%20Android%2014;%20Pixel%208)";
    let seen = click(&server, &format!("campaign_id={guid}&pbr=1&{device}&{agent}")).await;
    assert_eq!(words(&seen), "verification reject passed, frequency_cap reject passed");
    let iphone = "device_ua=Mozilla/5.0%20(iPhone;%20CPU%20iPhone%20OS%2017_5%20like%20Mac%20OS%20X)";
    let seen = click(&server, &format!("campaign_id={guid}&pbr=1&{device}&{iphone}")).await;
    assert_eq!(words(&seen), "verification reject caught, frequency_cap reject passed");
    assert_eq!(seen["outcomes"][0]["fraud"][0]["figures"]["platform"], json!("iOS"));
    let seen = click(&server, &format!("campaign_id={guid}&pbr=1&{device}&{agent}")).await;
    assert_eq!(words(&seen), "verification reject passed, frequency_cap reject caught");
    assert_eq!(
        seen["outcomes"][0]["fraud"][1]["figures"],
        json!({ "clicks": 3, "threshold": 2, "minutes": 30 })
    );
    // Without the field nothing changes; null takes the verifier away.
    server.expect(200, "POST /tracker/1", json!({ "id": "1", "name": "Renamed" })).await;
    let seen = click(&server, &format!("campaign_id={guid}&pbr=1&{device}&{iphone}")).await;
    assert_eq!(words(&seen), "verification reject caught, frequency_cap reject caught");
    server.expect(200, "POST /tracker/1", json!({ "id": "1", "verification_rules": null })).await;
    let seen = click(&server, &format!("campaign_id={guid}&pbr=1&{device}&{iphone}")).await;
    assert_eq!(words(&seen), "");
}

#[tokio::test]
async fn verification_rules_have_ranges() {
    let server = Server::with_tracker().await;
    let check = async |rules: Value, words: &str| {
        let body = json!({ "id": "1", "verification_rules": rules });
        let answer = server.send("POST /tracker/1", body).await;
        assert_eq!(answer.status, 400, "{rules}");
        let text = answer.body["errors"][0].as_str().unwrap();
        assert!(text.contains(words), "{text}");
    };
    check(json!([]), "verification_rules: must be an object").await;
    check(json!({ "rule": { "minimum_time_to_install": 86_401 } }), "from 1 to 86400 seconds").await;
    check(json!({ "rule": { "frequency_cap_minutes": -1 } }), "from 1 to 1440 minutes").await;
    check(json!({ "rule": { "country_in": [{}] } }), "rule.country_in").await;
    check(json!({ "rule": { "blacklist_ip": "maybe" } }), "blacklist_ip").await;
    check(json!({ "fraud.verification.mode": "on" }), "off, flag or reject").await;
    let both = json!({ "utm_source_match_required": true, "utm_source_match_forbidden": true });
    check(json!({ "rule": both }), "both").await;
    let mode = json!({ "fraud.high_volume_ip.mode": "flag", "fraud.high_volume_ip.threshold": 20 });
    server.expect(200, "POST /tracker/1", json!({ "id": "1", "verification_rules": mode })).await;
}

fn site(site: &str, network: &str) -> Value {
    json!({ "type": "siteId", "blacklistSiteId": {
        "site_id": site, "network_id": network, "source": 2, "accountId": "1", "reason": "bots", "score": 90,
    } })
}

#[tokio::test]
async fn the_blocklist_speaks_the_incumbents_bodies() {
    let server = Server::with_tracker().await;
    let device = json!({ "type": "device", "blacklistDevice": {
        "deviceIdValue": "7C9E6679-7425-40DE-944B-E07FC1F90AE7", "deviceIdType": "adid", "source": 2,
        "accountId": "1", "reason": "farm", "score": 1,
    } });
    let ip = json!({ "type": "ip", "blacklistIp": {
        "ipAddress": "203.0.113.0/24", "source": 2, "accountId": "1", "reason": "data centre", "score": 5,
    } });
    for (status, op, body, text) in [
        (404, "update", site("s1", "1001"), "not found"),
        (200, "add", site("s1", "1001"), "success"),
        (403, "add", site("s1", "1001"), "exists"),
        (200, "add", site("s1", ""), "success"),
        (200, "add", device.clone(), "success"),
        (200, "add", ip.clone(), "success"),
        (200, "update", ip.clone(), "success"),
        (200, "remove", site("s1", "1001"), "success"),
        (404, "remove", site("s1", "1001"), "not found"),
    ] {
        let answer = server.expect(status, &format!("POST /fraud/blacklist/{op}"), body).await;
        assert_eq!(answer, json!({ "status": text }), "{op}");
    }
    let rows = server.get("/api/blocklist").await.body;
    assert_eq!((rows["total"].clone(), rows["nextToken"].clone()), (json!(3), Value::Null));
    let row = |kind: &str, value: &str| {
        let rows = rows["data"].as_array().unwrap();
        rows.iter().find(|row| row["kind"] == kind && row["value"] == value).cloned()
    };
    assert_eq!(row("ip", "203.0.113.0/24").unwrap()["reason"], json!("data centre"));
    assert_eq!(row("siteId", "s1").unwrap()["network_id"], Value::Null);
    assert_eq!(row("device", "7c9e6679742540de944be07fc1f90ae7").unwrap()["score"], json!("1"));
    let rows = server.get("/api/blocklist?kind=ip").await.body;
    assert_eq!(rows["data"].as_array().unwrap().len(), 1);
    let first = server.get("/api/blocklist?limit=2").await.body;
    assert_eq!((first["data"].as_array().unwrap().len(), &first["nextToken"]), (2, &json!("2")));
    let second = server.get("/api/blocklist?limit=2&pageToken=2").await.body;
    assert_eq!((second["data"].as_array().unwrap().len(), &second["nextToken"]), (1, &Value::Null));
    let rows = [
        (404, "POST /fraud/blacklist/burn", r#"{"type":"ip","blacklistIp":{"ipAddress":"203.0.113.1"}}"#),
        (400, "POST /fraud/blacklist/add", "{}"),
        (400, "POST /fraud/blacklist/add", r#"{"type":"ip"}"#),
        (400, "POST /fraud/blacklist/add", r#"{"type":"ip","blacklistIp":{"ipAddress":"300.1.1.1"}}"#),
        (400, "POST /fraud/blacklist/add", r#"{"type":"ip","blacklistIp":{"ipAddress":"203.0.113.0/40"}}"#),
        (400, "POST /fraud/blacklist/add", r#"{"type":"device","blacklistDevice":{"deviceIdValue":"x"}}"#),
        (400, "POST /fraud/blacklist/add", r#"{"type":"siteId","blacklistSiteId":{"site_id":""}}"#),
        (400, "GET /api/blocklist?kind=city", ""),
        (400, "GET /api/blocklist?limit=0", ""),
    ];
    table(&server, &rows).await;
    let body = Some(site("s9", "").to_string());
    for key in [READER, ONE_APP] {
        assert_eq!(server.call(key, "POST /fraud/blacklist/add", body.clone()).await.status, 403);
    }
}

#[tokio::test]
async fn lists_are_imported_whole_or_not_at_all() {
    let server = Server::with_tracker().await;
    let import =
        async |text: &str| server.call(KEY, "POST /api/blocklist/import", Some(text.to_owned())).await;
    let csv = "kind,value,device_id_type,network_id,reason,score\n\
               ip,203.0.113.0/24,,,\"bots, \"\"many\"\"\",90\n\
               ip,2001:db8::/32\n\
               \n\
               site,s1,,1001\n\
               device,7C9E6679-7425-40DE-944B-E07FC1F90AE7,adid\n";
    let answer = import(csv).await;
    assert_eq!((answer.status, &answer.body["added"], &answer.body["updated"]), (200, &json!(4), &json!(0)));
    let version = server.site.catalogue.current().version;
    let again = import(csv).await;
    assert_eq!((&again.body["added"], &again.body["updated"]), (&json!(0), &json!(0)));
    assert_eq!(server.site.catalogue.current().version, version, "nothing new, nothing is recorded");
    let again = import(&csv.replace("bots", "many bots")).await;
    assert_eq!((&again.body["added"], &again.body["updated"]), (&json!(0), &json!(1)));
    let rows = server.get("/api/blocklist?kind=ip").await.body;
    assert_eq!(rows["data"][0]["reason"], json!(r#"many bots, "many""#));
    let lines = format!("{}\n{}\n", json!({ "kind": "ip", "value": "198.51.100.7" }), site("s2", "1001"));
    assert_eq!(import(&lines).await.body["added"], json!(2));
    for (text, words) in [
        ("", "empty"),
        ("ip,203.0.113.1\n", "line 1: must name the columns"),
        ("kind,value\nip,203.0.113.1\nip,nothing\nplanet,9\n", "line 3: value"),
        ("kind,value\nip,203.0.113.2\nplanet,9\n", "line 3: kind"),
        ("kind,value\nip,\"203.0.113.2\n", "line 2: has a quote"),
        ("kind,value\nip,203.0.113.2,x\n", "line 2: has 3 cells"),
        ("kind,value\ndevice,abc\n", "device_id_type"),
        ("{\"kind\":\"ip\",\"value\":\"203.0.113.3\"}\nnot json\n", "line 2"),
    ] {
        let answer = import(text).await;
        assert_eq!(answer.status, 400, "{text}");
        assert!(answer.body["errors"][0].as_str().unwrap().contains(words), "{text}: {}", answer.body);
    }
    assert_eq!(server.get("/api/blocklist").await.body["total"], json!(6), "nothing of a bad file is taken");
    let opened = CatalogueService::open(server.site.store.clone()).unwrap();
    assert_eq!(opened.service.current().blocklist().len(), 6, "it survives a restart");
}

#[tokio::test]
async fn blocked_clicks_are_redirected_and_say_why() {
    let server = Server::with_tracker().await;
    let guid = tracker_guid(&server).await;
    let entry = json!({ "type": "ip", "blacklistIp": { "ipAddress": "203.0.113.0/24", "reason": "bots" } });
    server.expect(200, "POST /fraud/blacklist/add", entry).await;
    let query = format!("campaign_id={guid}&pbr=1&ip_address=203.0.113.9");
    assert_eq!(words(&click(&server, &query).await), "", "off by default");
    let rules = json!({ "enabled": true, "rule": { "blacklist_ip": true } });
    server.expect(200, "POST /tracker/1", json!({ "id": "1", "verification_rules": rules })).await;
    let seen = words(&click(&server, &query).await);
    assert_eq!(seen, "verification reject passed", "on with the tracker and with the app");
    let on = json!({ "settings": { "fraud.blocklist.enabled": true } });
    server.expect(200, "PATCH /apps/1", on).await;
    let seen = click(&server, &query).await;
    assert_eq!(words(&seen), "blocklist_ip reject caught, verification reject passed");
    let figures = &seen["outcomes"][0]["fraud"][0]["figures"];
    let expected = json!({ "entry": "ip", "ip": "203.0.113.0/24", "reason": "bots", "of": "click" });
    assert_eq!(*figures, expected);
}

#[tokio::test]
async fn signed_clicks_pass_and_others_do_not() {
    let server = Server::with_tracker().await;
    let guid = tracker_guid(&server).await;
    let settings =
        json!({ "fraud.click_validation.key": SIGNING_KEY, "fraud.click_validation.mode": "reject" });
    let body = server.expect(200, "PATCH /networks/1001", json!({ "settings": settings })).await;
    assert_eq!(body["settings"]["fraud.click_validation.key"], json!("***"), "the key is not shown");
    let soon = clock::now().seconds() + 60;
    let query = |expires: i64| format!("campaign_id={guid}&pbr=1&click_id=c&expires={expires}");
    for (query, flag, expected) in [
        (signed(SIGNING_KEY, &query(soon)), "signature:ok", "click_validation reject passed"),
        (signed("another key, longer", &query(soon)), "signature:bad", "click_validation reject caught"),
        (signed(SIGNING_KEY, &query(soon - 600)), "signature:expired", "click_validation reject caught"),
        (query(soon), "signature:missing", "click_validation reject caught"),
    ] {
        let seen = click(&server, &query).await;
        assert!(seen["flags"].as_array().unwrap().contains(&json!(flag)), "{query}: {seen}");
        assert_eq!(words(&seen), expected, "{query}");
    }
    let masked = json!({ "settings": { "fraud.click_validation.key": "***" } });
    server.expect(200, "PATCH /networks/1001", masked).await;
    let seen = words(&click(&server, &signed(SIGNING_KEY, &query(soon))).await);
    assert_eq!(seen, "click_validation reject passed");
    let gone = json!({ "settings": { "fraud.click_validation.key": null } });
    server.expect(200, "PATCH /networks/1001", gone).await;
    assert_eq!(words(&click(&server, &query(soon)).await), "click_validation reject too_little");
}
