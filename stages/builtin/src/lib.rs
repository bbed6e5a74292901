//! The one list of stage kinds that muse is built with.
use muse_stage::StageKind;

/// What kinds know of data before there is a run: for `muse inspect`.
pub mod look {
    pub use muse_stage_download::{RepoKind, inspect_file, inspect_hub};
    pub use muse_stage_tokenizer::compare;
}

/// What a model costs before it is trained: for `muse params`.
pub mod budget {
    pub use muse_training::above::{Data, model_at};
    pub use muse_training::budget::*;
    use serde_json::Value;

    /// How a stage with these parameters trains a model of this shape, as far as memory goes, where its kind trains one.
    pub fn training(params: &Value, shape: &Shape) -> Option<Training> {
        muse_stage_pretrain::memory(params, shape).or_else(|| muse_stage_sft::memory(params, shape))
    }
}

/// How fast a machine trains a model: for `muse bench`.
pub mod bench {
    pub use muse_training::bench::*;
}

/// The schema of a task's file.
pub use muse_stage_eval::task_schema;

/// Every built-in kind, in the order in which a language model is made.
pub const BUILTIN: &[&'static dyn StageKind] = &[
    &muse_stage_download::Download,
    &muse_stage_clean::Clean,
    &muse_stage_tokenizer::Tokenize,
    &muse_stage_pack::Pack,
    &muse_stage_import::Import,
    &muse_stage_compress::Compress,
    &muse_stage_pretrain::Pretrain,
    &muse_stage_sft::Sft,
    &muse_stage_eval::Eval,
    &muse_stage_export::Export,
    &muse_stage_command::Command,
];
