//! From `config.json` to a model. What a file says that our model cannot do is refused, whatever else it says.
use super::Class;
use crate::config::{Experts, Model, Rope, RopeScaling, ScalingKind};
use crate::exchange::Refusal;
use serde_json::Value;

/// What to do about a model that is none of the classes.
const CLASSES: &str =
    "`LlamaForCausalLM`, `MistralForCausalLM`, `Qwen3ForCausalLM` and `Qwen3MoeForCausalLM` can be read";
/// What a field may say, whatever the class: with any other value it is another model.
const MUST_BE: &[(&str, &[&str])] = &[
    ("hidden_act", &["\"silu\"", "\"swish\""]),
    ("attention_bias", &["false"]),
    ("mlp_bias", &["false"]),
    ("quantization_config", &[]),
    ("auto_map", &[]),
    ("partial_rotary_factor", &["1", "1.0"]),
];

/// The model of a `config.json`.
pub fn model(config: &Value) -> Result<Model, Refusal> {
    let class = class(config)?;
    for (field, may) in MUST_BE {
        let found = config.get(field).filter(|value| !value.is_null());
        if let Some(value) = found.filter(|value| !may.contains(&value.to_string().as_str())) {
            let help = match may.first() {
                Some(good) => format!("muse's models are those with `{field}` {good}"),
                None => format!("muse reads models without `{field}`"),
            };
            return Err(Refusal::new(*field, format!("`{field}` is {}", short(value)), help));
        }
    }
    let fields = Fields(config);
    let mut model = Model::new(
        fields.size("num_hidden_layers")?,
        fields.size("hidden_size")?,
        fields.size("num_attention_heads")?,
        fields.size("intermediate_size")?,
    );
    model.vocab_size = Some(fields.size("vocab_size")?);
    model.kv_heads = fields.optional("num_key_value_heads")?;
    model.head_width = fields.optional("head_dim")?;
    // What transformers takes where Qwen3's file says nothing.
    let qwen = matches!(class, Class::Qwen3 | Class::Qwen3Moe);
    if qwen && model.head_width.is_none() {
        model.head_width = Some(128);
    }
    model.context = Some(fields.size("max_position_embeddings")?);
    model.norm_eps = fields.number("rms_norm_eps", 1e-6)?;
    model.init_std = fields.number("initializer_range", 0.02)?;
    model.attention_dropout = fields.number("attention_dropout", 0.0)?;
    model.tied = fields.flag("tie_word_embeddings")?;
    model.qk_norm = qwen;
    if class == Class::Qwen3Moe {
        experts(&fields, &mut model)?;
    }
    model.window = window(class, &fields, model.layers)?;
    model.rope = rotary(&fields)?;
    match model.check().into_iter().next() {
        None => Ok(model),
        Some(problem) => Err(Refusal::new(problem.field(), problem.message, problem.help)),
    }
}

fn class(config: &Value) -> Result<Class, Refusal> {
    let said = config.get("model_type").unwrap_or(&Value::Null);
    let class = Class::READ.into_iter().find(|class| said == class.model_type());
    let Some(class) = class else {
        return Err(Refusal::new("model_type", format!("`model_type` is {}", short(said)), CLASSES));
    };
    let named = config.get("architectures").and_then(Value::as_array).and_then(|all| all.first());
    match named.filter(|name| **name != class.name()) {
        Some(name) => {
            Err(Refusal::new("architectures", format!("`architectures` says {}", short(name)), CLASSES))
        }
        None => Ok(class),
    }
}

/// The experts of Qwen3-MoE.
fn experts(fields: &Fields<'_>, model: &mut Model) -> Result<(), Refusal> {
    let sparse = fields.optional("decoder_sparse_step")?.unwrap_or(1);
    let dense = fields.0.get("mlp_only_layers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let at_the_start = dense.iter().enumerate().all(|(at, layer)| layer.as_u64() == Some(at as u64));
    if sparse != 1 || !at_the_start {
        let field = if sparse == 1 { "mlp_only_layers" } else { "decoder_sparse_step" };
        let help = "muse's models have experts in all blocks but for the first ones";
        return Err(Refusal::new(
            field,
            format!("`{field}` leaves blocks behind the first without experts"),
            help,
        ));
    }
    let width = fields.size("moe_intermediate_size")?;
    let mut experts = Experts::new(fields.size("num_experts")?, fields.size("num_experts_per_tok")?);
    experts.normed = fields.flag("norm_topk_prob")?.then_some(true);
    experts.balance = fields.number("router_aux_loss_coef", 0.001)?;
    experts.dense = dense.len();
    if experts.dense == 0 {
        model.ffn = width;
    } else {
        experts.width = Some(width);
    }
    model.experts = Some(experts);
    Ok(())
}

/// How many tokens attention sees, in every block alike.
fn window(class: Class, fields: &Fields<'_>, layers: usize) -> Result<Option<usize>, Refusal> {
    let wide = fields.optional("sliding_window")?;
    match class {
        Class::Llama | Class::DeepseekV3 => Ok(None),
        Class::Mistral => Ok(wide),
        Class::Qwen3 | Class::Qwen3Moe if !fields.flag("use_sliding_window")? => Ok(None),
        Class::Qwen3 | Class::Qwen3Moe => {
            let whole = fields.optional("max_window_layers")?.unwrap_or(28).min(layers);
            let sliding = match fields.0.get("layer_types").and_then(Value::as_array) {
                Some(kinds) => kinds.iter().filter(|kind| *kind == "sliding_attention").count(),
                None => layers - whole,
            };
            match (sliding, wide) {
                (0, _) | (_, None) => Ok(None),
                (sliding, wide) if sliding == layers => Ok(wide),
                _ => {
                    let message = format!("{sliding} of {layers} layers have a window");
                    let help = "muse's models have it in all of them, or in none";
                    Err(Refusal::new("layer_types", message, help))
                }
            }
        }
    }
}

fn rotary(fields: &Fields<'_>) -> Result<Rope, Refusal> {
    // As transformers 5 reads them: the older field comes first.
    let given =
        |name: &str| fields.0.get(name).filter(|value| value.as_object().is_some_and(|all| !all.is_empty()));
    let found = given("rope_scaling").map(|all| ("rope_scaling", all));
    let (name, inner) = match found.or(given("rope_parameters").map(|all| ("rope_parameters", all))) {
        Some((name, all)) => (name, Fields(all)),
        None => ("rope_parameters", Fields(&Value::Null)),
    };
    let theta = fields.number("rope_theta", Rope::default().theta)?;
    let mut rope = Rope { theta: inner.number("rope_theta", theta)?, scaling: RopeScaling::default() };
    let kind = inner.0.get("rope_type").or(inner.0.get("type")).and_then(Value::as_str).unwrap_or("default");
    rope.scaling.kind = match kind {
        "default" => ScalingKind::None,
        "linear" => ScalingKind::Linear,
        "yarn" => ScalingKind::Yarn,
        "llama3" => ScalingKind::Llama3,
        other => {
            let help = "muse's models have `default`, `linear`, `yarn` and `llama3`";
            return Err(Refusal::new(name, format!("`rope_type` is `{other}`"), help));
        }
    };
    // What changes angles and has no field here.
    for (field, usual) in [("mscale", 0.0), ("mscale_all_dim", 0.0), ("partial_rotary_factor", 1.0)] {
        let value = inner.number(field, usual)?;
        if value != usual {
            let help = format!("muse's models are those without `{field}`");
            return Err(Refusal::new(name, format!("`{name}.{field}` is {value}"), help));
        }
    }
    if inner.0.get("truncate").is_some_and(|truncate| truncate == false) {
        let message = format!("`{name}.truncate` is false");
        return Err(Refusal::new(name, message, "muse's ramp of YaRN begins and ends at whole pairs"));
    }
    if rope.scaling.kind == ScalingKind::None {
        return Ok(rope);
    }
    rope.scaling.factor = inner.needed_number(name, "factor")?;
    if rope.scaling.kind == ScalingKind::Yarn {
        let usual = RopeScaling::default();
        let original = inner.optional("original_max_position_embeddings")?;
        rope.scaling.original_context = Some(match original {
            Some(original) => original,
            None => fields.size("max_position_embeddings")?,
        });
        rope.scaling.beta_fast = inner.number("beta_fast", usual.beta_fast)?;
        rope.scaling.beta_slow = inner.number("beta_slow", usual.beta_slow)?;
        rope.scaling.attention_factor = inner.maybe_number("attention_factor")?;
    }
    if rope.scaling.kind == ScalingKind::Llama3 {
        rope.scaling.original_context = Some(inner.size("original_max_position_embeddings")?);
        rope.scaling.beta_fast = inner.needed_number(name, "high_freq_factor")?;
        rope.scaling.beta_slow = inner.needed_number(name, "low_freq_factor")?;
    }
    Ok(rope)
}

/// Fields of a file that others wrote.
struct Fields<'a>(&'a Value);

impl Fields<'_> {
    fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn size(&self, field: &str) -> Result<usize, Refusal> {
        self.optional(field)?.ok_or_else(|| {
            let help = "muse takes no default for it: those of classes differ";
            Refusal::new(field, format!("there is no `{field}`"), help)
        })
    }

    fn optional(&self, field: &str) -> Result<Option<usize>, Refusal> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let whole = value.as_u64().and_then(|number| usize::try_from(number).ok());
        whole.map(Some).ok_or_else(|| strange(field, value, "a whole number"))
    }

    fn number(&self, field: &str, usual: f64) -> Result<f64, Refusal> {
        Ok(self.maybe_number(field)?.unwrap_or(usual))
    }

    fn maybe_number(&self, field: &str) -> Result<Option<f64>, Refusal> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| strange(field, value, "a number"))
    }

    fn needed_number(&self, within: &str, field: &str) -> Result<f64, Refusal> {
        let missing = || Refusal::new(within, format!("`{within}` has no `{field}`"), "scaling needs it");
        self.maybe_number(field)?.ok_or_else(missing)
    }

    fn flag(&self, field: &str) -> Result<bool, Refusal> {
        let Some(value) = self.get(field) else { return Ok(false) };
        value.as_bool().ok_or_else(|| strange(field, value, "true or false"))
    }
}

fn strange(field: &str, value: &Value, wanted: &str) -> Refusal {
    Refusal::new(field, format!("`{field}` is {}", short(value)), format!("it should be {wanted}"))
}

/// A value as errors show it.
fn short(value: &Value) -> String {
    match value {
        Value::Null => "not there".into(),
        Value::Object(_) => "an object".into(),
        Value::Array(_) => "a list".into(),
        Value::String(text) => format!("`{}`", text.chars().take(64).collect::<String>()),
        other => other.to_string(),
    }
}
