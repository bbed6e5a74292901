//! A file of values by itself, such as those below `configs/`: checked by its schema, without a pipeline around it.
use super::node::{Node, Span};
use super::session::Session;
use super::shape::Shape;
use super::source::{ConfigFiles, read, unreadable};
use crate::diagnostic::Diagnostic;
use muse_stage::FieldError;
use serde_json::Value;
use std::path::Path;

/// Reads a file of values, `what` for messages, and checks it by its schema; then `judge` says what no schema can, of values
/// that fit. The values that are at their defaults are left out.
pub fn values<T>(
    path: &Path,
    what: &str,
    schema: &Value,
    judge: impl FnOnce(&Value) -> Result<T, Vec<FieldError>>,
) -> Result<T, Vec<Diagnostic>> {
    let mut session = Session::default();
    let node = match read(&mut session, path) {
        Ok(Some(node)) => node,
        Ok(None) => return Err(session.into_problems()),
        Err(error) => {
            let text = path.display().to_string();
            return Err(vec![unreadable(None, what, Path::new(""), &text, &error)]);
        }
    };
    let first = Span { end: node.span.start, ..node.span };
    let checked = Shape::new(schema).check(&mut session, &mut ConfigFiles::default(), what, &node, first);
    if session.count() > 0 {
        return Err(session.into_problems());
    }
    judge(&checked.identity).map_err(|errors| {
        for FieldError { pointer, message, help } in errors {
            let span = span(&node, &pointer).unwrap_or(first);
            let problem = session.at(span, message);
            let problem = match help {
                Some(help) => problem.help(help),
                None => problem,
            };
            session.add(span, problem);
        }
        session.into_problems()
    })
}

/// Where a JSON pointer leads; as far as it goes where it leads nowhere.
fn span(node: &Node, pointer: &str) -> Option<Span> {
    let mut place = None;
    let mut node = node;
    for step in pointer.split('/').skip(1) {
        let Some(next) = node.get(step) else { break };
        (node, place) = (next, Some(next.span));
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(
        text: &str,
        judge: impl FnOnce(&Value) -> Result<Value, Vec<FieldError>>,
    ) -> Result<Value, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.yaml");
        std::fs::write(&path, text).unwrap();
        let inner = json!({ "type": "object", "properties": { "theta": { "type": "number" } } });
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["layers"],
            "properties": { "layers": { "type": "integer" }, "wide": { "type": "integer", "default": 8 }, "rope": inner },
        });
        values(&path, "a model", &schema, judge).map_err(|problems| {
            let name = path.display().to_string();
            problems.iter().map(|problem| problem.to_string().replace(&name, "m") + "\n").collect()
        })
    }

    fn plain(text: &str) -> Result<Value, String> {
        check(text, |values| Ok(values.clone()))
    }

    #[test]
    fn values_come_without_their_defaults() {
        assert_eq!(plain("# sizes\nlayers: 3\nwide: 8\n"), Ok(json!({ "layers": 3 })));
    }

    #[test]
    fn all_that_does_not_fit_has_its_place() {
        let wrong = plain("layers: x\nrope:\n  theta: []\nwid: 1\n").unwrap_err();
        assert_eq!(
            wrong,
            "m:1:9: `layers` takes a whole number, not the text `x`\nm:3:10: `rope.theta` takes a number, not a list\n\
             m:4:1: a model has no field `wid`\n"
        );
        assert_eq!(plain("").unwrap_err(), "m:1:1: a model lacks the field `layers`\n");
        assert_eq!(plain("- 1\n").unwrap_err(), "m:1:1: a model takes a mapping, not a list\n");
        assert!(plain("layers: [1\n").unwrap_err().starts_with("m:"));
    }

    #[test]
    fn what_a_judge_finds_has_its_place_too() {
        let judge = |_: &Value| {
            let of = |pointer: &str| FieldError::new(pointer, format!("wrong{pointer}")).help("do better");
            Err(vec![of("/rope/theta"), of("/rope/other"), of("/none"), of("/layers")])
        };
        let wrong = check("layers: 3\nrope: { theta: 2 }\n", judge).unwrap_err();
        assert_eq!(
            wrong,
            "m:1:1: wrong/none\nm:1:9: wrong/layers\nm:2:7: wrong/rope/other\nm:2:16: wrong/rope/theta\n"
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let judge = |values: &Value| Ok(values.clone());
        let problems = values(Path::new("no/such.yaml"), "a model", &json!(true), judge).unwrap_err();
        assert_eq!(problems[0].to_string(), "a model: there is no `no/such.yaml`");
    }
}
