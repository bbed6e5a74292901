//! A model over HTTP, as the OpenAI API speaks: completions, chats, a page to chat in, health and metrics.
//!
//! `server` listens, `patient` gives up on those who neither send nor read, `app` knows the paths; `api` holds what is asked and
//! answered there; `metrics` counts.
mod api;
mod app;
mod error;
mod metrics;
mod patient;
mod server;

pub use app::{Log, Settings};
pub use server::{Server, Stop};
