//! Trainings from packed tokens to a checkpoint: that they learn, and that no break, thread or way of saving memory shows.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod back;
mod breaks;
mod learns;
mod longer;
mod support;
