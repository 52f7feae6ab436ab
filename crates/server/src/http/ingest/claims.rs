//! `POST /api/apps/{id}/claims`: what self-attributing networks claim, one object or an array
//! (tracking-and-attribution.md section 12, docs/claims.md).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use engine::Submission;
use measure::{
    Timestamp,
    catalogue::{App, Catalogue},
    input::{IdempotencyKey, Input, Payload, Quarantined},
};
use wire::{
    body::BODY_BYTES_MAX,
    claim::{claim_key, parse},
    quarantine::masked,
    refusal::Refusal,
    s2s::{BadElement, Element, elements},
};

use super::{
    answer::{array, refusal, single},
    finish,
    s2s::{Prepared, Step, submit},
    text,
};
use crate::{
    auth::Caller,
    clock, edge,
    error::Error,
    http::{asked::Path, openapi::Refusals},
    site::Site,
};

#[utoipa::path(
    post, path = "/api/apps/{id}/claims", tag = "record",
    params(("id" = u64, Path, description = "the number of the app")),
    request_body = Value,
    responses((status = 200, description = "durable, and weighed with everything else; `Sextant-Input` names the inputs", body = Value), Refusals, (status = 429, description = "more calls than the app's limit")),
    operation_id = "claims_create",
)]
pub(in crate::http) async fn claims(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Error> {
    let path = request.uri().path().to_owned();
    let catalogue = site.catalogue.current();
    let app = app.parse().ok().and_then(|id| catalogue.app(id)).filter(|app| !app.deleted);
    let app = app.ok_or(Error::NotFound("app"))?.clone();
    caller.may_write(app.id)?;
    let body = match edge::read_body(&site, request, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => {
            site.ledger.refuse(Some(app.id));
            return Ok(error.into_response());
        }
    };
    let take = async move {
        let call =
            Call { site: &site, catalogue, app, received: clock::now(), path: &path, headers: &headers };
        let (prepared, is_array) = match elements(&body) {
            Ok(parsed) => (call.prepare_all(&parsed.elements, parsed.is_array), parsed.is_array),
            Err(refused) => (vec![call.quarantine(masked(&body), refused)], false),
        };
        let fates = submit(&site, prepared).await;
        if is_array {
            array(fates)
        } else {
            fates.into_iter().next().map_or_else(|| refusal(400, "the body is empty"), single)
        }
    };
    Ok(finish(take).await)
}

/// One request as every claim of it sees it.
struct Call<'c> {
    site: &'c Site,
    catalogue: Arc<Catalogue>,
    app: Arc<App>,
    received: Timestamp,
    path: &'c str,
    headers: &'c HeaderMap,
}

impl Call<'_> {
    fn prepare_all(&self, elements: &[Result<Element, BadElement>], is_array: bool) -> Vec<Prepared> {
        let default = self.site.config.app_requests_per_second();
        let per_second = self.app.policy.requests_per_second.unwrap_or(default);
        if !self.site.app_limits.admits(self.app.id, per_second) {
            let error = "too many requests for this app: come again after the time in Retry-After";
            let refused = || Step::Refuse { of: None, status: 429, error: error.to_owned() };
            return elements.iter().map(|_| Prepared { app: Some(self.app.id), step: refused() }).collect();
        }
        let prepare = |(index, element): (usize, &Result<Element, BadElement>)| match element {
            Ok(element) => self.prepare(index, element, is_array),
            Err(bad) => self.quarantine(bad.masked.clone(), bad.refusal.clone()),
        };
        elements.iter().enumerate().map(prepare).collect()
    }

    fn prepare(&self, index: usize, element: &Element, is_array: bool) -> Prepared {
        let parsed = match parse(element, &self.app, &self.catalogue, self.received) {
            Ok(parsed) => parsed,
            Err(refused) => return self.quarantine(element.masked(), refused),
        };
        // The network's own number tells claims apart whatever call they came with.
        let own = claim_key(&parsed.claim).map(|key| IdempotencyKey::sent("claim", &key));
        let input = Input {
            id: clock::new_id(self.received),
            received: self.received,
            app: self.app.id,
            catalogue: self.catalogue.version,
            key: own.or_else(|| self.idempotency_key(index, is_array)),
            body_hash: element.body_hash(),
            body: parsed.body,
            flags: parsed.flags,
            payload: Payload::Claim(parsed.claim),
            via: measure::source::Via::default(),
        };
        let submission = Submission::Input(Box::new(input), self.catalogue.clone());
        Prepared { app: Some(self.app.id), step: Step::Take { submission, browser: false } }
    }

    /// The sender's key of the call, by place in an array (DECISIONS 26).
    fn idempotency_key(&self, index: usize, is_array: bool) -> Option<IdempotencyKey> {
        let key = text(self.headers, "idempotency-key").filter(|key| !key.is_empty())?;
        let key = if is_array { format!("{key}#{index}") } else { key.into_owned() };
        Some(IdempotencyKey::sent("header", &key))
    }

    /// `masked` is what is kept of the body.
    fn quarantine(&self, masked: String, refused: Refusal) -> Prepared {
        let body = Quarantined {
            id: clock::new_id(self.received),
            received: self.received,
            app: Some(self.app.id),
            app_guid: self.app.guid.clone(),
            path: self.path.to_owned(),
            status: refused.status,
            reason: refused.error.clone(),
            body: masked,
        };
        let submission = Submission::Quarantine(Box::new(body), None);
        let step =
            Step::Quarantine { submission, status: refused.status, error: refused.error, drained: false };
        Prepared { app: Some(self.app.id), step }
    }
}
