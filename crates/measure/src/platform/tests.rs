use super::*;

fn traits(text: &str) -> Traits {
    let mut parts = text.split('/').map(|part| (!part.is_empty()).then(|| part.to_owned()));
    let mut next = || parts.next().flatten();
    Traits { os: next().as_deref().and_then(Os::named), os_version: next(), model: next() }
}

/// Whether two makes, `os/version/model`, may be one device, asked both ways.
fn check(one: &str, other: &str, expected: bool) {
    assert_eq!(traits(one).resembles(&traits(other), Versions::Whole), expected, "{one} and {other}");
    assert_eq!(traits(other).resembles(&traits(one), Versions::Whole), expected, "{other} and {one}");
}

#[test]
fn the_family_has_to_be_known_and_the_same() {
    check("android", "Android", true);
    check("iOS", "iPadOS", true);
    check("android", "ios", false);
    check("android", "Fire OS", false);
    check("", "android", false);
    check("", "", false);
    check("unknown", "unknown", false);
    check("roku", "Roku", true);
}

#[test]
fn a_family_has_one_name() {
    let rows = [
        ("Android", &["android", "Android TV", "Android Instant App", "ANDROID OS", "android-tv"][..]),
        ("Android", &["Daydream", "Oculus GO", "Oculus_Go", "Samsung Gear VR"]),
        ("Android", &["AndroidTV", "androidos", "GoogleTV", "AndroidInstantApp"]),
        ("Fire OS", &["fireos", "AmazonFireOS", "Fire_OS", "fire-os", "Fire OS 8"]),
        ("chrome os", &["Chrome OS", "ChromeOS", "Chromium OS", "CrOS"]),
        ("chromecast", &["Chromecast", "Chromecast Linux"]),
        ("harmonyos", &["HarmonyOS", "Harmony OS", "OpenHarmony"]),
        ("iOS", &["ios", "iPadOS", "iPhone OS", "iOS App Clip", "iOS 17.5", "iphoneos", "iPhoneOS 17.5"]),
        ("linux", &["Linux", "Ubuntu", "GNU/Linux"]),
        ("macos", &["macOS", "Mac OS", "Mac OS X", "OSX", "Macintosh", "Mac-OS-X", "macOS 14.4"]),
        ("playstation", &["Playstation", "PlayStation 5"]),
        ("roku", &["Roku", "Roku OS", "RokuOS", "roku-os 12.5"]),
        ("smartcast", &["Vizio Smartcast OS", "VizioSmartCast"]),
        ("tizen", &["Tizen", "Tizen OS", "TizenOS"]),
        ("tvOS", &["tvos", "ATV OS X", "appletvos", "Apple tvOS", "tv_os"]),
        ("webos", &["webOS", "Web0S", "LGWebOS", "LG webOS", "webOS TV", "webOSTV"]),
        ("windows", &["Windows", "Windows 11", "Windows Xbox", "Microsoft Windows"]),
        (
            "windows",
            &["Windows 10 Pro", "Windows 11 Home", "Microsoft Windows 8.1 Enterprise", "windows pro"],
        ),
        ("windows", &["Win32NT", "Win32", "WindowsNT", "Xbox", "Xbox One", "XboxOne", "Xbox OS"]),
        ("windows phone", &["WindowsPhone", "Windows Phone", "Windows Phone OS", "Windows Mobile"]),
        ("some os", &[" Some OS "]),
        ("some os 4 pro", &["Some OS 4 Pro"]),
        ("pro", &["Pro"]),
        ("roku home", &["Roku Home"]),
    ];
    for (name, spellings) in rows {
        for spelling in spellings {
            assert_eq!(Os::named(spelling).as_ref().map(Os::name), Some(name), "{spelling}");
        }
    }
    for nothing in ["", " ", "unknown", "Other", "null"] {
        assert_eq!(Os::named(nothing), None, "{nothing}");
    }
}

#[test]
fn a_name_of_former_times_is_the_same_family() {
    let stored = |name: &str| {
        let os = if name == "Android" { Os::Android } else { Os::Other(name.to_owned()) };
        Traits { os: Some(os), ..Traits::default() }
    };
    for (one, other, expected) in [
        ("mac os x", "macos", true),
        ("web0s", "webos", true),
        ("tizen os", "tizen", true),
        ("win32", "windows", true),
        ("androidtv", "Android", true),
        ("daydream", "Android", true),
        ("oculus go", "Android", true),
        ("samsung gear vr", "daydream", true),
        ("oculus rift", "Android", false),
        ("macos", "webos", false),
        ("some os", "some os", true),
        ("some os", "another", false),
        ("some os", "Android", false),
    ] {
        assert_eq!(stored(one).resembles(&stored(other), Versions::Whole), expected, "{one} and {other}");
        assert_eq!(stored(other).resembles(&stored(one), Versions::Whole), expected, "{other} and {one}");
    }
}

#[test]
fn android_on_a_model_of_amazons_is_fire_os_of_an_unknown_version() {
    for (written, settled) in [
        ("android/9/KFTRWI", "Fire OS//KFTRWI"),
        ("android/7.1.2/AFTMM", "Fire OS//AFTMM"),
        ("android/11/Amazon AFTKAUK001", "Fire OS//Amazon AFTKAUK001"),
        ("android/4.4.3/Kindle Fire HDX 7\" WiFi", "Fire OS//Kindle Fire HDX 7\" WiFi"),
        ("Fire OS/8.3.1/KFTRWI", "Fire OS/8.3.1/KFTRWI"),
        ("android/14/Pixel 8 Pro", "android/14/Pixel 8 Pro"),
        ("android/14/KFC", "android/14/KFC"),
        ("android/14/KF5X", "android/14/KF5X"),
        ("android/14/AFT", "android/14/AFT"),
        ("android/14/Kyocera KFTRWI", "android/14/Kyocera KFTRWI"),
        ("android/9/", "android/9/"),
        ("windows/9/KFTRWI", "windows/9/KFTRWI"),
    ] {
        assert_eq!(traits(written).settled(), traits(settled), "{written}");
    }
}

#[test]
fn versions_are_compared_as_far_as_both_tell() {
    check("ios/17.5", "ios/17.5.1", true);
    check("ios/17", "ios/17.5.1", true);
    check("ios/17_5_1", "ios/17.5.1", true);
    check("ios/17.05", "ios/17.5", true);
    check("ios/17.5.1", "ios/17.5.2", false);
    check("ios/17.4", "ios/17.5", false);
    check("ios/1", "ios/17", false);
    check("ios/", "ios/17", true);
    check("android/14-beta", "android/13", true);
    check("android/99999999999999999999", "android/13", true);
}

#[test]
fn models_are_compared_without_case_and_separators() {
    check("android/14/Pixel 8 Pro", "android/14/pixel_8_pro", true);
    check("android/14/Pixel 8 Pro", "android/14/Pixel 8", false);
    check("android/14/SM-S918B", "android/14/SM-S918U", false);
    check("android/14/SM-S918B", "android/14/Samsung SM-S918B", true);
    check("android/14/SM-S918B", "android/14/", true);
}

#[test]
fn words_that_stand_for_many_models_say_nothing() {
    for model in [
        "K",
        "Smartphone",
        "Generic Smartphone",
        "Generic_Android",
        "Tablet",
        "Unknown",
        "-",
        "Kindle",
        "Mac",
        "SMART-TV",
        "SmartTV2018:UNU7100",
        "Web0S SmartTV",
        "Roku",
        "Chromecast",
    ] {
        check(&format!("android/14/{model}"), "android/14/Pixel 8 Pro", true);
        check(&format!("android/14/{model}"), "android/13/Pixel 8 Pro", false);
    }
}

#[test]
fn the_version_of_a_reduced_user_agent_says_nothing() {
    check("android/10/K", "android/14/Pixel 8 Pro", true);
    check("android/10/", "android/14/Pixel 8 Pro", true);
    check("android/10.0.0/K", "android/14/Pixel 8 Pro", true);
    check("android/10/Pixel 8 Pro", "android/14/Pixel 8 Pro", false);
    check("android/11/K", "android/14/Pixel 8 Pro", false);
    check("ios/10/iPhone", "ios/14/iPhone", false);
}

#[test]
fn the_version_that_every_browser_of_a_family_gives_says_nothing() {
    check("macos/10.15.7", "macos/14.4.1", true);
    check("Mac OS X/10_15_7", "macos/26.1", true);
    check("macos/10.15", "macos/11.2", true);
    check("macos/10.15.7", "macos/10.14", true);
    check("macos/10.15.6", "macos/14.4", false);
    check("macos/13.6", "macos/14.4", false);
    check("windows/10", "windows/11", true);
    check("windows/10.0", "windows/7", true);
    check("windows/10.0.19045", "windows/11", false);
    check("chrome os/14541.0.0", "chrome os/15633.69", true);
    check("chrome os/13597.84.0", "chrome os/15633.69", false);
    check("linux/5.15", "ubuntu/22.04", true);
    check("android/10.15.7/Pixel 8", "android/14/Pixel 8", false);
    check("roku/10.15", "roku/12.5", false);
}

#[test]
fn browsers_of_ios_26_go_on_giving_18() {
    check("ios/18.6/iPhone", "ios/26.1/iPhone15,2", true);
    check("ios/18_6_2/iPhone", "ios/26.0/iPhone", true);
    check("ios/18.7/iPhone", "ios/27/iPhone", true);
    check("ios/18.5/iPhone", "ios/26.1/iPhone", false);
    check("ios/17.6/iPhone", "ios/26.1/iPhone", false);
    check("ios/18.6/iPhone", "ios/18.7/iPhone", false);
    check("tvos/18.6", "tvos/26", false);
    check("android/18.6", "android/26", false);
}

#[test]
fn apple_models_tell_a_family_or_a_number() {
    check("ios/17.5/iPhone", "ios/17.5/iPhone15,2", true);
    check("ios/17.5/iPad", "ios/17.5/iPad13,4", true);
    check("ios/17.5/iPhone15,2", "ios/17.5/iphone15,2", true);
    check("ios/17.5/iPhone15,2", "ios/17.5/iPhone15,3", false);
    check("ios/17.5/iPhone 14 Pro", "ios/17.5/iPhone15,2", true);
    check("ios/17.5/iPhone", "ios/17.5/iPad13,4", false);
    check("tvos/17/Apple TV", "tvos/17/AppleTV6,2", true);
}

#[test]
fn the_first_number_of_a_version() {
    for (version, major) in [("17.5.1", Some(17)), ("14", Some(14)), ("", None), ("x.1", None)] {
        assert_eq!(traits(&format!("ios/{version}")).os_major(), major, "{version}");
    }
}

#[test]
fn a_tracker_may_leave_out_all_but_the_first_number() {
    let traits = |version: &str| Traits {
        os: Some(Os::Ios),
        os_version: Some(version.to_owned()),
        model: Some("iPhone".to_owned()),
    };
    for (one, other, whole, major) in [
        ("17.5.1", "17.5", true, true),
        ("17.5", "17.6.1", false, true),
        ("17.5", "18.5", false, false),
        ("17", "17.6", true, true),
    ] {
        assert_eq!(traits(one).resembles(&traits(other), Versions::Whole), whole, "{one} and {other}");
        assert_eq!(traits(one).resembles(&traits(other), Versions::Major), major, "{one} and {other}");
    }
}
