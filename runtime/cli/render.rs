//! Draws what is wrong with files: as rustc would for people, as JSON for programs, as annotations for GitHub.
//!
//! Only the line in question reaches the drawing, and only a window of a long one, so that a file of megabytes
//! or a line of them costs no more than a page.
mod formats;
mod piece;

pub(crate) use formats::{JsonError, github, json};

use crate::format::visible;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use muse_runtime::diagnostic::{Diagnostic, Place};
use piece::{Lines, Piece};
use std::sync::Arc;

/// Places further apart than this, in lines, are drawn apart.
const NEAR: usize = 60;

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
    let mut marks = vec![Mark { place, line, label: &diagnostic.label, primary: true }];
    for (also, label) in &diagnostic.also {
        marks.push(Mark { place: also, line: lines.line_column(also).0, label, primary: false });
    }
    let mut group = titled(diagnostic);
    let mut seeming = column;
    // Places that stand near each other share a drawing; the others have one each.
    while !marks.is_empty() {
        let (together, others) = near(marks, lines);
        marks = others;
        let snippet = match together.as_slice() {
            [mark] => {
                let piece = Piece::of(mark.place, mark.line, lines);
                seeming = if mark.primary { piece.seeming_column } else { seeming };
                let name = visible(&mark.place.file().display().to_string());
                let annotation = mark.annotation(piece.start, piece.end);
                Snippet::source(piece.text).line_start(mark.line).path(name).annotation(annotation)
            }
            several => page(several, lines),
        };
        group = group.element(snippet);
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(visible(help)));
    }
    let drawn = renderer.render(&[group]);
    // In a window of a long line the drawing counts columns from the window's start.
    if seeming == column {
        return drawn;
    }
    drawn.replacen(&format!("{name}:{line}:{seeming}"), &format!("{name}:{line}:{column}"), 1)
}

/// A place to underline.
struct Mark<'d> {
    place: &'d Place,
    line: usize,
    label: &'d str,
    primary: bool,
}

impl Mark<'_> {
    fn annotation<'a>(&self, start: usize, end: usize) -> Annotation<'a> {
        let kind = if self.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let annotation = kind.span(start..end);
        if self.label.is_empty() { annotation } else { annotation.label(visible(self.label)) }
    }
}

/// The first mark with all that can be drawn beside it, and the others.
fn near<'d>(marks: Vec<Mark<'d>>, lines: &mut Lines) -> (Vec<Mark<'d>>, Vec<Mark<'d>>) {
    let mut marks = marks.into_iter();
    let Some(first) = marks.next() else { return (Vec::new(), Vec::new()) };
    let fits = |mark: &Mark<'d>, lines: &mut Lines| {
        let (low, high) = (first.line.min(mark.line), first.line.max(mark.line));
        Arc::ptr_eq(&first.place.source, &mark.place.source)
            && high - low <= NEAR
            && (low..=high).all(|line| lines.is_short(&first.place.source, line))
    };
    let (mut together, mut others) = (Vec::new(), Vec::new());
    for mark in marks {
        if fits(&mark, lines) { together.push(mark) } else { others.push(mark) }
    }
    together.insert(0, first);
    (together, others)
}

/// A drawing of several places on neighbouring lines.
fn page<'a>(marks: &[Mark<'_>], lines: &mut Lines) -> Snippet<'a, Annotation<'a>> {
    let first = marks.iter().map(|mark| mark.line).min().unwrap_or(1);
    let last = marks.iter().map(|mark| mark.line).max().unwrap_or(1);
    let source = marks.first().map(|mark| &mark.place.source);
    let mut text = String::new();
    let mut starts = Vec::new();
    for line in first..=last {
        starts.push(text.len());
        if let Some(source) = source {
            text += &lines.text(source, line);
        }
        text.push('\n');
    }
    let annotations: Vec<_> = marks
        .iter()
        .map(|mark| {
            let start = starts.get(mark.line - first).copied().unwrap_or(0);
            let piece = Piece::of(mark.place, mark.line, lines);
            mark.annotation(start + piece.start, start + piece.end)
        })
        .collect();
    let name = marks.first().map(|mark| visible(&mark.place.file().display().to_string()));
    Snippet::source(text).line_start(first).path(name).annotations(annotations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_runtime::diagnostic::Source;
    use std::path::PathBuf;

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
                let drawn = text(&[Diagnostic::at(lying.clone(), "wrong").label("\u{1b}[2J")], false, 80);
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
    fn other_places_are_drawn_beside_or_behind() {
        let yaml = "stages:\n  a: { inputs: { x: b } }\n  c: 1\n  b: { inputs: { x: a } }\n";
        let source = place(yaml, "x: b");
        let at = |start: usize, end: usize| Place { start, end, ..source.clone() };
        let (first, second) = (yaml.find("b }").unwrap(), yaml.find("a }").unwrap());
        let round = Diagnostic::at(at(first, first + 1), "`a` stands on itself: a → b → a")
            .label("a needs b")
            .also(at(second, second + 1), "b needs a");
        let mut far = place(&format!("x: 1\n{}y: 2\n", "z: 3\n".repeat(500)), "y");
        far.source = Arc::new(Source {
            name: "shared.yaml".into(),
            folder: PathBuf::new(),
            text: far.source.text.clone(),
        });
        let twice = Diagnostic::at(at(2, 4), "`x` is written twice").also(far, "and here").also(at(0, 1), "");
        insta::assert_snapshot!(text(&[round, twice], false, 100));
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
