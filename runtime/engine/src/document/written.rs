//! Where the parameters of a stage stand: from a JSON pointer to the text that it means, also in a file of values.
use super::node::{Node, Span};
use std::sync::Arc;

/// The parameters of a stage as they were written.
#[derive(Debug)]
pub(crate) struct Written {
    /// The stage as the file has it; only its `with` where names were replaced in it.
    node: Arc<Node>,
    replaced: bool,
    /// The content of files of values, by JSON pointer.
    configs: Vec<(String, Arc<Node>)>,
    /// The name behind which the parameters stand.
    named: Span,
}

impl Written {
    /// Parameters as they stand in `stage`, unless `with` is what became of them.
    pub(super) fn new(
        stage: &Arc<Node>,
        with: Option<Node>,
        configs: Vec<(String, Arc<Node>)>,
        named: Span,
    ) -> Self {
        let replaced = with.is_some();
        Self { node: with.map_or_else(|| Arc::clone(stage), Arc::new), replaced, configs, named }
    }

    /// Where a JSON pointer leads; the name of the whole where it leads nowhere.
    pub(crate) fn span(&self, pointer: &str) -> Span {
        let with = if self.replaced { Some(&*self.node) } else { self.node.get("with") };
        with.and_then(|with| locate(with, &self.configs, pointer)).unwrap_or(self.named)
    }
}

/// Where a JSON pointer leads, into files of values too. As far as it goes where it leads nowhere.
pub(super) fn locate(with: &Node, configs: &[(String, Arc<Node>)], pointer: &str) -> Option<Span> {
    if pointer.is_empty() {
        return None;
    }
    let config = configs.iter().find_map(|(at, node)| {
        let rest = pointer.strip_prefix(at.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then_some((&**node, rest))
    });
    let (mut node, rest) = match config {
        Some((node, rest)) if !rest.is_empty() => (node, rest),
        _ => (with, pointer),
    };
    let mut span = None;
    for step in steps(rest) {
        let next = node.get(&step).or_else(|| node.items().get(step.parse::<usize>().ok()?));
        let Some(next) = next else { break };
        (node, span) = (next, Some(next.span));
    }
    span
}

/// The name of the field that a JSON pointer ends at.
pub(super) fn locate_key(with: &Node, pointer: &str) -> Option<Span> {
    let mut node = with;
    let mut span = None;
    for step in steps(pointer) {
        if let Some((key, value)) = node.fields().iter().find(|(key, _)| *key.name == *step) {
            (node, span) = (value, Some(key.span));
        } else {
            node = node.items().get(step.parse::<usize>().ok()?)?;
            span = Some(node.span);
        }
    }
    span
}

pub(super) fn steps(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"))
}
