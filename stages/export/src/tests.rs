//! Folders of every format, read back.
mod gguf_reader;
mod support;

use crate::gguf::quantize::tests::{from_q4_0, from_q8_0};
use crate::params::Params;
use crate::source::Source;
use crate::{Format, hf};
use gguf_reader::Gguf;
use muse_artifacts::checkpoint::Weights;
use muse_artifacts::checkpoint::{Checkpoint, Dtype, Tensors};
use muse_artifacts::tokenizer::Tokenizer;
use muse_model::acting::{rounded as rounded_to, whole};
use muse_model::config::{Embedding, Linear, Model, Round, ScalingKind};
use muse_model::kernels::Rounding;
use muse_model::net::{Role, Weight, factors};
use muse_stage::StageEvent;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use support::{Bench, said};

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The numbers of a weight as floats of 16 bits round them.
fn rounded(numbers: &[f32], dtype: Dtype) -> Vec<f32> {
    let round = |number: &f32| match dtype {
        Dtype::BF16 => half::bf16::from_f32(*number).to_f32(),
        Dtype::F16 => half::f16::from_f32(*number).to_f32(),
        _ => *number,
    };
    numbers.iter().map(round).collect()
}

#[test]
fn hf_is_a_folder_that_transformers_reads() {
    for (asked, dtype, torch) in [
        (json!({}), Dtype::BF16, "bfloat16"),
        (json!({ "dtype": "f16" }), Dtype::F16, "float16"),
        (json!({ "dtype": "f32" }), Dtype::F32, "float32"),
    ] {
        let bench = Bench::new(|_| ());
        assert_eq!(bench.run(asked), StageEvent::Done);
        let out = bench.out();
        let config = json_of(&out.join("config.json"));
        assert_eq!((&config["dtype"], &config["model_type"]), (&json!(torch), &json!("qwen3")));
        // The turn ends with `<|im_end|>`, the text with `<|endoftext|>`.
        assert_eq!(config["eos_token_id"], json!([2, 0]));
        assert_eq!(
            json_of(&out.join("generation_config.json")),
            json!({ "eos_token_id": [2, 0], "pad_token_id": 3 })
        );
        let tensors = Tensors::open([out.join("model.safetensors")]).unwrap();
        assert_eq!(tensors.iter().count(), bench.weights.len());
        for (weight, numbers) in &bench.weights {
            let found = tensors.get(&weight.name).unwrap();
            assert_eq!((&found.shape, found.dtype), (&weight.shape, dtype));
            assert_eq!(tensors.read_f32(&weight.name).unwrap(), rounded(numbers, dtype), "{}", weight.name);
        }
        for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
            assert_eq!(fs::read(out.join(name)).unwrap(), fs::read(bench.tokenizer().join(name)).unwrap());
        }
        assert!(!out.join("report.json").exists());
        assert!(fs::read_to_string(out.join("README.md")).unwrap().contains("Qwen3ForCausalLM"));
    }
}

#[test]
fn large_models_are_in_several_files() {
    let bench = Bench::new(|_| ());
    let mut context = bench.context(json!({ "dtype": "f32" }), false);
    let source = Source::open(&context, Weights::Last, true).unwrap();
    let params: Params = serde_json::from_value(json!({ "dtype": "f32" })).unwrap();
    let out = bench.out();
    hf::write_by(&mut context, &params, &source, &out, 40_000).unwrap();
    let index = json_of(&out.join("model.safetensors.index.json"));
    let map = index["weight_map"].as_object().unwrap();
    assert_eq!(map.len(), bench.weights.len());
    let mut files: Vec<_> = map.values().map(|file| out.join(file.as_str().unwrap())).collect();
    files.sort();
    files.dedup();
    assert!(files.len() > 2 && !out.join("model.safetensors").exists());
    let tensors = Tensors::open(files).unwrap();
    let total: usize = tensors.iter().filter_map(|tensor| tensor.bytes()).sum();
    assert_eq!(index["metadata"]["total_size"], json!(total));
    for (weight, numbers) in &bench.weights {
        assert_eq!(&tensors.read_f32(&weight.name).unwrap(), numbers);
    }
}

#[test]
fn muse_is_a_checkpoint_with_its_tokenizer() {
    let bench = Bench::new(|_| ());
    assert_eq!(bench.run(json!({ "format": "muse" })), StageEvent::Done);
    let made = Checkpoint::open(&bench.out()).unwrap();
    made.verify().unwrap();
    let from = Checkpoint::open(&bench.model()).unwrap();
    assert_eq!(made.about().config, from.about().config);
    assert_eq!((made.about().step, &made.about().figures), (7, &from.about().figures));
    for tensor in from.model().iter() {
        assert_eq!(made.model().get(&tensor.name), Some(tensor));
        assert_eq!(made.model().read(&tensor.name).unwrap(), from.model().read(&tensor.name).unwrap());
    }
    let tokenizer = Tokenizer::open(&bench.out().join("tokenizer")).unwrap();
    assert_eq!(made.about().tokenizer.as_deref(), Some(tokenizer.digest()));
    assert!(tokenizer.has_chat_template());

    assert_eq!(bench.run(json!({ "format": "muse", "dtype": "bf16" })), StageEvent::Done);
    let made = Checkpoint::open(&bench.out()).unwrap();
    for (weight, numbers) in &bench.weights {
        // Norms stay exact.
        let dtype = if weight.role == Role::Norm { Dtype::F32 } else { Dtype::BF16 };
        assert_eq!(made.model().get(&weight.name).unwrap().dtype, dtype);
        assert_eq!(made.model().read_f32(&weight.name).unwrap(), rounded(numbers, dtype));
    }
}

#[test]
fn matrices_of_low_rank_are_whole_for_others_and_as_they_are_for_muse() {
    let bench = Bench::new(|model| model.linear = Some(Linear { low_rank: Some(3), round: None }));
    let numbers = |name: &str| &bench.weights.iter().find(|(weight, _)| weight.name == name).unwrap().1;
    let right = |weight: &Weight| {
        let [first, second] = factors(&weight.name);
        if weight.role != Role::Matrix {
            return numbers(&weight.name).clone();
        }
        let (first, columns) = (numbers(&first), weight.shape[1]);
        let row = |row: &[f32]| {
            let at = |at| (0..3).map(|k| f64::from(row[k]) * f64::from(first[k * columns + at])).sum::<f64>();
            (0..columns).map(|column| at(column) as f32).collect::<Vec<_>>()
        };
        numbers(&second).chunks(3).flat_map(row).collect()
    };
    let near = |got: &[f32], right: &[f32]| {
        assert_eq!(got.len(), right.len());
        got.iter().zip(right).all(|(a, b)| (a - b).abs() < 1e-5)
    };
    assert_eq!(bench.run(json!({ "dtype": "f32" })), StageEvent::Done);
    let hf = Tensors::open([bench.out().join("model.safetensors")]).unwrap();
    let all = Weight::all(&bench.model.whole().shape(0, 0));
    assert_eq!(hf.iter().count(), all.len());
    for weight in &all {
        assert!(near(&hf.read_f32(&weight.name).unwrap(), &right(weight)), "{}", weight.name);
    }
    let card = fs::read_to_string(bench.out().join("README.md")).unwrap();
    assert!(card.contains("| rank of the matrices of blocks | 3, merged to whole ones |"), "{card}");
    assert_eq!(bench.run(json!({ "format": "gguf", "dtype": "f32" })), StageEvent::Done);
    let gguf = Gguf::read(&bench.out().join("model.gguf"));
    assert_eq!(gguf.tensors.len(), all.len());
    let name = "model.layers.1.mlp.down_proj.weight";
    let weight = all.iter().find(|weight| weight.name == name).unwrap();
    assert!(near(&gguf.tensors["blk.1.ffn_down.weight"].numbers, &right(weight)));
    assert_eq!(bench.run(json!({ "format": "muse" })), StageEvent::Done);
    let made = Checkpoint::open(&bench.out()).unwrap();
    assert_eq!(made.model().iter().count(), bench.weights.len());
    let card = fs::read_to_string(bench.out().join("README.md")).unwrap();
    assert!(card.contains("| rank of the matrices of blocks | 3 |"), "{card}");
}

#[test]
fn rows_of_two_cores_are_made_for_others_and_as_they_are_for_muse() {
    let bench = Bench::new(|model| model.embedding = Some(Embedding::of_rank(2)));
    let numbers = |name: &str| &bench.weights.iter().find(|(weight, _)| weight.name == name).unwrap().1;
    let parts = ["a", "b", "phase"].map(|part| numbers(&format!("model.embed_tokens.{part}.weight")));
    let shape = bench.model.shape(0, 0);
    let [[_, first], [n, second]] = bench.model.embedding.unwrap().cores(shape.vocab_size, shape.width);
    let (a, b) = (first / 2, second / 2);
    let number = |row: usize, column: usize| -> f64 {
        let of = |core: &[f32], row: usize, rank: usize, wide: usize, at: usize| {
            let part = &core[(row * 2 + rank) * wide..][..wide];
            f64::from(part[at]) / part.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
        };
        let of_rank = |rank: usize| {
            let first = of(parts[0], row / n, rank, a, column / b);
            f64::from(parts[2][rank]).cos() * first * of(parts[1], row % n, rank, b, column % b)
        };
        (of_rank(0) + of_rank(1)) / 2_f64.sqrt()
    };
    let right = |at: usize| number(at / shape.width, at % shape.width);
    let near = |got: &[f32]| {
        assert_eq!(got.len(), shape.vocab_size * shape.width);
        got.iter().enumerate().all(|(at, got)| (f64::from(*got) - right(at)).abs() < 1e-5)
    };
    assert_eq!(bench.run(json!({ "dtype": "f32" })), StageEvent::Done);
    let hf = Tensors::open([bench.out().join("model.safetensors")]).unwrap();
    assert_eq!(hf.iter().count(), Weight::all(&bench.model.whole().shape(0, 0)).len());
    assert!(near(&hf.read_f32("model.embed_tokens.weight").unwrap()));
    let card = fs::read_to_string(bench.out().join("README.md")).unwrap();
    assert!(card.contains("| rows for tokens | two cores of rank 2, made whole |"), "{card}");
    assert_eq!(bench.run(json!({ "format": "gguf", "dtype": "f32" })), StageEvent::Done);
    assert!(near(&Gguf::read(&bench.out().join("model.gguf")).tensors["token_embd.weight"].numbers));
    assert_eq!(bench.run(json!({ "format": "muse" })), StageEvent::Done);
    assert_eq!(Checkpoint::open(&bench.out()).unwrap().model().iter().count(), bench.weights.len());
    let card = fs::read_to_string(bench.out().join("README.md")).unwrap();
    assert!(card.contains("| rows for tokens | two cores of rank 2 |"), "{card}");
}

#[test]
fn matrices_that_are_rounded_in_use_are_so_for_others() {
    for (round, to) in [(Round::Ternary, Rounding::Ternary), (Round::Int8, Rounding::Int8)] {
        for rank in [None, Some(3)] {
            let bench =
                Bench::new(|model| model.linear = Some(Linear { low_rank: rank, round: Some(round) }));
            let numbers = |name: &str| {
                let (weight, numbers) = bench.weights.iter().find(|(weight, _)| weight.name == name).unwrap();
                rounded_to(numbers.clone(), weight.shape[1], to)
            };
            assert_eq!(bench.run(json!({ "dtype": "f32" })), StageEvent::Done);
            let hf = Tensors::open([bench.out().join("model.safetensors")]).unwrap();
            for weight in Weight::all(&bench.model.whole().shape(0, 0)) {
                let got = hf.read_f32(&weight.name).unwrap();
                let [first, second] = factors(&weight.name);
                match (weight.role, rank) {
                    (Role::Matrix, None) => assert_eq!(got, numbers(&weight.name), "{}", weight.name),
                    (Role::Matrix, Some(rank)) => {
                        assert_eq!(got, whole(numbers(&first), numbers(&second), rank))
                    }
                    _ => {
                        let (_, right) =
                            bench.weights.iter().find(|(own, _)| own.name == weight.name).unwrap();
                        assert_eq!(&got, right, "{}", weight.name);
                    }
                }
            }
            let card = fs::read_to_string(bench.out().join("README.md")).unwrap();
            assert!(card.contains("| matrices of blocks are rounded to |"), "{card}");
            assert_eq!(card.contains("rounded to 8 bits for each token"), round == Round::Ternary, "{card}");
            // muse rounds them itself, whenever they are used.
            assert_eq!(bench.run(json!({ "format": "muse" })), StageEvent::Done);
            let made = Checkpoint::open(&bench.out()).unwrap();
            for (weight, numbers) in &bench.weights {
                assert_eq!(&made.model().read_f32(&weight.name).unwrap(), numbers);
            }
        }
    }
}

#[test]
fn matrices_of_three_values_are_two_bits_each_for_transformers_and_for_muse() {
    let linear = |low_rank| Some(Linear { low_rank, round: Some(Round::Ternary) });
    let bench = Bench::new(|model| model.linear = linear(None));
    for format in ["hf", "muse"] {
        assert_eq!(bench.run(json!({ "format": format, "dtype": "ternary" })), StageEvent::Done);
        let tensors = Tensors::open([bench.out().join("model.safetensors")]).unwrap();
        assert_eq!(
            tensors.iter().count(),
            bench.weights.len(),
            "what stands beside matrices is a part of them"
        );
        for (weight, numbers) in &bench.weights {
            let found = tensors.get(&weight.name).unwrap();
            assert_eq!(found.shape, weight.shape, "{}", weight.name);
            let read = tensors.read_f32(&weight.name).unwrap();
            match weight.role {
                Role::Matrix => {
                    assert_eq!(tensors.read(&weight.name).unwrap().len(), weight.len() / 4);
                    let columns = weight.shape[1];
                    let again = rounded_to(read, columns, Rounding::Ternary);
                    let right = rounded_to(numbers.clone(), columns, Rounding::Ternary);
                    // A size in bf16 is off by one part in 256 at most.
                    let most = if format == "muse" { 1e-6 } else { 4e-3 };
                    assert!(again.iter().zip(&right).all(|(a, b)| (a - b).abs() < most), "{}", weight.name);
                }
                Role::Norm if format == "muse" => assert_eq!(&read, numbers),
                _ => assert_eq!(read, rounded(numbers, Dtype::BF16)),
            }
        }
        let card = fs::read_to_string(bench.out().join("README.md")).unwrap();
        assert!(card.contains("| weights | `ternary` |") && !card.contains("**Note.**"), "{card}");
    }
    let about = Checkpoint::open(&bench.out()).unwrap();
    assert_eq!(
        about.about().parameters,
        bench.weights.iter().map(|(weight, _)| weight.len() as u64).sum::<u64>()
    );
    assert_eq!(bench.run(json!({ "dtype": "ternary" })), StageEvent::Done);
    assert_eq!(json_of(&bench.out().join("config.json"))["quantization_config"]["quant_method"], "bitnet");
    // Three rows of a factor cannot be shared out to four, and stay as they are; others have no such factors.
    let two = Bench::new(|model| model.linear = linear(Some(3)));
    assert_eq!(two.run(json!({ "format": "muse", "dtype": "ternary" })), StageEvent::Done);
    let tensors = Tensors::open([two.out().join("model.safetensors")]).unwrap();
    let dtype =
        |which: &str| tensors.get(&format!("model.layers.0.mlp.up_proj.{which}.weight")).unwrap().dtype;
    assert_eq!((dtype("a"), dtype("b")), (Dtype::BF16, Dtype::U8));
    assert!(said(two.run(json!({ "dtype": "ternary" }))).1.contains("whole matrices"));
    let odd = Bench::new(|model| (model.linear, model.ffn) = (linear(None), 66));
    assert!(said(odd.run(json!({ "dtype": "ternary" }))).0.contains("has 66 rows"));
}

#[test]
fn gguf_holds_matrices_of_three_values_in_two_bits_and_less() {
    // SwiGLU's last matrix has whole blocks of 256 in its rows, and the others have none.
    let linear = Some(Linear { low_rank: None, round: Some(Round::Ternary) });
    let bench = Bench::new(|model| (model.linear, model.ffn) = (linear, 512));
    for dtype in ["tq2_0", "tq1_0"] {
        assert_eq!(bench.run(json!({ "format": "gguf", "dtype": dtype })), StageEvent::Done);
        let gguf = Gguf::read(&bench.out().join("model.gguf"));
        for (weight, numbers) in &bench.weights {
            let found = &gguf.tensors[&muse_model::exchange::gguf::tensor_name(&weight.name).unwrap()];
            let columns = *weight.shape.last().unwrap();
            let kind = match weight.role {
                Role::Norm => "f32",
                Role::Matrix if columns == 512 => dtype,
                _ if columns % 32 == 0 => "q8_0",
                _ => "f16",
            };
            assert_eq!(found.kind, kind, "{}", weight.name);
            if kind == dtype {
                let right = rounded_to(numbers.clone(), columns, Rounding::Ternary);
                assert_eq!(found.numbers, rounded(&right, Dtype::F16), "{}", weight.name);
            }
        }
        let card = fs::read_to_string(bench.out().join("README.md")).unwrap();
        assert!(card.contains(&format!("| weights | `{dtype}`, norms in `f32` |")), "{card}");
    }
    for other in [None, Some(Linear { low_rank: Some(3), round: Some(Round::Ternary) })] {
        let bench = Bench::new(|model| model.linear = other);
        let (message, help) = said(bench.run(json!({ "format": "gguf", "dtype": "tq2_0" })));
        assert!(message.contains("holds three values") && help.contains("ternary"), "{message}: {help}");
    }
}

#[test]
fn gguf_holds_every_weight_in_its_type() {
    // A width of 40 is no whole number of blocks, and stays in 16 bits.
    for (qk_norm, tied, width) in [(true, false, 40), (false, true, 64), (true, false, 64)] {
        let bench = Bench::new(|model| (model.qk_norm, model.tied, model.width) = (qk_norm, tied, width));
        for dtype in ["f32", "f16", "bf16", "q8_0", "q4_0"] {
            assert_eq!(
                bench.run(json!({ "format": "gguf", "dtype": dtype, "name": "mine" })),
                StageEvent::Done
            );
            let gguf = Gguf::read(&bench.out().join("model.gguf"));
            assert_eq!(gguf.tensors.len(), bench.weights.len());
            for (weight, numbers) in &bench.weights {
                let name = muse_model::exchange::gguf::tensor_name(&weight.name).unwrap();
                let found = gguf.tensors.get(&name).unwrap_or_else(|| panic!("no {name}"));
                assert_eq!(found.shape, weight.shape, "{name}");
                // Ours where theirs stand.
                let columns = *weight.shape.last().unwrap();
                let numbers: Vec<f32> = match muse_model::exchange::gguf::rows(&bench.model, &weight.name) {
                    Some(rows) => rows
                        .iter()
                        .flat_map(|row| numbers[row * columns..(row + 1) * columns].to_vec())
                        .collect(),
                    None => numbers.clone(),
                };
                let last = name == "output.weight" || tied && name == "token_embd.weight";
                let kind = match dtype {
                    _ if weight.role == Role::Norm => "f32",
                    // Its rows are no whole blocks.
                    "q8_0" | "q4_0" if columns % 32 != 0 => "f16",
                    "q4_0" if last => "q8_0",
                    other => other,
                };
                assert_eq!(found.kind, kind, "{name}");
                let right = match kind {
                    "f32" => numbers,
                    "f16" => rounded(&numbers, Dtype::F16),
                    "bf16" => rounded(&numbers, Dtype::BF16),
                    "q8_0" => from_q8_0(&crate::gguf::quantize::q8_0(&numbers).unwrap()),
                    _ => from_q4_0(&crate::gguf::quantize::q4_0(&numbers).unwrap()),
                };
                assert_eq!(found.numbers, right, "{name} as {kind}");
            }
        }
    }
}

#[test]
fn gguf_has_llama3_s_positions_as_a_tensor() {
    let scaled = |model: &mut Model| {
        (model.qk_norm, model.rope.scaling.kind) = (false, ScalingKind::Llama3);
        (model.rope.scaling.factor, model.rope.scaling.original_context) = (4.0, Some(64));
    };
    for dtype in ["f32", "q8_0"] {
        let bench = Bench::new(scaled);
        assert_eq!(bench.run(json!({ "format": "gguf", "dtype": dtype })), StageEvent::Done);
        let gguf = Gguf::read(&bench.out().join("model.gguf"));
        assert_eq!(gguf.tensors.len(), bench.weights.len() + 1);
        let found = &gguf.tensors["rope_freqs.weight"];
        assert_eq!((&found.shape, found.kind), (&vec![8], "f32"));
        let (_, right) = muse_model::exchange::gguf::slower_pairs(&bench.model).unwrap();
        assert_eq!(found.numbers, right);
    }
    let bench = Bench::new(|model| {
        scaled(model);
        model.qk_norm = true;
    });
    assert!(said(bench.run(json!({ "format": "gguf" }))).0.starts_with("`rope.scaling.kind`"));
}

#[test]
fn gguf_says_what_the_model_and_the_tokenizer_are() {
    let bench = Bench::new(|model| model.qk_norm = false);
    assert_eq!(bench.run(json!({ "format": "gguf", "name": "mine" })), StageEvent::Done);
    let gguf = Gguf::read(&bench.out().join("model.gguf"));
    let key = |key: &str| gguf.keys.get(key).cloned().unwrap_or(Value::Null);
    assert_eq!(key("general.architecture"), "llama");
    assert_eq!((key("general.name"), key("general.file_type")), (json!("mine"), json!(32)));
    assert_eq!((key("llama.block_count"), key("llama.vocab_size")), (json!(2), json!(270)));
    let tokens = key("tokenizer.ggml.tokens");
    assert_eq!((tokens.as_array().unwrap().len(), &tokens[2]), (270, &json!("<|im_end|>")));
    assert_eq!((key("tokenizer.ggml.model"), key("tokenizer.ggml.pre")), (json!("gpt2"), json!("smaug-bpe")));
    let ends = ["eos_token_id", "eot_token_id", "padding_token_id", "bos_token_id"];
    assert_eq!(ends.map(|name| key(&format!("tokenizer.ggml.{name}"))), [0, 2, 3, 0].map(|id| json!(id)));
    assert_eq!(key("tokenizer.ggml.add_bos_token"), json!(false));
    let template = key("tokenizer.chat_template");
    assert!(
        template.as_str().unwrap().contains("<|im_start|>")
            && !template.to_string().contains("generation %}")
    );
    assert_eq!(fs::read_dir(bench.out()).unwrap().count(), 2, "the file and the card");
}

#[test]
fn the_best_weights_are_those_beside_where_there_are_any() {
    let bench = Bench::new(|_| ());
    assert_eq!(bench.run(json!({ "weights": "best", "dtype": "f32" })), StageEvent::Done);
    let first = |bench: &Bench| {
        let name = &bench.weights[0].0.name;
        Tensors::open([bench.out().join("model.safetensors")]).unwrap().read_f32(name).unwrap()[0]
    };
    assert_eq!(first(&bench), bench.weights[0].1[0], "the last are the best");
    bench.write_best(5.0);
    assert_eq!(bench.run(json!({ "weights": "best", "dtype": "f32" })), StageEvent::Done);
    assert_eq!(first(&bench), 5.0);
    assert!(fs::read_to_string(bench.out().join("README.md")).unwrap().contains("lowest loss"));
    assert_eq!(bench.run(json!({ "dtype": "f32" })), StageEvent::Done);
    assert_eq!(first(&bench), bench.weights[0].1[0]);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let other = Bench::new(|_| ());
    other.change_tokenizer(|json| json["model"]["vocab"]["zz"] = json!(260));
    let (message, help) = said(other.run(json!({})));
    assert!(message.contains("another tokenizer") && help.contains("packed tokens"), "{message}: {help}");

    let small = Bench::new(|model| model.vocab_size = Some(100));
    assert!(said(small.run(json!({}))).0.contains("has 260 tokens, and the model 100"));

    let narrow = Bench::new(|model| model.window = Some(8));
    let (message, help) = said(narrow.run(json!({ "format": "gguf" })));
    assert!(
        message.starts_with("`window`: a window of 8") && help.contains("`format: hf`"),
        "{message}: {help}"
    );
    assert_eq!(narrow.run(json!({})), StageEvent::Done);

    let large = Bench::with_first(|_| (), 70_000.0);
    let (message, help) = said(large.run(json!({ "dtype": "f16" })));
    assert!(message.contains("`model.embed_tokens.weight` holds numbers above"), "{message}");
    assert!(help.contains("bf16"), "{help}");
    let broken = Bench::with_first(|_| (), f32::NAN);
    for params in [
        json!({}),
        json!({ "format": "gguf", "dtype": "q8_0" }),
        json!({ "format": "gguf", "dtype": "q4_0" }),
    ] {
        assert!(said(broken.run(params)).0.contains("no number"));
    }
}

#[test]
fn the_same_is_made_again_and_a_stop_is_heard() {
    for format in [Format::Hf, Format::Gguf, Format::Muse] {
        let bench = Bench::new(|_| ());
        let params = json!({ "format": format });
        let mut made = Vec::new();
        for _ in 0..2 {
            assert_eq!(bench.run(params.clone()), StageEvent::Done);
            made.push(support::content(&bench.out()));
        }
        assert_eq!(made[0], made[1]);
        assert_eq!(bench.run_stopped(params), StageEvent::Interrupted);
    }
}
