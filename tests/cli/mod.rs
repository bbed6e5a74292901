//! The promises of each command, from outside.
mod pages;
