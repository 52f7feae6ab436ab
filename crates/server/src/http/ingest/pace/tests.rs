use super::*;

const NOW: Timestamp = Timestamp(1_760_000_000_000);
const ONE: Who<'_> = Who::Device("device-1");

/// What is answered when `who` send that many events each, `after` milliseconds after [`NOW`].
fn take<'i>(paces: &Paces, who: &[(Who<'i>, u32)], per_second: u32, after: i64) -> Vec<(Who<'i>, u32)> {
    let sent = who.iter().copied().collect();
    paces.take(AppId(1), &sent, per_second, NOW.plus(after)).into_iter().collect()
}

#[test]
fn a_device_may_send_its_rate_for_ever() {
    let paces = Paces::default();
    for second in 0..200 {
        assert_eq!(take(&paces, &[(ONE, 10)], 10, second * 1_000), [], "second {second}");
    }
}

#[test]
fn one_that_is_too_fast_waits_at_most_a_window() {
    let paces = Paces::default();
    assert_eq!(take(&paces, &[(ONE, 300)], 10, 0), [], "as much as a window holds");
    assert_eq!(take(&paces, &[(ONE, 1)], 10, 0), [], "and what goes over it");
    let user = Who::User("device-1");
    assert_eq!(take(&paces, &[(user, 5), (ONE, 1)], 10, 0), [(ONE, 11)], "a device is no user");
    assert_eq!(take(&paces, &[(ONE, 1)], 10, 100), [], "301 events in 30.1 seconds");
    assert_eq!(take(&paces, &[(ONE, 2_000)], 10, 1_000), []);
    assert_eq!(take(&paces, &[(ONE, 1)], 10, 30_000), [(ONE, 11)]);
    assert_eq!(take(&paces, &[(ONE, 1)], 10, 31_000), []);
}

#[test]
fn an_upload_that_is_refused_counts_for_nobody() {
    let paces = Paces::default();
    take(&paces, &[(ONE, 100)], 1, 0);
    for _ in 0..10 {
        assert_eq!(take(&paces, &[(ONE, 30), (Who::Device("device-2"), 30)], 1, 0).len(), 1);
    }
    assert_eq!(take(&paces, &[(Who::Device("device-2"), 30)], 1, 0), []);
    assert_eq!(
        paces.take(AppId(2), &[(ONE, 30)].into(), 1, NOW),
        [].into(),
        "apps know nothing of each other"
    );
}

#[test]
fn nothing_is_limited_by_zero() {
    let paces = Paces::default();
    for _ in 0..3 {
        assert_eq!(take(&paces, &[(ONE, u32::MAX)], 0, 0), []);
    }
}

#[test]
fn what_is_watched_is_bounded() {
    let paces = Paces::default();
    let ids: Vec<String> = (0..WATCHED_MAX + 10).map(|n| n.to_string()).collect();
    let sent = ids.iter().map(|id| (Who::Device(id), 1)).collect();
    assert!(paces.take(AppId(1), &sent, 1, NOW).is_empty());
    let watched = || paces.watched.lock().unwrap().due.len();
    assert_eq!(watched(), WATCHED_MAX);
    take(&paces, &[(ONE, 1)], 1, 2_000);
    assert_eq!(watched(), 1, "who is still makes room");
}
