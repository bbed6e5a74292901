//! Pipeline files: broken ones, large ones, equal ones.
mod broken;
mod editor;
mod kinds;
mod large;
mod meaning;
