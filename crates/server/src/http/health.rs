//! Whether the program lives and works.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{error::Error, site::Site};

/// `GET /healthz`: the process answers.
#[utoipa::path(
    get, path = "/healthz", tag = "server",
    responses((status = 200, description = "the process answers", body = Value)),
    operation_id = "health_alive",
)]
pub async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: 200 once writes work; 503 while they do not. An empty commit goes through everything that
/// a full one does.
#[utoipa::path(
    get, path = "/readyz", tag = "server",
    responses((status = 200, description = "writes work", body = Value), (status = 503, description = "writes do not work")),
    operation_id = "health_ready",
)]
pub async fn ready(State(site): State<Site>) -> Result<Json<Value>, Error> {
    site.ask(|store| store.commit(&store::Batch::default())).await?;
    Ok(Json(json!({ "status": "ready" })))
}
