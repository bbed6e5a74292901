//! The piece of a file that an error is drawn with, and where in it the error is.
use muse_runtime::diagnostic::{Place, Source};
use std::collections::HashMap;
use std::sync::Arc;

/// More bytes of a line than this are cut to a window around the place.
const LONG_LINE: usize = 400;
/// Bytes of a long line before and behind the place.
const WINDOW: usize = 60;

/// The line in which a place begins, and the place in it.
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) start: usize,
    pub(super) end: usize,
    /// The column that the place seems to have in a window of a long line.
    pub(super) seeming_column: usize,
}

impl Piece {
    /// What is shown of `line`, in which `place` begins.
    pub(super) fn of(place: &Place, line: usize, lines: &mut Lines) -> Self {
        let text = place.source.text.as_str();
        let start = boundary(text, place.start);
        let (line_start, line_end) = lines.range(&place.source, line);
        // A place that goes on over more lines is shown by its first.
        let end = boundary(text, place.end).clamp(start, line_end.max(start));
        let window = Window::of(text, line_start, line_end, start, end);
        let mut piece = Self { text: window.lead, start: 0, end: 0, seeming_column: 0 };
        piece.start = piece.text.len() + (start - window.start.min(start));
        piece.end = piece.start + (end.min(window.end).max(start) - start);
        piece.text += &visible_line(text.get(window.start..window.end).unwrap_or_default());
        piece.text += window.tail;
        let before = piece.text.get(..piece.start).unwrap_or(&piece.text);
        piece.seeming_column = before.chars().count() + 1;
        if piece.end == piece.start {
            let next = piece.text.get(piece.start..).and_then(|rest| rest.chars().next());
            piece.end += next.map_or(0, char::len_utf8);
        }
        piece
    }
}

/// The part of a line that is shown.
struct Window {
    start: usize,
    end: usize,
    lead: String,
    tail: &'static str,
}

impl Window {
    fn of(text: &str, line_start: usize, line_end: usize, start: usize, end: usize) -> Self {
        if line_end - line_start <= LONG_LINE {
            return Self { start: line_start, end: line_end, lead: String::new(), tail: "" };
        }
        let from = boundary(text, start.saturating_sub(WINDOW).max(line_start));
        let until = boundary(text, end.min(start + WINDOW).saturating_add(WINDOW).min(line_end));
        let lead = if from > line_start { "…".to_owned() } else { String::new() };
        Self { start: from, end: until, lead, tail: if until < line_end { "…" } else { "" } }
    }
}

/// Control characters as a blank of the same length in bytes, so that places stay right.
fn visible_line(line: &str) -> String {
    line.chars()
        .map(|letter| {
            if letter.is_control() && letter != '\t' {
                " ".repeat(letter.len_utf8())
            } else {
                letter.to_string()
            }
        })
        .collect()
}

/// The nearest character boundary at or before `at`.
fn boundary(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

/// Where the lines of each source begin, found once: a thousand errors read a big file once.
#[derive(Default)]
pub(super) struct Lines {
    starts: HashMap<*const Source, Vec<usize>>,
}

impl Lines {
    fn starts(&mut self, source: &Arc<Source>) -> &[usize] {
        self.starts.entry(Arc::as_ptr(source)).or_insert_with(|| {
            let behind =
                source.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(behind).collect()
        })
    }

    /// Line and column of a place, from 1; a column counts characters.
    pub(super) fn line_column(&mut self, place: &Place) -> (usize, usize) {
        let start = boundary(&place.source.text, place.start);
        let starts = self.starts(&place.source);
        let line = starts.partition_point(|&first| first <= start);
        let line_start = line.checked_sub(1).and_then(|at| starts.get(at)).copied().unwrap_or(0);
        let before = place.source.text.get(line_start..start).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// Whether a line is shown whole.
    pub(super) fn is_short(&mut self, source: &Arc<Source>, line: usize) -> bool {
        let (start, end) = self.range(source, line);
        end - start <= LONG_LINE
    }

    /// A line as it is shown.
    pub(super) fn text(&mut self, source: &Arc<Source>, line: usize) -> String {
        let (start, end) = self.range(source, line);
        visible_line(source.text.get(start..end).unwrap_or_default())
    }

    /// First byte of a line and the byte behind its last, without the line's end.
    fn range(&mut self, source: &Arc<Source>, line: usize) -> (usize, usize) {
        let starts = self.starts(source);
        let end = source.text.len();
        let start = line.checked_sub(1).and_then(|at| starts.get(at)).copied().unwrap_or(end);
        let next = starts.get(line).copied();
        let line = source.text.get(start..next.unwrap_or(end)).unwrap_or_default();
        (start, start + line.trim_end_matches(['\n', '\r']).len())
    }
}
