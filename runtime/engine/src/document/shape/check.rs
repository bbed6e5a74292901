//! Checks a node against a shape: every problem with its place, and the canonical value.
use super::rank::{chosen, whole};
use super::{Field, Fields, Form, Pattern, RuleId, Shape, Unit, words};
use crate::diagnostic::nearest;
use crate::document::node::{Content, Key, Node, Span};
use crate::document::paths::{self, FileInput};
use crate::document::pipeline::overlay;
use crate::document::scalar;
use crate::document::session::Session;
use muse_stage::{Bytes, Count, Duration, UnitError};
use serde_json::{Map, Number, Value};
use std::fmt::Write;
use std::sync::Arc;

/// Where files of values come from.
pub(crate) trait Configs {
    /// The content of the file that `node` names, read once for all who name it.
    fn open(&mut self, session: &mut Session, node: &Node, text: &str) -> Option<Arc<Node>>;
}

/// What came of a check.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) identity: Value,
    pub(crate) execution: Value,
    pub(crate) files: Vec<FileInput>,
    /// JSON pointers of the fields that are extendable, as far as they are written.
    pub(crate) extendable: Vec<String>,
    /// The content of files of values, by JSON pointer: places for what a kind finds in them.
    pub(crate) configs: Vec<(String, Arc<Node>)>,
    /// A value is not known today, so the kind cannot judge the whole.
    pub(crate) unknown: bool,
}

/// A check on its way through a value.
pub(crate) struct Checker<'a> {
    shape: &'a Shape,
    session: &'a mut Session,
    configs: Option<&'a mut dyn Configs>,
    /// Who has the fields, for messages: `tokenizer`, in backticks where it is a name.
    owner: &'a str,
    path: Vec<Step>,
    checked: Checked,
    defaults: &'a [Option<Value>],
}

enum Step {
    Field { name: Arc<str>, free: bool },
    Item(usize),
}

/// What one value came to. Nothing at all is a value that is not known, or is wrong.
#[derive(Default)]
struct Made {
    identity: Option<Value>,
    execution: Option<Value>,
    /// Input files stand in it, so it is no default even where it looks like one.
    keep: bool,
}

impl Made {
    fn of(value: impl Into<Value>) -> Self {
        Self { identity: Some(value.into()), ..Self::default() }
    }
}

impl Shape {
    /// Checks `node`, which stands behind the name at `named`. Problems go to the session.
    pub(crate) fn check<'a>(
        &'a self,
        session: &'a mut Session,
        configs: &'a mut dyn Configs,
        owner: &'a str,
        node: &Node,
        named: Span,
    ) -> Checked {
        self.run(session, Some(configs), owner, node, self.root, named, self.canonical_defaults())
    }

    #[expect(clippy::too_many_arguments, reason = "the one way in, for values and for defaults")]
    pub(super) fn run<'a>(
        &'a self,
        session: &'a mut Session,
        configs: Option<&'a mut dyn Configs>,
        owner: &'a str,
        node: &Node,
        id: RuleId,
        named: Span,
        defaults: &'a [Option<Value>],
    ) -> Checked {
        let (path, checked) = (Vec::new(), Checked::default());
        let mut checker = Checker { shape: self, session, configs, owner, path, checked, defaults };
        let made = checker.form(node, id, named);
        checker.finish(made)
    }
}

impl Checker<'_> {
    fn finish(self, made: Made) -> Checked {
        Checked {
            identity: made.identity.unwrap_or_default(),
            execution: made.execution.unwrap_or_default(),
            ..self.checked
        }
    }

    /// A field as a message names it: `optimizer.lr`, `paths[1]`; the owner where it is the whole.
    fn name(&self) -> String {
        let mut name = String::new();
        for step in &self.path {
            match step {
                Step::Field { name: field, .. } if name.is_empty() => name.push_str(field),
                Step::Field { name: field, .. } => drop(write!(name, ".{field}")),
                Step::Item(at) => drop(write!(name, "[{at}]")),
            }
        }
        if name.is_empty() { self.owner.to_owned() } else { format!("`{name}`") }
    }

    fn pointer(&self) -> String {
        self.path.iter().fold(String::new(), |pointer, step| match step {
            Step::Field { name, .. } => pointer + "/" + &name.replace('~', "~0").replace('/', "~1"),
            Step::Item(at) => format!("{pointer}/{at}"),
        })
    }

    fn wrong(&mut self, node: &Node, id: RuleId) -> Made {
        if let (Content::Map(values), Form::OneOf(branches)) = (&node.content, self.shape.resolve(id).0)
            && let Some((key, _)) = values.first()
        {
            let mut all = Fields::default();
            for branch in branches {
                if let Form::Map(fields) = self.shape.resolve(*branch).0 {
                    all.known.extend(fields.known.iter().map(|(name, field)| (name.clone(), *field)));
                }
            }
            if !all.known.is_empty() {
                self.unknown_field(&all, key);
                return Made::default();
            }
        }
        let message = format!("{} takes {}, not {}", self.name(), self.shape.expected(id), node.describe());
        let mut problem = self.session.at(node.span, message);
        let written = node.as_written().unwrap_or_default();
        let words = self.shape.choices(id);
        if let Some(near) = nearest(written, words.iter().copied()) {
            problem = problem.help(format!("did you mean `{near}`?"));
        }
        let scalar = matches!(node.content, Content::Number(..) | Content::Bool(..));
        if scalar && self.shape.takes_text(id) {
            problem = problem.help(format!("put it in quotes: \"{written}\""));
        } else if matches!(self.shape.resolve(id).0, Form::Bool) {
            match written.to_lowercase().as_str() {
                "yes" | "on" | "y" => problem = problem.help("write `true`"),
                "no" | "off" | "n" => problem = problem.help("write `false`"),
                _ => {}
            }
        }
        self.session.add(node.span, problem);
        Made::default()
    }

    /// One value, against a rule: marks and defaults included.
    fn value(&mut self, node: &Node, id: RuleId, named: Span) -> Made {
        let made = self.form(node, id, named);
        if !self.shape.resolve(id).1.execution {
            return made;
        }
        let mut value = made.identity.unwrap_or_default();
        overlay(&mut value, &made.execution.unwrap_or_default());
        Made { identity: None, execution: Some(value), keep: made.keep }
    }

    fn form(&mut self, node: &Node, id: RuleId, named: Span) -> Made {
        let loose;
        let node = match &node.content {
            Content::Unknown => {
                self.checked.unknown = true;
                return Made::default();
            }
            Content::Loose(text) => {
                let typed = Node::new(node.span, scalar::plain(text).unwrap_or(Content::Text(text.clone())));
                let fits = self.shape.rank(&typed, id) > 0 || !self.shape.takes_text(id);
                loose = if fits { typed } else { Node::new(node.span, Content::Text(text.clone())) };
                &loose
            }
            _ => node,
        };
        match (self.shape.resolve(id).0, &node.content) {
            (Form::Any, _) => Made::of(node.to_json()),
            (Form::Skip, _) => Made::default(),
            (Form::Null, Content::Null) => Made::of(Value::Null),
            (Form::Bool, Content::Bool(value, _)) => Made::of(*value),
            (Form::Integer { least, most }, Content::Number(number, _)) => {
                self.integer(node, id, number, *least, *most)
            }
            (Form::Number(range), Content::Number(number, _)) => {
                // Adding nothing turns the negative zero into the other one.
                let value = number.as_f64().unwrap_or_default() + 0.0;
                match range.broken_by(value) {
                    None => Made::of(value),
                    Some(bound) => self.outside(node, &bound),
                }
            }
            (Form::Text { shortest, pattern }, Content::Text(text)) => {
                self.text(node, text, *shortest, pattern.as_ref())
            }
            (Form::Choice(values), _) => self.choice(node, id, values),
            (Form::List { item, fewest, most }, Content::Seq(items)) => {
                if items.len() < *fewest || items.len() > *most {
                    let (word, bound) =
                        if items.len() < *fewest { ("least", fewest) } else { ("most", most) };
                    let values = if *bound == 1 { "value" } else { "values" };
                    let message = format!("{} takes at {word} {bound} {values}", self.name());
                    self.session.report(node.span, message);
                }
                self.list(items, *item)
            }
            (Form::Map(fields), Content::Map(values)) => self.map(fields, values, named),
            (Form::Map(fields), Content::Null) if self.path.is_empty() => self.map(fields, &[], named),
            (Form::OneOf(branches), _) => match self.shape.branch(node, branches) {
                Some(branch) => self.value(node, branch, named),
                None => self.wrong(node, id),
            },
            (Form::Unit(unit), Content::Number(..) | Content::Text(_)) => self.unit(node, *unit),
            (Form::Files, Content::Text(text)) => self.files(node, text),
            (Form::Config(content), Content::Text(text)) => self.config(node, *content, text),
            _ => self.wrong(node, id),
        }
    }

    fn text(&mut self, node: &Node, text: &str, shortest: usize, pattern: Option<&Pattern>) -> Made {
        let short = text.chars().count() < shortest;
        let odd = pattern.filter(|pattern| !pattern.matches(text));
        if !short && odd.is_none() {
            return Made::of(text);
        }
        let name = self.name();
        let message = match odd {
            _ if text.is_empty() => format!("{name} is empty"),
            Some(_) => format!("{name} cannot be {}", node.describe()),
            None => format!("{name} is shorter than {shortest} characters"),
        };
        let problem = self.session.at(node.span, message);
        let problem = match odd {
            Some(pattern) => problem.help(pattern.words()),
            None => problem,
        };
        self.session.add(node.span, problem);
        Made::default()
    }

    fn outside(&mut self, node: &Node, bound: &str) -> Made {
        let message =
            format!("{} must be {bound}, not {}", self.name(), node.as_written().unwrap_or_default());
        self.session.report(node.span, message);
        Made::default()
    }

    fn integer(&mut self, node: &Node, id: RuleId, number: &Number, least: i128, most: i128) -> Made {
        let Some(value) = whole(number) else { return self.wrong(node, id) };
        if value < least || value > most {
            let bound = if value < least { format!("at least {least}") } else { format!("at most {most}") };
            return self.outside(node, &bound);
        }
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => Made::of(value),
            (_, Ok(value)) => Made::of(value),
            _ => self.wrong(node, id),
        }
    }

    fn choice(&mut self, node: &Node, id: RuleId, values: &[Value]) -> Made {
        if let Some(value) = chosen(node, values) {
            return Made::of(value.clone());
        }
        let Some(text) = node.as_written() else { return self.wrong(node, id) };
        let is = if values.len() == 1 { "must be" } else { "is" };
        let message = format!(
            "{} {is} {}, not `{}`",
            self.name(),
            words::one_of(values),
            super::super::node::shorten(text)
        );
        let mut problem = self.session.at(node.span, message);
        if let Some(near) = nearest(text, values.iter().filter_map(Value::as_str)) {
            problem = problem.help(format!("did you mean `{near}`?"));
        }
        self.session.add(node.span, problem);
        Made::default()
    }

    fn list(&mut self, items: &[Node], item: RuleId) -> Made {
        let mut identity = Vec::with_capacity(items.len());
        let mut execution = Vec::new();
        let mut keep = false;
        for (at, node) in items.iter().enumerate() {
            self.path.push(Step::Item(at));
            let made = self.value(node, item, node.span);
            self.path.pop();
            keep |= made.keep;
            identity.push(made.identity.unwrap_or_default());
            execution.push(made.execution.unwrap_or_default());
        }
        let execution = execution.iter().any(|value| !value.is_null()).then_some(Value::Array(execution));
        Made { identity: Some(Value::Array(identity)), execution, keep }
    }

    fn map(&mut self, fields: &Fields, values: &[(Key, Node)], named: Span) -> Made {
        let (mut identity, mut execution, mut keep) = (Map::new(), Map::new(), false);
        for (key, node) in values {
            let field = match (fields.known.get(&*key.name), fields.others) {
                (Some(field), _) => *field,
                (None, Some(rule)) => Field { rule, required: true },
                (None, None) => {
                    self.unknown_field(fields, key);
                    continue;
                }
            };
            let free = !fields.known.contains_key(&*key.name);
            if let Some(pattern) = fields.names.as_ref().filter(|names| free && !names.matches(&key.name)) {
                let message = format!("`{}` is no name for a field of {}", key.name, self.name());
                let problem = self.session.at(key.span, message).help(pattern.words());
                self.session.add(key.span, problem);
            }
            self.path.push(Step::Field { name: key.name.clone(), free });
            if self.shape.is_extendable(field.rule) {
                let pointer = self.pointer();
                self.checked.extendable.push(pointer);
            }
            let default = self.defaults.get(field.rule).and_then(Option::as_ref);
            if matches!(node.content, Content::Null) && !field.required {
                self.path.pop();
                // An optional field that is empty is not there, unless nothing is a value that differs.
                let differs = default.is_some_and(|default| !default.is_null());
                if differs && self.shape.takes_null(field.rule) {
                    let over = self.shape.resolve(field.rule).1.execution;
                    (if over { &mut execution } else { &mut identity })
                        .insert(key.name.to_string(), Value::Null);
                }
                continue;
            }
            let made = self.value(node, field.rule, key.span);
            self.path.pop();
            keep |= made.keep;
            let is_default = |value: &Value| !made.keep && Some(value) == default;
            if let Some(value) = made.identity.filter(|value| !is_default(value)) {
                identity.insert(key.name.to_string(), value);
            }
            if let Some(value) = made.execution {
                execution.insert(key.name.to_string(), value);
            }
        }
        for (name, field) in &fields.known {
            if field.required && !values.iter().any(|(key, _)| *key.name == **name) {
                self.missing(name, field.rule, named);
            }
        }
        let execution = (!execution.is_empty()).then_some(Value::Object(execution));
        Made { identity: Some(Value::Object(identity)), execution, keep }
    }

    fn unknown_field(&mut self, fields: &Fields, key: &Key) {
        let problem = self.session.at(key.span, format!("{} has no field `{}`", self.name(), key.name));
        let names = fields.known.keys().map(String::as_str);
        let problem = match nearest(&key.name, names.clone()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None if fields.known.is_empty() => problem.help("it has no fields"),
            None => problem.help(format!("its fields are {}", names.collect::<Vec<_>>().join(", "))),
        };
        self.session.add(key.span, problem);
    }

    fn missing(&mut self, name: &str, rule: RuleId, named: Span) {
        let message = format!("{} lacks the field `{name}`", self.name());
        let problem = self.session.at(named, message);
        let help = match self.shape.resolve(rule).0 {
            Form::Choice(values) if values.len() == 1 => {
                format!("write `{name}: {}`", words::one_of(values).trim_matches('`'))
            }
            _ => format!("`{name}` takes {}", self.shape.expected(rule)),
        };
        self.session.add(named, problem.help(help));
    }

    fn unit(&mut self, node: &Node, unit: Unit) -> Made {
        match unit.read(&node.to_json()) {
            Ok(value) => Made::of(value),
            Err(error) => {
                let message = format!("{}: {error}", self.name());
                self.session.report(node.span, message);
                Made::default()
            }
        }
    }

    fn files(&mut self, node: &Node, text: &str) -> Made {
        let name = match self.path.as_slice() {
            // A name that the pipeline's author gave.
            [.., Step::Field { name, free: true }] => name.to_string(),
            _ => self.pointer().trim_start_matches('/').replace('/', "."),
        };
        let pointer = self.pointer();
        if let Some(problem) = paths::refuse(self.session, node.span, &self.name(), text) {
            self.session.add(node.span, problem);
            return Made::default();
        }
        if let Some(place) = self.session.place(node.span) {
            let folder = place.source.folder.clone();
            self.checked.files.push(FileInput::new(name, pointer, text.to_owned(), place, folder));
        }
        Made { identity: Some(Value::Null), execution: None, keep: true }
    }

    fn config(&mut self, node: &Node, content: RuleId, text: &str) -> Made {
        if let Some(problem) = paths::refuse(self.session, node.span, &self.name(), text) {
            self.session.add(node.span, problem);
            return Made::default();
        }
        let opened = match &mut self.configs {
            Some(configs) => configs.open(self.session, node, text),
            None => None,
        };
        let Some(opened) = opened else {
            self.checked.unknown = true;
            return Made::default();
        };
        let empty = Node::new(opened.span, Content::Map(Vec::new()));
        let is_map = matches!(self.shape.resolve(content).0, Form::Map(_));
        let node = if matches!(opened.content, Content::Null) && is_map { &empty } else { &*opened };
        let made = self.value(node, content, node.span);
        self.checked.configs.push((self.pointer(), opened));
        made
    }
}

impl Unit {
    pub(super) fn read(self, value: &Value) -> Result<Value, UnitError> {
        match self {
            Self::Bytes => Bytes::from_value(value).map(|bytes| bytes.0.into()),
            Self::Count => Count::from_value(value).map(|count| count.0.into()),
            Self::Duration => {
                Duration::from_value(value).map(|time| serde_json::to_value(time).unwrap_or_default())
            }
        }
    }
}
