//! What a run would do, and why. `plan` shows it, `run` carries it out: there is one planner.
//!
//! A stage is **settled** when its outputs are known without running anything: its key is known and the store has
//! its record. Everything that will be made again is **dirty**, and so is all that stands below it, because its
//! key hangs on digests that do not exist yet. Dirt also runs upwards: a dirty stage needs the content of its
//! inputs, so a settled input whose blobs are gone is made again, which makes its other consumers dirty too. Each
//! stage turns dirty at most once, and loses its key at most once, so planning is linear in stages and inputs.
mod causes;
mod files;
mod offer;
mod targets;

pub(crate) use causes::different;
pub use causes::{Cause, differences};
pub use files::{FileSets, ResolvedFile, ResolvedFiles};
pub(crate) use offer::furthest;
pub use targets::{downstream, targets, topological};

use crate::diagnostic::Diagnostic;
use crate::document::{Lock, Pipeline, StageSpec};
use crate::key::{Entries, KeyParts};
use crate::last::LastResults;
use crate::story::Ways;
use muse_store::{Key, Record, Store};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// What is planned for one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Its result is there.
    Hit,
    /// It will run.
    Run,
    /// Something above it will run; whether its key changes is known then.
    Maybe,
}

/// One wanted stage.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What is planned.
    pub action: Action,
    /// Its key, where it is known already.
    pub key: Option<Key>,
    /// The record of that key.
    pub record: Option<Arc<Record>>,
    /// False where the record is there and its blobs are not, and nothing that will run needs them.
    pub stored: bool,
    /// Another stage has the same key and runs first.
    pub same_as: Option<usize>,
    /// The record whose content the store has lost: this one will not do, another will.
    pub lost: Option<Arc<Record>>,
    /// Why it is not simply a hit.
    pub causes: Vec<Cause>,
    /// The result that it will go on from.
    pub resume: Option<Resume>,
    dirty: bool,
}

/// A result of the same family that a run goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Resume {
    /// Its key.
    pub from: Key,
    /// The step that it leads to.
    pub step: u64,
}

/// The plan for the wanted stages of a pipeline.
pub struct Plan {
    /// Wanted stages, each behind all that it needs.
    pub order: Vec<usize>,
    /// The stages that were asked for.
    pub targets: Vec<usize>,
    /// By stage; `None` for those that are not wanted.
    pub stages: Vec<Option<Planned>>,
    /// The input files of each wanted stage, hashed.
    pub files: FileSets,
    /// How the results came to be that stages are told of.
    pub(crate) ways: Ways,
}

/// What a plan is made from.
pub struct Planner<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// Where results are looked up.
    pub store: &'a Store,
    /// What outside things are pinned to.
    pub lock: &'a Lock,
    /// The last known result of each stage, to tell what has changed since.
    pub last: &'a LastResults,
    /// Stages to run whatever the store has.
    pub force: &'a HashSet<usize>,
}

impl Planner<'_> {
    /// Plans for `targets`. Hashes input files (through the stat index) and reads records; writes nothing.
    pub fn plan(&self, targets: Vec<usize>) -> Result<Plan, Vec<Diagnostic>> {
        let order = topological(self.pipeline, &targets);
        let files = FileSets::resolve(self.pipeline, &order, self.store)?;
        let ways = Ways::new(self.pipeline, &order);
        let stages = vec![None; self.pipeline.stages.len()];
        let mut plan = Plan { stages, order, targets, files, ways };
        self.look_up(&mut plan);
        self.look_for_content(&mut plan);
        self.spread_dirt(&mut plan);
        causes::explain(self, &mut plan);
        self.look_for_offers(&mut plan);
        Ok(plan)
    }

    /// What stages whose key is known will go on from. One that is forced begins from nothing.
    fn look_for_offers(&self, plan: &mut Plan) {
        for at in 0..plan.order.len() {
            let stage = plan.order[at];
            let spec = &self.pipeline.stages[stage];
            let runs = |planned: &&Planned| planned.action == Action::Run && planned.same_as.is_none();
            let key = plan.stages[stage].as_ref().filter(runs).and_then(|planned| planned.key);
            let may = spec.kind.has_families() && !self.force.contains(&stage);
            let Some(key) = key.filter(|_| may) else { continue };
            let Some(family) = self.parts(plan, stage).and_then(|parts| parts.family()) else { continue };
            let offer = furthest(self.store, spec, &family, key, &[]);
            if let Some(planned) = plan.stages[stage].as_mut() {
                planned.resume = offer.map(|offer| Resume { from: offer.record.key, step: offer.step });
            }
        }
    }

    /// The first pass, downwards: keys and records as far as they are known.
    fn look_up(&self, plan: &mut Plan) {
        let mut first_with: HashMap<Key, usize> = HashMap::new();
        for at in 0..plan.order.len() {
            let stage = plan.order[at];
            let forced = self.force.contains(&stage);
            let key = self.parts(plan, stage).map(|parts| parts.key());
            let record = key.and_then(|key| match self.last.records.get(&key) {
                Some(record) => Some(Arc::clone(record)),
                None => self.store.record(&key).ok().flatten().map(Arc::new),
            });
            let twin = key.and_then(|key| match first_with.get(&key) {
                Some(&first) => Some(first),
                None => {
                    first_with.insert(key, stage);
                    None
                }
            });
            // A twin of a stage that runs is made by it; a twin of a hit is a hit by itself.
            let same_as = twin.filter(|&twin| plan.stages[twin].as_ref().is_some_and(|twin| twin.dirty));
            let (action, dirty) = match (&key, &record) {
                _ if same_as.is_some() => (Action::Hit, true),
                _ if forced => (Action::Run, true),
                (Some(_), Some(_)) => (Action::Hit, false),
                (Some(_), None) => (Action::Run, true),
                (None, _) if self.unpinned(stage).is_some() => (Action::Run, true),
                (None, _) => (Action::Maybe, true),
            };
            let record = record.filter(|_| !dirty);
            if let Some(record) = &record {
                plan.ways.settle(self.pipeline, stage, record);
            }
            plan.stages[stage] = Some(Planned {
                action,
                key,
                record,
                stored: true,
                same_as,
                lost: None,
                causes: Vec::new(),
                resume: None,
                dirty,
            });
        }
    }

    /// Whether the content of each settled stage is in the store, looked at on all cores.
    fn look_for_content(&self, plan: &mut Plan) {
        let settled: Vec<(usize, Arc<Record>)> =
            plan.iter().filter_map(|(stage, planned)| Some((stage, planned.record.clone()?))).collect();
        let there = |record: &Record| record.outputs.values().all(|artifact| self.store.present(artifact));
        let lost: Vec<usize> = settled
            .par_iter()
            .with_min_len(16)
            .filter_map(|(stage, record)| (!there(record)).then_some(*stage))
            .collect();
        for stage in lost {
            if let Some(planned) = plan.stages[stage].as_mut() {
                planned.stored = false;
            }
        }
    }

    /// The second pass, both ways: what dirty stages need must be there, and what stands below them is unknown.
    fn spread_dirt(&self, plan: &mut Plan) {
        let below = downstream(self.pipeline, &plan.order);
        let mut twins: HashMap<Key, Vec<usize>> = HashMap::new();
        for &stage in &plan.order {
            if let Some(key) = plan.stages[stage].as_ref().and_then(|planned| planned.key) {
                twins.entry(key).or_default().push(stage);
            }
        }
        let mut work: Vec<usize> = plan.order.iter().copied().filter(|&stage| plan.is_dirty(stage)).collect();
        for at in 0..plan.targets.len() {
            let target = plan.targets[at];
            self.need(plan, target, &twins, &mut work);
        }
        while let Some(stage) = work.pop() {
            if plan.stages[stage].as_ref().is_some_and(|planned| planned.same_as.is_none()) {
                for input in inputs(&self.pipeline.stages[stage]) {
                    self.need(plan, input, &twins, &mut work);
                }
            }
            for &consumer in &below[stage] {
                self.unsettle(plan, consumer, &twins, &mut work);
            }
        }
    }

    /// What takes something that will be made again has no key yet, also where it was to run anyway; nor have the
    /// twins that it was to make.
    fn unsettle(
        &self,
        plan: &mut Plan,
        stage: usize,
        twins: &HashMap<Key, Vec<usize>>,
        work: &mut Vec<usize>,
    ) {
        let Some(planned) = plan.stages[stage].as_mut() else { return };
        let key = planned.key.take();
        if planned.dirty && key.is_none() {
            return;
        }
        let maker = planned.dirty && planned.same_as.is_none();
        planned.action = if self.force.contains(&stage) { Action::Run } else { Action::Maybe };
        (planned.record, planned.dirty, planned.stored, planned.same_as) = (None, true, true, None);
        if !maker {
            work.push(stage);
            return;
        }
        for &twin in key.and_then(|key| twins.get(&key)).map(Vec::as_slice).unwrap_or_default() {
            if plan.stages[twin].as_ref().is_some_and(|planned| planned.same_as == Some(stage)) {
                self.unsettle(plan, twin, twins, work);
            }
        }
    }

    /// Makes sure that the content of a settled stage will be there: one whose blobs are lost is made again.
    fn need(&self, plan: &mut Plan, stage: usize, twins: &HashMap<Key, Vec<usize>>, work: &mut Vec<usize>) {
        let Some(planned) = plan.stages[stage].as_ref().filter(|planned| !planned.dirty) else {
            return;
        };
        let Some(key) = planned.key.filter(|_| !planned.stored) else {
            return;
        };
        // The first of the stages with this key makes it, the others take it from there.
        let mut first = None;
        for &twin in twins.get(&key).map(Vec::as_slice).unwrap_or_default() {
            if let Some(planned) = plan.stages[twin].as_mut().filter(|planned| !planned.dirty) {
                (planned.dirty, planned.stored) = (true, true);
                planned.lost = planned.record.take();
                match first {
                    None => planned.action = Action::Run,
                    Some(_) => planned.same_as = first,
                }
                first = first.or(Some(twin));
                work.push(twin);
            }
        }
    }

    /// The parts of a stage's key, where all of them are known.
    pub fn parts<'p>(&'p self, plan: &Plan, stage: usize) -> Option<KeyParts<'p>> {
        key_parts(self.pipeline, self.lock, &plan.files, &plan.ways, stage, |input| plan.record(input))
    }

    /// The first outside thing of a stage that the lock file does not pin.
    pub fn unpinned(&self, stage: usize) -> Option<&str> {
        let pins = &self.pipeline.stages[stage].pins;
        pins.iter().map(String::as_str).find(|id| self.lock.get(id).is_none())
    }
}

/// The parts of a stage's key, where `made` knows the result of each input and the lock file all pins.
pub(crate) fn key_parts<'p, 'r>(
    pipeline: &'p Pipeline,
    lock: &Lock,
    files: &FileSets,
    ways: &Ways,
    stage: usize,
    made: impl Fn(usize) -> Option<&'r Record>,
) -> Option<KeyParts<'p>> {
    let spec = &pipeline.stages[stage];
    let mut inputs = BTreeMap::new();
    for port in &spec.inputs {
        let mut entries = Vec::with_capacity(port.entries.len());
        for entry in port.entries.iter() {
            let name = if port.list { entry.name.clone() } else { String::new() };
            entries.push((name, made(entry.stage)?.outputs.get(&entry.output)?.identity()));
        }
        inputs.insert(port.name.clone(), entries);
    }
    let mut pins = BTreeMap::new();
    for id in &spec.pins {
        pins.insert(id.clone(), lock.get(id)?.to_owned());
    }
    let files = files.of(stage).map(|(name, set)| (name.to_owned(), set.digest)).collect();
    Some(KeyParts {
        kind: &spec.kind.description.name,
        version: spec.kind.description.version,
        params: &spec.identity,
        extendable: spec.kind.has_families().then_some(&*spec.extendable),
        inputs,
        files,
        pins,
        story: if spec.kind.description.story { ways.at(spec)? } else { Entries::new() },
    })
}

/// The stages that a stage takes something from, as often as it does.
pub fn inputs(spec: &StageSpec) -> impl Iterator<Item = usize> + '_ {
    spec.inputs.iter().flat_map(|port| port.entries.iter()).map(|entry| entry.stage)
}

impl Planned {
    /// Whether it will or may run, or waits for a twin that will.
    pub fn is_work(&self) -> bool {
        self.dirty
    }
}

impl Plan {
    /// The wanted stages in order, with what is planned for each.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Planned)> {
        self.order.iter().filter_map(|&stage| Some((stage, self.stages[stage].as_ref()?)))
    }

    /// How many stages have that action.
    pub fn count(&self, action: Action) -> usize {
        self.iter().filter(|(_, planned)| planned.action == action).count()
    }

    /// Whether there is anything to do.
    pub fn has_work(&self) -> bool {
        self.iter().any(|(_, planned)| planned.dirty)
    }

    /// The result of a stage that is settled.
    pub(crate) fn record(&self, stage: usize) -> Option<&Record> {
        self.stages[stage].as_ref().filter(|planned| !planned.dirty)?.record.as_deref()
    }

    fn is_dirty(&self, stage: usize) -> bool {
        self.stages[stage].as_ref().is_some_and(|planned| planned.dirty)
    }
}
