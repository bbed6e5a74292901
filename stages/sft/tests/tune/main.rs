//! Fine-tuning from a pretrained checkpoint: that it learns what the assistant says, and that no break shows.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod breaks;
mod chats;
mod learns;
mod refused;
#[path = "../../../pretrain/tests/train/support.rs"]
mod support;
