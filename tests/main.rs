//! Every end-to-end test in one binary, which links once: each module drives the `muse` program as users do.
mod architecture;
mod cli;
mod forgotten;
mod support;
mod trust;
