use std::{
    cmp::Reverse,
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};

use measure::{engagement::IpKey, identifier::Fingerprint};
use proptest::{collection::vec, prelude::*};

use super::*;

fn id() -> impl Strategy<Value = Uuid> {
    // Few and close ones often, so that ties and neighbours come up.
    prop_oneof![(0_u128..4).prop_map(Uuid::from_u128), any::<u128>().prop_map(Uuid::from_u128)]
}

fn number_of() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..4, 254_u64..258, any::<u64>()]
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![-3_i64..3, any::<i64>()].prop_map(Timestamp)
}

fn app_id() -> impl Strategy<Value = AppId> {
    number_of().prop_map(AppId)
}

fn digest() -> impl Strategy<Value = Digest> {
    let hex = prop_oneof![Just(32_usize), Just(40), Just(64)]
        .prop_flat_map(|length| vec(prop::sample::select(b"0129af".to_vec()), length));
    hex.prop_map(|hex| Digest::parse(&String::from_utf8(hex).unwrap()).unwrap())
}

fn join_key() -> impl Strategy<Value = JoinKey> {
    prop_oneof![
        "[a-c]{0,3}".prop_map(|id| JoinKey::kochava(&id)),
        vec(0_u8..2, 16).prop_map(|bytes| JoinKey::Identifier(Fingerprint(bytes.try_into().unwrap()))),
        digest().prop_map(JoinKey::Digest),
    ]
}

fn match_key() -> impl Strategy<Value = MatchKey> {
    let os = prop_oneof![
        Just(Os::Ios),
        Just(Os::TvOs),
        Just(Os::Android),
        Just(Os::FireOs),
        "[a-c]{0,3}".prop_map(Os::Other)
    ];
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into())
    ];
    prop_oneof![
        vec(0_u8..2, 16).prop_map(|bytes| MatchKey::Identifier(Fingerprint(bytes.try_into().unwrap()))),
        digest().prop_map(MatchKey::Digest),
        id().prop_map(|id| MatchKey::Click(TouchId(id))),
        (ip, os).prop_map(|(ip, os)| MatchKey::Modeled(IpKey(ip), os)),
    ]
}

/// No key but an equal one begins with another.
fn assert_prefix_free<T: Ord + std::fmt::Debug>(items: &[T], key: impl Fn(&T) -> Key) {
    for one in items {
        for other in items {
            assert_eq!(one == other, key(other).starts_with(&key(one)), "{one:?} and {other:?}");
        }
    }
}

/// Keys sort as the items do.
fn assert_ordered<T: Ord + std::fmt::Debug>(items: &[T], key: impl Fn(&T) -> Key) {
    for one in items {
        for other in items {
            assert_eq!(one.cmp(other), key(one).cmp(&key(other)), "{one:?} and {other:?}");
        }
    }
}

proptest! {
    #[test]
    fn join_keys_do_not_meet(items in vec((app_id(), join_key()), 2..12)) {
        assert_prefix_free(&items, |(app, key)| join(*app, key));
    }

    #[test]
    fn match_keys_do_not_meet(items in vec((app_id(), match_key()), 2..12)) {
        assert_prefix_free(&items, |(app, key)| matched(*app, key));
    }

    #[test]
    fn idempotency_keys_do_not_meet(items in vec((app_id(), "[ab]{0,2}", "[ab]{0,2}"), 2..12)) {
        assert_prefix_free(&items, |(app, source, key)| {
            seen(*app, &IdempotencyKey { source: source.clone(), key: key.clone() })
        });
    }

    #[test]
    fn numbers_are_ordered_and_read_back(items in vec(number_of(), 2..12)) {
        assert_ordered(&items, |n| number(*n));
        for n in items {
            prop_assert_eq!(to_number(&number(n)), Some(n));
        }
    }

    #[test]
    fn places_are_ordered_and_read_back(items in vec(((0_u64..4, 0_u32..3), any::<bool>(), time(), id()), 2..12)) {
        let queue = |(trigger, version), retry| Queue { trigger: TriggerId(trigger), version, retry };
        assert_ordered(&items, |(line, retry, at, id)| place(queue(*line, *retry), (*at, DeliveryId(*id))));
        for (line, retry, at, id) in items {
            let (queue, spot) = (queue(line, retry), (at, DeliveryId(id)));
            prop_assert_eq!(to_place(&place(queue, spot)), Some((queue, spot)));
            let pending = pending(queue.trigger, spot.1);
            prop_assert_eq!((to_trigger(&pending), to_delivery(&pending)), (Some(queue.trigger), Some(spot.1)));
            let settled = settled(queue.trigger, DeliveryState::Dead, spot.1);
            prop_assert_eq!((to_trigger(&settled), to_delivery(&settled)), (Some(queue.trigger), Some(spot.1)));
        }
    }

    #[test]
    fn touches_are_newest_first_under_their_key(
        app in app_id(),
        under in match_key(),
        items in vec((time(), any::<u64>(), id()), 2..12),
        newest in time(),
        oldest in time(),
    ) {
        let items: Vec<_> =
            items.into_iter().map(|(time, tie, id)| (Reverse(time), Reverse(tie), Reverse(id))).collect();
        let key = |(time, tie, id): &(Reverse<Timestamp>, Reverse<u64>, Reverse<Uuid>)| {
            touch(app, &under, time.0, tie.0, TouchId(id.0))
        };
        assert_ordered(&items, key);
        let (first, last) = span(app, &under, newest, oldest);
        for item in items {
            let key = key(&item);
            prop_assert_eq!(to_time(&key), Some(item.0.0));
            prop_assert!(key.starts_with(&matched(app, &under)));
            prop_assert_eq!(first <= key && key <= last, oldest <= item.0.0 && item.0.0 <= newest);
        }
    }

    #[test]
    fn history_is_in_order(items in vec((app_id(), id(), any::<u32>(), number_of()), 2..12)) {
        assert_ordered(&items.iter().map(|(app, id, n, _)| (*app, *id, *n)).collect::<Vec<_>>(), |(app, id, n)| {
            decision(*app, InstallId(*id), *n)
        });
        let facts: Vec<_> = items.iter().map(|(app, id, _, n)| (*app, *id, *n)).collect();
        assert_ordered(&facts, |(app, id, n)| timeline(*app, InstallId(*id), *n));
        for (app, id, n) in facts {
            prop_assert_eq!(to_sequence(&timeline(app, InstallId(id), n)), Some(n));
        }
    }

    #[test]
    fn pages_are_in_order(items in vec((prop::option::of(app_id()), id(), id()), 2..12)) {
        let bodies: Vec<_> = items.iter().map(|(app, id, _)| (*app, *id)).collect();
        assert_ordered(&bodies, |(app, id)| quarantined(*app, InputId(*id)));
        let deliveries: Vec<_> = items.iter().map(|(_, install, id)| (*install, *id)).collect();
        assert_ordered(&deliveries, |(install, id)| install_delivery(InstallId(*install), DeliveryId(*id)));
        let ids: Vec<_> = items.iter().map(|(_, _, id)| *id).collect();
        assert_ordered(&ids, |id| delivery(DeliveryId(*id)));
    }

    #[test]
    fn a_prefix_ends_where_it_says(prefix in vec(250_u8..=255, 0..4), key in vec(250_u8..=255, 0..6)) {
        let inside = key >= prefix && after_prefix(&prefix).is_none_or(|after| key < after);
        prop_assert_eq!(inside, key.starts_with(&prefix));
    }
}

#[test]
fn counters_have_keys_of_their_own() {
    let labels = ["", "click", "event"];
    let mut counters: Vec<Counter> = vec![
        Counter::Quarantined,
        Counter::Due,
        Counter::Created,
        Counter::Delivered,
        Counter::Dead,
        Counter::Withdrawn,
        Counter::EventsLinked,
    ];
    for label in labels {
        counters.push(Counter::Accepted(label.to_owned()));
        counters.push(Counter::Suppressed(label.to_owned()));
        counters.push(Counter::Installs(label.to_owned()));
        counters.push(Counter::Duplicates(label.to_owned()));
    }
    let apps = [None, Some(AppId(0)), Some(AppId(1))];
    let keys: BTreeMap<Key, _> =
        apps.iter().flat_map(|app| counters.iter().map(|c| (counter(*app, c), (*app, c)))).collect();
    assert_eq!(keys.len(), apps.len() * counters.len());
}

#[test]
fn keys_stay_short_whatever_comes_in() {
    let long = "x".repeat(1 << 20);
    let keys = [
        join(AppId(1), &JoinKey::kochava(&long)),
        matched(AppId(1), &MatchKey::Modeled(IpKey([203, 0, 113, 1].into()), Os::Other(long.clone()))),
        seen(AppId(1), &IdempotencyKey { source: long.clone(), key: long.clone() }),
        event_name(AppId(1), &long),
        counter(None, &Counter::Accepted(long)),
    ];
    assert!(keys.iter().all(|key| key.len() < 64));
}
