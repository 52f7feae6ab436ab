//! A town as inputs of the engine, and what the engine makes of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use anyhow::{Context as _, anyhow};
use engine::{Machine, Submission};
use measure::{
    AppId, CampaignId, InputId, NetworkId, SegmentId, Timestamp, TouchId, TrackerId,
    attribution::Decision,
    catalogue::{App, Catalogue, Change, DestinationKind, Entry, InstallAuth, Network, Tracker},
    engagement::EngagementKind,
    flag::Flag,
    fraud::{Blocked, FraudSettings, Listing, Scope},
    input::{Input, Payload},
    place::{Country, Place},
    policy::{AppPolicy, Windows},
    time::DAY_MS,
};
use simulate::{
    city::{self, Call, Cause, City, FLOODER, NETWORKS, Names, Plan, What},
    device::Platform,
};
use store::{Memory, Store};
use wire::{
    link::LinkEdge,
    s2s::{Edge, Endpoint, elements, parse},
};

use super::{
    Settings,
    score::{Found, Score},
};
use crate::edge::UserAgents;

/// When every town begins: times are the town's, not the clock's.
const FROM: Timestamp = Timestamp(1_760_000_400_000);
/// Inputs decided in one step; where steps end never shows.
const STEP: usize = 500;
/// The first network's number; lower ones are kept for built-in ones.
const FIRST_NETWORK: u64 = 1_001;

/// How long after the first installs the account lists what it has found out by then.
const LISTED_AFTER: i64 = 2 * DAY_MS;

/// A town, parsed once.
pub struct Town {
    city: City,
    inputs: Vec<Input>,
    /// The mark of the call that each touch stands for.
    marks: HashMap<TouchId, u64>,
}

impl Town {
    /// Draws a town and reads its calls as a server would.
    pub fn draw(seed: u64, people: usize, flood: u32) -> anyhow::Result<Self> {
        let names = Names {
            tracker: &|platform, network| tracker_guid(platform, network),
            app: &|platform| app_guid(platform).to_owned(),
            click: &|received, mark| TouchId::from(input_id(received, mark, false)).to_string(),
        };
        let city = city::city(&Plan { seed, people, from: FROM.millis(), flood }, &names);
        let catalogue = catalogue(&Settings::default(), Vec::new());
        let user_agents = UserAgents::default();
        let read = |call| read(&catalogue, &user_agents, call);
        let inputs: Vec<Input> = city.calls.iter().map(read).collect::<anyhow::Result<_>>()?;
        let marks =
            city.calls.iter().zip(&inputs).map(|(call, input)| (input.id.into(), call.mark)).collect();
        Ok(Self { city, inputs, marks })
    }

    /// How many inputs a run takes.
    pub const fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// How many installs there are.
    pub const fn installs(&self) -> usize {
        self.city.installs.len()
    }

    /// When the week of installs begins.
    pub const fn installs_from(&self) -> i64 {
        self.city.installs_from
    }

    /// Decides everything under settings and holds it against the truth. `progress` is told of each step.
    pub fn decide(&self, settings: &Settings, progress: impl Fn(usize)) -> anyhow::Result<Score> {
        let listed = self.installs_from() + LISTED_AFTER;
        let before = Arc::new(catalogue(settings, Vec::new()));
        let after = Arc::new(catalogue(settings, self.found_out(Timestamp(listed))?));
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let mut machine = Machine::open(store.clone(), before.clone())?;
        for step in self.inputs.chunks(STEP) {
            let taken = |input: &Input| {
                let then = if input.received.millis() < listed { &before } else { &after };
                let input = Input { catalogue: then.version, ..input.clone() };
                vec![Submission::Input(Box::new(input), then.clone())]
            };
            machine.process(step.iter().map(taken).collect());
            progress(step.len());
        }
        let mut score = Score::default();
        let first: HashMap<u64, &Input> = self
            .city
            .calls
            .iter()
            .zip(&self.inputs)
            .filter(|(call, _)| !call.again)
            .map(|(call, input)| (call.mark, input))
            .collect();
        for install in &self.city.installs {
            let input = first.get(&install.mark).context("an install without a call")?;
            let (_, mut decisions) =
                store.install(input.app, input.id.into())?.ok_or_else(|| anyhow!("an install was lost"))?;
            let decision = decisions.pop().context("an install without a decision")?;
            score.count(install, self.found(&decision), &self.city.marks);
        }
        Ok(score)
    }

    /// What an account has found out until `time`: the phones and addresses of the farm as its installs tell them,
    /// and the sites that the flooder names.
    pub fn found_out(&self, time: Timestamp) -> anyhow::Result<Vec<Blocked>> {
        let fakes = self.city.installs.iter().filter(|install| install.cause == Cause::Fake);
        let fakes: BTreeSet<u64> = fakes.map(|install| install.mark).collect();
        let (mut blocked, mut addresses, mut sites) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let inputs = self.city.calls.iter().zip(&self.inputs);
        for (call, input) in inputs.take_while(|(_, input)| input.received < time) {
            match &input.payload {
                Payload::Install(install) if fakes.contains(&call.mark) => {
                    addresses.extend(install.origin.ip);
                    let identifiers = &install.origin.identifiers;
                    blocked.extend(
                        identifiers.iter().filter_map(|one| Blocked::device(one.kind.name(), &one.value)),
                    );
                }
                Payload::Engagement(engagement) if engagement.network == network_id(FLOODER) => {
                    sites.extend(engagement.site_id.as_deref());
                }
                _ => {}
            }
        }
        for address in addresses {
            blocked.push(Blocked::Ip(address.to_string().parse().map_err(|_| anyhow!("{address} is none"))?));
        }
        blocked
            .extend(sites.into_iter().map(|site| Blocked::Site(Some(network_id(FLOODER)), site.to_owned())));
        Ok(blocked)
    }

    fn found(&self, decision: &Decision) -> Found {
        Found {
            class: decision.class(),
            kind: decision.winner().map(|winner| winner.kind),
            mark: decision
                .winner()
                .and_then(|winner| winner.touch)
                .and_then(|touch| self.marks.get(&touch).copied()),
            ambiguous: decision.ambiguous,
        }
    }
}

/// A call as an input.
fn read(catalogue: &Catalogue, user_agents: &UserAgents, call: &Call) -> anyhow::Result<Input> {
    let received = Timestamp(call.received);
    let app = catalogue.app_by_guid(app_guid(call.platform)).context("the app is unknown")?;
    let traits_of = |user_agent: &str| user_agents.traits_of(user_agent);
    let (payload, flags) = match &call.what {
        What::Click(query) => engagement(catalogue, app, EngagementKind::Click, query, received, &traits_of)?,
        What::View(query) => {
            engagement(catalogue, app, EngagementKind::Impression, query, received, &traits_of)?
        }
        What::Install(body) => {
            let read = elements(body.as_bytes()).map_err(|refused| anyhow!(refused.error))?;
            let element = read.elements.into_iter().next().and_then(Result::ok).context("an empty body")?;
            let edge = Edge { received, ip: None, user_agent: None, traits_of: &traits_of };
            let parsed = parse(Endpoint::TrackJson, &element, app, &edge).map_err(|no| anyhow!(no.error))?;
            (parsed.payload, parsed.flags)
        }
    };
    let mut payload = payload;
    locate(&mut payload);
    Ok(Input {
        id: input_id(call.received, call.mark, call.again),
        via: measure::source::Via::default(),
        received,
        app: app.id,
        catalogue: catalogue.version,
        key: None,
        body_hash: [0; 16],
        body: String::new(),
        flags,
        payload,
    })
}

/// What databases of addresses would say, as the edge writes it down ([`crate::edge::Edge::locate`]).
fn locate(payload: &mut Payload) {
    let place_of = |ip: Option<IpAddr>| Place {
        has_countries: true,
        country: ip.map(city::country).and_then(Country::named),
        anonymous: ip.map(city::is_rented),
    };
    match payload {
        Payload::Engagement(engagement) => engagement.place = place_of(engagement.user_ip()),
        Payload::Install(install) => {
            install.origin.place = place_of(install.origin.ip);
            install.origin.country = install.origin.place.country.map(|country| country.to_string());
        }
        _ => {}
    }
}

fn engagement(
    catalogue: &Catalogue,
    app: &App,
    kind: EngagementKind,
    query: &str,
    received: Timestamp,
    traits_of: &dyn Fn(&str) -> measure::platform::Traits,
) -> anyhow::Result<(Payload, measure::flag::Flags)> {
    let link = wire::link::read(query);
    let tracker = link.tracker_guid().and_then(|guid| catalogue.tracker_by_guid(guid));
    let tracker = tracker.context("the tracker is unknown")?;
    let edge = LinkEdge { received, ip: None, user_agent: None, accept_click_time: true, traits_of };
    let (engagement, mut flags) = link.engagement(kind, tracker, app, &edge);
    if kind == EngagementKind::Click {
        // Every network signs the clicks on its own ads. Who makes clicks up, be it in its name, has no key.
        let signed = NETWORKS
            .iter()
            .enumerate()
            .any(|(index, network)| network.honest && network_id(index) == tracker.network);
        flags.insert(if signed { Flag::SignatureOk } else { Flag::SignatureMissing });
    }
    if engagement.identifiers.is_empty() {
        flags.insert(Flag::NoIdentifier);
    }
    Ok((Payload::Engagement(engagement), flags))
}

/// A version 7 UUID of this time and number.
fn input_id(received: i64, mark: u64, again: bool) -> InputId {
    let number = u128::from(mark) << 1 | u128::from(again);
    let millis = u128::from(received.unsigned_abs());
    InputId(uuid::Uuid::from_u128(millis << 80 | 0x7000_u128 << 64 | 0x8000_u128 << 48 | number))
}

const fn app_guid(platform: Platform) -> &'static str {
    match platform {
        Platform::Ios => "kotown-ios",
        Platform::Android => "kotown-android",
    }
}

fn tracker_guid(platform: Platform, network: usize) -> String {
    format!("{}-t{network}", app_guid(platform))
}

/// Two apps with the same settings, the networks, a tracker for each pair of them, and what is blocked.
fn catalogue(settings: &Settings, blocked: Vec<Blocked>) -> Catalogue {
    let Settings { policy, rules, verification } = settings;
    let mut entries = Vec::new();
    let policy = AppPolicy { accept_click_time: Some(true), ..*policy };
    for (network, kind) in NETWORKS.iter().enumerate() {
        entries.push(Entry::Network(Network {
            id: network_id(network),
            name: kind.name.to_owned(),
            windows: Windows::default(),
            created: FROM,
            deleted: false,
            extra: String::new(),
        }));
    }
    for (number, platform) in (1..).zip(Platform::ALL) {
        let app = AppId(number);
        entries.push(Entry::App(App {
            id: app,
            guid: app_guid(platform).to_owned(),
            name: platform.name().to_owned(),
            platform: platform.name().to_owned(),
            referrer: measure::referrer::ReferrerKeys::default(),
            schemes: Vec::new(),
            auth: InstallAuth::default(),
            policy,
            created: FROM,
            updated: FROM,
            deleted: false,
            extra: String::new(),
            minimum_times: BTreeMap::new(),
            browser: measure::catalogue::BrowserSettings::default(),
        }));
        entries.push(Entry::Fraud(Scope::App(app), rules.clone()));
        for (network, kind) in NETWORKS.iter().enumerate() {
            let id = TrackerId(number * 100 + network as u64);
            if let Some(verification) = verification {
                let verification = Some(verification.clone());
                let own = FraudSettings { verification, ..FraudSettings::default() };
                entries.push(Entry::Fraud(Scope::Tracker(id), own));
            }
            entries.push(Entry::Tracker(Tracker {
                id,
                guid: tracker_guid(platform, network),
                app,
                campaign: CampaignId(number),
                segment: SegmentId(number),
                network: network_id(network),
                name: kind.name.to_owned(),
                destination_url: "https://apps.example.com/town".to_owned(),
                destination: DestinationKind::Custom,
                windows: Windows::default(),
                created: FROM,
                deleted: false,
                extra: String::new(),
                reengagement: None,
                omit_sub_os_version: false,
                verification: None,
            }));
        }
    }
    let listing = |what| Listing {
        what,
        reason: "found out".to_owned(),
        score: String::new(),
        at: FROM,
        removed: false,
    };
    entries.push(Entry::Blocklist(blocked.into_iter().map(listing).collect()));
    let mut catalogue = Catalogue::default();
    for (version, entry) in (1..).zip(entries) {
        catalogue.apply(Change { version, at: FROM, by: None, entry });
    }
    catalogue
}

const fn network_id(network: usize) -> NetworkId {
    NetworkId(FIRST_NETWORK + network as u64)
}
