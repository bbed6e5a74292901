//! Marks in a plugin's schema: what a program in any language may say of its fields, and what it then gets.
use super::{example, link};
use crate::support::TestContext;
use serde_json::{Value, json};

/// A plugin of a few shell lines whose result is its own job file.
const DESCRIPTION: &str = r#"{
  "muse_stage": 1, "name": "marked", "version": 1,
  "inputs": [{"name": "data", "types": ["corpus"]}, {"name": "more", "types": ["any"], "many": true}],
  "outputs": [{"name": "job", "type": "report"}],
  "params": {
    "type": "object", "additionalProperties": false,
    "properties": {
      "text": {"type": "string", "x-muse": "files"},
      "model": {"type": "string", "x-muse": "config", "x-muse-content": {
        "type": "object", "additionalProperties": false, "required": ["layers"],
        "properties": {"layers": {"type": "integer"}, "width": {"type": ["integer", "string"], "x-muse": "count"}}
      }},
      "size": {"type": ["integer", "string"], "x-muse": "bytes"},
      "every": {"type": ["number", "string"], "x-muse": "duration", "default": 60},
      "device": {"type": "string", "x-muse": "execution"},
      "buffer": {"type": ["integer", "string"], "x-muse": ["execution", "bytes"]}
    }
  }
}"#;

fn project(with: &str) -> TestContext {
    let context = TestContext::new();
    context.write("bin/description.json", DESCRIPTION);
    context.write_program(
        "bin/muse-stage-marked",
        format!(
            "#!/bin/sh\nif [ \"$1\" = --describe ]; then cat {}; else\ncp \"$1\" out/job; find in > seen; \
             cat seen >&2; echo '{{\"event\": \"done\"}}'; fi\n",
            context.path("bin/description.json").display()
        ),
    );
    context.write("configs/tiny.yaml", "layers: 2 # few\nwidth: 1k\n");
    context.write("data/a.txt", "A");
    with_fields(&context, with);
    context
}

fn with_fields(context: &TestContext, with: &str) {
    context.edit(&format!(
        "plugins: {{ marked: ../bin/muse-stage-marked }}\nstages: {{ m: {{ uses: marked, with: {{ {with} }} }} }}\n"
    ));
}

fn key(context: &TestContext) -> String {
    context.plan::<&str>([])["m"].key().unwrap().to_owned()
}

#[test]
fn the_job_file_holds_what_the_marks_promise() {
    let context = project(
        "text: '../data/*', model: ../configs/tiny.yaml, size: 2KiB, every: 1.5min, device: cpu, buffer: 1MiB",
    );
    context.run::<&str>([]).ok();
    let job: Value = serde_json::from_str(&context.result("m")).unwrap();
    assert_eq!(
        job["params"],
        json!({ "text": "in/text", "model": { "layers": 2, "width": 1000 }, "size": 2048, "every": 90, "device": "cpu",
            "buffer": 1_048_576 })
    );
    assert_eq!((&job["job"], &job["mode"], &job["kind"]), (&json!(1), &json!("run"), &json!("marked")));
    context.muse(["log", "pipelines/p.yaml", "m"]).ok().prints("in/text/a.txt");
}

#[test]
fn the_key_takes_content_and_numbers_and_no_execution_field() {
    let context = project("text: ../data, model: ../configs/tiny.yaml, size: 2KiB, every: 60s, device: cpu");
    let first = key(&context);
    for same in [
        "text: ../data/, model: ../configs/tiny.yaml, size: 2048, device: cuda, buffer: 4kB",
        "size: 0x800, model: ./../configs/tiny.yaml, text: ../data, every: 1min",
    ] {
        with_fields(&context, same);
        assert_eq!(key(&context), first, "{same}");
    }
    // Values in another spelling and order, and comments, are the same values.
    context.write("configs/tiny.yaml", "# another comment\nwidth: 1000\nlayers: 2\n");
    assert_eq!(key(&context), first);
    context.write("configs/tiny.yaml", "width: 1000\nlayers: 3\n");
    assert_ne!(key(&context), first);
    context.write("configs/tiny.yaml", "layers: 2\nwidth: 1k\n");
    context.write("data/a.txt", "B");
    assert_ne!(key(&context), first);
}

#[test]
fn a_mistake_in_a_file_of_values_is_told_at_its_place_there() {
    let context = project("model: ../configs/tiny.yaml, size: 8GiG");
    context.write("configs/tiny.yaml", "layrs: 2\n");
    let output = context.muse(["validate", "pipelines/p.yaml"]).ends(2);
    output.says("configs/tiny.yaml:1:1").says("`layers`").says("pipelines/p.yaml:3:").says("8GiG");
    with_fields(&context, "model: ../configs/tiyn.yaml");
    context.muse(["validate", "pipelines/p.yaml"]).ends(2).says("tiny.yaml");
}

#[test]
fn a_port_takes_what_its_type_says() {
    let context = TestContext::new();
    context.write("bin/description.json", DESCRIPTION);
    context.write_program(
        "bin/muse-stage-marked",
        format!("#!/bin/sh\ncat {}\n", context.path("bin/description.json").display()),
    );
    link(&context, &example("muse-stage-word-count"));
    let check = |inputs: &str| {
        context.edit(&format!(
            "plugins: {{ marked: ../bin/muse-stage-marked, word-count: ../bin/muse-stage-word-count }}
stages:
  t: {{ uses: command, with: {{ run: echo > out/x, outputs: [x] }}, matrix: {{ n: [1, 2] }} }}
  w: {{ uses: word-count, inputs: {{ text: 't[n=1]' }} }}
  m: {{ uses: marked, inputs: {{ {inputs} }} }}
"
        ));
        context.muse(["validate", "pipelines/p.yaml"])
    };
    // What a command wrote may be anything.
    check("data: 't[n=1]', more: [t, w]").ok();
    check("more: t").ok();
    check("data: w").ends(2).says("report").says("corpus").says("pipelines/p.yaml:6:");
    // A whole matrix on a port for one thing: both ways out are shown.
    check("data: t").ends(2).says("t[n=1]");
    check("data: ['t[n=1]']").ends(2).says("`data`");
    check("more: [w, w]").ends(2).says("`w`");
    check("dta: w").ends(2).says("`data`");
}
