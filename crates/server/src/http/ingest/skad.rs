//! Apple's aggregate postbacks: `POST /v1/skad/postback`, and the two paths that Apple itself sends
//! developers their copies to (tracking-and-attribution.md section 15, docs/skadnetwork.md).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::request::Parts,
    response::Response,
};
use engine::Submission;
use measure::{
    Timestamp,
    catalogue::{App, Catalogue},
    flag::Flags,
    input::{Input, Payload, Quarantined},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wire::{quarantine::masked, refusal::Refusal, skad::POSTBACK_BYTES_MAX};

use super::{
    answer::{refusal, single},
    body_of, finish,
    s2s::{Prepared, Step, submit},
};
use crate::http::openapi::Untaken;
use crate::{clock, site::Site};

#[utoipa::path(
    post, path = "/v1/skad/postback", tag = "ingest",
    request_body = Value,
    responses((status = 200, description = "verified and on record", body = Value), Untaken),
    operation_id = "skad_postback",
)]
pub(in crate::http) async fn postback(State(site): State<Site>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let (Parts { headers, .. }, body) = request.into_parts();
    let body = match body_of(&site, &headers, body, POSTBACK_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return refusal(error.status(), &error.message()),
    };
    finish(async move {
        let prepared = {
            let catalogue = site.catalogue.current();
            let received = clock::now();
            Call { site: &site, catalogue, received, path: &path, query: &query, body: &body }.prepare()
        };
        let fate = submit(&site, vec![prepared]).await.into_iter().next();
        fate.map_or_else(|| refusal(503, "storage is unavailable: send the same call again"), single)
    })
    .await
}

/// One postback on its way.
struct Call<'c> {
    site: &'c Site,
    catalogue: Arc<Catalogue>,
    received: Timestamp,
    path: &'c str,
    query: &'c str,
    body: &'c [u8],
}

impl Call<'_> {
    fn prepare(&self) -> Prepared {
        let read = match wire::skad::read(self.body, self.query) {
            Ok(read) => read,
            Err(refused) => return self.quarantine(None, "", refused),
        };
        let store_id = read.app_store_id().to_owned();
        let app = app_of(&self.catalogue, &store_id);
        if let Some(app) = &app {
            let default = self.site.config.app_requests_per_second();
            let per_second = app.policy.requests_per_second.unwrap_or(default);
            if !self.site.app_limits.admits(app.id, per_second) {
                let error = "too many requests for this app: come again after the time in Retry-After";
                let step = Step::Refuse { of: None, status: 429, error: error.to_owned() };
                return Prepared { app: Some(app.id), step };
            }
        }
        let accept_development = self.site.config.skad.accept_development_postbacks;
        let postback = match read.verify(&self.site.skad_keys, accept_development) {
            Ok(postback) => postback,
            Err(refused) => return self.quarantine(app.as_deref(), &store_id, refused),
        };
        let Some(app) = app else {
            let error = format!("unknown_app: no app has the app_store_id {store_id}; set it on the app");
            return self.quarantine(None, &store_id, Refusal { status: 404, error });
        };
        let mut body_hash = [0; 16];
        let digest = Sha256::new().chain_update(self.query).chain_update([0]).chain_update(self.body);
        for (to, from) in body_hash.iter_mut().zip(digest.finalize()) {
            *to = from;
        }
        let input = Input {
            id: clock::new_id(self.received),
            via: measure::source::Via::default(),
            received: self.received,
            app: app.id,
            catalogue: self.catalogue.version,
            // Whether it was counted before is told by its transaction and window, for ever.
            key: None,
            body_hash,
            body: String::from_utf8_lossy(self.body).into_owned(),
            flags: Flags::new(),
            payload: Payload::Aggregate(postback),
        };
        let submission = Submission::Input(Box::new(input), self.catalogue.clone());
        Prepared { app: Some(app.id), step: Step::Take { submission, browser: false } }
    }

    fn quarantine(&self, app: Option<&App>, store_id: &str, refused: Refusal) -> Prepared {
        let body = Quarantined {
            id: clock::new_id(self.received),
            received: self.received,
            app: app.map(|app| app.id),
            app_guid: store_id.to_owned(),
            path: self.path.to_owned(),
            status: refused.status,
            reason: refused.error.clone(),
            body: masked(self.body),
        };
        let app = body.app;
        let submission = Submission::Quarantine(Box::new(body), None);
        let step =
            Step::Quarantine { submission, status: refused.status, error: refused.error, drained: false };
        Prepared { app, step }
    }
}

/// The app with this number in the App Store, the oldest if several say so.
fn app_of(catalogue: &Catalogue, store_id: &str) -> Option<Arc<App>> {
    let mut apps = catalogue.apps().into_iter().filter(|app| !app.deleted);
    apps.find(|app| app_store_id(app).as_deref() == Some(store_id)).cloned()
}

/// `app_store_id` of an app, written as the store does (`525463029`) or as its links do (`id525463029`).
fn app_store_id(app: &App) -> Option<String> {
    let fields: Value = serde_json::from_str(&app.extra).ok()?;
    let text = match fields.get("app_store_id")? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Some(text.strip_prefix("id").unwrap_or(&text).to_owned())
}
