//! What was: `status`, `log`, `runs`, `diff`, `why`.
use crate::support::TestContext;
use std::io::Read;
use std::process::Stdio;

const TWO: &str = "name: two
params: { n: 1, say: hello }
stages:
  a: { uses: command, with: { run: 'echo ${params.say}; echo ${params.n} > out/x', outputs: [x] } }
  b: { uses: command, inputs: { x: a }, with: { run: 'cp in/x out/y; test ${params.n} -ne 3', outputs: [y] } }
";

#[test]
fn status_shows_the_last_run_and_its_folder() {
    let context = TestContext::pipeline(TWO);
    let none = context.muse(["status", "pipelines/p.yaml"]);
    assert!(none.to_string().contains("muse run pipelines/p.yaml"), "{none}");
    context.run::<&str>([]).ok();
    let output = context.muse(["status", "pipelines/p.yaml"]).ok();
    assert!(output.stdout.contains('a') && output.stdout.contains("ran"), "{output}");
    let folder = context.muse(["status", "pipelines/p.yaml", "--folder"]).ok().stdout;
    assert!(std::path::Path::new(folder.trim_end()).is_dir(), "{folder}");
    assert!(folder.contains("cache/runs/"), "{folder}");
    context.run(["--set", "n=3"]).ends(1);
    let output = context.muse(["status", "pipelines/p.yaml"]).ok();
    assert!(output.stdout.contains("failed") && output.stdout.contains("exit status 1"), "{output}");
    let json = context.muse(["status", "pipelines/p.yaml", "--json"]).ok().json();
    assert!(json.to_string().contains("failed"), "{json:#}");
}

#[test]
fn a_run_is_known_however_its_file_is_named() {
    let context = TestContext::pipeline(TWO);
    context.run::<&str>([]).ok();
    let below = |words: &[&str]| {
        let output = context.command(words).current_dir(context.path("pipelines")).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(below(&["status", "p.yaml"]).contains("ran"));
    assert_eq!(below(&["log", "p.yaml", "a"]), "hello\n");
    assert!(below(&["runs", "--pipeline", "p.yaml"]).contains("two"));
    // The same name in another project is another pipeline, also on one store.
    let other = TestContext::pipeline(TWO);
    let cache = context.cache().display().to_string();
    other.muse(["status", "pipelines/p.yaml", "--cache-dir", &cache]).ends(1).says("never ran");
}

#[test]
fn the_log_is_of_the_last_run_that_ran_the_stage() {
    let context = TestContext::pipeline(TWO);
    context.muse(["log", "pipelines/p.yaml", "a"]).ends(1);
    context.run::<&str>([]).ok();
    context.run::<&str>([]).ok();
    assert_eq!(context.muse(["log", "pipelines/p.yaml", "a"]).ok().stdout, "hello\n");
    context.run(["--set", "say='1\n2\n3'"]).ok();
    assert_eq!(context.muse(["log", "pipelines/p.yaml", "a", "-n", "1"]).ok().stdout.lines().count(), 1);
    context.muse(["log", "pipelines/p.yaml", "c"]).ends(2).says("`c`");
}

#[test]
fn a_log_is_followed_until_its_stage_ends() {
    let context = TestContext::pipeline(
        "stages:
  a:
    uses: command
    with: { run: 'echo first; while test ! -e ../../../../../../../go; do sleep 0.02; done; echo last; echo > out/x', outputs: [x] }
",
    );
    let go = context.outside("go");
    context.counter("go.folder");
    context.replace("pipelines/p.yaml", "../../../../../../../go", go.to_str().unwrap());
    let mut run = context.command(["run", "pipelines/p.yaml", "-q"]).spawn().unwrap();
    let mut follow = loop {
        // The log begins to exist a moment after the run does.
        let mut follow = context
            .command(["log", "pipelines/p.yaml", "a", "-f"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut first = [0; 6];
        if follow.stdout.as_mut().unwrap().read_exact(&mut first).is_ok() {
            assert_eq!(&first, b"first\n");
            break follow;
        }
        follow.wait().unwrap();
        assert!(run.try_wait().unwrap().is_none(), "the run ended before its stage");
    };
    std::fs::write(go, "").unwrap();
    let mut rest = String::new();
    follow.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "last\n");
    assert!(follow.wait().unwrap().success() && run.wait().unwrap().success());
}

#[test]
fn runs_are_listed_newest_first() {
    let context = TestContext::pipeline(TWO);
    assert_eq!(context.muse(["runs", "--json"]).ok().json(), serde_json::json!([]));
    context.run::<&str>([]).ok();
    context.run(["--set", "n=3"]).ends(1);
    context.run::<&str>([]).ok();
    let runs = context.muse(["runs", "--json"]).ok().json();
    let outcomes: Vec<_> =
        runs.as_array().unwrap().iter().map(|run| run["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["done", "failed", "done"]);
    assert_eq!(context.muse(["runs", "-n", "1", "--json"]).ok().json().as_array().unwrap().len(), 1);
    assert_eq!(context.muse(["runs", "--pipeline", "other", "--json"]).ok().json(), serde_json::json!([]));
    context.muse(["runs"]).ok().prints("two").prints("failed");
}

#[test]
fn diff_names_what_differs() {
    let context = TestContext::pipeline(TWO);
    context.run::<&str>([]).ok();
    context.run(["--set", "n=2"]).ok();
    let output = context.muse(["diff", "last~1", "last"]).ok();
    assert!(output.stdout.contains("run") && output.stdout.contains('a'), "{output}");
    let json = context.muse(["diff", "last~1", "last", "--json"]).ok().json();
    assert!(json.to_string().contains("echo 2 >"), "{json:#}");
    let runs = context.muse(["runs", "--json"]).ok().json();
    let name =
        runs[1]["run"].as_str().or(runs[1]["name"].as_str()).unwrap_or_else(|| panic!("{runs:#}")).to_owned();
    assert_eq!(context.muse(["diff", &name, "last", "--json"]).ok().json(), json);
    context.muse(["diff", "last~7", "last"]).ends(1);
    context.muse(["diff", "no-such-run", "last"]).ends(1).says("no-such-run");
}

#[test]
fn why_lists_what_a_key_is_made_of_and_what_differs() {
    let context = TestContext::pipeline(TWO);
    context.run::<&str>([]).ok();
    let output = context.muse(["why", "pipelines/p.yaml", "b", "--set", "n=2"]).ok();
    for word in ["run", "outputs", "x", "version"] {
        assert!(output.stdout.contains(word), "{word}: {output}");
    }
    let json = context.muse(["why", "pipelines/p.yaml", "a", "--set", "n=2", "--json"]).ok().json();
    let text = json.to_string();
    assert!(text.contains("echo 1 >") && text.contains("echo 2 >"), "{json:#}");
    context.muse(["why", "pipelines/p.yaml", "c"]).ends(2).says("`c`");
}
