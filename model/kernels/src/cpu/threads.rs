//! Which threads do the parts of an operation: those of [`with_threads`], else one for each core.
use super::memory;
use super::pool::{Pool, Work};
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

thread_local! {
    static CURRENT: RefCell<Option<Arc<Pool>>> = const { RefCell::new(None) };
}

fn of_all_cores() -> &'static Arc<Pool> {
    static ALL: OnceLock<Arc<Pool>> = OnceLock::new();
    ALL.get_or_init(|| Arc::new(Pool::new(std::thread::available_parallelism().map_or(1, usize::from))))
}

/// Does something with so many threads for the operations on the CPU. Memory that they kept to use again is free after it.
pub fn with_threads<T>(threads: usize, work: impl FnOnce() -> T) -> T {
    struct Back(Option<Arc<Pool>>);
    impl Drop for Back {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
            memory::let_go();
        }
    }
    let pool = Arc::new(Pool::new(threads.max(1)));
    let _back = Back(CURRENT.replace(Some(pool)));
    work()
}

/// From here on this thread does parts by itself.
pub(super) fn alone() {
    CURRENT.set(Some(Arc::new(Pool::new(1))));
}

/// Does parts `0..parts` on the threads at hand.
pub(super) fn parts(parts: usize, work: &Work<'_>) {
    let pool = CURRENT.with_borrow(Clone::clone);
    pool.as_ref().unwrap_or_else(|| of_all_cores()).run(parts, work);
}

/// How many threads are at hand.
pub(super) fn count() -> usize {
    CURRENT.with_borrow(|pool| pool.as_ref().unwrap_or_else(|| of_all_cores()).threads())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    #[test]
    fn every_part_is_done_once_however_many_threads_there_are() {
        for threads in [1, 2, 5] {
            with_threads(threads, || {
                for count in [0, 1, 2, 7, 100] {
                    let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                    (0..50).for_each(|_| {
                        parts(count, &|part| {
                            done[part].fetch_add(1, Ordering::Relaxed);
                        });
                    });
                    assert!(done.iter().all(|done| done.load(Ordering::Relaxed) == 50), "{threads} {count}");
                }
            });
        }
    }

    #[test]
    fn parts_may_have_parts_and_others_may_call_too() {
        let sum = AtomicUsize::new(0);
        let work = || {
            parts(8, &|_| {
                parts(8, &|part| {
                    sum.fetch_add(part, Ordering::Relaxed);
                })
            })
        };
        std::thread::scope(|scope| {
            (0..3).for_each(|_| drop(scope.spawn(work)));
        });
        assert_eq!(sum.load(Ordering::Relaxed), 3 * 8 * 28);
    }

    /// Waits until so many came here, or for so long that they never will.
    fn meet(there: &AtomicUsize, many: usize) {
        there.fetch_add(1, Ordering::SeqCst);
        let begin = Instant::now();
        while there.load(Ordering::SeqCst) < many {
            assert!(begin.elapsed().as_secs() < 20, "the other threads are lost");
            std::thread::yield_now();
        }
    }

    #[test]
    fn whoever_does_a_part_does_the_parts_of_that_part() {
        let there = AtomicUsize::new(0);
        let work = || {
            parts(3, &|_| {
                // On three threads, two of which are the pool's.
                meet(&there, 3);
                let own = std::thread::current().id();
                parts(100, &|_| {
                    assert_eq!(std::thread::current().id(), own);
                    // As long as others take to come, if they were called.
                    let begin = Instant::now();
                    while begin.elapsed() < Duration::from_micros(50) {
                        std::thread::yield_now();
                    }
                });
            });
        };
        with_threads(3, work);
    }

    #[test]
    fn a_part_that_panics_ends_the_call_and_not_the_pool() {
        with_threads(3, || {
            for bad in [0, 5, 9] {
                let call = || parts(10, &|part| assert!(part != bad, "on purpose"));
                assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
            }
            let sum = AtomicUsize::new(0);
            parts(10, &|part| {
                sum.fetch_add(part, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 45);
            // All parts are there at once, which fewer threads could not do.
            let there = AtomicUsize::new(0);
            parts(3, &|_| meet(&there, 3));
        });
    }
}
