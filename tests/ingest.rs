//! `POST /track/json` and `POST /v1/cpi/identityLink.php` (ingest.md sections 1 to 17).

mod authentication;
mod bodies;
mod consent;
mod fields;
mod health;
mod held;
mod quarantine;
mod web;
