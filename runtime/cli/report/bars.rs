//! Bars, where somebody looks at a terminal: a line for each running stage, one for the whole, the past above.
use super::Reporter;
use super::board::Board;
use super::echo::Silence;
use super::going::TICK;
use super::summary::Summary;
use crate::terminal::Terminal;
use indicatif::ProgressDrawTarget;
use muse_runtime::event::{Event, EventKind};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

/// Draws a second at most.
const DRAWS: u8 = 12;

/// Draws bars on standard error.
pub(crate) struct Bars {
    terminal: Terminal,
    summary: Summary,
    board: Arc<Mutex<Board>>,
    ticker: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
    silence: Option<Silence>,
}

impl Bars {
    /// Bars on this terminal. `interrupts` counts how often the user asked to stop.
    pub(crate) fn new(terminal: Terminal, interrupts: Arc<AtomicU32>) -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(DRAWS);
        let board = Board::new(terminal, target, interrupts);
        Self { terminal, summary: Summary::default(), board, ticker: None, silence: None }
    }

    /// One thread moves all lines. It ends when its channel closes.
    fn start_ticking(&mut self) {
        let (stop, stopped) = mpsc::channel();
        let board = self.board.clone();
        let thread = std::thread::Builder::new().name("bars".into()).spawn(move || {
            while stopped.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                board.lock().unwrap_or_else(PoisonError::into_inner).tick();
            }
        });
        // Without the thread lines move when something happens, and no other time.
        self.ticker = thread.ok().map(|thread| (stop, thread));
    }

    fn stop_ticking(&mut self) {
        if let Some((stop, thread)) = self.ticker.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl Reporter for Bars {
    fn event(&mut self, event: &Event) {
        self.summary.observe(event);
        let begins = matches!(event.kind, EventKind::RunStarted { .. } | EventKind::Pinning { .. });
        if begins && self.ticker.is_none() {
            self.start_ticking();
            self.silence = Some(Silence::start());
        }
        let end = matches!(event.kind, EventKind::RunFinished { .. });
        if end {
            self.stop_ticking();
            self.silence = None;
        }
        self.board.lock().unwrap_or_else(PoisonError::into_inner).take(event);
        if end {
            self.terminal.tell(&self.summary.text(event, self.terminal.paint));
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.stop_ticking();
        self.board.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
