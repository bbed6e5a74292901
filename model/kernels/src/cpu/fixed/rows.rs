//! Rows on their way into panels: those of a portion go to their places on all threads, and a portion may begin and end within a panel.
use crate::cpu::share::by_parts;
use crate::cpu::tiles::PANEL;
use std::ops::Range;

/// Puts rows into panels of so many words: `put` is told which of these rows, the words of its panel, and its place there.
pub(super) fn lay(
    panels: &mut [u32],
    words: usize,
    rows: Range<usize>,
    put: impl Fn(usize, &mut [u32], usize) + Sync,
) {
    let (first, end) = (rows.start / PANEL, rows.end.div_ceil(PANEL));
    by_parts([&mut panels[first * words..end * words]], [words], |panel, [words]| {
        let begin = (first + panel) * PANEL;
        for row in rows.start.max(begin)..rows.end.min(begin + PANEL) {
            put(row - rows.start, words, row - begin);
        }
    });
}
