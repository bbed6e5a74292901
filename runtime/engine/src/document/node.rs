//! A YAML value that remembers where it was written.
use serde_json::{Number, Value};
use std::sync::Arc;

/// A piece of a source, small enough to sit in every node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Which source: its place in the list of all that were read.
    pub source: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where.
    pub span: Span,
    /// What.
    pub content: Content,
}

/// The name of a field and where it stands.
#[derive(Clone, Debug)]
pub struct Key {
    /// The name.
    pub name: Arc<str>,
    /// Where.
    pub span: Span,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// Nothing: `null`, `~`, or an empty place.
    Null,
    /// `true` or `false`, and the text as written.
    Bool(bool, Arc<str>),
    /// A number, and the text as written.
    Number(Number, Arc<str>),
    /// A text.
    Text(Arc<str>),
    /// A text from outside the file, that may as well be a number: the field decides.
    Loose(Arc<str>),
    /// A value that is not known today and that nothing depends on: a variable of an environment not given.
    Unknown,
    /// A list.
    Seq(Vec<Node>),
    /// Fields, in the order written; no name twice.
    Map(Vec<(Key, Node)>),
}

impl Node {
    /// A node at a place.
    pub fn new(span: Span, content: Content) -> Self {
        Self { span, content }
    }

    /// The field of that name, where this is a mapping that has it.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.fields().iter().find(|(key, _)| &*key.name == name).map(|(_, node)| node)
    }

    /// Takes the field of that name out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Node> {
        let Content::Map(fields) = &mut self.content else { return None };
        let at = fields.iter().position(|(key, _)| &*key.name == name)?;
        Some(fields.remove(at).1)
    }

    /// The fields; none where this is no mapping.
    pub fn fields(&self) -> &[(Key, Node)] {
        match &self.content {
            Content::Map(fields) => fields,
            _ => &[],
        }
    }

    /// The items; none where this is no list.
    pub fn items(&self) -> &[Node] {
        match &self.content {
            Content::Seq(items) => items,
            _ => &[],
        }
    }

    /// The text, where this is one.
    pub fn text(&self) -> Option<&Arc<str>> {
        match &self.content {
            Content::Text(text) | Content::Loose(text) => Some(text),
            _ => None,
        }
    }

    /// A text, number or truth value as it was written.
    pub fn as_written(&self) -> Option<&str> {
        match &self.content {
            Content::Bool(_, text) | Content::Number(_, text) => Some(text),
            Content::Text(text) | Content::Loose(text) => Some(text),
            _ => None,
        }
    }

    /// How many values it holds, itself included, with a long text counting for several.
    pub(crate) fn weight(&self) -> usize {
        const TEXT: usize = 64;
        match &self.content {
            Content::Text(text) | Content::Loose(text) => 1 + text.len() / TEXT,
            Content::Seq(items) => 1 + items.iter().map(Node::weight).sum::<usize>(),
            Content::Map(fields) => 1 + fields.iter().map(|(_, node)| 1 + node.weight()).sum::<usize>(),
            _ => 1,
        }
    }

    /// How deep lists and mappings stand in it.
    pub(crate) fn depth(&self) -> usize {
        match &self.content {
            Content::Seq(items) => 1 + items.iter().map(Node::depth).max().unwrap_or(0),
            Content::Map(fields) => 1 + fields.iter().map(|(_, node)| node.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// What it is, for messages: the kind of thing, and the text where that is short.
    pub fn describe(&self) -> String {
        match &self.content {
            Content::Null | Content::Unknown => "nothing".into(),
            Content::Bool(_, text) => format!("`{text}`"),
            Content::Number(number, text) if number.is_f64() => format!("the number `{text}`"),
            Content::Number(_, text) => format!("the whole number `{text}`"),
            Content::Text(text) | Content::Loose(text) if text.is_empty() => "an empty text".into(),
            Content::Text(text) | Content::Loose(text) => format!("the text `{}`", shorten(text)),
            Content::Seq(_) => "a list".into(),
            Content::Map(_) => "a mapping".into(),
        }
    }

    /// The same as JSON, without places.
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Null | Content::Unknown => Value::Null,
            Content::Bool(value, _) => Value::Bool(*value),
            Content::Number(number, _) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.to_string()),
            Content::Loose(text) => match super::scalar::plain(text) {
                Ok(Content::Loose(_)) | Err(_) => Value::String(text.to_string()),
                Ok(content) => Node::new(self.span, content).to_json(),
            },
            Content::Seq(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Content::Map(fields) => Value::Object(
                fields.iter().map(|(key, node)| (key.name.to_string(), node.to_json())).collect(),
            ),
        }
    }

    /// JSON as a node, all of it at one place.
    pub fn from_json(value: &Value, span: Span) -> Self {
        let content = match value {
            Value::Null => Content::Null,
            Value::Bool(value) => Content::Bool(*value, if *value { "true" } else { "false" }.into()),
            Value::Number(number) => Content::Number(number.clone(), number.to_string().into()),
            Value::String(text) => Content::Text(text.as_str().into()),
            Value::Array(items) => {
                Content::Seq(items.iter().map(|item| Self::from_json(item, span)).collect())
            }
            Value::Object(fields) => Content::Map(
                fields
                    .iter()
                    .map(|(name, value)| {
                        (Key { name: name.as_str().into(), span }, Self::from_json(value, span))
                    })
                    .collect(),
            ),
        };
        Self { span, content }
    }
}

/// A text as a message shows it: one line, not too long.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    let mut short: String =
        line.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
