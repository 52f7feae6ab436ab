//! The rules of sections 5 to 8 and 11, and of DECISIONS 2, 3, 5, 17 and 19, one line each.

use super::world::{World, check};
use crate::{
    attribution::Basis,
    engagement::EngagementKind,
    policy::{Level, Window},
};

// The ladder of section 5.

#[test]
fn nothing_found_is_organic() {
    check("", "organic; ");
}

#[test]
fn what_matches_on_nothing_is_no_candidate() {
    check("1 nothing a", "organic; ");
}

#[test]
fn a_device_click_beats_a_later_modeled_click() {
    check("20 device a\n1 modeled b", "a device_id; b lower_class");
}

#[test]
fn a_modeled_click_beats_a_later_device_view() {
    check("20 modeled a\n1 view b", "a modeled; b lower_class");
}

#[test]
fn a_device_view_beats_a_later_modeled_view() {
    check("20 view a\n1 viewed b", "a device_id; b lower_class");
}

#[test]
fn the_whole_ladder_in_order() {
    check(
        "1 viewed a\n2 view b\n3 modeled c\n4 device d",
        "d device_id; c lower_class, b lower_class, a lower_class",
    );
}

#[test]
fn deterministic_clicks_are_of_one_class() {
    check("9 referrer a\n2 device b", "b device_id +referrer_mismatch; a older_click");
    check("2 referrer a\n9 device b", "a referrer; b older_click");
    check("2 landing a\n9 device b", "a ko_click_id; b older_click");
}

#[test]
fn the_last_click_wins() {
    check("5 device a\n2 device b\n9 device c", "b device_id; a older_click, c older_click");
}

#[test]
fn a_tie_goes_to_the_larger_content() {
    check("5 device a key=9\n5 device b key=8", "a device_id; b older_click");
    check("5 device a key=8\n5 device b key=9", "b device_id; a older_click");
}

#[test]
fn a_tie_of_contents_goes_to_the_larger_id() {
    check("5 device a\n5 device b", "b device_id; a older_click");
}

#[test]
fn the_id_brought_back_is_worth_nothing_on_a_view() {
    let mut world = World::parse("1 referrer a");
    world.touches[0].kind = EngagementKind::Impression;
    assert_eq!(world.decide().class(), "organic");
}

#[test]
fn a_touch_is_one_candidate_on_its_best_basis() {
    check("1 device a ip=203.0.113.24", "a device_id; ");
    check("1 referrer a ip=203.0.113.24", "a referrer; ");
}

#[test]
fn a_touch_that_loses_on_every_basis_says_why_it_lost_on_the_best() {
    check("721 device a ip=203.0.113.24", "organic; a outside_window");
    check(
        "set modeled_single_use true\n721 referrer a ip=203.0.113.24 credited",
        "organic; a outside_window",
    );
}

#[test]
fn a_click_of_a_tracker_since_deleted_still_wins() {
    check("1 device e", "e device_id; ");
}

// Windows, section 6.

#[test]
fn default_windows_count_to_their_last_second() {
    check("720 device a", "a device_id");
    check("168 modeled a", "a modeled");
    check("24 view a", "a device_id");
    check("24 viewed a", "a modeled");
    check("86400999ms view a", "a device_id");
}

#[test]
fn a_second_more_is_outside() {
    check("2592001s device a", "organic; a outside_window");
    check("604801s modeled a", "organic; a outside_window");
    check("86401s view a", "organic; a outside_window");
    check("86401s viewed a", "organic; a outside_window");
}

#[test]
fn what_lies_outside_leaves_the_place_to_the_next() {
    check(
        "721 device a\n25 view b\n169 modeled c\n5 viewed d",
        "d modeled; a outside_window, c outside_window, b outside_window",
    );
}

#[test]
fn the_app_outranks_the_default() {
    check("app click_device 2\n3 device a", "organic; a outside_window");
    check("app click_device 2\n2 device a", "a device_id; ");
}

#[test]
fn the_app_outranks_the_server() {
    check("server click_device 2\n3 device a", "organic; a outside_window");
    check("server click_device 2\napp click_device 4\n3 device a", "a device_id; ");
    check("server click_device 2\n3 device a ip=203.0.113.24", "organic; a outside_window");
    check("server click_modeled off\n1 modeled a", "organic; a outside_window");
}

#[test]
fn the_network_outranks_the_app() {
    check("app click_device 2\nnetwork a click_device 4\n3 device a", "a device_id; ");
    check("app click_device 4\nnetwork a click_device 2\n3 device a", "organic; a outside_window");
}

#[test]
fn the_tracker_outranks_the_network() {
    check("network a click_device 2\ntracker a click_device 4\n3 device a", "a device_id; ");
    check("network a click_device 4\ntracker a click_device 2\n3 device a", "organic; a outside_window");
}

#[test]
fn a_window_of_another_network_does_not_matter() {
    check("network b click_device 1\ntracker b click_device 1\n3 device a", "a device_id; ");
}

#[test]
fn a_disabled_class_never_matches() {
    check("app click_modeled off\n0 modeled a", "organic; a outside_window");
    check("network a click_device off\n0 device a", "organic; a outside_window");
    check("tracker a click_device off\n0 device a", "organic; a overrides_disabled");
    check("app impression_device off\ntracker a impression_device 5\n1 view a", "a device_id; ");
}

#[test]
fn each_class_has_a_window_of_its_own() {
    check("app click_modeled 1\n2 device a\n2 view b", "a device_id; b lower_class");
    check("app click_device 1\n2 referrer a", "organic; a outside_window");
    check("app click_device 1\n2 landing a", "organic; a outside_window");
    check("app impression_modeled 1\n2 view b", "b device_id; ");
}

/// Device Attribution: an identifier of the install's own does not speak against it.
#[test]
fn a_click_with_its_identifier_may_fall_back_where_it_is_inclusive() {
    let case = "app click_device 1\n2 device a ip=203.0.113.24";
    check(case, "organic; a outside_window");
    check(&format!("set device_attribution inclusive\n{case}"), "a modeled; ");
    // The hash of it does neither, and somebody else's beside it does not matter.
    let hashed = "app click_device 1\n2 modeled a hash=adid:04e92dfec7a6939d7b2f65a2c267abb8";
    check(&format!("set device_attribution inclusive\n{hashed}"), "a modeled; ");
    let stranger = "2 modeled a id=adid:11111111-2222-4333-8444-555555555555";
    check(&format!("set device_attribution inclusive\n{stranger}"), "organic; a identifier_mismatch");
}

#[test]
fn a_click_without_identifier_may_fall_back_to_a_longer_modeled_window() {
    check("app click_device 1\n2 referrer a ip=203.0.113.24", "a modeled; ");
}

#[test]
fn the_window_and_its_level_are_on_record() {
    for (case, window, level) in [
        ("1 device a", 2_592_000, Level::Default),
        ("server click_device 3\n1 device a", 10_800, Level::Default),
        ("app click_device 5\n1 device a", 18_000, Level::App),
        ("app click_device 5\nnetwork a click_device 6\n1 device a", 21_600, Level::Network),
        ("network a click_device 6\ntracker a click_device 90s\n1 device a", 90, Level::Tracker),
    ] {
        let decision = World::parse(case).decide();
        let found = &decision.candidates[0];
        assert_eq!((found.window, found.window_from), (Window::Seconds(window), level), "in:\n{case}");
    }
}

// Before and after the install: DECISIONS 2 and 3.

#[test]
fn a_click_at_the_moment_of_the_install_counts() {
    check("0 device a", "a device_id; ");
}

#[test]
fn a_click_after_the_install_is_no_candidate() {
    check("-1s device a", "organic; ");
}

#[test]
fn within_the_clock_skew_it_counts_if_it_was_received_before_the_install() {
    check("install received=10m\n-120s device a", "a device_id +clock_skew; ");
    check("install received=10m\n-120001ms device a", "organic; ");
    check("install received=10m\n-60s device a received=-1s", "organic; ");
    check("install received=10m\nset clock_skew 30s\n-31s device a", "organic; ");
    check("install received=10m\nset clock_skew 0\n-1ms device a", "organic; ");
}

#[test]
fn after_the_download_began_no_clock_skew_is_allowed() {
    // An honest click, the download, and the click that an app injects when it sees it.
    check("install begin received=100s\n7100s device a\n-5s device b", "a device_id; ");
    check("install begin received=100s\n-5s device b", "organic; ");
    check("install begin received=100s\n-5s modeled b\n0s device a", "a device_id; ");
    check("install begin received=100s\nasa -5s", "organic; ");
    check("install received=100s\n7100s device a\n-5s device b", "b device_id +clock_skew; a older_click");
}

#[test]
fn within_the_clock_skew_the_age_is_nothing() {
    let decision = World::parse("install received=10m\n-90s modeled a").decide();
    assert_eq!(decision.winner().map(|winner| winner.age_ms), Some(0));
}

#[test]
fn a_late_click_counts_within_the_grace() {
    check("1 device a received=-10m", "a device_id; ");
    check("1 device a received=-600001ms", "organic; a late");
    check("1 modeled a received=-1d", "organic; a late");
    check("1 device a received=-1d\n9 device b", "b device_id; a late");
}

#[test]
fn lateness_is_counted_between_receipts() {
    check("install received=1d\n5 device a received=-5m", "a device_id; ");
}

// Identifiers, section 7 and DECISIONS 15, 18, 19.

#[test]
fn a_plain_identifier_matches_however_it_is_written() {
    check("1 nothing a id=adid:7c9e6679-7425-40de-944b-e07fc1f90ae7", "a device_id; ");
    check("1 nothing a id=adid:7C9E6679742540DE944BE07FC1F90AE7", "a device_id; ");
    check("1 nothing a id=adid:7c9e6679742540de944be07fc1f90ae7", "a device_id; ");
}

#[test]
fn every_row_of_the_table_of_forms_matches() {
    for digest in [
        "358f3cc563911c41542fa3394787f529",
        "04e92dfec7a6939d7b2f65a2c267abb8",
        "d12b0bf5273c05eb20bdeb3fd69af11d",
        "e718f3645353e8cf742ff1293b141fcf",
        "0bc9f5a04df672e1b1d157563baf7e93f65490f0",
        "2b8734dd8ba2c30d3468bce86b2df733592f5f2f",
        "e40472891f7834120cf502259cfecc92ed1b4a35",
        "6149a9ef0d0c3787009baa935239293ba347d3e9",
        "6149A9EF0D0C3787009BAA935239293BA347D3E9",
    ] {
        check(&format!("1 nothing a hash=adid:{digest}"), "a device_id; ");
    }
}

#[test]
fn a_double_hash_is_labelled() {
    check("1 nothing a hash=adid:f46087939c9ee24af92dd0749b9874ba", "a device_id +double_hash; ");
    check("1 nothing a hash=adid:9da761c92ef3d0d72baea3ef41896d3f3347a360", "a device_id +double_hash; ");
}

#[test]
fn a_digest_matches_whatever_kind_the_link_says() {
    check("1 nothing a hash=device_id:358f3cc563911c41542fa3394787f529", "a device_id; ");
}

#[test]
fn a_plain_identifier_of_another_kind_does_not_match() {
    check("1 nothing a id=android_id:7C9E6679-7425-40DE-944B-E07FC1F90AE7", "organic; ");
}

#[test]
fn the_basis_names_kind_and_form() {
    let basis = |case: &str| World::parse(case).decide().candidates[0].basis.clone();
    let identifier = |kind: &str, form: Option<&str>| Basis::Identifier {
        kind: kind.to_owned(),
        form: form.map(str::to_owned),
    };
    assert_eq!(basis("1 device a"), identifier("adid", None));
    let hashed = "1 nothing a hash=device_id:358f3cc563911c41542fa3394787f529";
    assert_eq!(basis(hashed), identifier("adid", Some("md5(upper)")));
    let double = "1 nothing a hash=adid:f46087939c9ee24af92dd0749b9874ba";
    assert_eq!(basis(double), identifier("adid", Some("md5(md5(upper))")));
    let both = "1 device a hash=adid:f46087939c9ee24af92dd0749b9874ba";
    assert_eq!(basis(both), identifier("adid", None));
    let single_after_double = "1 nothing a hash=adid:f46087939c9ee24af92dd0749b9874ba \
                               hash=adid:358f3cc563911c41542fa3394787f529";
    assert_eq!(basis(single_after_double), identifier("adid", Some("md5(upper)")));
    let plain_after_single = "1 nothing a hash=adid:358f3cc563911c41542fa3394787f529 \
                              id=adid:7C9E6679-7425-40DE-944B-E07FC1F90AE7";
    assert_eq!(basis(plain_after_single), identifier("adid", None));
}

#[test]
fn one_of_several_identifiers_is_enough() {
    check(
        "install id=android_id:a1b2c3d4e5f60718\n\
           1 nothing a id=adid:11111111-2222-4333-8444-555555555555 id=android_id:A1B2C3D4E5F60718",
        "a device_id; ",
    );
}

#[test]
fn a_neighbour_with_another_identifier_of_the_kind_never_wins_as_modeled() {
    check("1 modeled a id=adid:11111111-2222-4333-8444-555555555555", "organic; a identifier_mismatch");
    check("1 viewed a id=adid:11111111-2222-4333-8444-555555555555", "organic; a identifier_mismatch");
    check("1 modeled a hash=adid:04e92dfec7a6939d7b2f65a2c267abb9", "organic; a identifier_mismatch");
}

#[test]
fn a_neighbour_whose_id_was_brought_back_wins_all_the_same() {
    check("1 referrer a ip=203.0.113.24 id=adid:11111111-2222-4333-8444-555555555555", "a referrer; ");
}

#[test]
fn a_click_with_an_identifier_of_another_kind_is_not_modeled() {
    check("1 modeled a id=android_id:a1b2c3d4e5f60718", "organic; a carried_identifier");
    check(
        "install no_id\n1 modeled a id=adid:11111111-2222-4333-8444-555555555555",
        "organic; a carried_identifier",
    );
    check("1 modeled a hash=android_id:04e92dfec7a6939d7b2f65a2c267abb9", "organic; a carried_identifier");
}

#[test]
fn two_devices_behind_one_address_share_one_click() {
    check("set modeled_single_use true\n1 modeled a credited", "organic; a already_credited");
    check("1 modeled a credited", "a modeled +shared_click; ");
    check("set modeled_single_use true\n2 modeled a\n1 modeled b credited", "a modeled; b already_credited");
    check("set modeled_single_use true\n1 device a credited", "a device_id; ");
    check("1 device a credited", "a device_id; ");
}

// Modeled matching, section 5.

#[test]
fn another_address_is_no_candidate() {
    check("1 modeled a ip=203.0.113.25", "organic; ");
    check("install ip=\n1 modeled a ip=", "organic; ");
}

#[test]
fn addresses_of_one_ipv6_network_are_one() {
    check("install ip=2001:db8:1:2::9\n1 modeled a ip=2001:db8:1:2:ffff::1", "a modeled; ");
    check("install ip=2001:db8:1:2::9\n1 modeled a ip=2001:db8:1:3::9", "organic; ");
    check("1 modeled a ip=::ffff:203.0.113.24", "a modeled; ");
}

#[test]
fn the_make_must_not_disagree() {
    check("1 modeled a os=iOS ver=17.5 model=iPhone", "organic; a platform_mismatch");
    check("1 modeled a os=", "organic; a platform_mismatch");
    check("1 modeled a ver=13", "organic; a platform_mismatch");
    check("1 modeled a model=SM-S918B", "organic; a platform_mismatch");
    check("1 modeled a ver=14.0.1 model=pixel_8_pro", "a modeled; ");
    check("1 modeled a ver= model=", "a modeled; ");
    check("1 modeled a ver=10 model=K", "a modeled; ");
}

#[test]
fn without_att_consent_modeled_is_the_choice_of_the_app() {
    let phone = "install no_id os=iOS ver=17.5.1 model=iPhone15,2";
    let click = "1 modeled a os=iOS ver=17.5 model=iPhone";
    let off = "set modeled_without_att false";
    check(&format!("{phone}\n{click}"), "a modeled +att_no_consent; ");
    check(&format!("{phone} att=false\n{click}"), "a modeled +att_no_consent; ");
    check(&format!("{phone} att=true\n{click}"), "a modeled; ");
    check(&format!("{off}\n{phone}\n{click}"), "organic +att_no_consent; a att_no_consent");
    check(&format!("{off}\n{phone} att=false\n{click}"), "organic +att_no_consent; a att_no_consent");
    check(&format!("{off}\n{phone} att=true\n{click}"), "a modeled; ");
    check(&format!("{off}\n{phone}\n{click}\n9 referrer b"), "b referrer +att_no_consent; a att_no_consent");
}

#[test]
fn before_ios_14_there_is_nothing_to_ask() {
    check(
        "set modeled_without_att false\ninstall no_id os=iOS ver=13.6 model=iPhone\n\
         1 modeled a os=iOS ver=13.6 model=iPhone",
        "a modeled; ",
    );
    check("set modeled_without_att false\n1 modeled a", "a modeled; ");
}

#[test]
fn an_unknown_ios_version_has_to_ask() {
    check(
        "set modeled_without_att false\ninstall no_id os=iOS ver= model=\n1 modeled a os=iOS ver=17 model=",
        "organic +att_no_consent; a att_no_consent",
    );
}

#[test]
fn a_modeled_tie_of_two_networks_is_ambiguous() {
    check("2 modeled a\n5 modeled b", "a modeled (ambiguous); b older_click");
    check("2 viewed a\n5 viewed b", "a modeled (ambiguous); b older_click");
}

#[test]
fn what_makes_no_equal_claim_makes_nothing_ambiguous() {
    check("2 modeled a\n5 modeled a key=9", "a modeled; a older_click");
    check("2 modeled a\n5 viewed b", "a modeled; b lower_class");
    check("2 modeled a\n169 modeled b", "a modeled; b outside_window");
    check("2 device a\n5 device b", "a device_id; b older_click");
}

// Apple Search Ads, section 11.

#[test]
fn apples_word_is_a_deterministic_click() {
    check("asa 5\n1 modeled a", "apple asa; a lower_class");
    check("asa 5\n1 device a", "a device_id; apple older_click");
    check("asa 5\n9 device a", "apple asa; a older_click");
}

#[test]
fn an_ad_of_apple_that_was_only_seen_is_an_impression() {
    check("asaview 5", "apple asa; ");
    check("asaview 24\n25 view a", "apple asa; a outside_window");
    check("asaview 25", "organic; apple outside_window");
    check("asaview 5\n9 modeled a", "a modeled; apple lower_class");
    check("set impressions false\nasaview 5", "organic; apple outside_window");
}

#[test]
fn without_a_date_the_install_time_stands_for_it() {
    check("asa undated\n1 device a", "apple asa +date_manufactured; a older_click");
}

#[test]
fn apples_word_is_held_against_the_device_window() {
    check("asa 720", "apple asa; ");
    check("asa 721", "organic; apple outside_window");
    check("app click_device 1\nasa 2", "organic; apple outside_window");
    check("app click_device off\nasa undated", "organic; apple outside_window");
    check("app click_modeled off\nasa 2", "apple asa; ");
}

#[test]
fn apples_word_about_later_is_no_candidate() {
    check("asa -1", "organic; ");
    check("asa -1m", "apple asa +clock_skew; ");
}

// Duplicates, section 8: the same device, the same kind of engagement, the same ad.

#[test]
fn an_engagement_that_came_again_is_a_duplicate_of_the_later_one() {
    check("2 device a\n5 device a", "a device_id; a duplicate_only");
    check("2 device a\n5 device a\n9 device a", "a device_id; a duplicate_only, a duplicate_only");
    check("2 view a\n5 view a", "a device_id; a duplicate_only");
    check("2 modeled a\n5 modeled a", "a modeled; a duplicate_only");
    // Another one of them lost to somebody else, and this one is a duplicate all the same.
    check("1 device b\n2 device a\n5 device a", "b device_id; a older_click, a duplicate_only");
    check("9 device b\n2 modeled a\n5 modeled a", "b device_id; a lower_class, a duplicate_only");
}

#[test]
fn what_differs_in_ad_kind_or_device_is_no_duplicate() {
    check("2 device a\n5 device b", "a device_id; b older_click");
    check("2 device a\n5 view a", "a device_id; a lower_class");
    check("2 device a\n5 device a hash=adid:04e92dfec7a6939d7b2f65a2c267abb8", "a device_id; a older_click");
    check("2 device a\n5 referrer a", "a device_id; a older_click");
    // Behind one address there are several phones of one model.
    check("2 modeled a\n5 modeled a key=9", "a modeled; a older_click");
}

#[test]
fn a_duplicate_outside_its_window_is_that_first() {
    check("2 device a\n721 device a", "a device_id; a outside_window");
    check("2 claim a\n5 claim a", "a claim; a san_claim_beaten");
}

// One reason each: what makes a match impossible comes first.

#[test]
fn the_reason_is_the_one_that_weighs_most() {
    let other = "id=adid:11111111-2222-4333-8444-555555555555";
    check(&format!("200 modeled a {other} model=SM-S918B"), "organic; a identifier_mismatch");
    check("200 modeled a model=SM-S918B id=android_id:a1b2c3d4e5f60718", "organic; a platform_mismatch");
    check("200 modeled a received=-1d", "organic; a late");
    check("set modeled_single_use true\n200 modeled a credited", "organic; a already_credited");
    check("200 modeled a\n1 device b", "b device_id; a outside_window");
    check("9 modeled a\n1 modeled c\n5 device b", "b device_id; c lower_class, a lower_class");
}

// The record, section 18 and DECISIONS 22.

#[test]
fn the_best_64_are_kept_and_the_rest_is_told() {
    let case: String = (1..=70).map(|age| format!("{age}m device a\n")).collect();
    let decision = World::parse(&case).decide();
    assert_eq!((decision.candidates.len(), decision.more), (64, true));
    assert_eq!(decision.candidates.last().map(|last| last.age_ms), Some(64 * 60_000));
}

#[test]
fn a_winner_behind_64_losers_of_a_better_class_is_kept() {
    let losers: String = (1..=70).map(|day| format!("{}s device a\n", 2_592_000 + day)).collect();
    let decision = World::parse(&format!("{losers}\n1 modeled b")).decide();
    assert_eq!(decision.class(), "modeled");
    assert_eq!(decision.candidates.len(), 64);
}

#[test]
fn the_record_says_what_it_was_made_from() {
    let world = World::parse("1 device a");
    let decision = world.decide();
    assert_eq!(decision.app, world.record.app);
    assert_eq!(decision.install, world.record.id);
    assert_eq!(decision.catalogue, world.catalogue().version);
    assert!(!decision.more);
}

// Reengagement trackers and installs that come again, sections 8 and 9.

#[test]
fn a_reengagement_tracker_never_wins_a_first_install() {
    check("reengage b Purchase\n1 device b\n2 device a", "a device_id; b reengagement_tracker");
    check("reengage b Purchase\n1 device b", "organic; b reengagement_tracker");
    check("reengage b Purchase\n1 referrer b", "organic; b reengagement_tracker");
    check("reengage b Purchase\n1 viewed b", "organic; b reengagement_tracker");
    check("reengage b Purchase\n1 modeled b os=iOS", "organic; b platform_mismatch");
}

#[test]
fn an_install_that_comes_again_is_for_reengagement_trackers_only() {
    check("reprocessed\nreengage b\n2 device b\n1 device a", "b device_id; a acquisition_tracker");
    check("reprocessed\n1 device a", "organic; a acquisition_tracker");
    check("reprocessed\n1 referrer a", "organic; a acquisition_tracker");
    check("reprocessed\nasa 1", "organic; apple acquisition_tracker");
    check("reprocessed\nreengage b Purchase/clicks\n2 view b", "b device_id");
    check("reprocessed\nreengage b\n31d device b", "organic; b outside_window");
    // Nothing that led to the install before leads to this one, too.
    check(
        "reprocessed 5d\nreengage b\n5d device b\n6d modeled b",
        "organic; b before_install, b before_install",
    );
    check("reprocessed 5d\nreengage b\n6d device b\n4d modeled b", "b modeled; b before_install");
}
