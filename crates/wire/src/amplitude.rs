//! Amplitude: HTTP V2 API, batch upload, Identify and Group Identify.
//!
//! Field names, limits and refusals are those of its documentation (HTTP V2 API, Batch Event Upload API,
//! Identify API, Group Identify API).

mod body;
mod operations;
use measure::{
    catalogue::App,
    source::{IgnoreReason, Ignored, Mapping, Streams},
    user::Operation,
};

pub use body::{
    BATCH_BYTES_MAX, BATCH_EVENTS_MAX, Endpoint, HTTP_API_BYTES_MAX, Problem, Unusable, Upload, upload,
};

use crate::{
    draft::{self, About, Route, Said, at, masked, nothing, reconciled, set, text_at},
    json::{Json, Object},
    refusal::Refusal,
    s2s::{Edge, Parsed},
};

/// What stands at the root of an event and is kept with it.
const KEPT: [&str; 9] = [
    "productId",
    "price",
    "quantity",
    "revenueType",
    "language",
    "session_id",
    "event_id",
    "library",
    "groups",
];
/// Values that the quarantine masks because of where they stand.
const MASKED: [&str; 4] = ["user_id", "device_id", "user_properties", "identification"];

/// The text of an event or identification with what identifies a device or a person masked.
#[must_use]
pub fn masked_text(text: &str) -> String {
    draft::masked_text(text, &MASKED)
}

/// One event or identification.
#[derive(Clone, Debug)]
pub struct Call {
    kind: Kind,
    text: String,
    json: Json,
    /// When the upload was made, by the clock of the sender.
    uploaded: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Event,
    Identify,
    Group,
}

impl Call {
    /// What it would become, as inputs are called.
    #[must_use]
    pub fn action(&self, mapping: &Mapping) -> &'static str {
        match self.kind {
            Kind::Identify | Kind::Group => "identity_link",
            Kind::Event if text_at(&self.json, "event_type").is_some_and(|name| mapping.is_install(name)) => {
                "install"
            }
            Kind::Event => "event",
        }
    }

    /// What makes a retry count once: `insert_id`.
    #[must_use]
    pub fn insert_id(&self) -> Option<&str> {
        text_at(&self.json, "insert_id")
    }

    /// The device, as an answer about throttling names it.
    #[must_use]
    pub fn device_id(&self) -> Option<&str> {
        text_at(&self.json, "device_id")
    }

    /// The user, as an answer about throttling names it.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        text_at(&self.json, "user_id")
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

    /// Parses it as the source wants it.
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
        let about = match self.kind {
            Kind::Group => {
                return Ok(nothing(Ignored { reason: IgnoreReason::NothingToKeep, event: None }));
            }
            Kind::Identify => About::User,
            Kind::Event => self.event(),
        };
        route.parse(&self.json, &self.text, &about, &self.said(edge), |kept| user(kept, mapping))
    }

    fn event(&self) -> About<'_> {
        let properties = at(&self.json, "event_properties").and_then(Json::object);
        let mut install = Object::new();
        install.extend(properties.map(|kept| ("properties".to_owned(), Json::Object(kept.clone()))));
        About::Event { name: text_at(&self.json, "event_type").unwrap_or_default(), properties, install }
    }

    fn said<'c>(&'c self, edge: &Edge<'_>) -> Said<'c> {
        let text = |path: &str| text_at(&self.json, path);
        let platform = text("platform");
        // In browsers the name and version are those of the browser.
        let is_web = platform.is_some_and(|platform| platform.eq_ignore_ascii_case("web"));
        let known = |name: &&str| ["ios", "android", "tvos", "ipados"].contains(&&*name.to_ascii_lowercase());
        let os = text("os_name").filter(|_| !is_web).or_else(|| platform.filter(known));
        let kept = KEPT.into_iter().filter(|key| *key != "price" || self.kind == Kind::Event);
        Said {
            os,
            os_version: text("os_version").filter(|_| !is_web),
            model: text("device_model"),
            user_agent: text("user_agent"),
            app_version: text("app_version"),
            country: text("country"),
            ad_tracking: None,
            remote: edge.ip.filter(|_| text("ip") == Some("$remote")),
            time: reconciled(text("time"), self.uploaded.as_deref(), edge.received),
            extra: kept.filter_map(|key| Some((key, at(&self.json, key)?.clone()))).collect(),
        }
    }
}

/// What a call says about the user: the id, and what happens to the properties.
fn user(kept: &Json, mapping: &Mapping) -> Vec<Operation> {
    let mut user = Vec::new();
    user.extend(at(kept, "user_id").map(|value| set("user_id", value)));
    if let Some(properties) = at(kept, "user_properties").and_then(Json::object) {
        user.extend(operations::of(properties, mapping));
    }
    user
}
