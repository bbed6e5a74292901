//! `POST /v1/completions`: a text goes on.
use super::fields::{Fields, short};
use super::form::{Form, Path, Usage};
use super::stream::stream;
use super::wishes::{Wishes, chance};
use super::writing::Writing;
use crate::app::{App, body};
use crate::error::{ApiError, json_response};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use muse_inference::{Order, encode};
use serde_json::Value;
use std::sync::Arc;

/// Tokens that are written where nobody says how many, as the API has it.
const USUAL: usize = 16;
/// The most prompts of a request.
const PROMPTS: usize = 64;
/// The most of the likeliest tokens that are told beside each.
const LIKELIEST: u64 = 20;

/// Answers.
pub(crate) async fn answer(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    raw: Body,
) -> Result<Response, ApiError> {
    let mut fields = Fields::parse(&body(&app, &headers, raw).await?)?;
    let prompts = prompts(&app, fields.take("prompt"))?;
    let wishes = Wishes::take(&mut fields)?;
    let echo = fields.flag("echo")?;
    let likely = match fields.take("logprobs") {
        None | Some(Value::Bool(false)) => None,
        Some(value) => match value.as_u64().filter(|count| *count <= LIKELIEST) {
            Some(count) => Some(usize::try_from(count).unwrap_or(0)),
            None => {
                let said =
                    format!("`logprobs` must be a whole number from 0 to {LIKELIEST}, not {}", short(&value));
                return Err(ApiError::bad("logprobs", said));
            }
        },
    };
    fields.refuse(&["suffix"])?;
    if let Some(best) = fields.whole("best_of", 1..=16)?.filter(|best| *best != wishes.texts as u64) {
        return Err(ApiError::bad("best_of", format!("`best_of` of {best} must be as many as `n`")));
    }
    fields.finish("")?;
    app.check_model(wishes.model.as_deref())?;
    let (mut orders, mut echoes, mut usage): (Vec<Order>, _, _) = (Vec::new(), Vec::new(), Usage::default());
    for ids in prompts {
        usage.prompt += ids.len();
        let before = if echo {
            Some(app.model.tokenizer().text(&ids).map_err(muse_inference::InferenceError::from)?)
        } else {
            None
        };
        let more = wishes.orders(ids, wishes.most.unwrap_or(USUAL), &app.settings.ends_of_text, likely);
        let more = more.into_iter().map(|order| Order { whole: echo, ..order }).collect::<Vec<_>>();
        echoes.extend(more.iter().map(|_| before.clone()));
        orders.extend(more);
    }
    let form = Form {
        path: Path::Completion,
        id: format!("cmpl-{:016x}", chance()),
        created: app.now(),
        model: app.settings.name.clone(),
        tokenizer: Arc::clone(app.model.tokenizer()),
        likely: likely.is_some(),
    };
    let writing = Writing::begin(&app, orders)?;
    if wishes.stream {
        return Ok(stream(form, writing, usage, wishes.usage, echoes));
    }
    let mut texts = writing.all().await?;
    for ((piece, ended), echo) in texts.iter_mut().zip(echoes) {
        usage.add(ended);
        piece.text.insert_str(0, echo.as_deref().unwrap_or_default());
    }
    Ok(json_response(StatusCode::OK, &form.whole(&texts, usage)))
}

/// A text, several, the tokens of one, or of several.
fn prompts(app: &App, value: Option<Value>) -> Result<Vec<Vec<u32>>, ApiError> {
    let wrong = |value: &Value| {
        let said =
            format!("`prompt` must be a text or tokens, or up to {PROMPTS} of them, not {}", short(value));
        ApiError::bad("prompt", said)
    };
    let one = |value: &Value| -> Result<Vec<u32>, ApiError> {
        match value {
            Value::String(text) => {
                if let Some(log) = &app.settings.log_prompts {
                    log(text);
                }
                Ok(encode(app.model.tokenizer(), text)?)
            }
            Value::Array(ids) => {
                let id = |id: &Value| {
                    id.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| wrong(value))
                };
                ids.iter().map(id).collect()
            }
            other => Err(wrong(other)),
        }
    };
    match value {
        None => Err(ApiError::bad("prompt", "there is no `prompt`")),
        Some(Value::Array(items)) if items.first().is_some_and(|item| !item.is_number()) => {
            if items.len() > PROMPTS {
                return Err(wrong(&format!("{} of them", items.len()).into()));
            }
            items.iter().map(one).collect()
        }
        Some(value) => Ok(vec![one(&value)?]),
    }
}
