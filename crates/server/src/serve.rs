//! `sextant serve`: how the program is put together, from top to bottom.

use std::{
    fs::DirBuilder,
    io,
    net::{SocketAddr, TcpListener},
    os::unix::fs::DirBuilderExt as _,
    path::Path,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use axum::Router;
use axum_server::{Handle, tls_rustls::RustlsConfig};
use courier::{AdServices, Courier, CourierError, Secrets};
use engine::Engine;
use hyper_util::rt::TokioTimer;
use store::{Fjall, Store, StoreError};
use thiserror::Error;
use tokio::sync::watch;
use wire::skad::{InvalidKey, TrustedKeys};

use crate::{
    catalogue::{CatalogueService, Opened},
    clock,
    config::Config,
    edge::{DatabaseError, Databases, Edge},
    http,
    ledger::Ledger,
    lifecycle::{Lifecycle, LifecycleError, stopped},
    partners::{self, PartnersError},
    privacy::Desk,
    signing,
    site::{Delivering, Parts, Site},
    vault::{Vault, VaultError},
};

/// How long open connections have to finish their requests after the program was told to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// Between two questions about an AdServices token, as Apple advises.
const ADSERVICES_PAUSE: Duration = Duration::from_secs(5);

/// Why the program cannot start or ended with a failure.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The data directory cannot be used.
    #[error("{path} cannot be used; check server.data_dir and its permissions")]
    DataDirectory {
        /// The directory.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key file cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("server.tls_cert, server.tls_key: {0}")]
    Certificate(io::Error),
    /// The certificates of further authorities cannot be used.
    #[error("courier.ca_file: {path}: {reason}")]
    Authorities {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The courier cannot be made.
    #[error(transparent)]
    Courier(#[from] CourierError),
    /// The keys of aggregate postbacks cannot be read.
    #[error("the keys of aggregate postbacks: {0}")]
    Keys(#[from] InvalidKey),
    /// A template cannot be used.
    #[error(transparent)]
    Partners(#[from] PartnersError),
    /// A database of addresses cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// It ended otherwise than asked.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
}

/// Serves until a signal ends it. `first_key` is the value of `SEXTANT_BOOTSTRAP_KEY`.
pub async fn serve(config: Config, first_key: Option<String>) -> Result<(), ServeError> {
    let announce = |address| println!("listening on {address}");
    serve_until(config, first_key, announce, std::future::pending()).await
}

/// As [`serve`], but tells `announce` where it listens, and also ends, in the same orderly way, once `until`
/// is ready.
pub async fn serve_until(
    config: Config,
    first_key: Option<String>,
    announce: impl FnOnce(SocketAddr),
    until: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let config = Arc::new(config);
    let mut lifecycle = Lifecycle::new()?;

    // An address that is taken ends it before a key is made that nobody would be shown again.
    let public = listen(config.server.listen)?;
    let admin = config.server.admin_listen.map(listen).transpose()?;
    prepare_directory(&config.server.data_dir)?;
    let vault = Arc::new(Vault::load(&config.server.data_dir)?);
    let store = open_store(&config.server.data_dir)?;
    let catalogue = open_catalogue(&config, store.clone(), first_key).await?;
    let tls = certificate(&config).await?;
    let databases = Databases::open(&config.geo)?;

    let courier = courier(&config, store.clone(), signing::secrets(&catalogue, &vault))?;
    let wake = courier.handle();
    let delivery = Delivering {
        wake: wake.clone(),
        health: courier.health(),
        sender: courier.sender(),
        replays: Arc::default(),
    };
    let options = engine::Options { salt: vault.derive("tombstones"), ..engine::Options::default() };
    let (engine, writer) = Engine::start(store.clone(), catalogue.current(), options, move || wake.wake())?;
    lifecycle.spawn("the courier", run_courier(courier, lifecycle.stop()));
    lifecycle.spawn("the write path", run_writer(writer));
    let site = Site::from(Parts {
        listening: address(&public, config.server.listen)?,
        edge: Arc::new(Edge::new(&config, databases)),
        vault,
        delivery,
        ledger: Arc::new(Ledger::new(store.tally()?)),
        app_limits: Arc::default(),
        paces: http::Paces::default(),
        what_ifs: Arc::default(),
        privacy: Arc::default(),
        skad_keys: Arc::new(TrustedKeys::apple()?),
        adservices: adservices(&config)?,
        engine,
        config,
        catalogue,
        store,
    });
    warm_up(&site);
    lifecycle.spawn("privacy requests", desk(&site).run(lifecycle.stop()));

    let limits = Limits { header_timeout: site.config.limits.header_timeout };
    announce(site.listening);
    match admin {
        None => {
            let server = run(public, http::all(&site), tls, limits, lifecycle.stop());
            lifecycle.spawn("the server", server);
        }
        Some(admin) => {
            println!("management listening on {}", address(&admin, site.listening)?);
            let server = run(public, http::public(&site), tls.clone(), limits, lifecycle.stop());
            lifecycle.spawn("the server", server);
            let server = run(admin, http::admin(&site), tls, limits, lifecycle.stop());
            lifecycle.spawn("the management server", server);
        }
    }
    // From here on only the servers hold the site: when they have finished, the write path is let go.
    drop(site);
    lifecycle.run(until).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Where privacy requests are worked off.
fn desk(site: &Site) -> Desk {
    let catalogue = site.catalogue.clone();
    Desk {
        store: site.store.clone(),
        engine: site.engine.clone(),
        bell: site.privacy.clone(),
        apps: Box::new(move || catalogue.current().apps().iter().map(|app| app.id).collect()),
    }
}

/// Makes the data directory, closed to others, if there is none.
fn prepare_directory(path: &Path) -> Result<(), ServeError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| ServeError::DataDirectory { path: path.display().to_string(), source })
}

fn open_store(directory: &Path) -> Result<Arc<dyn Store>, ServeError> {
    Ok(Arc::new(Fjall::open(directory.join("store"), store::Options::default())?))
}

fn courier(config: &Config, store: Arc<dyn Store>, secrets: Secrets) -> Result<Courier, ServeError> {
    let settings = &config.courier;
    let standard = courier::Options::default();
    // A delivery is taken on for longer than an attempt takes, and more of them than are sent at a time.
    let options = courier::Options {
        allow_targets: settings.allow_targets.clone(),
        authorities: settings.ca_file.as_deref().map(authorities).transpose()?.unwrap_or_default(),
        connect_timeout: settings.connect_timeout,
        total_timeout: settings.total_timeout,
        concurrency: to_usize(settings.concurrency),
        host_concurrency: to_usize(settings.host_concurrency),
        host_rate: settings.host_rate,
        breaker_failures: settings.breaker_failures,
        breaker_pause: settings.breaker_pause,
        breaker_pause_max: settings.breaker_pause_max,
        in_hand: standard.in_hand.max(to_usize(settings.concurrency).saturating_mul(4)),
        lease: standard.lease.max(settings.total_timeout * 3),
        ..standard
    };
    Ok(Courier::new(store, options, Arc::new(clock::now), Arc::new(clock::random_bits), secrets)?)
}

/// The certificates of a file: at least one, and none that cannot be read.
fn authorities(file: &Path) -> Result<Vec<u8>, ServeError> {
    let failed = |reason: String| ServeError::Authorities { path: file.display().to_string(), reason };
    let pem = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
    match reqwest::Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(pem),
        Ok(_) => Err(failed("holds no certificate in PEM form".to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// How Apple is asked about AdServices tokens; `None` unless the settings want it.
fn adservices(config: &Config) -> Result<Option<AdServices>, CourierError> {
    let settings = &config.attribution;
    let wanted = settings.resolve_adservices_token;
    let asking =
        || AdServices::new(settings.adservices_url.clone(), settings.adservices_wait, ADSERVICES_PAUSE);
    wanted.then(asking).transpose()
}

async fn run_courier(courier: Courier, stop: watch::Receiver<bool>) -> Result<(), String> {
    courier.run(stop).await.map_err(|error| error.to_string())
}

/// Waits for the writing thread, which ends when nobody can submit any more.
async fn run_writer(writer: JoinHandle<()>) -> Result<(), String> {
    let ended = tokio::task::spawn_blocking(move || writer.join()).await;
    match ended {
        Ok(Ok(())) => Ok(()),
        _ => Err("the writing thread broke off".to_owned()),
    }
}

/// Reads the catalogue and brings it in line with the settings. On an empty data directory the first
/// management key is set, or made and shown this once.
async fn open_catalogue(
    config: &Config,
    store: Arc<dyn Store>,
    first_key: Option<String>,
) -> Result<CatalogueService, ServeError> {
    let Opened { service, fresh } = CatalogueService::open(store)?;
    let given = first_key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
    let generated = (fresh && given.is_none()).then(clock::new_key);
    let key = if fresh { given.as_ref().or(generated.as_ref()) } else { None };
    service.prepare(clock::now(), config.policy(), key.map(String::as_str)).await?;
    let templates = partners::load(config.postbacks.templates_dir.as_deref())?;
    service.prepare_templates(clock::now(), templates).await?;
    if let Some(key) = generated {
        println!("management key: {key}");
        println!("it is shown this once: send it in the header Authentication-Key");
    }
    Ok(service)
}

async fn certificate(config: &Config) -> Result<Option<RustlsConfig>, ServeError> {
    let (Some(chain), Some(key)) = (&config.server.tls_cert, &config.server.tls_key) else { return Ok(None) };
    RustlsConfig::from_pem_file(chain, key).await.map(Some).map_err(ServeError::Certificate)
}

fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| ServeError::Listen { address, source })
}

fn address(listener: &TcpListener, address: SocketAddr) -> Result<SocketAddr, ServeError> {
    listener.local_addr().map_err(|source| ServeError::Listen { address, source })
}

/// Loads the user agent rules beside everything else, so that the start is quick.
fn warm_up(site: &Site) {
    let edge = site.edge.clone();
    tokio::task::spawn_blocking(move || edge.warm_up());
}

/// Limits of connections.
#[derive(Clone, Copy)]
struct Limits {
    /// How long the headers of a request may take.
    header_timeout: Duration,
}

/// Serves on one address until told to stop, then finishes what was received.
async fn run(
    listener: TcpListener,
    routes: Router,
    tls: Option<RustlsConfig>,
    limits: Limits,
    stop: watch::Receiver<bool>,
) -> Result<(), String> {
    let handle = Handle::<SocketAddr>::new();
    let on_stop = handle.clone();
    let watching = tokio::spawn(async move {
        stopped(stop).await;
        on_stop.graceful_shutdown(Some(DRAIN));
    });
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    let failed = |error: io::Error| error.to_string();
    let served = match tls {
        None => {
            let mut server = axum_server::from_tcp(listener).map_err(failed)?.handle(handle);
            let http = server.http_builder();
            http.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
            http.http2().timer(TokioTimer::new()).keep_alive_interval(limits.header_timeout);
            server.serve(service).await
        }
        Some(tls) => {
            let mut server = axum_server::from_tcp_rustls(listener, tls).map_err(failed)?.handle(handle);
            let http = server.http_builder();
            http.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
            http.http2().timer(TokioTimer::new()).keep_alive_interval(limits.header_timeout);
            server.serve(service).await
        }
    };
    watching.abort();
    served.map_err(failed)
}
