//! A key changes with what the result depends on, and with nothing else: not with the folder, the user or the host.
use crate::support::TestContext;
use std::collections::BTreeMap;
use std::process::Command;

const BASE: &str = "\
name: keys
params: { unused: 1 }
stages:
  up:
    uses: command
    with: { run: 'cat in/text/* > out/a; echo b > out/b', files: { text: '../data/*.txt' }, outputs: [a, b] }
  other:
    uses: command
    with: { run: 'echo other > out/a', outputs: [a] }
  down:
    uses: command
    inputs: { x: up.a, y: [other, up.b] }
    with:
      run: 'cat in/x in/y/* > out/z'
      files: { tool: ../data/tool.sh }
      outputs: [z]
      env: { A: one, B: two }
";

fn project(text: &str) -> TestContext {
    let context = TestContext::pipeline(text);
    context.write("data/1.txt", "one\n");
    context.write("data/2.txt", "two\n");
    context.write("data/tool.sh", "echo tool\n");
    context
}

/// The key of each stage. What stands above must be made for that, and is where it is not.
fn keys_in(context: &TestContext) -> BTreeMap<String, String> {
    let mut plan = context.plan([""; 0]);
    if plan.values().any(|stage| stage.key().is_none()) {
        context.run([""; 0]).ok();
        plan = context.plan([""; 0]);
    }
    plan.iter().map(|(name, stage)| (name.clone(), stage.key().expect("all is made").to_owned())).collect()
}

/// The keys of another file in the same project: what is made stays made.
fn keys(context: &TestContext, text: &str) -> BTreeMap<String, String> {
    context.edit(text);
    keys_in(context)
}

fn replaced(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from:?}");
    BASE.replacen(from, to, 1)
}

#[test]
fn execution_fields_change_no_key() {
    let mut context = project(BASE);
    context.set("LIMIT", "3h");
    let base = keys_in(&context);
    let field = |field: &str| {
        replaced("  down:\n    uses: command\n", &format!("  down:\n    uses: command\n    {field}\n"))
    };
    for text in [
        field("resources: { cpu: 2 }"),
        field("resources: { memory: 1GiB }"),
        field("timeout: 2h"),
        field("timeout: 90m"),
        field("retries: 3"),
        field("keep: forever"),
        field("keep: 3d"),
        field("pass_env: [USER]"),
        field("secrets: [USER]"),
        field("timeout: \"${env.LIMIT}\""),
        replaced("outputs: [z]", "resume: true\n      outputs: [z]"),
    ] {
        assert_eq!(keys(&context, &text), base, "{text}");
    }
}

#[test]
fn spelling_changes_no_key() {
    let context = project(BASE);
    let base = keys_in(&context);
    for text in [
        replaced("params: { unused: 1 }", "params: { unused: 2 }"),
        replaced("name: keys", "name: another"),
        replaced("name: keys", "# a comment\nname: keys   # and another"),
        replaced("env: { A: one, B: two }", "env: { B: two, A: one }"),
        replaced(
            "env: { A: one, B: two }",
            "env:\n        # a comment\n        A: \"one\"\n        B: 'two'",
        ),
        replaced("env: { A: one, B: two }", "env: { A: \"${params.first}\", B: two }").replacen(
            "unused: 1",
            "first: one",
            1,
        ),
        replaced(
            "files: { text: '../data/*.txt' }, outputs: [a, b]",
            "outputs: [a, b], files: { text: ../data/*.txt }",
        ),
        replaced("../data/tool.sh", "../pipelines/../data/tool.sh"),
    ] {
        assert_eq!(keys(&context, &text), base, "{text}");
    }
    // The order of fields within a stage, and of stages within the file.
    let down = BASE.find("  down:").unwrap();
    let (head, down) = BASE.split_at(down);
    let turned = head.replacen("stages:\n", &format!("stages:\n{down}"), 1);
    assert_eq!(keys(&context, &turned), base, "{turned}");
    let turned = BASE.replacen("    inputs: { x: up.a, y: [other, up.b] }\n", "", 1).replacen(
        "env: { A: one, B: two }\n",
        "env: { A: one, B: two }\n    inputs: { y: [other, up.b], x: up.a }\n",
        1,
    );
    assert_eq!(keys(&context, &turned), base, "{turned}");
}

#[test]
fn names_of_stages_and_unread_neighbours_change_no_key() {
    let context = project(BASE);
    let base = keys_in(&context);
    let rename = |text: &str| text.replace("  up:", "  above:").replace("up.", "above.");
    context.write("data/.hidden.txt", "not matched");
    context.write("data/3.text", "not matched either");
    let renamed = keys(&context, &rename(BASE));
    assert_eq!(renamed["above"], base["up"]);
    // The entry of a list is a name that the stage sees.
    assert_ne!(renamed["down"], base["down"]);
    let single = BASE.replace("y: [other, up.b]", "y: up.b").replace("in/y/*", "in/y");
    assert_eq!(keys(&context, &single)["down"], keys(&context, &rename(&single))["down"]);
}

#[test]
fn every_identity_field_changes_the_key_of_its_stage() {
    let context = project(BASE);
    let mut seen = BTreeMap::from([(keys_in(&context)["down"].clone(), BASE.to_owned())]);
    for text in [
        replaced("cat in/x in/y/* > out/z", "cat  in/x in/y/* > out/z"),
        replaced("run: 'cat in/x in/y/* > out/z'", "run: [sh, -c, 'cat in/x in/y/* > out/z']"),
        replaced("outputs: [z]", "outputs: [z, w]").replacen("> out/z'", "> out/z; echo > out/w'", 1),
        replaced("A: one", "A: two"),
        replaced("A: one", "C: one"),
        replaced("A: one, B: two", "A: one"),
        replaced("A: one, B: two", "A: one, B: two, C: ''"),
        replaced("tool: ../data/tool.sh", "program: ../data/tool.sh"),
        replaced("tool: ../data/tool.sh", "tool: ../data/1.txt"),
        replaced("tool: ../data/tool.sh", "tool: ../data/*.sh"),
        replaced("tool: ../data/tool.sh", "tool: ../data/tool.sh, more: ../data/1.txt"),
        replaced("      files: { tool: ../data/tool.sh }\n", ""),
        replaced("x: up.a", "x: up.b"),
        replaced("y: [other, up.b]", "y: [up.b, other]"),
        replaced("y: [other, up.b]", "y: [other]"),
        replaced("y: [other, up.b]", "y: other").replacen("in/y/*", "in/y", 1),
        replaced("x: up.a, ", "x: up.a, w: up.a, "),
        replaced("echo other", "echo others"),
    ] {
        let key = keys(&context, &text)["down"].clone();
        if let Some(twin) = seen.insert(key, text.clone()) {
            panic!("one key for both:\n{twin}\n{text}");
        }
    }
}

#[test]
fn input_files_count_by_name_content_and_executable_bit() {
    let context = project(BASE);
    let mut seen = vec![keys_in(&context)["up"].clone()];
    let mut step = |what: &str, context: &TestContext| {
        let key = keys_in(context)["up"].clone();
        assert!(!seen.contains(&key), "{what} changed nothing");
        seen.push(key);
    };
    context.write("data/1.txt", "uno\n");
    step("content", &context);
    context.write("data/0.txt", "zero\n");
    step("a new file", &context);
    context.remove("data/0.txt");
    context.write("data/2b.txt", "two\n");
    context.remove("data/2.txt");
    step("another name", &context);
    context.write_program("data/1.txt", "uno\n");
    step("the executable bit", &context);
}

#[test]
fn folder_user_and_time_change_no_key() {
    let base = keys_in(&project(BASE));
    let mut context = project(BASE);
    context.set("USER", "somebody else");
    context.set("HOME", context.outside("another-home").display().to_string());
    context.set("LANG", "de_DE.UTF-8");
    context.set("TZ", "Asia/Tokyo");
    context.set("HOSTNAME", "elsewhere");
    assert_eq!(keys_in(&context), base);
    // Another place of the file, of the data behind a link, and another folder to call from.
    let moved = TestContext::new();
    moved.write("deep/er/pipelines/p.yaml", format!("muse: 1\n{BASE}"));
    moved.write("elsewhere/1.txt", "one\n");
    moved.write("elsewhere/2.txt", "two\n");
    moved.write("elsewhere/tool.sh", "echo tool\n");
    std::os::unix::fs::symlink("../../elsewhere", moved.path("deep/er/data")).unwrap();
    moved.muse(["run", "deep/er/pipelines/p.yaml"]).ok();
    let plan = moved.muse(["plan", "deep/er/pipelines/p.yaml", "--json"]).ok().plan();
    assert_eq!(plan["down"].key(), Some(base["down"].as_str()));
    assert_eq!(plan["up"].key(), Some(base["up"].as_str()));
}

#[test]
fn another_host_has_the_same_keys_and_takes_the_results() {
    let context = project(BASE);
    let base = keys_in(&context);
    let command = context.command(["plan", "pipelines/p.yaml", "--json"]);
    let mut elsewhere = Command::new("unshare");
    elsewhere.args(["--uts", "sh", "-c", "hostname elsewhere.example && exec \"$@\"", "sh"]);
    elsewhere.arg(command.get_program()).args(command.get_args()).current_dir(context.root());
    let Some(said) = elsewhere.output().ok().filter(|said| said.status.success()) else {
        println!("skipped: another host name needs root, `unshare` and `hostname`");
        return;
    };
    let plan = crate::support::Output::new(vec!["elsewhere".into()], said).plan();
    for (name, stage) in &plan {
        assert_eq!(stage.key(), Some(base[name].as_str()), "{name}");
        assert_eq!(stage.action, "hit", "{name}");
    }
}
