//! How many of a model's numbers are zero, where its matrices have three values.
use super::Trainer;
use burn::prelude::*;
use muse_model::config::Round;
use muse_model::kernels::{Ops, Rounding};
use muse_model::net::{Role, Weight};

impl<B: Ops> Trainer<'_, B> {
    /// The share of zeros among the numbers of all matrices of blocks, as they act. None where they have more values than three.
    pub(crate) fn zeros(&self) -> Option<f64> {
        if self.shape().round != Some(Round::Ternary) {
            return None;
        }
        let mut all = 0;
        let of = |(weight, numbers): (&Weight, Tensor<B, 1>)| {
            all += weight.len();
            let acting = B::rounded(numbers.reshape([weight.shape[0], weight.shape[1]]), Rounding::Ternary);
            // A share of each, since a sum of ones in f32 ends at 16 million.
            acting.equal_elem(0.0).float().mean().mul_scalar(weight.len() as f64)
        };
        let weights = self.weights.iter().zip(self.net().flat());
        let zeros: Vec<_> = weights.filter(|(weight, _)| weight.role == Role::Matrix).map(of).collect();
        let zeros = Tensor::cat(zeros, 0).into_data();
        Some(zeros.iter::<f64>().sum::<f64>() / all as f64)
    }
}
