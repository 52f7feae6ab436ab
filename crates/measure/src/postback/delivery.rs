//! Deliveries: what is to be sent, what became of it, and why some are never made (postbacks.md
//! sections 7 and 8).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Failure, Next, Outcome, next};
use crate::{
    AppId, DeliveryId, InputId, InstallId, NetworkId, Timestamp, TriggerId, catalogue::TriggerVersion,
    id::ulid, time::SECOND_MS,
};

/// A pause is in force at the latest so long after the time it was asked for, milliseconds: it has to be written.
const PAUSE_MS: i64 = 10 * SECOND_MS;
/// Requests that a delivery remembers besides the one it sends now; the oldest are forgotten.
pub const EARLIER_MAX: usize = 8;

/// Why nothing is sent for a pair of trigger and conversion (postbacks.md section 7, DECISIONS 6, 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suppression {
    /// The trigger is off.
    Inactive,
    /// Required context is missing.
    Incomplete,
    /// For the winning network only, and there is no winner.
    NotAttributed,
    /// For the winning network only, and another network won.
    OtherNetwork,
    /// The network was a candidate but lost.
    InfluencerOnly,
    /// The country is not on the list, or is blocked.
    CountryBlocked,
    /// A macro that must have a value has none.
    MissingMacro,
    /// The URL that came out is not one.
    BadUrl,
    /// The target is a private address that is not allow-listed.
    BlockedTarget,
    /// The same trigger and conversion was sent before.
    Duplicate,
    /// A later decision took its place while it was pending.
    Superseded,
    /// The trigger was deleted while it was pending.
    TriggerDeleted,
    /// A fraud rule rejects the click, or caught the traffic of a tracker whose `fail_action.deliver_postback` is false.
    TrafficFailed,
    /// The event says that its data are controlled, and the trigger respects that.
    DataControlled,
    /// The user does not allow it, and the trigger respects that.
    Consent,
    /// A session that is not attributable: within a day of the install, or of the last one told of.
    SessionCap,
    /// The trigger has sent as much as it may in this hour or day.
    RateCap,
    /// A condition of the trigger does not hold.
    Filtered,
    /// Events of this name are switched off.
    EventInactive,
    /// The data of whom it told of was erased on request while it was pending.
    Erased,
}

impl Suppression {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Incomplete => "incomplete",
            Self::NotAttributed => "not_attributed",
            Self::OtherNetwork => "other_network",
            Self::InfluencerOnly => "influencer_only",
            Self::CountryBlocked => "country_blocked",
            Self::MissingMacro => "missing_macro",
            Self::BadUrl => "bad_url",
            Self::BlockedTarget => "blocked_target",
            Self::Duplicate => "duplicate",
            Self::Superseded => "superseded",
            Self::TriggerDeleted => "trigger_deleted",
            Self::TrafficFailed => "traffic_failed",
            Self::DataControlled => "data_controlled",
            Self::Consent => "consent",
            Self::SessionCap => "session_cap",
            Self::RateCap => "rate_cap",
            Self::Filtered => "filtered",
            Self::EventInactive => "event_inactive",
            Self::Erased => "erased",
        }
    }
}

impl fmt::Display for Suppression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The verb of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// POST.
    Post,
}

/// A request, rendered: the same bytes on every attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The verb.
    pub method: Method,
    /// The whole URL, http or https.
    pub url: String,
    /// The content type of the body, when there is one.
    pub content_type: Option<String>,
    /// The body.
    pub body: String,
    /// A text the answer must contain to count as a success (`sx_success_match`).
    pub success_match: Option<String>,
    /// Further headers, in order: names and values that HTTP allows.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// The same request under another identifier, wherever and in whatever form it names the old one.
    #[must_use]
    pub fn renamed(&self, old: DeliveryId, new: DeliveryId) -> Self {
        let forms = |id: DeliveryId| [id.to_string(), id.0.to_string(), ulid(id.0)];
        let renamed = |text: &str| {
            let pairs = forms(old).into_iter().zip(forms(new));
            pairs.fold(text.to_owned(), |text, (old, new)| text.replace(&old, &new))
        };
        let headers = self.headers.iter().map(|(name, value)| (name.clone(), renamed(value)));
        Self {
            url: renamed(&self.url),
            body: renamed(&self.body),
            headers: headers.collect(),
            ..self.clone()
        }
    }
}

/// The state of a delivery (DECISIONS 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// To be sent, or to be tried again.
    Pending,
    /// The partner has it.
    Delivered,
    /// Refused for good, or attempts used up; the reason says which.
    Dead,
    /// Withdrawn before it was sent; the reason says why.
    Suppressed,
}

impl DeliveryState {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Suppressed => "suppressed",
        }
    }
}

/// One try (postbacks.md section 8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// When it began.
    pub started: Timestamp,
    /// How long it took, milliseconds.
    pub elapsed_ms: u32,
    /// The status of the answer; `None` when there was none.
    pub status: Option<u16>,
    /// What went wrong: `dns`, `connect`, `tls`, `timeout`, `http`, `text_mismatch`, `read`; `None` on
    /// success.
    pub error: Option<String>,
    /// At most the first 4 kB of the answer.
    pub response: String,
    /// How long it took to connect, name look-up and TLS included, milliseconds; `None` when a connection was
    /// there already, or none came about.
    #[serde(default)]
    pub connect_ms: Option<u32>,
    /// Some headers of the answer, in order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
}

impl Attempt {
    /// Whether the partner may have got the request: whatever became of it, unless no connection came about.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        let unsent = [Failure::Dns, Failure::Connect];
        !unsent.iter().any(|failure| self.error.as_deref() == Some(failure.name()))
    }
}

/// What attempts of a delivery sent, before a replay gave it another request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// The number of the first attempt that sent it.
    pub first: u32,
    /// The number of the last one.
    pub last: u32,
    /// The version of the trigger that it was made with.
    pub trigger_version: u32,
    /// What was sent.
    pub request: Request,
}

/// What a delivery sends from its next attempt on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remade {
    /// The request.
    pub request: Request,
    /// The version of the trigger that it was made with.
    pub trigger_version: u32,
    /// The network it goes to.
    pub network: Option<NetworkId>,
}

/// A postback to be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its identifier: the time of the decision and a hash of trigger, conversion and revision, so that it
    /// is the same on every attempt, replay and recomputation.
    pub id: DeliveryId,
    /// The app.
    pub app: AppId,
    /// The trigger and its version.
    pub trigger: TriggerId,
    /// The version of the trigger that its request was made with.
    pub trigger_version: u32,
    /// The install, event or click it tells of.
    pub conversion: InputId,
    /// The install that the conversion belongs to, if any.
    pub install: Option<InstallId>,
    /// The revision of the decision it tells of.
    pub revision: u32,
    /// The network it goes to, for network templates and bound custom ones.
    pub network: Option<NetworkId>,
    /// What the next attempt sends, or the last one has sent.
    pub request: Request,
    /// Its state.
    pub state: DeliveryState,
    /// Why it is dead or suppressed.
    pub reason: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it is due next; of no meaning once it is final.
    pub due: Timestamp,
    /// How many attempts it may take: 1 + `max_delivery_attempts`.
    pub attempts_allowed: u32,
    /// Every attempt so far.
    pub attempts: Vec<Attempt>,
    /// The identifier that the partner sees, when a replay was forced: it is to take it for another one.
    #[serde(default)]
    pub sent_as: Option<DeliveryId>,
    /// How many attempts had been made when it was last sent again: waits count from there.
    #[serde(default)]
    pub attempts_before: u32,
    /// Whether its trigger was paused when it was planned: it could not be taken on then.
    #[serde(default)]
    pub planned_paused: bool,
    /// What attempts sent before it was given the request that it has; at most [`EARLIER_MAX`], oldest first.
    #[serde(default)]
    pub earlier: Vec<Earlier>,
}

impl Delivery {
    /// The identifier that the partner sees.
    #[must_use]
    pub fn public_id(&self) -> DeliveryId {
        self.sent_as.unwrap_or(self.id)
    }

    /// Gives it another request. What was sent until now stays on record with the attempts that sent it.
    pub fn remake(&mut self, remade: Remade) {
        let Remade { request, trigger_version, network } = remade;
        self.network = network;
        if self.request == request && self.trigger_version == trigger_version {
            return;
        }
        let first = self.earlier.last().map_or(1, |earlier| earlier.last.saturating_add(1));
        let last = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        let request = std::mem::replace(&mut self.request, request);
        let trigger_version = std::mem::replace(&mut self.trigger_version, trigger_version);
        if first <= last {
            self.earlier.push(Earlier { first, last, trigger_version, request });
        }
        if self.earlier.len() > EARLIER_MAX {
            self.earlier.remove(0);
        }
    }

    /// What the attempt of this number sent, and the version of the trigger that it was made with; `None` when that
    /// is forgotten.
    #[must_use]
    pub fn sent_by(&self, attempt: u32) -> Option<(u32, &Request)> {
        if self.earlier.last().is_none_or(|earlier| attempt > earlier.last) {
            return Some((self.trigger_version, &self.request));
        }
        let sent = self.earlier.iter().find(|sent| (sent.first..=sent.last).contains(&attempt));
        sent.map(|sent| (sent.trigger_version, &sent.request))
    }

    /// Whether the partner cannot have got it by `now`: it is not due, or a pause of its trigger that is in force still
    /// has kept it for as long as it was due. `versions` are those of its trigger, oldest first. Of one that was
    /// tried, no attempt may have arrived.
    #[must_use]
    pub fn is_certainly_unsent(&self, versions: &[TriggerVersion], now: Timestamp) -> bool {
        let pause = versions.iter().rev().take_while(|version| version.trigger.sending.paused).last();
        let is_kept = |since: Timestamp| {
            since.plus(PAUSE_MS) < self.due || self.planned_paused && since <= self.created
        };
        !self.attempts.iter().any(Attempt::may_have_arrived)
            && (self.due > now || pause.is_some_and(|pause| is_kept(pause.at)))
    }

    /// What becomes of it after one more attempt, which ended at `now`, as [`next`] says it: a replay begins anew,
    /// so attempts before it make no wait longer.
    #[must_use]
    pub fn next(&self, outcome: &Outcome, now: Timestamp, jitter: u64) -> Next {
        let made = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        let attempt = made.saturating_sub(self.attempts_before).saturating_add(1);
        let allowed = self.attempts_allowed.saturating_sub(self.attempts_before);
        next(outcome, attempt, allowed, now, jitter)
    }
}
