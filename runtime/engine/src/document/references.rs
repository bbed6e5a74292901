//! From a name under `inputs:` to the stages that it means.
use super::connect::Connector;
use super::node::{Node, Span};
use crate::diagnostic::nearest;
use std::collections::HashMap;
use std::sync::Arc;

/// From a stage's name, or the name of a whole matrix, to places among the stages.
pub(crate) type Index = HashMap<String, Vec<usize>>;

/// Parts `stage.output`; `known` says what is a stage. A combination may hold dots of its own: `base[lr=0.1].out`.
pub(crate) fn split(text: &str, known: impl Fn(&str) -> bool) -> Option<(&str, Option<&str>)> {
    if known(text) {
        return Some((text, None));
    }
    let combination = text.find('[');
    let parts = text.match_indices('.').filter(|(at, _)| match combination {
        Some(from) if from < *at => text[..*at].ends_with(']'),
        _ => true,
    });
    parts.map(|(at, _)| (&text[..at], Some(&text[at + 1..]))).find(|(name, _)| known(name))
}

/// A reference that leads somewhere.
pub(crate) struct Found<'t> {
    pub(crate) stages: Vec<usize>,
    pub(crate) output: Option<&'t str>,
    pub(crate) whole: bool,
}

impl Connector<'_> {
    /// The stages that a reference means. `None` is reported, or follows from something reported.
    pub(crate) fn find<'n>(&mut self, at: usize, node: &'n Node) -> Option<(Found<'n>, Arc<str>)> {
        let text = node.text()?;
        let Some((name, output)) = split(text, |name| self.index.contains_key(name)) else {
            self.unknown_stage(node.span, text);
            return None;
        };
        let stages = self.index.get(name)?.clone();
        if stages.contains(&at) {
            let problem = self
                .session
                .at(node.span, format!("the stage `{}` takes its own result", self.drafts[at].name));
            self.session.add(node.span, problem.help("name another stage"));
            return None;
        }
        let whole = !stages.iter().any(|stage| self.drafts[*stage].name == name);
        Some((Found { stages, output, whole }, text.clone()))
    }

    fn unknown_stage(&mut self, span: Span, text: &str) {
        let base = text.split(['[', '.']).next().unwrap_or_default();
        if self.broken.contains(base) || self.incomplete {
            return;
        }
        let problem = self.session.at(span, format!("there is no stage `{}`", super::node::shorten(text)));
        if !self.session.proposes() {
            self.session.add(span, problem);
            return;
        }
        let combinations = self.index.get(base).filter(|_| text.starts_with(&format!("{base}[")));
        let names: Vec<&str> = match combinations {
            Some(stages) => stages.iter().map(|stage| self.drafts[*stage].name.as_str()).collect(),
            None => self.index.keys().map(String::as_str).filter(|name| !name.contains('[')).collect(),
        };
        let word = if combinations.is_some() { text } else { base };
        let mut sorted = names;
        sorted.sort_unstable();
        let problem = match (nearest(word, sorted.iter().copied()), combinations) {
            (Some(near), None) if base.len() < text.len() => {
                problem.help(format!("did you mean `{near}{}`?", &text[base.len()..]))
            }
            (Some(near), _) => problem.help(format!("did you mean `{near}`?")),
            (None, Some(_)) => problem.help(format!("its combinations are {}", few(&sorted))),
            (None, None) => problem.help(format!("the stages are {}", few(&sorted))),
        };
        self.session.add(span, problem);
    }
}

/// A list for a message, cut where it would be long.
pub(crate) fn few(names: &[&str]) -> String {
    const MOST: usize = 8;
    let more = if names.len() > MOST { ", …" } else { "" };
    format!("{}{more}", names.iter().take(MOST).copied().collect::<Vec<_>>().join(", "))
}
