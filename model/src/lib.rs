//! The model: its configuration, layers, losses, optimizers and weights. It knows no files but weights, and no stage.
pub mod config;
pub mod count;
pub mod schedule;
