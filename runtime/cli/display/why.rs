//! What makes a key, part by part.
use super::causes;
use crate::format::{Table, bytes, duration, exact, visible};
use crate::paint::Paint;
use muse_runtime::plan::Action;
use muse_runtime::view::why::Why;

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
            table.row([format!("with.{name}"), visible(&causes::value(value))]);
        }
    }
    for (name, files) in &why.files {
        let size = format!("{} files, {}  {}", exact(files.files as u64), bytes(files.bytes), files.digest);
        table.row([format!("files {name}"), size]);
    }
    for input in &why.inputs {
        let digest = input.digest.as_deref().unwrap_or("not made yet");
        table.row([format!("input {}", input.port), format!("{}  {digest}", visible(&input.from))]);
    }
    for (id, pin) in &why.pins {
        table.row([format!("pin {}", visible(id)), visible(pin.as_deref().unwrap_or("not pinned"))]);
    }
    text += &table.draw("  ");
    match &why.last {
        Some(last) if Some(&last.key) == why.key.as_ref() => {
            text += &format!("\nmade  {} in {}, by run {}\n", last.made, duration(last.seconds), last.run);
        }
        Some(last) => {
            let took = duration(last.seconds);
            text += &format!(
                "\nlast result  {}\n  made {} in {took}, by run {}\n",
                last.key, last.made, last.run
            );
        }
        None => text += "\nno earlier result is known here\n",
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
