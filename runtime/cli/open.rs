//! Opens a pipeline for a command: the file, its lock file, the store, the last results.
use crate::app::App;
use crate::args::ValueArgs;
use crate::exit;
use crate::failure::{CliError, CliResult};
use crate::format::shell_word;
use crate::machine;
use crate::values::Device;
use muse_runtime::diagnostic::Diagnostic;
use muse_runtime::document::{Kinds, Lock, Options, Pipeline, expand, load};
use muse_runtime::exec::Plugins;
use muse_runtime::last::LastResults;
use muse_runtime::plan::{Plan, Planner, targets};
use muse_runtime::results::{ResultError, record_of};
use muse_runtime::run::{Machine, RunOptions};
use muse_store::{Record, Store, StoreError, Who};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How this program starts itself for a stage: also when its file was replaced meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// A pipeline with all that its plan is made from.
pub(crate) struct Opened {
    pub(crate) pipeline: Pipeline,
    pub(crate) lock: Lock,
    pub(crate) store: Store,
    pub(crate) last: LastResults,
    pub(crate) force: HashSet<usize>,
    pub(crate) environment: BTreeMap<String, String>,
}

impl App<'_> {
    /// Reads a pipeline file.
    pub(crate) fn load(&self, path: &Path, values: &ValueArgs, look_for_files: bool) -> CliResult<Pipeline> {
        self.reading(values, |options| load(path, &Options { look_for_files, ..*options }))
    }

    /// Reads a pipeline that is not on disk yet, with the files that it names.
    pub(crate) fn check_unwritten(
        &self,
        path: &Path,
        unwritten: &[(PathBuf, String)],
        preset: Option<&str>,
        look_for_files: bool,
    ) -> CliResult<Pipeline> {
        let values = ValueArgs { preset: preset.map(str::to_owned), ..ValueArgs::default() };
        self.reading(&values, |options| load(path, &Options { look_for_files, unwritten, ..*options }))
    }

    /// Reads a pipeline file into the one that it amounts to.
    pub(crate) fn expand(&self, path: &Path, values: &ValueArgs) -> CliResult<String> {
        self.reading(values, |options| expand(path, options))
    }

    /// Without the values of `${env.X}`: nothing that is not a run needs them, and CI does not have them.
    fn reading<T>(
        &self,
        values: &ValueArgs,
        read: impl FnOnce(&Options<'_>) -> Result<T, Vec<Diagnostic>>,
    ) -> CliResult<T> {
        let kinds = Kinds::new(self.kinds);
        let plugins = Plugins { path: self.environment.text("PATH").unwrap_or_default().to_owned() };
        Ok(read(&Options {
            plugins: Some(&plugins),
            sets: &values.set,
            preset: values.preset.as_deref(),
            env: None,
            look_for_files: false,
            ..Options::new(&kinds)
        })?)
    }

    /// Reads a pipeline file and opens its store.
    pub(crate) fn open(&self, path: &Path, values: &ValueArgs) -> CliResult<Opened> {
        self.opened(path, || self.load(path, values, false))
    }

    /// The same for a run, which needs what `${env.X}` stands for.
    pub(crate) fn open_to_run(&self, path: &Path, values: &ValueArgs) -> CliResult<Opened> {
        let environment = self.environment.texts();
        let env = Some(&environment);
        self.opened(path, || self.reading(values, |options| load(path, &Options { env, ..*options })))
    }

    fn opened(&self, path: &Path, read: impl FnOnce() -> CliResult<Pipeline>) -> CliResult<Opened> {
        let store = Store::open(&self.project(Some(path)).cache);
        // One core reads the file while the others read what was there the last time.
        let (pipeline, last) = std::thread::scope(|scope| {
            let last = scope.spawn(|| LastResults::read_ahead(&store, path));
            (read(), last.join().unwrap_or_else(|_| Ok(LastResults::default())))
        });
        let (pipeline, last) = (pipeline?, last?);
        let lock = Lock::load(path)?;
        let environment = self.environment.for_stages();
        Ok(Opened { pipeline, lock, store, last, force: HashSet::new(), environment })
    }

    /// The store of the project that the current folder is in.
    pub(crate) fn store(&self) -> Store {
        Store::open(&self.project(None).cache)
    }

    /// The store of the project that a pipeline file is in. A file that is not there is the user's matter.
    pub(crate) fn store_of(&self, pipeline: &Path) -> CliResult<Store> {
        if !pipeline.is_file() {
            return Err(CliError::usage(format!("there is no pipeline file `{}`", pipeline.display())));
        }
        Ok(Store::open(&self.project(Some(pipeline)).cache))
    }

    /// Tells what the store found damaged.
    pub(crate) fn complain(&self, store: &Store) {
        store.complaints().iter().for_each(|complaint| self.terminal.warn(complaint));
    }

    /// Who asks the store for something.
    pub(crate) fn who(&self, stage: &str) -> Who {
        Who {
            user: self.user(),
            run: format!("by hand, pid {}", std::process::id()),
            stage: stage.to_owned(),
        }
    }

    /// The user's name, for people.
    pub(crate) fn user(&self) -> String {
        let named = self.environment.text("USER").or_else(|| self.environment.text("LOGNAME"));
        named.map_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()), str::to_owned)
    }

    /// How to run what is opened, where the command line says nothing else. Takes the environment along.
    pub(crate) fn run_options(&self, opened: &mut Opened, device: Device) -> CliResult<RunOptions> {
        let machine = self.machine(device, &opened.pipeline)?;
        let (gpus, environment) = (machine.gpus.clone(), self.environment.clone());
        let gpu_memory = move || machine::memory_of(&gpus, &environment);
        Ok(RunOptions {
            jobs: None,
            keep_going: false,
            grace: Duration::from_secs(30),
            offline: false,
            locked: false,
            machine,
            gpu_memory: Box::new(gpu_memory),
            environment: std::mem::take(&mut opened.environment),
            program: PathBuf::from(THIS_PROGRAM),
            user: self.user(),
        })
    }

    /// What stages may use, as far as `--device` allows.
    pub(crate) fn machine(&self, device: Device, pipeline: &Pipeline) -> CliResult<Machine> {
        let found = machine::Machine::without_gpus();
        let mut machine = Machine { cores: found.cores, memory: found.memory_bytes, gpus: Vec::new() };
        let wanted = pipeline.stages.iter().any(|stage| stage.reserves().gpu.is_some_and(|gpus| gpus > 0));
        if device == Device::Cpu || (device == Device::Auto && !wanted) {
            return Ok(machine);
        }
        let gpus = machine::visible_gpus(&self.environment);
        machine.gpus = match device {
            Device::Cuda(Some(number)) => match gpus.get(number as usize) {
                Some(gpu) => vec![gpu.clone()],
                None => {
                    let there = gpus.len();
                    return Err(CliError::usage(format!("there is no GPU {number}: {there} can be seen"))
                        .hint("`muse doctor` lists what there is"));
                }
            },
            Device::Cuda(None) if gpus.is_empty() => {
                return Err(CliError::usage("no GPU can be seen").hint(
                    "`muse doctor` says what is missing; without `--device`, stages run on the processor",
                ));
            }
            _ => gpus,
        };
        Ok(machine)
    }
}

impl Opened {
    /// The planner for what is opened.
    pub(crate) fn planner(&self) -> Planner<'_> {
        Planner {
            pipeline: &self.pipeline,
            store: &self.store,
            lock: &self.lock,
            last: &self.last,
            force: &self.force,
        }
    }

    /// The stages that words of the command line name; all that no other stage takes where there are none.
    pub(crate) fn targets(&self, words: &[String]) -> CliResult<Vec<usize>> {
        if words.is_empty() {
            return Ok(targets(&self.pipeline));
        }
        self.stages(words)
    }

    /// The stages that words of the command line name.
    pub(crate) fn stages(&self, words: &[String]) -> CliResult<Vec<usize>> {
        let mut stages = Vec::new();
        for word in words {
            for &stage in self.pipeline.find(word)? {
                if !stages.contains(&stage) {
                    stages.push(stage);
                }
            }
        }
        Ok(stages)
    }

    /// The one stage that a word means, with the output where it names one.
    pub(crate) fn one_stage<'w>(&self, word: &'w str) -> CliResult<(usize, Option<&'w str>)> {
        match self.pipeline.find_output(word)? {
            ([stage], output) => {
                let outputs = &self.pipeline.stages[*stage].outputs;
                match output.filter(|output| outputs.iter().all(|(known, _)| known != output)) {
                    None => Ok((*stage, output)),
                    Some(output) => {
                        let names: Vec<&str> = outputs.iter().map(|(name, _)| name.as_str()).collect();
                        let error = CliError::usage(format!("`{word}`: there is no output `{output}`"));
                        Err(error.hint(format!("there is `{}`", names.join("`, `"))))
                    }
                }
            }
            (several, _) => {
                let names: Vec<&str> =
                    several.iter().take(4).map(|&stage| self.pipeline.stages[stage].name.as_str()).collect();
                Err(CliError::usage(format!("`{word}` is {} stages", several.len()))
                    .hint(format!("name one of them: `{}`", names.join("`, `"))))
            }
        }
    }

    /// Plans, and keeps what was learned of input files.
    pub(crate) fn plan(&self, targets: Vec<usize>) -> CliResult<Plan> {
        let plan = self.planner().plan(targets)?;
        self.store.index().save();
        Ok(plan)
    }
}

impl Opened {
    /// The checked result of a stage. Where there is none, the error names the `muse run` that makes it.
    pub(crate) fn result(&self, path: &Path, values: &ValueArgs, stage: usize) -> CliResult<Record> {
        let plan = self.plan(vec![stage])?;
        let name = self.pipeline.stages[stage].name.as_str();
        let mut words = vec!["muse", "run", path.to_str().unwrap_or("PIPELINE")];
        words.extend(values.preset.iter().flat_map(|preset| ["--preset", preset]));
        words.extend(values.set.iter().flat_map(|set| ["--set", set]));
        let words: Vec<_> = words.into_iter().chain([name]).map(shell_word).collect();
        let remake = format!("`{}` makes it", words.join(" "));
        record_of(&self.planner(), &plan, stage).map_err(|error| match error {
            ResultError::NotThere { .. } => CliError::failed(error.to_string()).hint(remake),
            ResultError::Damaged { .. } => CliError::store(error.to_string()).hint(format!("{remake} again")),
            other => other.into(),
        })
    }
}

/// Leaves what a command has gathered to the end of the process, which is near: taking a thousand stages and ten
/// thousand files apart first costs as much as a tenth of a run that has nothing to do.
pub(crate) fn leave<T>(gathered: T) {
    std::mem::forget(gathered);
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let failed = Self::new(exit::STORE, error.to_string());
        match error.help() {
            Some(help) => failed.hint(help),
            None => failed,
        }
    }
}
