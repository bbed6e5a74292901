//! Why a stage is not simply a hit: its last result's record against its own parts, field by field.
use super::{Plan, Planner};
use crate::document::{Port, StageSpec};
use crate::last_files::{Changes, LastFiles};
use muse_store::{Digest, Record};
use serde::Serialize;
use serde_json::Value;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

/// One reason.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// This stage has no last result to compare with.
    New,
    /// A parameter differs.
    Param {
        /// Its name below `with`, with dots.
        field: String,
        /// What the last result was made with; null where there was nothing.
        old: Value,
        /// What stands there now.
        new: Value,
    },
    /// What comes in at a port will be made again, or differs.
    Input {
        /// The port; `story` where all inputs are the same, and one of them came to be in another way.
        field: String,
        /// The stage where the change began.
        root: String,
    },
    /// The stage kind's version differs.
    Code {
        /// Then.
        old: u32,
        /// Now.
        new: u32,
    },
    /// Input files differ.
    File {
        /// Their name.
        field: String,
        /// Which of several, where the last run has noted them.
        #[serde(flatten)]
        files: Changes,
    },
    /// What an outside thing is pinned to differs.
    Pin {
        /// The outside thing.
        field: String,
        /// Then.
        old: Value,
        /// Now.
        new: Value,
    },
    /// The user said so.
    Forced,
    /// The store lost the result.
    Missing,
    /// An outside thing is not pinned in the lock file, so the key is not known.
    Unpinned {
        /// The outside thing.
        field: String,
    },
}

/// The field of a cause that lies in how inputs came to be.
const STORY: &str = "story";

/// Fills in the causes of all stages that will or may run. Needs the order: roots come from above.
pub(super) fn explain(planner: &Planner, plan: &mut Plan) {
    let mut roots: Vec<Option<usize>> = vec![None; plan.stages.len()];
    // Read when it is first needed: most plans ask for no file.
    let noted = OnceCell::new();
    for at in 0..plan.order.len() {
        let stage = plan.order[at];
        if !plan.is_dirty(stage) {
            continue;
        }
        let spec = &planner.pipeline.stages[stage];
        let previous = planner.last.record(&spec.name, planner.store);
        let mut found = own(planner, plan, stage, previous.as_ref(), &noted);
        // What began here is the root for all that stands below.
        roots[stage] = if found.is_empty() { None } else { Some(stage) };
        let mut changed = inputs(plan, spec, previous.as_ref(), &roots);
        changed.extend(story(plan, spec, previous.as_ref(), &changed));
        for (port, root) in changed {
            roots[stage].get_or_insert(root);
            let root = planner.pipeline.stages[root].name.clone();
            found.push(Cause::Input { field: port, root });
        }
        if found.is_empty() {
            // Nothing differs from the last result, so it must be gone.
            roots[stage] = Some(stage);
            found.push(Cause::Missing);
        }
        if let Some(planned) = plan.stages[stage].as_mut() {
            planned.causes = found;
        }
    }
}

/// Causes that lie in the stage itself.
fn own(
    planner: &Planner,
    plan: &Plan,
    stage: usize,
    previous: Option<&Record>,
    noted: &OnceCell<LastFiles>,
) -> Vec<Cause> {
    let spec = &planner.pipeline.stages[stage];
    let mut causes = Vec::new();
    if planner.force.contains(&stage) {
        causes.push(Cause::Forced);
    }
    if let Some(id) = planner.unpinned(stage) {
        causes.push(Cause::Unpinned { field: id.to_owned() });
    }
    let Some(previous) = previous else {
        causes.push(if planner.last.key(&spec.name).is_some() { Cause::Missing } else { Cause::New });
        return causes;
    };
    let described = &spec.kind.description;
    if previous.kind != described.name {
        let (old, new) = (previous.kind.clone().into(), described.name.clone().into());
        causes.push(Cause::Param { field: "uses".into(), old, new });
        return causes;
    }
    if previous.version != described.version {
        causes.push(Cause::Code { old: previous.version, new: described.version });
    }
    params(&mut causes, spec, &previous.params);
    for port in previous.inputs.keys().filter(|port| !spec.inputs.iter().any(|now| now.name == **port)) {
        let (field, old) = (format!("inputs.{port}"), Value::from("connected"));
        causes.push(Cause::Param { field, old, new: Value::Null });
    }
    let now: BTreeMap<&str, Digest> = plan.files.of(stage).map(|(name, set)| (name, set.digest)).collect();
    let then = &previous.files;
    let names: BTreeSet<&str> = now.keys().copied().chain(then.keys().map(String::as_str)).collect();
    for name in names.into_iter().filter(|name| now.get(name) != then.get(*name)) {
        let set = plan.files.of(stage).find(|(own, _)| *own == name).map(|(_, set)| set);
        let files = set.zip(then.get(name)).and_then(|(set, then)| {
            let last = noted.get_or_init(|| LastFiles::load(planner.store, &planner.pipeline.path));
            last.changes(&spec.name, name, *then, set)
        });
        causes.push(Cause::File { field: name.to_owned(), files: files.unwrap_or_default() });
    }
    for id in &spec.pins {
        let (old, new) = (previous.pins.get(id).cloned(), planner.lock.get(id).map(str::to_owned));
        if new.is_some() && old != new {
            causes.push(Cause::Pin { field: id.clone(), old: old.into(), new: new.into() });
        }
    }
    causes
}

/// What went into one result and not, or differently, into another of the same stage.
pub fn differences(old: &Record, new: &Record) -> Vec<Cause> {
    let mut causes = Vec::new();
    if old.kind != new.kind {
        let (old, new) = (old.kind.clone().into(), new.kind.clone().into());
        causes.push(Cause::Param { field: "uses".into(), old, new });
    } else if old.version != new.version {
        causes.push(Cause::Code { old: old.version, new: new.version });
    }
    let mut found = Vec::new();
    compare(&mut found, String::new(), Some(&old.params), Some(&new.params));
    let known = |value: Option<&Value>| value.cloned().unwrap_or(Value::Null);
    causes.extend(found.into_iter().map(|(field, old, new)| Cause::Param {
        field,
        old: known(old),
        new: known(new),
    }));
    for name in different(&old.files, &new.files) {
        causes.push(Cause::File { field: name.clone(), files: Changes::default() });
    }
    for port in different(&old.inputs, &new.inputs) {
        causes.push(Cause::Input { field: port.clone(), root: String::new() });
    }
    if old.inputs == new.inputs && old.story != new.story {
        causes.push(Cause::Input { field: STORY.into(), root: String::new() });
    }
    for id in different(&old.pins, &new.pins) {
        let value = |record: &Record| record.pins.get(id).cloned().into();
        causes.push(Cause::Pin { field: id.clone(), old: value(old), new: value(new) });
    }
    causes
}

/// The names under which two maps hold different things.
pub(crate) fn different<'a, V: PartialEq>(
    old: &'a BTreeMap<String, V>,
    new: &'a BTreeMap<String, V>,
) -> Vec<&'a String> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().filter(|name| old.get(*name) != new.get(*name)).collect()
}

/// Differences of parameters, each by its dotted name. A default is shown as the value that it is.
fn params(causes: &mut Vec<Cause>, spec: &StageSpec, previous: &Value) {
    let mut found = Vec::new();
    compare(&mut found, String::new(), Some(previous), Some(&spec.identity));
    for (field, old, new) in found {
        let default = |value: Option<&Value>| match value {
            Some(value) => value.clone(),
            None => default_of(&spec.kind.description.params, &field),
        };
        causes.push(Cause::Param { old: default(old), new: default(new), field });
    }
}

/// The default of a field by its dotted name, as the schema has it; null where there is none.
fn default_of(schema: &Value, field: &str) -> Value {
    let mut at = schema;
    for name in field.split('.') {
        if let Some(reference) = at.get("$ref").and_then(Value::as_str) {
            at = schema.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
        }
        at = at.get("properties").and_then(|fields| fields.get(name)).unwrap_or(&Value::Null);
    }
    at.get("default").cloned().unwrap_or(Value::Null)
}

type Difference<'a> = (String, Option<&'a Value>, Option<&'a Value>);

fn compare<'a>(
    found: &mut Vec<Difference<'a>>,
    field: String,
    old: Option<&'a Value>,
    new: Option<&'a Value>,
) {
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let inner = if field.is_empty() { name.clone() } else { format!("{field}.{name}") };
                compare(found, inner, old.get(name), new.get(name));
            }
        }
        (old, new) if old != new => found.push((field, old, new)),
        _ => {}
    }
}

/// The stage at the first port whose entries are the same as in the last result, and came to be in another way. Only of
/// kinds that are told; what is made again, or holds something else, is a cause already.
fn story(
    plan: &Plan,
    spec: &StageSpec,
    previous: Option<&Record>,
    changed: &[(String, usize)],
) -> Option<(String, usize)> {
    let previous = previous.filter(|_| spec.kind.description.story)?;
    let same = |port: &&Port| changed.iter().all(|(name, _)| *name != port.name);
    spec.inputs.iter().filter(same).find_map(|port| {
        let then = previous.story.get(&port.name).map(Vec::as_slice).unwrap_or_default();
        let differs = port.entries.iter().enumerate().find(|(at, entry)| {
            let now = plan.ways.of(entry.stage);
            then.get(*at).is_none_or(|(output, way)| *output != entry.output || Some(*way) != now)
        });
        Some((STORY.to_owned(), differs?.1.stage))
    })
}

/// Ports whose content will be made again or differs from the last result, with the stage where that began.
fn inputs(
    plan: &Plan,
    spec: &StageSpec,
    previous: Option<&Record>,
    roots: &[Option<usize>],
) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for port in &spec.inputs {
        let remade = port.entries.iter().find(|entry| plan.is_dirty(entry.stage));
        if let Some(entry) = remade {
            found.push((port.name.clone(), roots[entry.stage].unwrap_or(entry.stage)));
            continue;
        }
        let Some(previous) = previous else { continue };
        let then = previous.inputs.get(&port.name).map(Vec::as_slice).unwrap_or_default();
        let differs = port.entries.iter().enumerate().find(|(at, entry)| {
            let record = plan.stages[entry.stage].as_ref().and_then(|planned| planned.record.as_ref());
            let now = record
                .and_then(|record| record.outputs.get(&entry.output))
                .map(|artifact| artifact.identity());
            let name = if port.list { entry.name.as_str() } else { "" };
            then.get(*at).is_none_or(|(then_name, then)| then_name != name || Some(*then) != now)
        });
        match differs {
            Some((_, entry)) => found.push((port.name.clone(), entry.stage)),
            None if then.len() > port.entries.len() => {
                found.extend(port.entries.first().map(|entry| (port.name.clone(), entry.stage)));
            }
            None => {}
        }
    }
    // A port that is connected no more has no stage to name; its content is what changed.
    found
}
