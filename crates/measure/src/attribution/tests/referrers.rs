//! What install referrers report (section 10), one line each.

use super::world::{World, check};
use crate::attribution::explain;

#[test]
fn a_source_that_nobody_claims_is_reported_and_not_organic() {
    check("install referrer=Google_Ads", "unclaimed; ");
    check("", "organic; ");
    check("install referrer=Google_Ads\n800 device a", "unclaimed; a outside_window");
}

#[test]
fn a_credited_source_is_compared_with_the_referrer() {
    check("install referrer=Google_Ads\n1 device a", "a device_id +referrer_mismatch; ");
    check("install referrer=Network_A\n1 device a", "a device_id; ");
    check("install referrer=clk-x campaign=kotracker-a\n1 device a", "a device_id; ");
    check("install referrer=clk-x campaign=kotracker-b\n1 device a", "a device_id +referrer_mismatch; ");
    // The click that the referrer names, and who won instead.
    check("install referrer=x\n1 referrer a", "a referrer; ");
    check("install referrer=x\n2 referrer a\n1 device b", "b device_id +referrer_mismatch; a older_click");
    check("install referrer=x\n2 referrer a\n1 device a", "a device_id; a older_click");
}

#[test]
fn a_click_on_record_that_cannot_be_credited_is_reported_all_the_same() {
    let case = "install referrer=x campaign=kotracker-a\n800 referrer a";
    check(case, "unclaimed; a outside_window");
    check("install referrer=x\n800 referrer a", "unclaimed; a outside_window");
    let world = World::parse(case);
    let decision = world.decide();
    let reported = decision.reported.as_ref().unwrap();
    assert_eq!((reported.tracker.unwrap().0, reported.network.unwrap().0), (100, 10));
    assert_eq!(
        explain(&decision, &world.catalogue())[0],
        "The install is unclaimed: its install referrer names x (campaign kotracker-a), a paid click of Network A \
         (tracker Link a), and nothing that could be credited is on record."
    );
}

#[test]
fn a_reinstall_carries_no_acquisition_over() {
    check(
        "reprocessed\ninstall referrer=x campaign=kotracker-a\n1 referrer a",
        "organic; a acquisition_tracker",
    );
    check("reprocessed\ninstall referrer=x campaign=kotracker-a", "organic; ");
    check(
        "reprocessed 5d\nreengage b\ninstall referrer=x campaign=kotracker-b\n6d referrer b",
        "organic; b before_install",
    );
    check(
        "reprocessed 40d\nreengage b\ninstall referrer=x campaign=kotracker-b\n31d referrer b",
        "unclaimed; b outside_window",
    );
    check("reprocessed\ninstall referrer=Google_Ads", "unclaimed; ");
}

#[test]
fn a_click_that_won_speaks_for_itself() {
    let decision = World::parse("install referrer=x\n1 referrer a").decide();
    assert!(decision.reported.is_none() && decision.winner().is_some());
}

#[test]
fn a_tracker_of_ours_is_told_by_its_campaign() {
    let decision = World::parse("install referrer=abc campaign=kotracker-b").decide();
    let reported = decision.reported.unwrap();
    assert_eq!((reported.tracker.unwrap().0, reported.network.unwrap().0), (101, 11));
    assert!(reported.paid);
}

#[test]
fn it_is_said_in_a_sentence() {
    let world = World::parse("install referrer=Google_Ads campaign=Spring");
    assert_eq!(
        explain(&world.decide(), &world.catalogue()),
        [
            "The install is unclaimed: its install referrer names Google Ads (campaign Spring), a paid source, and \
          nothing that could be credited is on record."
        ]
    );
}
