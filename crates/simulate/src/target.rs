//! The server that the traffic goes to, as an HTTP client sees it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{StatusCode, Url, header};
use serde_json::Value;
use thiserror::Error;
use tokio::task::JoinSet;

use crate::request::Request;

/// How often a request is sent at most.
const ATTEMPTS_MAX: u32 = 6;
/// The longest wait before another attempt, whatever `Retry-After` asks for.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);
/// The wait after a connection that failed, or an answer without `Retry-After`.
const RETRY_WAIT: Duration = Duration::from_millis(200);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How many questions are asked at a time.
const QUESTIONS: usize = 8;
/// How much of an answer an error quotes, characters.
const QUOTE_MAX: usize = 300;

/// What can go wrong between the simulator and the server.
#[derive(Debug, Error)]
pub enum Error {
    /// The URL is not one.
    #[error("`{url}` is not a URL of a server: write it like http://127.0.0.1:8080 ({reason})")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client cannot be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(reqwest::Error),
    /// No answer.
    #[error("no answer to {path}: {source}; is the server running?")]
    NoAnswer {
        /// The path, without its query.
        path: String,
        /// Why.
        source: reqwest::Error,
    },
    /// Another answer than the documented one.
    #[error("{path} was answered {status} instead of {expected}: {body}")]
    Status {
        /// The path, without its query.
        path: String,
        /// The status.
        status: u16,
        /// The documented status.
        expected: u16,
        /// The start of the body.
        body: String,
    },
    /// An answer without something that is documented.
    #[error("the answer of {path} has no {missing}: {body}")]
    Shape {
        /// The path, without its query.
        path: String,
        /// What is missing.
        missing: String,
        /// The start of the body.
        body: String,
    },
    /// A task of the simulator ended before its time.
    #[error("a task of the simulator failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Location`.
    pub location: Option<String>,
    /// The input ids of `Sextant-Input` (DECISIONS 9).
    pub inputs: Vec<String>,
    /// The body.
    pub body: String,
    /// How many times the request was sent.
    pub attempts: u32,
    /// When it was sent for the first time.
    pub sent: Instant,
    /// From then to the answer.
    pub took: Duration,
}

/// A server and the management key to it.
#[derive(Clone, Debug)]
pub struct Target {
    base: String,
    key: String,
    client: reqwest::Client,
}

impl Target {
    /// The server at `url`, to be asked with the management key `key`.
    ///
    /// # Errors
    /// When `url` is not an http or https URL, or the client cannot be made.
    pub fn new(url: &str, key: &str) -> Result<Self, Error> {
        let wrong = |reason: &str| Error::Url { url: url.to_owned(), reason: reason.to_owned() };
        let parsed = Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(wrong("only http and https"));
        }
        // Another part of the program may have chosen the provider already; any one will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(ANSWER_TIMEOUT)
            .build()
            .map_err(Error::Client)?;
        Ok(Self { base: url.trim_end_matches('/').to_owned(), key: key.to_owned(), client })
    }

    /// The URL of the server, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Sends a request as an outside party: without the management key. 429, 503 and broken connections
    /// are tried again a few times, as senders do it.
    ///
    /// # Errors
    /// When there is no answer in the end. Any status is an answer.
    pub async fn send(&self, request: &Request) -> Result<Answer, Error> {
        let sent = Instant::now();
        let mut attempt = 1;
        loop {
            let outcome = self.attempt(request).await;
            let wait = match &outcome {
                Ok(response) => match response.status() {
                    StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                        Some(retry_after(response))
                    }
                    _ => None,
                },
                Err(_) => Some(RETRY_WAIT),
            };
            match wait {
                Some(wait) if attempt < ATTEMPTS_MAX => {
                    drop(outcome);
                    tokio::time::sleep(wait.min(RETRY_WAIT_MAX)).await;
                    attempt += 1;
                }
                _ => {
                    let path = bare(&request.path);
                    let no_answer =
                        |source: reqwest::Error| Error::NoAnswer { path, source: source.without_url() };
                    let response = match outcome {
                        Ok(response) => response,
                        Err(source) => return Err(no_answer(source)),
                    };
                    return read(response, attempt, sent).await.map_err(no_answer);
                }
            }
        }
    }

    async fn attempt(&self, request: &Request) -> Result<reqwest::Response, reqwest::Error> {
        let url = format!("{}{}", self.base, request.path);
        let mut builder = match &request.body {
            Some(body) => self.client.post(url).body(body.clone()),
            None => self.client.get(url),
        };
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        builder.send().await
    }

    /// Asks a management question and gives the JSON answer; `None` is 404.
    ///
    /// # Errors
    /// When there is no answer, or another status than 200 or 404, or no JSON.
    pub async fn ask(&self, path: &str) -> Result<Option<Value>, Error> {
        let request = self.managed(path, None, 200);
        let answer = self.send(&request).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        json(path, &answer, 200).map(Some)
    }

    /// As [`Target::ask`], for something that has to be there.
    ///
    /// # Errors
    /// As [`Target::ask`], and for 404.
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        let answer = self.send(&self.managed(path, None, 200)).await?;
        json(path, &answer, 200)
    }

    /// Many questions, a few at a time; answers in the order of `paths`.
    ///
    /// # Errors
    /// As [`Target::ask`], the first one.
    pub async fn ask_all(&self, paths: Vec<String>) -> Result<Vec<Option<Value>>, Error> {
        let paths = Arc::new(paths);
        let mut tasks = JoinSet::new();
        for worker in 0..QUESTIONS {
            let (target, paths) = (self.clone(), Arc::clone(&paths));
            tasks.spawn(async move {
                let mut answers = Vec::new();
                for (place, path) in paths.iter().enumerate().skip(worker).step_by(QUESTIONS) {
                    answers.push((place, target.ask(path).await?));
                }
                Ok::<_, Error>(answers)
            });
        }
        let mut all = vec![None; paths.len()];
        while let Some(answers) = tasks.join_next().await {
            for (place, answer) in answers?? {
                if let Some(slot) = all.get_mut(place) {
                    *slot = answer;
                }
            }
        }
        Ok(all)
    }

    /// Creates something and gives the JSON answer.
    ///
    /// # Errors
    /// When it is not answered 201.
    pub async fn create(&self, path: &str, body: &Value) -> Result<Value, Error> {
        let answer = self.send(&self.managed(path, Some(body), 201)).await?;
        json(path, &answer, 201)
    }

    /// Changes something by PATCH.
    ///
    /// # Errors
    /// When it is not answered 200.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<(), Error> {
        let source =
            |source: reqwest::Error| Error::NoAnswer { path: bare(path), source: source.without_url() };
        let sent = Instant::now();
        let response = self
            .client
            .patch(format!("{}{path}", self.base))
            .header("Authentication-Key", &self.key)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.to_string())
            .send()
            .await
            .map_err(source)?;
        let answer = read(response, 1, sent).await.map_err(source)?;
        json(path, &answer, 200).map(|_| ())
    }

    fn managed(&self, path: &str, body: Option<&Value>, expect: u16) -> Request {
        let mut headers = vec![("Authentication-Key", self.key.clone())];
        if body.is_some() {
            headers.push(("Content-Type", "application/json".to_owned()));
        }
        Request { path: path.to_owned(), body: body.map(Value::to_string), headers, expect }
    }
}

/// How long the server asks to wait; a short while where it does not say.
fn retry_after(response: &reqwest::Response) -> Duration {
    let header = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    header.and_then(|seconds| seconds.trim().parse().ok()).map_or(RETRY_WAIT, Duration::from_secs)
}

async fn read(response: reqwest::Response, attempts: u32, sent: Instant) -> Result<Answer, reqwest::Error> {
    let text =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let status = response.status().as_u16();
    let location = text("location");
    let inputs = text("sextant-input")
        .map(|ids| ids.split(',').map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect())
        .unwrap_or_default();
    let body = response.text().await?;
    Ok(Answer { status, location, inputs, body, attempts, sent, took: sent.elapsed() })
}

/// Reads an answer that has to have the status `expected` and be JSON.
fn json(path: &str, answer: &Answer, expected: u16) -> Result<Value, Error> {
    let body = quote(&answer.body);
    if answer.status != expected {
        return Err(Error::Status { path: bare(path), status: answer.status, expected, body });
    }
    serde_json::from_str(&answer.body).map_err(|_| Error::Shape {
        path: bare(path),
        missing: "JSON body".to_owned(),
        body,
    })
}

/// The path without its query, which may hold identifiers.
#[must_use]
pub fn bare(path: &str) -> String {
    path.split('?').next().unwrap_or_default().to_owned()
}

/// The start of a body, for messages.
#[must_use]
pub fn quote(body: &str) -> String {
    body.chars().take(QUOTE_MAX).collect()
}
