//! Fraud rules from outside: what they reject stays on record with what they saw
//! (tracking-and-attribution.md section 14).

use std::path::Path;

use reqwest::Method;

use crate::harness::{Answered as _, App, KEY, Link, Server, Sink, Value, device, json, mmdb, now};

fn android(n: u64, ip: &str) -> Value {
    json!({ "origination_ip": ip, "device_ua": device::PIXEL, "device_ids": { "adid": device::advertising_id(n) } })
}

/// Sets a mode of a rule for an app, a network or a tracker.
async fn set(app: &App, link: &Link, level: &str, rule: &str, mode: &str) {
    let server = &app.server;
    let name = format!("fraud.{rule}.mode");
    let settings = json!({ name.as_str(): mode });
    match level {
        "app" => server.patch(&format!("/apps/{}", app.id), json!({ "settings": settings })).await,
        "network" => {
            server.patch(&format!("/networks/{}", link.network), json!({ "settings": settings })).await
        }
        _ => {
            let body = json!({ "id": link.id, "verification_rules": settings });
            server.post(&format!("/tracker/{}", app.id), body).await
        }
    }
    .is(200);
}

#[tokio::test]
async fn a_rule_is_off_flags_or_rejects_at_app_network_and_tracker() {
    let server = Server::start().await;
    const RULE: &str = "minimum_time_to_install";
    for level in ["app", "network", "tracker"] {
        for mode in ["off", "flag", "reject"] {
            let app = server.app("Android").await;
            let link = app.link("Example Network").await;
            set(&app, &link, level, RULE, mode).await;
            let click = link.click(&format!("adid={}", device::advertising_id(1))).await;
            app.install("SX-1", android(1, "203.0.113.24")).await;
            let decision = app.attribution("SX-1").await["decision"].clone();
            let candidate = &decision["candidates"][0];
            assert_eq!(candidate["click_id"], json!(click), "it stays on record: {decision}");
            let lost = if mode == "reject" { json!("rejected:minimum_time_to_install") } else { Value::Null };
            assert_eq!(candidate["lost"], lost, "{level} {mode}: {decision}");
            if mode == "off" {
                assert_eq!(candidate["fraud"], json!([]), "{level} {mode}: {decision}");
                continue;
            }
            let finding = &candidate["fraud"][0];
            for (key, value) in [("rule", RULE), ("mode", mode), ("set_by", level), ("verdict", "caught")] {
                assert_eq!(finding[key], value, "{level} {mode}: {decision}");
            }
            assert_eq!(finding["figures"]["threshold"], 10, "{decision}");
            // Neither does the click go from the record of what came in.
            let input = server.input(&click.replace("clk_", "in_")).await;
            assert_eq!(input["outcomes"][0]["outcome"], "stored", "{input}");
        }
    }
}

#[tokio::test]
async fn the_tracker_outranks_the_network_and_the_network_the_app() {
    let server = Server::start().await;
    for (app_mode, network_mode, tracker_mode, lost, by) in [
        ("flag", "reject", "", true, "network"),
        ("reject", "flag", "", false, "network"),
        ("reject", "reject", "flag", false, "tracker"),
        ("off", "off", "reject", true, "tracker"),
    ] {
        let app = server.app("Android").await;
        let link = app.link("Example Network").await;
        for (level, mode) in [("app", app_mode), ("network", network_mode), ("tracker", tracker_mode)] {
            if !mode.is_empty() {
                set(&app, &link, level, "minimum_time_to_install", mode).await;
            }
        }
        link.click(&format!("adid={}", device::advertising_id(1))).await;
        app.install("SX-1", android(1, "203.0.113.24")).await;
        let decision = app.attribution("SX-1").await["decision"].clone();
        let candidate = &decision["candidates"][0];
        assert_eq!(
            !candidate["lost"].is_null(),
            lost,
            "{app_mode} {network_mode} {tracker_mode}: {decision}"
        );
        assert_eq!(candidate["fraud"][0]["set_by"], by, "{decision}");
    }
}

#[tokio::test]
async fn an_imported_list_blocks_devices_sites_addresses_and_ranges() {
    let server = Server::start().await;
    let list = format!(
        "kind,value,device_id_type,network_id,reason\n\
         device,{},adid,,farm\nsite,bad-site,,,bots\nip,203.0.113.7,,,one address\nip,198.51.100.0/24,,,a range\n\
         ip,2001:db8:bad::/48,,,a range\n",
        device::advertising_id(1)
    );
    let import = server.request(Method::POST, "/api/blocklist/import").header("Authentication-Key", KEY);
    let answer = import.body(list).answer().await.is(200).json();
    assert_eq!(answer["added"], 5, "{answer}");
    let settings = json!({
        "fraud.blocklist.enabled": true, "fraud.blocklist_device.mode": "reject",
        "fraud.blocklist_site.mode": "reject", "fraud.blocklist_ip.mode": "reject",
    });
    let app = server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
    let link = app.link("Example Network").await;
    for (n, query, rule, reason) in [
        (1, "", "blocklist_device", "farm"),
        (2, "site_id=bad-site", "blocklist_site", "bots"),
        (3, "ip_address=203.0.113.7", "blocklist_ip", "one address"),
        (4, "ip_address=198.51.100.200", "blocklist_ip", "a range"),
        (5, "ip_address=2001:db8:bad:1::9", "blocklist_ip", "a range"),
        (6, "ip_address=203.0.113.8&site_id=good-site", "", ""),
    ] {
        let click = link.click(&format!("adid={}&{query}", device::advertising_id(n))).await;
        let device = format!("SX-{n}");
        app.install(&device, android(n, "192.0.2.1")).await;
        if rule.is_empty() {
            assert_eq!(app.winner(&device).await, click);
            continue;
        }
        assert_eq!(app.losers(&device).await, [(click, format!("rejected:{rule}"))], "{query}");
        let decision = app.attribution(&device).await["decision"].clone();
        assert_eq!(decision["candidates"][0]["fraud"][0]["figures"]["reason"], reason, "{decision}");
    }
}

#[tokio::test]
async fn caps_go_on_counting_after_a_kill() {
    let server = Server::start().await;
    let settings = json!({ "fraud.frequency_cap.mode": "reject", "fraud.frequency_cap.threshold": 2 });
    let app = server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
    let link = app.link("Example Network").await;
    let mut caught = Vec::new();
    for n in 0..4 {
        let click = link.click(&format!("adid={}&click_id=c-{n}", device::advertising_id(1))).await;
        let input = server.input(&click.replace("clk_", "in_")).await;
        let finding = &input["outcomes"][0]["fraud"][0];
        caught.push(json!([finding["verdict"], finding["figures"]]));
        server.kill9();
        server.start_again().await;
    }
    let saw =
        |verdict: &str, clicks: u64| json!([verdict, { "clicks": clicks, "threshold": 2, "minutes": 60 }]);
    assert_eq!(caught, [saw("passed", 1), saw("passed", 2), saw("caught", 3), saw("caught", 4)]);
}

/// Twelve clicks and one install in an hour: in the next one the rule has these figures, whenever the server was
/// killed in between, and in the one after it has none (DECISIONS 24).
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_ratio_of_the_closed_hour_outlives_a_kill() {
    const HOUR: i64 = 3_600;
    let mut clock = crate::harness::clock::Clock::new();
    let [library, file] = clock.settings();
    let server = Server::with(&[(library.0, library.1.as_str()), (file.0, file.1.as_str())]).await;
    let settings = json!({ "fraud.click_flooding.mode": "reject", "fraud.click_flooding.threshold": 100_000,
                           "fraud.click_flooding.threshold_clicks": 10 });
    let app = server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
    let link = app.link("Flood Network").await;
    for n in 1..=12 {
        link.click(&format!("adid={}&site_id=s-1", device::advertising_id(n))).await;
    }
    let decided = async |n: u64| {
        app.install(&format!("SX-{n}"), android(n, "192.0.2.1")).await;
        let decision = app.attribution(&format!("SX-{n}")).await["decision"].clone();
        let finding = &decision["candidates"][0]["fraud"][0];
        assert_eq!(finding["rule"], "click_flooding", "{decision}");
        json!([
            decision["class"],
            finding["verdict"],
            finding["figures"]["clicks"],
            finding["figures"]["installs"]
        ])
    };
    let start_again = async || {
        server.kill9();
        server.start_again().await;
    };
    start_again().await;
    assert_eq!(decided(1).await, json!(["device_id", "too_little", 0, 0]), "the hour is open");
    clock.goes_on(HOUR);
    start_again().await;
    assert_eq!(decided(2).await, json!(["organic", "caught", 12, 1]), "counted again");
    start_again().await;
    assert_eq!(decided(3).await, json!(["organic", "caught", 12, 1]), "as it was written");
    clock.goes_on(HOUR);
    start_again().await;
    assert_eq!(
        decided(4).await,
        json!(["device_id", "too_little", 0, 2]),
        "what is rejected counts all the same"
    );
    clock.goes_on(HOUR);
    start_again().await;
    assert_eq!(decided(5).await, json!(["device_id", "too_little", 0, 1]));
}

/// A partner's server tells of the clicks of its users. Its own address is not theirs: nobody is counted, found or
/// taken for a repetition by it. An `ip_address` is the user's, whoever sends it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_address_of_a_partners_server_is_nobodys() {
    let mut clock = crate::harness::clock::Clock::new();
    let [library, file] = clock.settings();
    let server = Server::with(&[(library.0, library.1.as_str()), (file.0, file.1.as_str())]).await;
    let settings = json!({
        "fraud.high_volume_ip.mode": "reject", "fraud.high_volume_ip.threshold": 10,
        "fraud.frequency_cap.mode": "reject", "fraud.frequency_cap.threshold": 3,
        "fraud.ad_stacking.mode": "reject", "fraud.ad_stacking.threshold": 3,
    });
    let app = server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
    let (silent, telling) = (app.link("Silent Network").await, app.link("Telling Network").await);
    for n in 1..=12 {
        silent.click(&format!("adid={}", device::advertising_id(n))).await;
        let told = format!("adid={}&ip_address=203.0.113.9", device::advertising_id(100 + n));
        telling.click(&told).await;
    }
    // Users of whom the server tells no more than the phone.
    let phone = device::encoded(device::PIXEL);
    for n in 0..5 {
        let click = silent.click(&format!("device_ua={phone}&n={n}")).await;
        let input = server.input(&click.replace("clk_", "in_")).await;
        assert!(input["flags"].to_string().contains("ip_of_caller"), "{input}");
        let outcome = &input["outcomes"][0];
        assert_eq!(outcome["duplicate"], false, "{input}");
        for finding in outcome["fraud"].as_array().unwrap() {
            assert_eq!(finding["verdict"], "too_little", "{input}");
            let why = finding["figures"]["address"].to_string();
            assert!(why.contains("without ip_address"), "{input}");
        }
    }
    // An install from there, such as one of the partner's own staff, is none of theirs.
    app.install("SX-0", json!({ "device_ua": device::PIXEL })).await;
    assert_eq!(app.class("SX-0").await, "organic");
    clock.goes_on(3_600);
    server.kill9();
    server.start_again().await;
    for (n, lost, verdict) in
        [(1, Value::Null, "too_little"), (101, json!("rejected:high_volume_ip"), "caught")]
    {
        let device = format!("SX-{n}");
        app.install(&device, android(n, "192.0.2.1")).await;
        let decision = app.attribution(&device).await["decision"].clone();
        let candidate = &decision["candidates"][0];
        assert_eq!(candidate["lost"], lost, "{decision}");
        let findings = candidate["fraud"].as_array().unwrap();
        let of_ip = findings.iter().find(|finding| finding["rule"] == "high_volume_ip").unwrap();
        assert_eq!(of_ip["verdict"], verdict, "{decision}");
    }
}

#[tokio::test]
async fn fraud_rules_of_a_network_within_one_app_leave_its_other_apps_alone() {
    let server = Server::start().await;
    let (app, other) = (server.app("Android").await, server.app("Android").await);
    let network = server.network("Example Network").await;
    let page = json!({ "destination_url": "https://shop.example.com/start" });
    let (link, elsewhere) = (app.link_of(&network, page.clone()).await, other.link_of(&network, page).await);
    let path = format!("/apps/{}/networks/{network}", app.id);
    const MODE: &str = "fraud.minimum_time_to_install.mode";
    let answer = server.patch(&path, json!({ "settings": { MODE: "reject" } })).await.is(200).json();
    assert_eq!(answer["settings"], json!({ MODE: "reject" }), "{answer}");
    assert_eq!(server.get(&path).await.is(200).json(), answer);
    let all = server.get(&format!("/apps/{}/networks", app.id)).await.is(200).json();
    assert_eq!(all, json!([answer]));
    server.patch(&format!("/networks/{network}"), json!({ "settings": { MODE: "flag" } })).await.is(200);
    for (app, link, lost) in
        [(&app, &link, json!("rejected:minimum_time_to_install")), (&other, &elsewhere, Value::Null)]
    {
        link.click(&format!("adid={}", device::advertising_id(1))).await;
        app.install("SX-1", android(1, "203.0.113.24")).await;
        let decision = app.attribution("SX-1").await["decision"].clone();
        assert_eq!(decision["candidates"][0]["lost"], lost, "{decision}");
    }
    let body = json!({ "networks": { &network: { "settings_in_app": { MODE: "off" } } } });
    let answer = app.what_if(body).await;
    assert_eq!(answer["report"]["changed"], 1, "{answer}");
    for (name, value) in
        [(MODE, json!("sometimes")), ("fraud.click_validation.key", json!("0123456789abcdef"))]
    {
        server.patch(&path, json!({ "settings": { name: value } })).await.is(400);
    }
    server.patch(&path, json!({ "settings": { MODE: null } })).await.is(200);
    assert_eq!(server.get(&format!("/apps/{}/networks", app.id)).await.is(200).json(), json!([]));
}

/// A device behind a blocked address, and one that is blocked, install by Apple's word, a claim, and a clean click.
#[tokio::test]
async fn the_blocklist_looks_at_the_install_and_at_claims_too() {
    let server = Server::start().await;
    let list = format!(
        "kind,value,device_id_type\nip,198.51.100.0/24,\ndevice,{},idfa\nsite,bad-site,\n",
        device::advertising_id(9)
    );
    let import = server.request(Method::POST, "/api/blocklist/import").header("Authentication-Key", KEY);
    import.body(list).answer().await.is(200);
    let settings = json!({
        "fraud.blocklist.enabled": true, "fraud.blocklist_device.mode": "reject",
        "fraud.blocklist_site.mode": "reject", "fraud.blocklist_ip.mode": "reject",
    });
    let app = server.app_with(json!({ "name": "Shop", "platform": "iOS", "settings": settings })).await;
    let link = app.link("Example Network").await;
    let phone = |n: u64, ip: &str| {
        json!({ "origination_ip": ip, "device_ua": device::IPHONE, "app_tracking_transparency": { "att": true },
                "device_ids": { "idfa": device::advertising_id(n) } })
    };
    let apple = json!({ "attribution": true, "orgId": 1, "campaignId": 2, "adGroupId": 3, "keywordId": 4,
                        "conversionType": "Download", "countryOrRegion": "US" });
    let claims = format!("/api/apps/{}/claims", app.id);
    for (n, ip, site) in
        [(1, "203.0.113.1", "bad-site"), (2, "198.51.100.7", "good"), (3, "203.0.113.1", "good")]
    {
        let claim = json!({ "network_id": link.network, "time": now() - 60, "site_id": site,
                            "device_ids": { "idfa": device::advertising_id(n) } });
        server.post(&claims, claim).await.is(200);
        app.install(&format!("SX-{n}"), phone(n, ip)).await;
    }
    for (n, ip) in [(4, "198.51.100.7"), (9, "203.0.113.1"), (5, "203.0.113.1")] {
        let mut data = phone(n, ip);
        data["adservices_attribution_details"] = apple.clone();
        app.install(&format!("SX-{n}"), data).await;
    }
    let click = format!("idfa={}&att=1&ip_address=203.0.113.77", device::advertising_id(6));
    link.click(&click).await;
    app.install("SX-6", phone(6, "198.51.100.7")).await;
    for (n, expected) in [
        (1, "rejected:blocklist_site"),
        (2, "rejected:blocklist_ip"),
        (3, "claim"),
        (4, "rejected:blocklist_ip"),
        (9, "rejected:blocklist_device"),
        (5, "asa"),
        (6, "rejected:blocklist_ip"),
    ] {
        let decision = app.attribution(&format!("SX-{n}")).await["decision"].clone();
        let lost = &decision["candidates"][0]["lost"];
        let what = if lost.is_null() { &decision["class"] } else { lost };
        assert_eq!(what, expected, "SX-{n}: {decision}");
    }
}

/// A database of two countries, and one of a hosting provider.
fn databases(directory: &Path) -> [(&'static str, String); 2] {
    let countries = mmdb::database(
        "Test-Country",
        &[
            ("203.0.113.0/24", json!({ "country": { "iso_code": "DE" } })),
            ("198.51.100.0/24", json!({ "country": { "iso_code": "FR" } })),
        ],
    );
    let anonymous =
        mmdb::database("Test-Anonymous-IP", &[("198.51.100.128/25", json!({ "is_hosting_provider": true }))]);
    let file = |name: &str, bytes: Vec<u8>| {
        let path = directory.join(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        path.display().to_string()
    };
    [
        ("SEXTANT_GEO_COUNTRY_DATABASE", file("countries.mmdb", countries)),
        ("SEXTANT_GEO_ANONYMOUS_DATABASE", file("anonymous.mmdb", anonymous)),
    ]
}

#[tokio::test]
async fn databases_of_addresses_feed_rules_and_postbacks() {
    let directory = tempfile::tempdir().unwrap();
    let [countries, anonymous] = databases(directory.path());
    let settings = [
        ("SEXTANT_TRACKING_ACCEPT_CLICK_TIME", "true"),
        (countries.0, &countries.1),
        (anonymous.0, &anonymous.1),
    ];
    let server = Server::with(&settings).await;
    let sink = Sink::start().await;
    let settings = json!({ "fraud.geo_mismatch.mode": "reject", "fraud.anonymous_network.mode": "reject" });
    let app = server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
    let shown = server.get(&format!("/apps/{}", app.id)).await.is(200).json();
    assert_eq!(shown["settings"]["fraud.geo_mismatch.state"], Value::Null, "{shown}");
    let link = app.link("Example Network").await;
    let url = sink.url("/install?country={country}");
    app.trigger("install", json!({ "cpi_mostback_url": url, "sx_delivery": "all" })).await;

    let (here, abroad, hidden) = ("203.0.113.24", "198.51.100.7", "198.51.100.200");
    for (n, clicked, installed, class, verdicts, country) in [
        (1, here, here, "device_id", ["passed", "passed"], "DE"),
        (2, abroad, here, "organic", ["caught", "passed"], "DE"),
        (3, abroad, hidden, "organic", ["passed", "caught"], "FR"),
        (4, "192.0.2.1", here, "device_id", ["too_little", "passed"], "DE"),
    ] {
        let click = format!("adid={}&ip_address={clicked}", device::advertising_id(n));
        link.click(&click).await;
        let device = format!("SX-{n}");
        let input = app.install(&device, android(n, installed)).await;
        let decision = app.attribution(&device).await["decision"].clone();
        assert_eq!(decision["class"], class, "{clicked} {installed}: {decision}");
        let findings = decision["candidates"][0]["fraud"].as_array().unwrap();
        let seen: Vec<&Value> = findings.iter().map(|finding| &finding["verdict"]).collect();
        assert_eq!(seen, verdicts.each_ref(), "{clicked} {installed}: {decision}");
        let flags = server.input(&input).await["flags"].to_string();
        assert!(flags.contains("country_from_database"), "{flags}");
        let hits = sink.receives("/install", usize::try_from(n).unwrap()).await;
        let told = hits.iter().filter_map(|hit| hit.parameter("country")).next_back();
        assert_eq!(told.as_deref(), Some(country), "{installed}");
    }
    // What the sender says of the country stands.
    let mut data = android(5, here);
    data["country"] = json!("nz");
    let input = app.install("SX-5", data).await;
    assert!(!server.input(&input).await["flags"].to_string().contains("country_from_database"));
    let hits = sink.receives("/install", 5).await;
    assert!(hits.iter().any(|hit| hit.parameter("country").as_deref() == Some("NZ")), "{hits:?}");
}

/// The lists of a tracker's verifier about places need a database of cities; without one the rule says so.
#[tokio::test]
async fn a_verifier_knows_places_by_a_database_of_cities() {
    let directory = tempfile::tempdir().unwrap();
    let cities = mmdb::database(
        "Test-City",
        &[
            (
                "203.0.113.0/24",
                json!({ "city": { "names": { "en": "Oakland" } }, "country": { "iso_code": "US" },
                        "location": { "metro_code": 807 }, "postal": { "code": "94601" },
                        "subdivisions": [{ "iso_code": "CA", "names": { "en": "California" } }] }),
            ),
            ("198.51.100.0/24", json!({ "country": { "iso_code": "NZ" } })),
        ],
    );
    let file = directory.path().join("cities.mmdb");
    std::fs::write(&file, cities).unwrap();
    let file = file.display().to_string();
    let with = Server::with(&[("SEXTANT_GEO_COUNTRY_DATABASE", file.as_str())]).await;
    let without = Server::start().await;
    const RIGHT: [(&str, &str); 5] = [
        ("city_in", "oakland"),
        ("state_in", "CA"),
        ("postal_in", "94601"),
        ("dma_in", "807"),
        ("country_in", "US"),
    ];
    for (server, ip, right, verdict) in [
        (&with, "203.0.113.1", true, "passed"),
        (&with, "203.0.113.1", false, "caught"),
        (&without, "203.0.113.1", true, "no_database"),
    ] {
        let app = server.app("Android").await;
        for (n, (list, value)) in (1..).zip(RIGHT) {
            let link = app.link("Example Network").await;
            let value = if right { value } else { "elsewhere" };
            let rules = json!({ "enabled": true, "rule": { list: [value] } });
            let body = json!({ "id": link.id, "verification_rules": rules });
            server.post(&format!("/tracker/{}", app.id), body).await.is(200);
            link.click(&format!("adid={}", device::advertising_id(n))).await;
            app.install(&format!("SX-{n}"), android(n, ip)).await;
            let decision = app.attribution(&format!("SX-{n}")).await["decision"].clone();
            let candidate = &decision["candidates"][0];
            let finding = &candidate["fraud"][0];
            assert_eq!(
                (&finding["rule"], &finding["verdict"]),
                (&json!("verification"), &json!(verdict)),
                "{decision}"
            );
            let lost = if verdict == "caught" { json!("rejected:verification") } else { Value::Null };
            assert_eq!(candidate["lost"], lost, "{list}: {decision}");
        }
    }
    // Receipts nobody checks, and a country also tells of the click, by its address.
    let app = with.app("Android").await;
    for (n, rule, verdict) in [
        (1, json!({ "receipt_status_in": ["valid"] }), "too_little"),
        (2, json!({ "country_not_in": ["NZ"] }), "caught"),
    ] {
        let link = app.link("Example Network").await;
        let body = json!({ "id": link.id, "verification_rules": { "enabled": true, "rule": rule } });
        with.post(&format!("/tracker/{}", app.id), body).await.is(200);
        link.click(&format!("ip_address=198.51.100.1&adid={}", device::advertising_id(n))).await;
        app.install(&format!("SX-{n}"), android(n, "203.0.113.1")).await;
        let decision = app.attribution(&format!("SX-{n}")).await["decision"].clone();
        assert_eq!(decision["candidates"][0]["fraud"][0]["verdict"], verdict, "{decision}");
    }
}

#[tokio::test]
async fn an_override_turns_the_verifier_on_and_off() {
    let server = Server::start().await;
    for (enabled, value, key, class) in [
        (true, 0, "enable_verification", "device_id"),
        (false, 1, "enable_verification", "organic"),
        (true, 0, "", "organic"),
        (false, 0, "", "device_id"),
    ] {
        let app = server.app("Android").await;
        let link = app.link("Example Network").await;
        let rules = json!({ "enabled": enabled, "rule": { "platform_in": ["ios"] } });
        let body = json!({ "id": link.id, "verification_rules": rules });
        server.post(&format!("/tracker/{}", app.id), body).await.is(200);
        let one = json!({ "name": "", "key": key, "group": "", "type": "", "value": value, "admin": 0 });
        let path = format!("/tracker/override?id={}", link.id);
        server.post(&path, json!({ "enable_verification": one })).await.is(200);
        link.click(&format!("adid={}", device::advertising_id(1))).await;
        app.install("SX-1", android(1, "203.0.113.24")).await;
        assert_eq!(app.class("SX-1").await, class, "{enabled} {value} {key}");
        let nothing = json!({ "trackers": { &link.id: { "tracker_overrides": {} } } });
        let answer = app.what_if(nothing).await;
        let changed = u64::from((class == "organic") != enabled);
        assert_eq!(answer["report"]["changed"], changed, "{enabled} {value} {key}: {answer}");
    }
}

#[tokio::test]
async fn without_a_database_the_rules_say_so() {
    let server = Server::start().await;
    let settings = json!({ "fraud.geo_mismatch.mode": "reject", "fraud.anonymous_network.mode": "flag" });
    let app = server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
    let shown = server.get(&format!("/apps/{}", app.id)).await.is(200).json()["settings"].clone();
    for rule in ["geo_mismatch", "anonymous_network"] {
        assert_eq!(shown[format!("fraud.{rule}.state")], "no_database", "{shown}");
    }
    let link = app.link("Example Network").await;
    link.click(&format!("adid={}&ip_address=203.0.113.9", device::advertising_id(1))).await;
    app.install("SX-1", android(1, "198.51.100.7")).await;
    let decision = app.attribution("SX-1").await["decision"].clone();
    assert_eq!(decision["class"], "device_id", "{decision}");
    for finding in decision["candidates"][0]["fraud"].as_array().unwrap() {
        assert_eq!(finding["verdict"], "no_database", "{finding}");
    }
    let path = format!("/api/apps/{}/devices/SX-1/explain", app.id);
    let text = server.get(&path).await.is(200).json()["explanation"].to_string();
    assert!(text.contains("has no database to look up"), "{text}");
}
