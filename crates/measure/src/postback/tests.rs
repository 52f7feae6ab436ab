//! Cases and laws of postbacks.

mod knobs;
mod macros;
mod planning;
mod schedule;
mod text;
mod validation;

use uuid::Uuid;

use super::{CUSTOM_TEMPLATE, Conversion, Past, Plan, Sending, Trigger, TriggerKind, plan};
use crate::{
    AppId, CampaignId, DeviceId, InputId, InstallId, NetworkId, SegmentId, Timestamp, TouchId, TrackerId,
    TriggerId,
    attribution::Source,
    catalogue::{App, Catalogue, Change, Entry, InstallAuth, Network, Segment},
    consent::Consent,
    device::{Device, Origin},
    engagement::{Engagement, EngagementKind, LinkIdentifier},
    event::{Event, Value},
    flag::Flags,
    identifier::{IdKind, Identifier},
    platform::{Os, Traits},
    policy::{AppPolicy, Windows},
};

/// 2026-11-21T08:00:00.250Z.
pub const DECIDED: Timestamp = Timestamp(1_795_248_000_250);
/// One minute before.
pub const INSTALLED: Timestamp = Timestamp(1_795_247_940_000);
/// Two minutes before.
pub const CLICKED: Timestamp = Timestamp(1_795_247_880_999);
pub const WINNER: NetworkId = NetworkId(7);
pub const LOSER: NetworkId = NetworkId(8);

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub fn id(kind: IdKind, value: &str) -> Identifier {
    Identifier::new(kind, value).unwrap()
}

/// A context from `key=value` lines.
pub fn context(lines: &str) -> Vec<(String, Value)> {
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| line.split_once('=').unwrap())
        .map(|(key, value)| (key.to_owned(), Value::Text(value.to_owned())))
        .collect()
}

pub fn trigger(number: u64, kind: TriggerKind, lines: &str) -> Trigger {
    Trigger {
        id: TriggerId(number),
        version: 3,
        app: AppId(501),
        kind,
        title: "to partner".into(),
        template: CUSTOM_TEMPLATE,
        filter: None,
        active: true,
        context: context(lines),
        created: Timestamp(0),
        deleted: false,
        sending: Sending::default(),
    }
}

/// Everything a conversion can refer to; cases change parts of it.
#[derive(Clone)]
pub struct World {
    pub catalogue: Catalogue,
    pub app: App,
    pub origin: Origin,
    pub device: Device,
    pub event: Event,
    pub click: Engagement,
    pub source: Option<Source>,
    pub influencers: Vec<NetworkId>,
    pub revision: u32,
    pub duplicate: bool,
    pub told: Vec<TriggerId>,
    pub repeated: bool,
    pub last_session: Option<Timestamp>,
    pub spent: Vec<TriggerId>,
    pub flags: Flags,
}

impl World {
    pub fn new() -> Self {
        let app = app();
        let mut catalogue = Catalogue::default();
        let entries = [Entry::App(app.clone()), Entry::Network(network()), Entry::Segment(segment())];
        for entry in entries {
            catalogue.apply(Change { version: 1, at: Timestamp(0), by: None, entry });
        }
        Self {
            catalogue,
            app,
            origin: origin(),
            device: device(),
            event: event(),
            click: click(),
            source: Some(source()),
            influencers: vec![LOSER],
            revision: 0,
            duplicate: false,
            told: Vec::new(),
            repeated: false,
            last_session: None,
            spent: Vec::new(),
            flags: Flags::new(),
        }
    }

    pub fn add(&mut self, trigger: Trigger) {
        let entry = Entry::Trigger(trigger);
        self.catalogue.apply(Change { version: 2, at: Timestamp(0), by: None, entry });
    }

    pub fn plan(&self, kind: TriggerKind) -> Plan {
        plan(&self.conversion(kind))
    }

    pub fn conversion(&self, kind: TriggerKind) -> Conversion<'_> {
        let is_click = kind == TriggerKind::Click;
        Conversion {
            kind,
            input: InputId(Uuid::from_u128(11)),
            decided: DECIDED,
            revision: self.revision,
            app: &self.app,
            catalogue: &self.catalogue,
            install: (!is_click).then_some(InstallId(Uuid::from_u128(12))),
            installed: (!is_click).then_some(INSTALLED),
            origin: (!is_click).then_some(&self.origin),
            flags: &self.flags,
            device: (!is_click).then_some(&self.device),
            event: (kind == TriggerKind::Event).then_some(&self.event),
            click: is_click.then_some((&self.click, TouchId(Uuid::from_u128(13)))),
            source: self.source.as_ref().filter(|_| !is_click),
            influencers: &self.influencers,
            duplicate: self.duplicate,
            told: &self.told,
            past: Past { repeated: self.repeated, last_session: self.last_session, spent: &self.spent },
        }
    }
}

fn app() -> App {
    App {
        id: AppId(501),
        guid: "kosextant-demo-ab12cd".into(),
        name: "Demo".into(),
        platform: "iOS".into(),
        referrer: crate::referrer::ReferrerKeys::default(),
        schemes: Vec::new(),
        auth: InstallAuth::default(),
        policy: AppPolicy::default(),
        created: Timestamp(0),
        updated: Timestamp(0),
        deleted: false,
        extra: String::new(),
        minimum_times: std::collections::BTreeMap::new(),
        browser: crate::catalogue::BrowserSettings::default(),
    }
}

fn network() -> Network {
    Network {
        id: WINNER,
        name: "Gopher & Co".into(),
        windows: Windows::default(),
        created: Timestamp(0),
        deleted: false,
        extra: String::new(),
    }
}

fn segment() -> Segment {
    Segment {
        id: SegmentId(21),
        app: AppId(501),
        campaign: CampaignId(20),
        name: "Autumn".into(),
        created: Timestamp(0),
        deleted: false,
        extra: String::new(),
    }
}

fn origin() -> Origin {
    Origin {
        kochava_device_id: text("SX-0001"),
        identifiers: vec![id(IdKind::Idfv, "3D5F0B1E-6C2A")],
        ip: Some("203.0.113.24".parse().unwrap()),
        user_agent: text("Mozilla/5.0 (iPhone)"),
        traits: Traits { os: Some(Os::Ios), os_version: text("17.5.1"), model: text("iPhone 15") },
        consent: Consent::default(),
        app_version: text("1.2"),
        country: text("US"),
        user: Vec::new(),
        place: crate::place::Place::default(),
        locality: None,
    }
}

fn device() -> Device {
    Device {
        id: DeviceId(Uuid::from_u128(12)),
        app: AppId(501),
        kochava_ids: vec!["SX-MAIN".into()],
        identifiers: vec![id(IdKind::Idfa, "AAAA-1111"), id(IdKind::Idfv, "OLD-IDFV")],
        consent: Consent::default(),
        traits: Traits { os: Some(Os::Ios), os_version: text("16.0"), model: text("iPhone 14") },
        install: InstallId(Uuid::from_u128(12)),
        installed: INSTALLED,
        install_received: INSTALLED,
        source: None,
        links: pairs(&[("user_id", "u/1")]),
        claims: Vec::new(),
        user: crate::user::UserProperties::default(),
        last_session: None,
        seen_events: Vec::new(),
        said: Default::default(),
    }
}

fn event() -> Event {
    Event {
        origin: origin(),
        time: Timestamp(1_795_247_999_999),
        name: "Purchase".into(),
        amount: Some("19.90".parse().unwrap()),
        currency: text("EUR"),
        params: vec![
            ("plan".into(), Value::Text("gold & \"new\"".into())),
            ("count".into(), Value::Number("3".into())),
            ("trial".into(), Value::Bool(false)),
            ("items".into(), Value::Json("[1,\"a\"]".into())),
            ("product.sku".into(), Value::Text("S-1".into())),
            ("empty".into(), Value::Text(String::new())),
        ],
        plain: None,
        extra: Vec::new(),
    }
}

fn click() -> Engagement {
    Engagement {
        kind: EngagementKind::Click,
        time: CLICKED,
        tracker: TrackerId(22),
        network: WINNER,
        campaign: CampaignId(20),
        segment: SegmentId(21),
        identifiers: vec![LinkIdentifier::Plain(id(IdKind::Adid, "CCCC-2222"))],
        ip: Some("2001:db8::5".parse().unwrap()),
        user_agent: text("Mozilla/5.0 (Linux)"),
        traits: Traits { os: Some(Os::Android), os_version: text("14"), model: text("Pixel 8 Pro") },
        att: Default::default(),
        click_id: text("clk/1"),
        site_id: text("site 1"),
        sub_site_id: text("sub-1"),
        creative_id: text("cre-1"),
        params: pairs(&[("cp_0", "zero"), ("cp_9", "nine")]),
        query: "click_id=clk%2F1".into(),
        place: crate::place::Place::default(),
        ip_of_caller: false,
    }
}

fn source() -> Source {
    Source {
        touch: Some(TouchId(Uuid::from_u128(13))),
        kind: EngagementKind::Click,
        class: "device_id".into(),
        time: CLICKED,
        network: WINNER,
        campaign: Some(CampaignId(20)),
        segment: Some(SegmentId(21)),
        tracker: Some(TrackerId(22)),
        click_id: text("src/1"),
        site_id: text("site 2"),
        sub_site_id: text("sub-2"),
        creative_id: text("cre-2"),
        params: pairs(&[("cp_0", "null"), ("cp_9", "neun")]),
        query: "click_id=src%2F1".into(),
        reengagement: false,
    }
}
