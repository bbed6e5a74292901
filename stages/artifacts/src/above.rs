//! What artifacts will be, as far as the stages above say before anything runs.
use muse_stage::{Above, Given};
use serde_json::{Value, json};

/// What packed tokens will be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// How many tokens the tokenizer has.
    pub vocab_size: Option<usize>,
    /// How many tokens a sequence has.
    pub context: Option<usize>,
    /// Of chats only what the assistant says carries loss.
    pub masked: Option<bool>,
}

impl Data {
    /// That at the port `data`.
    pub fn of(above: &Above<'_>) -> Self {
        let whole = |value: &Value| value.as_u64().and_then(|number| usize::try_from(number).ok());
        let Some(packed) = above.port("data").into_iter().find(|given| given.kind == "pack") else {
            return Self::default();
        };
        // Only these give as many tokens as they are asked for; others have what their text has.
        let exact = |value: &Value| ["bpe", "unigram"].contains(&value.as_str().unwrap_or_default());
        let tokenizers = packed.port("tokenizer").into_iter();
        let mut trained =
            tokenizers.filter(|given| given.kind == "tokenizer" && exact(&given.params["algorithm"]));
        Self {
            vocab_size: trained.next().and_then(|given| whole(&given.params["vocab_size"])),
            context: whole(&packed.params["context"]),
            masked: packed.params["mask"].as_str().map(|mask| mask == "assistant"),
        }
    }
}

/// The configuration of a model and what it is trained on: a training says so, or what it began with, or what was exported of it.
pub fn model_of(given: &Given<'_>) -> Option<(Value, Data)> {
    let at = |port: &str| given.port(port).first().and_then(model_of);
    match given.kind {
        "pretrain" => Some((given.params["model"].clone(), Data::of(&given.above))),
        "sft" => at("init"),
        "compress" => {
            let begun = given.params.get("model").filter(|model| !model.is_null()).cloned();
            let (model, data) = begun.map(|model| (model, Data::default())).or_else(|| at("model"))?;
            Some((compressed(model, &given.params, given.params["model"].is_null()), data))
        }
        "export" => at("model"),
        _ => None,
    }
}

/// The configuration of what `compress` with these parameters makes of a model, trained before or not.
fn compressed(mut model: Value, params: &Value, trained: bool) -> Value {
    fn part<'a>(model: &'a mut Value, name: &str) -> &'a mut Value {
        if !model[name].is_object() {
            model[name] = json!({});
        }
        &mut model[name]
    }
    if !model.is_object() {
        return model;
    }
    let [ternary, int8] = ["ternary", "int8"].map(|field| params[field] == true);
    if let Some(rank) = params["low_rank"].as_u64() {
        part(&mut model, "linear")["low_rank"] = rank.into();
    }
    if ternary {
        part(&mut model, "linear")["round"] = "ternary".into();
    } else if int8 && model["linear"]["round"] != "ternary" {
        part(&mut model, "linear")["round"] = "int8".into();
    }
    if let (Some(ranks), false) = (params["tensor_train"].as_u64(), model["embedding"].is_object()) {
        model["embedding"] = json!({ "tensor_train": ranks, "normed": !trained });
    }
    if int8 && model["embedding"].is_object() {
        model["embedding"]["round"] = "int8".into();
    }
    model
}
