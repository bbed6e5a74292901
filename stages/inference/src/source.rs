//! A folder with a model: which files hold its weights, its configuration and its tokenizer.
use crate::{InferenceError, Result, hf};
use muse_artifacts::checkpoint::{ABOUT, Checkpoint, Tensors, Weights};
use muse_artifacts::tokenizer::Tokenizer;
use muse_model::config::Model;
use muse_model::net::Weight;
use std::path::Path;

/// Where a folder that `export` made has its tokenizer.
const TOKENIZER: &str = "tokenizer";

/// A model that is not in memory yet.
pub struct Source {
    /// What it is, vocabulary and context included.
    pub model: Model,
    /// Its weights.
    pub tensors: Tensors,
    /// What its tokens stand for.
    pub tokenizer: Tokenizer,
}

impl Source {
    /// Opens a folder: a checkpoint, with its tokenizer in `tokenizer/` or given, or one of a Hugging Face model, which has no weights
    /// but the last.
    pub fn open(folder: &Path, tokenizer: Option<&Path>, weights: Weights) -> Result<Self> {
        if !folder.join(ABOUT).exists() && folder.join(hf::CONFIG).exists() {
            return Self::of_others(folder, tokenizer);
        }
        let checkpoint = Checkpoint::open(&weights.of(folder))?;
        let model: Model = serde_json::from_value(checkpoint.about().config.clone()).map_err(|error| {
            let said = format!("{}: its model is none that is known here: {error}", folder.display());
            InferenceError::unfit(said, "a newer muse may know it")
        })?;
        let own = folder.join(TOKENIZER);
        let tokenizer = match tokenizer {
            Some(path) => Tokenizer::open(path)?,
            None if own.is_dir() => Tokenizer::open(&own)?,
            None => {
                let said = format!("{}: there is no tokenizer with this checkpoint", folder.display());
                let help = "name the one that it was trained with, or a folder that `export` made";
                return Err(InferenceError::unfit(said, help));
            }
        };
        let learned = checkpoint.about().tokenizer.as_deref();
        if let Some(wants) = learned.filter(|wants| *wants != tokenizer.digest()) {
            let has = tokenizer.digest();
            let said = format!("the model learned the tokens of {wants}, and the tokenizer is {has}");
            return Err(InferenceError::unfit(said, "take the tokenizer that its data was packed with"));
        }
        Self { model, tensors: checkpoint.into_model(), tokenizer }.checked(folder)
    }

    fn of_others(folder: &Path, tokenizer: Option<&Path>) -> Result<Self> {
        let model = hf::model(folder)?;
        let tensors = hf::Weights::open(folder, &model)?.into_tensors();
        let tokenizer = Tokenizer::open(tokenizer.unwrap_or(folder))?;
        Self { model, tensors, tokenizer }.checked(folder)
    }

    /// Whether a folder has a tokenizer of its own.
    pub fn has_tokenizer(folder: &Path) -> bool {
        folder.join(TOKENIZER).is_dir() || folder.join("tokenizer.json").is_file()
    }

    /// How many tokens a text may have.
    pub fn context(&self) -> usize {
        self.model.context.unwrap_or(1)
    }

    /// That every weight is there in its size, and every token has a row.
    fn checked(self, folder: &Path) -> Result<Self> {
        let wrong = |said: String, help: &str| {
            Err(InferenceError::unfit(format!("{}: {said}", folder.display()), help))
        };
        let (Some(vocabulary), Some(_)) = (self.model.vocab_size, self.model.context) else {
            return wrong(
                "its configuration says no `vocab_size` or `context`".into(),
                "`pretrain` writes both; of first weights that `compress` makes, the file of the model says them",
            );
        };
        let tokens = self.tokenizer.vocab_size();
        if tokens > vocabulary {
            let said = format!("the tokenizer has {tokens} tokens, and the model {vocabulary}");
            return wrong(said, "take the tokenizer that the model was trained with");
        }
        if let Some(problem) = self.model.check().into_iter().next() {
            return wrong(
                format!("`{}`: {}", problem.field(), problem.message),
                "it was changed by hand, or a newer muse made it",
            );
        }
        for weight in Weight::all(&self.model.shape(1, 1)) {
            match self.tensors.get(&weight.name) {
                Some(tensor) if tensor.shape == weight.shape => {}
                Some(tensor) => {
                    let said =
                        format!("`{}` is {:?}, and should be {:?}", weight.name, tensor.shape, weight.shape);
                    return wrong(said, "weights and configuration are not of one model");
                }
                None => return wrong(format!("there is no `{}`", weight.name), "its weights are not whole"),
            }
        }
        Ok(self)
    }
}
