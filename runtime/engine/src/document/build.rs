//! Builds nodes from the events of the YAML parser, and counts what it builds.
use super::node::{Content, Key, Node, Span};
use super::parse::{DEEPEST, MOST_ALIASES, MOST_NODES};
use super::scalar;
use super::session::Session;
use granit_parser::{ErrorKind, Event, ScalarStyle, Tag};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// From here on a mapping is searched by hash for names that are there twice.
const MANY_FIELDS: usize = 16;

/// A collection that is still open.
enum Open {
    Seq { span: Span, anchor: usize, items: Vec<Node> },
    Map(OpenMap),
}

struct OpenMap {
    span: Span,
    anchor: usize,
    fields: Vec<(Key, Node)>,
    key: Option<Key>,
    /// Whether the key in hand is a `<<`.
    merging: bool,
    merged: Vec<Node>,
    /// Name to place in `fields`, once there are many.
    names: HashMap<Arc<str>, usize>,
}

pub(crate) struct Builder<'s> {
    session: &'s mut Session,
    open: Vec<Open>,
    pub(crate) root: Option<Node>,
    /// Finished nodes with an anchor, by the parser's number.
    anchors: HashMap<usize, Node>,
    nodes: usize,
    aliases: usize,
    /// Values that were copied because they stand under an anchor.
    copied: usize,
    documents: usize,
}

impl<'s> Builder<'s> {
    pub(crate) fn new(session: &'s mut Session) -> Self {
        Self {
            session,
            open: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            nodes: 0,
            aliases: 0,
            copied: 0,
            documents: 0,
        }
    }

    /// Takes one event. `None` ends the reading.
    pub(crate) fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return self.stop(
                        span,
                        "a second document begins here",
                        "a pipeline is one document: remove the `---`",
                    );
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(span)?;
                if self.wants_key() {
                    self.key(&text, style, anchor, span);
                } else {
                    let node = Node::new(span, self.scalar(&text, style, tag.as_deref(), span));
                    self.finish(node, anchor)?;
                }
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(span, tag.as_deref(), "seq")?;
                self.open.push(Open::Seq { span, anchor, items: Vec::new() });
            }
            Event::MappingStart(_, anchor, tag) => {
                self.begin(span, tag.as_deref(), "map")?;
                self.open.push(Open::Map(OpenMap {
                    span,
                    anchor,
                    fields: Vec::new(),
                    key: None,
                    merging: false,
                    merged: Vec::new(),
                    names: HashMap::new(),
                }));
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::Seq { span: start, anchor, items }) => {
                    let span = Span { end: span.end.max(start.end), ..start };
                    self.finish(Node::new(span, Content::Seq(items)), anchor)?;
                }
                Some(Open::Map(map)) => {
                    let node = self.close(map, span);
                    self.finish(node.0, node.1)?;
                }
                None => {}
            },
            Event::Alias(anchor) => self.alias(anchor, span)?,
            _ => {}
        }
        Some(())
    }

    fn stop(&mut self, span: Span, message: impl Into<String>, help: &str) -> Option<()> {
        let problem = self.session.at(span, message);
        let problem = if help.is_empty() { problem } else { problem.help(help) };
        self.session.add(span, problem);
        None
    }

    fn count(&mut self, span: Span) -> Option<()> {
        self.nodes += 1;
        if self.nodes > MOST_NODES { self.too_many(span) } else { Some(()) }
    }

    fn too_many(&mut self, span: Span) -> Option<()> {
        self.stop(span, format!("the file holds more than {MOST_NODES} values"), "")
    }

    fn begin(&mut self, span: Span, tag: Option<&Tag>, own: &str) -> Option<()> {
        self.count(span)?;
        if self.wants_key() {
            return self.stop(span, "a list or a mapping cannot be the name of a field", "");
        }
        if self.open.len() >= DEEPEST {
            return self.too_deep(span);
        }
        if let Some(tag) = tag {
            self.check_tag(tag, own, span);
        }
        Some(())
    }

    fn too_deep(&mut self, span: Span) -> Option<()> {
        self.stop(span, format!("values are nested deeper than {DEEPEST} levels"), "")
    }

    fn check_tag(&mut self, tag: &Tag, own: &str, span: Span) {
        if tag.core_suffix() != Some(own) {
            let problem = self.session.at(span, format!("the tag `{}` has no meaning here", tag.original()));
            self.session.add(span, problem.help("remove it"));
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open::Map(map)) if map.key.is_none() && !map.merging)
    }

    fn key(&mut self, text: &str, style: ScalarStyle, anchor: usize, span: Span) {
        let merging = text == "<<" && style == ScalarStyle::Plain;
        self.named(text.into(), merging, span);
        if anchor != 0 {
            self.anchors.insert(anchor, Node::new(span, Content::Text(text.into())));
        }
    }

    fn named(&mut self, name: Arc<str>, merging: bool, span: Span) {
        let Some(Open::Map(map)) = self.open.last_mut() else { return };
        if merging {
            map.merging = true;
            return;
        }
        let earlier = if map.names.is_empty() {
            map.fields.iter().find(|(key, _)| key.name == name).map(|(key, _)| key.span)
        } else {
            map.names.get(&name).and_then(|at| map.fields.get(*at)).map(|(key, _)| key.span)
        };
        map.key = Some(Key { name: name.clone(), span });
        if let Some(earlier) = earlier {
            let problem = self.session.at(span, format!("`{name}` is written twice")).label("here again");
            let problem = match self.session.place(earlier) {
                Some(place) => {
                    let line = place.line_column().0;
                    problem
                        .also(place, "first here")
                        .help(format!("it is there already, in line {line}: remove one"))
                }
                None => problem,
            };
            self.session.add(span, problem);
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Content {
        let is_text = |tag: &Tag| tag.core_suffix() == Some("str") || tag.original() == "!";
        if style != ScalarStyle::Plain || tag.is_some_and(is_text) {
            if let Some(tag) = tag.filter(|tag| !is_text(tag)) {
                self.check_tag(tag, "str", span);
            }
            return Content::Text(text.into());
        }
        let content = scalar::plain(text).unwrap_or_else(|message| {
            let problem = self.session.at(span, message).help("put it in quotes where it is a text");
            self.session.add(span, problem);
            Content::Unknown
        });
        if let Some(tag) = tag {
            let own = match &content {
                Content::Null => "null",
                Content::Bool(..) => "bool",
                Content::Number(number, _) if number.is_f64() => "float",
                Content::Number(..) => "int",
                _ => "str",
            };
            self.check_tag(tag, own, span);
        }
        content
    }

    /// Puts a finished node where it belongs.
    fn finish(&mut self, node: Node, anchor: usize) -> Option<()> {
        if anchor != 0 {
            // Anchors inside of anchors are copied once for each level, so these copies count too.
            let counted = std::mem::take(&mut self.nodes);
            let copy = self.repeat(&node, node.span, 0)?;
            self.copied += std::mem::replace(&mut self.nodes, counted);
            if self.copied > MOST_NODES {
                return self.too_many(node.span);
            }
            self.anchors.insert(anchor, copy);
        }
        self.put(node)
    }

    fn put(&mut self, node: Node) -> Option<()> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::Seq { items, .. }) => items.push(node),
            Some(Open::Map(map)) if map.merging => {
                map.merging = false;
                let maps = if node.items().is_empty() { std::slice::from_ref(&node) } else { node.items() };
                if maps.iter().any(|node| !matches!(node.content, Content::Map(_))) {
                    return self.stop(node.span, "`<<` takes a mapping or a list of mappings", "");
                }
                map.merged.extend_from_slice(maps);
            }
            Some(Open::Map(map)) => {
                let Some(key) = map.key.take() else { return Some(()) };
                // An empty value has no text of its own to point at.
                let span = if node.span.start == node.span.end { key.span } else { node.span };
                let node = Node { span, ..node };
                if !map.names.is_empty() {
                    map.names.entry(key.name.clone()).or_insert(map.fields.len());
                }
                map.fields.push((key, node));
                if map.fields.len() == MANY_FIELDS {
                    for (at, (key, _)) in map.fields.iter().enumerate() {
                        map.names.entry(key.name.clone()).or_insert(at);
                    }
                }
            }
        }
        Some(())
    }

    /// Ends a mapping: what `<<` brings gives way to what is written, and the first of several wins.
    fn close(&mut self, mut map: OpenMap, end: Span) -> (Node, usize) {
        if !map.merged.is_empty() {
            let mut known: HashSet<Arc<str>> = map.fields.iter().map(|(key, _)| key.name.clone()).collect();
            for merged in std::mem::take(&mut map.merged) {
                let Content::Map(fields) = merged.content else { continue };
                map.fields.extend(fields.into_iter().filter(|(key, _)| known.insert(key.name.clone())));
            }
        }
        let span = Span { end: end.end.max(map.span.end), ..map.span };
        (Node::new(span, Content::Map(map.fields)), map.anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Option<()> {
        self.aliases += 1;
        if self.aliases > MOST_ALIASES {
            return self.stop(span, format!("the file holds more than {MOST_ALIASES} aliases"), "");
        }
        let Some(target) = self.anchors.remove(&anchor) else {
            return self.stop(span, "an alias stands inside of what it repeats", "");
        };
        let copy = self.repeat(&target, span, self.open.len());
        let name = target.as_written().map(Arc::<str>::from);
        self.anchors.insert(anchor, target);
        let copy = copy?;
        if !self.wants_key() {
            return self.put(copy);
        }
        match name {
            Some(name) => self.named(name, false, span),
            None => return self.stop(span, "a list or a mapping cannot be the name of a field", ""),
        }
        Some(())
    }

    /// A copy that stands where the alias stands, counted node by node.
    fn repeat(&mut self, node: &Node, span: Span, depth: usize) -> Option<Node> {
        self.count(span)?;
        let inside = matches!(node.content, Content::Seq(_) | Content::Map(_));
        if inside && depth >= DEEPEST {
            self.too_deep(span);
            return None;
        }
        let content = match &node.content {
            Content::Seq(items) => Content::Seq(
                items.iter().map(|item| self.repeat(item, span, depth + 1)).collect::<Option<_>>()?,
            ),
            Content::Map(fields) => {
                let copy = |(key, node): &(Key, Node)| {
                    Some((Key { name: key.name.clone(), span }, self.repeat(node, span, depth + 1)?))
                };
                Content::Map(fields.iter().map(copy).collect::<Option<_>>()?)
            }
            other => other.clone(),
        };
        Some(Node::new(span, content))
    }

    /// Reports what the parser could not go on from.
    pub(crate) fn broken(&mut self, span: Span, kind: &ErrorKind) {
        match kind {
            ErrorKind::RecursionLimitExceeded => {
                self.too_deep(span);
            }
            ErrorKind::UnknownAnchor => {
                self.stop(span, "this alias has no anchor", "write `&name` where the value stands first");
            }
            kind => {
                let problem = self.session.at(span, format!("this is not YAML: {kind}"));
                let help = match kind {
                    ErrorKind::MappingValueNotAllowed => "put a text that holds `: ` in quotes",
                    ErrorKind::TabInBlockIndentation
                    | ErrorKind::TabInIndentation
                    | ErrorKind::TabNotAllowed => "indent with spaces",
                    ErrorKind::UnclosedQuotedScalar => "close the quotes",
                    _ => "",
                };
                let problem = if help.is_empty() { problem } else { problem.help(help) };
                self.session.add(span, problem);
            }
        }
    }
}
