//! The last product and the loss, in chunks of tokens.
use super::{narrow, product, wide};
use crate::ops::{HeadLoss, LogitLoss, NO_LABEL, Objective, Ops, Turned};
use burn::prelude::*;
use burn::tensor::DType;

/// How many logits exist at once.
const LOGITS: usize = 1 << 26;

pub(crate) fn head_loss<B: Ops>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
    objective: &Objective,
    share: f64,
    back: bool,
) -> HeadLoss<B> {
    let [vocabulary, _] = weight.dims();
    head_loss_by(LOGITS / vocabulary.max(1), x, weight, labels, objective, share, back)
}

/// So many tokens at once.
pub(crate) fn head_loss_by<B: Ops>(
    chunk: usize,
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
    objective: &Objective,
    share: f64,
    back: bool,
) -> HeadLoss<B> {
    let [rows, _] = x.dims();
    let chunk = chunk.clamp(1, rows.max(1));
    let mut sums: Option<(Tensor<B, 1>, Tensor<B, 1>)> = None;
    let (mut of_x, mut of_weight) = (Vec::new(), None);
    for start in (0..rows).step_by(chunk) {
        let len = chunk.min(rows - start);
        let x = x.clone().narrow(0, start, len);
        let labels = labels.clone().narrow(0, start, len);
        let logits = product(x.clone(), weight.clone(), Turned::Right);
        let LogitLoss { loss, plain, grad } = logit_loss(logits, labels, objective, share, back);
        sums = Some(match sums {
            None => (loss, plain),
            Some((all, all_plain)) => (all + loss, all_plain + plain),
        });
        if let Some(grad) = grad {
            of_x.push(product(grad.clone(), weight.clone(), Turned::Neither));
            let more = wide(product(grad, x, Turned::Left));
            of_weight = Some(match of_weight {
                None => more,
                Some(all) => all + more,
            });
        }
    }
    let zero = || Tensor::zeros([1], &x.device());
    let (loss, plain) = sums.unwrap_or_else(|| (zero(), zero()));
    // Without a row nothing was added up, and the gradients are nothing.
    let nothing = || (x.zeros_like(), weight.zeros_like().cast(DType::F32));
    let back = back.then(|| {
        let (of_x, of_weight) = of_weight.map_or_else(nothing, |of_weight| (Tensor::cat(of_x, 0), of_weight));
        (of_x, [of_weight])
    });
    HeadLoss { loss, plain, back }
}

/// The loss of these logits, and its gradient.
pub(crate) fn logit_loss<B: Backend>(
    logits: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
    objective: &Objective,
    share: f64,
    back: bool,
) -> LogitLoss<B> {
    let dtype = logits.dtype();
    let all = of_logits(wide(logits), labels, objective, back);
    LogitLoss {
        loss: all.loss.mul_scalar(share),
        plain: all.plain.mul_scalar(share),
        grad: all.grad.map(|grad| narrow(grad.mul_scalar(share), dtype)),
    }
}

/// The same where each token counts as one. The gradient has the same form for every objective: a multiple of the
/// probabilities, less a constant, with an entry of its own at the label.
fn of_logits<B: Backend>(
    logits: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
    objective: &Objective,
    back: bool,
) -> LogitLoss<B> {
    let ([rows, vocabulary], device) = (logits.dims(), logits.device());
    let o = *objective;
    let none = labels.clone().equal_elem(NO_LABEL).unsqueeze_dim::<2>(1);
    let label = labels.clone().mask_fill(labels.equal_elem(NO_LABEL), 0).unsqueeze_dim::<2>(1);
    let counts = none.clone().bool_not().float();

    let largest = logits.clone().max_dim(1);
    let exponents = (logits.clone() - largest.clone()).exp();
    let sum = exponents.clone().sum_dim(1);
    let lse = sum.clone().log() + largest;
    let entropy = lse.clone() - logits.clone().gather(1, label.clone());
    let p = entropy.clone().neg().exp();
    // What is left of certainty, kept from zero so that its powers exist.
    let rest = (p.clone().neg() + 1.0).clamp_min(1e-30);
    let off = o.epsilon / (vocabulary as f64 - 1.0).max(1.0);
    let spread = lse.clone().mul_scalar(vocabulary as f64) - logits.sum_dim(1) - entropy.clone();

    let focal = rest.clone().powf_scalar(o.gamma);
    let each = entropy.clone().mul_scalar(o.cross_entropy + o.smooth * (1.0 - o.epsilon))
        + (focal.clone() * entropy.clone()).mul_scalar(o.focal)
        + spread.mul_scalar(o.smooth * off)
        + (lse.clone() * lse.clone()).mul_scalar(o.z);
    let total = |x: Tensor<B, 2>| (x * counts.clone()).sum();

    let grad = back.then(|| {
        let steep = focal + (rest.powf_scalar(o.gamma - 1.0) * p * entropy.clone()).mul_scalar(o.gamma);
        let pull = steep.mul_scalar(o.focal) + (o.cross_entropy + o.smooth);
        let push = pull.clone() + lse.mul_scalar(2.0 * o.z);
        let at_label = (pull.neg() + o.smooth * (o.epsilon + off)) * counts.clone();
        let all = (exponents / sum * push - o.smooth * off) * counts.clone();
        let ones = Tensor::<B, 2>::zeros([rows, vocabulary], &device);
        all + ones.scatter(1, label, at_label, burn::tensor::IndexingUpdateOp::Add)
    });
    LogitLoss { loss: total(each), plain: total(entropy), grad }
}
