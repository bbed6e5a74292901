//! Pipeline files: broken ones, large ones, equal ones.
mod broken;
mod kinds;
mod large;
mod meaning;
