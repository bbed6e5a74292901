//! `report.md`: the report as tables that people read, models side by side.
use crate::report::{AboutTask, Difference, Figure, Finished, Results, Sample};
use serde_json::Value;
use std::fmt::Write;

/// Characters of a sample that are shown.
const SHOWN: usize = 1500;

pub(crate) fn draw(report: &Finished) -> String {
    let names: Vec<&str> = report.models.iter().map(|model| model.name.as_str()).collect();
    let mut page = "# Evaluation\n\n| task | items | figure |".to_owned();
    for (at, name) in names.iter().enumerate() {
        let _ = write!(page, " {} |", cell(name));
        if at > 0 {
            let _ = write!(page, " {} - {} |", cell(name), cell(names[0]));
        }
    }
    page += "\n|---|---:|---|";
    page += &"---:|".repeat((2 * names.len()).saturating_sub(1));
    page += "\n";
    for task in &report.tasks {
        rows(&mut page, task);
    }
    page += "\nBehind ± stands the standard error; of a difference, that of the differences item by item.\n";
    for task in report.tasks.iter().filter(|task| !task.samples.is_empty()) {
        samples(&mut page, task);
    }
    page
}

fn rows(page: &mut String, task: &AboutTask) {
    let Some(first) = task.results.first() else { return };
    for metric in first.metrics.keys() {
        let _ = write!(page, "| {} | {} | {metric} |", cell(&task.name), task.items);
        for results in &task.results {
            let Results { model, metrics, .. } = results;
            let shown = metrics.get(metric).map_or_else(String::new, figure);
            let _ = write!(page, " {shown} |");
            let apart = task.differences.iter().find(|one| one.model == *model && one.metric == *metric);
            if let Some(Difference { difference, stderr, .. }) = apart {
                let _ = write!(page, " {difference:+.4}{} |", error(*stderr));
            }
        }
        page.push('\n');
    }
}

fn samples(page: &mut String, task: &AboutTask) {
    if task.samples.iter().all(|sample| asked(sample).is_empty()) {
        return;
    }
    let _ = write!(page, "\n## {}\n", task.name);
    for sample in &task.samples {
        let asked = asked(sample);
        let count = asked.chars().count();
        // The end is what was asked; examples stand before it.
        let shown: String = asked.chars().skip(count.saturating_sub(SHOWN)).collect();
        let dots = if count > SHOWN { "…" } else { "" };
        let fence = fence(&shown);
        let _ = write!(page, "\nItem {}\n\n{fence}text\n{dots}{shown}\n{fence}\n", sample.item);
        let list = |page: &mut String, what: &str, texts: &[String]| {
            if !texts.is_empty() {
                let texts: Vec<String> =
                    texts.iter().map(|text| format!("`{}`", text.replace(['`', '\n'], " "))).collect();
                let _ = write!(page, "\n{what}: {}\n", texts.join(", "));
            }
        };
        list(page, "Choices", &sample.choices);
        list(page, "Right", &sample.right);
    }
}

/// What was asked, as a text: of a chat each turn with who speaks.
fn asked(sample: &Sample) -> String {
    match &sample.prompt {
        Value::Array(turns) => {
            let text = |turn: &Value, field: &str| turn[field].as_str().unwrap_or_default().to_owned();
            let turn = |turn: &Value| format!("{}: {}", text(turn, "role"), text(turn, "content"));
            turns.iter().map(turn).collect::<Vec<_>>().join("\n\n")
        }
        text => text.as_str().unwrap_or_default().to_owned(),
    }
}

/// A fence that the text does not close.
fn fence(text: &str) -> String {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or_default();
    "`".repeat(3.max(longest + 1))
}

fn figure(figure: &Figure) -> String {
    format!("{:.4}{}", figure.value, error(figure.stderr))
}

fn error(stderr: Option<f64>) -> String {
    stderr.map_or_else(String::new, |stderr| format!(" ± {stderr:.4}"))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
