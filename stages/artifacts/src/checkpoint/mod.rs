//! Checkpoints: the weights of a model, and what its training needs to go on. docs/formats/checkpoint.md draws them.
//!
//! A checkpoint is a folder that appears whole or not at all. `checkpoint.json` names every other file by size and
//! digest, and its own bytes are sealed too, so what was torn or changed is never taken for a checkpoint. Tensors are
//! bytes here, with a name, a type and a shape.
mod about;
mod disk;
mod eight_bits;
mod header;
mod kept;
mod numbers;
mod reader;
mod scales;
mod shards;
mod tensors;
mod two_bits;
mod weights;
mod writer;

pub use about::{About, Facts, FileFacts};
pub use eight_bits::{eight_bits, scales_of};
pub use header::Tensor;
pub use kept::{Checkpoints, Kept, Look};
pub use reader::Checkpoint;
pub use safetensors::Dtype;
pub use scales::scale_of;
pub use tensors::Tensors;
pub use two_bits::two_bits;
pub use weights::{BEST, Weights};
pub use writer::{CheckpointWriter, write_weights};

/// The file that makes a folder a checkpoint.
pub const ABOUT: &str = "checkpoint.json";
/// What a training needs to go on, besides tensors.
const STATE: &str = "state/state.json";
/// The stems of the files that hold tensors.
const MODEL: &str = "model";
const OPTIMIZER: &str = "state/optimizer";

const DAMAGED: &str = "a training goes on from the checkpoint before; `muse verify --repair` drops what is damaged in the store";
