use serde_json::json;

use super::*;
use crate::{
    account::{App, Network},
    device::Platform,
    generate::{Plan, scenario},
};

fn account() -> Account {
    let app = |platform: Platform| App { platform, id: 1, guid: format!("ko{}", platform.name()) };
    let networks = (11..14).map(|id| Network { id, name: format!("N{id}") }).collect();
    Account { apps: Platform::ALL.map(app), networks, trackers: Vec::new(), triggers: Vec::new() }
}

/// What the comparison makes of an install with this truth that was decided `class` to the network with
/// the number `network`, from a click with the id `click`.
fn compared(truth: Truth, class: &str, network: u64, click: &str) -> Report {
    let mut person = scenario(&Plan { seed: 1, people: 1, until: 1_790_000_000 }).people.remove(0);
    person.truth = truth;
    let attribution = if class == "organic" {
        json!(false)
    } else {
        json!({ "network_id": network.to_string(), "network": "N",
            "click": { "meta": { "original_request": format!("a=1&click_id={click}") } } })
    };
    let answer =
        json!({ "decision": { "class": class, "ambiguous": false }, "data": { "attribution": attribution } });
    let mut report = Report::default();
    compare(&mut report, &account(), &person, &answer);
    report
}

fn ad(expected: Expected) -> Truth {
    Truth::Ad { expected, network: 1, click_id: "c-1".to_owned() }
}

/// Whether the comparison lets it pass.
fn check(truth: Truth, class: &str, network: u64, click: &str, passes: bool) {
    let report = compared(truth.clone(), class, network, click);
    assert_eq!(report.disagreements.is_empty(), passes, "{truth:?} found {class} to {network} by {click}");
}

#[test]
fn a_certain_match_has_to_be_the_very_click() {
    check(ad(Expected::DeviceId), "device_id", 12, "c-1", true);
    check(ad(Expected::DeviceId), "device_id", 12, "c-2", false);
    check(ad(Expected::DeviceId), "device_id", 11, "c-1", false);
    check(ad(Expected::DeviceId), "modeled", 12, "c-1", false);
    check(ad(Expected::DeviceId), "organic", 0, "", false);
    check(ad(Expected::Referrer), "referrer", 12, "c-1", true);
    check(ad(Expected::Referrer), "device_id", 12, "c-1", false);
    check(Truth::SearchAds, "asa", 1, "", true);
    check(Truth::SearchAds, "organic", 0, "", false);
}

#[test]
fn a_guess_may_be_wrong_but_not_certain() {
    check(ad(Expected::Modeled), "modeled", 12, "c-1", true);
    check(ad(Expected::Modeled), "modeled", 11, "c-1", true);
    check(ad(Expected::Modeled), "organic", 0, "", true);
    check(ad(Expected::Modeled), "device_id", 12, "c-1", false);
}

#[test]
fn an_organic_install_may_be_guessed_wrong_unless_a_stranger() {
    check(Truth::Organic { stranger: false }, "organic", 0, "", true);
    check(Truth::Organic { stranger: false }, "modeled", 12, "c-1", true);
    check(Truth::Organic { stranger: false }, "device_id", 12, "c-1", false);
    check(Truth::Organic { stranger: true }, "organic", 0, "", true);
    check(Truth::Organic { stranger: true }, "modeled", 12, "c-1", false);
}

#[test]
fn guesses_are_counted() {
    let right = compared(ad(Expected::Modeled), "modeled", 12, "c-1").guesses;
    assert_eq!(right, Guesses { credited: 1, right: 1, expected: 1, ambiguous: 0 });
    let wrong = compared(ad(Expected::Modeled), "modeled", 11, "c-9").guesses;
    assert_eq!(wrong, Guesses { credited: 1, right: 0, expected: 1, ambiguous: 0 });
    let missed = compared(ad(Expected::Modeled), "organic", 0, "").guesses;
    assert_eq!(missed, Guesses { credited: 0, right: 0, expected: 1, ambiguous: 0 });
    let undeserved = compared(Truth::Organic { stranger: false }, "modeled", 12, "c-1").guesses;
    assert_eq!(undeserved, Guesses { credited: 1, right: 0, expected: 0, ambiguous: 0 });
}

#[test]
fn a_report_is_right_when_nothing_disagrees_and_the_ledger_balances() {
    let mut report = Report { ledger: json!({ "balanced": true }), ..Report::default() };
    assert!(report.is_right());
    report.disagree("d", "a", "b");
    assert!(!report.is_right());
    assert!(!Report { ledger: json!({ "balanced": false }), ..Report::default() }.is_right());
    assert!(!Report::default().is_right());
}
