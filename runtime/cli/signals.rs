//! SIGINT and SIGTERM: the first asks stages to save their work and stop, the second kills them.
use crate::exit;
use crate::failure::{CliError, plain_io};
use crate::terminal::Terminal;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// Listens for as long as it lives.
pub(crate) struct Watch {
    count: Arc<AtomicU32>,
    handle: Handle,
}

impl Watch {
    /// Begins to listen. `heard` is told how many signals there were, each time one comes.
    pub(crate) fn start(heard: impl Fn(u32) + Send + 'static) -> Result<Self, CliError> {
        let wrong = |error: std::io::Error| {
            CliError::new(exit::FAILED, format!("cannot listen for signals: {}", plain_io(&error)))
        };
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(wrong)?;
        let watch = Self { count: Arc::default(), handle: signals.handle() };
        let count = watch.count.clone();
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for _ in signals.forever() {
                    heard(count.fetch_add(1, Ordering::SeqCst).saturating_add(1));
                }
            })
            .map_err(wrong)?;
        Ok(watch)
    }

    /// The same, telling on this terminal what is done about it, but where bars say so in lines of their own.
    pub(crate) fn telling(terminal: Terminal) -> Result<Self, CliError> {
        Self::start(move |count| {
            if !terminal.live {
                terminal.say(stopping(count));
            }
        })
    }

    /// How many came so far: 0 is none, 1 is stop, 2 and more is kill. A run looks at it.
    pub(crate) fn count(&self) -> &AtomicU32 {
        &self.count
    }

    /// The same, for who outlives the watch.
    pub(crate) fn shared(&self) -> Arc<AtomicU32> {
        self.count.clone()
    }

    /// As if one had come: a reader of `--json` that went away ends a run like Ctrl-C.
    pub(crate) fn interrupt(&self) {
        self.count.fetch_max(1, Ordering::SeqCst);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.handle.close();
    }
}

/// What signals are answered with; nothing where none came.
pub(crate) fn stopping(count: u32) -> &'static str {
    match count {
        0 => "",
        1 => "stopping: stages save their work; once more kills them",
        _ => "killing what still runs",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn signals_are_counted() {
        let (sender, receiver) = mpsc::channel();
        let watch = Watch::start(move |count| sender.send(count).unwrap()).unwrap();
        assert_eq!(watch.count().load(Ordering::SeqCst), 0);
        for expected in 1..=2 {
            signal_hook::low_level::raise(SIGTERM).unwrap();
            assert_eq!(receiver.recv_timeout(Duration::from_secs(10)), Ok(expected));
        }
        watch.interrupt();
        assert_eq!(watch.count().load(Ordering::SeqCst), 2);
    }
}
