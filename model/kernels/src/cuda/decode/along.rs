//! What goes along texts on a GPU: heads that learn and chains, from what the state of each text has.
use super::device::Arg;
use super::memory::Memory;
use super::{CHUNK, Gpu, Rows, Vector};
use crate::decode::{DeviceResult, Links, Step};

/// Threads of a block.
const ALONG: usize = 256;

/// So many numbers for each text.
pub struct State {
    memory: Memory,
    numbers: usize,
}

impl State {
    pub(super) fn new(gpu: &Gpu, slots: usize, numbers: usize) -> DeviceResult<Self> {
        gpu.device.bind()?;
        Ok(Self { memory: gpu.device.zeros(4 * slots * numbers)?, numbers })
    }
}

pub(super) fn learn(
    gpu: &mut Gpu,
    step: &Step<'_>,
    views: &Rows,
    heads: usize,
    rate: f64,
    state: &State,
) -> DeviceResult<Rows> {
    let (rows, width) = (step.ids.len(), (state.numbers / heads).isqrt());
    let out = gpu.rows(rows, (heads * width).next_multiple_of(CHUNK), gpu.number())?;
    let args = [
        Arg::At(views.scratch.at()),
        Arg::At(gpu.steps.slots()),
        Arg::At(gpu.steps.places()),
        Arg::At(state.memory.at()),
        Arg::At(out.scratch.at()),
        Arg::Int(rows),
        Arg::Int(heads),
        Arg::Int(width),
        Arg::Int(views.stride),
        Arg::Int(out.stride),
        Arg::Float(rate),
    ];
    gpu.device.launch_after("learn_along", [rows, heads, 1], ALONG as u32, &args)?;
    Ok(out)
}

pub(super) fn link(
    gpu: &mut Gpu,
    step: &Step<'_>,
    both: &Rows,
    links: &Links<'_, Vector>,
    state: &State,
) -> DeviceResult<Rows> {
    let (rows, chains) = (step.ids.len(), state.numbers / 2);
    let out = gpu.rows(rows, (2 * chains).next_multiple_of(CHUNK), gpu.number())?;
    let args = [
        Arg::At(both.scratch.at()),
        Arg::At(gpu.steps.slots()),
        Arg::At(gpu.steps.places()),
        Arg::At(links.potential.memory.at()),
        Arg::At(links.coupling.memory.at()),
        Arg::At(links.eta.memory.at()),
        Arg::At(state.memory.at()),
        Arg::At(out.scratch.at()),
        Arg::Int(rows),
        Arg::Int(chains),
        Arg::Int(out.stride),
        Arg::Float(links.most),
    ];
    // Those behind the last chain write the zeros behind it.
    let blocks = (out.stride - chains).max(chains).div_ceil(ALONG);
    gpu.device.launch_after("link_along", [rows, blocks, 1], ALONG as u32, &args)?;
    Ok(out)
}
