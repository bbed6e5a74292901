//! What a model costs before there is one: parameters, operations, memory. Pure arithmetic.
mod flops;
mod inference;
mod kept;
mod memory;
mod moments;
mod parameters;

pub use flops::Flops;
pub use inference::{Inference, held_in_use, weights_in_use};
pub use kept::{Kept, kept_by_a_block};
pub use memory::{Device, Factors, Optimizer, Precision, States, Training, TrainingMemory};
pub use parameters::Parameters;
