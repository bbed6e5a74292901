//! What is held back: the parameter, a number or a map.
use muse_stage::schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;

/// A share of the documents (`0.1`), or the end of the text (`{ tail: 0.1 }`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Validation {
    /// A share of the documents, from 0 to less than 1.
    Share(f64),
    /// A share of the tokens, at the end.
    Tail(f64),
}

impl Default for Validation {
    fn default() -> Self {
        Self::Share(0.1)
    }
}

impl TryFrom<Value> for Validation {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let tail = value.as_object().filter(|map| map.len() == 1).and_then(|map| map.get("tail"));
        let share = tail.and_then(Value::as_f64).or(value.as_f64());
        match share {
            Some(share) if tail.is_some() && share > 0.0 && share < 1.0 => Ok(Self::Tail(share)),
            Some(share) if tail.is_none() && (0.0..1.0).contains(&share) => Ok(Self::Share(share)),
            _ => Err(format!("{value} is no share of the documents, such as 0.1 or {{ tail: 0.1 }}")),
        }
    }
}

impl From<Validation> for Value {
    fn from(validation: Validation) -> Self {
        match validation {
            Validation::Share(share) => json!(share),
            Validation::Tail(share) => json!({ "tail": share }),
        }
    }
}

impl JsonSchema for Validation {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Validation".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let schema = json!({ "anyOf": [
            { "type": "number", "minimum": 0, "exclusiveMaximum": 1 },
            { "type": "object", "additionalProperties": false, "required": ["tail"], "properties": {
                "tail": { "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1,
                          "description": "The share of the tokens that is held back, from the end." } } },
        ] });
        // A literal object is always a schema.
        Schema::try_from(schema).unwrap_or_default()
    }
}
