//! Claims in the write path (tracking-and-attribution.md section 12, DECISIONS 3).

use measure::{attribution::LosingReason, policy::AppPolicy, postback::TriggerKind};
use store::DeliveryQuery;

use super::world::{World, adid, claim, click, install, origin, plain, trigger};

#[test]
fn a_claim_is_the_source_of_its_install() {
    for together in [true, false] {
        let mut world = World::new();
        let inputs = [
            world.input(0, claim(1, 0, adid(1), false)),
            world.input(60, install(60, origin(Some("d"), vec![adid(1)], 9))),
        ];
        if together {
            world.take_batch(&inputs);
        } else {
            world.take(&inputs);
        }
        assert_eq!(world.verdict(&inputs[1]), "claim 1");
        let source = world.device("d").unwrap().source.unwrap();
        assert_eq!(source.class, "claim");
        assert_eq!(source.params, [("campaign_name".to_owned(), "Spring".to_owned())]);
        assert_eq!(world.tally()["Accepted(\"claim\")"], 1);
    }
}

#[test]
fn a_claim_inside_the_grace_decides_again_and_a_later_one_is_an_influencer() {
    for (after, verdict) in [(600, "claim 2"), (601, "device_id 1")] {
        let triggers = vec![trigger(2, TriggerKind::Install, Some(2))];
        let mut world = World::with(AppPolicy::default(), triggers);
        let inputs = [
            world.input(0, click(1, 0, plain(adid(1)), 1)),
            world.input(100, install(100, origin(Some("d"), vec![adid(1)], 9))),
            world.input(100 + after, claim(2, 50, adid(1), false)),
        ];
        world.take(&inputs);
        assert_eq!(world.verdict(&inputs[1]), verdict, "after {after} s");
        let decision = world.decision(&inputs[1]);
        assert_eq!(decision.revision, 1, "both are on record with the decision");
        if after > 600 {
            assert_eq!(decision.candidates[1].lost, Some(LosingReason::Late));
        } else {
            assert_eq!(decision.candidates[1].lost, Some(LosingReason::OlderClick));
        }
        let told = world.store.deliveries(&DeliveryQuery { limit: 9, ..DeliveryQuery::default() }).unwrap();
        assert_eq!(told.len(), usize::from(after == 600), "the network hears when its claim wins");
    }
}

#[test]
fn a_beaten_claim_is_told_as_an_influencer_of_the_winner() {
    let mut world = World::new();
    let inputs = [
        world.input(0, claim(2, 0, adid(1), false)),
        world.input(10, click(1, 10, plain(adid(1)), 1)),
        world.input(60, install(60, origin(Some("d"), vec![adid(1)], 9))),
    ];
    world.take(&inputs);
    assert_eq!(world.verdict(&inputs[2]), "device_id 1");
    assert_eq!(world.decision(&inputs[2]).candidates[1].lost, Some(LosingReason::SanClaimBeaten));
}

/// The click that is credited once was refused to the second install; when a claim takes the first one over,
/// the click is free again.
#[test]
fn a_single_use_click_that_is_freed_goes_to_whoever_was_refused_it() {
    for order in [[0, 1, 2, 3], [0, 1, 3, 2], [3, 0, 2, 1], [2, 1, 0, 3]] {
        let policy = AppPolicy { modeled_single_use: Some(true), ..AppPolicy::default() };
        let mut world = World::with(policy, Vec::new());
        let inputs = [
            world.input(300, click(1, 0, vec![], 1)),
            world.input(300, install(10, origin(Some("first"), vec![adid(1)], 1))),
            world.input(300, install(20, origin(Some("second"), vec![], 1))),
            world.input(300, claim(2, 5, adid(1), false)),
        ];
        for place in order {
            world.take(std::slice::from_ref(&inputs[place]));
        }
        assert_eq!(world.verdict(&inputs[1]), "claim 2", "{order:?}");
        assert_eq!(world.verdict(&inputs[2]), "modeled 1", "{order:?}");
    }
}
