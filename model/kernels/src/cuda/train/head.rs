//! The last product and the loss, in chunks of tokens: logits of a chunk, and their gradient over them.
use super::kernel::{Kernel, Source, Words};
use super::product::{product, product_added};
use super::sums::sum_all;
use super::tensor::Numbers;
use super::{each, narrow};
use crate::ops::{HeadLoss, LogitLoss, Objective, Turned};
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
    let ([rows, _], [vocabulary, _]) = (x.dims(), weight.dims());
    if !fits(x.dtype(), [rows, vocabulary], labels) {
        return None;
    }
    // Parts of a batch begin where kernels can read.
    let chunk = (LOGITS / vocabulary).max(1).next_multiple_of(8).min(rows);
    let (mut losses, mut plain) = (Vec::new(), Vec::new());
    let (mut of_x, mut of_weight) = (Vec::new(), None);
    for start in (0..rows).step_by(chunk) {
        let len = chunk.min(rows - start);
        let part = x.clone().narrow(0, start, len);
        let logits = product(&part, weight, Turned::Right)?;
        let made = logit_loss(logits, labels.clone().narrow(0, start, len), objective, share, back);
        losses.push(made.loss);
        plain.push(made.plain);
        if let Some(grad) = made.grad {
            of_x.push(product(&grad, weight, Turned::Neither)?);
            of_weight = Some(product_added(&grad, &part, Turned::Left, of_weight.take())?);
        }
    }
    // By our own kernel: what Burn tunes may add up in another order the next time.
    let sum = |parts: Vec<Tensor<Cuda, 1>>| {
        let count = parts.len();
        sum_all(&Numbers::of(Tensor::cat(parts, 0)), count).tensor()
    };
    Some(HeadLoss {
        loss: sum(losses),
        plain: sum(plain),
        back: of_weight.map(|of_weight| (Tensor::cat(of_x, 0), [of_weight])),
    })
}

/// Whether [`logit_loss`] can tell the losses of these.
pub(crate) fn can_tell(logits: &Tensor<Cuda, 2>, labels: &Tensor<Cuda, 1, Int>) -> bool {
    fits(logits.dtype(), logits.dims(), labels)
}

/// Whether there is a kernel for such logits.
fn fits(dtype: DType, [rows, vocabulary]: [usize; 2], labels: &Tensor<Cuda, 1, Int>) -> bool {
    let known = each(dtype).is_some() && labels.dtype() == DType::I32;
    known && rows > 0 && vocabulary > 0 && labels.dims() == [rows]
}

/// The losses of rows of logits, which become their gradient where nobody else holds them.
pub(crate) fn logit_loss(
    logits: Tensor<Cuda, 2>,
    labels: Tensor<Cuda, 1, Int>,
    objective: &Objective,
    share: f64,
    back: bool,
) -> LogitLoss<Cuda> {
    let ([rows, vocabulary], dtype) = (logits.dims(), logits.dtype());
    let step = each(dtype).filter(|each| vocabulary.is_multiple_of(*each)).unwrap_or(1);
    let defines = vec![narrow(dtype), ("VOCABULARY", vocabulary), ("STEP", step)];
    let kernel = Kernel::of("loss_rows", SOURCE, defines, THREADS, 0);
    let o = objective;
    let words = [o.cross_entropy, o.focal, o.gamma, o.smooth, o.epsilon, o.z, share];
    let words = words.into_iter().fold(Words::default(), Words::float).int(usize::from(back));
    let (logits, labels) = (Numbers::of(logits).own(), Numbers::of_ints(labels));
    let [losses, plain] = [(); 2].map(|()| Numbers::room(&logits, [rows], DType::F32));
    let buffers = [&logits, &labels, &losses, &plain].map(Numbers::at).to_vec();
    kernel.start(logits.client(), [rows, 1, 1], buffers, words);
    let [loss, plain] = [losses, plain].map(|each| sum_all(&each, rows).tensor());
    LogitLoss { loss, plain, grad: back.then(|| logits.tensor()) }
}
