//! From a model to `config.json` and `generation_config.json`.
use super::Class;
use crate::config::{Experts, Model, Rope, ScalingKind, rope};
use crate::exchange::Refusal;
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
    Class::of(model).map(|_| ())
}

/// `config.json` of a model whose sizes are all known. `dtype` is that of the tensors, as torch names it.
///
/// Rotary positions and the type stand twice, as transformers 5 and as 4 and others read them.
pub fn config(model: &Model, roles: &Roles, dtype: &str) -> Result<Value, Refusal> {
    let class = Class::of(model)?;
    let (Some(vocab_size), Some(context)) = (model.vocab_size, model.context) else {
        let field = if model.vocab_size.is_none() { "vocab_size" } else { "context" };
        let help = "a checkpoint that a training wrote says it; write it into `checkpoint.json`'s `config`";
        return Err(Refusal::new(field, format!("the model does not say its `{field}`"), help));
    };
    let turned =
        if class == Class::DeepseekV3 { model.shape(1, 1).mla().rope_width } else { model.head_width() };
    let (theta, scaling) = rotary(&model.rope, turned);
    let mut parameters = scaling.clone().unwrap_or_else(|| BTreeMap::from([("rope_type", json!("default"))]));
    parameters.insert("rope_theta", json!(theta));
    let mut all = BTreeMap::from([
        ("architectures", json!([class.name()])),
        ("attention_dropout", json!(model.attention_dropout)),
        ("bos_token_id", json!(roles.bos)),
        ("dtype", json!(dtype)),
        ("eos_token_id", roles.eos()),
        ("head_dim", json!(turned)),
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
        Class::Qwen3 | Class::Qwen3Moe => {
            all.insert("attention_bias", json!(false));
            all.insert("sliding_window", json!(model.window));
            all.insert("use_sliding_window", json!(model.window.is_some()));
            // How many blocks at the start see everything.
            all.insert("max_window_layers", json!(if model.window.is_some() { 0 } else { model.layers }));
            let kind = if model.window.is_some() { "sliding_attention" } else { "full_attention" };
            all.insert("layer_types", json!(vec![kind; model.layers]));
        }
        Class::DeepseekV3 => all.extend(latent(model)),
    }
    if let Some(experts) = model.experts {
        all.extend(of_experts(model, experts, class));
    }
    Ok(json!(all))
}

/// What says how large DeepSeek's latent attention is, and that pairs which positions turn stand side by side.
fn latent(model: &Model) -> BTreeMap<&'static str, Value> {
    let mla = model.shape(1, 1).mla();
    BTreeMap::from([
        ("attention_bias", json!(false)),
        // All blocks are dense where nothing else is said.
        ("first_k_dense_replace", json!(model.layers)),
        ("kv_lora_rank", json!(mla.rank)),
        ("num_key_value_heads", json!(model.heads)),
        ("q_lora_rank", json!(mla.query_rank)),
        ("qk_head_dim", json!(mla.key_width())),
        ("qk_nope_head_dim", json!(mla.nope_width)),
        ("qk_rope_head_dim", json!(mla.rope_width)),
        ("rope_interleave", json!(true)),
        ("v_head_dim", json!(model.head_width())),
    ])
}

/// What says which experts there are.
fn of_experts(model: &Model, experts: Experts, class: Class) -> BTreeMap<&'static str, Value> {
    let mut all = BTreeMap::from([
        ("moe_intermediate_size", json!(model.shape(1, 1).of_experts())),
        ("norm_topk_prob", json!(experts.normed())),
        ("num_experts_per_tok", json!(experts.chosen)),
    ]);
    if class == Class::DeepseekV3 {
        all.extend([
            ("first_k_dense_replace", json!(experts.dense)),
            ("n_group", json!(experts.groups)),
            ("n_routed_experts", json!(experts.count)),
            ("n_shared_experts", json!(experts.shared)),
            ("routed_scaling_factor", json!(experts.scale)),
            ("scoring_func", json!("sigmoid")),
            ("topk_group", json!(experts.chosen_groups())),
            ("topk_method", json!("noaux_tc")),
        ]);
    } else {
        all.extend([
            ("decoder_sparse_step", json!(1)),
            ("mlp_only_layers", json!((0..experts.dense).collect::<Vec<_>>())),
            ("num_experts", json!(experts.count)),
            ("output_router_logits", json!(false)),
            ("router_aux_loss_coef", json!(experts.balance)),
        ]);
    }
    all
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
