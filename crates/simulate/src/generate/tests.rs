use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::scenario::Step;

const UNTIL: i64 = 1_790_000_000;

fn drawn(seed: u64, people: usize) -> Scenario {
    scenario(&Plan { seed, people, until: UNTIL })
}

fn bytes(scenario: &Scenario) -> String {
    serde_json::to_string(scenario).unwrap()
}

fn engagement(step: &Step) -> Option<&Engagement> {
    match &step.action {
        Action::Click(ad) | Action::Impression(ad) => Some(ad),
        _ => None,
    }
}

fn install(person: &Person) -> Option<(usize, &Step)> {
    person.steps.iter().enumerate().find(|(_, step)| matches!(step.action, Action::Install(_)))
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    assert_eq!(bytes(&drawn(7, 300)), bytes(&drawn(7, 300)));
}

#[test]
fn another_seed_gives_other_people() {
    assert_ne!(bytes(&drawn(7, 20)), bytes(&drawn(8, 20)));
}

#[test]
fn every_class_and_kind_occurs() {
    let scenario = drawn(1, 400);
    let classes: HashSet<_> = scenario.people.iter().map(|person| person.truth.expected()).collect();
    assert_eq!(classes.len(), 6, "five classes and those who never installed: {classes:?}");
    let kinds: HashSet<_> =
        scenario.people.iter().flat_map(|person| &person.steps).map(|step| step.action.kind()).collect();
    assert_eq!(kinds.len(), 6, "{kinds:?}");
    assert!(scenario.people.iter().any(|person| person.truth == Truth::Organic { stranger: true }));
}

#[test]
fn no_two_households_share_an_address() {
    let homes: HashSet<String> =
        (0..5_000).map(|number| format!("{:?}", Household::numbered(number))).collect();
    assert_eq!(homes.len(), 5_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_truth_is_told_by_the_steps(seed: u64) {
        for person in drawn(seed, 120).people {
            let installed = install(&person);
            prop_assert_eq!(installed.is_some(), person.truth != Truth::NoInstall);
            let Some((_, told)) = installed else { continue };
            if let Truth::Ad { expected, network, click_id } = &person.truth {
                let causes: Vec<&Step> = person.steps.iter()
                    .filter(|step| engagement(step).is_some_and(|ad| ad.click_id == *click_id)).collect();
                prop_assert!(!causes.is_empty());
                for cause in &causes {
                    let ad = engagement(cause).unwrap();
                    prop_assert_eq!(ad.network, *network);
                    prop_assert_eq!(ad.app, person.device.platform);
                    prop_assert_eq!(ad.id.is_some(), *expected == Expected::DeviceId);
                    prop_assert!(cause.time <= told.time);
                }
                // Nothing that could have been the cause lies between the cause and the install.
                let at = causes[0].time;
                let alone = person.steps.iter().filter(|step| step.time >= at && step.time <= told.time).all(|step| {
                    engagement(step).is_none_or(|ad| ad.click_id == *click_id)
                });
                prop_assert!(alone);
            }
        }
    }

    #[test]
    fn strangers_carry_an_identifier_of_the_kind_of_the_click(seed: u64) {
        let people = drawn(seed, 150).people;
        let mut clicks: HashMap<Platform, Vec<(&Person, &Engagement)>> = HashMap::new();
        for person in &people {
            for ad in person.steps.iter().filter_map(engagement) {
                clicks.entry(person.device.platform).or_default().push((person, ad));
            }
        }
        for stranger in people.iter().filter(|person| person.truth == Truth::Organic { stranger: true }) {
            let Some((_, Step { action: Action::Install(install), .. })) = install(stranger) else { panic!() };
            let near = clicks[&stranger.device.platform].iter().filter(|(_, ad)| same_home(ad.ip, install.ip));
            let mut seen = 0;
            for (clicker, ad) in near {
                seen += 1;
                prop_assert!(matches!(ad.id, LinkId::Plain | LinkId::Typed));
                prop_assert_eq!(stranger.device.consent, Consent::Granted);
                prop_assert_ne!(&stranger.device.advertising_id, &clicker.device.advertising_id);
                prop_assert_eq!(&stranger.device.model, &clicker.device.model);
            }
            prop_assert!(seen > 0);
        }
    }

    #[test]
    fn nothing_happens_after_the_end_or_outside_the_documentation_ranges(seed: u64) {
        let people = drawn(seed, 120).people;
        let mut ids = HashSet::new();
        for person in &people {
            prop_assert!(ids.insert(&person.device.kochava_device_id));
            prop_assert!(ids.insert(&person.device.advertising_id));
            for step in &person.steps {
                prop_assert!(step.time.is_none_or(|time| time <= UNTIL && time > UNTIL - 31 * DAY));
                let ip = match &step.action {
                    Action::Click(ad) | Action::Impression(ad) => ad.ip,
                    Action::Install(install) => install.ip,
                    _ => continue,
                };
                let text = ip.to_string();
                prop_assert!(
                    ["192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:"].iter().any(|net| text.starts_with(net))
                );
            }
        }
    }
}

fn same_home(one: std::net::IpAddr, other: std::net::IpAddr) -> bool {
    match (one, other) {
        (std::net::IpAddr::V6(one), std::net::IpAddr::V6(other)) => {
            one.segments()[..4] == other.segments()[..4]
        }
        _ => one == other,
    }
}
