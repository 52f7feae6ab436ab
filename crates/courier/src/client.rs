//! One attempt over HTTP.

use std::{
    cell::Cell,
    error::Error,
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::UNIX_EPOCH,
};

use measure::{
    Timestamp, TriggerId,
    postback::{Attempt, Delivery, Failure, Method, Outcome, Suppression},
    time::SECOND_MS,
};
use reqwest::{Certificate, Client, RequestBuilder, Response, header, redirect, retry};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt as _};
use url::Url;

use crate::{
    Guard, Options,
    round::Clock,
    signature::{HEADERS, sign},
    target::{Blocked, VettingResolver},
};

/// The most of an answer that is read, bytes.
pub const RESPONSE_BYTES_MAX: usize = 64_000;
/// The most of an answer that is kept, bytes.
pub const RESPONSE_BYTES_KEPT: usize = 4_000;

/// The header that names the delivery: the same on every attempt.
const DELIVERY_HEADER: header::HeaderName = header::HeaderName::from_static("x-sextant-delivery");
const USER_AGENT: &str = concat!("Sextant/", env!("CARGO_PKG_VERSION"));

/// What came of sending.
#[derive(Debug)]
pub enum Sent {
    /// An attempt was made.
    Attempted(Box<Answered>),
    /// The name leads to refused addresses only: nothing was sent.
    Blocked,
    /// The client cannot make a request of it: nothing was sent.
    Unsendable,
}

/// An attempt, seen from outside.
#[derive(Debug)]
pub struct Answered {
    /// How it ended.
    pub outcome: Outcome,
    /// The start of the answer.
    pub response: String,
    /// How long it took to connect, milliseconds, if it had to.
    pub connect_ms: Option<u32>,
    /// Some headers of the answer.
    pub headers: Vec<(String, String)>,
}

/// The secrets that the requests of a trigger are signed with; none when they are not.
pub type Secrets = Arc<dyn Fn(TriggerId) -> Vec<Vec<u8>> + Send + Sync>;

/// Sends single requests behind the guard. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    client: Client,
    guard: Arc<Guard>,
    secrets: Secrets,
    /// What the clock shows: signatures and dates go by it.
    wall: Clock,
    /// The courier's time: waits go by it.
    steady: Clock,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl Sender {
    /// A sender with the client of `options`.
    pub(crate) fn new(
        options: &Options,
        secrets: Secrets,
        wall: Clock,
        steady: Clock,
    ) -> Result<Self, reqwest::Error> {
        let guard = Arc::new(Guard::new(options.allow_targets.clone()));
        Ok(Self { client: client(guard.clone(), options)?, guard, secrets, wall, steady })
    }

    /// Where a request goes: its URL, vetted as far as it can be without resolving a name.
    ///
    /// # Errors
    ///
    /// Why it is not sent.
    pub fn target(&self, url: &str) -> Result<Url, Suppression> {
        let url = Url::parse(url).map_err(|_| Suppression::BadUrl)?;
        if self.guard.allows_url(&url) { Ok(url) } else { Err(Suppression::BlockedTarget) }
    }

    /// Sends the request of `delivery` to `url`, which is its URL, vetted. `Retry-After` counts from when the
    /// head of the answer is there.
    pub(crate) async fn send(&self, delivery: &Delivery, url: Url) -> Sent {
        CONNECTED.scope(Cell::new(None), self.exchange(delivery, url)).await
    }

    /// Makes one attempt at a delivery that is not in the outbox, as a test.
    ///
    /// # Errors
    ///
    /// Why nothing was sent.
    pub async fn try_out(&self, delivery: &Delivery) -> Result<Attempt, Suppression> {
        let url = self.target(&delivery.request.url)?;
        let (started, began) = ((self.steady)(), Instant::now());
        let sent = self.send(delivery, url).await;
        let elapsed_ms = elapsed_ms(began);
        match sent {
            Sent::Attempted(answered) => Ok(answered.into_attempt(1, started, elapsed_ms)),
            Sent::Blocked => Err(Suppression::BlockedTarget),
            Sent::Unsendable => Err(Suppression::BadUrl),
        }
    }

    async fn exchange(&self, delivery: &Delivery, url: Url) -> Sent {
        let response = match self.request(delivery, url).send().await {
            Ok(response) => response,
            Err(error) => return refused(&error),
        };
        let status = response.status().as_u16();
        let wall = (self.wall)();
        let retry_after = retry_after(&response, wall).map(|at| (self.steady)().plus(at.since(wall)));
        let headers = kept_headers(&response);
        let (body, broken) = read(response).await;
        let text = String::from_utf8_lossy(&body);
        let wanted = delivery.request.success_match.as_deref();
        let matched = wanted.is_none_or(|wanted| text.contains(wanted));
        let outcome = match broken {
            // The status has decided already, unless the text that was asked for may have been in the rest.
            Some(failure) if !matched && (200..300).contains(&status) => Outcome::Failed(failure),
            _ => Outcome::Answered { status, matched, retry_after },
        };
        let kept = body.get(..RESPONSE_BYTES_KEPT).unwrap_or(&body);
        let response = String::from_utf8_lossy(kept).into_owned();
        Sent::Attempted(Box::new(Answered { outcome, response, connect_ms: connected(), headers }))
    }

    fn request(&self, delivery: &Delivery, mut url: Url) -> RequestBuilder {
        if delivery.request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            // The client would make another such header of them. A URL that has no host cannot have them.
            let _none = url.set_username("").and(url.set_password(None));
        }
        let request = match delivery.request.method {
            Method::Get => self.client.get(url),
            Method::Post => self.client.post(url).body(delivery.request.body.clone()),
        };
        let id = delivery.public_id().to_string();
        let secrets = (self.secrets)(delivery.trigger);
        let headers = delivery.request.headers.iter();
        let request = headers.fold(request, |request, (name, value)| request.header(name, value));
        let mut request = request.header(DELIVERY_HEADER, &id);
        if !secrets.is_empty() {
            let at = (self.wall)();
            let body = match delivery.request.method {
                Method::Get => "",
                Method::Post => &delivery.request.body,
            };
            let values = [id.clone(), at.seconds().to_string(), sign(&secrets, &id, at, body)];
            for (name, value) in HEADERS.into_iter().zip(values) {
                request = request.header(name, value);
            }
        }
        match &delivery.request.content_type {
            Some(content_type) => request.header(header::CONTENT_TYPE, content_type),
            None => request,
        }
    }
}

impl Answered {
    /// What goes on record.
    pub fn into_attempt(self, number: u32, started: Timestamp, elapsed_ms: u32) -> Attempt {
        let status = match self.outcome {
            Outcome::Answered { status, .. } => Some(status),
            Outcome::Failed(_) => None,
        };
        Attempt {
            number,
            started,
            elapsed_ms,
            status,
            error: self.outcome.error().map(str::to_owned),
            response: self.response,
            connect_ms: self.connect_ms,
            headers: self.headers,
        }
    }
}

/// Whole milliseconds since then.
pub fn elapsed_ms(began: Instant) -> u32 {
    u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX)
}

/// The client behind the guard: no redirects, no proxy, no attempts of its own.
fn client(guard: Arc<Guard>, options: &Options) -> Result<Client, reqwest::Error> {
    // Another part of the program may have installed the same provider before: that is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(options.connect_timeout)
        .timeout(options.total_timeout)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy()
        .pool_max_idle_per_host(options.host_concurrency)
        .dns_resolver(VettingResolver::new(guard))
        .connector_layer(TimeConnects)
        .tls_certs_merge(Certificate::from_pem_bundle(&options.authorities)?)
        .build()
}

tokio::task_local! {
    /// How long the attempt of this task took to connect, milliseconds.
    static CONNECTED: Cell<Option<u32>>;
}

fn connected() -> Option<u32> {
    CONNECTED.try_with(Cell::get).ok().flatten()
}

/// Notes how long connecting takes, for the attempt that waits for it.
#[derive(Clone, Copy, Debug)]
struct TimeConnects;

impl<S> Layer<S> for TimeConnects {
    type Service = TimedConnects<S>;

    fn layer(&self, connector: S) -> TimedConnects<S> {
        TimedConnects(Arc::new(connector))
    }
}

/// A connector that is timed. It is cloned for every request, what it wraps only to connect.
#[derive(Debug)]
struct TimedConnects<S>(Arc<S>);

impl<S> Clone for TimedConnects<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S, R> Service<R> for TimedConnects<S>
where
    S: Service<R> + Clone + Send + Sync + 'static,
    S::Future: Send,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let began = Instant::now();
        let connector = S::clone(&self.0);
        Box::pin(async move {
            let connection = connector.oneshot(request).await?;
            // One that another attempt did not wait for belongs to nobody.
            let _nobody = CONNECTED.try_with(|connected| connected.set(Some(elapsed_ms(began))));
            Ok(connection)
        })
    }
}

/// Headers of an answer that are kept: what tells how it was meant, and by whom.
const HEADERS_KEPT: [&str; 10] = [
    "content-type",
    "content-length",
    "date",
    "location",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "server",
    "x-request-id",
];
/// The longest value of a header that is kept, bytes.
const HEADER_BYTES_KEPT: usize = 256;

/// In the order of [`HEADERS_KEPT`]; of one that is repeated, the first.
fn kept_headers(response: &Response) -> Vec<(String, String)> {
    let mut kept: Vec<(usize, &[u8])> = Vec::with_capacity(HEADERS_KEPT.len());
    // Few of these headers come, so each that came is compared: a lookup would parse every name.
    for (name, value) in response.headers() {
        let Some(at) = HEADERS_KEPT.iter().position(|kept| *kept == name.as_str()) else { continue };
        if kept.iter().all(|(other, _)| *other != at) {
            kept.push((at, value.as_bytes()));
        }
    }
    kept.sort_unstable();
    let owned = kept.into_iter().filter_map(|(at, value)| {
        let value = value.get(..HEADER_BYTES_KEPT).unwrap_or(value);
        Some(((*HEADERS_KEPT.get(at)?).to_owned(), String::from_utf8_lossy(value).into_owned()))
    });
    owned.collect()
}

/// Reads at most [`RESPONSE_BYTES_MAX`], and says what broke if something did. A longer answer is left
/// unread, and its connection with it.
async fn read(mut response: Response) -> (Vec<u8>, Option<Failure>) {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = RESPONSE_BYTES_MAX - body.len();
                body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
                if body.len() >= RESPONSE_BYTES_MAX {
                    return (body, None);
                }
            }
            Ok(None) => return (body, None),
            Err(error) if error.is_timeout() => return (body, Some(Failure::Timeout)),
            Err(_) => return (body, Some(Failure::Read)),
        }
    }
}

/// `Retry-After`: seconds, or an HTTP date in any of its three forms (RFC 9110 section 5.6.7).
fn retry_after(response: &Response, now: Timestamp) -> Option<Timestamp> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    parse_retry_after(text, now)
}

pub(crate) fn parse_retry_after(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let seconds: i64 = text.parse().ok()?;
        return Some(now.plus(seconds.saturating_mul(SECOND_MS)));
    }
    let since = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp(i64::try_from(since.as_millis()).ok()?))
}

fn refused(error: &reqwest::Error) -> Sent {
    if error.is_builder() {
        return Sent::Unsendable;
    }
    if causes(error).any(|cause| cause.is::<Blocked>()) {
        return Sent::Blocked;
    }
    let failure = if error.is_timeout() {
        Failure::Timeout
    } else if error.is_dns() {
        Failure::Dns
    } else if causes(error).any(is_tls) {
        Failure::Tls
    } else if error.is_connect() {
        Failure::Connect
    } else {
        Failure::Read
    };
    let (outcome, connect_ms) = (Outcome::Failed(failure), connected());
    Sent::Attempted(Box::new(Answered { outcome, response: String::new(), connect_ms, headers: Vec::new() }))
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// TLS errors travel inside I/O errors, possibly several, which do not name what they hold as their source.
fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    let held = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    cause.is::<rustls::Error>() || held.is_some_and(|held| is_tls(held))
}
