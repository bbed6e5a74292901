//! What goes wrong for who asks, in the words and the form of the OpenAI API.
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use muse_inference::InferenceError;
use serde_json::{Value, json};

/// An answer that says what is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    /// Which field is wrong.
    param: Option<String>,
    code: Option<&'static str>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None }
    }

    /// What was asked makes no sense.
    pub(crate) fn bad(param: &str, message: impl Into<String>) -> Self {
        let param = Some(param.to_owned()).filter(|param| !param.is_empty());
        Self { param, ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    pub(crate) fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// The body, also in the middle of a stream.
    pub(crate) fn body(&self) -> Value {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        json!({ "error": { "message": self.message, "type": kind, "param": self.param, "code": self.code } })
    }
}

impl From<InferenceError> for ApiError {
    fn from(error: InferenceError) -> Self {
        let message = error.to_string();
        match error {
            InferenceError::Busy { .. } => Self::new(StatusCode::TOO_MANY_REQUESTS, message),
            InferenceError::Stopped(_) | InferenceError::Device(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
            }
            InferenceError::Empty => Self::bad("prompt", message),
            InferenceError::TooLong { .. } => Self::bad("prompt", message).code("context_length_exceeded"),
            InferenceError::Artifact(_) | InferenceError::Unfit { .. } => Self::bad("", message),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = json_response(self.status, &self.body());
        let headers = response.headers_mut();
        match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                drop(headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1")));
            }
            StatusCode::UNAUTHORIZED => {
                drop(headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
            }
            _ => {}
        }
        response
    }
}

/// A JSON value as an answer.
pub(crate) fn json_response(status: StatusCode, value: &Value) -> Response {
    let json = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, json)], value.to_string()).into_response()
}
