//! The paths, who may ask, and what stands around every answer: the key, the size of bodies, counts, a line for the log.
use crate::api::{chat, completion, models};
use crate::error::{ApiError, json_response};
use crate::metrics::Metrics;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use muse_inference::Model;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// The chat page, all of it.
const PAGE: &str = include_str!("page.html");
/// How long a body may take to come.
const BODY: Duration = Duration::from_secs(30);

/// Takes lines for the log.
pub type Log = Box<dyn Fn(&str) + Send + Sync>;

/// How a model is served.
pub struct Settings {
    /// What it is called.
    pub name: String,
    /// What whoever asks must show, if anything.
    pub key: Option<String>,
    /// The largest body, in bytes.
    pub body: usize,
    /// The most connections at once.
    pub connections: usize,
    /// How long answers may take after the end was asked for.
    pub grace: Duration,
    /// Tokens that end a chat's answer.
    pub ends: Vec<u32>,
    /// Tokens that end a text.
    pub ends_of_text: Vec<u32>,
    /// Where lines for the log go: method, path, status, time. Never what was asked or answered.
    pub log: Log,
    /// Where what was asked goes, if it may be logged at all.
    pub log_prompts: Option<Log>,
    /// Seconds since 1970 at the start, which the API tells of models and texts.
    pub started: u64,
}

/// What every request sees.
pub(crate) struct App {
    pub(crate) model: Model,
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
    pub(crate) begin: Instant,
}

impl App {
    /// Seconds since 1970, by the clock at the start and the time since.
    pub(crate) fn now(&self) -> u64 {
        self.settings.started + self.begin.elapsed().as_secs()
    }

    /// That the model that is asked for is the one that is served.
    pub(crate) fn check_model(&self, asked: Option<&str>) -> Result<(), ApiError> {
        let name = &self.settings.name;
        match asked.filter(|asked| asked != name) {
            None => Ok(()),
            Some(asked) => {
                let said = format!("there is no model `{asked}` here, but `{name}`");
                Err(ApiError::new(StatusCode::NOT_FOUND, said).code("model_not_found"))
            }
        }
    }
}

/// All paths.
pub(crate) fn router(model: Model, settings: Settings) -> Router {
    let app = Arc::new(App { model, settings, metrics: Metrics::default(), begin: Instant::now() });
    Router::new()
        .route("/", get(page))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*name}", get(models::one))
        .route("/v1/completions", post(completion::answer))
        .route("/v1/chat/completions", post(chat::answer))
        .fallback(nothing)
        .method_not_allowed_fallback(another_method)
        .layer(from_fn_with_state(Arc::clone(&app), around))
        .with_state(app)
}

/// What stands around every answer.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let (method, path) = (request.method().clone(), known(request.uri().path()));
    let guarded = request.uri().path().starts_with("/v1/");
    let response = if guarded && !may(request.headers(), app.settings.key.as_deref()) {
        let said = "this server wants a key: `Authorization: Bearer KEY`";
        ApiError::new(StatusCode::UNAUTHORIZED, said).code("invalid_api_key").into_response()
    } else {
        next.run(request).await
    };
    app.metrics.request(path, response.status());
    // What monitors ask all the time is told where it goes wrong.
    let quiet = matches!(path, "/health" | "/metrics") && response.status().is_success();
    if !quiet {
        let took = begin.elapsed().as_secs_f64() * 1e3;
        (app.settings.log)(&format!("{method} {path} {} {took:.1} ms", response.status().as_u16()));
    }
    response
}

/// A path as it is counted: what nobody knows is one of them.
fn known(path: &str) -> &'static str {
    const KNOWN: [&str; 6] =
        ["/", "/health", "/metrics", "/v1/models", "/v1/completions", "/v1/chat/completions"];
    KNOWN.into_iter().find(|known| *known == path).unwrap_or("other")
}

/// Whether the key is the right one. Takes as long for one that is nearly right.
fn may(headers: &HeaderMap, key: Option<&str>) -> bool {
    let Some(key) = key else { return true };
    let shown = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let shown = shown.strip_prefix(b"Bearer ").unwrap_or_default();
    bool::from(shown.ct_eq(key.as_bytes()))
}

/// A body that is JSON, whole, in time, and no larger than it may be.
pub(crate) async fn body(app: &App, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    // What a page of elsewhere may send without asking is of another type.
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        let said = "the body must be JSON: `Content-Type: application/json`";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, said));
    }
    let most = app.settings.body;
    let too_large =
        || ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {most} bytes"));
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY, axum::body::to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes.to_vec()),
        Ok(Err(error)) if is_limit(&error) => Err(too_large()),
        Ok(Err(_)) => Err(ApiError::bad("", "the body ended too early")),
        Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to come")),
    }
}

fn is_limit(error: &axum::Error) -> bool {
    use std::error::Error as _;
    error.source().is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}

async fn page() -> Response {
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    // All of it stands in the page, and it asks nobody but this server.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                  img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let policy = (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    ([(header::CONTENT_TYPE, html), policy], PAGE).into_response()
}

async fn health(State(app): State<Arc<App>>) -> Response {
    match app.model.stopped() {
        None => json_response(StatusCode::OK, &json!({ "status": "ok" })),
        Some(why) => {
            json_response(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "stopped", "why": why }))
        }
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], app.metrics.page(app.model.totals())).into_response()
}

async fn nothing(uri: Uri) -> ApiError {
    let said = format!(
        "there is nothing at `{}`; there are /v1/chat/completions, /v1/completions and /v1/models",
        uri.path()
    );
    ApiError::new(StatusCode::NOT_FOUND, said)
}

async fn another_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("`{}` does not take {method}", uri.path()))
}
