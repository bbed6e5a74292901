//! Defaults in the form in which a check gives values, so that the two can be compared.
use super::{Form, Rule, RuleId, Shape};
use crate::document::node::{Content, Node, Span};
use crate::document::session::Session;
use serde_json::Value;

impl Shape {
    /// The default of a rule as [`check`](Self::check) would give it.
    pub(crate) fn canonical_default(&self, id: RuleId) -> Option<&Value> {
        self.canonical_defaults().get(id)?.as_ref()
    }

    /// Defaults are values like others: those inside of them are dropped too. A few rounds settle that.
    pub(super) fn canonical_defaults(&self) -> &[Option<Value>] {
        const ROUNDS: usize = 8;
        self.defaults.get_or_init(|| {
            let mut defaults: Vec<Option<Value>> =
                self.rules.iter().map(|rule| rule.default.clone()).collect();
            for _ in 0..ROUNDS {
                let next: Vec<Option<Value>> = self
                    .rules
                    .iter()
                    .enumerate()
                    .map(|(id, rule)| self.settle(id, rule, &defaults))
                    .collect();
                if next == defaults {
                    break;
                }
                defaults = next;
            }
            defaults
        })
    }

    /// Writes out the defaults of all fields that a checked value leaves away.
    pub(crate) fn fill(&self, value: &mut Value) {
        self.fill_in(self.root, value, 0);
    }

    fn fill_in(&self, id: RuleId, value: &mut Value, depth: usize) {
        /// A default may hold a field with the same default, and so on for ever.
        const DEEPEST: usize = 8;
        match (self.resolve(id).0, value) {
            _ if depth > DEEPEST => {}
            (Form::Map(fields), Value::Object(map)) => {
                for (name, field) in &fields.known {
                    if !map.contains_key(name)
                        && let Some(default) = self.canonical_default(field.rule)
                    {
                        map.insert(name.clone(), default.clone());
                    }
                }
                for (name, value) in map {
                    let known = fields.known.get(name).map(|field| field.rule);
                    known.or(fields.others).into_iter().for_each(|rule| self.fill_in(rule, value, depth + 1));
                }
            }
            (Form::List { item, .. }, Value::Array(items)) => {
                items.iter_mut().for_each(|value| self.fill_in(*item, value, depth + 1));
            }
            (Form::Config(content), value) => self.fill_in(*content, value, depth),
            (Form::OneOf(branches), value) => {
                let node = Node::from_json(value, Span::default());
                let content = |branch: &&RuleId| matches!(self.resolve(**branch).0, Form::Config(_));
                let content = || branches.iter().find(content).copied();
                if let Some(branch) = self.branch(&node, branches).or_else(content) {
                    self.fill_in(branch, value, depth + 1);
                }
            }
            _ => {}
        }
    }

    fn settle(&self, id: RuleId, rule: &Rule, defaults: &[Option<Value>]) -> Option<Value> {
        let span = Span::default();
        let node = Node::from_json(rule.default.as_ref()?, span);
        if matches!(node.content, Content::Null) {
            return Some(Value::Null);
        }
        let mut session = Session::default();
        let checked = self.run(&mut session, None, "", &node, id, span, defaults);
        (session.count() == 0 && checked.files.is_empty() && !checked.unknown).then_some(checked.identity)
    }
}
