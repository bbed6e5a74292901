//! Renews the generated files: the JSON Schema and the reference pages.
fn main() {}
