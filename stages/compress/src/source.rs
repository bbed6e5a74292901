//! What is compressed: first weights, or those of a trained model, matrix by matrix.
use crate::params::Params;
use crate::write::rounding;
use muse_artifacts::ArtifactError;
use muse_artifacts::checkpoint::{ABOUT, Checkpoint, Dtype, Facts};
use muse_model::acting;
use muse_model::config::{Model, Shape};
use muse_model::kernels::Rounding;
use muse_model::nearest;
use muse_model::net::{Part, Role, Start, Weight};
use muse_stage::{Context, StageError};
use std::collections::HashMap;

/// Where weights come from, and what they become.
pub(crate) struct Source {
    pub(crate) target: Model,
    pub(crate) shape: Shape,
    pub(crate) matrices: Vec<Matrix>,
    from: From,
}

enum From {
    Drawn { starts: HashMap<String, Start>, seed: u64 },
    Trained { checkpoint: Box<Checkpoint>, model: Box<Model> },
}

/// A weight of a model of whole matrices, and the weights that stand in its place.
pub(crate) struct Matrix {
    pub(crate) whole: Weight,
    pub(crate) parts: Vec<Weight>,
}

/// The numbers of a matrix's parts.
pub(crate) struct Taken {
    pub(crate) parts: Vec<Vec<f32>>,
    /// What they are stored in where they stay as they were.
    pub(crate) dtypes: Vec<Dtype>,
    /// The trained matrix that they were made of, where it was another.
    pub(crate) made_of: Option<Vec<f32>>,
}

impl Source {
    pub(crate) fn open(context: &Context, params: &Params) -> Result<Self, StageError> {
        let wrong = |error: muse_stage::FieldError| {
            let said = StageError::new(format!("`{}`: {}", error.pointer, error.message));
            error.help.into_iter().fold(said, StageError::help)
        };
        let (target, from) = match (context.optional("model"), &params.model) {
            (Some(folder), None) => {
                let checkpoint = Checkpoint::open(&params.weights.of(&folder))?;
                checkpoint.verify()?;
                let model: Model =
                    serde_json::from_value(checkpoint.about().config.clone()).map_err(|error| {
                        let path = checkpoint.folder().join(ABOUT);
                        ArtifactError::format(path, format!("its `config` is no model: {error}"))
                    })?;
                let target = params.target(&model, true).map_err(wrong)?;
                let weights = Weight::all(&model.shape(0, 0));
                let wanted = weights.iter().map(|weight| (weight.name.as_str(), &weight.shape[..]));
                if let Some(said) = checkpoint.model().unfit(wanted) {
                    return Err(ArtifactError::format(checkpoint.folder(), said).into());
                }
                (target, From::Trained { checkpoint: Box::new(checkpoint), model: Box::new(model) })
            }
            (None, Some(model)) => {
                let target = params.target(model, false).map_err(wrong)?;
                let starts = Start::all(&target, &target.shape(0, 0)).into_iter();
                let starts = starts.map(|(weight, start)| (weight.name, start)).collect();
                (target, From::Drawn { starts, seed: params.seed })
            }
            _ => return Err(StageError::new("one model is wanted: at `model`, or by `model`")),
        };
        let shape = target.shape(0, 0);
        let matrices = matrices(&target, &shape);
        Ok(Self { target, shape, matrices, from })
    }

    /// What is known of the weights that are not first ones.
    pub(crate) fn facts(&self) -> Facts {
        let config = serde_json::to_value(&self.target).unwrap_or_default();
        match &self.from {
            From::Drawn { .. } => Facts { config, ..Facts::default() },
            // What was measured was measured of other weights.
            From::Trained { checkpoint, .. } => {
                let about = checkpoint.about();
                let (tokenizer, step, tokens) = (about.tokenizer.clone(), about.step, about.tokens);
                Facts { config, tokenizer, step, tokens, ..Facts::default() }
            }
        }
    }

    pub(crate) fn is_trained(&self) -> bool {
        matches!(self.from, From::Trained { .. })
    }

    /// What a weight was rounded to before, where it was used.
    pub(crate) fn acted(&self, part: &Weight) -> Option<Rounding> {
        match &self.from {
            From::Drawn { .. } => None,
            From::Trained { model, .. } => rounding(model, part),
        }
    }

    /// The numbers of what stands in the place of a matrix.
    pub(crate) fn take(&self, matrix: &Matrix) -> Result<Taken, StageError> {
        let parts = matrix.parts.iter();
        match &self.from {
            From::Drawn { starts, seed } => {
                let numbers = |part: &Weight| {
                    let start = starts.get(&part.name).copied().unwrap_or(Start::Same(0.0));
                    start.numbers(part, *seed)
                };
                let dtypes = vec![Dtype::F32; matrix.parts.len()];
                Ok(Taken { parts: parts.map(numbers).collect(), dtypes, made_of: None })
            }
            From::Trained { checkpoint, model } => {
                let tensors = checkpoint.model();
                let found: Option<Vec<_>> = parts.clone().map(|part| tensors.get(&part.name)).collect();
                if let Some(found) = found {
                    let numbers = parts.map(|part| Ok(tensors.read_f32(&part.name)?));
                    let floats = |dtype| if dtype == Dtype::BF16 { dtype } else { Dtype::F32 };
                    let dtypes = found.iter().map(|tensor| floats(tensor.dtype)).collect();
                    let parts = numbers.collect::<Result<_, StageError>>()?;
                    return Ok(Taken { parts, dtypes, made_of: None });
                }
                self.taken_apart(matrix, tensors.read_f32(&matrix.whole.name)?, model)
            }
        }
    }

    /// What is nearest to a trained matrix.
    fn taken_apart(&self, matrix: &Matrix, trained: Vec<f32>, model: &Model) -> Result<Taken, StageError> {
        let (whole, columns) = (&matrix.whole, matrix.whole.shape.last().copied().unwrap_or(1));
        let wrong = |error: nearest::NoNumber| StageError::new(format!("`{}`: {error}", whole.name));
        let (acts, parts) = if whole.role == Role::Matrix {
            // What it does where it is used.
            let acts = match model.round() {
                Some(to) => acting::rounded(trained, columns, to.into()),
                None => trained,
            };
            let rank = self.target.low_rank().unwrap_or(1);
            let parts = nearest::factors(acts.clone(), columns, rank).map_err(wrong)?;
            (acts, parts.to_vec())
        } else {
            let Some(embedding) = self.target.embedding else {
                return Err(StageError::new(format!("there is no `{}` in the checkpoint", whole.name)));
            };
            let parts = nearest::cores(&trained, embedding, &self.shape).map_err(wrong)?;
            (trained, parts.to_vec())
        };
        let dtypes = vec![Dtype::F32; parts.len()];
        Ok(Taken { parts, dtypes, made_of: Some(acts) })
    }

    /// What parts make together, where they act as these numbers.
    pub(crate) fn made(&self, matrix: &Matrix, parts: Vec<Vec<f32>>) -> Option<Vec<f32>> {
        if matrix.whole.role == Role::Matrix {
            let [first, second] = <[_; 2]>::try_from(parts).ok()?;
            return Some(acting::whole(first, second, self.target.low_rank()?));
        }
        // They are rounded already, and it would come to the same.
        Some(acting::table(self.target.embedding?, &self.shape, parts.try_into().ok()?))
    }
}

/// The weights of a model of whole matrices, each with what stands in its place.
fn matrices(target: &Model, shape: &Shape) -> Vec<Matrix> {
    let mut parts = Weight::all(shape).into_iter().peekable();
    let whole = Weight::all(&target.whole().shape(0, 0)).into_iter();
    let of = |whole: Weight| {
        let module = whole.name.strip_suffix(".weight").unwrap_or(&whole.name).to_owned();
        let belongs = |part: &Weight| {
            let of_module = part.name.strip_prefix(&module).is_some_and(|rest| rest.starts_with('.'));
            part.name == whole.name || of_module && Part::of(&part.name).is_some()
        };
        let mut own = Vec::new();
        while let Some(part) = parts.next_if(belongs) {
            own.push(part);
        }
        Matrix { whole, parts: own }
    };
    whole.map(of).collect()
}
