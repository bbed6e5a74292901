//! Threads that wait for work with open eyes: an operation of a model takes less time than it takes to wake a thread.
//!
//! One thread hands out numbered parts, takes some of them itself, and goes on when all are done. The others spin for a while
//! and then sleep. Which thread does which part is chance; what a part is never depends on the threads.
use super::threads;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;

/// How often a thread looks before it lets others have the core between two looks: some ten microseconds.
const SPINS: u32 = 1 << 10;
/// How often it looks in all before it sleeps: some milliseconds.
const LOOKS: u32 = 1 << 13;

/// Parts to be done, and a function that does one.
pub(super) type Work<'a> = dyn Fn(usize) + Sync + 'a;

/// A call for work. The function lives until the call is over, whatever its type says.
#[derive(Clone, Copy)]
struct Call {
    parts: usize,
    work: &'static Work<'static>,
}

struct Shared {
    /// Another number for each call.
    round: AtomicU64,
    call: Mutex<Option<Call>>,
    /// The next part that nobody took.
    next: AtomicUsize,
    /// Threads that may still look at the call.
    busy: AtomicUsize,
    failed: AtomicBool,
    over: AtomicBool,
    asleep: Mutex<usize>,
    wake: Condvar,
}

/// A number of threads, this one counted.
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// One call at a time.
    turn: Mutex<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub(super) fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            round: AtomicU64::new(0),
            call: Mutex::new(None),
            next: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            over: AtomicBool::new(false),
            asleep: Mutex::new(0),
            wake: Condvar::new(),
        });
        let start = |_| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("muse-cpu".into()).spawn(move || serve(&shared))
        };
        // With fewer threads than were asked for all goes well, and slower.
        let threads = (1..threads).map(start).filter_map(Result::ok).collect();
        Self { shared, threads, turn: Mutex::new(()) }
    }

    /// How many there are.
    pub(super) fn threads(&self) -> usize {
        1 + self.threads.len()
    }

    /// Does all parts, and comes back when they are done.
    pub(super) fn run(&self, parts: usize, work: &Work<'_>) {
        let turn = if self.threads.is_empty() || parts < 2 { None } else { self.free() };
        // A part that asks for parts of its own does them itself.
        let Some(_turn) = turn else { return (0..parts).for_each(work) };
        let shared = &*self.shared;
        // SAFETY: the reference is taken away again below, and this function does not end before no thread holds it: those
        // that took it are counted in `busy`.
        #[expect(unsafe_code, reason = "threads that live longer than the work")]
        let work = unsafe { std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) };
        shared.next.store(0, Ordering::Relaxed);
        shared.failed.store(false, Ordering::Relaxed);
        *locked(&shared.call) = Some(Call { parts, work });
        shared.round.fetch_add(1, Ordering::Release);
        if *locked(&shared.asleep) > 0 {
            shared.wake.notify_all();
        }
        let own = catch_unwind(AssertUnwindSafe(|| shared.take_parts(Call { parts, work })));
        *locked(&shared.call) = None;
        let mut looks = 0;
        while shared.busy.load(Ordering::Acquire) > 0 {
            look_away(&mut looks);
        }
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        assert!(!shared.failed.load(Ordering::Relaxed), "a part of an operation failed");
    }

    /// The turn, where no other call has it. One that ended in a panic has it no more.
    fn free(&self) -> Option<MutexGuard<'_, ()>> {
        match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Shared {
    fn take_parts(&self, call: Call) {
        loop {
            let part = self.next.fetch_add(1, Ordering::Relaxed);
            if part >= call.parts {
                return;
            }
            (call.work)(part);
        }
    }
}

/// Waits a little between two looks. Whoever waits long may keep the one from its core that it waits for.
fn look_away(looks: &mut u32) {
    *looks = looks.saturating_add(1);
    if *looks < SPINS {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

/// What a thread does all its life.
fn serve(shared: &Shared) {
    // A part that asks for parts of its own does them itself, and not on the threads of all cores.
    threads::alone();
    let mut seen = 0;
    loop {
        let mut looks = 0;
        while shared.round.load(Ordering::Acquire) == seen {
            if shared.over.load(Ordering::Relaxed) {
                return;
            }
            look_away(&mut looks);
            if looks < LOOKS {
                continue;
            }
            let mut asleep = locked(&shared.asleep);
            *asleep += 1;
            while shared.round.load(Ordering::Acquire) == seen && !shared.over.load(Ordering::Relaxed) {
                asleep = shared.wake.wait(asleep).unwrap_or_else(PoisonError::into_inner);
            }
            *asleep -= 1;
        }
        seen = shared.round.load(Ordering::Acquire);
        let call = {
            let call = locked(&shared.call);
            // Counted while the call cannot be taken away.
            shared.busy.fetch_add(usize::from(call.is_some()), Ordering::Relaxed);
            *call
        };
        let Some(call) = call else { continue };
        if catch_unwind(AssertUnwindSafe(|| shared.take_parts(call))).is_err() {
            shared.failed.store(true, Ordering::Relaxed);
        }
        shared.busy.fetch_sub(1, Ordering::Release);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        {
            let _asleep = locked(&self.shared.asleep);
            self.shared.wake.notify_all();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sleeps_is_woken() {
        let pool = Pool::new(2);
        // Until the other thread sleeps.
        while *locked(&pool.shared.asleep) == 0 {
            std::thread::yield_now();
        }
        let ids = Mutex::new(std::collections::HashSet::new());
        // Each waits for the other, so both must come.
        let met = AtomicUsize::new(0);
        pool.run(2, &|_| {
            locked(&ids).insert(std::thread::current().id());
            met.fetch_add(1, Ordering::SeqCst);
            while met.load(Ordering::SeqCst) < 2 {
                std::thread::yield_now();
            }
        });
        assert_eq!(locked(&ids).len(), 2);
    }
}
