//! The schema of parameters, made ready to check values against.
use serde_json::Value;

/// A compiled JSON Schema.
#[derive(Debug)]
pub struct Shape {}

impl Shape {
    /// Compiles a schema.
    pub fn new(_schema: &Value) -> Self {
        Self {}
    }
}
