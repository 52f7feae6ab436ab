//! Asking Apple what an AdServices token stands for (tracking-and-attribution.md section 11). It lives
//! here because it is outgoing HTTP, and this crate owns the client; it shares nothing else with postbacks.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, StatusCode, Url, header, redirect, retry};
use tokio::{sync::Semaphore, time};

use crate::CourierError;

/// Tokens asked about at once; more wait for their turn within their time.
const ASKED_AT_ONCE: usize = 64;
/// Attempts for one token: Apple advises to ask up to three times more, because a fresh token may not be
/// known to all of its servers yet.
const ATTEMPTS: u32 = 4;
/// The most of an answer that is read, bytes; Apple's have some hundred.
const ANSWER_BYTES_MAX: usize = 16_384;
/// Longer tokens are not sent: genuine ones have some hundred characters.
const TOKEN_BYTES_MAX: usize = 4_096;

/// Asks Apple. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AdServices {
    client: Client,
    url: Url,
    wait: Duration,
    pause: Duration,
    turns: Arc<Semaphore>,
}

impl AdServices {
    /// A way to ask at `url`, for at most `wait` in all, with `pause` between attempts (Apple: 5 s). The
    /// URL comes from the settings, so no guard keeps it from private addresses.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(url: Url, wait: Duration, pause: Duration) -> Result<Self, CourierError> {
        // Another part of the program may have installed the same provider before: that is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .build()?;
        Ok(Self { client, url, wait, pause, turns: Arc::new(Semaphore::new(ASKED_AT_ONCE)) })
    }

    /// Apple's answer about `token`, JSON as sent; `None` when there was none in time: the token is not
    /// known (404 on every attempt), not valid (400), or Apple cannot be reached.
    pub async fn ask(&self, token: &str) -> Option<String> {
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        time::timeout(self.wait, self.ask_in_turn(token)).await.ok()?
    }

    async fn ask_in_turn(&self, token: &str) -> Option<String> {
        let _turn = self.turns.acquire().await.ok()?;
        for attempt in 1..=ATTEMPTS {
            match self.attempt(token).await {
                Attempt::Answered(answer) => return Some(answer),
                Attempt::Refused => return None,
                Attempt::NotYet if attempt < ATTEMPTS => time::sleep(self.pause).await,
                Attempt::NotYet => {}
            }
        }
        None
    }

    async fn attempt(&self, token: &str) -> Attempt {
        let request = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, "text/plain");
        let Ok(mut response) = request.body(token.to_owned()).send().await else { return Attempt::NotYet };
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::TOO_MANY_REQUESTS => return Attempt::NotYet,
            status if status.is_server_error() => return Attempt::NotYet,
            _ => return Attempt::Refused,
        }
        let mut answer = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if answer.len() + chunk.len() <= ANSWER_BYTES_MAX => {
                    answer.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => return Attempt::Refused,
                Ok(None) => break,
                Err(_) => return Attempt::NotYet,
            }
        }
        String::from_utf8(answer).map_or(Attempt::Refused, Attempt::Answered)
    }
}

/// How one attempt ended.
enum Attempt {
    /// Apple said something.
    Answered(String),
    /// It may say something a little later.
    NotYet,
    /// It never will.
    Refused,
}

#[cfg(test)]
mod tests;
