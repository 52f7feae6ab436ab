//! What can go wrong while a request is served, and the one place where it becomes an answer
//! (management-and-reporting.md section 1).

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use store::StoreError;
use thiserror::Error;

/// Why a request is not answered as asked. Texts are for the caller: what is wrong, and what to do.
#[derive(Debug, Error)]
pub enum Error {
    /// 400: the request cannot be understood or is not allowed to say this.
    #[error("{0}")]
    BadRequest(String),
    /// 401: no key, or one that is not known.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// 403: the key may not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// 404: there is no such thing; the text names it.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// 405: the path exists, the verb does not.
    #[error("this path does not know that method")]
    MethodNotAllowed,
    /// 408: the body did not arrive in time.
    #[error("the body did not arrive in time; send it again")]
    SlowBody,
    /// 409: it collides with what is there; also repeated triggers, unless `publisher_api.duplicate_status`
    /// says 400.
    #[error("{0}")]
    Conflict(String),
    /// 413: the body has this many bytes or more, after inflation.
    #[error("the body has {0} bytes or more; send it in parts")]
    TooLarge(usize),
    /// 503: too much is under way at once.
    #[error("the server is busy; try again in a second")]
    Busy,
    /// 503: the request was not done within `limits.request_timeout`.
    #[error("the request took too long; ask for its outcome or try again")]
    TimedOut,
    /// 503 when storage is unavailable, 500 when it is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// 500: a fault of the server; the text says which part.
    #[error("the server failed: {0}")]
    Internal(&'static str),
}

impl Error {
    /// The status it is answered with.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::Unauthorized(_) => 401,
            Self::Forbidden(_) => 403,
            Self::NotFound(_) => 404,
            Self::MethodNotAllowed => 405,
            Self::SlowBody => 408,
            Self::Conflict(_) => 409,
            Self::TooLarge(_) => 413,
            Self::Busy | Self::TimedOut | Self::Store(StoreError::Unavailable(_) | StoreError::Closed(_)) => {
                503
            }
            Self::Store(StoreError::Corrupt(_)) | Self::Internal(_) => 500,
        }
    }

    /// Seconds after which trying again makes sense.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        (self.status() == 503).then_some(1)
    }

    /// What the caller is told. Details of a failing store are for the log.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Store(StoreError::Unavailable(_) | StoreError::Closed(_)) => {
                "storage is unavailable; try again".to_owned()
            }
            Self::Store(StoreError::Corrupt(_)) => {
                "a stored record cannot be read; the log of the server says more".to_owned()
            }
            other => other.to_string(),
        }
    }
}

/// The text of a failed answer, kept beside it for [`enveloped`].
#[derive(Clone)]
struct Message(String);

impl IntoResponse for Error {
    /// `{"success":false,"errors":[…]}`, as the hosts with bare answers have it.
    fn into_response(self) -> Response {
        if let Self::Store(error) = &self {
            tracing::error!(error = %error, "storage failed");
        }
        let message = self.message();
        let body = json!({ "success": false, "errors": [message] });
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Message(message));
        response
    }
}

/// The envelope of the trigger host.
#[must_use]
pub fn envelope(
    success: bool,
    errors: &[String],
    warnings: &[String],
    data: Vec<serde_json::Value>,
) -> serde_json::Value {
    json!({
        "success": success, "meta": null, "nextToken": null, "previousToken": null,
        "errors": errors, "warnings": warnings, "messages": [], "data": data,
    })
}

/// Puts a failed answer into the envelope of the trigger host; leaves every other answer alone.
pub async fn enveloped(response: Response) -> Response {
    let Some(Message(message)) = response.extensions().get::<Message>().cloned() else { return response };
    let mut answer = (response.status(), Json(envelope(false, &[message], &[], Vec::new()))).into_response();
    if let Some(seconds) = response.headers().get(header::RETRY_AFTER) {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.clone());
    }
    answer
}
