//! A training on packed tokens, whatever the kind that asks for it.
//!
//! `recipe` says how, and `plan` what follows from it; `run` is the loop over a `team` of `trainer`s, one for each
//! device, which holds the model, the optimizer and the data; `guard` judges steps; `folder` keeps checkpoints; `result` is what comes out. `above` and `check` say what
//! speaks against a training before it begins, `budget` what a model costs, `bench` how fast it is.
pub mod above;
pub mod bench;
pub mod budget;
mod chance;
pub mod check;
pub mod data;
mod folder;
pub mod guard;
mod peak;
mod plan;
mod recipe;
pub mod report;
mod result;
mod run;
mod side_by_side;
mod state;
mod team;
mod tell;
mod trainer;

#[cfg(test)]
mod tests;

pub use recipe::{Recipe, Recompute};
pub use run::Training;
