//! Tracking links: clicks and impressions (tracking-and-attribution.md sections 2 to 4).

use std::net::IpAddr;

use measure::{
    Timestamp, TouchId,
    catalogue::{App, Tracker},
    engagement::{Engagement, EngagementKind},
    flag::Flags,
    platform::Traits,
};

/// What the edge knows about the request of a link.
pub struct LinkEdge<'a> {
    /// When it was received.
    pub received: Timestamp,
    /// The address of the connection.
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
    raw: String,
}

/// Reads a query. Never fails.
#[must_use]
pub fn read(query: &str) -> Link {
    Link { raw: query.to_owned() }
}

impl Link {
    /// `campaign_id`: the tracker's GUID.
    #[must_use]
    pub fn tracker_guid(&self) -> Option<&str> {
        let _ = &self.raw;
        None
    }

    /// Whether the caller is a server that wants no redirect (`pbr=1`).
    #[must_use]
    pub fn is_server_call(&self) -> bool {
        false
    }

    /// The engagement, and what was odd about it.
    #[must_use]
    pub fn engagement(
        &self,
        kind: EngagementKind,
        tracker: &Tracker,
        _app: &App,
        edge: &LinkEdge<'_>,
    ) -> (Engagement, Flags) {
        let engagement = Engagement {
            kind,
            time: edge.received,
            tracker: tracker.id,
            network: tracker.network,
            campaign: tracker.campaign,
            segment: tracker.segment,
            identifiers: Vec::new(),
            ip: edge.ip,
            user_agent: None,
            traits: Traits::default(),
            att: Default::default(),
            click_id: None,
            site_id: None,
            sub_site_id: None,
            creative_id: None,
            params: Vec::new(),
            query: String::new(),
        };
        (engagement, Flags::new())
    }

    /// Where the click leads; `None` when the tracker's destination cannot be used.
    #[must_use]
    pub fn destination(&self, _tracker: &Tracker, _app: &App, _click: TouchId) -> Option<String> {
        None
    }
}
