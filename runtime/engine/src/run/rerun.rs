//! Runs a stage twice beside the store and compares: `muse verify --rerun`. Nothing is published.
use super::attempt::{self, End};
use super::dispatch::task;
use super::slots::Slots;
use super::{Context, RunError, RunFolder, RunOptions};
use crate::diagnostic::Diagnostic;
use crate::plan::{Planner, different};
use muse_store::{Acquired, Artifact, Digest, Key, Record, Store, TreeEntry, Who};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// What two runs of one stage gave.
#[derive(Debug)]
pub struct Rerun {
    /// How long each took.
    pub seconds: (f64, f64),
    /// Outputs, of folders the files, and facts that differ between the two.
    pub differences: Vec<String>,
    /// Whether the first of the two is what the store has; nothing where it has no result.
    pub as_stored: Option<bool>,
}

/// Runs `stage` twice with what its inputs hold now.
pub fn rerun(
    planner: &Planner<'_>,
    stage: usize,
    options: &RunOptions,
    interrupts: &AtomicU32,
) -> Result<Rerun, RunError> {
    let spec = &planner.pipeline.stages[stage];
    let wrong = |message: String| RunError::Wrong(vec![Diagnostic::at(spec.place.clone(), message)]);
    let plan = planner.plan(vec![stage]).map_err(RunError::Wrong)?;
    let Some(parts) = planner.parts(&plan, stage) else {
        return Err(wrong(format!(
            "`{}` cannot be rerun: what it stands on is not made; run it first",
            spec.name
        )));
    };
    let key = parts.key();
    drop(parts);
    let stored = planner.store.record(&key)?;
    let folder = RunFolder::new(planner.store);
    let context = Context {
        pipeline: planner.pipeline,
        store: planner.store,
        lock: planner.lock,
        plan: &plan,
        force: planner.force,
        options,
        program: &options.program,
        environment: &options.environment,
        run_folder: &folder,
        who: Who { user: options.user.clone(), run: folder.name().to_owned(), stage: spec.name.clone() },
        interrupts,
    };
    folder.begin(&context.who, planner.store)?;
    let first = once(&context, stage, key)?;
    let second = once(&context, stage, key)?;
    folder.end();
    let differences = differences(planner.store, &first, &second);
    let as_stored = stored.map(|stored| stored.outputs == first.outputs);
    Ok(Rerun { seconds: (first.seconds, second.seconds), differences, as_stored })
}

fn once(context: &Context<'_>, stage: usize, key: Key) -> Result<Arc<Record>, RunError> {
    let spec = &context.pipeline.stages[stage];
    let failed = |message: String, help: Option<String>| {
        let problem = Diagnostic::at(spec.place.clone(), message);
        RunError::Failed(vec![match help {
            Some(help) => problem.help(help),
            None => problem,
        }])
    };
    // A key of its own: a rerun neither waits for a run of the stage nor keeps one waiting.
    let apart =
        Key::new(Digest::of_bytes(format!("muse rerun {key} {}", context.run_folder.name()).as_bytes()));
    let lease = match context.store.lease(&apart, &context.who)? {
        Acquired::Lease(lease) => Arc::new(lease),
        Acquired::Busy(holder) => return Err(failed(format!("it is being rerun by {holder}"), None)),
    };
    let mut slots = Slots::new(&context.options.machine, 1);
    let held = slots.take(&spec.reserves(), spec.kind.description.single_thread).unwrap_or_default();
    let made = |input: usize| context.plan.record(input);
    let Some(mut task) = task(context, stage, key, lease, &held, &context.plan.ways, &made) else {
        return Err(failed(format!("`{}` has inputs that are not made", spec.name), None));
    };
    (task.publish, task.from_nothing) = (false, true);
    let control = Arc::clone(&task.control);
    let grace = context.options.grace;
    match control.watched(context.interrupts, grace, || attempt::run(context, task, &|_| ())) {
        End::Made(record) => Ok(record),
        End::Failed { error, help, .. } => {
            Err(failed(format!("the rerun of `{}` failed: {error}", spec.name), help))
        }
        End::Interrupted => Err(RunError::Interrupted),
        End::Damaged(_) => Err(failed("an input was damaged, and is dropped; run first".into(), None)),
        End::Store(error) => Err(error.into()),
    }
}

/// Names what differs, as far down as files.
fn differences(store: &Store, first: &Record, second: &Record) -> Vec<String> {
    let mut found = Vec::new();
    for (name, a) in &first.outputs {
        match second.outputs.get(name) {
            Some(b) if a == b => {}
            Some(b) if a.tree && b.tree => {
                let (a, b) = (files(store, a), files(store, b));
                found.extend(different(&a, &b).into_iter().map(|file| format!("{name}/{file}")));
            }
            _ => found.push(name.clone()),
        }
    }
    let facts = different(&first.facts, &second.facts);
    found.extend(facts.into_iter().map(|name| format!("the fact `{name}`")));
    found
}

fn files(store: &Store, tree: &Artifact) -> BTreeMap<String, TreeEntry> {
    let tree = store.tree(&tree.digest).ok();
    let entries = tree.iter().flat_map(|tree| tree.entries());
    entries.map(|entry| (entry.path().to_owned(), entry.clone())).collect()
}
