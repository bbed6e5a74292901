//! Axes and their combinations.
use super::interpolate::{Mode, Scope, interpolate};
use super::names;
use super::node::{Content, Key, Node, Span};
use super::session::Session;
use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

/// The most stages after expansion.
pub const MOST_STAGES: usize = 200_000;
/// A stage names folders, and file systems take no longer names.
const LONGEST_NAME: usize = 200;

/// Axes and their values, as text.
pub(crate) type Combination = Vec<(String, String)>;

/// One axis.
#[derive(Debug)]
pub(crate) struct Axis {
    pub(crate) key: Key,
    pub(crate) values: Vec<Node>,
}

/// Reads `matrix:`. `None` where it is wrong or not known.
pub(crate) fn axes(session: &mut Session, scope: &Scope<'_>, node: &Node) -> Option<Vec<Axis>> {
    let before = session.count();
    let changed = interpolate(session, scope, node, None, Mode::default());
    read(session, changed.as_ref().unwrap_or(node)).filter(|_| session.count() == before)
}

fn read(session: &mut Session, node: &Node) -> Option<Vec<Axis>> {
    let Content::Map(fields) = &node.content else {
        if !matches!(node.content, Content::Unknown) {
            let problem =
                session.at(node.span, format!("`matrix` takes a mapping of lists, not {}", node.describe()));
            session.add(node.span, problem.help("write `matrix: { seed: [1, 2, 3] }`"));
        }
        return None;
    };
    let mut axes = Vec::with_capacity(fields.len());
    let mut good = true;
    for (key, node) in fields {
        good &= names::check(session, key, "an axis");
        match values(session, key, node) {
            Some(values) => axes.push(Axis { key: key.clone(), values }),
            None => good = false,
        }
    }
    good.then_some(axes)
}

fn values(session: &mut Session, key: &Key, node: &Node) -> Option<Vec<Node>> {
    let name = &key.name;
    let items = match &node.content {
        Content::Seq(items) => items,
        Content::Unknown => return None,
        _ => {
            let problem = session
                .at(node.span, format!("the axis `{name}` takes a list of values, not {}", node.describe()));
            let help = node.as_written().map(|text| format!("write `{name}: [{text}]`"));
            let problem = match help {
                Some(help) => problem.help(help),
                None => problem,
            };
            session.add(node.span, problem);
            return None;
        }
    };
    if items.is_empty() {
        session.report(node.span, format!("the axis `{name}` has no values"));
        return None;
    }
    let mut seen = HashSet::new();
    let mut good = true;
    for item in items {
        let wrong = match item.as_written() {
            None if matches!(item.content, Content::Unknown) => return None,
            None => Some(format!(
                "the axis `{name}` takes texts, numbers, `true` and `false`, not {}",
                item.describe()
            )),
            Some("") => Some(format!("a value of the axis `{name}` is empty")),
            Some(text) if text.chars().any(char::is_control) => {
                Some(format!("a value of the axis `{name}` holds a line break or another control character"))
            }
            Some(text) if !seen.insert(text) => {
                Some(format!("the axis `{name}` has the value `{text}` twice"))
            }
            Some(_) => None,
        };
        if let Some(message) = wrong {
            session.report(item.span, message);
            good = false;
        }
    }
    good.then(|| items.clone())
}

/// How many combinations there are; `None` beyond all bounds.
pub(crate) fn count(axes: &[Axis]) -> Option<usize> {
    axes.iter().try_fold(1usize, |product, axis| product.checked_mul(axis.values.len()))
}

/// Every combination, the last axis turning fastest.
pub(crate) fn combinations(axes: &[Axis]) -> impl Iterator<Item = Vec<(Key, Node)>> {
    let total = count(axes).unwrap_or(0);
    (0..total).map(move |mut at| {
        let mut combination: Vec<(Key, Node)> = axes
            .iter()
            .rev()
            .filter_map(|axis| {
                let value = axis.values.get(at % axis.values.len())?;
                at /= axis.values.len();
                Some((axis.key.clone(), value.clone()))
            })
            .collect();
        combination.reverse();
        combination
    })
}

/// A combination as text: `seed=1,lr=0.1`. Reports one that is too long.
pub(crate) fn text(session: &mut Session, base: &str, combination: &[(Key, Node)], at: Span) -> String {
    let mut text = String::new();
    for (key, node) in combination {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a text cannot fail.
        let _ = write!(text, "{comma}{}={}", key.name, node.as_written().unwrap_or_default());
    }
    if base.len() + text.len() > LONGEST_NAME {
        session.report(
            at,
            format!("the matrix of `{base}` makes names of stages longer than {LONGEST_NAME} bytes"),
        );
    }
    text
}

/// Takes `base[seed=1,lr=0.1]` apart, as `expand` writes stages.
pub(crate) fn take_apart(name: &str) -> Option<(Arc<str>, Combination)> {
    let (base, rest) = name.split_once('[')?;
    let inside = rest.strip_suffix(']')?;
    let mut axes = Combination::new();
    for part in inside.split(',') {
        let axis = part.split_once('=').filter(|(axis, _)| names::is_name(axis));
        match (axis, axes.last_mut()) {
            // A comma inside of a value.
            (None, Some((_, value))) | (Some((_, "")), Some((_, value))) => {
                value.push(',');
                value.push_str(part);
            }
            (_, Some((_, value))) if value.is_empty() => {
                value.push(',');
                value.push_str(part);
            }
            (Some((axis, value)), _) => axes.push((axis.to_owned(), value.to_owned())),
            (None, None) => return None,
        }
    }
    (names::is_name(base) && axes.iter().all(|(_, value)| !value.is_empty())).then(|| (base.into(), axes))
}
