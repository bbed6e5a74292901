//! A model in the words of others: what Hugging Face's classes and llama.cpp call it. Mappings alone, no files.
//!
//! What the other side cannot say is an error. A model that is silently another one is found out by nobody.
pub mod gguf;
pub mod hf;

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

impl Refusal {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), help: help.into() }
    }
}
