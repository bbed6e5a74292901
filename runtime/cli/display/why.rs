//! What makes a key, part by part.
use super::causes;
use crate::format::{Table, bytes, duration, moment, plural, visible};
use crate::paint::Paint;
use muse_runtime::plan::Action;
use muse_runtime::view::why::Why;

/// A value is shown whole up to so many columns: this is the page for it.
const WHOLE: usize = 2000;

/// The page that `muse why` prints.
pub(crate) fn draw(why: &Why, paint: Paint) -> String {
    let word = match why.action {
        Action::Hit => "its result is there",
        Action::Run => "will run",
        Action::Maybe => "may run: something above it will",
    };
    let mut text = format!("{}: {word}\n", paint.strong(&visible(&why.stage)));
    if why.adopted {
        text += "its result was put in by hand (`muse adopt`)\n";
    }
    for cause in &why.causes {
        text += &format!("  {}\n", paint.warn(&causes::phrase(cause)));
    }
    text += &format!("\nkey   {}\n", why.key.as_deref().unwrap_or("not known yet"));
    let mut table = Table::new(&[]);
    table.row(["kind".to_owned(), format!("{} version {}", why.kind, why.version)]);
    if let Some(params) = why.params.as_object() {
        for (name, value) in params.iter().filter(|(_, value)| !holds_nothing(value)) {
            table.row([format!("with.{name}"), visible(&causes::value_up_to(value, WHOLE))]);
        }
    }
    for (name, files) in &why.files {
        let count = plural(files.files, "file");
        let size = format!("{count}, {}  {}", bytes(files.bytes), files.digest);
        table.row([format!("files {name}"), size]);
    }
    for input in &why.inputs {
        let digest = input.digest.as_deref().unwrap_or("not made yet");
        table.row([format!("input {}", input.port), format!("{}  {digest}", visible(&input.from))]);
        if let Some(story) = &input.story {
            table.row([format!("story {}", input.port), story.clone()]);
        }
    }
    for (id, pin) in &why.pins {
        table.row([format!("pin {}", visible(id)), visible(pin.as_deref().unwrap_or("not pinned"))]);
    }
    text += &table.draw("  ");
    match &why.last {
        Some(last) if Some(&last.key) == why.key.as_ref() => {
            text += &format!(
                "\nmade  {} in {}, by run {}\n",
                moment(&last.made),
                duration(last.seconds),
                last.run
            );
        }
        Some(last) => {
            let took = duration(last.seconds);
            text += &format!(
                "\nlast result  {}\n  made {} in {took}, by run {}\n",
                last.key,
                moment(&last.made),
                last.run
            );
        }
        None => text += "\nno earlier result is known here\n",
    }
    let mut facts = Table::new(&[]);
    for (name, value) in &why.facts {
        facts.row([visible(name), visible(&causes::value_up_to(value, WHOLE))]);
    }
    if !why.facts.is_empty() {
        text += &format!("\nfacts\n{}", facts.draw("  "));
    }
    text
}

/// Where input files are named stands null: their digests have lines of their own.
fn holds_nothing(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => true,
        serde_json::Value::Object(fields) => fields.values().all(holds_nothing),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_runtime::plan::Cause;
    use muse_runtime::view::why::{WhyFiles, WhyInput, WhyLast};
    use serde_json::json;

    #[test]
    fn all_that_makes_a_key_is_there() {
        let old = json!(100);
        let why = Why {
            stage: "base[seed=1]".into(),
            kind: "pretrain".into(),
            version: 3,
            action: Action::Run,
            key: Some("b3:12".into()),
            params: json!({ "steps": 200, "run": "x".repeat(99), "files": { "text": null }, "lr": 0.001 }),
            inputs: vec![
                WhyInput {
                    port: "data".into(),
                    from: "packed.train".into(),
                    digest: Some("b3:34".into()),
                    story: Some("b3:35".into()),
                },
                WhyInput { port: "init".into(), from: "old.out".into(), digest: None, story: None },
            ],
            files: [("text".to_owned(), WhyFiles { digest: "b3:56".into(), files: 1, bytes: 2048 })].into(),
            pins: [("hf:a/b".to_owned(), None)].into(),
            causes: vec![Cause::Param { field: "steps".into(), old, new: json!(200) }],
            last: Some(WhyLast {
                key: "b3:78".into(),
                made: "2026-01-31T12:00:00.000Z".into(),
                run: "20260131-120000-1a2b".into(),
                seconds: 4320.0,
            }),
            facts: [("licence".to_owned(), json!("cc-by-4.0")), ("loss".to_owned(), json!(2.5))].into(),
            adopted: false,
        };
        insta::assert_snapshot!(draw(&why, Paint::default()));
    }
}
