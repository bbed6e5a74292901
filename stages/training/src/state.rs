//! What a training knows of itself, and how it stands in a checkpoint.
use crate::data::Cursor;
use crate::guard::Guard;
use crate::report::{Losses, Point};
use burn::tensor::{DType, TensorData};
use muse_artifacts::ArtifactError;
use muse_artifacts::checkpoint::{Checkpoint, Dtype, Tensor, Tensors};
use muse_model::config::Model;
use muse_model::net::Weight;
use muse_model::optim::{OptimError, StateTensor};
use muse_stage::StageError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The version of a state in a file.
const FORMAT: u32 = 1;

/// All that a training must remember, beside weights and the optimizer's numbers. Chance needs no state: it depends on the seed
/// and the step alone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// Steps that were made, those that were skipped too.
    pub(crate) made: u64,
    /// Steps that changed the weights.
    pub(crate) updates: u64,
    /// Tokens that were learned from.
    pub(crate) tokens: u64,
    /// Where the next step begins.
    pub(crate) cursor: Cursor,
    /// What was done about bad steps.
    pub(crate) guard: Guard,
    /// The loss by step.
    pub(crate) losses: Losses,
    /// The last evaluation.
    pub(crate) evaluated: Option<Point>,
    /// The best one.
    pub(crate) best: Option<Point>,
    /// The best one at the last moment to which the guard would go back.
    pub(crate) best_when_good: Option<Point>,
}

impl State {
    pub(crate) fn to_json(&self) -> Value {
        json!({ "format": FORMAT, "training": self })
    }

    /// That of a checkpoint from which training can go on.
    pub(crate) fn of(checkpoint: &Checkpoint) -> Result<Self, ArtifactError> {
        let place = checkpoint.folder();
        let cannot =
            |what: &str| ArtifactError::format(place, format!("no training goes on from it: {what}"));
        let mut json = checkpoint.state()?.ok_or_else(|| cannot("there is no state in it"))?;
        let format = json["format"].as_u64().and_then(|format| u32::try_from(format).ok());
        ArtifactError::check_version(
            place,
            format.ok_or_else(|| cannot("its state has no format"))?,
            FORMAT,
        )?;
        serde_json::from_value(json["training"].take()).map_err(|error| cannot(&error.to_string()))
    }
}

/// A model's configuration as a checkpoint keeps it.
pub(crate) fn config(model: &Model) -> Value {
    serde_json::to_value(model).unwrap_or_default()
}

fn dtype(of: DType) -> Dtype {
    match of {
        DType::BF16 => Dtype::BF16,
        DType::U8 => Dtype::U8,
        _ => Dtype::F32,
    }
}

/// A tensor's numbers, as a file takes them.
pub(crate) struct Numbers(pub(crate) TensorData);

impl AsRef<[u8]> for Numbers {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A weight's tensor.
pub(crate) fn tensor(weight: &Weight, of: DType) -> Tensor {
    Tensor::new(&weight.name, dtype(of), weight.shape.clone())
}

/// A tensor of the optimizer's.
pub(crate) fn state_tensor(of: &StateTensor) -> Tensor {
    Tensor::new(&of.name, dtype(of.dtype), of.shape.clone())
}

/// What was remembered of an optimizer, or why it does not fit.
#[derive(Debug)]
pub(crate) struct Unfit(pub(crate) StageError);

impl From<OptimError> for Unfit {
    fn from(error: OptimError) -> Self {
        Self(StageError::new(error.to_string()))
    }
}

/// The numbers of a tensor in a file.
pub(crate) fn read(tensors: &Tensors, name: &str) -> Result<TensorData, StageError> {
    let found =
        tensors.get(name).ok_or_else(|| StageError::new(format!("the checkpoint has no `{name}`")))?;
    let dtype = match found.dtype {
        Dtype::F32 => DType::F32,
        Dtype::BF16 => DType::BF16,
        Dtype::U8 => DType::U8,
        other => return Err(StageError::new(format!("`{name}` in the checkpoint is of type {other}"))),
    };
    Ok(TensorData::from_bytes_vec(tensors.read(name)?, found.shape.clone(), dtype))
}

/// A weight, flat and in f32, whatever floats the file has.
pub(crate) fn read_weight(tensors: &Tensors, weight: &Weight) -> Result<TensorData, StageError> {
    let name = &weight.name;
    let found =
        tensors.get(name).ok_or_else(|| StageError::new(format!("the checkpoint has no `{name}`")))?;
    let (has, wants) = (&found.shape, &weight.shape);
    if has != wants {
        let said = format!("`{name}` is {has:?} in the checkpoint, and {wants:?} in the model");
        return Err(StageError::new(said).help("take a `model` with the sizes of the checkpoint's"));
    }
    Ok(TensorData::new(tensors.read_f32(name)?, [weight.len()]))
}
