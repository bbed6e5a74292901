//! Hugging Face's `config.json`: which class a model is, what the file says of it, and back; and which tensors that class has.
mod lay;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use lay::{Laid, Piece, laid};
pub use read::model;
pub use write::{Roles, check, config, generation_config};

use super::{INSTEAD, Refusal, check_head, check_plain};
use crate::config::{Experts, Gate, Mixer, Model, ScalingKind};

/// The classes of transformers that are this model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Neither norms of queries and keys, nor a window.
    Llama,
    /// A window, without norms of queries and keys.
    Mistral,
    /// Norms of queries and keys, with a window or without.
    Qwen3,
    /// The same with experts that are chosen by softmax.
    Qwen3Moe,
    /// Latent attention; with experts that are chosen by sigmoid, or without.
    DeepseekV3,
}

impl Class {
    /// Those whose weights have the names and sizes that ours have, so that they are read, too.
    pub const READ: [Self; 4] = [Self::Llama, Self::Mistral, Self::Qwen3, Self::Qwen3Moe];

    /// The class of a model, or what no class has a word for.
    pub fn of(model: &Model) -> Result<Self, Refusal> {
        check_head(model)?;
        if model.mixers.is_some_and(|mixers| mixers.iter().all(|mixer| *mixer == Mixer::Mla)) {
            return deepseek(model).map(|()| Self::DeepseekV3);
        }
        if let Some(experts) = model.experts {
            check_plain(&Model { experts: None, ..model.clone() })?;
            return qwen(model, experts).map(|()| Self::Qwen3Moe);
        }
        check_plain(model)?;
        // Llama's configuration wants a width that divides by the heads; Mistral's does not, and is else the same.
        let odd = !model.width.is_multiple_of(model.heads.max(1));
        Ok(match model {
            Model { qk_norm: true, .. } => Self::Qwen3,
            Model { window: Some(_), .. } => Self::Mistral,
            _ if odd => Self::Mistral,
            _ => Self::Llama,
        })
    }

    /// Whether its matrices may be in two bits there.
    pub fn has_two_bits(self) -> bool {
        !matches!(self, Self::Qwen3Moe | Self::DeepseekV3)
    }

    /// What `architectures` says.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Qwen3Moe => "Qwen3MoeForCausalLM",
            Self::DeepseekV3 => "DeepseekV3ForCausalLM",
        }
    }

    /// What `model_type` says.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen3 => "qwen3",
            Self::Qwen3Moe => "qwen3_moe",
            Self::DeepseekV3 => "deepseek_v3",
        }
    }
}

/// The first of these that is so is refused.
fn first(class: &str, wrong: &[(bool, &'static str, &str)]) -> Result<(), Refusal> {
    let Some((_, field, what)) = wrong.iter().find(|(is, ..)| *is) else { return Ok(()) };
    Err(Refusal::new(*field, format!("{what}, which {class} does not have"), INSTEAD))
}

/// Refuses what Qwen3-MoE does not do.
fn qwen(model: &Model, experts: Experts) -> Result<(), Refusal> {
    first(
        "Qwen3-MoE",
        &[
            (!model.qk_norm, "qk_norm", "experts behind attention without norms of queries and keys"),
            (experts.gate != Gate::Softmax, "experts.gate", "a gate of `sigmoid` behind attention"),
            (experts.shared > 0, "experts.shared", "experts that all tokens go through"),
            (experts.groups > 1, "experts.groups", "experts in groups"),
            (experts.scale != 1.0, "experts.scale", "a scale of what experts give"),
            (experts.has_bias(), "experts.bias_rate", "numbers that are added to scores"),
        ],
    )
}

/// Refuses what DeepSeek-V3 does not do.
fn deepseek(model: &Model) -> Result<(), Refusal> {
    let mla = model.shape(1, 1).mla();
    let of = |is: fn(Experts) -> bool| model.experts.is_some_and(is);
    first(
        "DeepSeek-V3",
        &[
            (mla.value_rank.is_some(), "mla.value_rank", "values with numbers of their own"),
            (mla.bias, "mla.bias", "a row that is added to what heads give"),
            (!model.qk_norm, "qk_norm", "latent attention without norms"),
            // Its norms of what queries and keys are made of take no other.
            (model.norm_eps != 1e-6, "norm_eps", "a `norm_eps` that is not 1e-6"),
            (model.window.is_some(), "window", "a window"),
            (model.rope.scaling.kind != ScalingKind::None, "rope.scaling", "scaled positions"),
            (of(|one| one.gate != Gate::Sigmoid), "experts.gate", "a gate of `softmax`"),
            (of(|one| one.shared == 0), "experts.shared", "experts of which none is for all tokens"),
            // There groups go by their best two, bias or not.
            (
                of(|one| one.chosen_groups() < one.groups && !one.has_bias()),
                "experts.groups",
                "groups that go by their best expert, as they do where nothing is added to scores",
            ),
        ],
    )
}
