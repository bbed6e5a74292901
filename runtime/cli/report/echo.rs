//! Keeps the terminal from writing `^C` between bars, which would push one of them out of its place.
use rustix::process::getpgrp;
use rustix::stdio::stderr;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// Control characters are not shown for as long as it lives. A terminal that is left so by `kill -9` works as
/// well as any: it only shows no `^C`.
pub(super) struct Silence {
    before: Option<Termios>,
}

impl Silence {
    /// Begins, where this process is the one that the terminal listens to.
    pub(super) fn start() -> Self {
        let before = tcgetattr(stderr()).ok().filter(|_| in_front());
        let quiet = before.clone().map(|mut modes| {
            modes.local_modes.remove(LocalModes::ECHOCTL);
            modes
        });
        let done = quiet.is_some_and(|modes| tcsetattr(stderr(), OptionalActions::Now, &modes).is_ok());
        Self { before: before.filter(|_| done) }
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Some(before) = self.before.take().filter(|_| in_front()) {
            let _ = tcsetattr(stderr(), OptionalActions::Now, &before);
        }
    }
}

/// A process in the background that touches the terminal is stopped by the system.
fn in_front() -> bool {
    tcgetpgrp(stderr()).is_ok_and(|group| group == getpgrp())
}
