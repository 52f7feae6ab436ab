//! The language of the cases: a line is an engagement, or sets something up.
//!
//! An engagement is `AGE KIND NETWORK OPTION…`. `AGE` is the time before the install: hours, or with `s`,
//! `m`, `d`, `ms`; negative lies after it. Networks are `a` to `e`, each with one tracker. Kinds:
//!
//! * `device`, `view`: click, impression with the adid of the install, from elsewhere
//! * `modeled`, `viewed`: click, impression without identifier, from the address of the install
//! * `referrer`, `landing`: the click whose id the install brings back
//! * `claim`, `claimview`: what the network claims by the adid of the install
//! * `nothing`: a click that has nothing to do with the install
//!
//! Options: `id=KIND:VALUE`, `hash=KIND:DIGEST`, `ip=`, `os=`, `ver=`, `model=` (`_` for a space, empty for
//! unknown), `lookback=LENGTH`, `withheld` and `future` of claims, `received=AGE` (before the install was received), `key=` (content key), `credited`, `completed`.
//!
//! Everything else: `app|network X|here X|tracker X WINDOW LENGTH|off` (`here` is the network within the
//! app), `tracker X omit_sub_os_version`, `set SETTING VALUE`, `asa|asaview AGE|undated`,
//! `install OPTION…` with the options `os=`, `ver=`, `model=`, `ip=`, `att=`, `id=KIND:VALUE`, `no_id`, `begin` (the beginning of the download stands
//! for its time),
//! `referrer=NAME`, `campaign=GUID` (what the install referrer names),
//! `received=AGE` (after it happened), `reengage X EVENT…` makes the tracker of X one for reengagement,
//! `mtr EVENT LENGTH` sets a minimum time, `reprocessed` says that the device had the app before, `reprocessed LENGTH` how long before.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use uuid::Uuid;

use crate::{
    AppId, CampaignId, DeviceId, InstallId, NetworkId, SegmentId, Timestamp, TouchId, TrackerId,
    attribution::{Decision, Question, decide},
    catalogue::{
        App, AppNetwork, Campaign, Catalogue, Change, DestinationKind, Entry, InstallAuth, Network, Tracker,
    },
    claim::ClaimTerms,
    engagement::{EngagementKind, IpKey, LinkIdentifier, Touch},
    flag::{Flag, Flags},
    identifier::{Digest, IdKind, Identifier},
    install::{ClickReference, ClickReferenceKind, Install, InstallRecord, SearchAds},
    place::Place,
    platform::{Os, Traits},
    policy::{AppLadder, AppPolicy, DeviceAttribution, FingerprintLevel, Policy, Window, Windows},
    reengagement::{CoveredEvent, Reengagement},
};

pub(super) const ADID: &str = "7C9E6679-7425-40DE-944B-E07FC1F90AE7";
pub(super) const HERE: &str = "203.0.113.24";
const ELSEWHERE: &str = "198.51.100.7";
pub(super) const INSTALLED: Timestamp = Timestamp(1_800_000_000_000);
pub(super) const APP: AppId = AppId(7);
const NETWORKS: &str = "abcde";
const TERMS: ClaimTerms = ClaimTerms { lookback: None, granular: true, time_future: false };

/// A question that owns what it asks about.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) record: InstallRecord,
    pub(super) touches: Vec<Touch>,
    pub(super) credited: BTreeSet<TouchId>,
    pub(super) server: Policy,
    pub(super) app: AppPolicy,
    pub(super) networks: Vec<Windows>,
    pub(super) trackers: Vec<Windows>,
    /// What the trackers of these places may be credited with as reengagement trackers.
    pub(super) reengagements: BTreeMap<usize, Reengagement>,
    pub(super) minimum_times: BTreeMap<String, u32>,
    pub(super) app_networks: Vec<Windows>,
    pub(super) omit_sub_os_version: Vec<bool>,
}

impl World {
    pub(super) fn new() -> Self {
        let mut install = Install { time: INSTALLED, ..Install::default() };
        install.origin.identifiers = vec![identifier("adid", ADID)];
        install.origin.ip = HERE.parse().ok();
        install.origin.traits = pixel();
        let record = InstallRecord {
            id: InstallId(Uuid::from_u128(1 << 100)),
            app: APP,
            device: DeviceId(Uuid::from_u128(1 << 100)),
            received: INSTALLED,
            catalogue: 1,
            install,
            flags: Flags::new(),
            reprocess_for: None,
            last_installed: None,
        };
        Self {
            record,
            touches: Vec::new(),
            credited: BTreeSet::new(),
            server: Policy::default(),
            app: AppPolicy::default(),
            networks: vec![Windows::default(); NETWORKS.len()],
            trackers: vec![Windows::default(); NETWORKS.len()],
            reengagements: BTreeMap::new(),
            minimum_times: BTreeMap::new(),
            app_networks: vec![Windows::default(); NETWORKS.len()],
            omit_sub_os_version: vec![false; NETWORKS.len()],
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        let mut world = Self::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            world.line(line);
        }
        world
    }

    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["server", window, length] => set_window(&mut self.server.windows, window, length),
            ["app", window, length] => set_window(&mut self.app.windows, window, length),
            ["network", name, window, length] => {
                set_window(&mut self.networks[number(name)], window, length);
            }
            ["here", name, window, length] => {
                set_window(&mut self.app_networks[number(name)], window, length);
            }
            ["tracker", name, "omit_sub_os_version"] => self.omit_sub_os_version[number(name)] = true,
            ["tracker", name, window, length] => {
                set_window(&mut self.trackers[number(name)], window, length);
            }
            ["reengage", name, events @ ..] => self.reengage(number(name), events),
            ["mtr", event, length] => {
                let seconds = u32::try_from(ms(length) / 1_000).expect("a time");
                self.minimum_times.insert((*event).to_owned(), seconds);
            }
            ["reprocessed", last @ ..] => {
                self.record.reprocess_for = Some(InstallId(Uuid::from_u128(7)));
                self.record.last_installed = last.first().map(|ago| INSTALLED.plus(-ms(ago)));
            }
            ["set", "clock_skew", length] => self.app.clock_skew_ms = Some(ms(length)),
            ["set", "modeled_without_att", on] => self.app.modeled_without_att = on.parse().ok(),
            ["set", "modeled_single_use", on] => self.app.modeled_single_use = on.parse().ok(),
            ["set", setting, value] => set_ladder(&mut self.app.ladder, setting, value),
            [word @ ("asa" | "asaview"), age] => {
                let click_time = (*age != "undated").then(|| INSTALLED.plus(-ms(age)));
                let viewed = *word == "asaview";
                self.record.install.search_ads =
                    Some(Box::new(SearchAds { click_time, viewed, ..SearchAds::default() }));
            }
            ["install", options @ ..] => options.iter().for_each(|option| self.install(option)),
            [age, kind, network, options @ ..] => self.touch(age, kind, number(network), options),
            _ => panic!("what is {line:?}?"),
        }
    }

    /// Makes a tracker one for reengagement with these events: `NAME`, `NAME/clicks`, `NAME/impressions`.
    fn reengage(&mut self, place: usize, events: &[&str]) {
        let events = events.iter().map(|event| {
            let (name, by) = event.split_once('/').unwrap_or((event, ""));
            CoveredEvent { name: name.to_owned(), clicks: by != "impressions", impressions: by != "clicks" }
        });
        self.reengagements.insert(place, Reengagement { events: events.collect() });
    }

    fn install(&mut self, option: &str) {
        let origin = &mut self.record.install.origin;
        match option.split_once('=') {
            None if option == "no_id" => origin.identifiers.clear(),
            None if option == "begin" => drop(self.record.flags.insert(Flag::ReferrerBeginTime)),
            Some(("received", after)) => self.record.received = INSTALLED.plus(ms(after)),
            Some(("referrer", name)) => {
                let referrer = self.record.install.referrer.get_or_insert_default();
                (referrer.name, referrer.paid) = (Some(name.replace('_', " ")), true);
            }
            Some(("campaign", guid)) => {
                self.record.install.referrer.get_or_insert_default().campaign = Some(guid.to_owned());
            }
            Some(("att", flag)) => origin.consent.att.flag = flag.parse().ok(),
            Some(("ip", ip)) => origin.ip = ip.parse().ok(),
            Some(("id", id)) => origin.identifiers.push(plain(id)),
            Some((key, value)) => set_trait(&mut origin.traits, key, value),
            None => panic!("what is {option:?}?"),
        }
    }

    fn touch(&mut self, age: &str, kind: &str, network: usize, options: &[&str]) {
        let id = TouchId(Uuid::from_u128(1 + self.touches.len() as u128));
        let near = matches!(kind, "modeled" | "viewed");
        let time = INSTALLED.plus(-ms(age));
        let mut touch = Touch {
            id,
            kind: match kind {
                "view" | "viewed" | "claimview" => EngagementKind::Impression,
                _ => EngagementKind::Click,
            },
            time,
            received: time,
            tracker: Some(TrackerId(100 + network as u64)),
            network: NetworkId(10 + network as u64),
            campaign: Some(CampaignId(5)),
            segment: Some(SegmentId(6)),
            identifiers: Vec::new(),
            ip: ip(if near { HERE } else { ELSEWHERE }),
            traits: pixel(),
            content_key: 50,
            completed_view: false,
            site: None,
            findings: Vec::new(),
            claim: None,
            place: Place::default(),
            ip_of_caller: false,
        };
        match kind {
            "device" | "view" | "claim" | "claimview" => {
                touch.identifiers.push(LinkIdentifier::Plain(identifier("adid", ADID)))
            }
            "modeled" | "viewed" | "nothing" => {}
            "referrer" => self.record.install.click = named(id, ClickReferenceKind::InstallReferrer),
            "landing" => self.record.install.click = named(id, ClickReferenceKind::LandingPage),
            _ => panic!("what is {kind:?}?"),
        }
        if kind.starts_with("claim") {
            touch.claim = Some(TERMS);
        }
        for option in options {
            match option.split_once('=') {
                None if *option == "withheld" => {
                    touch.claim = Some(ClaimTerms { granular: false, ..TERMS });
                }
                Some(("lookback", length)) => {
                    let seconds = u32::try_from(ms(length) / 1_000).expect("a window");
                    touch.claim = Some(ClaimTerms { lookback: Some(Window::Seconds(seconds)), ..TERMS });
                }
                None if *option == "future" => {
                    touch.claim = Some(ClaimTerms { time_future: true, ..TERMS });
                }
                None if *option == "completed" => touch.completed_view = true,
                None if *option == "credited" => {
                    self.credited.insert(id);
                }
                Some(("received", before)) => touch.received = self.record.received.plus(-ms(before)),
                Some(("key", key)) => touch.content_key = key.parse().expect("a number"),
                Some(("ip", address)) => touch.ip = ip(address),
                Some(("id", id)) => touch.identifiers.push(LinkIdentifier::Plain(plain(id))),
                Some(("hash", hash)) => touch.identifiers.push(hashed(hash)),
                Some((key, value)) => set_trait(&mut touch.traits, key, value),
                None => panic!("what is {option:?}?"),
            }
        }
        self.touches.push(touch);
    }

    pub(super) fn catalogue(&self) -> Catalogue {
        let mut catalogue = Catalogue::default();
        let mut add = |entry| {
            let version = catalogue.version + 1;
            catalogue.apply(Change { version, at: INSTALLED, by: None, entry });
        };
        add(Entry::Policy(self.server));
        add(Entry::App(App {
            id: APP,
            guid: "kosextant-demo-ab12cd".to_owned(),
            name: "Demo".to_owned(),
            platform: "Android".to_owned(),
            referrer: crate::referrer::ReferrerKeys::default(),
            schemes: Vec::new(),
            auth: InstallAuth::default(),
            policy: self.app,
            created: INSTALLED,
            updated: INSTALLED,
            deleted: false,
            extra: String::new(),
            minimum_times: self.minimum_times.clone(),
            browser: crate::catalogue::BrowserSettings::default(),
        }));
        add(Entry::Campaign(Campaign {
            id: CampaignId(5),
            app: APP,
            name: "Launch".to_owned(),
            created: INSTALLED,
            deleted: false,
            extra: String::new(),
        }));
        for (place, letter) in NETWORKS.chars().enumerate() {
            let network = NetworkId(10 + place as u64);
            add(Entry::Network(Network {
                id: network,
                name: format!("Network {}", letter.to_ascii_uppercase()),
                windows: self.networks[place],
                created: INSTALLED,
                deleted: false,
                extra: String::new(),
            }));
            add(Entry::AppNetwork(AppNetwork { app: APP, network, windows: self.app_networks[place] }));
            add(Entry::Tracker(Tracker {
                id: TrackerId(100 + place as u64),
                guid: format!("kotracker-{letter}"),
                app: APP,
                campaign: CampaignId(5),
                segment: SegmentId(6),
                network,
                name: format!("Link {letter}"),
                destination_url: "https://example.com/".to_owned(),
                destination: DestinationKind::Custom,
                windows: self.trackers[place],
                created: INSTALLED,
                // A tracker that has gone still wins with the clicks it had (section 19).
                deleted: letter == 'e',
                extra: String::new(),
                reengagement: self.reengagements.get(&place).cloned(),
                omit_sub_os_version: self.omit_sub_os_version[place],
                verification: None,
            }));
        }
        catalogue
    }

    pub(super) fn decide(&self) -> Decision {
        self.ask(decide)
    }

    /// Asks the question.
    pub(super) fn ask<T>(&self, of: impl FnOnce(&Question<'_>) -> T) -> T {
        of(&Question {
            record: &self.record,
            touches: &self.touches,
            more: false,
            credited: &self.credited,
            figures: &BTreeMap::new(),
            catalogue: &self.catalogue(),
            revision: 0,
            decided: self.record.received,
        })
    }
}

/// Decides `case`, in both orders and with every engagement twice, and compares the decision in words:
/// `b device_id +flag… (ambiguous); a older_click, c late`. Without a `;` the losers do not matter.
pub(super) fn check(case: &str, expected: &str) {
    let world = World::parse(case);
    let forward = world.decide();
    let mut turned = world.clone();
    turned.touches.reverse();
    assert_eq!(forward, turned.decide(), "the order mattered in:\n{case}");
    turned.touches.extend(world.touches);
    assert_eq!(forward, turned.decide(), "a repeated engagement mattered in:\n{case}");
    let words = in_words(&forward);
    let shown =
        if expected.contains(';') { words.as_str() } else { words.split(';').next().unwrap_or_default() };
    assert_eq!(shown, expected, "in:\n{case}");
}

fn in_words(decision: &Decision) -> String {
    let mut words = match decision.winner() {
        Some(winner) => format!("{} {}", letter(winner.network), winner.basis.class()),
        None => decision.class().to_owned(),
    };
    for flag in &decision.flags {
        words += &format!(" +{flag}");
    }
    if decision.ambiguous {
        words += " (ambiguous)";
    }
    let losers: Vec<String> = decision
        .candidates
        .iter()
        .filter_map(|candidate| Some(format!("{} {}", letter(candidate.network), candidate.lost?)))
        .collect();
    format!("{words}; {}", losers.join(", "))
}

fn letter(network: NetworkId) -> String {
    match network.0 {
        1 => "apple".to_owned(),
        number => NETWORKS.chars().nth(number as usize - 10).map(String::from).unwrap_or_default(),
    }
}

fn number(network: &str) -> usize {
    NETWORKS.find(network).expect("a network from a to e")
}

pub(super) fn ms(length: &str) -> i64 {
    let digits = length.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &length[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "" => 3_600_000,
        "d" => 86_400_000,
        unit => panic!("what is {unit:?}?"),
    };
    digits.parse::<i64>().expect("a number") * unit
}

fn set_window(windows: &mut Windows, window: &str, length: &str) {
    let length = match length {
        "off" => Window::Disabled,
        length => Window::Seconds(u32::try_from(ms(length) / 1_000).expect("a window")),
    };
    *match window {
        "click_device" => &mut windows.click_device,
        "click_modeled" => &mut windows.click_modeled,
        "impression_device" => &mut windows.impression_device,
        "impression_modeled" => &mut windows.impression_modeled,
        "click_ip" => &mut windows.click_ip,
        "click_partial_ip" => &mut windows.click_partial_ip,
        "impression_ip" => &mut windows.impression_ip,
        "impression_partial_ip" => &mut windows.impression_partial_ip,
        "event_association" => &mut windows.event_association,
        _ => panic!("what is {window:?}?"),
    } = Some(length);
}

fn set_ladder(ladder: &mut AppLadder, setting: &str, value: &str) {
    let on = value.parse().ok();
    match (setting, value) {
        ("device_impressions_first", _) => ladder.device_impressions_first = on,
        ("limit_ad_tracking_fallback", _) => ladder.limit_ad_tracking_fallback = on,
        ("prioritize_completed_view", _) => ladder.prioritize_completed_view = on,
        ("impressions", _) => ladder.impressions = on,
        ("refuse_ambiguous", _) => ladder.refuse_ambiguous = on,
        ("prioritize_clicked_impressions", _) => ladder.prioritize_clicked_impressions = on,
        ("equalizer", "off") => ladder.equalizer = Some(Window::Disabled),
        ("equalizer", length) => {
            let seconds = u32::try_from(ms(length) / 1_000).expect("a window");
            ladder.equalizer = Some(Window::Seconds(seconds));
        }
        ("device_attribution", "inclusive") => ladder.device_attribution = Some(DeviceAttribution::Inclusive),
        ("fingerprint_level", "ip_only") => ladder.fingerprint_level = Some(FingerprintLevel::IpOnly),
        ("fingerprint_level", "ip_range") => ladder.fingerprint_level = Some(FingerprintLevel::IpRange),
        _ => panic!("what is {setting:?} {value:?}?"),
    }
}

fn set_trait(traits: &mut Traits, key: &str, value: &str) {
    let value = value.replace('_', " ");
    let known = (!value.is_empty()).then(|| value.clone());
    match key {
        "os" => traits.os = Os::named(&value),
        "ver" => traits.os_version = known,
        "model" => traits.model = known,
        _ => panic!("what is {key:?}?"),
    }
}

fn pixel() -> Traits {
    Traits { os: Some(Os::Android), os_version: Some("14".to_owned()), model: Some("Pixel 8 Pro".to_owned()) }
}

pub(super) fn ip(address: &str) -> Option<IpKey> {
    address.parse::<IpAddr>().ok().map(IpKey::from)
}

pub(super) fn identifier(kind: &str, value: &str) -> Identifier {
    Identifier::new(IdKind::named(kind), value).expect("a usable identifier")
}

fn plain(text: &str) -> Identifier {
    let (kind, value) = text.split_once(':').expect("kind:value");
    identifier(kind, value)
}

fn hashed(text: &str) -> LinkIdentifier {
    let (kind, digest) = text.split_once(':').expect("kind:digest");
    LinkIdentifier::Hashed(IdKind::named(kind), Digest::parse(digest).expect("a digest"))
}

fn named(touch: TouchId, kind: ClickReferenceKind) -> Option<ClickReference> {
    let written = touch.to_string();
    Some(ClickReference {
        kind,
        raw: format!("utm_source={written}"),
        written,
        touch: Some(touch),
        click_time: None,
    })
}
