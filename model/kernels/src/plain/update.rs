//! What optimizers do to whole tensors.
use super::wide;
use crate::ops::{AdamStep, Ops};
use burn::prelude::*;
use burn::tensor::DType;

pub(crate) fn sum_squares<B: Backend>(x: Tensor<B, 1>) -> Tensor<B, 1> {
    let x = wide(x);
    (x.clone() * x).sum()
}

pub(crate) fn clip<B: Backend>(
    squares: Tensor<B, 1>,
    loss: Tensor<B, 1>,
    before: Tensor<B, 1>,
    most: f64,
) -> Tensor<B, 1> {
    let device = squares.device();
    let norm = squares.into_data().iter::<f64>().sum::<f64>().sqrt();
    let [loss, before] = [loss, before].map(|x| x.into_scalar().elem::<f64>());
    let scale = if !norm.is_finite() || !loss.is_finite() || before.is_nan() {
        f64::NAN
    } else if most > 0.0 && norm > most {
        most / norm
    } else {
        1.0
    };
    let numbers = [scale, norm, loss].map(|number| number as f32);
    Tensor::from_data(TensorData::from(numbers), (&device, DType::F32))
}

/// What a step makes of these; they stay where its scale is no number. Only where nobody waits for the device are both there at once.
pub(crate) fn unless_bad<B: Ops, const N: usize>(
    scale: &Tensor<B, 1>,
    was: [Tensor<B, 1>; N],
    step: impl FnOnce([Tensor<B, 1>; N]) -> [Tensor<B, 1>; N],
) -> [Tensor<B, 1>; N] {
    if B::AHEAD > 0 {
        let new = step(was.clone());
        return chosen(scale, was, new);
    }
    if scale.clone().into_scalar().elem::<f64>().is_nan() { was } else { step(was) }
}

/// The first ones where the scale is no number, else the second.
pub(crate) fn chosen<B: Backend, const N: usize>(
    scale: &Tensor<B, 1>,
    was: [Tensor<B, 1>; N],
    new: [Tensor<B, 1>; N],
) -> [Tensor<B, 1>; N] {
    let mut was = was.into_iter();
    new.map(|new| match was.next() {
        Some(was) => {
            let bad = scale.clone().is_nan().expand(was.dims());
            new.mask_where(bad, was)
        }
        None => new,
    })
}

pub(crate) fn adamw<B: Ops>(
    [weight, grad, mean, square]: [Tensor<B, 1>; 4],
    step: &AdamStep<B>,
) -> [Tensor<B, 1>; 3] {
    unless_bad(&step.scale, [weight, mean, square], |[weight, mean, square]| {
        let grad = wide(grad) * step.scale.clone();
        let mean = mean.mul_scalar(step.beta1) + grad.clone().mul_scalar(1.0 - step.beta1);
        let square = square.mul_scalar(step.beta2) + (grad.clone() * grad).mul_scalar(1.0 - step.beta2);
        let (first, second) = step.corrections();
        let root = square.clone().div_scalar(second).sqrt().add_scalar(step.epsilon);
        let update = mean.clone().div_scalar(first) / root;
        let weight = weight.mul_scalar(1.0 - step.rate * step.decay) - update.mul_scalar(step.rate);
        [weight, mean, square]
    })
}
