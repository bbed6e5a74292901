//! Parameters, presets, `--set`, includes, units, execution fields: what a value becomes and what a key sees.
use crate::support::TestContext;

const ECHO: &str = "stages:
  show:
    uses: command
    with: { run: 'echo ${params.a} ${params.b} > out/x', outputs: [x] }
";

fn shown(context: &TestContext, more: &[&str]) -> String {
    context.run(more).ok();
    let words = [&["get", "pipelines/p.yaml", "show", "--to", "got"], more].concat();
    context.muse(words).ok();
    let text = context.read("got/x");
    context.remove("got");
    text
}

#[test]
fn set_beats_preset_beats_file_beats_include() {
    let context = TestContext::pipeline(&format!(
        "include: [../common/base.yaml]
params: {{ b: file }}
presets: {{ small: {{ a: preset, b: preset }} }}
{ECHO}"
    ));
    context.write("common/base.yaml", "params: { a: include, b: include }\n");
    assert_eq!(shown(&context, &[]), "include file\n");
    assert_eq!(shown(&context, &["--preset", "small"]), "preset preset\n");
    assert_eq!(shown(&context, &["--preset", "small", "--set", "a=set"]), "set preset\n");
    assert_eq!(shown(&context, &["--set", "a=1.50", "--set", "b=[x]"][..2]), "1.50 file\n");
    context.muse(["plan", "pipelines/p.yaml", "--preset", "smal"]).ends(2).says("`smal`").says("small");
    context.muse(["plan", "pipelines/p.yaml", "--set", "c=1"]).ends(2).says("`c`");
    context.muse(["plan", "pipelines/p.yaml", "--set", "nothing"]).ends(2).says("nothing");
}

#[test]
fn what_two_includes_both_have_is_an_error() {
    let context =
        TestContext::pipeline(&format!("include: [one.yaml, two.yaml]\nparams: {{ b: 1 }}\n{ECHO}"));
    context.write("pipelines/one.yaml", "params: { a: 1 }\n");
    context.write("pipelines/two.yaml", "params: { a: 2 }\n");
    let output = context.muse(["validate", "pipelines/p.yaml"]).ends(2);
    output.says("`a`").says("one.yaml").says("two.yaml");
}

#[test]
fn included_stages_name_files_from_where_they_stand() {
    let context = TestContext::pipeline(
        "include: [../common/data.yaml]
stages: { use: { uses: command, inputs: { t: text }, with: { run: cp in/t out/y, outputs: [y] } } }
",
    );
    context.write(
        "common/data.yaml",
        "stages: { text: { uses: command, with: { run: cp in/f out/x, files: { f: here.txt }, outputs: [x] } } }\n",
    );
    context.write("common/here.txt", "here\n");
    context.run::<&str>([]).ok();
    assert_eq!(context.result("use"), "here\n");
}

#[test]
fn a_parameter_keeps_its_type_and_is_pasted_into_texts() {
    let stage = "stages: { a: { uses: command, with: { run: 'true', outputs: [x], resume: '${params.r}' }, \
                 retries: '${params.n}', timeout: '${params.n}${params.unit}' } }\n";
    let context = TestContext::pipeline(&format!("params: {{ r: true, n: 2, unit: h }}\n{stage}"));
    context.muse(["validate", "pipelines/p.yaml"]).ok();
    let output = context.muse(["validate", "pipelines/p.yaml", "--set", "n=two"]).ends(2);
    output.says("two");
    context.edit(&stage.replace("params.n", "param.n"));
    context.muse(["validate", "pipelines/p.yaml"]).ends(2).says("${params.n}");
}

#[test]
fn a_key_sees_no_spelling_no_comment_no_name_and_no_execution_field() {
    let context = TestContext::pipeline(
        "stages: { a: { uses: command, with: { run: echo > out/x, outputs: [x], env: { A: '1', B: '2' } } } }\n",
    );
    let key = |context: &TestContext, stage: &str| {
        context.plan::<&str>([])[stage].key().expect("the key is known").to_owned()
    };
    let first = key(&context, "a");
    context.edit(
        "# a comment, another order, another name, every execution field
name: other
stages:
  another:
    keep: forever
    retries: 3
    timeout: 1.5h
    resources: { cpu: 2, gpu: 0, memory: 1GiB }
    pass_env: [HOME]
    secrets: [PATH]
    with: { env: { B: '2', A: '1' }, files: {}, outputs: [\"x\"], run: 'echo > out/x', resume: true }
    uses: command
",
    );
    assert_eq!(key(&context, "another"), first);
    for (from, to) in [("'2'", "'3'"), ("[\"x\"]", "[x, y]"), ("echo >", "echo 1 >"), ("{ B: ", "{ C: ")] {
        let before = context.read("pipelines/p.yaml");
        context.replace("pipelines/p.yaml", from, to);
        assert_ne!(key(&context, "another"), first, "{from} -> {to}");
        context.write("pipelines/p.yaml", before);
    }
}

#[test]
fn keys_are_free_of_folder_and_user() {
    let text = "stages: { a: { uses: command, with: { run: cat in/f > out/x, files: { f: ../f }, outputs: [x] } } }\n";
    let key = |context: &TestContext| context.plan::<&str>([])["a"].key().unwrap().to_owned();
    let here = TestContext::pipeline(text);
    here.write("f", "same");
    let mut there = TestContext::pipeline(text);
    there.write("f", "same");
    there.set("USER", "somebody-else");
    there.set("HOSTNAME", "elsewhere");
    assert_eq!(key(&here), key(&there));
    // The path as it is spelled is no matter, the content is.
    there.replace("pipelines/p.yaml", "../f", "./../pipelines/../f");
    assert_eq!(key(&here), key(&there));
    there.write("f", "other");
    assert_ne!(key(&here), key(&there));
}

#[test]
fn two_projects_share_results_through_one_store() {
    let text = "stages: { a: { uses: command, with: { run: echo > out/x, outputs: [x] } } }\n";
    let (mine, mut yours) = (TestContext::pipeline(text), TestContext::pipeline(text));
    mine.run(["--cache-dir", "../common"]).ok();
    yours.set("MUSE_CACHE_DIR", mine.path("../common").display().to_string());
    assert_eq!(yours.run::<&str>([]).ok().stages("hit"), ["a"]);
}

#[test]
fn units_are_read_wherever_a_size_or_a_time_is_written() {
    let stage = |field: &str| {
        format!("stages: {{ a: {{ uses: command, with: {{ run: 'true', outputs: [x] }}, {field} }} }}\n")
    };
    let context = TestContext::new();
    for good in ["timeout: 90", "timeout: 1.5h", "keep: 3d", "resources: { memory: 500MB }", "keep: forever"]
    {
        context.edit(&stage(good));
        context.muse(["validate", "pipelines/p.yaml"]).ok();
    }
    for (bad, word) in [
        ("timeout: 1.5 hours", "hours"),
        ("keep: always", "always"),
        ("resources: { memory: 8GiG }", "GiB"),
        ("resources: { gpus: 1 }", "`gpu`"),
        ("retries: -1", "-1"),
    ] {
        context.edit(&stage(bad));
        context.muse(["validate", "pipelines/p.yaml"]).ends(2).says(word);
    }
}

#[test]
fn the_project_is_found_from_the_pipeline_upwards() {
    let context = TestContext::new();
    let text = "muse: 1\nstages: { a: { uses: command, with: { run: echo > out/x, outputs: [x] } } }\n";
    context.write("pipelines/deep/er/p.yaml", text);
    context.muse(["run", "pipelines/deep/er/p.yaml"]).ok();
    assert!(context.cache().is_dir());
    // Its own name comes from its file.
    assert_eq!(context.muse(["plan", "pipelines/deep/er/p.yaml", "--json"]).ok().json()["pipeline"], "p");
}
