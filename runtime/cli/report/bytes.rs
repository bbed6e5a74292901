//! A bar for work that muse does itself and that takes long: reading a whole store.
use super::lines;
use super::screen::{bar, columns, fit, line};
use crate::terminal::{Terminal, Verbosity};
use indicatif::ProgressBar;
use std::time::Instant;

/// A bar over bytes; nothing where nobody looks.
pub(crate) struct BytesBar {
    line: Option<ProgressBar>,
    terminal: Terminal,
    began: Instant,
}

impl BytesBar {
    /// A bar on this terminal.
    pub(crate) fn new(terminal: Terminal) -> Self {
        let wanted = terminal.live && terminal.verbosity > Verbosity::Quiet;
        Self { line: wanted.then(line), terminal, began: Instant::now() }
    }

    /// Shows how far it is.
    pub(crate) fn show(&self, done: u64, total: u64) {
        if let Some(line) = &self.line {
            line.set_message(fit(&self.text(done, total), columns()));
        }
    }

    /// Takes it away.
    pub(crate) fn clear(&self) {
        self.line.iter().for_each(ProgressBar::finish_and_clear);
    }

    fn text(&self, done: u64, total: u64) -> String {
        let share = (done as f64 / total.max(1) as f64).min(1.0);
        let mut parts = vec![lines::how_far(done, Some(total), "bytes")];
        let rate = done as f64 / self.began.elapsed().as_secs_f64();
        if let Some((speed, left)) = lines::speed(rate, Some(total.saturating_sub(done)), "bytes") {
            parts.push(speed);
            parts.extend(left);
        }
        format!("  {} {}", self.terminal.paint.live(&bar(share)), parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_and_how_fast() {
        let terminal = Terminal { live: true, ..Terminal::default() };
        let began = Instant::now().checked_sub(std::time::Duration::from_secs(2)).unwrap();
        let bar = BytesBar { began, ..BytesBar::new(terminal) };
        let text = bar.text(1 << 30, 4 << 30);
        assert!(text.starts_with("  ━━━━━") && text.contains(" 1 GiB of 4 GiB, 25%, "), "{text}");
        assert!(text.ends_with(" left"), "{text}");
        assert!(BytesBar::new(Terminal::default()).line.is_none());
    }
}
