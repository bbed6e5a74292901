//! Random graphs of stages, what they should give, and the edits that people make to them.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Numbers that are the same on every machine for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `limit`.
    pub(crate) fn roll(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 16) % limit as u64) as usize
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }
}

/// One stage: all that its result depends on, and what it does not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Stages above it.
    pub(crate) inputs: Vec<usize>,
    /// The file it reads.
    pub(crate) file: Option<usize>,
    /// A variable in its environment.
    pub(crate) param: String,
    /// It writes the same whatever it reads: what stands below need not run again.
    pub(crate) constant: bool,
    /// Minutes of `timeout`, which enter no key.
    pub(crate) minutes: usize,
}

/// A pipeline with its input files.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) files: Vec<String>,
    /// Comments and the order of fields change with it, and nothing else does.
    pub(crate) style: usize,
}

pub(crate) fn name(stage: usize) -> String {
    format!("s{stage}")
}

impl Graph {
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let count = 5 + dice.roll(5);
        let files = (0..3).map(|file| format!("text {file}\n")).collect();
        let mut nodes = Vec::new();
        for at in 0..count {
            let mut inputs = BTreeSet::new();
            for _ in 0..dice.roll(3).min(at) {
                inputs.insert(dice.roll(at));
            }
            nodes.push(Node {
                inputs: inputs.into_iter().collect(),
                file: dice.chance(50).then(|| dice.roll(3)),
                param: format!("v{}", dice.roll(3)),
                constant: dice.chance(35),
                minutes: 1 + dice.roll(9),
            });
        }
        Self { nodes, files, style: 0 }
    }

    /// The pipeline file. Each body adds its stage's name to `counter`.
    pub(crate) fn yaml(&self, counter: &str) -> String {
        let mut text = String::from("muse: 1\nname: graph\nstages:\n");
        let order: Vec<usize> = (0..self.nodes.len()).collect();
        for &at in &order {
            let node = &self.nodes[at];
            let body = if node.constant { "echo same" } else { "cat in/* /dev/null; echo $P" };
            let count = format!("echo {} >> {counter}", name(at));
            let body = format!("'{count}; {{ {body}; }} > out/text'");
            let files = node.file.map(|file| format!("{{ file: ../data/{file}.txt }}"));
            let mut with = vec![
                format!("run: {body}"),
                "outputs: [text]".into(),
                format!("env: {{ P: {} }}", node.param),
            ];
            with.extend(files.map(|files| format!("files: {files}")));
            let inputs: Vec<String> =
                node.inputs.iter().map(|&input| format!("p{input}: {}", name(input))).collect();
            let mut fields = vec!["uses: command".to_owned(), format!("timeout: {}", self.minutes(node))];
            if !inputs.is_empty() {
                fields.push(format!("inputs: {{ {} }}", inputs.join(", ")));
            }
            let turn = self.style % with.len();
            with.rotate_left(turn);
            fields.push(format!("with: {{ {} }}", with.join(", ")));
            let turn = self.style % fields.len();
            fields.rotate_left(turn);
            if self.style > 0 {
                writeln!(text, "  # edit {}", self.style).unwrap();
            }
            writeln!(text, "  {}:\n    {}", name(at), fields.join("\n    ")).unwrap();
        }
        text
    }

    fn minutes(&self, node: &Node) -> String {
        // Another spelling of one time, too.
        if self.style % 2 == 1 { format!("{}s", node.minutes * 60) } else { format!("{}m", node.minutes) }
    }

    /// What each stage should give.
    pub(crate) fn results(&self) -> Vec<String> {
        let mut results: Vec<String> = Vec::new();
        for node in &self.nodes {
            let mut text = String::new();
            // `in/*` sorts by name: `file` stands before `p0`, `p1`.
            text.extend(node.file.map(|file| self.files[file].as_str()));
            let mut inputs: Vec<String> = node.inputs.iter().map(usize::to_string).collect();
            inputs.sort();
            for input in inputs {
                text += &results[input.parse::<usize>().unwrap()];
            }
            results.push(if node.constant { "same\n".into() } else { format!("{text}{}\n", node.param) });
        }
        results
    }

    /// What differs in a stage itself between two states, as the fields that causes name.
    pub(crate) fn own_changes(&self, then: &Self, stage: usize) -> BTreeSet<String> {
        let (now, old) = (&self.nodes[stage], &then.nodes[stage]);
        let mut changes = BTreeSet::new();
        if now.param != old.param {
            changes.insert("param env.P".to_owned());
        }
        let file = |graph: &Self, node: &Node| node.file.map(|file| graph.files[file].clone());
        if file(self, now) != file(then, old) {
            changes.insert("file file".to_owned());
        }
        changes
    }

    /// The stages that no other takes.
    pub(crate) fn targets(&self) -> BTreeSet<usize> {
        let taken: BTreeSet<usize> = self.nodes.iter().flat_map(|node| node.inputs.iter().copied()).collect();
        (0..self.nodes.len()).filter(|stage| !taken.contains(stage)).collect()
    }
}

/// What somebody does between two runs.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Param(usize, String),
    File(usize, String),
    Minutes(usize),
    Style,
    /// The content of a stage's result is taken out of the store.
    LoseBlob(usize),
}

impl Edit {
    pub(crate) fn random(graph: &Graph, dice: &mut Dice, fresh: usize) -> Self {
        let stage = dice.roll(graph.nodes.len());
        match dice.roll(100) {
            // A value that was never there, or one that may have been: then old results count again.
            0..20 => Self::Param(stage, format!("new{fresh}")),
            20..40 => Self::Param(stage, format!("v{}", dice.roll(3))),
            40..55 => Self::File(dice.roll(3), format!("text of edit {fresh}\n")),
            55..65 => Self::File(dice.roll(3), format!("text {}\n", dice.roll(3))),
            65..72 => Self::Minutes(stage),
            72..79 => Self::Style,
            _ => Self::LoseBlob(stage),
        }
    }

    pub(crate) fn apply(&self, graph: &mut Graph) {
        match self {
            Self::Param(stage, value) => graph.nodes[*stage].param.clone_from(value),
            Self::File(file, text) => graph.files[*file].clone_from(text),
            Self::Minutes(stage) => graph.nodes[*stage].minutes += 1,
            Self::Style => graph.style += 1,
            Self::LoseBlob(_) => {}
        }
    }
}

/// How often each name stands in a list.
pub(crate) fn tally(names: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    names.into_iter().for_each(|name| *counts.entry(name).or_insert(0) += 1);
    counts
}
