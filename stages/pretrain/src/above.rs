//! What speaks against a training before anything runs: the stages that make its data, and the machine.
use crate::params::Params;
use muse_model::count::{Device, TrainingMemory};
use muse_stage::{Above, FieldError, Machine};
use serde_json::Value;

/// What the data will be, as far as the stages above say.
#[derive(Clone, Copy, Debug, Default)]
struct Data {
    vocab_size: Option<usize>,
    context: Option<usize>,
}

impl Data {
    fn of(above: &Above<'_>) -> Self {
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
        }
    }
}

impl Params {
    /// Whether they fit the data that the stages above will make.
    pub(crate) fn check_above(&self, above: &Above<'_>) -> Result<(), FieldError> {
        let data = Data::of(above);
        // What is not known fits.
        let context = data.context.or(self.model.context).unwrap_or(1);
        self.check_data(data.vocab_size.unwrap_or(1), context)
    }

    /// Whether the machine has the memory for it.
    pub(crate) fn check_room(&self, above: &Above<'_>, machine: &Machine) -> Result<(), FieldError> {
        let data = Data::of(above);
        let Some(context) = self.model.context.or(data.context) else { return Ok(()) };
        // What is known only once there is a tokenizer takes no memory here: all else may be too much already.
        let shape = self.model.shape(data.vocab_size.unwrap_or(1), context);
        let device = if machine.gpu_memory.is_some() { Device::Gpu } else { Device::Cpu };
        let needs = TrainingMemory::of(&shape, &self.training(context), device);
        // The memory of the host is the CPU's own.
        let (on_device, on_host) = match machine.gpu_memory {
            Some(_) => (needs.total, needs.host),
            None => (0, needs.total.saturating_add(needs.host)),
        };
        let short = |takes: u64, has: u64, whose: &str| {
            let message = format!("a step takes {} of memory, and {whose} {}", size(takes), size(has));
            (takes > has).then(|| FieldError::new("/model", message))
        };
        let raise = "where `resources.memory` is less than there is, raise it";
        if let Some(error) = short(on_device, machine.gpu_memory.unwrap_or(u64::MAX), "the GPU has") {
            Err(error.help(self.what_saves_memory(context)))
        } else if let Some(error) = short(on_host, machine.memory, "this stage may take") {
            let ways = match machine.gpu_memory {
                Some(_) => "with `offload: false` it takes none of the host's, and more of the GPU's".into(),
                None => self.what_saves_memory(context),
            };
            Err(error.help(format!("{ways}; {raise}")))
        } else {
            Ok(())
        }
    }

    fn what_saves_memory(&self, context: usize) -> String {
        use crate::params::Recompute;
        use muse_model::optim::StateKind;
        let mut ways = Vec::new();
        if *self.recompute == Recompute::None {
            ways.push("`recompute: block`");
        }
        if self.optimizer.state != StateKind::Int8 {
            ways.push("`optimizer: { state: int8 }`");
        }
        if self.step_size(context).micro_batch > 1 {
            ways.push("a smaller `micro_batch`");
        }
        ways.push("a smaller model");
        format!("what saves memory: {}; `muse params` shows what goes where", ways.join(", "))
    }
}

/// A size in the largest unit of which there is one.
fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        ..0x10_0000 => (1 << 10, "KiB"),
        0x10_0000..0x4000_0000 => (1 << 20, "MiB"),
        _ => (1 << 30, "GiB"),
    };
    format!("{:.2} {name}", bytes as f64 / f64::from(unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_stage::Given;
    use serde_json::json;

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
    fn memory_goes_by_the_data_to_come() {
        let needs = |above: &Above<'_>, gpu: bool, more: Value| {
            let params = params(json!({}), more);
            let fits = |bytes: u64| {
                let (memory, gpu_memory) = if gpu { (1 << 40, Some(bytes)) } else { (bytes, None) };
                params.check_room(above, &Machine { memory, gpu_memory, threads: 1 })
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
        let host =
            |memory| params.check_room(&large, &Machine { memory, gpu_memory: Some(1 << 40), threads: 1 });
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

    #[test]
    fn sizes_are_in_their_own_units() {
        let seen = [1 << 10, 3 << 19, (1 << 30) - 1, 5 << 30].map(size);
        assert_eq!(seen, ["1.00 KiB", "1.50 MiB", "1024.00 MiB", "5.00 GiB"]);
    }
}
