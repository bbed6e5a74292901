//! `format: hf`: what Python's `transformers` loads.
use crate::params::{Dtype, Params};
use crate::source::{Source, refused};
use muse_artifacts::checkpoint::{self, Tensor, write_weights};
use muse_model::exchange::hf::{self, Class};
use muse_model::net::{Role, Weight};
use muse_stage::{Context, StageError};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Files of weights with at most so many bytes.
const SHARD_BYTES: u64 = 5_000_000_000;
const SETTINGS: &str = "tokenizer_config.json";

pub(crate) fn write(
    context: &mut Context,
    params: &Params,
    source: &Source,
    out: &Path,
) -> Result<Vec<String>, StageError> {
    write_by(context, params, source, out, SHARD_BYTES)
}

/// The same in files of so many bytes.
pub(crate) fn write_by(
    context: &mut Context,
    params: &Params,
    source: &Source,
    out: &Path,
    shard_bytes: u64,
) -> Result<Vec<String>, StageError> {
    let (dtype, torch) = match params.dtype() {
        Some(Dtype::F32) => (checkpoint::Dtype::F32, "float32"),
        Some(Dtype::F16) => (checkpoint::Dtype::F16, "float16"),
        _ => (checkpoint::Dtype::BF16, "bfloat16"),
    };
    let mut config = hf::config(&source.model, &source.roles, torch).map_err(refused)?;
    let class = Class::of(&source.model).map_err(refused)?;
    let ternary = params.dtype() == Some(Dtype::Ternary);
    if ternary && !class.has_two_bits() {
        let message = format!("transformers has no matrices in two bits for `{}`", class.name());
        return Err(StageError::new(message).help("`dtype: bf16`, or `format: muse`"));
    }
    if ternary {
        let odd = |weight: &&Weight| weight.role == Role::Matrix && !weight.shape[0].is_multiple_of(4);
        if let Some(odd) = source.weights.iter().find(odd) {
            let message =
                format!("`{}` has {} rows, and a byte holds numbers of four", odd.name, odd.shape[0]);
            return Err(StageError::new(message)
                .help("`dtype: bf16`, or `format: muse`, which keeps such a matrix as it is"));
        }
        config["quantization_config"] = bitnet();
    }
    source.copy_tokenizer(out)?;
    put(out, "config.json", &config)?;
    put(out, "generation_config.json", &hf::generation_config(&source.roles))?;
    if !out.join(SETTINGS).exists() {
        // Without it the class of the model would choose one, which may read other files.
        put(out, SETTINGS, &json!({ "tokenizer_class": "PreTrainedTokenizerFast" }))?;
    }
    let laid = hf::laid(class, &source.model, &source.weights);
    let tensors: Vec<_> = if ternary {
        // transformers computes with sizes and norms in the types that they are in, and wants one.
        source.tensors_in_two_bits(dtype, false)
    } else {
        laid.iter().map(|tensor| Tensor::new(&tensor.name, dtype, tensor.shape.clone())).collect()
    };
    let total = tensors.iter().filter_map(Tensor::bytes).sum::<usize>() as u64;
    let mut done = 0;
    write_weights::<_, StageError>(out, &tensors, Some(shard_bytes), |tensor| {
        context.go_on()?;
        let bytes = match laid.iter().find(|laid| laid.name == tensor.name) {
            Some(laid) if !ternary => source.laid(laid, dtype)?,
            _ => source.in_two_bits(tensor)?,
        };
        done += bytes.len() as u64;
        context.progress(done, Some(total), "bytes");
        Ok(bytes)
    })?;
    // There transformers rounds what matrices are multiplied by, as we do.
    Ok(if ternary { Vec::new() } else { source.notes() })
}

/// What tells transformers that matrices are of three values, in two bits each, and that what they are multiplied by is rounded.
fn bitnet() -> Value {
    json!({
        "quant_method": "bitnet",
        "linear_class": "autobitlinear",
        "quantization_mode": "offline",
        "modules_to_not_convert": ["lm_head"],
    })
}

fn put(out: &Path, name: &str, value: &Value) -> Result<(), StageError> {
    let path = out.join(name);
    let text = serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
    fs::write(&path, text).map_err(StageError::io(&path))
}
