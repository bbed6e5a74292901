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

/// A project on a machine with two GPUs, as far as muse can tell: files of a driver stand in the place of those that
/// are there. `None` where nobody may do that.
fn machine_with_gpus() -> Option<(TestContext, TestContext)> {
    let outer = TestContext::new();
    for (slot, uuid) in [("1", "GPU-aaaa"), ("2", "GPU-bbbb")] {
        let about = format!("Model: \t Pretended\nGPU UUID: \t {uuid}\n");
        outer.write(format!("driver/nvidia/gpus/{slot}/information"), about);
    }
    outer.write("driver/nvidia/version", "NVRM version: Kernel Module 570.86.15\n");
    let muse = format!(
        "#!/bin/sh\nexec unshare -m sh -c 'mount --bind \"$0\" /proc/driver && exec \"$@\"' {} {} \"$@\"\n",
        outer.path("driver").display(),
        env!("CARGO_BIN_EXE_muse")
    );
    outer.write_program("muse", muse);
    let context = TestContext::with(outer.path("muse"));
    if context.muse(["--version"]).code == 0 {
        return Some((outer, context));
    }
    println!("skipped: files of a driver cannot be put in place here");
    None
}

/// A kind that says what it sees, in a pipeline of stages that each take their time.
fn seeing(context: &TestContext, describes: &str, stages: &[(&str, &str)]) {
    let describe = format!(
        r#"{{"muse_stage": 1, "name": "see", "version": 1, {describes}"outputs": [{{"name": "x", "type": "file"}}],
        "params": {{"type": "object", "properties": {{"n": {{"type": "string"}}}}}}}}"#
    );
    let job = r#"sleep 0.2; echo "[$CUDA_VISIBLE_DEVICES]" > out/x; echo '{"event": "done"}'"#;
    let script = format!("#!/bin/sh\nif [ \"$1\" = --describe ]; then echo '{describe}'; else {job}; fi\n");
    context.write_program("bin/muse-stage-see", script);
    let stages: String = stages
        .iter()
        .map(|(name, more)| format!("  {name}: {{ uses: see, with: {{ n: {name} }}{more} }}\n"))
        .collect();
    context.edit(&format!("plugins: {{ see: ../bin/muse-stage-see }}\nstages:\n{stages}"));
}

const DEVICE: &str = "\"device\": true, ";

#[test]
fn a_kind_that_computes_on_a_device_takes_one_gpu_and_waits_for_it() {
    let Some((_outer, context)) = machine_with_gpus() else { return };
    let stages = ["a", "b", "c"].map(|name| (name, ""));
    seeing(
        &context,
        DEVICE,
        &[&stages[..], &[("d", ", resources: { gpu: 0 }"), ("e", ", resources: { gpu: 2 }")]].concat(),
    );
    for (device, all, both) in [
        ("auto", vec!["[GPU-aaaa]", "[GPU-bbbb]"], "[GPU-aaaa,GPU-bbbb]"),
        ("cuda", vec!["[GPU-aaaa]", "[GPU-bbbb]"], "[GPU-aaaa,GPU-bbbb]"),
        ("cuda:1", vec!["[GPU-bbbb]"], "[GPU-bbbb]"),
        ("cpu", vec!["[]"], "[]"),
    ] {
        let forced = ["a", "b", "c", "d", "e"].map(|name| ["--force", name]).concat();
        context.run([&["--device", device, "--jobs", "8"][..], &forced].concat()).ok();
        let mut seen = ["a", "b", "c"].map(|name| context.result(name).trim().to_owned()).to_vec();
        seen.sort();
        seen.dedup();
        assert_eq!(seen, all, "--device {device}");
        assert_eq!(
            (context.result("d").trim(), context.result("e").trim()),
            ("[]", both),
            "--device {device}"
        );
    }
    context
        .muse(["run", "pipelines/p.yaml", "--device", "cuda:2"])
        .ends(2)
        .says("there is no GPU 2: 2 can be seen");
}

#[test]
fn a_kind_that_computes_on_a_device_sees_no_gpu_that_it_was_not_given() {
    let see = |describes: &str| {
        let mut context = TestContext::new();
        seeing(&context, describes, &[("a", "")]);
        context.set("CUDA_VISIBLE_DEVICES", "5");
        context.run(["--device", "cpu"]).ok();
        context.result("a")
    };
    assert_eq!(see(DEVICE), "[]\n");
    // Another kind sees what its caller sees.
    assert_eq!(see(""), "[5]\n");
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
