//! From a model to `config.json` and `generation_config.json`.
use super::Class;
use crate::config::{Model, Rope, ScalingKind, rope};
use crate::exchange::{Refusal, check_plain};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Tokens by what they are for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// What a text begins with, where there is such a token.
    pub bos: Option<u32>,
    /// What ends an answer: the turn of an assistant, or the text.
    pub eos: Vec<u32>,
    /// What fills up.
    pub pad: Option<u32>,
}

impl Roles {
    fn eos(&self) -> Value {
        match self.eos.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            several => json!(several),
        }
    }
}

/// Refuses what the classes of transformers do not do.
pub fn check(model: &Model) -> Result<(), Refusal> {
    check_plain(model)
}

/// `config.json` of a model whose sizes are all known. `dtype` is that of the tensors, as torch names it.
///
/// Rotary positions and the type stand twice, as transformers 5 and as 4 and others read them.
pub fn config(model: &Model, roles: &Roles, dtype: &str) -> Result<Value, Refusal> {
    check(model)?;
    let class = Class::of(model);
    let (Some(vocab_size), Some(context)) = (model.vocab_size, model.context) else {
        let field = if model.vocab_size.is_none() { "vocab_size" } else { "context" };
        let help = "a checkpoint that a training wrote says it; write it into `checkpoint.json`'s `config`";
        return Err(Refusal::new(field, format!("the model does not say its `{field}`"), help));
    };
    let (theta, scaling) = rotary(&model.rope, model.head_width());
    let mut parameters = scaling.clone().unwrap_or_else(|| BTreeMap::from([("rope_type", json!("default"))]));
    parameters.insert("rope_theta", json!(theta));
    let mut all = BTreeMap::from([
        ("architectures", json!([class.name()])),
        ("attention_dropout", json!(model.attention_dropout)),
        ("bos_token_id", json!(roles.bos)),
        ("dtype", json!(dtype)),
        ("eos_token_id", roles.eos()),
        ("head_dim", json!(model.head_width())),
        ("hidden_act", json!("silu")),
        ("hidden_size", json!(model.width)),
        ("initializer_range", json!(model.init_std)),
        ("intermediate_size", json!(model.ffn)),
        ("max_position_embeddings", json!(context)),
        ("model_type", json!(class.model_type())),
        ("num_attention_heads", json!(model.heads)),
        ("num_hidden_layers", json!(model.layers)),
        ("num_key_value_heads", json!(model.kv_heads())),
        ("pad_token_id", json!(roles.pad)),
        ("rms_norm_eps", json!(model.norm_eps)),
        ("rope_parameters", json!(parameters)),
        ("rope_scaling", json!(scaling)),
        ("rope_theta", json!(theta)),
        ("tie_word_embeddings", json!(model.tied)),
        ("torch_dtype", json!(dtype)),
        ("use_cache", json!(true)),
        ("vocab_size", json!(vocab_size)),
    ]);
    match class {
        Class::Llama => all.extend([("attention_bias", json!(false)), ("mlp_bias", json!(false))]),
        // Both sides count the token that asks: of a window of 2 it sees itself and the one before.
        Class::Mistral => _ = all.insert("sliding_window", json!(model.window)),
        Class::Qwen3 => {
            all.insert("attention_bias", json!(false));
            all.insert("sliding_window", json!(model.window));
            all.insert("use_sliding_window", json!(model.window.is_some()));
            // How many blocks at the start see everything.
            all.insert("max_window_layers", json!(if model.window.is_some() { 0 } else { model.layers }));
            let kind = if model.window.is_some() { "sliding_attention" } else { "full_attention" };
            all.insert("layer_types", json!(vec![kind; model.layers]));
        }
    }
    Ok(json!(all))
}

/// `generation_config.json`.
pub fn generation_config(roles: &Roles) -> Value {
    let all = BTreeMap::from([
        ("bos_token_id", json!(roles.bos)),
        ("eos_token_id", roles.eos()),
        ("pad_token_id", json!(roles.pad)),
    ]);
    json!(all.into_iter().filter(|(_, value)| !value.is_null()).collect::<BTreeMap<_, _>>())
}

/// `rope_theta`, and how it is scaled.
fn rotary(rope: &Rope, head_width: usize) -> (f64, Option<BTreeMap<&'static str, Value>>) {
    let scaling = &rope.scaling;
    let factor = || ("factor", json!(scaling.factor));
    match scaling.kind {
        ScalingKind::None => (rope.theta, None),
        // A larger base is all that it is. Their `dynamic` is another thing: it goes by the length of each text.
        ScalingKind::Ntk => (rope::ntk_theta(rope.theta, scaling.factor, head_width), None),
        ScalingKind::Linear => (rope.theta, Some(BTreeMap::from([("rope_type", json!("linear")), factor()]))),
        ScalingKind::Llama3 => {
            let llama3 = BTreeMap::from([
                ("rope_type", json!("llama3")),
                factor(),
                ("original_max_position_embeddings", json!(scaling.original_context)),
                ("high_freq_factor", json!(scaling.beta_fast)),
                ("low_freq_factor", json!(scaling.beta_slow)),
            ]);
            (rope.theta, Some(llama3))
        }
        ScalingKind::Yarn => {
            let mut yarn = BTreeMap::from([
                ("rope_type", json!("yarn")),
                factor(),
                ("original_max_position_embeddings", json!(scaling.original_context)),
                ("beta_fast", json!(scaling.beta_fast)),
                ("beta_slow", json!(scaling.beta_slow)),
            ]);
            if let Some(factor) = scaling.attention_factor {
                yarn.insert("attention_factor", json!(factor));
            }
            (rope.theta, Some(yarn))
        }
    }
}
