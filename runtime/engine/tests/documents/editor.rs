//! The schema that editors get.
use crate::kinds::KINDS;
use muse_runtime::document::pipeline_schema;
use serde_json::Value;

fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let schema = pipeline_schema(KINDS.iter());
    let mut found = Vec::new();
    references(&schema, &mut found);
    assert!(found.len() > 10);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(schema.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn with_is_typed_by_uses() {
    let schema = pipeline_schema(KINDS.iter());
    let cases = schema.pointer("/$defs/StageDecl/allOf").and_then(Value::as_array).unwrap();
    assert_eq!(cases.len(), 5);
    let tokenizer = cases
        .iter()
        .find(|case| case.pointer("/if/properties/uses/const") == Some(&"tokenizer".into()))
        .unwrap();
    assert_eq!(tokenizer.pointer("/then/properties/with/$ref").unwrap(), "#/$defs/with.tokenizer");
    assert_eq!(tokenizer.pointer("/then/properties/inputs/required/0").unwrap(), "corpus");
    let vocab = schema.pointer("/$defs/with.tokenizer/properties/vocab_size").unwrap();
    assert_eq!(vocab["default"], 4096);
    assert_eq!(vocab["anyOf"][0]["type"], "integer");
    assert_eq!(vocab["anyOf"][1]["$ref"], "#/$defs/Interpolation", "a name may stand for a number");
}
