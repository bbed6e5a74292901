//! What is done to each weight: by its role, and by the groups that a pipeline makes.
use super::{OptimError, OptimizerConfig, OptimizerKind};
use crate::config::Problem;
use crate::net::{Role, Weight};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Weights that are treated apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Their names, as in `model.safetensors`; `*` stands for any part of one.
    #[schemars(length(min = 1))]
    pub weights: Vec<String>,
    /// Their learning rate, as a multiple of what it would be.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub rate: f64,
    /// Their weight decay. Left out, what it would be.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub weight_decay: Option<f64>,
    /// They stay as they are.
    #[serde(default)]
    pub frozen: bool,
}

fn one() -> f64 {
    1.0
}

/// What is done to one weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) rule: Rule,
    /// A multiple of the run's learning rate.
    pub(super) rate: f64,
    pub(super) decay: f64,
}

/// How a weight changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rule {
    Frozen,
    Adamw {
        betas: [f64; 2],
        epsilon: f64,
    },
    Muon {
        momentum: f64,
        nesterov: bool,
    },
    Sgd {
        momentum: f64,
        nesterov: bool,
    },
    /// Against what is more than the mean of what came.
    Against,
}

impl Plan {
    /// One for each weight.
    pub(super) fn all(config: &OptimizerConfig, weights: &[Weight]) -> Result<Vec<Self>, OptimError> {
        if let Some(problem) = config.check().into_iter().next() {
            return Err(OptimError::Config(problem));
        }
        if let Some(problem) = config.check_groups(weights) {
            return Err(OptimError::Config(problem));
        }
        weights.iter().map(|weight| Self::of(config, weight)).collect()
    }

    fn of(config: &OptimizerConfig, weight: &Weight) -> Result<Self, OptimError> {
        if weight.role == Role::Matrix && weight.shape.len() != 2 {
            return Err(OptimError::NoMatrix { name: weight.name.clone(), shape: weight.shape.clone() });
        }
        let group = config.group(weight);
        let (momentum, nesterov) = (config.momentum(), config.nesterov());
        let adamw = Rule::Adamw { betas: config.betas(), epsilon: config.epsilon() };
        let (rule, rate) = match config.kind {
            _ if group.is_some_and(|group| group.frozen) => (Rule::Frozen, 0.0),
            _ if weight.role == Role::Loads => (Rule::Against, 1.0),
            OptimizerKind::Adamw => (adamw, 1.0),
            OptimizerKind::Sgd => (Rule::Sgd { momentum, nesterov }, 1.0),
            _ if weight.role == Role::Matrix => (Rule::Muon { momentum, nesterov }, 1.0),
            _ => (adamw, config.adamw_rate()),
        };
        let rate = rate * group.map_or(1.0, |group| group.rate);
        let decay = group.and_then(|group| group.weight_decay).unwrap_or_else(|| config.decay(weight.role));
        let decay = if rule == Rule::Against { 0.0 } else { decay };
        Ok(Self { rule, rate, decay })
    }
}

impl OptimizerConfig {
    /// The group that a weight is in: the first that names it.
    fn group(&self, weight: &Weight) -> Option<&Group> {
        self.groups.iter().find(|group| group.weights.iter().any(|pattern| is_like(&weight.name, pattern)))
    }

    /// What is wrong with the groups for a model of these weights: one is for nothing, or nothing is left to train.
    pub fn check_groups(&self, weights: &[Weight]) -> Option<Problem> {
        let first = weights.first()?;
        let mut patterns = self.groups.iter().flat_map(|group| &group.weights);
        if let Some(idle) =
            patterns.find(|pattern| !weights.iter().any(|weight| is_like(&weight.name, pattern)))
        {
            let help = format!("there is `{}`, and `*` stands for any part of a name", first.name);
            return Some(Problem::new("/groups", format!("no weight is named like `{idle}`"), help));
        }
        let frozen = |weight| self.group(weight).is_some_and(|group| group.frozen);
        let message = "every weight is frozen, so there is nothing to train";
        let help = "leave one out of the groups with `frozen: true`";
        weights.iter().all(frozen).then(|| Problem::new("/groups", message, help))
    }
}

/// Whether a name is what a pattern says; `*` stands for any part of it.
fn is_like(name: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return name == pattern;
    };
    let Some(mut name) = name.strip_prefix(start) else {
        return false;
    };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(at) = name.find(part) else {
            return false;
        };
        name = &name[at + part.len()..];
    }
    name.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn a_star_stands_for_any_part() {
        let name = "model.layers.10.mlp.up_proj.weight";
        for pattern in ["*", "**", "model.*", "*up_proj*", "*.weight", "model.layers.1*.mlp.*.weight", name] {
            assert!(is_like(name, pattern), "{pattern}");
        }
        for pattern in
            ["", "model", "layers.*", "*.bias", "*mlp*layers*", "model.layers.1.*", "*proj.weight.weight"]
        {
            assert!(!is_like(name, pattern), "{pattern}");
        }
        // What stands at both ends must not share letters.
        assert!(!is_like("aba", "ab*ba"));
        assert!(is_like("abba", "ab*ba"));
    }
}
