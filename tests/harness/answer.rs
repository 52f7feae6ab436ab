//! What the program answered, and what a test may say about it.

use reqwest::{RequestBuilder, header::HeaderMap};
use serde_json::Value;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Sends a request and reads the answer.
pub trait Answered {
    /// The answer; fails the test when there is none.
    async fn answer(self) -> Answer;
    /// The answer; `None` when the connection broke.
    async fn try_answer(self) -> Option<Answer>;
}

impl Answered for RequestBuilder {
    async fn answer(self) -> Answer {
        let response = self.send().await.expect("the server answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.expect("the answer is complete").to_vec();
        Answer { status, headers, body }
    }

    async fn try_answer(self) -> Option<Answer> {
        let response = self.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.ok()?.to_vec();
        Some(Answer { status, headers, body })
    }
}

impl Answer {
    /// Fails the test unless the status is this one.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "answered {}", self.text());
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// The value of a header; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().expect("headers are text")).unwrap_or_default()
    }

    /// The inputs that a success names (DECISIONS 9).
    pub fn inputs(&self) -> Vec<String> {
        self.header("sextant-input").split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect()
    }

    /// The one input of a success: 200, `{"success":"1"}` and its id.
    #[track_caller]
    pub fn accepted(&self) -> String {
        assert_eq!(self.status, 200, "answered {}", self.text());
        assert_eq!(self.json()["success"], "1", "answered {}", self.text());
        let inputs = self.inputs();
        assert_eq!(inputs.len(), 1, "inputs {inputs:?}");
        inputs[0].clone()
    }

    /// Refused as ingest refuses (ingest.md section 16): the status, `"success":"0"`, and words.
    #[track_caller]
    pub fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "answered {}", self.text());
        assert_eq!(self.header("content-type"), "application/json", "answered {}", self.text());
        let body = self.json();
        assert_eq!(body["success"], "0", "answered {body}");
        let error = body["error"].as_str().unwrap_or_else(|| panic!("no error in {body}"));
        assert!(!error.is_empty());
        error.to_owned()
    }
}
