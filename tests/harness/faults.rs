//! A proxy in front of the server that answers wrongly as told, before it lets a request pass or after.

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It is turned away with 429 and `Retry-After: 1`; the server never sees it.
    TooMany,
    /// It is turned away with this status; the server never sees it.
    Turned(u16),
    /// The server takes it, and its answer is lost: the sender is told this status.
    Lost(u16),
}

#[derive(Default)]
struct State {
    faults: VecDeque<Fault>,
    /// The inputs that the server named, each once.
    inputs: BTreeSet<String>,
    statuses: Vec<u16>,
    /// Requests whose bodies were compressed.
    compressed: usize,
}

/// A proxy on loopback.
pub struct Faults {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

impl Faults {
    /// A proxy in front of `server` that has these faults, one for each of the first requests.
    pub async fn before(server: SocketAddr, faults: impl IntoIterator<Item = Fault>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = State { faults: faults.into_iter().collect(), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = state.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, server, shared.clone()));
            }
        });
        Self { address, state, serving }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The inputs that the server named in its answers, lost ones included, each once.
    pub fn inputs(&self) -> Vec<String> {
        self.state.lock().expect("no test holds it and fails").inputs.iter().cloned().collect()
    }

    /// Faults that no request has met yet.
    pub fn left(&self) -> usize {
        self.state.lock().expect("no test holds it and fails").faults.len()
    }

    /// How many requests came compressed.
    pub fn compressed(&self) -> usize {
        self.state.lock().expect("no test holds it and fails").compressed
    }

    /// What senders were answered with, in order.
    pub fn statuses(&self) -> Vec<u16> {
        self.state.lock().expect("no test holds it and fails").statuses.clone()
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut sender: TcpStream, server: SocketAddr, state: Arc<Mutex<State>>) {
    let mut buffer = Vec::new();
    while let Some(request) = message(&mut sender, &mut buffer, false).await {
        let is_post = request.starts_with(b"POST");
        let fault = {
            let mut state = state.lock().expect("no test holds it and fails");
            let head = request.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(request.len());
            let head = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
            state.compressed += usize::from(head.contains("content-encoding: gzip"));
            if is_post { state.faults.pop_front() } else { None }
        };
        let answer = match fault {
            Some(Fault::TooMany) => refusal(429, "retry-after: 1\r\n"),
            Some(Fault::Turned(status)) => refusal(status, ""),
            passing => {
                let Some(answer) = pass(&request, server).await else { return };
                let mut state = state.lock().expect("no test holds it and fails");
                state.inputs.extend(inputs(&answer));
                match passing {
                    Some(Fault::Lost(status)) => refusal(status, ""),
                    _ => answer,
                }
            }
        };
        if is_post {
            state.lock().expect("no test holds it and fails").statuses.push(status(&answer));
        }
        if sender.write_all(&answer).await.is_err() {
            return;
        }
    }
}

fn status(answer: &[u8]) -> u16 {
    let line = String::from_utf8_lossy(&answer[..answer.len().min(16)]).into_owned();
    line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

fn refusal(status: u16, lines: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} X\r\naccess-control-allow-origin: *\r\n{lines}content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
    )
    .into_bytes()
}

async fn pass(request: &[u8], server: SocketAddr) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await.ok()?;
    stream.write_all(request).await.ok()?;
    message(&mut stream, &mut Vec::new(), true).await
}

fn inputs(answer: &[u8]) -> Vec<String> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let named = head.lines().find_map(|line| line.strip_prefix("sextant-input: ").map(str::to_owned));
    named.unwrap_or_default().split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

/// The next message of a connection, head and body; `None` at its end. Answers without a body say so.
async fn message(stream: &mut TcpStream, buffer: &mut Vec<u8>, is_answer: bool) -> Option<Vec<u8>> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
    let value = |name: &str| {
        let mut lines = head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim().to_owned()))
    };
    if !is_answer && value("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        while !buffer[end..].ends_with(b"0\r\n\r\n") {
            if stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        }
        return Some(std::mem::take(buffer));
    }
    let length: usize = value("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while buffer.len() < end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some(buffer.drain(..end + length).collect())
}
