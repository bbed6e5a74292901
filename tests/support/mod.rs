//! What every test stands on: a project in a folder of its own, and the `muse` program in a clean environment.
mod counter;
pub(crate) mod http;
mod output;
pub(crate) mod wait;

pub(crate) use counter::Counter;
pub(crate) use output::{Output, Planned};

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A project that nobody else touches. It goes when the test ends, whatever permissions the test gave it.
pub(crate) struct TestContext {
    folder: TempDir,
    root: PathBuf,
    program: PathBuf,
    variables: BTreeMap<String, String>,
}

impl TestContext {
    /// An empty project with a `pipelines/` folder, driven by the `muse` of this workspace.
    pub(crate) fn new() -> Self {
        Self::with(env!("CARGO_BIN_EXE_muse"))
    }

    /// The same, driven by another binary.
    pub(crate) fn with(program: impl Into<PathBuf>) -> Self {
        let folder = tempfile::Builder::new().prefix("muse-test-").tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap().join("project");
        fs::create_dir_all(root.join("pipelines")).unwrap();
        fs::create_dir(root.with_file_name("home")).unwrap();
        let home = root.with_file_name("home").display().to_string();
        let fixed =
            [("PATH", caller_path()), ("HOME", home), ("USER", "tester".into()), ("NO_COLOR", "1".into())];
        let variables = fixed.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { folder, root, program: program.into(), variables }
    }

    /// A project with one pipeline, `pipelines/p.yaml`. `muse: 1` is written by this.
    pub(crate) fn pipeline(text: &str) -> Self {
        let context = Self::new();
        context.write("pipelines/p.yaml", format!("muse: 1\n{text}"));
        context
    }

    /// Another pipeline in the place of `pipelines/p.yaml`.
    pub(crate) fn edit(&self, text: &str) {
        self.write("pipelines/p.yaml", format!("muse: 1\n{text}"));
    }

    /// One variable more in the environment of every later call.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    /// One variable less.
    pub(crate) fn unset(&mut self, name: &str) {
        self.variables.remove(name);
    }

    /// The project's folder, absolute and without links in it.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path in the project.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// A path outside of the project that goes with it.
    pub(crate) fn outside(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.with_file_name("outside").join(path)
    }

    /// The store.
    pub(crate) fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }

    /// Writes a file that may be started. Another process writes it: a test that forks beside this one would
    /// hold the file open for a moment, and a program that is open for writing cannot be started.
    pub(crate) fn write_program(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        self.write("program.text", text);
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = self.path("program.text");
        let status = Command::new("install").arg("-m").arg("755").args([&text, &path]).status().unwrap();
        assert!(status.success(), "cannot install {}", path.display());
        fs::remove_file(text).unwrap();
    }

    /// What a file holds.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> String {
        let path = self.path(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Removes a file or a folder.
    pub(crate) fn remove(&self, path: impl AsRef<Path>) {
        let path = self.path(path);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }

    /// Changes a file's text.
    pub(crate) fn replace(&self, path: impl AsRef<Path>, from: &str, to: &str) {
        let text = self.read(&path);
        assert!(text.contains(from), "{from:?} does not stand in {text}");
        self.write(path, text.replace(from, to));
    }

    /// How often a body ran: put [`Counter::mark`] in a command.
    pub(crate) fn counter(&self, name: &str) -> Counter {
        Counter::new(self.outside(name))
    }

    /// A call of muse that has not begun, for tests that send signals or hold pipes.
    pub(crate) fn command<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        command.current_dir(&self.root).env_clear().envs(&self.variables).stdin(Stdio::null());
        command
    }

    /// Calls muse in the project's folder and waits for it.
    pub(crate) fn muse<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        let mut command = self.command(arguments);
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        let said = command.output().unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        Output::new(words, said)
    }

    /// `muse run pipelines/p.yaml --json` with more words behind it. The events are in [`Output::events`].
    pub(crate) fn run<S: AsRef<str>>(&self, more: impl IntoIterator<Item = S>) -> Output {
        self.muse(on_p("run", more))
    }

    /// `muse plan pipelines/p.yaml --json` with more words behind it, by stage.
    pub(crate) fn plan<S: AsRef<str>>(&self, more: impl IntoIterator<Item = S>) -> BTreeMap<String, Planned> {
        self.muse(on_p("plan", more)).ok().plan()
    }

    /// Takes one result of `pipelines/p.yaml` out and answers the folder, which is new each time.
    pub(crate) fn get(&self, what: &str) -> PathBuf {
        let parent = self.outside("got");
        fs::create_dir_all(&parent).unwrap();
        let to = (0..).map(|number| parent.join(number.to_string())).find(|path| !path.exists()).unwrap();
        self.muse(["get", "pipelines/p.yaml", what, "--to", to.to_str().unwrap()]).ok();
        to
    }

    /// The text of a result of `pipelines/p.yaml` that is one file.
    pub(crate) fn result(&self, what: &str) -> String {
        let folder = self.get(what);
        let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{what} is {files:?}");
        fs::read_to_string(&files[0]).unwrap()
    }

    /// For snapshots: what differs from run to run becomes a placeholder of a fixed width.
    pub(crate) fn settings(&self) -> insta::Settings {
        let mut settings = insta::Settings::clone_current();
        settings.set_omit_expression(true);
        settings.set_prepend_module_to_snapshot(true);
        let folder = fs::canonicalize(self.folder.path()).unwrap();
        settings.add_filter(&plain(&folder.display().to_string()), "[TEMP]");
        for (pattern, text) in [
            (r"\b\d{8}-\d{6}-[0-9a-f]+\b", "[RUN]"),
            (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?", "[TIME]"),
            (r"\b(b3:)?[0-9a-f]{64}\b", "[DIGEST]"),
            (r"\bb3:[0-9a-f]{6,63}\b", "[DIGEST]"),
            (r"\bpid \d+", "pid [PID]"),
            (r"\b\d+(\.\d+)? ?(ns|µs|ms|s)\b", "[TIME]"),
            (r#"("(saved_)?seconds": ?)[0-9.e-]+"#, "${1}0.0"),
        ] {
            settings.add_filter(pattern, text);
        }
        settings
    }
}

impl Drop for TestContext {
    fn drop(&mut self) {
        // Results in the store are read-only, and so would be the folders that hold them.
        let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(self.folder.path()).status();
    }
}

fn on_p<S: AsRef<str>>(command: &str, more: impl IntoIterator<Item = S>) -> Vec<String> {
    let words = [command, "pipelines/p.yaml", "--json"].map(str::to_owned);
    words.into_iter().chain(more.into_iter().map(|word| word.as_ref().to_owned())).collect()
}

/// A text as a pattern that matches it alone.
fn plain(text: &str) -> String {
    text.chars().flat_map(|c| (!c.is_alphanumeric()).then_some('\\').into_iter().chain([c])).collect()
}

#[expect(clippy::disallowed_methods, reason = "tests find programs where their caller finds them")]
pub(crate) fn caller_path() -> String {
    std::env::var("PATH").unwrap()
}

/// Compares what a call printed, redacted, with the text behind `@`, else with a file below `snapshots/`.
macro_rules! snapshot {
    ($context:expr, $output:expr $(, @$expected:literal)?) => {
        $context.settings().bind(|| insta::assert_snapshot!($output.to_string() $(, @$expected)?))
    };
}
pub(crate) use snapshot;
