//! Colours, where they are wanted: the few that muse uses, by what they mean.
use crate::environment::Environment;
use clap::ValueEnum;
use clap::builder::styling::{AnsiColor, Style};

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// Where there is a terminal and `NO_COLOR` is not set.
    #[default]
    Auto,
    /// Always, also into files and pipes.
    Always,
    /// Never.
    Never,
}

impl ColorChoice {
    /// Whether a stream gets colours.
    pub(crate) fn wants(self, terminal: bool, environment: &Environment) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                terminal && environment.text("NO_COLOR").is_none() && environment.text("TERM") != Some("dumb")
            }
        }
    }
}

/// Puts colours around texts, or leaves them alone. Every text reads the same without them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Paint {
    /// Whether to.
    pub(crate) on: bool,
}

impl Paint {
    /// A painter.
    pub(crate) fn new(on: bool) -> Self {
        Self { on }
    }

    /// Names and headings.
    pub(crate) fn strong(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }

    /// What may be skipped.
    pub(crate) fn faint(self, text: &str) -> String {
        self.with(Style::new().dimmed(), text)
    }

    /// What went well, and hits.
    pub(crate) fn good(self, text: &str) -> String {
        self.with(AnsiColor::Green.on_default(), text)
    }

    /// What needs a look.
    pub(crate) fn warn(self, text: &str) -> String {
        self.with(AnsiColor::Yellow.on_default(), text)
    }

    /// What went wrong.
    pub(crate) fn bad(self, text: &str) -> String {
        self.with(AnsiColor::Red.on_default().bold(), text)
    }

    /// What is going on, and what will run.
    pub(crate) fn live(self, text: &str) -> String {
        self.with(AnsiColor::Cyan.on_default(), text)
    }

    fn with(self, style: Style, text: &str) -> String {
        if self.on && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_did_not_refuse_them() {
        let plain = Environment::of(&[]);
        assert!(ColorChoice::Auto.wants(true, &plain));
        assert!(!ColorChoice::Auto.wants(false, &plain));
        assert!(!ColorChoice::Auto.wants(true, &Environment::of(&[("NO_COLOR", "1")])));
        assert!(ColorChoice::Auto.wants(true, &Environment::of(&[("NO_COLOR", "")])));
        assert!(!ColorChoice::Auto.wants(true, &Environment::of(&[("TERM", "dumb")])));
        assert!(ColorChoice::Always.wants(false, &Environment::of(&[("NO_COLOR", "1")])));
        assert!(!ColorChoice::Never.wants(true, &plain));
    }

    #[test]
    fn a_painter_that_is_off_changes_nothing() {
        assert_eq!(Paint::new(false).bad("x"), "x");
        assert_eq!(Paint::new(true).good("x"), "\x1b[32mx\x1b[0m");
    }
}
