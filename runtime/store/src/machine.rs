//! Who this process is, as far as another process on this or another host can check it.
use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// This process and its host.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) host: String,
    /// Changes with every boot, and is the same in all containers of a host. Empty where it cannot be read.
    pub(crate) boot: String,
    /// A process number means something only within its name space.
    pub(crate) pid_namespace: String,
    pub(crate) pid: u32,
    /// When the process started, in ticks since boot: numbers of processes come again.
    pub(crate) started: u64,
    umask: u32,
}

/// This process.
pub(crate) fn here() -> &'static Machine {
    static HERE: OnceLock<Machine> = OnceLock::new();
    HERE.get_or_init(|| {
        let pid = std::process::id();
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Machine {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            boot: read("/proc/sys/kernel/random/boot_id").trim().to_owned(),
            pid_namespace: fs::read_link("/proc/self/ns/pid")
                .map(|link| link.to_string_lossy().into_owned())
                .unwrap_or_default(),
            pid,
            started: start_of(pid).unwrap_or_default(),
            umask: umask_in(&read("/proc/self/status")).unwrap_or(0o022),
        }
    })
}

impl Machine {
    /// Whether a process of this boot and name space still runs.
    pub(crate) fn runs(pid: u32, started: u64) -> bool {
        start_of(pid) == Some(started)
    }

    /// Enough of the boot's id to tell boots apart in a file's name.
    pub(crate) fn short_boot(&self) -> &str {
        self.boot.get(..8).unwrap_or("unknown0")
    }

    /// The permission bits that a new file may have.
    pub(crate) fn masked(&self, mode: u32) -> u32 {
        mode & !self.umask
    }
}

/// When a process started; `None` where it has ended, also where nobody has fetched its exit code yet.
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything, parentheses too.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Asking the system for the umask sets it, which would race with other threads.
fn umask_in(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}

/// 16 hex digits that no other call, process or host has had.
pub(crate) fn nonce() -> String {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let here = here();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let text = format!("{} {} {} {} {now} {call}", here.host, here.boot, here.pid_namespace, here.pid);
    let mut hex = blake3::hash(text.as_bytes()).to_hex().to_string();
    hex.truncate(16);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_another_start_does_not() {
        let here = here();
        assert!(!here.boot.is_empty() && here.started > 0);
        assert!(Machine::runs(here.pid, here.started));
        assert!(!Machine::runs(here.pid, here.started + 1));
        assert!(!Machine::runs(u32::MAX, 1));
    }

    #[test]
    fn a_process_that_nobody_waited_for_has_ended() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let started = start_of(child.id()).unwrap();
        assert!(Machine::runs(child.id(), started));
        child.kill().unwrap();
        while Machine::runs(child.id(), started) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }

    #[test]
    fn nonces_differ() {
        assert_ne!(nonce(), nonce());
        assert_eq!(nonce().len(), 16);
    }

    #[test]
    fn the_umask_is_read_as_octal() {
        assert_eq!(umask_in("Name:\tx\nUmask:\t0027\n"), Some(0o027));
        assert_eq!(umask_in("Name:\tx\n"), None);
    }
}
