//! What a stage sees of its caller: `PATH`, what it declares, and nothing else.
use crate::support::TestContext;
use std::fs;
use std::path::Path;

#[test]
fn a_stage_sees_what_the_contract_says_and_nothing_else() {
    let mut context = TestContext::pipeline(
        "stages:
  a:
    uses: command
    with: { run: 'env | sort > out/x', outputs: [x], env: { MINE: '1' } }
    pass_env: [PASSED]
",
    );
    context.set("PASSED", "through");
    context.set("STRAY", "not declared");
    context.set("HTTPS_PROXY", "http://proxy");
    context.run::<&str>([]).ok();
    let text = context.result("a");
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    let mut names: Vec<_> =
        text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    // What `sh` itself sets.
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    assert_eq!(names, ["HOME", "LANG", "MINE", "PASSED", "PATH", "TMPDIR", "TZ"], "{text}");
    assert_eq!((value("LANG"), value("TZ")), (Some("C.UTF-8"), Some("UTC")));
    assert_eq!((value("MINE"), value("PASSED")), (Some("1"), Some("through")));
    assert_ne!(value("HOME"), Some(context.path("../home").to_str().unwrap()));
}

#[test]
fn a_declared_variable_that_is_missing_stops_the_run_before_it_begins() {
    let context = TestContext::new();
    let counter = context.counter("bodies");
    context.edit(&format!(
        "stages:
  first: {{ uses: command, with: {{ run: '{}; echo > out/x', outputs: [x] }} }}
  token: {{ uses: command, inputs: {{ x: first }}, with: {{ run: echo > out/y, outputs: [y] }}, secrets: [MY_TOKEN] }}
",
        counter.mark()
    ));
    context.muse(["run", "pipelines/p.yaml"]).ends(2).says("MY_TOKEN").says("`token`");
    assert_eq!(counter.count(), 0);
    // Where nothing is to run, nothing is missing.
    let mut context = context;
    context.set("MY_TOKEN", "s3cret");
    context.run::<&str>([]).ok();
    context.unset("MY_TOKEN");
    context.run::<&str>([]).ok();
}

#[test]
fn a_secret_stands_nowhere() {
    let mut context = TestContext::pipeline(
        "stages:
  a:
    uses: command
    with:
      run: |
        echo \"the token is $TOKEN, twice $TOKEN\"; echo $TOKEN >&2
        printf 'split:'; printf s3cret-; sleep 0.05; printf 'value-1234\\n'
        echo ${#TOKEN} > out/x
      outputs: [x]
    secrets: [TOKEN]
  b:
    uses: command
    inputs: { x: a }
    with: { run: 'echo $TOKEN >&2; exit 1', outputs: [y] }
    secrets: [TOKEN]
",
    );
    context.set("TOKEN", "s3cret-value-1234");
    let output = context.run::<&str>([]).ends(1);
    assert!(!output.to_string().contains("s3cret-value-1234"), "{output}");
    assert_eq!(context.result("a"), "17\n");
    let log = context.muse(["log", "pipelines/p.yaml", "a"]).ok().stdout;
    assert_eq!(log, "the token is ***, twice ***\n***\nsplit:***\n");
    let people = context.muse(["run", "pipelines/p.yaml"]).ends(1);
    assert!(!people.to_string().contains("s3cret"), "{people}");
    assert!(people.stderr.contains("***"), "{people}");
    assert_eq!(found_in(&context.cache(), b"s3cret-value-1234"), Vec::<String>::new());
    // The value is no part of the key.
    context.set("TOKEN", "another");
    assert_eq!(context.plan(["a"])["a"].action, "hit");
}

/// The files below a folder that hold these bytes.
fn found_in(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(found_in(&path, bytes));
        } else if fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn the_callers_environment_stands_in_execution_fields_alone() {
    let mut context = TestContext::pipeline(
        "stages: { a: { uses: command, with: { run: echo > out/x, outputs: [x] }, retries: '${env.TRIES}' } }\n",
    );
    context.set("TRIES", "2");
    context.run::<&str>([]).ok();
    context.unset("TRIES");
    context.muse(["run", "pipelines/p.yaml"]).ends(2).says("TRIES");
    context.edit(
        "stages: { a: { uses: command, with: { run: 'echo', outputs: [x], env: { X: '${env.TRIES}' } } } }\n",
    );
    context.muse(["validate", "pipelines/p.yaml"]).ends(2).says("${env.TRIES}");
}
