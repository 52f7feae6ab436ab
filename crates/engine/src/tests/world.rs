//! A small world for tests: one app, three networks, inputs in one line each.

use std::{collections::BTreeMap, sync::Arc};

use measure::{
    AppId, CampaignId, InputId, InstallId, NetworkId, SegmentId, Timestamp, TrackerId, TriggerId,
    attribution::Decision,
    catalogue::{App, Catalogue, Change, Entry, Network, Tracker},
    claim::Claim,
    device::{Device, Origin},
    engagement::{Engagement, EngagementKind, LinkIdentifier},
    event::{Event, Value},
    flag::Flags,
    identifier::{Digest, IdKind, Identifier, JoinKey},
    input::{Input, Payload},
    install::Install,
    link::{IdentityLink, Update},
    platform::{Os, Traits},
    policy::AppPolicy,
    postback::{CUSTOM_TEMPLATE, Sending, Trigger, TriggerKind},
    reengagement::{CoveredEvent, Reengagement},
};
use store::{Memory, Store};

use crate::{Answer, Machine, Submission};

pub const APP: AppId = AppId(1);
pub const T0: i64 = 1_760_000_000_000;

/// A time `seconds` after the beginning.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp(T0 + seconds * 1_000)
}

pub struct World {
    pub store: Arc<dyn Store>,
    pub machine: Machine,
    pub catalogue: Arc<Catalogue>,
    next: u128,
}

pub fn app(policy: AppPolicy) -> App {
    App {
        id: APP,
        guid: "kodemo-1".to_owned(),
        name: "Demo".to_owned(),
        platform: "Android".to_owned(),
        referrer: measure::referrer::ReferrerKeys::default(),
        schemes: Vec::new(),
        auth: measure::catalogue::InstallAuth::default(),
        policy,
        created: at(-1_000),
        updated: at(-1_000),
        deleted: false,
        extra: String::new(),
        minimum_times: BTreeMap::new(),
        browser: measure::catalogue::BrowserSettings::default(),
    }
}

pub fn network(id: u64) -> Network {
    Network {
        id: NetworkId(id),
        name: format!("Network {id}"),
        windows: measure::policy::Windows::default(),
        created: at(-1_000),
        deleted: false,
        extra: String::new(),
    }
}

pub fn tracker(id: u64) -> Tracker {
    Tracker {
        id: TrackerId(id),
        guid: format!("kodemo-t{id}"),
        app: APP,
        campaign: CampaignId(1),
        segment: SegmentId(1),
        network: NetworkId(id),
        name: format!("Tracker {id}"),
        destination_url: "https://apps.example.com/demo".to_owned(),
        destination: measure::catalogue::DestinationKind::Custom,
        windows: measure::policy::Windows::default(),
        created: at(-1_000),
        deleted: false,
        extra: String::new(),
        reengagement: None,
        omit_sub_os_version: false,
        verification: None,
    }
}

pub fn trigger(id: u64, kind: TriggerKind, network: Option<u64>) -> Trigger {
    let mut context = vec![(
        "cpi_mostback_url".to_owned(),
        Value::Text("https://partner.example.com/pb?c={click_id}".to_owned()),
    )];
    if let Some(network) = network {
        context.push(("sx_network_id".to_owned(), Value::Number(network.to_string())));
        context.push(("sx_delivery".to_owned(), Value::Text("network".to_owned())));
    }
    Trigger {
        id: TriggerId(id),
        version: 1,
        app: APP,
        kind,
        title: format!("Trigger {id}"),
        template: CUSTOM_TEMPLATE,
        filter: None,
        active: true,
        context,
        created: at(-1_000),
        deleted: false,
        sending: Sending::default(),
    }
}

impl World {
    pub fn new() -> Self {
        Self::with(AppPolicy::default(), Vec::new())
    }

    pub fn with(policy: AppPolicy, triggers: Vec<Trigger>) -> Self {
        Self::of(app(policy), None, triggers)
    }

    /// A world in which the third tracker is for reengagement with events `A`, which are protected for so many
    /// seconds after an attribution.
    pub fn reengaging(minimum_seconds: u32, triggers: Vec<Trigger>) -> Self {
        let mut app = app(AppPolicy::default());
        app.minimum_times.insert("A".to_owned(), minimum_seconds);
        let event = CoveredEvent { name: "A".to_owned(), clicks: true, impressions: true };
        Self::of(app, Some(Reengagement { events: vec![event] }), triggers)
    }

    /// A world in which the third tracker is one for reengagement, if anything is given for it.
    pub fn of(app: App, reengagement: Option<Reengagement>, triggers: Vec<Trigger>) -> Self {
        let mut entries = vec![Entry::App(app)];
        entries.extend((1..=3).map(|id| Entry::Network(network(id))));
        entries.extend((1..=3).map(|id| {
            let reengagement = reengagement.clone().filter(|_| id == 3);
            Entry::Tracker(Tracker { reengagement, ..tracker(id) })
        }));
        entries.extend(triggers.into_iter().map(Entry::Trigger));
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let mut catalogue = Catalogue::default();
        let mut changes = Vec::new();
        for (entry, version) in entries.into_iter().zip(1..) {
            let change = Change { version, at: at(-1_000), by: None, entry };
            changes.push(change.clone());
            catalogue.apply(change);
        }
        store.record(&changes).unwrap();
        let catalogue = Arc::new(catalogue);
        let machine = Machine::open(store.clone(), catalogue.clone()).unwrap();
        Self { store, machine, catalogue, next: 0 }
    }

    /// An input received `seconds` after the beginning. Identifiers follow the order of making.
    pub fn input(&mut self, seconds: i64, payload: Payload) -> Input {
        self.next += 1;
        let millis = u128::try_from(at(seconds).0).unwrap();
        let uuid = uuid::Uuid::from_u128(millis << 80 | 0x7000_u128 << 64 | 0x8000_u128 << 48 | self.next);
        let mut body_hash = [0; 16];
        for (to, from) in body_hash.iter_mut().zip(format!("{payload:?}").bytes().cycle().skip(40)) {
            *to = from;
        }
        Input {
            id: InputId(uuid),
            via: measure::source::Via::default(),
            received: at(seconds),
            app: APP,
            catalogue: self.catalogue.version,
            key: None,
            body_hash,
            body: String::new(),
            flags: Flags::new(),
            payload,
        }
    }

    /// Puts entries in force for every input from now on.
    pub fn set(&mut self, entries: Vec<Entry>) {
        self.set_at(-1_000, entries);
    }

    /// Puts entries in force at a time, seconds after the beginning.
    pub fn set_at(&mut self, seconds: i64, entries: Vec<Entry>) {
        let mut catalogue = Catalogue::clone(&self.catalogue);
        for entry in entries {
            let change = Change { version: catalogue.version + 1, at: at(seconds), by: None, entry };
            self.store.record(std::slice::from_ref(&change)).unwrap();
            catalogue.apply(change);
        }
        self.catalogue = Arc::new(catalogue);
    }

    pub fn submission(&self, input: Input) -> Submission {
        Submission::Input(Box::new(input), self.catalogue.clone())
    }

    /// Takes inputs, each in a batch of its own.
    pub fn take(&mut self, inputs: &[Input]) -> Vec<Answer> {
        inputs.iter().flat_map(|input| self.take_batch(std::slice::from_ref(input))).collect()
    }

    /// Takes inputs in one batch.
    pub fn take_batch(&mut self, inputs: &[Input]) -> Vec<Answer> {
        let requests = inputs.iter().map(|input| vec![self.submission(input.clone())]).collect();
        let answers = self.machine.process(requests).answers.into_iter().flatten().collect();
        while self.machine.index_some_digests() {}
        answers
    }

    pub fn decisions(&self, input: &Input) -> Vec<Decision> {
        let found = self.store.install(APP, InstallId::from(input.id)).unwrap();
        found.map(|(_, decisions)| decisions).unwrap_or_default()
    }

    pub fn decision(&self, input: &Input) -> Decision {
        self.decisions(input).pop().expect("the install has been decided")
    }

    /// The class of the latest decision and the network of its winner: `device_id 2`, `organic`.
    pub fn verdict(&self, input: &Input) -> String {
        let decision = self.decision(input);
        match decision.winner() {
            Some(winner) => format!("{} {}", winner.basis.class(), winner.network),
            None => "organic".to_owned(),
        }
    }

    pub fn device(&self, key: &str) -> Option<Device> {
        self.store.device(APP, &JoinKey::kochava(key)).unwrap()
    }

    /// Every counter that is not 0, by name.
    pub fn tally(&self) -> BTreeMap<String, i64> {
        let tally = self.store.tally().unwrap();
        tally
            .into_iter()
            .filter(|(_, n)| *n != 0)
            .map(|((_, counter), n)| (format!("{counter:?}"), n))
            .collect()
    }
}

pub fn adid(n: u32) -> Identifier {
    Identifier::new(IdKind::Adid, &format!("1b9d6bcd-bbfd-4b2d-9b5d-{n:012x}")).unwrap()
}

pub fn android(version: &str, model: &str) -> Traits {
    Traits { os: Some(Os::Android), os_version: Some(version.to_owned()), model: Some(model.to_owned()) }
}

/// A click on the link of `network` at `seconds`, from 203.0.113.`ip`.
pub fn click(network: u64, seconds: i64, identifiers: Vec<LinkIdentifier>, ip: u8) -> Payload {
    Payload::Engagement(Engagement {
        kind: EngagementKind::Click,
        time: at(seconds),
        tracker: TrackerId(network),
        network: NetworkId(network),
        campaign: CampaignId(1),
        segment: SegmentId(1),
        identifiers,
        ip: Some(std::net::IpAddr::from([203, 0, 113, ip])),
        user_agent: Some("test".to_owned()),
        traits: android("14", "Pixel 8"),
        att: measure::consent::Att::default(),
        click_id: Some(format!("c-{network}-{seconds}")),
        site_id: None,
        sub_site_id: None,
        creative_id: None,
        params: Vec::new(),
        query: format!("campaign_id=kodemo-t{network}"),
        place: measure::place::Place::default(),
        ip_of_caller: false,
    })
}

/// What `network` claims to have happened at `seconds`, by an identifier.
pub fn claim(network: u64, seconds: i64, identifier: Identifier, view: bool) -> Payload {
    Payload::Claim(Claim {
        kind: if view { EngagementKind::Impression } else { EngagementKind::Click },
        time: at(seconds),
        network: NetworkId(network),
        tracker: None,
        campaign: None,
        segment: None,
        identifiers: plain(identifier),
        claim_id: None,
        lookback: None,
        granular: true,
        site_id: None,
        creative_id: None,
        params: vec![("campaign_name".to_owned(), "Spring".to_owned())],
        time_future: false,
    })
}

pub fn plain(identifier: Identifier) -> Vec<LinkIdentifier> {
    vec![LinkIdentifier::Plain(identifier)]
}

/// A click that carries the given hashed form of an identifier.
pub fn hashed(digest: Digest) -> Vec<LinkIdentifier> {
    vec![LinkIdentifier::Hashed(IdKind::Adid, digest)]
}

pub fn origin(kochava: Option<&str>, identifiers: Vec<Identifier>, ip: u8) -> Origin {
    Origin {
        kochava_device_id: kochava.map(str::to_owned),
        identifiers,
        ip: Some(std::net::IpAddr::from([203, 0, 113, ip])),
        traits: android("14", "Pixel 8"),
        ..Origin::default()
    }
}

pub fn install(seconds: i64, origin: Origin) -> Payload {
    Payload::Install(Install { origin, time: at(seconds), ..Install::default() })
}

pub fn event(seconds: i64, name: &str, origin: Origin) -> Payload {
    Payload::Event(Event { origin, time: at(seconds), name: name.to_owned(), ..Event::default() })
}

pub fn link(kochava: Option<&str>, digests: Vec<Digest>, user: &str) -> Payload {
    Payload::Link(IdentityLink {
        kochava_device_id: kochava.map(str::to_owned),
        digests: digests.into_iter().map(|digest| (IdKind::Adid, digest)).collect(),
        links: vec![("user_id".to_owned(), user.to_owned())],
        ..IdentityLink::default()
    })
}

pub fn update(kochava: &str, identifiers: Vec<Identifier>) -> Payload {
    Payload::Update(Update { kochava_device_id: kochava.to_owned(), identifiers, ..Update::default() })
}
