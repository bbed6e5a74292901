//! How results came to be, for kinds that are told: the digest of it enters their keys, the whole of it their jobs.
//!
//! The **way** of a result is the digest of its key, of what its stage said of it, and of the ways of its inputs. So two
//! results of one way have one story, and where anything above differs the way does, though the bytes be the same. Ways
//! are kept for stages above one that is told; where there is none, this costs nothing.
use crate::document::{Entry, Pipeline, Port, StageSpec};
use crate::key::{Entries, way};
use crate::plan::inputs;
use muse_stage::{Origin, Story, Told};
use muse_store::{Digest, Record};
use std::collections::{BTreeMap, HashMap};

/// The ways of results, as far as they are made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ways {
    /// Whether a stage stands above one that is told; empty where none does.
    above: Vec<bool>,
    known: HashMap<usize, Digest>,
}

impl Ways {
    /// For the wanted stages, each behind its inputs. Nothing is made yet.
    pub(crate) fn new(pipeline: &Pipeline, order: &[usize]) -> Self {
        let told = |stage: usize| pipeline.stages[stage].kind.description.story;
        let mut ways = Self::default();
        if !order.iter().any(|&stage| told(stage)) {
            return ways;
        }
        ways.above = vec![false; pipeline.stages.len()];
        for &stage in order.iter().rev() {
            if told(stage) || ways.above[stage] {
                inputs(&pipeline.stages[stage]).for_each(|input| ways.above[input] = true);
            }
        }
        ways
    }

    /// A stage has this result, and its inputs have theirs. True where another way was known for it before.
    pub(crate) fn settle(&mut self, pipeline: &Pipeline, stage: usize, record: &Record) -> bool {
        if !self.above.get(stage).is_some_and(|above| *above) {
            return false;
        }
        let Some(inputs) = self.at(&pipeline.stages[stage]) else { return false };
        let way = way(record, &inputs);
        self.known.insert(stage, way).is_some_and(|before| before != way)
    }

    /// The way of a result.
    pub(crate) fn of(&self, stage: usize) -> Option<Digest> {
        self.known.get(&stage).copied()
    }

    /// For each port of a stage the output and the way of each entry, where all of them are known.
    pub(crate) fn at(&self, spec: &StageSpec) -> Option<Entries> {
        let ports = spec.inputs.iter().map(|port| {
            let entry = |entry: &Entry| Some((entry.output.clone(), self.of(entry.stage)?));
            Some((port.name.clone(), port.entries.iter().map(entry).collect::<Option<_>>()?))
        });
        ports.collect()
    }

    /// What a stage is told, where `record` knows all results above it. A loop, not recursion: a chain may be long.
    pub(crate) fn story<'r>(
        &self,
        pipeline: &Pipeline,
        stage: usize,
        record: &dyn Fn(usize) -> Option<&'r Record>,
    ) -> Option<Story> {
        let mut story = Story::default();
        let mut places: HashMap<Digest, usize> = HashMap::new();
        let mut work = Vec::new();
        self.push_open(&mut work, &pipeline.stages[stage], &places);
        while let Some(&above) = work.last() {
            let way = self.of(above)?;
            let spec = &pipeline.stages[above];
            if places.contains_key(&way) {
                work.pop();
            } else if !self.push_open(&mut work, spec, &places) {
                work.pop();
                let inputs = self.origins(spec, &places)?;
                places.insert(way, story.stages.len());
                story.stages.push(told(record(above)?, inputs));
            }
        }
        story.inputs = self.origins(&pipeline.stages[stage], &places)?;
        Some(story)
    }

    /// Puts what a stage takes from and has no place yet on top, the first at the very top. Ports go by name: their order
    /// in the file says nothing.
    fn push_open(&self, work: &mut Vec<usize>, spec: &StageSpec, places: &HashMap<Digest, usize>) -> bool {
        let open = work.len();
        let mut ports: Vec<&Port> = spec.inputs.iter().collect();
        ports.sort_by(|a, b| a.name.cmp(&b.name));
        let entries = ports.into_iter().flat_map(|port| port.entries.iter()).map(|entry| entry.stage);
        work.extend(entries.filter(|&input| self.of(input).is_none_or(|way| !places.contains_key(&way))));
        work[open..].reverse();
        work.len() > open
    }

    fn origins(
        &self,
        spec: &StageSpec,
        places: &HashMap<Digest, usize>,
    ) -> Option<BTreeMap<String, Vec<Origin>>> {
        let ports = spec.inputs.iter().map(|port| {
            let origin = |entry: &Entry| {
                let name = if port.list { entry.name.clone() } else { String::new() };
                let stage = *places.get(&self.of(entry.stage)?)?;
                Some(Origin { name, stage, output: entry.output.clone() })
            };
            Some((port.name.clone(), port.entries.iter().map(origin).collect::<Option<_>>()?))
        });
        ports.collect()
    }
}

fn told(record: &Record, inputs: BTreeMap<String, Vec<Origin>>) -> Told {
    Told {
        kind: record.kind.clone(),
        version: record.version,
        key: record.key.to_string(),
        params: record.params.clone(),
        pins: record.pins.clone(),
        facts: record.facts.clone(),
        adopted: record.adopted,
        inputs,
    }
}
