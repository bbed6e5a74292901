//! The JSON Schema of pipeline files as editors want it: `with` and `inputs` by the kind, `${…}` for any value.
use super::kinds::Kind;
use muse_stage::{Description, mark};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The definition of a text that holds a name.
const NAMED: &str = "Interpolation";
/// What editors show, so it stays outside when a schema is wrapped.
const SHOWN: &[&str] = &["title", "description", "default", "examples", "deprecated"];

/// Puts kinds into the schema of the file's own structure.
pub(crate) fn pipeline_schema<'k>(file: &Value, kinds: impl IntoIterator<Item = &'k Arc<Kind>>) -> Value {
    let mut schema = file.clone();
    let names = json!({ "pattern": "^[A-Za-z0-9_-]+$" });
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for name in ["params", "presets", "plugins"] {
            set(properties.get_mut(name), "propertyNames", names.clone());
        }
        let stages = json!({ "pattern": "^[A-Za-z0-9_-]+(\\[.+\\])?$" });
        set(properties.get_mut("stages"), "propertyNames", stages);
    }
    let mut definitions = Map::new();
    definitions.insert(
        NAMED.into(),
        json!({ "type": "string", "pattern": "\\$\\{", "description": "`${params.x}`, `${matrix.x}`, or `${env.X}` in execution fields." }),
    );
    let (mut words, mut cases) = (Vec::new(), Vec::new());
    for kind in kinds {
        let description = &kind.description;
        let first = description.doc.lines().next().unwrap_or_default();
        words.push(json!({ "const": description.name, "description": first }));
        cases.push(case(description, &mut definitions));
    }
    // A plugin's kind is any other word.
    words.push(json!({ "type": "string" }));
    if let Some(stage) = schema.pointer_mut("/$defs/StageDecl") {
        if let Some(Value::Object(properties)) = stage.get_mut("properties") {
            for name in ["resources", "timeout", "retries", "keep", "pass_env", "secrets", "matrix"] {
                if let Some(field) = properties.get_mut(name) {
                    *field = wrapped(inside(field, ""));
                }
            }
            set(properties.get_mut("uses"), "anyOf", Value::Array(words));
            set(properties.get_mut("matrix"), "propertyNames", names);
        }
        set(Some(stage), "allOf", Value::Array(cases));
    }
    let resources = schema.pointer("/$defs/ResourcesDecl").map(|schema| inside(schema, ""));
    if let Some(Value::Object(own)) = schema.get_mut("$defs") {
        own.extend(resources.map(|resources| ("ResourcesDecl".to_owned(), resources)));
        own.extend(definitions);
    }
    schema
}

fn set(schema: Option<&mut Value>, key: &str, value: Value) {
    if let Some(Value::Object(object)) = schema {
        object.insert(key.to_owned(), value);
    }
}

/// What holds where `uses` names this kind. Its definitions move in with the others, under its own name.
fn case(description: &Description, definitions: &mut Map<String, Value>) -> Value {
    let name = &description.name;
    let prefix = format!("{name}.");
    let mut params = description.params.clone();
    if let Value::Object(object) = &mut params {
        object.remove("$schema");
        if let Some(Value::Object(own)) = object.remove("$defs") {
            for (inner, schema) in own {
                definitions.insert(format!("{prefix}{inner}"), inside(&schema, &prefix));
            }
        }
    }
    definitions.insert(format!("with.{name}"), inside(&params, &prefix));
    let mut fields = json!({ "with": { "$ref": format!("#/$defs/with.{name}") } });
    let needs = |key: &str, object: &Value| {
        object.get(key).and_then(Value::as_array).is_some_and(|names| !names.is_empty())
    };
    let mut required = Vec::new();
    if needs("required", &description.params) {
        required.push("with");
    }
    if !description.any_input {
        let ports: Map<String, Value> = description
            .inputs
            .iter()
            .map(|port| {
                let types: Vec<&str> = port.types.iter().map(|kind| kind.name()).collect();
                let one = json!({ "type": "string" });
                let mut schema = if port.many {
                    json!({ "anyOf": [one, { "type": "array", "items": one }] })
                } else {
                    one
                };
                set(
                    Some(&mut schema),
                    "description",
                    format!("A stage that gives {}.", types.join(" or ")).into(),
                );
                (port.name.clone(), schema)
            })
            .collect();
        let wanted: Vec<&str> =
            description.inputs.iter().filter(|port| port.required).map(|port| port.name.as_str()).collect();
        if !wanted.is_empty() {
            required.push("inputs");
        }
        let inputs = json!({ "properties": ports, "required": wanted, "additionalProperties": false });
        set(Some(&mut fields), "inputs", inputs);
    }
    json!({
        "if": { "properties": { "uses": { "const": name } }, "required": ["uses"] },
        "then": { "properties": fields, "required": required },
    })
}

/// A schema whose inner values may be `${…}` too, with references moved to `prefix`.
fn inside(schema: &Value, prefix: &str) -> Value {
    let Value::Object(object) = schema else { return schema.clone() };
    let mut out = Map::new();
    for (key, value) in object {
        let value = match (key.as_str(), value) {
            ("$ref", Value::String(reference)) => {
                reference.replace("#/$defs/", &format!("#/$defs/{prefix}")).into()
            }
            ("properties" | "patternProperties", Value::Object(fields)) => fields
                .iter()
                .map(|(name, schema)| (name.clone(), wrapped(inside(schema, prefix))))
                .collect::<Map<String, Value>>()
                .into(),
            ("items" | "additionalProperties", schema) => wrapped(inside(schema, prefix)),
            ("oneOf" | "anyOf" | "allOf" | "prefixItems", Value::Array(branches)) => {
                branches.iter().map(|branch| inside(branch, prefix)).collect()
            }
            // What stands in a file of its own is no part of this one.
            ("x-muse-content", _) => continue,
            (_, value) => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    Value::Object(out)
}

/// The schema, or a text with a name in it.
fn wrapped(schema: Value) -> Value {
    let Value::Object(mut object) = schema else { return schema };
    let is_text = object.get("type") == Some(&json!("string"));
    if object.is_empty() || (is_text && !object.contains_key("pattern") && !object.contains_key("enum")) {
        return Value::Object(object);
    }
    let mut out = Map::new();
    for key in SHOWN {
        out.extend(object.remove(*key).map(|value| ((*key).to_owned(), value)));
    }
    out.extend(object.get(mark::KEYWORD).map(|value| (mark::KEYWORD.to_owned(), value.clone())));
    out.insert("anyOf".into(), json!([Value::Object(object), { "$ref": format!("#/$defs/{NAMED}") }]));
    Value::Object(out)
}
