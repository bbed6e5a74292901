//! How often and after how long something is tried again.
use super::NetError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Tries in a row that bring nothing before it is given up.
const TRIES: u32 = 6;
/// The first wait; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait of our own, and the longest that a server may ask for.
const LONGEST: Duration = Duration::from_secs(60);
const LONGEST_ASKED: Duration = Duration::from_secs(600);
/// How long a wait may go on after the stage was told to stop.
const GLANCE: Duration = Duration::from_millis(50);

/// What waits. Tests put one here that only remembers.
pub(crate) type Clock = Arc<dyn Fn(Duration) + Send + Sync>;

/// Waits between tries.
#[derive(Clone)]
pub(crate) struct Patience {
    clock: Clock,
    stop: Arc<AtomicBool>,
}

impl Patience {
    /// Waits that end early when `stop` turns true.
    pub(crate) fn new(stop: Arc<AtomicBool>) -> Self {
        let seen = Arc::clone(&stop);
        let clock = move |wait: Duration| {
            let mut left = wait;
            while !left.is_zero() && !seen.load(Ordering::Relaxed) {
                let piece = left.min(GLANCE);
                std::thread::sleep(piece);
                left -= piece;
            }
        };
        Self { clock: Arc::new(clock), stop }
    }

    /// The same with another clock.
    #[cfg(test)]
    pub(crate) fn with_clock(stop: Arc<AtomicBool>, clock: Clock) -> Self {
        Self { clock, stop }
    }

    /// Whether the stage was told to stop.
    pub(crate) fn go_on(&self) -> Result<(), NetError> {
        if self.stop.load(Ordering::Relaxed) { Err(NetError::Stopped) } else { Ok(()) }
    }

    /// Tries until it works, or there is no sense in it. `work` answers how many bytes came also where it fails:
    /// as long as some come, it goes on.
    pub(crate) fn insist<T>(
        &self,
        mut work: impl FnMut(&mut u64) -> Result<T, NetError>,
    ) -> Result<T, NetError> {
        let mut failed = 0;
        loop {
            self.go_on()?;
            let mut came = 0;
            let (message, help, after) = match work(&mut came) {
                Err(NetError::Passing { message, help, after }) => (message, help, after),
                end => return end,
            };
            failed = if came > 0 { 1 } else { failed + 1 };
            if failed >= TRIES {
                let message = format!("{message}; given up after {TRIES} tries");
                return Err(NetError::Lasting { message, help });
            }
            let own = FIRST.saturating_mul(1 << (failed - 1)).min(LONGEST);
            if let Some(asked) = after.filter(|asked| *asked > LONGEST_ASKED) {
                let message = format!("{message}; it asks to wait for {} s", asked.as_secs());
                return Err(NetError::Lasting { message, help });
            }
            // After a cut that brought something, the next request need not wait.
            if came == 0 || after.is_some() {
                (self.clock)(after.unwrap_or(own));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn patience() -> (Patience, Arc<Mutex<Vec<u64>>>) {
        let waits = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&waits);
        let clock: Clock = Arc::new(move |wait| seen.lock().unwrap().push(wait.as_secs()));
        (Patience::with_clock(Arc::default(), clock), waits)
    }

    #[test]
    fn waits_grow_and_come_to_an_end() {
        let (patience, waits) = patience();
        let end = patience.insist::<()>(|_| Err(NetError::passing("no")));
        let Err(NetError::Lasting { message, .. }) = end else { panic!("{end:?}") };
        assert_eq!(message, "no; given up after 6 tries");
        assert_eq!(*waits.lock().unwrap(), [1, 2, 4, 8, 16]);
    }

    #[test]
    fn what_the_server_asks_for_counts_and_bytes_start_over() {
        let (patience, waits) = patience();
        let mut calls = 0;
        let end = patience.insist(|came| {
            calls += 1;
            match calls {
                1 => Err(NetError::Passing {
                    message: "m".into(),
                    help: None,
                    after: Some(Duration::from_secs(7)),
                }),
                2..20 => {
                    *came = 1;
                    Err(NetError::passing("cut"))
                }
                20 => Err(NetError::passing("no")),
                _ => Ok(calls),
            }
        });
        assert!(matches!(end, Ok(21)), "{end:?}");
        assert_eq!(*waits.lock().unwrap(), [7, 2]);
        let long = Duration::from_secs(3600);
        let end = patience
            .insist::<()>(|_| Err(NetError::Passing { message: "m".into(), help: None, after: Some(long) }));
        let Err(NetError::Lasting { message, .. }) = end else { panic!("{end:?}") };
        assert_eq!(message, "m; it asks to wait for 3600 s");
    }

    #[test]
    fn a_stop_ends_it() {
        let stop = Arc::new(AtomicBool::new(true));
        assert!(matches!(Patience::new(stop).insist(|_| Ok(())), Err(NetError::Stopped)));
    }
}
