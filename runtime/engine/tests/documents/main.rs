//! Pipeline files: broken ones, large ones, equal ones.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod broken;
mod editor;
mod equal;
mod files;
mod fits;
mod hostile;
mod kinds;
mod large;
mod meaning;
