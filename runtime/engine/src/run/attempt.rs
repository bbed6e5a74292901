//! One stage from its lease to its record: lay out, run, look at what came out, publish. Runs in a thread of its
//! own and blocks as it likes; what it has to say goes to the dispatcher as messages.
use super::environment::environment;
use super::facts::Facts;
use super::process::{self, Control, Launch, Stop};
use super::{Context, files};
use crate::document::{FileInput, StageSpec};
use crate::key::KeyParts;
use crate::plan::{ResolvedFiles, furthest};
use muse_stage::{Job, JobInput, JobMode, Offer, StageEvent, Story};
use muse_store::{Artifact, Digest, Key, LaidOut, Lease, Op, Published, Record, StoreError};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What an attempt is given.
pub(crate) struct Task<'a> {
    pub(crate) spec: &'a StageSpec,
    pub(crate) key: Key,
    /// A record without results, to be filled in.
    pub(crate) draft: Record,
    /// For each port the stage, entry name and artifact of each entry.
    pub(crate) inputs: Vec<PortInputs>,
    pub(crate) files: Vec<(String, Arc<ResolvedFiles>)>,
    /// How the inputs came to be, for a kind that is told.
    pub(crate) story: Option<Story>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) threads: u32,
    pub(crate) gpus: Vec<String>,
    pub(crate) control: Arc<Control>,
    /// Put the result under the key; a rerun only looks at it.
    pub(crate) publish: bool,
    /// Use nothing of what other runs have made, which the result must not show.
    pub(crate) from_nothing: bool,
}

/// What stands at one port.
pub(crate) struct PortInputs {
    pub(crate) port: String,
    pub(crate) list: bool,
    pub(crate) entries: Vec<(usize, String, Artifact)>,
}

/// How an attempt ended.
pub(crate) enum End {
    /// The record is there.
    Made(Arc<Record>),
    /// It made no result.
    Failed { error: String, help: Option<String>, log: Option<PathBuf> },
    /// It was told to stop.
    Interrupted,
    /// The content of these stages is not what their records say; it was dropped and must be made again.
    Damaged(Vec<usize>),
    /// The store cannot go on.
    Store(StoreError),
}

/// What an attempt tells the dispatcher while it works.
pub(crate) enum News {
    Started {
        attempt: u32,
        key: Key,
    },
    Event(StageEvent),
    Note(String),
    /// It goes on from what a stage of an earlier run made.
    GoesOn {
        run: String,
        stage: String,
    },
    /// The process is over: its processors and GPUs are free, though its result is not in the store yet.
    Idle,
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        if error.is_bad_output() {
            return Self::Failed { error: error.to_string(), help: error.help(), log: None };
        }
        Self::Store(error)
    }
}

/// Runs attempts until one makes the result, or there are no more tries.
pub(crate) fn run(context: &Context<'_>, task: Task<'_>, tell: &dyn Fn(News)) -> End {
    let mut last = None;
    for attempt in 1..=task.spec.retries.saturating_add(1) {
        if let Some(End::Failed { error, .. }) = &last {
            tell(News::Note(format!("attempt {} failed ({error}); trying again", attempt - 1)));
        }
        tell(News::Started { attempt, key: task.key });
        let end = once(context, &task, attempt, tell).unwrap_or_else(|end| end);
        match end {
            End::Failed { .. } if task.control.stopped() != Some(Stop::Interrupt) => last = Some(end),
            End::Failed { .. } => return End::Interrupted,
            other => return other,
        }
    }
    last.unwrap_or(End::Interrupted)
}

fn once(context: &Context<'_>, task: &Task<'_>, attempt: u32, tell: &dyn Fn(News)) -> Result<End, End> {
    let store = context.store;
    let folder = store.work_dir(&task.lease)?;
    let work = folder.join("cwd");
    let mut laid_out = Vec::new();
    let inputs = lay_out_inputs(context, task, &work, &mut laid_out)?;
    let linked = files::lay_out(store, &task.files, &work.join("in")).map_err(|problem| match problem {
        files::Problem::Changed(path) => End::Failed {
            error: format!("{} changed while the run was going", path.display()),
            help: Some("run again: what depends on it is made from what it is now".into()),
            log: None,
        },
        files::Problem::Store(error) => End::Store(error),
    })?;
    let offer = lay_out_offer(context, task, &work, &mut laid_out, tell);
    let job = job(context, task, attempt, work.clone(), inputs, offer);
    let job_path = folder.join("job.json");
    let text = serde_json::to_vec_pretty(&job).unwrap_or_default();
    std::fs::write(&job_path, text).map_err(|error| store_io(&job_path, error))?;
    let log = context.run_folder.log(store, &task.spec.name, attempt).map_err(End::Store)?;

    let facts = RefCell::new(Facts::default());
    let started = Instant::now();
    let ended = process::run(
        Launch {
            program: context.program,
            job: &job_path,
            folder: &work,
            environment: &environment(
                task.spec,
                context.environment,
                context.options.offline,
                &folder,
                &task.gpus,
            ),
            log: &log,
            secrets: task
                .spec
                .secrets
                .iter()
                .filter_map(|name| context.environment.get(name).cloned())
                .collect(),
            timeout: task.spec.timeout,
        },
        &task.control,
        &|event| match event {
            StageEvent::Fact { name, value } => facts.borrow_mut().hear(name, value),
            event => tell(News::Event(event)),
        },
    )
    .map_err(|error| End::Failed {
        error: format!("cannot start the stage's process: {error}"),
        help: None,
        log: None,
    })?;
    let seconds = started.elapsed().as_secs_f64();
    if matches!(ended.event, Some(StageEvent::Done)) {
        tell(News::Idle);
    }

    // Whatever the stage says: what it was lent must be as it was.
    for lent in laid_out {
        let changed = store.check_laid_out(lent)?;
        if !changed.is_empty() {
            return Err(End::Failed {
                error: "the stage wrote to one of its inputs, whose content was dropped from the store"
                    .into(),
                help: Some("copy what you want to change: results are shared, and inputs are results".into()),
                log: Some(log),
            });
        }
    }
    if let Some(path) = files::changed(store, &linked) {
        return Err(End::Failed {
            error: format!("{} changed while the stage read it", path.display()),
            help: Some("run again; a stage must not write to its input files".into()),
            log: Some(log),
        });
    }
    let failed = |error: String, help: Option<String>| End::Failed { error, help, log: Some(log.clone()) };
    let told = task.control.stopped();
    match (ended.event, ended.status.success()) {
        (Some(StageEvent::Done), true) => {}
        _ if told == Some(Stop::Timeout) => {
            let limit = task.spec.timeout.unwrap_or_default().as_secs_f64();
            let help = "`timeout` is no part of the key: raise it and what is done stays done";
            return Err(failed(format!("it took longer than its timeout of {limit} s"), Some(help.into())));
        }
        (Some(StageEvent::Interrupted), _) => {
            // Who ends a whole job tells every process at once, and the stage may be quicker than the dispatcher.
            if told.is_some() || context.interrupts.load(Ordering::Relaxed) > 0 {
                return Err(End::Interrupted);
            }
            let help = "nobody stopped the run: somebody or something ended this stage alone";
            return Err(failed("it was stopped from outside by a signal".into(), Some(help.into())));
        }
        (Some(StageEvent::Failed { message, help }), _) => {
            if let Some(full) = full(store.root()) {
                return Err(End::Store(full));
            }
            return Err(failed(message, help));
        }
        (_, _) => return Err(failed(format!("the stage's process ended early: {}", ended.status), None)),
    }

    let out = work.join("out");
    if let (Ok(real), Ok(own)) = (out.canonicalize(), folder.canonicalize())
        && real != own.join("cwd/out")
    {
        // What is taken in is moved, and that is somebody else's.
        let help = "write below `out/`, and leave the folder itself where it is";
        return Err(failed(format!("`out` leads to {}", real.display()), Some(help.into())));
    }
    let mut record = task.draft.clone();
    record.facts = facts.into_inner().finish().map_err(|error| {
        failed(error, Some("facts are small; what is large belongs into an output".into()))
    })?;
    for (output, _) in &task.spec.outputs {
        let path = out.join(output);
        if path.symlink_metadata().is_err() {
            let beside = beside(&out, &record.outputs);
            return Err(failed(format!("it exited with 0 but wrote no `out/{output}`"), beside));
        }
        let artifact = store.ingest(&path).map_err(|error| match End::from(error) {
            End::Failed { error, help, .. } => failed(error, help),
            other => other,
        })?;
        record.outputs.insert(output.clone(), artifact);
    }
    record.seconds = seconds;
    record.attempt = attempt;
    record.made = crate::time::now();
    if !task.publish {
        let _ = store.remove_work_dir(&folder);
        return Ok(End::Made(Arc::new(record)));
    }
    // A stage runs although there is a record where it was forced or the content is lost.
    if store.record(&task.key)?.is_some() {
        store.retire(&task.key, &task.lease)?;
    }
    let record = match store.publish(&record, &task.lease)? {
        Published::New => record,
        Published::Lost(first) => {
            tell(News::Note("another process was first to publish this result; its result counts".into()));
            *first
        }
    };
    // What stays behind is litter that gc knows how to find.
    let _ = store.remove_work_dir(&folder);
    let _ = store.remove_resume_dir(&resume_key(task.spec, task.key));
    Ok(End::Made(Arc::new(record)))
}

/// Lays out what comes from other stages, after a look at whether it is what it should be.
fn lay_out_inputs(
    context: &Context<'_>,
    task: &Task<'_>,
    work: &Path,
    laid_out: &mut Vec<LaidOut>,
) -> Result<BTreeMap<String, JobInput>, End> {
    let mut damaged = Vec::new();
    for (stage, _, artifact) in task.inputs.iter().flat_map(|port| &port.entries) {
        if !context.store.verified(artifact)? && !damaged.contains(stage) {
            damaged.push(*stage);
        }
    }
    if !damaged.is_empty() {
        return Err(End::Damaged(damaged));
    }
    let mut inputs = BTreeMap::new();
    for port in &task.inputs {
        let path = Path::new("in").join(&port.port);
        let mut entries = Vec::new();
        if port.list {
            let list = work.join(&path);
            std::fs::create_dir_all(&list).map_err(|error| store_io(&list, error))?;
        }
        for (_, name, artifact) in &port.entries {
            let place = if port.list { path.join(name) } else { path.clone() };
            laid_out.push(context.store.lay_out(artifact, &work.join(&place))?);
            entries.push((if port.list { name.clone() } else { String::new() }, place));
        }
        inputs.insert(port.port.clone(), JobInput { path, list: port.list, entries });
    }
    Ok(inputs)
}

/// Lays out the result that the run may go on from, once its content is found right. Without one the result is the
/// same, and comes later; so nothing here fails an attempt.
fn lay_out_offer(
    context: &Context<'_>,
    task: &Task<'_>,
    work: &Path,
    laid_out: &mut Vec<LaidOut>,
    tell: &dyn Fn(News),
) -> Option<Offer> {
    let store = context.store;
    let family = task.draft.family.filter(|_| !task.from_nothing)?;
    let mut refused = Vec::new();
    while let Some(offered) = furthest(store, task.spec, &family, task.key, &refused) {
        let (record, step) = (offered.record, offered.step);
        if !record.outputs.values().all(|artifact| store.verified(artifact).unwrap_or(false)) {
            let message = format!("the earlier result that reaches step {step} is damaged: it is not used");
            tell(News::Note(message));
            refused.push(record.key);
            continue;
        }
        let path = PathBuf::from("offer");
        let folder = work.join(&path);
        let lay_out = |(name, artifact): (&String, &Artifact)| store.lay_out(artifact, &folder.join(name));
        let laid = std::fs::create_dir(&folder)
            .map_err(|source| StoreError::Io { path: folder.clone(), op: Op::Create, source })
            .and_then(|()| record.outputs.iter().map(lay_out).collect::<Result<Vec<LaidOut>, _>>());
        match laid {
            Ok(laid) => laid_out.extend(laid),
            Err(error) => {
                let message = format!("the earlier result that reaches step {step} cannot be had: {error}");
                tell(News::Note(message));
                return None;
            }
        }
        tell(News::Note(format!(
            "it goes on from step {step}, which the result made {} reaches",
            record.made
        )));
        tell(News::GoesOn { run: record.run.clone(), stage: record.stage.clone() });
        return Some(Offer { path, step, key: record.key.to_string() });
    }
    None
}

fn job(
    context: &Context<'_>,
    task: &Task<'_>,
    attempt: u32,
    work: PathBuf,
    inputs: BTreeMap<String, JobInput>,
    offer: Option<Offer>,
) -> Job {
    let described = &task.spec.kind.description;
    if task.publish && task.from_nothing && attempt == 1 {
        // Whoever asks for nothing to go on from means this too. What cannot be removed is told when it is asked for.
        let _ = context.store.remove_resume_dir(&resume_key(task.spec, task.key));
    }
    // A rerun finds nothing there, and what it leaves goes with it.
    let resume = described.resumes.then(|| match task.publish {
        true => context.store.resume_dir(&resume_key(task.spec, task.key)),
        false => work.with_file_name("resume"),
    });
    Job {
        job: 1,
        mode: JobMode::Run,
        kind: described.name.clone(),
        plugin: task.spec.kind.plugin().map(Path::to_owned),
        version: described.version,
        stage: task.spec.name.clone(),
        key: task.key.to_string(),
        attempt,
        params: task.spec.params(|file: &FileInput| format!("in/{}", file.name).into()),
        work,
        inputs,
        outputs: task.spec.outputs.iter().cloned().collect(),
        resume,
        offer,
        story: task.story.clone(),
        threads: task.threads,
        gpus: task.gpus.clone(),
        pins: task.draft.pins.clone(),
        secrets: task.spec.secrets.clone(),
    }
}

/// What a stage's resume folder is bound to: its key. Where something is pinned first, which is before there is a
/// key, what the key knows then, so that what was fetched to be pinned is not fetched again.
pub(crate) fn resume_key(spec: &StageSpec, key: Key) -> Key {
    if spec.pins.is_empty() {
        return key;
    }
    let described = &spec.kind.description;
    let parts = KeyParts {
        kind: &described.name,
        version: described.version,
        params: &spec.identity,
        extendable: None,
        inputs: BTreeMap::new(),
        files: BTreeMap::new(),
        pins: BTreeMap::new(),
        story: BTreeMap::new(),
    };
    Key::new(Digest::of_bytes(format!("muse resume {}", parts.key()).as_bytes()))
}

/// What a record says before there is a result.
pub(crate) fn draft(parts: &KeyParts<'_>, key: Key, pipeline: &str, stage: &str, run: &str) -> Record {
    Record {
        key,
        kind: parts.kind.to_owned(),
        version: parts.version,
        stage: stage.to_owned(),
        pipeline: pipeline.to_owned(),
        params: parts.params.clone(),
        inputs: parts.inputs.clone(),
        files: parts.files.clone(),
        pins: parts.pins.clone(),
        story: parts.story.clone(),
        family: parts.family(),
        outputs: BTreeMap::new(),
        facts: BTreeMap::new(),
        seconds: 0.0,
        made: String::new(),
        run: run.to_owned(),
        attempt: 0,
        adopted: false,
    }
}

/// What else stands in `out/`: the usual reason for a missing output is another spelling.
fn beside(out: &Path, known: &BTreeMap<String, Artifact>) -> Option<String> {
    let names: Vec<String> = std::fs::read_dir(out)
        .ok()?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !known.contains_key(name))
        .take(5)
        .collect();
    (!names.is_empty()).then(|| format!("it wrote `out/{}`", names.join("`, `out/")))
}

fn store_io(path: &Path, error: std::io::Error) -> End {
    End::Store(StoreError::Io { path: path.to_owned(), op: Op::Create, source: error })
}

/// A stage that could not write says so in words of its own; the disk says it plainly.
fn full(root: &Path) -> Option<StoreError> {
    let disk = rustix::fs::statvfs(root).ok()?;
    let full = disk.f_bavail == 0 || (disk.f_files > 0 && disk.f_favail == 0);
    full.then(|| StoreError::Io {
        path: root.to_owned(),
        op: Op::Write,
        source: std::io::ErrorKind::StorageFull.into(),
    })
}
