//! Configurations of each class, as they are written and as they are read.
use super::*;
use crate::config::{Experts, Gate, Mixer, Mixers, Mla, Rope, RopeScaling, ScalingKind, rope};
use serde_json::{Value, json};

fn small(qk_norm: bool, window: Option<usize>) -> Model {
    let mut model = Model::new(2, 64, 4, 96);
    (model.vocab_size, model.context, model.kv_heads) = (Some(104), Some(32), Some(2));
    (model.qk_norm, model.window) = (qk_norm, window);
    // What models that were read have.
    model.head_width = Some(16);
    model
}

fn roles() -> Roles {
    Roles { bos: None, eos: vec![2, 0], pad: Some(3) }
}

fn written(model: &Model) -> Value {
    config(model, &roles(), "bfloat16").unwrap()
}

fn refused(config: &Value, change: Value) -> String {
    let mut config = config.clone();
    config.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let refusal = model(&config).unwrap_err();
    assert!(!refusal.message.is_empty() && !refusal.help.is_empty());
    refusal.field
}

#[test]
fn each_class_says_what_it_is() {
    let expected = json!({
        "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": null,
        "dtype": "bfloat16", "eos_token_id": [2, 0], "head_dim": 16, "hidden_act": "silu", "hidden_size": 64,
        "initializer_range": 0.02, "intermediate_size": 96, "max_position_embeddings": 32, "mlp_bias": false,
        "model_type": "llama", "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2,
        "pad_token_id": 3, "rms_norm_eps": 1e-6, "rope_parameters": { "rope_theta": 10000.0, "rope_type": "default" },
        "rope_scaling": null, "rope_theta": 10000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "use_cache": true, "vocab_size": 104,
    });
    assert_eq!(written(&small(false, None)), expected);
    let mistral = written(&small(false, Some(8)));
    assert_eq!(mistral["architectures"], json!(["MistralForCausalLM"]));
    assert_eq!((&mistral["model_type"], &mistral["sliding_window"]), (&json!("mistral"), &json!(8)));
    assert_eq!(mistral.get("attention_bias"), None);
    let qwen = written(&small(true, None));
    assert_eq!(qwen["architectures"], json!(["Qwen3ForCausalLM"]));
    assert_eq!((&qwen["use_sliding_window"], &qwen["sliding_window"]), (&json!(false), &Value::Null));
    assert_eq!(qwen["layer_types"], json!(["full_attention", "full_attention"]));
    let windowed = written(&small(true, Some(8)));
    assert_eq!((&windowed["use_sliding_window"], &windowed["sliding_window"]), (&json!(true), &json!(8)));
    assert_eq!(windowed["layer_types"], json!(["sliding_attention", "sliding_attention"]));
    assert_eq!(windowed["max_window_layers"], json!(0));
}

#[test]
fn a_width_that_llamas_file_does_not_take_is_a_mistral_without_a_window() {
    let mut model = small(false, None);
    (model.width, model.heads, model.kv_heads) = (60, 8, Some(4));
    let config = written(&model);
    assert_eq!((&config["model_type"], &config["sliding_window"]), (&json!("mistral"), &Value::Null));
    assert_eq!(super::model(&config).unwrap(), model);
}

#[test]
fn what_is_written_is_read_as_the_same_model() {
    let scaled = |kind, factor| RopeScaling { kind, factor, ..RopeScaling::default() };
    let yarn = RopeScaling { original_context: Some(8), ..scaled(ScalingKind::Yarn, 4.0) };
    let own = RopeScaling { beta_fast: 16.0, beta_slow: 2.0, attention_factor: Some(1.25), ..yarn.clone() };
    let llama3 = RopeScaling {
        original_context: Some(8),
        beta_fast: 4.0,
        beta_slow: 1.5,
        ..scaled(ScalingKind::Llama3, 4.0)
    };
    for scaling in [RopeScaling::default(), scaled(ScalingKind::Linear, 2.5), yarn, own, llama3] {
        for (qk_norm, window) in [(false, None), (false, Some(8)), (true, None), (true, Some(8))] {
            let mut model = small(qk_norm, window);
            (model.tied, model.norm_eps, model.init_std, model.attention_dropout) =
                (window.is_some(), 1e-5, 0.01, 0.1);
            model.rope = Rope { theta: 5e5, scaling: scaling.clone() };
            let config = written(&model);
            assert_eq!(super::model(&config).unwrap(), model);
            assert_eq!(written(&super::model(&config).unwrap()), config);
            // Others read one of the two.
            let mut old = config.clone();
            old.as_object_mut().unwrap().remove("rope_parameters");
            assert_eq!(super::model(&old).unwrap(), model);
            let mut new = config;
            new.as_object_mut()
                .unwrap()
                .retain(|field, _| !["rope_scaling", "rope_theta"].contains(&&**field));
            assert_eq!(super::model(&new).unwrap(), model);
        }
    }
}

#[test]
fn ntk_is_a_larger_theta() {
    let mut model = small(false, None);
    model.rope.scaling = RopeScaling { kind: ScalingKind::Ntk, factor: 4.0, ..RopeScaling::default() };
    let config = written(&model);
    assert_eq!(config["rope_scaling"], Value::Null);
    let read = super::model(&config).unwrap();
    assert_eq!(read.rope.scaling, RopeScaling::default());
    assert_eq!(rope::frequencies(&read.rope, 16), rope::frequencies(&model.rope, 16));
}

#[test]
fn sizes_that_are_not_known_are_asked_for() {
    let mut model = small(false, None);
    model.vocab_size = None;
    assert_eq!(config(&model, &roles(), "float32").unwrap_err().field, "vocab_size");
}

#[test]
fn generation_ends_with_any_of_the_tokens() {
    let all = generation_config(&roles());
    assert_eq!(all, json!({ "eos_token_id": [2, 0], "pad_token_id": 3 }));
    let one = Roles { bos: Some(1), eos: vec![7], pad: None };
    assert_eq!(generation_config(&one), json!({ "bos_token_id": 1, "eos_token_id": 7 }));
    assert_eq!(generation_config(&Roles::default()), json!({}));
}

#[test]
fn other_models_are_refused_by_the_field_that_makes_them_so() {
    let llama = written(&small(false, None));
    for (change, field) in [
        (json!({ "model_type": "gemma3" }), "model_type"),
        (json!({ "model_type": null }), "model_type"),
        (json!({ "architectures": ["LlamaForSequenceClassification"] }), "architectures"),
        (json!({ "hidden_act": "gelu" }), "hidden_act"),
        (json!({ "attention_bias": true }), "attention_bias"),
        (json!({ "mlp_bias": true }), "mlp_bias"),
        (json!({ "quantization_config": { "bits": 4 } }), "quantization_config"),
        (json!({ "auto_map": { "AutoModel": "x.py" } }), "auto_map"),
        (json!({ "partial_rotary_factor": 0.5 }), "partial_rotary_factor"),
        (json!({ "rope_scaling": { "rope_type": "longrope", "factor": 8.0 } }), "rope_scaling"),
        (
            json!({ "rope_scaling": { "rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192 } }),
            "rope_scaling",
        ),
        (
            json!({ "rope_scaling": { "rope_type": "llama3", "factor": 8.0 } }),
            "original_max_position_embeddings",
        ),
        (json!({ "rope_scaling": { "type": "dynamic", "factor": 8.0 } }), "rope_scaling"),
        (json!({ "rope_scaling": { "rope_type": "linear" } }), "rope_scaling"),
        (
            json!({ "rope_scaling": { "rope_type": "yarn", "factor": 2.0, "truncate": false } }),
            "rope_scaling",
        ),
        (json!({ "rope_scaling": { "rope_type": "yarn", "factor": 2.0, "mscale": 0.7 } }), "rope_scaling"),
        (json!({ "hidden_size": "64" }), "hidden_size"),
        (json!({ "vocab_size": null }), "vocab_size"),
        (json!({ "num_key_value_heads": 3 }), "kv_heads"),
        (json!({ "tie_word_embeddings": 1 }), "tie_word_embeddings"),
    ] {
        assert_eq!(refused(&llama, change.clone()), field, "{change}");
    }
    let qwen = written(&small(true, Some(8)));
    let mixed = json!({ "layer_types": ["sliding_attention", "full_attention"] });
    assert_eq!(refused(&qwen, mixed), "layer_types");
    let some = json!({ "layer_types": null, "max_window_layers": 1 });
    assert_eq!(refused(&qwen, some), "layer_types");
}

#[test]
fn files_of_older_days_are_read() {
    let mut config = written(&small(true, Some(8)));
    let fields = config.as_object_mut().unwrap();
    fields.retain(|field, _| {
        !["layer_types", "rope_parameters", "rope_scaling", "head_dim"].contains(&&**field)
    });
    fields.insert("max_window_layers".into(), json!(2));
    fields.insert("rope_scaling".into(), json!({ "type": "linear", "factor": 2 }));
    let model = super::model(&config).unwrap();
    assert_eq!((model.window, model.head_width), (None, Some(128)), "no layer is behind the second");
    assert_eq!((model.rope.scaling.kind, model.rope.scaling.factor), (ScalingKind::Linear, 2.0));
    // As transformers has it, YaRN without its own context goes by the longest.
    let fields = config.as_object_mut().unwrap();
    fields.insert("rope_scaling".into(), json!({ "type": "yarn", "factor": 2 }));
    assert_eq!(super::model(&config).unwrap().rope.scaling.original_context, Some(32));
}

fn with_experts(experts: Experts) -> Model {
    Model { experts: Some(experts), ..small(true, None) }
}

fn latent(mla: Mla) -> Model {
    Model { mixers: Some(Mixers::all(Mixer::Mla)), mla: Some(mla), kv_heads: None, ..small(true, None) }
}

const MLA: Mla =
    Mla { rank: 24, value_rank: None, query_rank: None, nope_width: 10, rope_width: 6, bias: false };

#[test]
fn experts_behind_attention_are_qwens_and_read_as_the_same_model() {
    for experts in [
        Experts::new(6, 2),
        Experts { dense: 1, width: Some(40), normed: Some(true), balance: 0.001, ..Experts::new(6, 3) },
    ] {
        let model = with_experts(experts);
        let config = written(&model);
        assert_eq!(config["architectures"], json!(["Qwen3MoeForCausalLM"]));
        assert_eq!(
            (&config["num_experts"], &config["num_experts_per_tok"]),
            (&json!(6), &json!(experts.chosen))
        );
        assert_eq!(config["moe_intermediate_size"], json!(experts.width.unwrap_or(96)));
        assert_eq!(config["mlp_only_layers"], json!((0..experts.dense).collect::<Vec<_>>()));
        assert_eq!(super::model(&config).unwrap(), model);
        assert_eq!(refused(&config, json!({ "decoder_sparse_step": 2 })), "decoder_sparse_step");
        assert_eq!(refused(&config, json!({ "mlp_only_layers": [1] })), "mlp_only_layers");
        assert_eq!(refused(&config, json!({ "num_experts": null })), "num_experts");
        assert_eq!(refused(&config, json!({ "num_experts_per_tok": 7 })), "experts.chosen");
    }
}

#[test]
fn latent_attention_is_deepseeks() {
    let experts = Experts {
        gate: Gate::Sigmoid,
        shared: 2,
        dense: 1,
        width: Some(48),
        scale: 2.5,
        groups: 4,
        chosen_groups: Some(2),
        bias_rate: 1e-3,
        ..Experts::new(8, 3)
    };
    let model = Model { experts: Some(experts), ..latent(Mla { query_rank: Some(20), ..MLA }) };
    let config = written(&model);
    assert_eq!(config["architectures"], json!(["DeepseekV3ForCausalLM"]));
    for (field, value) in [
        ("q_lora_rank", json!(20)),
        ("kv_lora_rank", json!(24)),
        ("qk_nope_head_dim", json!(10)),
        ("qk_rope_head_dim", json!(6)),
        ("v_head_dim", json!(16)),
        ("num_key_value_heads", json!(4)),
        ("first_k_dense_replace", json!(1)),
        ("n_routed_experts", json!(8)),
        ("n_shared_experts", json!(2)),
        ("moe_intermediate_size", json!(48)),
        ("routed_scaling_factor", json!(2.5)),
        ("norm_topk_prob", json!(true)),
        ("n_group", json!(4)),
        ("topk_group", json!(2)),
    ] {
        assert_eq!(config[field], value, "{field}");
    }
    assert_eq!(refused(&config, json!({})), "model_type", "it is laid out in another way, and not read");
    let dense = written(&latent(MLA));
    assert_eq!((&dense["first_k_dense_replace"], &dense["q_lora_rank"]), (&json!(2), &Value::Null));
}

#[test]
fn what_no_class_has_is_refused_by_its_field() {
    let field = |model: Model| check(&model).unwrap_err().field;
    let eight = Experts::new(8, 2);
    for (change, right) in [
        (Experts { gate: Gate::Sigmoid, ..eight }, "experts.gate"),
        (Experts { shared: 1, ..eight }, "experts.shared"),
        (Experts { groups: 2, chosen_groups: Some(1), ..eight }, "experts.groups"),
        (Experts { scale: 2.0, ..eight }, "experts.scale"),
        (Experts { bias_rate: 0.1, ..eight }, "experts.bias_rate"),
    ] {
        assert_eq!(field(with_experts(change)), right);
    }
    assert_eq!(field(Model { qk_norm: false, ..with_experts(eight) }), "qk_norm");
    assert_eq!(field(Model { head_bias: true, ..small(true, None) }), "head_bias");
    let mixed = |mixer| Model {
        mixers: Some(vec![mixer, Mixer::Attention].try_into().unwrap()),
        ..small(true, None)
    };
    assert_eq!(field(mixed(Mixer::Bk)), "mixers");
    assert_eq!(field(Model { mla: Some(MLA), ..mixed(Mixer::Mla) }), "mixers");
    assert_eq!(field(latent(Mla { value_rank: Some(9), ..MLA })), "mla.value_rank");
    assert_eq!(field(latent(Mla { bias: true, ..MLA })), "mla.bias");
    assert_eq!(field(Model { qk_norm: false, ..latent(MLA) }), "qk_norm");
    assert_eq!(field(Model { norm_eps: 1e-5, ..latent(MLA) }), "norm_eps");
    assert_eq!(field(Model { window: Some(8), ..latent(MLA) }), "window");
    let own = Experts { gate: Gate::Sigmoid, shared: 1, ..eight };
    assert_eq!(check(&Model { experts: Some(own), ..latent(MLA) }), Ok(()));
    for (change, right) in [
        (Experts { gate: Gate::Softmax, ..own }, "experts.gate"),
        (Experts { shared: 0, ..own }, "experts.shared"),
        (Experts { groups: 2, chosen_groups: Some(1), ..own }, "experts.groups"),
    ] {
        assert_eq!(field(Model { experts: Some(change), ..latent(MLA) }), right);
    }
    let gguf = crate::exchange::gguf::check(&with_experts(eight)).unwrap_err();
    assert_eq!(gguf.field, "experts");
}
