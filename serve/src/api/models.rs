//! `GET /v1/models`: the one model that is here.
use crate::app::App;
use crate::error::{ApiError, json_response};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

/// All of them.
pub(crate) async fn list(State(app): State<Arc<App>>) -> Response {
    json_response(StatusCode::OK, &json!({ "object": "list", "data": [model(&app)] }))
}

/// One of them.
pub(crate) async fn one(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Response, ApiError> {
    app.check_model(Some(&name))?;
    Ok(json_response(StatusCode::OK, &model(&app)))
}

fn model(app: &App) -> Value {
    json!({
        "id": app.settings.name,
        "object": "model",
        "created": app.settings.started,
        "owned_by": "muse",
        "context": app.model.room().context,
    })
}
