//! A binary of one's own: six lines that hand muse a longer list.
use super::example;
use crate::support::TestContext;

const PIPELINE: &str = "params: { top: 2 }
stages:
  text: { uses: command, with: { run: 'echo a b a > out/t; echo b a >> out/t', outputs: [t] } }
  words: { uses: word-count, inputs: { text: text }, with: { top: '${params.top}' } }
";

fn project() -> TestContext {
    let context = TestContext::with(example("my-muse"));
    context.edit(PIPELINE);
    context
}

#[test]
fn the_new_kind_is_one_like_any_other() {
    let context = project();
    let output = context.run::<&str>([]).ok();
    assert_eq!(output.ran(), ["text", "words"]);
    let report: serde_json::Value = serde_json::from_str(&context.result("words")).unwrap();
    assert_eq!(report["top"], serde_json::json!([["a", 3], ["b", 2]]));
    let metric = &output.events_of("metric")[0];
    assert_eq!(
        (&metric["stage"], &metric["name"], &metric["value"]),
        (&"words".into(), &"words".into(), &5.0.into())
    );
    assert_eq!(output.events_of("progress").last().unwrap()["total"], 2);
    assert_eq!(context.run::<&str>([]).ok().stages("hit"), ["text", "words"]);
}

#[test]
fn its_page_and_its_errors_are_as_for_the_built_in_ones() {
    let context = project();
    context.muse(["stages"]).ok().prints("word-count").prints("command");
    context
        .muse(["stages", "word-count"])
        .ok()
        .prints("the most frequent first")
        .prints("100")
        .prints("text");
    for (from, to, line, near) in [
        ("top: '${params.top}'", "tpo: 1", 5, "`top`"),
        ("text: text }", "txet: text }", 5, "`text`"),
        ("uses: word-count", "uses: word-cuont", 5, "`word-count`"),
        ("top: '${params.top}'", "top: 0", 5, "1 or more"),
        ("top: '${params.top}'", "top: many", 5, "many"),
    ] {
        context.edit(PIPELINE);
        context.replace("pipelines/p.yaml", from, to);
        let output = context.muse(["validate", "pipelines/p.yaml"]).ends(2);
        output.says(&format!("pipelines/p.yaml:{line}:")).says(near);
    }
}

#[test]
fn defaults_and_execution_fields_are_no_part_of_the_key() {
    let context = project();
    let key = |with: &str| {
        context.edit(PIPELINE);
        context.replace("pipelines/p.yaml", "{ top: '${params.top}' }", with);
        context.run(["text"]).ok();
        context.plan::<&str>([])["words"].key().unwrap().to_owned()
    };
    let default = key("{}");
    assert_eq!(key("{ top: 100, lowercase: false }"), default);
    assert_eq!(key("{ save_every: 7 }"), default);
    assert_eq!(key("{ top: 0.1k }"), default);
    assert_ne!(key("{ top: 99 }"), default);
    assert_ne!(key("{ lowercase: true }"), default);
}

#[test]
fn a_stage_that_is_stopped_goes_on_where_it_was() {
    let context = project();
    // A text that takes a while: the run is told to stop at the first sign of progress.
    context.replace(
        "pipelines/p.yaml",
        "echo a b a > out/t; echo b a >> out/t",
        "yes a b a | head -n 3000000 > out/t",
    );
    context.replace("pipelines/p.yaml", "{ top: '${params.top}' }", "{ save_every: 1000 }");
    context.run(["text"]).ok();
    let mut run = context
        .command(["run", "pipelines/p.yaml", "--json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut events = std::io::BufRead::lines(std::io::BufReader::new(run.stdout.take().unwrap()));
    let told = events.find(|line| line.as_ref().unwrap().contains(r#""event":"progress""#));
    assert!(told.is_some(), "the stage ended before it said how far it is");
    rustix::process::kill_process(rustix::process::Pid::from_child(&run), rustix::process::Signal::TERM)
        .unwrap();
    let rest: Vec<String> = events.map(Result::unwrap).collect();
    assert_eq!(run.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains(r#""outcome":"interrupted""#)), "{rest:?}");
    // The next run goes on: its first progress is not of the first lines.
    let output = context.run::<&str>([]).ok();
    let first = output.events_of("progress")[0]["done"].as_u64().unwrap();
    assert!(first > 1, "it began again");
    let report: serde_json::Value = serde_json::from_str(&context.result("words")).unwrap();
    assert_eq!(
        (&report["lines"], &report["top"][0]),
        (&3_000_000.into(), &serde_json::json!(["a", 6_000_000]))
    );
}
