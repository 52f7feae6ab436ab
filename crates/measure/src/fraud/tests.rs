//! One line a case. Settings are `SCOPE NAME=VALUE`, separated by `;`.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::*;
use crate::{
    AppId, CampaignId, DeviceId, InstallId, NetworkId, SegmentId, Timestamp, TouchId, TrackerId,
    attribution::{Candidate, Decision, LosingReason, Question, decide},
    catalogue::{Catalogue, Change, Entry},
    claim::Claim,
    consent::Att,
    engagement::{Engagement, EngagementKind, LinkIdentifier, Touch},
    event::Value,
    flag::{Flag, Flags},
    identifier::{Digest, IdKind, Identifier},
    install::{ClickReference, ClickReferenceKind, Install, InstallRecord, SearchAds},
    place::{Country, Locality, Place},
    platform::{Os, Traits},
    time::{DAY_MS, HOUR_MS, SECOND_MS},
};

const APP: AppId = AppId(7);
const NETWORK: NetworkId = NetworkId(10);
const TRACKER: TrackerId = TrackerId(100);
const T0: Timestamp = Timestamp(1_800_000_000_000);
const ADID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

fn settings_of(text: &str) -> BTreeMap<Scope, FraudSettings> {
    let mut all: BTreeMap<Scope, FraudSettings> = BTreeMap::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (scope, setting) = part.split_once(' ').unwrap();
        let scope = match scope {
            "app" => Scope::App(APP),
            "network" => Scope::Network(NETWORK),
            "here" => Scope::NetworkInApp(APP, NETWORK),
            "tracker" => Scope::Tracker(TRACKER),
            _ => panic!("what is {scope}?"),
        };
        let settings = all.entry(scope).or_default();
        let (name, value) = setting.split_once('=').unwrap_or((setting, "true"));
        if name == "blocklist" {
            settings.blocklist = true;
        } else if let Some(rule) = Rule::named(name) {
            settings.modes.insert(rule, Mode::named(value).unwrap());
        } else {
            let row = THRESHOLDS.iter().find(|row| row.name == format!("fraud.{name}")).unwrap();
            settings.thresholds.insert(row.threshold, value.parse().unwrap());
        }
    }
    all
}

fn catalogue(settings: BTreeMap<Scope, FraudSettings>, blocked: Vec<Blocked>) -> Catalogue {
    let mut catalogue = Catalogue::default();
    let listings = blocked.into_iter().map(|what| Listing {
        what,
        reason: "seen before".to_owned(),
        score: String::new(),
        at: T0,
        removed: false,
    });
    let entries = settings
        .into_iter()
        .map(|(scope, settings)| Entry::Fraud(scope, settings))
        .chain([Entry::Blocklist(listings.collect())]);
    for (entry, version) in entries.zip(1..) {
        catalogue.apply(Change { version, at: T0, by: None, entry });
    }
    catalogue
}

fn click() -> Engagement {
    Engagement {
        kind: EngagementKind::Click,
        time: T0,
        tracker: TRACKER,
        network: NETWORK,
        campaign: CampaignId(1),
        segment: SegmentId(1),
        identifiers: vec![LinkIdentifier::Plain(Identifier::new(IdKind::Adid, ADID).unwrap())],
        ip: "203.0.113.9".parse().ok(),
        user_agent: Some("test".to_owned()),
        traits: Traits {
            os: Some(Os::Android),
            os_version: Some("14.1".to_owned()),
            model: Some("Pixel 8".to_owned()),
        },
        att: Att::default(),
        click_id: None,
        site_id: Some("s1".to_owned()),
        sub_site_id: None,
        creative_id: None,
        params: Vec::new(),
        query: String::new(),
        place: Place::default(),
        ip_of_caller: false,
    }
}

/// Findings in words: `flag min caught`, by rule name.
fn words(findings: &[Finding]) -> String {
    let word = |finding: &Finding| {
        format!("{} {} {}", finding.rule.name(), finding.mode.name(), finding.verdict.name())
    };
    findings.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// What rules see in a click that is worth taking along.
fn judged(
    settings: BTreeMap<Scope, FraudSettings>,
    blocked: Vec<Blocked>,
    click: &Engagement,
    flags: &Flags,
    seen: Seen,
) -> Vec<Finding> {
    let catalogue = catalogue(settings, blocked);
    let rules = Rules::of(&catalogue, APP, NETWORK, Some(TRACKER));
    noteworthy(&judge_engagement(click, flags, T0, &rules, catalogue.blocklist(), seen))
}

/// With every rule about the click alone on, each of them tells what it saw, also when that was nothing.
#[test]
fn rules_that_let_a_click_pass_looked_at_it_too() {
    let mut settings = verified(verifier(&[("platform_in", "Android")]));
    settings.extend(settings_of(
        "app blocklist; app blocklist_device=flag; app blocklist_site=flag; app blocklist_ip=flag; \
         app frequency_cap=reject; app ad_stacking=flag; network click_validation=reject",
    ));
    let catalogue = catalogue(settings, Vec::new());
    let rules = Rules::of(&catalogue, APP, NETWORK, Some(TRACKER));
    let seen = Seen { capped: Some(20), stacked: Some(1) };
    let flags = Flags::from([Flag::SignatureOk]);
    let findings = judge_engagement(&click(), &flags, T0, &rules, catalogue.blocklist(), seen);
    assert_eq!(
        words(&findings),
        "blocklist_device flag passed, blocklist_site flag passed, blocklist_ip flag passed, \
         click_validation reject passed, verification reject passed, frequency_cap reject passed, \
         ad_stacking flag passed"
    );
    let figures: Vec<String> =
        findings[5].figures.iter().map(|(name, value)| format!("{name} {value}")).collect();
    assert_eq!(figures, ["clicks 20", "threshold 20", "minutes 60"]);
    assert!(noteworthy(&findings).is_empty());
}

// ---- levels

#[track_caller]
fn check_mode(settings: &str, expected: &str) {
    let catalogue = catalogue(settings_of(settings), Vec::new());
    let rules = Rules::of(&catalogue, APP, NETWORK, Some(TRACKER));
    let (mode, level) = rules.mode(Rule::MinimumTimeToInstall);
    let threshold = rules.threshold(Threshold::MinimumSeconds);
    assert_eq!(format!("{} {} {threshold}", mode.name(), level.name()), expected, "{settings}");
}

#[test]
fn tracker_before_network_before_app() {
    const RULE: &str = "minimum_time_to_install";
    check_mode("", "off default 10");
    check_mode(&format!("app {RULE}=flag"), "flag app 10");
    check_mode(&format!("app {RULE}=flag; network {RULE}=reject"), "reject network 10");
    check_mode(&format!("app {RULE}=reject; network {RULE}=flag; tracker {RULE}=off"), "off tracker 10");
    check_mode(&format!("app {RULE}=flag; network {RULE}.threshold=30"), "flag app 30");
    check_mode(&format!("app {RULE}.threshold=20; network {RULE}.threshold=30"), "off default 30");
    check_mode(&format!("app {RULE}=flag; tracker {RULE}.threshold=5; network {RULE}=off"), "off network 5");
    check_mode(&format!("network {RULE}=flag; here {RULE}=reject"), "reject network_in_app 10");
    check_mode(&format!("here {RULE}=reject; tracker {RULE}=flag"), "flag tracker 10");
    check_mode(
        &format!("here {RULE}.threshold=7; network {RULE}.threshold=8; app {RULE}=flag"),
        "flag app 7",
    );
}

#[test]
fn thresholds_have_defaults_in_their_ranges() {
    for row in THRESHOLDS {
        assert!((row.least..=row.most).contains(&row.default), "{}", row.name);
        let rule = row.name.split('.').nth(1).and_then(Rule::named);
        assert!(rule.is_some(), "{} names a rule", row.name);
    }
    assert!(Rule::ALL.iter().all(|rule| Rule::named(rule.name()) == Some(*rule)));
    assert!(Rule::ALL.iter().all(|rule| rule.rejection() == format!("rejected:{}", rule.name())));
}

// ---- rules about the engagement alone

#[track_caller]
fn check_listed(settings: &str, entry: Blocked, expected: &str) {
    let findings = judged(settings_of(settings), vec![entry], &click(), &Flags::new(), Seen::default());
    assert_eq!(words(&findings), expected, "{settings}");
}

#[test]
fn blocklists_need_the_app_and_a_mode() {
    let site = || Blocked::Site(None, "s1".to_owned());
    check_listed("app blocklist; tracker blocklist_site=reject", site(), "blocklist_site reject caught");
    check_listed("app blocklist; app blocklist_site=flag", site(), "blocklist_site flag caught");
    check_listed("app blocklist", site(), "");
    check_listed("tracker blocklist_site=reject", site(), "");
    check_listed("tracker blocklist; tracker blocklist_site=reject", site(), "");
}

#[test]
fn blocklists_hold_devices_sites_and_addresses() {
    let on = "app blocklist; app blocklist_site=flag; app blocklist_ip=flag; app blocklist_device=flag";
    let ip = |text: &str| Blocked::Ip(text.parse().unwrap());
    let site = |network, site: &str| Blocked::Site(network, site.to_owned());
    let device = |kind: &str, value: &str| Blocked::device(kind, value).unwrap();
    check_listed(on, site(Some(NETWORK), "s1"), "blocklist_site flag caught");
    check_listed(on, site(Some(NetworkId(11)), "s1"), "");
    check_listed(on, site(None, "s2"), "");
    check_listed(on, ip("203.0.113.9"), "blocklist_ip flag caught");
    check_listed(on, ip("203.0.113.0/24"), "blocklist_ip flag caught");
    check_listed(on, ip("203.0.113.200/24"), "blocklist_ip flag caught");
    check_listed(on, ip("203.0.113.10"), "");
    check_listed(on, ip("203.0.112.0/24"), "");
    check_listed(on, ip("0.0.0.0/0"), "blocklist_ip flag caught");
    check_listed(on, ip("::/0"), "");
    check_listed(on, device("adid", &ADID.to_uppercase()), "blocklist_device flag caught");
    check_listed(on, device("adid", &ADID.replace('-', "")), "blocklist_device flag caught");
    check_listed(on, device("idfa", ADID), "");
}

#[test]
fn a_hashed_device_is_found_by_its_digest() {
    let digest = Digest::parse("04e92dfec7a6939d7b2f65a2c267abb8").unwrap();
    let hashed = Engagement { identifiers: vec![LinkIdentifier::Hashed(IdKind::Adid, digest)], ..click() };
    let on = || settings_of("app blocklist; app blocklist_device=flag");
    for (entry, expected) in [
        (Blocked::device("adid", "04E92DFEC7A6939D7B2F65A2C267ABB8"), "blocklist_device flag caught"),
        (Blocked::device("adid", "d12b0bf5273c05eb20bdeb3fd69af11d"), ""),
    ] {
        let findings = judged(on(), vec![entry.unwrap()], &hashed, &Flags::new(), Seen::default());
        assert_eq!(words(&findings), expected);
    }
}

/// The digests are those of section 7 of the reference.
#[test]
fn a_plain_device_is_found_by_a_digest_of_it() {
    for (digest, expected) in [
        ("04e92dfec7a6939d7b2f65a2c267abb8", "blocklist_device flag caught"),
        ("358f3cc563911c41542fa3394787f529", "blocklist_device flag caught"),
        ("e40472891f7834120cf502259cfecc92ed1b4a35", "blocklist_device flag caught"),
        ("f46087939c9ee24af92dd0749b9874ba", "blocklist_device flag caught"),
        ("00000000000000000000000000000001", ""),
    ] {
        let on = "app blocklist; app blocklist_device=flag";
        check_listed(on, Blocked::device("adid", digest).unwrap(), expected);
    }
}

#[test]
fn ranges_are_written_as_they_are_read() {
    for (text, expected) in [
        ("203.0.113.9", Some("203.0.113.9")),
        ("203.0.113.9/32", Some("203.0.113.9")),
        ("203.0.113.9/24", Some("203.0.113.0/24")),
        ("2001:db8::1/32", Some("2001:db8::/32")),
        ("2001:db8::1", Some("2001:db8::1")),
        ("0.0.0.0/0", Some("0.0.0.0/0")),
        ("203.0.113.9/33", None),
        ("2001:db8::/129", None),
        ("203.0.113", None),
        ("203.0.113.0/x", None),
        ("", None),
    ] {
        let read = text.parse::<Cidr>().ok().map(|cidr| cidr.to_string());
        assert_eq!(read.as_deref(), expected, "{text}");
    }
}

#[test]
fn an_entry_taken_off_blocks_no_more() {
    let what = Blocked::Site(None, "s1".to_owned());
    let listing = |removed| Listing {
        what: what.clone(),
        reason: String::new(),
        score: String::new(),
        at: T0,
        removed,
    };
    let mut blocklist = Blocklist::default();
    blocklist.apply(listing(false));
    assert!(blocklist.site(NETWORK, "s1").is_some());
    blocklist.apply(listing(true));
    assert!(blocklist.site(NETWORK, "s1").is_none() && blocklist.is_empty());
}

#[test]
fn signatures_are_what_the_edge_says() {
    for (flag, expected) in [
        (Some(Flag::SignatureOk), ""),
        (Some(Flag::SignatureMissing), "click_validation reject caught"),
        (Some(Flag::SignatureBad), "click_validation reject caught"),
        (Some(Flag::SignatureExpired), "click_validation reject caught"),
        (None, "click_validation reject too_little"),
    ] {
        let flags: Flags = flag.into_iter().collect();
        let settings = settings_of("network click_validation=reject");
        let findings = judged(settings, Vec::new(), &click(), &flags, Seen::default());
        assert_eq!(words(&findings), expected, "{flag:?}");
        assert_eq!(findings.iter().any(Finding::rejects), expected.ends_with("caught"));
        let impression = Engagement { kind: EngagementKind::Impression, ..click() };
        let settings = settings_of("network click_validation=reject");
        assert_eq!(words(&judged(settings, Vec::new(), &impression, &flags, Seen::default())), "");
    }
}

#[track_caller]
fn check_seen(settings: &str, capped: Option<u32>, stacked: Option<u32>, expected: &str) {
    let seen = Seen { capped, stacked };
    let findings = judged(settings_of(settings), Vec::new(), &click(), &Flags::new(), seen);
    assert_eq!(words(&findings), expected, "{settings} {seen:?}");
}

#[test]
fn caps_and_stacks_let_their_number_through() {
    let cap = "tracker frequency_cap=reject; tracker frequency_cap.threshold=5";
    check_seen(cap, Some(5), None, "");
    check_seen(cap, Some(6), None, "frequency_cap reject caught");
    check_seen(cap, None, None, "frequency_cap reject too_little");
    let stack = "app ad_stacking=flag";
    check_seen(stack, None, Some(3), "");
    check_seen(stack, None, Some(4), "ad_stacking flag caught");
    check_seen("", Some(1_000), Some(1_000), "");
}

#[test]
fn runs_begin_with_their_first_and_end() {
    let catalogue = catalogue(
        settings_of("app frequency_cap=flag; app ad_stacking=flag; app frequency_cap.threshold_minutes=1"),
        Vec::new(),
    );
    let rules = Rules::of(&catalogue, APP, NETWORK, Some(TRACKER));
    let mut figures = Figures::default();
    let mut at = |seconds: i64, click: &Engagement| {
        let seen = figures.observe(click, T0.plus(seconds * SECOND_MS), &rules);
        (seen.capped.unwrap_or_default(), seen.stacked.unwrap_or_default())
    };
    let other_site = Engagement { site_id: None, ..click() };
    let other_device = Engagement { identifiers: Vec::new(), ..click() };
    assert_eq!(at(0, &click()), (1, 1));
    assert_eq!(at(1, &click()), (2, 2));
    assert_eq!(at(1, &other_site), (1, 3), "caps are by site, stacks by device");
    assert_eq!(at(1, &other_device), (1, 1));
    assert_eq!(at(2, &click()), (3, 1));
    assert_eq!(at(59, &click()), (4, 1));
    assert_eq!(at(60, &click()), (1, 2));
}

/// A server that tells neither device nor address tells nobody apart: its users would be one device.
#[test]
fn runs_need_a_device_or_an_address() {
    let settings = || settings_of("app frequency_cap=reject; app ad_stacking=reject");
    let catalogue = catalogue(settings(), Vec::new());
    let rules = Rules::of(&catalogue, APP, NETWORK, Some(TRACKER));
    let bare = Engagement { identifiers: Vec::new(), ..click() };
    let (nobody, one) = ("frequency_cap reject too_little, ad_stacking reject too_little", Some(1));
    for (what, click, runs, expected) in [
        ("a device", Engagement { ip_of_caller: true, ..click() }, one, ""),
        ("an address", bare.clone(), one, ""),
        ("a server", Engagement { ip_of_caller: true, ..bare.clone() }, None, nobody),
        ("nothing", Engagement { ip: None, ..bare.clone() }, None, nobody),
    ] {
        let seen = Figures::default().observe(&click, T0, &rules);
        assert_eq!((seen.capped, seen.stacked), (runs, runs), "{what}");
        let findings = judged(settings(), Vec::new(), &click, &Flags::new(), seen);
        assert_eq!(words(&findings), expected, "{what}");
        let told = |finding: &Finding| finding.figures.iter().any(|(name, _)| name == "address");
        assert!(findings.iter().all(told), "{what}: {findings:?}");
    }
}

/// Nobody is counted by the address of somebody's server, and nothing is taken from what is.
#[test]
fn clicks_of_a_server_do_not_count_for_its_address() {
    let id = TouchId(Uuid::from_u128(5));
    let of_server = Engagement { ip_of_caller: true, ..click() };
    let mut figures = Figures::default();
    figures.advance(T0);
    (0..20).for_each(|_| figures.count_touch(&of_server.touch(id, T0)));
    (0..10).for_each(|_| figures.count_touch(&click().touch(id, T0)));
    let mut erased = figures.clone();
    erased.forget(&of_server);
    for figures in [&mut figures, &mut erased] {
        figures.advance(T0.plus(HOUR_MS));
        assert_eq!(figures.of(&of_server.touch(id, T0)).ip_clicks, 0);
        assert_eq!(figures.of(&click().touch(id, T0)).ip_clicks, 10);
        assert_eq!(figures.of(&click().touch(id, T0)).network.clicks, 30);
    }
    let hour = Some(HourFigures { ip_clicks: 1_000, ..HourFigures::default() });
    let mut case = Case { hour, ..Case::new("app high_volume_ip=reject") };
    case.check("rejected:high_volume_ip; high_volume_ip reject caught");
    case.click.ip_of_caller = true;
    case.check("device_id; high_volume_ip reject too_little");
    (case.click.ip, case.click.ip_of_caller) = (None, false);
    case.check("device_id; high_volume_ip reject too_little");
}

// ---- the verifier

fn verifier(lists: &[(&str, &str)]) -> Verification {
    let lists = lists.iter().map(|(name, values)| {
        ((*name).to_owned(), values.split(',').filter(|value| !value.is_empty()).map(str::to_owned).collect())
    });
    Verification { enabled: true, lists: lists.collect(), ..Verification::default() }
}

fn verified(verification: Verification) -> BTreeMap<Scope, FraudSettings> {
    let settings = FraudSettings { verification: Some(verification), ..FraudSettings::default() };
    BTreeMap::from([(Scope::Tracker(TRACKER), settings)])
}

#[track_caller]
fn check_lists(lists: &[(&str, &str)], passes: bool) {
    let findings = judged(verified(verifier(lists)), Vec::new(), &click(), &Flags::new(), Seen::default());
    assert_eq!(words(&findings), if passes { "" } else { "verification reject caught" }, "{lists:?}");
}

#[test]
fn the_verifier_keeps_its_lists() {
    check_lists(&[], true);
    check_lists(&[("platform_in", "")], true);
    check_lists(&[("platform_in", "android,iOS")], true);
    check_lists(&[("platform_in", "iOS")], false);
    check_lists(&[("platform_not_in", "ANDROID")], false);
    check_lists(&[("platform_not_in", "iOS")], true);
    check_lists(&[("os_version_in", "14.1")], true);
    check_lists(&[("os_version_in", "14")], false);
    check_lists(&[("os_version_greater_than", "14")], true);
    check_lists(&[("os_version_greater_than", "14.1")], false);
    check_lists(&[("os_version_greater_than", "14.1.0")], false);
    check_lists(&[("os_version_less_than", "14.10")], true);
    check_lists(&[("os_version_less_than", "14.1")], false);
    check_lists(&[("device_type_in", "pixel 8")], true);
    check_lists(&[("device_type_not_in", "Pixel 8")], false);
    check_lists(&[("platform_in", "Android"), ("device_type_in", "iPhone")], false);
    check_lists(&[("platform_in", "Android TV")], true);
    check_lists(&[("platform_in", "Fire OS")], false);
    // What only an install tells speaks against no click.
    check_lists(&[("country_in", "NZ"), ("device_language_in", "en")], true);
}

#[test]
fn a_list_means_a_platform_by_any_of_its_names() {
    for (os, lists, passes) in [
        ("macOS", ("platform_in", "Mac OS X"), true),
        ("macOS", ("platform_not_in", "mac os"), false),
        ("webOS", ("platform_in", "LGWebOS"), true),
        ("webOS", ("platform_in", "Tizen OS"), false),
        ("Fire OS", ("platform_in", "fireos"), true),
        ("Fire OS", ("platform_in", "Android"), true),
        ("Fire OS", ("platform_not_in", "Android"), false),
        ("Fire OS", ("platform_in", "iOS"), false),
    ] {
        let traits = Traits { os: Os::named(os), ..Traits::default() };
        let click = Engagement { traits, ..click() };
        let findings =
            judged(verified(verifier(&[lists])), Vec::new(), &click, &Flags::new(), Seen::default());
        assert_eq!(words(&findings).is_empty(), passes, "{os} {lists:?}");
    }
}

#[test]
fn the_verifier_knows_the_country_of_a_click_by_its_address() {
    let abroad = Engagement { place: place("DE"), ..click() };
    for (list, expected) in [
        (("country_in", "de"), ""),
        (("country_in", "NZ"), "verification reject caught"),
        (("country_not_in", "DE"), "verification reject caught"),
    ] {
        let settings = verified(verifier(&[list]));
        assert_eq!(words(&judged(settings, Vec::new(), &abroad, &Flags::new(), Seen::default())), expected);
    }
}

#[test]
fn the_verifier_wants_to_know_the_system() {
    let unknown = Engagement { traits: Traits::default(), ..click() };
    for (list, expected) in [
        (("platform_not_in", "iOS"), "verification reject caught"),
        (("os_version_less_than", "99"), "verification reject caught"),
        (("device_type_in", "Pixel 8"), ""),
    ] {
        let settings = verified(verifier(&[list]));
        assert_eq!(words(&judged(settings, Vec::new(), &unknown, &Flags::new(), Seen::default())), expected);
    }
}

#[test]
fn the_verifier_knows_its_dates() {
    for (from, until, passes) in [
        (None, None, true),
        (Some(0), None, true),
        (Some(1), None, false),
        (None, Some(0), true),
        (None, Some(-1), false),
        (Some(-5), Some(5), true),
    ] {
        let at = |seconds: Option<i64>| seconds.map(|seconds| T0.seconds() + seconds);
        let dated = Verification { valid_from: at(from), valid_until: at(until), ..verifier(&[]) };
        let findings = judged(verified(dated.clone()), Vec::new(), &click(), &Flags::new(), Seen::default());
        assert_eq!(findings.is_empty(), passes, "{from:?} {until:?}");
        let off = Verification { enabled: false, ..dated };
        assert!(judged(verified(off), Vec::new(), &click(), &Flags::new(), Seen::default()).is_empty());
    }
}

#[test]
fn a_verifier_turns_rules_on_for_its_tracker() {
    let rules = vec![Rule::BlocklistSite, Rule::FrequencyCap, Rule::MinimumTimeToInstall];
    let mut settings = verified(Verification { rules, ..verifier(&[]) });
    settings.insert(Scope::App(APP), FraudSettings { blocklist: true, ..FraudSettings::default() });
    let catalogue = catalogue(settings, Vec::new());
    let rules = Rules::of(&catalogue, APP, NETWORK, Some(TRACKER));
    for (rule, mode) in [
        (Rule::BlocklistSite, Mode::Reject),
        (Rule::BlocklistIp, Mode::Off),
        (Rule::FrequencyCap, Mode::Reject),
        (Rule::MinimumTimeToInstall, Mode::Reject),
        (Rule::Verification, Mode::Reject),
        (Rule::AdStacking, Mode::Off),
    ] {
        assert_eq!(rules.mode(rule).0, mode, "{rule:?}");
    }
    let other = Rules::of(&catalogue, APP, NETWORK, Some(TrackerId(101)));
    assert!(Rule::ALL.iter().all(|rule| other.mode(*rule).0 == Mode::Off));
}

// ---- rules about engagement and install

struct Case {
    settings: BTreeMap<Scope, FraudSettings>,
    blocked: Vec<Blocked>,
    click: Engagement,
    install: Install,
    age_ms: i64,
    hour: Option<HourFigures>,
    /// What rules saw in the click when it came in.
    findings: Vec<Finding>,
}

impl Case {
    fn new(settings: &str) -> Self {
        let mut install = Install::default();
        install.origin.identifiers = vec![Identifier::new(IdKind::Adid, ADID).unwrap()];
        install.origin.traits = click().traits;
        Self {
            settings: settings_of(settings),
            blocked: Vec::new(),
            click: click(),
            install,
            age_ms: HOUR_MS,
            hour: None,
            findings: Vec::new(),
        }
    }

    fn decide(&self) -> Decision {
        self.ask(decide)
    }

    /// The click of the case as a reengagement of an event that stands where the install does.
    fn reengagement(&self) -> Candidate {
        let blank = Candidate { fraud: Vec::new(), lost: None, ..self.decide().candidates.remove(0) };
        self.ask(|question| {
            let mut candidates = [blank];
            judge_reengagement(question, &mut candidates);
            let [candidate] = candidates;
            candidate
        })
    }

    fn ask<T>(&self, answer: impl FnOnce(&Question<'_>) -> T) -> T {
        let id = TouchId(Uuid::from_u128(5));
        let catalogue = catalogue(self.settings.clone(), self.blocked.clone());
        let time = T0.plus(self.age_ms);
        let record = InstallRecord {
            id: InstallId(Uuid::from_u128(9)),
            app: APP,
            device: DeviceId(Uuid::from_u128(9)),
            received: time.max(T0),
            catalogue: 1,
            install: Install { time, ..self.install.clone() },
            flags: Flags::new(),
            reprocess_for: None,
            last_installed: None,
        };
        answer(&Question {
            record: &record,
            touches: &[Touch { findings: self.findings.clone(), ..self.click.touch(id, T0) }],
            more: false,
            credited: &BTreeSet::new(),
            figures: &self.hour.into_iter().map(|hour| (id, hour)).collect(),
            catalogue: &catalogue,
            revision: 0,
            decided: record.received,
        })
    }

    /// The class, or why the click lost, and what rules saw.
    #[track_caller]
    fn check(&self, expected: &str) {
        let decision = self.decide();
        let lost = decision.candidates[0].lost.map_or(decision.class(), |lost| lost.name());
        assert_eq!(format!("{lost}; {}", words(&decision.candidates[0].fraud)), expected);
    }
}

#[test]
fn nobody_installs_within_the_minimum_time() {
    const RULE: &str = "minimum_time_to_install";
    for (settings, age_ms, expected) in [
        (format!("app {RULE}=reject"), 9_999, format!("rejected:{RULE}; {RULE} reject caught")),
        (format!("app {RULE}=reject"), 10_000, format!("device_id; {RULE} reject passed")),
        (format!("app {RULE}=flag"), 0, format!("device_id; {RULE} flag caught")),
        (format!("app {RULE}=off"), 0, "device_id; ".to_owned()),
        (format!("app {RULE}=reject; tracker {RULE}=flag"), 0, format!("device_id; {RULE} flag caught")),
        (format!("app {RULE}=reject"), -5_000, format!("device_id; {RULE} reject too_little")),
        (
            format!("network {RULE}=reject; network {RULE}.threshold=60"),
            59_000,
            format!("rejected:{RULE}; {RULE} reject caught"),
        ),
    ] {
        Case { age_ms, ..Case::new(&settings) }.check(&expected);
    }
    let mut view = Case { age_ms: 0, ..Case::new(&format!("app {RULE}=reject")) };
    view.click.kind = EngagementKind::Impression;
    view.check("device_id; ");
}

#[test]
fn a_window_that_bars_is_the_reason_and_the_finding_stays() {
    let mut case = Case::new("app platform_mismatch=reject");
    case.age_ms = 40 * DAY_MS;
    case.install.origin.traits.os = Some(Os::Ios);
    case.check("outside_window; platform_mismatch reject caught");
}

#[test]
fn platforms_have_to_agree() {
    for (os, expected) in [
        (Some(Os::Android), "device_id; platform_mismatch reject passed"),
        // The click's browser may not say that its Android is Amazon's.
        (Some(Os::FireOs), "device_id; platform_mismatch reject passed"),
        (Some(Os::Ios), "rejected:platform_mismatch; platform_mismatch reject caught"),
        (None, "device_id; platform_mismatch reject too_little"),
    ] {
        let mut case = Case::new("app platform_mismatch=reject");
        case.install.origin.traits.os = os;
        case.check(expected);
    }
}

#[test]
fn without_a_database_the_rule_says_so() {
    Case::new("app geo_mismatch=reject").check("device_id; geo_mismatch reject no_database");
    Case::new("app anonymous_network=flag").check("device_id; anonymous_network flag no_database");
}

/// `DE`, `?` (asked, and not known) or nothing (nobody to ask), then `anonymous` or `open`.
fn place(text: &str) -> Place {
    let mut place = Place::default();
    for word in text.split_whitespace() {
        match word {
            "anonymous" | "open" => place.anonymous = Some(word == "anonymous"),
            country => {
                place.has_countries = true;
                place.country = Country::named(country);
            }
        }
    }
    place
}

#[test]
fn addresses_are_compared_by_what_the_databases_said() {
    for (rule, click, install, expected) in [
        ("geo_mismatch", "DE", "DE", "passed"),
        ("geo_mismatch", "DE", "FR", "caught"),
        ("geo_mismatch", "DE", "?", "too_little"),
        ("geo_mismatch", "?", "FR", "too_little"),
        ("geo_mismatch", "", "FR", "no_database"),
        ("geo_mismatch", "DE", "", "no_database"),
        ("geo_mismatch", "anonymous", "open", "no_database"),
        ("anonymous_network", "open", "open", "passed"),
        ("anonymous_network", "anonymous", "open", "caught"),
        ("anonymous_network", "open", "anonymous", "caught"),
        ("anonymous_network", "anonymous", "", "caught"),
        ("anonymous_network", "", "open", "too_little"),
        ("anonymous_network", "open", "", "too_little"),
        ("anonymous_network", "DE", "DE", "no_database"),
    ] {
        let mut case = Case::new(&format!("app {rule}=reject"));
        case.click.place = place(click);
        case.install.origin.place = place(install);
        let class = if expected == "caught" { format!("rejected:{rule}") } else { "device_id".to_owned() };
        let seen = format!("{class}; {rule} reject {expected}");
        case.check(&seen);
        // The country that the sender names is nobody's address.
        case.install.origin.country = Some("DE".to_owned());
        case.check(&seen);
    }
}

#[test]
fn what_the_databases_said_stands_with_the_verdict() {
    let mut case = Case::new("app geo_mismatch=flag; app anonymous_network=flag");
    case.click.place = place("DE anonymous");
    case.install.origin.place = place("FR open");
    let figures: Vec<(String, String)> =
        case.decide().candidates[0].fraud.iter().flat_map(|finding| finding.figures.clone()).collect();
    let told: Vec<(&str, &str)> =
        figures.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        told,
        [("click", "DE"), ("install", "FR"), ("click", "anonymous"), ("install", "not anonymous")]
    );
}

// ---- every rule in every mode at every level

/// Traffic that a rule catches: what is blocked, the click with its flags and how often it was seen, and the
/// install.
fn caught_by(rule: Rule) -> (Case, Flags, Seen) {
    let mut case = Case::new("");
    let (mut flags, mut seen) = (Flags::new(), Seen::default());
    let hour_of = |network: Counts| hour(network, None);
    match rule {
        Rule::BlocklistDevice => case.blocked = vec![Blocked::device("adid", ADID).unwrap()],
        Rule::BlocklistSite => case.blocked = vec![Blocked::Site(None, "s1".to_owned())],
        Rule::BlocklistIp => case.blocked = vec![Blocked::Ip("203.0.113.0/24".parse().unwrap())],
        Rule::ClickValidation => flags = Flags::from([Flag::SignatureBad]),
        Rule::Verification => case.settings = verified(verifier(&[("platform_in", "iOS")])),
        Rule::FrequencyCap => seen.capped = Some(21),
        Rule::AdStacking => seen.stacked = Some(4),
        Rule::MinimumTimeToInstall => case.age_ms = 9_000,
        Rule::PlatformMismatch => case.install.origin.traits.os = Some(Os::Ios),
        Rule::GeoMismatch => {
            case.click.place = place("DE");
            case.install.origin.place = place("FR");
        }
        Rule::AnonymousNetwork => case.click.place = place("anonymous"),
        Rule::ClickFlooding => case.hour = hour_of(counts(1_000, 0, 0)),
        Rule::TtiDistribution => {
            case.hour = hour_of(counts(0, 50, 26));
            case.age_ms = DAY_MS;
        }
        Rule::HighVolumeIp => case.hour = Some(HourFigures { ip_clicks: 201, ..HourFigures::default() }),
        Rule::HighVolumeDevice => {
            case.hour = Some(HourFigures { device_clicks: 51, ..HourFigures::default() });
        }
    }
    (case, flags, seen)
}

#[test]
fn every_rule_obeys_every_mode_at_every_level() {
    for rule in Rule::ALL.iter().copied() {
        for (scope, level) in [
            (Scope::App(APP), Level::App),
            (Scope::Network(NETWORK), Level::Network),
            (Scope::NetworkInApp(APP, NETWORK), Level::NetworkInApp),
            (Scope::Tracker(TRACKER), Level::Tracker),
        ] {
            // A verifier is the tracker's: it asks for its own rule before network and app can say anything.
            if rule == Rule::Verification && level != Level::Tracker {
                continue;
            }
            for mode in [Mode::Off, Mode::Flag, Mode::Reject] {
                let (mut case, flags, seen) = caught_by(rule);
                case.settings.entry(Scope::App(APP)).or_default().blocklist = true;
                case.settings.entry(scope).or_default().modes.insert(rule, mode);
                case.findings =
                    judged(case.settings.clone(), case.blocked.clone(), &case.click, &flags, seen);
                let decision = case.decide();
                let candidate = &decision.candidates[0];
                let (lost, saw) = match mode {
                    Mode::Off => (None, None),
                    Mode::Flag => (None, Some((mode, level, Verdict::Caught))),
                    Mode::Reject => {
                        (Some(LosingReason::Rejected(rule)), Some((mode, level, Verdict::Caught)))
                    }
                };
                let told = candidate.fraud.iter().map(|finding| {
                    assert_eq!(finding.rule, rule);
                    (finding.mode, finding.level, finding.verdict)
                });
                let what = format!("{rule:?} {mode:?} {level:?}");
                assert_eq!(
                    (candidate.lost, told.collect::<Vec<_>>()),
                    (lost, saw.into_iter().collect()),
                    "{what}"
                );
                assert_eq!(decision.winner().is_some(), lost.is_none(), "{what}");
            }
        }
    }
}

#[test]
fn a_higher_level_outranks_a_lower_one_for_every_rule() {
    let levels = [
        Scope::Tracker(TRACKER),
        Scope::NetworkInApp(APP, NETWORK),
        Scope::Network(NETWORK),
        Scope::App(APP),
    ];
    for rule in Rule::ALL.iter().copied() {
        for (place, high) in levels.into_iter().enumerate() {
            for low in levels.into_iter().skip(place + 1) {
                for (above, below) in
                    [(Mode::Off, Mode::Reject), (Mode::Reject, Mode::Off), (Mode::Flag, Mode::Reject)]
                {
                    let mut settings: BTreeMap<Scope, FraudSettings> = BTreeMap::new();
                    settings.entry(Scope::App(APP)).or_default().blocklist = true;
                    settings.entry(high).or_default().modes.insert(rule, above);
                    settings.entry(low).or_default().modes.insert(rule, below);
                    let catalogue = catalogue(settings, Vec::new());
                    let rules = Rules::of(&catalogue, APP, NETWORK, Some(TRACKER));
                    assert_eq!(rules.mode(rule).0, above, "{rule:?}: {high:?} before {low:?}");
                }
            }
        }
    }
}

#[test]
fn a_blocked_device_is_found_by_its_install() {
    let mut case = Case::new("app blocklist; app blocklist_device=reject");
    case.blocked = vec![Blocked::device("adid", ADID).unwrap()];
    case.check("rejected:blocklist_device; blocklist_device reject caught");
    case.blocked.clear();
    case.check("device_id; blocklist_device reject passed");
}

#[test]
fn a_blocked_address_is_found_by_its_install() {
    let mut case = Case::new("app blocklist; app blocklist_ip=reject");
    case.blocked = vec![Blocked::Ip("198.51.100.0/24".parse().unwrap())];
    case.install.origin.ip = "198.51.100.7".parse().ok();
    case.check("rejected:blocklist_ip; blocklist_ip reject caught");
    case.install.origin.ip = "203.0.113.7".parse().ok();
    case.check("device_id; blocklist_ip reject passed");
}

/// Apple's word and a network's claim come without an address and without a click of ours.
#[test]
fn what_comes_without_a_click_is_looked_at_by_its_install() {
    let on = "app blocklist; app blocklist_device=reject; app blocklist_ip=reject; app anonymous_network=reject; \
              app minimum_time_to_install=reject; app platform_mismatch=reject; app geo_mismatch=reject; \
              app click_flooding=reject";
    for (blocked, hidden, expected) in [
        (None, "open", None),
        (Blocked::device("adid", ADID), "open", Some(Rule::BlocklistDevice)),
        (Some(Blocked::Ip("203.0.113.0/24".parse().unwrap())), "open", Some(Rule::BlocklistIp)),
        (None, "anonymous", Some(Rule::AnonymousNetwork)),
    ] {
        let mut case = Case::new(on);
        case.blocked = blocked.into_iter().collect();
        case.install.origin.ip = "203.0.113.9".parse().ok();
        case.install.origin.place = place(hidden);
        case.install.search_ads = Some(Box::new(SearchAds { click_time: Some(T0), ..SearchAds::default() }));
        case.click.identifiers.clear();
        let decision = case.decide();
        let apple = &decision.candidates[0];
        assert_eq!(apple.touch, None);
        assert_eq!(apple.lost, expected.map(LosingReason::Rejected), "{hidden}");
        let looked: Vec<Rule> = apple.fraud.iter().map(|finding| finding.rule).collect();
        assert_eq!(looked, [Rule::BlocklistDevice, Rule::BlocklistIp, Rule::AnonymousNetwork]);
    }
}

#[test]
fn a_claim_is_looked_at_when_it_comes() {
    let claim = Claim {
        kind: EngagementKind::Click,
        time: T0,
        network: NETWORK,
        tracker: Some(TRACKER),
        campaign: None,
        segment: None,
        identifiers: click().identifiers,
        claim_id: None,
        lookback: None,
        granular: true,
        site_id: Some("s1".to_owned()),
        creative_id: None,
        params: Vec::new(),
        time_future: false,
    };
    let over = Verification { valid_until: Some(T0.seconds() - 1), ..verifier(&[("platform_in", "iOS")]) };
    for (blocked, verification, expected) in [
        (Blocked::Site(None, "s1".to_owned()), verifier(&[]), "blocklist_site"),
        (Blocked::device("adid", ADID).unwrap(), verifier(&[]), "blocklist_device"),
        (Blocked::Site(None, "s2".to_owned()), over, "verification"),
        (Blocked::Site(None, "s2".to_owned()), verifier(&[("platform_in", "iOS")]), ""),
    ] {
        let mut settings = verified(verification);
        settings.extend(settings_of("app blocklist; app blocklist_device=reject; app blocklist_site=reject"));
        let catalogue = catalogue(settings, vec![blocked]);
        let rules = Rules::of(&catalogue, APP, NETWORK, Some(TRACKER));
        let findings = judge_claim(&claim, T0, &rules, catalogue.blocklist());
        assert_eq!(findings.len(), 3, "{}", words(&findings));
        let caught = findings.iter().filter(|finding| finding.rejects()).map(|finding| finding.rule.name());
        assert_eq!(caught.collect::<Vec<_>>().join(" "), expected);
    }
}

#[test]
fn a_finding_of_the_click_decides_the_install() {
    let mut case = Case::new("");
    let catalogue = catalogue(
        settings_of("app blocklist; app blocklist_ip=reject"),
        vec![Blocked::Ip("203.0.113.0/24".parse().unwrap())],
    );
    let rules = Rules::of(&catalogue, APP, NETWORK, Some(TRACKER));
    let findings =
        judge_engagement(&case.click, &Flags::new(), T0, &rules, catalogue.blocklist(), Seen::default());
    let mut touch = case.click.touch(TouchId(Uuid::from_u128(5)), T0);
    touch.findings = findings;
    case.install.time = T0.plus(HOUR_MS);
    let record = InstallRecord {
        id: InstallId(Uuid::from_u128(9)),
        app: APP,
        device: DeviceId(Uuid::from_u128(9)),
        received: case.install.time,
        catalogue: 1,
        install: case.install,
        flags: Flags::new(),
        reprocess_for: None,
        last_installed: None,
    };
    // Settings may have changed since: what was said when it came in stands.
    let decision = decide(&Question {
        record: &record,
        touches: &[touch],
        more: false,
        credited: &BTreeSet::new(),
        figures: &BTreeMap::new(),
        catalogue: &Catalogue::default(),
        revision: 0,
        decided: record.received,
    });
    assert_eq!(decision.candidates[0].lost.unwrap().name(), "rejected:blocklist_ip");
    assert_eq!(words(&decision.candidates[0].fraud), "blocklist_ip reject caught");
    let sentences = crate::attribution::explain(&decision, &Catalogue::default()).join(" ");
    assert!(sentences.contains("203.0.113.0/24") && sentences.contains("seen before"), "{sentences}");
}

/// Under the settings of `click` a click came in, under those of `install` its install, from `address`.
#[track_caller]
fn check_both(settings: [&str; 2], click: Blocked, install: Blocked, address: &str, expected: &str) {
    let [then, now] = settings.map(|settings| format!("app blocklist; {settings}"));
    let mut case = Case { blocked: vec![install], ..Case::new(&now) };
    let (none, unseen) = (Flags::new(), Seen::default());
    case.findings = judged(settings_of(&then), vec![click], &case.click, &none, unseen);
    case.install.origin.ip = address.parse().ok();
    case.check(expected);
}

/// A click that a rule flagged stays flagged for what it said itself, and its install is looked at as any other.
#[test]
fn a_flagged_click_does_not_excuse_its_install() {
    let range = || Blocked::Ip("203.0.113.0/24".parse().unwrap());
    let [flag, reject, off] = ["app blocklist_ip=flag", "app blocklist_ip=reject", "app blocklist_ip=off"];
    let (inside, outside) = ("203.0.113.1", "198.51.100.1");
    let flagged = "device_id; blocklist_ip flag caught";
    let both = "rejected:blocklist_ip; blocklist_ip flag caught, blocklist_ip reject caught";
    let rejected = "rejected:blocklist_ip; blocklist_ip reject caught";
    for (settings, address, expected) in [
        ([flag, reject], inside, both),
        ([flag, reject], outside, flagged),
        ([flag, flag], inside, flagged),
        ([flag, off], inside, flagged),
        ([reject, flag], inside, rejected),
        ([reject, reject], inside, rejected),
        ([off, reject], inside, rejected),
        ([off, reject], outside, "device_id; blocklist_ip reject passed"),
    ] {
        check_both(settings, range(), range(), address, expected);
    }
    let device = || Blocked::device("adid", ADID).unwrap();
    check_both(
        ["app blocklist_device=flag", "app blocklist_device=reject"],
        device(),
        device(),
        outside,
        "rejected:blocklist_device; blocklist_device flag caught, blocklist_device reject caught",
    );
}

#[test]
fn a_click_that_the_verifier_flagged_does_not_excuse_its_install() {
    let settings = |mode| {
        let mut settings = verified(verifier(&[("platform_in", "iOS")]));
        settings.get_mut(&Scope::Tracker(TRACKER)).unwrap().modes.insert(Rule::Verification, mode);
        settings
    };
    let mut case = Case { settings: settings(Mode::Reject), ..Case::new("") };
    case.findings = judged(settings(Mode::Flag), Vec::new(), &case.click, &Flags::new(), Seen::default());
    case.check("rejected:verification; verification flag caught, verification reject caught");
    case.install.origin.traits.os = Some(Os::Ios);
    case.check("device_id; verification flag caught");
}

/// The same for the engagement of an event.
#[test]
fn a_flagged_click_does_not_excuse_its_event() {
    let mut case = Case::new("app blocklist; app blocklist_ip=reject");
    case.blocked = vec![Blocked::Ip("203.0.113.0/24".parse().unwrap())];
    let flag = settings_of("app blocklist; app blocklist_ip=flag");
    case.findings = judged(flag, case.blocked.clone(), &case.click, &Flags::new(), Seen::default());
    case.install.origin.ip = "203.0.113.1".parse().ok();
    assert_eq!(words(&case.reengagement().fraud), "blocklist_ip flag caught, blocklist_ip reject caught");
}

#[test]
fn the_verifier_looks_at_the_install_too() {
    let named = |case: &mut Case, click_time| {
        case.install.click = Some(ClickReference {
            kind: ClickReferenceKind::InstallReferrer,
            written: String::new(),
            touch: Some(TouchId(Uuid::from_u128(5))),
            raw: String::new(),
            click_time,
        });
    };
    let check = |verification: Verification, change: &dyn Fn(&mut Case), expected: &str| {
        let mut case = Case { settings: verified(verification), ..Case::new("") };
        case.install.origin.country = Some("NZ".to_owned());
        change(&mut case);
        case.check(expected);
    };
    let (passed, caught, unknown) = (
        "device_id; verification reject passed",
        "rejected:verification; verification reject caught",
        "device_id; verification reject no_database",
    );
    let with = |change: &dyn Fn(&mut Verification)| {
        let mut verification = verifier(&[]);
        change(&mut verification);
        verification
    };
    check(verifier(&[("country_in", "nz")]), &|_| {}, passed);
    check(verifier(&[("country_in", "DE")]), &|_| {}, caught);
    check(verifier(&[("country_in", "DE")]), &|case| case.install.origin.country = None, unknown);
    check(verifier(&[("city_in", "Auckland")]), &|_| {}, unknown);
    let little = "device_id; verification reject too_little";
    check(verifier(&[("receipt_status_in", "valid")]), &|_| {}, little);
    check(verifier(&[("receipt_status_in", "valid"), ("city_in", "Auckland")]), &|_| {}, unknown);
    check(verifier(&[("device_language_in", "en")]), &|_| {}, little);
    let somewhere = |case: &mut Case| {
        case.install.origin.locality = Some(Box::new(Locality {
            city: Some("Oakland".to_owned()),
            regions: vec!["CA".to_owned(), "California".to_owned()],
            postal: Some("94601".to_owned()),
            dma: Some("807".to_owned()),
        }));
    };
    let nowhere = |case: &mut Case| case.install.origin.locality = Some(Box::default());
    for (list, right, wrong) in [
        ("city", "oakland", "Auckland"),
        ("state", "ca", "NV"),
        ("state", "California", "Nevada"),
        ("postal", "94601", "94602"),
        ("dma", "807", "808"),
    ] {
        let (inside, outside) = (format!("{list}_in"), format!("{list}_not_in"));
        check(verifier(&[(&inside, right)]), &somewhere, passed);
        check(verifier(&[(&inside, wrong)]), &somewhere, caught);
        check(verifier(&[(&outside, right)]), &somewhere, caught);
        check(verifier(&[(&outside, wrong)]), &somewhere, passed);
        check(verifier(&[(&inside, right)]), &nowhere, little);
        check(verifier(&[(&outside, right)]), &|_| {}, unknown);
    }
    let language = |case: &mut Case| {
        case.install.params.push(("device_language".to_owned(), Value::Text("en".to_owned())));
    };
    check(verifier(&[("device_language_not_in", "en")]), &language, caught);
    check(verifier(&[("device_language_in", "en")]), &language, passed);
    let required = || with(&|verification| verification.utm_source_required = true);
    check(required(), &|_| {}, caught);
    check(required(), &|case| named(case, None), passed);
    let forbidden = with(&|verification| verification.utm_source_forbidden = true);
    check(forbidden.clone(), &|case| named(case, None), caught);
    check(forbidden, &|_| {}, passed);
    let timed = || with(&|verification| verification.referrer_click_time_required = true);
    check(timed(), &|case| named(case, None), caught);
    check(timed(), &|case| named(case, Some(T0)), passed);
}

// ---- what they saw, in words

/// What the rules saw in `a click` of a case, by its only finding.
#[track_caller]
fn check_words(case: &Case, expected: &str) {
    let decision = case.decide();
    assert_eq!(told(&decision.candidates[0], "install"), [expected]);
}

/// What the rules saw in `a click` that may have led to `of`, without their names and modes.
fn told(candidate: &Candidate, of: &str) -> Vec<String> {
    let said = sentences(&[("a click".to_owned(), candidate)], of);
    said.iter().map(|said| said.split_once(") ").unwrap().1.to_owned()).collect()
}

/// The blocklist and the verifier look at both sides, and say at which of them they saw what they saw.
#[test]
fn a_finding_tells_whose_it_is() {
    let ip = || Blocked::Ip("203.0.113.0/24".parse().unwrap());
    let device = || Blocked::device("adid", ADID).unwrap();
    let lists = |lists| Case { settings: verified(verifier(lists)), ..Case::new("") };
    let blocked = |settings: &str, what| Case { blocked: vec![what], ..Case::new(settings) };
    let judged = |mut case: Case| {
        case.findings =
            judged(case.settings.clone(), case.blocked.clone(), &case.click, &Flags::new(), Seen::default());
        case
    };
    let from = |mut case: Case, address: &str| {
        case.install.origin.ip = address.parse().ok();
        case
    };
    let silent = |mut case: Case| {
        (case.click.traits, case.install.origin.traits) = Default::default();
        case
    };
    let view = |mut case: Case| {
        case.click.kind = EngagementKind::Impression;
        case
    };
    let (by_ip, by_device) =
        ("app blocklist; app blocklist_ip=flag", "app blocklist; app blocklist_device=flag");
    let (ios, new) = ([("platform_in", "iOS")], [("os_version_greater_than", "15")]);
    for (case, expected) in [
        (
            from(blocked(by_ip, ip()), "203.0.113.7"),
            "the address of the install, in 203.0.113.0/24, is on the blocklist (seen before)",
        ),
        (
            judged(blocked(by_ip, ip())),
            "the address of the click, in 203.0.113.0/24, is on the blocklist (seen before)",
        ),
        (
            judged(view(blocked(by_ip, ip()))),
            "the address of the impression, in 203.0.113.0/24, is on the blocklist (seen before)",
        ),
        (blocked(by_device, device()), "the device of the install is on the blocklist (seen before)"),
        (judged(blocked(by_device, device())), "the device of the click is on the blocklist (seen before)"),
        (lists(&ios), "platform Android of the install is not on the list platform_in"),
        (judged(lists(&ios)), "platform Android of the click is not on the list platform_in"),
        (lists(&new), "os_version 14.1 of the install does not pass os_version_greater_than 15"),
        (silent(lists(&ios)), "the install does not tell its platform"),
        (judged(silent(lists(&ios))), "the click does not tell its platform"),
    ] {
        check_words(&case, &format!("caught a click: {expected}."));
    }
}

/// Records of before did not tell the side: no side is named then.
#[test]
fn a_finding_that_tells_no_side_names_none() {
    let figures = |told: &[(&str, &str)]| told.iter().map(|(name, value)| figure(name, value)).collect();
    for (rule, told_figures, expected) in [
        (Rule::BlocklistDevice, vec![("entry", "device")], "the device is on the blocklist"),
        (
            Rule::BlocklistIp,
            vec![("entry", "ip"), ("ip", "203.0.113.0/24")],
            "the address, in 203.0.113.0/24, is on the blocklist",
        ),
        (
            Rule::Verification,
            vec![("platform", "Android"), ("list", "platform_in")],
            "platform Android is not on the list platform_in",
        ),
        (Rule::Verification, vec![("platform", "unknown")], "the platform is not told"),
        (Rule::Verification, vec![("list", "city_in"), ("of", "install")], "list city_in, of install"),
    ] {
        let (mode, level, verdict) = (Mode::Flag, Level::App, Verdict::Caught);
        let mut candidate = Case::new("").decide().candidates.remove(0);
        candidate.fraud = vec![Finding { rule, mode, level, verdict, figures: figures(&told_figures) }];
        assert_eq!(told(&candidate, "install"), [format!("caught a click: {expected}.")]);
    }
}

/// The two sides are called what they are.
#[test]
fn an_impression_and_an_event_are_called_so() {
    let mut case = Case::new("app platform_mismatch=flag; app blocklist; app blocklist_ip=flag");
    case.click.kind = EngagementKind::Impression;
    case.install.origin.traits.os = Some(Os::Ios);
    case.install.origin.ip = "203.0.113.7".parse().ok();
    case.blocked = vec![Blocked::Ip("203.0.113.0/24".parse().unwrap())];
    for (candidate, of) in [(case.decide().candidates.remove(0), "install"), (case.reengagement(), "event")] {
        assert_eq!(
            told(&candidate, of),
            [
                format!(
                    "caught a click: the address of the {of}, in 203.0.113.0/24, is on the blocklist (seen before)."
                ),
                format!("caught a click: by the user agent impression Android, {of} iOS."),
            ]
        );
    }
    let mut hidden = Case::new("app anonymous_network=flag");
    hidden.click.kind = EngagementKind::Impression;
    (hidden.click.place, hidden.install.origin.place) = (place("anonymous"), place("open"));
    check_words(
        &hidden,
        "caught a click: the address of the impression is anonymous, the address of the install is not anonymous.",
    );
}

/// One case that each rule catches: figures with what they mean, no bare numbers of thresholds.
#[test]
fn what_every_rule_catches_is_told_in_words() {
    const HOUR: &str = "the last closed hour, from 1970-01-01T00:00:00Z";
    for rule in Rule::ALL.iter().copied() {
        let (mut case, flags, seen) = caught_by(rule);
        case.settings.entry(Scope::App(APP)).or_default().blocklist = true;
        case.settings.entry(Scope::App(APP)).or_default().modes.insert(rule, Mode::Reject);
        case.findings = judged(case.settings.clone(), case.blocked.clone(), &case.click, &flags, seen);
        let expected = match rule {
            Rule::BlocklistDevice => "the device of the click is on the blocklist (seen before)",
            Rule::BlocklistSite => "its site, s1, is on the blocklist (seen before)",
            Rule::BlocklistIp => {
                "the address of the click, in 203.0.113.0/24, is on the blocklist (seen before)"
            }
            Rule::ClickValidation => "its signature is wrong",
            Rule::Verification => "platform Android of the click is not on the list platform_in",
            Rule::FrequencyCap => {
                "it was number 21 of the clicks of the device within 60 minutes, and 20 pass"
            }
            Rule::AdStacking => "it was number 4 of the clicks of the device within 2 seconds, and 3 pass",
            Rule::MinimumTimeToInstall => "the install came 9 seconds after it, and 10 are the least",
            Rule::PlatformMismatch => "by the user agent click Android, install iOS",
            Rule::GeoMismatch => "by the address click DE, install FR",
            Rule::AnonymousNetwork => "the address of the click is anonymous",
            Rule::ClickFlooding => &format!(
                "the network had 0 installs from 1000 clicks in {HOUR}, and 100 from 100,000 are the least"
            ),
            Rule::TtiDistribution => &format!(
                "of 50 installs of the network in {HOUR} 26 came a day or more after the click, and 50 of 100 pass"
            ),
            Rule::HighVolumeIp => &format!("201 clicks from its address in {HOUR}, and 200 pass"),
            Rule::HighVolumeDevice => &format!("51 clicks of its device in {HOUR}, and 50 pass"),
        };
        check_words(&case, &format!("caught a click: {expected}."));
    }
}

/// What passed says why, where the share of late installs alone would not have let it.
#[test]
fn an_install_that_came_in_time_says_so() {
    const SAID: &str = "the last closed hour, from 1970-01-01T00:00:00Z";
    for (late, age_ms, kind, verdict, more) in [
        (26, DAY_MS, EngagementKind::Click, "caught", ""),
        (
            26,
            DAY_MS - 1,
            EngagementKind::Click,
            "saw nothing wrong with",
            ", and this install came less than a day after its click",
        ),
        (
            26,
            HOUR_MS,
            EngagementKind::Impression,
            "saw nothing wrong with",
            ", and this install came less than a day after its impression",
        ),
        (25, DAY_MS, EngagementKind::Click, "saw nothing wrong with", ""),
        (25, HOUR_MS, EngagementKind::Click, "saw nothing wrong with", ""),
    ] {
        let hour = hour(counts(0, 50, late), None);
        let mut case = Case { hour, age_ms, ..Case::new("app tti_distribution=flag") };
        case.click.kind = kind;
        check_words(
            &case,
            &format!(
                "{verdict} a click: of 50 installs of the network in {SAID} {late} came a day or more after the \
                 click, and 50 of 100 pass{more}."
            ),
        );
    }
}

/// Why a rule knows too little, or what it has no database for.
#[test]
fn what_is_not_known_is_told_in_words() {
    let hour_of = |network| Some(HourFigures { hour: T0, network, ..HourFigures::default() });
    let at = "the last closed hour, from 2027-01-15T08:00:00Z";
    let check = |settings: &str, change: &dyn Fn(&mut Case), expected: &str| {
        let mut case = Case::new(settings);
        change(&mut case);
        check_words(&case, &format!("knows too little to judge a click: {expected}."));
    };
    check(
        "app click_flooding=flag; app click_flooding.threshold_clicks=10",
        &|case| case.hour = hour_of(counts(3, 1, 0)),
        &format!("fewer than 10 clicks (3) of the network in {at}, so the ratio says nothing"),
    );
    check(
        "app tti_distribution=flag",
        &|case| case.hour = hour_of(counts(3, 1, 0)),
        &format!("fewer than 50 installs (1) of the network in {at}, so the share says nothing"),
    );
    check(
        "app high_volume_ip=flag",
        &|case| (case.hour, case.click.ip_of_caller) = (hour_of(counts(3, 1, 0)), true),
        "the user's address is unknown, because the click came from a server without ip_address",
    );
    check(
        "app minimum_time_to_install=flag",
        &|case| case.age_ms = -5_000,
        "the clocks of click and install disagree",
    );
    check(
        "app platform_mismatch=flag",
        &|case| case.install.origin.traits.os = None,
        "by the user agent click Android, install unknown",
    );
    check(
        "app geo_mismatch=flag",
        &|case| (case.click.place, case.install.origin.place) = (place("DE"), place("?")),
        "by the address click DE, install unknown",
    );
    let receipts = Case { settings: verified(verifier(&[("receipt_status_in", "valid")])), ..Case::new("") };
    check_words(
        &receipts,
        "knows too little to judge a click: unknown of the install: receipt_status, since nobody validates \
         receipts here.",
    );
    let cities = Case { settings: verified(verifier(&[("city_in", "Auckland")])), ..Case::new("") };
    check_words(&cities, "has no database to look up a click: unknown of the install: city.");
    check_words(&Case::new("app geo_mismatch=flag"), "has no database to look up a click.");
    let dated = Verification { valid_from: Some(T0.seconds() + 1), ..verifier(&[]) };
    let mut early = Case { settings: verified(dated), ..Case::new("") };
    early.findings = judged(early.settings.clone(), Vec::new(), &early.click, &Flags::new(), Seen::default());
    check_words(
        &early,
        "caught a click: by valid_traffic_date_start its traffic begins at 2027-01-15T08:00:01Z.",
    );
}

/// What says the same is said once: of what passed whatever its figures, else of one network.
#[test]
fn findings_that_say_the_same_are_told_once() {
    let candidate = |network: u64, verdict: Verdict, clicks: u64, kind: EngagementKind| {
        let figures = vec![figure("clicks", clicks), figure("threshold", 20), figure("hour", T0.seconds())];
        let (rule, mode, level) = (Rule::HighVolumeIp, Mode::Reject, Level::App);
        let mut candidate = Case::new("").decide().candidates.remove(0);
        candidate.network = NetworkId(network);
        candidate.kind = kind;
        candidate.fraud = vec![Finding { rule, mode, level, verdict, figures }];
        candidate
    };
    let (click, view) = (EngagementKind::Click, EngagementKind::Impression);
    let (passed, caught) = (Verdict::Passed, Verdict::Caught);
    let candidates = [
        candidate(1, caught, 30, click),
        candidate(1, passed, 12, click),
        candidate(2, caught, 30, click),
        candidate(1, caught, 30, click),
        candidate(1, caught, 31, click),
        candidate(2, passed, 2, view),
        candidate(1, caught, 30, click),
        candidate(2, caught, 30, view),
    ];
    let named: Vec<_> =
        ('a'..).zip(&candidates).map(|(name, candidate)| (format!("click {name}"), candidate)).collect();
    let rule = "Fraud rule high_volume_ip (reject, set by the app)";
    let hour = "in the last closed hour, from 2027-01-15T08:00:00Z, and 20 pass";
    assert_eq!(
        sentences(&named, "install"),
        [
            format!(
                "{rule} caught click a, and 2 other clicks of that network: 30 clicks from its address {hour}."
            ),
            format!(
                "{rule} saw nothing wrong with click b: 12 clicks from its address {hour}, nor with 1 other \
                 impression."
            ),
            format!(
                "{rule} caught click c, and 1 other impression of that network: 30 clicks from its address {hour}."
            ),
            format!("{rule} caught click e: 31 clicks from its address {hour}."),
        ]
    );
}

// ---- rules about the last closed hour

const fn counts(clicks: u32, installs: u32, late: u32) -> Counts {
    Counts { clicks, installs, late }
}

fn hour(network: Counts, site: Option<Counts>) -> Option<HourFigures> {
    Some(HourFigures { network, site, ..HourFigures::default() })
}

#[test]
fn very_few_installs_for_the_clicks_are_flooding() {
    let (caught, passed, little) = (
        "rejected:click_flooding; click_flooding reject caught",
        "device_id; click_flooding reject passed",
        "device_id; click_flooding reject too_little",
    );
    for (hour, expected) in [
        (hour(counts(1_000, 0, 0), None), caught),
        (hour(counts(1_000, 1, 0), None), passed),
        (hour(counts(1_001, 1, 0), None), caught),
        (hour(counts(999, 0, 0), None), little),
        (hour(counts(5_000, 100, 0), Some(counts(1_000, 0, 0))), caught),
        (hour(counts(5_000, 0, 0), Some(counts(1_000, 50, 0))), passed),
        (hour(counts(5_000, 0, 0), Some(counts(999, 50, 0))), caught),
        (None, "device_id; "),
    ] {
        Case { hour, ..Case::new("app click_flooding=reject") }.check(expected);
    }
    let lower = "app click_flooding=flag; network click_flooding.threshold=1; \
                 app click_flooding.threshold_clicks=10";
    Case { hour: hour(counts(100_000, 1, 0), None), ..Case::new(lower) }
        .check("device_id; click_flooding flag passed");
    Case { hour: hour(counts(10, 0, 0), None), ..Case::new(lower) }
        .check("device_id; click_flooding flag caught");
}

#[test]
fn late_installs_of_a_source_with_too_many_of_them_are_caught() {
    let caught = "rejected:tti_distribution; tti_distribution reject caught";
    let passed = "device_id; tti_distribution reject passed";
    for (installs, late, age_ms, expected) in [
        (50, 26, DAY_MS, caught),
        (50, 25, DAY_MS, passed),
        (50, 26, DAY_MS - 1, passed),
        (49, 49, DAY_MS, "device_id; tti_distribution reject too_little"),
    ] {
        let hour = hour(counts(0, installs, late), None);
        Case { hour, age_ms, ..Case::new("app tti_distribution=reject") }.check(expected);
    }
}

#[test]
fn busy_addresses_and_devices_are_caught() {
    for (ip_clicks, device_clicks, expected) in [
        (200, 50, "device_id; high_volume_ip flag passed, high_volume_device reject passed"),
        (201, 50, "device_id; high_volume_ip flag caught, high_volume_device reject passed"),
        (
            200,
            51,
            "rejected:high_volume_device; high_volume_ip flag passed, high_volume_device reject caught",
        ),
    ] {
        let hour = Some(HourFigures { ip_clicks, device_clicks, ..HourFigures::default() });
        Case { hour, ..Case::new("app high_volume_ip=flag; app high_volume_device=reject") }.check(expected);
    }
}

#[test]
fn figures_are_those_of_the_last_closed_hour() {
    let touch = click().touch(TouchId(Uuid::from_u128(5)), T0);
    let start = Timestamp(T0.millis().div_euclid(HOUR_MS) * HOUR_MS);
    let mut figures = Figures::default();
    figures.advance(start);
    (0..12).for_each(|_| figures.count_touch(&touch));
    let case = Case { age_ms: 2 * DAY_MS, ..Case::new("") };
    figures.count_install(&case.decide().candidates);
    assert_eq!(figures.of(&touch).network, counts(0, 0, 0), "the hour is still open");
    assert!(!figures.advance(start.plus(HOUR_MS - 1)));
    assert!(figures.advance(start.plus(HOUR_MS)));
    let closed = figures.of(&touch);
    assert_eq!((closed.hour, closed.ip_clicks, closed.device_clicks), (start, 12, 12));
    assert_eq!((closed.network, closed.site), (counts(12, 1, 1), Some(counts(12, 1, 1))));
    let elsewhere = Engagement { site_id: Some("s2".to_owned()), ..click() };
    assert_eq!(figures.of(&elsewhere.touch(TouchId(Uuid::from_u128(6)), T0)).site, None);
    assert!(figures.advance(start.plus(3 * HOUR_MS)));
    assert_eq!(figures.of(&touch).network, counts(0, 0, 0), "nothing came in the hour before");
}

#[test]
fn what_hourly_rules_reject_still_counts_for_its_source() {
    let mut figures = Figures::default();
    let touch = click().touch(TouchId(Uuid::from_u128(5)), T0);
    figures.advance(T0);
    let flooded = Case { hour: hour(counts(1_000, 0, 0), None), ..Case::new("app click_flooding=reject") };
    figures.count_install(&flooded.decide().candidates);
    let quick = Case { age_ms: 0, ..Case::new("app minimum_time_to_install=reject") };
    figures.count_install(&quick.decide().candidates);
    figures.advance(T0.plus(HOUR_MS));
    assert_eq!(figures.of(&touch).network, counts(0, 1, 0));
}

#[test]
fn a_clock_that_was_ahead_stops_no_hour() {
    let mut figures = Figures::default();
    figures.sequence = 9;
    assert!(figures.advance(T0.plus(365 * DAY_MS)));
    assert!(!figures.advance(T0.plus(364 * DAY_MS)), "a day may be a straggler");
    assert!(figures.advance(T0));
    assert!(figures.advance(T0.plus(HOUR_MS)));
    assert_eq!(figures.sequence, 9, "what is counted stays counted");
}

#[test]
fn figures_have_bounds() {
    let mut figures = Figures::default();
    figures.advance(T0);
    let id = TouchId(Uuid::from_u128(5));
    for n in 0..60_000_u32 {
        let mut click = click();
        click.identifiers.clear();
        click.ip = Some(std::net::Ipv4Addr::from(n).into());
        click.site_id = Some(n.to_string());
        figures.count_touch(&click.touch(id, T0));
    }
    figures.advance(T0.plus(HOUR_MS));
    let mut last = click();
    last.site_id = Some("59999".to_owned());
    let hour = figures.of(&last.touch(id, T0));
    assert_eq!((hour.network, hour.site), (counts(60_000, 0, 0), None));
}
