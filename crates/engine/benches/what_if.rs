//! A what-if over a million installs and ten million engagements: time and resident memory.
//!
//! `cargo bench -p engine --bench what_if -- [DIR] [INSTALLS] [ENGAGEMENTS]` makes a store of generated facts
//! in DIR, unless it is there already, and asks two questions, each in a process of its own: with nothing
//! changed, where nothing may differ, and with a modeled window of one day.
//!
//! The generated town: people in households of three behind one address, five people for each install, two
//! engagements each in thirty days; half of the engagements carry the identifier of the device, a fifth are
//! impressions. Decisions are made by the rules themselves, from what is known of each household.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement ends where it fails, and prints"
)]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Instant,
};

use engine::{Alteration, Plan, Progress, what_if};
use measure::{
    AppId, CampaignId, InputId, NetworkId, SegmentId, Timestamp, TouchId, TrackerId,
    attribution::{Decision, Question, decide},
    catalogue::{
        App, BrowserSettings, Catalogue, Change, DestinationKind, Entry, InstallAuth, Network, Tracker,
    },
    consent::Att,
    device::Origin,
    engagement::{Engagement, EngagementKind, LinkIdentifier, Touch},
    flag::Flags,
    identifier::{IdKind, Identifier},
    input::{Fact, Input, Outcome, Payload},
    install::{Install, InstallRecord},
    platform::{Os, Traits},
    policy::{AppPolicy, Window, Windows},
    time::DAY_MS,
};
use store::{Batch, Fjall, Options, Store};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const APP: AppId = AppId(1);
const START_MS: i64 = 1_760_000_000_000;
const SPAN_MS: i64 = 30 * DAY_MS;
const NETWORKS: u64 = 8;
const HOUSEHOLD: u64 = 3;
const STEP_FACTS: usize = 2_000;
/// Tells engagements from installs among the things that happen.
const INSTALL: u64 = u64::MAX;

/// How much happens.
#[derive(Clone, Copy)]
struct Town {
    installs: u64,
    touches: u64,
}

/// Something that happens: when, to whom, and which of that person's engagements it is.
type Happening = (i64, u64, u64);

/// A number that follows from others, evenly spread.
fn mix(parts: [u64; 3]) -> u64 {
    let mut x = 0x9E37_79B9_7F4A_7C15_u64;
    for part in parts {
        x ^= part.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 30)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^= x >> 31;
    }
    x
}

fn time_of(person: u64, which: u64) -> i64 {
    START_MS
        + i64::try_from(mix([person, which, 1])).unwrap_or(i64::MAX).rem_euclid(SPAN_MS)
        + i64::try_from(mix([person, which, 2]) % 3).unwrap_or_default()
}

impl Town {
    fn people(self) -> u64 {
        self.installs * 5
    }

    /// Every fifth person installs.
    fn installs(self, person: u64) -> bool {
        person % 5 == 2 && person < self.people()
    }

    fn touches_of(self, person: u64) -> u64 {
        let each = self.touches / self.people().max(1);
        each + u64::from(person < self.touches % self.people().max(1))
    }

    /// Everything, in order.
    fn happenings(self) -> Vec<Happening> {
        let mut all = Vec::new();
        for person in 0..self.people() {
            all.extend((0..self.touches_of(person)).map(|which| (time_of(person, which), person, which)));
            if self.installs(person) {
                all.push((time_of(person, INSTALL), person, INSTALL));
            }
        }
        all.sort_unstable();
        all
    }
}

fn id(happening: Happening) -> InputId {
    let (time, person, which) = happening;
    let low = u128::from(person) << 8 | u128::from(which & 0xFF);
    let ms = u128::try_from(time).unwrap_or_default();
    InputId(Uuid::from_u128(ms << 80 | 0x7000_u128 << 64 | 0x8000_u128 << 48 | low))
}

fn adid(person: u64) -> Identifier {
    let value = Uuid::from_u128(u128::from(mix([person, 3, 0])) << 64 | u128::from(person)).hyphenated();
    Identifier { kind: IdKind::Adid, value: value.to_string() }
}

fn ip(person: u64) -> std::net::IpAddr {
    let household = u32::try_from(person / HOUSEHOLD).unwrap_or_default();
    std::net::Ipv4Addr::from(0x0A00_0000 | household).into()
}

fn traits(person: u64) -> Traits {
    let of = mix([person, 4, 0]);
    Traits {
        os: Some(Os::Android),
        os_version: Some(format!("{}", 11 + of % 5)),
        model: Some(format!("Model {}", of / 5 % 40)),
    }
}

fn engagement(happening: Happening) -> Engagement {
    let (time, person, which) = happening;
    let of = mix([person, which, 5]);
    let network = 1 + of % NETWORKS;
    let named = (of / 8).is_multiple_of(2);
    Engagement {
        kind: if (of / 16).is_multiple_of(5) { EngagementKind::Impression } else { EngagementKind::Click },
        time: Timestamp(time),
        tracker: TrackerId(network),
        network: NetworkId(network),
        campaign: CampaignId(network % 3 + 1),
        segment: SegmentId(1),
        identifiers: named.then(|| LinkIdentifier::Plain(adid(person))).into_iter().collect(),
        ip: Some(ip(person)),
        user_agent: Some(format!("Mozilla/5.0 (Linux; Android 14; {of:016x}) Mobile Safari/537.36")),
        traits: traits(person),
        att: Att::default(),
        click_id: Some(format!("{of:016x}")),
        site_id: Some(format!("site-{}", of % 500)),
        sub_site_id: None,
        creative_id: None,
        params: vec![("cp_0".to_owned(), "spring".to_owned())],
        query: format!("campaign_id=kotown-t{network}&network_id={network}&click_id={of:016x}&site_id=s"),
        place: measure::place::Place::default(),
        ip_of_caller: false,
    }
}

fn input(happening: Happening, payload: Payload, catalogue: u64) -> Input {
    Input {
        id: id(happening),
        received: Timestamp(happening.0),
        app: APP,
        catalogue,
        key: None,
        body_hash: [0; 16],
        body: String::new(),
        flags: Flags::new(),
        payload,
        via: Default::default(),
    }
}

fn record(happening: Happening, catalogue: u64) -> InstallRecord {
    let (time, person, _) = happening;
    let origin = Origin {
        kochava_device_id: Some(format!("SX-{person}")),
        identifiers: vec![adid(person)],
        ip: Some(ip(person)),
        traits: traits(person),
        ..Origin::default()
    };
    let id = id(happening);
    InstallRecord {
        id: id.into(),
        app: APP,
        device: id.into(),
        received: Timestamp(time),
        catalogue,
        install: Install { origin, time: Timestamp(time), ..Install::default() },
        flags: Flags::new(),
        reprocess_for: None,
        last_installed: None,
    }
}

/// Decides the installs of a household up to one of them, and gives that one's decision: only its own
/// engagements can matter.
fn decision(town: Town, of: u64, catalogue: &Catalogue) -> Decision {
    let first = of / HOUSEHOLD * HOUSEHOLD;
    let people = first..(first + HOUSEHOLD).min(town.people());
    let touches: Vec<(Happening, Touch)> = people
        .clone()
        .flat_map(|person| {
            (0..town.touches_of(person)).map(move |which| (time_of(person, which), person, which))
        })
        .map(|it| (it, engagement(it).touch(TouchId::from(id(it)), Timestamp(it.0))))
        .collect();
    let mut installs: Vec<Happening> = people
        .filter(|person| town.installs(*person))
        .map(|person| (time_of(person, INSTALL), person, INSTALL))
        .collect();
    installs.sort_unstable();
    let mut credited = BTreeSet::new();
    for happening in installs {
        let record = record(happening, catalogue.version);
        // An engagement received after the install was not there yet.
        let known = touches.iter().filter(|(it, _)| *it < happening);
        let known: Vec<Touch> = known.map(|(_, touch)| touch.clone()).collect();
        let decide = |credited: &BTreeSet<TouchId>| {
            decide(&Question {
                record: &record,
                touches: &known,
                more: false,
                credited,
                figures: &std::collections::BTreeMap::new(),
                catalogue,
                revision: 0,
                decided: record.received,
            })
        };
        let alone = decide(&BTreeSet::new());
        let likely = |decision: &Decision| {
            decision
                .winner()
                .filter(|winner| !winner.basis.is_deterministic())
                .and_then(|winner| winner.touch)
        };
        let shared: BTreeSet<TouchId> =
            likely(&alone).filter(|touch| credited.contains(touch)).into_iter().collect();
        let decision = if shared.is_empty() { alone } else { decide(&shared) };
        credited.extend(likely(&decision));
        if happening.1 == of {
            return decision;
        }
    }
    unreachable!("{of} installs")
}

fn changes() -> Vec<Change> {
    let at = Timestamp(START_MS - 1_000);
    let mut entries = vec![Entry::App(App {
        id: APP,
        guid: "kotown-1".to_owned(),
        name: "Town".to_owned(),
        platform: "Android".to_owned(),
        auth: InstallAuth::default(),
        policy: AppPolicy::default(),
        minimum_times: std::collections::BTreeMap::new(),
        browser: BrowserSettings::default(),
        referrer: Default::default(),
        schemes: Vec::new(),
        created: at,
        updated: at,
        deleted: false,
        extra: "{}".to_owned(),
    })];
    for n in 1..=NETWORKS {
        entries.push(Entry::Network(Network {
            id: NetworkId(n),
            name: format!("Network {n}"),
            windows: Windows::default(),
            created: at,
            deleted: false,
            extra: "{}".to_owned(),
        }));
        entries.push(Entry::Tracker(Tracker {
            id: TrackerId(n),
            guid: format!("kotown-t{n}"),
            app: APP,
            campaign: CampaignId(n % 3 + 1),
            segment: SegmentId(1),
            network: NetworkId(n),
            name: format!("Tracker {n}"),
            destination_url: "https://example.com/".to_owned(),
            destination: DestinationKind::Custom,
            windows: Windows::default(),
            reengagement: None,
            omit_sub_os_version: Default::default(),
            verification: None,
            created: at,
            deleted: false,
            extra: "{}".to_owned(),
        }));
    }
    (1..).zip(entries).map(|(version, entry)| Change { version, at, by: None, entry }).collect()
}

fn build(directory: &Path, town: Town) {
    let begun = Instant::now();
    let store = Fjall::open(directory, Options::default()).unwrap();
    let changes = changes();
    store.record(&changes).unwrap();
    let mut catalogue = Catalogue::default();
    changes.into_iter().for_each(|change| catalogue.apply(change));
    let mut sequence = 0;
    for chunk in town.happenings().chunks(STEP_FACTS) {
        let mut batch = Batch { now: Timestamp(chunk.last().unwrap().0), ..Batch::default() };
        for happening in chunk {
            sequence += 1;
            let (payload, outcome) = if happening.2 == INSTALL {
                let record = record(*happening, catalogue.version);
                let outcome = Outcome::Installed {
                    install: record.id,
                    source: None,
                    suppressed: Vec::new(),
                    reprocess_for: None,
                };
                let payload = Payload::Install(record.install.clone());
                batch.installs.push(record);
                batch.decisions.push(decision(town, happening.1, &catalogue));
                (payload, outcome)
            } else {
                let outcome =
                    Outcome::Touched { duplicate: false, suppressed: Vec::new(), findings: Vec::new() };
                (Payload::Engagement(engagement(*happening)), outcome)
            };
            let input = input(*happening, payload, catalogue.version);
            batch.facts.push(Fact { sequence, input, outcomes: vec![outcome] });
        }
        store.commit(&batch).unwrap();
        if sequence % 1_000_000 < STEP_FACTS as u64 {
            println!("  {sequence} facts written");
        }
    }
    println!("made the store in {:.0} s", begun.elapsed().as_secs_f64());
}

/// What the system says of this process: kilobytes.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found =
        status.lines().find_map(|text| text.strip_prefix(line)?.split_whitespace().next()?.parse().ok());
    found.unwrap_or_default()
}

/// The processor time that this process has taken, in seconds: what counts where others use the machine, too.
/// The system tells it in hundredths.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: u32 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    f64::from(ticks) / 100.0
}

fn ask(directory: &Path, shorter: bool) {
    let store: Arc<dyn Store> = Arc::new(Fjall::open(directory, Options::default()).unwrap());
    let alter = move |entry: &mut Entry| {
        if let (true, Entry::App(app)) = (shorter, entry) {
            app.policy.windows.click_modeled = Some(Window::Seconds(86_400));
        }
    };
    let alteration = Alteration { alter: Box::new(alter), begin: Vec::new() };
    let plan = Plan { app: APP, from: None, until: None, alteration, readers: 1 };
    let opened = memory("VmRSS:");
    let (begun, processor_begun) = (Instant::now(), processor());
    let so_far = || (begun.elapsed().as_secs_f64(), processor() - processor_begun);
    let looked_through = std::cell::Cell::new(None);
    let watch = |progress: Progress| {
        if progress.of > 0 && looked_through.get().is_none() {
            looked_through.set(Some(so_far()));
        }
        true
    };
    let report = what_if(&store, &plan, &watch).unwrap();
    let (took, processor_took) = so_far();
    let (first, processor_first) = looked_through.get().unwrap_or_default();
    println!(
        "{}: {} installs, {} facts in {took:.1} s, {processor_took:.1} s of a processor ({first:.1} s and \
         {processor_first:.1} s of it for looking through the installs), {} differ; {} engagements held at once, \
         {} MiB resident at most, {} when the store was opened",
        if shorter { "modeled window of one day" } else { "nothing changed" },
        report.installs,
        report.facts,
        report.altered,
        report.kept,
        memory("VmHWM:") / 1024,
        opened / 1024
    );
    assert!(
        shorter || report.altered == 0,
        "with nothing changed nothing may differ: {:?}",
        report.changes.first()
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let argument = |place: usize| arguments.get(place).map(String::as_str);
    if let (Some("ask"), Some(directory), Some(which)) = (argument(0), argument(1), argument(2)) {
        return ask(Path::new(directory), which == "shorter");
    }
    let directory = argument(0).map_or_else(|| std::env::temp_dir().join("sextant-what-if"), PathBuf::from);
    let number = |place: usize, standard: u64| argument(place).map_or(standard, |text| text.parse().unwrap());
    let town = Town { installs: number(1, 1_000_000), touches: number(2, 10_000_000) };
    let done = directory.join(format!("made-{}-{}", town.installs, town.touches));
    if !done.exists() {
        println!(
            "making {} with {} installs, {} engagements",
            directory.display(),
            town.installs,
            town.touches
        );
        std::fs::create_dir_all(&directory).unwrap();
        build(&directory.join("store"), town);
        std::fs::write(&done, "").unwrap();
    }
    for which in ["same", "shorter"] {
        let me = std::env::current_exe().unwrap();
        let status = Command::new(me).arg("ask").arg(directory.join("store")).arg(which).status().unwrap();
        assert!(status.success(), "{which}");
    }
}
