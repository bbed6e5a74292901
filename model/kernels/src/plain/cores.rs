//! The last product and the loss where the head is a table of two cores: a chunk of tokens goes through one core, then through the
//! other, and back.
use super::{narrow, wide};
use crate::ops::{Cores, HeadLoss, LogitLoss, Objective, Ops, Turned};
use burn::prelude::*;
use burn::tensor::DType;

/// Sizes of a table of cores, as [`Cores`] names them.
#[derive(Clone, Copy)]
struct Sizes {
    m: usize,
    n: usize,
    ranks: usize,
    a: usize,
    b: usize,
}

impl<B: Ops> Cores<B> {
    fn sizes(&self) -> Sizes {
        let ([m, first], [n, second]) = (self.first.dims(), self.second.dims());
        Sizes { m, n, ranks: self.ranks, a: first / self.ranks, b: second / self.ranks }
    }

    /// The rows that `ids` name.
    ///
    /// # Shapes
    /// ids `[rows]` -> `[rows, width]`
    pub fn rows_of(self, ids: Tensor<B, 1, Int>) -> Tensor<B, 2> {
        let (Sizes { n, ranks, a, b, .. }, [rows]) = (self.sizes(), ids.dims());
        let first = B::embed(self.first, ids.clone().div_scalar(n as i32)).reshape([rows, ranks, a]);
        let second = B::embed(self.second, ids.remainder_scalar(n as i32)).reshape([rows, ranks, b]);
        B::multiply(first.swap_dims(1, 2), second).reshape([rows, a * b]).narrow(1, 0, self.width)
    }

    /// The whole table.
    ///
    /// # Shapes
    /// `[rows, width]`
    pub fn table(self) -> Tensor<B, 2> {
        let ids = Tensor::arange(0..self.rows as i64, &self.first.device());
        self.rows_of(ids)
    }
}

pub(crate) fn cores_loss<B: Ops>(
    x: Tensor<B, 2>,
    cores: Cores<B>,
    labels: Tensor<B, 1, Int>,
    objective: &Objective,
    share: f64,
    back: bool,
) -> HeadLoss<B, 2> {
    let Sizes { m, n, ranks, b, .. } = cores.sizes();
    // What lies between both cores is larger than logits are, where there are many ranks.
    let chunk = B::BETWEEN / (m * n.max(ranks * b)).max(1);
    cores_loss_by(chunk, x, cores, labels, objective, share, back)
}

/// So many tokens at once.
pub(crate) fn cores_loss_by<B: Ops>(
    chunk: usize,
    x: Tensor<B, 2>,
    cores: Cores<B>,
    labels: Tensor<B, 1, Int>,
    objective: &Objective,
    share: f64,
    back: bool,
) -> HeadLoss<B, 2> {
    let ([rows, width], dtype, sizes) = (x.dims(), x.dtype(), cores.sizes());
    let vocabulary = cores.rows;
    let Sizes { m, ranks, a, .. } = sizes;
    let first = narrow(cores.first.clone(), dtype).reshape([m * ranks, a]);
    let second = narrow(cores.second.clone(), dtype);
    let chunk = chunk.clamp(1, rows.max(1));
    let zero = || Tensor::<B, 1>::zeros([1], (&x.device(), DType::F32));
    let (mut loss, mut plain) = (zero(), zero());
    let mut of_x = Vec::new();
    let mut of_cores: Option<[Tensor<B, 2>; 2]> = None;
    for start in (0..rows).step_by(chunk) {
        let len = chunk.min(rows - start);
        let part = x.clone().narrow(0, start, len);
        let labels = labels.clone().narrow(0, start, len);
        let turned = turned(part, sizes);
        let between = between(B::product(turned.clone(), first.clone(), Turned::Right), len, sizes);
        let logits = cropped(B::product(between.clone(), second.clone(), Turned::Right), len, vocabulary);
        let made: LogitLoss<B> = B::logit_loss(logits, labels, objective, share, back);
        (loss, plain) = (loss + made.loss, plain + made.plain);
        let Some(grad) = made.grad else { continue };
        let grad = padded(grad, sizes);
        let of_second = wide(B::product(grad.clone(), between, Turned::Left));
        let of_between = before(B::product(grad, second.clone(), Turned::Neither), len, sizes);
        let of_first = wide(B::product(of_between.clone(), turned, Turned::Left));
        of_x.push(turned_back(B::product(of_between, first.clone(), Turned::Neither), len, width, sizes));
        of_cores = Some(match of_cores {
            None => [of_first, of_second],
            Some([first, second]) => [first + of_first, second + of_second],
        });
    }
    // Without a row nothing was added up, and the gradients are nothing.
    let nothing = |like: &Tensor<B, 2>| Tensor::zeros(like.dims(), (&like.device(), DType::F32));
    let back = back.then(|| match of_cores {
        None => (x.zeros_like(), [nothing(&cores.first), nothing(&cores.second)]),
        Some([of_first, of_second]) => {
            (Tensor::cat(of_x, 0), [of_first.reshape(cores.first.dims()), of_second])
        }
    });
    HeadLoss { loss, plain, back }
}

/// `[rows, width] -> [rows b, a]`: what the first core multiplies.
fn turned<B: Backend>(x: Tensor<B, 2>, Sizes { a, b, .. }: Sizes) -> Tensor<B, 2> {
    let [rows, width] = x.dims();
    wider(x, a * b - width).reshape([rows, a, b]).swap_dims(1, 2).reshape([rows * b, a])
}

/// The way back of [`turned`].
fn turned_back<B: Backend>(
    grad: Tensor<B, 2>,
    rows: usize,
    width: usize,
    Sizes { a, b, .. }: Sizes,
) -> Tensor<B, 2> {
    grad.reshape([rows, b, a]).swap_dims(1, 2).reshape([rows, a * b]).narrow(1, 0, width)
}

/// `[rows b, m ranks] -> [rows m, ranks b]`: from what the first core gives to what the second multiplies.
fn between<B: Backend>(x: Tensor<B, 2>, rows: usize, Sizes { m, ranks, b, .. }: Sizes) -> Tensor<B, 2> {
    x.reshape([rows, b, m * ranks]).swap_dims(1, 2).reshape([rows * m, ranks * b])
}

/// The way back of [`between`].
fn before<B: Backend>(grad: Tensor<B, 2>, rows: usize, Sizes { m, ranks, b, .. }: Sizes) -> Tensor<B, 2> {
    grad.reshape([rows, m * ranks, b]).swap_dims(1, 2).reshape([rows * b, m * ranks])
}

/// `[rows m, n] -> [rows, vocabulary]`
fn cropped<B: Backend>(logits: Tensor<B, 2>, rows: usize, vocabulary: usize) -> Tensor<B, 2> {
    let [all, n] = logits.dims();
    logits.reshape([rows, all / rows * n]).narrow(1, 0, vocabulary)
}

/// The way back of [`cropped`].
fn padded<B: Backend>(grad: Tensor<B, 2>, Sizes { m, n, .. }: Sizes) -> Tensor<B, 2> {
    let [rows, vocabulary] = grad.dims();
    wider(grad, m * n - vocabulary).reshape([rows * m, n])
}

/// Rows with zeros behind them.
fn wider<B: Backend>(x: Tensor<B, 2>, by: usize) -> Tensor<B, 2> {
    if by == 0 {
        return x;
    }
    let nothing = Tensor::zeros([x.dims()[0], by], (&x.device(), x.dtype()));
    Tensor::cat(vec![x, nothing], 1)
}
