//! Segment: its HTTP Tracking API, and what its webhooks send.
//!
//! Field names and limits are those of its documentation (HTTP API source, Spec: Common fields, Webhooks);
//! where Kochava's own document about Segment says more (Apple Search Ads), its names count.

mod body;
use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use measure::{
    catalogue::App,
    source::{IgnoreReason, Ignored, Mapping, Streams},
    user::Operation,
};
use sha1::Sha1;

pub use body::{BATCH_BYTES_MAX, Calls, EVENT_BYTES_MAX, calls};

use crate::{
    auth::from_hex,
    draft::{self, About, Route, Said, Told, at, masked, nothing, reconciled, set, set_all, text_at},
    json::{Json, Object, get},
    refusal::Refusal,
    s2s::{Edge, Parsed},
};

/// Libraries that run on the device: the connection is the device's, as Segment's own servers take it.
const DEVICE_LIBRARIES: [&str; 7] = [
    "analytics.js",
    "analytics-ios",
    "analytics-android",
    "analytics-swift",
    "analytics-kotlin",
    "analytics-react-native",
    "analytics_flutter",
];
/// Values that the quarantine masks because of where they stand.
const MASKED: [&str; 9] = [
    "userId",
    "anonymousId",
    "previousId",
    "groupId",
    "traits",
    "context.traits",
    "context.device.id",
    "context.device.advertisingId",
    "context.device.token",
];
/// Apple's name for each field of `context.campaign` (Kochava's Segment document).
const CAMPAIGN: [(&str, &str); 7] = [
    ("click_date", "iad-click-date"),
    ("conversion_date", "iad-conversion-date"),
    ("name", "iad-campaign-name"),
    ("content", "iad-keyword"),
    ("ad_creative", "iad-org-name"),
    ("ad_group", "iad-adgroup-name"),
    ("id", "iad-campaign-id"),
];
/// The longest idempotency key that is kept as it is; Segment asks for fewer than 100 characters.
const KEY_BYTES_MAX: usize = 256;

/// What a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody did something.
    Track,
    /// Who somebody is.
    Identify,
    /// A page was seen.
    Page,
    /// A screen was seen.
    Screen,
    /// One somebody is another one.
    Alias,
    /// Somebody belongs to a group.
    Group,
}

impl Kind {
    /// The kind of a `type`; `None` for one that is not known.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "track" => Self::Track,
            "identify" => Self::Identify,
            "page" => Self::Page,
            "screen" => Self::Screen,
            "alias" => Self::Alias,
            "group" => Self::Group,
            _ => return None,
        })
    }

    /// The kind of the calls on a path; `None` where it takes batches.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        Some(match path.strip_prefix("/v1/")? {
            "t" => Self::Track,
            "i" => Self::Identify,
            "p" => Self::Page,
            "s" => Self::Screen,
            "a" => Self::Alias,
            "g" => Self::Group,
            name => return Self::named(name),
        })
    }

    /// What its calls become, as inputs are called, unless a mapping says that they mark an install.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::Identify | Self::Alias | Self::Group => "identity_link",
            Self::Track | Self::Page | Self::Screen => "event",
        }
    }
}

/// The text of a call with what identifies a device or a person masked.
#[must_use]
pub fn masked_text(text: &str) -> String {
    draft::masked_text(text, &MASKED)
}

/// How calls come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One call on the path of its kind.
    One(Kind),
    /// An object with a `batch`.
    Batch,
    /// A call or an array of them, as a webhook sends them: times are corrected already.
    Webhook,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    kind: Kind,
    text: String,
    json: Json,
    /// The write key that stands in it or in its batch.
    write_key: Option<String>,
    /// `sentAt` of its batch.
    sent: Option<String>,
    /// Whether its `timestamp` is what Segment calculated.
    is_corrected: bool,
}

impl Call {
    /// The write key in the body.
    #[must_use]
    pub fn write_key(&self) -> Option<&str> {
        self.write_key.as_deref()
    }

    /// What it would become, as inputs are called.
    #[must_use]
    pub fn action(&self, mapping: &Mapping) -> &'static str {
        let names_install = || text_at(&self.json, "event").is_some_and(|name| mapping.is_install(name));
        if self.kind == Kind::Track && names_install() { "install" } else { self.kind.action() }
    }

    /// What makes a retry count once: `messageId`, shortened when it is longer than any library makes it.
    #[must_use]
    pub fn message_id(&self) -> Option<String> {
        let id = text_at(&self.json, "messageId")?;
        Some(if id.len() > KEY_BYTES_MAX { digest(id) } else { id.to_owned() })
    }

    /// The first 16 bytes of SHA-256 over its text.
    #[must_use]
    pub fn body_hash(&self) -> [u8; 16] {
        crate::body::hash(self.text.as_bytes())
    }

    /// Its text with what identifies a device or a person masked, for the quarantine (DECISIONS 11).
    #[must_use]
    pub fn masked(&self) -> String {
        masked(&self.json, &MASKED)
    }

    /// Parses it as the source wants it. `remote` is the address of the connection.
    ///
    /// # Errors
    /// 400, naming what is wrong.
    pub fn parse(
        &self,
        mapping: &Mapping,
        streams: Streams,
        app: &App,
        edge: &Edge<'_>,
    ) -> Result<Parsed, Refusal> {
        let route = Route { mapping, streams, app, edge };
        let mut said = self.said(edge);
        let about = match self.kind {
            Kind::Track => self.event(&mut said)?,
            Kind::Page => self.view("page"),
            Kind::Screen => self.view("screen"),
            Kind::Identify | Kind::Alias | Kind::Group => About::User,
        };
        if matches!(about, About::User) && text_at(&self.json, "userId").is_none() && !self.names_traits() {
            // An identify of an anonymous somebody, or a group of nobody known.
            return Ok(nothing(Ignored { reason: IgnoreReason::NothingToKeep, event: None }));
        }
        route.parse(&self.json, &self.text, &about, &said, |kept| self.user(kept, mapping))
    }

    fn names_traits(&self) -> bool {
        self.kind == Kind::Group
            || at(&self.json, "traits").and_then(Json::object).is_some_and(|traits| !traits.is_empty())
    }

    fn event<'c>(&'c self, said: &mut Said<'c>) -> Result<About<'c>, Refusal> {
        let name = at(&self.json, "event").and_then(Json::scalar).ok_or_else(|| {
            Refusal::bad_request("event is required on a track call: name the event with a string in it")
        })?;
        let mut install = Object::new();
        if let Some(campaign) = at(&self.json, "context.campaign").and_then(Json::object) {
            if get(campaign, "provider").and_then(Json::scalar) == Some("Apple") {
                install.push(("iad_attribution_details".to_owned(), search_ads(campaign)));
            }
            said.extra.push(("claimed_source", Json::Object(campaign.clone())));
        }
        if let Some(properties) = at(&self.json, "properties") {
            install.push(("properties".to_owned(), properties.clone()));
        }
        Ok(About::Event { name, properties: at(&self.json, "properties").and_then(Json::object), install })
    }

    /// A page or a screen: an event of that name, the view's own name being one of its properties.
    fn view(&self, event: &'static str) -> About<'_> {
        About::Event {
            name: event,
            properties: at(&self.json, "properties").and_then(Json::object),
            install: Object::new(),
        }
    }

    fn said(&self, edge: &Edge<'_>) -> Said<'_> {
        let text = |path: &str| text_at(&self.json, path);
        let mut extra = Vec::new();
        for (key, path) in [("locale", "context.locale"), ("app_name", "context.app.name")] {
            extra.extend(at(&self.json, path).map(|value| (key, value.clone())));
        }
        if matches!(self.kind, Kind::Page | Kind::Screen) {
            for (key, path) in [("view_name", "name"), ("view_category", "category")] {
                extra.extend(at(&self.json, path).map(|value| (key, value.clone())));
            }
        }
        let enabled = at(&self.json, "context.device.adTrackingEnabled").and_then(Json::truth);
        Said {
            os: text("context.os.name").or_else(|| text("context.device.type")),
            os_version: text("context.os.version"),
            model: text("context.device.model"),
            user_agent: text("context.userAgent"),
            app_version: text("context.app.version"),
            country: text("context.location.country"),
            ad_tracking: enabled,
            remote: self.remote(edge),
            time: self.time(edge),
            extra,
        }
    }

    /// The address of the connection, when a library on the device made the call, or the call says that it
    /// came from there.
    fn remote(&self, edge: &Edge<'_>) -> Option<IpAddr> {
        let library = text_at(&self.json, "context.library.name");
        let is_direct = at(&self.json, "context.direct").and_then(Json::truth) == Some(true);
        let is_device = is_direct || library.is_some_and(|name| DEVICE_LIBRARIES.contains(&name));
        edge.ip.filter(|_| is_device && !self.is_corrected)
    }

    /// What a call writes as `timestamp` its receiver calls `originalTimestamp`; after Segment `timestamp`
    /// is what it calculated from the four.
    fn time(&self, edge: &Edge<'_>) -> Told {
        let text = |path: &str| text_at(&self.json, path);
        if self.is_corrected {
            return reconciled(text("timestamp").or_else(|| text("receivedAt")), None, edge.received);
        }
        let written = text("originalTimestamp").or_else(|| text("timestamp"));
        reconciled(written, text("sentAt").or(self.sent.as_deref()), edge.received)
    }

    /// What the call says about the user: the id, and traits where they are the user's.
    fn user(&self, kept: &Json, mapping: &Mapping) -> Vec<Operation> {
        let mut user = Vec::new();
        let mut one = |name: &str, path: &str| user.extend(at(kept, path).map(|value| set(name, value)));
        one("user_id", "userId");
        if self.kind == Kind::Group && mapping.user_properties.takes("group_id") {
            one("group_id", "groupId");
        }
        let traits = if self.kind == Kind::Identify { "traits" } else { "context.traits" };
        // A group's traits are not those of its members.
        if let Some(traits) = at(kept, traits).and_then(Json::object) {
            user.extend(set_all(traits, mapping));
        }
        user
    }
}

/// `context.campaign` of Apple as the dictionary that it was made from.
fn search_ads(campaign: &Object) -> Json {
    let mut details = vec![("iad-attribution".to_owned(), Json::Text("true".to_owned()))];
    for (name, apple) in CAMPAIGN.into_iter().chain([("ad_group_id", "iad-adgroup-id")]) {
        details.extend(get(campaign, name).map(|value| (apple.to_owned(), value.clone())));
    }
    Json::Object(vec![("Version3.1".to_owned(), Json::Object(details))])
}

fn digest(text: &str) -> String {
    crate::body::hash(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `X-Signature` is the hexadecimal HMAC-SHA1 of the body with the source's secret. Segment signs a
/// batch by its first event alone, so that one counts too. Compares in constant time.
#[must_use]
pub fn is_signed(body: &[u8], secret: &[u8], signature: Option<&str>) -> bool {
    let Some(signature) = signature.and_then(|text| from_hex(text.trim())) else { return false };
    let signs = |signed: &[u8]| {
        Hmac::<Sha1>::new_from_slice(secret).is_ok_and(|mut mac| {
            mac.update(signed);
            mac.verify_slice(&signature).is_ok()
        })
    };
    signs(body) || body::first_of_array(body).is_some_and(|first| signs(first.as_bytes()))
}
