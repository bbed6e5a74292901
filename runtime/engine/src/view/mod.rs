//! What can be asked of keys and results: history, reasons, differences. Nothing here changes anything.
pub mod compare;
pub mod history;
pub mod plan;
pub mod why;
