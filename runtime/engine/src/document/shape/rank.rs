//! Which branch of several a value means, found out without a word.
use super::{Field, Form, RuleId, Shape};
use crate::document::node::{Content, Key, Node};
use serde_json::{Number, Value};

impl Shape {
    /// The branch that a value means. `None` where it could be several, and is none.
    pub(super) fn branch(&self, node: &Node, branches: &[RuleId]) -> Option<RuleId> {
        let ranks: Vec<u8> = branches.iter().map(|branch| self.rank(node, *branch)).collect();
        let best = ranks.iter().copied().max().filter(|best| *best > 0)?;
        let alike: Vec<RuleId> = branches
            .iter()
            .zip(&ranks)
            .filter(|(_, rank)| **rank == best)
            .map(|(branch, _)| *branch)
            .collect();
        let first = *alike.first()?;
        if best > 1 {
            return Some(first);
        }
        if node.as_written().is_some() {
            // A word that is nearly one thing: say everything that would do.
            let others = branches.iter().any(|branch| *branch != first && !self.takes_null(*branch));
            return (!others).then_some(first);
        }
        let known = |branch: &RuleId| match self.resolve(*branch).0 {
            Form::Map(fields) => {
                node.fields().iter().filter(|(key, _)| fields.known.contains_key(&*key.name)).count()
            }
            _ => 1,
        };
        let most = alike.iter().map(known).max().unwrap_or(0);
        if most == 0 && alike.len() > 1 {
            return None;
        }
        alike.into_iter().find(|branch| known(branch) == most)
    }

    /// How well a value fits a rule, without a word: 0 not at all, 1 by its type, 2 as far as one looks.
    pub(super) fn rank(&self, node: &Node, id: RuleId) -> u8 {
        let better = |is: bool| if is { 2 } else { 1 };
        match (self.resolve(id).0, &node.content) {
            (Form::Any | Form::Skip, _) | (_, Content::Unknown) => 1,
            (Form::Null, Content::Null)
            | (Form::Bool, Content::Bool(..))
            | (Form::Number(_), Content::Number(..)) => 2,
            (Form::Integer { .. }, Content::Number(number, _)) if whole(number).is_some() => 2,
            (Form::Text { pattern, .. }, Content::Text(text)) => {
                better(pattern.as_ref().is_none_or(|pattern| pattern.matches(text)))
            }
            (Form::Choice(values), _) => match node.as_written() {
                Some(_) => better(chosen(node, values).is_some()),
                None => 0,
            },
            (Form::List { item, .. }, Content::Seq(items)) => {
                better(items.iter().all(|node| self.rank(node, *item) > 0))
            }
            (Form::Map(fields), Content::Map(values)) => {
                let known =
                    |(key, _): &(Key, Node)| fields.others.is_some() || fields.known.contains_key(&*key.name);
                let there = |(name, field): (&String, &Field)| {
                    !field.required || values.iter().any(|(key, _)| *key.name == **name)
                };
                better(values.iter().all(known) && fields.known.iter().all(there))
            }
            (Form::OneOf(branches), _) => {
                branches.iter().map(|branch| self.rank(node, *branch)).max().unwrap_or(0)
            }
            (Form::Unit(unit), Content::Number(..) | Content::Text(_)) => {
                better(unit.read(&node.to_json()).is_ok())
            }
            (Form::Files | Form::Config(_), Content::Text(_)) => 2,
            _ => 0,
        }
    }
}

pub(super) fn chosen<'v>(node: &Node, values: &'v [Value]) -> Option<&'v Value> {
    let json = node.to_json();
    let written = node.as_written();
    values.iter().find(|value| **value == json || (value.is_string() && value.as_str() == written))
}

/// A number without a fraction, however it is written.
pub(super) fn whole(number: &Number) -> Option<i128> {
    if let Some(value) = number.as_i64() {
        return Some(value.into());
    }
    if let Some(value) = number.as_u64() {
        return Some(value.into());
    }
    let value = number.as_f64()?;
    // Beyond 2^53 a float is no longer sure of its last digit.
    (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0).then_some(value as i128)
}
