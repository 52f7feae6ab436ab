//! The partner of the demo: a small server that postbacks are sent to. It remembers when what arrived.

use std::{
    collections::{HashMap, HashSet},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use axum::{
    Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::get,
};
use tokio::{net::TcpListener, task::JoinHandle};

/// What arrived at the partner.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Requests received.
    pub received: usize,
    /// Distinct delivery ids among them.
    pub deliveries: HashSet<String>,
    /// When an install was heard of first, by `kochava_device_id`.
    pub installs: HashMap<String, Instant>,
    /// When a click was heard of first, by the partner's own click id.
    pub clicks: HashMap<String, Instant>,
}

/// The partner.
#[derive(Debug)]
pub struct Sink {
    /// Where it listens, as a URL without a slash at the end.
    pub url: String,
    arrivals: Arc<Mutex<Arrivals>>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Sink {
    /// Starts listening on a free port of the loopback interface.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let arrivals = Arc::<Mutex<Arrivals>>::default();
        let router = Router::new().route("/{kind}", get(receive)).with_state(Arc::clone(&arrivals));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, arrivals, server })
    }

    /// What arrived so far.
    pub fn arrivals(&self) -> MutexGuard<'_, Arrivals> {
        lock(&self.arrivals)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(arrivals: &Mutex<Arrivals>) -> MutexGuard<'_, Arrivals> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn receive(
    State(arrivals): State<Arc<Mutex<Arrivals>>>,
    Path(kind): Path<String>,
    Query(mut query): Query<HashMap<String, String>>,
) -> StatusCode {
    let now = Instant::now();
    let Some(delivery) = query.remove("delivery").filter(|id| !id.is_empty()) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut arrivals = lock(&arrivals);
    arrivals.received += 1;
    arrivals.deliveries.insert(delivery);
    let (name, seen) = match kind.as_str() {
        "install" => ("device", &mut arrivals.installs),
        "click" => ("click", &mut arrivals.clicks),
        _ => return StatusCode::NO_CONTENT,
    };
    if let Some(name) = query.remove(name) {
        seen.entry(name).or_insert(now);
    }
    StatusCode::NO_CONTENT
}
