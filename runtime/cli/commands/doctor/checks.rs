//! Checks of the machine itself: cores, memory, driver, GPUs, the hub token.
use super::{Check, Mark, Needs};
use crate::environment::Environment;
use crate::format::{bytes, plural};
use crate::machine::{Driver, Gpu, Machine};
use muse_stages::bench::GpuLibrary;
use std::path::PathBuf;

/// The first driver that knows CUDA 12, which muse is built against.
const OLDEST_DRIVER: u32 = 525;

/// Cores and memory.
pub(super) fn machine(machine: &Machine, needs: &Needs) -> Vec<Check> {
    let alone = |what: String| format!("a stage reserves {what}: it will have this machine to itself");
    let cores = plural(machine.cores as usize, "core");
    let cores = if needs.cores > machine.cores {
        Check::not_ok(Mark::Warn, "cores", cores, alone(needs.cores.to_string()))
    } else {
        Check::ok("cores", cores)
    };
    let found = bytes(machine.memory_bytes);
    let memory = match machine.memory_bytes {
        0 => Check::not_ok(Mark::Warn, "memory", "unknown", "stages that reserve memory are not held back"),
        memory if needs.memory > memory => {
            Check::not_ok(Mark::Warn, "memory", found, alone(bytes(needs.memory)) + ", and may not fit")
        }
        _ => Check::ok("memory", found),
    };
    vec![cores, memory]
}

/// The driver and what it drives.
pub(super) fn gpus(driver: &Driver, visible: &[Gpu], needs: &Needs) -> Vec<Check> {
    let missing = if needs.gpus > 0 { Mark::Error } else { Mark::Warn };
    let Some(version) = &driver.version else {
        let help = if needs.gpus > 0 {
            "the pipeline reserves a GPU: run it where there is an NVIDIA driver, or lower `resources.gpu`"
        } else {
            "stages run on the processor"
        };
        return vec![Check::not_ok(missing, "gpu", "no NVIDIA driver", help)];
    };
    let mut checks = Vec::new();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    checks.push(if major.is_some_and(|major| major < OLDEST_DRIVER) {
        let help = format!("CUDA needs {OLDEST_DRIVER} or newer");
        Check::not_ok(missing, "driver", format!("NVIDIA {version}"), help)
    } else {
        Check::ok("driver", format!("NVIDIA {version}"))
    });
    for gpu in visible {
        let memory = match (gpu.free, gpu.memory) {
            (_, 0) => String::new(),
            (free, all) => format!(", {} free of {}", bytes(free), bytes(all)),
        };
        let found = format!("cuda:{} {}{memory}", gpu.index, gpu.name);
        let nearly_full = gpu.memory > 0 && gpu.free < gpu.memory / 10;
        checks.push(if nearly_full {
            Check::not_ok(Mark::Warn, "gpu", found, "another process holds its memory: see `nvidia-smi`")
        } else {
            Check::ok("gpu", found)
        });
    }
    let count = u32::try_from(visible.len()).unwrap_or(u32::MAX);
    if let Some(why) = &driver.silent {
        checks.push(Check::not_ok(Mark::Warn, "nvidia-smi", why, "free memory is not known"));
    }
    if count < needs.gpus.max(1) {
        let found = format!("{} of {}", count, needs.gpus.max(1));
        let found = if count == 0 { "none visible".to_owned() } else { found };
        let help = if driver.gpus.is_empty() {
            "the driver lists none: in a container, start it with its GPUs"
        } else {
            "`CUDA_VISIBLE_DEVICES` hides some"
        };
        checks.push(Check::not_ok(missing, "gpu", found, help));
    }
    checks
}

/// What CUDA's toolkit brings: kernels are compiled and matrices multiplied by it.
pub(super) fn libraries(libraries: &[GpuLibrary], needs: &Needs) -> Vec<Check> {
    let check = |library: &GpuLibrary| {
        if library.there {
            return Check::ok("cuda", format!("{} is there", library.name));
        }
        let mark = if library.needed && needs.gpus > 0 { Mark::Error } else { Mark::Warn };
        Check::not_ok(mark, "cuda", format!("no {}", library.name), library.without())
    };
    libraries.iter().map(check).collect()
}

/// The token of the hub. Its value is never read.
pub(super) fn token(environment: &Environment, needs: &Needs) -> Check {
    let in_variable = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]
        .into_iter()
        .find(|name| environment.text(name).is_some())
        .map(|name| format!("`{name}` is set"));
    let found = in_variable.or_else(|| {
        let file = token_file(environment)?;
        file.metadata().is_ok_and(|about| about.len() > 0).then(|| format!("in {}", file.display()))
    });
    match found {
        Some(found) => Check::ok("hub token", found),
        None if needs.token => {
            let help = "the pipeline asks for it: set `HF_TOKEN`";
            Check::not_ok(Mark::Error, "hub token", "none", help)
        }
        None => Check::not_ok(
            Mark::Warn,
            "hub token",
            "none",
            "public data needs none; gated data wants `HF_TOKEN`",
        ),
    }
}

fn token_file(environment: &Environment) -> Option<PathBuf> {
    let home = || environment.path("HOME");
    let cache = || environment.path("XDG_CACHE_HOME").or_else(|| Some(home()?.join(".cache")));
    environment
        .path("HF_TOKEN_PATH")
        .or_else(|| Some(environment.path("HF_HOME")?.join("token")))
        .or_else(|| Some(cache()?.join("huggingface/token")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(checks: &[Check]) -> Vec<(&str, Mark)> {
        checks.iter().map(|check| (check.name, check.mark)).collect()
    }

    fn h200(free: u64) -> Gpu {
        Gpu { id: "GPU-1".into(), index: 0, name: "NVIDIA H200".into(), memory: 140 << 30, free }
    }

    #[test]
    fn a_missing_library_is_an_error_where_nothing_goes_without_it() {
        let [compiler, products] = [("NVRTC", true), ("cuBLASLt", false)].map(|(name, needed)| GpuLibrary {
            name,
            needed,
            from: 0,
            there: false,
        });
        let wants = Needs { gpus: 1, ..Needs::default() };
        let both = [compiler, products];
        assert_eq!(marks(&libraries(&both, &Needs::default())), [("cuda", Mark::Warn), ("cuda", Mark::Warn)]);
        assert_eq!(marks(&libraries(&both, &wants)), [("cuda", Mark::Error), ("cuda", Mark::Warn)]);
        let there = both.map(|library| GpuLibrary { there: true, ..library });
        assert_eq!(marks(&libraries(&there, &wants)), [("cuda", Mark::Ok), ("cuda", Mark::Ok)]);
        assert!(libraries(&both, &wants)[0].help.as_deref().is_some_and(|help| help.contains("lib64")));
    }

    #[test]
    fn a_missing_gpu_is_an_error_only_where_it_is_needed() {
        let wants = Needs { gpus: 2, ..Needs::default() };
        let none = Driver::default();
        assert_eq!(marks(&gpus(&none, &[], &Needs::default())), [("gpu", Mark::Warn)]);
        assert_eq!(marks(&gpus(&none, &[], &wants)), [("gpu", Mark::Error)]);
        let one = Driver { version: Some("570.1".into()), gpus: vec![h200(139 << 30)], silent: None };
        assert_eq!(
            marks(&gpus(&one, &one.gpus, &Needs::default())),
            [("driver", Mark::Ok), ("gpu", Mark::Ok)]
        );
        let checks = gpus(&one, &one.gpus, &wants);
        assert_eq!(checks[2].found, "1 of 2");
        assert_eq!(checks[2].mark, Mark::Error);
        let hidden = gpus(&one, &[], &Needs::default());
        assert!(
            hidden[1].help.as_ref().is_some_and(|help| help.contains("CUDA_VISIBLE_DEVICES")),
            "{hidden:?}"
        );
    }

    #[test]
    fn a_full_gpu_and_an_old_driver_are_warned_of() {
        let old =
            Driver { version: Some("470.2".into()), gpus: vec![h200(1 << 30)], silent: Some("late".into()) };
        assert_eq!(
            marks(&gpus(&old, &old.gpus, &Needs::default())),
            [("driver", Mark::Warn), ("gpu", Mark::Warn), ("nvidia-smi", Mark::Warn)]
        );
    }

    #[test]
    fn more_cores_or_memory_than_there_are_is_warned_of() {
        let small = Machine { cores: 2, memory_bytes: 8 << 30, gpus: vec![] };
        let needs = Needs { cores: 4, memory: 16 << 30, ..Needs::default() };
        assert_eq!(marks(&machine(&small, &needs)), [("cores", Mark::Warn), ("memory", Mark::Warn)]);
        assert_eq!(marks(&machine(&small, &Needs::default())), [("cores", Mark::Ok), ("memory", Mark::Ok)]);
    }

    #[test]
    fn a_token_is_found_but_never_shown() {
        let needs = Needs { token: true, ..Needs::default() };
        let set = token(&Environment::of(&[("HF_TOKEN", "hf_secret")]), &needs);
        assert_eq!((set.mark, set.found.as_str()), (Mark::Ok, "`HF_TOKEN` is set"));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "hf_secret").unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        let file = token(&Environment::of(&[("HF_HOME", &home)]), &needs);
        assert!(file.mark == Mark::Ok && !file.found.contains("secret"), "{file:?}");
        assert_eq!(token(&Environment::of(&[]), &needs).mark, Mark::Error);
        assert_eq!(token(&Environment::of(&[]), &Needs::default()).mark, Mark::Warn);
    }
}
