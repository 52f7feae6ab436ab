//! The classes and settings of sections 5, 6 and 19 beyond the plain ladder, one line each.

use super::world::{World, check};
use crate::policy::{Level, Window};

const NEIGHBOUR: &str = "203.0.113.99";

// Address only, and its first three octets: off unless a window or a level switches them on.

#[test]
fn an_address_alone_is_not_enough_by_default() {
    check("1 modeled a model=Galaxy_S9", "organic; a platform_mismatch");
    check(&format!("1 nothing a ip={NEIGHBOUR}"), "organic; ");
}

#[test]
fn a_window_switches_the_address_classes_on() {
    check("app click_ip 2\n1 modeled a model=Galaxy_S9", "a ip; ");
    check(
        "tracker a click_ip 2\n1 modeled a model=Galaxy_S9\n1 modeled b os=ios",
        "a ip; b platform_mismatch",
    );
    check("app impression_ip 2\n1 viewed a model=Galaxy_S9", "a ip; ");
    check(&format!("app click_partial_ip 2\n1 nothing a ip={NEIGHBOUR}"), "a partial_ip; ");
    check(&format!("app impression_partial_ip 2\n1 viewed a ip={NEIGHBOUR}"), "a partial_ip; ");
    check(&format!("app click_ip 2\n1 nothing a ip={NEIGHBOUR}"), "organic; ");
    check(&format!("app click_partial_ip 2\n3 nothing a ip={NEIGHBOUR}"), "organic; a outside_window");
}

#[test]
fn a_level_switches_them_on_with_the_window_of_modeled_matches() {
    check("set fingerprint_level ip_only\n168 modeled a os=ios", "a ip; ");
    check("set fingerprint_level ip_only\n169 modeled a os=ios", "organic; a platform_mismatch");
    check(&format!("set fingerprint_level ip_only\n1 nothing a ip={NEIGHBOUR}"), "organic; ");
    check(&format!("set fingerprint_level ip_range\n1 nothing a ip={NEIGHBOUR}"), "a partial_ip; ");
    check(
        "set fingerprint_level ip_only\ntracker a click_ip off\n1 modeled a os=ios",
        "organic; a platform_mismatch",
    );
}

#[test]
fn partial_addresses_are_ipv4_only() {
    check("install ip=2001:db8::1\napp click_partial_ip 2\n1 nothing a ip=2001:db8:0:1::1", "organic; ");
}

#[test]
fn the_identifier_of_a_neighbour_bars_an_address_too() {
    check(
        "app click_ip 2\n1 modeled a id=adid:1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed",
        "organic; a identifier_mismatch",
    );
}

#[test]
fn the_whole_ladder_of_eight_in_order() {
    check(
        &format!(
            "app click_ip 9\napp click_partial_ip 9\napp impression_ip 9\napp impression_partial_ip 9
            1 viewed a ip={NEIGHBOUR}\n2 viewed b os=ios\n3 viewed c\n4 view d\n5 nothing e ip={NEIGHBOUR}
            6 modeled a os=ios\n7 modeled b\n8 device c"
        ),
        "c device_id; b lower_class, a lower_class, e lower_class, d lower_class, c lower_class, \
         b lower_class, a lower_class",
    );
}

// Section 19: device impressions may go before modeled clicks.

#[test]
fn device_impressions_before_modeled_clicks() {
    check("set device_impressions_first true\n1 modeled a\n20 view b", "b device_id; a lower_class");
    check("set device_impressions_first true\n2 device a\n1 view b", "a device_id; b lower_class");
    check("set device_impressions_first true\n2 modeled a\n1 viewed b", "a modeled; b lower_class");
}

// The equalizer, with the example of section 6.

#[test]
fn inside_the_equalizer_recency_decides() {
    check("set equalizer 2\n20 device a\n1 modeled b", "b modeled; a older_click");
    check("set equalizer off\n20 device a\n1 modeled b", "a device_id; b lower_class");
    check("set equalizer 2\n20 device a\n3 modeled b", "a device_id; b lower_class");
    check("set equalizer 2\n1 device a\n2 modeled b", "a device_id; b older_click");
    check("set equalizer 2\n20 device a\n7200999ms modeled b", "b modeled; a older_click");
    check("set equalizer 2\n20 device a\n7201s modeled b", "a device_id; b lower_class");
}

#[test]
fn the_equalizer_is_for_clicks_and_within_their_window() {
    check("set equalizer 2\n20 view a\n1 viewed b", "a device_id; b lower_class");
    check(
        "set equalizer 2\napp click_modeled 30m\n20 device a\n1 modeled b",
        "a device_id; b outside_window",
    );
}

// Device Attribution.

#[test]
fn inclusive_tries_clicks_with_an_identifier_as_modeled() {
    let click = "1 modeled a id=android_id:9774d56d682e549c";
    check(click, "organic; a carried_identifier");
    check(&format!("set device_attribution inclusive\n{click}"), "a modeled; ");
    check(
        "set device_attribution inclusive\n1 modeled a id=adid:1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed",
        "organic; a identifier_mismatch",
    );
}

// Limit Ad Tracking Fallback.

#[test]
fn apple_devices_without_idfa_match_only_where_allowed() {
    let apple = "install no_id os=ios ver=13.1 model=iPhone\n1 modeled a os=ios ver=13.1 model=iPhone";
    check(apple, "a modeled; ");
    check(&format!("set limit_ad_tracking_fallback false\n{apple}"), "organic; a att_no_idfa");
    check(
        "set limit_ad_tracking_fallback false\ninstall id=idfa:7C9E6679-7425-40DE-944B-E07FC1F90AE8\n1 modeled a",
        "a modeled; ",
    );
    check("set limit_ad_tracking_fallback false\ninstall no_id\n1 modeled a", "a modeled; ");
}

// Prioritize Completed View.

#[test]
fn completed_views_go_first_where_asked_for() {
    check("2 view a completed\n1 view b", "b device_id; a older_click");
    check(
        "set prioritize_completed_view true\n2 view a completed\n1 view b",
        "a device_id +completed_view; b lower_class",
    );
    check("set prioritize_completed_view true\n2 viewed a completed\n1 view b", "b device_id; a lower_class");
}

// Impressions that have a click as well.

#[test]
fn impressions_with_a_click_go_first_where_asked_for() {
    let case = "app click_device 1\n3 device b\n2 view b\n1 view a";
    check(case, "a device_id; b outside_window, b older_click");
    let on = "set prioritize_clicked_impressions true";
    check(&format!("{on}\n{case}"), "b device_id; b outside_window, a lower_class");
    check(&format!("{on}\n2 view b\n1 view a"), "a device_id; b older_click");
    // A click that can win does.
    check(&format!("{on}\n3 modeled b\n2 view b\n1 view a"), "b modeled; b lower_class, a lower_class");
    check(
        &format!("{on}\nset device_impressions_first true\n3 modeled b\n2 view b\n1 view a"),
        "b device_id; a lower_class, b lower_class",
    );
    // A click of another device is none, nor does it lift a class over another one.
    check(
        &format!("{on}\n3 modeled b os=ios\n2 view b\n1 view a"),
        "a device_id; b platform_mismatch, b older_click",
    );
    check(
        &format!("{on}\n{case}\n1 viewed b"),
        "b device_id; b outside_window, a lower_class, b lower_class",
    );
    // It comes before a completed view.
    check(
        &format!("{on}\nset prioritize_completed_view true\n{case} completed"),
        "b device_id; b outside_window, a lower_class",
    );
}

// Precedence, section 6: tracker, network within the app, network, app, server; each window for itself.

#[test]
fn every_window_is_that_of_the_highest_level_that_sets_it() {
    let partial = format!("nothing a ip={NEIGHBOUR}");
    let windows = [
        ("click_device", "device a"),
        ("click_device", "referrer a"),
        ("click_device", "landing a"),
        ("click_modeled", "modeled a"),
        ("click_ip", "modeled a os=ios"),
        ("click_partial_ip", &partial),
        ("impression_device", "view a"),
        ("impression_modeled", "viewed a"),
        ("impression_ip", "viewed a os=ios"),
        ("impression_partial_ip", &format!("viewed a ip={NEIGHBOUR}")),
    ];
    let levels = [
        ("tracker a", Level::Tracker),
        ("here a", Level::NetworkInApp),
        ("network a", Level::Network),
        ("app", Level::App),
        ("server", Level::Default),
    ];
    for (window, engagement) in windows {
        for (place, (high, level)) in levels.into_iter().enumerate() {
            for (low, _) in levels.into_iter().skip(place + 1) {
                let case = |above: &str, below: &str| {
                    format!("{low} {window} {below}\n{high} {window} {above}\n2 {engagement}")
                };
                let longer = case("3", "1");
                let decision = World::parse(&longer).decide();
                let winner = decision.winner().unwrap_or_else(|| panic!("organic in:\n{longer}"));
                let found = (winner.window, winner.window_from);
                assert_eq!(found, (Window::Seconds(10_800), level), "in:\n{longer}");
                for above in ["1", "off"] {
                    let shorter = case(above, "3");
                    assert_eq!(World::parse(&shorter).decide().class(), "organic", "in:\n{shorter}");
                }
            }
        }
    }
}

// Impressions off.

#[test]
fn impressions_off_credits_none() {
    check("set impressions false\n1 view a\n1 viewed b", "organic; a outside_window, b outside_window");
    check("set impressions false\n1 view a\n20 modeled b", "b modeled; a outside_window");
}

// Ambiguous ties.

#[test]
fn ambiguous_ties_are_refused_where_asked_for() {
    check("1 modeled a\n2 modeled b", "a modeled (ambiguous); b older_click");
    check(
        "set refuse_ambiguous true\n1 modeled a\n2 modeled b",
        "organic; a ambiguous_refused, b ambiguous_refused",
    );
    check("set refuse_ambiguous true\n1 modeled a\n2 modeled a key=9", "a modeled; a older_click");
    check("set refuse_ambiguous true\n1 modeled a\n200 modeled b", "a modeled; b outside_window");
    check(
        "set refuse_ambiguous true\n1 modeled a\n2 modeled b\n3 view c",
        "c device_id; a ambiguous_refused, b ambiguous_refused",
    );
    check(
        "set refuse_ambiguous true\n3 device c\n1 modeled a\n2 modeled b",
        "c device_id; a lower_class, b lower_class",
    );
}

#[test]
fn the_network_within_the_app_stands_between_tracker_and_network() {
    check("network a click_device 1\nhere a click_device 3\n2 device a", "a device_id; ");
    check("network a click_device 3\nhere a click_device 1\n2 device a", "organic; a outside_window");
    check("tracker a click_device 3\nhere a click_device off\n2 device a", "a device_id; ");
    check(
        "app click_device off\nhere a click_device 3\n2 device a\n1 device b",
        "a device_id; b outside_window",
    );
    check("here b click_device off\n2 device a\n1 device b", "a device_id; b outside_window");
    check("here a click_ip 2\n1 modeled a os=ios", "a ip; ");
}

#[test]
fn a_tracker_may_omit_the_sub_version_of_the_system() {
    check("1 modeled a ver=14.1", "a modeled; ");
    check("install ver=14.2\n1 modeled a ver=14.1", "organic; a platform_mismatch");
    let omitting = "tracker a omit_sub_os_version\ninstall ver=14.2\n";
    check(&format!("{omitting}1 modeled a ver=14.1"), "a modeled; ");
    check(&format!("{omitting}1 modeled a ver=13.2"), "organic; a platform_mismatch");
    check(&format!("{omitting}1 modeled b ver=14.1"), "organic; b platform_mismatch");
}
