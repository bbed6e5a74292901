//! Pipeline files: broken ones, large ones, equal ones.
mod kinds;
mod large;
mod meaning;
