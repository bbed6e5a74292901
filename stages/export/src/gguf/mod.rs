//! `format: gguf`: one file for llama.cpp, with model, tokenizer and chat template.
pub(crate) mod file;
pub(crate) mod quantize;
pub(crate) mod trits;
mod vocabulary;

use crate::params::{Dtype, Params};
use crate::source::{Source, refused};
use file::{File, Kind, Tensor, Value};
use muse_artifacts::checkpoint;
use muse_model::exchange::gguf;
use muse_model::net::{Role, Weight};
use muse_stage::{Context, StageError};
use std::fs;
use std::path::Path;
use vocabulary::Vocabulary;

/// The file's name.
pub(crate) const NAME: &str = "model.gguf";
/// What to do about a tokenizer that llama.cpp has no words for.
pub(crate) const OTHERWISE: &str = "`format: hf` and `format: muse` hold it as it is";

pub(crate) fn write(
    context: &mut Context,
    params: &Params,
    source: &Source,
    out: &Path,
) -> Result<Vec<String>, StageError> {
    let wanted = match params.dtype() {
        Some(Dtype::F32) => Kind::F32,
        Some(Dtype::F16) => Kind::F16,
        Some(Dtype::Q8) => Kind::Q8,
        Some(Dtype::Q4) => Kind::Q4,
        Some(Dtype::Tq2) => Kind::Tq2,
        Some(Dtype::Tq1) => Kind::Tq1,
        _ => Kind::Bf16,
    };
    let vocabulary = Vocabulary::of(source)?;
    let mut keys = general(params, source, wanted);
    let model = gguf::keys(&source.model).map_err(refused)?;
    keys.extend(model.into_iter().map(|(key, value)| (key, Value::from(value))));
    keys.extend(vocabulary.keys);
    keys.extend(ends(source));
    if let Some(template) = source.tokenizer.plain_chat_template() {
        keys.push(("tokenizer.chat_template".into(), Value::Text(template)));
    }
    let tensors = source.weights.iter().map(|weight| tensor(source, weight, wanted));
    let mut tensors = tensors.collect::<Result<Vec<_>, _>>()?;
    let slower = gguf::slower_pairs(&source.model);
    if let Some((name, numbers)) = &slower {
        tensors.push(Tensor { name: (*name).into(), shape: vec![numbers.len()], kind: Kind::F32 });
    }
    let total = tensors.iter().map(Tensor::bytes).sum::<usize>() as u64;
    fs::create_dir_all(out).map_err(StageError::io(out))?;
    let mut file = File::create(&out.join(NAME), &keys, &tensors)?;
    let mut done = 0;
    for (weight, tensor) in source.weights.iter().zip(&tensors) {
        context.go_on()?;
        let bytes = bytes(source, weight, tensor)?;
        file.put(tensor, &bytes)?;
        done += bytes.len() as u64;
        context.progress(done, Some(total), "bytes");
    }
    if let (Some((_, numbers)), Some(tensor)) = (slower, tensors.last()) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        file.put(tensor, &bytes)?;
    }
    file.finish()?;
    Ok([vocabulary.notes, source.notes()].concat())
}

fn general(params: &Params, source: &Source, wanted: Kind) -> Vec<(String, Value)> {
    let text = |text: &str| Value::Text(text.to_owned());
    let mut keys = vec![
        ("general.architecture".to_owned(), text(gguf::architecture(&source.model))),
        ("general.type".into(), text("model")),
        ("general.alignment".into(), Value::U32(file::ALIGNMENT as u32)),
        ("general.file_type".into(), Value::U32(wanted.file_type())),
    ];
    if matches!(wanted, Kind::Q8 | Kind::Q4 | Kind::Tq2 | Kind::Tq1) {
        keys.push(("general.quantization_version".into(), Value::U32(2)));
    }
    if let Some(name) = &params.name {
        keys.push(("general.name".into(), text(name)));
    }
    keys
}

/// Tokens by what they are for. Nothing is put before a text or behind it: chat templates say all that stands there.
fn ends(source: &Source) -> Vec<(String, Value)> {
    let key = |name: &str, value| (format!("tokenizer.ggml.{name}"), value);
    let end = source.tokenizer.end_of_text().or(source.end_of_turn);
    // llama.cpp takes a token of its own choice where it is told none.
    let begin = source.roles.bos.or(end);
    let ids = [
        ("bos_token_id", begin),
        ("eos_token_id", end),
        ("eot_token_id", source.end_of_turn),
        ("padding_token_id", source.roles.pad),
    ];
    let mut keys: Vec<_> =
        ids.into_iter().filter_map(|(name, id)| Some(key(name, Value::U32(id?)))).collect();
    keys.push(key("add_bos_token", Value::Bool(false)));
    keys.push(key("add_eos_token", Value::Bool(false)));
    keys
}

/// What a weight becomes.
fn tensor(source: &Source, weight: &Weight, wanted: Kind) -> Result<Tensor, StageError> {
    let name = gguf::tensor_name(&weight.name)
        .ok_or_else(|| StageError::new(format!("`{}` has no name in llama.cpp", weight.name)))?;
    let columns = weight.shape.last().copied().unwrap_or(0);
    // The last product suffers most, and where the embedding serves as the head it is that.
    let last = weight.role == Role::Head || weight.role == Role::Embedding && source.model.tied;
    let kind = match wanted {
        // Norms are few, and llama.cpp computes with them in 32 bits.
        _ if weight.role.is_exact() => Kind::F32,
        Kind::Tq2 | Kind::Tq1 if weight.role == Role::Matrix && columns.is_multiple_of(trits::BLOCK) => {
            wanted
        }
        // Blocks never reach across rows.
        Kind::Q8 | Kind::Q4 | Kind::Tq2 | Kind::Tq1 if !columns.is_multiple_of(quantize::BLOCK) => Kind::F16,
        Kind::Tq2 | Kind::Tq1 => Kind::Q8,
        Kind::Q4 if last => Kind::Q8,
        kind => kind,
    };
    Ok(Tensor { name, shape: weight.shape.clone(), kind })
}

/// The bytes of a weight, its rows where llama.cpp wants them.
fn bytes(source: &Source, weight: &Weight, tensor: &Tensor) -> Result<Vec<u8>, StageError> {
    let floats = match tensor.kind {
        Kind::F16 => Some(checkpoint::Dtype::F16),
        Kind::Bf16 => Some(checkpoint::Dtype::BF16),
        Kind::F32 => Some(checkpoint::Dtype::F32),
        Kind::Q8 | Kind::Q4 | Kind::Tq2 | Kind::Tq1 => None,
    };
    let bytes = source.floats(&weight.name, floats.unwrap_or(checkpoint::Dtype::F32))?;
    let columns = weight.shape.last().copied().unwrap_or(1);
    let bytes = match gguf::rows(&source.model, &weight.name) {
        None => bytes,
        Some(order) => {
            let row = columns * bytes.len() / weight.len().max(1);
            order
                .into_iter()
                .flat_map(|at| bytes.get(at * row..(at + 1) * row).unwrap_or_default())
                .copied()
                .collect()
        }
    };
    if floats.is_some() {
        return Ok(bytes);
    }
    let numbers: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
    let quantized = match tensor.kind {
        Kind::Tq2 => trits::tq2_0(&numbers),
        Kind::Tq1 => trits::tq1_0(&numbers),
        Kind::Q4 => quantize::q4_0(&numbers),
        _ => quantize::q8_0(&numbers),
    };
    quantized.map_err(|unfit| {
        let (message, help) = unfit.said(&weight.name);
        StageError::new(message).help(help)
    })
}
