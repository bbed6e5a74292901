//! The model: its configuration, layers, losses, optimizers and weights. It knows no files but weights, and no stage.
pub mod acting;
pub mod buckets;
pub mod config;
pub mod count;
pub mod decode;
pub mod exchange;
pub mod lora;
pub mod loss;
pub mod nearest;
pub mod net;
pub mod optim;
pub mod pass;
pub mod schedule;

pub use muse_kernels as kernels;
