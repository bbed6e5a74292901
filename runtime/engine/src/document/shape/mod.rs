//! The schema of a kind's parameters, made ready to check values against.
//!
//! A JSON Schema is compiled once ([`Shape::new`]); checking a node against it reports all that is wrong with the
//! place of each, and gives the canonical value that enters the key: numbers by their type, sizes and times as
//! numbers, and nothing that equals its default.
mod check;
mod compile;
mod defaults;
mod pattern;
mod rank;
mod words;

pub(crate) use check::{Checked, Configs};
use pattern::Pattern;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// A compiled JSON Schema.
#[derive(Debug)]
pub struct Shape {
    pub(crate) rules: Vec<Rule>,
    pub(crate) root: RuleId,
    /// Some field is extendable.
    pub(crate) has_extendable: bool,
    /// The defaults in canonical form, made on first use.
    pub(crate) defaults: OnceLock<Vec<Option<Value>>>,
}

/// A rule's place in [`Shape::rules`].
pub(crate) type RuleId = usize;

/// What one value may be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    pub(crate) form: Form,
    pub(crate) marks: Marks,
    pub(crate) default: Option<Value>,
}

/// What `x-muse` says beyond units, which are forms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) execution: bool,
    pub(crate) extendable: bool,
    pub(crate) command: bool,
}

/// The shape of a value.
#[derive(Clone, Debug, Default)]
pub(crate) enum Form {
    /// Anything.
    #[default]
    Any,
    /// Anything, and whoever asked looks at it himself.
    Skip,
    /// Nothing at all: a schema that is `false`, or that we cannot meet.
    Never,
    /// What another rule says.
    Same(RuleId),
    Null,
    Bool,
    Integer {
        least: i128,
        most: i128,
    },
    Number(Range),
    Text {
        shortest: usize,
        pattern: Option<Pattern>,
    },
    /// One of these.
    Choice(Vec<Value>),
    List {
        item: RuleId,
        fewest: usize,
        most: usize,
    },
    Map(Fields),
    /// Whichever of these fits.
    OneOf(Vec<RuleId>),
    Unit(Unit),
    /// The path, folder or glob of input files.
    Files,
    /// The path of a file of values, and what these may be.
    Config(RuleId),
}

/// The bounds of a number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Range {
    pub(crate) least: Option<f64>,
    pub(crate) most: Option<f64>,
    pub(crate) above: Option<f64>,
    pub(crate) below: Option<f64>,
}

/// The fields of a mapping.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    pub(crate) known: BTreeMap<String, Field>,
    /// What any other field may be; `None` where there is no other field.
    pub(crate) others: Option<RuleId>,
    /// What the names of other fields look like.
    pub(crate) names: Option<Pattern>,
}

/// A field by name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) rule: RuleId,
    pub(crate) required: bool,
}

/// A number with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Count,
    Duration,
}

impl Shape {
    /// Compiles a schema. What it cannot make sense of it lets pass: the kind checks its parameters again.
    pub fn new(schema: &Value) -> Self {
        compile::compile(schema)
    }

    /// The same shape, but a field of its root is left to the caller.
    #[must_use]
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.rules.push(Rule { form: Form::Skip, ..Rule::default() });
        let skip = self.rules.len() - 1;
        if let Some(field) = self.root_field(name) {
            field.rule = skip;
        }
        self
    }

    /// The same shape, but a field of its root may be missing.
    #[must_use]
    pub(crate) fn optional(mut self, name: &str) -> Self {
        if let Some(field) = self.root_field(name) {
            field.required = false;
        }
        self
    }

    fn root_field(&mut self, name: &str) -> Option<&mut Field> {
        match self.rules.get_mut(self.root).map(|rule| &mut rule.form) {
            Some(Form::Map(fields)) => fields.known.get_mut(name),
            _ => None,
        }
    }

    pub(crate) fn rule(&self, id: RuleId) -> &Rule {
        static ANYTHING: Rule = Rule {
            form: Form::Any,
            marks: Marks { execution: false, extendable: false, command: false },
            default: None,
        };
        self.rules.get(id).unwrap_or(&ANYTHING)
    }

    /// Follows references; marks found on the way count.
    pub(crate) fn resolve(&self, mut id: RuleId) -> (&Form, Marks) {
        let mut marks = Marks::default();
        for _ in 0..self.rules.len().max(1) {
            let rule = self.rule(id);
            marks.execution |= rule.marks.execution;
            marks.extendable |= rule.marks.extendable;
            marks.command |= rule.marks.command;
            match rule.form {
                Form::Same(next) => id = next,
                _ => return (&rule.form, marks),
            }
        }
        (&Form::Any, marks)
    }

    /// Whether a field is extendable, also where it may be left empty.
    pub(crate) fn is_extendable(&self, id: RuleId) -> bool {
        let (form, marks) = self.resolve(id);
        let branches = if let Form::OneOf(branches) = form { branches.as_slice() } else { &[] };
        marks.extendable || branches.iter().any(|branch| self.resolve(*branch).1.extendable)
    }

    /// The rule of a field, looked for in every branch.
    pub(crate) fn field(&self, id: RuleId, name: &str) -> Option<RuleId> {
        match self.resolve(id).0 {
            Form::Map(fields) => fields.known.get(name).map(|field| field.rule).or(fields.others),
            Form::OneOf(branches) => branches.iter().find_map(|branch| self.field(*branch, name)),
            _ => None,
        }
    }

    /// The rule of a list's items, looked for in every branch.
    pub(crate) fn item(&self, id: RuleId) -> Option<RuleId> {
        match self.resolve(id).0 {
            Form::List { item, .. } => Some(*item),
            Form::OneOf(branches) => branches.iter().find_map(|branch| self.item(*branch)),
            _ => None,
        }
    }
}
