//! An answer piece by piece, as server-sent events.
use super::form::{Form, Usage};
use super::writing::Writing;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use muse_inference::{News, Piece};
use serde_json::Value;
use std::collections::VecDeque;
use std::convert::Infallible;

/// What ends every stream.
const DONE: &str = "data: [DONE]\n\n";

struct Streamed {
    form: Form,
    writing: Writing,
    usage: Usage,
    tell_usage: bool,
    /// Characters of each text so far, and the prompt where it is to stand before the text.
    texts: Vec<(usize, Option<String>)>,
    ready: VecDeque<String>,
    over: bool,
}

/// Sends texts as they come. `echo` has for each text what stands before it.
pub(super) fn stream(
    form: Form,
    writing: Writing,
    usage: Usage,
    tell_usage: bool,
    echo: Vec<Option<String>>,
) -> Response {
    let ready = (0..echo.len()).filter_map(|index| form.first(index)).map(|first| event(&first)).collect();
    let texts = echo.into_iter().map(|echo| (0, echo)).collect();
    let streamed = Streamed { form, writing, usage, tell_usage, texts, ready, over: false };
    let pieces = unfold(streamed, |mut streamed| async move {
        let next = streamed.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(next)), streamed))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, Body::from_stream(pieces)).into_response()
}

impl Streamed {
    /// The next event.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            if self.over {
                return None;
            }
            match self.writing.next().await {
                Some((index, Ok(News::Piece(piece)))) => self.piece(index, piece),
                Some((index, Ok(News::Ended(ended)))) => {
                    self.piece(index, Piece::default());
                    self.usage.add(&ended);
                    self.ready.push_back(event(&self.form.end(index, ended.reason)));
                }
                Some((_, Err(error))) => {
                    self.ready.push_back(event(&error.body()));
                    self.over = true;
                }
                None => {
                    if self.tell_usage {
                        self.ready.push_back(event(&self.form.usage(self.usage)));
                    }
                    self.ready.push_back(DONE.to_owned());
                    self.over = true;
                }
            }
        }
    }

    fn piece(&mut self, index: usize, mut piece: Piece) {
        let Some((characters, echo)) = self.texts.get_mut(index) else { return };
        if let Some(prompt) = echo.take() {
            piece.text.insert_str(0, &prompt);
        }
        if piece.text.is_empty() && piece.tokens.is_empty() {
            return;
        }
        let offset = *characters;
        *characters += piece.text.chars().count();
        self.ready.push_back(event(&self.form.piece(index, &piece, offset)));
    }
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}
