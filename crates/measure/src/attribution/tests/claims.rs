//! Claims of self-attributing networks (section 12), one line each.

use super::world::check;

#[test]
fn a_claim_competes_as_a_certain_match() {
    check("1 claim a", "a claim; ");
    check("2 claim a\n1 modeled b", "a claim; b lower_class");
    check("1 claim a\n2 device b", "a claim; b older_click");
    check("1 claimview a\n2 view b", "a claim; b older_click");
    check("1 claimview a\n3 view b\n2 modeled c", "c modeled; a san_claim_beaten, b lower_class");
}

#[test]
fn a_beaten_claim_stays_as_an_influencer() {
    check("2 claim a\n1 device b", "b device_id; a san_claim_beaten");
    check("1 claimview a\n2 modeled b", "b modeled; a san_claim_beaten");
    check("2 claimview a\n1 view b", "b device_id; a san_claim_beaten");
    check("2 claim a\n1 claim b", "b claim; a san_claim_beaten");
    check("set equalizer 2\n3 claim a\n1 modeled b", "b modeled; a san_claim_beaten");
}

#[test]
fn a_claim_has_the_window_of_its_network_and_nobody_overrides_it() {
    check("719 claim a", "a claim; ");
    check("721 claim a", "organic; a outside_window");
    check("24 claimview a", "a claim; ");
    check("25 claimview a", "organic; a outside_window");
    check("3 claim a lookback=2", "organic; a outside_window");
    check("48 claimview a lookback=3d", "a claim; ");
    for level in ["tracker a", "network a", "app", "server"] {
        check(&format!("{level} click_device off\n2 claim a"), "a claim; ");
        check(&format!("{level} click_device 1\n2 claim a"), "a claim; ");
        check(&format!("{level} click_device 720\n3 claim a lookback=2"), "organic; a outside_window");
    }
}

#[test]
fn an_app_that_credits_no_impressions_credits_no_claimed_ones() {
    check("set impressions false\n1 claimview a\n2 claim b", "b claim; a outside_window");
}

#[test]
fn a_claim_without_granular_sharing_is_rejected_and_the_next_best_wins() {
    check("1 claim a withheld\n2 modeled b", "b modeled; a rejected:granular_data_sharing");
    check("1 claim a withheld", "organic; a rejected:granular_data_sharing");
}

#[test]
fn a_claim_after_the_grace_is_late() {
    check("1 claim a received=-10m", "a claim; ");
    check("1 claim a received=-601s\n2 modeled b", "b modeled; a late");
    check("-10m claim a", "organic; ");
}

#[test]
fn a_claim_from_the_future_is_flagged_where_it_wins() {
    check("0s claim a future\n1 device b", "a claim +time_future; b older_click");
    check("1 claim a future\n0s device b", "b device_id; a san_claim_beaten");
}

#[test]
fn a_claim_matches_by_identifiers_alone() {
    check("install no_id\n1 claim a", "organic; ");
    check("install no_id\n1 claim a ip=203.0.113.24", "organic; ");
    check("install no_id id=idfv:7C9E6679-7425-40DE-944B-E07FC1F90AE7\n1 claim a", "organic; ");
    check("1 claim a hash=adid:f46087939c9ee24af92dd0749b9874ba", "a claim; ");
}
