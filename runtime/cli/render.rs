//! Draws what is wrong with files: as rustc would for people, as JSON for programs, as annotations for GitHub.
//!
//! Only the line in question reaches the drawing, and only a window of a long one, so that a file of megabytes
//! or a line of them costs no more than a page.
mod formats;
mod piece;

pub(crate) use formats::{JsonError, github, json};

use crate::format::visible;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use muse_runtime::diagnostic::{Diagnostic, Place};
use piece::{Lines, Piece};

/// The diagnostics as people read them, a paragraph for each; empty without any.
pub(crate) fn text(diagnostics: &[Diagnostic], colors: bool, columns: usize) -> String {
    let renderer = if colors { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(columns.max(40));
    let mut lines = Lines::default();
    let mut text = String::new();
    for diagnostic in diagnostics {
        text += &match &diagnostic.place {
            Some(place) => at_place(&renderer, diagnostic, place, &mut lines),
            None => renderer.render(&[titled(diagnostic)]),
        };
        if let (Some(help), None) = (&diagnostic.help, &diagnostic.place) {
            text.push('\n');
            text += &renderer.render(&[Group::with_title(Level::HELP.secondary_title(visible(help)))]);
        }
        text += "\n\n";
    }
    text
}

fn titled<'a>(diagnostic: &Diagnostic) -> Group<'a> {
    Group::with_title(Level::ERROR.primary_title(visible(&diagnostic.message)))
}

fn at_place(renderer: &Renderer, diagnostic: &Diagnostic, place: &Place, lines: &mut Lines) -> String {
    let (line, column) = lines.line_column(place);
    let name = visible(&place.file().display().to_string());
    let piece = Piece::of(place, line, lines);
    let label = visible(&diagnostic.label);
    let annotation = AnnotationKind::Primary.span(piece.start..piece.end);
    let annotation = if label.is_empty() { annotation } else { annotation.label(label) };
    let snippet = Snippet::source(piece.text).line_start(line).path(name.clone()).annotation(annotation);
    let mut group = titled(diagnostic).element(snippet);
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(visible(help)));
    }
    let drawn = renderer.render(&[group]);
    // In a window of a long line the drawing counts columns from the window's start.
    if piece.seeming_column == column {
        return drawn;
    }
    drawn.replacen(&format!("{name}:{line}:{}", piece.seeming_column), &format!("{name}:{line}:{column}"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_runtime::diagnostic::Source;
    use std::path::PathBuf;
    use std::sync::Arc;

    fn place(text: &str, needle: &str) -> Place {
        let start = text.find(needle).unwrap();
        let source =
            Source { name: PathBuf::from("pipelines/tiny.yaml"), folder: PathBuf::new(), text: text.into() };
        Place { source: Arc::new(source), start, end: start + needle.len() }
    }

    #[test]
    fn an_error_is_drawn_as_rustc_would() {
        let yaml = "muse: 1\nstages:\n  base: { uses: pretrain, inputs: { datas: packed } }\n  next: 1\n";
        let error = Diagnostic::at(place(yaml, "datas"), "stage `base` has no input named `datas`")
            .label("unknown input")
            .help("`pretrain` takes `data` and `init`; did you mean `data`?");
        insta::assert_snapshot!(text(&[error], false, 100));
    }

    #[test]
    fn a_long_line_is_shown_by_a_window() {
        let yaml =
            format!("a: [{}bad, {}]\n{}\n", "x, ".repeat(100_000), "y, ".repeat(100_000), "z".repeat(9000));
        let error = Diagnostic::at(place(&yaml, "bad"), "`bad` is no number").label("here");
        insta::assert_snapshot!(text(&[error], false, 100));
    }

    #[test]
    fn places_at_the_edges_and_in_wide_letters() {
        let japanese = "名前: { 数: 値 }\n";
        let first = Diagnostic::at(place(japanese, "値"), "`値` is no number").label("here");
        let mut at_end = place("a: [1\n", "a");
        (at_end.start, at_end.end) = (6, 6);
        let end = Diagnostic::at(at_end, "the list is not closed");
        let mut many = place("a:\n  b: 1\n  c: 2\n", "a");
        (many.start, many.end) = (0, 17);
        let over_lines = Diagnostic::at(many, "`a` is wrong");
        let empty = Diagnostic::at(place("", ""), "the file is empty");
        insta::assert_snapshot!(text(&[first, end, over_lines, empty], false, 100));
    }

    #[test]
    fn places_that_lie_are_drawn_all_the_same() {
        for (start, end) in [(0, 99), (99, 0), (1, 2), (50, 60), (4, 1)] {
            for body in ["", "é: 1", "a\r\nb", "\n\n", "\u{1b}[2J: 1\n\tx"] {
                let mut lying = place(body, "");
                (lying.start, lying.end) = (start, end);
                let drawn = text(&[Diagnostic::at(lying, "wrong").label("\u{1b}[2J")], false, 80);
                assert!(
                    drawn.contains("wrong") && !drawn.contains('\u{1b}'),
                    "{body:?} {start}..{end}: {drawn}"
                );
            }
        }
    }

    #[test]
    fn an_error_without_a_place_is_a_line() {
        let error = Diagnostic::general("no file `x.yaml`").help("did you mean `y.yaml`?");
        insta::assert_snapshot!(text(&[error], false, 100));
    }

    #[test]
    fn a_thousand_errors_in_a_big_file_take_no_time() {
        let yaml = "stage: { uses: command }\n".repeat(300_000);
        let one = place(&yaml, "uses");
        let errors: Vec<_> = (0..1000)
            .map(|at| Diagnostic::at(Place { start: at * 7000, end: at * 7000 + 3, ..one.clone() }, "wrong"))
            .collect();
        let start = std::time::Instant::now();
        assert_eq!(text(&errors, false, 100).matches("error: wrong").count(), 1000);
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    }
}
