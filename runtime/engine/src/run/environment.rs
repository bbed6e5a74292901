//! What a stage process sees of its caller's environment: `PATH`, what it declares, and little else.
use crate::document::StageSpec;
use std::collections::BTreeMap;
use std::path::Path;

/// The caller's environment, handed in by the command line.
pub type Environment = BTreeMap<String, String>;

/// Variables that tell programs how to reach the network and the GPU. They change no result, so kinds that do
/// not ask for a clean environment see them.
const WAYS_OUT: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "LD_LIBRARY_PATH",
];

/// The variable that names the folder where muse keeps kernels for GPUs.
pub const KERNELS: &str = "MUSE_KERNELS";

/// What tells the hub's tools, and `download`, that they may not use the network.
const OFFLINE: &str = "HF_HUB_OFFLINE";

/// The whole environment of one attempt below `folder`.
pub(crate) fn environment(
    spec: &StageSpec,
    caller: &Environment,
    offline: bool,
    folder: &Path,
    gpus: &[String],
) -> Environment {
    let mut seen = Environment::new();
    let mut pass = |name: &str| {
        if let Some(value) = caller.get(name) {
            seen.insert(name.to_owned(), value.clone());
        }
    };
    pass("PATH");
    if !spec.kind.description.clean_env {
        WAYS_OUT.iter().copied().for_each(&mut pass);
        // How GPUs are used, and how they reach each other: who looks after a machine may have said what must not be.
        let of_gpus = |name: &&String| name.starts_with("CUDA_") || name.starts_with("NCCL_");
        caller.keys().filter(of_gpus).for_each(|name| pass(name));
    }
    spec.pass_env.iter().chain(&spec.secrets).for_each(|name| pass(name));
    if offline && !spec.kind.description.clean_env {
        seen.insert(OFFLINE.into(), "1".into());
    }
    let own = |name: &str| folder.join(name).to_string_lossy().into_owned();
    for (name, value) in
        [("HOME", own("home")), ("TMPDIR", own("tmp")), ("LANG", "C.UTF-8".into()), ("TZ", "UTC".into())]
    {
        if !spec.pass_env.iter().any(|passed| passed == name) {
            seen.insert(name.to_owned(), value);
        }
    }
    if !gpus.is_empty() {
        // Where it finds kernels that were compiled before.
        seen.extend(caller.get(KERNELS).map(|folder| (KERNELS.to_owned(), folder.clone())));
    }
    // Empty is none at all: a stage that computes on a device must not take a GPU that another has reserved.
    if !gpus.is_empty() || spec.kind.description.device {
        seen.insert("CUDA_VISIBLE_DEVICES".into(), gpus.join(","));
    }
    seen
}

/// Declared variables that the caller does not have.
pub(crate) fn missing<'a>(spec: &'a StageSpec, caller: &Environment) -> Vec<&'a str> {
    let declared = spec.pass_env.iter().chain(&spec.secrets).map(String::as_str);
    declared.filter(|name| !caller.contains_key(*name)).collect()
}
