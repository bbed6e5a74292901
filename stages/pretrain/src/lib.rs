//! `pretrain`: trains a model on packed tokens.
mod chance;
pub mod data;
pub mod guard;
pub mod report;
