//! Defaults in the form in which a check gives values, so that the two can be compared.
use super::{Rule, RuleId, Shape};
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
