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
    for model in ["K", "Smartphone", "Generic Smartphone", "Generic_Android", "Tablet", "Unknown", "-"] {
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
