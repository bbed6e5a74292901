//! What can go wrong with an optimizer.
use crate::config::Problem;

/// What can go wrong with an optimizer.
#[derive(Debug, thiserror::Error)]
pub enum OptimError {
    /// Its configuration makes no sense.
    #[error("{}: {}", .0.message, .0.help)]
    Config(Problem),
    /// A matrix that is none.
    #[error("`{name}` is a matrix by its role, and has the shape {shape:?}")]
    NoMatrix {
        /// The weight.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// What a checkpoint has is not what this optimizer keeps.
    #[error(
        "the optimizer's `{name}` is {found} in the checkpoint, and would be {wanted} here: \
         go on with the `kind`, `state` and model that it was written with"
    )]
    State {
        /// The tensor.
        name: String,
        /// Its type and shape there.
        found: String,
        /// Its type and shape here.
        wanted: String,
    },
}
