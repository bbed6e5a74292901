//! `-q`: nothing but what went wrong, at the end.
use super::Reporter;
use super::summary::Summary;
use crate::terminal::Terminal;
use muse_runtime::event::{Event, EventKind, RunOutcome};

/// Tells failures.
pub(crate) struct Quiet {
    terminal: Terminal,
    summary: Summary,
}

impl Quiet {
    /// For this terminal.
    pub(crate) fn new(terminal: Terminal) -> Self {
        Self { terminal, summary: Summary::default() }
    }
}

impl Reporter for Quiet {
    fn event(&mut self, event: &Event) {
        self.summary.observe(event);
        if let EventKind::RunFinished { outcome, .. } = &event.kind
            && *outcome != RunOutcome::Done
        {
            self.terminal.tell(&self.summary.text(event, self.terminal.paint));
        }
    }
}
