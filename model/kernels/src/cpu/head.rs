//! The last product and the loss: a chunk of logits at a time, turned into their gradient in place.
use super::memory::{give_back, to_fill, zeros};
use super::numbers::{Floats, Ints, made};
use super::product::{Matrix, multiply_shared};
use super::share::by_rows_with;
use super::vector::{exp, largest, sum_of, wide};
use crate::ops::{HeadLoss, LogitLoss, NO_LABEL, Objective};
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;

/// How many logits exist at once: as many as caches hold.
pub(super) const LOGITS: usize = 1 << 21;

/// What a row gives: the objective and plain cross-entropy.
type Losses = (f64, f64);

pub(super) fn head_loss(
    x: Tensor<Flex, 2>,
    weight: Tensor<Flex, 2>,
    labels: Tensor<Flex, 1, Int>,
    objective: &Objective,
    share: f64,
    back: bool,
) -> HeadLoss<Flex> {
    let [vocabulary, _] = weight.dims();
    head_loss_by(LOGITS / vocabulary.max(1), x, weight, labels, objective, share, back)
}

/// So many tokens at once.
pub(crate) fn head_loss_by(
    chunk: usize,
    x: Tensor<Flex, 2>,
    weight: Tensor<Flex, 2>,
    labels: Tensor<Flex, 1, Int>,
    objective: &Objective,
    share: f64,
    back: bool,
) -> HeadLoss<Flex> {
    let ([rows, width], [vocabulary, _], dtype) = (x.dims(), weight.dims(), x.dtype());
    let (x, weight, labels) = (Floats::of(x), Floats::of(weight), Ints::of(labels));
    let (x, weight, labels) = (x.get(), weight.get(), labels.get());
    let chunk = chunk.clamp(1, rows.max(1));
    let mut logits = to_fill(chunk * vocabulary);
    let mut of_x = to_fill(if back { rows * width } else { 0 });
    let mut of_weight = zeros(if back { vocabulary * width } else { 0 });
    let mut all = (0.0, 0.0);
    for start in (0..rows).step_by(chunk) {
        let len = chunk.min(rows - start);
        let logits = &mut logits[..len * vocabulary];
        let (x, labels) = (&x[start * width..][..len * width], &labels[start..][..len]);
        let (head, tokens) = (Matrix::new(weight, width), Matrix::new(x, width));
        multiply_shared([len, vocabulary, width], tokens, head.turned(), logits, false);
        let (loss, plain) = of_rows(logits, labels, vocabulary, objective, share);
        all = (all.0 + loss, all.1 + plain);
        if back {
            let grad = Matrix::new(logits, vocabulary);
            let to = &mut of_x[start * width..][..len * width];
            multiply_shared([len, width, vocabulary], grad, head, to, false);
            multiply_shared([vocabulary, width, len], grad.turned(), tokens, &mut of_weight, true);
        }
    }
    give_back(logits);
    let number = |x: f64| made(vec![(x * share) as f32], [1], DType::F32);
    let back =
        back.then(|| (made(of_x, [rows, width], dtype), [made(of_weight, [vocabulary, width], DType::F32)]));
    HeadLoss { loss: number(all.0), plain: number(all.1), back }
}

pub(super) fn logit_loss(
    logits: Tensor<Flex, 2>,
    labels: Tensor<Flex, 1, Int>,
    objective: &Objective,
    share: f64,
    back: bool,
) -> LogitLoss<Flex> {
    let ([rows, vocabulary], dtype) = (logits.dims(), logits.dtype());
    let (logits, labels) = (Floats::of(logits), Ints::of(labels));
    let mut grad = logits.get().to_vec();
    let (loss, plain) = of_rows(&mut grad, labels.get(), vocabulary, objective, share);
    let number = |x: f64| made(vec![(x * share) as f32], [1], DType::F32);
    LogitLoss {
        loss: number(loss),
        plain: number(plain),
        grad: back.then(|| made(grad, [rows, vocabulary], dtype)),
    }
}

/// The losses of all tokens; their logits become their gradient, times `share`.
fn of_rows(
    logits: &mut [f32],
    labels: &[i32],
    vocabulary: usize,
    objective: &Objective,
    share: f64,
) -> Losses {
    let mut losses: Vec<Losses> = vec![(0.0, 0.0); labels.len()];
    by_rows_with(logits, vocabulary, &mut losses, |first, logits, losses| {
        for ((at, row), loss) in (first..).zip(logits.chunks_exact_mut(vocabulary)).zip(losses) {
            *loss = of_row(row, labels[at], objective, share);
        }
    });
    losses.into_iter().fold((0.0, 0.0), |all, (loss, plain)| (all.0 + loss, all.1 + plain))
}

wide! {
    /// The loss of one token; its logits become their gradient, times `share`. `plain::of_logits` has the same formulas.
    fn of_row(logits: &mut [f32], label: i32, o: &Objective, share: f64) -> Losses {
        if label == NO_LABEL {
            logits.fill(0.0);
            return (0.0, 0.0);
        }
        let (label, classes) = (label as usize, logits.len() as f64);
        let top = largest(logits);
        let at_label = f64::from(logits[label] - top);
        let spread_of = if o.smooth == 0.0 { 0.0 } else { f64::from(sum_of(logits, logits, |x, _| x - top)) };
        logits.iter_mut().for_each(|x| *x = exp(*x - top));
        let sum = sum_of(logits, logits, |x, _| x);
        let log_sum = f64::from(sum).ln();
        let lse = log_sum + f64::from(top);
        let entropy = log_sum - at_label;
        let p = (-entropy).exp();
        let rest = (1.0 - p).max(1e-30);
        let off = o.epsilon / (classes - 1.0).max(1.0);
        let spread = classes * log_sum - spread_of - entropy;
        let focal = rest.powf(o.gamma);
        let loss = entropy * (o.cross_entropy + o.smooth * (1.0 - o.epsilon))
            + focal * entropy * o.focal
            + spread * o.smooth * off
            + lse * lse * o.z;
        let pull =
            o.cross_entropy + o.smooth + o.focal * (focal + rest.powf(o.gamma - 1.0) * p * entropy * o.gamma);
        let push = (pull + 2.0 * o.z * lse) * share / f64::from(sum);
        let (push, less) = (push as f32, (o.smooth * off * share) as f32);
        logits.iter_mut().for_each(|x| *x = *x * push - less);
        logits[label] -= ((pull - o.smooth * (o.epsilon + off)) * share) as f32;
        (loss, entropy)
    }
}
