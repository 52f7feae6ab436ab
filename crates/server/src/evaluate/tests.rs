use measure::{fraud::FraudSettings, policy::AppPolicy};
use simulate::city::{INJECTOR, Trace};

use super::{
    MODES, RULES, Variation,
    score::{Row, Score},
    town::Town,
};

fn scored(town: &Town, variation: &Variation) -> Score {
    let (mut policy, mut rules) = (AppPolicy::default(), FraudSettings::default());
    (variation.set)(&mut policy, &mut rules);
    town.decide(policy, rules, |_| {}).unwrap()
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
