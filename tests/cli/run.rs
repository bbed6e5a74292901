//! `muse run`: what runs, what does not, and how a run ends.
use crate::support::TestContext;

/// Three stages in a row with a counter each: `text` hangs on a parameter, `lines` on `text`, `report` on `lines`.
fn chain() -> (TestContext, Box<dyn Fn() -> Vec<String>>) {
    let context = TestContext::new();
    let counter = context.counter("bodies");
    let stage = |name| counter.note(name);
    context.edit(&format!(
        "params: {{ words: one two, suffix: '!' }}
stages:
  text:
    uses: command
    with: {{ run: '{text}; echo ${{params.words}} > out/text', outputs: [text] }}
  lines:
    uses: command
    inputs: {{ text: text }}
    with: {{ run: '{lines}; wc -l < in/text > out/lines', outputs: [lines] }}
  report:
    uses: command
    inputs: {{ n: lines }}
    with: {{ run: '{report}; echo $(cat in/n)${{params.suffix}} > out/report', outputs: [report] }}
",
        text = stage("text"),
        lines = stage("lines"),
        report = stage("report"),
    ));
    let take = move || {
        let mut lines = counter.lines();
        counter.take();
        lines.sort();
        lines
    };
    (context, Box::new(take))
}

#[test]
fn the_second_run_is_all_hits() {
    let (context, bodies) = chain();
    let first = context.run::<&str>([]).ok();
    assert_eq!(first.ran(), ["lines", "report", "text"]);
    assert_eq!(bodies(), ["lines", "report", "text"]);
    let second = context.run::<&str>([]).ok();
    assert_eq!(second.stages("hit"), ["lines", "report", "text"]);
    assert!(bodies().is_empty());
    let finished = &second.events_of("run_finished")[0];
    assert_eq!(
        (&finished["outcome"], &finished["ran"], &finished["hit"]),
        (&"done".into(), &0.into(), &3.into())
    );
    assert_eq!(context.result("report"), "1!\n");
}

#[test]
fn a_changed_parameter_runs_what_depends_on_it_and_nothing_else() {
    let (context, bodies) = chain();
    context.run::<&str>([]).ok();
    bodies();
    context.run(["--set", "suffix=."]).ok();
    assert_eq!(bodies(), ["report"]);
    // The old value is not forgotten.
    assert!(context.run::<&str>([]).ok().ran().is_empty());
}

#[test]
fn a_stage_remade_to_the_same_bytes_stops_the_wave() {
    let (context, bodies) = chain();
    context.run::<&str>([]).ok();
    bodies();
    let plan = context.plan(["--set", "words=three"]);
    assert_eq!(
        [&plan["text"].action, &plan["lines"].action, &plan["report"].action],
        ["run", "maybe", "maybe"]
    );
    let output = context.run(["--set", "words=three"]).ok();
    // Another text of one line: `lines` runs and makes the same, so `report` does not.
    assert_eq!(bodies(), ["lines", "text"]);
    assert_eq!(output.stages("hit"), ["report"]);
}

#[test]
fn events_tell_the_whole_story() {
    let (context, _) = chain();
    let output = context.run::<&str>([]).ok();
    let events = output.events();
    assert_eq!(events[0]["event"], "run_started");
    assert_eq!(events.last().unwrap()["event"], "run_finished");
    assert!(events.iter().all(|event| event["time"].as_str().is_some_and(|time| time.ends_with('Z'))));
    let started = output.events_of("stage_started");
    assert_eq!(started[0]["stage"], "text");
    assert_eq!(started[0]["attempt"], 1);
    assert!(started[0]["key"].as_str().unwrap().starts_with("b3:"));
    let finished = output.events_of("stage_finished");
    let text = finished.iter().find(|event| event["stage"] == "text").unwrap();
    assert_eq!(text["outcome"], "ran");
    assert!(text["seconds"].is_number());
    assert_eq!(text["outputs"]["text"]["bytes"], 8);
    assert!(text["outputs"]["text"]["digest"].as_str().unwrap().starts_with("b3:"));
}

#[test]
fn targets_are_the_stages_named_and_what_they_stand_on() {
    let (context, bodies) = chain();
    let output = context.run(["lines"]).ok();
    assert_eq!(output.ran(), ["lines", "text"]);
    assert_eq!(bodies(), ["lines", "text"]);
    context.run(["lnes"]).ends(2).says("`lnes`").says("`lines`");
}

#[test]
fn force_runs_what_is_there() {
    let (context, bodies) = chain();
    context.run::<&str>([]).ok();
    bodies();
    let plan = context.plan(["--force", "lines"]);
    assert_eq!(plan["lines"].action, "run");
    assert_eq!(plan["lines"].why(), ["forced"]);
    let output = context.run(["--force", "lines"]).ok();
    assert_eq!((output.ran(), bodies()), (vec!["lines".to_owned()], vec!["lines".to_owned()]));
    context.run(["--force", "nothing"]).ends(2).says("nothing");
}

#[test]
fn dry_run_is_plan() {
    let (context, bodies) = chain();
    let dry = context.muse(["run", "pipelines/p.yaml", "--dry-run"]).ok();
    let plan = context.muse(["plan", "pipelines/p.yaml"]).ok();
    assert_eq!(dry.stdout, plan.stdout);
    assert!(dry.stdout.contains("report") && bodies().is_empty());
    assert_eq!(
        context.run(["--dry-run"]).ok().json(),
        context.muse(["plan", "pipelines/p.yaml", "--json"]).json()
    );
}

const FORK: &str = "stages:
  bad: { uses: command, with: { run: 'echo the reason >&2; exit 7', outputs: [x] } }
  below: { uses: command, inputs: { x: bad }, with: { run: cp in/x out/y, outputs: [y] } }
  good: { uses: command, with: { run: sleep 0.2; echo g > out/g, outputs: [g] } }
  after: { uses: command, inputs: { g: good }, with: { run: cp in/g out/h, outputs: [h] } }
";

#[test]
fn a_failure_blocks_what_stands_on_it() {
    let context = TestContext::pipeline(FORK);
    let output = context.run(["--keep-going"]).ends(1);
    let outcomes = output.outcomes();
    let of = |stage: &str| outcomes[stage].as_str();
    assert_eq!([of("bad"), of("below"), of("good"), of("after")], ["failed", "blocked", "ran", "ran"]);
    let failed =
        output.events_of("stage_finished").into_iter().find(|event| event["stage"] == "bad").unwrap();
    assert!(failed["error"].as_str().unwrap().contains("exit status 7"), "{failed}");
    let finished = &output.events_of("run_finished")[0];
    assert_eq!((&finished["failed"], &finished["blocked"]), (&1.into(), &1.into()));
    // What was finished is kept.
    assert_eq!(context.run(["--keep-going"]).ends(1).stages("hit"), ["after", "good"]);
}

#[test]
fn without_keep_going_nothing_new_starts_after_a_failure() {
    let context = TestContext::pipeline(FORK);
    let output = context.run(["--jobs", "2"]).ends(1);
    let outcomes = output.outcomes();
    assert_eq!(outcomes["bad"], "failed");
    // What ran already was let finish; what had not begun did not.
    assert!(outcomes.get("after").is_none_or(|outcome| outcome != "ran"), "{outcomes:?}");
}

#[test]
fn people_see_the_reason_and_the_end_of_the_log() {
    let context = TestContext::pipeline(FORK);
    let output = context.muse(["run", "pipelines/p.yaml", "bad"]).ends(1);
    let output = output.says("bad").says("exit status 7").says("the reason");
    assert_eq!(output.stdout, "");
}

#[test]
fn a_missing_output_is_a_failure_that_names_it() {
    let context = TestContext::pipeline(
        "stages: { a: { uses: command, with: { run: echo > out/lnes, outputs: [lines] } } }\n",
    );
    let output = context.muse(["run", "pipelines/p.yaml"]).ends(1);
    output.says("out/lines").says("out/lnes");
}

#[test]
fn retries_try_again_with_an_empty_folder_and_keep_each_log() {
    let context = TestContext::new();
    let counter = context.counter("tries");
    context.edit(&format!(
        "stages:
  flaky:
    uses: command
    with:
      run: |
        {}
        test ! -e out/left && touch out/left
        n=$(wc -l < {}); echo try $n
        test $n -ge 3 && echo done > out/x
      outputs: [x]
    retries: 2
",
        counter.mark(),
        context.outside("tries").display()
    ));
    let output = context.run::<&str>([]).ok();
    let attempts: Vec<_> =
        output.events_of("stage_started").iter().map(|event| event["attempt"].as_u64().unwrap()).collect();
    assert_eq!((attempts, counter.count()), (vec![1, 2, 3], 3));
    let log = |attempt| context.muse(["log", "pipelines/p.yaml", "flaky", "--attempt", attempt]).ok().stdout;
    assert_eq!([log("1"), log("2"), log("3")], ["try 1\n", "try 2\n", "try 3\n"]);
}

#[test]
fn retries_end_in_failure() {
    let context = TestContext::new();
    let counter = context.counter("tries");
    let body = counter.mark();
    context.edit(&format!(
        "stages: {{ a: {{ uses: command, with: {{ run: '{body}; false', outputs: [x] }}, retries: 1 }} }}\n"
    ));
    context.run::<&str>([]).ends(1);
    assert_eq!(counter.count(), 2);
}

#[test]
fn a_timeout_ends_a_stage_and_is_no_part_of_the_key() {
    let text = |timeout: &str| {
        format!(
            "stages:
  slow: {{ uses: command, with: {{ run: sleep 600; echo > out/x, outputs: [x] }}, timeout: {timeout} }}
"
        )
    };
    let context = TestContext::pipeline(&text("300ms"));
    let key = context.plan::<&str>([])["slow"].key().unwrap().to_owned();
    let output = context.run(["--grace", "100ms"]).ends(1);
    let failed = &output.events_of("stage_finished")[0];
    assert!(failed["error"].as_str().unwrap().contains("timeout"), "{failed}");
    context.edit(&text("2h"));
    assert_eq!(context.plan::<&str>([])["slow"].key(), Some(key.as_str()));
}

#[test]
fn of_several_stages_with_one_key_one_runs() {
    let context = TestContext::new();
    let counter = context.counter("bodies");
    let body = format!("{{ run: '{}; echo > out/x', outputs: [x] }}", counter.mark());
    context.edit(&format!(
        "stages: {{ a: {{ uses: command, with: {body} }}, b: {{ uses: command, with: {body} }} }}\n"
    ));
    let plan = context.plan::<&str>([]);
    assert_eq!((plan["a"].action.as_str(), plan["b"].action.as_str()), ("run", "hit"));
    assert_eq!(plan["b"].json["same_as"], "a");
    assert_eq!(plan["b"].key(), plan["a"].key());
    let output = context.run::<&str>([]).ok();
    assert_eq!((output.ran(), counter.count()), (vec!["a".to_owned()], 1));
    assert_eq!(context.run::<&str>([]).ok().ran(), [] as [&str; 0]);
    // Each has its result.
    assert_eq!(context.result("b"), context.result("a"));
}

#[test]
fn jobs_and_reservations_are_never_overcommitted() {
    let context = TestContext::new();
    let (counter, held) = (context.counter("seen"), context.outside("held"));
    let body = |name: &str| {
        let held = held.display();
        format!(
            "mkdir -p {held}; : > {held}/{name}; {}; sleep 0.1; rm {held}/{name}; echo {name} > out/x",
            counter.note(&format!("$(ls {held} | wc -l)"))
        )
    };
    let stages: String = ["a", "b", "c"]
        .map(|name| {
            let run = body(name);
            format!(
                "  {name}: {{ uses: command, with: {{ run: '{run}', outputs: [x] }}, resources: {{ memory: 100TiB }} }}\n"
            )
        })
        .concat();
    context.edit(&format!("stages:\n{stages}"));
    // Who wants more than there is runs alone, whatever `--jobs` says.
    context.run(["--jobs", "3"]).ok();
    assert_eq!(counter.lines(), ["1", "1", "1"]);
    counter.take();
    context.replace("pipelines/p.yaml", "memory: 100TiB", "cpu: 1");
    context.run(["--force", "a", "--force", "b", "--force", "c", "--jobs", "1"]).ok();
    assert_eq!(counter.lines(), ["1", "1", "1"]);
}

#[test]
fn what_a_stage_may_start_is_told_by_its_reservation() {
    let context = TestContext::pipeline(
        "stages:
  one: { uses: command, with: { run: 'echo $CUDA_VISIBLE_DEVICES > out/x', outputs: [x] } }
",
    );
    context.run::<&str>([]).ok();
    // Nothing was reserved, so nothing is said.
    assert_eq!(context.result("one"), "\n");
}
