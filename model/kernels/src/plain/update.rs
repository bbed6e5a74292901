//! What optimizers do to whole tensors.
use super::wide;
use crate::ops::AdamStep;
use burn::prelude::*;

pub(crate) fn sum_squares<B: Backend>(x: Tensor<B, 1>) -> Tensor<B, 1> {
    let x = wide(x);
    (x.clone() * x).sum()
}

pub(crate) fn adamw<B: Backend>(
    weight: Tensor<B, 1>,
    grad: Tensor<B, 1>,
    (mean, square): (Tensor<B, 1>, Tensor<B, 1>),
    step: &AdamStep,
) -> (Tensor<B, 1>, (Tensor<B, 1>, Tensor<B, 1>)) {
    let grad = wide(grad).mul_scalar(step.scale);
    let mean = mean.mul_scalar(step.beta1) + grad.clone().mul_scalar(1.0 - step.beta1);
    let square = square.mul_scalar(step.beta2) + (grad.clone() * grad).mul_scalar(1.0 - step.beta2);
    let (first, second) = step.corrections();
    let root = square.clone().div_scalar(second).sqrt().add_scalar(step.epsilon);
    let update = mean.clone().div_scalar(first) / root;
    let weight = weight.mul_scalar(1.0 - step.rate * step.decay) - update.mul_scalar(step.rate);
    (weight, (mean, square))
}
