//! The pipeline as one file again, after includes, parameters and matrix. It loads to the same keys.
use super::emit;
use super::load::{Options, load_with};
use super::node::{Content, Key, Node};
use super::paths::between;
use super::pieces::escape;
use super::pipeline::{Pipeline, StageSpec};
use super::shape::{Form, RuleId, Shape};
use crate::diagnostic::Diagnostic;
use std::path::{Path, PathBuf};

/// Loads a pipeline and writes it as one file, to stand in the folder of the first one. Variables of the
/// environment stay names: their values are nobody's to print.
pub fn expand(path: &Path, options: &Options<'_>) -> Result<String, Vec<Diagnostic>> {
    let pipeline = load_with(path, options, true)?;
    let home = real(&pipeline.folder);
    let mut out = format!("# {} after includes, parameters and matrix.\nmuse: 1\n", path.display());
    let span = pipeline.stages.first().map(|stage| stage.place.clone());
    let text = |text: &str| Node::new(super::node::Span::default(), Content::Text(text.into()));
    emit::fields(&mut out, 0, [("name", &text(&pipeline.name))]);
    if !pipeline.declared_plugins.is_empty() {
        out.push_str("plugins:\n");
        for (name, node) in &pipeline.declared_plugins {
            let moved = Mover { pipeline: &pipeline, home: &home }.moved(node);
            emit::fields(&mut out, 2, [(name.as_str(), &moved)]);
        }
    }
    if span.is_none() {
        return Ok(out + "stages: {}\n");
    }
    out.push_str("stages:\n");
    for stage in &pipeline.stages {
        if let Some(node) = &stage.resolved {
            let node = Mover { pipeline: &pipeline, home: &home }.stage(stage, node);
            emit::fields(&mut out, 2, [(stage.name.as_str(), &node)]);
        }
    }
    Ok(out)
}

/// Rewrites paths so that they start from the folder of the main file.
struct Mover<'p> {
    pipeline: &'p Pipeline,
    home: &'p Path,
}

impl Mover<'_> {
    fn stage(&self, stage: &StageSpec, node: &Node) -> Node {
        let shape = stage.kind.shape();
        let fields = node.fields().iter().map(|(key, node)| {
            let node = match &*key.name {
                "with" => self.with(shape, shape.root, node),
                "inputs" => escape(node.clone()),
                _ => node.clone(),
            };
            (key.clone(), node)
        });
        let mut fields: Vec<(Key, Node)> = fields.collect();
        let order = |name: &str| ["uses", "inputs", "with"].iter().position(|own| *own == name).unwrap_or(3);
        fields.sort_by_key(|(key, _)| order(&key.name));
        fields.retain(|(key, node)| &*key.name != "with" || !node.fields().is_empty());
        Node::new(node.span, Content::Map(fields))
    }

    fn with(&self, shape: &Shape, rule: RuleId, node: &Node) -> Node {
        match &node.content {
            Content::Text(_) if is_path(shape, rule) => self.moved(node),
            Content::Seq(items) => {
                let Some(item) = shape.item(rule) else { return node.clone() };
                Node::new(
                    node.span,
                    Content::Seq(items.iter().map(|node| self.with(shape, item, node)).collect()),
                )
            }
            Content::Map(fields) => {
                let fields = fields.iter().map(|(key, node)| match shape.field(rule, &key.name) {
                    Some(field) => (key.clone(), self.with(shape, field, node)),
                    None => (key.clone(), node.clone()),
                });
                Node::new(node.span, Content::Map(fields.collect()))
            }
            _ => node.clone(),
        }
    }

    /// A path from the folder of its own file, as one from home.
    fn moved(&self, node: &Node) -> Node {
        let (Some(text), Some(source)) = (node.text(), self.pipeline.sources.get(node.span.source as usize))
        else {
            return node.clone();
        };
        match between(self.home, &real(&source.folder)) {
            Some(way) if way != Path::new(".") => {
                let text = format!("{}/{text}", way.display());
                Node::new(node.span, Content::Text(text.into()))
            }
            _ => node.clone(),
        }
    }
}

fn is_path(shape: &Shape, rule: RuleId) -> bool {
    match shape.resolve(rule).0 {
        Form::Files | Form::Config(_) => true,
        Form::OneOf(branches) => branches.iter().any(|branch| is_path(shape, *branch)),
        _ => false,
    }
}

fn real(folder: &Path) -> PathBuf {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned())
}
