use measure::{
    Timestamp,
    fraud::{Blocked, Rule},
};
use simulate::city::{FLOODER, INJECTOR, Trace};

use super::{
    KNOWING, MODES, RULES, Settings, Variation,
    score::{Row, Score},
    town::Town,
};

fn scored(town: &Town, variation: &Variation) -> Score {
    town.decide(&Settings::of(variation), |_| {}).unwrap()
}

fn variation<'v>(all: &'v [Variation], name: &str) -> &'v Variation {
    all.iter().find(|variation| variation.name == name).unwrap()
}

#[test]
fn a_certain_match_is_never_another_persons_and_nothing_is_counted_twice() {
    let town = Town::draw(3, 2_400, 0).unwrap();
    let score = scored(&town, &MODES[0]);
    for class in ["device_id", "referrer", "asa"] {
        let class = score.class(class);
        assert!(class.credited > 0);
        assert_eq!(class.strangers, 0);
    }
    assert!(score.class("modeled").strangers > 0, "people share addresses and makes of phone");
    assert_eq!(score.class("asa").right, score.class("asa").credited);
    assert_eq!(score.class("referrer").right, score.class("referrer").credited);
    let installs: usize = score.classes.values().map(|class| class.credited).sum();
    assert_eq!(installs, town.installs());
    let traced = score.traces[&Trace::SearchAds];
    assert_eq!(traced.found, traced.installs);
}

#[test]
fn every_install_is_in_one_row_and_in_one_truth() {
    let town = Town::draw(3, 600, 4).unwrap();
    let score = scored(&town, &RULES[0]);
    let found: usize =
        Trace::ALL.iter().filter_map(|trace| score.traces.get(trace)).map(|one| one.installs).sum();
    assert_eq!(found + score.organic.installs, town.installs());
    for (row, class) in &score.classes {
        let parts = class.right + class.right_network + class.wrong_network + class.was_organic;
        assert_eq!(parts, class.credited, "{row:?}");
    }
    for trace in Trace::ALL {
        let truth = score.truth(Row::of(trace)).unwrap();
        assert!(truth.installs > 0 && truth.found <= truth.installs, "{trace:?}");
    }
    assert_eq!(score.truth(Row::ORGANIC).unwrap(), score.organic);
}

#[test]
fn a_database_of_data_centres_takes_what_the_farm_made_up() {
    let town = Town::draw(3, 600, 4).unwrap();
    let fake = |variation: &Variation| scored(&town, variation).all_spoils().fake;
    assert!(fake(&RULES[0]) > 0);
    assert_eq!(fake(variation(&RULES, "anonymous_network, data centres known")), 0);
}

/// What the name of a row begins with is the rule.
#[test]
fn every_rule_has_its_row() {
    let names: Vec<&str> = RULES.iter().chain(&KNOWING).map(|row| row.name).collect();
    for rule in Rule::ALL {
        let is_it = |name: &&str| name.split(',').next() == Some(rule.name());
        assert!(names.iter().any(is_it), "{}", rule.name());
    }
}

#[test]
fn rules_take_from_fraud_what_gives_it_away() {
    let town = Town::draw(3, 600, 4).unwrap();
    let none = scored(&town, &RULES[0]);
    let gained = |score: &Score, network| score.spoils.get(&network).map_or(0, super::score::Spoils::all);
    let (flooded, fake) = (gained(&none, FLOODER), none.all_spoils().fake);
    let with = |all, name| scored(&town, variation(all, name));

    let platform = with(&RULES, "platform_mismatch");
    assert!(gained(&platform, FLOODER) < flooded && platform.earned >= none.earned);
    assert!(gained(&with(&KNOWING, KNOWING[0].name), FLOODER) < flooded, "clicks through another country");
    assert!(gained(&with(&KNOWING, KNOWING[1].name), FLOODER) < flooded, "the same, by a list");
    let signed = with(&KNOWING, "click_validation, no key for made up clicks");
    assert_eq!(signed.all_spoils().all(), 0);
    assert!(signed.earned > none.earned);

    let by_site = with(&KNOWING, "blocklist_site, Floodgate's sites after two days");
    assert!((1..flooded).contains(&gained(&by_site, FLOODER)), "older clicks stay");
    for list in [
        "blocklist_ip, the farm's addresses after two days",
        "blocklist_device, the farm's phones after two days",
    ] {
        let score = with(&KNOWING, list);
        assert!(score.all_spoils().fake <= fake);
        assert_eq!(gained(&score, INJECTOR), gained(&none, INJECTOR));
    }
}

/// The account lists what it has seen, and nothing of what is still to come.
#[test]
fn lists_are_made_of_what_came_before() {
    let town = Town::draw(3, 600, 4).unwrap();
    let kinds = |time: i64| {
        let mut kinds: Vec<_> = town.found_out(Timestamp(time)).unwrap().iter().map(Blocked::kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    };
    assert!(kinds(0).is_empty());
    assert_eq!(kinds(town.installs_from()), ["siteId"], "the farm has not begun");
    assert_eq!(kinds(i64::MAX), ["device", "ip", "siteId"]);
}

#[test]
fn refusing_what_is_ambiguous_leaves_nothing_ambiguous() {
    let town = Town::draw(3, 3_000, 0).unwrap();
    let all = scored(&town, &MODES[0]);
    let refused = scored(&town, variation(&MODES, "attribution.refuse_ambiguous = true"));
    assert!(all.class("modeled").ambiguous > 0, "the town has neighbours");
    assert_eq!(refused.class("modeled").ambiguous, 0);
    assert!(refused.class("organic").credited > all.class("organic").credited);
}

#[test]
fn without_modeled_matching_nothing_is_guessed() {
    let town = Town::draw(3, 2_400, 0).unwrap();
    let score = scored(&town, variation(&MODES, "no modeled matching"));
    assert_eq!(score.class("modeled").credited, 0);
    assert_eq!(score.guesses().found, 0);
}

#[test]
fn a_minimum_time_to_install_takes_from_the_injector() {
    let town = Town::draw(3, 2_000, 1).unwrap();
    let none = scored(&town, &RULES[0]);
    let rule = scored(&town, variation(&RULES, "minimum_time_to_install, 45 s"));
    let gained = |score: &Score| score.spoils.get(&INJECTOR).map_or(0, super::score::Spoils::all);
    assert!(gained(&none) > 0);
    assert_eq!(gained(&rule), 0, "every injected click lies within 40 seconds");
}
