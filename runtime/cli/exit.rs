//! The exit codes of muse. Scripts and CI jobs are written against them.

/// Done, or nothing to do.
pub(crate) const DONE: u8 = 0;
/// A stage failed, or was blocked by one that did; a result asked for is not there.
pub(crate) const FAILED: u8 = 1;
/// The command line or a file is wrong.
pub(crate) const USAGE: u8 = 2;
/// `plan --exit-code`: there is work.
pub(crate) const WORK: u8 = 3;
/// The store is damaged, full or out of reach where it is needed.
pub(crate) const STORE: u8 = 4;
/// SIGINT or SIGTERM: stages were told to stop, and what they had finished is kept.
pub(crate) const INTERRUPTED: u8 = 130;
