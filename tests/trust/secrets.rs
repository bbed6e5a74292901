//! A secret is found nowhere, and a variable that is not declared reaches nobody.
use crate::support::TestContext;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const SECRET: &str = "hunter2-correct-horse-battery";
const LINES: &str = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n-----END KEY-----";

/// The files below a folder, and their names, that hold one of these texts.
fn holding(folder: &Path, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = path.display().to_string();
            if entry.file_type().unwrap().is_dir() {
                folders.push(path.clone());
            }
            let bytes = if path.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            let text = String::from_utf8_lossy(&bytes);
            if texts.iter().any(|secret| text.contains(secret) || name.contains(secret)) {
                found.push(name);
            }
        }
    }
    found
}

fn context(run: &str) -> TestContext {
    let mut context = TestContext::pipeline(&format!(
        "stages:\n  a:\n    uses: command\n    secrets: [TOKEN, KEY]\n    retries: 1\n    with:\n      outputs: [x]\n      resume: true\n      \
         run: |\n        {run}\n"
    ));
    context.set("TOKEN", SECRET);
    context.set("KEY", LINES);
    context
}

const LOUD: &str = "echo \"$TOKEN\"; echo \"token=$TOKEN.\" >&2; echo \"$KEY\"; env; set -x; : \"$TOKEN\"; set +x; \
                    for c in a b; do printf %s \"$TOKEN\"; done; printf %s \"$TOKEN\" | cut -c1-10; sleep 0.05; ";

#[test]
fn a_secret_is_found_nowhere() {
    for (end, code) in [("echo ${#TOKEN} > out/x", 0), ("exit 3", 1), ("\"$TOKEN\"", 1), ("kill -9 $$", 1)] {
        let context = context(&format!("{LOUD}{end}"));
        let json = context.run([""; 0]).ends(code);
        let plain = context.muse(["run", "pipelines/p.yaml", "-v", "--force", "a"]).ends(code);
        let log = context.muse(["log", "pipelines/p.yaml", "a"]);
        assert!(log.stdout.contains("token=***."), "{log}");
        let plan = context.muse(["plan", "pipelines/p.yaml", "-v", "--json"]).ok();
        let why = context.muse(["why", "pipelines/p.yaml", "a"]);
        let expanded = context.muse(["expand", "pipelines/p.yaml"]).ok();
        for output in [json, plain, log, plan, why, expanded] {
            let text = output.to_string();
            assert!(!text.contains(SECRET) && !text.contains("MIIEvQIBADAN"), "{text}");
        }
        let found = holding(&context.cache(), &[SECRET, "MIIEvQIBADAN"]);
        assert!(found.is_empty(), "after {end}: {found:?}");
        if code == 0 {
            assert_eq!(context.result("a"), format!("{}\n", SECRET.len()), "but the stage has it");
        }
    }
}

#[test]
fn a_secret_changes_no_key_and_must_be_there() {
    let mut context = context("echo > out/x");
    let before = context.plan([""; 0])["a"].key().unwrap().to_owned();
    context.run([""; 0]).ok();
    context.set("TOKEN", "another secret value");
    let plan = context.plan([""; 0]);
    assert_eq!((plan["a"].action.as_str(), plan["a"].key()), ("hit", Some(before.as_str())));
    context.unset("TOKEN");
    context.run([""; 0]).ok();
    let said = context.run(["--force", "a"]).ends(2).says("TOKEN");
    assert!(said.stderr.contains("p.yaml:"), "{said}");
}

#[test]
fn what_is_not_declared_reaches_no_stage() {
    let mut context = TestContext::pipeline(
        "stages:\n  a:\n    uses: command\n    pass_env: [PASSED]\n    secrets: [TOKEN]\n    \
         with: { run: 'env -0 | tr \"\\n\\0\" \" \\n\" > out/x; ls -a > out/y', outputs: [x, y], env: { OWN: own } }\n",
    );
    for (name, value) in [
        ("PASSED", "passed"),
        ("TOKEN", SECRET),
        ("UNDECLARED", "undeclared"),
        ("HF_TOKEN", "undeclared"),
        ("AWS_SECRET_ACCESS_KEY", "undeclared"),
        ("HTTPS_PROXY", "undeclared"),
        ("LD_LIBRARY_PATH", "undeclared"),
        ("CUDA_HOME", "undeclared"),
        ("NCCL_DEBUG", "undeclared"),
        ("PYTHONPATH", "undeclared"),
        ("MUSE_ANYTHING", "undeclared"),
        ("LC_ALL", "undeclared"),
        ("TMPDIR", "/undeclared"),
        ("TZ", "undeclared"),
    ] {
        context.set(name, value);
    }
    context.run([""; 0]).ok();
    let seen = context.get("a").join("x");
    let seen = fs::read_to_string(seen).unwrap();
    assert!(!seen.contains("undeclared"), "{seen}");
    let names: BTreeSet<&str> = seen.lines().filter_map(|line| line.split('=').next()).collect();
    // The last four are the shell's own.
    let known =
        ["PATH", "HOME", "TMPDIR", "LANG", "TZ", "OWN", "PASSED", "TOKEN", "PWD", "OLDPWD", "SHLVL", "_"];
    let known = BTreeSet::from(known);
    assert!(names.is_subset(&known), "{:?}", names.difference(&known).collect::<Vec<_>>());
    for line in ["LANG=C.UTF-8", "TZ=UTC", "OWN=own", "PASSED=passed"] {
        assert!(seen.lines().any(|seen| seen == line), "no {line} in {seen}");
    }
    let own = |name: &str| seen.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    assert!(own("HOME=").starts_with(context.cache().to_str().unwrap()), "a HOME of its own: {seen}");
    assert!(own("TMPDIR=").starts_with(context.cache().to_str().unwrap()), "a TMPDIR of its own: {seen}");
}
