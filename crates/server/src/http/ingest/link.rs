//! Tracking links: `GET /v1/cpi/click` and `GET /track/impression`
//! (tracking-and-attribution.md sections 2 to 4, DECISIONS 1 and 10).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use engine::{Answer, Submission};
use measure::{
    InputId, Timestamp,
    catalogue::{App, Catalogue, Tracker},
    engagement::EngagementKind,
    flag::Flag,
    fraud::Scope,
    input::{IdempotencyKey, Input, Payload},
    platform::Os,
};
use sha2::{Digest, Sha256};
use wire::link::{Link, LinkEdge};

use super::{
    Peer,
    answer::{accepted, refusal, with_inputs},
    finished::Finished,
    text,
};
use crate::http::openapi::Untaken;
use crate::{clock, ledger::Fate, site::Site};

/// A transparent picture of one pixel.
const PIXEL: &[u8] = &[
    0x47, 0x49, 0x46, 0x38, 0x39, 0x61, 0x01, 0x00, 0x01, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x21, 0xf9, 0x04, 0x01, 0x00, 0x00, 0x00, 0x00, 0x2c, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00,
    0x01, 0x00, 0x00, 0x02, 0x01, 0x44, 0x00, 0x3b,
];

const UNKNOWN_TRACKER: &str = "<!doctype html><title>Unknown link</title>\
    <p>This link leads nowhere: its campaign_id is not known here, or its tracker was deleted.</p>";

#[utoipa::path(
    get, path = "/v1/cpi/click", tag = "ingest",
    params(("campaign_id" = String, Query, description = "the GUID of the tracker"), ("network_id" = Option<String>, Query, description = "the network"), ("click_id" = Option<String>, Query, description = "the network's own id of the click")),
    responses((status = 302, description = "on to the destination of the tracker"), (status = 200, description = "taken; the caller is a server (`pbr=1`)", body = Value), Untaken),
    operation_id = "link_click",
)]
pub(in crate::http) async fn click(State(site): State<Site>, peer: Peer, request: Request) -> Response {
    let link = wire::link::read(request.uri().query().unwrap_or_default());
    let Some(read) = read(&site, &peer, request.headers(), &link, EngagementKind::Click) else {
        return unknown_tracker(&site);
    };
    let id = read.input.id;
    let (tracker, app, os) = (read.tracker.clone(), read.app.clone(), read.os.clone());
    let is_server = link.is_server_call();
    let mut commit = commit(&site, read, !is_server);
    if is_server {
        return match commit.await.unwrap_or(Answer::Unavailable) {
            Answer::Accepted(id) | Answer::Repeated(id) => with_inputs(accepted(), &[id]),
            answer => not_kept(&answer),
        };
    }
    let onward = |id: InputId| redirect(link.destination(&tracker, &app, os.as_ref(), id.into()));
    match tokio::time::timeout(site.config.commit_wait(), &mut commit).await {
        // A repeated click leads on as the first one, which is the one that an install can name.
        Ok(Some(Answer::Accepted(id) | Answer::Repeated(id) | Answer::Conflict(id))) => {
            with_inputs(onward(id), &[id])
        }
        // A person is waiting: the way to the store stays open even when the click could not be kept. It
        // is counted as refused and carries no input id.
        Ok(_) => onward(id),
        Err(_elapsed) => {
            site.ledger.redirected();
            tokio::spawn(async move {
                commit.await;
                site.ledger.confirmed();
            });
            with_inputs(onward(id), &[id])
        }
    }
}

#[utoipa::path(
    get, path = "/track/impression", tag = "ingest",
    params(("campaign_id" = String, Query, description = "the GUID of the tracker"), ("network_id" = Option<String>, Query, description = "the network")),
    responses((status = 200, description = "a picture of one pixel"), Untaken),
    operation_id = "link_impression",
)]
pub(in crate::http) async fn impression(State(site): State<Site>, peer: Peer, request: Request) -> Response {
    let link = wire::link::read(request.uri().query().unwrap_or_default());
    let Some(read) = read(&site, &peer, request.headers(), &link, EngagementKind::Impression) else {
        return unknown_tracker(&site);
    };
    match commit(&site, read, false).await.unwrap_or(Answer::Unavailable) {
        Answer::Accepted(id) | Answer::Repeated(id) => {
            let mut response = PIXEL.into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("image/gif"));
            with_inputs(no_store(response), &[id])
        }
        answer => not_kept(&answer),
    }
}

/// A link as it was understood.
struct Read {
    input: Input,
    catalogue: Arc<Catalogue>,
    tracker: Arc<Tracker>,
    app: Arc<App>,
    os: Option<Os>,
}

/// Puts an engagement on record. The work goes on when nobody waits for it any more. A `browser` is never
/// told of a conflict: the first click stands (DECISIONS 26).
fn commit(site: &Site, read: Read, browser: bool) -> Finished<Answer> {
    let site = site.clone();
    let app = Some(read.app.id);
    site.ledger.receive(app);
    Finished::new(async move {
        let submission = Submission::Input(Box::new(read.input), read.catalogue);
        let answer =
            site.engine.submit(vec![submission]).await.into_iter().next().unwrap_or(Answer::Unavailable);
        let fate = match answer {
            Answer::Accepted(_) | Answer::Quarantined(_) => Fate::Kept,
            Answer::Repeated(_) => Fate::Repeated,
            Answer::Conflict(_) if browser => Fate::Repeated,
            Answer::Conflict(_) | Answer::Erased | Answer::Busy | Answer::Unavailable => Fate::Refused,
        };
        site.ledger.settle(app, fate);
        answer
    })
}

/// The engagement that a link stands for; `None` when its tracker is unknown.
fn read(site: &Site, peer: &Peer, headers: &HeaderMap, link: &Link, kind: EngagementKind) -> Option<Read> {
    let received = clock::now();
    let catalogue = site.catalogue.current();
    let tracker = catalogue.tracker_by_guid(link.tracker_guid()?)?.clone();
    let app = catalogue.app(tracker.app)?.clone();
    let user_agent = text(headers, "user-agent");
    let edge = LinkEdge {
        received,
        ip: site.edge.client_ip(peer.0.ip(), headers),
        user_agent: user_agent.as_deref(),
        accept_click_time: catalogue.policy_of(&app).accept_click_time,
        traits_of: &|user_agent| site.edge.traits_of(user_agent),
    };
    let os = link.os(&app, &edge);
    let (engagement, mut flags) = link.engagement(kind, &tracker, &app, &edge);
    if engagement.identifiers.is_empty() {
        flags.insert(Flag::NoIdentifier);
    }
    if kind == EngagementKind::Click {
        flags.extend(signature(site, &catalogue, &tracker, link, received));
    }
    let key = text(headers, "idempotency-key").filter(|key| !key.is_empty());
    let mut body_hash = [0; 16];
    for (to, from) in body_hash.iter_mut().zip(Sha256::digest(&engagement.query)) {
        *to = from;
    }
    let mut input = Input {
        id: clock::new_id(received),
        via: measure::source::Via::default(),
        received,
        app: app.id,
        catalogue: catalogue.version,
        key: key.map(|key| IdempotencyKey::sent("header", &key)),
        body_hash,
        body: String::new(),
        flags,
        payload: Payload::Engagement(engagement),
    };
    site.edge.locate(&mut input);
    Some(Read { input, catalogue, tracker, app, os })
}

/// What the signature of a click is worth; `None` when its network signs nothing.
fn signature(
    site: &Site,
    catalogue: &Catalogue,
    tracker: &Tracker,
    link: &Link,
    received: Timestamp,
) -> Option<Flag> {
    let settings = catalogue.fraud(Scope::Network(tracker.network))?;
    let sealed = settings.signing_key.as_ref()?;
    // A key that cannot be opened vouches for nothing.
    let opened = site.vault.open(sealed).map(|key| link.signature(&key, settings.signing_hash, received));
    Some(opened.unwrap_or(Flag::SignatureBad))
}

fn not_kept(answer: &Answer) -> Response {
    match answer {
        Answer::Conflict(first) => {
            refusal(409, &format!("the same idempotency key came with another link before, as {first}"))
        }
        Answer::Erased => refusal(410, super::s2s::ERASED),
        Answer::Busy => refusal(503, "too many requests are waiting: come again"),
        _ => refusal(503, "storage is unavailable: send the same call again"),
    }
}

fn unknown_tracker(site: &Site) -> Response {
    site.ledger.refuse(None);
    let mut response = (StatusCode::NOT_FOUND, UNKNOWN_TRACKER).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    no_store(response)
}

/// 302 to the destination; without a usable one there is only the answer that the click was counted.
fn redirect(destination: Option<String>) -> Response {
    let location = destination.and_then(|destination| HeaderValue::from_str(&destination).ok());
    let Some(location) = location else {
        let page = "<!doctype html><title>Thank you</title><p>This link has no destination.</p>";
        let mut response = page.into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        return no_store(response);
    };
    let mut response = StatusCode::FOUND.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    no_store(response)
}

fn no_store(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
    response
}
