//! Rows that experts pick, on a GPU, and the products that they are picked by.
use super::device::Arg;
use super::matrix::Matrix;
use super::memory::Scratch;
use super::{Gpu, Rows};
use crate::decode::{DeviceResult, Picked};

const THREADS: u32 = 256;

/// What was picked, where kernels read it: a row and a share each.
fn brought(gpu: &Gpu, picked: &[Picked]) -> DeviceResult<Scratch> {
    let words: Vec<[u32; 2]> = picked.iter().map(|one| [one.row, one.share.to_bits()]).collect();
    let scratch = gpu.device.scratch(size_of_val(&words[..]))?;
    gpu.device.copy_in(scratch.at(), &words)?;
    Ok(scratch)
}

pub(super) fn picked(gpu: &mut Gpu, x: &Rows, picked: &[Picked]) -> DeviceResult<Rows> {
    let (which, out) = (brought(gpu, picked)?, gpu.rows(picked.len(), x.stride, gpu.number())?);
    let args = [Arg::At(x.scratch.at()), Arg::At(which.at()), Arg::At(out.scratch.at()), Arg::Int(x.stride)];
    gpu.device.launch_after("pick_rows", [picked.len(), 1, 1], THREADS, &args)?;
    Ok(out)
}

pub(super) fn add_picked(gpu: &mut Gpu, sum: Rows, given: &Rows, picked: &[Picked]) -> DeviceResult<Rows> {
    let which = brought(gpu, picked)?;
    let args = [
        Arg::At(sum.scratch.at()),
        Arg::At(given.scratch.at()),
        Arg::At(which.at()),
        Arg::Int(given.stride.min(sum.stride)),
        Arg::Int(sum.stride),
        Arg::Int(given.stride),
    ];
    gpu.device.launch_after("add_picked", [picked.len(), 1, 1], THREADS, &args)?;
    Ok(sum)
}

/// Products with a weight that is kept in f32.
pub(super) fn exact_times(gpu: &mut Gpu, x: &Rows, weight: &Matrix) -> DeviceResult<Rows> {
    let rows = gpu.rows(x.count, weight.rows, 4)?;
    let args = [
        Arg::At(x.scratch.at()),
        Arg::At(weight.numbers()),
        Arg::At(rows.scratch.at()),
        Arg::Int(weight.width),
        Arg::Int(weight.rows),
        Arg::Int(x.stride),
    ];
    gpu.device.launch_after("exact_rows", [x.count, 1, 1], THREADS, &args)?;
    Ok(rows)
}
