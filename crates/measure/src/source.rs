//! Sources: where the events of an app come from, and how those of other platforms become ours.
//!
//! A source of a platform whose calls are not ours has a [`Mapping`]: which events count, what they are
//! called here, where each identifier stands. Paths are dotted: `context.device.id`.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::{AppId, SourceId, Timestamp, catalogue::Sealed, input::Payload};

/// The platform of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SourceKind {
    /// Server-to-server calls in our own format.
    S2s,
    /// Segment's HTTP Tracking API and webhooks.
    Segment,
    /// Amplitude's HTTP API.
    Amplitude,
    /// The browser SDK.
    Web,
}

impl SourceKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::S2s, Self::Segment, Self::Amplitude, Self::Web];

    /// The name in the management interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::S2s => "s2s",
            Self::Segment => "segment",
            Self::Amplitude => "amplitude",
            Self::Web => "web",
        }
    }

    /// Whether its calls are in a format of their own, which a mapping translates.
    #[must_use]
    pub const fn is_mapped(self) -> bool {
        matches!(self, Self::Segment | Self::Amplitude)
    }
}

/// Which way an input of an app came in. Links and what Apple sends have no source and say nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Via {
    /// The platform that sent it.
    pub kind: SourceKind,
    /// The source, where one is set up.
    pub source: Option<SourceId>,
}

impl Default for Via {
    fn default() -> Self {
        Self { kind: SourceKind::S2s, source: None }
    }
}

/// The two streams of a source, switched one by one as in both platforms' connectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// Installs.
    pub installs: bool,
    /// Events after the install, with their users.
    pub events: bool,
}

impl Streams {
    /// Why nothing comes of a payload under these streams. Whatever is no install comes after one.
    #[must_use]
    pub const fn leaves_out(self, payload: &Payload) -> Option<IgnoreReason> {
        match payload {
            Payload::Install(_) if !self.installs => Some(IgnoreReason::InstallsOff),
            Payload::Event(_) | Payload::Update(_) | Payload::Link(_) if !self.events => {
                Some(IgnoreReason::EventsOff)
            }
            _ => None,
        }
    }
}

/// A source of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its number.
    pub id: SourceId,
    /// Its app.
    pub app: AppId,
    /// Its platform.
    pub kind: SourceKind,
    /// What people call it.
    pub name: String,
    /// Whether anything is taken from it.
    pub enabled: bool,
    /// What its senders name it by where they may name the app: as Segment's write key, as Amplitude's
    /// `api_key`, as `kochava_app_id`. It stands in apps and pages and is no secret.
    pub key: Option<String>,
    /// What its webhooks are signed with.
    pub secret: Option<Sealed>,
    /// Which streams are taken.
    pub streams: Streams,
    /// How its calls become ours; `None` where they are ours already.
    pub mapping: Option<Mapping>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// Whether it was deleted.
    pub deleted: bool,
}

/// All of something, or what is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Choice {
    /// All.
    #[default]
    All,
    /// These names only.
    Only(Vec<String>),
}

impl Choice {
    /// Whether the name is chosen.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|known| known == name),
        }
    }
}

/// Paths that are looked at one after the other; the first that holds something counts.
pub type Paths = Vec<String>;

/// How the calls of another platform become ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Which events are taken, by the names that the platform knows them by.
    pub events: Choice,
    /// What an event is called here, by the platform's name.
    pub renames: Vec<(String, String)>,
    /// The events that mark an install, by the platform's name.
    pub install: Vec<String>,
    /// Where identifiers stand: `kochava_device_id`, `ip`, `idfa`, `idfv`, `adid`, `android_id`, or a name of
    /// the customer's own.
    pub identifiers: Vec<(String, Paths)>,
    /// Where the App Tracking Transparency status stands.
    pub att: Paths,
    /// Which properties of an event are kept.
    pub event_properties: Choice,
    /// Which properties of a user are kept.
    pub user_properties: Choice,
    /// Whether users are taken at all.
    pub send_users: bool,
    /// Where the amount stands; `price*quantity` is the product of two, what is absent after the first counts
    /// as 1.
    pub revenue: Paths,
    /// Where the currency stands.
    pub currency: Paths,
}

/// The identifiers of which a mapping has to name at least one, because a device is matched by them.
pub const DEVICE_IDENTIFIERS: [&str; 4] = ["idfa", "idfv", "adid", "android_id"];
/// What a mapping has to name: the app instance, and the address for modeled matching.
pub const REQUIRED_IDENTIFIERS: [&str; 2] = ["kochava_device_id", "ip"];

/// The e-commerce, mobile and B2B events of Segment's specification that are standard events here, and the
/// names that Amplitude's libraries and templates use for the same.
const RENAMES: [(&str, &str); 23] = [
    ("Order Completed", "Purchase"),
    ("Product Added", "Add to Cart"),
    ("Product Added to Wishlist", "Add to Wish List"),
    ("Checkout Started", "Checkout Start"),
    ("Product Viewed", "View"),
    ("Products Searched", "Search"),
    ("Product Reviewed", "Rating"),
    ("Signed Up", "Registration Complete"),
    ("Trial Started", "Start Trial"),
    ("Push Notification Received", "Push Received"),
    ("Push Notification Tapped", "Push Opened"),
    ("Deep Link Opened", "_Deeplink"),
    ("revenue_amount", "Purchase"),
    ("Complete Purchase", "Purchase"),
    ("Purchase Completed", "Purchase"),
    ("Product Added to Cart", "Add to Cart"),
    ("Add to Wishlist", "Add to Wish List"),
    ("Start Checkout", "Checkout Start"),
    ("View Product", "View"),
    ("View Item Details", "View"),
    ("Search Completed", "Search"),
    ("Sign Up", "Registration Complete"),
    ("[Amplitude] Deep Link Opened", "_Deeplink"),
];

impl Mapping {
    /// The mapping that a source of a platform begins with; `None` where calls are ours already.
    #[must_use]
    pub fn of(kind: SourceKind) -> Option<Self> {
        match kind {
            SourceKind::Segment => Some(Self::of_segment()),
            SourceKind::Amplitude => Some(Self::of_amplitude()),
            SourceKind::S2s | SourceKind::Web => None,
        }
    }

    fn of_segment() -> Self {
        Self {
            install: owned(["Application Installed"]),
            identifiers: identifiers(&[
                ("kochava_device_id", &["context.device.id", "anonymousId", "userId"]),
                ("ip", &["context.ip"]),
                ("idfa", &["context.device.advertisingId", "context.idfa"]),
                ("idfv", &["context.device.id"]),
                ("adid", &["context.device.advertisingId"]),
                ("android_id", &["context.device.id"]),
                ("anonymous_id", &["anonymousId"]),
            ]),
            att: owned(["context.device.trackingStatus"]),
            revenue: owned(["properties.revenue", "properties.total"]),
            currency: owned(["properties.currency"]),
            ..Self::common()
        }
    }

    fn of_amplitude() -> Self {
        Self {
            install: owned(["[Amplitude] Application Installed", "Application Installed"]),
            identifiers: identifiers(&[
                ("kochava_device_id", &["device_id", "user_id"]),
                ("ip", &["ip"]),
                ("idfa", &["idfa"]),
                ("idfv", &["idfv"]),
                ("adid", &["adid"]),
                ("android_id", &["android_id"]),
            ]),
            att: owned(["event_properties.att", "user_properties.att"]),
            revenue: owned([
                "price*quantity",
                "revenue",
                "event_properties.$price*event_properties.$quantity",
                "event_properties.$revenue",
            ]),
            currency: owned(["currency", "event_properties.$currency", "event_properties.currency"]),
            ..Self::common()
        }
    }

    fn common() -> Self {
        let renames = RENAMES.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned()));
        Self { renames: renames.collect(), send_users: true, ..Self::default() }
    }

    /// What a mapping has to name and does not: each entry is one thing to add.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let names =
            |wanted: &str| self.identifiers.iter().any(|(name, paths)| name == wanted && !paths.is_empty());
        let required = REQUIRED_IDENTIFIERS.iter().filter(|name| !names(name));
        let mut missing: Vec<String> = required.map(|name| format!("identifiers.{name}")).collect();
        if !DEVICE_IDENTIFIERS.iter().any(|name| names(name)) {
            missing.push(format!("one of identifiers.{}", DEVICE_IDENTIFIERS.join(", identifiers.")));
        }
        missing
    }

    /// Where an identifier stands.
    #[must_use]
    pub fn paths(&self, identifier: &str) -> &[String] {
        let found = self.identifiers.iter().find(|(name, _)| name == identifier);
        found.map(|(_, paths)| paths.as_slice()).unwrap_or_default()
    }

    /// What an event is called here.
    #[must_use]
    pub fn renamed<'n>(&'n self, name: &'n str) -> &'n str {
        let found = self.renames.iter().find(|(from, _)| from == name);
        found.map_or(name, |(_, to)| to)
    }

    /// Whether an event marks an install.
    #[must_use]
    pub fn is_install(&self, name: &str) -> bool {
        self.install.iter().any(|known| known == name)
    }
}

fn owned<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

fn identifiers(entries: &[(&str, &[&str])]) -> Vec<(String, Paths)> {
    let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    entries.iter().map(|(name, of)| ((*name).to_owned(), paths(of))).collect()
}

/// Why nothing comes of a call that was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IgnoreReason {
    /// The mapping does not take this event.
    EventNotTaken,
    /// The stream of installs is switched off.
    InstallsOff,
    /// The stream of events and users is switched off.
    EventsOff,
    /// The mapping takes no users.
    UsersOff,
    /// It says nothing that is kept here: properties of a group, a user of whom nothing is chosen.
    NothingToKeep,
    /// The source is switched off, and its senders would send what is refused again and again.
    SourceOff,
}

impl IgnoreReason {
    /// The name shown to people and in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventNotTaken => "event_not_taken",
            Self::InstallsOff => "installs_off",
            Self::EventsOff => "events_off",
            Self::UsersOff => "users_off",
            Self::NothingToKeep => "nothing_to_keep",
            Self::SourceOff => "source_off",
        }
    }
}

/// A call that a source leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// Why.
    pub reason: IgnoreReason,
    /// The event, by the name that the platform knows it by.
    pub event: Option<String>,
}
