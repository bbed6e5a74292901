//! What this machine has to offer: cores, memory, GPUs.
use crate::environment::Environment;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long `nvidia-smi` may take. A driver that hangs must not hang muse.
const PATIENCE: Duration = Duration::from_secs(2);

/// What stages may share.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Machine {
    /// Threads that may run at a time: the affinity mask and the limit of the control group are respected.
    pub(crate) cores: u32,
    /// Memory in bytes, or the control group's limit where that is less; 0 where the system does not say.
    pub(crate) memory_bytes: u64,
    /// The GPUs that `CUDA_VISIBLE_DEVICES` leaves.
    pub(crate) gpus: Vec<Gpu>,
}

/// One GPU.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Gpu {
    /// What stands in `CUDA_VISIBLE_DEVICES` to choose it: the caller's own word for it, else its UUID.
    pub(crate) id: String,
    /// Its number: `cuda:N`.
    pub(crate) index: u32,
    /// Its name.
    pub(crate) name: String,
    /// Its memory in bytes; 0 where that is not known.
    pub(crate) memory: u64,
    /// Its free memory in bytes.
    pub(crate) free: u64,
}

impl Machine {
    /// Cores and memory alone, for work that wants no GPU.
    pub(crate) fn without_gpus() -> Self {
        let cores =
            thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
        Self { cores, memory_bytes: memory(), gpus: Vec::new() }
    }
}

/// The least of what the machine has and what the control groups above this process allow.
fn memory() -> u64 {
    let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory(&text)).unwrap_or(0);
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let root = Path::new("/sys/fs/cgroup");
    let folder = root.join(group);
    let limits = folder
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .filter_map(|folder| fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse::<u64>().ok());
    let old = fs::read_to_string(root.join("memory/memory.limit_in_bytes")).ok();
    let old = old.and_then(|text| text.trim().parse::<u64>().ok());
    limits.chain(old).fold(total, |least, limit| if total == 0 { limit } else { least.min(limit) })
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The NVIDIA driver, as far as it answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Driver {
    /// Its version, where the kernel has one loaded.
    pub(crate) version: Option<String>,
    /// All GPUs that it has, whatever `CUDA_VISIBLE_DEVICES` says.
    pub(crate) gpus: Vec<Gpu>,
    /// Why `nvidia-smi` said nothing, where there is a driver to ask.
    pub(crate) silent: Option<String>,
}

impl Driver {
    /// Asks the kernel, then `nvidia-smi`.
    pub(crate) fn detect() -> Self {
        let loaded = fs::read_to_string("/proc/driver/nvidia/version").ok();
        let version = loaded.as_deref().and_then(loaded_version);
        if version.is_none() && !Path::new("/dev/nvidiactl").exists() {
            return Self::default();
        }
        let mut driver = Self { version, gpus: gpus_of_kernel(), silent: None };
        match ask_smi() {
            Ok(text) => {
                let (gpus, version) = read_smi(&text);
                driver.gpus = gpus;
                driver.version = driver.version.or(version);
            }
            Err(why) => driver.silent = Some(why),
        }
        driver
    }

    /// The GPUs that `CUDA_VISIBLE_DEVICES` leaves, in its order, numbered as CUDA will number them.
    pub(crate) fn visible(&self, environment: &Environment) -> Vec<Gpu> {
        let Some(list) = environment.set("CUDA_VISIBLE_DEVICES") else { return self.gpus.clone() };
        let mut visible = Vec::new();
        for word in list.split(',').map(str::trim) {
            let known = self.gpus.iter().find(|gpu| match word.parse::<u32>() {
                Ok(number) => gpu.index == number,
                Err(_) => word.starts_with("GPU-") && gpu.id.starts_with(word),
            });
            let index = u32::try_from(visible.len()).unwrap_or(u32::MAX);
            visible.push(match known {
                Some(gpu) => Gpu { id: word.to_owned(), index, ..gpu.clone() },
                // A slice of a GPU is listed nowhere else.
                None if word.starts_with("MIG-") && !self.gpus.is_empty() => {
                    Gpu { id: word.to_owned(), index, name: "MIG slice".into(), memory: 0, free: 0 }
                }
                // CUDA stops at the first word that names nothing.
                None => break,
            });
        }
        visible
    }
}

/// `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar …`, with or without `Open`.
fn loaded_version(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("NVRM version:"))?;
    let number =
        |word: &&str| word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    line.split_whitespace().find(number).map(str::to_owned)
}

/// Names of GPUs from the kernel's own files, for where `nvidia-smi` is not installed. They tell no memory.
fn gpus_of_kernel() -> Vec<Gpu> {
    let mut folders: Vec<_> = fs::read_dir("/proc/driver/nvidia/gpus")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    let texts = folders.iter().filter_map(|folder| fs::read_to_string(folder.join("information")).ok());
    texts
        .zip(0..)
        .map(|(text, index)| {
            let value = |key: &str| {
                let line =
                    text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'));
                line.map(|value| value.trim().to_owned())
            };
            Gpu {
                id: value("GPU UUID").unwrap_or_else(|| index.to_string()),
                index,
                name: value("Model").unwrap_or_else(|| "NVIDIA GPU".into()),
                memory: 0,
                free: 0,
            }
        })
        .collect()
}

fn ask_smi() -> Result<String, String> {
    ask(Command::new("nvidia-smi").args([
        "--query-gpu=index,uuid,name,memory.total,memory.free,driver_version",
        "--format=csv,noheader",
    ]))
}

/// What a program prints, unless it takes too long.
fn ask(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("`{name}`: {}", crate::failure::plain_io(&error)))?;
    let Some(mut stdout) = child.stdout.take() else { return Err(format!("`{name}` has no output")) };
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| String::from_utf8_lossy(&bytes).into_owned())
    });
    let asked = Instant::now();
    let mut pause = Duration::from_millis(1);
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Ok(status),
            Ok(None) if asked.elapsed() < PATIENCE => thread::sleep(pause),
            Ok(None) => break Err(format!("`{name}` did not answer in {} s", PATIENCE.as_secs())),
            Err(error) => break Err(format!("`{name}`: {error}")),
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    };
    match ended {
        Ok(status) if status.success() => match reader.join() {
            Ok(Ok(text)) => Ok(text),
            _ => Err(format!("`{name}` cannot be read")),
        },
        Ok(status) => Err(format!("`{name}` failed: {status}")),
        Err(why) => {
            // Where it cannot even be killed it waits for the driver; its reader ends with this process.
            let _ = child.kill();
            Err(why)
        }
    }
}

/// Lines of `index, uuid, name, memory.total, memory.free, driver_version`.
fn read_smi(text: &str) -> (Vec<Gpu>, Option<String>) {
    let mut version = None;
    let gpus = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let [index, uuid, name, total, free, driver] = cells.as_slice() else { return None };
        version = version.take().or_else(|| Some((*driver).to_owned()));
        Some(Gpu {
            id: (*uuid).to_owned(),
            index: index.parse().ok()?,
            name: (*name).to_owned(),
            memory: mebibytes(total),
            free: mebibytes(free),
        })
    });
    let gpus = gpus.collect();
    (gpus, version)
}

/// `143771 MiB`; 0 for `[N/A]`.
fn mebibytes(text: &str) -> u64 {
    let number = text.strip_suffix("MiB").and_then(|number| number.trim().parse::<u64>().ok());
    number.and_then(|number| number.checked_mul(1 << 20)).unwrap_or(0)
}

/// The GPUs that stages may use, as CUDA names them. Asks the kernel alone, which answers at once.
pub(crate) fn visible_gpus(environment: &Environment) -> Vec<String> {
    let driver = Driver { gpus: gpus_of_kernel(), ..Driver::default() };
    driver.visible(environment).into_iter().map(|gpu| gpu.id).collect()
}

/// The memory of each of these GPUs; 0 where the driver does not say. It may take its time.
pub(crate) fn memory_of(gpus: &[String], environment: &Environment) -> Vec<u64> {
    let found = Driver::detect().visible(environment);
    let memory = |id: &String| found.iter().find(|gpu| gpu.id == *id).map_or(0, |gpu| gpu.memory);
    gpus.iter().map(memory).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMI: &str = "\
0, GPU-6a2f, NVIDIA H200, 143771 MiB, 143000 MiB, 570.86.15
1, GPU-77b0, NVIDIA H200, 143771 MiB, [N/A], 570.86.15
a line that is no answer
";

    fn driver() -> Driver {
        Driver { version: None, gpus: read_smi(SMI).0, silent: None }
    }

    #[test]
    fn the_driver_is_read() {
        let (gpus, version) = read_smi(SMI);
        assert_eq!(version.as_deref(), Some("570.86.15"));
        assert_eq!(gpus.len(), 2);
        assert_eq!((gpus[0].memory, gpus[1].free, gpus[1].id.as_str()), (143_771 << 20, 0, "GPU-77b0"));
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\nGCC version: 12.3";
        assert_eq!(loaded_version(open).as_deref(), Some("570.86.15"));
        assert_eq!(loaded_version("nothing"), None);
    }

    #[test]
    fn cuda_visible_devices_chooses_and_orders() {
        let visible = |list: &str| -> Vec<(String, u32, u64)> {
            let gpus = driver().visible(&Environment::of(&[("CUDA_VISIBLE_DEVICES", list)]));
            gpus.into_iter().map(|gpu| (gpu.id, gpu.index, gpu.memory >> 20)).collect()
        };
        assert_eq!(visible("1,0"), [("1".into(), 0, 143_771), ("0".into(), 1, 143_771)]);
        assert_eq!(visible("GPU-77"), [("GPU-77".into(), 0, 143_771)]);
        assert_eq!(visible("0,-1,1"), [("0".into(), 0, 143_771)]);
        assert_eq!(visible("MIG-1"), [("MIG-1".into(), 0, 0)]);
        assert_eq!(visible(""), []);
        assert_eq!(driver().visible(&Environment::of(&[])).len(), 2);
    }

    #[test]
    fn memory_is_read() {
        assert_eq!(total_memory("MemTotal:       16303428 kB\nMemFree: 1 kB\n"), Some(16_303_428 << 10));
        assert_eq!(total_memory("MemTotal: lots"), None);
        let machine = Machine::without_gpus();
        assert!(machine.cores >= 1 && machine.memory_bytes > 1 << 20, "{machine:?}");
    }

    #[test]
    fn a_program_that_is_not_there_or_fails_is_named() {
        assert_eq!(ask(Command::new("echo").arg("hi")).unwrap(), "hi\n");
        let gone = ask(&mut Command::new("no-such-program-here")).unwrap_err();
        assert_eq!(gone, "`no-such-program-here`: no such file or directory");
        assert!(ask(&mut Command::new("false")).unwrap_err().starts_with("`false` failed"));
    }
}
