//! The fields of a stage kind, read from the JSON Schema of its parameters.
use muse_stage::mark;
use serde_json::Value;

/// Deeper than this a schema is only named: it may contain itself.
const DEPTH: usize = 4;

/// One field of `with:`, or of an object in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    /// Its name; `outer.inner` inside an object.
    pub(super) name: String,
    /// What may stand there.
    pub(super) kind: String,
    /// It must be there.
    pub(super) required: bool,
    /// Its value where it is not there.
    pub(super) default: Option<Value>,
    /// What it means.
    pub(super) doc: String,
    /// Never part of a key.
    pub(super) execution: bool,
    /// A run may go on from a result with less of it.
    pub(super) extendable: bool,
    /// Its values with their meaning, where it has a list of them.
    pub(super) choices: Vec<(String, String)>,
}

/// All fields of a schema, inner ones behind the object they are in.
pub(super) fn of(schema: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    collect(schema, schema, "", DEPTH, &mut fields);
    fields
}

fn collect(root: &Value, schema: &Value, outer: &str, depth: usize, fields: &mut Vec<Field>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in properties {
        let target = resolve(root, property);
        let doc = text(property, "description").or_else(|| text(target, "description"));
        fields.push(Field {
            name: format!("{outer}{name}"),
            kind: kind(root, property, depth),
            required: required.contains(&name.as_str()),
            default: property.get("default").or_else(|| target.get("default")).cloned(),
            doc: doc.unwrap_or_default(),
            execution: marks(property).any(|found| found == mark::EXECUTION),
            extendable: marks(property).any(|found| found == mark::EXTENDABLE),
            choices: choices(target),
        });
        if depth > 0 {
            collect(root, target, &format!("{outer}{name}."), depth - 1, fields);
        }
    }
}

/// What may stand in a value's place, in words.
fn kind(root: &Value, schema: &Value, depth: usize) -> String {
    // What is execution or extendable besides is said elsewhere.
    match marks(schema).find(|found| ![mark::EXECUTION, mark::EXTENDABLE].contains(found)) {
        Some(mark::FILES) => return "path, folder or glob".into(),
        Some(mark::CONFIG) => return "file of values".into(),
        Some(mark::COMMAND) => return "line for `sh -c`, or list of arguments".into(),
        Some(mark::BYTES) => return "size, such as 8GiB".into(),
        Some(mark::COUNT) => return "count, such as 2B".into(),
        Some(mark::DURATION) => return "time, such as 1.5h".into(),
        _ => {}
    }
    let target = resolve(root, schema);
    if !std::ptr::eq(target, schema) && depth > 0 {
        return kind(root, target, depth - 1);
    }
    let names: Vec<String> = choices(target).into_iter().map(|(name, _)| name).collect();
    if !names.is_empty() {
        return names.join(" | ");
    }
    let Some(word) = types(target).first().copied() else {
        let ways = ways(target).map(|way| kind(root, way, depth.saturating_sub(1))).collect::<Vec<_>>();
        return if ways.is_empty() { "any value".into() } else { ways.join(" or ") };
    };
    let inner = |key: &str| {
        target
            .get(key)
            .filter(|inner| inner.is_object() && depth > 0)
            .map(|inner| kind(root, inner, depth - 1))
    };
    match word {
        "array" => inner("items").map_or("list".into(), |items| format!("list of {items}")),
        "object" if target["properties"].is_object() => "object".into(),
        "object" => {
            inner("additionalProperties").map_or("map".into(), |value| format!("map of name to {value}"))
        }
        "boolean" => "true | false".into(),
        "string" => "text".into(),
        "integer" => format!("whole number{}", limits(target)),
        "number" => format!("number{}", limits(target)),
        other => other.into(),
    }
}

fn limits(schema: &Value) -> String {
    let bound = |key: &str| schema.get(key).filter(|bound| bound.is_number());
    let low = bound("minimum").map(|low| format!("from {low}"));
    let low = low.or_else(|| bound("exclusiveMinimum").map(|low| format!("above {low}")));
    // A bound that only says which machine type holds the number tells people nothing.
    let telling = |high: &&Value| high.as_f64().is_none_or(|high| high < f64::from(u32::MAX));
    let high = bound("maximum").filter(telling).map(|high| format!("to {high}"));
    let high = high.or_else(|| bound("exclusiveMaximum").filter(telling).map(|high| format!("below {high}")));
    match (low.filter(|low| low != "from 0" || high.is_some()), high) {
        (None, None) => String::new(),
        (low, high) => format!(" {}", low.into_iter().chain(high).collect::<Vec<_>>().join(" ")),
    }
}

/// The schema that `schema` stands for: behind a `$ref`, and the one way of an optional value.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..8 {
        let mut inner = ways(schema);
        let next = match (schema["$ref"].as_str(), inner.next(), inner.next()) {
            (Some(name), _, _) => name.strip_prefix('#').and_then(|pointer| root.pointer(pointer)),
            (None, Some(only), None) if schema.get("type").is_none() && schema.get("oneOf").is_none() => {
                Some(only)
            }
            _ => None,
        };
        match next {
            Some(next) => schema = next,
            None => return schema,
        }
    }
    schema
}

/// The ways of `anyOf`, `oneOf` and `allOf`, without `null`.
fn ways(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf", "allOf"]
        .into_iter()
        .filter_map(|key| schema[key].as_array())
        .flatten()
        .filter(|way| way["type"] != "null")
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(word) => vec![word],
        Value::Array(words) => {
            words.iter().filter_map(Value::as_str).filter(|word| *word != "null").collect()
        }
        _ => vec![],
    }
}

/// The values of an enumeration with their meaning.
fn choices(schema: &Value) -> Vec<(String, String)> {
    let plain = schema["enum"].as_array().into_iter().flatten().map(|value| (value, None));
    let told = schema["oneOf"].as_array().into_iter().flatten().flat_map(|way| {
        let several = way["enum"].as_array().into_iter().flatten();
        way.get("const").into_iter().chain(several).map(|value| (value, text(way, "description")))
    });
    plain
        .chain(told)
        .filter(|(value, _)| !value.is_null())
        .map(|(value, doc)| (shown(value), doc.unwrap_or_default()))
        .collect()
}

/// A value as it would be written in a pipeline.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        other => other.to_string(),
    }
}

/// The marks of a field: one text, or a list of them.
fn marks(schema: &Value) -> impl Iterator<Item = &str> {
    let marks = &schema[mark::KEYWORD];
    marks.as_str().into_iter().chain(marks.as_array().into_iter().flatten().filter_map(Value::as_str))
}

fn text(schema: &Value, key: &str) -> Option<String> {
    schema[key].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let schema = json!({
            "properties": { "next": { "$ref": "#/$defs/Node" } },
            "$defs": { "Node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/Node" } } },
                       "Loop": { "$ref": "#/$defs/Loop" } },
        });
        assert_eq!(of(&schema).len(), DEPTH + 1);
        let round = json!({ "properties": { "a": { "$ref": "#/$defs/Loop" } }, "$defs": schema["$defs"] });
        assert_eq!(of(&round)[0].kind, "any value");
    }

    #[test]
    fn what_is_no_schema_has_no_fields() {
        for odd in [json!(null), json!(true), json!({ "properties": 3 }), json!([])] {
            assert_eq!(of(&odd), []);
        }
        assert_eq!(of(&json!({ "properties": { "a": true } }))[0].kind, "any value");
    }

    #[test]
    fn kinds_are_told_in_words() {
        let kind = |schema: Value| of(&json!({ "properties": { "a": schema } }))[0].kind.clone();
        assert_eq!(kind(json!({ "type": ["integer", "null"], "minimum": 0 })), "whole number");
        assert_eq!(
            kind(json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 })),
            "number above 0 to 1"
        );
        assert_eq!(kind(json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] })), "text");
        assert_eq!(kind(json!({ "anyOf": [{ "type": "string" }, { "type": "number" }] })), "text or number");
        assert_eq!(kind(json!({ "type": "array", "items": { "enum": ["a", 1] } })), "list of a | 1");
    }
}
