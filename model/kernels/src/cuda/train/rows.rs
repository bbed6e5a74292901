//! What is done number by number: stacks of weights, SwiGLU, AdamW.
use super::kernel::{Kernel, Source, Words};
use super::tensor::Numbers;
use super::{each, narrow};
use crate::ops::Gated;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;

const THREADS: usize = 256;
/// As many blocks as so many threads need.
fn blocks(threads: usize) -> [usize; 3] {
    [threads.div_ceil(THREADS), 1, 1]
}

/// Weights in one type, one behind the other.
pub(crate) fn stacked(weights: &[Tensor<Cuda, 2>], dtype: DType) -> Option<Tensor<Cuda, 2>> {
    let first = weights.first()?;
    let ([_, width], from) = (first.dims(), first.dtype());
    let fits = |weight: &Tensor<Cuda, 2>| {
        let [rows, across] = weight.dims();
        across == width && weight.dtype() == from && (rows * width).is_multiple_of(8) && rows > 0
    };
    let (Some(_), Some(_)) = (each(from), each(dtype)) else { return None };
    if weights.len() > MOST || width == 0 || !weights.iter().all(fits) {
        return None;
    }
    let counts: Vec<usize> = weights.iter().map(|weight| weight.dims()[0] * width / 8).collect();
    let own: Vec<Numbers> = weights.iter().map(|weight| Numbers::of(weight.clone())).collect();
    let all: usize = counts.iter().sum();
    let y = Numbers::room(&own[0], [all * 8 / width, width], dtype);
    // Where there are fewer, those that are not there have nothing in them.
    let at = |which: usize| own[which.min(own.len() - 1)].at();
    let words =
        (0..MOST).fold(Words::default(), |words, which| words.int(counts.iter().take(which + 1).sum()));
    let defines = vec![narrow(dtype), ("FROM_NARROW", usize::from(from == DType::BF16))];
    let source: Source = &[include_str!("source/numbers.cu"), include_str!("source/stacked.cu")];
    let kernel = Kernel::of("stacked", source, defines, THREADS as u32, 0);
    kernel.start(y.client(), blocks(all), vec![at(0), at(1), at(2), y.at()], words);
    Some(y.tensor())
}

/// The most weights that a kernel stacks.
const MOST: usize = 3;

/// Sizes of SwiGLU, and its kernel: rows are gone through in pieces, of a number where a row is no multiple of more.
struct Gates {
    kernel: Kernel,
    rows: usize,
    width: usize,
    words: Words,
    blocks: [usize; 3],
}

impl Gates {
    fn of(entry: &'static str, both: &Tensor<Cuda, 2>) -> Option<Self> {
        let ([rows, across], each) = (both.dims(), each(both.dtype())?);
        let width = across / 2;
        let step = if width.is_multiple_of(each) { each } else { 1 };
        let pieces = rows * width / step;
        if pieces == 0 || !across.is_multiple_of(2) || pieces > u32::MAX as usize - THREADS {
            return None;
        }
        let defines = vec![narrow(both.dtype()), ("STEP", step)];
        let source: Source = &[
            include_str!("source/numbers.cu"),
            include_str!("source/pieces.cu"),
            include_str!("source/gates.cu"),
        ];
        let kernel = Kernel::of(entry, source, defines, THREADS as u32, 0);
        let words = Words::default().int(pieces).int(width / step);
        Some(Self { kernel, rows, width, words, blocks: blocks(pieces) })
    }
}

pub(crate) fn swiglu(both: &Tensor<Cuda, 2>) -> Option<Tensor<Cuda, 2>> {
    let Gates { kernel, rows, width, words, blocks } = Gates::of("swiglu", both)?;
    let dtype = both.dtype();
    let both = Numbers::of(both.clone());
    let y = Numbers::room(&both, [rows, width], dtype);
    kernel.start(both.client(), blocks, vec![both.at(), y.at()], words);
    Some(y.tensor())
}

pub(crate) fn swiglu_back(both: &Tensor<Cuda, 2>, grad: &Tensor<Cuda, 2>) -> Option<Gated<Cuda>> {
    let Gates { kernel, rows, width, words, blocks } = Gates::of("swiglu_back", both)?;
    let dtype = both.dtype();
    if (grad.dims(), grad.dtype()) != ([rows, width], dtype) {
        return None;
    }
    let [both, grad] = [both, grad].map(|x| Numbers::of(x.clone()));
    let output = Numbers::room(&both, [rows, width], dtype);
    let back = Numbers::room(&both, [rows, 2 * width], dtype);
    let buffers = [&both, &grad, &output, &back].map(Numbers::at).to_vec();
    kernel.start(both.client(), blocks, buffers, words);
    Some(Gated { output: output.tensor(), grad: back.tensor() })
}
