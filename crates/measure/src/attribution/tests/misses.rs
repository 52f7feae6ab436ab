//! What an organic install was close to, and how that reads.

use super::world::World;
use crate::attribution::{named_too_late, nearest, unseen};

/// The misses of a case, the nearest first, as `how` with the time when it is one, and the age in hours.
fn check(case: &str, expected: &[&str]) {
    let world = World::parse(case);
    let decision = world.decide();
    let misses = nearest(&decision).into_iter().chain(world.ask(|question| unseen(question, &decision)));
    let words: Vec<String> = misses
        .map(|miss| {
            let hours = miss.candidate.age_ms / 3_600_000;
            let by = miss.how.by_ms().map(|ms| format!(" {}", ms / 3_600_000)).unwrap_or_default();
            format!("{hours} {}{by}", miss.how.name())
        })
        .collect();
    assert_eq!(words, expected, "in:\n{case}");
}

#[test]
fn a_winner_leaves_no_misses() {
    check("2 device a\n200 modeled b", &[]);
}

#[test]
fn the_nearest_miss_comes_first() {
    check(
        "200 modeled a\n170 modeled b\n722 device c",
        &["722 outside_window 2", "170 outside_window 2", "200 outside_window 32"],
    );
    check("8d modeled a\n3 modeled b os=ios ip=203.0.113.24", &["192 outside_window 24", "3 other_device"]);
    check("set impressions false\n170 modeled a\n3 viewed b", &["170 outside_window 2", "3 switched_off"]);
}

#[test]
fn what_the_overrides_of_a_tracker_switch_off_is_switched_off() {
    check("tracker a impression_device off\n3 view a", &["3 switched_off"]);
    reads(
        "tracker a impression_device off\n3 view a",
        &[
            "Missed: an impression of Network A (tracker Link a, campaign Launch), 3 hours before the install, \
           matched by adid; the device_id class is switched off by the tracker.",
        ],
    );
}

#[test]
fn what_a_setting_bars_inside_its_window_is_nearest() {
    let case = "set limit_ad_tracking_fallback false\ninstall no_id os=ios\n3 modeled a os=ios\n300 modeled b os=ios";
    check(case, &["3 barred", "300 barred"]);
}

#[test]
fn what_happens_after_the_install_and_what_no_class_looks_for_is_seen_too() {
    check("-2 device a", &["-2 after_install 2"]);
    check("200 modeled a\n-5m modeled b", &["200 outside_window 32", "0 after_install 0"]);
    check("3 nothing a ip=203.0.113.77", &["3 switched_off"]);
    // Within the allowed difference of clocks it is a candidate like any other.
    check("-1m device a", &[]);
    // Unless the install counts from the beginning of its download.
    check("install begin received=100s\n-5s device a", &["0 after_install 0"]);
}

#[test]
fn what_apple_names_too_late_is_a_miss() {
    check("asa -2", &["-2 after_install 2"]);
    check("asaview -2\n200 modeled a", &["200 outside_window 32", "-2 after_install 2"]);
    check("asa -1m", &[]);
    check("asa undated", &[]);
    reads(
        "asa -2",
        &[
            "Missed: a click of Apple Search Ads, 2 hours after the install, matched by Apple's word; the asa window \
           is 30 days, set by default, but the click that Apple names is later than the install.",
        ],
    );
    let impression = World::parse("asaview -2");
    let sentence = impression.ask(named_too_late).unwrap().sentence(&impression.catalogue());
    assert!(
        sentence.ends_with("but the impression that Apple names is later than the install."),
        "{sentence}"
    );
    for (case, late) in [("asa -2\n3 device a", true), ("asa 2\n3 device a", false), ("3 device a", false)] {
        let world = World::parse(case);
        assert!(world.decide().winner().is_some(), "{case}");
        assert_eq!(world.ask(|question| named_too_late(question).is_some()), late, "{case}");
    }
}

#[test]
fn what_came_after_the_install_from_another_device_says_so() {
    check("-2 modeled a model=Nokia", &["-2 other_device"]);
    check("-2 modeled a os=ios", &["-2 other_device"]);
    check("-2 modeled a id=adid:other", &["-2 other_device"]);
    check("-2 modeled a", &["-2 after_install 2"]);
    // By the address alone it is near enough, where the app looks at that.
    check("set fingerprint_level ip_only\n-2 modeled a model=Nokia", &["-2 after_install 2"]);
    reads(
        "-2 modeled a id=adid:other",
        &["Missed: a click of Network A (tracker Link a, campaign Launch), 2 hours after the install, \
           matched by IP, not by identifier; the modeled window is 7 days, set by default, but it carries the \
           identifier of another device (identifier_mismatch)."],
    );
}

fn reads(case: &str, expected: &[&str]) {
    let world = World::parse(case);
    let decision = world.decide();
    let misses = nearest(&decision).into_iter().chain(world.ask(|question| unseen(question, &decision)));
    let catalogue = world.catalogue();
    let sentences: Vec<String> = misses.map(|miss| miss.sentence(&catalogue)).collect();
    assert_eq!(sentences, expected, "in:\n{case}");
}

#[test]
fn a_miss_is_told_in_a_sentence() {
    reads(
        "app click_modeled 7d\n194 modeled a",
        &[
            "Missed: a click of Network A (tracker Link a, campaign Launch), 8 days 2 hours before the install, \
           matched by IP and user agent; the modeled window is 7 days, set by the app: it came 1 day 2 hours \
           too early for it.",
        ],
    );
    reads(
        "-3m device b",
        &["Missed: a click of Network B (tracker Link b, campaign Launch), 3 minutes after the install, \
           matched by adid; the device_id window is 30 days, set by default, and only what happens before \
           an install can lead to it."],
    );
    reads(
        "2 modeled a model=Pixel_7",
        &["Missed: a click of Network A (tracker Link a, campaign Launch), 2 hours before the install, \
           matched by IP, not by user agent; the modeled window is 7 days, set by default, but operating system, \
           version or model differ, or the system is not known (platform_mismatch)."],
    );
}
