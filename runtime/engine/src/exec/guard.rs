//! No process of a stage outlives it: orphans are adopted, leftovers are ended, and the engine's death is ours.
use rustix::process::{Pid, Signal, WaitOptions};
use std::io::Read;

/// Processes whose parents ended become children of this one, so that they can be found.
pub(super) fn adopt_orphans() {
    // Without it a stage's daemons escape; the stage itself still runs, and the group is ended by the engine.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Waits in a thread for the engine's end of standard input to close, and then ends everything, itself last.
pub(super) fn die_with_the_engine() {
    std::thread::spawn(|| {
        let mut nothing = [0u8; 64];
        // The engine never writes: this returns when it closes its end, by will or by death.
        while std::io::stdin().read(&mut nothing).is_ok_and(|read| read > 0) {}
        end_children();
        let _ = rustix::process::kill_current_process_group(Signal::KILL);
        std::process::abort();
    });
}

/// Kills all descendants. Their orphans come to us, so children are looked for until there are none. The system is
/// asked first whether there are any: looking through /proc costs every stage more than most stages leave behind.
pub(super) fn end_children() {
    for _ in 0..1000 {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => continue,
            Ok(None) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
        }
        for child in children() {
            let _ = rustix::process::kill_process(child, Signal::KILL);
            // One that another thread waits for is gone from the list all the same.
            let _ = rustix::process::waitpid(Some(child), WaitOptions::empty());
        }
    }
}

/// The processes that this one is the parent of, from any of its threads.
fn children() -> Vec<Pid> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|line| line.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<i32>>())
        .filter_map(Pid::from_raw)
        .collect()
}
