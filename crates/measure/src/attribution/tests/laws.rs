//! What holds for every question.

use std::collections::BTreeSet;

use proptest::prelude::*;
use uuid::Uuid;

use super::world::{ADID, APP, HERE, INSTALLED, World, identifier, ip};
use crate::{
    CampaignId, NetworkId, SegmentId, Timestamp, TouchId, TrackerId,
    attribution::{Candidate, Decision, arrival_keys, explain, match_keys},
    claim::ClaimTerms,
    consent::Att,
    engagement::{Engagement, EngagementKind, LinkIdentifier, MatchKey, Touch},
    fraud::{Finding, Mode, Rule, Verdict},
    identifier::{Digest, DigestLength, Form, IdKind, Identifier, forms, matching_form},
    install::{ClickReference, ClickReferenceKind, Install, SearchAds},
    place::Place,
    platform::{Os, Traits},
    policy::{
        Addresses, AppLadder, AppPolicy, CANDIDATES_MAX, DeviceAttribution, FingerprintLevel, Level, Window,
        Windows,
    },
};

const LENGTHS: [DigestLength; 3] = [DigestLength::Md5, DigestLength::Sha1, DigestLength::Sha256];

fn rejecting() -> Finding {
    Finding {
        rule: Rule::BlocklistIp,
        mode: Mode::Reject,
        level: Level::App,
        verdict: Verdict::Caught,
        figures: Vec::new(),
    }
}

fn traits() -> impl Strategy<Value = Traits> {
    let os = prop_oneof![8 => Just(Some(Os::Android)), 2 => Just(Some(Os::Ios)), 1 => Just(None)];
    let version =
        prop_oneof![4 => Just(None), 4 => Just(Some("14")), 2 => Just(Some("14.1")), 1 => Just(Some("13"))];
    let model = prop_oneof![Just(None), Just(Some("K")), Just(Some("Pixel 8 Pro"))];
    (os, version, model).prop_map(|(os, version, model)| Traits {
        os,
        os_version: version.map(str::to_owned),
        model: model.map(str::to_owned),
    })
}

/// Identifiers of a link: often none, else the install's, a hash of it, or somebody else's.
fn link_identifiers() -> impl Strategy<Value = Vec<LinkIdentifier>> {
    let plain = |kind, value| LinkIdentifier::Plain(identifier(kind, value));
    let own: Vec<LinkIdentifier> = LENGTHS
        .into_iter()
        .flat_map(|length| forms(ADID, length))
        .map(|(_, digest)| LinkIdentifier::Hashed(IdKind::Adid, digest))
        .collect();
    let stranger = "11111111-2222-4333-8444-555555555555";
    let one = prop_oneof![
        Just(plain("adid", ADID)),
        Just(plain("adid", &ADID.to_lowercase())),
        prop::sample::select(own),
        Just(plain("adid", stranger)),
        Just(plain("idfv", stranger)),
    ];
    prop_oneof![2 => Just(Vec::new()), 2 => prop::collection::vec(one, 1..3)]
}

/// Milliseconds before the install, often just at a boundary.
fn age() -> impl Strategy<Value = i64> {
    const HOUR: i64 = 3_600_000;
    let edge = prop::sample::select(vec![0, -120_000, HOUR, 24 * HOUR, 168 * HOUR, 720 * HOUR]);
    prop_oneof![
        -200_000..3 * HOUR,
        -HOUR..740 * HOUR,
        (edge, prop::sample::select(vec![-1_000, -1, 0, 1, 999, 1_000])).prop_map(|(at, by)| at + by),
    ]
}

/// Most touches are engagements that we saw; some are claims of their network.
fn claim() -> impl Strategy<Value = Option<ClaimTerms>> {
    let lookback = prop::option::of((60_u32..2_592_000).prop_map(Window::Seconds));
    let terms = (lookback, prop::bool::weighted(0.8), prop::bool::weighted(0.1))
        .prop_map(|(lookback, granular, time_future)| Some(ClaimTerms { lookback, granular, time_future }));
    prop_oneof![4 => Just(None), 1 => terms]
}

fn touch() -> impl Strategy<Value = Touch> {
    let received = prop_oneof![
        4 => Just(None),
        1 => (-700_000_i64..700_000).prop_map(Some),
    ];
    let kind = prop_oneof![3 => Just(EngagementKind::Click), 2 => Just(EngagementKind::Impression)];
    let address = prop_oneof![3 => Just(HERE), 1 => Just("192.0.2.9")];
    (kind, age(), received, 0_u64..4, link_identifiers(), address, traits(), 0_u64..3, claim()).prop_map(
        |(kind, age, received, place, identifiers, address, traits, content_key, claim)| {
            let time = INSTALLED.plus(-age);
            Touch {
                id: TouchId(Uuid::nil()),
                kind,
                time,
                received: received.map_or(time, |after| INSTALLED.plus(after)),
                tracker: Some(TrackerId(100 + place)),
                network: NetworkId(10 + place),
                campaign: Some(CampaignId(5)),
                segment: Some(SegmentId(6)),
                identifiers,
                ip: ip(address),
                traits,
                content_key,
                completed_view: false,
                site: None,
                // One in four was caught when it came in.
                findings: (content_key % 4 == 0).then(rejecting).into_iter().collect(),
                claim,
                place: Place::default(),
                ip_of_caller: false,
            }
        },
    )
}

fn windows() -> impl Strategy<Value = Windows> {
    let window = || {
        prop_oneof![
            6 => Just(None),
            1 => Just(Some(Window::Disabled)),
            2 => (60_u32..2_592_000).prop_map(|seconds| Some(Window::Seconds(seconds))),
        ]
    };
    (window(), window(), window(), window()).prop_map(
        |(click_device, click_modeled, impression_device, impression_modeled)| Windows {
            click_device,
            click_modeled,
            impression_device,
            impression_modeled,
            ..Windows::default()
        },
    )
}

/// The install's own part: make, ATT, receipt, which touch it names, what Apple says.
fn install() -> impl Strategy<Value = (Traits, Option<bool>, i64, Option<usize>, Option<Option<i64>>)> {
    (
        traits(),
        any::<Option<bool>>(),
        prop_oneof![Just(0_i64), 0_i64..600_000],
        prop_oneof![2 => Just(None), 1 => (0_usize..10).prop_map(Some)],
        prop_oneof![3 => Just(None), 1 => prop::option::of(age()).prop_map(Some)],
    )
}

fn world() -> impl Strategy<Value = World> {
    let levels = (
        windows(),
        prop::collection::vec(windows(), 5),
        prop::collection::vec(windows(), 5),
        any::<Option<bool>>(),
        any::<Option<bool>>(),
    );
    (prop::collection::vec(touch(), 0..10), install(), levels, any::<u16>()).prop_map(
        |(touches, install, (windows, networks, trackers, without_att, single_use), credited)| {
            let mut world = World::new();
            world.touches = touches;
            for (place, touch) in world.touches.iter_mut().enumerate() {
                touch.id = TouchId(Uuid::from_u128(1 + place as u128));
                if credited >> place & 1 == 1 {
                    world.credited.insert(touch.id);
                }
            }
            let (traits, att, received, named, apple) = install;
            world.record.received = INSTALLED.plus(received);
            world.record.install.origin.traits = traits;
            world.record.install.origin.consent.att = Att { flag: att, ..Att::default() };
            world.record.install.click =
                named.and_then(|place| world.touches.get(place)).map(|touch| ClickReference {
                    kind: ClickReferenceKind::InstallReferrer,
                    written: touch.id.to_string(),
                    touch: Some(touch.id),
                    raw: String::new(),
                    click_time: None,
                });
            world.record.install.search_ads = apple.map(|age| {
                let click_time = age.map(|age| INSTALLED.plus(-age));
                Box::new(SearchAds { click_time, ..SearchAds::default() })
            });
            world.app = AppPolicy {
                windows,
                modeled_without_att: without_att,
                modeled_single_use: single_use,
                ..AppPolicy::default()
            };
            world.networks = networks;
            world.trackers = trackers;
            world
        },
    )
}

/// Every setting of the order of classes, and windows of the address classes.
fn settings() -> impl Strategy<Value = (AppLadder, Windows)> {
    let switch = any::<Option<bool>>;
    let window =
        || prop_oneof![2 => Just(None), 1 => (60_u32..90_000).prop_map(|s| Some(Window::Seconds(s)))];
    let switches = (switch(), switch(), switch(), switch(), switch(), switch());
    let level =
        prop::option::of(prop::sample::select(vec![FingerprintLevel::IpOnly, FingerprintLevel::IpRange]));
    let device = prop::option::of(Just(DeviceAttribution::Inclusive));
    (switches, window(), level, device, (window(), window(), window(), window())).prop_map(
        |(switches, equalizer, fingerprint_level, device_attribution, windows)| {
            let ladder = AppLadder {
                device_impressions_first: switches.0,
                equalizer,
                device_attribution,
                fingerprint_level,
                limit_ad_tracking_fallback: switches.1,
                prioritize_completed_view: switches.2,
                impressions: switches.3,
                refuse_ambiguous: switches.4,
                prioritize_clicked_impressions: switches.5,
            };
            let windows = Windows {
                click_ip: windows.0,
                click_partial_ip: windows.1,
                impression_ip: windows.2,
                impression_partial_ip: windows.3,
                ..Windows::default()
            };
            (ladder, windows)
        },
    )
}

/// A world under whatever settings there are.
fn any_world() -> impl Strategy<Value = World> {
    (world(), settings()).prop_map(|(mut world, (ladder, addresses))| {
        world.app.ladder = ladder;
        world.app.windows = Windows {
            click_device: world.app.windows.click_device,
            click_modeled: world.app.windows.click_modeled,
            impression_device: world.app.windows.impression_device,
            impression_modeled: world.app.windows.impression_modeled,
            ..addresses
        };
        world
    })
}

/// What has to hold of every decision.
fn sound(decision: &Decision) -> Result<(), TestCaseError> {
    prop_assert!(decision.candidates.len() <= CANDIDATES_MAX);
    prop_assert!(decision.candidates.iter().skip(1).all(|candidate| candidate.lost.is_some()));
    let touches: BTreeSet<_> = decision.candidates.iter().map(|candidate| candidate.touch).collect();
    prop_assert_eq!(touches.len(), decision.candidates.len());
    if let Some(winner) = decision.winner() {
        prop_assert!(winner.window.covers(winner.age_ms));
        prop_assert!(winner.age_ms >= 0);
    } else {
        prop_assert!(!decision.ambiguous);
    }
    Ok(())
}

/// A window that is `by` seconds longer; what is switched off stays so.
fn longer(window: &mut Option<Window>, by: u32) {
    if let Some(Window::Seconds(seconds)) = window {
        *seconds = seconds.saturating_add(by);
    }
}

/// An identifier in one of the ways people write a UUID.
fn written() -> impl Strategy<Value = String> {
    (1_u128.., any::<bool>(), any::<bool>()).prop_map(|(number, upper, separators)| {
        let id = Uuid::from_u128(number);
        let text = if separators { id.hyphenated().to_string() } else { id.simple().to_string() };
        if upper { text.to_uppercase() } else { text }
    })
}

fn installed_with(id: &Identifier) -> Install {
    let mut install = Install { time: INSTALLED, ..Install::default() };
    install.origin.identifiers.push(id.clone());
    install
}

fn click_with(identifier: LinkIdentifier) -> Engagement {
    Engagement {
        kind: EngagementKind::Click,
        time: INSTALLED,
        tracker: TrackerId(100),
        network: NetworkId(10),
        campaign: CampaignId(5),
        segment: SegmentId(6),
        identifiers: vec![identifier],
        ip: None,
        user_agent: None,
        traits: Traits::default(),
        att: Att::default(),
        click_id: None,
        site_id: None,
        sub_site_id: None,
        creative_id: None,
        params: Vec::new(),
        query: String::new(),
        place: Place::default(),
        ip_of_caller: false,
    }
}

fn meet(install: &Install, engagement: &Engagement, lengths: &BTreeSet<DigestLength>) -> bool {
    let keys: BTreeSet<MatchKey> = match_keys(install, lengths, Addresses::default()).into_iter().collect();
    engagement
        .match_keys(TouchId(Uuid::from_u128(9)), Addresses::default())
        .iter()
        .any(|key| keys.contains(key))
}

proptest! {
    #[test]
    fn the_order_of_arrival_decides_nothing(
        (world, shuffled) in any_world().prop_flat_map(|world| {
            let shuffled = Just(world.touches.clone()).prop_shuffle();
            (Just(world), shuffled)
        })
    ) {
        let decision = world.decide();
        sound(&decision)?;
        prop_assert_eq!(&decision, &World { touches: shuffled, ..world }.decide());
    }

    #[test]
    fn an_engagement_found_twice_is_one(world in any_world(), twice in any::<u16>()) {
        let decision = world.decide();
        let mut again = world;
        let repeated: Vec<Touch> = again
            .touches
            .iter()
            .enumerate()
            .filter(|(place, _)| twice >> place & 1 == 1)
            .map(|(_, touch)| touch.clone())
            .collect();
        again.touches.extend(repeated);
        prop_assert_eq!(decision, again.decide());
    }

    #[test]
    fn without_a_loser_the_winner_is_the_same(world in world(), removed in 0_usize..10) {
        let decision = world.decide();
        let winner = decision.winner();
        let mut without = world.clone();
        if removed < without.touches.len() {
            let touch = without.touches.remove(removed);
            prop_assume!(winner.and_then(|winner| winner.touch) != Some(touch.id));
        }
        let after = without.decide();
        prop_assert_eq!(winner, after.winner());
        prop_assert!(decision.ambiguous || !after.ambiguous);
    }

    #[test]
    fn without_the_winner_one_of_the_losers_wins_or_none(world in world()) {
        let decision = world.decide();
        if let Some(touch) = decision.winner().and_then(|winner| winner.touch) {
            let mut without = world;
            without.touches.retain(|other| other.id != touch);
            let after = without.decide();
            // The next one is what the first decision listed next among those that nothing barred.
            let next = decision.losers().find(|(_, lost)| lost.was_beaten());
            prop_assert_eq!(after.winner().map(|winner| winner.touch), next.map(|(next, _)| next.touch));
        }
    }

    #[test]
    fn the_same_question_gets_the_same_answer(world in any_world()) {
        prop_assert_eq!(world.decide(), world.clone().decide());
    }

    #[test]
    fn longer_device_windows_lose_no_deterministic_match(world in any_world(), by in 0_u32..2_592_000) {
        let before = world.decide();
        let mut wider = world;
        let all = [&mut wider.app.windows].into_iter().chain(&mut wider.networks).chain(&mut wider.trackers);
        for windows in all {
            longer(&mut windows.click_device, by);
            longer(&mut windows.impression_device, by);
        }
        let after = wider.decide();
        if let Some(winner) = before.winner().filter(|winner| winner.basis.is_deterministic()) {
            let new = after.winner().map(|new| (new.basis.is_deterministic(), new.rank <= winner.rank));
            prop_assert_eq!(new, Some((true, true)));
        }
    }

    /// Only the equalizer lets a guess beat a certain click, so without it no window of whatever class can.
    #[test]
    fn longer_windows_of_any_class_lose_no_certain_click(world in any_world(), by in 0_u32..2_592_000) {
        let mut world = world;
        world.app.ladder.equalizer = None;
        let before = world.decide();
        let mut wider = world;
        let all = [&mut wider.app.windows].into_iter().chain(&mut wider.networks).chain(&mut wider.trackers);
        for windows in all {
            for window in [
                &mut windows.click_device,
                &mut windows.click_modeled,
                &mut windows.impression_device,
                &mut windows.impression_modeled,
                &mut windows.click_ip,
                &mut windows.click_partial_ip,
                &mut windows.impression_ip,
                &mut windows.impression_partial_ip,
            ] {
                longer(window, by);
            }
        }
        let is_certain_click =
            |one: &Candidate| one.basis.is_deterministic() && one.kind == EngagementKind::Click;
        if before.winner().is_some_and(is_certain_click) {
            prop_assert!(wider.decide().winner().is_some_and(is_certain_click));
        }
    }

    #[test]
    fn every_time_and_window_gets_an_answer(
        world in any_world(),
        times in prop::collection::vec((any::<i64>(), any::<i64>()), 10),
        installed in any::<i64>(),
        received in any::<i64>(),
        skew in any::<i64>(),
        seconds in any::<u32>(),
    ) {
        let mut world = world;
        world.record.install.time = Timestamp(installed);
        world.record.received = Timestamp(received);
        world.app.clock_skew_ms = Some(skew);
        world.app.windows.click_device = Some(Window::Seconds(seconds));
        for (touch, (time, received)) in world.touches.iter_mut().zip(times) {
            touch.time = Timestamp(time);
            touch.received = Timestamp(received);
        }
        let decision = world.decide();
        sound(&decision)?;
        prop_assert!(!explain(&decision, &world.catalogue()).is_empty());
    }

    /// DECISIONS 18: the look-up by keys finds a hashed click exactly if the full expansion holds it.
    #[test]
    fn every_hashed_form_is_found(value in written(), length in 0_usize..3, pick in 0_usize..12) {
        let id = identifier("adid", &value);
        let all = forms(&value, LENGTHS[length]);
        let (form, digest) = &all[pick % all.len()];
        prop_assert!(matching_form(&value, digest).is_some(), "{form} is not in the expansion");
        let click = click_with(LinkIdentifier::Hashed(IdKind::Adid, digest.clone()));
        let install = installed_with(&id);
        prop_assert!(meet(&install, &click, &BTreeSet::from([LENGTHS[length]])));
        prop_assert!(meet(&install, &click, &LENGTHS.into_iter().collect()));
        prop_assert!(!meet(&install, &click, &BTreeSet::new()), "a length not seen is not tried");
        let late: BTreeSet<_> =
            arrival_keys(&install, &BTreeSet::from([LENGTHS[length]]), Addresses::default()).into_iter().collect();
        prop_assert!(click.match_keys(TouchId(Uuid::nil()), Addresses::default()).iter().any(|key| late.contains(key)));
    }

    #[test]
    fn no_other_digest_is_found(value in written(), hex in "([0-9a-f]{32}|[0-9A-F]{40}|[0-9a-f]{64})") {
        let id = identifier("adid", &value);
        let digest = Digest::parse(&hex).expect("a digest");
        let click = click_with(LinkIdentifier::Hashed(IdKind::Adid, digest.clone()));
        let met = meet(&installed_with(&id), &click, &LENGTHS.into_iter().collect());
        prop_assert_eq!(met, matching_form(&value, &digest).is_some());
    }

    #[test]
    fn a_hash_of_another_identifier_is_not_found(
        value in written(), other in written(), length in 0_usize..3, pick in 0_usize..12
    ) {
        let (id, stranger) = (identifier("adid", &value), identifier("adid", &other));
        prop_assume!(id.canonical() != stranger.canonical());
        let all = forms(&other, LENGTHS[length]);
        let click = click_with(LinkIdentifier::Hashed(IdKind::Adid, all[pick % all.len()].1.clone()));
        prop_assert!(!meet(&installed_with(&id), &click, &LENGTHS.into_iter().collect()));
    }

    #[test]
    fn every_plain_form_is_found(value in written(), upper in any::<bool>(), separators in any::<bool>()) {
        let bare = value.replace('-', "");
        let form = if separators { value.clone() } else { bare };
        let form = if upper { form.to_uppercase() } else { form.to_lowercase() };
        let click = click_with(LinkIdentifier::Plain(identifier("adid", &form)));
        prop_assert!(meet(&installed_with(&identifier("adid", &value)), &click, &BTreeSet::new()));
        let other_kind = click_with(LinkIdentifier::Plain(identifier("idfa", &form)));
        prop_assert!(!meet(&installed_with(&identifier("adid", &value)), &other_kind, &BTreeSet::new()));
    }

    /// What the keys find, the decision credits, and nothing else.
    #[test]
    fn what_the_keys_find_the_decision_credits(mine in any::<bool>(), length in 0_usize..3, pick in 0_usize..12) {
        let mut world = World::new();
        let all = forms(if mine { ADID } else { "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d" }, LENGTHS[length]);
        let (form, digest): &(Form, Digest) = &all[pick % all.len()];
        let click = click_with(LinkIdentifier::Hashed(IdKind::Adid, digest.clone()));
        world.touches.push(click.touch(TouchId(Uuid::from_u128(9)), INSTALLED));
        let met = meet(&world.record.install, &click, &LENGTHS.into_iter().collect());
        let decision = world.decide();
        prop_assert_eq!(decision.app, APP);
        prop_assert_eq!(decision.class(), if met { "device_id" } else { "organic" });
        prop_assert_eq!(
            decision.flags.contains(&crate::flag::Flag::DoubleHash),
            met && form.is_double()
        );
    }
}
