//! What a review came to: the HTTP response, and what is counted and logged of it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::review::{self, Malformed, Status};
use crate::telemetry::Outcome;

/// An HTTP response with its outcome.
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) uid: Option<String>,
    response: Response,
}

impl Answer {
    /// A verdict.
    pub(super) fn review(response: &review::Response) -> Self {
        let outcome = if response.is_allowed() { Outcome::Allowed } else { Outcome::Denied };
        Self::with(outcome, Some(response.uid().to_owned()), response)
    }

    /// Not understood: said to the API server by the uid, or else as plain HTTP.
    pub(super) fn malformed(error: &Malformed) -> Self {
        let outcome = Outcome::Malformed;
        match &error.uid {
            Some(uid) => {
                let response = review::Response::deny(uid, Status::bad_request(error.to_string()));
                Self::with(outcome, Some(uid.clone()), &response)
            }
            None => Self::plain(outcome, StatusCode::BAD_REQUEST, error.to_string()),
        }
    }

    /// Larger than [`super::BODY_LIMIT`]; `beginning` is how it began.
    pub(super) fn too_large(beginning: &[u8]) -> Self {
        let text = format!("the review is larger than {} MiB", super::BODY_LIMIT / (1024 * 1024));
        let outcome = Outcome::TooLarge;
        match review::uid(beginning) {
            Some(uid) => {
                let response = review::Response::deny(&uid, Status::too_large(text));
                Self::with(outcome, Some(uid), &response)
            }
            None => Self::plain(outcome, StatusCode::PAYLOAD_TOO_LARGE, text),
        }
    }

    /// The sender went away in the middle of its body; nobody will read this.
    pub(super) fn broken(error: &axum::Error) -> Self {
        Self::plain(Outcome::Malformed, StatusCode::BAD_REQUEST, format!("the body broke off: {error}"))
    }

    /// No place for it in the time the API server gave.
    pub(super) fn overloaded() -> Self {
        Self::plain(Outcome::Overloaded, StatusCode::SERVICE_UNAVAILABLE, "too many reviews at a time")
    }

    /// Not done in the time the API server gave. It has turned away already and applied its failurePolicy.
    pub(super) fn timed_out() -> Self {
        Self::plain(Outcome::TimedOut, StatusCode::GATEWAY_TIMEOUT, "not done in the time given")
    }

    /// A fault of this program.
    pub(super) fn failed(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %error, "review failed");
        Self::plain(
            Outcome::Failed,
            StatusCode::INTERNAL_SERVER_ERROR,
            "the review failed, see the webhook's log",
        )
    }

    fn with(outcome: Outcome, uid: Option<String>, response: &review::Response) -> Self {
        match response.to_json() {
            Ok(json) => {
                let json_type = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Self { outcome, uid, response: ([json_type], json).into_response() }
            }
            Err(error) => Self::failed(&error),
        }
    }

    fn plain(outcome: Outcome, code: StatusCode, text: impl Into<String>) -> Self {
        let text = text.into() + "\n";
        Self { outcome, uid: None, response: (code, text).into_response() }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        self.response
    }
}
