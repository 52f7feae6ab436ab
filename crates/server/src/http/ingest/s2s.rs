//! `POST /track/json` and `POST /v1/cpi/identityLink.php` (ingest.md sections 1 to 17).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    response::Response,
};
use engine::{Answer, Submission};
use measure::{
    Timestamp,
    catalogue::{App, AuthMode, Catalogue},
    flag::Flag,
    input::{IdempotencyKey, Input, Quarantined},
};
use wire::{
    auth::{AuthOutcome, authenticate},
    body::{BODY_BYTES_MAX, inflate},
    refusal::Refusal,
    s2s::{Edge, Element, Endpoint, elements, parse},
};

use super::{
    Peer,
    answer::{Fate, array, refusal, single},
    text,
};
use crate::{clock, edge, site::Site};

pub(super) async fn track_json(site: State<Site>, peer: Peer, headers: HeaderMap, request: Request) -> Response {
    receive(site, peer, headers, request, Endpoint::TrackJson).await
}

pub(super) async fn identity_link(
    site: State<Site>,
    peer: Peer,
    headers: HeaderMap,
    request: Request,
) -> Response {
    receive(site, peer, headers, request, Endpoint::IdentityLink).await
}

/// One request as every element of it sees it.
struct Call<'c> {
    site: &'c Site,
    catalogue: Arc<Catalogue>,
    received: Timestamp,
    endpoint: Endpoint,
    edge: Edge<'c>,
    headers: &'c HeaderMap,
    path: &'static str,
    /// The body as authentication hashes it: as it came over the wire, after inflation.
    body: &'c [u8],
    is_array: bool,
}

/// An element on its way: already settled, or waiting for the commit.
enum Prepared {
    Refused(Fate),
    Input(Box<Input>, bool),
    Quarantine { body: Box<Quarantined>, drained: bool },
}

async fn receive(
    State(site): State<Site>,
    peer: Peer,
    headers: HeaderMap,
    request: Request,
    endpoint: Endpoint,
) -> Response {
    let path = match endpoint {
        Endpoint::TrackJson => "/track/json",
        Endpoint::IdentityLink => "/v1/cpi/identityLink.php",
    };
    let sent = match edge::read_body(&site, request, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return site.ledger.refuse(error.status(), &error.to_string()),
    };
    let received = clock::now();
    let body = match inflate(&sent, BODY_BYTES_MAX) {
        Ok(body) => body,
        Err(Refusal { status: 413, error }) => return site.ledger.refuse(413, &error),
        Err(refused) => return broken(&site, received, path, &sent, refused).await,
    };
    let parsed = match elements(&body) {
        Ok(parsed) => parsed,
        Err(refused) => return broken(&site, received, path, &body, refused).await,
    };
    let call = Call {
        site: &site,
        catalogue: site.catalogue.current(),
        received,
        endpoint,
        edge: Edge {
            received,
            ip: site.edge.client_ip(peer.0.ip(), &headers),
            user_agent: text(&headers, "user-agent"),
            traits_of: &|user_agent| site.edge.traits_of(user_agent),
        },
        headers: &headers,
        path,
        body: &body,
        is_array: parsed.is_array,
    };
    let prepared: Vec<Prepared> =
        parsed.elements.iter().enumerate().map(|(index, element)| call.prepare(index, element)).collect();
    let catalogue = call.catalogue;
    // Nothing is awaited between the last byte and this point: a client that leaves now changes nothing.
    let fates = submit(&site, catalogue, prepared).await;
    if parsed.is_array {
        array(fates)
    } else {
        fates.into_iter().next().map_or_else(|| refusal(400, "the body is empty"), single)
    }
}

/// Keeps a body that no element can be read from.
async fn broken(site: &Site, received: Timestamp, path: &str, body: &[u8], refused: Refusal) -> Response {
    let body = Quarantined {
        id: clock::new_id(received),
        received,
        app: None,
        app_guid: String::new(),
        path: path.to_owned(),
        status: refused.status,
        reason: refused.error,
        body: wire::s2s::masked_bytes(body),
    };
    let prepared = vec![Prepared::Quarantine { body: Box::new(body), drained: false }];
    let fates = submit(site, site.catalogue.current(), prepared).await;
    fates.into_iter().next().map_or_else(|| refusal(400, "the body cannot be read"), single)
}

impl Call<'_> {
    fn prepare(&self, index: usize, element: &Result<Element, Refusal>) -> Prepared {
        let element = match element {
            Ok(element) => element,
            Err(refused) => return self.quarantine(None, None, refused.clone()),
        };
        let Some(guid) = element.app_guid() else {
            let error = "kochava_app_id is missing: send the app's GUID".to_owned();
            return self.quarantine(None, Some(element), Refusal { status: 400, error });
        };
        let Some(app) = self.catalogue.app_by_guid(guid) else {
            let error = "kochava_app_id is unknown here: create the app first, or check the GUID".to_owned();
            return self.quarantine(None, Some(element), Refusal { status: 404, error });
        };
        let per_second = app.policy.requests_per_second.unwrap_or(self.site.config.app_requests_per_second());
        if index == 0 && !self.site.app_limits.admits(app.id, per_second) {
            let error = "too many requests for this app: come again after the time in Retry-After".to_owned();
            return Prepared::Refused(Fate::Refused { status: 429, error });
        }
        let auth = match self.authenticate(app, element) {
            Ok(flag) => flag,
            Err(refused) => return self.quarantine(Some(app), Some(element), refused),
        };
        match parse(self.endpoint, element, app, &self.edge) {
            Ok(mut parsed) => {
                parsed.flags.extend(auth);
                let input = Input {
                    id: clock::new_id(self.received),
                    received: self.received,
                    app: app.id,
                    catalogue: self.catalogue.version,
                    key: self.idempotency_key(index, element),
                    body_hash: element.body_hash(),
                    body: parsed.body,
                    flags: parsed.flags,
                    payload: parsed.payload,
                };
                Prepared::Input(Box::new(input), is_browser(app, element))
            }
            Err(refused) => self.quarantine(Some(app), Some(element), refused),
        }
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
        let key = app.auth.api_key.as_deref().unwrap_or_default();
        let outcome = authenticate(
            self.body,
            key,
            &secret.unwrap_or_default(),
            text(self.headers, "kochava-api-key"),
            text(self.headers, "kochava-auth-token"),
        );
        let strict = app.auth.mode == AuthMode::Strict;
        match outcome {
            AuthOutcome::Ok => Ok(Some(Flag::AuthOk)),
            AuthOutcome::Missing if !strict => Ok(Some(Flag::AuthMissing)),
            AuthOutcome::Bad if !strict => Ok(Some(Flag::AuthBad)),
            AuthOutcome::Missing => Err(Refusal {
                status: 401,
                error: "this app takes only signed calls: send Kochava-Api-Key and Kochava-Auth-Token".to_owned(),
            }),
            AuthOutcome::Bad => Err(Refusal {
                status: 401,
                error: "Kochava-Auth-Token does not match: sign exactly the bytes that are sent".to_owned(),
            }),
        }
    }

    /// The sender's key for this element (DECISIONS 26): the header, by place in an array, else `nt_id`.
    fn idempotency_key(&self, index: usize, element: &Element) -> Option<IdempotencyKey> {
        if let Some(key) = text(self.headers, "idempotency-key").filter(|key| !key.is_empty()) {
            let key = if self.is_array { format!("{key}#{index}") } else { key.to_owned() };
            return Some(IdempotencyKey { source: "header".to_owned(), key });
        }
        let nt_id = element.nt_id()?;
        Some(IdempotencyKey { source: "nt_id".to_owned(), key: nt_id.to_owned() })
    }

    fn quarantine(&self, app: Option<&Arc<App>>, element: Option<&Element>, refused: Refusal) -> Prepared {
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
            path: self.path.to_owned(),
            status: if drained { 200 } else { refused.status },
            reason: refused.error,
            body: element.map_or_else(|| wire::s2s::masked_bytes(self.body), Element::masked),
        };
        Prepared::Quarantine { body: Box::new(body), drained }
    }
}

fn is_browser(app: &App, element: &Element) -> bool {
    app.is_web() && element.is_web_sdk()
}

/// Puts what was prepared on record, in one commit, and says what became of each element.
async fn submit(site: &Site, catalogue: Arc<Catalogue>, prepared: Vec<Prepared>) -> Vec<Fate> {
    let mut fates = Vec::with_capacity(prepared.len());
    let mut submissions = Vec::new();
    let mut waiting = Vec::new();
    for element in prepared {
        match element {
            Prepared::Refused(fate) => fates.push(Some(fate)),
            Prepared::Input(input, browser) => {
                submissions.push(Submission::Input(input, catalogue.clone()));
                waiting.push((fates.len(), browser, None));
                fates.push(None);
            }
            Prepared::Quarantine { body, drained } => {
                let refused = (!drained).then(|| (body.status, body.reason.clone()));
                submissions.push(Submission::Quarantine(body));
                waiting.push((fates.len(), drained, refused));
                fates.push(None);
            }
        }
    }
    let received = site.ledger.receive(fates.len());
    let answers = if submissions.is_empty() { Vec::new() } else { site.engine.submit(submissions).await };
    for ((place, browser, refused), answer) in waiting.into_iter().zip(answers) {
        let fate = fate(answer, browser, refused);
        if let Some(slot) = fates.get_mut(place) {
            *slot = Some(fate);
        }
    }
    let fates: Vec<Fate> = fates.into_iter().flatten().collect();
    received.settle(fates.iter().filter(|fate| matches!(fate, Fate::Refused { .. })).count());
    fates
}

fn fate(answer: Answer, browser: bool, refused: Option<(u16, String)>) -> Fate {
    match answer {
        Answer::Accepted(id) | Answer::Repeated(id) => Fate::Accepted(id),
        Answer::Conflict(first) if browser => Fate::Accepted(first),
        Answer::Conflict(first) => Fate::Refused {
            status: 409,
            error: format!("the same idempotency key came with another body before, as {first}"),
        },
        Answer::Quarantined(id) => match refused {
            Some((status, error)) => Fate::Quarantined { id, status, error },
            None => Fate::Drained(id),
        },
        Answer::Busy => Fate::Refused { status: 503, error: "too many requests are waiting: come again".to_owned() },
        Answer::Unavailable => {
            Fate::Refused { status: 503, error: "storage is unavailable: send the same call again".to_owned() }
        }
    }
}
