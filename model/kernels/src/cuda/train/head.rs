//! The last product and the loss, in chunks of tokens: logits of a chunk, and their gradient over them.
use super::kernel::{Kernel, Source, Words};
use super::product::{product, product_added};
use super::sums::sum_all;
use super::tensor::Numbers;
use super::{each, narrow};
use crate::ops::{HeadLoss, Objective, Turned};
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;

const SOURCE: Source = &[include_str!("source/numbers.cu"), include_str!("source/head.cu")];
const THREADS: u32 = 512;
/// How many logits exist at once.
const LOGITS: usize = 1 << 27;

pub(crate) fn head_loss(
    x: &Tensor<Cuda, 2>,
    weight: &Tensor<Cuda, 2>,
    labels: &Tensor<Cuda, 1, Int>,
    objective: &Objective,
    share: f64,
    back: bool,
) -> Option<HeadLoss<Cuda>> {
    let ([rows, _], [vocabulary, _], dtype) = (x.dims(), weight.dims(), x.dtype());
    let each = each(dtype)?;
    if rows == 0 || vocabulary == 0 || labels.dtype() != DType::I32 || labels.dims() != [rows] {
        return None;
    }
    let step = if vocabulary.is_multiple_of(each) { each } else { 1 };
    let defines = vec![narrow(dtype), ("VOCABULARY", vocabulary), ("STEP", step)];
    let kernel = Kernel::of("loss_rows", SOURCE, defines, THREADS, 0);
    let o = *objective;
    let words = || {
        [o.cross_entropy, o.focal, o.gamma, o.smooth, o.epsilon, o.z, share]
            .into_iter()
            .fold(Words::default(), Words::float)
            .int(usize::from(back))
    };
    // Parts of a batch begin where kernels can read.
    let chunk = (LOGITS / vocabulary).max(1).next_multiple_of(8).min(rows);
    let (mut losses, mut plain) = (Vec::new(), Vec::new());
    let (mut of_x, mut of_weight) = (Vec::new(), None);
    for start in (0..rows).step_by(chunk) {
        let len = chunk.min(rows - start);
        let part = x.clone().narrow(0, start, len);
        let logits = Numbers::of(product(&part, weight, Turned::Right)?);
        let labels = Numbers::of_ints(labels.clone().narrow(0, start, len));
        let (each_loss, each_plain) =
            (Numbers::room(&logits, [len], DType::F32), Numbers::room(&logits, [len], DType::F32));
        let buffers = [&logits, &labels, &each_loss, &each_plain].map(Numbers::at).to_vec();
        kernel.start(logits.client(), [len, 1, 1], buffers, words());
        losses.push(sum_all(&each_loss, len).tensor());
        plain.push(sum_all(&each_plain, len).tensor());
        if back {
            let grad: Tensor<Cuda, 2> = logits.tensor();
            of_x.push(product(&grad, weight, Turned::Neither)?);
            of_weight = Some(product_added(&grad, &part, Turned::Left, of_weight.take())?);
        }
    }
    let sum = |parts: Vec<Tensor<Cuda, 1>>| Tensor::cat(parts, 0).sum();
    Some(HeadLoss {
        loss: sum(losses),
        plain: sum(plain),
        back: of_weight.map(|of_weight| (Tensor::cat(of_x, 0), of_weight)),
    })
}
