//! `POST /track/json` and `POST /v1/cpi/identityLink.php` (ingest.md sections 1 to 17).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, request::Parts},
    response::Response,
};
use engine::{Answer, Submission};
use measure::{
    AppId, Timestamp,
    catalogue::{App, AuthMode, Catalogue},
    flag::Flag,
    input::{IdempotencyKey, Input, Quarantined},
    source::{IgnoreReason, SourceKind, Via},
};
use wire::{
    auth::{AuthOutcome, authenticate},
    body::{BODY_BYTES_MAX, hash},
    refusal::Refusal,
    s2s::{BadElement, Edge, Element, Endpoint, Parsed, elements, outline, parse},
};

use super::{
    Peer,
    answer::{Fate, array, refusal, single},
    body_of, finish, search_ads,
    source::{self, Known},
    text,
};
use crate::http::openapi::Untaken;
use crate::{clock, ledger, site::Site};

#[utoipa::path(
    post, path = "/track/json", tag = "ingest",
    request_body = Value,
    responses((status = 200, description = "durable, decided, postbacks queued; `Sextant-Input` names the inputs", body = Value), Untaken),
    operation_id = "s2s_track_json",
)]
pub(in crate::http) async fn track_json(State(site): State<Site>, peer: Peer, request: Request) -> Response {
    receive(site, peer, request, Endpoint::TrackJson).await
}

#[utoipa::path(
    post, path = "/v1/cpi/identityLink.php", tag = "ingest",
    request_body = Value,
    responses((status = 200, description = "durable; linked now or when the install comes", body = Value), Untaken),
    operation_id = "s2s_identity_link",
)]
pub(in crate::http) async fn identity_link(
    State(site): State<Site>,
    peer: Peer,
    request: Request,
) -> Response {
    receive(site, peer, request, Endpoint::IdentityLink).await
}

async fn receive(site: Site, peer: Peer, request: Request, endpoint: Endpoint) -> Response {
    let (Parts { headers, .. }, body) = request.into_parts();
    let body = match body_of(&site, &headers, body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return refusal(error.status(), &error.message()),
    };
    // From here on the work is finished even if the sender has gone.
    finish(async move { take(&site, peer, &headers, &body, endpoint).await }).await
}

async fn take(site: &Site, peer: Peer, headers: &HeaderMap, body: &[u8], endpoint: Endpoint) -> Response {
    let (mut prepared, is_array) = {
        let call = Call {
            site,
            catalogue: site.catalogue.current(),
            received: clock::now(),
            endpoint,
            headers,
            body,
        };
        match elements(body) {
            Ok(parsed) => (call.prepare_all(&peer, &parsed.elements, parsed.is_array), parsed.is_array),
            Err(refused) => (vec![call.quarantine_whole(refused)], false),
        }
    };
    if let Some(apple) = &site.adservices {
        search_ads::resolve(apple, &mut prepared).await;
    }
    let fates = submit(site, prepared).await;
    if is_array {
        array(fates)
    } else {
        fates.into_iter().next().map_or_else(|| refusal(400, "the body is empty"), single)
    }
}

/// One request as every element of it sees it.
struct Call<'c> {
    site: &'c Site,
    catalogue: Arc<Catalogue>,
    received: Timestamp,
    endpoint: Endpoint,
    headers: &'c HeaderMap,
    /// What authentication hashes: the body as sent, after inflation.
    body: &'c [u8],
}

/// An element on its way: settled already, or to be put on record.
pub(super) struct Prepared {
    pub app: Option<AppId>,
    pub step: Step,
}

pub(super) enum Step {
    /// Nothing is kept; `of` is the source that it came from and what it would have become.
    Refuse { of: Option<(Via, &'static str)>, status: u16, error: String },
    /// An input; `browser` ones are never told of a conflict.
    Take { submission: Submission, browser: bool },
    /// A body for quarantine; a `drained` one is answered as a success.
    Quarantine { submission: Submission, status: u16, error: String, drained: bool },
}

impl Call<'_> {
    fn prepare_all(
        &self,
        peer: &Peer,
        elements: &[Result<Element, BadElement>],
        is_array: bool,
    ) -> Vec<Prepared> {
        let of = |element: &Result<Element, BadElement>| self.sender(element.as_ref().ok()?);
        let senders: Vec<Option<Known>> = elements.iter().map(of).collect();
        if source::over_limit(self.site, senders.iter().flatten()).is_some() {
            let error = "too many requests for this app: come again after the time in Retry-After";
            let turn_away = |(element, sender): (&Result<Element, BadElement>, &Option<Known>)| {
                let action = element.as_ref().map_or(source::UNKNOWN, |element| self.action(element));
                source::refuse(sender.as_ref(), action, 429, error)
            };
            return elements.iter().zip(&senders).map(turn_away).collect();
        }
        let user_agent = text(self.headers, "user-agent");
        let edge = Edge {
            received: self.received,
            ip: self.site.edge.client_ip(peer.0.ip(), self.headers),
            user_agent: user_agent.as_deref(),
            traits_of: &|user_agent| self.site.edge.traits_of(user_agent),
        };
        let prepare =
            |(index, (element, sender)): (usize, (&Result<Element, BadElement>, &Option<Known>))| {
                match element {
                    Ok(element) => self.prepare(&edge, index, element, sender.as_ref(), is_array),
                    Err(bad) => {
                        let key = self.header_key(Some(index));
                        let unusable = Unusable::of(bad.masked_at(self.endpoint), bad.hash, key);
                        self.quarantine(None, None, unusable, bad.refusal.clone())
                    }
                }
            };
        elements.iter().zip(&senders).enumerate().map(prepare).collect()
    }

    /// What an element would become, as inputs are called.
    fn action(&self, element: &Element) -> &'static str {
        match (self.endpoint, element.action()) {
            (Endpoint::IdentityLink, _) => "identity_link",
            (Endpoint::TrackJson, action) => source::action(action.unwrap_or_default()),
        }
    }

    /// Who sent an element: by the app's GUID, or by the key of a source of the way that it came in.
    fn sender(&self, element: &Element) -> Option<Known> {
        let kind = if element.is_web_sdk() { SourceKind::Web } else { SourceKind::S2s };
        Known::named(&self.catalogue, kind, element.app_guid()?)
    }

    fn prepare(
        &self,
        edge: &Edge<'_>,
        index: usize,
        element: &Element,
        sender: Option<&Known>,
        is_array: bool,
    ) -> Prepared {
        let key = self.idempotency_key(index, element, is_array);
        let unusable = |key| Unusable::of(element.masked_at(self.endpoint), element.body_hash(), key);
        let Some(sender) = sender else {
            let refused = if element.app_guid().is_none() {
                Refusal::bad_request("kochava_app_id is missing: send the GUID of the app")
            } else {
                let error = "kochava_app_id is not known here: create the app first, or check its GUID";
                Refusal { status: 404, error: error.to_owned() }
            };
            return self.quarantine(None, Some(element), unusable(key), refused);
        };
        let app = &sender.app;
        let parsed = if sender.is_enabled() {
            self.read(edge, app, element).map(|parsed| source::left_out(parsed, sender.streams()))
        } else if is_browser(app, element) {
            // What is refused would block the browser's queue until the source is switched on again.
            Ok(source::ignored(IgnoreReason::SourceOff, None))
        } else {
            return source::refuse(Some(sender), self.action(element), 403, source::SWITCHED_OFF);
        };
        match parsed {
            Err(refused) => self.quarantine(Some(app), Some(element), unusable(key), refused),
            Ok(parsed) => {
                let input = Input {
                    id: clock::new_id(self.received),
                    received: self.received,
                    app: app.id,
                    catalogue: self.catalogue.version,
                    key,
                    body_hash: element.body_hash(),
                    body: parsed.body,
                    flags: parsed.flags,
                    payload: parsed.payload,
                    via: sender.via(),
                };
                let submission = Submission::Input(Box::new(input), self.catalogue.clone());
                let step = Step::Take { submission, browser: is_browser(app, element) };
                Prepared { app: Some(app.id), step }
            }
        }
    }

    fn read(&self, edge: &Edge<'_>, app: &App, element: &Element) -> Result<Parsed, Refusal> {
        let auth = self.authenticate(app, element)?;
        let mut parsed = parse(self.endpoint, element, app, edge)?;
        parsed.flags.extend(auth);
        Ok(parsed)
    }

    /// Checks install authentication (ingest.md section 11, DECISIONS 21): a flag for the row, or why the
    /// element may not pass.
    fn authenticate(&self, app: &App, element: &Element) -> Result<Option<Flag>, Refusal> {
        let action = match self.endpoint {
            Endpoint::TrackJson => element.action().unwrap_or_default(),
            Endpoint::IdentityLink => "identityLink",
        };
        if !app.auth.covers(action) {
            return Ok(None);
        }
        let secret = app.auth.secret.as_ref().and_then(|sealed| self.site.vault.open(sealed));
        let outcome = authenticate(
            self.body,
            app.auth.api_key.as_deref().unwrap_or_default(),
            secret.as_deref().unwrap_or_default(),
            text(self.headers, "kochava-api-key").as_deref(),
            text(self.headers, "kochava-auth-token").as_deref(),
        );
        let strict = app.auth.mode == AuthMode::Strict;
        let refused = |error: &str| Err(Refusal { status: 401, error: error.to_owned() });
        match outcome {
            AuthOutcome::Ok => Ok(Some(Flag::AuthOk)),
            AuthOutcome::Missing if !strict => Ok(Some(Flag::AuthMissing)),
            AuthOutcome::Bad if !strict => Ok(Some(Flag::AuthBad)),
            AuthOutcome::Missing => {
                refused("this app takes only signed calls: send Kochava-Api-Key and Kochava-Auth-Token")
            }
            AuthOutcome::Bad => refused(
                "Kochava-Auth-Token does not match: sign exactly the bytes that are sent, with the app's key",
            ),
        }
    }

    /// The sender's key for this element (DECISIONS 26): the header, by place in an array, else `nt_id`.
    fn idempotency_key(&self, index: usize, element: &Element, is_array: bool) -> Option<IdempotencyKey> {
        let nt_id = |key: &str| IdempotencyKey::sent("nt_id", key);
        self.header_key(is_array.then_some(index)).or_else(|| element.nt_id().map(nt_id))
    }

    /// The key of the header, for the element at this place of an array.
    fn header_key(&self, index: Option<usize>) -> Option<IdempotencyKey> {
        let key = text(self.headers, "idempotency-key").filter(|key| !key.is_empty())?;
        let key = index.map_or_else(|| key.clone().into_owned(), |index| format!("{key}#{index}"));
        Some(IdempotencyKey::sent("header", &key))
    }

    /// A body that no element could be read from. When it says all the same whose it is, it is kept with
    /// that app.
    fn quarantine_whole(&self, refused: Refusal) -> Prepared {
        let outline = outline(self.body);
        let sender = outline.as_ref().and_then(|outline| self.sender(outline));
        let key = match &outline {
            Some(outline) => self.idempotency_key(0, outline, false),
            None => self.header_key(None),
        };
        let unusable = Unusable::of(self.endpoint.masked(self.body), hash(self.body), key);
        self.quarantine(sender.as_ref().map(|sender| &sender.app), outline.as_ref(), unusable, refused)
    }

    fn quarantine(
        &self,
        app: Option<&Arc<App>>,
        element: Option<&Element>,
        unusable: Unusable,
        refused: Refusal,
    ) -> Prepared {
        let drained = match (app, element) {
            // A payload that can never succeed would block the browser's queue for ever (DECISIONS 12).
            (Some(app), Some(element)) => refused.status == 400 && is_browser(app, element),
            _ => false,
        };
        let body = Quarantined {
            id: clock::new_id(self.received),
            received: self.received,
            app: app.map(|app| app.id),
            app_guid: element.and_then(Element::app_guid).unwrap_or_default().to_owned(),
            path: match self.endpoint {
                Endpoint::TrackJson => "/track/json".to_owned(),
                Endpoint::IdentityLink => "/v1/cpi/identityLink.php".to_owned(),
            },
            status: if drained { 200 } else { refused.status },
            reason: refused.error.clone(),
            body: unusable.masked,
        };
        let app = body.app;
        let submission = Submission::Quarantine(Box::new(body), unusable.key);
        let step = Step::Quarantine { submission, status: refused.status, error: refused.error, drained };
        Prepared { app, step }
    }
}

/// A body that cannot be used.
struct Unusable {
    /// What is kept of it.
    masked: String,
    /// What makes a retry of it count once. A body that was mended under the sender's key has another one.
    key: Option<IdempotencyKey>,
}

impl Unusable {
    fn of(masked: String, hash: [u8; 16], key: Option<IdempotencyKey>) -> Self {
        let key = key.map(|IdempotencyKey { source, key }| {
            let key = format!("{source} {:032x} {key}", u128::from_be_bytes(hash));
            IdempotencyKey { source: "quarantine".to_owned(), key }
        });
        Self { masked, key }
    }
}

fn is_browser(app: &App, element: &Element) -> bool {
    app.is_web() && element.is_web_sdk()
}

/// Puts what was prepared on record, in one commit, and says what became of each element.
pub(super) async fn submit(site: &Site, prepared: Vec<Prepared>) -> Vec<Fate> {
    let mut submissions = Vec::new();
    let mut waiting = Vec::with_capacity(prepared.len());
    for Prepared { app, step } in prepared {
        site.ledger.receive(app);
        let on_answer = match step {
            Step::Refuse { of, status, error } => OnAnswer::Refused { of, status, error },
            Step::Take { mut submission, browser } => {
                let of = match &mut submission {
                    Submission::Input(input, _) => {
                        site.edge.locate(input);
                        input.payload.has_source().then(|| (input.via, input.payload.kind()))
                    }
                    Submission::Quarantine(..) => None,
                };
                submissions.push(submission);
                OnAnswer::Taken { of, browser }
            }
            Step::Quarantine { submission, status, error, drained } => {
                submissions.push(submission);
                OnAnswer::Quarantined { status, error, drained }
            }
        };
        waiting.push((app, on_answer));
    }
    let answers = if submissions.is_empty() { Vec::new() } else { site.engine.submit(submissions).await };
    let mut answers = answers.into_iter();
    let mut fates = Vec::with_capacity(waiting.len());
    for (app, on_answer) in waiting {
        let of = on_answer.of();
        let (fate, counted) = match on_answer {
            OnAnswer::Refused { status, error, .. } => {
                (Fate::Refused { status, error }, ledger::Fate::Refused)
            }
            on_answer => on_answer.with(answers.next().unwrap_or(Answer::Unavailable)),
        };
        site.ledger.settle(app, counted);
        if let (ledger::Fate::Refused, Some(app), Some((via, action))) = (counted, app, of) {
            site.ledger.refused_from(app, via, action);
        }
        fates.push(fate);
    }
    fates
}

/// What senders of an erased device are told.
pub(super) const ERASED: &str = "the data of this device was erased on request: nothing more of it is taken";

/// What the engine's answer to an element means.
enum OnAnswer {
    Refused { of: Option<(Via, &'static str)>, status: u16, error: String },
    Taken { of: Option<(Via, &'static str)>, browser: bool },
    Quarantined { status: u16, error: String, drained: bool },
}

impl OnAnswer {
    /// The source that an element came from, and what it is.
    const fn of(&self) -> Option<(Via, &'static str)> {
        match self {
            Self::Refused { of, .. } | Self::Taken { of, .. } => *of,
            Self::Quarantined { .. } => None,
        }
    }

    fn with(self, answer: Answer) -> (Fate, ledger::Fate) {
        let refused = |status, error: String| (Fate::Refused { status, error }, ledger::Fate::Refused);
        match (answer, self) {
            (Answer::Quarantined(id), Self::Quarantined { drained: true, .. }) => {
                (Fate::Drained(id), ledger::Fate::Kept)
            }
            (Answer::Quarantined(id), Self::Quarantined { status, error, .. }) => {
                (Fate::Quarantined { id, status, error }, ledger::Fate::Kept)
            }
            // The same bytes under the same key: answered again as they were, and counted once.
            (Answer::Repeated(id), Self::Quarantined { status, error, drained }) => {
                let again = if drained { Fate::Drained(id) } else { Fate::Quarantined { id, status, error } };
                (again, ledger::Fate::Repeated)
            }
            (Answer::Accepted(id) | Answer::Quarantined(id), _) => (Fate::Accepted(id), ledger::Fate::Kept),
            (Answer::Repeated(id), _) | (Answer::Conflict(id), Self::Taken { browser: true, .. }) => {
                (Fate::Accepted(id), ledger::Fate::Repeated)
            }
            (Answer::Conflict(first), _) => {
                refused(409, format!("the same idempotency key came with another body before, as {first}"))
            }
            // A browser asks again until it is told that all is well, and nothing will ever come of it.
            (Answer::Erased, Self::Taken { browser: true, .. }) => (Fate::Forgotten, ledger::Fate::Refused),
            (Answer::Erased, _) => refused(410, ERASED.to_owned()),
            (Answer::Busy, _) => refused(503, "too many requests are waiting: come again".to_owned()),
            (Answer::Unavailable, _) => {
                refused(503, "storage is unavailable: send the same call again".to_owned())
            }
        }
    }
}
