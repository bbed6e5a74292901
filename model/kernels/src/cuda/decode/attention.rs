//! Keys and values on a GPU, and attention to them.
use super::device::{Arg, Device};
use super::memory::Memory;
use super::{BUSY, CHUNK, Gpu, Rows, Vector};
use crate::decode::{CacheSize, DeviceResult, Heads, Step};

/// Lanes that share a key among them; a head takes a multiple of it.
pub(super) const SHARE: usize = 8;
/// Heads of queries that a block looks at.
pub(super) const TOGETHER: usize = 4;
/// Keys that are worth a block's while.
const WORTH: usize = 256;

/// The keys and values of one block of the model, `[slots, heads, context, width]`.
pub struct Cache {
    keys: Memory,
    values: Memory,
    size: CacheSize,
}

impl Cache {
    pub(super) fn new(device: &Device, size: CacheSize, number: usize) -> DeviceResult<Self> {
        device.bind()?;
        let CacheSize { slots, context, heads, width } = size;
        let bytes = slots * context * heads * width.next_multiple_of(SHARE) * number;
        Ok(Self { keys: device.memory(bytes)?, values: device.memory(bytes)?, size })
    }
}

pub(super) fn attend(
    gpu: &mut Gpu,
    step: &Step<'_>,
    all: Rows,
    heads: &Heads<'_, Vector>,
    cache: &mut Cache,
) -> DeviceResult<Rows> {
    let rows = step.ids.len();
    let Heads { queries, keys, width, norms, epsilon, window } = *heads;
    let window = window.filter(|window| *window < cache.size.context);
    let (parts, warps, context) = (queries + 2 * keys, 8, cache.size.context);
    let [cosines, sines] = gpu.angles.as_ref().expect("angles are given before the first step");
    let turned = gpu.device.scratch(rows * queries * width * 4)?;
    let norm = |norm: Option<&Vector>| Arg::At(norm.map_or(0, |norm| norm.memory.at()));
    let args = [
        Arg::At(all.scratch.at()),
        Arg::At(gpu.steps.slots()),
        Arg::At(gpu.steps.places()),
        Arg::At(cosines.memory.at()),
        Arg::At(sines.memory.at()),
        norm(norms[0]),
        norm(norms[1]),
        Arg::At(turned.at()),
        Arg::At(cache.keys.at()),
        Arg::At(cache.values.at()),
        Arg::Int(rows),
        Arg::Int(queries),
        Arg::Int(keys),
        Arg::Int(all.stride),
        Arg::Int(context),
        Arg::Float(epsilon),
    ];
    gpu.device.launch("keep_heads", [(rows * parts).div_ceil(warps), 1, 1], 32 * warps as u32, &args)?;
    let sets = keys * (queries / keys).div_ceil(TOGETHER);
    let reach = window.map_or(gpu.steps.reach(), |window| window.min(gpu.steps.reach()));
    let splits = BUSY.div_ceil(rows * sets).min(reach.div_ceil(WORTH)).max(1);
    let joined =
        gpu.device.scratch(if splits > 1 { rows * queries * splits * (width + 2) * 4 } else { 4 })?;
    let ready = if splits > 1 { gpu.steps.counters(&gpu.device, rows * sets)? } else { 0 };
    let out = gpu.rows(rows, (queries * width).next_multiple_of(CHUNK), gpu.number())?;
    let args = [
        Arg::At(turned.at()),
        Arg::At(gpu.steps.slots()),
        Arg::At(gpu.steps.places()),
        Arg::At(cache.keys.at()),
        Arg::At(cache.values.at()),
        Arg::At(out.scratch.at()),
        Arg::At(joined.at()),
        Arg::At(ready),
        Arg::Int(queries),
        Arg::Int(keys),
        Arg::Int(context),
        Arg::Int(window.unwrap_or(0)),
        Arg::Int(splits),
        Arg::Int(out.stride),
    ];
    gpu.device.launch("attend", [rows, sets, splits], 256, &args)?;
    Ok(out)
}
