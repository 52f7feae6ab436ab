//! What people set up: apps, networks, campaigns, segments, trackers, triggers, keys. A [`Catalogue`] is
//! the fold of every change so far; readers hold an immutable one, and every input names the version it
//! was resolved under.

mod team;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    AppId, CampaignId, KeyId, MemberId, NetworkId, SegmentId, SourceId, TemplateId, Timestamp, TrackerId,
    TriggerId,
    cost::CostUpload,
    fraud::{Blocklist, FraudSettings, Listing, Scope},
    platform::Os,
    policy::{Addresses, AppPolicy, Policy, Windows},
    postback::{Template, Trigger},
    reengagement::Reengagement,
    referrer::ReferrerKeys,
    source::{Source, SourceKind},
};

pub use team::{Access, Area, Member, Role};

/// Apple Search Ads: the one network that is always there, because an install can name it without a click.
pub const APPLE_SEARCH_ADS: NetworkId = NetworkId(1);

/// How strictly an app checks that its senders are who they say (DECISIONS 21).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthMode {
    /// Nothing is checked.
    #[default]
    Off,
    /// Checked, stored as a flag, never refused.
    Flag,
    /// Refused with 401 and quarantined unless it matches.
    Strict,
}

/// A secret encrypted with the key file of the data directory; only the server can open it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub Vec<u8>);

/// Install authentication of an app (ingest.md section 11).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallAuth {
    /// How strictly.
    pub mode: AuthMode,
    /// The key that senders name in `Kochava-Api-Key`.
    pub api_key: Option<String>,
    /// The secret that only sender and server know.
    pub secret: Option<Sealed>,
    /// The actions it covers; empty means all four.
    pub actions: Vec<String>,
}

impl InstallAuth {
    /// Whether `action` (`install`, `event`, `update`, `identityLink`) is covered.
    #[must_use]
    pub fn covers(&self, action: &str) -> bool {
        self.mode != AuthMode::Off
            && (self.actions.is_empty() || self.actions.iter().any(|name| name == action))
    }
}

/// What the handshake tells browsers (ingest.md section 18).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BrowserSettings {
    /// Custom values and custom device identifiers that browsers may send; all others they drop.
    pub allow_custom_ids: Vec<String>,
    /// Keys that browsers leave out.
    pub deny_datapoints: Vec<String>,
    /// Events that browsers do not send.
    pub deny_event_names: Vec<String>,
    /// Identity links that browsers do not send.
    pub deny_identity_links: Vec<String>,
    /// A value that browsers have not seen yet makes them tell their install once more.
    pub resend_id: String,
    /// Seconds for which browsers need not ask again; `None` is [`Self::REFRESH_S`].
    pub refresh_minimum_s: Option<u32>,
}

impl BrowserSettings {
    /// Seconds for which browsers need not ask again, unless the app says otherwise.
    pub const REFRESH_S: u32 = 60;
}

/// An app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Its number.
    pub id: AppId,
    /// What senders call it: `kochava_app_id`.
    pub guid: String,
    /// Its name.
    pub name: String,
    /// The platform as the incumbent spells it (ingest.md section 7): `iOS`, `Android`, `Web`, …
    pub platform: String,
    /// Install authentication.
    pub auth: InstallAuth,
    /// Settings of its own.
    pub policy: AppPolicy,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// Whether it was deleted; its data stays.
    pub deleted: bool,
    /// Every other field that was sent, as JSON text.
    pub extra: String,
    /// `attribution.minimum_time_to_reengagement`: for how many seconds after an attribution an event of this
    /// name cannot be credited to a reengagement. An event that is not here may at once
    /// (tracking-and-attribution.md section 9).
    #[serde(default)]
    pub minimum_times: BTreeMap<String, u32>,
    /// What browsers are told.
    #[serde(default)]
    pub browser: BrowserSettings,
    /// Where its install referrers hold what its links put there.
    #[serde(default)]
    pub referrer: ReferrerKeys,
    /// The URL schemes of its own deep links, in lower case: its links may lead there
    /// (tracking-and-attribution.md section 4).
    #[serde(default)]
    pub schemes: Vec<String>,
}

impl App {
    /// The operating system of the platform; `None` for the web and the like.
    #[must_use]
    pub fn os(&self) -> Option<Os> {
        match self.platform.to_ascii_lowercase().as_str() {
            "web" | "webgl" => None,
            other => Os::named(other),
        }
    }

    /// Whether it is measured in browsers.
    #[must_use]
    pub fn is_web(&self) -> bool {
        matches!(self.platform.to_ascii_lowercase().as_str(), "web" | "webgl")
    }
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its number.
    pub id: NetworkId,
    /// Its name.
    pub name: String,
    /// Windows it sets for its engagements.
    pub windows: Windows,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Every other field that was sent, as JSON text.
    pub extra: String,
}

/// What a network does within one app, in place of what it does everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppNetwork {
    /// The app.
    pub app: AppId,
    /// The network.
    pub network: NetworkId,
    /// Windows for its engagements in this app.
    pub windows: Windows,
}

/// A campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// Its number.
    pub id: CampaignId,
    /// Its app.
    pub app: AppId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Every other field that was sent, as JSON text.
    pub extra: String,
}

/// A segment; `tier` on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its number.
    pub id: SegmentId,
    /// Its app.
    pub app: AppId,
    /// Its campaign.
    pub campaign: CampaignId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Every other field that was sent, as JSON text.
    pub extra: String,
}

/// Where a tracking link leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DestinationKind {
    /// Wherever the URL says.
    #[default]
    Custom,
    /// The Play store, with an install referrer.
    GoogleReferrer,
    /// A landing page of the advertiser, with `ko_click_id`.
    LandingPage,
}

/// A tracker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracker {
    /// Its number.
    pub id: TrackerId,
    /// What links call it: `campaign_id`.
    pub guid: String,
    /// Its app.
    pub app: AppId,
    /// Its campaign.
    pub campaign: CampaignId,
    /// Its segment.
    pub segment: SegmentId,
    /// Its network.
    pub network: NetworkId,
    /// Its name.
    pub name: String,
    /// Where a click leads; may hold `{key}` placeholders filled from the link.
    pub destination_url: String,
    /// What kind of place that is.
    pub destination: DestinationKind,
    /// Overrides of windows.
    pub windows: Windows,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it was deleted. Clicks that it received before may still win.
    pub deleted: bool,
    /// Every other field that was sent, as JSON text.
    pub extra: String,
    /// What a reengagement tracker may be credited with; `None` is an acquisition tracker
    /// (tracking-and-attribution.md section 9).
    #[serde(default)]
    pub reengagement: Option<Reengagement>,
    /// Override: likely matches compare the first number of the OS version only
    /// (tracking-and-attribution.md section 5: Omit Sub OS Version).
    #[serde(default)]
    pub omit_sub_os_version: bool,
    /// Override: whether its traffic verifier is on, whatever that says of itself.
    #[serde(default)]
    pub verification: Option<bool>,
}

/// A management key. The key itself is never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagementKey {
    /// Its number.
    pub id: KeyId,
    /// What it is for.
    pub name: String,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// The apps it may touch; empty means the whole account.
    pub apps: Vec<AppId>,
    /// Whether it may change things.
    pub write: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it was withdrawn.
    pub revoked: bool,
    /// Whose it is: it can do no more than this member. `None` for keys of the account itself.
    #[serde(default)]
    pub member: Option<MemberId>,
}

/// One thing as it is after a change.
#[expect(
    clippy::large_enum_variant,
    reason = "changes are rare and short-lived; the catalogue keeps pointers"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// The server's own settings, recorded when they change, so that a replay knows them.
    Policy(Policy),
    /// An app.
    App(App),
    /// A network.
    Network(Network),
    /// A campaign.
    Campaign(Campaign),
    /// A segment.
    Segment(Segment),
    /// A tracker.
    Tracker(Tracker),
    /// A trigger.
    Trigger(Trigger),
    /// A management key.
    Key(ManagementKey),
    /// The fraud settings of an app, a network or a tracker.
    Fraud(Scope, FraudSettings),
    /// Entries of the blocklist, put on or taken off.
    Blocklist(Vec<Listing>),
    /// A member.
    Member(Member),
    /// A source.
    Source(Box<Source>),
    /// Postback templates that differ from those of the start before.
    Templates(Vec<Template>),
    /// The switches of an event name of an app.
    Event(AppId, String, EventSwitches),
    /// The settings of a network within an app.
    AppNetwork(AppNetwork),
    /// An upload of costs. It is in the history only: what it says is stored on its own.
    Costs(CostUpload),
}

/// What people decided about an event name; `None` leaves it to what comes in (DECISIONS 35).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSwitches {
    /// Whether postbacks tell of such events; they do unless it is off.
    pub active: Option<bool>,
    /// Whether their amounts are revenue; they are unless it is off.
    pub is_revenue: Option<bool>,
}

impl EventSwitches {
    /// Whether postbacks tell of such events.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active.unwrap_or(true)
    }

    /// Whether an amount of such an event is revenue.
    #[must_use]
    pub fn counts_revenue(&self) -> bool {
        self.is_revenue.unwrap_or(true)
    }
}

/// A trigger as it was from one change to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerVersion {
    /// When the change was made.
    pub at: Timestamp,
    /// The key that made it.
    pub by: Option<KeyId>,
    /// The trigger since then.
    pub trigger: Arc<Trigger>,
}

/// One step in the history of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The version that the change makes; the first is 1.
    pub version: u64,
    /// When it was made.
    pub at: Timestamp,
    /// The key that made it; `None` for the server itself.
    pub by: Option<KeyId>,
    /// What it made.
    pub entry: Entry,
}

/// Everything that people set up, at one version.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// The version: how many changes it holds.
    pub version: u64,
    /// The server's settings.
    pub policy: Policy,
    apps: HashMap<AppId, Arc<App>>,
    app_guids: HashMap<String, AppId>,
    networks: HashMap<NetworkId, Arc<Network>>,
    campaigns: HashMap<CampaignId, Arc<Campaign>>,
    segments: HashMap<SegmentId, Arc<Segment>>,
    trackers: HashMap<TrackerId, Arc<Tracker>>,
    tracker_guids: HashMap<String, TrackerId>,
    triggers: HashMap<TriggerId, Arc<Trigger>>,
    app_triggers: HashMap<AppId, Vec<TriggerId>>,
    trigger_versions: HashMap<TriggerId, Arc<Vec<TriggerVersion>>>,
    templates: HashMap<TemplateId, Arc<Template>>,
    events: Arc<HashMap<AppId, HashMap<String, EventSwitches>>>,
    keys: HashMap<[u8; 32], Arc<ManagementKey>>,
    members: HashMap<MemberId, Arc<Member>>,
    addresses: Addresses,
    fraud: HashMap<Scope, Arc<FraudSettings>>,
    blocklist: Arc<Blocklist>,
    reengaging: HashMap<AppId, BTreeSet<TrackerId>>,
    event_association: bool,
    sources: HashMap<SourceId, Arc<Source>>,
    source_keys: HashMap<String, SourceId>,
    app_sources: HashMap<AppId, Vec<SourceId>>,
    app_networks: HashMap<(AppId, NetworkId), Arc<AppNetwork>>,
}

macro_rules! lookup {
    ($one:ident, $all:ident, $map:ident, $id:ty, $item:ty) => {
        #[doc = concat!("The ", stringify!($one), " with this number, deleted or not.")]
        #[must_use]
        pub fn $one(&self, id: $id) -> Option<&Arc<$item>> {
            self.$map.get(&id)
        }

        #[doc = concat!("All of the catalogue's ", stringify!($all), ", deleted or not, by number.")]
        #[must_use]
        pub fn $all(&self) -> Vec<&Arc<$item>> {
            let mut items: Vec<_> = self.$map.values().collect();
            items.sort_unstable_by_key(|item| item.id);
            items
        }
    };
}

impl Catalogue {
    lookup!(app, apps, apps, AppId, App);
    lookup!(network, networks, networks, NetworkId, Network);
    lookup!(campaign, campaigns, campaigns, CampaignId, Campaign);
    lookup!(segment, segments, segments, SegmentId, Segment);
    lookup!(tracker, trackers, trackers, TrackerId, Tracker);
    lookup!(trigger, triggers, triggers, TriggerId, Trigger);
    lookup!(member, members, members, MemberId, Member);
    lookup!(source, sources, sources, SourceId, Source);
    lookup!(template, templates, templates, TemplateId, Template);

    /// The app that senders call `guid`; deleted apps are unknown.
    #[must_use]
    pub fn app_by_guid(&self, guid: &str) -> Option<&Arc<App>> {
        self.apps.get(self.app_guids.get(guid)?).filter(|app| !app.deleted)
    }

    /// Whether `guid` was ever given to an app, deleted or not.
    #[must_use]
    pub fn app_guid_taken(&self, guid: &str) -> bool {
        self.app_guids.contains_key(guid)
    }

    /// The tracker that links call `guid`; deleted trackers and those of deleted apps are unknown.
    #[must_use]
    pub fn tracker_by_guid(&self, guid: &str) -> Option<&Arc<Tracker>> {
        let tracker = self.trackers.get(self.tracker_guids.get(guid)?)?;
        let app_lives = self.apps.get(&tracker.app).is_some_and(|app| !app.deleted);
        (!tracker.deleted && app_lives).then_some(tracker)
    }

    /// The triggers of an app that are not deleted, by number.
    pub fn triggers_of(&self, app: AppId) -> impl Iterator<Item = &Arc<Trigger>> {
        let ids = self.app_triggers.get(&app).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.triggers.get(id)).filter(|trigger| !trigger.deleted)
    }

    /// Every version of a trigger, oldest first (postbacks.md section 10).
    #[must_use]
    pub fn trigger_versions(&self, id: TriggerId) -> &[TriggerVersion] {
        self.trigger_versions.get(&id).map(|versions| versions.as_slice()).unwrap_or_default()
    }

    /// What people decided about an event name of an app.
    #[must_use]
    pub fn event_switches(&self, app: AppId, name: &str) -> EventSwitches {
        self.events.get(&app).and_then(|names| names.get(name)).copied().unwrap_or_default()
    }

    /// The event names of an app that people decided something about.
    pub fn switched_events(&self, app: AppId) -> impl Iterator<Item = (&str, EventSwitches)> {
        self.events.get(&app).into_iter().flatten().map(|(name, switches)| (name.as_str(), *switches))
    }

    /// The key with this SHA-256, unless it was withdrawn.
    #[must_use]
    pub fn key_by_hash(&self, hash: &[u8; 32]) -> Option<&Arc<ManagementKey>> {
        self.keys.get(hash).filter(|key| !key.revoked)
    }

    /// All management keys.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<ManagementKey>> {
        self.keys.values()
    }

    /// The fraud settings of an app, a network or a tracker, where there are any.
    #[must_use]
    pub fn fraud(&self, scope: Scope) -> Option<&Arc<FraudSettings>> {
        self.fraud.get(&scope)
    }

    /// Whether anyone has fraud settings: without any no rule looks at anything.
    #[must_use]
    pub fn has_fraud_settings(&self) -> bool {
        !self.fraud.is_empty()
    }

    /// The blocklist of the account.
    #[must_use]
    pub fn blocklist(&self) -> &Blocklist {
        &self.blocklist
    }

    /// The source that a key belongs to; a deleted source and one of a deleted app are unknown.
    #[must_use]
    pub fn source_by_key(&self, key: &str) -> Option<&Arc<Source>> {
        let source = self.sources.get(self.source_keys.get(key)?)?;
        let app_lives = self.apps.get(&source.app).is_some_and(|app| !app.deleted);
        // A key that was changed is nobody's any more.
        let is_current = source.key.as_deref() == Some(key);
        (is_current && !source.deleted && app_lives).then_some(source)
    }

    /// The sources of an app that are not deleted, by number.
    pub fn sources_of(&self, app: AppId) -> impl Iterator<Item = &Arc<Source>> {
        let ids = self.app_sources.get(&app).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.sources.get(id)).filter(|source| !source.deleted)
    }

    /// The source that stands for an app when a sender names the app itself: the first of its kind.
    #[must_use]
    pub fn source_of(&self, app: AppId, kind: SourceKind) -> Option<&Arc<Source>> {
        self.sources_of(app).find(|source| source.kind == kind)
    }

    /// The settings of a network within an app, where there are any.
    #[must_use]
    pub fn app_network(&self, app: AppId, network: NetworkId) -> Option<&Arc<AppNetwork>> {
        self.app_networks.get(&(app, network))
    }

    /// The policy in force for an app.
    #[must_use]
    pub fn policy_of(&self, app: &App) -> Policy {
        self.policy.with(&app.policy)
    }

    /// Which address classes anybody has ever switched on up to this version. Touches and installs are
    /// filed under addresses alone from then on, so a class switched on later sees engagements from then on.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Whether the app has, or once had, a reengagement tracker: without one no event is held against any
    /// engagement.
    #[must_use]
    pub fn has_reengagement(&self, app: AppId) -> bool {
        self.reengaging.contains_key(&app)
    }

    /// Whether a reengagement tracker of the app, deleted or not, may be credited with events of this name.
    #[must_use]
    pub fn reengages(&self, app: AppId, event: &str) -> bool {
        let trackers = self.reengaging.get(&app).into_iter().flatten();
        trackers
            .filter_map(|id| self.reengagement(*id))
            .any(|reengagement| reengagement.event(event).is_some())
    }

    /// What a tracker may be credited with when it is a reengagement tracker.
    #[must_use]
    pub fn reengagement(&self, tracker: TrackerId) -> Option<&Reengagement> {
        self.trackers.get(&tracker)?.reengagement.as_ref()
    }

    /// Whether anybody has ever set for how long events belong to their install.
    #[must_use]
    pub const fn has_event_association(&self) -> bool {
        self.event_association
    }

    /// Takes a change in. Changes come in the order of their versions.
    pub fn apply(&mut self, change: Change) {
        self.version = change.version;
        self.addresses = self.addresses.or(match &change.entry {
            Entry::Policy(policy) => policy.addresses(),
            Entry::App(app) => app.policy.addresses(),
            Entry::Network(network) => network.windows.addresses(),
            Entry::Tracker(tracker) => tracker.windows.addresses(),
            Entry::AppNetwork(own) => own.windows.addresses(),
            _ => Addresses::default(),
        });
        self.event_association |= match &change.entry {
            Entry::Policy(policy) => policy.windows.event_association.is_some(),
            Entry::App(app) => app.policy.windows.event_association.is_some(),
            Entry::Network(network) => network.windows.event_association.is_some(),
            Entry::Tracker(tracker) => tracker.windows.event_association.is_some(),
            Entry::AppNetwork(own) => own.windows.event_association.is_some(),
            _ => false,
        };
        match change.entry {
            Entry::Policy(policy) => self.policy = policy,
            Entry::App(app) => {
                self.app_guids.insert(app.guid.clone(), app.id);
                self.apps.insert(app.id, Arc::new(app));
            }
            Entry::Network(network) => {
                self.networks.insert(network.id, Arc::new(network));
            }
            Entry::Campaign(campaign) => {
                self.campaigns.insert(campaign.id, Arc::new(campaign));
            }
            Entry::Segment(segment) => {
                self.segments.insert(segment.id, Arc::new(segment));
            }
            Entry::Tracker(tracker) => {
                if tracker.reengagement.is_some() {
                    self.reengaging.entry(tracker.app).or_default().insert(tracker.id);
                }
                self.tracker_guids.insert(tracker.guid.clone(), tracker.id);
                self.trackers.insert(tracker.id, Arc::new(tracker));
            }
            Entry::Trigger(trigger) => {
                let ids = self.app_triggers.entry(trigger.app).or_default();
                if let Err(place) = ids.binary_search(&trigger.id) {
                    ids.insert(place, trigger.id);
                }
                let (id, trigger) = (trigger.id, Arc::new(trigger));
                let version = TriggerVersion { at: change.at, by: change.by, trigger: trigger.clone() };
                Arc::make_mut(self.trigger_versions.entry(id).or_default()).push(version);
                self.triggers.insert(id, trigger);
            }
            Entry::Key(key) => {
                self.keys.insert(key.hash, Arc::new(key));
            }
            Entry::Member(member) => {
                self.members.insert(member.id, Arc::new(member));
            }
            Entry::Fraud(scope, settings) => {
                self.fraud.insert(scope, Arc::new(settings));
            }
            Entry::AppNetwork(own) => {
                self.app_networks.insert((own.app, own.network), Arc::new(own));
            }
            Entry::Blocklist(listings) => {
                let blocklist = Arc::make_mut(&mut self.blocklist);
                listings.into_iter().for_each(|listing| blocklist.apply(listing));
            }
            Entry::Costs(_) => {}
            Entry::Source(source) => {
                let ids = self.app_sources.entry(source.app).or_default();
                if let Err(place) = ids.binary_search(&source.id) {
                    ids.insert(place, source.id);
                }
                if let Some(key) = &source.key {
                    self.source_keys.insert(key.clone(), source.id);
                }
                self.sources.insert(source.id, Arc::new(*source));
            }
            Entry::Templates(templates) => {
                let templates = templates.into_iter();
                self.templates.extend(templates.map(|template| (template.id, Arc::new(template))));
            }
            Entry::Event(app, name, switches) => {
                Arc::make_mut(&mut self.events).entry(app).or_default().insert(name, switches);
            }
        }
    }
}
