//! A plan tells the truth: on random graphs, after random edits, what ran is what it said, for the reasons it gave.
use super::graph::{Dice, Edit, Graph, name, tally};
use crate::support::{Output, Planned, TestContext};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// A graph on disk, with the state that each stage was last seen in.
struct World {
    context: TestContext,
    graph: Graph,
    /// The graph as it was when all was made last.
    made: Graph,
    /// The digest of each stage's result.
    digests: BTreeMap<String, String>,
    history: Vec<String>,
    seen: Seen,
}

/// What the random edits came upon, so that a test that tries nothing is noticed.
#[derive(Debug, Default)]
struct Seen {
    ran: usize,
    maybe_that_ran: usize,
    maybe_that_did_not: usize,
    missing: usize,
    lost_and_not_needed: usize,
    nothing_to_do: usize,
    restored: usize,
}

impl World {
    fn new(seed: u64, dice: &mut Dice) -> Self {
        let graph = Graph::random(dice);
        let context = TestContext::new();
        let world = Self {
            context,
            made: graph.clone(),
            graph,
            digests: BTreeMap::new(),
            history: vec![format!("seed {seed}")],
            seen: Seen::default(),
        };
        world.write();
        world
    }

    fn write(&self) {
        let counter = self.context.outside("counter");
        fs::create_dir_all(counter.parent().unwrap()).unwrap();
        self.context.write("pipelines/p.yaml", self.graph.yaml(counter.to_str().unwrap()));
        for (at, text) in self.graph.files.iter().enumerate() {
            self.context.write(format!("data/{at}.txt"), text);
        }
    }

    fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("b3:").unwrap();
        self.context.cache().join("blobs-v1").join(&hex[..2]).join(&hex[2..])
    }

    fn edit(&mut self, dice: &mut Dice, fresh: usize) {
        let edit = Edit::random(&self.graph, dice, fresh);
        self.history.push(format!("{edit:?}"));
        edit.apply(&mut self.graph);
        if let Edit::LoseBlob(stage) = edit {
            let _ = fs::remove_file(self.blob(&self.digests[&name(stage)]));
        }
        self.write();
    }

    fn run(&mut self) -> Output {
        let _ = fs::remove_file(self.context.outside("counter"));
        self.context.run([""; 0]).ok()
    }

    /// How often each body ran in the last run.
    fn bodies(&self) -> BTreeMap<String, usize> {
        let text = fs::read_to_string(self.context.outside("counter")).unwrap_or_default();
        tally(text.lines().map(str::to_owned))
    }

    /// Plans, runs, and compares.
    fn check(&mut self) {
        let plan = self.context.plan([""; 0]);
        self.check_causes(&plan);
        let run = self.run();
        let outcomes = run.outcomes();
        let history = self.history.join("\n  ");
        for (stage, outcome) in &outcomes {
            let planned = &plan[stage];
            let twin = planned.json["same_as"].is_string();
            let truthful = match planned.action.as_str() {
                "hit" => outcome == "hit",
                "run" => outcome == "ran",
                "maybe" => outcome == "ran" || outcome == "hit",
                other => panic!("an action {other}"),
            };
            assert!(
                truthful,
                "{stage} was planned as {} and ended as {outcome}\n  {history}",
                planned.action
            );
            assert!(!twin || outcome == "hit", "{stage} is a twin");
            self.seen.ran += usize::from(outcome == "ran");
            self.seen.maybe_that_ran += usize::from(planned.action == "maybe" && outcome == "ran");
            self.seen.maybe_that_did_not += usize::from(planned.action == "maybe" && outcome == "hit");
        }
        assert_eq!(outcomes.len(), self.graph.nodes.len(), "each stage ends once\n  {history}");
        let ran: BTreeMap<String, usize> = tally(run.ran());
        assert_eq!(self.bodies(), ran, "bodies that ran, and what was told of them\n  {history}");
        self.seen.nothing_to_do += usize::from(ran.is_empty());
        self.take_digests(&run);
        self.check_results();
        self.made = self.graph.clone();
        let after = self.context.plan([""; 0]);
        let left: Vec<_> = after.iter().filter(|(_, planned)| planned.action != "hit").collect();
        assert!(left.is_empty(), "after a run there is work left: {left:?}\n  {history}");
    }

    fn take_digests(&mut self, run: &Output) {
        for event in run.events_of("stage_finished") {
            let digest = event["outputs"]["text"]["digest"].as_str().unwrap().to_owned();
            self.digests.insert(event["stage"].as_str().unwrap().to_owned(), digest);
        }
    }

    /// Every digest is that of the right content, and the targets are there.
    fn check_results(&self) {
        let history = self.history.join("\n  ");
        for (stage, expected) in self.graph.results().iter().enumerate() {
            let path = self.blob(&self.digests[&name(stage)]);
            match fs::read_to_string(path) {
                Ok(text) => assert_eq!(&text, expected, "the result of s{stage}\n  {history}"),
                Err(_) => assert!(
                    !self.graph.targets().contains(&stage),
                    "the target s{stage} is lost\n  {history}"
                ),
            }
        }
    }

    /// Each stage's own causes are the fields that were edited, and what came from above names where it began.
    fn check_causes(&mut self, plan: &BTreeMap<String, Planned>) {
        let history = self.history.join("\n  ");
        for (stage, node) in self.graph.nodes.iter().enumerate() {
            let Some(planned) = plan.get(&name(stage)) else { continue };
            let changes = self.graph.own_changes(&self.made, stage);
            let why: BTreeSet<String> = planned.why().into_iter().collect();
            if planned.action == "hit" && !planned.json["same_as"].is_string() {
                assert!(why.is_empty(), "s{stage} is a hit because of {why:?}\n  {history}");
                self.seen.restored += usize::from(!changes.is_empty());
                self.seen.lost_and_not_needed += usize::from(planned.json["stored"] == false);
                continue;
            }
            let own: BTreeSet<String> =
                why.iter().filter(|why| !why.starts_with("input ")).cloned().collect();
            let inputs: Vec<&String> = why.iter().filter(|why| why.starts_with("input ")).collect();
            self.seen.missing += usize::from(own.contains("missing"));
            let expected = if changes.is_empty() && inputs.is_empty() {
                BTreeSet::from(["missing".to_owned()])
            } else {
                changes
            };
            assert_eq!(own, expected, "the causes of s{stage}: {:?}\n  {history}", planned.causes);
            for cause in planned.causes.iter().filter(|cause| cause["kind"] == "input") {
                let field = cause["field"].as_str().unwrap();
                assert!(
                    node.inputs.iter().any(|input| field == format!("p{input}")),
                    "no port {field}\n  {history}"
                );
                let root = cause["root"].as_str().unwrap();
                let began = &plan[root];
                let begins = began.why().iter().any(|why| !why.starts_with("input "));
                // A stage whose old value was restored is a hit, and yet gives other bytes than last time.
                let restored = began.action == "hit";
                assert!(begins || restored, "{root} is no root of s{stage}: {began:?}\n  {history}");
            }
            for cause in planned.causes.iter().filter(|cause| cause["field"] == "env.P") {
                assert_eq!(cause["old"], self.made.nodes[stage].param.as_str(), "{history}");
                assert_eq!(cause["new"], node.param.as_str(), "{history}");
            }
        }
    }
}

/// Six graphs with eight rounds of edits each.
fn try_seeds(seeds: std::ops::Range<u64>) {
    let mut all = Vec::new();
    for seed in seeds {
        let mut dice = Dice::new(seed);
        let mut world = World::new(seed, &mut dice);
        let first = world.run();
        assert!(first.stages("hit").len() + first.ran().len() == world.graph.nodes.len());
        world.take_digests(&first);
        world.check_results();
        for round in 0..8 {
            for edit in 0..1 + dice.roll(3) {
                world.edit(&mut dice, round * 10 + edit);
            }
            world.check();
        }
        all.push(world.seen);
    }
    let sum = |count: fn(&Seen) -> usize| all.iter().map(count).sum::<usize>();
    assert!(sum(|seen| seen.ran) > 20, "{all:?}");
    assert!(sum(|seen| seen.maybe_that_ran) > 3, "{all:?}");
    assert!(sum(|seen| seen.maybe_that_did_not) > 0, "no early cutoff: {all:?}");
    assert!(sum(|seen| seen.missing) > 0, "no blob was missed: {all:?}");
    assert!(sum(|seen| seen.lost_and_not_needed) > 0, "{all:?}");
    assert!(sum(|seen| seen.nothing_to_do) > 0, "{all:?}");
    assert!(sum(|seen| seen.restored) > 0, "no old result counted again: {all:?}");
}

#[test]
fn a_plan_tells_the_truth_0() {
    try_seeds(0..6);
}

#[test]
fn a_plan_tells_the_truth_1() {
    try_seeds(6..12);
}

#[test]
fn a_plan_tells_the_truth_2() {
    try_seeds(12..18);
}

#[test]
fn a_plan_tells_the_truth_3() {
    try_seeds(18..24);
}

/// A plugin whose version is read from a file beside it.
const VERSIONED: &str = r#"#!/bin/sh
version=$(cat "$(dirname "$0")/version")
if [ "$1" = --describe ]; then
    echo '{"muse_stage":1,"name":"versioned","version":'$version',"outputs":[{"name":"text","type":"file"}],"params":{"type":"object","properties":{},"additionalProperties":false}}'
    exit 0
fi
cd "$(dirname "$1")/cwd" && mkdir -p out && echo "version $version" > out/text && echo '{"event":"done"}'
"#;

#[test]
fn another_version_of_a_stage_is_a_cause() {
    let context = TestContext::pipeline(
        "plugins: { versioned: ../bin/muse-stage-versioned }\n\
         stages:\n  a: { uses: versioned }\n  b:\n    uses: command\n    inputs: { x: a }\n    with: { run: cp in/x out/y, outputs: [y] }\n",
    );
    context.write_program("bin/muse-stage-versioned", VERSIONED);
    context.write("bin/version", "1");
    assert_eq!(context.run([""; 0]).ok().ran(), ["a", "b"]);
    assert_eq!(context.run([""; 0]).ok().ran(), [""; 0]);
    context.write("bin/version", "2");
    let plan = context.plan([""; 0]);
    assert_eq!(plan["a"].action, "run");
    assert_eq!(plan["a"].causes[0]["kind"], "code");
    assert_eq!((&plan["a"].causes[0]["old"], &plan["a"].causes[0]["new"]), (&1.into(), &2.into()));
    assert_eq!((plan["b"].action.as_str(), plan["b"].causes[0]["root"].as_str()), ("maybe", Some("a")));
    assert_eq!(context.run([""; 0]).ok().ran(), ["a", "b"]);
    assert_eq!(context.result("b"), "version 2\n");
}
