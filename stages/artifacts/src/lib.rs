//! The formats that flow between stages, with one reader and one writer each. docs/formats draws them.
//!
//! Whoever reads a format here checks it: what is no corpus, or was cut, is an error that names the file and says what
//! to do, never a panic and never half of the data.
pub mod above;
pub mod checkpoint;
pub mod corpus;
mod error;
mod in_order;
pub mod tokenizer;
pub mod tokens;

pub use error::{ArtifactError, Result};
pub use in_order::in_order;
