//! From a pipeline file to results: document, plan, key, schedule, execute, record.
//!
//! Read in that order. The engine knows no stage kind by name, prints nothing and reads no environment: what it
//! has to say is an [`event::Event`] or a [`diagnostic::Diagnostic`], and what it needs is handed in.
mod curves;
pub mod diagnostic;
pub mod document;
pub mod event;
pub mod exec;
pub mod gc;
pub mod graph_export;
pub mod key;
pub mod last;
pub mod last_files;
pub mod plan;
pub mod results;
pub mod run;
mod story;
pub mod time;
pub mod view;
