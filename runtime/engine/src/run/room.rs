//! Whether this machine has room for the stages of a plan: asked of their kinds before anything runs.
use super::{Machine, RunError, RunOptions};
use crate::document::{Link, Pipeline, StageSpec};
use crate::plan::Plan;
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
        if let Err(error) = kind.room_json(&params, &machine) {
            problems.push(pipeline.wrong(spec, error));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(RunError::Wrong(problems)) }
}

/// What of the machine a stage may count on. `smallest` asks for the memory of a GPU.
fn share(machine: &Machine, spec: &StageSpec, smallest: &dyn Fn() -> u64) -> muse_stage::Machine {
    let wants = spec.reserves();
    let all = if machine.memory == 0 { u64::MAX } else { machine.memory };
    let on_gpu = wants.gpu.is_some_and(|gpus| gpus > 0) && !machine.gpus.is_empty();
    muse_stage::Machine {
        memory: wants.memory.map_or(all, |reserved| reserved.min(all)),
        gpu_memory: on_gpu.then(|| if spec.kind.description.device { smallest() } else { u64::MAX }),
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
    use muse_stage::{Context, Description, OutputPort, Stage, StageError};
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Nothing {}

    struct Train;

    impl Stage for Train {
        type Params = Nothing;
        const KIND: &'static str = "train";
        const VERSION: u32 = 1;
        const DOC: &'static str = "For tests.";
        fn outputs(&self) -> Vec<OutputPort> {
            Vec::new()
        }
        fn habits(&self, description: Description) -> Description {
            Description { device: true, ..description }
        }
        fn run(&self, _: &mut Context, _: Nothing) -> Result<(), StageError> {
            Ok(())
        }
    }

    /// What a stage with these `resources` may count on.
    fn of(resources: &str, gpus: &[&str], memory: u64) -> (u64, Option<u64>, u32) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.yaml");
        let text = format!("muse: 1\nstages: {{ a: {{ uses: train, resources: {resources} }} }}\n");
        std::fs::write(&path, text).unwrap();
        let pipeline = load(&path, &Options::new(&Kinds::new(&[&Train]))).unwrap();
        let gpus = gpus.iter().map(|gpu| (*gpu).to_owned()).collect();
        let machine = Machine { cores: 4, memory, gpus };
        let share = share(&machine, &pipeline.stages[0], &|| smallest(vec![0, 80, 40]));
        (share.memory, share.gpu_memory, share.threads)
    }

    #[test]
    fn a_stage_may_count_on_what_it_reserves() {
        assert_eq!(of("{}", &[], 1000), (1000, None, 4));
        assert_eq!(of("{ memory: 500, cpu: 2 }", &[], 1000), (500, None, 2));
        assert_eq!(of("{ memory: 5000 }", &[], 1000), (1000, None, 4));
        assert_eq!(of("{}", &[], 0), (u64::MAX, None, 4), "the system does not say");
    }

    #[test]
    fn it_computes_on_a_gpu_where_it_gets_one() {
        assert_eq!(of("{}", &["0", "1"], 9).1, Some(40));
        assert_eq!(of("{ gpu: 2 }", &["0", "1"], 9).1, Some(40));
        assert_eq!(of("{ gpu: 0 }", &["0", "1"], 9).1, None);
        assert_eq!(of("{ gpu: 1 }", &[], 9).1, None);
        assert_eq!(smallest(vec![0]), u64::MAX);
    }
}
