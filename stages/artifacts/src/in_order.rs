//! Work on many items at once, results in the order of the items, and never more of them in memory than threads need.
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};

/// How many items may be under way for each thread: those worked on, and as many that wait for an earlier one.
const AHEAD: usize = 2;

struct Shared<I, R> {
    items: std::iter::Fuse<I>,
    /// The number of the next item that a thread takes.
    next: usize,
    /// The number of the next result that the sink takes.
    wanted: usize,
    done: BTreeMap<usize, R>,
    /// Threads that still work.
    working: usize,
    /// The sink has ended, or something panicked: nobody wants more.
    over: bool,
}

/// Does `work` on each item with `threads` threads, and hands the results to `sink` on the calling thread, in the
/// order of the items whatever thread was quicker. The first error, in that order, ends it and is the answer.
pub fn in_order<T, R, E>(
    threads: usize,
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> Result<R, E> + Sync,
    mut sink: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E>
where
    T: Send,
    R: Send,
    E: Send,
{
    let threads = threads.max(1);
    let shared = Mutex::new(Shared {
        items: items.fuse(),
        next: 0,
        wanted: 0,
        done: BTreeMap::new(),
        working: threads,
        over: false,
    });
    let changed = Condvar::new();
    let lock = || shared.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        // Also when the sink panics, or the threads would wait for ever.
        let _over = OnDrop(|| {
            lock().over = true;
            changed.notify_all();
        });
        for _ in 0..threads {
            scope.spawn(|| {
                // Also when `work` panics, or the sink and other threads would wait for its result for ever.
                let _leave = OnDrop(|| {
                    let mut state = lock();
                    state.working -= 1;
                    state.over |= std::thread::panicking();
                    changed.notify_all();
                });
                loop {
                    let mut state = lock();
                    while !state.over && state.next - state.wanted >= threads * AHEAD {
                        state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    }
                    let item = if state.over { None } else { state.items.next() };
                    let Some(item) = item else { return };
                    let number = state.next;
                    state.next += 1;
                    drop(state);
                    let result = work(item);
                    lock().done.insert(number, result);
                    changed.notify_all();
                }
            });
        }
        loop {
            let mut state = lock();
            let wanted = state.wanted;
            if let Some(result) = state.done.remove(&wanted) {
                state.wanted += 1;
                drop(state);
                changed.notify_all();
                if let Err(error) = result.and_then(&mut sink) {
                    break Err(error);
                }
            } else if state.working == 0 {
                break Ok(());
            } else {
                drop(changed.wait(state).unwrap_or_else(PoisonError::into_inner));
            }
        }
    })
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn results_come_in_order_and_memory_is_bounded() {
        let (begun, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        for threads in [1, 2, 7] {
            begun.store(0, Ordering::SeqCst);
            taken.store(0, Ordering::SeqCst);
            let mut seen = Vec::new();
            let work = |number: usize| {
                begun.fetch_add(1, Ordering::SeqCst);
                // Early items take longest, so that later ones overtake them.
                (0..(500 - number) * 50).for_each(|at| _ = std::hint::black_box(at));
                let under_way = begun.load(Ordering::SeqCst) - taken.load(Ordering::SeqCst);
                assert!(under_way <= threads * AHEAD + 1, "{under_way} at once");
                Ok::<_, ()>(number)
            };
            in_order(threads, 0..500, work, |number| {
                taken.fetch_add(1, Ordering::SeqCst);
                seen.push(number);
                Ok(())
            })
            .unwrap();
            assert_eq!(seen, (0..500).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_error_in_order_is_the_answer() {
        let work = |number: usize| if number % 100 == 42 { Err(number) } else { Ok(number) };
        let mut last = 0;
        let ended = in_order(3, 0.., work, |number| {
            last = number;
            Ok(())
        });
        assert_eq!((ended, last), (Err(42), 41));
        assert_eq!(in_order(3, 0.., Ok, |number| if number == 9 { Err(9) } else { Ok(()) }), Err(9));
    }

    #[test]
    fn a_panic_ends_it_wherever_it_happens() {
        for in_sink in [false, true] {
            let (tell, told) = std::sync::mpsc::channel();
            // On a thread of its own, so that waiting for ever would be a failure.
            std::thread::spawn(move || {
                let fail = |number: usize, here: bool| assert!(!here || number != 42, "as is wanted here");
                let work = |number| {
                    fail(number, !in_sink);
                    Ok::<_, ()>(number)
                };
                let all = || {
                    in_order(3, 0.., work, |number| {
                        fail(number, in_sink);
                        Ok(())
                    })
                };
                tell.send(std::panic::catch_unwind(std::panic::AssertUnwindSafe(all)).is_err())
            });
            let patience = std::time::Duration::from_secs(60);
            assert_eq!(told.recv_timeout(patience), Ok(true), "in the sink: {in_sink}");
        }
    }
}
