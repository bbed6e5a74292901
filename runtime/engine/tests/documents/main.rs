//! Pipeline files: broken ones, large ones, equal ones.
mod broken;
mod editor;
mod equal;
mod files;
mod hostile;
mod kinds;
mod large;
mod meaning;
