//! Section 9, one line each. The ages of engagements count from the event, a Purchase; its install happened
//! `installed AGE` before it (100 days unless said), from a click of `a` unless it is `organic`.
//!
//! `reengage X EVENT…`, `mtr EVENT LENGTH`, `claim AGE EVENT [protected]` (an earlier event of the device).

use uuid::Uuid;

use super::world::{APP, INSTALLED, World, ms};
use crate::{
    DeviceId, InputId, InstallId, NetworkId, Timestamp, TouchId, TrackerId,
    attribution::{
        Attributed, EventDecision, EventQuestion, LosingReason, Source, decide_event, explain_event, stand_in,
    },
    device::{Device, Origin},
    engagement::EngagementKind,
    event::Event,
    flag::{Flag, Flags},
    fraud::{Finding, Mode, Rule, Verdict},
    identifier::{IdKind, Identifier},
    policy::Level,
    reengagement::{CLAIMS_MAX, Claim, last_credited, note},
    time::{DAY_MS, HOUR_MS, MINUTE_MS},
};

struct Case {
    world: World,
    installed: Timestamp,
    source: Option<Source>,
    claims: Vec<Claim>,
}

fn source() -> Source {
    Source {
        touch: Some(TouchId(Uuid::from_u128(99))),
        kind: EngagementKind::Click,
        class: "device_id".to_owned(),
        time: INSTALLED.plus(-101 * DAY_MS),
        network: NetworkId(10),
        campaign: None,
        segment: None,
        tracker: Some(TrackerId(100)),
        click_id: None,
        site_id: None,
        sub_site_id: None,
        creative_id: None,
        params: Vec::new(),
        query: String::new(),
        reengagement: false,
    }
}

impl Case {
    fn parse(text: &str) -> Self {
        let mut lines = String::new();
        let mut case = Self {
            world: World::new(),
            installed: INSTALLED.plus(-100 * DAY_MS),
            source: Some(source()),
            claims: Vec::new(),
        };
        for line in text.lines().map(str::trim) {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["organic"] => case.source = None,
                ["installed", age] => case.installed = INSTALLED.plus(-ms(age)),
                ["claim", age, event, ref rest @ ..] => {
                    let number = case.claims.len() as u128 + 1;
                    case.claims.push(claim(INSTALLED.plus(-ms(age)), number, event, rest.is_empty()));
                }
                _ => lines += &format!("{line}\n"),
            }
        }
        case.world = World::parse(&lines);
        case
    }

    fn decide(&self) -> EventDecision {
        let event = event();
        decide_event(&EventQuestion {
            input: InputId(Uuid::from_u128(1 << 100)),
            event: &event,
            stand_in: &self.world.record,
            installed: self.installed,
            source: self.source.as_ref(),
            claims: &self.claims,
            touches: &self.world.touches,
            more: false,
            catalogue: &self.world.catalogue(),
            revision: 0,
            decided: self.world.record.received,
        })
    }

    fn sentences(&self) -> Vec<String> {
        let (decision, event) = (self.decide(), event());
        let winner = decision.winner().map(|_| source());
        explain_event(
            &Attributed {
                event: &event.name,
                time: event.time,
                installed: Some(self.installed),
                source: winner.as_ref().or(self.source.as_ref()),
                decision: Some(&decision),
            },
            &self.world.catalogue(),
        )
    }
}

fn event() -> Event {
    Event { name: "Purchase".to_owned(), time: INSTALLED, ..Event::default() }
}

fn claim(time: Timestamp, number: u128, event: &str, credited: bool) -> Claim {
    let input = InputId(Uuid::from_u128(number));
    Claim { time, input, event: event.to_owned(), received: time, credited }
}

/// Decides `case`, in both orders and with every engagement twice, and compares the decision in words:
/// `reengagement b device_id; c older_click`, `install`, `unattributed organic_install`. Without a `;` the
/// losers do not matter.
fn check(case: &str, expected: &str) {
    let mut parsed = Case::parse(case);
    let decision = parsed.decide();
    parsed.world.touches.reverse();
    assert_eq!(decision, parsed.decide(), "the order mattered in:\n{case}");
    parsed.world.touches.extend(parsed.world.touches.clone());
    assert_eq!(decision, parsed.decide(), "a repeated engagement mattered in:\n{case}");
    let letter = |network: NetworkId| "abcde".chars().nth(network.0 as usize - 10).unwrap();
    let mut words = decision.action.name().to_owned();
    words += &decision.reason.map(|reason| format!(" {}", reason.name())).unwrap_or_default();
    if let Some(winner) = decision.winner() {
        words += &format!(" {} {}", letter(winner.network), winner.basis.class());
    }
    let lost = decision.candidates.iter().filter_map(|one| Some((one.network, one.lost?)));
    let lost: Vec<String> = lost.map(|(network, lost)| format!("{} {lost}", letter(network))).collect();
    if expected.contains(';') {
        words += &format!("; {}", lost.join(", "));
    }
    assert_eq!(words, expected, "in:\n{case}");
}

#[test]
fn a_covering_reengagement_inside_its_window_gets_the_event() {
    check("reengage b Purchase\n2 device b", "reengagement b device_id; ");
    check("reengage b Purchase\n30d device b", "reengagement b device_id");
    check("reengage b Purchase\n2592000999ms device b", "reengagement b device_id");
    check("reengage b Purchase\n2592001s device b", "install; b outside_window");
    check("reengage b Purchase\n2 modeled b", "reengagement b modeled");
    check("reengage b Purchase\n8d modeled b", "install; b outside_window");
    check("reengage b Purchase\n0 device b", "reengagement b device_id");
    check("reengage b Purchase\norganic\n2 device b", "reengagement b device_id");
}

#[test]
fn windows_of_events_are_those_of_tracker_network_and_app() {
    check("reengage b Purchase\ntracker b click_device 60m\n2 device b", "install; b outside_window");
    check("reengage b Purchase\nnetwork b click_device 60m\n2 device b", "install; b outside_window");
    check("reengage b Purchase\napp click_device 60m\n2 device b", "install; b outside_window");
    check(
        "reengage b Purchase\napp click_device 60m\ntracker b click_device 3\n2 device b",
        "reengagement b device_id",
    );
}

#[test]
fn only_engagements_between_install_and_event_count() {
    check("reengage b Purchase\ninstalled 3\n2 device b", "reengagement b device_id");
    check("reengage b Purchase\ninstalled 2\n2 device b", "install; b before_install");
    check("reengage b Purchase\ninstalled 1\n2 device b", "install; b before_install");
    check("reengage b Purchase\n-1 device b", "install; ");
}

#[test]
fn only_listed_events_and_kinds_of_engagement_count() {
    check("reengage b Login\n2 device b", "install; b not_covered");
    check("reengage b\n2 device b", "install; b not_covered");
    check("reengage b purchase\n2 device b", "install; b not_covered");
    check("reengage b Login Purchase\n2 device b", "reengagement b device_id");
    check("reengage b Purchase/impressions\n2 device b", "install; b not_covered");
    check("reengage b Purchase/impressions\n2 view b", "reengagement b device_id");
    check("reengage b Purchase/clicks\n2 view b", "install; b not_covered");
}

#[test]
fn acquisition_trackers_are_no_candidates_for_events() {
    check("reengage b Purchase\n1 device c\n2 device b", "reengagement b device_id; ");
    check("1 device c", "install; ");
}

#[test]
fn reengagements_compete_as_engagements_for_an_install_do() {
    let both = "reengage b Purchase\nreengage c Purchase\n";
    check(&format!("{both}5 device b\n2 device c"), "reengagement c device_id; b older_click");
    check(&format!("{both}5 device b\n2 modeled c"), "reengagement b device_id; c lower_class");
    check(&format!("{both}5 modeled b\n2 view c"), "reengagement b modeled; c lower_class");
    check(
        &format!("{both}set equalizer 2\n20 device b\n1 modeled c"),
        "reengagement c modeled; b older_click",
    );
    check(
        "reengage b Purchase\n2 modeled b id=adid:00000000-0000-4000-8000-000000000009",
        "install; b identifier_mismatch",
    );
    check("reengage b Purchase\n2 modeled b os=iOS", "install; b platform_mismatch");
}

#[test]
fn the_minimum_time_counts_from_the_last_attribution() {
    let reengaged = "reengage b Purchase\n1m device b\n";
    check(&format!("{reengaged}installed 2"), "reengagement b device_id");
    check(&format!("{reengaged}installed 2\nmtr Purchase 3"), "install; b mtr_protected");
    check(&format!("{reengaged}installed 3\nmtr Purchase 3"), "reengagement b device_id");
    check(&format!("{reengaged}installed 10799999ms\nmtr Purchase 3"), "install; b mtr_protected");
    check(&format!("{reengaged}installed 2\nmtr Login 3"), "reengagement b device_id");
    check(&format!("{reengaged}installed 2\nmtr Purchase 0"), "reengagement b device_id");
    check(&format!("{reengaged}claim 2 Purchase\nmtr Purchase 3"), "install; b mtr_protected");
    check(&format!("{reengaged}claim 4 Purchase\nmtr Purchase 3"), "reengagement b device_id");
    check(&format!("{reengaged}claim 2 Purchase protected\nmtr Purchase 3"), "reengagement b device_id");
    check(&format!("{reengaged}claim 2 Login\nmtr Purchase 3"), "reengagement b device_id");
    check(&format!("{reengaged}claim -1 Purchase\nmtr Purchase 3"), "reengagement b device_id");
}

/// An organic install is no attribution that anything could be protected for.
#[test]
fn an_organic_install_protects_nobody() {
    let case = "reengage b Purchase\n1m device b\ninstalled 2\norganic\nmtr Purchase 3";
    check(case, "reengagement b device_id");
    check(&format!("{case}\nclaim 1 Purchase"), "unattributed organic_install; b mtr_protected");
}

/// A reengagement that a rule rejects has no claim that the minimum time could have stood against.
#[test]
fn what_a_rule_rejects_is_not_protected() {
    for (minimum, mode, verdict, expected, has_claim) in [
        ("3", Mode::Reject, Verdict::Caught, Some(LosingReason::Rejected(Rule::BlocklistIp)), false),
        ("3", Mode::Flag, Verdict::Caught, Some(LosingReason::MtrProtected), true),
        ("3", Mode::Reject, Verdict::TooLittle, Some(LosingReason::MtrProtected), true),
        ("0", Mode::Reject, Verdict::Caught, Some(LosingReason::Rejected(Rule::BlocklistIp)), false),
        ("0", Mode::Flag, Verdict::Caught, None, true),
    ] {
        let case = format!("reengage b Purchase\n1 device b\ninstalled 2\nmtr Purchase {minimum}");
        let mut case = Case::parse(&case);
        let (rule, level, figures) = (Rule::BlocklistIp, Level::App, Vec::new());
        case.world.touches[0].findings = vec![Finding { rule, mode, level, verdict, figures }];
        let decision = case.decide();
        assert_eq!(decision.candidates[0].lost, expected, "{minimum} {mode:?} {verdict:?}");
        assert_eq!(decision.has_claim(), has_claim, "{minimum} {mode:?} {verdict:?}");
    }
}

/// Of two ways in which a reengagement matches, the one that nothing else bars is protected.
#[test]
fn the_way_that_is_open_is_the_one_protected() {
    let case = "reengage b Purchase\ntracker b click_device 1m\ninstalled 2\n1 device b ip=203.0.113.24\n";
    let open = format!("{case}set device_attribution inclusive\n");
    let decide = |minimum: &str| Case::parse(&format!("{open}mtr Purchase {minimum}")).decide();
    let (free, protected) = (decide("0"), decide("3"));
    assert_eq!(free.winner().map(|winner| winner.basis.class()), Some("modeled"));
    assert_eq!(protected.candidates[0].basis, free.candidates[0].basis);
    assert_eq!(protected.candidates[0].lost, Some(LosingReason::MtrProtected));
}

#[test]
fn the_minimum_time_is_the_reason_only_where_nothing_else_is() {
    let case = "reengage b Purchase\ninstalled 2\nmtr Purchase 3\n";
    check(&format!("{case}3 device b"), "install; b before_install");
    check(&format!("{case}1 device b\ntracker b click_device 10m"), "install; b outside_window");
}

#[test]
fn what_no_reengagement_gets_belongs_to_the_install_inside_the_association_window() {
    check("installed 900d", "install");
    check("organic", "unattributed organic_install");
    check("installed 25\napp event_association 1d", "unattributed outside_event_association");
    check("installed 24\napp event_association 1d", "install");
    check("installed 86400999ms\napp event_association 1d", "install");
    check("installed 86401s\napp event_association 1d", "unattributed outside_event_association");
    check("installed 25\napp event_association off", "unattributed outside_event_association");
    check("installed -1\napp event_association 1d", "install");
    check("organic\ninstalled 25\napp event_association 1d", "unattributed organic_install");
}

#[test]
fn the_association_window_is_that_of_the_tracker_of_the_install() {
    check("installed 25\napp event_association 1d\ntracker a event_association 2d", "install");
    check("installed 25\nnetwork a event_association 1d", "unattributed outside_event_association");
    check("installed 25\ntracker b event_association 1d", "install");
    check(
        "installed 25\napp event_association 1d\nreengage b Purchase\n2 device b",
        "reengagement b device_id",
    );
    check(
        "installed 25\napp event_association 1d\nreengage b Purchase\n2d device b",
        "unattributed outside_event_association; b before_install",
    );
}

fn known_device() -> Device {
    Device {
        id: DeviceId(Uuid::from_u128(1)),
        app: APP,
        kochava_ids: Vec::new(),
        identifiers: Vec::new(),
        consent: Default::default(),
        traits: World::new().record.install.origin.traits,
        install: InstallId(Uuid::from_u128(1)),
        installed: INSTALLED,
        install_received: INSTALLED,
        source: None,
        links: Vec::new(),
        claims: Vec::new(),
        user: crate::user::UserProperties::default(),
        last_session: None,
        seen_events: Vec::new(),
        said: Default::default(),
    }
}

#[test]
fn the_stand_in_tells_what_the_event_tells_and_else_what_the_device_is_known_for() {
    let id = |kind: &str, n: u32| Identifier::new(IdKind::named(kind), &format!("0f0f0f0f-{n:08x}")).unwrap();
    let device = Device { identifiers: vec![id("adid", 1), id("android_id", 1)], ..known_device() };
    let sent =
        Origin { identifiers: vec![id("adid", 2)], ip: "203.0.113.5".parse().ok(), ..Origin::default() };
    let event = Event { origin: sent, ..event() };
    let input = InputId(Uuid::from_u128(2));
    let stands_in = stand_in(input, &Flags::new(), &event, INSTALLED, &device).install;
    assert_eq!(stands_in.origin.identifiers, [id("adid", 2), id("android_id", 1)]);
    assert_eq!(stands_in.origin.traits, device.traits);
    assert_eq!((stands_in.origin.ip, stands_in.time), (event.origin.ip, event.time));
}

#[test]
fn an_event_whose_idfa_was_dropped_is_not_matched_by_that_of_its_device() {
    let id = |kind| Identifier::new(kind, "0f0f0f0f-00000001").unwrap();
    let mut device = known_device();
    device.identifiers = vec![id(IdKind::Idfa), id(IdKind::Idfv)];
    let kinds = |flags: &[Flag], att: Option<bool>| -> Vec<String> {
        let mut event = event();
        event.origin.consent.att.flag = att;
        let flags = flags.iter().copied().collect();
        let stands_in = stand_in(InputId(Uuid::from_u128(2)), &flags, &event, INSTALLED, &device);
        stands_in.install.origin.identifiers.iter().map(|one| one.kind.to_string()).collect()
    };
    assert_eq!(kinds(&[], None), ["idfa", "idfv"]);
    assert_eq!(kinds(&[], Some(false)), ["idfv"]);
    assert_eq!(kinds(&[Flag::IdfaDroppedAttMissing], None), ["idfv"]);
    assert_eq!(kinds(&[Flag::IdfaDroppedAttFalse], Some(false)), ["idfv"]);
}

#[test]
fn claims_are_kept_in_order_and_bounded() {
    let mut claims = Vec::new();
    let at = |minutes: i64| INSTALLED.plus(minutes * MINUTE_MS);
    for (number, minutes) in [(1, 3), (2, 1), (3, 2)] {
        note(
            &mut claims,
            InputId(Uuid::from_u128(number)),
            Some(claim(at(minutes), number, "A", true)),
            at(3),
        );
    }
    let order: Vec<u128> = claims.iter().map(|claim| claim.input.0.as_u128()).collect();
    assert_eq!(order, [2, 3, 1]);
    assert_eq!(last_credited(&claims, "A", at(3), InputId(Uuid::from_u128(1))), Some(at(2)));
    assert_eq!(last_credited(&claims, "B", at(3), InputId(Uuid::from_u128(1))), None);
    // Decided otherwise, the event has no claim any more; what is past the grace is kept for its name alone.
    note(&mut claims, InputId(Uuid::from_u128(3)), None, at(3));
    note(&mut claims, InputId(Uuid::from_u128(9)), Some(claim(at(90), 9, "B", true)), at(90));
    let order: Vec<u128> = claims.iter().map(|claim| claim.input.0.as_u128()).collect();
    assert_eq!(order, [1, 9]);
    for number in 0..200 {
        let input = InputId(Uuid::from_u128(number));
        note(&mut claims, input, Some(claim(at(90), number, "A", true)), at(90));
    }
    assert_eq!(claims.len(), CLAIMS_MAX);
}

#[test]
fn seconds_since_count_from_the_install_or_from_the_reengagement() {
    let reengaged = Source { time: INSTALLED.plus(-HOUR_MS), reengagement: true, ..source() };
    let decision = Case::parse("reengage b Purchase\n1 device b").decide();
    let mut attributed = Attributed {
        event: "Purchase",
        time: INSTALLED,
        installed: Some(INSTALLED.plus(-2 * HOUR_MS)),
        source: Some(&reengaged),
        decision: Some(&decision),
    };
    let facts = |attributed: &Attributed<'_>| {
        (
            attributed.action().name(),
            attributed.reason().map(|reason| reason.name()),
            attributed.seconds_since(),
        )
    };
    assert_eq!(facts(&attributed), ("reengagement", None, Some(3_600)));
    assert_eq!((attributed.matched_by(), attributed.matched_to()), (Some("device_id"), Some("click")));
    attributed.decision = None;
    assert_eq!(facts(&attributed), ("install", None, Some(7_200)));
    attributed.source = None;
    assert_eq!(facts(&attributed), ("unattributed", Some("organic_install"), None));
    attributed.installed = None;
    assert_eq!(facts(&attributed), ("unattributed", Some("no_install"), None));
}

#[test]
fn the_decision_in_sentences() {
    assert_eq!(
        Case::parse("reengage b Purchase\nreengage c Login\n2 device b\n1 device c").sentences(),
        [
            "The event Purchase is attributed to a reengagement: a click of Network B (tracker Link b, campaign \
             Launch), 2 hours before the event, because both carry the same adid.",
            "The match is of class device_id, place 1 in the order of classes, inside its window of 30 days set \
             by default.",
            "Not credited: a click of Network C (tracker Link c, campaign Launch), 1 hour before the event \
             (device_id, window of 30 days set by default): its tracker does not list this event, or not for \
             engagements of this kind (not_covered).",
        ]
    );
    assert_eq!(
        Case::parse("reengage b Purchase\n10m device b\ninstalled 2\nmtr Purchase 1d").sentences(),
        [
            "The event Purchase is attributed to the source of its install, a click of Network A, 2 hours after \
             it.",
            "The device was attributed 2 hours before; the minimum time to reengagement of Purchase is 1 day.",
            "Not credited: a click of Network B (tracker Link b, campaign Launch), 10 minutes before the event \
             (device_id, window of 30 days set by default): the minimum time to reengagement had not passed \
             since the last attribution (mtr_protected).",
        ]
    );
    assert_eq!(
        Case::parse("installed 3d\ntracker a event_association 1d").sentences(),
        [
            "The event Purchase is unattributed: it came 2 days too late after its install, 3 days after it; events \
             belong to it for 1 day (set by the tracker)."
        ]
    );
    assert_eq!(
        Case::parse("organic").sentences(),
        ["The event Purchase is unattributed: its install came from no ad."]
    );
}

#[test]
fn sentences_of_an_event_keep_to_its_times() {
    let says = |case: &str, words: &str| {
        let sentences = Case::parse(case).sentences();
        assert!(sentences.iter().any(|sentence| sentence.contains(words)), "{words} in {sentences:#?}");
    };
    says(
        "installed 86401s\napp event_association 1d",
        "it came 1 second too late after its install, 1 day after it; events belong to it for 1 day (set by the app)",
    );
    says(
        "installed 2\napp event_association off",
        "it came too late after its install, 2 hours after it; events never belong to it (set by the app)",
    );
    says("installed -3", "the source of its install, a click of Network A, 3 hours before it");
    says("installed 3", "the source of its install, a click of Network A, 3 hours after it");
    let skewed = "reengage b Purchase\ninstall received=10m\n-5s device b";
    says(skewed, "By its own time the engagement happened just after the event; it arrived");
}
