//! Tracking links: clicks and impressions (tracking-and-attribution.md sections 2 to 4).

use std::{borrow::Cow, collections::HashSet, net::IpAddr};

use measure::{
    Timestamp,
    catalogue::{App, Tracker},
    consent::Att,
    engagement::{Engagement, EngagementKind, LinkIdentifier},
    flag::{Flag, Flags},
    identifier::{IdKind, is_absent},
    place::Place,
    platform::{Os, Traits},
};

pub use self::destination::{check_destination, own_scheme};
pub(crate) use self::identifiers::{can_be_plain, forms as identifier_forms};
use crate::{json::truth, moment, redaction::Needles, s2s, user_agent::decoded};

mod destination;
mod identifiers;
mod signature;

/// Parameters that have a place of their own in an engagement; identifiers aside.
const OWN_KEYS: [&str; 13] = [
    "campaign_id",
    "click_id",
    "site_id",
    "sub_site_id",
    "creative_id",
    "ip_address",
    "device_ua",
    "user_agent",
    "att",
    "att_time",
    "att_duration",
    "att_detail",
    "pbr",
];

/// What the edge knows about the request of a link.
pub struct LinkEdge<'a> {
    /// When it was received.
    pub received: Timestamp,
    /// The address of the connection (behind a trusted proxy: of the client).
    pub ip: Option<IpAddr>,
    /// The user agent of the connection.
    pub user_agent: Option<&'a str>,
    /// Whether `click_time` is taken as the time of the engagement (DECISIONS 1).
    pub accept_click_time: bool,
    /// The user agent parser.
    pub traits_of: &'a dyn Fn(&str) -> Traits,
}

/// The query of a tracking link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// As received, without a leading `?`.
    raw: String,
    /// Decoded, in the order written.
    pairs: Vec<(String, String)>,
}

/// Reads a query. Never fails: what cannot be decoded is kept as well as it goes.
#[must_use]
pub fn read(query: &str) -> Link {
    let raw = query.strip_prefix('?').unwrap_or(query);
    let pairs = form_urlencoded::parse(raw.as_bytes());
    Link {
        raw: raw.to_owned(),
        pairs: pairs.map(|(key, value)| (key.into_owned(), value.into_owned())).collect(),
    }
}

impl Link {
    /// `campaign_id`: the tracker's GUID.
    #[must_use]
    pub fn tracker_guid(&self) -> Option<&str> {
        self.text("campaign_id")
    }

    /// Whether the caller is a server that wants no redirect (`pbr=1`).
    #[must_use]
    pub fn is_server_call(&self) -> bool {
        self.text("pbr").and_then(truth) == Some(true)
    }

    /// The engagement, and what was odd about it. Network, campaign and segment are the tracker's.
    ///
    /// With `att=0` the IDFA, hashed or not, is dropped everywhere: from the identifiers, the parameters,
    /// the query and every text that holds it.
    #[must_use]
    pub fn engagement(
        &self,
        kind: EngagementKind,
        tracker: &Tracker,
        app: &App,
        edge: &LinkEdge<'_>,
    ) -> (Engagement, Flags) {
        let mut flags = Flags::new();
        let forbidden = self.forbidden(self.os(app, edge).as_ref());
        let link = self.without(&forbidden);
        let user_agent = link.user_agent(edge).filter(|text| !forbidden.hit(text));
        let traits = user_agent.as_deref().map(edge.traits_of).unwrap_or_default();
        let os = traits.os.clone().or_else(|| app.os());
        if user_agent.is_none() {
            flags.insert(Flag::UaMissing);
        }
        if !forbidden.is_empty() {
            flags.insert(Flag::IdfaDroppedAttFalse);
        }
        let (ip, ip_of_caller) = link.ip(edge, &mut flags);
        let engagement = Engagement {
            kind,
            time: link.time(edge, &mut flags),
            tracker: tracker.id,
            network: tracker.network,
            campaign: tracker.campaign,
            segment: tracker.segment,
            identifiers: link.identifiers(os.as_ref(), &mut flags),
            ip,
            user_agent,
            traits,
            att: link.att(),
            click_id: link.owned("click_id"),
            site_id: link.owned("site_id"),
            sub_site_id: link.owned("sub_site_id"),
            creative_id: link.owned("creative_id"),
            params: link.params(),
            query: link.raw.clone(),
            place: Place::default(),
            ip_of_caller,
        };
        (engagement, flags)
    }

    /// The operating system that the link was followed on: the one of the user agent, else of the app's platform.
    #[must_use]
    pub fn os(&self, app: &App, edge: &LinkEdge<'_>) -> Option<Os> {
        let traits = self.user_agent(edge).as_deref().map(edge.traits_of).unwrap_or_default();
        traits.os.or_else(|| app.os())
    }

    /// The last value of a parameter, exactly as decoded.
    fn last(&self, key: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The last value of a parameter, unless it means "absent".
    fn text(&self, key: &str) -> Option<&str> {
        self.last(key).map(str::trim).filter(|value| !is_placeholder(key, value))
    }

    fn owned(&self, key: &str) -> Option<String> {
        self.text(key).map(str::to_owned)
    }

    /// Parameter first, else the connection.
    fn user_agent(&self, edge: &LinkEdge<'_>) -> Option<String> {
        let named = |key: &&str| decoded(self.last(key)?).filter(|text| !text.eq_ignore_ascii_case(key));
        let parameter = ["device_ua", "user_agent"].iter().find_map(named);
        parameter.or_else(|| edge.user_agent.and_then(decoded))
    }

    /// Parameter first, else the connection, and whether that is only the address of a server which does not
    /// tell the user's. One that is no address is not replaced by the connection's, which then is that of
    /// somebody's server.
    fn ip(&self, edge: &LinkEdge<'_>, flags: &mut Flags) -> (Option<IpAddr>, bool) {
        if let Some(text) = self.text("ip_address").filter(|text| !is_absent(text)) {
            let ip = s2s::ip(text);
            if ip.is_none() {
                flags.insert(Flag::IpInvalid);
            }
            return (ip.map(|ip| ip.to_canonical()), false);
        }
        let Some(ip) = edge.ip else {
            flags.insert(Flag::IpMissing);
            return (None, false);
        };
        let of_caller = self.is_server_call();
        if of_caller {
            flags.insert(Flag::IpOfCaller);
        }
        (Some(ip.to_canonical()), of_caller)
    }

    /// Receipt, or `click_time` where that is accepted and given (DECISIONS 1).
    fn time(&self, edge: &LinkEdge<'_>, flags: &mut Flags) -> Timestamp {
        let Some(text) = self.text("click_time").filter(|_| edge.accept_click_time) else {
            return edge.received;
        };
        let (time, odd) = moment::settle(Some(text), edge.received);
        flags.extend(odd);
        time
    }

    fn att(&self) -> Att {
        Att {
            flag: self.text("att").and_then(truth),
            time: self.text("att_time").and_then(s2s::whole),
            duration: self.text("att_duration").and_then(s2s::whole),
            detail: self.owned("att_detail"),
        }
    }

    /// Every parameter without a place of its own: the last value of each key, unless it means "absent".
    fn params(&self) -> Vec<(String, String)> {
        let mut seen = HashSet::new();
        let mut params: Vec<(String, String)> = self
            .pairs
            .iter()
            .rev()
            .filter(|(key, _)| seen.insert(key.as_str()))
            .filter(|(key, value)| {
                !OWN_KEYS.contains(&key.as_str())
                    && !identifiers::is_own_key(key)
                    && !is_placeholder(key, value)
            })
            .cloned()
            .collect();
        params.reverse();
        params
    }

    /// The IDFAs that `att=0` forbids, hashed or not.
    fn forbidden(&self, os: Option<&Os>) -> Needles {
        let mut needles = Needles::default();
        if self.att().flag != Some(false) {
            return needles;
        }
        let device_kind = self.device_kind(os);
        for (key, value) in &self.pairs {
            let is_idfa = identifiers::kind_of_key(key).is_some_and(|(kind, _)| kind == IdKind::Idfa);
            if is_idfa || key == "device_id" && device_kind == IdKind::Idfa {
                needles.add(value);
            }
        }
        needles
    }

    /// The link without any parameter that is, or holds, a forbidden value.
    fn without(&self, forbidden: &Needles) -> Cow<'_, Self> {
        if forbidden.is_empty() {
            return Cow::Borrowed(self);
        }
        let is_kept = |segment: &&str| {
            !forbidden.hit(segment)
                && form_urlencoded::parse(segment.as_bytes())
                    .all(|(key, value)| !forbidden.hit(&key) && !forbidden.hit(&value))
        };
        let kept: Vec<&str> = self.raw.split('&').filter(is_kept).collect();
        Cow::Owned(read(&kept.join("&")))
    }

    fn identifiers(&self, os: Option<&Os>, flags: &mut Flags) -> Vec<LinkIdentifier> {
        identifiers::read(self, os, flags)
    }
}

/// Whether a value means "absent": empty, an unfilled macro, a placeholder such as `null`, or the name of
/// its own key. A lone `0` is a value here; only for identifiers it means nothing.
fn is_placeholder(key: &str, value: &str) -> bool {
    let value = value.trim();
    let is_zero = !value.is_empty() && value.bytes().all(|b| matches!(b, b'0' | b'-' | b':'));
    is_absent(value) && !is_zero || value.eq_ignore_ascii_case(key)
}
