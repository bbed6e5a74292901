//! Which tensors stand in which file, and how Hugging Face names the files.
use super::{FileFacts, Tensor};
use crate::{ArtifactError, Result};
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// Tensors that stand in one file.
pub(super) struct Shard {
    /// Its path below the checkpoint.
    pub(super) name: String,
    pub(super) tensors: Vec<Tensor>,
}

/// Shares tensors out, in their order but that wide numbers stand before narrow ones, so that each lies at a multiple
/// of its width. A file ends before it would have more than `most` bytes; a tensor is never cut.
pub(super) fn share_out(stem: &str, tensors: &[Tensor], most: u64, checkpoint: &Path) -> Result<Vec<Shard>> {
    check(tensors, checkpoint)?;
    let mut tensors = tensors.to_vec();
    tensors.sort_by_key(|tensor| std::cmp::Reverse(tensor.dtype.bitsize()));
    let (mut shares, mut held) = (vec![Vec::new()], 0_u64);
    for tensor in tensors {
        let bytes = tensor.bytes().unwrap_or_default() as u64;
        if held.saturating_add(bytes) > most && shares.last().is_some_and(|share| !share.is_empty()) {
            shares.push(Vec::new());
            held = 0;
        }
        held = held.saturating_add(bytes);
        shares.last_mut().into_iter().for_each(|share| share.push(tensor.clone()));
    }
    let count = shares.len();
    let named = |(at, tensors)| {
        let name = match count {
            1 => format!("{stem}.safetensors"),
            _ => format!("{stem}-{:05}-of-{count:05}.safetensors", at + 1),
        };
        Shard { name, tensors }
    };
    Ok(shares.into_iter().enumerate().map(named).collect())
}

/// That each has a name of its own, and a size.
fn check(tensors: &[Tensor], checkpoint: &Path) -> Result<()> {
    let wrong = |said: String| Err(ArtifactError::format(checkpoint, said));
    let mut names = HashSet::new();
    for tensor in tensors {
        let name = &tensor.name;
        if name.is_empty() || name == "__metadata__" {
            return wrong(format!("a tensor cannot be called `{name}`"));
        }
        if !names.insert(name) {
            return wrong(format!("there are two tensors `{name}`"));
        }
        if tensor.bytes().is_none() {
            return wrong(format!("tensor `{name}` of {:?} {} has no size", tensor.shape, tensor.dtype));
        }
    }
    Ok(())
}

/// The index that readers of several files begin with; a single file needs none.
pub(super) fn index(stem: &str, shards: &[Shard]) -> Option<(String, String)> {
    if shards.len() < 2 {
        return None;
    }
    let mut places = BTreeMap::new();
    let mut total = 0;
    for shard in shards {
        // Readers look beside the index.
        let file = shard.name.rsplit('/').next().unwrap_or_default();
        for tensor in &shard.tensors {
            places.insert(tensor.name.as_str(), file);
            total += tensor.bytes().unwrap_or_default() as u64;
        }
    }
    let index = json!({ "metadata": { "total_size": total }, "weight_map": places });
    let text = serde_json::to_string_pretty(&index).unwrap_or_default() + "\n";
    Some((format!("{stem}.safetensors.index.json"), text))
}

/// The files of a checkpoint that hold the tensors of a stem, in order.
pub(super) fn files_of<'a>(stem: &str, files: &'a BTreeMap<String, FileFacts>) -> Vec<&'a str> {
    let belongs = |name: &&str| {
        let rest = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(".safetensors"));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-') && !rest.contains('/'))
    };
    files.keys().map(String::as_str).filter(belongs).collect()
}
