//! A partner that receives postbacks and misbehaves as told. It speaks HTTP/1.1 over plain sockets, because
//! no HTTP library resets connections or forgets to answer.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::moment::eventually;

/// How the partner answers one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// This status and an empty body.
    Status(u16),
    /// 200 and this body.
    Text(&'static str),
    /// A status with one more header line.
    With(u16, &'static str),
    /// 200 after a while.
    Slow(Duration),
    /// Never.
    Hang,
    /// The connection is reset.
    Reset,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Hit {
    pub method: String,
    pub path: String,
    /// The query as sent.
    pub query: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: String,
    pub at: Instant,
}

impl Hit {
    /// A parameter of the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

#[derive(Default)]
struct State {
    script: HashMap<String, VecDeque<Reply>>,
    hits: Vec<Hit>,
}

/// A partner on loopback. Paths without a script are answered with 200.
pub struct Sink {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

impl Sink {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { address, state, serving }
    }

    /// The URL of a path here, macros and all.
    pub fn url(&self, path_and_query: &str) -> String {
        format!("http://{}{path_and_query}", self.address)
    }

    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Requests to `path` are answered so, one after the other; the last answer goes for all that follow.
    pub fn on(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut state = self.state.lock().expect("no test holds it and fails");
        state.script.insert(path.to_owned(), replies.into_iter().collect());
    }

    /// What came in at `path` so far.
    pub fn hits(&self, path: &str) -> Vec<Hit> {
        let state = self.state.lock().expect("no test holds it and fails");
        state.hits.iter().filter(|hit| hit.path == path).cloned().collect()
    }

    /// Everything that came in.
    pub fn all(&self) -> Vec<Hit> {
        self.state.lock().expect("no test holds it and fails").hits.clone()
    }

    /// What came in at `path`, once it is this many.
    pub async fn receives(&self, path: &str, count: usize) -> Vec<Hit> {
        eventually(&format!("{count} postbacks at {path}"), async || {
            let hits = self.hits(path);
            (hits.len() >= count).then_some(hits)
        })
        .await
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut buffer = Vec::new();
    while let Some(hit) = read(&mut stream, &mut buffer).await {
        let reply = {
            let mut state = state.lock().expect("no test holds it and fails");
            let script = state.script.get_mut(&hit.path);
            let reply = script.and_then(|replies| match replies.len() {
                0 | 1 => replies.front().cloned(),
                _ => replies.pop_front(),
            });
            state.hits.push(hit);
            reply.unwrap_or(Reply::Status(200))
        };
        let (status, line, body) = match reply {
            Reply::Status(status) => (status, "", ""),
            Reply::Text(body) => (200, "", body),
            Reply::With(status, line) => (status, line, ""),
            Reply::Slow(wait) => {
                tokio::time::sleep(wait).await;
                (200, "", "")
            }
            Reply::Hang => std::future::pending().await,
            Reply::Reset => {
                let _ = stream.set_zero_linger();
                return;
            }
        };
        let line = if line.is_empty() { String::new() } else { format!("{line}\r\n") };
        let answer = format!("HTTP/1.1 {status} X\r\n{line}content-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The next request of a connection; `None` at its end.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Hit> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut request = lines.next()?.split(' ');
    let (method, target) = (request.next()?.to_owned(), request.next()?.to_owned());
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while buffer.len() < end + 4 + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8_lossy(&buffer[end + 4..end + 4 + length]).into_owned();
    buffer.drain(..end + 4 + length);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    Some(Hit { method, path, query, headers, body, at: Instant::now() })
}
