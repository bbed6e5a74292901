//! Rotary positions as files say them: what frequencies go by, also beyond the context a model was trained with.
mod frequencies;

pub use frequencies::frequencies;
pub(crate) use frequencies::{ntk_theta, ramp, slowed};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How positions turn queries and keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rope {
    /// The base of the frequencies: 10,000 for contexts of thousands, a million for tens of thousands.
    #[serde(default = "theta")]
    #[schemars(range(min = 2.0, max = 1e12))]
    pub theta: f64,
    /// How far contexts reach beyond the one a model was trained with.
    #[serde(default)]
    pub scaling: RopeScaling,
}

/// How far contexts reach beyond the one a model was trained with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RopeScaling {
    /// How frequencies become lower.
    #[serde(default)]
    pub kind: ScalingKind,
    /// How many times longer the context becomes.
    #[serde(default = "one")]
    #[schemars(range(min = 1.0, max = 65_536.0))]
    pub factor: f64,
    /// The context that the model was trained with. `yarn` and `llama3` need it, and they alone.
    #[serde(default)]
    #[schemars(range(min = 1, max = 134_217_728))]
    pub original_context: Option<usize>,
    /// `yarn` and `llama3` leave a pair alone that turns more often than this within the original context.
    #[serde(default = "beta_fast")]
    #[schemars(range(min = 0.001, max = 65_536.0))]
    pub beta_fast: f64,
    /// `yarn` and `llama3` slow a pair down in full that turns less often than this within the original context.
    #[serde(default = "beta_slow")]
    #[schemars(range(min = 0.001, max = 65_536.0))]
    pub beta_slow: f64,
    /// What `yarn` multiplies cosines and sines by. Left out, `0.1 ln(factor) + 1`.
    #[serde(default)]
    #[schemars(range(min = 0.01, max = 100.0))]
    pub attention_factor: Option<f64>,
}

/// How frequencies become lower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScalingKind {
    /// Not at all.
    #[default]
    None,
    /// All by `factor`, as if positions were that much closer.
    Linear,
    /// By a larger `theta`: the slowest by `factor`, the fastest not at all.
    Ntk,
    /// The slow ones by `factor`, the fast ones not at all, a ramp between; and sharper attention.
    Yarn,
    /// The same with a ramp that goes by how often a pair turns, and attention as it was: Llama 3.1 has `beta_fast` 4.
    Llama3,
}

fn theta() -> f64 {
    10_000.0
}

fn one() -> f64 {
    1.0
}

fn beta_fast() -> f64 {
    32.0
}

fn beta_slow() -> f64 {
    1.0
}

impl Default for Rope {
    fn default() -> Self {
        Self { theta: theta(), scaling: RopeScaling::default() }
    }
}

impl Default for RopeScaling {
    fn default() -> Self {
        Self {
            kind: ScalingKind::None,
            factor: one(),
            original_context: None,
            beta_fast: beta_fast(),
            beta_slow: beta_slow(),
            attention_factor: None,
        }
    }
}
