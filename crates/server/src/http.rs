//! The HTTP interface: every route, in one list.

mod apps;
mod asked;
mod campaigns;
mod fields;
mod fraud;
mod health;
mod ingest;
mod networks;
mod postbacks;
mod record;
mod settings;
#[cfg(test)]
mod tests;
mod tiers;
mod trackers;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue},
    middleware::{Next, from_fn_with_state, map_response},
    response::{IntoResponse, Response},
    routing::{delete, get, patch, post},
};
use measure::Timestamp;

use crate::{
    error::{Error, enveloped},
    site::Site,
};

pub use ingest::AppLimits;

/// Everything on one address.
pub fn all(site: &Site) -> Router {
    finish(ingest().merge(management()).merge(health()), site)
}

/// What the public address serves when management has its own.
pub fn public(site: &Site) -> Router {
    finish(ingest().merge(health()), site)
}

/// What the management address serves when it has its own.
pub fn admin(site: &Site) -> Router {
    finish(management().merge(health()), site)
}

/// What the world sends. Every path is served with and without a slash at its end.
fn ingest() -> Router<Site> {
    Router::new()
        .route("/track/json", post(ingest::s2s::track_json).options(ingest::preflight))
        .route("/track/json/", post(ingest::s2s::track_json).options(ingest::preflight))
        .route("/v1/cpi/identityLink.php", post(ingest::s2s::identity_link).options(ingest::preflight))
        .route("/v1/cpi/identityLink.php/", post(ingest::s2s::identity_link).options(ingest::preflight))
        .route("/v1/cpi/click", get(ingest::link::click).head(uncounted))
        .route("/v1/cpi/click/", get(ingest::link::click).head(uncounted))
        .route("/track/impression", get(ingest::link::impression).head(uncounted))
        .route("/track/impression/", get(ingest::link::impression).head(uncounted))
        .layer(map_response(ingest::open_to_browsers))
        .merge(aggregates())
}

/// What Apple's devices send, and networks forward. The last two are the paths that Apple appends to the
/// domain in an app's property list.
fn aggregates() -> Router<Site> {
    let postback = || post(ingest::skad::postback);
    Router::new()
        .route("/v1/skad/postback", postback())
        .route("/v1/skad/postback/", postback())
        .route("/.well-known/skadnetwork/report-attribution", postback())
        .route("/.well-known/skadnetwork/report-attribution/", postback())
        .route("/.well-known/appattribution/report-attribution", postback())
        .route("/.well-known/appattribution/report-attribution/", postback())
}

/// Link checkers and previews ask with HEAD: that is neither a click nor an impression.
async fn uncounted() -> Error {
    Error::MethodNotAllowed
}

/// What the account's own people and tools ask for, with a management key.
fn management() -> Router<Site> {
    Router::new()
        .route("/apps", get(apps::list).post(apps::create))
        .route("/apps/{app}", get(apps::get).patch(apps::update).delete(apps::delete))
        .route("/networks", get(networks::list).post(networks::create))
        .route("/networks/{network}", get(networks::get).patch(networks::update).delete(networks::delete))
        .route("/campaign/{app}", get(campaigns::list).post(campaigns::save))
        .route("/campaign/{app}/{campaign}", get(campaigns::get))
        .route("/campaign/{app}/delete/{campaign}", delete(campaigns::delete))
        .route("/tier/{campaign}", get(tiers::list).post(tiers::save))
        .route("/tier/{campaign}/{segment}", get(tiers::get))
        .route("/tier/{campaign}/delete/{segment}", delete(tiers::delete))
        .route("/tracker/override", get(trackers::overrides::get).post(trackers::overrides::save))
        .route("/tracker/{app}", get(trackers::list).post(trackers::update))
        .route("/tracker/{app}/create", post(trackers::create))
        .route("/tracker/{app}/{tracker}", get(trackers::get))
        .route("/tracker/{app}/delete/{tracker}", delete(trackers::delete))
        .merge(triggers())
        .merge(fraud_rules())
        .merge(record())
        .layer(map_response(secured))
}

/// What the record says.
fn record() -> Router<Site> {
    Router::new()
        .route("/v1/apps/{guid}/attribution/{device}", get(record::attribution::of_device))
        .route("/api/ledger", get(record::ledger::ledger))
        .route("/api/deliveries", get(record::deliveries::list))
        .route("/api/inputs/{id}", get(record::inputs::one))
        .route("/api/apps/{id}/quarantine", get(record::inputs::quarantine))
        .route("/api/apps/{id}/skad", get(record::skad::list))
        .route("/api/apps/{id}/events", get(record::inputs::event_names))
}

/// The blocklist of the account.
fn fraud_rules() -> Router<Site> {
    Router::new()
        .route("/fraud/blacklist/{op}", post(fraud::blocklist::change))
        .route("/api/blocklist", get(fraud::blocklist::list))
        .route("/api/blocklist/import", post(fraud::blocklist::import))
}

/// The interface for triggers, which has an envelope of its own.
fn triggers() -> Router<Site> {
    Router::new()
        .route("/apps/{app}/postbacks", get(postbacks::list))
        .route("/apps/{app}/postbacks/{trigger}", get(postbacks::get))
        .route("/postbacks", post(postbacks::create))
        .route("/postbacks/{trigger}", patch(postbacks::update).delete(postbacks::delete))
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(map_response(enveloped))
}

fn health() -> Router<Site> {
    Router::new().route("/healthz", get(health::alive)).route("/readyz", get(health::ready))
}

/// What holds for every route.
fn finish(routes: Router<Site>, site: &Site) -> Router {
    routes
        .fallback(async || Error::NotFound("path"))
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(from_fn_with_state(site.clone(), in_time))
        .with_state(site.clone())
}

/// Answers 503 when a request takes longer than `limits.request_timeout`. What was handed to storage is
/// finished all the same.
async fn in_time(State(site): State<Site>, request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(site.config.limits.request_timeout, next.run(request)).await;
    answer.unwrap_or_else(|_| Error::TimedOut.into_response())
}

/// Headers of answers that may hold secrets: never cached, never framed, never taken for a page.
async fn secured(mut response: Response) -> Response {
    const HEADERS: [(&str, &str); 5] = [
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// The number after the last one given out, beginning with `first`.
fn next_id(last: Option<u64>, first: u64) -> u64 {
    last.map_or(first, |last| last.saturating_add(1).max(first))
}

/// A point in time as these interfaces write it: RFC 3339 in UTC, whole seconds.
fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_second(time.seconds()).map(|time| time.to_string()).unwrap_or_default()
}

/// A name as part of an identifier: its letters and digits, lower case, with hyphens between them.
fn slug(name: &str) -> String {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let slug = parts.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    let short: String = slug.chars().take(40).collect();
    if short.is_empty() { "app".to_owned() } else { short.trim_end_matches('-').to_owned() }
}
