//! GGUF, the format of llama.cpp: a model's keys, the names of its tensors, and the order of rows that its Llama wants.
use super::{Refusal, check_plain};
use crate::config::{Model, Rope, RopeScaling, ScalingKind, rope};

/// A value of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A size.
    U32(u32),
    /// A number.
    F32(f32),
    /// A text.
    Text(String),
}

/// What to do about a model that llama.cpp has no words for.
const ELSE: &str = "`format: hf` and `format: muse` hold it as it is";

/// What `general.architecture` says: which of llama.cpp's models it is.
pub fn architecture(model: &Model) -> &'static str {
    if model.qk_norm { "qwen3" } else { "llama" }
}

/// The keys that say what a model is. Its sizes must be known.
pub fn keys(model: &Model) -> Result<Vec<(String, Value)>, Refusal> {
    let size = |field: &str, value: Option<usize>| {
        let whole = value.and_then(|value| u32::try_from(value).ok());
        whole.map(Value::U32).ok_or_else(|| {
            let message = format!("the model does not say its `{field}`, or it is beyond 32 bits");
            Refusal::new(field, message, "a checkpoint that a training wrote says it")
        })
    };
    check(model)?;
    let mut all = vec![
        ("context_length", size("context", model.context)?),
        ("embedding_length", size("width", Some(model.width))?),
        ("block_count", size("layers", Some(model.layers))?),
        ("feed_forward_length", size("ffn", Some(model.ffn))?),
        ("attention.head_count", size("heads", Some(model.heads))?),
        ("attention.head_count_kv", size("kv_heads", Some(model.kv_heads()))?),
        ("attention.key_length", size("head_width", Some(model.head_width()))?),
        ("attention.value_length", size("head_width", Some(model.head_width()))?),
        ("attention.layer_norm_rms_epsilon", Value::F32(model.norm_eps as f32)),
        ("rope.dimension_count", size("head_width", Some(model.head_width()))?),
        ("vocab_size", size("vocab_size", model.vocab_size)?),
    ];
    let scaling = &model.rope.scaling;
    let ntk = || rope::ntk_theta(model.rope.theta, scaling.factor, model.head_width());
    let theta = if scaling.kind == ScalingKind::Ntk { ntk() } else { model.rope.theta };
    all.push(("rope.freq_base", Value::F32(theta as f32)));
    let kind = match scaling.kind {
        // `llama3` is said by a tensor.
        ScalingKind::None | ScalingKind::Ntk | ScalingKind::Llama3 => None,
        ScalingKind::Linear => Some("linear"),
        ScalingKind::Yarn => Some("yarn"),
    };
    if let Some(kind) = kind {
        all.push(("rope.scaling.type", Value::Text(kind.into())));
        all.push(("rope.scaling.factor", Value::F32(scaling.factor as f32)));
    }
    if scaling.kind == ScalingKind::Yarn {
        all.push((
            "rope.scaling.original_context_length",
            size("original_context", scaling.original_context)?,
        ));
        // llama.cpp multiplies what the paper has by this.
        if let Some(own) = scaling.attention_factor {
            let usual = 0.1 * scaling.factor.max(1.0).ln() + 1.0;
            all.push(("rope.scaling.attn_factor", Value::F32((own / usual) as f32)));
        }
    }
    let architecture = architecture(model);
    Ok(all.into_iter().map(|(key, value)| (format!("{architecture}.{key}"), value)).collect())
}

/// Refuses what llama.cpp's Llama and Qwen3 do not do.
pub fn check(model: &Model) -> Result<(), Refusal> {
    check_plain(model)?;
    // Where a text never leaves the window there is none. What is not known fits.
    let narrow = model.window.filter(|window| model.context.is_some_and(|context| *window < context));
    if let Some(window) = narrow {
        let message = format!("a window of {window}, which llama.cpp's Llama and Qwen3 do not have");
        return Err(Refusal::new("window", message, ELSE));
    }
    if model.rope.scaling.kind == ScalingKind::Llama3 && model.qk_norm {
        let message = "positions by `llama3`, which llama.cpp's Qwen3 does not have";
        return Err(Refusal::new("rope.scaling.kind", message, ELSE));
    }
    let RopeScaling { kind, beta_fast, beta_slow, .. } = model.rope.scaling;
    if kind == ScalingKind::Yarn {
        let usual = RopeScaling::default();
        if (beta_fast, beta_slow) != (usual.beta_fast, usual.beta_slow) {
            let message =
                format!("YaRN with betas of {beta_fast} and {beta_slow}: llama.cpp has 32 and 1 here");
            return Err(Refusal::new("rope.scaling.beta_fast", message, ELSE));
        }
        let (low, high) = rope::ramp(&model.rope, model.head_width());
        if low > high {
            let message = "an original context so short that llama.cpp's ramp of YaRN is another";
            return Err(Refusal::new("rope.scaling.original_context", message, ELSE));
        }
    }
    Ok(())
}

/// A tensor that llama.cpp's Llama has beside the weights, where positions are scaled by `llama3`: how many times slower each pair
/// of a head's numbers turns.
pub fn slower_pairs(model: &Model) -> Option<(&'static str, Vec<f32>)> {
    let Rope { theta, scaling } = &model.rope;
    let width = model.head_width();
    let plain = Rope { theta: *theta, ..Rope::default() };
    let slower =
        rope::frequencies(&plain, width).0.into_iter().map(|turn| rope::slowed(scaling, turn) as f32);
    (scaling.kind == ScalingKind::Llama3).then(|| ("rope_freqs.weight", slower.collect()))
}

/// What llama.cpp calls a tensor of ours; `None` where it is none of a model's.
pub fn tensor_name(name: &str) -> Option<String> {
    match name {
        "model.embed_tokens.weight" => return Some("token_embd.weight".into()),
        "model.norm.weight" => return Some("output_norm.weight".into()),
        "lm_head.weight" => return Some("output.weight".into()),
        _ => {}
    }
    let (block, part) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let part = match part.strip_suffix(".weight")? {
        "input_layernorm" => "attn_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "post_attention_layernorm" => "ffn_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        _ => return None,
    };
    Some(format!("blk.{block}.{part}.weight"))
}

/// The order in which llama.cpp wants the rows of a tensor, as numbers of our rows; `None` where it is ours.
///
/// Positions turn pairs of a head's numbers. We and Qwen3 pair the first half with the second, llama.cpp's Llama neighbours.
pub fn rows(model: &Model, name: &str) -> Option<Vec<usize>> {
    let heads = match name.strip_suffix(".weight")?.rsplit_once('.')?.1 {
        "q_proj" => model.heads,
        "k_proj" => model.kv_heads(),
        _ => return None,
    };
    if architecture(model) != "llama" {
        return None;
    }
    let width = model.head_width();
    let row = |at: usize| {
        let (head, within) = (at / width, at % width);
        head * width + within % 2 * (width / 2) + within / 2
    };
    Some((0..heads * width).map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Weight;

    fn llama() -> Model {
        let mut model = Model::new(2, 64, 4, 96);
        (model.qk_norm, model.vocab_size, model.context) = (false, Some(100), Some(32));
        model
    }

    fn value(model: &Model, key: &str) -> Option<Value> {
        keys(model).unwrap().into_iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    #[test]
    fn keys_say_the_sizes_and_the_positions() {
        let mut model = llama();
        (model.kv_heads, model.head_width) = (Some(2), Some(24));
        let size = |key: &str| value(&model, key);
        assert_eq!(size("llama.block_count"), Some(Value::U32(2)));
        assert_eq!(size("llama.attention.head_count_kv"), Some(Value::U32(2)));
        assert_eq!(size("llama.attention.key_length"), Some(Value::U32(24)));
        assert_eq!(size("llama.rope.freq_base"), Some(Value::F32(10_000.0)));
        assert_eq!(size("llama.rope.scaling.type"), None);
        model.qk_norm = true;
        assert_eq!(value(&model, "qwen3.embedding_length"), Some(Value::U32(64)));
        model.context = None;
        assert_eq!(keys(&model).unwrap_err().field, "context");
    }

    #[test]
    fn scaling_is_said_in_their_words() {
        let mut model = llama();
        model.rope = Rope { theta: 1e4, scaling: RopeScaling { factor: 4.0, ..RopeScaling::default() } };
        model.rope.scaling.kind = ScalingKind::Linear;
        assert_eq!(value(&model, "llama.rope.scaling.type"), Some(Value::Text("linear".into())));
        assert_eq!(value(&model, "llama.rope.scaling.factor"), Some(Value::F32(4.0)));
        model.rope.scaling.kind = ScalingKind::Ntk;
        let theta = 1e4_f64 * 4_f64.powf(16.0 / 14.0);
        assert_eq!(value(&model, "llama.rope.freq_base"), Some(Value::F32(theta as f32)));
        assert_eq!(value(&model, "llama.rope.scaling.type"), None);
        model.rope.scaling.kind = ScalingKind::Yarn;
        model.rope.scaling.original_context = Some(64);
        assert_eq!(value(&model, "llama.rope.scaling.original_context_length"), Some(Value::U32(64)));
        assert_eq!(value(&model, "llama.rope.scaling.attn_factor"), None);
        model.rope.scaling.attention_factor = Some(2.0 * (0.1 * 4_f64.ln() + 1.0));
        assert_eq!(value(&model, "llama.rope.scaling.attn_factor"), Some(Value::F32(2.0)));
    }

    #[test]
    fn llama3_is_a_tensor_of_how_much_slower_pairs_turn() {
        let mut model = llama();
        assert_eq!(slower_pairs(&model), None);
        model.head_width = Some(8);
        model.rope.scaling = RopeScaling {
            kind: ScalingKind::Llama3,
            factor: 8.0,
            original_context: Some(128),
            beta_fast: 4.0,
            ..RopeScaling::default()
        };
        // Within 128 tokens the pairs turn 20.4, 2.04, 0.2 and 0.02 times; of the second a share of 1.037 / 3 stays as it is.
        let share = (128.0 * 0.1 / std::f64::consts::TAU - 1.0) / 3.0;
        let second = (1.0 / ((1.0 - share) / 8.0 + share)) as f32;
        assert_eq!(slower_pairs(&model), Some(("rope_freqs.weight", vec![1.0, second, 8.0, 8.0])));
        assert_eq!(value(&model, "llama.rope.scaling.type"), None);
        model.qk_norm = true;
        assert_eq!(check(&model).unwrap_err().field, "rope.scaling.kind");
    }

    #[test]
    fn what_llama_cpp_does_not_do_is_refused() {
        let refused = |change: &dyn Fn(&mut Model)| {
            let mut model = llama();
            change(&mut model);
            check(&model).err().map(|refusal| refusal.field)
        };
        assert_eq!(refused(&|_| ()), None);
        assert_eq!(refused(&|model| model.window = Some(31)).as_deref(), Some("window"));
        assert_eq!(refused(&|model| model.window = Some(32)), None, "no text leaves it");
        assert_eq!(refused(&|model| (model.window, model.context) = (Some(8), None)), None, "not known yet");
        let yarn = |original: usize, fast: f64| {
            refused(&move |model| {
                model.rope.scaling = RopeScaling {
                    kind: ScalingKind::Yarn,
                    factor: 4.0,
                    original_context: Some(original),
                    beta_fast: fast,
                    ..RopeScaling::default()
                };
            })
        };
        assert_eq!(yarn(64, 32.0), None);
        assert_eq!(yarn(64, 16.0).as_deref(), Some("rope.scaling.beta_fast"));
        assert_eq!(yarn(1, 32.0).as_deref(), Some("rope.scaling.original_context"));
    }

    #[test]
    fn every_weight_has_a_name_of_its_own() {
        for qk_norm in [false, true] {
            let mut model = llama();
            model.qk_norm = qk_norm;
            let all = Weight::all(&model.shape(0, 0));
            let mut names: Vec<_> = all.iter().map(|weight| tensor_name(&weight.name).unwrap()).collect();
            assert!(names.contains(&"blk.1.attn_output.weight".to_owned()));
            names.sort();
            names.dedup();
            assert_eq!(names.len(), all.len());
        }
        for strange in ["model.layers.0.self_attn.q_proj.bias", "model.layers.0.rotary.weight", "x"] {
            assert_eq!(tensor_name(strange), None);
        }
    }

    #[test]
    fn llamas_queries_and_keys_stand_in_neighbouring_pairs() {
        let mut model = llama();
        (model.width, model.heads, model.kv_heads) = (12, 2, Some(1));
        let q = "model.layers.0.self_attn.q_proj.weight";
        assert_eq!(rows(&model, q).unwrap(), [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
        assert_eq!(rows(&model, &q.replace("q_proj", "k_proj")).unwrap(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(rows(&model, &q.replace("q_proj", "v_proj")), None);
        model.qk_norm = true;
        assert_eq!(rows(&model, q), None);
    }
}
