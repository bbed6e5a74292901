//! The pieces of a line on the screen: a bar, a width, a line that fits.
use crate::format::width;
use crate::terminal;
use indicatif::{ProgressBar, ProgressStyle};

/// Columns of a bar.
const BAR: usize = 20;

/// A line whose text we write whole: its parts know their units, and indicatif keeps the place.
pub(super) fn line() -> ProgressBar {
    ProgressBar::no_length().with_style(style())
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// `━━━━━━╸───────` for a share from 0 to 1.
pub(super) fn bar(share: f64) -> String {
    let halves = (share * BAR as f64 * 2.0).floor() as usize;
    let (full, half) = (halves / 2, halves % 2);
    let rest = BAR.saturating_sub(full + half);
    format!("{}{}{}", "━".repeat(full), "╸".repeat(half), "─".repeat(rest))
}

pub(super) fn columns() -> usize {
    terminal::columns().saturating_sub(1).max(20)
}

/// A line that fits: one that wraps would leave its tail behind when it is drawn again.
pub(super) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    let (mut used, mut in_code) = (1, false);
    for letter in text.chars() {
        in_code |= letter == '\x1b';
        if !in_code {
            used += width(letter.encode_utf8(&mut [0; 4]));
        }
        if used <= columns || in_code {
            short.push(letter);
        }
        in_code &= !letter.is_ascii_alphabetic();
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_from_left_to_right() {
        assert_eq!(bar(0.0), "─".repeat(20));
        assert_eq!(bar(0.525), format!("{}╸{}", "━".repeat(10), "─".repeat(9)));
        assert_eq!(bar(1.0), "━".repeat(20));
    }

    #[test]
    fn a_line_that_is_too_long_keeps_its_colours_closed() {
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("\x1b[32mabcdef\x1b[0m", 4), "\x1b[32mabc\x1b[0m…");
        assert_eq!(width(&fit("日本語日本語", 7)), 7);
    }
}
