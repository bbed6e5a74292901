//! A pipeline as a drawing: dot, mermaid, JSON, and an SVG that needs no other program.
//!
//! [`Graph::of`] takes the stages and what flows between them, [`Graph::collapse`] makes one box of many siblings,
//! and each form is one function from a graph to a text.
mod dot;
mod layout;
mod mermaid;
mod svg;

use crate::document::Pipeline;
use crate::plan::{Action, Plan};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// A matrix with more stages than this is drawn as one box.
pub const MANY: usize = 12;

/// What a run would do with a stage. A later one wins where several stages share a box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody asked for it, or there is no plan.
    #[default]
    None,
    /// Its result is there.
    Hit,
    /// It may run.
    Maybe,
    /// It will run.
    Run,
}

/// A box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// The stage's name; that of the matrix where the box stands for all of it.
    pub name: String,
    /// Its kind.
    pub uses: String,
    /// What a run would do.
    pub state: State,
    /// The name that siblings of a matrix share.
    #[serde(skip)]
    pub group: String,
    /// How many stages the box stands for.
    #[serde(skip_serializing_if = "is_one")]
    pub stages: usize,
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

/// An arrow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The box whose result flows, as a place in [`Graph::nodes`].
    pub from: usize,
    /// The box that takes it.
    pub to: usize,
    /// The port.
    pub port: String,
}

/// Boxes and arrows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// The pipeline's name.
    pub name: String,
    /// The boxes.
    pub nodes: Vec<Node>,
    /// The arrows.
    pub edges: Vec<Edge>,
}

impl Graph {
    /// The stages of a plan, each behind all that it needs, in the colours of what is planned.
    pub fn of(pipeline: &Pipeline, plan: &Plan) -> Self {
        let mut graph = Self { name: pipeline.name.clone(), ..Self::default() };
        let mut places = HashMap::new();
        for (stage, planned) in plan.iter() {
            let Some(spec) = pipeline.stages.get(stage) else { continue };
            let state = match planned.action {
                Action::Hit => State::Hit,
                Action::Run => State::Run,
                Action::Maybe => State::Maybe,
            };
            let to = graph.nodes.len();
            places.insert(stage, to);
            for port in &spec.inputs {
                for entry in port.entries.iter() {
                    if let Some(&from) = places.get(&entry.stage) {
                        graph.edges.push(Edge { from, to, port: port.name.clone() });
                    }
                }
            }
            graph.nodes.push(Node {
                name: spec.name.clone(),
                uses: spec.kind.name().to_owned(),
                state,
                group: spec.base.to_string(),
                stages: 1,
            });
        }
        graph.edges.dedup();
        graph
    }

    /// The same with one box in the place of every matrix of more than `many` stages.
    #[must_use]
    pub fn collapse(&self, many: usize) -> Self {
        let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
        for node in &self.nodes {
            *sizes.entry(&node.group).or_default() += node.stages;
        }
        let mut graph = Self { name: self.name.clone(), ..Self::default() };
        let mut boxes: HashMap<&str, usize> = HashMap::new();
        let mut places = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let size = sizes.get(node.group.as_str()).copied().unwrap_or(1);
            let next = graph.nodes.len();
            let place = if size > many { *boxes.entry(&node.group).or_insert(next) } else { next };
            match graph.nodes.get_mut(place) {
                Some(shared) => shared.state = shared.state.max(node.state),
                None if size > many => {
                    graph.nodes.push(Node { name: node.group.clone(), stages: size, ..node.clone() });
                }
                None => graph.nodes.push(node.clone()),
            }
            places.push(place);
        }
        let place = |node: usize| places.get(node).copied();
        let edges = self.edges.iter().filter_map(|edge| {
            Some(Edge { from: place(edge.from)?, to: place(edge.to)?, port: edge.port.clone() })
        });
        graph.edges = edges.filter(|edge| edge.from != edge.to).collect();
        graph.edges.sort();
        graph.edges.dedup();
        graph
    }

    /// For Graphviz.
    pub fn dot(&self) -> String {
        dot::draw(self)
    }

    /// For Mermaid.
    pub fn mermaid(&self) -> String {
        mermaid::draw(self)
    }

    /// A picture.
    pub fn svg(&self) -> String {
        svg::draw(self)
    }

    /// For programs: boxes and arrows by name.
    pub fn json(&self) -> serde_json::Value {
        let name = |node: usize| self.nodes.get(node).map(|node| node.name.as_str());
        let edges = self.edges.iter().map(
            |edge| serde_json::json!({ "from": name(edge.from), "to": name(edge.to), "port": edge.port }),
        );
        let edges: Vec<_> = edges.collect();
        serde_json::json!({ "schema": 1, "pipeline": self.name, "nodes": self.nodes, "edges": edges })
    }
}

impl Node {
    /// What stands in the box: `base`, or `base ×100` for a whole matrix.
    fn title(&self) -> String {
        if self.stages > 1 { format!("{} ×{}", self.name, self.stages) } else { self.name.clone() }
    }
}

impl State {
    /// Fill, line: light boxes with dark text can be read on white and on dark pages.
    fn colors(self) -> (&'static str, &'static str) {
        match self {
            Self::None => ("#e8e8ec", "#77777f"),
            Self::Hit => ("#d5f0dc", "#2e7d43"),
            Self::Maybe => ("#fdebc4", "#b07a10"),
            Self::Run => ("#d3e4fb", "#2563b0"),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Hit => "hit",
            Self::Maybe => "maybe",
            Self::Run => "run",
        }
    }
}

/// Text in a box.
const INK: &str = "#1b1b1f";

/// Made-up graphs for the tests of all forms.
#[cfg(test)]
mod sample {
    use super::*;

    pub(super) fn node(name: &str, uses: &str, state: State) -> Node {
        let group = name.split('[').next().unwrap().to_owned();
        Node { name: name.into(), uses: uses.into(), state, group, stages: 1 }
    }

    pub(super) fn edge(from: usize, to: usize, port: &str) -> Edge {
        Edge { from, to, port: port.into() }
    }

    /// A language model with `seeds` pretraining runs.
    pub(super) fn model(seeds: usize) -> Graph {
        let mut nodes = vec![
            node("corpus", "download", State::Hit),
            node("clean", "clean", State::Hit),
            node("tokenizer", "tokenizer", State::Run),
            node("packed", "pack", State::Maybe),
        ];
        let mut edges =
            vec![edge(0, 1, "corpus"), edge(1, 2, "corpus"), edge(1, 3, "corpus"), edge(2, 3, "tokenizer")];
        for seed in 0..seeds {
            nodes.push(node(&format!("base[seed={seed}]"), "pretrain", State::Maybe));
            edges.push(edge(3, 4 + seed, "data"));
        }
        nodes.push(node("eval", "eval", State::Maybe));
        nodes.push(node("export", "export", State::None));
        edges.extend((0..seeds).map(|seed| edge(4 + seed, 4 + seeds, "model")));
        edges.extend([edge(4, 5 + seeds, "model"), edge(2, 5 + seeds, "tokenizer")]);
        Graph { name: "tiny".into(), nodes, edges }
    }

    /// Names that try to break out.
    pub(super) fn hostile() -> Graph {
        let names = ["a\"b", "c\\N<d>&'", "base[x=\"], y=;]", "日本語[x=`#|`]", "line\nbreak\u{1b}"];
        let nodes = names.map(|name| node(name, "<b>kind\"", State::Run)).to_vec();
        let edges = (1..names.len()).map(|to| edge(to - 1, to, "po|\"rt>")).collect();
        Graph { name: "x\"-->".into(), nodes, edges }
    }
}

#[cfg(test)]
mod tests {
    use super::sample::*;
    use super::*;

    #[test]
    fn many_siblings_are_one_box() {
        let mut graph = model(100);
        graph.nodes[50].state = State::Run;
        let small = graph.collapse(MANY);
        let names: Vec<_> = small.nodes.iter().map(Node::title).collect();
        assert_eq!(names, ["corpus", "clean", "tokenizer", "packed", "base ×100", "eval", "export"]);
        assert_eq!(small.nodes[4].state, State::Run);
        let arrows = small.edges.iter().filter(|edge| edge.from == 4 || edge.to == 4).count();
        assert_eq!(arrows, 3, "one in, two out: {:?}", small.edges);
        assert_eq!(model(12).collapse(MANY).nodes.len(), model(12).nodes.len());
    }

    #[test]
    fn json_names_boxes_and_arrows() {
        let json = model(1).json();
        assert_eq!(
            json["nodes"][0],
            serde_json::json!({ "name": "corpus", "uses": "download", "state": "hit" })
        );
        assert_eq!(
            json["edges"][0],
            serde_json::json!({ "from": "corpus", "to": "clean", "port": "corpus" })
        );
        assert_eq!(model(20).collapse(MANY).json()["nodes"][4]["stages"], 20);
    }
}
