//! `${params.x}`, `${matrix.x}`, `${env.X}`: what stands for them, and what else `${…}` may be in a command.
use super::node::{Content, Key, Node, Span, shorten};
use super::pieces::{Piece, escape, pieces, text_has_names};
use super::session::Session;
use super::shape::{RuleId, Shape};
use crate::diagnostic::nearest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What names stand for at one place of the pipeline.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) params: &'a BTreeMap<Arc<str>, Node>,
    /// The combination; `None` where there is no matrix.
    pub(crate) matrix: Option<&'a [(Key, Node)]>,
    pub(crate) env: Env<'a>,
    /// Names of inputs and input files, and of outputs, for commands.
    pub(crate) inputs: &'a [Arc<str>],
    pub(crate) outputs: &'a [Arc<str>],
}

/// Where `${env.X}` comes from.
#[derive(Clone, Copy)]
pub(crate) enum Env<'a> {
    /// From these.
    Known(&'a BTreeMap<String, String>),
    /// Nobody knows today: such a field counts as not written.
    Unknown,
    /// It stays as it is.
    Kept,
}

/// What a text may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mode {
    /// `${env.X}` may stand here.
    pub(crate) execution: bool,
    /// `${in.x}` and `${out.x}` stay, and what is not ours is the shell's.
    pub(crate) command: bool,
}

/// Puts values in the place of names. `None` where nothing is to be replaced.
pub(crate) fn interpolate(
    session: &mut Session,
    scope: &Scope<'_>,
    node: &Node,
    shape: Option<(&Shape, RuleId)>,
    mode: Mode,
) -> Option<Node> {
    let mode = match shape {
        Some((shape, id)) => {
            let (_, marks) = shape.resolve(id);
            Mode { execution: mode.execution || marks.execution, command: mode.command || marks.command }
        }
        None => mode,
    };
    match &node.content {
        Content::Text(text) if text_has_names(text) => {
            Interpolator { session, scope, node, mode, cursor: 0 }.text(text)
        }
        Content::Seq(items) => {
            let shape = shape.and_then(|(shape, id)| Some((shape, shape.item(id)?)));
            let changed: Vec<Option<Node>> =
                items.iter().map(|item| interpolate(session, scope, item, shape, mode)).collect();
            changed.iter().any(Option::is_some).then(|| {
                let items = items.iter().zip(changed).map(|(old, new)| new.unwrap_or_else(|| old.clone()));
                Node::new(node.span, Content::Seq(items.collect()))
            })
        }
        Content::Map(fields) => {
            let changed: Vec<Option<Node>> = fields
                .iter()
                .map(|(key, value)| {
                    let shape = shape.and_then(|(shape, id)| Some((shape, shape.field(id, &key.name)?)));
                    interpolate(session, scope, value, shape, mode)
                })
                .collect();
            changed.iter().any(Option::is_some).then(|| {
                let fields = fields.iter().zip(changed);
                let fields = fields
                    .map(|((key, old), new)| (key.clone(), new.unwrap_or_else(|| old.clone())))
                    .collect();
                Node::new(node.span, Content::Map(fields))
            })
        }
        _ => None,
    }
}

struct Interpolator<'a, 's> {
    session: &'a mut Session,
    scope: &'a Scope<'s>,
    node: &'a Node,
    mode: Mode,
    /// How far the source was searched for the places of names.
    cursor: usize,
}

/// What stands for a name.
enum Meaning {
    /// A value.
    Value(Node),
    /// It stays as written.
    Stays,
    /// It is not known, or wrong and reported.
    Unknown,
}

impl Interpolator<'_, '_> {
    fn text(&mut self, text: &str) -> Option<Node> {
        let mut pasted = String::with_capacity(text.len());
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => pasted.push_str(text),
                // A command tells the shell's own from ours once more, when it starts.
                Piece::Escape if self.mode.command || self.kept() => pasted.push_str("$${"),
                Piece::Escape => pasted.push_str("${"),
                Piece::Open(_) if self.mode.command => pasted.push_str("${"),
                Piece::Open(rest) => {
                    let span = self.span_of("${");
                    let problem = self.session.at(span, format!("`{}` has no `}}`", shorten(rest)));
                    self.session.add(span, problem.help("write `$${` where `${` itself is meant"));
                    return Some(self.with(Content::Unknown));
                }
                Piece::Name { whole, name } => {
                    let span = self.span_of(whole);
                    match self.meaning(whole, name, span) {
                        Meaning::Unknown => return Some(self.with(Content::Unknown)),
                        Meaning::Stays => pasted.push_str(whole),
                        Meaning::Value(node) if whole.len() == text.len() => return Some(self.escaped(node)),
                        Meaning::Value(node) => match self.escaped(node.clone()).as_written() {
                            Some(value) => pasted.push_str(value),
                            None => {
                                let what = node.describe();
                                let message =
                                    format!("`{whole}` is {what}, which cannot be pasted into a text");
                                self.session.report(span, message);
                                return Some(self.with(Content::Unknown));
                            }
                        },
                    }
                }
            }
        }
        (pasted != text).then(|| self.with(Content::Text(pasted.into())))
    }

    /// Texts stay as a file writes them.
    fn kept(&self) -> bool {
        matches!(self.scope.env, Env::Kept)
    }

    /// A value as a file writes it, where texts stay so.
    fn escaped(&self, node: Node) -> Node {
        if self.kept() && !self.mode.command { escape(node) } else { node }
    }

    fn with(&self, content: Content) -> Node {
        Node::new(self.node.span, content)
    }

    /// Where a name stands; the whole text where the source spells it in another way.
    fn span_of(&mut self, whole: &str) -> Span {
        let span = self.node.span;
        let found = self.session.source_of(span).and_then(|source| {
            let from = (span.start as usize).max(self.cursor);
            let at = source.text.get(from..span.end as usize)?.find(whole)? + from;
            Some((at, at + whole.len()))
        });
        match found {
            Some((start, end)) => {
                self.cursor = end;
                let small = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
                Span { start: small(start), end: small(end), ..span }
            }
            None => span,
        }
    }

    fn meaning(&mut self, whole: &str, name: &str, span: Span) -> Meaning {
        let (root, rest) = name.split_once('.').unwrap_or((name, ""));
        match root {
            "params" if !rest.is_empty() => match self.scope.params.get(rest) {
                Some(node) => self.value_of(node, span),
                None => {
                    let names = self.scope.params.keys().map(|name| &**name).collect();
                    self.no_such(span, format!("there is no parameter `{rest}`"), "params", rest, names)
                }
            },
            "matrix" if !rest.is_empty() => match self.scope.matrix {
                Some(axes) => match axes.iter().find(|(axis, _)| *axis.name == *rest) {
                    Some((_, node)) => self.value_of(node, span),
                    None => {
                        let names = axes.iter().map(|(axis, _)| &*axis.name).collect();
                        self.no_such(span, format!("the matrix has no axis `{rest}`"), "matrix", rest, names)
                    }
                },
                None => self.wrong(
                    span,
                    format!("`{whole}` stands where there is no matrix"),
                    "write `matrix:` in this stage",
                ),
            },
            "env" if !rest.is_empty() => self.environment(whole, rest, span),
            "in" | "out" if self.mode.command && !rest.is_empty() => {
                let names = if root == "in" { self.scope.inputs } else { self.scope.outputs };
                if names.iter().any(|name| **name == *rest) {
                    return Meaning::Stays;
                }
                let what = if root == "in" { "no input and no input file" } else { "no output" };
                let names = names.iter().map(|name| &**name).collect();
                self.no_such(span, format!("there is {what} `{rest}`"), root, rest, names);
                Meaning::Stays
            }
            _ if self.mode.command => Meaning::Stays,
            _ => self.foreign(whole, name, rest, span),
        }
    }

    fn environment(&mut self, whole: &str, name: &str, span: Span) -> Meaning {
        if !self.mode.execution {
            let message =
                format!("`{whole}` cannot stand here: a result may not depend on the caller's environment");
            let help = if self.mode.command {
                format!("name {name} in `pass_env` and write `${name}`")
            } else {
                "it may stand in `resources`, `timeout`, `retries`, `keep`, `pass_env`, `secrets` and in fields \
                 that are no part of a key; use a parameter and `--set`"
                    .into()
            };
            return self.wrong(span, message, &help);
        }
        match self.scope.env {
            Env::Kept => Meaning::Stays,
            Env::Unknown => Meaning::Unknown,
            Env::Known(env) => match env.get(name) {
                Some(text) => Meaning::Value(Node::new(self.node.span, Content::Loose(text.as_str().into()))),
                None => self.wrong(
                    span,
                    format!("the variable `{name}` is not set"),
                    "set it, or write the value",
                ),
            },
        }
    }

    fn foreign(&mut self, whole: &str, name: &str, rest: &str, span: Span) -> Meaning {
        let help = if self.scope.params.contains_key(name) {
            format!("did you mean `${{params.{name}}}`?")
        } else if self.scope.matrix.is_some_and(|axes| axes.iter().any(|(axis, _)| *axis.name == *name)) {
            format!("did you mean `${{matrix.{name}}}`?")
        } else {
            let root = name.split('.').next().unwrap_or_default();
            match nearest(root, ["params", "matrix", "env"]).filter(|_| !rest.is_empty()) {
                Some(near) => format!("did you mean `${{{near}.{rest}}}`?"),
                None => "there are `${params.x}`, `${matrix.x}` and `${env.X}`; `$${` writes `${`".into(),
            }
        };
        self.wrong(span, format!("`{whole}` means nothing here"), &help)
    }

    fn no_such(
        &mut self,
        span: Span,
        message: String,
        root: &str,
        name: &str,
        mut names: Vec<&str>,
    ) -> Meaning {
        names.sort_unstable();
        let help = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `${{{root}.{near}}}`?"),
            None if names.is_empty() => "there are none".into(),
            None => format!("there are {}", names.join(", ")),
        };
        self.wrong(span, message, &help)
    }

    fn wrong(&mut self, span: Span, message: String, help: &str) -> Meaning {
        let problem = self.session.at(span, message).help(help);
        self.session.add(span, problem);
        Meaning::Unknown
    }

    /// A number keeps its type where the field takes one, and is pasted where the field takes a text.
    fn value_of(&mut self, node: &Node, span: Span) -> Meaning {
        if let Err(limit) = self.session.replace(node.weight()) {
            let message = format!("names stand for more than {limit} values");
            return self.wrong(span, message, "shorten lists that `${…}` repeats");
        }
        match &node.content {
            Content::Unknown => Meaning::Unknown,
            Content::Number(_, text) | Content::Bool(_, text) => {
                Meaning::Value(Node::new(node.span, Content::Loose(text.clone())))
            }
            _ => Meaning::Value(node.clone()),
        }
    }
}
