//! Attention on a GPU whose heads are of any width, and may go by distance: latent attention, and hyperbolic.
use super::attention::Cache;
use super::device::Arg;
use super::memory::Scratch;
use super::{CHUNK, Gpu, Rows, Vector};
use crate::decode::{DeviceResult, LatentRows, Latents, Step, Values};
use crate::plain::{LONGEST, NEAREST};

/// The widest key and value that there is room for.
pub(super) const WIDEST_KEY: usize = 1024;
pub(super) const WIDEST_VALUE: usize = 512;
const THREADS: u32 = 256;

/// What `attend_wide` is given, in its order.
#[repr(C)]
#[derive(Clone, Copy)]
struct WideAttention {
    queries: u64,
    keys: u64,
    values: u64,
    slots: u64,
    places: u64,
    spaces: [u64; 2],
    out: u64,
    heads: i32,
    group: i32,
    width: i32,
    value_width: i32,
    key_stride: i32,
    value_stride: i32,
    context: i32,
    window: i32,
    stride: i32,
    times: f32,
    scale: f32,
    longest: f32,
    nearest: f32,
}

/// Queries that are turned, a row for each head of each token.
pub(super) struct Turned<'a> {
    pub(super) queries: &'a Scratch,
    pub(super) heads: usize,
    /// What they were multiplied by already.
    pub(super) times: f64,
    /// What logits are multiplied by; or vectors, where distances count.
    pub(super) scale: f64,
    /// The curvature and the sharpness of each head, where distances count.
    pub(super) spaces: Option<[&'a Vector; 2]>,
    pub(super) window: Option<usize>,
}

/// What each query gets of the keys that it sees, which are in the cache.
pub(super) fn attend(
    gpu: &mut Gpu,
    step: &Step<'_>,
    turned: &Turned<'_>,
    cache: &Cache,
) -> DeviceResult<Rows> {
    let (rows, size, value_width) = (step.ids.len(), cache.size, cache.size.values.width());
    let out = gpu.rows(rows, (turned.heads * value_width).next_multiple_of(CHUNK), gpu.number())?;
    let [keys, values] = cache.strides();
    let own = matches!(size.values, Values::Own(_));
    let given = WideAttention {
        queries: turned.queries.at(),
        keys: cache.keys.at(),
        values: if own { cache.values.at() } else { cache.keys.at() },
        slots: gpu.steps.slots(),
        places: gpu.steps.places(),
        spaces: turned.spaces.map_or([0; 2], |spaces| spaces.map(|of_heads| of_heads.memory.at())),
        out: out.scratch.at(),
        heads: turned.heads as i32,
        group: (turned.heads / size.heads) as i32,
        width: size.width as i32,
        value_width: value_width as i32,
        key_stride: keys as i32,
        value_stride: if own { values as i32 } else { keys as i32 },
        context: size.context as i32,
        window: turned.window.filter(|window| *window < size.context).unwrap_or(0) as i32,
        stride: out.stride as i32,
        times: turned.times as f32,
        scale: turned.scale as f32,
        longest: LONGEST as f32,
        nearest: NEAREST as f32,
    };
    gpu.launch_one("attend_wide", [rows, turned.heads, 1], given)?;
    Ok(out)
}

/// What `keep_latents` is given, in its order.
#[repr(C)]
#[derive(Clone, Copy)]
struct Keep {
    query: u64,
    brought: u64,
    key_turned: u64,
    key: u64,
    value: u64,
    angles: [u64; 2],
    slots: u64,
    places: u64,
    queries: u64,
    keys: u64,
    values: u64,
    heads: i32,
    across: i32,
    rank: i32,
    turned: i32,
    value_width: i32,
    key_row: i32,
    value_row: i32,
    key_stride: i32,
    value_stride: i32,
    context: i32,
}

pub(super) fn attend_latent(
    gpu: &mut Gpu,
    step: &Step<'_>,
    all: LatentRows<Rows>,
    latents: &Latents<'_, super::Matrix>,
    cache: &Cache,
) -> DeviceResult<Rows> {
    let Latents { heads, turned, brought, scale, window, rounded } = *latents;
    let (rows, across, width) = (step.ids.len(), all.query.stride / heads, cache.size.width);
    let rank = width - turned;
    let apart = parts(gpu, &all.query, heads, across, turned)?;
    let apart = super::Decode::times(gpu, &apart, brought)?;
    let key = made_of(gpu, all.key, rank, rounded)?;
    let value_width = cache.size.values.width();
    let value = all.value.map(|value| made_of(gpu, value, value_width, rounded)).transpose()?;
    let queries = gpu.device.scratch(rows * heads * width * 4)?;
    let [key_stride, value_stride] = cache.strides();
    let given = Keep {
        query: all.query.scratch.at(),
        brought: apart.scratch.at(),
        key_turned: all.key_turned.scratch.at(),
        key: key.scratch.at(),
        value: value.as_ref().map_or(0, |value| value.scratch.at()),
        angles: gpu.angles_of(turned),
        slots: gpu.steps.slots(),
        places: gpu.steps.places(),
        queries: queries.at(),
        keys: cache.keys.at(),
        values: cache.values.at(),
        heads: heads as i32,
        across: across as i32,
        rank: rank as i32,
        turned: turned as i32,
        value_width: value_width as i32,
        key_row: key.stride as i32,
        value_row: value.as_ref().map_or(0, |value| value.stride) as i32,
        key_stride: key_stride as i32,
        value_stride: value_stride as i32,
        context: cache.size.context as i32,
    };
    gpu.launch_one("keep_latents", [rows, 1, 1], given)?;
    let turned = Turned { queries: &queries, heads, times: 1.0, scale, spaces: None, window };
    attend(gpu, step, &turned, cache)
}

/// Of each head of rows the numbers before those that positions turn, as what is multiplied.
fn parts(gpu: &mut Gpu, x: &Rows, heads: usize, across: usize, turned: usize) -> DeviceResult<Rows> {
    let stride = (heads * (across - turned)).next_multiple_of(CHUNK);
    let out = gpu.rows(x.count, stride, gpu.number())?;
    let args = [
        Arg::At(x.scratch.at()),
        Arg::At(out.scratch.at()),
        Arg::Int(x.stride),
        Arg::Int(heads),
        Arg::Int(across),
        Arg::Int(turned),
        Arg::Int(stride),
    ];
    gpu.device.launch_after("part_queries", [x.count, 1, 1], THREADS, &args)?;
    Ok(out)
}

/// What keys or values are made of, as what is multiplied.
fn made_of(gpu: &mut Gpu, x: Rows, width: usize, rounded: bool) -> DeviceResult<Rows> {
    let x = if x.raw { parts(gpu, &x, 1, width, 0)? } else { x };
    if rounded { gpu.rounded(&x, 1, width) } else { Ok(x) }
}
