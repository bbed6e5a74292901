//! What is done number by number: SwiGLU, rotary places, AdamW.
use super::kernel::{Kernel, Source, Words};
use super::tensor::Numbers;
use super::{each, narrow};
use crate::ops::{AdamStep, Angles};
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;

const SOURCE: Source = &[include_str!("source/numbers.cu"), include_str!("source/rows.cu")];
const THREADS: usize = 256;
/// Heads that a thread turns by the same angles.
const TOGETHER: usize = 2;

fn kernel(entry: &'static str, dtype: DType) -> Kernel {
    Kernel::of(entry, SOURCE, vec![narrow(dtype), ("TOGETHER", TOGETHER)], THREADS as u32, 0)
}

/// As many blocks as so many threads need.
fn blocks(threads: usize) -> [usize; 3] {
    [threads.div_ceil(THREADS), 1, 1]
}

fn alike(tensors: &[&Tensor<Cuda, 2>]) -> bool {
    tensors.windows(2).all(|two| (two[0].dtype(), two[0].dims()) == (two[1].dtype(), two[1].dims()))
}

pub(crate) fn swiglu(gate: &Tensor<Cuda, 2>, up: &Tensor<Cuda, 2>) -> Option<Tensor<Cuda, 2>> {
    let ([rows, width], dtype) = (gate.dims(), gate.dtype());
    let (each, count) = (each(dtype)?, rows * width);
    if count == 0 || !alike(&[gate, up]) {
        return None;
    }
    let (gate, up) = (Numbers::of(gate.clone()), Numbers::of(up.clone()));
    let y = Numbers::room(&gate, [rows, width], dtype);
    let buffers = vec![gate.at(), up.at(), y.at()];
    let words = Words::default().long(count);
    kernel("swiglu", dtype).start(gate.client(), blocks(count.div_ceil(each)), buffers, words);
    Some(y.tensor())
}

pub(crate) fn swiglu_back(
    gate: &Tensor<Cuda, 2>,
    up: &Tensor<Cuda, 2>,
    grad: &Tensor<Cuda, 2>,
) -> Option<(Tensor<Cuda, 2>, Tensor<Cuda, 2>)> {
    let ([rows, width], dtype) = (gate.dims(), gate.dtype());
    let (each, count) = (each(dtype)?, rows * width);
    if count == 0 || !alike(&[gate, up, grad]) {
        return None;
    }
    let [gate, up, grad] = [gate, up, grad].map(|x| Numbers::of(x.clone()));
    let room = || Numbers::room(&gate, [rows, width], dtype);
    let (of_gate, of_up) = (room(), room());
    let buffers = [&gate, &up, &grad, &of_gate, &of_up].map(Numbers::at).to_vec();
    let words = Words::default().long(count);
    kernel("swiglu_back", dtype).start(gate.client(), blocks(count.div_ceil(each)), buffers, words);
    Some((of_gate.tensor(), of_up.tensor()))
}

pub(crate) fn rotate(
    x: &Tensor<Cuda, 3>,
    angles: &Angles<Cuda>,
    positions: &Tensor<Cuda, 1, Int>,
    back: bool,
) -> Option<Tensor<Cuda, 3>> {
    let ([rows, heads, width], dtype) = (x.dims(), x.dtype());
    let (each, half) = (each(dtype)?, width / 2);
    let ints = positions.dtype() == DType::I32 && positions.dims() == [rows];
    let fits = |table: &Tensor<Cuda, 2>| table.dtype() == DType::F32 && table.dims()[1] == half;
    let floats = fits(&angles.cos) && fits(&angles.sin);
    if !ints || !floats || rows * heads == 0 || width % 2 != 0 || half == 0 || !half.is_multiple_of(each) {
        return None;
    }
    let x = Numbers::of(x.clone());
    let (cos, sin) = (Numbers::of(angles.cos.clone()), Numbers::of(angles.sin.clone()));
    let positions = Numbers::of_ints(positions.clone());
    let y = Numbers::room(&x, [rows, heads, width], dtype);
    let buffers = [&x, &cos, &sin, &positions, &y].map(Numbers::at).to_vec();
    let words = Words::default().int(rows).int(heads).int(half).float(if back { -1.0 } else { 1.0 });
    let threads = rows * heads.div_ceil(TOGETHER) * half / each;
    kernel("rotate", dtype).start(x.client(), blocks(threads), buffers, words);
    Some(y.tensor())
}

type Updated = (Tensor<Cuda, 1>, (Tensor<Cuda, 1>, Tensor<Cuda, 1>));

/// Whether [`adamw`] can make a step of these.
pub(crate) fn can_step(all: [&Tensor<Cuda, 1>; 4]) -> bool {
    let count = all[0].dims();
    count != [0] && all.iter().all(|x| x.dtype() == DType::F32 && x.dims() == count)
}

/// What nothing else holds is written over, so a step needs no memory of its own.
pub(crate) fn adamw(
    weight: Tensor<Cuda, 1>,
    grad: Tensor<Cuda, 1>,
    means: (Tensor<Cuda, 1>, Tensor<Cuda, 1>),
    step: &AdamStep,
) -> Updated {
    let [count] = weight.dims();
    let [weight, grad, mean, square] = [weight, grad, means.0, means.1].map(Numbers::of);
    let over = |x: &Numbers| if x.alone() { x.clone() } else { Numbers::room(x, [count], DType::F32) };
    let (new_weight, new_mean, new_square) = (over(&weight), over(&mean), over(&square));
    let buffers = [&weight, &grad, &mean, &square, &new_weight, &new_mean, &new_square].map(Numbers::at);
    let (first, second) = step.corrections();
    let words = [step.scale, step.beta1, step.beta2, 1.0 - step.beta1, 1.0 - step.beta2]
        .into_iter()
        .chain([1.0 / first, 1.0 / second, step.epsilon, step.rate, 1.0 - step.rate * step.decay])
        .fold(Words::default().long(count), Words::float);
    kernel("adamw", DType::F32).start(weight.client(), blocks(count.div_ceil(4)), buffers.to_vec(), words);
    (new_weight.tensor(), (new_mean.tensor(), new_square.tensor()))
}
