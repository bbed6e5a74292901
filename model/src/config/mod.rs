//! What a model is: the values of a file of `configs/models/`, checked, and with their defaults filled in.
mod check;
mod embedding;
mod experts;
mod linear;
mod mixer;
pub mod rope;
mod shape;

pub use check::Problem;
pub use embedding::Embedding;
pub use experts::{Experts, Gate};
pub use linear::{Linear, Round};
pub use mixer::{Bk, Mixer, Mixers, Mla, Ttt, Views};
pub use rope::{Rope, RopeScaling, ScalingKind};
pub use shape::Shape;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A decoder: RMSNorm, attention with grouped queries and rotary positions or another mixer, SwiGLU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// How many tokens the vocabulary has. Left out, as many as the packed data's tokenizer has; more are padding, and
    /// fewer are an error.
    #[serde(default)]
    #[schemars(range(min = 1, max = 4_194_304))]
    pub vocab_size: Option<usize>,
    /// How many blocks stand one behind the other.
    #[schemars(range(min = 1, max = 1024))]
    pub layers: usize,
    /// How many numbers stand for a token between blocks.
    #[schemars(range(min = 1, max = 131_072))]
    pub width: usize,
    /// Heads of attention: how many queries a token asks.
    #[schemars(range(min = 1, max = 4096))]
    pub heads: usize,
    /// Heads of keys and values. Fewer than `heads` are shared among them, evenly; left out, as many.
    #[serde(default)]
    #[schemars(range(min = 1, max = 4096))]
    pub kv_heads: Option<usize>,
    /// How wide a head is: any even number. Left out, `width / heads`.
    #[serde(default)]
    #[schemars(range(min = 2, max = 8192))]
    pub head_width: Option<usize>,
    /// The inner width of SwiGLU, three matrices of `width` by this: one in a block, or one of each expert.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub ffn: usize,
    /// What lets tokens know of each other, block by block: that of the first block, of the second, and so on, and again from the
    /// beginning. Left out, attention in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Mixer>>", length(min = 1, max = 16))]
    pub mixers: Option<Mixers>,
    /// The sizes of blocks that are `mla`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mla: Option<Mla>,
    /// How blocks that are `ttt` learn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttt: Option<Ttt>,
    /// The chains of blocks that are `bk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bk: Option<Bk>,
    /// Experts in the place of SwiGLU: each token goes through a few of many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts: Option<Experts>,
    /// What the matrices of blocks are. Left out, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linear: Option<Linear>,
    /// What the rows for tokens are, of the embedding and of the head. Left out, a matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Embedding>,
    /// The longest sequence. Left out, that of the packed data.
    #[serde(default)]
    #[schemars(range(min = 1, max = 134_217_728))]
    pub context: Option<usize>,
    /// How positions turn queries and keys.
    #[serde(default)]
    pub rope: Rope,
    /// What is added to the mean square before RMSNorm takes its root.
    #[serde(default = "norm_eps")]
    #[schemars(range(min = 1e-12, max = 0.1))]
    pub norm_eps: f64,
    /// Norms of queries and keys, before positions turn them: no logit of attention runs away. With them the model is a
    /// Qwen3, without a Llama.
    #[serde(default = "yes")]
    pub qk_norm: bool,
    /// The head is the embedding: fewer parameters, which pays below a billion.
    #[serde(default)]
    pub tied: bool,
    /// The head adds a number to each token's logit, which it learns: how often tokens are, whatever comes before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub head_bias: bool,
    /// The share of numbers that is dropped after the embedding, after attention and after SwiGLU while training.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 0.9))]
    pub dropout: f64,
    /// The share that is dropped, while training, of what tokens take from each other in attention.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 0.9))]
    pub attention_dropout: f64,
    /// How many tokens attention sees, the one that asks counted. Left out, all before it.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub window: Option<usize>,
    /// The standard deviation of weights at the start.
    #[serde(default = "init_std")]
    #[schemars(range(min = 1e-6, max = 1.0))]
    pub init_std: f64,
    /// The matrices that write to the residual stream start smaller, by the root of twice the layers, so that what blocks
    /// add up to does not grow with their number.
    #[serde(default = "yes")]
    pub scaled_init: bool,
}

fn norm_eps() -> f64 {
    1e-6
}

fn init_std() -> f64 {
    0.02
}

fn yes() -> bool {
    true
}

impl Model {
    /// A model of this size with all else at its defaults.
    pub fn new(layers: usize, width: usize, heads: usize, ffn: usize) -> Self {
        Self {
            vocab_size: None,
            layers,
            width,
            heads,
            kv_heads: None,
            head_width: None,
            ffn,
            mixers: None,
            mla: None,
            ttt: None,
            bk: None,
            experts: None,
            linear: None,
            embedding: None,
            context: None,
            rope: Rope::default(),
            norm_eps: norm_eps(),
            qk_norm: true,
            tied: false,
            head_bias: false,
            dropout: 0.0,
            attention_dropout: 0.0,
            window: None,
            init_std: init_std(),
            scaled_init: true,
        }
    }

    /// Heads of keys and values.
    pub fn kv_heads(&self) -> usize {
        self.kv_heads.unwrap_or(self.heads)
    }

    /// How wide a head is.
    pub fn head_width(&self) -> usize {
        self.head_width.unwrap_or_else(|| self.width.checked_div(self.heads).unwrap_or(0))
    }

    /// The standard deviation at the start of the matrices that write to the residual stream.
    pub fn residual_std(&self) -> f64 {
        if self.scaled_init { self.init_std / (2.0 * self.layers as f64).sqrt() } else { self.init_std }
    }

    /// Every size, with those of the data where the file leaves them out.
    pub fn shape(&self, vocab_size: usize, context: usize) -> Shape {
        Shape {
            vocab_size: self.vocab_size.unwrap_or(vocab_size),
            layers: self.layers,
            width: self.width,
            heads: self.heads,
            kv_heads: self.kv_heads(),
            head_width: self.head_width(),
            ffn: self.ffn,
            mixers: self.mixers,
            mla: self.mla,
            ttt: self.ttt,
            bk: self.bk,
            experts: self.experts,
            low_rank: self.low_rank(),
            round: self.round(),
            embedding: self.embedding,
            context: self.context.unwrap_or(context),
            window: self.window,
            qk_norm: self.qk_norm,
            tied: self.tied,
            head_bias: self.head_bias,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: Value) -> serde_json::Result<Model> {
        serde_json::from_value(value)
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let model = read(json!({ "layers": 2, "width": 64, "heads": 4, "ffn": 128 })).unwrap();
        assert_eq!(model, Model::new(2, 64, 4, 128));
        assert_eq!((model.kv_heads(), model.head_width()), (4, 16));
        assert_eq!(
            (model.rope.theta, model.norm_eps, model.qk_norm, model.tied),
            (10_000.0, 1e-6, true, false)
        );
        // What the schema says of defaults is what is read, so that a default that is written out moves no key.
        let schema = schemars::schema_for!(Model);
        for (name, field) in schema.get("properties").and_then(Value::as_object).unwrap() {
            if let Some(default) = field.get("default") {
                assert_eq!(&serde_json::to_value(&model).unwrap()[name], default, "{name}");
            }
        }
        assert_eq!(schema.get("additionalProperties"), Some(&json!(false)));
    }

    #[test]
    fn a_name_that_is_no_field_is_an_error() {
        let error = read(json!({ "layers": 2, "width": 64, "heads": 4, "ffn": 128, "hidden_size": 3 }));
        assert!(error.unwrap_err().to_string().contains("hidden_size"));
        let scaling = json!({ "kind": "yarn", "factr": 2 });
        let rope =
            json!({ "layers": 2, "width": 64, "heads": 4, "ffn": 128, "rope": { "scaling": scaling } });
        assert!(read(rope).unwrap_err().to_string().contains("factr"));
    }

    #[test]
    fn the_data_fills_in_what_is_left_out() {
        let mut model = Model::new(2, 64, 4, 128);
        assert_eq!((model.shape(100, 32).vocab_size, model.shape(100, 32).context), (100, 32));
        (model.vocab_size, model.context) = (Some(128), Some(64));
        assert_eq!((model.shape(100, 32).vocab_size, model.shape(100, 32).context), (128, 64));
    }

    #[test]
    fn what_writes_to_the_residual_stream_starts_smaller() {
        let mut model = Model::new(8, 64, 4, 128);
        assert!((model.residual_std() - 0.005).abs() < 1e-15);
        model.scaled_init = false;
        assert_eq!(model.residual_std(), 0.02);
    }
}
