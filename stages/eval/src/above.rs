//! What speaks against an evaluation before anything runs: the stages above it, and the machine.
use crate::ask::slots;
use crate::params::{Params, Precision};
use muse_artifacts::above::model_of;
use muse_model::config::{Model, Shape};
use muse_model::count::{Device, held_in_use};
use muse_stage::{Above, FieldError, Machine};

/// Kinds whose checkpoints come without a tokenizer.
const TRAINED: &[&str] = &["pretrain", "sft", "compress", "import"];

/// Whether every model comes with a tokenizer.
pub(crate) fn fits(above: &Above<'_>) -> Result<(), FieldError> {
    let bare = above.port("model").into_iter().find(|given| TRAINED.contains(&given.kind));
    match bare.filter(|_| above.port("tokenizer").is_empty()) {
        None => Ok(()),
        Some(given) => {
            let message = format!("what `{}` makes has no tokenizer with it", given.kind);
            Err(FieldError::new("", message).help(
                "write `tokenizer: STAGE` among the inputs, the tokenizer that its data was packed with",
            ))
        }
    }
}

/// Whether the machine has the memory for each model, as far as the stages above say what they are. One is there at a time.
pub(crate) fn room(params: &Params, above: &Above<'_>, machine: &Machine) -> Result<(), FieldError> {
    let (device, has, whose) = match machine.gpu_memory {
        Some(has) => (Device::Gpu, has, "the GPU has"),
        None => (Device::Cpu, machine.memory, "this stage may take"),
    };
    let models = above.port("model").into_iter();
    let shapes = models.filter_map(|given| {
        let (config, data) = model_of(&given)?;
        let model: Model = serde_json::from_value(config).ok()?;
        // What is not known takes nothing here: all else may be too much already.
        let context = model.context.or(data.context).unwrap_or(1);
        Some(model.shape(data.vocab_size.unwrap_or(1), context))
    });
    let takes = |shape: Shape| held_in_use(&shape, params.precision.kept(), slots(shape.context), device);
    let Some(takes) = shapes.map(takes).max().filter(|takes| *takes > has) else { return Ok(()) };
    let gib = |bytes: u64| format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30));
    let message = format!("the model takes {} of memory, and {whose} {}", gib(takes), gib(has));
    let less = match params.precision {
        Precision::F32 => "`precision: bf16` takes half of it for weights, `int8` a quarter; ",
        Precision::Bf16 => "`precision: int8` takes half of it for weights; ",
        Precision::Int8 => "",
    };
    let raise = "where `resources.memory` is less than there is, raise it";
    Err(FieldError::new("/precision", message).help(format!("{less}{raise}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_stage::Given;
    use serde_json::{Value, json};

    fn given<'a>(kind: &'a str, params: Value, above: Above<'a>) -> Given<'a> {
        Given { kind, output: "x", params, above }
    }

    /// A model of a million parameters and 512 tokens, of a training on sequences of 256.
    fn trained<'a>() -> Given<'a> {
        let model = json!({ "layers": 4, "width": 128, "heads": 2, "ffn": 384 });
        let packed = |port: &str| match port {
            "tokenizer" => {
                vec![given("tokenizer", json!({ "algorithm": "bpe", "vocab_size": 512 }), Above::nothing())]
            }
            _ => Vec::new(),
        };
        let above = move |port: &str| match port {
            "data" => vec![given("pack", json!({ "context": 256 }), Above::new(packed))],
            _ => Vec::new(),
        };
        given("pretrain", json!({ "model": model }), Above::new(above))
    }

    fn fine<'a>() -> Given<'a> {
        given("sft", json!({}), Above::new(|port| if port == "init" { vec![trained()] } else { Vec::new() }))
    }

    fn exported<'a>() -> Given<'a> {
        given("export", json!({}), Above::new(|port| if port == "model" { vec![fine()] } else { Vec::new() }))
    }

    #[test]
    fn a_model_that_the_machine_has_no_room_for_is_found_through_all_stages() {
        // By hand: 4 · (4·128² + 3·128·384 + 2·128 + 2·64) + 2·512·128 + 128 numbers; 16 texts of 256 with 4·2·128 keys and values.
        let numbers = 4 * (4 * 128 * 128 + 3 * 128 * 384 + 2 * 128 + 2 * 64) + 2 * 512 * 128 + 128;
        let kept = 16 * 256 * 4 * 2 * 128 * 4;
        for (precision, weights) in
            [("f32", 4 * numbers), ("bf16", 2 * numbers), ("int8", numbers + numbers / 16)]
        {
            let params: Params =
                serde_json::from_value(json!({ "tasks": [], "precision": precision })).unwrap();
            for model in [trained, fine, exported] {
                let above = Above::new(move |port| if port == "model" { vec![model()] } else { Vec::new() });
                let has = |memory, gpu_memory| {
                    room(
                        &params,
                        &above,
                        &Machine { memory, gpu_memory, gpus: u32::from(gpu_memory.is_some()), threads: 1 },
                    )
                };
                assert_eq!(has(weights + kept, None), Ok(()), "{precision}");
                let wrong = has(weights + kept - 1, None).unwrap_err();
                assert!(wrong.message.contains("this stage may take"), "{wrong:?}");
                assert!(wrong.help.is_some_and(|help| help.contains("`resources.memory`")));
                // A GPU keeps keys and values in two bytes where it keeps weights in no more.
                let on_gpu = weights + if precision == "f32" { kept } else { kept / 2 };
                assert!(has(1, Some(on_gpu)).is_ok() && has(1 << 40, Some(on_gpu - 1)).is_err());
            }
        }
    }

    #[test]
    fn what_is_not_known_fits() {
        let params: Params = serde_json::from_value(json!({ "tasks": [] })).unwrap();
        let above = Above::new(|_| vec![given("command", json!({}), Above::nothing())]);
        assert_eq!(
            room(&params, &above, &Machine { memory: 1, gpu_memory: None, gpus: 0, threads: 1 }),
            Ok(())
        );
    }
}
