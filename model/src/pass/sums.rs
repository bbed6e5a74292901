//! Gradients as they come, from the last weight to the first, each added to what there is of it already.
use crate::buckets::{Buckets, Onto};
use crate::lora::Acting;
use burn::prelude::*;
use muse_kernels::Ops;

/// Gradients in the order of the weights or factors.
pub(super) struct Sums<'a, B: Ops> {
    sums: Vec<Option<Tensor<B, 1>>>,
    /// Those from here on have come.
    end: usize,
    tied: bool,
    buckets: Buckets<'a>,
}

impl<'a, B: Ops> Sums<'a, B> {
    pub(super) fn new(acting: &Acting<'_, B>, Onto { so_far, member }: Onto<'a, B>) -> Self {
        let net = acting.net;
        let count = acting.lora.map_or_else(|| net.flat().len(), |lora| lora.names().len());
        let sums = so_far.map_or_else(|| vec![None; count], |sums| sums.into_iter().map(Some).collect());
        Self { sums, end: count, tied: net.tied(), buckets: Buckets::new(member) }
    }

    /// Those of the last norm, of the head, in their order, which may be the embedding, and of what the head adds.
    pub(super) fn add_top(
        &mut self,
        norm: Tensor<B, 1>,
        head: Vec<Tensor<B, 1>>,
        bias: Option<Tensor<B, 1>>,
    ) {
        if let Some(bias) = bias {
            self.end -= 1;
            self.add(self.end, bias);
        }
        if self.tied {
            self.add(self.end - 1, norm);
            head.into_iter().enumerate().for_each(|(at, grad)| self.add_some(at, grad));
            self.end -= 1;
        } else {
            let first = self.end - head.len();
            self.add(first - 1, norm);
            head.into_iter().zip(first..).for_each(|(grad, at)| self.add(at, grad));
            self.end = first - 1;
        }
    }

    /// Those of a block, in their order: the last block's first.
    pub(super) fn add_block(&mut self, grads: Vec<Tensor<B, 1>>) {
        self.end -= grads.len();
        grads.into_iter().zip(self.end..).for_each(|(grad, at)| self.add(at, grad));
    }

    pub(super) fn add_embedding(&mut self, grads: Vec<Tensor<B, 1>>) {
        // From the last to the first, as all others come.
        grads.into_iter().enumerate().rev().for_each(|(at, grad)| self.add(at, grad));
    }

    /// All, and which stand in which bucket.
    pub(super) fn all(self) -> (Vec<Tensor<B, 1>>, Vec<Vec<usize>>) {
        let sums = self.sums.into_iter().map(|sum| sum.expect("every weight has a gradient")).collect();
        (sums, self.buckets.all())
    }

    fn add(&mut self, at: usize, grad: Tensor<B, 1>) {
        self.add_some(at, grad);
        if let Some(sum) = self.sums[at].take() {
            self.sums[at] = Some(self.buckets.whole(at, sum));
        }
    }

    /// Adds what is not the last that is added there.
    fn add_some(&mut self, at: usize, grad: Tensor<B, 1>) {
        let sum = self.sums[at].take();
        self.sums[at] = Some(match sum {
            Some(sum) => sum + grad,
            None => grad,
        });
    }
}
