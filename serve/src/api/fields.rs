//! The fields of a request, taken one by one: each of the right kind and within its bounds, and none left over.
use crate::error::ApiError;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// The fields that were not looked at yet.
pub(super) struct Fields {
    map: Map<String, Value>,
    /// All that were asked for, which is what may stand here.
    known: Vec<&'static str>,
}

impl Fields {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(map)) => Ok(Self::of(map)),
            Ok(_) => Err(ApiError::bad("", "the body must be a JSON object")),
            Err(error) => Err(ApiError::bad("", format!("the body is no JSON: {error}"))),
        }
    }

    pub(super) fn of(map: Map<String, Value>) -> Self {
        Self { map, known: Vec::new() }
    }

    /// A field, if it is there and not null.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// A number within bounds.
    pub(super) fn number(
        &mut self,
        name: &'static str,
        bounds: RangeInclusive<f64>,
    ) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_f64().filter(|number| bounds.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let (least, most) = bounds.into_inner();
                Err(ApiError::bad(
                    name,
                    format!("`{name}` must be a number from {least} to {most}, not {}", short(&value)),
                ))
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn whole(
        &mut self,
        name: &'static str,
        bounds: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_u64().filter(|number| bounds.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let (least, most) = bounds.into_inner();
                Err(ApiError::bad(
                    name,
                    format!("`{name}` must be a whole number from {least} to {most}, not {}", short(&value)),
                ))
            }
        }
    }

    /// True or false; false where it is left out.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, ApiError> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(value) => {
                Err(ApiError::bad(name, format!("`{name}` must be true or false, not {}", short(&value))))
            }
        }
    }

    /// A text.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(value) => {
                Err(ApiError::bad(name, format!("`{name}` must be a text, not {}", short(&value))))
            }
        }
    }

    /// Fields that say nothing to this server.
    pub(super) fn ignore(&mut self, names: &[&'static str]) {
        for name in names {
            drop(self.take(name));
        }
    }

    /// Fields that would ask for what this server does not do, unless they ask for nothing.
    pub(super) fn refuse(&mut self, names: &[&'static str]) -> Result<(), ApiError> {
        for name in names {
            let asks = match self.take(name) {
                None | Some(Value::Bool(false)) => false,
                Some(Value::Array(items)) => !items.is_empty(),
                Some(Value::Object(fields)) => {
                    !fields.is_empty() && fields.get("type") != Some(&"text".into())
                }
                Some(Value::String(text)) => text != "none" && text != "auto",
                Some(_) => true,
            };
            if asks {
                return Err(ApiError::bad(name, format!("`{name}` is nothing that this server does")));
            }
        }
        Ok(())
    }

    /// That nothing is left.
    pub(super) fn finish(self, place: &str) -> Result<(), ApiError> {
        let Some(name) = self.map.keys().next() else { return Ok(()) };
        let mut known = self.known;
        known.sort_unstable();
        let said = format!("there is no field `{}`{place}; there are {}", short_text(name), known.join(", "));
        Err(ApiError::bad(&short_text(name), said))
    }
}

/// A value as messages name it: not all of a megabyte.
pub(super) fn short(value: &Value) -> String {
    short_text(&value.to_string())
}

fn short_text(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
