//! A pipeline file, read and checked as far as that goes without the store.
//!
//! [`load`] is the way in. It reads YAML into nodes that know their place ([`node`], `parse`), merges includes and
//! parameters (`load`), expands the matrix and interpolation, checks `with` against the schema of each kind
//! ([`shape`]), resolves inputs (`references`) and input files ([`paths`]), and reports all that is wrong at once.
mod build;
pub mod connect;
mod cycles;
mod draft;
mod editor;
mod emit;
mod expand;
mod fits;
mod glob;
mod include;
mod interpolate;
pub mod kinds;
mod load;
mod lock;
pub mod matrix;
mod names;
pub mod node;
mod parameters;
mod params;
pub mod parse;
pub mod paths;
mod pieces;
pub mod pipeline;
pub mod references;
mod registry;
mod scalar;
pub mod schema;
mod session;
pub mod shape;
mod source;
mod stage;
mod values;
mod walk;
mod written;

pub use expand::expand;
pub use kinds::{Kind, Kinds, Link, PluginFinder};
pub use load::{Options, load};
pub use lock::Lock;
pub use paths::{FileInput, FileSet};
pub use pipeline::{Entry, Keep, Pipeline, Port, Resources, StageSpec};
pub use schema::pipeline_schema;
pub use values::values;
