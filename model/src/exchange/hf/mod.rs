//! Hugging Face's `config.json`: which class a model is, what the file says of it, and back.
//!
//! Tensors need no mapping: checkpoints name and shape them as these classes do.
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::model;
pub use write::{Roles, check, config, generation_config};

use crate::config::Model;

/// The classes of transformers that are this model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Neither norms of queries and keys, nor a window.
    Llama,
    /// A window, without norms of queries and keys.
    Mistral,
    /// Norms of queries and keys, with a window or without.
    Qwen3,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Llama, Self::Mistral, Self::Qwen3];

    /// The class of a model.
    pub fn of(model: &Model) -> Self {
        // Llama's configuration wants a width that divides by the heads; Mistral's does not, and is else the same.
        let odd = !model.width.is_multiple_of(model.heads.max(1));
        match model {
            Model { qk_norm: true, .. } => Self::Qwen3,
            Model { window: Some(_), .. } => Self::Mistral,
            _ if odd => Self::Mistral,
            _ => Self::Llama,
        }
    }

    /// What `architectures` says.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
        }
    }

    /// What `model_type` says.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen3 => "qwen3",
        }
    }
}
