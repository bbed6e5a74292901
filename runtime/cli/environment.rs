//! The one place where muse reads its environment; everything else takes what it needs as an argument.
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

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

    /// All variables that are text: what `${env.X}`, `pass_env` and `secrets` may take from.
    pub(crate) fn texts(&self) -> BTreeMap<String, String> {
        let text = |(name, value): (&OsString, &OsString)| {
            Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()))
        };
        self.variables.iter().filter_map(text).collect()
    }
}
