//! What is asked and answered, path by path.
pub(crate) mod chat;
pub(crate) mod completion;
mod fields;
mod form;
pub(crate) mod models;
mod stream;
mod wishes;
mod writing;
