//! The HTTP interface: every route, in one list.

mod app_networks;
mod apps;
mod asked;
mod browser;
mod campaigns;
mod costs;
mod events;
mod fields;
mod fraud;
mod health;
mod ingest;
mod networks;
mod openapi;
mod postbacks;
mod privacy;
mod record;
mod settings;
mod sources;
mod table;
mod team;
#[cfg(test)]
mod tests;
mod tiers;
mod trackers;
mod triggers;
pub mod what_if;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue},
    middleware::{Next, from_fn_with_state, map_response},
    response::{IntoResponse, Response},
    routing::{get, head, options, post},
};
use measure::Timestamp;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    error::{Error, enveloped},
    site::Site,
};

pub use ingest::{AppLimits, Paces};
pub use record::replay::Replays;

/// Everything on one address.
pub fn all(site: &Site) -> Router {
    finish(ingest(site).merge(management(site)).merge(health(site)), site)
}

/// What the public address serves when management has its own.
pub fn public(site: &Site) -> Router {
    finish(ingest(site).merge(health(site)), site)
}

/// What the management address serves when it has its own.
pub fn admin(site: &Site) -> Router {
    finish(management(site).merge(health(site)), site)
}

/// What the world sends. Every path is served with and without a slash at its end.
fn ingest(site: &Site) -> OpenApiRouter<Site> {
    let ours = OpenApiRouter::new()
        .routes(routes!(ingest::s2s::track_json))
        .routes(routes!(ingest::s2s::identity_link))
        .routes(routes!(ingest::browser::handshake))
        .routes(routes!(ingest::browser::snippet))
        .routes(routes!(ingest::link::click))
        .routes(routes!(ingest::link::impression))
        .route("/track/json", options(ingest::preflight))
        .route("/track/json/", post(ingest::s2s::track_json).options(ingest::preflight))
        .route("/v1/cpi/identityLink.php", options(ingest::preflight))
        .route("/v1/cpi/identityLink.php/", post(ingest::s2s::identity_link).options(ingest::preflight))
        .route("/track/kvinit", options(ingest::preflight))
        .route("/track/kvinit/", post(ingest::browser::handshake).options(ingest::preflight))
        .route("/v1/cpi/click", head(uncounted))
        .route("/v1/cpi/click/", get(ingest::link::click).head(uncounted))
        .route("/track/impression", head(uncounted))
        .route("/track/impression/", get(ingest::link::impression).head(uncounted))
        .layer(from_fn_with_state(Manner::of(site, ingest::late).open(), answered));
    ours.merge(segment(site))
        .merge(amplitude(site))
        .merge(aggregates().layer(from_fn_with_state(Manner::of(site, ingest::late), answered)))
}

/// Segment's HTTP Tracking API with the short forms that browsers use, and its webhooks.
fn segment(site: &Site) -> OpenApiRouter<Site> {
    use ingest::segment;
    let preflight = || options(segment::preflight);
    OpenApiRouter::new()
        .routes(routes!(segment::track))
        .routes(routes!(segment::identify))
        .routes(routes!(segment::page))
        .routes(routes!(segment::screen))
        .routes(routes!(segment::alias))
        .routes(routes!(segment::group))
        .routes(routes!(segment::batch))
        .routes(routes!(segment::webhook))
        .route("/v1/track", preflight())
        .route("/v1/identify", preflight())
        .route("/v1/page", preflight())
        .route("/v1/screen", preflight())
        .route("/v1/alias", preflight())
        .route("/v1/group", preflight())
        .route("/v1/batch", preflight())
        .route("/v1/t", post(segment::track).options(segment::preflight))
        .route("/v1/i", post(segment::identify).options(segment::preflight))
        .route("/v1/p", post(segment::page).options(segment::preflight))
        .route("/v1/s", post(segment::screen).options(segment::preflight))
        .route("/v1/a", post(segment::alias).options(segment::preflight))
        .route("/v1/g", post(segment::group).options(segment::preflight))
        .route("/v1/b", post(segment::batch).options(segment::preflight))
        .route("/v1/import", post(segment::batch).options(segment::preflight))
        .layer(from_fn_with_state(Manner::of(site, segment::late).open(), answered))
}

/// Amplitude's HTTP API.
fn amplitude(site: &Site) -> OpenApiRouter<Site> {
    use ingest::amplitude;
    let preflight = || options(ingest::segment::preflight);
    let events = OpenApiRouter::new()
        .routes(routes!(amplitude::http_api))
        .routes(routes!(amplitude::batch))
        .route("/2/httpapi", preflight())
        .route("/batch", preflight())
        .layer(from_fn_with_state(Manner::of(site, amplitude::late_events).open(), answered));
    let identifications = OpenApiRouter::new()
        .routes(routes!(amplitude::identify))
        .routes(routes!(amplitude::group_identify))
        .route("/identify", preflight())
        .route("/groupidentify", preflight())
        .layer(from_fn_with_state(Manner::of(site, amplitude::late_identify).open(), answered));
    events.merge(identifications)
}

/// What Apple's devices send, and networks forward. The last two are the paths that Apple appends to the
/// domain in an app's property list.
fn aggregates() -> OpenApiRouter<Site> {
    let postback = || post(ingest::skad::postback);
    OpenApiRouter::new()
        .routes(routes!(ingest::skad::postback))
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
fn management(site: &Site) -> OpenApiRouter<Site> {
    OpenApiRouter::new()
        .routes(routes!(apps::list, apps::create))
        .routes(routes!(apps::get, apps::update, apps::delete))
        .routes(routes!(app_networks::list))
        .routes(routes!(app_networks::get, app_networks::update))
        .routes(routes!(networks::list, networks::create))
        .routes(routes!(networks::get, networks::update, networks::delete))
        .routes(routes!(campaigns::list, campaigns::save))
        .routes(routes!(campaigns::get))
        .routes(routes!(campaigns::delete))
        .routes(routes!(tiers::list, tiers::save))
        .routes(routes!(tiers::get))
        .routes(routes!(tiers::delete))
        .routes(routes!(trackers::overrides::get, trackers::overrides::save))
        .routes(routes!(trackers::list, trackers::update))
        .routes(routes!(trackers::create))
        .routes(routes!(trackers::get))
        .routes(routes!(trackers::delete))
        .routes(routes!(trackers::links::links))
        .routes(routes!(costs::list, costs::upload))
        .merge(triggers())
        .merge(delivering())
        .routes(routes!(postbacks::history::versions))
        .routes(routes!(events::list, events::update))
        .merge(fraud_rules())
        .merge(app_sources())
        .merge(team())
        .merge(privacy_requests())
        .merge(record())
        .layer(from_fn_with_state(Manner::of(site, late), answered))
        .layer(map_response(secured))
}

/// What the record says.
fn record() -> OpenApiRouter<Site> {
    OpenApiRouter::new()
        .routes(routes!(record::attribution::of_device))
        .routes(routes!(record::explain::install))
        .routes(routes!(record::explain::device))
        .routes(routes!(record::explain::event))
        .routes(routes!(record::ledger::ledger))
        .routes(routes!(record::deliveries::list))
        .routes(routes!(record::deliveries::one))
        .routes(routes!(record::inputs::one))
        .routes(routes!(record::inputs::quarantine))
        .routes(routes!(record::skad::list))
        .routes(routes!(record::health::of_app))
        .routes(routes!(record::influencers::list))
        .routes(routes!(ingest::claims::claims))
        .routes(routes!(what_if::ask))
        .routes(routes!(what_if::get, what_if::stop))
}

/// Requests of people about their data.
fn privacy_requests() -> OpenApiRouter<Site> {
    OpenApiRouter::new()
        .routes(routes!(privacy::scrub))
        .routes(routes!(privacy::scrub_app))
        .routes(routes!(privacy::access))
        .routes(routes!(privacy::access_app))
        .routes(routes!(privacy::list))
        .routes(routes!(privacy::get))
}

/// Who works with the account, and what they changed.
fn team() -> OpenApiRouter<Site> {
    OpenApiRouter::new()
        .routes(routes!(team::members::list, team::members::create))
        .routes(routes!(team::members::get, team::members::update, team::members::delete))
        .routes(routes!(team::keys::list, team::keys::create))
        .routes(routes!(team::keys::get, team::keys::update, team::keys::revoke))
        .routes(routes!(team::audit::list))
}

/// Where the events of an app come from.
fn app_sources() -> OpenApiRouter<Site> {
    OpenApiRouter::new()
        .routes(routes!(sources::list, sources::create))
        .routes(routes!(sources::get, sources::update, sources::delete))
        .routes(routes!(sources::preview::preview))
}

/// The blocklist of the account.
fn fraud_rules() -> OpenApiRouter<Site> {
    OpenApiRouter::new()
        .routes(routes!(fraud::blocklist::change))
        .routes(routes!(fraud::blocklist::list))
        .routes(routes!(fraud::blocklist::import))
}

/// The interface for triggers, which has an envelope of its own.
fn triggers() -> OpenApiRouter<Site> {
    let (routes, description) = OpenApiRouter::new()
        .routes(routes!(postbacks::list))
        .routes(routes!(postbacks::templates::list))
        .routes(routes!(postbacks::templates::incomplete))
        .routes(routes!(postbacks::get))
        .routes(routes!(postbacks::create))
        .routes(routes!(postbacks::update, postbacks::delete))
        .split_for_parts();
    let routes =
        routes.method_not_allowed_fallback(async || Error::MethodNotAllowed).layer(map_response(enveloped));
    let mut triggers = OpenApiRouter::from(routes);
    triggers.get_openapi_mut().merge(description);
    triggers
}

/// How triggers are run, and how they fare.
fn delivering() -> OpenApiRouter<Site> {
    OpenApiRouter::new()
        .routes(routes!(triggers::health::list))
        .routes(routes!(triggers::health::one))
        .routes(routes!(triggers::ledger::one))
        .routes(routes!(triggers::running::pause))
        .routes(routes!(triggers::running::resume))
        .routes(routes!(triggers::secrets::list, triggers::secrets::create))
        .routes(routes!(triggers::secrets::delete))
        .routes(routes!(triggers::trial::test))
        .routes(routes!(triggers::trial::render))
        .routes(routes!(record::replay::one))
        .routes(routes!(record::replay::many))
        .routes(routes!(record::replay::progress))
}

fn health(site: &Site) -> OpenApiRouter<Site> {
    OpenApiRouter::new()
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .layer(from_fn_with_state(Manner::of(site, late), answered))
}

/// What holds for every route.
fn finish(routes: OpenApiRouter<Site>, site: &Site) -> Router {
    let (routes, description) =
        OpenApiRouter::with_openapi(openapi::document()).merge(routes).split_for_parts();
    let description: Arc<str> = openapi::text(description).into();
    routes
        .route("/openapi.json", get(async move || openapi::served(&description)))
        .fallback(async || Error::NotFound("path"))
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .with_state(site.clone())
}

/// How requests are answered.
#[derive(Clone, Copy)]
struct Manner {
    /// How long they may take.
    most: Duration,
    /// What is answered when one takes longer: senders read answers in the form of what they send to.
    late: fn() -> Response,
    /// Whether pages of any origin may read the answers.
    open: bool,
}

impl Manner {
    fn of(site: &Site, late: fn() -> Response) -> Self {
        Self { most: site.config.limits.request_timeout, late, open: false }
    }

    const fn open(self) -> Self {
        Self { open: true, ..self }
    }
}

/// Answers 503 when a request takes longer than `limits.request_timeout`. What was handed to storage is
/// finished all the same. One layer does all of it, since every layer of a route is cloned for every request.
async fn answered(State(manner): State<Manner>, request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(manner.most, next.run(request)).await;
    let mut answer = answer.unwrap_or_else(|_| (manner.late)());
    if manner.open {
        ingest::open_to_browsers(&mut answer);
    }
    answer
}

fn late() -> Response {
    Error::TimedOut.into_response()
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
