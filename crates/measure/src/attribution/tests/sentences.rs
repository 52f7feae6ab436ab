//! What people read.

use super::world::World;
use crate::attribution::explain;

fn check(case: &str, expected: &[&str]) {
    let world = World::parse(case);
    assert_eq!(explain(&world.decide(), &world.catalogue()), expected, "in:\n{case}");
}

#[test]
fn a_winner_and_a_loser() {
    check(
        "2 device a\nnetwork b click_modeled 60m\n1565m modeled b",
        &[
            "The install is attributed to a click of Network A (tracker Link a, campaign Launch), 2 hours \
             before the install, because both carry the same adid.",
            "The match is of class device_id, place 1 in the order of classes, inside its window of 30 days set \
             by default.",
            "Not credited: a click of Network B (tracker Link b, campaign Launch), 1 day 2 hours before the \
             install (modeled, window of 1 hour set by the network): it came 1 day 1 hour too early for its window \
             (outside_window).",
        ],
    );
}

/// Spans show two units, so what missed by a moment says by how much.
#[test]
fn what_missed_its_window_says_by_how_much() {
    for (age, missed) in
        [("3601s", "1 second"), ("3601999ms", "1 second"), ("61m", "1 minute"), ("30", "1 day 5 hours")]
    {
        says(
            &format!("30s device a\nnetwork b click_modeled 60m\n{age} modeled b"),
            &format!(
                "(modeled, window of 1 hour set by the network): it came {missed} too early for its window (outside_window)"
            ),
        );
    }
}

#[test]
fn nothing_found() {
    check("", &["The install is organic: no click or impression before it matches it."]);
}

#[test]
fn only_near_misses() {
    check(
        "app impression_modeled off\n30s viewed a",
        &[
            "The install is organic: nothing that was found could be credited. The nearest misses follow.",
            "Missed: an impression of Network A (tracker Link a, campaign Launch), 30 seconds before the install, \
             matched by IP and user agent; the modeled class is switched off by the app.",
        ],
    );
}

#[test]
fn apples_word_needs_no_network_in_the_catalogue() {
    let world = World::parse("asa undated");
    let sentences = explain(&world.decide(), &world.catalogue());
    assert_eq!(
        sentences[0],
        "The install is attributed to a click of Apple Search Ads, at the time of the install, because Apple \
         says so."
    );
    assert_eq!(sentences[2], "Apple gave no date, so the time of the install stands for it.");
}

#[test]
fn apples_impression_is_no_click() {
    says("asaview undated", "attributed to an impression of Apple Search Ads");
    says("asaview undated", "Apple gave no date, so the time of the install stands for it.");
}

/// A refusal and silence are the same to the rule: neither is told as the other.
#[test]
fn consent_that_nobody_told_was_not_refused() {
    for install in ["install os=iOS ver=17", "install os=iOS ver=17 att=false"] {
        let case = format!("{install}\n2 modeled a os=iOS ver=17");
        let without = format!("{case}\nset modeled_without_att false");
        says(&case, "(iOS 14 or later) and no consent was told, so modeled matches depend");
        says(&without, "no consent to tracking was told, and the app allows no modeled matches without it");
    }
}

#[test]
fn an_ambiguous_decision_says_so() {
    let world = World::parse("2 modeled a\n5 modeled b");
    let sentences = explain(&world.decide(), &world.catalogue());
    assert!(sentences.iter().any(|sentence| sentence.contains("ambiguous")), "{sentences:?}");
}

#[track_caller]
fn says(case: &str, words: &str) {
    let world = World::parse(case);
    let sentences = explain(&world.decide(), &world.catalogue());
    assert!(sentences.iter().any(|sentence| sentence.contains(words)), "{words} in {sentences:#?}");
}

#[test]
fn what_won_tells_why_another_of_its_class_did_not() {
    says("2 device a\n3 device b", ": a later engagement of an equal class won (older_click).");
    says("2 device a\n2 device b", "at the same moment and won by the rule of ties (older_click).");
    says("2 device a\n2 view b", ": an engagement of a better class won (lower_class).");
    let views = "set prioritize_completed_view true\n2 view a\n5 view b completed";
    says(views, ": the app puts the one that won before others of its class");
}

#[test]
fn a_guess_that_beats_a_certain_click_says_by_what() {
    let case = "set equalizer 2\n20 device a\n1 modeled b";
    says(case, "attributed to a click of Network B");
    says(case, "inside the equalizer of the app (attribution.equalizer)");
    says("20 device a\n1 modeled b", "attributed to a click of Network A");
}

#[test]
fn what_looks_different_did_not_match_by_user_agent() {
    says("1 modeled a model=Nokia", "matched by IP, not by user agent; the modeled window is 7 days");
    says("200 modeled a", "matched by IP and user agent; the modeled window is 7 days, set by default");
}

#[test]
fn a_duplicate_and_what_overrides_switch_off() {
    check(
        "2 device a\n3 device a\ntracker b click_device off\n1 device b",
        &[
            "The install is attributed to a click of Network A (tracker Link a, campaign Launch), 2 hours \
             before the install, because both carry the same adid.",
            "The match is of class device_id, place 1 in the order of classes, inside its window of 30 days set \
             by default.",
            "Not credited: a click of Network B (tracker Link b, campaign Launch), 1 hour before the install \
             (device_id, window switched off by the tracker): the overrides of its tracker switch its class off \
             (overrides_disabled).",
            "Not credited: a click of Network A (tracker Link a, campaign Launch), 3 hours before the install \
             (device_id, window of 30 days set by default): the same device engaged with the same ad again \
             later, and that one stands for both (duplicate_only).",
        ],
    );
}

#[test]
fn a_claim_from_the_future_says_so() {
    says("0s claim a future\n2 device b", "attributed to a claimed click of Network A");
    says("0s claim a future\n2 device b", "By the network's own time the engagement lay in the future");
}

#[test]
fn a_claim_and_one_that_was_beaten() {
    check(
        "2 claim a lookback=7d\n3 claim b",
        &[
            "The install is attributed to a claimed click of Network A (tracker Link a, campaign Launch), \
             2 hours before the install, because the network claims the adid of the device.",
            "The match is of class claim, place 1 in the order of classes, inside its window of 7 days set by \
             the network in its claim.",
            "Not credited: a claimed click of Network B (tracker Link b, campaign Launch), 3 hours before the \
             install (claim, window of 30 days set by default): another engagement was later, or of a better \
             class, than what the network claims (san_claim_beaten).",
        ],
    );
}
