//! What is exported: a checkpoint and its tokenizer, held against each other.
use crate::numbers::floats;
use muse_artifacts::ArtifactError;
use muse_artifacts::checkpoint::{ABOUT, Checkpoint, Dtype, Tensor, Weights, scale_of, two_bits};
use muse_artifacts::tokenizer::Tokenizer;
use muse_model::acting::{rounded, table, whole};
use muse_model::config::Model;
use muse_model::exchange::Refusal;
use muse_model::exchange::hf::{Laid, Piece, Roles};
use muse_model::kernels::Rounding;
use muse_model::net::{Role, Weight, factors, phase};
use muse_stage::{Context, StageError};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of a tokenizer that others read.
const TOKENIZER: [&str; 4] =
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];

/// A checkpoint and its tokenizer.
pub(crate) struct Source {
    pub(crate) checkpoint: Checkpoint,
    /// What is written, whose matrices may be whole and as they act where those of the checkpoint are made of others and rounded in use.
    pub(crate) model: Model,
    /// What the checkpoint has.
    pub(crate) trained: Model,
    /// What they are rounded to where they are written as they act.
    rounding: Option<Rounding>,
    /// All weights of it, in their order.
    pub(crate) weights: Vec<Weight>,
    pub(crate) tokenizer: Tokenizer,
    /// Where the tokenizer's files are.
    pub(crate) tokenizer_folder: PathBuf,
    pub(crate) roles: Roles,
    /// The token that ends the assistant's turn.
    pub(crate) end_of_turn: Option<u32>,
}

impl Source {
    /// What is connected, or why it does not go together. With `whole` its matrices are those that others have.
    pub(crate) fn open(context: &Context, weights: Weights, whole: bool) -> Result<Self, StageError> {
        let folder = context.input("model")?;
        let checkpoint = Checkpoint::open(&weights.of(&folder))?;
        let tokenizer_folder = context.input("tokenizer")?;
        let tokenizer = Tokenizer::open(&tokenizer_folder)?;
        let about = checkpoint.about();
        if about.tokenizer.as_deref().is_some_and(|learned| learned != tokenizer.digest()) {
            let message = "the model learned the ids of another tokenizer than the one that is connected";
            let help =
                "connect `tokenizer` to the stage that the packed tokens of the training were made with";
            return Err(StageError::new(message).help(help));
        }
        let model: Model = serde_json::from_value(about.config.clone()).map_err(|error| {
            ArtifactError::format(folder.join(ABOUT), format!("its `config` is no model: {error}"))
        })?;
        let room = model.vocab_size.unwrap_or(0);
        if tokenizer.vocab_size() > room {
            let has = tokenizer.vocab_size();
            let message = format!("the tokenizer has {has} tokens, and the model {room}");
            return Err(
                StageError::new(message).help("connect the tokenizer that the model was trained with")
            );
        }
        check(&checkpoint, &Weight::all(&model.shape(0, 0)))?;
        let rounding = model.round().filter(|_| whole).map(Into::into);
        let trained = model;
        let model = if whole { trained.whole() } else { trained.clone() };
        let weights = Weight::all(&model.shape(0, 0));
        let end_of_turn = if tokenizer.has_chat_template() { tokenizer.end_of_turn()? } else { None };
        let roles = roles(&tokenizer, end_of_turn);
        Ok(Self {
            checkpoint,
            model,
            trained,
            rounding,
            weights,
            tokenizer,
            tokenizer_folder,
            roles,
            end_of_turn,
        })
    }

    /// The bytes of a weight in a type of floats.
    pub(crate) fn floats(&self, name: &str, dtype: Dtype) -> Result<Vec<u8>, StageError> {
        let tensors = self.checkpoint.model();
        match tensors.get(name) {
            Some(tensor) if tensor.dtype == dtype && !self.is_rounded(name) => Ok(tensors.read(name)?),
            _ => stored(name, &self.numbers(name)?, dtype),
        }
    }

    /// The bytes of a tensor that is made of rows of weights.
    pub(crate) fn laid(&self, laid: &Laid, dtype: Dtype) -> Result<Vec<u8>, StageError> {
        if let [Piece { weight, rows: None }] = laid.pieces.as_slice() {
            return self.floats(weight, dtype);
        }
        let count = laid.shape.iter().product();
        if laid.pieces.is_empty() {
            return stored(&laid.name, &vec![0.0; count], dtype);
        }
        let (mut numbers, mut read) = (Vec::with_capacity(count), HashMap::new());
        let width = laid.shape.get(1).copied().unwrap_or(1);
        for Piece { weight, rows } in &laid.pieces {
            if !read.contains_key(weight) {
                read.insert(weight, self.numbers(weight)?);
            }
            let all = &read[weight];
            match rows {
                None => numbers.extend_from_slice(all),
                Some(rows) => {
                    rows.iter().for_each(|row| numbers.extend_from_slice(&all[row * width..][..width]))
                }
            }
        }
        stored(&laid.name, &numbers, dtype)
    }

    /// The numbers of a weight as it is written.
    fn numbers(&self, name: &str) -> Result<Vec<f32>, StageError> {
        let tensors = self.checkpoint.model();
        match tensors.get(name) {
            Some(_) if self.is_rounded(name) => self.acting(name),
            Some(_) => Ok(tensors.read_f32(name)?),
            None => self.made(name),
        }
    }

    /// Whether a weight is a matrix that is rounded where it is used.
    fn is_rounded(&self, name: &str) -> bool {
        let is_matrix = || self.weights.iter().any(|one| one.name == name && one.role == Role::Matrix);
        self.rounding.is_some() && is_matrix()
    }

    /// A matrix as it acts: rounded, where it is.
    fn acting(&self, name: &str) -> Result<Vec<f32>, StageError> {
        let tensors = self.checkpoint.model();
        let numbers = tensors.read_f32(name)?;
        let width = tensors.get(name).and_then(|tensor| tensor.shape.last().copied()).unwrap_or(1);
        Ok(match self.rounding {
            Some(to) => rounded(numbers, width, to),
            None => numbers,
        })
    }

    /// The matrix whose two factors the checkpoint has, or the table whose two cores.
    fn made(&self, name: &str) -> Result<Vec<f32>, StageError> {
        let [first, second] = factors(name);
        let tensors = self.checkpoint.model();
        let phase = phase(name);
        if let Some(embedding) = self.trained.embedding.filter(|_| tensors.get(&phase).is_some()) {
            let parts = [tensors.read_f32(&first)?, tensors.read_f32(&second)?, tensors.read_f32(&phase)?];
            return Ok(table(embedding, &self.trained.shape(0, 0), parts));
        }
        let rank = self.trained.low_rank().unwrap_or(1);
        Ok(whole(self.acting(&first)?, self.acting(&second)?, rank))
    }

    /// The tensors of the weights, with matrices in two bits each, where their rows can be shared out to four; others are in `dtype`. Norms,
    /// and the sizes of what matrices hold, are so too, or as they are.
    pub(crate) fn tensors_in_two_bits(&self, dtype: Dtype, exact: bool) -> Vec<Tensor> {
        let of = |weight: &Weight| match (weight.role, weight.shape.as_slice()) {
            (Role::Matrix, &[rows, columns]) if rows.is_multiple_of(4) => vec![
                Tensor::new(&weight.name, Dtype::U8, [rows / 4, columns]),
                Tensor::new(scale_of(&weight.name), if exact { Dtype::F32 } else { dtype }, [1]),
            ],
            (role, _) if exact && role.is_exact() => {
                let as_it_is = self.checkpoint.model().get(&weight.name).map_or(dtype, |tensor| tensor.dtype);
                vec![Tensor::new(&weight.name, as_it_is, weight.shape.clone())]
            }
            _ => vec![Tensor::new(&weight.name, dtype, weight.shape.clone())],
        };
        self.weights.iter().flat_map(of).collect()
    }

    /// The bytes of one of these.
    pub(crate) fn in_two_bits(&self, tensor: &Tensor) -> Result<Vec<u8>, StageError> {
        let holds = |weight: &&Weight| match tensor.dtype {
            Dtype::U8 => tensor.name == weight.name,
            _ => weight.role == Role::Matrix && tensor.name == scale_of(&weight.name),
        };
        let Some(weight) = self.weights.iter().find(holds) else {
            return self.floats(&tensor.name, tensor.dtype);
        };
        let numbers = self.checkpoint.model().read_f32(&weight.name)?;
        let width = weight.shape[1];
        let Some((bytes, size)) = two_bits(&rounded(numbers, width, Rounding::Ternary), width) else {
            return Err(StageError::new(format!("`{}` holds what is no number", weight.name)));
        };
        if tensor.dtype == Dtype::U8 {
            return Ok(bytes);
        }
        stored(&weight.name, &[size], tensor.dtype)
    }

    /// What others do not do as it was trained.
    pub(crate) fn notes(&self) -> Vec<String> {
        let ternary = self.rounding == Some(Rounding::Ternary);
        let note = "While it was trained, what its matrices are multiplied by was rounded to 8 bits for each token. Here it is not, so \
            logits differ by as much as that.";
        ternary.then(|| note.to_owned()).into_iter().collect()
    }

    /// Puts the tokenizer's files into a folder.
    pub(crate) fn copy_tokenizer(&self, to: &Path) -> Result<(), StageError> {
        fs::create_dir_all(to).map_err(StageError::io(to))?;
        for name in TOKENIZER {
            let from = self.tokenizer_folder.join(name);
            if from.exists() {
                fs::copy(&from, to.join(name)).map_err(StageError::io(&from))?;
            }
        }
        Ok(())
    }
}

/// The bytes of numbers in a type of floats.
fn stored(name: &str, numbers: &[f32], dtype: Dtype) -> Result<Vec<u8>, StageError> {
    floats(numbers, dtype).map_err(|unfit| {
        let (message, help) = unfit.said(name);
        StageError::new(message).help(help)
    })
}

/// That all weights are there, and nothing else.
fn check(checkpoint: &Checkpoint, weights: &[Weight]) -> Result<(), StageError> {
    let tensors = checkpoint.model();
    let wrong = |said: String| Err(ArtifactError::format(checkpoint.folder(), said).into());
    if let Some(said) = tensors.unfit(weights.iter().map(|weight| (weight.name.as_str(), &weight.shape[..])))
    {
        return wrong(said);
    }
    match tensors.iter().find(|tensor| !weights.iter().any(|weight| weight.name == tensor.name)) {
        Some(more) => wrong(format!("`{}` is no weight of its model", more.name)),
        None => Ok(()),
    }
}

fn roles(tokenizer: &Tokenizer, end_of_turn: Option<u32>) -> Roles {
    let role = |name| tokenizer.role(name).and_then(|token| tokenizer.token_id(token));
    let mut eos: Vec<u32> = end_of_turn.into_iter().collect();
    eos.extend(tokenizer.end_of_text().filter(|end| !eos.contains(end)));
    Roles { bos: role("bos_token"), eos, pad: role("pad_token") }
}

/// What a format has no word for.
pub(crate) fn refused(refusal: Refusal) -> StageError {
    StageError::new(format!("`{}`: {}", refusal.field, refusal.message)).help(refusal.help)
}
