//! GPUs are handed out one by one. Says why it checks less where there are none.
use crate::support::TestContext;
use std::fs;

/// How many GPUs the driver has.
fn gpus() -> usize {
    fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count)
}

#[test]
fn two_stages_never_share_a_gpu() {
    let there = gpus();
    if there == 0 {
        println!("no NVIDIA driver here: nothing to hand out");
        return;
    }
    let stages: String = (0..2 * there)
        .map(|n| {
            format!(
                "  s{n}: {{ uses: command, with: {{ run: 'flock -n \"$LOCKS/$CUDA_VISIBLE_DEVICES\" sh -c \"sleep 0.3; echo {n} $CUDA_VISIBLE_DEVICES > out/x\"', outputs: [x] }}, resources: {{ gpu: 1 }}, pass_env: [LOCKS] }}\n"
            )
        })
        .collect();
    let mut context = TestContext::pipeline(&format!("stages:\n{stages}"));
    fs::create_dir_all(context.outside("locks")).unwrap();
    context.set("LOCKS", context.outside("locks").display().to_string());
    // A stage whose GPU somebody else holds fails at once.
    context.run(["--jobs", "64"]).ok();
    assert!(fs::read_dir(context.outside("locks")).unwrap().count() <= there);
}

#[test]
fn a_device_that_is_not_there_is_the_command_lines_matter() {
    let context =
        TestContext::pipeline("stages: { a: { uses: command, with: { run: 'true', outputs: [x] } } }\n");
    context.muse(["run", "pipelines/p.yaml", "--device", "gpu"]).ends(2).says("cuda:N");
    context.muse(["run", "pipelines/p.yaml", "--device", "cuda:99"]).ends(2).says("muse doctor");
    if gpus() == 0 {
        context.muse(["run", "pipelines/p.yaml", "--device", "cuda"]).ends(2).says("GPU");
    }
}

#[test]
fn a_kind_that_computes_on_a_device_takes_one_gpu_and_sees_no_other() {
    let describe = r#"{"muse_stage": 1, "name": "odd", "version": 1, "device": true, "params": {"type": "object", "properties": {}},
        "outputs": [{"name": "x", "type": "file"}]}"#;
    let job = r#"echo "[$CUDA_VISIBLE_DEVICES]" > out/x; echo '{"event": "done"}'"#;
    let script = format!("#!/bin/sh\nif [ \"$1\" = --describe ]; then echo '{describe}'; else {job}; fi\n");
    let run = |describes: &str, more: &[&str], resources: &str| {
        let mut context = TestContext::pipeline(&format!(
            "plugins: {{ odd: ../bin/muse-stage-odd }}\nstages: {{ a: {{ uses: odd{resources} }} }}\n"
        ));
        context.write_program("bin/muse-stage-odd", script.replace("\"device\": true, ", describes));
        if gpus() == 0 {
            context.set("CUDA_VISIBLE_DEVICES", "5");
        }
        context.run(more).ok();
        context.result("a")
    };
    let device = "\"device\": true, ";
    // None that it was not given, whatever its caller sees.
    assert_eq!(run(device, &["--device", "cpu"], ""), "[]\n");
    assert_eq!(run(device, &[], ", resources: { gpu: 0 }"), "[]\n");
    if gpus() == 0 {
        assert_eq!(run(device, &[], ""), "[]\n");
        // Another kind sees what its caller sees.
        assert_eq!(run("", &[], ""), "[5]\n");
    } else {
        let taken = run(device, &[], "");
        assert!(taken.len() > 3 && !taken.contains(','), "{taken}");
    }
}

#[test]
fn the_device_is_no_part_of_the_key() {
    let context = TestContext::pipeline(
        "stages: { a: { uses: command, with: { run: echo > out/x, outputs: [x] } } }\n",
    );
    context.run(["--device", "cpu"]).ok();
    assert!(context.run(["--device", "auto"]).ok().ran().is_empty());
    context.replace("pipelines/p.yaml", "outputs: [x] }", "outputs: [x] }, resources: { gpu: 1 }");
    assert!(context.run::<&str>([]).ok().ran().is_empty());
}
