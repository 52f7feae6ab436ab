//! Inputs, as they enter the one write path, and facts, as they are remembered.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    AppId, InputId, InstallId, Timestamp, TriggerId,
    attribution::{EventDecision, Source},
    claim::Claim,
    engagement::Engagement,
    event::Event,
    flag::Flags,
    fraud::Finding,
    install::Install,
    link::{IdentityLink, Update},
    postback::Suppression,
    skad::AggregatePostback,
    source::{Ignored, Via},
};

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// A click or an impression.
    Engagement(Engagement),
    /// An install.
    Install(Install),
    /// An event.
    Event(Event),
    /// An update of identifiers.
    Update(Update),
    /// An identity link.
    Link(IdentityLink),
    /// What Apple says about an ad without saying about whom.
    Aggregate(AggregatePostback),
    /// What a source's mapping leaves out. It is on record that it came, and nothing of what it said.
    Ignored(Ignored),
    /// A self-attributing network's claim of a device.
    Claim(Claim),
}

impl Payload {
    /// Whether it came from a source of its app. Links, what Apple says, and claims of networks did not.
    #[must_use]
    pub const fn has_source(&self) -> bool {
        !matches!(self, Self::Engagement(_) | Self::Aggregate(_) | Self::Claim(_))
    }

    /// The kind as the ledger counts it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Engagement(engagement) => engagement.kind.name(),
            Self::Install(_) => "install",
            Self::Event(_) => "event",
            Self::Update(_) => "update",
            Self::Link(_) => "identity_link",
            Self::Aggregate(_) => "aggregate",
            Self::Ignored(_) => "ignored",
            Self::Claim(_) => "claim",
        }
    }
}

/// A key that makes a retry count once (DECISIONS 26).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// Which kind of key: `header`, `nt_id`, `body` (the bytes themselves, for flagging only), …
    pub source: String,
    /// The key; of what the sender wrote, its [digest](Self::sent) only.
    pub key: String,
}

impl IdempotencyKey {
    /// What is kept of a key that a sender wrote: 32 hexadecimal digits of its SHA-256. Senders make keys from
    /// identifiers of the device, also from those that may not be kept (DECISIONS 16).
    #[must_use]
    pub fn sent(source: &str, key: &str) -> Self {
        let digest = Sha256::digest(key);
        let key = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self { source: source.to_owned(), key }
    }
}

/// One element, resolved: everything that can differ between two runs has been settled at the edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its identifier.
    pub id: InputId,
    /// When it was received.
    pub received: Timestamp,
    /// Its app.
    pub app: AppId,
    /// The catalogue version it was resolved under.
    pub catalogue: u64,
    /// The sender's idempotency key.
    pub key: Option<IdempotencyKey>,
    /// The first 16 bytes of SHA-256 over the element as received.
    pub body_hash: [u8; 16],
    /// The element as received, with what consent forbids removed. Empty for links, whose query is in the
    /// payload.
    pub body: String,
    /// What was odd about it.
    pub flags: Flags,
    /// What it says.
    pub payload: Payload,
    /// Which way it came in.
    #[serde(default)]
    pub via: Via,
}

/// A pair of trigger and conversion for which nothing was sent, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppressed {
    /// The trigger.
    pub trigger: TriggerId,
    /// The reason.
    pub reason: Suppression,
}

/// Something that an input brought about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// An engagement was stored.
    Touched {
        /// Whether the same device had the same kind of engagement with the tracker before.
        duplicate: bool,
        /// Pairs for which nothing was sent.
        suppressed: Vec<Suppressed>,
        /// What fraud rules saw in it.
        #[serde(default)]
        findings: Vec<Finding>,
    },
    /// A new install was decided.
    Installed {
        /// The install.
        install: InstallId,
        /// Where it came from; `None` is organic.
        source: Option<Source>,
        /// Pairs for which nothing was sent.
        suppressed: Vec<Suppressed>,
        /// The first install of the device, when this is a later one.
        #[serde(default)]
        reprocess_for: Option<InstallId>,
    },
    /// The install was known; the first attribution stands.
    DuplicateInstall {
        /// The install that stands.
        install: InstallId,
    },
    /// An install was decided again and the decision changed (DECISIONS 6).
    Redecided {
        /// The install.
        install: InstallId,
        /// The new revision.
        revision: u32,
        /// Where it came from.
        source: Option<Source>,
        /// Pairs for which nothing was sent.
        suppressed: Vec<Suppressed>,
    },
    /// An event was joined to an install: this input itself, or one that had been held.
    EventLinked {
        /// The event.
        input: InputId,
        /// The install.
        install: InstallId,
        /// To whom it is attributed: the source of its install, or a reengagement.
        source: Option<Source>,
        /// Pairs for which nothing was sent.
        suppressed: Vec<Suppressed>,
        /// When the install happened.
        #[serde(default)]
        installed: Option<Timestamp>,
        /// The decision, when there was something to decide.
        #[serde(default)]
        decision: Option<Box<EventDecision>>,
    },
    /// An update or identity link was applied: this input itself, or one that had been held.
    Applied {
        /// The update or link.
        input: InputId,
        /// The install of the device.
        install: InstallId,
    },
    /// No install is known yet: the input waits (DECISIONS 4).
    Held {
        /// Pairs for which nothing was sent, for an event.
        suppressed: Vec<Suppressed>,
    },
    /// An aggregate postback was stored.
    Counted {
        /// Whether its transaction had been counted in its window before: this one adds nothing.
        duplicate: bool,
    },
    /// Nothing comes of it; its payload says why.
    Ignored,
    /// The properties of the user that the input changed, by name.
    UserChanged {
        /// The input: this one itself, or one that had been held.
        input: InputId,
        /// What changed.
        changed: Vec<String>,
        /// What was left out, because a device keeps no more.
        refused: Vec<String>,
    },
    /// An event was decided again and its attribution changed.
    EventRedecided {
        /// The event.
        input: InputId,
        /// The install.
        install: InstallId,
        /// The new revision.
        revision: u32,
        /// To whom it is attributed.
        source: Option<Source>,
        /// Pairs for which nothing was sent.
        suppressed: Vec<Suppressed>,
        /// When the install happened.
        installed: Option<Timestamp>,
        /// The decision, when there was something to decide.
        decision: Option<Box<EventDecision>>,
    },
}

impl Outcome {
    /// The suppressed pairs of the outcome.
    #[must_use]
    pub fn suppressed(&self) -> &[Suppressed] {
        match self {
            Self::Touched { suppressed, .. }
            | Self::Installed { suppressed, .. }
            | Self::Redecided { suppressed, .. }
            | Self::EventLinked { suppressed, .. }
            | Self::EventRedecided { suppressed, .. }
            | Self::Held { suppressed } => suppressed,
            Self::DuplicateInstall { .. }
            | Self::Applied { .. }
            | Self::Counted { .. }
            | Self::Ignored
            | Self::UserChanged { .. } => &[],
        }
    }
}

/// An input and what it brought about: the unit of the record. Facts are never changed, but for what a
/// privacy request erases; what becomes of a held input later is an outcome of the install that released it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// The place in the order of commits; the first is 1.
    pub sequence: u64,
    /// The input.
    pub input: Input,
    /// What it brought about, in order.
    pub outcomes: Vec<Outcome>,
}

/// A body that could not be used, kept with the reason (DECISIONS 11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Its identifier.
    pub id: InputId,
    /// When it was received.
    pub received: Timestamp,
    /// The app; `None` is the shared bucket for unknown apps.
    pub app: Option<AppId>,
    /// The app as the sender called it.
    pub app_guid: String,
    /// The request path.
    pub path: String,
    /// The status the sender was answered with.
    pub status: u16,
    /// What is wrong with it, for people.
    pub reason: String,
    /// The body, identifiers masked.
    pub body: String,
}

#[cfg(test)]
mod tests;
