//! What changes the weights: AdamW, Muon, MuonClip and SGD, over flat tensors, each weight by itself, though
//! many side by side (`adamw`, `muon`).
//!
//! [`OptimizerConfig`] says what is wanted, `groups` what that is for each weight, and [`Optimizer`] does it. What it remembers
//! lies in `state`, in f32, in bf16 (`rounding`) or in 8 bits (`code`); `checkpoint` takes it out and in.
mod adamw;
mod checkpoint;
mod clip;
mod code;
mod config;
mod error;
mod groups;
mod muon;
mod optimizer;
mod rounding;
mod state;

pub use checkpoint::StateTensor;
pub use clip::{Clip, Told, global_norm, qk_clip};
pub use config::{OptimizerConfig, OptimizerKind, StateKind, WeightDecay};
pub use error::OptimError;
pub use groups::Group;
pub use optimizer::Optimizer;

#[cfg(test)]
mod tests;
