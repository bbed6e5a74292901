//! What a kind finds wrong beyond its own parameters: with what stands above it, and with the machine.
use super::example;
use crate::support::{TestContext, snapshot};

fn project(pipeline: &str) -> TestContext {
    let context = TestContext::with(example("muse-with-life"));
    context.edit(pipeline);
    context
}

const TWO: &str = "stages:
  first: { uses: life, with: { steps: 3 } }
  world:
    uses: life
    inputs: { start: first }
    with: { steps: 5, width: 8 }
";

#[test]
fn what_does_not_fit_the_stage_above_is_an_error_of_the_file() {
    let context = project(TWO);
    let output = context.muse(["validate", "pipelines/p.yaml"]).ends(2);
    snapshot!(context, output.stderr, @r"
    error: a world of width 8 cannot go on from one of width 32
     --> pipelines/p.yaml:7:30
      |
    7 |     with: { steps: 5, width: 8 }
      |                              ^
      |
      = help: write `width: 32`

    error: 1 error
    ");
    for command in ["plan", "run"] {
        let same = context.muse([command, "pipelines/p.yaml"]).ends(2);
        assert_eq!(same.stderr, output.stderr.replace("\nerror: 1 error\n", ""));
    }
    assert!(!context.cache().exists(), "something ran");
    let errors = context.muse(["validate", "pipelines/p.yaml", "--json"]).ends(2).json();
    assert_eq!((&errors["errors"][0]["line"], &errors["errors"][0]["column"]), (&7.into(), &30.into()));
    // The width above is a default, and this is as wide.
    context.replace("pipelines/p.yaml", "width: 8", "width: 32");
    assert_eq!(context.run::<&str>([]).ok().ran(), ["first", "world"]);
}

const LARGE: &str = "params: { memory: 1kB }
stages:
  before: { uses: command, with: { run: 'echo > out/x', outputs: [x] } }
  world:
    uses: life
    with: { steps: 3 }
    resources: { memory: '${params.memory}' }
";

#[test]
fn a_machine_without_room_is_found_before_anything_runs() {
    let context = project(LARGE);
    // The file is right, and a plan is a plan.
    context.muse(["validate", "pipelines/p.yaml"]).ok();
    context.muse(["plan", "pipelines/p.yaml"]).ok();
    let output = context.muse(["run", "pipelines/p.yaml"]).ends(2);
    snapshot!(context, output.stderr, @r"
    error: the world needs 2048 bytes, and there are 1000
     --> pipelines/p.yaml:7:5
      |
    7 |     with: { steps: 3 }
      |     ^^^^
      |
      = help: lower `width`, or raise `resources.memory`
    ");
    assert!(!context.cache().join("blobs-v1").exists(), "something ran");
    // A result that is there needs no room.
    assert_eq!(context.run(["--set", "memory=1MB"]).ok().ran(), ["before", "world"]);
    assert!(context.run::<&str>([]).ok().ran().is_empty());
    // Nor does a stage that nobody asked for.
    context.run(["before", "--force", "before"]).ok();
    context.run(["--force", "world"]).ends(2);
}
