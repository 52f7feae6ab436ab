//! The match classes (tracking-and-attribution.md sections 5, 7, 10, 11).

use crate::harness::{Server, Value, device, json, now};

const IDFA: &str = "7C9E6679-7425-40DE-944B-E07FC1F90AE7";

#[tokio::test]
async fn an_identifier_matches_in_every_form_a_link_may_carry_it() {
    let server = Server::start().await;
    let network = server.network("Example Network").await;
    // The published digests of the four plain forms, and two double ones.
    let md5 = [
        "358f3cc563911c41542fa3394787f529",
        "04e92dfec7a6939d7b2f65a2c267abb8",
        "d12b0bf5273c05eb20bdeb3fd69af11d",
        "e718f3645353e8cf742ff1293b141fcf",
        "f46087939c9ee24af92dd0749b9874ba",
    ];
    let sha1 = [
        "0bc9f5a04df672e1b1d157563baf7e93f65490f0",
        "2b8734dd8ba2c30d3468bce86b2df733592f5f2f",
        "e40472891f7834120cf502259cfecc92ed1b4a35",
        "6149a9ef0d0c3787009baa935239293ba347d3e9",
        "9da761c92ef3d0d72baea3ef41896d3f3347a360",
    ];
    let mut queries = vec![
        format!("idfa={IDFA}"),
        format!("ios_idfa={IDFA}"),
        format!("idfa={}", IDFA.to_lowercase()),
        format!("idfa={}", IDFA.replace('-', "")),
        format!("device_id={IDFA}&device_id_type=idfa"),
        format!("device_id={IDFA}"),
        format!("device_id={}&device_id_type=idfa&device_id_is_hashed=true", md5[0]),
        format!("device_id={}&device_id_type=idfa&device_id_is_hashed=true", sha1[1]),
    ];
    queries
        .extend(md5.map(|digest| format!("idfa={digest}&device_id_is_hashed=true&device_hash_method=MD5")));
    queries.extend(sha1.map(|digest| {
        format!("idfa={}&device_id_is_hashed=true&device_id_hash_method=sha1", digest.to_uppercase())
    }));
    for query in queries {
        let app = server.app("iOS").await;
        let link = app.link_of(&network, json!({ "destination_url": "https://shop.example.com/" })).await;
        let click = link.click(&query).await;
        let data = json!({
            "device_ua": device::IPHONE, "device_ids": { "idfa": IDFA },
            "app_tracking_transparency": { "att": true },
        });
        app.install("SX-1", data).await;
        assert_eq!(app.class("SX-1").await, "device_id", "{query}");
        assert_eq!(app.winner("SX-1").await, click, "{query}");
        let double = query.contains("f46087939c9ee24af92dd0749b9874ba") || query.contains("9DA761C9");
        let answer = app.attribution("SX-1").await;
        let flagged = answer["decision"]["winner"]["flags"].to_string().contains("double_hash");
        assert_eq!(flagged, double, "{query}: {answer}");
    }
}

#[tokio::test]
async fn an_install_referrer_names_its_click() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let click = link.click("click_id=partner-1").await;
    let referrer = |text: String| json!({ "install_referrer": { "referrer": text, "referrer_click_time": now() }, "device_ua": device::PIXEL });
    app.install("SX-1", referrer(format!("utm_source={click}&utm_campaign={}", link.guid))).await;
    assert_eq!(app.class("SX-1").await, "referrer");
    assert_eq!(app.winner("SX-1").await, click);
    // Stores hand it over encoded once more.
    app.install("SX-2", referrer(format!("utm_source%3D{click}%26utm_campaign%3D{}", link.guid))).await;
    assert_eq!(app.winner("SX-2").await, click);
}

/// The samples of real stores: each names its source although no click of ours is behind it.
#[tokio::test]
async fn a_referrer_without_a_click_of_ours_is_reported_and_not_called_organic() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let samples: Value = serde_json::from_str(include_str!("../fixtures/play-referrers.json")).unwrap();
    let sources = [
        Some(("sx-click-0f3a", false)),
        None,
        Some(("Google Ads", true)),
        Some(("Google Ads", true)),
        Some(("Meta", true)),
        Some(("TikTok", true)),
        Some(("newsletter", false)),
        None,
    ];
    let samples = samples.as_array().unwrap();
    assert_eq!(samples.len(), sources.len());
    for (n, (sample, source)) in samples.iter().zip(sources).enumerate() {
        let device = format!("SX-sample-{n}");
        let data =
            json!({ "install_referrer": { "referrer": sample["referrer"] }, "device_ua": device::PIXEL });
        app.install(&device, data).await;
        let answer = app.attribution(&device).await;
        let decision = &answer["decision"];
        assert_eq!(answer["data"]["attribution"], false, "nobody is credited: {answer}");
        match source {
            None => {
                assert_eq!(decision["class"], "organic", "{sample}");
                assert_eq!(decision["reported_source"], Value::Null, "{sample}");
            }
            Some((name, paid)) => {
                assert_eq!(decision["class"], "unclaimed", "{sample}");
                assert_eq!(decision["reported_source"]["name"], name, "{sample}");
                assert_eq!(decision["reported_source"]["paid"], paid, "{sample}");
            }
        }
    }
    let ledger = server.balanced().await;
    assert_eq!(ledger["installs"], json!({ "organic": 2, "unclaimed": 6 }), "{ledger}");
}

#[tokio::test]
async fn a_link_of_ours_without_its_click_is_reported_with_its_network() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let referrer = format!("utm_source=somebody&utm_campaign={}", link.guid);
    app.install("SX-1", json!({ "install_referrer": { "referrer": referrer } })).await;
    let source = app.attribution("SX-1").await["decision"]["reported_source"].clone();
    assert_eq!(source["network"], "Example Network", "{source}");
    assert_eq!(source["tracker_id"], json!(link.id), "{source}");
}

#[tokio::test]
async fn a_referrer_that_names_another_source_than_the_winner_is_flagged() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    for (n, referrer, mismatch) in [
        (1, "gclid=1", true),
        (2, "utm_source=example-network&utm_medium=cpc", false),
        (3, "utm_source=google-play&utm_medium=organic", false),
    ] {
        let adid = device::advertising_id(n);
        link.click(&format!("adid={adid}")).await;
        let device = format!("SX-{n}");
        let data = json!({ "install_referrer": { "referrer": referrer }, "device_ids": { "adid": adid } });
        app.install(&device, data).await;
        let decision = app.attribution(&device).await["decision"].clone();
        assert_eq!(decision["class"], "device_id", "{decision}");
        assert_eq!(decision["flags"].to_string().contains("referrer_mismatch"), mismatch, "{decision}");
    }
}

#[tokio::test]
async fn an_app_names_the_keys_of_its_referrers() {
    let server = Server::start().await;
    let settings = json!({ "attribution.referrer_click_id_key": "sx_click", "attribution.referrer_campaign_id_key": "sx_tracker" });
    let app = server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
    let network = server.network("Example Network").await;
    let play = "https://play.google.com/store/apps/details?id=com.example.shop";
    let link = app.link_of(&network, json!({ "destination_url": play })).await;
    let answer = link.browse("", device::PIXEL).await.is(302);
    let location = answer.header("location").to_owned();
    assert!(
        location.contains("referrer=sx_click%3Dclk_") && location.contains("%26sx_tracker%3D"),
        "{location}"
    );
    let referrer = location.split_once("referrer=").unwrap().1.to_owned();
    app.install("SX-1", json!({ "install_referrer": { "referrer": referrer } })).await;
    assert_eq!(app.class("SX-1").await, "referrer");
    let shown = server.get(&format!("/apps/{}", app.id)).await.json()["settings"].clone();
    assert_eq!(shown["attribution.referrer_click_id_key"], "sx_click", "{shown}");
}

#[tokio::test]
async fn the_download_may_stand_for_the_install() {
    let server = Server::start().await;
    for (switch, class) in [(false, "device_id"), (true, "organic")] {
        let settings = json!({ "attribution.referrer_begin_time": switch });
        let app =
            server.app_with(json!({ "name": "Shop", "platform": "Android", "settings": settings })).await;
        let link = app.link("Example Network").await;
        let adid = device::advertising_id(1);
        // A click between the download and the first launch.
        link.click(&format!("adid={adid}&click_time={}", now() - 600)).await;
        let referrer = json!({ "referrer": "utm_source=google-play&utm_medium=organic", "install_begin_time": now() - 1_800 });
        app.install("SX-1", json!({ "install_referrer": referrer, "device_ids": { "adid": adid } })).await;
        assert_eq!(app.class("SX-1").await, class, "{switch}");
        let flags = app.attribution("SX-1").await["decision"]["install_flags"].to_string();
        assert_eq!(flags.contains("referrer_begin_time"), switch, "{flags}");
    }
}

#[tokio::test]
async fn apple_search_ads_is_taken_at_its_word() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let recent = jiff::Timestamp::from_second(now() - 3_600).unwrap().to_string();
    let details = |attribution: bool, date: Option<&str>| {
        let mut details = json!({ "attribution": attribution, "orgId": 40_669_820, "campaignId": 542_370_539,
                                  "adGroupId": 542_317_095, "keywordId": 87_675_432 });
        if let Some(date) = date {
            details["clickDate"] = json!(date);
        }
        json!({ "adservices_attribution_details": details, "device_ua": device::IPHONE })
    };
    for (device, data, class) in [
        ("SX-1", details(true, Some(&recent)), "asa"),
        ("SX-2", details(true, None), "asa"),
        ("SX-3", details(false, None), "organic"),
        ("SX-4", details(true, Some("2020-01-01T00:00:00Z")), "organic"),
        ("SX-5", json!({ "iad_attribution_details": { "Version3.1": {} } }), "organic"),
        (
            "SX-6",
            json!({ "iad_attribution_details": { "Version3.1": {
                "iad-attribution": "true", "iad-campaign-id": "542370539", "iad-click-date": recent } } }),
            "asa",
        ),
    ] {
        let input = app.install(device, data.clone()).await;
        assert_eq!(app.class(device).await, class, "{data}");
        let manufactured = server.input(&input).await["flags"].to_string().contains("date_manufactured")
            || app.attribution(device).await["decision"].to_string().contains("date_manufactured");
        assert_eq!(manufactured, device == "SX-2", "{data}");
    }
}

#[tokio::test]
async fn modeled_matches_compare_devices_not_strings() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let iphone = |version: &str| {
        format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS {version} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
        )
    };
    let safari = format!("{} Version/17.5 Mobile/15E148 Safari/604.1", iphone("17_5"));
    #[rustfmt::skip]
    let cases = [
        ("the same words", device::IPHONE.to_owned(), "203.0.113.1", json!({ "device_ua": device::IPHONE }), "modeled"),
        ("another browser of the same device", safari, "203.0.113.2", json!({ "device_ua": device::IPHONE }), "modeled"),
        ("no words but a version", device::IPHONE.to_owned(), "203.0.113.3", json!({ "device_ver": "iPhone-iOS-17.5", "device_ua": "" }), "modeled"),
        ("another version", iphone("16_1"), "203.0.113.4", json!({ "device_ua": device::IPHONE }), "organic"),
        ("another system", device::PIXEL.to_owned(), "203.0.113.5", json!({ "device_ua": device::IPHONE }), "organic"),
    ];
    for (n, (case, clicked, ip, install, class)) in cases.into_iter().enumerate() {
        link.click(&format!("ip_address={ip}&device_ua={}", device::encoded(&clicked))).await;
        let mut data = install;
        data["origination_ip"] = json!(ip);
        let device = format!("SX-{n}");
        app.install(&device, data).await;
        assert_eq!(app.class(&device).await, class, "{case}");
    }
    // Another address.
    app.install("SX-far", json!({ "device_ua": device::IPHONE, "origination_ip": "198.51.100.7" })).await;
    assert_eq!(app.class("SX-far").await, "organic");
}

#[tokio::test]
async fn ipv6_matches_by_its_network() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let ua = device::encoded(device::IPHONE);
    link.click(&format!("ip_address=2001:db8:1:2::aaaa&device_ua={ua}")).await;
    let data = |ip: &str| json!({ "device_ua": device::IPHONE, "origination_ip": ip });
    app.install("SX-1", data("2001:db8:1:2::bbbb")).await;
    assert_eq!(app.class("SX-1").await, "modeled");
    app.install("SX-2", data("2001:db8:1:3::aaaa")).await;
    assert_eq!(app.class("SX-2").await, "organic");
}

/// The browser and the app of one device give its system other names, and other versions.
#[tokio::test]
async fn a_click_in_a_browser_meets_the_install_of_an_app_whatever_each_calls_its_system() {
    let server = Server::start().await;
    let safari = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                  Version/17.4.1 Safari/605.1.15";
    let tizen = "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) \
                 76.0.3809.146/6.0 TV Safari/537.36";
    let webos = "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/87.0.4280.88 Safari/537.36 WebAppManager";
    let silk = "Mozilla/5.0 (Linux; Android 9; KFTRWI) AppleWebKit/537.36 (KHTML, like Gecko) \
                Silk/98.6.10 like Chrome/98.0.4758.136 Safari/537.36";
    let chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                  Chrome/124.0.0.0 Safari/537.36";
    for (n, (platform, user_agent, device_ver, class)) in [
        ("macOS", safari, "MacBookPro18,3-macOS-14.4.1", "modeled"),
        ("macOS", safari, "14.4.1", "modeled"),
        ("macOS", safari, "HP-Windows-11", "organic"),
        ("Tizen OS", tizen, "UN55NU7100-Tizen OS-6.0", "modeled"),
        ("Tizen OS", tizen, "UN55NU7100-Tizen-5.5", "organic"),
        ("LGWebOS", webos, "43UN7100-LGWebOS-5.2", "modeled"),
        ("LGWebOS", webos, "5.2", "modeled"),
        ("Roku", "Roku/DVP-9.10 (519.10E04111A)", "4660X-Roku-9.10", "modeled"),
        ("Roku", "Roku4640X/DVP-7.70 (297.70E04154A)", "4640X-RokuOS-7.70", "modeled"),
        ("Windows Xbox", chrome, "Xbox One-Xbox-10.0.19041", "modeled"),
        ("Android", silk, "KFTRWI-Android-9", "modeled"),
        ("Fire OS", silk, "KFTRWI-Fire OS-7.3.2.7", "modeled"),
        ("Android", silk, "AFTMM-Android-7.1.2", "organic"),
        ("Android", silk, "Pixel 8-Android-9", "organic"),
        ("Windows", chrome, "HP-Windows 11-11.0", "modeled"),
        ("Daydream", device::PIXEL, "Pixel 8 Pro-Daydream-14", "modeled"),
        ("Oculus GO", device::PIXEL, "14", "modeled"),
        ("Samsung Gear VR", device::PIXEL, "SM-G950F-Android-9", "organic"),
    ]
    .into_iter()
    .enumerate()
    {
        let app = server.app(platform).await;
        let link = app.link("Example Network").await;
        let ip = format!("203.0.113.{n}");
        let click = link.click(&format!("ip_address={ip}&device_ua={}", device::encoded(user_agent))).await;
        app.install("SX-1", json!({ "origination_ip": ip, "device_ver": device_ver, "device_ua": "" })).await;
        assert_eq!(app.class("SX-1").await, class, "{platform}: {user_agent} and {device_ver}");
        if class == "modeled" {
            assert_eq!(app.winner("SX-1").await, click);
        }
    }
}

#[tokio::test]
async fn modeled_matching_without_consent_is_a_setting() {
    let server = Server::start().await;
    for (allowed, class) in [(true, "modeled"), (false, "organic")] {
        let settings = json!({ "attribution.modeled_without_att": allowed });
        let app = server.app_with(json!({ "name": "Shop", "platform": "iOS", "settings": settings })).await;
        let link = app.link("Example Network").await;
        let ua = device::encoded(device::IPHONE);
        let click = link.click(&format!("ip_address=203.0.113.24&device_ua={ua}")).await;
        let data = json!({ "device_ua": device::IPHONE, "origination_ip": "203.0.113.24" });
        app.install("SX-1", data).await;
        assert_eq!(app.class("SX-1").await, class);
        if !allowed {
            assert_eq!(app.losers("SX-1").await, [(click, "att_no_consent".to_owned())]);
        }
    }
}
