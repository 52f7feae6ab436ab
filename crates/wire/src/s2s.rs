//! Server-to-server calls and the browser SDK: `/track/json` and `/v1/cpi/identityLink.php`
//! (ingest.md sections 1 to 15).

use std::net::IpAddr;

use measure::{Timestamp, catalogue::App, flag::Flags, input::Payload, platform::Traits};
pub use crate::user_agent::manufactured_user_agent;
use crate::refusal::Refusal;

/// Which address the body came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/track/json`: install, event, update, identityLink.
    TrackJson,
    /// `/v1/cpi/identityLink.php`.
    IdentityLink,
}

/// A body taken apart.
#[derive(Clone, Debug)]
pub struct Body {
    /// Its elements in order; an element that is not an object is refused alone.
    pub elements: Vec<Result<Element, Refusal>>,
    /// Whether it was an array: the answer then lists the refused elements.
    pub is_array: bool,
}

/// One element of a body: one install, event, update or identity link.
#[derive(Clone, Debug)]
pub struct Element {
    text: String,
}

/// What the edge knows about a request.
pub struct Edge<'a> {
    /// When it was received.
    pub received: Timestamp,
    /// The address of the connection (behind a trusted proxy: of the client). Used for the browser SDK only.
    pub ip: Option<IpAddr>,
    /// The user agent of the connection. Used for the browser SDK only.
    pub user_agent: Option<&'a str>,
    /// The user agent parser.
    pub traits_of: &'a dyn Fn(&str) -> Traits,
}

/// An element, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// What it says.
    pub payload: Payload,
    /// What was odd about it.
    pub flags: Flags,
    /// The element as received, minus what consent forbids.
    pub body: String,
}

/// Takes a body apart. The first byte that is not space decides: `{` an object, `[` an array, anything
/// else a form with brackets.
///
/// # Errors
/// 400 for an empty or broken body, 413 for too many elements.
pub fn elements(_body: &[u8]) -> Result<Body, Refusal> {
    Err(Refusal::bad_request("not readable yet"))
}

impl Element {
    /// `kochava_app_id`.
    #[must_use]
    pub fn app_guid(&self) -> Option<&str> {
        None
    }

    /// `action`.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        None
    }

    /// `nt_id`: the browser SDK's idempotency key.
    #[must_use]
    pub fn nt_id(&self) -> Option<&str> {
        None
    }

    /// Whether it comes from the browser SDK.
    #[must_use]
    pub fn is_web_sdk(&self) -> bool {
        false
    }

    /// The element's own JSON text: exactly the received bytes for JSON.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text with identifier values masked, for the quarantine (DECISIONS 11).
    #[must_use]
    pub fn masked(&self) -> String {
        String::new()
    }

    /// The first 16 bytes of SHA-256 over the text.
    #[must_use]
    pub fn body_hash(&self) -> [u8; 16] {
        [0; 16]
    }
}

/// Parses an element of `app`.
///
/// # Errors
/// 400 when something required is missing or has the wrong type.
pub fn parse(
    _endpoint: Endpoint,
    _element: &Element,
    _app: &App,
    _edge: &Edge<'_>,
) -> Result<Parsed, Refusal> {
    Err(Refusal::bad_request("not readable yet"))
}
