//! A block of a model in use: products that read the same numbers are one.
use super::linear::{Gated, Linear, Numbers};
use crate::config::Shape;
use muse_kernels::{Decode, DeviceError, DeviceResult, Heads, Step};

/// One block of the decoder.
pub(super) struct Block<D: Decode> {
    attention_norm: D::Vector,
    queries_keys_values: Linear<D>,
    output: Linear<D>,
    query_norm: Option<D::Vector>,
    key_norm: Option<D::Vector>,
    mlp_norm: D::Vector,
    gate_and_up: Gated<D>,
    down: Linear<D>,
}

impl<D: Decode> Block<D> {
    /// Takes its weights in their order.
    pub(super) fn new<E: From<DeviceError>>(
        device: &mut D,
        shape: &Shape,
        next: &mut impl FnMut() -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let (width, attended) = (shape.width, shape.query_width());
        let attention_norm = device.vector(&next()?)?;
        let mut matrix = |width| Numbers::read(shape, width, next);
        let sources = [matrix(width)?, matrix(width)?, matrix(width)?];
        let queries_keys_values = Linear::new(device, shape, &sources, width)?;
        let output = Linear::new(device, shape, &[matrix(attended)?], attended)?;
        let mut norm = || if shape.qk_norm { Ok::<_, E>(Some(device.vector(&next()?)?)) } else { Ok(None) };
        let (query_norm, key_norm) = (norm()?, norm()?);
        let mlp_norm = device.vector(&next()?)?;
        let mut matrix = |width| Numbers::read(shape, width, next);
        let gate_and_up = Gated::new(device, shape, &[matrix(width)?, matrix(width)?], width)?;
        let down = Linear::new(device, shape, &[matrix(shape.ffn)?], shape.ffn)?;
        Ok(Self {
            attention_norm,
            queries_keys_values,
            output,
            query_norm,
            key_norm,
            mlp_norm,
            gate_and_up,
            down,
        })
    }

    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`
    pub(super) fn run(
        &self,
        device: &mut D,
        step: &Step<'_>,
        x: D::Rows,
        shape: &Shape,
        epsilon: f64,
        cache: &mut D::Cache,
    ) -> DeviceResult<D::Rows> {
        let heads = Heads {
            queries: shape.heads,
            keys: shape.kv_heads,
            width: shape.head_width,
            norms: [self.query_norm.as_ref(), self.key_norm.as_ref()],
            epsilon,
            window: shape.window,
        };
        let normed = device.norm(&x, &self.attention_norm, epsilon)?;
        let all = self.queries_keys_values.times(device, &normed)?;
        let attended = device.attend(step, all, &heads, cache)?;
        let x = self.output.onto(device, x, &attended)?;
        let normed = device.norm(&x, &self.mlp_norm, epsilon)?;
        let gated = self.gate_and_up.of(device, &normed)?;
        self.down.onto(device, x, &gated)
    }
}
