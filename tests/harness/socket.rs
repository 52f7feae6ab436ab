//! Senders below HTTP libraries: many requests on one connection, and senders that hang up.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A connection that requests are written to by hand.
pub struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Socket {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        Self { stream, buffer: Vec::new() }
    }

    /// Writes bytes as they are; false when the other side is gone.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The status and body of the next answer; `None` when the connection ended. Answers need a length.
    pub async fn answer(&mut self) -> Option<(u16, Vec<u8>)> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        let status = head.get(9..12)?.parse().ok()?;
        let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(Some(0), |text| text.trim().parse().ok())?;
        while self.buffer.len() < end + 4 + length {
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
        let body = self.buffer[end + 4..end + 4 + length].to_vec();
        self.buffer.drain(..end + 4 + length);
        Some((status, body))
    }

    /// Hangs up after a moment, without having read anything.
    pub async fn hang_up_after(self, moment: Duration) {
        tokio::time::sleep(moment).await;
        drop(self);
    }
}

/// A POST as bytes.
pub fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: sextant\r\n{lines}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Sends GET requests over `connections` connections, each with up to `depth` under way, and fails unless
/// every one is answered with 200.
pub async fn pipelined(address: SocketAddr, paths: Vec<String>, connections: usize, depth: usize) {
    let share = paths.len().div_ceil(connections).max(1);
    let mut senders = tokio::task::JoinSet::new();
    for paths in paths.chunks(share).map(<[String]>::to_vec) {
        senders.spawn(async move {
            let mut socket = Socket::open(address).await;
            for some in paths.chunks(depth) {
                let requests: String =
                    some.iter().map(|path| format!("GET {path} HTTP/1.1\r\nhost: sextant\r\n\r\n")).collect();
                assert!(socket.write(requests.as_bytes()).await, "the server hung up");
                for path in some {
                    let (status, body) = socket.answer().await.expect("an answer");
                    assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
                }
            }
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent.expect("every click is taken");
    }
}
