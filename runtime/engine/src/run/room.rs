//! Whether this machine has room for the stages of a plan: asked of their kinds before anything runs.
use super::{Machine, RunError, RunOptions};
use crate::document::{Entry, Link, Pipeline, StageSpec};
use crate::plan::Plan;
use muse_stage::{Above, Given};
use std::cell::LazyCell;

/// Asks for every stage that will or may run; a hit needs no room.
pub(super) fn check(pipeline: &Pipeline, plan: &Plan, options: &RunOptions) -> Result<(), RunError> {
    let mut problems = Vec::new();
    let smallest = LazyCell::new(|| smallest((options.gpu_memory)()));
    for (stage, planned) in plan.iter() {
        let spec = &pipeline.stages[stage];
        let Link::BuiltIn(kind) = &spec.kind.link else { continue };
        if !planned.is_work() || planned.same_as.is_some() {
            continue;
        }
        let machine = share(&options.machine, spec, &|| *smallest);
        let params = spec.params(|file| file.text.as_str().into());
        if let Err(error) = kind.room_json(&params, &above(pipeline, stage), &machine) {
            problems.push(pipeline.wrong(spec, error));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(RunError::Wrong(problems)) }
}

/// What stands above a stage, looked up when it is asked for.
pub fn above(pipeline: &Pipeline, stage: usize) -> Above<'_> {
    Above::new(move |name| {
        let ports = pipeline.stages[stage].inputs.iter().filter(|port| port.name == name);
        ports.flat_map(|port| port.entries.iter()).map(|entry| given(pipeline, entry)).collect()
    })
}

fn given<'p>(pipeline: &'p Pipeline, entry: &'p Entry) -> Given<'p> {
    let spec = &pipeline.stages[entry.stage];
    let mut params = spec.params(|file| file.text.as_str().into());
    spec.kind.shape().fill(&mut params);
    Given { kind: spec.kind.name(), output: &entry.output, params, above: above(pipeline, entry.stage) }
}

/// What of the machine a stage may count on. `smallest` asks for the memory of a GPU.
fn share(machine: &Machine, spec: &StageSpec, smallest: &dyn Fn() -> u64) -> muse_stage::Machine {
    let wants = spec.reserves();
    let all = if machine.memory == 0 { u64::MAX } else { machine.memory };
    let has = u32::try_from(machine.gpus.len()).unwrap_or(u32::MAX);
    let gpus = wants.gpu.unwrap_or(0).min(has);
    muse_stage::Machine {
        memory: wants.memory.map_or(all, |reserved| reserved.min(all)),
        gpu_memory: (gpus > 0).then(|| if spec.kind.description.device { smallest() } else { u64::MAX }),
        gpus,
        threads: machine.threads(&wants, spec.kind.description.single_thread),
    }
}

/// The least of what is known.
fn smallest(memory: Vec<u64>) -> u64 {
    memory.into_iter().filter(|bytes| *bytes > 0).min().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Kinds, Options, load};
    use muse_stage::schemars::{self, JsonSchema};
    use muse_stage::{ArtifactType, Context, Description, InputPort, OutputPort, Stage, StageError};
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Size {
        #[serde(default)]
        size: u32,
    }

    struct Train;

    impl Stage for Train {
        type Params = Size;
        const KIND: &'static str = "train";
        const VERSION: u32 = 1;
        const DOC: &'static str = "For tests.";
        fn inputs(&self) -> Vec<InputPort> {
            vec![InputPort::optional("init", &[ArtifactType::File])]
        }
        fn outputs(&self) -> Vec<OutputPort> {
            vec![OutputPort::new("model", ArtifactType::File)]
        }
        fn habits(&self, description: Description) -> Description {
            Description { device: true, ..description }
        }
        fn run(&self, _: &mut Context, _: Size) -> Result<(), StageError> {
            Ok(())
        }
    }

    fn pipeline(stages: &str) -> Pipeline {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.yaml");
        std::fs::write(&path, format!("muse: 1\nstages: {stages}\n")).unwrap();
        load(&path, &Options::new(&Kinds::new(&[&Train]))).unwrap()
    }

    /// What a stage with these `resources` may count on.
    fn of(resources: &str, gpus: &[&str], memory: u64) -> (u64, Option<u64>, u32, u32) {
        let pipeline = pipeline(&format!("{{ a: {{ uses: train, resources: {resources} }} }}"));
        let gpus = gpus.iter().map(|gpu| (*gpu).to_owned()).collect();
        let machine = Machine { cores: 4, memory, gpus };
        let share = share(&machine, &pipeline.stages[0], &|| smallest(vec![0, 80, 40]));
        (share.memory, share.gpu_memory, share.threads, share.gpus)
    }

    #[test]
    fn a_stage_may_count_on_what_it_reserves() {
        assert_eq!(of("{}", &[], 1000), (1000, None, 4, 0));
        assert_eq!(of("{ memory: 500, cpu: 2 }", &[], 1000), (500, None, 2, 0));
        assert_eq!(of("{ memory: 5000 }", &[], 1000), (1000, None, 4, 0));
        assert_eq!(of("{}", &[], 0), (u64::MAX, None, 4, 0), "the system does not say");
    }

    #[test]
    fn it_computes_on_a_gpu_where_it_gets_one() {
        assert_eq!(of("{}", &["0", "1"], 9).1, Some(40));
        assert_eq!(of("{ gpu: 2 }", &["0", "1"], 9).1, Some(40));
        assert_eq!(of("{ gpu: 0 }", &["0", "1"], 9).1, None);
        assert_eq!(of("{ gpu: 1 }", &[], 9).1, None);
        assert_eq!(smallest(vec![0]), u64::MAX);
        let many = |resources, gpus| of(resources, gpus, 9).3;
        assert_eq!([many("{}", &["0", "1"]), many("{ gpu: 2 }", &["0", "1"]), many("{}", &[])], [1, 2, 0]);
        assert_eq!(many("{ gpu: 9 }", &["0", "1"]), 2, "as many as there are");
    }

    #[test]
    fn a_stage_sees_what_stands_above_it_with_defaults_written_out() {
        let pipeline = pipeline(
            "{ a: { uses: train }, b: { uses: train, inputs: { init: a }, with: { size: 3 } },
               c: { uses: train, inputs: { init: b } } }",
        );
        let above = above(&pipeline, 2);
        let [b] = &above.port("init")[..] else { panic!("one stands there") };
        assert_eq!((b.kind, b.output, &b.params["size"]), ("train", "model", &3.into()));
        assert_eq!(b.port("init")[0].params["size"], 0);
        assert!(b.port("init")[0].port("init").is_empty() && above.port("data").is_empty());
    }
}
