//! What the server is held against: handlers on the same HTTP stack, in a process of their own, that do
//! nothing, only parse, or only redirect.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use measure::{
    AppId, Timestamp,
    catalogue::{App, InstallAuth},
    platform::Traits,
    policy::AppPolicy,
};
use wire::s2s::{Edge, Endpoint, elements, parse};

/// The argument that makes this program serve the baselines.
pub const ARGUMENT: &str = "serve-baselines";

const ACCEPTED: &str = r#"{"success":"1"}"#;

/// Serves until it is killed; prints the address first.
pub async fn serve() -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    println!("listening on {}", listener.local_addr()?);
    let router = Router::new()
        .route("/nothing", post(|| async { accepted() }))
        .route("/parse", post(parses))
        .route("/redirect", get(redirects))
        .with_state(Arc::new(app()));
    axum::serve(listener, router).await?;
    Ok(())
}

fn app() -> App {
    App {
        id: AppId(1),
        guid: "kobench".to_owned(),
        name: "Bench".to_owned(),
        platform: "Android".to_owned(),
        referrer: measure::referrer::ReferrerKeys::default(),
        schemes: Vec::new(),
        auth: InstallAuth::default(),
        policy: AppPolicy::default(),
        created: Timestamp::default(),
        updated: Timestamp::default(),
        deleted: false,
        extra: String::new(),
        minimum_times: std::collections::BTreeMap::new(),
        browser: measure::catalogue::BrowserSettings::default(),
    }
}

fn accepted() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], ACCEPTED).into_response()
}

/// Parses as the server does, looks nothing up, keeps nothing.
async fn parses(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let traits_of = |_: &str| Traits::default();
    let edge =
        Edge { received: Timestamp(1_790_000_000_000), ip: None, user_agent: None, traits_of: &traits_of };
    let good = elements(&body).is_ok_and(|parsed| {
        parsed.elements.iter().all(|element| {
            element.as_ref().is_ok_and(|element| parse(Endpoint::TrackJson, element, &app, &edge).is_ok())
        })
    });
    if good { accepted() } else { StatusCode::BAD_REQUEST.into_response() }
}

async fn redirects() -> Response {
    let location = "https://play.google.com/store/apps/details?id=com.example.demo";
    let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::FOUND, headers).into_response()
}
