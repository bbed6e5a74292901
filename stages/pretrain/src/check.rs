//! What the schema cannot say of the parameters, and what the stages above and the machine say against them.
use crate::params::Params;
use muse_stage::{Above, FieldError, Machine};
use muse_training::above::{Data, check_init};
use muse_training::check::{check_batch, check_steps, first};

impl Params {
    /// Whether they make sense.
    pub fn check(&self) -> Result<(), FieldError> {
        first("/model", self.model.check())?;
        self.check_length()?;
        self.recipe().check(Some(&self.model))
    }

    /// Whether they fit data of this vocabulary and of sequences of this length.
    pub fn check_data(&self, vocab_size: usize, context: usize) -> Result<(), FieldError> {
        first("/model", self.model.check_data(vocab_size, context))?;
        self.recipe().check_context(context)
    }

    /// Whether they fit the data that the stages above will make.
    pub(crate) fn check_above(&self, above: &Above<'_>) -> Result<(), FieldError> {
        let data = Data::of(above);
        // What is not known fits.
        let context = data.context.or(self.model.context).unwrap_or(1);
        self.check_data(data.vocab_size.unwrap_or(1), context)?;
        check_init(&self.model, above, "/model")
    }

    /// Whether the machine has the memory for it.
    pub(crate) fn check_room(&self, above: &Above<'_>, machine: &Machine) -> Result<(), FieldError> {
        self.recipe().check_room(&self.model, &Data::of(above), machine, "/model")
    }

    fn check_length(&self) -> Result<(), FieldError> {
        let batch = self.batch_tokens.0;
        check_batch(batch)?;
        let (pointer, said) = match (self.tokens, self.steps) {
            (Some(_), Some(steps)) => {
                let message = "`tokens` and `steps` both say how long to train";
                let tokens = steps.0.0.saturating_mul(batch);
                let help = format!("take one of them away: {} steps are `tokens: {tokens}`", steps.0.0);
                return Err(FieldError::new("/steps", message).help(help));
            }
            (None, None) => {
                let message = "nothing says how long to train";
                return Err(FieldError::new("", message).help("write `tokens: 100M` or `steps: 1000`"));
            }
            (Some(tokens), None) => ("/tokens", format!("`tokens` is {}", tokens.0.0)),
            (None, Some(steps)) => ("/steps", format!("`steps` is {}", steps.0.0)),
        };
        check_steps(pointer, &said, self.steps())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_stage::Given;
    use serde_json::{Value, json};

    /// Tokens of so many kinds in sequences of so many.
    fn packed(algorithm: &'static str, vocab_size: u64, context: u64) -> Above<'static> {
        let given =
            |kind, output, params: &Value, above| Given { kind, output, params: params.clone(), above };
        Above::new(move |port| {
            let tokenizer = json!({ "algorithm": algorithm, "vocab_size": vocab_size });
            let above = Above::new(move |port| match port {
                "tokenizer" => vec![given("tokenizer", "tokenizer", &tokenizer, Above::nothing())],
                _ => Vec::new(),
            });
            match port {
                "data" => vec![given("pack", "tokens", &json!({ "context": context }), above)],
                _ => Vec::new(),
            }
        })
    }

    fn params(model: Value, more: Value) -> Params {
        let mut all = json!({ "model": { "layers": 4, "width": 64, "heads": 4, "ffn": 128 }, "steps": 10 });
        all["model"].as_object_mut().unwrap().extend(model.as_object().unwrap().clone());
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn the_data_to_come_is_held_against_the_model() {
        let wrong =
            |model, above: &Above<'_>| Some(params(model, json!({})).check_above(above).err()?.pointer);
        let data = packed("bpe", 500, 64);
        assert_eq!(wrong(json!({}), &data), None);
        assert_eq!(wrong(json!({ "vocab_size": 500, "context": 64 }), &data), None);
        assert_eq!(wrong(json!({ "vocab_size": 499 }), &data).as_deref(), Some("/model/vocab_size"));
        for context in [63, 65] {
            assert_eq!(wrong(json!({ "context": context }), &data).as_deref(), Some("/model/context"));
        }
        // What is not known fits.
        assert_eq!(wrong(json!({ "vocab_size": 499 }), &packed("char", 500, 64)), None);
        assert_eq!(wrong(json!({ "vocab_size": 499, "context": 9 }), &Above::nothing()), None);
    }

    #[test]
    fn what_it_begins_with_is_held_against_the_model() {
        let begun = json!({ "layers": 4, "width": 64, "heads": 4, "ffn": 128, "vocab_size": 500 });
        let wrong = |model: Value, more: Value| {
            let mut with = json!({ "model": begun.clone() });
            with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let above = Above::new(|port| match port {
                "init" => vec![Given {
                    kind: "compress",
                    output: "checkpoint",
                    params: with.clone(),
                    above: Above::nothing(),
                }],
                _ => Vec::new(),
            });
            params(model, json!({})).check_above(&above).err().map(|error| error.message)
        };
        assert_eq!(wrong(json!({}), json!({})), None);
        // What is rounded has no size, and may come later.
        assert_eq!(wrong(json!({}), json!({ "ternary": true })), None);
        assert_eq!(wrong(json!({ "linear": { "low_rank": 8 } }), json!({ "low_rank": 8 })), None);
        let said = wrong(json!({}), json!({ "low_rank": 8 })).unwrap();
        assert_eq!(said, "`linear.low_rank` is none in this model, and 8 in the one that it begins with");
        for (model, more) in [
            (json!({ "width": 32 }), json!({})),
            (json!({ "vocab_size": 501 }), json!({})),
            (json!({}), json!({ "tensor_train": 3 })),
            (json!({ "embedding": { "tensor_train": 3, "normed": false } }), json!({ "tensor_train": 3 })),
        ] {
            assert!(wrong(model.clone(), more.clone()).is_some(), "{model} {more}");
        }
    }

    #[test]
    fn memory_goes_by_the_data_to_come() {
        let needs = |above: &Above<'_>, gpu: bool, more: Value| {
            let params = params(json!({}), more);
            let fits = |bytes: u64| {
                let (memory, gpu_memory) = if gpu { (1 << 40, Some(bytes)) } else { (bytes, None) };
                params.check_room(above, &Machine { memory, gpu_memory, gpus: gpu.into(), threads: 1 })
            };
            let (mut little, mut enough) = (0, 1 << 40);
            while enough - little > 1 {
                let between = (little + enough) / 2;
                if fits(between).is_ok() { enough = between } else { little = between }
            }
            (enough, fits(little).err().map(|error| (error.pointer, error.help.unwrap())))
        };
        let small = packed("bpe", 500, 64);
        let (least, wrong) = needs(&small, false, json!({}));
        let (pointer, help) = wrong.unwrap();
        assert_eq!(pointer, "/model");
        assert!(help.contains("`micro_batch`") && help.contains("`resources.memory`"), "{help}");
        assert!(needs(&packed("bpe", 50_000, 64), false, json!({})).0 > least);
        let eight = |context| needs(&packed("bpe", 500, context), false, json!({ "micro_batch": 8 })).0;
        assert!(eight(256) > eight(32));
        assert!(needs(&small, false, json!({ "recompute": "block", "micro_batch": 1 })).0 < least);
        // On the CPU there is nowhere else to be.
        let block = json!({ "recompute": "block", "micro_batch": 8 });
        let away = json!({ "recompute": "block", "micro_batch": 8, "offload": true });
        let large = packed("bpe", 500, 4096);
        assert!(needs(&large, false, away.clone()).0 >= needs(&large, false, block.clone()).0);
        assert!(needs(&large, true, away.clone()).0 < needs(&large, true, block).0);
        // There the host must have room for what waits in it.
        let params = params(json!({}), away);
        let host = |memory| {
            params.check_room(&large, &Machine { memory, gpu_memory: Some(1 << 40), gpus: 1, threads: 1 })
        };
        assert!(host(1 << 40).is_ok());
        let help = host(1 << 10).unwrap_err().help.unwrap();
        assert!(help.contains("`offload: false`") && help.contains("`resources.memory`"), "{help}");
        // On a GPU its memory counts alone; what is done already is not proposed.
        let (on_gpu, wrong) = needs(
            &small,
            true,
            json!({ "micro_batch": 1, "recompute": "block", "optimizer": { "state": "int8" } }),
        );
        let help = wrong.unwrap().1;
        assert!(on_gpu < least && help.starts_with("what saves memory: a smaller model;"), "{help}");
        assert!(!help.contains("resources"), "{help}");
        assert_eq!(needs(&Above::nothing(), false, json!({})).0, 1, "nothing is known");
    }
}
