//! Bytes over HTTP: patient, resumable, checked.
mod check;
mod error;
mod fetch;
mod part;
mod patience;
mod pool;
mod remote;
mod target;
mod web;

pub(crate) use check::Check;
pub(crate) use error::{NetError, Refusal, Repo};
pub(crate) use fetch::{Probe, fetch_range, probe, stream_whole};
pub(crate) use part::Part;
pub(crate) use patience::Patience;
pub(crate) use pool::{Wanted, fetch_all, verify};
pub(crate) use remote::Remote;
pub(crate) use target::{Of, Target};
pub(crate) use web::{Token, Web};

#[cfg(test)]
pub(crate) use patience::Clock;
#[cfg(test)]
pub(crate) use pool::SEGMENT;
