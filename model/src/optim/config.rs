//! What a pipeline says of its optimizer, with its defaults, and what is wrong with it.
use super::Group;
use crate::config::{Mixer, Model, Problem};
use crate::net::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What changes the weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// By which rule.
    #[serde(default)]
    pub kind: OptimizerKind,
    /// How much AdamW keeps each step of its mean of gradients and of that of their squares. Left out, 0.9 and 0.95. Not for
    /// `sgd`.
    #[serde(default)]
    pub betas: Option<[f64; 2]>,
    /// What AdamW adds to the root of the mean of squares. Left out, 1e-8. Not for `sgd`.
    #[serde(default)]
    #[schemars(range(min = 1e-30, max = 1.0))]
    pub epsilon: Option<f64>,
    /// How much momentum is kept each step. Left out, 0.95, and 0.9 for `sgd`. Not for `adamw`.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 0.99999))]
    pub momentum: Option<f64>,
    /// The step looks ahead: the gradient, and what momentum will be left of all with it. Left out, true, and false for `sgd`.
    /// Not for `adamw`.
    #[serde(default)]
    pub nesterov: Option<bool>,
    /// The learning rate of what `muon` and `muonclip` leave to AdamW, as a multiple of their own. Left out, 1: their steps
    /// are as large as AdamW's.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub adamw_rate: Option<f64>,
    /// What `muonclip` lets logits of attention grow to. Left out, 100.
    #[serde(default)]
    #[schemars(range(min = 0.001, max = 1e9))]
    pub threshold: Option<f64>,
    /// How fast weights shrink where no gradient holds them: each step by this, times the learning rate.
    #[serde(default)]
    pub weight_decay: WeightDecay,
    /// Weights with a learning rate or a decay of their own, or that stay as they are. A weight belongs to the first group that
    /// names it.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// What the optimizer's numbers are kept in. Less is rounded at random, so that small changes count in the mean.
    #[serde(default)]
    pub state: StateKind,
}

/// By which rule weights change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// AdamW: each number goes by its own gradients, over their usual size.
    #[default]
    Adamw,
    /// Muon: a matrix of a block goes in all its directions alike. All else by AdamW.
    Muon,
    /// Muon, and a head whose logits of attention grow beyond `threshold` is scaled back. For models without `qk_norm`.
    Muonclip,
    /// Gradients, with momentum.
    Sgd,
}

/// What an optimizer's numbers are kept in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StateKind {
    /// Four bytes.
    #[default]
    F32,
    /// Two bytes.
    Bf16,
    /// One byte, and four for each 256 of them.
    Int8,
}

/// How fast weights shrink, by what they are for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightDecay {
    /// The matrices of blocks. Left out, 0.1, and 0 for `sgd`.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub matrices: Option<f64>,
    /// The head, where it is not the embedding. Left out, 0.1, and 0 for `sgd`.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub head: Option<f64>,
    /// The embedding: the rows of rare tokens would be gone before their next gradient.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub embeddings: f64,
    /// Norms.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub norms: f64,
}

impl OptimizerKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adamw => "adamw",
            Self::Muon => "muon",
            Self::Muonclip => "muonclip",
            Self::Sgd => "sgd",
        }
    }

    fn is_muon(self) -> bool {
        matches!(self, Self::Muon | Self::Muonclip)
    }
}

impl OptimizerConfig {
    /// What AdamW keeps of both means.
    pub fn betas(&self) -> [f64; 2] {
        self.betas.unwrap_or([0.9, 0.95])
    }

    /// What AdamW adds to the root.
    pub fn epsilon(&self) -> f64 {
        self.epsilon.unwrap_or(1e-8)
    }

    /// How much momentum is kept.
    pub fn momentum(&self) -> f64 {
        self.momentum.unwrap_or(if self.kind.is_muon() { 0.95 } else { 0.9 })
    }

    /// Whether the step looks ahead.
    pub fn nesterov(&self) -> bool {
        self.nesterov.unwrap_or(self.kind.is_muon())
    }

    /// The learning rate of AdamW beside Muon, as a multiple of Muon's.
    pub fn adamw_rate(&self) -> f64 {
        self.adamw_rate.unwrap_or(1.0)
    }

    /// What logits of attention may grow to, for MuonClip alone: what [`super::qk_clip`] wants to know.
    pub fn threshold(&self) -> Option<f64> {
        (self.kind == OptimizerKind::Muonclip).then(|| self.threshold.unwrap_or(100.0))
    }

    /// The decay of a weight that is in no group.
    pub fn decay(&self, role: Role) -> f64 {
        let usual = if self.kind == OptimizerKind::Sgd { 0.0 } else { 0.1 };
        let decay = &self.weight_decay;
        match role {
            Role::Matrix | Role::Gate => decay.matrices.unwrap_or(usual),
            Role::Head => decay.head.unwrap_or(usual),
            Role::Embedding => decay.embeddings,
            Role::Norm => decay.norms,
            Role::Loads => 0.0,
        }
    }

    /// All that is wrong with it; what its pointers start from is the optimizer.
    pub fn check(&self) -> Vec<Problem> {
        use OptimizerKind::{Adamw, Muon, Muonclip, Sgd};
        let mut problems = Vec::new();
        let mut belongs = |there: bool, pointer: &'static str, kinds: &[OptimizerKind]| {
            if there && !kinds.contains(&self.kind) {
                let field = &pointer[1..];
                let names: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.name())).collect();
                let message = format!("`{field}` means nothing to `kind: {}`", self.kind.name());
                let help = format!("leave it out: it belongs to {}", names.join(", "));
                problems.push(Problem::new(pointer, message, help));
            }
        };
        belongs(self.betas.is_some(), "/betas", &[Adamw, Muon, Muonclip]);
        belongs(self.epsilon.is_some(), "/epsilon", &[Adamw, Muon, Muonclip]);
        belongs(self.momentum.is_some(), "/momentum", &[Muon, Muonclip, Sgd]);
        belongs(self.nesterov.is_some(), "/nesterov", &[Muon, Muonclip, Sgd]);
        belongs(self.adamw_rate.is_some(), "/adamw_rate", &[Muon, Muonclip]);
        belongs(self.threshold.is_some(), "/threshold", &[Muonclip]);

        let mut within = |pointer: &'static str, value: Option<f64>, least: f64, most: f64| {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                let message = format!("`{}` is {value}", pointer[1..].replace('/', "."));
                let tidy = |x: f64| if x > 0.0 && x < 1e-6 { format!("{x:e}") } else { x.to_string() };
                problems.push(Problem::new(pointer, message, format!("{} to {}", tidy(least), tidy(most))));
            }
        };
        for beta in self.betas.into_iter().flatten() {
            within("/betas", Some(beta), 0.0, 0.99999);
        }
        within("/epsilon", self.epsilon, 1e-30, 1.0);
        within("/momentum", self.momentum, 0.0, 0.99999);
        within("/adamw_rate", self.adamw_rate, 0.0, 1000.0);
        within("/threshold", self.threshold, 0.001, 1e9);
        let decay = &self.weight_decay;
        within("/weight_decay/matrices", decay.matrices, 0.0, 100.0);
        within("/weight_decay/head", decay.head, 0.0, 100.0);
        within("/weight_decay/embeddings", Some(decay.embeddings), 0.0, 100.0);
        within("/weight_decay/norms", Some(decay.norms), 0.0, 100.0);
        for group in &self.groups {
            within("/groups", Some(group.rate), 0.0, 1000.0);
            within("/groups", group.weight_decay, 0.0, 100.0);
        }
        problems
    }

    /// What is wrong with it for a model.
    pub fn check_model(&self, model: &Model) -> Option<Problem> {
        if self.kind != OptimizerKind::Muonclip {
            return None;
        }
        if !model.any_mixer(|mixer| matches!(mixer, Mixer::Attention | Mixer::Mla)) {
            let message =
                "`muonclip` scales the weights of queries and keys, and no block has logits of such";
            return Some(Problem::new("/kind", message, "write `kind: muon`"));
        }
        let message = "`muonclip` scales the weights of queries and keys, and `qk_norm` undoes that";
        let help = "write `kind: muon`, or `qk_norm: false` in the model";
        model.qk_norm.then(|| Problem::new("/kind", message, help))
    }
}
