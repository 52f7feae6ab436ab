//! Server-to-server fields, one line per case (ingest.md sections 2 to 14).

use measure::{
    Decimal, Timestamp, TouchId,
    event::Value,
    flag::Flag,
    identifier::{IdKind, Identifier},
    install::ClickReferenceKind,
    platform::{Os, Traits},
};
use wire::s2s::manufactured_user_agent;

use crate::world::{IPHONE, PIXEL, RECEIVED, event, install, install_on, named, try_identity_link, try_on};

#[test]
fn usertime() {
    let check = |written: &str, seconds: f64, flag: Option<Flag>| {
        let (event, parsed) = event(&format!(r#""usertime":{written}"#));
        assert_eq!(event.time, Timestamp((seconds * 1000.0) as i64), "{written}");
        let odd: Vec<Flag> =
            parsed.flags.into_iter().filter(|flag| flag.name().starts_with("time_")).collect();
        assert_eq!(odd, flag.into_iter().collect::<Vec<_>>(), "{written}");
    };
    let receipt = RECEIVED as f64;
    check("1760000000", 1_760_000_000.0, None);
    check("\"1760000000\"", 1_760_000_000.0, None);
    check("1760000000.118", 1_760_000_000.118, None);
    check("1760000000123", 1_760_000_000.123, None);
    check("\"1760000000123\"", 1_760_000_000.123, None);
    check("1760000000123456", 1_760_000_000.123, None);
    check("1.76e9", 1_760_000_000.0, None);
    check("\"2025-10-09T08:53:20Z\"", 1_760_000_000.0, None);
    check("\"2025-10-09T10:53:20+02:00\"", 1_760_000_000.0, None);
    check("\"2025-10-09T08:53:20\"", 1_760_000_000.0, None);
    check("\"2025-10-09 08:53:20\"", 1_760_000_000.0, None);
    check("1199145600", 1_199_145_600.0, None);
    check("1199145599", receipt, Some(Flag::TimeBefore2008));
    check("0", receipt, Some(Flag::TimeBefore2008));
    check("-5", receipt, Some(Flag::TimeBefore2008));
    check("1760100001", receipt, Some(Flag::TimeFuture));
    check("1900000000", receipt, Some(Flag::TimeFuture));
    check("1760000000123456789", receipt, Some(Flag::TimeInvalid));
    check("\"yesterday\"", receipt, Some(Flag::TimeInvalid));
    check("1e999999999", receipt, Some(Flag::TimeInvalid));
    check("-1e999999999", receipt, Some(Flag::TimeInvalid));
    check("true", receipt, Some(Flag::TimeInvalid));
    check("[]", receipt, Some(Flag::TimeInvalid));
    check("null", receipt, Some(Flag::TimeMissing));
    check("\"\"", receipt, Some(Flag::TimeMissing));
}

#[test]
fn the_raw_usertime_is_kept() {
    let kept = ("usertime".to_owned(), Value::Number("1900000000".to_owned()));
    assert!(event(r#""usertime":1900000000"#).0.extra.contains(&kept));
    assert!(install(r#"{"usertime":1900000000}"#).0.params.contains(&kept));
}

#[test]
fn an_amount_that_cannot_be_kept_is_flagged() {
    for written in [
        "1e999999999",
        "1e-999999999",
        "\"1e999999999\"",
        "\"much\"",
        "[]",
        "123456789.12345678901234567890123",
        "1.2345678901234567890123456789012e3",
        "0.00000000000000000000000000000000001",
        "99999999999999999999999999999",
    ] {
        let (event, parsed) = event(&format!(r#""event_data":{{"sum":{written},"n":1}}"#));
        assert_eq!(event.amount, None, "{written}");
        assert!(parsed.flags.contains(&Flag::AmountInvalid), "{written}");
        assert!(parsed.body.contains(written), "the body stays: {}", parsed.body);
    }
    for absent in [r#""sum":null,"price":"","level":"3""#, r#""revenue":" ""#, r#""level":"3""#] {
        let (event, parsed) = event(&format!(r#""event_data":{{{absent}}}"#));
        assert_eq!(event.amount, None, "{absent}");
        assert!(!parsed.flags.contains(&Flag::AmountInvalid), "{absent}");
    }
}

#[test]
fn amount() {
    let check = |data: &str, expected: Option<&str>| {
        let amount = event(data).0.amount.map(|amount| amount.to_string());
        assert_eq!(amount.as_deref(), expected, "{data}");
    };
    check(r#""event_data":{"sum":14.99,"price":1,"revenue":2}"#, Some("14.99"));
    check(r#""event_data":{"price":"1.10","revenue":2}"#, Some("1.10"));
    check(r#""event_data":{"revenue":2}"#, Some("2"));
    check(r#""event_data":{"sum":"","price":3}"#, Some("3"));
    check(r#""event_data":{"sum":"much","price":3}"#, Some("3"));
    check(r#""event_data":{"sum":14.99,"quantity":3}"#, Some("14.99"));
    check(r#""event_data":{"sum":-5}"#, Some("-5"));
    check(r#""event_data":{"sum":0.1}"#, Some("0.1"));
    check(r#""event_data":{"sum":9007199254740993}"#, Some("9007199254740993"));
    check(r#""event_data":{"sum":12345678901234567.89}"#, Some("12345678901234567.89"));
    check(r#""event_data":{"sum":1.5e2}"#, Some("150"));
    check(r#""event_data":{"sum":0.0000000000000000000000000001}"#, Some("0.0000000000000000000000000001"));
    check(r#""event_data":{"sum":2.50000000000000000000000000000000000}"#, Some("2.5"));
    check(r#""event_data":{"sum":"-.5"}"#, Some("-0.5"));
    check(r#""event_data":{"sum":"1_000"}"#, None);
    check(r#""event_data":{"sum":1e999999999}"#, None);
    check(r#""event_data":{"sum":1e999999999,"price":3}"#, Some("3"));
    check(r#""event_data":{"sum":1e-999999999}"#, None);
    check(r#""event_data":-1e400"#, None);
    check(r#""event_data":{"sum":1e300}"#, None);
    check(r#""event_data":{"sum":1,"sum":2}"#, Some("2"));
    check(r#""event_data":"20""#, Some("20"));
    check(r#""event_data":20.50"#, Some("20.50"));
    check(r#""event_data":"level 20""#, None);
    check(r#""event_data":[20]"#, None);
    check(r#""event_value":"7""#, Some("7"));
    check(r#""event_data":"","event_value":"7""#, Some("7"));
    check("", None);
}

#[test]
fn currency() {
    let check = |data: &str, expected: Option<&str>| {
        assert_eq!(event(data).0.currency.as_deref(), expected, "{data}")
    };
    check(r#""currency":"EUR","event_data":{"currency":"USD"}"#, Some("EUR"));
    check(r#""currency":"","event_data":{"currency":"USD"}"#, Some("USD"));
    check(r#""event_data":{"sum":1}"#, None);
}

#[test]
fn event_data_in_every_type() {
    let value = |text: &str| Value::Text(text.to_owned());
    let plain = |data: &str| event(&format!(r#""event_data":{data}"#)).0.plain;
    assert_eq!(plain("\"20\""), Some(value("20")));
    assert_eq!(plain("20.10"), Some(Value::Number("20.10".to_owned())));
    assert_eq!(plain("true"), Some(Value::Bool(true)));
    assert_eq!(plain("[1, {\"a\":2}]"), Some(Value::Json(r#"[1,{"a":2}]"#.to_owned())));
    assert_eq!(plain("null"), None);
    let (event, _) = event(r#""event_data":{"b":{"c":{"d":1.0}},"a":"x","l":[{"p":1}],"n":null,"e":""}"#);
    let expected = [
        ("b", Value::Json(r#"{"c":{"d":1.0}}"#.to_owned())),
        ("b.c", Value::Json(r#"{"d":1.0}"#.to_owned())),
        ("b.c.d", Value::Number("1.0".to_owned())),
        ("a", value("x")),
        ("l", Value::Json(r#"[{"p":1}]"#.to_owned())),
        ("e", value("")),
    ];
    assert_eq!(event.params, expected.map(|(key, value)| (key.to_owned(), value)));
    assert_eq!(event.plain, None);
}

#[test]
fn unknown_keys_are_kept() {
    let body = r#"{"action":"event","kochava_app_id":"k","kochava_device_id":"d","sdk_protocol":"17","event_name":"root name","locale":"root","data":{"locale":"en-US","screen_dpi":2,"empty":"","device_ver":"17.1"}}"#;
    let measure::input::Payload::Event(event) = try_on("iOS", body).unwrap().payload else {
        panic!("no event")
    };
    let kept: Vec<(&str, &str)> =
        event.extra.iter().map(|(key, value)| (key.as_str(), value.text())).collect();
    assert_eq!(
        kept,
        [("locale", "en-US"), ("screen_dpi", "2"), ("device_ver", "17.1"), ("sdk_protocol", "17")]
    );
    assert_eq!(event.name, "root name");
}

#[test]
fn app_version_has_four_places() {
    let check = |root: &str, data: &str| {
        let body = format!(r#"{{"action":"install","kochava_app_id":"k"{root},"data":{{{data}}}}}"#);
        let measure::input::Payload::Install(install) = try_on("iOS", &body).unwrap().payload else {
            panic!()
        };
        assert_eq!(install.origin.app_version.as_deref(), Some("3.4"), "{body}");
    };
    check("", r#""app_version":"3.4""#);
    check(r#","app_version":"3.4""#, r#""app_version":"""#);
    check("", r#""app_ver":3.4"#);
    check(r#","app_ver":"3.4""#, r#""app_version":null"#);
}

#[test]
fn device_ver_is_read_from_the_right() {
    let check = |platform: &str, written: &str, ua: &str, model: &str, os: &str| {
        let data = format!(r#"{{"device_ver":"{written}","device_ua":"{ua}"}}"#);
        let traits = install_on(platform, &data).0.origin.traits;
        assert_eq!(
            (traits.model.as_deref().unwrap_or(""), traits.os_text().as_str()),
            (model, os),
            "{written} {ua}"
        );
    };
    check("iOS", "iPhone-iOS-13.6.0", "", "iPhone", "iOS 13.6.0");
    check("iOS", "SM-J727A-Android-7.0.0", "", "SM-J727A", "Android 7.0.0");
    check("iOS", "Android SDK built for x86-Android-8.1.0", "", "Android SDK built for x86", "Android 8.1.0");
    check("iOS", "Pixel-8-Pro-Android-14", "", "Pixel-8-Pro", "Android 14");
    check("iOS", "Android-14", "", "", "Android 14");
    check("Android", "Pixel-8", "", "Pixel-8", "Android");
    check("iOS", "17.1", "", "", "iOS 17.1");
    check("Android", "17.1", "", "", "Android 17.1");
    check("Web", "17.1", "", "", "17.1");
    check("iOS", "14", PIXEL, "Pixel 8 Pro", "Android 14");
    check("iOS", "17.5.1", IPHONE, "iPhone", "iOS 17.5.1");
    check("iOS", "", IPHONE, "iPhone", "iOS 17.5");
    let form = "Dalvik%2F2.1.0+%28Linux%3B+U%3B+Android+13%3B+SM-S918B%29";
    check("Android", "", form, "SM-S918B", "Android 13");
    check("iOS", "", "test-ua", "", "");
    check("iOS", "", "", "", "");
    check("iOS", "unknown", "", "", "");
    check("iOS", "7c9e6679", "", "7c9e6679", "iOS");
    check("iOS", "17.1 (21B74)", "", "", "iOS 17.1");
    check("iOS", "A1-HarmonyOS-4.0", "", "A1", "harmonyos 4.0");
    check("macOS", "MacBookPro18,3-macOS-14.4.1", "", "MacBookPro18,3", "macos 14.4.1");
    check("macOS", "MacBookPro18,3-Mac-OS-X-14.4.1", "", "MacBookPro18,3", "macos 14.4.1");
    check("Windows", "PC-Windows 11-10.0.22631", "", "PC", "windows 10.0.22631");
    check("Tizen OS", "UN55-NU7100-Tizen OS-6.0", "", "UN55-NU7100", "tizen 6.0");
    check("LGWebOS", "43UN7100-LGWebOS-5.2", "", "43UN7100", "webos 5.2");
    check("LGWebOS", "5.2", "", "", "webos 5.2");
    check("Roku", "4660X-Roku-9.10", "", "4660X", "roku 9.10");
    check("Roku", "Roku Ultra-RokuOS-12.5", "", "Roku Ultra", "roku 12.5");
    check("LGWebOS", "LGE-webOSTV-6.3.2", "", "LGE", "webos 6.3.2");
    check("Android TV", "Chromecast-AndroidTV-12", "", "Chromecast", "Android 12");
    check("tvOS", "AppleTV6,2-appletvos-15.1", "", "AppleTV6,2", "tvOS 15.1");
    check("iOS", "iPhone-iphoneos-17.5", "", "iPhone", "iOS 17.5");
    check("Windows", "PC-Windows 10 Pro-10.0.19045", "", "PC", "windows 10.0.19045");
    check("Windows", "PC-Windows 10 Pro", "", "PC", "windows");
    check("Windows", "PC-Win32NT-10.0.19045.0", "", "PC", "windows 10.0.19045.0");
    check("Windows", "PC-Win32-10.0", "", "PC", "windows 10.0");
    check("Windows Xbox", "Xbox One-Xbox-10.0.19041", "", "Xbox One", "windows 10.0.19041");
    check("Windows Xbox", "Xbox One-Xbox OS-10.0.19041", "", "Xbox One", "windows 10.0.19041");
    check("iOS", "A1-Toaster-4.0", "", "A1", "toaster 4.0");
    check("iOS", "A1-8-4.0", "", "A1-8-4.0", "iOS");
    check("iOS", "iPhone-iOS-", "", "iPhone", "iOS");
    check("iOS", "iPhone-iOS-unknown", "", "iPhone", "iOS");
    check("iOS", "Pixel-8-Pro", "", "Pixel-8-Pro", "iOS");
}

#[test]
fn a_device_of_amazons_has_fire_os() {
    let fire = "Mozilla/5.0 (Linux; FireOS; KFTRWI)";
    let check = |platform: &str, written: &str, ua: &str, model: &str, os: &str| {
        let data = format!(r#"{{"device_ver":"{written}","device_ua":"{ua}"}}"#);
        let traits = install_on(platform, &data).0.origin.traits;
        assert_eq!(
            (traits.model.as_deref().unwrap_or(""), traits.os_text().as_str()),
            (model, os),
            "{platform} {written} {ua}"
        );
    };
    for platform in ["Android", "Fire OS"] {
        check(platform, "KFTRWI-Android-9", "", "KFTRWI", "Fire OS");
        check(platform, "AFTMM-Android-7.1.2", "", "AFTMM", "Fire OS");
        check(platform, "KFTRWI-Fire OS-7.3.2.7", "", "KFTRWI", "Fire OS 7.3.2.7");
        check(platform, "KFTRWI-Fire-OS-7.3.2.7", "", "KFTRWI", "Fire OS 7.3.2.7");
        // As the macro `{device_ver}` writes it.
        check(platform, "KFTRWI-Fire-OS", "", "KFTRWI", "Fire OS");
        check(platform, "KFTRWI", "", "KFTRWI", "Fire OS");
        check(platform, "", fire, "KFTRWI", "Fire OS");
        check(platform, "Android-9", fire, "KFTRWI", "Fire OS");
        check(platform, "KFTRWI-Fire OS-7.3", fire, "KFTRWI", "Fire OS 7.3");
    }
    // A version of Android, or one of Fire OS: the app's platform tells.
    check("Android", "9", fire, "KFTRWI", "Fire OS");
    check("Fire OS", "7.3", fire, "KFTRWI", "Fire OS 7.3");
    check("Fire OS", "7.3", "", "", "Fire OS 7.3");
    // Two devices, as ever.
    check("Android", "Pixel 8-Android-14", fire, "Pixel 8", "Android 14");
    check("iOS", "KFTRWI-iOS-9", "", "KFTRWI", "iOS 9");
}

#[test]
fn identifiers_mean_on_systems_made_of_android_what_they_mean_on_it() {
    let id = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed";
    for (platform, version) in [
        ("Android", "KFTRWI-Android-9"),
        ("Fire OS", "KFTRWI-Fire OS-7.3"),
        ("Daydream", "Pixel 2-Daydream-8.1"),
        ("Oculus GO", "Pacific-Oculus-Go-7.1.2"),
        ("Samsung Gear VR", ""),
    ] {
        for (key, kind) in [
            ("idfa", IdKind::Adid),
            ("adid", IdKind::Adid),
            ("fire_adid", IdKind::FireAdid),
            ("android_id", IdKind::AndroidId),
        ] {
            let data = format!(r#"{{"device_ver":"{version}","device_ids":{{"{key}":"{id}"}}}}"#);
            let identifiers = install_on(platform, &data).0.origin.identifiers;
            assert_eq!(identifiers, [Identifier { kind, value: id.to_owned() }], "{platform} {data}");
        }
        let data = format!(r#"{{"device_ver":"{version}","device_id":"{id}"}}"#);
        let identifiers = install_on(platform, &data).0.origin.identifiers;
        assert_eq!(identifiers, [Identifier { kind: IdKind::Adid, value: id.to_owned() }], "{data}");
    }
}

#[test]
fn user_agent() {
    let check = |data: &str, expected: Option<&str>, flag: Option<Flag>| {
        let (install, parsed) = install(data);
        assert_eq!(install.origin.user_agent.as_deref(), expected, "{data}");
        let odd: Vec<Flag> = parsed.flags.into_iter().filter(|flag| flag.name().starts_with("ua_")).collect();
        assert_eq!(odd, flag.into_iter().collect::<Vec<_>>(), "{data}");
    };
    check(r#"{"device_ua":"Mozilla/5.0 (X)"}"#, Some("Mozilla/5.0 (X)"), None);
    check(r#"{"device_ua":"Mozilla%2F5.0%20(X)"}"#, Some("Mozilla/5.0 (X)"), None);
    check(r#"{"device_ua":"Mozilla%2F5.0+%28X%3B+a%2Bb%29"}"#, Some("Mozilla/5.0 (X; a+b)"), None);
    check(
        r#"{"device_ua":"Bot/1.0%20(+https://example.com)"}"#,
        Some("Bot/1.0 (+https://example.com)"),
        None,
    );
    check(r#"{"device_ua":"Bot/1.0+https://example.com"}"#, Some("Bot/1.0+https://example.com"), None);
    check(r#"{"device_ua":"Mozilla/5.0 (100%25)"}"#, Some("Mozilla/5.0 (100%25)"), None);
    check(r#"{"device_ua":"100%"}"#, Some("100%"), None);
    let manufactured = Some("Mozilla/5.0 (iPhone; iOS 13.6.0)");
    check(r#"{"device_ua":"","device_ver":"iPhone-iOS-13.6.0"}"#, manufactured, Some(Flag::UaManufactured));
    check(
        r#"{"device_ua":"Unknown","device_ver":"iPhone-iOS-13.6.0"}"#,
        manufactured,
        Some(Flag::UaManufactured),
    );
    check(r#"{"device_ver":"17.1"}"#, Some("Mozilla/5.0 (iOS 17.1)"), Some(Flag::UaManufactured));
    let own = "[FBAN/FBIOS;FBAV/500.0;FBDV/iPhone7,2;FBSN/iOS]";
    check(&format!(r#"{{"device_ua":"{own}"}}"#), Some(own), None);
    check(
        r#"{"device_ua":"%5BFBAN%2FFBIOS%3BFBDV%2FiPhone7%2C2%5D"}"#,
        Some("[FBAN/FBIOS;FBDV/iPhone7,2]"),
        None,
    );
    for absent in ["[user_agent]", "%5Buser_agent%5D", "{ua}", "<ua/x>", "n/a", "not%20set"] {
        check(&format!(r#"{{"device_ua":"{absent}"}}"#), None, Some(Flag::UaMissing));
    }
    check("{}", None, Some(Flag::UaMissing));
    assert_eq!(manufactured_user_agent(&Traits::default()), None);
}

#[test]
fn the_connection_counts_for_the_browser_sdk_only() {
    let body = |sdk: &str| {
        format!(r#"{{"action":"install","kochava_app_id":"k","kochava_device_id":"d"{sdk},"data":{{}}}}"#)
    };
    let origin = |sdk: &str| match try_on("Web", &body(sdk)).unwrap().payload {
        measure::input::Payload::Install(install) => (install.origin.ip.is_some(), install.origin.user_agent),
        other => panic!("{other:?}"),
    };
    assert_eq!(origin(r#","sdk_version":"WebTracker 3.0.4""#), (true, Some(IPHONE.to_owned())));
    assert_eq!(origin(""), (false, None));
    assert_eq!(origin(r#","sdk_version":"Other 3""#), (false, None));
}

#[test]
fn addresses() {
    let check = |written: &str, expected: Option<&str>, flag: Option<Flag>| {
        let (install, parsed) = install(&format!(r#"{{"origination_ip":{written}}}"#));
        assert_eq!(install.origin.ip.map(|ip| ip.to_string()).as_deref(), expected, "{written}");
        let odd: Vec<Flag> = parsed.flags.into_iter().filter(|flag| flag.name().starts_with("ip_")).collect();
        assert_eq!(odd, flag.into_iter().collect::<Vec<_>>(), "{written}");
    };
    check("\"203.0.113.24\"", Some("203.0.113.24"), None);
    check("\" 203.0.113.24 \"", Some("203.0.113.24"), None);
    check("\"2001:db8::1\"", Some("2001:db8::1"), None);
    check("\"::ffff:203.0.113.24\"", Some("203.0.113.24"), None);
    check("\"69.224.141.777\"", None, Some(Flag::IpInvalid));
    check("\"0.0.0.0\"", None, Some(Flag::IpInvalid));
    check("\"\"", None, Some(Flag::IpMissing));
    check("null", None, Some(Flag::IpMissing));
}

#[test]
fn device_ids() {
    let check = |data: &str, expected: &[(&str, &str)]| {
        let (install, _) = install_on("Android", data);
        assert_eq!(named(&install.origin.identifiers), expected, "{data}");
    };
    check(r#"{"device_ids":{"adid":"a-1","ANDROID_ID":"b"}}"#, &[("adid", "a-1"), ("android_id", "b")]);
    check(r#"{"device_ids":{"ADID":"a-1"}}"#, &[("adid", "a-1")]);
    check(r#"{"device_ids":[{"adid":"a-1"},{"loyalty":7}]}"#, &[("adid", "a-1"), ("loyalty", "7")]);
    check(r#"{"device_ids":{"adid":"","android_id":null,"custom":"unknown"}}"#, &[]);
    check(r#"{"device_ids":{"adid":"00000000-0000-0000-0000-000000000000"}}"#, &[]);
    check(r#"{"device_ids":{"idfv":"{idfv}","device_id":"device_id"}}"#, &[]);
    check(r#"{"device_ids":{"device_id":"lg-1"}}"#, &[("device_id", "lg-1")]);
    check(r#"{"device_ids":{"udid":"r-1"}}"#, &[("rida", "r-1")]);
    check(r#"{"device_ids":{},"adid":"a-1"}"#, &[("adid", "a-1")]);
    check(r#"{"device_ids":{"idfa":"a-1"}}"#, &[("adid", "a-1")]);
    check(r#"{"device_ids":{"idfa":"a-1","adid":"b-2"}}"#, &[("adid", "b-2")]);
    check(r#"{"device_ids":"text"}"#, &[]);
    check(r#"{"device_ids":{"adid":"a-1","idfv":"v-1","adid":"a-2"}}"#, &[("idfv", "v-1"), ("adid", "a-2")]);
    check(r#"{"device_ids":{"adid":"a-1","adid":""}}"#, &[]);
    check(r#"{"device_ids":{"adid":"a-1","ADID":"a-2"}}"#, &[("adid", "a-1")]);
    check(r#"{"device_ids":[{"adid":"a-1"},{"adid":"a-2"}]}"#, &[("adid", "a-1")]);
    check(r#"{"adid":"a-1","adid":"a-2"}"#, &[("adid", "a-2")]);
    check(r#"{"device_id":{"adid":"a-1","adid":"a-2"}}"#, &[("adid", "a-2")]);
}

#[test]
fn identifiers_at_the_root_fill_in() {
    let body = r#"{"action":"install","kochava_app_id":"k","device_ids":{"idfv":"v-2","adid":"a-2"},"data":{"device_ids":{"idfv":"v-1"}}}"#;
    let measure::input::Payload::Install(install) = try_on("iOS", body).unwrap().payload else { panic!() };
    assert_eq!(named(&install.origin.identifiers), [("idfv", "v-1"), ("adid", "a-2")]);
}

#[test]
fn without_any_identifier_there_is_a_flag() {
    assert!(install("{}").1.flags.contains(&Flag::NoIdentifier));
    assert!(install(r#"{"kochava_device_id":"unknown"}"#).1.flags.contains(&Flag::NoIdentifier));
    assert!(!install(r#"{"device_ids":{"custom":"c"}}"#).1.flags.contains(&Flag::NoIdentifier));
}

#[test]
fn referrers() {
    let click: TouchId = "clk_0199d3a0c0f97d3ea1b2c3d4e5f60718".parse().unwrap();
    let check = |data: &str, expected: Option<(&str, Option<TouchId>)>| {
        let found = install(data).0.click;
        let found = found.as_ref().map(|click| (click.written.as_str(), click.touch));
        assert_eq!(found, expected, "{data}");
    };
    let referrer = |text: &str| {
        format!(r#"{{"install_referrer":{{"referrer":"{text}","referrer_click_time":1759999900}}}}"#)
    };
    let written = click.to_string();
    check(&referrer(&format!("utm_source={click}&utm_campaign=t1")), Some((&written, Some(click))));
    check(&referrer(&format!("utm_source%3D{click}%26utm_campaign%3Dt1")), Some((&written, Some(click))));
    check(
        &referrer(&format!("utm_source%253D{click}%2526utm_campaign%253Dt1")),
        Some((&written, Some(click))),
    );
    check(&referrer(&format!("utm_source%25253D{click}")), Some((&written, Some(click))));
    check(&referrer(&format!("utm_source%2525253D{click}")), None);
    check(&format!(r#"{{"install_referrer":"utm_source={click}"}}"#), Some((&written, Some(click))));
    check(&format!(r#"{{"conversion_data":{{"utm_source":"{click}"}}}}"#), Some((&written, Some(click))));
    check(&referrer("utm_source=google-play&utm_medium=organic"), Some(("google-play", None)));
    check(&referrer("gclid=abc"), None);
    check(&referrer("utm_source=(not%20set)&utm_medium=(not%20set)"), None);
    check(&referrer(""), None);
    check(r#"{"conversion_data":{"utm_source":""}}"#, None);
    check(r#"{"install_referrer":null,"conversion_data":[]}"#, None);
    let both = format!(
        r#"{{"install_referrer":{{"referrer":"utm_source=x"}},"conversion_data":{{"utm_source":"{click}"}}}}"#
    );
    check(&both, Some((&written, Some(click))));
    let click = install(&referrer("utm_source=abc")).0.click.unwrap();
    assert_eq!(click.click_time, Some(Timestamp::from_seconds(1_759_999_900)));
    assert_eq!((click.kind, click.raw.as_str()), (ClickReferenceKind::InstallReferrer, "utm_source=abc"));
}

#[test]
fn referrers_of_the_stores() {
    let samples: serde_json::Value =
        serde_json::from_str(include_str!("fixtures/play-referrers.json")).unwrap();
    let found: Vec<String> = samples
        .as_array()
        .unwrap()
        .iter()
        .map(|sample| {
            let data = serde_json::json!({"install_referrer": {"referrer": sample["referrer"]}});
            install(&data.to_string()).0.click.map(|click| click.written).unwrap_or_default()
        })
        .collect();
    assert_eq!(
        found,
        ["sx-click-0f3a", "google-play", "google", "", "apps.facebook.com", "", "newsletter", ""]
    );
}

/// Whom each sample of a store's referrer names, and whether it says that somebody paid.
#[test]
fn referrers_name_a_source() {
    let samples: serde_json::Value =
        serde_json::from_str(include_str!("fixtures/play-referrers.json")).unwrap();
    let found: Vec<String> = samples
        .as_array()
        .unwrap()
        .iter()
        .map(|sample| {
            let data = serde_json::json!({"install_referrer": {"referrer": sample["referrer"]}});
            in_words(&data.to_string())
        })
        .collect();
    assert_eq!(
        found,
        [
            "sx-click-0f3a [kosextant-demo-t1]",
            "nobody",
            "Google Ads paid",
            "Google Ads paid",
            "Meta paid encrypted [fb4a]",
            "TikTok paid",
            "newsletter",
            "nobody",
        ]
    );
}

fn in_words(data: &str) -> String {
    let Some(referrer) = install(data).0.referrer else { return "no referrer".to_owned() };
    let mut words = vec![referrer.name.unwrap_or_else(|| "nobody".to_owned())];
    words.extend(referrer.paid.then(|| "paid".to_owned()));
    words.extend(referrer.encrypted.then(|| "encrypted".to_owned()));
    words.extend(referrer.campaign.map(|campaign| format!("[{campaign}]")));
    words.join(" ")
}

#[test]
fn sources_of_referrers() {
    for (referrer, expected) in [
        ("utm_source=google&utm_medium=organic", "nobody"),
        ("utm_source=google-play", "nobody"),
        ("utm_source=google&utm_medium=cpc&utm_campaign=b", "Google Ads paid [b]"),
        ("utm_source=google&utm_medium=email", "google"),
        ("utm_source=acme&utm_medium=CPI", "acme paid"),
        ("utm_source=acme", "acme"),
        ("utm_source=(direct)", "nobody"),
        ("wbraid=1", "Google Ads paid"),
        ("gclid=", "nobody"),
        ("fbclid=1", "Meta paid"),
        ("msclkid=1", "Microsoft Ads paid"),
        ("twclid=1", "X paid"),
        ("utm_medium=organic", "nobody"),
        ("anything", "nobody"),
    ] {
        let data = serde_json::json!({ "install_referrer": { "referrer": referrer } });
        assert_eq!(in_words(&data.to_string()), expected, "{referrer}");
    }
    assert_eq!(in_words("{}"), "no referrer");
    let long = format!(r#"{{"install_referrer":"utm_source={}"}}"#, "x".repeat(1_000));
    assert_eq!(in_words(&long).len(), 256);
}

#[test]
fn search_ads() {
    let check = |data: &str, expected: Option<(&str, bool)>| {
        let (install, parsed) = install(data);
        let ads = install.search_ads.as_ref();
        let found = ads.map(|ads| (ads.campaign_id.as_deref().unwrap_or(""), ads.click_time.is_some()));
        assert_eq!(found, expected, "{data}");
        let is_flagged = parsed.flags.contains(&Flag::DateManufactured);
        assert_eq!(is_flagged, expected.is_some_and(|(_, dated)| !dated), "{data}");
    };
    let old = r#""iad_attribution_details":{"Version3.1":{"iad-attribution":"true","iad-campaign-id":"1","iad-click-date":"2020-09-18T22:02:00Z"}}"#;
    let new = r#""adservices_attribution_details":{"attribution":true,"campaignId":2}"#;
    check(&format!("{{{old}}}"), Some(("1", true)));
    check(&format!("{{{new}}}"), Some(("2", false)));
    check(&format!("{{{new},{old}}}"), Some(("1", true)));
    check(&format!(r#"{{"iad_attribution_details":{{"Version3.1":{{}}}},{new}}}"#), Some(("2", false)));
    check(r#"{"iad_attribution_details":{"Version3.1":{}}}"#, None);
    check(r#"{"iad_attribution_details":{"Version3.1":{"iad-attribution":"false"}}}"#, None);
    check(r#"{"adservices_attribution_details":{"attribution":false,"campaignId":2}}"#, None);
    check(r#"{"adservices_attribution_details":""}"#, None);
    let text = |json: &str| {
        let (key, details) = json.split_once(':').unwrap();
        format!("{{{key}:{}}}", serde_json::to_string(details).unwrap())
    };
    check(&text(old), Some(("1", true)));
    check(&text(new), Some(("2", false)));
    check(&text(r#""adservices_attribution_details":{"attribution":false}"#), None);
    for (details, is_odd) in [
        (r#""{\"attribution\":false}""#, false),
        (r#""""#, false),
        ("null", false),
        ("{}", false),
        (r#""no network""#, true),
        (r#""[1]""#, true),
        ("true", true),
    ] {
        let parsed = install(&format!(r#"{{"adservices_attribution_details":{details}}}"#)).1;
        assert_eq!(parsed.flags.contains(&Flag::SearchAdsInvalid), is_odd, "{details}");
    }
    check(
        r#"{"adservices_attribution_details":{"attribution":true,"campaignId":2,"clickDate":"2020-09-18T22:02Z"}}"#,
        Some(("2", true)),
    );
    let ids = r#"{"adservices_attribution_details":{"attribution":true,"keywordID":5,"adGroupId":6,"conversionType":"Download"}}"#;
    let ads = install(ids).0.search_ads.unwrap();
    assert_eq!(ads.keyword_id.as_deref(), Some("5"));
    assert_eq!(ads.ad_group_id.as_deref(), Some("6"));
    assert_eq!(ads.conversion_type.as_deref(), Some("Download"));
    for (claim, viewed, told) in [
        (r#""claimType":"Impression","impressionDate":"2025-09-18T22:02Z""#, true, true),
        (r#""claimType":"Impression","clickDate":"2025-09-18T22:02Z""#, true, false),
        (r#""claimType":"Click","clickDate":"2025-09-18T22:02Z""#, false, true),
    ] {
        let body = format!(r#"{{"adservices_attribution_details":{{"attribution":true,{claim}}}}}"#);
        let ads = install(&body).0.search_ads.unwrap();
        assert_eq!((ads.viewed, ads.click_time.is_some()), (viewed, told), "{claim}");
    }
}

#[test]
fn what_is_required() {
    let check = |body: &str, word: &str| {
        let refusal = try_on("iOS", body).unwrap_err();
        assert_eq!(refusal.status, 400, "{body}");
        assert!(refusal.error.starts_with(word), "{body}: {}", refusal.error);
    };
    check(r#"{"kochava_app_id":"k","data":{}}"#, "action");
    check(r#"{"action":"Install","kochava_app_id":"k","data":{}}"#, "action");
    check(r#"{"action":5,"kochava_app_id":"k","data":{}}"#, "action");
    check(r#"{"action":"install","data":{}}"#, "kochava_app_id");
    check(r#"{"action":"install","kochava_app_id":"","data":{}}"#, "kochava_app_id");
    check(r#"{"action":"install","kochava_app_id":"k"}"#, "data");
    check(r#"{"action":"install","kochava_app_id":"k","data":"derp"}"#, "data");
    check(r#"{"action":"install","kochava_app_id":"k","data":[]}"#, "data");
    check(r#"{"action":"event","kochava_app_id":"k","data":{}}"#, "event_name");
    check(r#"{"action":"event","kochava_app_id":"k","data":{"event_name":""}}"#, "event_name");
    check(r#"{"action":"event","kochava_app_id":"k","data":{"event_name":{}}}"#, "event_name");
    check(r#"{"action":"update","kochava_app_id":"k","data":{"idfa":"x"}}"#, "kochava_device_id");
    let check = |rest: &str, word: &str| {
        let refusal = try_identity_link("iOS", rest).unwrap_err();
        assert!(refusal.status == 400 && refusal.error.starts_with(word), "{rest}: {}", refusal.error);
    };
    check(r#""data":{"user_id":"1"}"#, "device_id");
    check(r#""data":{"device_id":"1"}"#, "device_id");
    check(r#""device_id":{"idfv":"x"}"#, "data");
    check(r#""device_id":{"idfv":"x"},"data":{}"#, "data");
    check(r#""action":"install","device_id":"x","data":{"user_id":"1"}"#, "only identityLink");
    check(
        r#""device_id":{"idfv":"x"},"device_hash_method":{"idfv":"md5"},"data":{"user_id":"1"}"#,
        "device_id.idfv",
    );
}

#[test]
fn money_is_exact() {
    let sum: Decimal = ["0.1", "0.2"]
        .iter()
        .map(|text| event(&format!(r#""event_data":{{"sum":{text}}}"#)).0.amount.unwrap())
        .sum();
    assert_eq!(sum, "0.3".parse().unwrap());
    assert_eq!(install_on("Android", r#"{"device_ver":"17"}"#).0.origin.traits.os, Some(Os::Android));
}

#[test]
fn country() {
    let check = |data: &str, expected: Option<&str>| {
        assert_eq!(event(data).0.origin.country.as_deref(), expected, "{data}");
    };
    check(r#""country":"DE""#, Some("DE"));
    check(r#""country":" at ""#, Some("AT"));
    check(r#""country":"Germany""#, None);
    check(r#""country":"{country}""#, None);
    check("", None);
}

#[test]
fn one_input_names_one_device() {
    let ids = |count: usize| {
        let ids: Vec<String> = (0..count).map(|n| format!(r#""k{n}":"v{n}""#)).collect();
        format!("{{{}}}", ids.join(","))
    };
    let check = |data: String, expected: u16| {
        let body = format!(r#"{{"action":"event","kochava_app_id":"k","data":{{"event_name":"x",{data}}}}}"#);
        let status = try_on("iOS", &body).map_or_else(|refusal| refusal.status, |_| 200);
        assert_eq!(status, expected, "{} bytes", data.len());
    };
    check(format!(r#""device_ids":{}"#, ids(64)), 200);
    check(format!(r#""device_ids":{}"#, ids(65)), 400);
    check(format!(r#""device_ids":{},"device_id":{}"#, ids(60), ids(5)), 400);
    check(format!(r#""device_ids":[{},{}]"#, ids(60), ids(5)), 400);
    check(format!(r#""identity_link":{}"#, ids(256)), 200);
    check(format!(r#""identity_link":{}"#, ids(257)), 400);
    let link =
        |links: &str| try_identity_link("iOS", &format!(r#""device_id":{{"idfv":"a-1"}},"data":{links}"#));
    assert_eq!(link(&ids(256)).unwrap().0.links.len(), 256);
    assert_eq!(link(&ids(257)).unwrap_err().status, 400);
}

#[test]
fn a_link_without_any_identifier_is_told_so() {
    let check = |device: &str, expected: u16| {
        let link = try_identity_link("iOS", &format!(r#"{device},"data":{{"user_id":"u-42"}}"#));
        assert_eq!(link.map_or_else(|refusal| refusal.status, |_| 200), expected, "{device}");
    };
    check(r#""device_id":{}"#, 400);
    check(r#""device_id":[]"#, 400);
    check(r#""device_id":"""#, 400);
    check(r#""device_id":{"idfa":"","adid":null}"#, 400);
    check(r#""device_id":{"idfa":"00000000-0000-0000-0000-000000000000"}"#, 200);
    check(r#""device_id":"","kochava_device_id":"SX-1""#, 200);
}
