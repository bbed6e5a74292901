//! The promises of each command, from outside.
mod drawing;
mod environment;
mod history;
mod layout;
mod pages;
mod parameters;
mod plan;
mod results;
mod run;
mod talk;
mod validate;
