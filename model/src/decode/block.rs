//! A block of a model in use: products that read the same numbers are one.
use crate::config::Shape;
use muse_kernels::{Decode, DeviceError, DeviceResult, Heads, Step};

/// One block of the decoder.
pub(super) struct Block<D: Decode> {
    attention_norm: D::Vector,
    /// Queries, keys and values, one below the other.
    queries_keys_values: D::Matrix,
    output: D::Matrix,
    query_norm: Option<D::Vector>,
    key_norm: Option<D::Vector>,
    mlp_norm: D::Vector,
    gate_and_up: D::Matrix,
    down: D::Matrix,
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
        let (query, key, value) = (next()?, next()?, next()?);
        let queries_keys_values = device.matrix(&[&query, &key, &value], width)?;
        let output = device.matrix(&[&next()?], attended)?;
        let mut norm = || if shape.qk_norm { Ok::<_, E>(Some(device.vector(&next()?)?)) } else { Ok(None) };
        let (query_norm, key_norm) = (norm()?, norm()?);
        let mlp_norm = device.vector(&next()?)?;
        let (gate, up) = (next()?, next()?);
        let gate_and_up = device.pair(&gate, &up, width)?;
        let down = device.matrix(&[&next()?], shape.ffn)?;
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
        let all = device.times(&normed, &self.queries_keys_values)?;
        let attended = device.attend(step, all, &heads, cache)?;
        let x = device.add_times(x, &attended, &self.output)?;
        let normed = device.norm(&x, &self.mlp_norm, epsilon)?;
        let gated = device.gated(&normed, &self.gate_and_up)?;
        device.add_times(x, &gated, &self.down)
    }
}
