//! `muse validate`: errors with their place, for people, for programs, for GitHub.
use crate::support::{TestContext, snapshot};
use serde_json::json;

const WRONG: &str = "stages:
  corpus: { uses: command, with: { run: 'true', outputs: [text] } }
  tokens: { uses: comand, inputs: { x: corpse }, with: { run: 'true', outptus: [y] } }
  late: { uses: command, with: { run: 'true', outputs: [z] }, timeout: 2 hours, retrise: 1 }
";

#[test]
fn a_good_file_says_so_and_touches_no_store() {
    let context =
        TestContext::pipeline("stages: { a: { uses: command, with: { run: 'true', outputs: [x] } } }\n");
    context.muse(["validate", "pipelines/p.yaml"]).ok();
    assert_eq!(
        context.muse(["validate", "pipelines/p.yaml", "--json"]).ok().json(),
        json!({ "ok": true, "errors": [] })
    );
    assert!(!context.cache().exists());
}

#[test]
fn all_errors_come_in_one_go_each_with_its_place() {
    let context = TestContext::pipeline(WRONG);
    let report = context.muse(["validate", "pipelines/p.yaml", "--json"]).ends(2).json();
    assert_eq!(report["ok"], false);
    let errors = report["errors"].as_array().unwrap();
    let places: Vec<_> = errors
        .iter()
        .map(|error| (error["line"].as_u64().unwrap(), error["column"].as_u64().unwrap()))
        .collect();
    assert!(places.contains(&(4, 19)), "{report:#}");
    assert!(places.iter().filter(|(line, _)| *line == 5).count() == 2, "{report:#}");
    for error in errors {
        assert_eq!(error["file"], "pipelines/p.yaml");
        assert!(error["message"].is_string() && error.get("help").is_some());
    }
    let text = report.to_string();
    for near in ["`command`", "`corpus`", "`retries`"] {
        assert!(text.contains(near), "{near} is not proposed: {report:#}");
    }
}

#[test]
fn people_see_the_line_underlined() {
    let context = TestContext::pipeline("stages:\n  tokens: { uses: comand, with: { run: 'true' } }\n");
    snapshot!(context, context.muse(["validate", "pipelines/p.yaml"]).ends(2));
}

#[test]
fn github_shows_errors_beside_the_lines_of_a_pull_request() {
    let context = TestContext::pipeline("stages:\n  tokens: { uses: comand, with: { run: 'true' } }\n");
    let output = context.muse(["validate", "--format", "github", "pipelines/p.yaml"]).ends(2);
    assert!(output.stdout.starts_with("::error file=pipelines/p.yaml,line=3,col=19::"), "{output}");
    assert_eq!(output.stdout.lines().count(), 1);
}

#[test]
fn several_files_are_checked_whatever_the_first_says() {
    let context = TestContext::pipeline(WRONG);
    context.write("pipelines/q.yaml", "muse: 1\nstages: {}\nstagse: {}\n");
    context.write(
        "pipelines/good.yaml",
        "muse: 1\nstages: { a: { uses: command, with: { run: 'true', outputs: [x] } } }\n",
    );
    let report = context
        .muse([
            "validate",
            "pipelines/p.yaml",
            "pipelines/q.yaml",
            "pipelines/good.yaml",
            "no.yaml",
            "--json",
        ])
        .ends(2)
        .json();
    let text = report.to_string();
    for file in ["pipelines/p.yaml", "pipelines/q.yaml", "no.yaml"] {
        assert!(text.contains(file), "{file}: {report:#}");
    }
    assert!(!text.contains("good.yaml"));
}

#[test]
fn a_file_that_is_not_there_has_no_line() {
    let context = TestContext::new();
    let report = context.muse(["validate", "no.yaml", "--json"]).ends(2).json();
    assert_eq!((&report["errors"][0]["line"], &report["errors"][0]["column"]), (&json!(null), &json!(null)));
    for command in ["run", "plan", "expand", "graph", "status"] {
        context.muse([command, "no.yaml"]).ends(2).says("no.yaml");
    }
}

#[test]
fn a_cycle_is_shown_as_a_path() {
    let context = TestContext::pipeline(
        "stages:
  a: { uses: command, inputs: { x: c }, with: { run: 'true', outputs: [y] } }
  b: { uses: command, inputs: { x: a }, with: { run: 'true', outputs: [y] } }
  c: { uses: command, inputs: { x: b }, with: { run: 'true', outputs: [y] } }
",
    );
    let output = context.muse(["validate", "pipelines/p.yaml"]).ends(2);
    for stage in ["`a`", "`b`", "`c`"] {
        assert!(output.stderr.contains(stage) || output.stderr.contains(" -> "), "{output}");
    }
}

#[test]
fn every_command_refuses_a_broken_file_with_2() {
    let context = TestContext::pipeline(WRONG);
    for words in [
        vec!["run", "pipelines/p.yaml"],
        vec!["plan", "pipelines/p.yaml", "--json"],
        vec!["why", "pipelines/p.yaml", "corpus"],
        vec!["graph", "pipelines/p.yaml"],
        vec!["expand", "pipelines/p.yaml"],
        vec!["get", "pipelines/p.yaml", "corpus", "--to", "x"],
    ] {
        context.muse(words).ends(2).says("comand");
    }
}

#[test]
fn the_bundled_pipelines_are_valid_and_name_their_schema() {
    let context = TestContext::new();
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines"));
    let pages: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    assert!(pages.len() >= 3, "{pages:?}");
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let presets = text.lines().skip_while(|line| *line != "presets:").skip(1);
        let presets = presets.take_while(|line| line.starts_with("  "));
        // What stands deeper are their values.
        let own = presets.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
        let named: Vec<&str> = own.filter_map(|line| line.split_once(':').map(|(name, _)| name)).collect();
        assert_eq!(named.is_empty(), !text.contains("\npresets:"), "{page:?}");
        context.muse(["validate", page.to_str().unwrap()]).ok();
        for preset in named {
            context.muse(["validate", page.to_str().unwrap(), "--preset", preset]).ok();
        }
        let first = text.lines().next().unwrap();
        let schema = page.with_file_name(first.strip_prefix("# yaml-language-server: $schema=").unwrap());
        let schema: serde_json::Value = serde_json::from_slice(&std::fs::read(schema).unwrap()).unwrap();
        assert!(schema["properties"]["stages"].is_object());
    }
}
