//! The HTTP interface: every route, in one list.

mod health;
mod ingest;
mod record;

pub use ingest::AppLimits;

use axum::{Router, routing::get};

use crate::{error::Error, site::Site};

/// What the public side serves.
pub fn public(site: Site) -> Router {
    ingest::routes()
        .merge(record::routes())
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(async || Error::NotFound("path"))
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .with_state(site)
}
