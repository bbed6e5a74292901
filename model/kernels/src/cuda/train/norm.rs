//! RMSNorm and its way back.
use super::kernel::{Kernel, Source, Words};
use super::sums::sum_rows;
use super::tensor::Numbers;
use super::{each, narrow};
use crate::ops::Normed;
use crate::plain::wide;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;

const SOURCE: Source = &[include_str!("source/numbers.cu"), include_str!("source/norm.cu")];
const THREADS: usize = 256;
/// The widest row whose sums a block can keep.
const WIDEST: usize = 8192;
/// The most blocks that share the rows on the way back, each of which writes a row of sums: as many as an H100 has room for, so that
/// none waits for the first to end.
const SHARES: usize = 3 * 132;

/// How rows of a width are shared out: threads of a row, and the pieces that each one has.
fn shared_out(width: usize, each: usize) -> (usize, usize) {
    let pieces = width / each;
    // Four pieces a thread, but few threads where a row is short.
    let lanes = pieces.div_ceil(4).next_power_of_two().clamp(if pieces < 32 { 8 } else { 32 }, THREADS);
    (lanes, pieces.div_ceil(lanes))
}

struct How {
    kernel: Kernel,
    rows_a_block: usize,
    rows: usize,
}

/// `beside` says whether a gradient is added, and whether what the norm gave is given.
fn how(entry: &'static str, x: &Tensor<Cuda, 2>, weight: &Tensor<Cuda, 1>, beside: [bool; 2]) -> Option<How> {
    let ([rows, width], each) = (x.dims(), each(x.dtype())?);
    if rows == 0 || width == 0 || width > WIDEST || !width.is_multiple_of(each) || weight.dims() != [width] {
        return None;
    }
    let (lanes, pieces) = shared_out(width, each);
    let [added, again] = beside.map(usize::from);
    let sizes = [("WIDTH", width), ("LANES", lanes), ("PIECES", pieces), ("ADDED", added), ("AGAIN", again)];
    let defines = [narrow(x.dtype())].into_iter().chain(sizes).collect();
    let kernel = Kernel::of(entry, SOURCE, defines, THREADS as u32, 0);
    Some(How { kernel, rows_a_block: THREADS / lanes, rows })
}

pub(crate) fn rms_norm(
    x: &Tensor<Cuda, 2>,
    weight: &Tensor<Cuda, 1>,
    epsilon: f64,
) -> Option<Tensor<Cuda, 2>> {
    let How { kernel, rows_a_block, rows } = how("rms_norm", x, weight, [false; 2])?;
    let (dims, dtype) = (x.dims(), x.dtype());
    let (x, weight) = (Numbers::of(x.clone()), Numbers::of(wide(weight.clone())));
    let y = Numbers::room(&x, dims, dtype);
    let words = Words::default().int(rows).float(epsilon);
    let buffers = vec![x.at(), weight.at(), y.at()];
    kernel.start(x.client(), [rows.div_ceil(rows_a_block), 1, 1], buffers, words);
    Some(y.tensor())
}

pub(crate) fn rms_norm_back(
    x: &Tensor<Cuda, 2>,
    weight: &Tensor<Cuda, 1>,
    epsilon: f64,
    grad: &Tensor<Cuda, 2>,
    so_far: Option<&Tensor<Cuda, 2>>,
    again: bool,
) -> Option<Normed<Cuda>> {
    let How { kernel, rows_a_block, rows } = how("rms_norm_back", x, weight, [so_far.is_some(), again])?;
    let ([_, width], dtype) = (x.dims(), x.dtype());
    let alike = |other: &Tensor<Cuda, 2>| other.dtype() == dtype && other.dims() == x.dims();
    if !alike(grad) || !so_far.is_none_or(alike) {
        return None;
    }
    let so_far = so_far.map(|so_far| Numbers::of(so_far.clone()));
    let (x, weight, grad) =
        (Numbers::of(x.clone()), Numbers::of(wide(weight.clone())), Numbers::of(grad.clone()));
    let groups = rows.div_ceil(rows_a_block);
    // All have as much to do.
    let blocks = groups.div_ceil(groups.div_ceil(SHARES));
    let of_x = Numbers::room(&x, [rows, width], dtype);
    let output = again.then(|| Numbers::room(&x, [rows, width], dtype));
    let parts = Numbers::room(&x, [blocks, width], DType::F32);
    let words = Words::default().int(rows).float(epsilon);
    let mut buffers = [&x, &weight, &grad, &of_x, &parts].map(Numbers::at).to_vec();
    buffers.extend(so_far.iter().chain(&output).map(Numbers::at));
    kernel.start(x.client(), [blocks, 1, 1], buffers, words);
    let of_weight = sum_rows(&parts, blocks, width).tensor();
    Some(Normed { output: output.map(Numbers::tensor), grad: of_x.tensor(), of_weight })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_shared_out_whole() {
        for each in [4, 8] {
            for pieces in 1..=WIDEST / each {
                let (lanes, own) = shared_out(pieces * each, each);
                assert!(lanes * own >= pieces && lanes * (own - 1) < pieces, "{pieces} by {each}");
                assert!(THREADS.is_multiple_of(lanes) && own <= 8, "{pieces} by {each}");
            }
        }
    }
}
