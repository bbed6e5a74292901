//! Times, sizes, counts and tables as people read them.
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A time in two units at most: `0.4 s`, `42 s`, `3 min 20 s`, `1 h 12 min`, `2 d 3 h`.
pub(crate) fn duration(seconds: f64) -> String {
    // A clock that jumped back, or a figure that is none, is no time at all.
    let seconds = if seconds.is_finite() && seconds > 0.0 { seconds } else { 0.0 };
    if seconds < 0.0995 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    if seconds < 9.95 {
        return format!("{} s", format!("{seconds:.1}").trim_end_matches(".0"));
    }
    let whole = seconds.round() as u64;
    let two = |big: u64, big_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big} {big_unit}"),
        _ => format!("{big} {big_unit} {small} {small_unit}"),
    };
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => two(whole / 60, "min", whole % 60, "s"),
        3600..86_400 => two(whole / 3600, "h", whole % 3600 / 60, "min"),
        _ => two(whole / 86_400, "d", whole % 86_400 / 3600, "h"),
    }
}

/// A time of the day as people read it: `2026-01-31 12:00:00Z`. What is no such time stays as it is.
pub(crate) fn moment(time: &str) -> String {
    let seconds = time.split_once('.').filter(|(_, rest)| rest.ends_with('Z')).map(|(start, _)| start);
    match seconds.filter(|start| start.len() == 19).and_then(|start| start.split_once('T')) {
        Some((day, clock)) => format!("{day} {clock}Z"),
        None => visible(time),
    }
}

/// A running clock: `0:07`, `12:34`, `1:02:03`.
pub(crate) fn clock(seconds: u64) -> String {
    match seconds {
        0..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}", seconds / 3600, seconds % 3600 / 60, seconds % 60),
    }
}

/// A size in binary units, three digits: `512 B`, `1.46 KiB`, `20.0 GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    scaled(bytes as f64, 1024.0, &[" KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
}

/// A count, three digits and a unit as pipelines write it: `950`, `1.20k`, `2.00B`.
pub(crate) fn count(count: f64) -> String {
    if !count.is_finite() {
        return "?".into();
    }
    if count < 1000.0 {
        return digits(count);
    }
    scaled(count, 1000.0, &["k", "M", "B", "T"])
}

/// A count with all its digits, in groups: `1,234,567`.
pub(crate) fn exact(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How much of `unit` there is: bytes as a size, anything else as a count.
pub(crate) fn amount(value: f64, unit: &str) -> String {
    if unit == "bytes" { bytes(value.max(0.0) as u64) } else { count(value) }
}

/// `1 stage`, `2 stages`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", exact(count as u64))
}

fn scaled(value: f64, base: f64, units: &[&str]) -> String {
    let mut value = value / base;
    let mut unit = 0;
    // 999.5 would round to a fourth digit.
    while value >= base.min(999.5) && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    format!("{}{}", digits(value), units.get(unit).unwrap_or(&""))
}

fn digits(value: f64) -> String {
    match value {
        v if v == v.trunc() && v < 1000.0 && v.abs() >= 100.0 => format!("{v:.0}"),
        v if v.abs() >= 99.95 => format!("{v:.0}"),
        v if v.abs() >= 9.995 => format!("{v:.1}").trim_end_matches(".0").to_owned(),
        v => format!("{v:.2}").trim_end_matches("0").trim_end_matches('.').to_owned(),
    }
}

/// Columns a text takes on a terminal: two for a wide character, none for a colour.
pub(crate) fn width(text: &str) -> usize {
    if !text.contains('\x1b') {
        return UnicodeWidthStr::width(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        if letter == '\x1b' {
            rest.by_ref().find(|end| end.is_ascii_alphabetic());
        } else {
            plain.push(letter);
        }
    }
    UnicodeWidthStr::width(plain.as_str())
}

/// `text` with spaces behind it up to `columns`.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// `text` without colours, cut to `columns`, the cut shown by `…`.
pub(crate) fn shorten(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 1;
    for letter in text.chars() {
        used += letter.width().unwrap_or(0);
        if used > columns {
            break;
        }
        short.push(letter);
    }
    short.push('…');
    short
}

/// A word of a command line that is shown, quoted where a shell would not take it as it is.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./=:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `text` with its control characters made visible, so that no value from a file or a stage drives the terminal.
pub(crate) fn visible(text: &str) -> String {
    let harmless = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\t');
    if text.chars().all(harmless) {
        return text.to_owned();
    }
    text.chars()
        .map(|letter| if harmless(letter) { letter.to_string() } else { letter.escape_default().to_string() })
        .collect()
}

/// Rows whose columns stand below each other. The last column is not padded.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
}

impl Table {
    /// A table; `right` are the columns, from 0, that stand at their right edge.
    pub(crate) fn new(right: &[usize]) -> Self {
        Self { rows: Vec::new(), right: right.to_vec() }
    }

    /// Adds a row.
    pub(crate) fn row<I: IntoIterator<Item = S>, S: Into<String>>(&mut self, cells: I) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// True without rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows as lines, each behind `indent`, two spaces between columns.
    pub(crate) fn draw(&self, indent: &str) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        for row in &self.rows {
            // A row of one cell is a line of its own and pushes nothing aside.
            for (at, cell) in row.iter().enumerate().filter(|_| row.len() > 1) {
                if let Some(widest) = widths.get_mut(at) {
                    *widest = width(cell).max(*widest);
                }
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = indent.to_owned();
            for (at, (cell, columns)) in row.iter().zip(&widths).enumerate() {
                if at > 0 {
                    line.push_str("  ");
                }
                let gap = columns.saturating_sub(width(cell));
                if self.right.contains(&at) {
                    line.push_str(&" ".repeat(gap));
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&" ".repeat(gap));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_take_two_units() {
        let pairs = [
            (0.0, "0 ms"),
            (0.0123, "12 ms"),
            (0.0999, "0.1 s"),
            (4.25, "4.2 s"),
            (9.96, "10 s"),
            (59.6, "1 min"),
            (200.0, "3 min 20 s"),
            (3599.9, "1 h"),
            (4320.0, "1 h 12 min"),
            (86_400.0 * 2.0 + 3.0 * 3600.0, "2 d 3 h"),
            (f64::NAN, "0 ms"),
            (-1.0, "0 ms"),
        ];
        for (seconds, text) in pairs {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!(moment("2026-01-31T12:00:00.123Z"), "2026-01-31 12:00:00Z");
        assert_eq!(moment("yesterday.\u{1b}Z"), "yesterday.\\u{1b}Z");
        assert_eq!([clock(7), clock(754), clock(3723)], ["0:07", "12:34", "1:02:03"]);
    }

    #[test]
    fn sizes_and_counts_have_three_digits() {
        assert_eq!([bytes(0), bytes(1023), bytes(1024)], ["0 B", "1023 B", "1 KiB"]);
        assert_eq!([bytes(1500), bytes(20 << 30), bytes(u64::MAX)], ["1.46 KiB", "20 GiB", "16 EiB"]);
        assert_eq!(bytes((1 << 20) - 1), "1 MiB");
        assert_eq!([count(0.0), count(950.0), count(1200.0)], ["0", "950", "1.2k"]);
        assert_eq!([count(999_950.0), count(2e9), count(0.25)], ["1M", "2B", "0.25"]);
        assert_eq!([exact(7), exact(1234), exact(1_234_567)], ["7", "1,234", "1,234,567"]);
        assert_eq!([plural(1, "stage"), plural(1200, "stage")], ["1 stage", "1,200 stages"]);
    }

    #[test]
    fn columns_line_up_under_wide_letters_and_colours() {
        let mut table = Table::new(&[1]);
        table.row(["日本語", "5"]);
        table.row(["\x1b[31mred\x1b[0m", "1234"]);
        table.row(["plain", "12", "end"]);
        assert_eq!(table.draw("  "), "  日本語     5\n  \x1b[31mred\x1b[0m     1234\n  plain     12  end\n");
        assert_eq!(shorten("日本語", 5), "日本…");
        assert_eq!(shorten("日本語", 6), "日本語");
        assert_eq!(shorten("abc", 2), "a…");
    }

    #[test]
    fn no_value_drives_the_terminal() {
        assert_eq!(visible("a\x1b[2Jb\u{9b}c\td\n"), "a\\u{1b}[2Jb\\u{9b}c\td\n");
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(shell_word("pipelines/a.yaml"), "pipelines/a.yaml");
        assert_eq!(shell_word("base[seed=1]"), "'base[seed=1]'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
