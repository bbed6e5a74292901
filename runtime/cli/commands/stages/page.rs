//! The page on a stage kind.
use super::fields::{self, Field};
use crate::format::Table;
use crate::paint::Paint;
use muse_stage::{ArtifactType, Description};

/// Columns of a page.
const COLUMNS: usize = 100;

/// Draws it.
pub(crate) fn draw(kind: &Description, paint: Paint) -> String {
    let mut page = format!("{} (version {})\n\n", paint.strong(&kind.name), kind.version);
    if !kind.doc.is_empty() {
        for paragraph in kind.doc.split("\n\n") {
            wrap(&mut page, paragraph, 0);
            page.push('\n');
        }
    }
    section(&mut page, "inputs:", &inputs(kind), paint);
    section(&mut page, "outputs:", &outputs(kind), paint);
    let fields = fields::of(&kind.params);
    if !fields.is_empty() {
        page += &paint.strong("with:");
        page.push('\n');
        for field in &fields {
            page += &self::field(field, paint);
        }
        page.push('\n');
    }
    let habits = habits(kind);
    if !habits.is_empty() {
        page += &habits;
        page.push('\n');
    }
    page +=
        "Beside `with`, every stage takes: matrix, resources, timeout, retries, keep, pass_env, secrets.\n";
    page
}

fn section(page: &mut String, title: &str, table: &Table, paint: Paint) {
    if !table.is_empty() {
        *page += &format!("{}\n{}\n", paint.strong(title), table.draw("  "));
    }
}

fn inputs(kind: &Description) -> Table {
    let mut table = Table::default();
    for port in &kind.inputs {
        let types = port.types.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" or ");
        let many = if port.many { ", also a list" } else { "" };
        let need = if port.required { "required" } else { "optional" };
        table.row([port.name.clone(), format!("{types}{many}"), need.into()]);
    }
    if kind.any_input {
        table.row(["any name", "any result, also a list", "optional"]);
    }
    table
}

fn outputs(kind: &Description) -> Table {
    let mut table = Table::default();
    for output in &kind.outputs {
        table.row([output.name.as_str(), output.kind.name()]);
    }
    if let (Some(field), true) = (&kind.outputs_from, kind.outputs.is_empty()) {
        table.row([format!("as `{field}` names them"), ArtifactType::Any.name().to_owned()]);
    }
    table
}

fn field(field: &Field, paint: Paint) -> String {
    let default = match &field.default {
        _ if field.required => "required".to_owned(),
        Some(value) if !value.is_null() => format!("default {}", fields::shown(value)),
        _ => "optional".into(),
    };
    let mark = match (field.execution, field.extendable) {
        (true, _) => ", not part of the key",
        (_, true) => ", goes on from a result with less",
        _ => "",
    };
    let mut text = format!("  {}  {}", paint.live(&field.name), field.kind);
    text += &paint.faint(&format!("  ({default}{mark})"));
    text.push('\n');
    wrap(&mut text, &field.doc, 6);
    for (name, doc) in field.choices.iter().filter(|(_, doc)| !doc.is_empty()) {
        wrap(&mut text, &format!("{name}: {doc}"), 8);
    }
    text
}

/// Habits that somebody who writes a pipeline meets.
fn habits(kind: &Description) -> String {
    let mut text = String::new();
    if kind.resumes {
        text += "Interrupted, it goes on from where it was.\n";
    }
    if kind.device {
        text += "Computes on a GPU where there is one: `--device` and `resources: { gpu: N }` choose.\n";
    }
    if !kind.pins.is_empty() {
        text += &format!("What `{}` names is pinned in the lock file.\n", kind.pins.join("`, `"));
    }
    if kind.story {
        text += "Is told how its inputs came to be, and made again where that differs.\n";
    }
    text += if kind.single_thread {
        "Uses one thread, unless `resources: { cpu: N }` says more.\n"
    } else {
        "Uses all threads, unless `resources: { cpu: N }` says fewer.\n"
    };
    text
}

/// `doc` in lines of a page's width behind `indent` blanks. Paragraphs stay apart.
fn wrap(text: &mut String, doc: &str, indent: usize) {
    for paragraph in doc.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let mut line = " ".repeat(indent);
        for word in paragraph.split_whitespace() {
            if crate::format::width(&line) + crate::format::width(word) >= COLUMNS && line.trim() != "" {
                *text += line.trim_end();
                text.push('\n');
                line = " ".repeat(indent);
            }
            line += word;
            line.push(' ');
        }
        *text += line.trim_end();
        text.push('\n');
    }
}
