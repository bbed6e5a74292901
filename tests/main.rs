//! Every end-to-end test in one binary, which links once: each module drives the `muse` program as users do.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test that cannot look here says so")]
mod architecture;
mod cli;
mod forgotten;
mod pages;
mod plugins;
mod support;
mod trust;
