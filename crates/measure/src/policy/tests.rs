use super::*;

#[test]
fn a_window_counts_to_the_end_of_its_last_second() {
    for (window, age_ms, inside) in [
        (Window::Seconds(60), 0, true),
        (Window::Seconds(60), 60_000, true),
        (Window::Seconds(60), 60_999, true),
        (Window::Seconds(60), 61_000, false),
        (Window::Seconds(0), 999, true),
        (Window::Seconds(u32::MAX - 1), i64::MAX, false),
        (Window::UNLIMITED, i64::MAX, true),
        (Window::Disabled, 0, false),
    ] {
        assert_eq!(window.covers(age_ms), inside, "{window:?} {age_ms}");
    }
}

#[test]
fn default_windows() {
    assert_eq!(DEFAULT_WINDOWS.map(|(_, seconds)| seconds), [2_592_000, 604_800, 86_400, 86_400]);
}

#[test]
fn each_default_reads_its_own_window() {
    let windows = Windows {
        click_device: Some(Window::Seconds(1)),
        click_modeled: Some(Window::Seconds(2)),
        impression_device: Some(Window::Seconds(3)),
        impression_modeled: Some(Window::Seconds(4)),
        ..Windows::default()
    };
    let read = DEFAULT_WINDOWS.map(|(read, _)| read(&windows));
    assert_eq!(read, [1, 2, 3, 4].map(|seconds| Some(Window::Seconds(seconds))));
}

#[test]
fn touches_outlive_the_longest_window_and_the_grace() {
    let longest = DEFAULT_WINDOWS.iter().map(|(_, seconds)| i64::from(*seconds) * SECOND_MS).max();
    assert!(longest.is_some_and(|longest| longest + SECOND_MS + LATE_GRACE_MS <= TOUCH_RETENTION_MS));
}

#[test]
fn an_app_replaces_what_it_sets() {
    let server = Policy { modeled_single_use: true, hold_ms: 5, ..Policy::default() };
    let app = AppPolicy { modeled_without_att: Some(false), hold_ms: Some(7), ..AppPolicy::default() };
    let expected = Policy { modeled_without_att: false, hold_ms: 7, ..server };
    assert_eq!(server.with(&app), expected);
    assert_eq!(server.with(&AppPolicy::default()), server);
}

#[test]
fn defaults_are_those_of_the_decisions() {
    let policy = Policy::default();
    assert!(!policy.accept_click_time && policy.modeled_without_att && !policy.modeled_single_use);
    assert_eq!((policy.clock_skew_ms, policy.hold_ms, policy.hold_install_ms), (120_000, 86_400_000, 0));
}
