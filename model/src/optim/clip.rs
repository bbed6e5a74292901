//! What keeps a step within bounds: gradients by their global norm, and heads of attention by their largest logit.
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::{Later, Ops};

/// The root of the sum of squares over all tensors. Asks the device once, for all of them.
pub fn global_norm<'a, B: Ops>(grads: impl IntoIterator<Item = &'a Tensor<B, 1>>, device: &B::Device) -> f64 {
    squares::<B>(grads, device).into_data().iter::<f64>().sum::<f64>().sqrt()
}

/// Numbers that add up to the squares of all gradients.
fn squares<'a, B: Ops>(
    grads: impl IntoIterator<Item = &'a Tensor<B, 1>>,
    device: &B::Device,
) -> Tensor<B, 1> {
    let grads: Vec<_> = grads.into_iter().cloned().collect();
    if grads.is_empty() { Tensor::zeros([1], (device, DType::F32)) } else { B::squares(grads) }
}

/// Clips the gradients of steps by their global norm, and remembers whether all went well: both on the device, so that a step can be
/// asked for before anybody has looked at the one before.
pub struct Clip<B: Ops> {
    most: f64,
    /// The scale of the step before.
    before: Tensor<B, 1>,
}

impl<B: Ops> Clip<B> {
    /// For norms of up to `most`; where that is 0, of any size.
    pub fn new(most: f64, device: &B::Device) -> Self {
        Self { most, before: Tensor::ones([1], (device, DType::F32)) }
    }

    /// What the gradients of a step are multiplied by, `[1]`, and what is told of it. The scale is no number, so that the step changes
    /// nothing, where its loss or its norm is none; and from then on, until [`Clip::go_on`].
    pub fn of<'a>(
        &mut self,
        loss: Tensor<B, 1>,
        grads: impl IntoIterator<Item = &'a Tensor<B, 1>>,
    ) -> (Tensor<B, 1>, Told) {
        let clipped = B::clip(squares::<B>(grads, &loss.device()), loss, self.before.clone(), self.most);
        let told = Told(B::later(clipped.clone()));
        self.before = clipped.narrow(0, 0, 1);
        (self.before.clone(), told)
    }

    /// Forgets that a step went wrong.
    pub fn go_on(&mut self) {
        self.before = self.before.ones_like();
    }
}

/// What a step came to, which may not be known yet.
pub struct Told(Later);

impl Told {
    /// Waits for the device, and so for others that it works with: what is asked of it from here on finds it done.
    pub fn waited(self) -> Self {
        Self(self.0.waited())
    }

    /// The loss, and the global norm of the gradients before clipping. Waits for the device.
    pub fn loss_and_norm(self) -> (f64, f64) {
        match self.0.numbers()[..] {
            [_, norm, loss] => (loss, norm),
            _ => (f64::NAN, f64::NAN),
        }
    }
}

/// QK-clip: what the logits of each head are multiplied by, so that on the same batch the largest would be at the threshold where it is
/// above, `[heads]`. Where the scale of the step's gradients is no number, they stay. Nothing is asked of the device.
///
/// # Shapes
/// peaks `[heads]`, of the forward pass of this step's batch
pub fn qk_clip<B: Ops>(peaks: Tensor<B, 1>, threshold: f64, scale: &Tensor<B, 1>) -> Tensor<B, 1> {
    let [heads] = peaks.dims();
    let peaks = peaks.clamp_min(threshold).mask_fill(scale.clone().is_nan().expand([heads]), threshold);
    // Divided, and not multiplied by what one is divided by it: that is one for every head that stays.
    peaks.zeros_like().add_scalar(threshold) / peaks
}
