//! A model in the words of others: what Hugging Face's classes and llama.cpp call it. Mappings alone, no files.
//!
//! What the other side cannot say is an error. A model that is silently another one is found out by nobody.
pub mod gguf;
pub mod hf;

use crate::config::{Mixer, Model};

/// What one side has and the other has no word for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Which field, as its own side names it.
    pub field: String,
    /// What is wrong, naming the value.
    pub message: String,
    /// What to do instead.
    pub help: String,
}

/// What to do with a model that others have no words for.
const INSTEAD: &str = "`format: muse` holds it as it is; `chat`, `serve` and `eval` use that";

/// Refuses a head for which others have no word.
fn check_head(model: &Model) -> Result<(), Refusal> {
    let message = "a head that adds to logits, which no other tool's model of this kind has";
    if model.head_bias { Err(Refusal::new("head_bias", message, INSTEAD)) } else { Ok(()) }
}

/// Refuses a model of other parts than attention and SwiGLU.
fn check_plain(model: &Model) -> Result<(), Refusal> {
    check_head(model)?;
    if model.experts.is_some() {
        let message = "experts, which are written for transformers alone";
        return Err(Refusal::new(
            "experts",
            message,
            "`format: hf`, where the form matches, or `format: muse`",
        ));
    }
    let other = |mixer: &Mixer| *mixer != Mixer::Attention;
    let Some(mixer) = model.mixers.and_then(|mixers| mixers.iter().copied().find(other)) else {
        return Ok(());
    };
    let message = format!("blocks that are `{}`, which no other tool has a model of", mixer.name());
    Err(Refusal::new("mixers", message, INSTEAD))
}

impl Refusal {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), help: help.into() }
    }
}
