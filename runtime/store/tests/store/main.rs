//! What the store promises, tried from outside.
mod results;
mod support;
