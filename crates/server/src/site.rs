//! What every request handler can reach.

use std::{net::SocketAddr, ops::Deref, sync::Arc};

use courier::{AdServices, Handle, Health, Sender};
use store::Store;
use tokio::sync::Notify;
use wire::skad::TrustedKeys;

use crate::{
    catalogue::CatalogueService,
    config::Config,
    edge::Edge,
    http::{AppLimits, Paces, Replays},
    ledger::Ledger,
    vault::Vault,
    what_if::WhatIfs,
};

/// The running program as handlers see it: one pointer, cloned several times per request.
#[derive(Clone)]
pub struct Site(Arc<Parts>);

impl Deref for Site {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl From<Parts> for Site {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

/// What the program is made of.
pub struct Parts {
    /// The settings.
    pub config: Arc<Config>,
    /// What people set up.
    pub catalogue: CatalogueService,
    /// What is remembered; its methods block.
    pub store: Arc<dyn Store>,
    /// Opens the secrets of apps.
    pub vault: Arc<Vault>,
    /// Resolves who sent a request, and reads bodies.
    pub edge: Arc<Edge>,
    /// The one write path.
    pub engine: engine::Engine,
    /// The way to the courier.
    pub delivery: Delivering,
    /// The keys that aggregate postbacks are verified with.
    pub skad_keys: Arc<TrustedKeys>,
    /// Asks Apple about AdServices tokens, when the settings want it.
    pub adservices: Option<AdServices>,
    /// Counts what was received.
    pub ledger: Arc<Ledger>,
    /// Requests per second of each app.
    pub app_limits: Arc<AppLimits>,
    /// Events per second of each device and user.
    pub paces: Paces,
    /// What-ifs under way, and the results of the last ones.
    pub what_ifs: Arc<WhatIfs>,
    /// Rung when a privacy request has come in.
    pub privacy: Arc<Notify>,
    /// Where the public side listens.
    pub listening: SocketAddr,
}

/// The way to the courier.
pub struct Delivering {
    /// Says that deliveries may be due.
    pub wake: Handle,
    /// How the triggers fare.
    pub health: Arc<Health>,
    /// Sends single requests.
    pub sender: Sender,
    /// Replays under way and done.
    pub replays: Arc<Replays>,
}

#[cfg(test)]
impl Delivering {
    /// The way to a courier that never runs.
    pub fn idle(store: Arc<dyn Store>) -> Self {
        let none = Arc::new(|_| Vec::new());
        let courier = courier::Courier::new(
            store,
            courier::Options::default(),
            Arc::new(crate::clock::now),
            Arc::new(crate::clock::random_bits),
            none,
        );
        let courier = courier.unwrap();
        Self {
            wake: courier.handle(),
            health: courier.health(),
            sender: courier.sender(),
            replays: Arc::default(),
        }
    }
}

impl Site {
    /// What tracking links begin with, without a slash at the end.
    #[must_use]
    pub fn public_url(&self) -> String {
        let server = &self.config.server;
        match &server.public_url {
            Some(url) => url.as_str().to_owned(),
            None if server.tls_cert.is_some() => format!("https://{}", self.listening),
            None => format!("http://{}", self.listening),
        }
    }

    /// Asks the store on a blocking thread.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Store) -> Result<T, store::StoreError> + Send + 'static,
    ) -> Result<T, crate::error::Error> {
        let store = self.store.clone();
        let answer = tokio::task::spawn_blocking(move || question(store.as_ref())).await;
        Ok(answer.map_err(|_| crate::error::Error::Internal("a storage task was cut short"))??)
    }
}
