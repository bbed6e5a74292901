//! The form of answers: what stands around texts, whole or piece by piece, and how likely tokens are told.
use muse_artifacts::tokenizer::Tokenizer;
use muse_inference::{Chosen, Ended, Piece, Reason};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Which path answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    Completion,
    Chat,
}

/// What all parts of an answer say alike.
pub(super) struct Form {
    pub(super) path: Path,
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) tokenizer: Arc<Tokenizer>,
    /// Tell how likely tokens were.
    pub(super) likely: bool,
}

/// How many tokens there were.
#[derive(Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) prompt: usize,
    pub(super) cached: usize,
    pub(super) written: usize,
}

impl Usage {
    /// A text is over.
    pub(super) fn add(&mut self, ended: &Ended) {
        self.cached += ended.cached;
        self.written += ended.written;
    }

    fn json(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.written,
            "total_tokens": self.prompt + self.written,
            "prompt_tokens_details": { "cached_tokens": self.cached },
        })
    }
}

impl Form {
    /// An answer, whole.
    pub(super) fn whole(&self, texts: &[(Piece, Ended)], usage: Usage) -> Value {
        let choice = |(index, (piece, ended)): (usize, &(Piece, Ended))| {
            let mut choice = match self.path {
                Path::Completion => json!({ "index": index, "text": piece.text }),
                Path::Chat => json!({
                    "index": index,
                    "message": { "role": "assistant", "content": piece.text, "refusal": null },
                }),
            };
            choice["logprobs"] = self.likely(&piece.tokens, 0);
            choice["finish_reason"] = reason(ended.reason).into();
            choice
        };
        let choices: Vec<Value> = texts.iter().enumerate().map(choice).collect();
        let mut answer = self.part(choices, false);
        answer.insert("usage".into(), usage.json());
        answer.into()
    }

    /// The beginning of a text in a stream, where the path has one.
    pub(super) fn first(&self, index: usize) -> Option<Value> {
        let delta = json!({ "index": index, "delta": { "role": "assistant", "content": "" }, "logprobs": null, "finish_reason": null });
        (self.path == Path::Chat).then(|| self.part(vec![delta], true).into())
    }

    /// More of a text. `offset` is where it begins, in characters.
    pub(super) fn piece(&self, index: usize, piece: &Piece, offset: usize) -> Value {
        let mut choice = match self.path {
            Path::Completion => json!({ "index": index, "text": piece.text }),
            Path::Chat => json!({ "index": index, "delta": { "content": piece.text } }),
        };
        choice["logprobs"] = self.likely(&piece.tokens, offset);
        choice["finish_reason"] = Value::Null;
        self.part(vec![choice], true).into()
    }

    /// The end of a text.
    pub(super) fn end(&self, index: usize, ended: Reason) -> Value {
        let mut choice = match self.path {
            Path::Completion => json!({ "index": index, "text": "" }),
            Path::Chat => json!({ "index": index, "delta": {} }),
        };
        choice["logprobs"] = Value::Null;
        choice["finish_reason"] = reason(ended).into();
        self.part(vec![choice], true).into()
    }

    /// What a stream says last, where it is asked to.
    pub(super) fn usage(&self, usage: Usage) -> Value {
        let mut part = self.part(Vec::new(), true);
        part.insert("usage".into(), usage.json());
        part.into()
    }

    fn part(&self, choices: Vec<Value>, streamed: bool) -> Map<String, Value> {
        let object = match (self.path, streamed) {
            (Path::Completion, _) => "text_completion",
            (Path::Chat, false) => "chat.completion",
            (Path::Chat, true) => "chat.completion.chunk",
        };
        let mut part = Map::new();
        part.insert("id".into(), self.id.as_str().into());
        part.insert("object".into(), object.into());
        part.insert("created".into(), self.created.into());
        part.insert("model".into(), self.model.as_str().into());
        part.insert("choices".into(), choices.into());
        part
    }

    /// How likely tokens were, as the path tells it.
    fn likely(&self, tokens: &[Chosen], offset: usize) -> Value {
        if !self.likely {
            return Value::Null;
        }
        match self.path {
            Path::Chat => {
                let one = |id: u32, logprob: f64| {
                    let bytes = self.tokenizer.token_bytes(id);
                    json!({ "token": String::from_utf8_lossy(&bytes), "logprob": finite(logprob), "bytes": bytes })
                };
                let content = tokens.iter().map(|token| {
                    let mut told = one(token.id, token.logprob.unwrap_or_default());
                    told["top_logprobs"] =
                        token.others.iter().map(|(id, logprob)| one(*id, *logprob)).collect();
                    told
                });
                json!({ "content": content.collect::<Vec<_>>(), "refusal": null })
            }
            Path::Completion => {
                let bytes = |id: u32| self.tokenizer.token_bytes(id);
                let text = |id: u32| String::from_utf8_lossy(&bytes(id)).into_owned();
                // A character that several tokens share is counted where it begins.
                let begun = |id: u32| bytes(id).iter().filter(|byte| *byte & 0xc0 != 0x80).count();
                let special = |id: u32| self.tokenizer.specials().iter().any(|(_, special)| *special == id);
                let mut at = offset;
                let offsets = tokens.iter().map(|token| {
                    let here = at;
                    // Special tokens do not stand in the text.
                    at += if special(token.id) { 0 } else { begun(token.id) };
                    here
                });
                let offsets: Vec<usize> = offsets.collect();
                let tops = tokens.iter().map(|token| {
                    let pair = |(id, logprob): &(u32, f64)| (text(*id), finite(*logprob));
                    // The first token of a prompt stands behind nothing.
                    token.logprob.map(|_| Value::Object(token.others.iter().map(pair).collect()))
                });
                json!({
                    "tokens": tokens.iter().map(|token| text(token.id)).collect::<Vec<_>>(),
                    "token_logprobs": tokens.iter().map(|token| token.logprob.map(finite)).collect::<Vec<_>>(),
                    "top_logprobs": tops.collect::<Vec<_>>(),
                    "text_offset": offsets,
                })
            }
        }
    }
}

/// JSON knows no infinity: what cannot be is very unlikely.
fn finite(logprob: f64) -> Value {
    logprob.max(-9999.0).into()
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Stop => "stop",
        Reason::Length => "length",
    }
}
