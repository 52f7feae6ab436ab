//! One attempt over HTTP.

use std::{error::Error, io, sync::Arc};

use measure::{
    Timestamp,
    postback::{Delivery, Failure, Method, Outcome},
    time::SECOND_MS,
};
use reqwest::{Client, RequestBuilder, Response, header, redirect, retry};
use url::Url;

use crate::{
    Guard, Options,
    target::{Blocked, VettingResolver},
};

/// The most of an answer that is read, bytes.
pub const RESPONSE_BYTES_MAX: usize = 64_000;
/// The most of an answer that is kept, bytes.
pub const RESPONSE_BYTES_KEPT: usize = 4_000;

/// The header that names the delivery: the same on every attempt.
const DELIVERY_HEADER: &str = "x-sextant-delivery";
const USER_AGENT: &str = concat!("Sextant/", env!("CARGO_PKG_VERSION"));

/// What came of sending.
#[derive(Debug)]
pub enum Sent {
    /// An attempt was made.
    Attempted {
        /// How it ended.
        outcome: Outcome,
        /// The start of the answer.
        response: String,
    },
    /// The name leads to refused addresses only: nothing was sent.
    Blocked,
    /// The client cannot make a request of it: nothing was sent.
    Unsendable,
}

/// The client behind the guard: no redirects, no proxy, no attempts of its own.
pub fn client(guard: Arc<Guard>, options: &Options) -> Result<Client, reqwest::Error> {
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
        .build()
}

/// Sends the request of `delivery` to `url`, which is its URL, vetted. `now` gives the time at which the
/// answer's head is there: `Retry-After` counts from then.
pub async fn send(client: &Client, delivery: &Delivery, url: Url, now: impl Fn() -> Timestamp) -> Sent {
    let response = match request(client, delivery, url).send().await {
        Ok(response) => response,
        Err(error) => return refused(&error),
    };
    let status = response.status().as_u16();
    let retry_after = retry_after(&response, now());
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
    Sent::Attempted { outcome, response: String::from_utf8_lossy(kept).into_owned() }
}

fn request(client: &Client, delivery: &Delivery, url: Url) -> RequestBuilder {
    let request = match delivery.request.method {
        Method::Get => client.get(url),
        Method::Post => client.post(url).body(delivery.request.body.clone()),
    };
    let request = request.header(DELIVERY_HEADER, delivery.id.to_string());
    match &delivery.request.content_type {
        Some(content_type) => request.header(header::CONTENT_TYPE, content_type),
        None => request,
    }
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

/// `Retry-After`: seconds, or an HTTP date.
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
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp(date.timestamp().as_millisecond()))
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
    Sent::Attempted { outcome: Outcome::Failed(failure), response: String::new() }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// TLS errors travel inside I/O errors, possibly several, which do not name what they hold as their source.
fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    let held = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    cause.is::<rustls::Error>() || held.is_some_and(|held| is_tls(held))
}
