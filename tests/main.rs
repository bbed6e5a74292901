//! Every end-to-end test in one binary, which links once: each module drives the `muse` program as users do.
mod architecture;
mod cli;
mod forgotten;
mod pages;
mod plugins;
mod support;
mod trust;
