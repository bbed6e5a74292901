//! Chains, and their way back: a block for each chain of each sequence. And what their links are made of, number by number.
use super::kernel::{Kernel, Source, Words};
use super::sums::sum_rows;
use super::tensor::Numbers;
use super::{each, narrow};
use crate::ops::Linking;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;

const SOURCE: Source = &[include_str!("source/link.cu")];
/// Threads of a block.
const THREADS: usize = 256;
/// Blocks side by side in the second direction of a grid.
const MOST: usize = 65_535;

/// Whether a kernel does it.
fn fits(links: &Tensor<Cuda, 3>, linking: &Linking<Cuda>) -> bool {
    let [batch, tokens, _] = links.dims();
    links.dtype() == DType::F32
        && linking.begins.dtype() == DType::I32
        && linking.begins.dims() == [batch, tokens]
        && (1..=MOST).contains(&batch)
        && tokens > 0
}

fn start(entry: &'static str, buffers: &[&Numbers], [batch, tokens, both]: [usize; 3]) {
    let (chains, span) = (both / 2, tokens.div_ceil(THREADS));
    let words = Words::default().int(tokens).int(chains).int(span).int(0);
    let all = buffers.iter().map(|numbers| numbers.at()).collect();
    let kernel = Kernel::of(entry, SOURCE, vec![("THREADS", THREADS)], THREADS as u32, 0);
    kernel.start(buffers[0].client(), [chains, batch, 1], all, words);
}

pub(crate) fn link(
    links: &Tensor<Cuda, 3>,
    eta: &Tensor<Cuda, 1>,
    linking: &Linking<Cuda>,
) -> Option<Tensor<Cuda, 3>> {
    let dims = links.dims();
    if !fits(links, linking) || eta.dtype() != DType::F32 {
        return None;
    }
    let (links, eta) = (Numbers::of(links.clone()), Numbers::of(eta.clone()));
    let begins = Numbers::of_ints(linking.begins.clone());
    let out = Numbers::room(&links, dims, DType::F32);
    start("link_chains", &[&links, &eta, &begins, &out], dims);
    Some(out.tensor())
}

pub(crate) fn link_back(
    links: &Tensor<Cuda, 3>,
    found: &Tensor<Cuda, 3>,
    linking: &Linking<Cuda>,
    grad: &Tensor<Cuda, 3>,
) -> Option<(Tensor<Cuda, 3>, Tensor<Cuda, 1>)> {
    let dims @ [batch, _, both] = links.dims();
    if !fits(links, linking) || found.dtype() != DType::F32 || grad.dtype() != DType::F32 {
        return None;
    }
    let [links, found, grad] = [links, found, grad].map(|x| Numbers::of(x.clone()));
    let begins = Numbers::of_ints(linking.begins.clone());
    let out = Numbers::room(&links, dims, DType::F32);
    let of_eta = Numbers::room(&links, [batch, both / 2], DType::F32);
    start("link_chains_back", &[&links, &found, &begins, &grad, &out, &of_eta], dims);
    Some((out.tensor(), sum_rows(&of_eta, batch, both / 2).tensor()))
}

const BOUND: Source = &[include_str!("source/numbers.cu"), include_str!("source/bound.cu")];

/// Starts a kernel for what links are made of, a thread for each number.
fn start_bound(entry: &'static str, buffers: &[&Numbers], [rows, both]: [usize; 2], most: f64, dtype: DType) {
    let words = Words::default().int(rows).int(both / 2).float(most).int(0);
    let all = buffers.iter().map(|numbers| numbers.at()).collect();
    let kernel = Kernel::of(entry, BOUND, vec![narrow(dtype)], THREADS as u32, 0);
    kernel.start(buffers[0].client(), [(rows * both).div_ceil(THREADS), 1, 1], all, words);
}

/// Whether a kernel does it.
fn can_bound(both: &Tensor<Cuda, 2>, biases: [&Tensor<Cuda, 1>; 2]) -> bool {
    let [rows, across] = both.dims();
    let alike = |bias: &&Tensor<Cuda, 1>| bias.dtype() == DType::F32 && bias.dims() == [across / 2];
    let count = rows * across;
    each(both.dtype()).is_some()
        && biases.iter().all(alike)
        && count > 0
        && count < u32::MAX as usize - THREADS
}

pub(crate) fn bounded(
    both: &Tensor<Cuda, 2>,
    biases: [&Tensor<Cuda, 1>; 2],
    most: f64,
) -> Option<Tensor<Cuda, 2>> {
    if !can_bound(both, biases) {
        return None;
    }
    let (dims, dtype) = (both.dims(), both.dtype());
    let both = Numbers::of(both.clone());
    let [potential, coupling] = biases.map(|bias| Numbers::of(bias.clone()));
    let links = Numbers::room(&both, dims, DType::F32);
    start_bound("bound_links", &[&both, &potential, &coupling, &links], dims, most, dtype);
    Some(links.tensor())
}

pub(crate) fn bounded_back(
    both: &Tensor<Cuda, 2>,
    biases: [&Tensor<Cuda, 1>; 2],
    most: f64,
    grad: &Tensor<Cuda, 2>,
) -> Option<(Tensor<Cuda, 2>, [Tensor<Cuda, 1>; 2])> {
    if !can_bound(both, biases) || grad.dtype() != DType::F32 || grad.dims() != both.dims() {
        return None;
    }
    let (dims @ [rows, across], dtype) = (both.dims(), both.dtype());
    let [both, grad] = [both, grad].map(|x| Numbers::of(x.clone()));
    let [potential, coupling] = biases.map(|bias| Numbers::of(bias.clone()));
    let (of_both, of_bias) = (Numbers::room(&both, dims, dtype), Numbers::room(&both, dims, DType::F32));
    let buffers = [&both, &potential, &coupling, &grad, &of_both, &of_bias];
    start_bound("bound_links_back", &buffers, dims, most, dtype);
    let sums: Tensor<Cuda, 1> = sum_rows(&of_bias, rows, across).tensor();
    let half = |first| sums.clone().narrow(0, first, across / 2);
    Some((of_both.tensor(), [half(0), half(across / 2)]))
}
