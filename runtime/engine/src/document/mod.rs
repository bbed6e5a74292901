//! A pipeline file, read and checked as far as that goes without the store.
//!
//! [`load`] is the way in. It reads YAML into nodes that know their place ([`node`], `parse`), merges includes and
//! parameters (`load`), expands the matrix and interpolation, checks `with` against the schema of each kind
//! ([`shape`]), resolves inputs (`references`) and input files ([`paths`]), and reports all that is wrong at once.
pub mod kinds;
mod load;
pub mod node;
pub mod paths;
pub mod pipeline;
mod references;
pub mod shape;

pub use kinds::{Kind, Kinds, Link, PluginFinder};
pub use load::{Options, load};
pub use paths::{FileInput, FileSet};
pub use pipeline::{Entry, Keep, Pipeline, Port, Resources, StageSpec};
