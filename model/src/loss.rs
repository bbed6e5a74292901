//! What a training makes small: how a page names it, and what it is to the operation that computes it.
use crate::config::Problem;
use muse_kernels::Objective;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is made small: a mean over all tokens of a step that have a label, in f32 whatever the precision. Plain
/// cross-entropy is reported beside it, whichever it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// What it is made of.
    #[serde(default)]
    pub kind: LossKind,
    /// For `focal` and `multi_objective`: cross-entropy counts `(1 - p)^gamma`, so the less the surer the model is. Left
    /// out, 2; with 0 it is cross-entropy.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 16.0))]
    pub gamma: Option<f64>,
    /// For `label_smoothing` and `multi_objective`: the share of the target that goes to all other tokens, evenly. Left
    /// out, 0.1.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 0.99))]
    pub epsilon: Option<f64>,
    /// For `multi_objective`: what each part counts. They add up to 1.
    #[serde(default)]
    pub weights: Option<LossWeights>,
    /// What the squared logarithm of the normalizer counts on top: it keeps logits from drifting away. 1e-4 is usual
    /// where it is used.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub z: f64,
}

/// What a loss is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// The logarithm of what the model thought of the right token.
    #[default]
    CrossEntropy,
    /// That, less for tokens that the model is sure of.
    Focal,
    /// That, against a target that is not wholly sure of itself.
    LabelSmoothing,
    /// All three, weighted.
    MultiObjective,
}

/// What each part of a `multi_objective` loss counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LossWeights {
    /// Cross-entropy.
    #[serde(default = "most")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub cross_entropy: f64,
    /// Focal loss.
    #[serde(default = "some")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub focal: f64,
    /// Label smoothing.
    #[serde(default = "little")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub smoothing: f64,
}

fn most() -> f64 {
    0.6
}

fn some() -> f64 {
    0.3
}

fn little() -> f64 {
    0.1
}

impl Default for LossWeights {
    fn default() -> Self {
        Self { cross_entropy: most(), focal: some(), smoothing: little() }
    }
}

/// Weights add up to 1 as nearly as people write thirds.
const NEAR: f64 = 1e-5;

impl Loss {
    /// What the operation takes.
    pub fn objective(&self) -> Objective {
        let LossWeights { cross_entropy, focal, smoothing } = match self.kind {
            LossKind::CrossEntropy => LossWeights { cross_entropy: 1.0, focal: 0.0, smoothing: 0.0 },
            LossKind::Focal => LossWeights { cross_entropy: 0.0, focal: 1.0, smoothing: 0.0 },
            LossKind::LabelSmoothing => LossWeights { cross_entropy: 0.0, focal: 0.0, smoothing: 1.0 },
            LossKind::MultiObjective => self.weights.unwrap_or_default(),
        };
        Objective {
            cross_entropy,
            focal,
            gamma: self.gamma.unwrap_or(2.0),
            smooth: smoothing,
            epsilon: self.epsilon.unwrap_or(0.1),
            z: self.z,
        }
    }

    /// All that is wrong with it; what its pointers start from is the loss.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let multi = self.kind == LossKind::MultiObjective;
        let mut belongs = |there: bool, fits: bool, pointer, name: &str, kinds: &str| {
            if there && !fits {
                let message = format!("`{name}` belongs to {kinds}");
                problems.push(Problem::new(pointer, message, "leave it out, or write that `kind`"));
            }
        };
        let focal = multi || self.kind == LossKind::Focal;
        belongs(self.gamma.is_some(), focal, "/gamma", "gamma", "`kind: focal` and `kind: multi_objective`");
        let smooth = multi || self.kind == LossKind::LabelSmoothing;
        let kinds = "`kind: label_smoothing` and `kind: multi_objective`";
        belongs(self.epsilon.is_some(), smooth, "/epsilon", "epsilon", kinds);
        belongs(self.weights.is_some(), multi, "/weights", "weights", "`kind: multi_objective`");

        let weights = self.weights.unwrap_or_default();
        let bounds = [
            ("/gamma", "an exponent", self.gamma, 16.0),
            ("/epsilon", "a share for other tokens", self.epsilon, 0.99),
            ("/weights/cross_entropy", "a weight", Some(weights.cross_entropy), 1.0),
            ("/weights/focal", "a weight", Some(weights.focal), 1.0),
            ("/weights/smoothing", "a weight", Some(weights.smoothing), 1.0),
            ("/z", "a weight", Some(self.z), 1.0),
        ];
        for (pointer, what, value, most) in bounds {
            if let Some(value) = value.filter(|value| !(0.0..=most).contains(value)) {
                problems.push(Problem::new(pointer, format!("{what} of {value}"), format!("0 to {most}")));
            }
        }
        let sum = weights.cross_entropy + weights.focal + weights.smoothing;
        if (sum - 1.0).abs() > NEAR {
            let message = format!("the weights add up to {}, not to 1", (sum * 1e6).round() / 1e6);
            let help = "those that are left out are `cross_entropy: 0.6`, `focal: 0.3`, `smoothing: 0.1`";
            problems.push(Problem::new("/weights", message, help));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: Value) -> Loss {
        serde_json::from_value(value).unwrap()
    }

    fn fields(value: Value) -> Vec<String> {
        read(value).check().iter().map(Problem::field).collect()
    }

    #[test]
    fn each_kind_is_its_part_alone() {
        assert_eq!(Loss { z: 1e-4, ..Loss::default() }.objective().z, 1e-4);
        let parts = |value| {
            let o = read(value).objective();
            ([o.cross_entropy, o.focal, o.smooth], o.gamma, o.epsilon)
        };
        assert_eq!(parts(json!({})), ([1.0, 0.0, 0.0], 2.0, 0.1));
        assert_eq!(parts(json!({ "kind": "focal", "gamma": 3 })), ([0.0, 1.0, 0.0], 3.0, 0.1));
        let smooth = json!({ "kind": "label_smoothing", "epsilon": 0.2 });
        assert_eq!(parts(smooth), ([0.0, 0.0, 1.0], 2.0, 0.2));
        let multi = json!({ "kind": "multi_objective" });
        assert_eq!(parts(multi), ([0.6, 0.3, 0.1], 2.0, 0.1));
        let own = json!({ "kind": "multi_objective", "weights": { "focal": 0.1, "smoothing": 0.3 } });
        assert_eq!(parts(own), ([0.6, 0.1, 0.3], 2.0, 0.1));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        assert!(fields(json!({})).is_empty());
        assert!(
            fields(json!({ "kind": "multi_objective", "gamma": 1, "epsilon": 0.0, "z": 1e-4 })).is_empty()
        );
        assert_eq!(
            fields(json!({ "gamma": 2, "epsilon": 0.1, "weights": {} })),
            ["gamma", "epsilon", "weights"]
        );
        assert_eq!(fields(json!({ "kind": "focal", "gamma": -1 })), ["gamma"]);
        assert_eq!(fields(json!({ "kind": "label_smoothing", "epsilon": 1 })), ["epsilon"]);
        assert_eq!(fields(json!({ "z": -1e-4 })), ["z"]);
        let sum = json!({ "kind": "multi_objective", "weights": { "cross_entropy": 1 } });
        assert_eq!(fields(sum.clone()), ["weights"]);
        assert_eq!(read(sum).check()[0].message, "the weights add up to 1.4, not to 1");
        let negative = json!({ "cross_entropy": 1, "focal": -0.3, "smoothing": 0.3 });
        assert_eq!(fields(json!({ "kind": "multi_objective", "weights": negative })), ["weights.focal"]);
        let nan = Loss { z: f64::NAN, ..Loss::default() };
        assert_eq!(nan.check()[0].field(), "z");
    }

    #[test]
    fn thirds_add_up() {
        let thirds = json!({ "cross_entropy": 0.333_333, "focal": 0.333_333, "smoothing": 0.333_333 });
        assert!(fields(json!({ "kind": "multi_objective", "weights": thirds })).is_empty());
        assert!(serde_json::from_value::<Loss>(json!({ "kind": "focal", "gama": 2 })).is_err());
    }
}
