//! What a command finds in its folder and what it leaves: `in/PORT`, `in/NAME`, `out/NAME`.
use crate::support::TestContext;

#[test]
fn a_list_is_a_folder_with_one_entry_a_stage() {
    let context = TestContext::pipeline(
        "stages:
  wiki: { uses: command, with: { run: echo w > out/text, outputs: [text] } }
  code: { uses: command, with: { run: 'echo c > out/main; echo x > out/other', outputs: [main, other] } }
  all:
    uses: command
    inputs: { corpus: [wiki, code.main, code.other], one: [wiki] }
    with: { run: 'ls in in/corpus in/one > out/seen; cat in/corpus/* >> out/seen', outputs: [seen] }
",
    );
    context.run::<&str>([]).ok();
    assert_eq!(
        context.result("all"),
        "in:\ncorpus\none\n\nin/corpus:\ncode.main\ncode.other\nwiki\n\nin/one:\nwiki\nc\nx\nw\n"
    );
}

#[test]
fn a_matrix_as_a_whole_is_the_list_of_all() {
    let context = TestContext::pipeline(
        "params: { seeds: [1, 2] }
stages:
  base:
    uses: command
    with: { run: 'echo ${matrix.seed}/${matrix.lr} > out/x', outputs: [x] }
    matrix: { seed: '${params.seeds}', lr: [0.1, high] }
  eval:
    uses: command
    inputs: { model: 'base[seed=${matrix.seed},lr=high]' }
    with: { run: cp in/model out/y, outputs: [y] }
    matrix: { seed: [1, 2] }
  all:
    uses: command
    inputs: { models: base, evals: eval, one: 'base[seed=2,lr=0.1]' }
    with:
      run: (ls in/models in/evals; cat in/models/* in/evals/* in/one) > out/seen
      outputs: [seen]
",
    );
    let output = context.run::<&str>([]).ok();
    assert_eq!(output.ran().len(), 4 + 2 + 1);
    assert!(output.ran().contains(&"base[seed=1,lr=0.1]".to_owned()));
    assert_eq!(
        context.result("all"),
        "in/evals:\nseed=1\nseed=2\n\nin/models:\nseed=1,lr=0.1\nseed=1,lr=high\nseed=2,lr=0.1\nseed=2,lr=high\n\
         1/0.1\n1/high\n2/0.1\n2/high\n1/high\n2/high\n2/0.1\n"
    );
    // On the command line `base` means all of them, one combination means one.
    assert_eq!(context.plan(["base"]).len(), 4);
    assert_eq!(context.plan(["base[seed=1,lr=high]"]).len(), 1);
    context.muse(["get", "pipelines/p.yaml", "base", "--to", "x"]).ends(2).says("base[seed=1,lr=0.1]");
}

#[test]
fn several_outputs_go_where_they_are_named() {
    let context = TestContext::pipeline(
        "stages:
  split:
    uses: command
    with: { run: 'echo a > out/train; mkdir -p out/valid.d/deep; echo b > out/valid.d/deep/x', outputs: [train, valid.d] }
  use:
    uses: command
    inputs: { a: split.train, b: split.valid.d }
    with: { run: 'cat in/a in/b/deep/x > ${out.both}', outputs: [both] }
",
    );
    context.run::<&str>([]).ok();
    assert_eq!(context.result("use"), "a\nb\n");
    context.replace("pipelines/p.yaml", "a: split.train", "a: split");
    context.muse(["validate", "pipelines/p.yaml"]).ends(2).says("split.train").says("split.valid.d");
}

#[test]
fn files_folders_and_globs_stand_below_their_names() {
    let context = TestContext::pipeline(
        "stages:
  see:
    uses: command
    with:
      run: find in -type f -o -type l | LC_ALL=C sort > out/seen; cat in/one >> out/seen; in/tool >> out/seen
      files: { one: ../data/a.txt, folder: ../data, glob: '../data/**/*.{txt,md}', tool: ../tool }
      outputs: [seen]
",
    );
    context.write("data/a.txt", "A\n");
    context.write("data/deep/b.md", "B\n");
    context.write("data/deep/c.bin", "C\n");
    context.write("data/.hidden.txt", "H\n");
    context.write_program("tool", "#!/bin/sh\necho tool\n");
    context.run::<&str>([]).ok();
    let seen = context.result("see");
    let glob: Vec<_> = seen.lines().filter(|line| line.starts_with("in/glob")).collect();
    assert_eq!(glob, ["in/glob/a.txt", "in/glob/deep/b.md"]);
    let folder: Vec<_> = seen.lines().filter(|line| line.starts_with("in/folder")).collect();
    assert!(folder.contains(&"in/folder/deep/c.bin"), "{seen}");
    assert!(seen.ends_with("A\ntool\n"), "{seen}");
    // A file beside them that the glob does not take changes nothing for it, a new one that it takes does.
    context.replace("pipelines/p.yaml", "folder: ../data, ", "");
    context.run::<&str>([]).ok();
    context.write("data/deep/new.bin", "");
    assert!(context.run::<&str>([]).ok().ran().is_empty());
    context.write("data/deep/new.txt", "");
    assert_eq!(context.plan::<&str>([])["see"].why(), ["file glob"]);
    // An executable bit is part of what a file is.
    context.remove("data/deep/new.txt");
    assert!(context.run::<&str>([]).ok().ran().is_empty());
    context.write("tool", "#!/bin/sh\necho tool\n");
    std::fs::set_permissions(context.path("tool"), std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .unwrap();
    assert_eq!(context.plan::<&str>([])["see"].why(), ["file tool"]);
}

#[test]
fn a_glob_that_matches_nothing_is_an_error_at_its_place() {
    let context = TestContext::pipeline(
        "stages:
  a:
    uses: command
    with: { run: 'true', files: { x: '../data/*.txt' }, outputs: [y] }
",
    );
    let output = context.muse(["validate", "pipelines/p.yaml"]).ends(2);
    output.says("pipelines/p.yaml:5:").says("../data/*.txt");
}

#[test]
fn data_on_another_disk_is_named_by_a_link() {
    let context = TestContext::pipeline(
        "stages: { a: { uses: command, with: { run: cat in/x/* > out/y, files: { x: ../data }, outputs: [y] } } }\n",
    );
    std::fs::create_dir_all(context.outside("disk")).unwrap();
    std::fs::write(context.outside("disk/t"), "far\n").unwrap();
    std::os::unix::fs::symlink(context.outside("disk"), context.path("data")).unwrap();
    context.run::<&str>([]).ok();
    assert_eq!(context.result("a"), "far\n");
    context.edit(&format!(
        "stages: {{ a: {{ uses: command, with: {{ run: 'true', files: {{ x: {} }}, outputs: [y] }} }} }}\n",
        context.outside("disk").display()
    ));
    context.muse(["validate", "pipelines/p.yaml"]).ends(2).says("link");
}

#[test]
fn arguments_reach_a_program_as_they_are() {
    let context = TestContext::pipeline(
        "stages:
  a:
    uses: command
    with:
      run: [sh, -c, 'printf \"%s|\" \"$@\" > ${out.y}', sh, 'two words', '$HOME', \"${in.x}\", '$${in.x}']
      files: { x: ../x }
      outputs: [y]
",
    );
    context.write("x", "");
    context.run::<&str>([]).ok();
    assert_eq!(context.result("a"), "two words|$HOME|in/x|${in.x}|");
}

#[test]
fn the_shell_keeps_what_is_its_own() {
    let context = TestContext::pipeline(
        "stages: { a: { uses: command, with: { run: 'x=y; echo ${x} ${z:-none} $(pwd | grep -c .) > ${out.o}', outputs: [o] } } }\n",
    );
    context.run::<&str>([]).ok();
    assert_eq!(context.result("a"), "y none 1\n");
}

#[test]
fn a_name_in_both_inputs_and_files_is_an_error() {
    let context = TestContext::pipeline(
        "stages:
  a: { uses: command, with: { run: 'true', outputs: [y] } }
  b: { uses: command, inputs: { x: a }, with: { run: 'true', files: { x: ../x }, outputs: [y] } }
",
    );
    context.write("x", "");
    context.muse(["validate", "pipelines/p.yaml"]).ends(2).says("`x`");
}

#[test]
fn the_resume_folder_outlives_attempts_and_goes_with_success() {
    let context = TestContext::pipeline(
        "stages:
  a:
    uses: command
    with:
      run: 'echo step >> $MUSE_RESUME/steps; cp $MUSE_RESUME/steps out/y; test $(wc -l < out/y) -ge 2'
      outputs: [y]
      resume: true
",
    );
    context.run::<&str>([]).ends(1);
    context.run::<&str>([]).ok();
    assert_eq!(context.result("a"), "step\nstep\n");
    context.run(["--force", "a"]).ends(1);
    // Whoever asks for nothing to go on from gets nothing, though an attempt that failed left something.
    context.run(["--force", "a"]).ends(1);
    context.run::<&str>([]).ok();
}
