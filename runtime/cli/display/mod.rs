//! How plans, reasons and histories look on a terminal. Text in, text out.
pub(crate) mod causes;
pub(crate) mod history;
pub(crate) mod plan;
pub(crate) mod tree;
pub(crate) mod why;
