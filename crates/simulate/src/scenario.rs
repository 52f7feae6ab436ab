//! A scenario: people, what they did in the order it reaches the server, and what really happened.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use crate::device::{Device, Hash, Platform};

/// How many networks a scenario has; ads name them by their index.
pub const NETWORKS: usize = 3;

/// The match class that a correct server finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// An identifier, plain or hashed.
    DeviceId,
    /// The click id in the Play install referrer.
    Referrer,
    /// Apple's word.
    Asa,
    /// Address and make; may be missed or mistaken.
    Modeled,
    /// No ad.
    Organic,
}

impl Expected {
    /// The name of the class in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeviceId => "device_id",
            Self::Referrer => "referrer",
            Self::Asa => "asa",
            Self::Modeled => "modeled",
            Self::Organic => "organic",
        }
    }

    /// Whether the server has to get it right, always.
    #[must_use]
    pub const fn is_deterministic(self) -> bool {
        matches!(self, Self::DeviceId | Self::Referrer | Self::Asa)
    }
}

/// What really happened to a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Truth {
    /// Never installed.
    NoInstall,
    /// Installed because of one of our ads.
    Ad {
        /// How it can be known.
        expected: Expected,
        /// The network of the ad.
        network: usize,
        /// The partner's click id of that very click or impression.
        click_id: String,
    },
    /// Installed because of an ad in the App Store.
    SearchAds,
    /// Installed without an ad.
    Organic {
        /// Behind the same address as somebody who clicked, but with another identifier of the same kind:
        /// must not be credited.
        stranger: bool,
    },
}

impl Truth {
    /// The class a correct server finds; `None` without an install.
    #[must_use]
    pub const fn expected(&self) -> Option<Expected> {
        match self {
            Self::NoInstall => None,
            Self::Ad { expected, .. } => Some(*expected),
            Self::SearchAds => Some(Expected::Asa),
            Self::Organic { .. } => Some(Expected::Organic),
        }
    }
}

/// How a link carries the identifier of the person who sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum LinkId {
    /// Not at all; some networks leave their macro unfilled.
    None {
        /// Whether the unfilled macro is on the link.
        placeholder: bool,
    },
    /// `idfa=…` or `adid=…`.
    Plain,
    /// `device_id=…&device_id_type=…`.
    Typed,
    /// `device_id=<digest>&device_id_is_hashed=true`.
    Hashed {
        /// With this hash.
        hash: Hash,
        /// Over the upper-case identifier.
        upper: bool,
        /// Over the identifier with its dashes.
        dashes: bool,
    },
}

impl LinkId {
    /// Whether the link carries an identifier.
    #[must_use]
    pub const fn is_some(self) -> bool {
        !matches!(self, Self::None { .. })
    }
}

/// Who calls a tracking link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Caller {
    /// The phone's browser: it is redirected.
    Browser,
    /// The network's server, with `pbr=1`: it gets a plain answer.
    Server,
}

/// A click or an impression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Engagement {
    /// The network that showed the ad.
    pub network: usize,
    /// The app it was for.
    pub app: Platform,
    /// The identifier on the link.
    pub id: LinkId,
    /// Who calls.
    pub caller: Caller,
    /// The partner's click id; the same on a duplicate.
    pub click_id: String,
    /// The publisher.
    pub site_id: String,
    /// The address of the phone.
    pub ip: IpAddr,
}

/// What the install carries beside the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Install {
    /// The address of the phone.
    pub ip: IpAddr,
    /// A user agent; otherwise `device_ver` only.
    pub user_agent: bool,
    /// The install referrer that the store handed over after the person's click.
    pub referrer: bool,
    /// Apple's answer, with the moment of the click in epoch seconds.
    pub search_ads: Option<i64>,
    /// An identity link that rides on it.
    pub user_id: Option<String>,
}

/// An in-app event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Its name.
    pub name: &'static str,
    /// `event_data`.
    pub data: Value,
    /// `currency`, for those with an amount.
    pub currency: Option<&'static str>,
    /// `Idempotency-Key`; the same on a retry.
    pub key: Option<String>,
    /// By what the sender names the device.
    pub join: Join,
}

/// By what an event or link names its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Join {
    /// `kochava_device_id`.
    KochavaDeviceId,
    /// The advertising identifier alone.
    AdvertisingId,
    /// The vendor's identifier alone.
    VendorId,
    /// The digest of the advertising identifier; identity links only.
    Hashed(Hash),
}

/// What reaches the server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Action {
    /// A click.
    Click(Engagement),
    /// An impression.
    Impression(Engagement),
    /// The install.
    Install(Install),
    /// An event.
    Event(Event),
    /// The advertising identifier became readable.
    Update,
    /// An identity link.
    Link {
        /// By what the device is named.
        join: Join,
        /// The user.
        user_id: String,
    },
}

impl Action {
    /// The kind, as the ledger names it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Click(_) => "click",
            Self::Impression(_) => "impression",
            Self::Install(_) => "install",
            Self::Event(_) => "event",
            Self::Update => "update",
            Self::Link { .. } => "identity_link",
        }
    }
}

/// How a moment is written into `usertime` and `click_time`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Clock {
    /// A number of seconds.
    Seconds,
    /// Seconds as a text.
    Text,
    /// A number of milliseconds.
    Millis,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// When it happened, epoch seconds; `None` is "just now": no time is sent.
    pub time: Option<i64>,
    /// How the time is written.
    pub clock: Clock,
    /// What is sent.
    pub action: Action,
}

/// A person with a phone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Person {
    /// The phone.
    pub device: Device,
    /// What really happened.
    pub truth: Truth,
    /// What reaches the server, in the order of arrival.
    pub steps: Vec<Step>,
}

/// Everybody.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scenario {
    /// The seed it was drawn from.
    pub seed: u64,
    /// The people.
    pub people: Vec<Person>,
}

impl Scenario {
    /// How many requests it takes to send it.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.people.iter().map(|person| person.steps.len()).sum()
    }
}
