//! Weights that a training begins with: they must be of a model of the same sizes, and of the same tokens.
use super::Trainer;
use muse_artifacts::checkpoint::Checkpoint;
use muse_model::config::{Mixer, Model, Shape};
use muse_model::kernels::Ops;
use muse_stage::StageError;
use serde::Serialize;

impl<B: Ops> Trainer<'_, B> {
    /// Takes over the weights of another training. What has no size may differ: dropout, positions, a window.
    pub(super) fn begin_with(&mut self, init: &Checkpoint) -> Result<(), StageError> {
        let about = init.about();
        if let Some(tokenizer) = &about.tokenizer {
            self.training.tokens.check_tokenizer(tokenizer)?;
        }
        let wrong = |said: String| {
            let folder = init.folder().display();
            Err(StageError::new(format!("{folder}: {said}"))
                .help("take a `model` with the sizes of the checkpoint's: `checkpoint.json` has them"))
        };
        let has = match serde_json::from_value::<Model>(about.config.clone()) {
            Ok(model) => model.shape(self.shape.vocab_size, self.shape.context),
            Err(error) => return wrong(format!("its model is none that is known here: {error}")),
        };
        if let Some((name, has, wants)) = unlike(&has, &self.shape) {
            return wrong(format!("`{name}` is {has} in the checkpoint, and {wants} in the model"));
        }
        let known = |name: &str| self.weights.iter().any(|weight| weight.name == name);
        if let Some(more) = init.model().iter().find(|tensor| !known(&tensor.name)) {
            return wrong(format!("it has `{}`, and the model has not", more.name));
        }
        self.take_weights(init)
    }
}

/// Where weights of one shape are of no use to another: what differs, and how.
pub(crate) fn unlike(has: &Shape, wants: &Shape) -> Option<(&'static str, String, String)> {
    let both = sizes(has).into_iter().zip(sizes(wants));
    both.map(|((name, has), (_, wants))| (name, has, wants)).find(|(_, has, wants)| has != wants)
}

fn ranks(rank: Option<usize>) -> String {
    rank.map_or_else(|| "none".to_owned(), |rank| rank.to_string())
}

/// The mixer of each block.
fn mixers(of: &Shape) -> String {
    let names: Vec<&str> = of.all_mixers().map(Mixer::name).collect();
    match names.first() {
        Some(first) if names.iter().all(|name| name == first) => (*first).to_owned(),
        _ => names.join(", "),
    }
}

/// A section as a file writes it.
fn written(section: Option<impl Serialize>) -> String {
    section.map_or_else(|| "none".into(), |section| serde_json::to_string(&section).unwrap_or_default())
}

/// What makes the sizes of weights, and what they are for.
fn sizes(of: &Shape) -> [(&'static str, String); 17] {
    [
        ("vocab_size", of.vocab_size.to_string()),
        ("layers", of.layers.to_string()),
        ("width", of.width.to_string()),
        ("heads", of.heads.to_string()),
        ("kv_heads", of.kv_heads.to_string()),
        ("head_width", of.head_width.to_string()),
        ("ffn", of.ffn.to_string()),
        ("mixers", mixers(of)),
        ("mla", written(of.all_mixers().any(|mixer| mixer == Mixer::Mla).then(|| of.mla()))),
        ("ttt", written(of.all_mixers().any(|mixer| mixer == Mixer::Ttt).then(|| of.ttt()))),
        ("bk", written(of.all_mixers().any(|mixer| mixer == Mixer::Bk).then(|| of.chains()))),
        ("linear.low_rank", ranks(of.low_rank)),
        ("embedding.tensor_train", ranks(of.embedding.map(|embedding| embedding.tensor_train))),
        ("embedding.normed", of.embedding.is_none_or(|embedding| embedding.normed).to_string()),
        ("qk_norm", of.qk_norm.to_string()),
        ("tied", of.tied.to_string()),
        ("head_bias", of.head_bias.to_string()),
    ]
}
