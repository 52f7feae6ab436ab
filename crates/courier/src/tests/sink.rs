//! Partners under test: an HTTP server that answers by the request's path, and one that speaks raw bytes.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, Version},
    response::{IntoResponse, Response},
};
use axum_server::tls_rustls::RustlsConfig;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

/// What a sink received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub version: Version,
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

type Script = Arc<dyn Fn(usize, &Received) -> Response + Send + Sync>;

/// An HTTP sink on loopback. It answers nothing under `/hang` until it is let go.
#[derive(Clone)]
pub struct Sink {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    script: Script,
    gate: Arc<Semaphore>,
}

impl Sink {
    /// A sink that answers the request with number 0, 1, … by `script`.
    pub async fn start<R: IntoResponse>(
        script: impl Fn(usize, &Received) -> R + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
            script: Arc::new(move |number, received| script(number, received).into_response()),
            gate: Arc::new(Semaphore::new(0)),
        };
        let app = Router::new().fallback(answer).with_state(sink.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        sink
    }

    /// A sink that is content with everything and speaks TLS, with these protocols to choose from, with the
    /// certificate of `localhost` and 127.0.0.1.
    pub async fn secure(host: &str, protocols: &[&[u8]]) -> Self {
        let fixture = |name: &str| format!("{}/../../tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"));
        let read = |name: &str| std::fs::read(fixture(name)).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = RustlsConfig::from_pem(read("cert.pem"), read("key.pem")).await.unwrap();
        let mut offered = rustls::ServerConfig::clone(&config.get_inner());
        offered.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config.reload_from_config(Arc::new(offered));
        let listener = std::net::TcpListener::bind((host, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let sink = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
            script: Arc::new(|_, _| StatusCode::OK.into_response()),
            gate: Arc::new(Semaphore::new(0)),
        };
        let app = Router::new().fallback(answer).with_state(sink.clone());
        let server = axum_server::from_tcp_rustls(listener, config).unwrap();
        tokio::spawn(server.serve(app.into_make_service()));
        sink
    }

    /// A sink that is content with everything.
    pub async fn content() -> Self {
        Self::start(|_, _| StatusCode::OK).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Lets `count` requests under `/hang` go.
    pub fn let_go(&self, count: usize) {
        self.gate.add_permits(count);
    }
}

async fn answer(State(sink): State<Sink>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let headers = parts.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let received = Received {
        version: parts.version,
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: headers.collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let number = {
        let mut all = sink.received.lock().unwrap();
        all.push(received.clone());
        all.len() - 1
    };
    if received.target.starts_with("/hang") {
        sink.gate.acquire().await.unwrap().forget();
    }
    (sink.script)(number, &received)
}

/// A server that hands every connection, its request read, to `speak`.
pub async fn raw<F: Future<Output = ()> + Send>(
    speak: impl Fn(TcpStream) -> F + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let speak = Arc::new(speak);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let speak = speak.clone();
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                let _ = stream.read(&mut request).await;
                speak(stream).await;
            });
        }
    });
    address
}
