//! The promises of each command, from outside.
mod download;
mod drawing;
mod environment;
mod exec;
mod gpu;
mod history;
mod keeping;
mod layout;
mod live;
mod pages;
mod parameters;
mod plan;
mod quickstart;
mod results;
mod run;
mod talk;
mod validate;
