//! What stands under `with:`, and the model that it makes of one.
use muse_artifacts::checkpoint::Weights;
use muse_model::config::{Embedding, Linear, Model, Round};
use muse_stage::schemars::{self, JsonSchema};
use muse_stage::{ConfigFile, FieldError};
use serde::{Deserialize, Serialize};

/// What stands under `with:`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The model that is begun, where none is connected: a file of `configs/models/` that says its `vocab_size`. What the other fields say
    /// comes to what stands there.
    #[serde(default)]
    pub model: Option<ConfigFile<Model>>,
    /// Each matrix of attention and of SwiGLU becomes the product of two with so many numbers between them: of a trained one the nearest
    /// that there is, by its largest singular values.
    #[serde(default)]
    #[schemars(range(min = 1, max = 131_072))]
    pub low_rank: Option<usize>,
    /// Rows for tokens become two cores of so many ranks: of a trained table the nearest that there are.
    #[serde(default)]
    #[schemars(range(min = 1, max = 4096))]
    pub tensor_train: Option<usize>,
    /// The numbers of the matrices of attention and of SwiGLU become zero or one size with either sign, and take two bits each.
    #[serde(default)]
    pub ternary: bool,
    /// The numbers of the matrices of attention and of SwiGLU, where `ternary` does not say otherwise, and those of cores become codes of
    /// 8 bits, with a scale for every 32.
    #[serde(default)]
    pub int8: bool,
    /// Which weights of the training that made the model which is connected.
    #[serde(default)]
    pub weights: Weights,
    /// What the first weights are drawn by.
    #[serde(default)]
    pub seed: u64,
}

impl Params {
    /// Whether they make sense by themselves.
    pub(crate) fn check(&self) -> Result<(), FieldError> {
        let Some(model) = &self.model else { return Ok(()) };
        if let Some(problem) = model.check().into_iter().next() {
            return Err(
                FieldError::new(format!("/model{}", problem.pointer), problem.message).help(problem.help)
            );
        }
        if model.vocab_size.is_none() {
            let message = "it does not say its `vocab_size`, and here is no tokenizer that does";
            return Err(FieldError::new("/model", message).help("write `vocab_size: 32000` there"));
        }
        self.target(model, false).map(drop)
    }

    /// Whether there is one model, and only what counts with it is given.
    pub(crate) fn check_source(&self, connected: bool) -> Result<(), FieldError> {
        let wrong = |pointer, message, help| Err(FieldError::new(pointer, message).help(help));
        match (&self.model, connected) {
            (None, false) => {
                let help =
                    "write `model: ../configs/models/125m.yaml`, or connect `model` to a stage that trains";
                wrong("", "no model is named", help)
            }
            (Some(_), true) => {
                wrong("/model", "a model is connected, and `model` names another", "leave one of them out")
            }
            (None, true) if self.seed != 0 => {
                wrong("/seed", "nothing is drawn where a model is connected", "leave it out")
            }
            (Some(_), false) if self.weights != Weights::default() => {
                wrong("/weights", "no training is connected whose weights these are", "leave it out")
            }
            (None, true) if !(self.is_factored() || self.ternary || self.int8) => {
                let help = "write `low_rank`, `tensor_train`, `ternary` or `int8`";
                wrong("", "nothing says what becomes smaller", help)
            }
            _ => Ok(()),
        }
    }

    fn is_factored(&self) -> bool {
        self.low_rank.is_some() || self.tensor_train.is_some()
    }

    /// What becomes of a model, trained or not.
    pub(crate) fn target(&self, model: &Model, trained: bool) -> Result<Model, FieldError> {
        let wrong = |pointer, message: String, help: &str| Err(FieldError::new(pointer, message).help(help));
        let mut target = model.clone();
        let mut linear = model.linear.unwrap_or_default();
        match (linear.low_rank, self.low_rank) {
            (Some(has), Some(asked)) if has != asked => {
                let message = format!("its matrices are products of rank {has} already");
                return wrong("/low_rank", message, "leave it out, or take a model of whole matrices");
            }
            (has, asked) => linear.low_rank = asked.or(has),
        }
        let asked = if self.ternary { Some(Round::Ternary) } else { self.int8.then_some(Round::Int8) };
        match (linear.round, asked) {
            (Some(Round::Ternary), Some(Round::Int8)) => {}
            (Some(Round::Int8), Some(Round::Ternary)) => {
                let message = "its matrices are rounded to 8 bits already".into();
                return wrong("/ternary", message, "leave it out, or take a model that is not rounded");
            }
            (has, asked) => linear.round = asked.or(has),
        }
        target.linear = Some(linear).filter(|linear| *linear != Linear::default());
        match (model.embedding, self.tensor_train) {
            (Some(has), Some(asked)) if has.tensor_train != asked => {
                let message = format!("its rows are made of cores of rank {} already", has.tensor_train);
                return wrong("/tensor_train", message, "leave it out, or take a model with whole rows");
            }
            // Rows that were trained have sizes of their own.
            (None, Some(ranks)) => {
                target.embedding = Some(Embedding { normed: !trained, ..Embedding::of_rank(ranks) });
            }
            _ => {}
        }
        if let (Some(embedding), true) = (&mut target.embedding, self.int8) {
            embedding.round = Some(Round::Int8);
        }
        if self.int8 && target.round() != Some(Round::Int8) && target.embedding.is_none() {
            let message = "matrices have three values, and rows for tokens are no cores: nothing has 8 bits";
            return wrong("/int8", message.into(), "leave it out, or write `tensor_train` too");
        }
        match target.check().into_iter().next() {
            None => Ok(target),
            Some(problem) => {
                let pointer = match problem.pointer {
                    "/linear/low_rank" if self.low_rank.is_some() => "/low_rank".to_owned(),
                    "/embedding/tensor_train" if self.tensor_train.is_some() => "/tensor_train".to_owned(),
                    other => format!("/model{other}"),
                };
                Err(FieldError::new(pointer, problem.message).help(problem.help))
            }
        }
    }
}
