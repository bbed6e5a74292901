//! `pretrain`: trains a model on packed tokens.
pub mod budget;
mod chance;
mod check;
pub mod data;
pub mod guard;
pub mod params;
mod plan;
pub mod report;

#[cfg(test)]
mod tests;
