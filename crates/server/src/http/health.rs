//! Whether the program lives and works.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{error::Error, site::Site};

/// `GET /healthz`: the process answers.
pub async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: 200 once writes work; 503 while they do not. An empty commit goes through everything that
/// a full one does.
pub async fn ready(State(site): State<Site>) -> Result<Json<Value>, Error> {
    site.ask(|store| store.commit(&store::Batch::default())).await?;
    Ok(Json(json!({ "status": "ready" })))
}
