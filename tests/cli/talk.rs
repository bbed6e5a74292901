//! Where muse talks and where it does not: standard output and error, closed pipes, `-q`, `-v`, colours.
use crate::support::TestContext;
use std::io::Read;
use std::process::Stdio;

const TWO: &str = "stages:
  a: { uses: command, with: { run: echo > out/x, outputs: [x] } }
  b: { uses: command, inputs: { x: a }, with: { run: cp in/x out/y, outputs: [y] } }
";

#[test]
fn a_closed_pipe_ends_muse_quietly() {
    let stages: String = (0..3000)
        .map(|n| format!("  s{n}: {{ uses: command, with: {{ run: echo {n} > out/x, outputs: [x] }} }}\n"))
        .collect();
    let context = TestContext::pipeline(&format!("stages:\n{stages}"));
    for words in [vec!["plan", "pipelines/p.yaml", "--json"], vec!["expand", "pipelines/p.yaml"]] {
        let mut child =
            context.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // As `head -c 10` does.
        let mut few = [0; 10];
        child.stdout.as_mut().unwrap().read_exact(&mut few).unwrap();
        drop(child.stdout.take());
        let said = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stderr), "", "{words:?}");
        assert_eq!(said.status.code(), Some(0), "{words:?}");
    }
}

#[test]
fn without_a_terminal_there_is_one_line_for_each_change() {
    let context = TestContext::pipeline(TWO);
    let output = context.muse(["run", "pipelines/p.yaml"]).ok();
    assert_eq!(output.stdout, "");
    assert!(!output.stderr.contains(['\r', '\x1b']), "{output}");
    let about =
        |stage: &str| output.stderr.lines().filter(|line| line.starts_with(&format!("{stage}: "))).count();
    assert!((1..=3).contains(&about("a")) && (1..=3).contains(&about("b")), "{output}");
    let second = context.muse(["run", "pipelines/p.yaml"]).ok();
    assert!(second.stderr.contains('2') && second.stderr.contains("hit"), "{second}");
    assert!(second.stderr.lines().count() <= 3, "{second}");
    let verbose = context.muse(["run", "pipelines/p.yaml", "-v"]).ok();
    assert!(verbose.stderr.lines().count() > second.stderr.lines().count(), "{verbose}");
}

#[test]
fn quiet_is_quiet() {
    let context = TestContext::pipeline(TWO);
    let output = context.muse(["run", "pipelines/p.yaml", "-q"]).ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    context.edit("stages: { a: { uses: command, with: { run: exit 3, outputs: [x] } } }\n");
    context.muse(["run", "pipelines/p.yaml", "-q"]).ends(1).says("exit status 3");
}

#[test]
fn colours_come_when_asked_for() {
    let context = TestContext::pipeline(TWO);
    let plain = context.muse(["plan", "pipelines/p.yaml"]).ok().stdout;
    assert!(!plain.contains('\x1b'));
    let coloured = context.muse(["plan", "pipelines/p.yaml", "--color", "always"]).ok().stdout;
    assert!(coloured.contains('\x1b'));
    context.muse(["plan", "pipelines/p.yaml", "--color", "sometimes"]).ends(2);
}

#[test]
fn json_of_a_run_is_nothing_but_events() {
    let context = TestContext::pipeline(TWO);
    let output = context.run::<&str>([]).ok();
    for event in output.events() {
        assert!(event["event"].is_string() && event["time"].is_string(), "{event}");
    }
}

#[test]
fn a_store_that_cannot_be_is_exit_code_4() {
    let context = TestContext::pipeline(TWO);
    context.write("cache", "a file where the store should be");
    for command in ["run", "plan"] {
        context.muse([command, "pipelines/p.yaml"]).ends(4).says("cache");
    }
    context.muse(["gc"]).ends(4).says("cache");
}

#[test]
fn doctor_says_whether_a_cpu_run_can_work() {
    let context = TestContext::pipeline(TWO);
    let output = context.muse(["doctor", "pipelines/p.yaml"]).ok();
    assert!(output.stdout.contains("disk") && output.stdout.contains("store"), "{output}");
    context.muse(["doctor", "--json"]).ok().json();
    context.edit(
        "stages: { a: { uses: command, with: { run: 'true', outputs: [x] }, resources: { gpu: 99 } } }\n",
    );
    context.muse(["doctor", "pipelines/p.yaml"]).ends(1);
}

#[test]
fn stages_and_schema_describe_what_there_is() {
    let context = TestContext::new();
    context.muse(["stages"]).ok().prints("command");
    context.muse(["stages", "command"]).ok().prints("outputs").prints("files");
    context.muse(["stages", "comand"]).ends(2).says("`command`");
    let schema = context.muse(["schema"]).ok().json();
    assert!(schema["properties"]["stages"].is_object());
}
