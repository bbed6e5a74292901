//! The pack stage, run as muse runs it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod brought;
mod chat;
mod golden;
mod properties;
mod strategies;
mod support;
mod trust;
