//! `POST /v1/chat/completions`: the next turn of a conversation.
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
use muse_artifacts::corpus::{Message, MessageRef};
use serde_json::Value;
use std::sync::Arc;

/// The most of the likeliest tokens that are told beside each.
const LIKELIEST: u64 = 20;
/// What this server has no hands for.
const BEYOND: [&str; 10] = [
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "response_format",
    "audio",
    "prediction",
    "web_search_options",
    "reasoning_effort",
    "verbosity",
];

/// Answers.
pub(crate) async fn answer(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    raw: Body,
) -> Result<Response, ApiError> {
    let mut fields = Fields::parse(&body(&app, &headers, raw).await?)?;
    let messages = messages(fields.take("messages"))?;
    let wishes = Wishes::take(&mut fields)?;
    let newer = fields.whole("max_completion_tokens", 0..=u64::from(u32::MAX))?;
    let most = newer.map(|most| usize::try_from(most).unwrap_or(usize::MAX)).or(wishes.most);
    let told = fields.flag("logprobs")?;
    let count = fields.whole("top_logprobs", 0..=LIKELIEST)?;
    if count.is_some() && !told {
        return Err(ApiError::bad("top_logprobs", "`top_logprobs` goes with `logprobs: true`"));
    }
    fields.ignore(&["parallel_tool_calls", "modalities"]);
    fields.refuse(&BEYOND)?;
    fields.finish("")?;
    app.check_model(wishes.model.as_deref())?;
    let tokenizer = app.model.tokenizer();
    if !tokenizer.has_chat_template() {
        return Err(ApiError::bad(
            "",
            "this model has no chat template: /v1/completions goes on with a text",
        ));
    }
    if let Some(log) = &app.settings.log_prompts {
        messages.iter().for_each(|message| log(&format!("{}: {}", message.role, message.content)));
    }
    let borrowed: Vec<MessageRef<'_>> = messages.iter().map(Message::borrow).collect();
    let ids =
        tokenizer.encode_prompt(&borrowed).map_err(|error| ApiError::bad("messages", error.to_string()))?;
    let mut usage = Usage { prompt: ids.len(), ..Usage::default() };
    let likely = told.then(|| usize::try_from(count.unwrap_or(0)).unwrap_or(0));
    let orders = wishes.orders(ids, most.unwrap_or(usize::MAX), &app.settings.ends, likely);
    let form = Form {
        path: Path::Chat,
        id: format!("chatcmpl-{:016x}", chance()),
        created: app.now(),
        model: app.settings.name.clone(),
        tokenizer: Arc::clone(tokenizer),
        likely: told,
    };
    let nothing = vec![None; orders.len()];
    let writing = Writing::begin(&app, orders)?;
    if wishes.stream {
        return Ok(stream(form, writing, usage, wishes.usage, nothing));
    }
    let texts = writing.all().await?;
    texts.iter().for_each(|(_, ended)| usage.add(ended));
    Ok(json_response(StatusCode::OK, &form.whole(&texts, usage)))
}

fn messages(value: Option<Value>) -> Result<Vec<Message>, ApiError> {
    let wrong = |said: String| ApiError::bad("messages", said);
    let items = match value {
        None => return Err(wrong("there are no `messages`".into())),
        Some(Value::Array(items)) if !items.is_empty() => items,
        Some(other) => {
            return Err(wrong(format!("`messages` must be a list of messages, not {}", short(&other))));
        }
    };
    let message = |(at, item): (usize, Value)| {
        let Value::Object(map) = item else {
            return Err(wrong(format!("`messages[{at}]` must be an object, not {}", short(&item))));
        };
        let mut fields = Fields::of(map);
        let role = match fields.take("role") {
            Some(Value::String(role)) => match role.as_str() {
                // What is newer there is called as templates know it.
                "developer" => "system".to_owned(),
                "system" | "user" | "assistant" | "tool" => role,
                _ => {
                    return Err(wrong(format!(
                        "`messages[{at}].role` must be system, user, assistant or tool, not {}",
                        short(&role.into())
                    )));
                }
            },
            _ => return Err(wrong(format!("`messages[{at}]` has no `role`"))),
        };
        let content = match fields.take("content") {
            Some(Value::String(text)) => text,
            Some(Value::Array(parts)) => {
                parts.iter().map(|part| text_of(part, at)).collect::<Result<String, _>>()?
            }
            None => return Err(wrong(format!("`messages[{at}]` has no `content`"))),
            Some(other) => {
                return Err(wrong(format!("`messages[{at}].content` must be a text, not {}", short(&other))));
            }
        };
        let name = fields.text("name")?;
        fields.ignore(&["refusal", "annotations", "audio", "function_call", "reasoning_content"]);
        fields.refuse(&["tool_calls", "tool_call_id"])?;
        fields.finish(&format!(" in `messages[{at}]`"))?;
        let extra = name.map(|name| serde_json::json!({ "name": name }).to_string());
        Ok(Message { role, content, extra })
    };
    items.into_iter().enumerate().map(message).collect()
}

/// A part of a message, which must be text.
fn text_of(part: &Value, at: usize) -> Result<String, ApiError> {
    match (part.get("type").and_then(Value::as_str), part.get("text").and_then(Value::as_str)) {
        (Some("text"), Some(text)) => Ok(text.to_owned()),
        _ => {
            let said = format!("`messages[{at}].content` has a part that is no text: {}", short(part));
            Err(ApiError::bad("messages", said))
        }
    }
}
