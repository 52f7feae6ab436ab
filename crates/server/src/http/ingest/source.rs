//! What the receivers of every platform's calls share: which source a key means, whether an app's limit lets
//! a call pass, and how a call of another platform becomes something for the record.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use engine::Submission;
use measure::{
    AppId, Timestamp,
    catalogue::{App, Catalogue, Sealed},
    flag::Flags,
    input::{IdempotencyKey, Input, Payload, Quarantined},
    source::{IgnoreReason, Ignored, Mapping, Source, SourceKind, Streams, Via},
};
use wire::{refusal::Refusal, s2s::Parsed};

use super::s2s::{Prepared, Step};
use crate::{clock, site::Site};

/// What the senders of a source hear that is switched off.
pub const SWITCHED_OFF: &str = "this source is switched off";

/// What a call would become that does not say so.
pub const UNKNOWN: &str = "unknown";

/// What a call of our own format would become, as inputs are called, by its `action`.
pub fn action(action: &str) -> &'static str {
    match action {
        "install" => "install",
        "event" => "event",
        "update" => "update",
        "identityLink" => "identity_link",
        _ => UNKNOWN,
    }
}

/// Receivers that differ in their path and in the last argument of the `receive` of their module.
macro_rules! receivers {
    ($($(#[$doc:meta])* $name:ident, $path:literal, $operation:literal => $what:expr,)*) => {
        $(
            $(#[$doc])*
            #[utoipa::path(
                post, path = $path, tag = "ingest",
                request_body = Value,
                responses((status = 200, description = "on record", body = Value), Untaken),
                operation_id = $operation,
            )]
            pub(in crate::http) async fn $name(
                State(site): State<Site>,
                peer: Peer,
                headers: HeaderMap,
                request: Request,
            ) -> Response {
                receive(site, peer, headers, request, $what).await
            }
        )*
    };
}
pub(super) use receivers;

static SEGMENT: LazyLock<Mapping> = LazyLock::new(|| Mapping::of(SourceKind::Segment).unwrap_or_default());
static AMPLITUDE: LazyLock<Mapping> =
    LazyLock::new(|| Mapping::of(SourceKind::Amplitude).unwrap_or_default());

/// A sender that is known: an app, and the source whose mapping its calls go through.
#[derive(Clone)]
pub struct Known {
    pub app: Arc<App>,
    source: Option<Arc<Source>>,
    kind: SourceKind,
}

impl Known {
    /// Whoever a key means: an app, for which its first source of the kind stands, or a source of the kind. No
    /// key is both.
    pub fn named(catalogue: &Catalogue, kind: SourceKind, key: &str) -> Option<Self> {
        if let Some(app) = catalogue.app_by_guid(key) {
            let source = catalogue.source_of(app.id, kind).cloned();
            return Some(Self { app: app.clone(), source, kind });
        }
        let source = catalogue.source_by_key(key).filter(|source| source.kind == kind)?;
        Some(Self { app: catalogue.app(source.app)?.clone(), source: Some(source.clone()), kind })
    }

    /// Which way its calls come in.
    pub fn via(&self) -> Via {
        Via { kind: self.kind, source: self.source.as_ref().map(|source| source.id) }
    }

    /// Whether anything is taken from it.
    pub fn is_enabled(&self) -> bool {
        self.source.as_ref().is_none_or(|source| source.enabled)
    }

    /// The mapping in force: the source's own, or the one that sources of the kind begin with.
    pub fn mapping(&self) -> &Mapping {
        let default = || match self.kind {
            SourceKind::Amplitude => &*AMPLITUDE,
            _ => &*SEGMENT,
        };
        self.source.as_ref().and_then(|source| source.mapping.as_ref()).unwrap_or_else(default)
    }

    /// What its webhooks are signed with.
    pub fn secret(&self) -> Option<&Sealed> {
        self.source.as_ref()?.secret.as_ref()
    }

    /// The streams in force.
    pub fn streams(&self) -> Streams {
        let all = Streams { installs: true, events: true };
        self.source.as_ref().map_or(all, |source| source.streams)
    }
}

/// One request as every call in it sees it.
pub struct Request<'r> {
    pub catalogue: Arc<Catalogue>,
    pub received: Timestamp,
    /// The path, for the quarantine.
    pub path: &'r str,
}

impl Request<'_> {
    /// An input of a known sender. What repeats an earlier one by its key counts once, whatever else a retry
    /// changed in it: both platforms document it so.
    pub fn take(
        &self,
        known: &Known,
        key: Option<IdempotencyKey>,
        body_hash: [u8; 16],
        parsed: Parsed,
    ) -> Prepared {
        let input = Input {
            id: clock::new_id(self.received),
            received: self.received,
            app: known.app.id,
            catalogue: self.catalogue.version,
            key,
            body_hash,
            body: parsed.body,
            flags: parsed.flags,
            payload: parsed.payload,
            via: known.via(),
        };
        let submission = Submission::Input(Box::new(input), self.catalogue.clone());
        Prepared { app: Some(known.app.id), step: Step::Take { submission, browser: true } }
    }

    /// A body that cannot be used; `masked` is what is kept of it.
    pub fn quarantine(&self, known: Option<&Known>, key: &str, masked: String, refused: Refusal) -> Prepared {
        let app = known.map(|known| known.app.id);
        let body = Quarantined {
            id: clock::new_id(self.received),
            received: self.received,
            app,
            app_guid: key.chars().take(128).collect(),
            path: self.path.to_owned(),
            status: refused.status,
            reason: refused.error.clone(),
            body: masked,
        };
        let submission = Submission::Quarantine(Box::new(body), None);
        let step =
            Step::Quarantine { submission, status: refused.status, error: refused.error, drained: false };
        Prepared { app, step }
    }
}

/// What was parsed of a call of our own format, or that its source's streams leave it out.
pub fn left_out(parsed: Parsed, streams: Streams) -> Parsed {
    match (streams.leaves_out(&parsed.payload), &parsed.payload) {
        (None, _) => parsed,
        (Some(reason), Payload::Event(event)) => ignored(reason, Some(event.name.clone())),
        (Some(reason), _) => ignored(reason, None),
    }
}

/// A call of which it is kept that it came.
pub fn ignored(reason: IgnoreReason, event: Option<String>) -> Parsed {
    let payload = Payload::Ignored(Ignored { reason, event });
    Parsed { payload, flags: Flags::new(), body: String::new() }
}

/// The limit that does not let a call pass: that of every app of it has to, and it passes as a whole
/// (DECISIONS 25), because a sender that is told 429 sends all of it again.
pub fn over_limit<'k>(site: &Site, known: impl Iterator<Item = &'k Known>) -> Option<u32> {
    let apps: BTreeMap<AppId, &Arc<App>> = known.map(|known| (known.app.id, &known.app)).collect();
    let default = site.config.app_requests_per_second();
    apps.into_values().find_map(|app| {
        let per_second = app.policy.requests_per_second.unwrap_or(default);
        (!site.app_limits.admits(app.id, per_second)).then_some(per_second)
    })
}

/// A call of which nothing is kept; `action` is what it would have become.
pub fn refuse(
    known: Option<&Known>,
    action: &'static str,
    status: u16,
    error: impl Into<String>,
) -> Prepared {
    let of = known.map(|known| (known.via(), action));
    Prepared { app: known.map(|known| known.app.id), step: Step::Refuse { of, status, error: error.into() } }
}
