//! The one place where muse reads its environment; everything else takes what it needs as an argument.
use muse_runtime::run::KERNELS;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What the caller's environment says, read once at the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<OsString, OsString>,
    /// The current folder; `.` where the system does not say.
    pub(crate) folder: PathBuf,
}

impl Environment {
    /// Reads it.
    #[expect(clippy::disallowed_methods, reason = "this is where the command line reads the environment")]
    pub(crate) fn read() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
        }
    }

    /// An environment of these variables alone.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let pair = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
        Self { variables: variables.iter().map(pair).collect(), folder: PathBuf::from(".") }
    }

    /// A variable that is text and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.variables.get(OsString::from(name).as_os_str())?.to_str().filter(|value| !value.is_empty())
    }

    /// A variable that is text, empty or not.
    pub(crate) fn set(&self, name: &str) -> Option<&str> {
        self.variables.get(OsString::from(name).as_os_str())?.to_str()
    }

    /// A variable that names a path.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.variables
            .get(OsString::from(name).as_os_str())
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }

    /// Where this machine keeps kernels that were compiled for its GPUs.
    pub(crate) fn kernels(&self) -> Option<PathBuf> {
        let cache = || self.path("XDG_CACHE_HOME").or_else(|| Some(self.path("HOME")?.join(".cache")));
        self.path(KERNELS).or_else(|| Some(cache()?.join("muse/kernels")))
    }

    /// [`Environment::texts`] as stages take from it. Each has a home of its own, and so would compile for the GPU anew: they are told
    /// where that is kept, by muse and by the driver.
    pub(crate) fn for_stages(&self) -> BTreeMap<String, String> {
        let mut all = self.texts();
        let driver = || Some(self.path("HOME")?.join(".nv/ComputeCache"));
        for (name, folder) in [(KERNELS, self.kernels()), ("CUDA_CACHE_PATH", driver())] {
            if let Some(folder) = folder.as_deref().and_then(Path::to_str) {
                all.entry(name.into()).or_insert_with(|| folder.into());
            }
        }
        all
    }

    /// All variables that are text: what `${env.X}`, `pass_env` and `secrets` may take from.
    pub(crate) fn texts(&self) -> BTreeMap<String, String> {
        let text = |(name, value): (&OsString, &OsString)| {
            Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()))
        };
        self.variables.iter().filter_map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_told_where_this_machine_keeps_kernels() {
        let told = |variables: &[(&str, &str)]| {
            let all = Environment::of(variables).for_stages();
            ["MUSE_KERNELS", "CUDA_CACHE_PATH"].map(|name| all.get(name).cloned().unwrap_or_default())
        };
        assert_eq!(told(&[]), ["", ""]);
        assert_eq!(told(&[("HOME", "/h")]), ["/h/.cache/muse/kernels", "/h/.nv/ComputeCache"]);
        let some = [("HOME", "/h"), ("XDG_CACHE_HOME", "/c"), ("CUDA_CACHE_PATH", "/d")];
        assert_eq!(told(&some), ["/c/muse/kernels", "/d"]);
        assert_eq!(told(&[("MUSE_KERNELS", "/k"), ("XDG_CACHE_HOME", "/c")]), ["/k", ""]);
    }
}
