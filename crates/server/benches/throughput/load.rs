//! A load generator that costs little itself: keep-alive HTTP/1.1 connections over loopback, each with one
//! request under way.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

/// Makes the bytes of the request with a number.
pub type Maker = Arc<dyn Fn(u64) -> Vec<u8> + Send + Sync>;

/// When a load ends: whichever comes first.
#[derive(Clone, Copy)]
pub struct Limit {
    /// Requests at most.
    pub requests: u64,
    /// Time at most.
    pub time: Duration,
}

/// What a load measured.
pub struct Measured {
    /// Requests that were answered.
    pub requests: usize,
    /// From the first request to the last answer.
    pub took: Duration,
    /// How long each answer took, shortest first.
    pub answers: Vec<Duration>,
}

impl Measured {
    /// Requests per second.
    pub fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
        let requests = self.requests as f64;
        requests / self.took.as_secs_f64()
    }

    /// The time that `percent` of the answers took at most.
    pub fn percentile(&self, percent: usize) -> Duration {
        let place = (self.answers.len() * percent).div_ceil(100).saturating_sub(1);
        self.answers.get(place).copied().unwrap_or_default()
    }
}

/// Sends requests numbered from `first` on over `connections` connections. Every answer has to have the
/// status `expect`.
pub async fn load(
    address: SocketAddr,
    connections: usize,
    first: u64,
    limit: Limit,
    expect: u16,
    make: &Maker,
) -> anyhow::Result<Measured> {
    let next = Arc::new(AtomicU64::new(first));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let (next, make) = (Arc::clone(&next), Arc::clone(make));
        tasks.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut answers = Vec::new();
            while begun.elapsed() < limit.time {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number - first >= limit.requests {
                    break;
                }
                let request = make(number);
                let sent = Instant::now();
                let status = connection.ask(&request).await?;
                answers.push(sent.elapsed());
                ensure!(status == expect, "answered {status} instead of {expect}");
            }
            anyhow::Ok(answers)
        });
    }
    let mut answers = Vec::new();
    while let Some(task) = tasks.join_next().await {
        answers.extend(task??);
    }
    let took = begun.elapsed();
    answers.sort_unstable();
    Ok(Measured { requests: answers.len(), took, answers })
}

/// A connection that stays open.
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(4_096) })
    }

    /// Sends a request and reads the whole answer; gives its status.
    pub async fn ask(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.write_all(request).await?;
        self.read.clear();
        let head = loop {
            self.more().await?;
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = str::from_utf8(&self.read[..head]).context("headers are not text")?;
        let status = text.get(9..12).and_then(|status| status.parse().ok()).context("no status line")?;
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let length = length.context("an answer without content-length")?;
        while self.read.len() < head + length {
            self.more().await?;
        }
        Ok(status)
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.read).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }
}
