//! `format: muse`: a checkpoint with its tokenizer beside it, which muse itself takes.
use crate::params::{Dtype, Params};
use crate::source::Source;
use muse_artifacts::checkpoint::{self, CheckpointWriter, Facts, Tensor};
use muse_stage::{Context, StageError};
use std::path::Path;

/// Where the tokenizer stands in the folder.
const TOKENIZER: &str = "tokenizer";

pub(crate) fn write(
    context: &mut Context,
    params: &Params,
    source: &Source,
    out: &Path,
) -> Result<Vec<String>, StageError> {
    let ternary = params.dtype() == Some(Dtype::Ternary);
    let dtype = params.dtype().map(|dtype| match dtype {
        Dtype::F16 => checkpoint::Dtype::F16,
        Dtype::Bf16 | Dtype::Ternary => checkpoint::Dtype::BF16,
        _ => checkpoint::Dtype::F32,
    });
    let stored = source.checkpoint.model();
    let is_norm = |tensor: &Tensor| {
        let weight = source.weights.iter().find(|weight| weight.name == tensor.name);
        weight.is_some_and(|weight| weight.role.is_exact())
    };
    // Norms are few, and stay exact.
    let in_dtype = |tensor: &Tensor, dtype| match is_norm(tensor) {
        true => tensor.clone(),
        false => Tensor { dtype, ..tensor.clone() },
    };
    let tensors: Vec<Tensor> = match dtype {
        None => stored.stored().collect(),
        Some(_) if ternary => source.tensors_in_two_bits(checkpoint::Dtype::BF16, true),
        Some(dtype) => stored.iter().map(|tensor| in_dtype(tensor, dtype)).collect(),
    };
    let total = tensors.iter().filter_map(Tensor::bytes).sum::<usize>() as u64;
    let mut done = 0;
    let mut writer = CheckpointWriter::create(out)?;
    writer.model::<_, StageError>(&tensors, |tensor| {
        context.go_on()?;
        let bytes = match dtype {
            None => stored.read(&tensor.name)?,
            Some(_) if ternary => source.in_two_bits(tensor)?,
            Some(_) => source.floats(&tensor.name, tensor.dtype)?,
        };
        done += bytes.len() as u64;
        context.progress(done, Some(total), "bytes");
        Ok(bytes)
    })?;
    let about = source.checkpoint.about();
    writer.finish(Facts {
        config: about.config.clone(),
        // That of the folder beside, also where the training learned none.
        tokenizer: Some(source.tokenizer.digest().to_owned()),
        step: about.step,
        tokens: about.tokens,
        figures: about.figures.clone(),
    })?;
    source.copy_tokenizer(&out.join(TOKENIZER))?;
    Ok(Vec::new())
}
